/*
 * What a ledger holds of an asset. Sums over accounts and over time need 128 bits, which neither database has: they are
 * added up in memory and written as text.
 */
#include <stdlib.h>

#include "readmodel/numbers.h"
#include "readmodel/projection.h"
#include "readmodel/rows.h"

#define COLUMNS 7

static const char ddl[] =
    "CREATE TABLE @total (ledger BIGINT NOT NULL, asset BIGINT NOT NULL, accounts BIGINT NOT NULL,"
    " entries BIGINT NOT NULL, volume @TEXT NOT NULL, credit_normal @TEXT NOT NULL,"
    " debit_normal TEXT NOT NULL, PRIMARY KEY (ledger, asset));";

static const struct db_table table = {.name = "total",
    .table = "@total",
    .columns = {{"ledger", DB_INT}, {"asset", DB_INT}, {"accounts", DB_INT}, {"entries", DB_INT},
        {"volume", DB_TEXT}, {"credit_normal", DB_TEXT}, {"debit_normal", DB_TEXT}},
    .n_columns = COLUMNS,
    .tail =
        "ON CONFLICT (ledger, asset) DO UPDATE SET accounts = excluded.accounts, entries = excluded.entries,"
        " volume = excluded.volume, credit_normal = excluded.credit_normal, debit_normal = "
        "excluded.debit_normal"};

static const struct db_statement load_all = {"totals_load",
    "SELECT ledger, asset, accounts, entries, volume, credit_normal, debit_normal FROM @total"};

struct total {
    uint32_t ledger, asset;
    uint64_t accounts, entries;
    amount_sum volume, credit_normal, debit_normal;
    bool changed;
};

struct totals {
    struct total *all;
    size_t n;
    struct numbers at;
    struct rows rows;
};

static void *state_new(void)
{
    struct totals *t = calloc(1, sizeof *t);
    INVARIANT(t != NULL);
    rows_init(&t->rows);
    return t;
}

static void state_free(void *state)
{
    struct totals *t = state;
    free(t->all);
    numbers_fini(&t->at);
    rows_fini(&t->rows);
    free(t);
}

static struct total *total_of(struct totals *t, uint32_t ledger, uint32_t asset)
{
    uint32_t at = numbers_get(&t->at, ledger, asset);
    if (at != NUMBERS_NONE)
        return &t->all[at];
    t->all = realloc(t->all, (t->n + 1) * sizeof *t->all);
    INVARIANT(t->all != NULL);
    numbers_set(&t->at, ledger, asset, (uint32_t)t->n);
    t->all[t->n] = (struct total){.ledger = ledger, .asset = asset};
    return &t->all[t->n++];
}

bool sum_parse(struct str text, amount_sum *ret_sum)
{
    bool negative = text.len > 0 && text.data[0] == '-';
    amount_sum sum = 0;
    for (size_t i = negative; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_sub_overflow(sum, text.data[i] - '0', &sum))
            return false;
    }
    if (text.len == negative || (!negative && __builtin_sub_overflow((amount_sum)0, sum, &sum)))
        return false;
    *ret_sum = sum;
    return true;
}

static int load(void *state, struct db *db, struct err *err)
{
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(db, &load_all, DB_NO_VALUES, &arena, &result, err);
    for (size_t i = 0; rc == 0 && i < result.n_rows; i++) {
        struct total *t = total_of(
            state, (uint32_t)value_uint(db_at(&result, i, 0)), (uint32_t)value_uint(db_at(&result, i, 1)));
        t->accounts = value_uint(db_at(&result, i, 2));
        t->entries = value_uint(db_at(&result, i, 3));
        if (!sum_parse(value_str(db_at(&result, i, 4)), &t->volume) ||
            !sum_parse(value_str(db_at(&result, i, 5)), &t->credit_normal) ||
            !sum_parse(value_str(db_at(&result, i, 6)), &t->debit_normal))
            rc = err_set(err, ERR_CORRUPT, "the read model's totals: a sum is no number");
    }
    arena_fini(&arena);
    return rc;
}

static void fold(void *state, const struct applied *a)
{
    if (a->fact->kind != FACT_ENTRY)
        return;
    const struct fact_entry *e = &a->fact->entry;
    struct total *t = total_of(state, a->ledger, a->asset);
    t->accounts += e->version == 1;
    t->entries++;
    if (e->change.posted > 0)
        t->volume += e->change.posted;
    if (e->side > 0)
        t->credit_normal += e->change.posted;
    else
        t->debit_normal -= e->change.posted;
    t->changed = true;
}

static struct db_value sum_value(struct rows *rows, amount_sum sum)
{
    struct strbuf b;
    strbuf_init(&b);
    strbuf_amount_sum(&b, sum, 0);
    struct db_value value = db_text(arena_str(&rows->arena, strbuf_view(&b)));
    strbuf_fini(&b);
    return value;
}

static int flush(void *state, struct db *db, struct err *err)
{
    struct totals *totals = state;
    for (size_t i = 0; i < totals->n; i++) {
        struct total *t = &totals->all[i];
        if (!t->changed)
            continue;
        struct db_value *v = rows_next(&totals->rows, COLUMNS);
        v[0] = db_uint(t->ledger);
        v[1] = db_uint(t->asset);
        v[2] = db_uint(t->accounts);
        v[3] = db_uint(t->entries);
        v[4] = sum_value(&totals->rows, t->volume);
        v[5] = sum_value(&totals->rows, t->credit_normal);
        v[6] = sum_value(&totals->rows, t->debit_normal);
        t->changed = false;
    }
    return rows_flush(&totals->rows, db, &table, err);
}

const struct projection projection_totals = {.name = "totals",
    .ddl = ddl,
    .state_new = state_new,
    .state_free = state_free,
    .load = load,
    .fold = fold,
    .flush = flush};
