#include "ledger/testbench.h"

#include "base/check.h"

void bench_init(struct bench *bench)
{
    *bench = (struct bench){
        .assets = {{.id = 1, .scale = 2, .code = "USD"}, {.id = 2, .scale = 2, .code = "EUR"}},
        .now = INT64_C(1700000000000000),
    };
    arena_init(&bench->arena, 1 << 16);
}

void bench_fini(struct bench *bench)
{
    arena_fini(&bench->arena);
    free(bench->rows);
}

const struct record *bench_record(const struct bench *bench, uint64_t seq)
{
    return seq >= 1 && seq <= bench->n_rows ? bench->rows[seq - 1].record : NULL;
}

int64_t bench_balance(const struct bench *bench, uint64_t number)
{
    const struct account *account = &bench->accounts[number - 1];
    return amounts_balance(account->balance, account_type_side(account->type));
}

struct account_ref bench_ref(const struct bench *bench, uint64_t number)
{
    return (struct account_ref){.by = REF_BY_ID, .id = bench->accounts[number - 1].id};
}

static const struct asset *find_asset(const struct bench *bench, struct str code)
{
    for (size_t i = 0; i < COUNT_OF(bench->assets); i++)
        if (str_eq_c(code, bench->assets[i].code))
            return &bench->assets[i];
    return NULL;
}

static const struct account *find_external(const struct bench *bench, struct str external_id)
{
    for (size_t i = 0; i < bench->n_accounts; i++)
        if (external_id.data != NULL && bench->accounts[i].external_id.data != NULL &&
            str_eq(bench->accounts[i].external_id, external_id))
            return &bench->accounts[i];
    return NULL;
}

static void apply(struct bench *bench, const struct record *record)
{
    assert_int_equal(record->seq, bench->n_rows + 1);
    if (bench->n_rows == bench->cap) {
        bench->cap = bench->cap ? 2 * bench->cap : 256;
        bench->rows = realloc(bench->rows, bench->cap * sizeof *bench->rows);
        assert_non_null(bench->rows);
    }
    bench->rows[bench->n_rows++] =
        (struct bench_row){record, ARENA_ARRAY(&bench->arena, const struct lot *, record->n_entries), false};
    if (record->account != NULL) {
        const struct account_row *row = record->account;
        assert_int_equal(row->number, bench->n_accounts + 1);
        assert_true(bench->n_accounts < BENCH_ACCOUNTS);
        bench->accounts[bench->n_accounts++] = (struct account){.ledger = record->ledger,
            .number = row->number,
            .id = row->id,
            .asset = row->asset,
            .type = row->type,
            .external_id = row->external_id,
            .opened_seq = row->opened_seq};
    }
    for (size_t i = 0; i < record->n_revisions; i++)
        account_revise(&bench->accounts[record->revisions[i].account - 1], &record->revisions[i]);
    for (size_t i = 0; i < record->n_entries; i++)
        account_apply(&bench->accounts[record->entries[i].account - 1], &record->entries[i], record->seq);
    for (size_t i = 0; i < record->n_lots; i++)
        bench->rows[record->lots[i].origin - 1].refundable[record->lots[i].leg] = &record->lots[i];
    if (record->kind == RECORD_ERASURE)
        bench->rows[record->related_seq - 1].erased = true;
}

static struct facts facts_of(const struct bench *bench)
{
    return (struct facts){
        .ledger = 1,
        .next_seq = bench->n_rows + 1,
        .next_account = bench->n_accounts + 1,
        .now = bench->now,
        .default_floor = bench->default_floor,
    };
}

static const struct account *resolve(
    struct bench *bench, const struct command *cause, const struct account_ref *ref)
{
    if (ref->by == REF_BY_EXTERNAL_ID)
        return find_external(bench, ref->external_id);
    if (ref->by == REF_BY_ID) {
        uint64_t number = uuid_counter(ref->id);
        bool known =
            number >= 1 && number <= bench->n_accounts && uuid_eq(bench->accounts[number - 1].id, ref->id);
        return known ? &bench->accounts[number - 1] : NULL;
    }
    const struct asset *asset = find_asset(bench, ref->currency);
    if (asset == NULL)
        return NULL;
    struct str name = arena_printf(&bench->arena, "%s%s", WORLD_PREFIX, asset->code);
    if (find_external(bench, name) == NULL) {
        struct facts facts = facts_of(bench);
        apply(bench, decide_world(cause, &facts, asset, &bench->arena));
    }
    return find_external(bench, name);
}

