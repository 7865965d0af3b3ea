/* The auditor's rules for one record. Its arithmetic is its own: what it audits shares none of it. */
#include "app/verify_audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "money/amount.h"

/* Of any length that counts: the canonical encoding has 16-bit lengths, so longer strings cannot be hashed.
 */
#define STRING_LEN_MAX 0xfffe

struct audit_account *audit_account(struct audit *a, uint64_t number)
{
    return number >= 1 && number <= a->head.accounts ? &a->accounts[number - 1] : NULL;
}

static void *grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 1024;
    void *p = reallocarray(items, *cap, size);
    INVARIANT_F(p != NULL, "out of memory at %zu items", *cap);
    return p;
}

/* 1 credit-normal, -1 debit-normal, 0 for a type that does not exist. */
static int side_of_type(unsigned type)
{
    static const int8_t sides[] = {0, -1, 1, 1, 1, -1};
    return type < sizeof sides ? sides[type] : 0;
}

static bool same_floor(struct floor x, struct floor y)
{
    return x.present == y.present && (!x.present || x.minor == y.minor);
}

static const char *floor_text(struct floor floor, char *text, size_t size)
{
    if (floor.present)
        snprintf(text, size, "%" PRId64, floor.minor);
    else
        snprintf(text, size, "none");
    return text;
}

/* ---- the record's own row: I1, time
 * -------------------------------------------------------------------------- */

static void check_row(struct audit *a, const struct record *r)
{
    if (r->seq != a->head.seq + 1)
        audit_fault(
            a, "I1", r->seq, 0, "seq follows %" PRIu64 ": expected %" PRIu64, a->head.seq, a->head.seq + 1);
    if (r->ledger != a->ledger->id)
        audit_fault(a, "I1", r->seq, 0, "record says ledger %" PRIu32 ", expected %" PRIu32, r->ledger,
            a->ledger->id);
    if (r->recorded_at < a->head.recorded_at)
        audit_fault(a, "I1", r->seq, 0, "recorded_at %" PRId64 " is before its predecessor's %" PRId64,
            r->recorded_at, a->head.recorded_at);
    if (uuid_counter(r->id) != r->seq)
        audit_fault(a, "I1", r->seq, 0, "the record's id carries %" PRIu64 " instead of its seq",
            uuid_counter(r->id));
    if (r->format != RECORD_FORMAT)
        audit_fault(
            a, "I10", r->seq, 0, "format %" PRIu32 ", this program knows %d", r->format, RECORD_FORMAT);
    if (r->effective_at > r->recorded_at)
        audit_fault(a, "time", r->seq, 0, "effective_at %" PRId64 " lies after recorded_at %" PRId64,
            r->effective_at, r->recorded_at);
    if (r->kind < RECORD_OPENING || r->kind > RECORD_EXCHANGE)
        audit_fault(a, "I1", r->seq, 0, "kind %d does not exist", (int)r->kind);
    if (r->related_seq >= r->seq)
        audit_fault(
            a, "I1", r->seq, 0, "relates to record %" PRIu64 ", which is not before it", r->related_seq);
    if ((r->kind == RECORD_REVERSAL || r->kind == RECORD_ERASURE) && r->related_seq == 0)
        audit_fault(a, "I1", r->seq, 0, "names no record that it reverses or erases");
    if ((r->kind == RECORD_DECLINED) != (r->refusal != 0))
        audit_fault(a, "I1", r->seq, 0, "kind %d with refusal %" PRIu32, (int)r->kind, r->refusal);
    if (r->n_entries == 0)
        audit_fault(a, "I1", r->seq, 0, "a record without entries");
}

/* ---- openings and revisions: I1, I4
 * ----------------------------------------------------------------------------- */

