/*
 * The sums. What an account has is added up by the journal's database, of its entries up to the read model's seq; what
 * came and went on a day, and what a ledger holds of an asset, is added up of the lines, which check_records.c held against
 * the journal one by one. The read model's own arithmetic has no part in any of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readmodel/check_internal.h"
#include "readmodel/projection.h"
#include "readmodel/rows.h"

#define PAGE 4096
#define RANGE 500 /* accounts that are added up at once */
#define BILLION INT64_C(1000000000)
#define NO_FLOOR "-9000000000000000000"

#define SUMS(table, condition) \
    "SELECT account, CAST(SUM(posted) AS BIGINT), CAST(SUM(incoming) AS BIGINT), CAST(SUM(outgoing) AS " \
    "BIGINT)," \
    " COUNT(*), MAX(revision), MAX(asset), MAX(side) FROM " table " WHERE ledger = ?1 AND " condition \
    " GROUP BY account ORDER BY account"
#define SUMS_OF_RANGE "account > ?4 AND account <= ?4 + ?3 AND seq <= ?2"
#define SUMS_OF_ONE "account = ?2 AND version <= ?3"
static const struct db_statement sums_sqlite = {"check_sums", SUMS("entry", SUMS_OF_RANGE)};
static const struct db_statement sums_postgres = {"check_sums", SUMS("creditledger.entry", SUMS_OF_RANGE)};
static const struct db_statement sum_sqlite = {"check_sum", SUMS("entry", SUMS_OF_ONE)};
static const struct db_statement sum_postgres = {"check_sum", SUMS("creditledger.entry", SUMS_OF_ONE)};
enum { SUM_ACCOUNT, SUM_POSTED, SUM_INCOMING, SUM_OUTGOING, SUM_VERSION, SUM_REVISION, SUM_ASSET, SUM_SIDE };

/* With it goes whether it is as its last line says, and as the account is. */
static const struct db_statement select_heads = {"check_heads",
    "SELECT account, posted, incoming, outgoing, version, revision, asset, side,"
    " (SELECT CASE WHEN l.seq = h.seq AND l.revision = h.revision AND l.recorded_at = h.recorded_at"
    " AND COALESCE(l.floor, " NO_FLOOR ") = COALESCE(h.floor, " NO_FLOOR ") THEN 1 ELSE 0 END FROM @line l"
    " WHERE l.ledger = h.ledger AND l.account = h.account AND l.version = h.version),"
    " (SELECT CASE WHEN a.revision = h.revision AND a.asset = h.asset AND a.side = h.side"
    " AND COALESCE(a.floor, " NO_FLOOR ") = COALESCE(h.floor, " NO_FLOOR ") THEN 1 ELSE 0 END FROM @account a"
    " WHERE a.ledger = h.ledger AND a.number = h.account)"
    " FROM @head h WHERE ledger = ?1 AND account <= ?2 AND account > ?4 ORDER BY account LIMIT ?3"};
enum { HEAD_LINE = SUM_SIDE + 1, HEAD_ACCOUNT };
static const struct db_statement count_accounts = {
    "check_count", "SELECT COUNT(*) FROM @account WHERE ledger = ?1"};

static const struct db_statement sum_days = {"check_sum_days",
    "SELECT account, recorded_at / 86400000000,"
    " CAST(SUM(CASE WHEN change > 0 THEN change / 1000000000 ELSE 0 END) AS BIGINT),"
    " CAST(SUM(CASE WHEN change > 0 THEN change % 1000000000 ELSE 0 END) AS BIGINT),"
    " CAST(SUM(CASE WHEN change < 0 THEN -change / 1000000000 ELSE 0 END) AS BIGINT),"
    " CAST(SUM(CASE WHEN change < 0 THEN -change % 1000000000 ELSE 0 END) AS BIGINT),"
    " COUNT(*), CAST(SUM(change) AS BIGINT) FROM @line"
    " WHERE ledger = ?1 AND account > ?4 AND account <= ?4 + ?3 AND seq <= ?2"
    " AND (change <> 0 OR change_incoming <> 0 OR change_outgoing <> 0)"
    " GROUP BY account, recorded_at / 86400000000 ORDER BY 1, 2"};
static const struct db_statement select_days = {"check_days",
    "SELECT account, day, in_billions, in_rest, out_billions, out_rest, entries, closing FROM @day"
    " WHERE ledger = ?1 AND account <= ?2 AND (account, day) > (?4, ?5) ORDER BY account, day LIMIT ?3"};
enum { DAY_ACCOUNT, DAY_DAY, DAY_IN, DAY_IN_REST, DAY_OUT, DAY_OUT_REST, DAY_ENTRIES, DAY_CLOSING };

