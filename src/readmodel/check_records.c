/* Every record of a ledger against the lines, transfers and accounts that it should have become. */
#include <inttypes.h>
#include <stdio.h>

#include "readmodel/check_internal.h"
#include "readmodel/projection.h"
#include "readmodel/rows.h"

#define PAGE 4096
#define LINE_COLUMNS 19
#define TRANSFER_COLUMNS 16
#define ACCOUNT_COLUMNS 14

static const char *const line_names[LINE_COLUMNS] = {"seq", "leg", "account", "version", "kind", "record",
    "change", "change_incoming", "change_outgoing", "posted", "incoming", "outgoing", "revision", "floor",
    "counterparty", "reference", "effective_at", "recorded_at", "related_seq"};
static const struct db_statement select_lines = {"check_lines",
    "SELECT seq, leg, account, version, kind, record, change, change_incoming, change_outgoing, posted, "
    "incoming,"
    " outgoing, revision, floor, counterparty, reference, effective_at, recorded_at, related_seq FROM @line"
    " WHERE ledger = ?1 AND seq <= ?2 AND (seq, leg) > (?4, ?5) ORDER BY seq, leg LIMIT ?3"};

static const char *const transfer_names[TRANSFER_COLUMNS] = {"seq", "kind", "record", "idempotency_key",
    "reference", "refusal", "declined_amount", "effective_at", "recorded_at", "related_seq", "actor", "trace",
    "currency", "amount", "facts", "metadata"};
static const struct db_statement select_transfers = {"check_transfers",
    "SELECT seq, kind, record, idempotency_key, reference, refusal, declined_amount, effective_at, "
    "recorded_at,"
    " related_seq, actor, trace, currency, amount, facts, metadata FROM @transfer"
    " WHERE ledger = ?1 AND seq <= ?2 AND seq > ?4 ORDER BY seq LIMIT ?3"};

static const char *const account_names[ACCOUNT_COLUMNS] = {"number", "id", "side", "type", "external_id",
    "opened_seq", "opened_at", "revision", "status", "floor", "text_revision", "text_seq", "name",
    "metadata"};
#define ACCOUNT_SELECT \
    "SELECT number, id, side, type, external_id, opened_seq, opened_at, revision, status, floor, " \
    "text_revision," \
    " text_seq, name, metadata FROM @account WHERE ledger = ?1 AND "
/* In the order of opening, which is the order of their numbers. The bound is of no use here, and always true. */
static const struct db_statement select_accounts = {
    "check_accounts", ACCOUNT_SELECT "number > ?4 AND opened_seq <= ?2 ORDER BY number LIMIT ?3"};
static const struct db_statement select_account = {"check_account", ACCOUNT_SELECT "number = ?2"};

static const struct db_statement select_members = {"check_members",
    "SELECT name, value, seq FROM @transfer_metadata WHERE ledger = ?1 AND (name, value, seq) > (?2, ?3, ?4)"
    " ORDER BY name, value, seq LIMIT ?5"};
static const struct db_statement select_erased = {
    "check_erased", "SELECT seq FROM @erased WHERE ledger = ?1 AND seq = ?2"};

/* A sum over rows in any order: equal sets have equal ones, others hardly ever. */
struct members {
    uint64_t n, sum;
};

struct records {
    struct check *c;
    const struct check_ledger *l;
    struct check_stream lines, transfers, accounts;
    struct source_batch batch;
    struct arena scratch;
    struct members expected;
    uint64_t seq; /* of the transfer whose members are counted */
};

static bool must_be_here(const struct records *s, const struct fact *f)
{
    return f->seq <= s->l->seq;
}

static void differs_row(struct records *s, const char *what, uint64_t seq, int64_t leg, bool is_expected)
{
    char text[64];
    if (leg >= 0)
        snprintf(text, sizeof text, "record %" PRIu64 " leg %" PRId64, seq, leg);
    else
        snprintf(text, sizeof text, "record %" PRIu64, seq);
    check_differs(s->c, s->l, 0, what, is_expected ? text : "nothing", is_expected ? "nothing" : text);
}

/*
 * The row with that key. Rows before it are of no record: each is a difference. NULL: there is none, and *ret_row stays
 * ahead. `leg` is -1 where seq alone is the key.
 */
