/* Every entry, as it stands in the journal: the range of an account's versions is its statement. */
#include <stdlib.h>

#include "readmodel/projection.h"
#include "readmodel/rows.h"

#define COLUMNS 20

static const char ddl[] =
    "CREATE TABLE @line (ledger BIGINT NOT NULL, seq BIGINT NOT NULL, leg BIGINT NOT NULL,"
    " account BIGINT NOT NULL, version BIGINT NOT NULL, kind BIGINT NOT NULL, record @BYTES NOT NULL,"
    " change BIGINT NOT NULL, change_incoming BIGINT NOT NULL, change_outgoing BIGINT NOT NULL,"
    " posted BIGINT NOT NULL, incoming BIGINT NOT NULL, outgoing BIGINT NOT NULL,"
    " revision BIGINT NOT NULL, floor BIGINT, counterparty @BYTES, reference @TEXT,"
    " effective_at BIGINT NOT NULL, recorded_at BIGINT NOT NULL, related_seq BIGINT,"
    " PRIMARY KEY (ledger, seq, leg)) @WITHOUT_ROWID;";

static const char indexes[] =
    "CREATE UNIQUE INDEX IF NOT EXISTS @line_version ON @line (ledger, account, version);";

static const struct db_table table = {.name = "line",
    .table = "@line",
    .columns = {{"ledger", DB_INT}, {"seq", DB_INT}, {"leg", DB_INT}, {"account", DB_INT},
        {"version", DB_INT}, {"kind", DB_INT}, {"record", DB_BYTES}, {"change", DB_INT},
        {"change_incoming", DB_INT}, {"change_outgoing", DB_INT}, {"posted", DB_INT}, {"incoming", DB_INT},
        {"outgoing", DB_INT}, {"revision", DB_INT}, {"floor", DB_INT}, {"counterparty", DB_BYTES},
        {"reference", DB_TEXT}, {"effective_at", DB_INT}, {"recorded_at", DB_INT}, {"related_seq", DB_INT}},
    .n_columns = COLUMNS,
    .tail = ""};

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

static void fold(void *state, const struct applied *a)
{
    const struct fact *f = a->fact;
    if (f->kind != FACT_ENTRY)
        return;
    const struct fact_entry *e = &f->entry;
    struct db_value *v = rows_next(state, COLUMNS);
    *v++ = db_uint(a->ledger);
    *v++ = db_uint(f->seq);
    *v++ = db_uint(e->leg);
    *v++ = db_uint(a->account);
    *v++ = db_uint(e->version);
    *v++ = db_int(f->record_kind);
    *v++ = db_uuid(&f->record);
    *v++ = db_int(e->change.posted);
    *v++ = db_int(e->change.incoming);
    *v++ = db_int(e->change.outgoing);
    *v++ = db_int(e->after.posted);
    *v++ = db_int(e->after.incoming);
    *v++ = db_int(e->after.outgoing);
    *v++ = db_uint(e->revision);
    *v++ = db_floor(e->floor);
    *v++ = e->has_counterparty ? db_uuid(&e->counterparty) : db_null();
    *v++ = db_text(f->reference);
    *v++ = db_int(f->effective_at);
    *v++ = db_int(f->recorded_at);
    *v++ = f->related_seq != 0 ? db_uint(f->related_seq) : db_null();
}

static int flush(void *state, struct db *db, struct err *err)
{
    return rows_flush(state, db, &table, err);
}

const struct projection projection_lines = {.name = "lines",
    .ddl = ddl,
    .indexes = indexes,
    .state_new = state_new,
    .state_free = state_free,
    .fold = fold,
    .flush = flush};