static const struct db_statement select_totals = {"check_totals",
    "SELECT t.asset, a.code, t.accounts, t.entries, t.volume, t.credit_normal, t.debit_normal FROM @total t"
    " LEFT JOIN @asset a ON a.id = t.asset WHERE t.ledger = ?1 ORDER BY t.asset"};
static const struct db_statement find_asset = {"check_asset", "SELECT id FROM @asset WHERE code = ?1"};

struct total {
    int64_t asset; /* the read model's number */
    uint64_t accounts, entries;
    amount_sum volume, credit_normal, debit_normal;
};

struct accounts {
    struct check *c;
    const struct check_ledger *l;
    bool ahead;    /* there are facts beyond the seq that is complete */
    bool postgres; /* the journal is */
    struct check_stream sums, heads, day_sums, days;
    int64_t *assets; /* the read model's number of an asset, by the journal's */
    uint32_t n_assets;
    struct total *totals;
    size_t n_totals;
};

/* --- totals ------------------------------------------------------------------------------------------------- */

static struct total *total_of(struct accounts *s, int64_t asset)
{
    for (size_t i = 0; i < s->n_totals; i++)
        if (s->totals[i].asset == asset)
            return &s->totals[i];
    s->totals = realloc(s->totals, (s->n_totals + 1) * sizeof *s->totals);
    INVARIANT(s->totals != NULL);
    s->totals[s->n_totals] = (struct total){.asset = asset};
    return &s->totals[s->n_totals++];
}

static void add_head(struct accounts *s, const struct db_value *head)
{
    struct total *t = total_of(s, head[SUM_ASSET].integer);
    int64_t posted = head[SUM_POSTED].integer;
    t->accounts++;
    t->entries += (uint64_t)head[SUM_VERSION].integer;
    if (head[SUM_SIDE].integer > 0)
        t->credit_normal += posted;
    else
        t->debit_normal -= posted;
}

static void compare_sum(
    struct accounts *s, const char *code, const char *what, amount_sum expected, const struct db_value *found)
{
    struct strbuf a;
    amount_sum sum;
    char expected_text[64], found_text[64];
    if (sum_parse(value_str(found), &sum) && sum == expected)
        return;
    strbuf_init(&a);
    strbuf_amount_sum(&a, expected, 0);
    snprintf(expected_text, sizeof expected_text, "%s %s " STR_FMT, code, what, STR_ARG(strbuf_view(&a)));
    snprintf(found_text, sizeof found_text, STR_FMT, STR_ARG(value_str(found)));
    check_differs(s->c, s->l, 0, "totals", expected_text, found_text);
    strbuf_fini(&a);
}

static void compare_count(
    struct accounts *s, const char *code, const char *what, uint64_t expected, const struct db_value *found)
{
    char a[64], b[64];
    if (found->type == DB_INT && (uint64_t)found->integer == expected)
        return;
    snprintf(a, sizeof a, "%s %s %" PRIu64, code, what, expected);
    snprintf(b, sizeof b, "%" PRId64, found->integer);
    check_differs(s->c, s->l, 0, "totals", a, b);
}

static int check_totals(struct accounts *s, struct err *err)
{
    struct arena arena;
    struct db_result rows;
    arena_init(&arena, 0);
    int r = db_run(s->c->read, &select_totals, DB_VALUES(db_int(s->l->id)), &arena, &rows, err);
    for (size_t i = 0; r == 0 && i < rows.n_rows; i++) {
        const struct db_value *row = db_at(&rows, i, 0);
        char code[40];
        const struct total *t = total_of(s, row[0].integer);
        snprintf(code, sizeof code, STR_FMT, STR_ARG(value_str(&row[1])));
        compare_count(s, code, "accounts", t->accounts, &row[2]);
        compare_count(s, code, "entries", t->entries, &row[3]);
        compare_sum(s, code, "volume", t->volume, &row[4]);
        compare_sum(s, code, "credit-normal", t->credit_normal, &row[5]);
        compare_sum(s, code, "debit-normal", t->debit_normal, &row[6]);
    }
    if (r == 0 && rows.n_rows < s->n_totals)
        check_differs_number(s->c, s->l, 0, "totals", (int64_t)s->n_totals, (int64_t)rows.n_rows);
    arena_fini(&arena);
    return r;
}

/* --- days --------------------------------------------------------------------------------------------------- */

static void differs_day(
    struct accounts *s, int64_t account, int64_t day, const char *what, int64_t expected, int64_t found)
{
    char a[64], b[64];
    snprintf(a, sizeof a, "day %" PRId64 " %s %" PRId64, day, what, expected);
    snprintf(b, sizeof b, "%" PRId64, found);
    check_differs(s->c, s->l, (uint64_t)account, "activity", a, b);
}

static amount_sum whole(const struct db_value *parts)
{
    return (amount_sum)parts[0].integer * BILLION + parts[1].integer;
}

