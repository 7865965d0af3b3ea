/*
 * Transfers, reversals and declines as such, searchable by what they carry. The metadata's members have rows of their own.
 * An erasure takes the text out of both again.
 */
#include <jansson.h>
#include <stdlib.h>

#include "events/event_json.h"
#include "readmodel/projection.h"
#include "readmodel/rows.h"

#define COLUMNS 17
#define METADATA_COLUMNS 4

static const char ddl[] =
    "CREATE TABLE @transfer (ledger BIGINT NOT NULL, seq BIGINT NOT NULL, kind BIGINT NOT NULL,"
    " record @BYTES NOT NULL, idempotency_key @TEXT, reference @TEXT, refusal @TEXT,"
    " declined_amount BIGINT NOT NULL, effective_at BIGINT NOT NULL, recorded_at BIGINT NOT NULL,"
    " related_seq BIGINT, actor @TEXT, trace @BYTES, metadata @TEXT, currency @TEXT, amount BIGINT NOT NULL,"
    " facts BIGINT NOT NULL, PRIMARY KEY (ledger, seq)) @WITHOUT_ROWID;"
    "CREATE TABLE @transfer_metadata (ledger BIGINT NOT NULL, seq BIGINT NOT NULL, name @TEXT NOT NULL,"
    " value @TEXT NOT NULL, PRIMARY KEY (ledger, seq, name)) @WITHOUT_ROWID;";
static const char indexes[] =
    "CREATE INDEX IF NOT EXISTS @transfer_reference ON @transfer (ledger, reference, seq)"
    " WHERE reference IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS @transfer_amount ON @transfer (ledger, amount, seq) WHERE amount > 0;"
    "CREATE INDEX IF NOT EXISTS @transfer_member ON @transfer_metadata (ledger, name, value, seq);";

static const struct db_table transfer_table = {.name = "transfer",
    .table = "@transfer",
    .columns = {{"ledger", DB_INT}, {"seq", DB_INT}, {"kind", DB_INT}, {"record", DB_BYTES},
        {"idempotency_key", DB_TEXT}, {"reference", DB_TEXT}, {"refusal", DB_TEXT},
        {"declined_amount", DB_INT}, {"effective_at", DB_INT}, {"recorded_at", DB_INT},
        {"related_seq", DB_INT}, {"actor", DB_TEXT}, {"trace", DB_BYTES}, {"metadata", DB_TEXT},
        {"currency", DB_TEXT}, {"amount", DB_INT}, {"facts", DB_INT}},
    .n_columns = COLUMNS,
    .tail = ""};
static const struct db_table metadata_table = {.name = "transfer_metadata",
    .table = "@transfer_metadata",
    .columns = {{"ledger", DB_INT}, {"name", DB_TEXT}, {"value", DB_TEXT}, {"seq", DB_INT}},
    .n_columns = METADATA_COLUMNS,
    .tail = ""};

static const struct db_statement erase_text = {
    "transfer_erase", "UPDATE @transfer SET metadata = NULL WHERE ledger = ?1 AND seq = ?2"};
static const struct db_statement erase_members = {
    "transfer_erase_members", "DELETE FROM @transfer_metadata WHERE ledger = ?1 AND seq = ?2"};

struct erasure {
    uint32_t ledger;
    uint64_t seq;
};

struct transfers {
    struct rows rows, metadata;
    struct erasure *erasures;
    size_t n_erasures;
};

static void *state_new(void)
{
    struct transfers *t = calloc(1, sizeof *t);
    INVARIANT(t != NULL);
    rows_init(&t->rows);
    rows_init(&t->metadata);
    return t;
}

static void state_free(void *state)
{
    struct transfers *t = state;
    rows_fini(&t->rows);
    rows_fini(&t->metadata);
    free(t->erasures);
    free(t);
}