static void resolve_post(struct bench *bench, const struct command *command, struct facts *facts)
{
    const struct command_post *post = &command->as.post;
    struct posting_facts *postings = ARENA_ARRAY(&bench->arena, struct posting_facts, post->n_postings);
    const struct account **expects = ARENA_ARRAY(&bench->arena, const struct account *, post->n_expects);
    for (size_t i = 0; i < post->n_postings; i++) {
        const struct posting *p = &post->postings[i];
        postings[i].debit = resolve(bench, command, &p->debit);
        postings[i].credit = resolve(bench, command, &p->credit);
        postings[i].asset = find_asset(bench, p->currency);
    }
    for (size_t i = 0; i < post->n_expects; i++)
        expects[i] = resolve(bench, command, &post->expects[i].account);
    const struct account *balance_account =
        post->has_balance_after ? resolve(bench, command, &post->balance_account) : NULL;
    *facts = facts_of(bench); /* only now: opening @world moves the head on */
    facts->postings = postings;
    facts->expects = expects;
    facts->balance_account = balance_account;
}

static void resolve_reverse(struct bench *bench, const struct command *command, struct facts *facts)
{
    uint64_t seq = uuid_counter(command->as.reverse.transfer);
    const struct record *original = bench_record(bench, seq);
    if (original == NULL || !uuid_eq(original->id, command->as.reverse.transfer))
        return;
    const struct account **accounts = ARENA_ARRAY(&bench->arena, const struct account *, original->n_entries);
    for (size_t i = 0; i < original->n_entries; i++)
        accounts[i] = &bench->accounts[original->entries[i].account - 1];
    facts->original = original;
    facts->original_accounts = accounts;
    facts->refundable = bench->rows[seq - 1].refundable;
}

static struct facts fetch(struct bench *bench, const struct command *command)
{
    struct facts facts = facts_of(bench);
    if (command->op == COMMAND_OPEN_ACCOUNT) {
        facts.asset = find_asset(bench, command->as.open.currency);
        facts.account = find_external(bench, command->as.open.external_id);
    } else if (command->op == COMMAND_REVISE_ACCOUNT) {
        facts.account = resolve(bench, command, &command->as.revise.account);
        facts.next_seq = bench->n_rows + 1;
    } else if (command->op == COMMAND_POST) {
        resolve_post(bench, command, &facts);
    } else if (command->op == COMMAND_REVERSE) {
        resolve_reverse(bench, command, &facts);
    } else if (command->op == COMMAND_ERASE) {
        facts.original = bench_record(bench, command->as.erase.seq);
        if (facts.original != NULL) {
            facts.account = &bench->accounts[facts.original->entries[0].account - 1];
            facts.text_erased = bench->rows[facts.original->seq - 1].erased;
        }
    }
    return facts;
}

void bench_run(struct bench *bench, const struct command *command, struct decision *ret_decision)
{
    struct facts facts = fetch(bench, command);
    decide(command, &facts, &bench->arena, ret_decision);
    struct arena other;
    struct decision again;
    struct strbuf first, second;
    arena_init(&other, 0);
    strbuf_init(&first);
    strbuf_init(&second);
    decide(command, &facts, &other, &again);
    bench_dump(ret_decision->record, &first);
    bench_dump(again.record, &second);
    assert_true(str_eq(strbuf_view(&first), strbuf_view(&second)) && again.refusal == ret_decision->refusal);
    strbuf_fini(&first);
    strbuf_fini(&second);
    arena_fini(&other);
    if (ret_decision->record != NULL)
        apply(bench, ret_decision->record);
}