static void compare_day(struct accounts *s, const struct db_value *sums, const struct db_value *day,
    int64_t side, int64_t closing)
{
    int64_t account = day[DAY_ACCOUNT].integer, number = day[DAY_DAY].integer;
    int in = side > 0 ? DAY_IN : DAY_OUT, out = side > 0 ? DAY_OUT : DAY_IN;
    if (whole(&sums[in]) != whole(&day[DAY_IN]))
        differs_day(s, account, number, "in", sums[in + 1].integer, day[DAY_IN_REST].integer);
    else if (whole(&sums[out]) != whole(&day[DAY_OUT]))
        differs_day(s, account, number, "out", sums[out + 1].integer, day[DAY_OUT_REST].integer);
    else if (sums[DAY_ENTRIES].integer != day[DAY_ENTRIES].integer)
        differs_day(s, account, number, "entries", sums[DAY_ENTRIES].integer, day[DAY_ENTRIES].integer);
    else if (closing != day[DAY_CLOSING].integer)
        differs_day(s, account, number, "closing", closing, day[DAY_CLOSING].integer);
}

static int row_before(
    struct check_stream *stream, int64_t account, const struct db_value **ret_row, struct err *err)
{
    int r = check_stream_row(stream, ret_row, err);
    if (r == 0 && *ret_row != NULL && (*ret_row)[0].integer > account)
        *ret_row = NULL;
    return r;
}

/* All days up to this account; those of accounts without a head are of nothing. */
static int check_days(struct accounts *s, int64_t account, const struct db_value *head, struct err *err)
{
    int64_t closing = 0;
    for (;;) {
        const struct db_value *sums, *day;
        int r = row_before(&s->day_sums, account, &sums, err);
        if (r == 0)
            r = row_before(&s->days, account, &day, err);
        if (r != 0 || (sums == NULL && day == NULL))
            return r;
        int64_t order = sums == NULL ? 1 : day == NULL ? -1 : sums[0].integer - day[0].integer;
        if (order == 0)
            order = sums[DAY_DAY].integer - day[DAY_DAY].integer;
        if (order <= 0 && head != NULL && sums[0].integer == account) {
            struct total *t = total_of(s, head[SUM_ASSET].integer);
            t->volume += whole(&sums[DAY_IN]);
            closing += sums[DAY_CLOSING].integer * head[SUM_SIDE].integer;
        }
        if (order < 0)
            differs_day(s, sums[0].integer, sums[DAY_DAY].integer, "entries", sums[DAY_ENTRIES].integer, 0);
        else if (order > 0)
            differs_day(s, day[0].integer, day[DAY_DAY].integer, "entries", 0, day[DAY_ENTRIES].integer);
        else if (head != NULL)
            compare_day(s, sums, day, head[SUM_SIDE].integer, closing);
        if (order <= 0)
            check_stream_pass(&s->day_sums);
        if (order >= 0)
            check_stream_pass(&s->days);
    }
}

/* --- balances ----------------------------------------------------------------------------------------------- */

static void compare_head(struct accounts *s, const struct db_value *sum, const struct db_value *head)
{
    static const char *const names[] = {
        "account", "posted", "incoming", "outgoing", "version", "revision", "asset", "side"};
    struct db_value expected[SUM_SIDE + 1];
    memcpy(expected, sum, sizeof expected);
    int64_t asset = sum[SUM_ASSET].integer;
    expected[SUM_ASSET] = db_int(asset > 0 && asset <= s->n_assets ? s->assets[asset] : 0);
    for (int i = 0; i <= SUM_SIDE; i++)
        if (expected[i].integer != head[i].integer) {
            check_differs_number(
                s->c, s->l, (uint64_t)sum[0].integer, names[i], expected[i].integer, head[i].integer);
            return;
        }
    if (head[HEAD_LINE].integer != 1)
        check_differs(s->c, s->l, (uint64_t)sum[0].integer, "head", "as its last line", "another");
    else if (!s->ahead && head[HEAD_ACCOUNT].integer != 1)
        check_differs(s->c, s->l, (uint64_t)sum[0].integer, "account", "as its balance", "another");
}

/* An account of which more is here than is complete: the sum up to its own version. */
static int compare_ahead(struct accounts *s, const struct db_value *head, struct err *err)
{
    struct arena arena;
    struct db_result rows;
    arena_init(&arena, 0);
    int r = db_run(s->c->sums, s->postgres ? &sum_postgres : &sum_sqlite,
        DB_VALUES(db_int(s->l->journal_id), head[SUM_ACCOUNT], head[SUM_VERSION]), &arena, &rows, err);
    if (r == 0 && rows.n_rows == 1)
        compare_head(s, rows.values, head);
    else if (r == 0)
        check_differs(s->c, s->l, (uint64_t)head[0].integer, "account", "nothing", "a balance");
    arena_fini(&arena);
    return r;
}