static int row_at(struct records *s, struct check_stream *stream, const char *what, uint64_t seq, int64_t leg,
    const struct db_value **ret_row, struct err *err)
{
    for (;;) {
        int r = check_stream_row(stream, ret_row, err);
        if (r != 0 || *ret_row == NULL)
            return r;
        const struct db_value *row = *ret_row;
        uint64_t row_seq = (uint64_t)row[0].integer;
        int64_t row_leg = leg >= 0 ? row[1].integer : -1;
        if (row_seq == seq && row_leg == leg)
            return 0;
        if (row_seq > seq || (row_seq == seq && row_leg > leg)) {
            *ret_row = NULL;
            return 0;
        }
        differs_row(s, what, row_seq, row_leg, false);
        check_stream_pass(stream);
    }
}

/* --- lines -------------------------------------------------------------------------------------------------- */

static int check_line(struct records *s, const struct fact *f, struct err *err)
{
    const struct fact_entry *e = &f->entry;
    const struct db_value *row;
    char name[48];
    int r = row_at(s, &s->lines, "line", f->seq, e->leg, &row, err);
    if (r != 0)
        return r;
    if (row == NULL) {
        if (must_be_here(s, f))
            differs_row(s, "line", f->seq, e->leg, true);
        return 0;
    }
    const struct db_value expected[LINE_COLUMNS] = {db_uint(f->seq), db_int(e->leg),
        db_uint(uuid_counter(e->account)), db_uint(e->version), db_int(f->record_kind), db_uuid(&f->record),
        db_int(e->change.posted), db_int(e->change.incoming), db_int(e->change.outgoing),
        db_int(e->after.posted), db_int(e->after.incoming), db_int(e->after.outgoing), db_int(e->revision),
        db_floor(e->floor), e->has_counterparty ? db_uuid(&e->counterparty) : db_null(),
        db_text(f->reference), db_int(f->effective_at), db_int(f->recorded_at),
        f->related_seq != 0 ? db_uint(f->related_seq) : db_null()};
    snprintf(name, sizeof name, "record %" PRIu64 " leg %" PRIu32 " ", f->seq, e->leg);
    check_row(s->c, s->l, uuid_counter(e->account), "line", name, line_names, expected, row, LINE_COLUMNS);
    check_stream_pass(&s->lines);
    s->c->report.lines++;
    return 0;
}

/* --- transfers ---------------------------------------------------------------------------------------------- */

static uint64_t member_hash(struct str key, struct str value, uint64_t seq)
{
    return hash64(hash64(hash64(seq, key.data, key.len), value.data, value.len), "member", 6);
}

static void expect_member(void *ctx, struct str key, struct str value)
{
    struct records *s = ctx;
    s->expected.n++;
    s->expected.sum += member_hash(key, value, s->seq);
}

/* Erased in the journal, which may be later than the read model's seq. */
static int erased_here(const struct records *s, uint64_t seq, bool *ret_erased, struct err *err)
{
    struct arena arena;
    struct db_result rows;
    arena_init(&arena, 0);
    int r = db_run(s->c->read, &select_erased, DB_VALUES(db_int(s->l->id), db_uint(seq)), &arena, &rows, err);
    *ret_erased = r == 0 && rows.n_rows > 0;
    arena_fini(&arena);
    return r;
}

static int check_transfer(struct records *s, const struct fact *f, struct err *err)
{
    const struct fact_transfer *t = &f->transfer;
    const struct db_value *row;
    char name[40];
    int r = row_at(s, &s->transfers, "transfer", f->seq, -1, &row, err);
    if (r != 0)
        return r;
    if (row == NULL) {
        if (must_be_here(s, f))
            differs_row(s, "transfer", f->seq, -1, true);
        return 0;
    }
    const struct db_value expected[TRANSFER_COLUMNS] = {db_uint(f->seq), db_int(f->record_kind),
        db_uuid(&f->record), db_text(t->idempotency_key), db_text(f->reference), db_text(t->refusal),
        db_int(t->declined_amount), db_int(f->effective_at), db_int(f->recorded_at),
        f->related_seq != 0 ? db_uint(f->related_seq) : db_null(), db_text(t->actor),
        t->has_trace ? db_bytes(t->trace_id, TRACE_ID_LEN) : db_null(), db_text(t->currency),
        db_int(t->amount), db_int(f->of), db_text(t->metadata)};
    bool compare_text = true;
    if (t->metadata.data == NULL && row[TRANSFER_COLUMNS - 1].type != DB_NULL)
        r = erased_here(s, f->seq, &compare_text, err);
    if (r != 0)
        return r;
    snprintf(name, sizeof name, "record %" PRIu64 " ", f->seq);
    check_row(
        s->c, s->l, 0, "transfer", name, transfer_names, expected, row, TRANSFER_COLUMNS - !compare_text);
    s->seq = f->seq;
    arena_reset(&s->scratch);
    metadata_visit(value_str(&row[TRANSFER_COLUMNS - 1]), &s->scratch, expect_member, s);
    check_stream_pass(&s->transfers);
    s->c->report.transfers++;
    return 0;
}