uint64_t bench_open(struct bench *bench, const char *currency, enum account_type type, struct floor floor)
{
    struct command command = {.op = COMMAND_OPEN_ACCOUNT,
        .as.open = {.currency = str_of(currency), .type = type, .has_floor = true, .floor = floor}};
    struct decision decision;
    bench_run(bench, &command, &decision);
    assert_int_equal(decision.refusal, REFUSAL_NONE);
    return bench->n_accounts;
}

uint64_t bench_post(struct bench *bench, uint64_t debit, uint64_t credit, int64_t amount)
{
    struct posting posting = {bench_ref(bench, debit), bench_ref(bench, credit), amount,
        str_of(bench->assets[bench->accounts[debit - 1].asset - 1].code), false};
    struct command command = {.op = COMMAND_POST, .as.post = {.postings = &posting, .n_postings = 1}};
    struct decision decision;
    bench_run(bench, &command, &decision);
    return decision.refusal == REFUSAL_NONE ? decision.record->seq : 0;
}

static void dump_floor(struct floor floor, struct strbuf *b)
{
    if (floor.present)
        strbuf_printf(b, " floor %" PRId64, floor.minor);
}

static void dump_rows(const struct record *r, struct strbuf *b)
{
    if (r->account != NULL) {
        strbuf_printf(b, "account %" PRIu64 " asset %u type %d opened %" PRIu64 " ext '" STR_FMT "' ",
            r->account->number, r->account->asset, (int)r->account->type, r->account->opened_seq,
            STR_ARG(r->account->external_id));
        strbuf_uuid(b, r->account->id);
    }
    for (size_t i = 0; i < r->n_revisions; i++) {
        const struct revision_row *v = &r->revisions[i];
        strbuf_printf(b, "\nrevision %u of %" PRIu64 " status %d text %" PRIu64, v->revision, v->account,
            (int)v->status, v->text_seq);
        dump_floor(v->floor, b);
    }
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct entry *e = &r->entries[i];
        strbuf_printf(b, "\nleg %u account %" PRIu64 " version %" PRIu64 " asset %u side %d revision %u",
            e->leg, e->account, e->version, e->asset, e->side, e->revision);
        dump_floor(e->floor, b);
        strbuf_printf(b,
            " change %" PRId64 " %" PRId64 " %" PRId64 " after %" PRId64 " %" PRId64 " %" PRId64
            " backdated %d at %" PRId64 " ",
            e->change.posted, e->change.incoming, e->change.outgoing, e->after.posted, e->after.incoming,
            e->after.outgoing, e->backdated, e->effective_at);
        strbuf_uuid(b, e->account_id);
    }
    for (size_t i = 0; i < r->n_lots; i++) {
        const struct lot *l = &r->lots[i];
        strbuf_printf(b,
            "\nlot %" PRIu64 " %u kind %d version %u account %" PRIu64 " change %" PRId64
            " remaining %" PRId64 " due %d %" PRId64,
            l->origin, l->leg, (int)l->kind, l->version, l->account, l->change, l->remaining_after,
            l->has_due, l->due_at);
    }
}

void bench_dump(const struct record *r, struct strbuf *b)
{
    if (r == NULL)
        return;
    strbuf_printf(
        b, "ledger %u seq %" PRIu64 " kind %d format %u id ", r->ledger, r->seq, (int)r->kind, r->format);
    strbuf_uuid(b, r->id);
    strbuf_printf(b, " key '" STR_FMT "' ", STR_ARG(r->idempotency_key));
    strbuf_hex(b, r->request_hash, HASH_LEN);
    strbuf_printf(b,
        " effective %" PRId64 " recorded %" PRId64 " reference '" STR_FMT "' related %" PRIu64
        " actor '" STR_FMT "' trace %d ",
        r->effective_at, r->recorded_at, STR_ARG(r->reference), r->related_seq, STR_ARG(r->actor),
        r->has_trace);
    strbuf_hex(b, r->trace_id, TRACE_ID_LEN);
    strbuf_printf(b, " refusal %u declined %" PRId64 " text %d %d '" STR_FMT "' ", r->refusal,
        r->declined_amount, r->text.present, r->text.readable, STR_ARG(r->text.body));
    strbuf_hex(b, r->text.salt, SALT_LEN);
    dump_rows(r, b);
}