static int compare_account(
    struct accounts *s, const struct db_value *sum, const struct db_value *head, struct err *err)
{
    if (head == NULL) {
        check_differs(s->c, s->l, (uint64_t)sum[0].integer, "account", "a balance", "nothing");
        return 0;
    }
    s->c->report.accounts++;
    add_head(s, head);
    if (s->ahead && (sum == NULL || head[SUM_VERSION].integer > sum[SUM_VERSION].integer))
        return compare_ahead(s, head, err);
    if (sum == NULL)
        check_differs(s->c, s->l, (uint64_t)head[0].integer, "account", "nothing", "a balance");
    else
        compare_head(s, sum, head);
    return 0;
}

static int next_account(struct accounts *s, bool *ret_more, struct err *err)
{
    const struct db_value *sum, *head;
    int r = check_stream_row(&s->sums, &sum, err);
    if (r == 0)
        r = check_stream_row(&s->heads, &head, err);
    *ret_more = r == 0 && (sum != NULL || head != NULL);
    if (!*ret_more)
        return r;
    int64_t account =
        sum == NULL || (head != NULL && head[0].integer < sum[0].integer) ? head[0].integer : sum[0].integer;
    if (sum != NULL && sum[0].integer != account)
        sum = NULL;
    if (head != NULL && head[0].integer != account)
        head = NULL;
    r = compare_account(s, sum, head, err);
    if (r == 0)
        r = check_days(s, account, head, err);
    if (r == 0 && sum != NULL)
        check_stream_pass(&s->sums);
    if (r == 0 && head != NULL)
        check_stream_pass(&s->heads);
    return r == 0 ? check_go_on(s->c, err) : r;
}

/* --- all of them -------------------------------------------------------------------------------------------- */

static int know_asset(void *ctx, const struct asset *row)
{
    struct accounts *s = ctx;
    struct arena arena;
    struct db_result rows;
    s->assets = realloc(s->assets, (row->id + 1) * sizeof *s->assets);
    INVARIANT(s->assets != NULL);
    arena_init(&arena, 0);
    int r = db_run(s->c->read, &find_asset, DB_VALUES(db_text(str_of(row->code))), &arena, &rows, NULL);
    s->assets[row->id] = r == 0 && rows.n_rows == 1 ? db_at(&rows, 0, 0)->integer : 0;
    s->n_assets = row->id;
    arena_fini(&arena);
    return r;
}

static int check_count(struct accounts *s, struct err *err)
{
    struct arena arena;
    struct db_result rows;
    uint64_t heads = 0;
    for (size_t i = 0; i < s->n_totals; i++)
        heads += s->totals[i].accounts;
    arena_init(&arena, 0);
    int r = db_run(s->c->read, &count_accounts, DB_VALUES(db_int(s->l->id)), &arena, &rows, err);
    if (r == 0 && !s->ahead && db_at(&rows, 0, 0)->integer != (int64_t)heads)
        check_differs_number(s->c, s->l, 0, "accounts", (int64_t)heads, db_at(&rows, 0, 0)->integer);
    arena_fini(&arena);
    return r;
}

int check_accounts(struct check *c, const struct check_ledger *l, struct err *err)
{
    struct accounts s = {.c = c, .l = l, .ahead = l->most_seq > l->seq, .postgres = db_is_postgres(c->sums)};
    struct ledger_head head;
    int r = c->journal->ops->head(c->journal, l->journal_id, &head, err);
    if (r == 0)
        r = c->journal->ops->assets(c->journal, know_asset, &s, err);
    int64_t last = r == 0 ? (int64_t)head.accounts : 0;
    check_stream_init_ranges(&s.sums, c->sums, s.postgres ? &sums_postgres : &sums_sqlite, RANGE, last,
        l->journal_id, (int64_t)l->seq);
    check_stream_init_ranges(&s.day_sums, c->read, &sum_days, RANGE, last, l->id, INT64_MAX);
    check_stream_init(&s.heads, c->read, &select_heads, 1, PAGE, l->id, INT64_MAX);
    check_stream_init(&s.days, c->read, &select_days, 2, PAGE, l->id, INT64_MAX);
    for (bool more = true; r == 0 && more;)
        r = next_account(&s, &more, err);
    if (r == 0)
        r = check_days(&s, INT64_MAX, NULL, err);
    if (r == 0)
        r = check_totals(&s, err);
    if (r == 0)
        r = check_count(&s, err);
    check_stream_fini(&s.sums);
    check_stream_fini(&s.day_sums);
    check_stream_fini(&s.heads);
    check_stream_fini(&s.days);
    free(s.assets);
    free(s.totals);
    return r;
}