static void open_account(struct audit *a, const struct record *r)
{
    const struct account_row *row = r->account;
    if (row->number != a->head.accounts + 1) {
        audit_fault(a, "I1", r->seq, row->number, "opens account number %" PRIu64 ", expected %" PRIu64,
            row->number, a->head.accounts + 1);
        return;
    }
    if (row->opened_seq != r->seq)
        audit_fault(a, "I1", r->seq, row->number, "the account says that record %" PRIu64 " opened it",
            row->opened_seq);
    if (uuid_counter(row->id) != row->number)
        audit_fault(a, "I1", r->seq, row->number,
            "the account's id carries %" PRIu64 " instead of its number", uuid_counter(row->id));
    int side = side_of_type((unsigned)row->type);
    if (side == 0)
        audit_fault(a, "I4", r->seq, row->number, "account type %d does not exist", (int)row->type);
    if (row->asset >= a->assets_n || a->assets[row->asset] == NULL)
        audit_fault(a, "I4", r->seq, row->number, "asset %" PRIu32 " does not exist", row->asset);
    a->accounts = grow(a->accounts, (size_t)a->head.accounts, &a->accounts_cap, sizeof *a->accounts);
    a->accounts[a->head.accounts++] = (struct audit_account){
        .opened_seq = r->seq,
        .id = row->id,
        .external_hash =
            row->external_id.data ? hash64(a->hash_seed, row->external_id.data, row->external_id.len) | 1 : 0,
        .asset = row->asset,
        .side = (int8_t)(side ? side : 1),
        .type = (uint8_t)row->type,
    };
}

static void check_opening(struct audit *a, const struct record *r)
{
    if ((r->kind == RECORD_OPENING) != (r->account != NULL)) {
        audit_fault(a, "I1", r->seq, r->account ? r->account->number : 0, "%s",
            r->account ? "opens an account without being an opening" : "an opening without its account");
        if (r->account == NULL)
            return;
    }
    if (r->account != NULL)
        open_account(a, r);
}

static bool has_entry_of(const struct record *r, uint64_t account, uint32_t revision)
{
    for (size_t i = 0; i < r->n_entries; i++)
        if (r->entries[i].account == account && r->entries[i].revision == revision)
            return true;
    return false;
}

static void check_revision(struct audit *a, const struct record *r, const struct revision_row *v)
{
    struct audit_account *account = audit_account(a, v->account);
    if (account == NULL) {
        audit_fault(a, "I1", r->seq, v->account, "a revision of an account that was not opened");
        return;
    }
    if (v->revision != account->revision + 1)
        audit_fault(a, "I1", r->seq, v->account, "revision %" PRIu32 " follows %" PRIu32, v->revision,
            account->revision);
    if (v->status < ACCOUNT_OPEN || v->status > ACCOUNT_CLOSED)
        audit_fault(a, "I1", r->seq, v->account, "status %d does not exist", (int)v->status);
    if (v->text_seq > r->seq)
        audit_fault(
            a, "I1", r->seq, v->account, "its text is in record %" PRIu64 ", which comes later", v->text_seq);
    if (!has_entry_of(r, v->account, v->revision))
        audit_fault(a, "I1", r->seq, v->account, "revision %" PRIu32 " without its entry", v->revision);
    if (v->status == ACCOUNT_CLOSED &&
        (account->posted != 0 || account->incoming != 0 || account->outgoing != 0))
        audit_fault(a, "status", r->seq, v->account, "closed with a balance of %" PRId64, account->posted);
    account->revision = v->revision;
    account->floor = v->floor;
    account->status = (uint8_t)v->status;
    account->text_seq = v->text_seq;
}

static void check_revisions(struct audit *a, const struct record *r)
{
    bool revises = r->kind == RECORD_OPENING || r->kind == RECORD_REVISION;
    if (revises && r->n_revisions == 0)
        audit_fault(a, "I1", r->seq, 0, "an opening or revision without its revision");
    if (!revises && r->n_revisions > 0)
        audit_fault(a, "I1", r->seq, r->revisions[0].account, "revises an account without being a revision");
    for (size_t i = 0; i < r->n_revisions; i++)
        check_revision(a, r, &r->revisions[i]);
}

/* ---- entries: I1, I4, I5, I6
 * ------------------------------------------------------------------------------------ */

static void check_sum(struct audit *a, const struct record *r, const struct entry *e, const char *what,
    int64_t before, int64_t change, int64_t after)
{
    amount_sum expected = (amount_sum)before + change;
    if (expected == after)
        return;
    struct strbuf number;
    strbuf_init(&number);
    strbuf_amount_sum(&number, expected, 0);
    audit_fault(a, "I4", r->seq, e->account,
        "leg %" PRIu32 ", version %" PRIu64 ": %s_after is %" PRId64 ", expected " STR_FMT " (%" PRId64
        " and a change of %" PRId64 ")",
        e->leg, e->version, what, after, STR_ARG(strbuf_view(&number)), before, change);
    strbuf_fini(&number);
}