void metadata_visit(struct str metadata, struct arena *arena,
    void (*visit)(void *ctx, struct str key, struct str value), void *ctx)
{
    json_t *root = metadata.len > 2 ? json_loadb(metadata.data, metadata.len, 0, NULL) : NULL;
    const char *key;
    json_t *value;
    size_t n = 0;
    json_object_foreach(root, key, value)
    {
        struct str name = str_of(key), text = STR_NONE;
        if (json_is_string(value)) {
            text = (struct str){json_string_value(value), json_string_length(value)};
        } else if (json_is_number(value) || json_is_boolean(value)) {
            text = event_json_member(metadata, key); /* as it was written */
        }
        if (text.data == NULL || text.len > METADATA_SEARCHED_BYTES || name.len > METADATA_SEARCHED_BYTES)
            continue;
        if (n++ == METADATA_SEARCHED_MEMBERS)
            break;
        visit(ctx, arena_str(arena, name), arena_str(arena, text));
    }
    json_decref(root);
}

struct member_rows {
    struct rows *rows;
    uint32_t ledger;
    uint64_t seq;
};

static void put_member(void *ctx, struct str key, struct str value)
{
    struct member_rows *m = ctx;
    struct db_value *v = rows_next(m->rows, METADATA_COLUMNS);
    v[0] = db_uint(m->ledger);
    v[1] = db_text(key);
    v[2] = db_text(value);
    v[3] = db_uint(m->seq);
}

static void fold_erasure(struct transfers *t, const struct applied *a)
{
    if (a->fact->record_kind != RECORD_ERASURE || a->fact->related_seq == 0)
        return;
    t->erasures = realloc(t->erasures, (t->n_erasures + 1) * sizeof *t->erasures);
    INVARIANT(t->erasures != NULL);
    t->erasures[t->n_erasures++] = (struct erasure){a->ledger, a->fact->related_seq};
}

static void fold(void *state, const struct applied *a)
{
    struct transfers *s = state;
    const struct fact *f = a->fact;
    const struct fact_transfer *t = &f->transfer;
    if (f->kind == FACT_ENTRY)
        fold_erasure(s, a);
    if (f->kind != FACT_TRANSFER)
        return;
    struct db_value *v = rows_next(&s->rows, COLUMNS);
    *v++ = db_uint(a->ledger);
    *v++ = db_uint(f->seq);
    *v++ = db_int(f->record_kind);
    *v++ = db_uuid(&f->record);
    *v++ = db_text(t->idempotency_key);
    *v++ = db_text(f->reference);
    *v++ = db_text(t->refusal);
    *v++ = db_int(t->declined_amount);
    *v++ = db_int(f->effective_at);
    *v++ = db_int(f->recorded_at);
    *v++ = f->related_seq != 0 ? db_uint(f->related_seq) : db_null();
    *v++ = db_text(t->actor);
    *v++ = t->has_trace ? db_bytes(t->trace_id, TRACE_ID_LEN) : db_null();
    *v++ = a->erased ? db_null() : db_text(t->metadata);
    *v++ = db_text(t->currency);
    *v++ = db_int(t->amount);
    *v++ = db_uint(f->of);
    if (a->erased || t->metadata.len <= 2)
        return;
    struct member_rows members = {&s->metadata, a->ledger, f->seq};
    metadata_visit(t->metadata, &s->metadata.arena, put_member, &members);
}

static int erase(struct db *db, const struct erasure *e, struct err *err)
{
    int rc = db_run(db, &erase_text, DB_VALUES(db_uint(e->ledger), db_uint(e->seq)), NULL, NULL, err);
    return rc != 0
               ? rc
               : db_run(db, &erase_members, DB_VALUES(db_uint(e->ledger), db_uint(e->seq)), NULL, NULL, err);
}

static int flush(void *state, struct db *db, struct err *err)
{
    struct transfers *t = state;
    int rc = rows_flush(&t->rows, db, &transfer_table, err);
    if (rc == 0)
        rc = rows_flush(&t->metadata, db, &metadata_table, err);
    for (size_t i = 0; rc == 0 && i < t->n_erasures; i++)
        rc = erase(db, &t->erasures[i], err);
    t->n_erasures = 0;
    return rc;
}

const struct projection projection_transfers = {.name = "transfers",
    .ddl = ddl,
    .indexes = indexes,
    .state_new = state_new,
    .state_free = state_free,
    .fold = fold,
    .flush = flush};
