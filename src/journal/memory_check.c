#include "journal/memory_check.h"

#include <stdio.h>
#include <string.h>

#include "money/amount.h"

/* Refusals say which record and, where it counts, which leg. */
#define REFUSE(...) return err_set(err, ERR_CONFLICT, __VA_ARGS__)

static bool name_fits(struct str s, size_t max)
{
    return s.data == NULL || (s.len >= 1 && s.len <= max);
}

static bool amounts_zero(struct amounts a)
{
    return a.posted == 0 && a.incoming == 0 && a.outgoing == 0;
}

static bool floor_same(struct floor a, struct floor b)
{
    return a.present == b.present && (!a.present || a.minor == b.minor);
}

static bool in_range(int64_t minor, int64_t least)
{
    return minor >= least && minor <= LIMIT_AMOUNT_MAX;
}

int mem_check_asset(const struct mem_store *store, const struct asset *asset, struct err *err)
{
    if (asset->id != store->n_assets + 1)
        REFUSE("I1: asset %u is not the next", asset->id);
    if (!asset_code_valid(str_of(asset->code)) || asset->scale > LIMIT_ASSET_SCALE_MAX)
        REFUSE("I1: asset %u has no valid code and scale", asset->id);
    for (size_t i = 0; i < store->n_assets; i++)
        if (strcmp(store->assets[i].code, asset->code) == 0)
            REFUSE("I7: asset %s exists", asset->code);
    return 0;
}

int mem_check_ledger(const struct mem_store *store, const struct ledger_row *row, struct err *err)
{
    if (row->id != store->n_ledgers + 1)
        REFUSE("I1: ledger %u is not the next", row->id);
    if (row->name[0] == '\0')
        REFUSE("I1: ledger %u has no name", row->id);
    for (size_t i = 0; i < store->n_ledgers; i++)
        if (strcmp(store->ledgers[i]->row.name, row->name) == 0)
            REFUSE("I7: ledger %s exists", row->name);
    return 0;
}

/* ---- parts ---- */

static const struct revision_row *revision_in(
    const struct record *record, uint64_t account, uint32_t revision)
{
    for (size_t i = 0; i < record->n_revisions; i++)
        if (record->revisions[i].account == account && record->revisions[i].revision == revision)
            return &record->revisions[i];
    return NULL;
}

static int put_account(
    const struct mem_store *store, struct mem_ledger *ledger, const struct record *record, struct err *err)
{
    const struct account_row *row = record->account;
    if (row == NULL)
        return 0;
    if (row->opened_seq != record->seq || row->number != ledger->n_accounts + 1 ||
        uuid_counter(row->id) != row->number)
        REFUSE("I1: account %llu is not the next to be opened", (unsigned long long)row->number);
    if (row->asset < 1 || row->asset > store->n_assets)
        REFUSE("I4: account %llu has an unknown asset", (unsigned long long)row->number);
    if (row->type < ACCOUNT_ASSET || row->type > ACCOUNT_EXPENSE ||
        !name_fits(row->external_id, LIMIT_EXTERNAL_ID_MAX))
        REFUSE("I1: account %llu has no valid type or external id", (unsigned long long)row->number);
    if (row->external_id.data != NULL && mem_account_by_external_id(ledger, row->external_id) != NULL)
        REFUSE("I7: external id of account %llu is taken", (unsigned long long)row->number);
    if (revision_in(record, row->number, 1) == NULL)
        REFUSE("I1: account %llu without its first revision", (unsigned long long)row->number);
    mem_put_account(ledger, row);
    return 0;
}

static int put_revision(
    struct mem_ledger *ledger, const struct record *record, const struct revision_row *row, struct err *err)
{
    struct mem_account *account = mem_account(ledger, row->account);
    if (account == NULL)
        REFUSE("I4: revision of an unknown account %llu", (unsigned long long)row->account);
    if (row->revision != account->n_revisions + 1)
        REFUSE("I4: revision %u of account %llu is not the next", row->revision,
            (unsigned long long)row->account);
    if (row->status < ACCOUNT_OPEN || row->status > ACCOUNT_CLOSED ||
        (row->floor.present && !in_range(row->floor.minor, -LIMIT_AMOUNT_MAX)))
        REFUSE(
            "I4: revision %u of account %llu is not valid", row->revision, (unsigned long long)row->account);
    const struct record *named = row->text_seq == record->seq ? record : mem_record(ledger, row->text_seq);
    if (row->text_seq != 0 && (named == NULL || !named->text.present))
        REFUSE(
            "I1: revision of account %llu names a text that is not there", (unsigned long long)row->account);
    mem_put_revision(account, row, record->seq);
    return 0;
}

static int check_opening_entry(const struct mem_account *account, const struct record *record,
    const struct entry *entry, struct err *err)
{
    const struct revision_row *first = revision_in(record, entry->account, 1);
    if (record->account != account->row || entry->revision != 1 || first == NULL ||
        !floor_same(entry->floor, first->floor) || !amounts_zero(entry->change) ||
        !amounts_zero(entry->after))
        REFUSE("I4: leg %u is not an opening", entry->leg);
    return 0;
}