static int found_members(const struct records *s, struct members *ret_found, struct err *err)
{
    struct arena arenas[2]; /* a page, and the one before it: its last row is where it begins */
    struct str name = {"", 0}, value = {"", 0};
    int64_t seq = 0;
    int r = 0, turn = 0;
    *ret_found = (struct members){0};
    arena_init(&arenas[0], 65536);
    arena_init(&arenas[1], 65536);
    for (size_t n = PAGE; r == 0 && n == PAGE; turn = !turn) {
        struct db_result rows;
        arena_reset(&arenas[turn]);
        r = db_run(s->c->read, &select_members,
            DB_VALUES(db_int(s->l->id), db_text(name), db_text(value), db_int(seq), db_int(PAGE)),
            &arenas[turn], &rows, err);
        n = r == 0 ? rows.n_rows : 0;
        for (size_t i = 0; i < n; i++) {
            name = db_at(&rows, i, 0)->bytes;
            value = db_at(&rows, i, 1)->bytes;
            seq = db_at(&rows, i, 2)->integer;
            ret_found->n++;
            ret_found->sum += member_hash(name, value, (uint64_t)seq);
        }
    }
    arena_fini(&arenas[0]);
    arena_fini(&arenas[1]);
    return r;
}

static int check_members(struct records *s, struct err *err)
{
    struct members found;
    int r = found_members(s, &found, err);
    if (r != 0)
        return r;
    if (found.n != s->expected.n)
        check_differs_number(s->c, s->l, 0, "metadata", (int64_t)s->expected.n, (int64_t)found.n);
    else if (found.sum != s->expected.sum)
        check_differs(s->c, s->l, 0, "metadata", "members as in the transfers", "other members");
    return 0;
}

/* --- accounts ----------------------------------------------------------------------------------------------- */

enum {
    NUMBER,
    ID,
    SIDE,
    TYPE,
    EXTERNAL_ID,
    OPENED_SEQ,
    OPENED_AT,
    REVISION,
    STATUS,
    FLOOR,
    TEXT_REVISION,
    TEXT_SEQ,
    NAME,
    METADATA
};

/* Of what the row says, that which this fact decides. */
static int compare_account(
    struct records *s, const struct fact *f, const struct db_value *row, struct err *err)
{
    const struct fact_account *a = &f->account;
    struct db_value expected[ACCOUNT_COLUMNS];
    for (size_t i = 0; i < ACCOUNT_COLUMNS; i++)
        expected[i] = row[i];
    expected[ID] = db_uuid(&a->account);
    expected[SIDE] = db_int(a->side);
    if (a->opened) {
        expected[TYPE] = db_int(a->type);
        expected[EXTERNAL_ID] = db_text(a->external_id);
        expected[OPENED_SEQ] = db_uint(f->seq);
        expected[OPENED_AT] = db_int(f->recorded_at);
    }
    if (row[REVISION].integer == a->revision) {
        expected[STATUS] = db_int(a->status);
        expected[FLOOR] = db_floor(a->floor);
    }
    if (a->has_text && row[TEXT_REVISION].integer < a->revision && a->revision <= row[REVISION].integer)
        expected[TEXT_REVISION] = db_int(a->revision);
    if (row[TEXT_REVISION].integer > row[REVISION].integer)
        expected[TEXT_REVISION] = row[REVISION];
    if (!a->has_text && row[TEXT_REVISION].integer == a->revision)
        expected[TEXT_REVISION] = db_int(0);
    bool erased = true; /* here too */
    int r = 0;
    if (a->has_text && a->name.data == NULL && a->metadata.data == NULL)
        r = erased_here(s, f->seq, &erased, err);
    if (r == 0 && a->has_text && row[TEXT_REVISION].integer == a->revision && erased) {
        expected[TEXT_SEQ] = db_uint(f->seq);
        expected[NAME] = db_text(a->name);
        expected[METADATA] = db_text(a->metadata);
    }
    if (r == 0)
        check_row(s->c, s->l, uuid_counter(a->account), "account", "", account_names, expected, row,
            ACCOUNT_COLUMNS);
    return r;
}

