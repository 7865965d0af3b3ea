#include "readmodel/check_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "readmodel/rows.h"

/* --- differences -------------------------------------------------------------------------------------------- */

void check_differs(struct check *c, const struct check_ledger *l, uint64_t account, const char *what,
    const char *expected, const char *found)
{
    struct check_difference d = {.ledger = l->name, .account = account, .what = what};
    snprintf(d.expected, sizeof d.expected, "%s", expected);
    snprintf(d.found, sizeof d.found, "%s", found);
    c->report.differences++;
    if (c->visit != NULL)
        c->visit(c->ctx, &d);
}

void check_differs_number(struct check *c, const struct check_ledger *l, uint64_t account, const char *what,
    int64_t expected, int64_t found)
{
    char a[32], b[32];
    snprintf(a, sizeof a, "%" PRId64, expected);
    snprintf(b, sizeof b, "%" PRId64, found);
    check_differs(c, l, account, what, a, b);
}

static bool value_eq(const struct db_value *a, const struct db_value *b)
{
    if (a->type != b->type)
        return false;
    return a->type == DB_NULL || (a->type == DB_INT ? a->integer == b->integer : str_eq(a->bytes, b->bytes));
}

static void show(
    const struct db_value *v, const char *before, const char *column, char *ret_text, size_t size)
{
    struct strbuf b;
    strbuf_init(&b);
    strbuf_printf(&b, "%s%s ", before, column);
    if (v->type == DB_NULL)
        strbuf_c(&b, "null");
    else if (v->type == DB_INT)
        strbuf_int(&b, v->integer);
    else if (v->type == DB_TEXT)
        strbuf_printf(&b, "'" STR_FMT "'", STR_ARG(v->bytes));
    else
        strbuf_hex(&b, (const uint8_t *)v->bytes.data, v->bytes.len);
    snprintf(ret_text, size, STR_FMT, STR_ARG(strbuf_view(&b)));
    strbuf_fini(&b);
}

void check_row(struct check *c, const struct check_ledger *l, uint64_t account, const char *what,
    const char *row, const char *const *columns, const struct db_value *expected,
    const struct db_value *found, size_t n)
{
    char a[64], b[64];
    for (size_t i = 0; i < n; i++) {
        if (value_eq(&expected[i], &found[i]))
            continue;
        show(&expected[i], row, columns[i], a, sizeof a);
        show(&found[i], "", columns[i], b, sizeof b);
        check_differs(c, l, account, what, a, b);
        return;
    }
}

int check_go_on(struct check *c, struct err *err)
{
    if (c->progress == NULL || c->progress(c->ctx, c->done, c->total))
        return 0;
    return err_set(err, ERR_CANCELLED, "the check was stopped");
}

/* --- what there is ------------------------------------------------------------------------------------------ */

struct by_name {
    struct str name;
    uint32_t id;
};

static int find_ledger(void *ctx, const struct ledger_row *row)
{
    struct by_name *wanted = ctx;
    if (str_eq_c(wanted->name, row->name))
        wanted->id = row->id;
    return 0;
}

/* The read model's ledgers; of those that are not there nothing is, which is right as far as it goes. */
static int ledgers(struct check *c, struct check_ledger **ret_ledgers, size_t *ret_n, struct err *err)
{
    static const struct db_statement statement = {
        "check_ledgers", "SELECT id, name, seq, most_seq, recorded_at FROM @ledger ORDER BY id"};
    struct db_result rows;
    int r = db_run(c->read, &statement, DB_NO_VALUES, &c->arena, &rows, err);
    if (r != 0)
        return r;
    struct check_ledger *all = ARENA_ARRAY(&c->arena, struct check_ledger, rows.n_rows + 1);
    for (size_t i = 0; r == 0 && i < rows.n_rows; i++) {
        struct by_name by_name = {.name = db_at(&rows, i, 1)->bytes};
        r = c->journal->ops->ledgers(c->journal, find_ledger, &by_name, err);
        all[i] = (struct check_ledger){
            .name = by_name.name,
            .journal_id = by_name.id,
            .id = db_at(&rows, i, 0)->integer,
            .seq = value_uint(db_at(&rows, i, 2)),
            .most_seq = value_uint(db_at(&rows, i, 3)),
            .recorded_at = db_at(&rows, i, 4)->integer,
        };
        if (all[i].most_seq < all[i].seq)
            all[i].most_seq = all[i].seq;
        c->total += all[i].most_seq;
    }
    *ret_ledgers = all;
    *ret_n = rows.n_rows;
    return r;
}