static bool continues(int64_t before, int64_t change, int64_t after)
{
    int64_t sum;
    return !__builtin_add_overflow(before, change, &sum) && sum == after;
}

static int check_next_entry(const struct mem_account *account, const struct record *record,
    const struct entry *entry, struct err *err)
{
    const struct entry *before = account->entries[account->n_entries - 1].entry;
    if (!continues(before->after.posted, entry->change.posted, entry->after.posted) ||
        !continues(before->after.incoming, entry->change.incoming, entry->after.incoming) ||
        !continues(before->after.outgoing, entry->change.outgoing, entry->after.outgoing))
        REFUSE("I4: leg %u does not continue the balance of account %llu", entry->leg,
            (unsigned long long)entry->account);
    if (entry->revision == before->revision) {
        if (!floor_same(entry->floor, before->floor))
            REFUSE("I4: leg %u has not the floor of account %llu", entry->leg,
                (unsigned long long)entry->account);
        return 0;
    }
    const struct revision_row *row = revision_in(record, entry->account, entry->revision);
    if (entry->revision != before->revision + 1 || row == NULL || !floor_same(entry->floor, row->floor) ||
        !amounts_zero(entry->change))
        REFUSE("I4: leg %u is not the entry of a revision of account %llu", entry->leg,
            (unsigned long long)entry->account);
    return 0;
}

static amount_sum available(struct amounts a, int side)
{
    return side > 0 ? (amount_sum)a.posted - a.outgoing : -(amount_sum)a.posted - a.incoming;
}

static int check_amounts(const struct entry *e, struct err *err)
{
    if (!in_range(e->after.posted, -LIMIT_AMOUNT_MAX))
        REFUSE("I4: leg %u leaves the range of balances", e->leg);
    if (!in_range(e->after.incoming, 0) || !in_range(e->after.outgoing, 0))
        REFUSE("I5: leg %u leaves a pending amount below zero or out of range", e->leg);
    if (e->floor.present && available(e->after, e->side) < e->floor.minor &&
        available(e->change, e->side) < 0)
        REFUSE("I6: leg %u takes account %llu below its floor", e->leg, (unsigned long long)e->account);
    return 0;
}

static int put_entry(struct mem_ledger *ledger, const struct record *record, size_t leg, struct err *err)
{
    const struct entry *e = &record->entries[leg];
    struct mem_account *account = mem_account(ledger, e->account);
    if (e->leg != leg)
        REFUSE("I1: legs are not 0, 1, 2 ...");
    if (account == NULL)
        REFUSE("I4: leg %zu is of an unknown account", leg);
    if (e->version != account->n_entries + 1)
        REFUSE("I4: leg %zu is not the next version of account %llu", leg, (unsigned long long)e->account);
    if (e->asset != account->row->asset || e->side != account_type_side(account->row->type))
        REFUSE("I4: leg %zu has not the asset and side of account %llu", leg, (unsigned long long)e->account);
    if (e->effective_at != record->effective_at ||
        e->backdated != (record->effective_at < record->recorded_at))
        REFUSE("I4: leg %zu has not the time of its record", leg);
    int rc = e->version == 1 ? check_opening_entry(account, record, e, err)
                             : check_next_entry(account, record, e, err);
    if (rc == 0)
        rc = check_amounts(e, err);
    if (rc == 0)
        mem_put_entry(account, e, record->seq);
    return rc;
}

/* A lot starts as large as its leg, and with it; but what is left to refund is counted from the first
 * reversal on. */
static int check_first_lot(
    const struct mem_ledger *ledger, const struct record *record, const struct lot *lot, struct err *err)
{
    const struct record *origin = mem_record(ledger, lot->origin);
    bool in_time = lot->kind == LOT_REFUNDABLE ? lot->origin < record->seq : lot->origin == record->seq;
    const struct entry *e =
        origin != NULL && lot->leg < origin->n_entries ? &origin->entries[lot->leg] : NULL;
    if (!in_time || e == NULL || e->account != lot->account || lot->change != lot->remaining_after)
        REFUSE("I5: lot %llu/%u does not start at its leg", (unsigned long long)lot->origin, lot->leg);
    int64_t size = lot->kind == LOT_HOLD    ? e->change.outgoing
                   : lot->kind == LOT_GRANT ? e->change.posted * e->side
                   : e->change.posted < 0   ? -e->change.posted
                                            : e->change.posted;
    if (lot->change != size)
        REFUSE("I5: lot %llu/%u is not as large as its leg", (unsigned long long)lot->origin, lot->leg);
    return 0;
}