static void check_range(struct audit *a, const struct record *r, const struct entry *e, int64_t after)
{
    if (after < -LIMIT_AMOUNT_MAX || after > LIMIT_AMOUNT_MAX)
        audit_fault(a, "I4", r->seq, e->account,
            "leg %" PRIu32 ": %" PRId64 " is beyond the range of balances", e->leg, after);
}

static void check_identity(
    struct audit *a, const struct record *r, const struct entry *e, const struct audit_account *account)
{
    char found[24], expected[24];
    if (e->version != account->version + 1)
        audit_fault(a, "I4", r->seq, e->account,
            "leg %" PRIu32 ": version %" PRIu64 " follows version %" PRIu64, e->leg, e->version,
            account->version);
    if (e->asset != account->asset)
        audit_fault(a, "I4", r->seq, e->account,
            "leg %" PRIu32 ": asset %" PRIu32 ", the account's is %" PRIu32, e->leg, e->asset,
            account->asset);
    if (e->side != account->side)
        audit_fault(a, "I4", r->seq, e->account, "leg %" PRIu32 ": side %d, the account's is %d", e->leg,
            e->side, account->side);
    if (e->revision != account->revision)
        audit_fault(a, "I4", r->seq, e->account,
            "leg %" PRIu32 ": revision %" PRIu32 ", in force is %" PRIu32, e->leg, e->revision,
            account->revision);
    if (!same_floor(e->floor, account->floor))
        audit_fault(a, "I6", r->seq, e->account, "leg %" PRIu32 ": floor %s, in force is %s", e->leg,
            floor_text(e->floor, found, sizeof found), floor_text(account->floor, expected, sizeof expected));
}

/* Never negative; and not below the floor unless the entry improves what is available. */
static void check_limits(
    struct audit *a, const struct record *r, const struct entry *e, const struct audit_account *account)
{
    if (e->after.incoming < 0 || e->after.outgoing < 0)
        audit_fault(a, "I5", r->seq, e->account,
            "leg %" PRIu32 ": pending is %" PRId64 " in, %" PRId64 " out", e->leg, e->after.incoming,
            e->after.outgoing);
    amount_sum available = account->side > 0 ? (amount_sum)e->after.posted - e->after.outgoing
                                             : -(amount_sum)e->after.posted - e->after.incoming;
    amount_sum gain = account->side > 0 ? (amount_sum)e->change.posted - e->change.outgoing
                                        : -(amount_sum)e->change.posted - e->change.incoming;
    if (account->floor.present && available < account->floor.minor && gain < 0) {
        struct strbuf number;
        strbuf_init(&number);
        strbuf_amount_sum(&number, available, 0);
        audit_fault(a, "I6", r->seq, e->account,
            "leg %" PRIu32 ": available falls to " STR_FMT ", the floor is %" PRId64, e->leg,
            STR_ARG(strbuf_view(&number)), account->floor.minor);
        strbuf_fini(&number);
    }
    bool moves = e->change.posted != 0 || e->change.incoming != 0 || e->change.outgoing != 0;
    if (moves && account->status == ACCOUNT_CLOSED)
        audit_fault(a, "status", r->seq, e->account, "leg %" PRIu32 ": moves a closed account", e->leg);
    if (gain < 0 && account->status == ACCOUNT_FROZEN)
        audit_fault(a, "status", r->seq, e->account, "leg %" PRIu32 ": takes from a frozen account", e->leg);
    bool still = r->kind == RECORD_OPENING || r->kind == RECORD_REVISION || r->kind == RECORD_DECLINED ||
                 r->kind == RECORD_ERASURE;
    if (moves && still)
        audit_fault(a, "I4", r->seq, e->account, "leg %" PRIu32 ": moves something in a record that must not",
            e->leg);
    bool late = r->effective_at < r->recorded_at;
    if ((moves && e->backdated != late) || (e->backdated && e->effective_at != r->effective_at))
        audit_fault(a, "time", r->seq, e->account,
            "leg %" PRIu32 ": effective_at is not its record's (%" PRId64 ", recorded at %" PRId64 ")",
            e->leg, r->effective_at, r->recorded_at);
}

