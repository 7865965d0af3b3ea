/* Decisions about accounts and texts: opening, @world, revision, erasure. None of them moves an amount. */
#include "ledger/decide_internal.h"

#include "money/amount.h"

/* Fills an opening record: the account, its first revision, and its first entry, a zero one. */
static void put_opening(struct record *record, const struct account *account, struct arena *arena)
{
    INVARIANT_F(!account->floor.present || amount_in_range(account->floor.minor), "floor %lld",
        (long long)account->floor.minor);
    struct account_row *row = ARENA_NEW(arena, struct account_row);
    *row = (struct account_row){
        .number = account->number,
        .id = account->id,
        .asset = account->asset,
        .type = account->type,
        .external_id = account->external_id,
        .opened_seq = record->seq,
    };
    struct revision_row *revision = ARENA_NEW(arena, struct revision_row);
    *revision = (struct revision_row){
        .account = account->number,
        .revision = account->revision,
        .status = account->status,
        .floor = account->floor,
        .text_seq = account->text_seq,
    };
    record->account = row;
    record->revisions = revision;
    record->n_revisions = 1;
    record_put_zero_entry(record, account, arena);
}

void decide_open(const struct making *m)
{
    const struct facts *facts = m->facts;
    const struct command_open *open = &m->command->as.open;
    if (facts->asset == NULL) {
        making_refuse(m, REFUSAL_ASSET_NOT_FOUND, (struct refusal_detail){0});
        return;
    }
    if (facts->account != NULL) {
        making_decline(m, REFUSAL_EXTERNAL_ID_TAKEN, (struct refusal_detail){.account = facts->account},
            facts->account, 0, 0);
        return;
    }
    struct record *record = making_record(m, RECORD_OPENING);
    struct account account = {
        .ledger = facts->ledger,
        .number = facts->next_account,
        .id = uuid_make(facts->now, facts->next_account, m->command->random),
        .asset = facts->asset->id,
        .type = open->type,
        .external_id = open->external_id,
        .revision = 1,
        .status = ACCOUNT_OPEN,
        .floor = open->has_floor ? open->floor : facts->default_floor,
        .text_seq = record->text.present ? record->seq : 0,
    };
    put_opening(record, &account, m->arena);
    m->decision->record = record;
}

const struct record *decide_world(
    const struct command *cause, const struct facts *facts, const struct asset *asset, struct arena *arena)
{
    /* What opens the outside is the first use of it: of its cause it keeps the trace, and neither key nor
     * text. */
    struct command opening = {.op = COMMAND_OPEN_ACCOUNT,
        .random = ~cause->random,
        .has_trace = cause->has_trace,
        .trace_sampled = cause->trace_sampled};
    for (size_t i = 0; i < TRACE_ID_LEN; i++)
        opening.trace_id[i] = cause->trace_id[i];
    const struct making m = {.command = &opening, .facts = facts, .arena = arena};
    struct record *record = making_record(&m, RECORD_OPENING);
    struct account world = {
        .ledger = facts->ledger,
        .number = facts->next_account,
        .id = uuid_make(facts->now, facts->next_account, opening.random),
        .asset = asset->id,
        .type = ACCOUNT_EQUITY,
        .external_id = arena_printf(arena, "%s%s", WORLD_PREFIX, asset->code),
        .revision = 1,
        .status = ACCOUNT_OPEN,
    };
    put_opening(record, &world, arena);
    return record;
}

static bool is_empty(const struct account *account)
{
    return account->balance.posted == 0 && account->balance.incoming == 0 && account->balance.outgoing == 0;
}

/* False after a refusal. */
static bool check_revision(const struct making *m, const struct account *account)
{
    const struct command_revise *revise = &m->command->as.revise;
    struct refusal_detail detail = {.account = account};
    if (account == NULL)
        making_refuse(m, REFUSAL_ACCOUNT_NOT_FOUND, detail);
    else if (account_is_world(account))
        making_refuse(m, REFUSAL_WORLD_IMMUTABLE, detail);
    else if (revise->has_if_revision && revise->if_revision != account->revision) {
        detail.expected_version = revise->if_revision;
        making_decline(m, REFUSAL_PRECONDITION_FAILED, detail, account, 0, 0);
    } else if (revise->has_status && revise->status == ACCOUNT_CLOSED && !is_empty(account)) {
        detail.actual_minor = amounts_balance(account->balance, account_type_side(account->type));
        making_decline(m, REFUSAL_ACCOUNT_NOT_EMPTY, detail, account, 0, 0);
    } else if (revise->has_base_text && revise->base_text_seq != account->text_seq)
        /* Not what the client asked for, so not for its key to remember: no decline. */
        making_refuse(m, REFUSAL_REVISION_CONTENDED, detail);
    else
        return true;
    return false;
}

void decide_revise(const struct making *m)
{
    const struct command_revise *revise = &m->command->as.revise;
    const struct account *account = m->facts->account;
    if (!check_revision(m, account))
        return;
    struct record *record = making_record(m, RECORD_REVISION);
    struct account revised = *account;
    revised.revision++;
    if (revise->has_status)
        revised.status = revise->status;
    if (revise->has_floor)
        revised.floor = revise->floor;
    if (record->text.present)
        revised.text_seq = record->seq;
    INVARIANT_F(!revised.floor.present || amount_in_range(revised.floor.minor), "floor %lld",
        (long long)revised.floor.minor);
    struct revision_row *row = ARENA_NEW(m->arena, struct revision_row);
    *row = (struct revision_row){
        .account = revised.number,
        .revision = revised.revision,
        .status = revised.status,
        .floor = revised.floor,
        .text_seq = revised.text_seq,
    };
    record->revisions = row;
    record->n_revisions = 1;
    record_put_zero_entry(record, &revised, m->arena);
    m->decision->record = record;
}

void decide_erase(const struct making *m)
{
    const struct facts *facts = m->facts;
    const struct record *original = facts->original;
    if (original == NULL) {
        making_refuse(m, REFUSAL_TRANSFER_NOT_FOUND, (struct refusal_detail){0});
        return;
    }
    if (!original->text.present || facts->text_erased) {
        making_refuse(m, REFUSAL_NOTHING_TO_ERASE, (struct refusal_detail){0});
        return;
    }
    INVARIANT(original->seq == m->command->as.erase.seq && facts->account != NULL);
    struct record *record = making_record(m, RECORD_ERASURE);
    record->related_seq = original->seq;
    record_put_zero_entry(record, facts->account, m->arena);
    m->decision->record = record;
}