static int put_lot(
    struct mem_ledger *ledger, const struct record *record, const struct lot *lot, struct err *err)
{
    if (lot->kind < LOT_HOLD || lot->kind > LOT_REFUNDABLE || lot->change == 0 || lot->remaining_after < 0)
        REFUSE("I5: lot %llu/%u changes by nothing or falls below zero", (unsigned long long)lot->origin,
            lot->leg);
    const struct lot *before = mem_lot_newest(ledger, lot->origin, lot->leg, lot->kind, record->seq);
    if (lot->version == 1) {
        if (before != NULL)
            REFUSE("I5: lot %llu/%u exists", (unsigned long long)lot->origin, lot->leg);
        int rc = check_first_lot(ledger, record, lot, err);
        if (rc != 0)
            return rc;
    } else if (before == NULL || lot->version != before->version + 1 || lot->account != before->account ||
               !continues(before->remaining_after, lot->change, lot->remaining_after)) {
        REFUSE("I5: lot %llu/%u does not continue", (unsigned long long)lot->origin, lot->leg);
    }
    mem_put_lot(ledger, lot, record->seq);
    return 0;
}

/* ---- the record ---- */

static int check_header(const struct mem_ledger *ledger, const struct record *r, struct err *err)
{
    const struct record *last = mem_record(ledger, ledger->n_records);
    if (r->seq != ledger->n_records + 1)
        REFUSE("I1: not the next record");
    if (uuid_counter(r->id) != r->seq)
        REFUSE("I8: the record's id does not carry its seq");
    if (r->kind < RECORD_OPENING || r->kind > RECORD_EXCHANGE || r->format != RECORD_FORMAT)
        REFUSE("I1: unknown kind or format");
    if (r->recorded_at < (last ? last->recorded_at : ledger->row.created_at))
        REFUSE("I1: recorded_at runs backwards");
    if (r->effective_at > r->recorded_at)
        REFUSE("I1: effective in the future");
    bool must_relate = r->kind == RECORD_REVERSAL || r->kind == RECORD_ERASURE;
    if (r->related_seq == 0 ? must_relate : r->related_seq >= r->seq || r->kind <= RECORD_TRANSFER)
        REFUSE("I1: related_seq does not fit the kind of record");
    if (!name_fits(r->idempotency_key, LIMIT_IDEMPOTENCY_KEY_MAX) ||
        !name_fits(r->reference, LIMIT_REFERENCE_MAX) || !name_fits(r->actor, LIMIT_ACTOR_MAX))
        REFUSE("I1: a text of the record is empty or too long");
    if (r->idempotency_key.data != NULL && mem_record_by_key(ledger, r->idempotency_key) != NULL)
        REFUSE("I8: the idempotency key exists");
    if ((r->kind == RECORD_DECLINED) != (r->refusal != 0) || (r->refusal == 0 && r->declined_amount != 0))
        REFUSE("I1: a declined record names its refusal, and no other does");
    if ((r->kind == RECORD_OPENING) != (r->account != NULL))
        REFUSE("I1: an opening opens one account, and no other record does");
    if (r->text.present && !r->text.readable)
        REFUSE("I1: a text without salt and body");
    if (r->kind == RECORD_ERASURE) {
        const struct record *erased = mem_record(ledger, r->related_seq);
        if (erased == NULL || !erased->text.present)
            REFUSE("I7: nothing to erase");
    }
    return 0;
}

static int put_parts(
    struct mem_store *store, struct mem_ledger *ledger, struct record *record, struct err *err)
{
    int rc = put_account(store, ledger, record, err);
    for (size_t i = 0; rc == 0 && i < record->n_revisions; i++)
        rc = put_revision(ledger, record, &record->revisions[i], err);
    for (size_t i = 0; rc == 0 && i < record->n_entries; i++)
        rc = put_entry(ledger, record, i, err);
    if (rc == 0)
        rc = record->n_entries > 0 ? 0 : err_set(err, ERR_CONFLICT, "I1: record without entries");
    if (rc != 0)
        return rc;
    mem_put_record(ledger, record); /* before its lots, which may hang on it */
    for (size_t i = 0; rc == 0 && i < record->n_lots; i++)
        rc = put_lot(ledger, record, &record->lots[i], err);
    return rc != 0 ? rc : mem_check_seal(ledger, record, err);
}

int mem_append_record(struct mem_store *store, struct record *record, struct err *err)
{
    struct mem_ledger *ledger = mem_ledger(store, record->ledger);
    if (ledger == NULL)
        REFUSE("I1: record of an unknown ledger %u", record->ledger);
    int rc = check_header(ledger, record, err);
    if (rc == 0) {
        rc = put_parts(store, ledger, record, err);
        if (rc != 0)
            mem_take_back(ledger, record);
    }
    if (rc != 0 && err != NULL) { /* where, behind what: the message starts with the invariant's number */
        size_t len = strlen(err->message);
        snprintf(err->message + len, sizeof err->message - len, " (ledger %s, seq %llu)", ledger->row.name,
            (unsigned long long)record->seq);
    }
    return rc;
}
