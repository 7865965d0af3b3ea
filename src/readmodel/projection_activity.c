/*
 * What came in and went out of an account on a day (UTC, of recorded time), in its normal sign, and how the day closed.
 * Rows are added to, which is exact because every entry is folded once. A day's sums may exceed 64 bits though no balance
 * does, so they are kept as billions and the rest.
 */
#include <stdlib.h>

#include "base/instant.h"
#include "readmodel/projection.h"
#include "readmodel/rows.h"

#define BILLION INT64_C(1000000000)

enum { LEDGER, ACCOUNT, DAY, IN_BILLIONS, IN_REST, OUT_BILLIONS, OUT_REST, ENTRIES, CLOSING, COLUMNS };

static const char ddl[] =
    "CREATE TABLE @day (ledger BIGINT NOT NULL, account BIGINT NOT NULL, day BIGINT NOT NULL,"
    " in_billions BIGINT NOT NULL, in_rest BIGINT NOT NULL, out_billions BIGINT NOT NULL,"
    " out_rest BIGINT NOT NULL, entries BIGINT NOT NULL, closing BIGINT NOT NULL,"
    " PRIMARY KEY (ledger, account, day)) @WITHOUT_ROWID;";

static const struct db_table table = {.name = "day",
    .table = "@day",
    .columns = {[LEDGER] = {"ledger", DB_INT},
        [ACCOUNT] = {"account", DB_INT},
        [DAY] = {"day", DB_INT},
        [IN_BILLIONS] = {"in_billions", DB_INT},
        [IN_REST] = {"in_rest", DB_INT},
        [OUT_BILLIONS] = {"out_billions", DB_INT},
        [OUT_REST] = {"out_rest", DB_INT},
        [ENTRIES] = {"entries", DB_INT},
        [CLOSING] = {"closing", DB_INT}},
    .n_columns = COLUMNS,
    .tail = "ON CONFLICT (ledger, account, day) DO UPDATE SET in_billions = @day.in_billions + "
            "excluded.in_billions,"
            " in_rest = @day.in_rest + excluded.in_rest, out_billions = @day.out_billions + "
            "excluded.out_billions,"
            " out_rest = @day.out_rest + excluded.out_rest, entries = @day.entries + excluded.entries,"
            " closing = excluded.closing"};

static void *state_new(void)
{
    struct rows *rows = malloc(sizeof *rows);
    INVARIANT(rows != NULL);
    rows_init(rows);
    return rows;
}

static void state_free(void *state)
{
    rows_fini(state);
    free(state);
}

static int64_t day_of(int64_t instant)
{
    return instant / MICROS_PER_DAY - (instant % MICROS_PER_DAY < 0);
}

/* The account's row of the day, in this batch. An account's days do not go back. */
static struct db_value *row_of(struct rows *rows, const struct applied *a, int64_t day)
{
    struct head *head = a->head;
    if (head->activity != 0 && head->activity_day == day)
        return &rows->values[(size_t)(head->activity - 1) * COLUMNS];
    INVARIANT(head->activity == 0 || head->activity_day < day);
    struct db_value *v = rows_next(rows, COLUMNS);
    for (size_t i = 0; i < COLUMNS; i++)
        v[i] = db_int(0);
    v[LEDGER] = db_uint(a->ledger);
    v[ACCOUNT] = db_uint(a->account);
    v[DAY] = db_int(day);
    head->activity = (uint32_t)(rows->n_values / COLUMNS);
    head->activity_day = day;
    return v;
}

static void fold(void *state, const struct applied *a)
{
    if (a->fact->kind != FACT_ENTRY)
        return;
    const struct fact_entry *e = &a->fact->entry;
    if (e->change.posted == 0 && e->change.incoming == 0 && e->change.outgoing == 0)
        return;
    struct db_value *v = row_of(state, a, day_of(a->fact->recorded_at));
    int64_t change = amounts_balance(e->change, e->side), size = change < 0 ? -change : change;
    v[change < 0 ? OUT_BILLIONS : IN_BILLIONS].integer += size / BILLION;
    v[change < 0 ? OUT_REST : IN_REST].integer += size % BILLION;
    v[ENTRIES].integer++;
    v[CLOSING].integer = amounts_balance(e->after, e->side);
}

static int flush(void *state, struct db *db, struct err *err)
{
    return rows_flush(state, db, &table, err);
}

const struct projection projection_activity = {.name = "activity",
    .ddl = ddl,
    .state_new = state_new,
    .state_free = state_free,
    .fold = fold,
    .flush = flush};