static void check_entry(struct audit *a, const struct record *r, const struct entry *e)
{
    struct audit_account *account = audit_account(a, e->account);
    if (account == NULL) {
        audit_fault(a, "I4", r->seq, e->account,
            "leg %" PRIu32 ": an entry of an account that was not opened", e->leg);
        return;
    }
    check_identity(a, r, e, account);
    check_sum(a, r, e, "posted", account->posted, e->change.posted, e->after.posted);
    check_sum(a, r, e, "incoming", account->incoming, e->change.incoming, e->after.incoming);
    check_sum(a, r, e, "outgoing", account->outgoing, e->change.outgoing, e->after.outgoing);
    check_range(a, r, e, e->after.posted);
    check_range(a, r, e, e->after.incoming);
    check_range(a, r, e, e->after.outgoing);
    check_limits(a, r, e, account);
    account->version = e->version;
    account->seq = r->seq;
    account->posted = e->after.posted;
    account->incoming = e->after.incoming;
    account->outgoing = e->after.outgoing;
}

/* ---- sums of a record: I2, I3
 * ------------------------------------------------------------------------------------ */

static void check_asset_sums(struct audit *a, const struct record *r, uint32_t asset)
{
    amount_sum posted = 0, incoming = 0, outgoing = 0;
    for (size_t i = 0; i < r->n_entries; i++)
        if (r->entries[i].asset == asset) {
            posted += r->entries[i].change.posted;
            incoming += r->entries[i].change.incoming;
            outgoing += r->entries[i].change.outgoing;
        }
    struct strbuf text;
    strbuf_init(&text);
    if (posted != 0) {
        strbuf_amount_sum(&text, posted, 0);
        audit_fault(a, "I2", r->seq, 0, "posted sums to " STR_FMT " in asset %" PRIu32 ", expected 0",
            STR_ARG(strbuf_view(&text)), asset);
    }
    if (incoming != outgoing) {
        strbuf_clear(&text);
        strbuf_amount_sum(&text, incoming, 0);
        strbuf_c(&text, " and outgoing to ");
        strbuf_amount_sum(&text, outgoing, 0);
        audit_fault(a, "I3", r->seq, 0,
            "incoming sums to " STR_FMT " in asset %" PRIu32 ", expected the same",
            STR_ARG(strbuf_view(&text)), asset);
    }
    strbuf_fini(&text);
}

static void check_sums(struct audit *a, const struct record *r)
{
    for (size_t i = 0; i < r->n_entries; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = r->entries[k].asset == r->entries[i].asset;
        if (!seen)
            check_asset_sums(a, r, r->entries[i].asset);
    }
}

/* ---- lots: I4
 * ------------------------------------------------------------------------------------------------------ */

static struct audit_lot *lot_slot(struct audit_lot *lots, size_t cap, uint64_t seed, const struct lot *l)
{
    uint64_t name[3] = {l->origin, l->leg, (uint64_t)l->kind};
    size_t i = (size_t)hash64(seed, name, sizeof name) & (cap - 1);
    while (lots[i].origin != 0 &&
           (lots[i].origin != l->origin || lots[i].leg != l->leg || lots[i].kind != l->kind))
        i = (i + 1) & (cap - 1);
    return &lots[i];
}

static void lots_make_room(struct audit *a)
{
    if (a->lots_cap > 0 && a->lots_n < a->lots_cap / 2)
        return;
    size_t cap = a->lots_cap ? a->lots_cap * 2 : 256;
    struct audit_lot *lots = calloc(cap, sizeof *lots);
    INVARIANT_F(lots != NULL, "out of memory at %zu lots", cap);
    for (size_t i = 0; i < a->lots_cap; i++)
        if (a->lots[i].origin != 0) {
            struct lot name = {.origin = a->lots[i].origin, .leg = a->lots[i].leg, .kind = a->lots[i].kind};
            *lot_slot(lots, cap, a->hash_seed, &name) = a->lots[i];
        }
    free(a->lots);
    a->lots = lots;
    a->lots_cap = cap;
}