/* Numbers are dense: a ledger that is not in the list, and has rows, shows. */
static int check_numbers(struct check *c, size_t n, struct err *err)
{
    static const struct db_statement statement = {"check_numbers",
        "SELECT MAX(n) FROM (SELECT MAX(id) AS n FROM @ledger UNION ALL SELECT MAX(ledger) FROM @head"
        " UNION ALL SELECT MAX(ledger) FROM @account UNION ALL SELECT MAX(ledger) FROM @line"
        " UNION ALL SELECT MAX(ledger) FROM @day UNION ALL SELECT MAX(ledger) FROM @transfer"
        " UNION ALL SELECT MAX(ledger) FROM @total) AS numbers"};
    static const struct check_ledger none = {.name = {"", 0}};
    struct db_result rows;
    int r = db_run(c->read, &statement, DB_NO_VALUES, &c->arena, &rows, err);
    if (r == 0 && value_uint(db_at(&rows, 0, 0)) != n)
        check_differs_number(c, &none, 0, "ledgers", db_at(&rows, 0, 0)->integer, (int64_t)n);
    return r;
}

static int find_asset(void *ctx, const struct asset *row)
{
    struct asset *wanted = ctx;
    if (strcmp(row->code, wanted->code) == 0)
        *wanted = *row;
    return 0;
}

static int check_assets(struct check *c, struct err *err)
{
    static const struct db_statement statement = {
        "check_assets", "SELECT code, scale FROM @asset ORDER BY id"};
    static const struct check_ledger none = {.name = {"", 0}};
    struct db_result rows;
    int r = db_run(c->read, &statement, DB_NO_VALUES, &c->arena, &rows, err);
    for (size_t i = 0; r == 0 && i < rows.n_rows; i++) {
        struct asset asset = {.id = 0};
        char code[80];
        snprintf(code, sizeof code, STR_FMT, STR_ARG(db_at(&rows, i, 0)->bytes));
        snprintf(asset.code, sizeof asset.code, "%.*s", (int)sizeof asset.code - 1, code);
        r = c->journal->ops->assets(c->journal, find_asset, &asset, err);
        if (r == 0 && asset.id == 0)
            check_differs(c, &none, 0, "asset", "nothing", code);
        else if (r == 0 && asset.scale != db_at(&rows, i, 1)->integer)
            check_differs_number(c, &none, 0, "scale", asset.scale, db_at(&rows, i, 1)->integer);
    }
    return r;
}

static int check_head(struct check *c, const struct check_ledger *l, bool *ret_within, struct err *err)
{
    struct ledger_head head;
    int64_t at = 0;
    *ret_within = false;
    int r = c->journal->ops->head(c->journal, l->journal_id, &head, err);
    if (r != 0)
        return r;
    if (l->most_seq > head.seq) {
        check_differs_number(c, l, 0, "seq", (int64_t)head.seq, (int64_t)l->most_seq);
        return 0;
    }
    *ret_within = true;
    if (l->seq > 0)
        r = c->journal->ops->recorded_at(c->journal, l->journal_id, l->seq, &at, err);
    if (r == 0 && l->seq > 0 && at != l->recorded_at)
        check_differs_number(c, l, 0, "recorded_at", at, l->recorded_at);
    return r;
}

static int check_ledger(struct check *c, const struct check_ledger *l, struct err *err)
{
    bool within;
    if (l->journal_id == 0) {
        check_differs(c, l, 0, "ledger", "no such ledger", "a ledger");
        return 0;
    }
    int r = check_head(c, l, &within, err);
    if (r != 0 || !within)
        return r;
    r = check_records(c, l, err);
    return r == 0 ? check_accounts(c, l, err) : r;
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

static int open_all(struct check *c, struct err *err)
{
    const struct readmodel_options model = {.pooled = c->config->pooled};
    const struct db_options sums = {
        .read_only = true, .pooled = c->config->journal_options->direct_url != NULL};
    int r = readmodel_open(c->config->read_url, &model, &c->model, err);
    if (r != 0)
        return r;
    c->read = readmodel_db(c->model);
    r = journal_open(c->config->journal_url, c->config->journal_options, &c->journal, err);
    if (r == 0)
        r = db_open(c->config->journal_url, &sums, &c->sums, err);
    if (r == 0)
        r = projector_source(c->config, true, &c->source, err);
    return r == 0 ? db_begin(c->read, false, err) : r;
}

static int check_all(struct check *c, struct err *err)
{
    struct check_ledger *all;
    size_t n;
    int r = open_all(c, err);
    if (r == 0)
        r = ledgers(c, &all, &n, err);
    if (r == 0)
        r = check_numbers(c, n, err);
    if (r == 0)
        r = check_assets(c, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = check_ledger(c, &all[i], err);
    return r;
}

int projector_check(const struct projector_config *config,
    void (*visit)(void *ctx, const struct check_difference *difference),
    bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx, struct check_report *ret_report,
    struct err *err)
{
    struct check c = {.config = config, .visit = visit, .progress = progress, .ctx = ctx};
    arena_init(&c.arena, 0);
    int r = check_all(&c, err);
    if (c.read != NULL)
        db_rollback(c.read);
    if (c.source != NULL)
        c.source->ops->close(c.source);
    db_close(c.sums);
    journal_close(c.journal);
    readmodel_close(c.model);
    arena_fini(&c.arena);
    *ret_report = c.report;
    return r;
}