static int check_revised(struct records *s, const struct fact *f, struct err *err)
{
    struct arena arena;
    struct db_result rows;
    arena_init(&arena, 0);
    int r = db_run(s->c->read, &select_account,
        DB_VALUES(db_int(s->l->id), db_uint(uuid_counter(f->account.account))), &arena, &rows, err);
    if (r == 0 && rows.n_rows > 0)
        r = compare_account(s, f, rows.values, err);
    arena_fini(&arena);
    return r;
}

static int check_opened(struct records *s, const struct fact *f, struct err *err)
{
    const struct db_value *row;
    uint64_t number = uuid_counter(f->account.account);
    char text[32];
    snprintf(text, sizeof text, "account %" PRIu64, number);
    for (;;) {
        int r = check_stream_row(&s->accounts, &row, err);
        if (r != 0)
            return r;
        if (row == NULL || (uint64_t)row[NUMBER].integer > number) {
            if (must_be_here(s, f))
                check_differs(s->c, s->l, number, "account", text, "nothing");
            return 0;
        }
        bool same = (uint64_t)row[NUMBER].integer == number;
        if (same)
            r = compare_account(s, f, row, err);
        else
            check_differs(s->c, s->l, (uint64_t)row[NUMBER].integer, "account", "nothing", "an account");
        check_stream_pass(&s->accounts);
        if (r != 0 || same)
            return r;
    }
}

/* --- all of them -------------------------------------------------------------------------------------------- */

static int check_fact(struct records *s, const struct fact *f, struct err *err)
{
    switch (f->kind) {
    case FACT_TRANSFER:
        return check_transfer(s, f, err);
    case FACT_ENTRY:
        return check_line(s, f, err);
    case FACT_ACCOUNT:
        return f->account.opened ? check_opened(s, f, err) : check_revised(s, f, err);
    }
    return 0;
}

/* *ret_more is false behind the last record that the read model has anything of. */
static int check_batch(struct records *s, bool *ret_more, struct err *err)
{
    int r = s->c->source->ops->next(s->c->source, PAGE, 0, &s->batch, err);
    *ret_more = r == 0 && s->batch.n > 0;
    for (size_t i = 0; r == 0 && *ret_more && i < s->batch.n; i++) {
        const struct fact *f = &s->batch.facts[i];
        if (f->seq > s->l->most_seq) {
            *ret_more = false;
            break;
        }
        r = check_fact(s, f, err);
        s->c->done += f->n + 1 == f->of;
    }
    return r == 0 ? check_go_on(s->c, err) : r;
}

/* Rows behind the last record. */
static int check_rest(struct records *s, struct err *err)
{
    const struct db_value *row;
    int r = row_at(s, &s->lines, "line", UINT64_MAX, INT64_MAX, &row, err);
    if (r == 0)
        r = row_at(s, &s->transfers, "transfer", UINT64_MAX, -1, &row, err);
    for (;;) {
        if (r == 0)
            r = check_stream_row(&s->accounts, &row, err);
        if (r != 0 || row == NULL)
            return r;
        check_differs(s->c, s->l, (uint64_t)row[NUMBER].integer, "account", "nothing", "an account");
        check_stream_pass(&s->accounts);
    }
}

int check_records(struct check *c, const struct check_ledger *l, struct err *err)
{
    struct records s = {.c = c, .l = l};
    int64_t most = (int64_t)l->most_seq;
    check_stream_init(&s.lines, c->read, &select_lines, 2, PAGE, l->id, INT64_MAX);
    check_stream_init(&s.transfers, c->read, &select_transfers, 1, PAGE, l->id, INT64_MAX);
    check_stream_init(&s.accounts, c->read, &select_accounts, 1, PAGE, l->id, most);
    arena_init(&s.batch.arena, 65536);
    arena_init(&s.scratch, 0);
    int r = source_journal_only(c->source, l->journal_id, err);
    for (bool more = true; r == 0 && more;)
        r = check_batch(&s, &more, err);
    if (r == 0)
        r = check_rest(&s, err);
    if (r == 0)
        r = check_members(&s, err);
    arena_fini(&s.scratch);
    arena_fini(&s.batch.arena);
    check_stream_fini(&s.accounts);
    check_stream_fini(&s.transfers);
    check_stream_fini(&s.lines);
    return r;
}