/* A lot starts as what its leg brought about. */
static int check_first_lot(struct audit *a, const struct record *r, const struct lot *l, struct err *err)
{
    const struct record *origin = r;
    if (l->origin != r->seq) {
        arena_reset(&a->scratch);
        int rc = l->origin < r->seq
                     ? a->j->ops->record(a->j, a->ledger->id, l->origin, false, &a->scratch, &origin, err)
                     : ERR_NOT_FOUND;
        if (rc == ERR_NOT_FOUND)
            origin = NULL;
        else if (rc != 0)
            return rc;
    }
    if (origin == NULL || l->leg >= origin->n_entries || origin->entries[l->leg].account != l->account) {
        audit_fault(a, "I4", r->seq, l->account,
            "lot of record %" PRIu64 " leg %" PRIu32 ": there is no such leg", l->origin, l->leg);
        return 0;
    }
    const struct entry *e = &origin->entries[l->leg];
    amount_sum expected = l->kind == LOT_HOLD    ? e->change.outgoing
                          : l->kind == LOT_GRANT ? (amount_sum)e->change.posted * e->side
                          : e->change.posted < 0 ? -(amount_sum)e->change.posted
                                                 : e->change.posted;
    if (l->change != expected || l->remaining_after != l->change)
        audit_fault(a, "I4", r->seq, l->account,
            "lot of record %" PRIu64 " leg %" PRIu32 " starts with %" PRId64 ", its leg moved %" PRId64,
            l->origin, l->leg, l->remaining_after, (int64_t)expected);
    return 0;
}

static int check_lot(struct audit *a, const struct record *r, const struct lot *l, struct err *err)
{
    if (l->origin == 0) {
        audit_fault(a, "I4", r->seq, l->account, "a lot of no record");
        return 0;
    }
    lots_make_room(a);
    struct audit_lot *slot = lot_slot(a->lots, a->lots_cap, a->hash_seed, l);
    uint32_t version = slot->origin != 0 ? slot->version : 0;
    if (l->version != version + 1)
        audit_fault(a, "I4", r->seq, l->account,
            "lot of record %" PRIu64 " leg %" PRIu32 ": version %" PRIu32 " follows %" PRIu32, l->origin,
            l->leg, l->version, version);
    if (version == 0) {
        int rc = check_first_lot(a, r, l, err);
        if (rc != 0)
            return rc;
        a->lots_n++;
    } else if (l->account != slot->account || (amount_sum)slot->remaining + l->change != l->remaining_after) {
        audit_fault(a, "I4", r->seq, l->account,
            "lot of record %" PRIu64 " leg %" PRIu32 " has %" PRId64 " left after a change of %" PRId64
            " from %" PRId64,
            l->origin, l->leg, l->remaining_after, l->change, slot->remaining);
    }
    if (l->remaining_after < 0)
        audit_fault(a, "I4", r->seq, l->account,
            "lot of record %" PRIu64 " leg %" PRIu32 " is overdrawn: %" PRId64, l->origin, l->leg,
            l->remaining_after);
    *slot = (struct audit_lot){
        .origin = l->origin,
        .account = l->account,
        .remaining = l->remaining_after,
        .leg = l->leg,
        .version = l->version,
        .kind = l->kind,
    };
    return 0;
}

/* ---- texts and the chain: I10
 * --------------------------------------------------------------------------------------- */

static int check_erasure(struct audit *a, const struct record *r, struct err *err)
{
    if (r->kind != RECORD_ERASURE || r->related_seq == 0 || r->related_seq >= r->seq)
        return 0;
    a->erasures = grow(a->erasures, a->erasures_n, &a->erasures_cap, sizeof *a->erasures);
    a->erasures[a->erasures_n++] = r->related_seq;
    const struct record *erased;
    arena_reset(&a->scratch);
    int rc = a->j->ops->record(a->j, a->ledger->id, r->related_seq, true, &a->scratch, &erased, err);
    if (rc == ERR_NOT_FOUND)
        return 0; /* the gap is a fault of its own */
    if (rc == 0 && erased->text.readable)
        audit_fault(a, "I10", r->related_seq, 0,
            "its text is still there, although record %" PRIu64 " erased it", r->seq);
    return rc;
}

static void check_text(struct audit *a, const struct record *r)
{
    if (!r->text.present) {
        if (r->text.readable)
            audit_fault(a, "I10", r->seq, 0, "has a text, but no digest of it");
        return;
    }
    a->counts->texts++;
    if (!r->text.readable) {
        a->missing_texts = grow(a->missing_texts, a->missing_n, &a->missing_cap, sizeof *a->missing_texts);
        a->missing_texts[a->missing_n++] = r->seq;
        return;
    }
    struct record_text text = r->text;
    digest_text(a->digest, &text);
    if (memcmp(text.digest, r->text.digest, HASH_LEN) != 0)
        audit_fault(a, "I10", r->seq, 0, "its text does not have the digest that the record holds");
}

/* What canonical_encode() takes for granted. False: the record cannot be hashed, and a fault says why or has
 * said it. */
static bool can_be_hashed(struct audit *a, const struct record *r, const struct asset **ret_asset)
{
    *ret_asset = NULL;
    const struct str strings[] = {
        r->idempotency_key, r->reference, r->actor, r->account ? r->account->external_id : STR_NONE};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        if (strings[i].len > STRING_LEN_MAX) {
            audit_fault(a, "I10", r->seq, 0, "a string of %zu bytes has no canonical form", strings[i].len);
            return false;
        }
    if (r->account == NULL)
        return true;
    if (r->account->opened_seq != r->seq || r->account->asset >= a->assets_n ||
        a->assets[r->account->asset] == NULL)
        return false;
    *ret_asset = a->assets[r->account->asset];
    return true;
}

static void check_chain(struct audit *a, const struct record *r)
{
    const struct asset *asset;
    uint8_t hash[HASH_LEN];
    bool unhashed = a->unhashed;
    a->unhashed = false;
    if (!can_be_hashed(a, r, &asset) || unhashed)
        return;
    digest_record(a->digest, a->head.hash, r, asset, hash);
    if (memcmp(hash, r->hash, HASH_LEN) == 0)
        return;
    struct strbuf text;
    strbuf_init(&text);
    strbuf_hex(&text, r->hash, HASH_LEN);
    strbuf_c(&text, ", expected ");
    strbuf_hex(&text, hash, HASH_LEN);
    audit_fault(a, "I10", r->seq, 0, "the record is not what its hash says: found " STR_FMT,
        STR_ARG(strbuf_view(&text)));
    strbuf_fini(&text);
}

static int add_names(struct audit *a, const struct record *r, struct err *err)
{
    if (r->idempotency_key.data != NULL) {
        a->counts->keys++;
        int rc = unique_add(
            a->keys, hash64(a->hash_seed, r->idempotency_key.data, r->idempotency_key.len), r->seq, err);
        if (rc != 0)
            return rc;
    }
    if (r->account == NULL || r->account->external_id.data == NULL)
        return 0;
    struct str name = r->account->external_id;
    return unique_add(a->external_ids, hash64(a->hash_seed, name.data, name.len), r->account->number, err);
}

int audit_record(struct audit *a, const struct record *r, struct err *err)
{
    check_row(a, r);
    check_opening(a, r);
    check_revisions(a, r);
    for (size_t i = 0; i < r->n_entries; i++) {
        if (r->entries[i].leg != i)
            audit_fault(
                a, "I1", r->seq, r->entries[i].account, "leg %" PRIu32 " in place %zu", r->entries[i].leg, i);
        check_entry(a, r, &r->entries[i]);
    }
    check_sums(a, r);
    for (size_t i = 0; i < r->n_lots; i++) {
        int rc = check_lot(a, r, &r->lots[i], err);
        if (rc != 0)
            return rc;
    }
    check_text(a, r);
    check_chain(a, r);
    int rc = check_erasure(a, r, err);
    if (rc == 0)
        rc = add_names(a, r, err);
    a->counts->records++;
    a->counts->entries += r->n_entries;
    a->counts->lots += r->n_lots;
    a->head.seq = r->seq;
    a->head.recorded_at = r->recorded_at;
    memcpy(a->head.hash, r->hash, HASH_LEN);
    return rc;
}
