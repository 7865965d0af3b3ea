/*
 * A batch as arrays in PostgreSQL's binary format, one a column. A column in which every row has its usual value is
 * NULL: reading an array costs the server as much as checking what is in it.
 */
#include <stdlib.h>

#include "journal/postgres_append_internal.h"

#define LEG_MAX 2047 /* as in the SQLite backend: what one takes, the other takes */

static int refuse(struct err *err, const struct record *r, const char *why)
{
    return err_set(err, ERR_CONFLICT, "%s (ledger %u, seq %llu)", why, r->ledger, (unsigned long long)r->seq);
}

/* What cannot be said in columns at all, and so cannot be left to the checks of the database. */
static int check(const struct record *r, struct err *err)
{
    if (r->ledger < 1 || r->ledger > LIMIT_LEDGERS_MAX || r->seq < 1 || r->seq > POSTGRES_SEQ_MAX)
        return refuse(err, r, "I1: no such ledger, or not the next record");
    if (r->n_entries > LEG_MAX + 1 || r->n_lots > LEG_MAX + 1)
        return refuse(err, r, "I1: a record has at most 2048 legs and lots");
    if (!uuid_carries(r->id, r->seq))
        return refuse(err, r, "I8: the id does not carry the seq of the record");
    if (r->text.present && !r->text.readable)
        return refuse(err, r, "I1: a text and its digest go together");
    for (size_t i = 0; i < r->n_entries; i++)
        if (r->entries[i].leg != i)
            return refuse(err, r, "I1: legs are not 0, 1, 2 ...");
    if (r->account == NULL)
        return 0;
    if (r->account->number < 1 || r->account->number > POSTGRES_SEQ_MAX)
        return refuse(err, r, "I7: accounts are numbered 1, 2, 3 ...");
    if (!uuid_carries(r->account->id, r->account->number))
        return refuse(err, r, "I7: the id does not carry the number of the account");
    return 0;
}

static int compare_places(const void *left, const void *right)
{
    const struct entry_place *a = left, *b = right;
    if (a->record->ledger != b->record->ledger)
        return a->record->ledger < b->record->ledger ? -1 : 1;
    if (a->entry->account != b->entry->account)
        return a->entry->account < b->entry->account ? -1 : 1;
    if (a->entry->version != b->entry->version)
        return a->entry->version < b->entry->version ? -1 : 1;
    return 0;
}

/* Without its ledger's head nothing would notice that it has moved. */
static bool is_known(const struct journal_batch *batch, uint32_t ledger)
{
    for (size_t i = 0; i < batch->n_known; i++)
        if (batch->known[i].ledger == ledger)
            return true;
    return false;
}

int batch_rows_take(struct batch_rows *rows, const struct journal_batch *batch, struct err *err)
{
    rows->batch = batch;
    rows->n_entries = rows->n_texts = rows->n_accounts = rows->n_revisions = rows->n_lots = rows->n_erasures =
        0;
    for (size_t i = 0; i < batch->n_records; i++) {
        const struct record *r = batch->records[i];
        int rc = check(r, err);
        if (rc == 0 && (i == 0 || r->ledger != batch->records[i - 1]->ledger) && !is_known(batch, r->ledger))
            rc = refuse(err, r, "I1: no such ledger, or not the next record: its head was not given");
        if (rc != 0)
            return rc;
        rows->n_entries += r->n_entries;
        rows->n_texts += r->text.present;
        rows->n_accounts += r->account != NULL;
        rows->n_revisions += r->n_revisions;
        rows->n_lots += r->n_lots;
        rows->n_erasures += r->kind == RECORD_ERASURE && r->related_seq != 0;
    }
    if (rows->n_entries > rows->cap_entries) {
        rows->cap_entries = rows->n_entries * 2;
        free(rows->entries);
        rows->entries = malloc(rows->cap_entries * sizeof *rows->entries);
        INVARIANT(rows->entries != NULL);
    }
    size_t n = 0;
    for (size_t i = 0; i < batch->n_records; i++)
        for (size_t k = 0; k < batch->records[i]->n_entries; k++)
            rows->entries[n++] = (struct entry_place){batch->records[i], &batch->records[i]->entries[k]};
    if (n > 1)
        qsort(rows->entries, n, sizeof *rows->entries, compare_places);
    return 0;
}

void batch_rows_fini(struct batch_rows *rows)
{
    free(rows->entries);
    *rows = (struct batch_rows){0};
}

/* One column: `put` is called for each `row` of a table that `walk` goes through. */
#define COLUMN(walk, type, put) \
    do { \
        pg_array_begin(p, (type)); \
        walk(put); \
        pg_array_end(p); \
    } while (0)
/* The same for columns that hardly ever say anything: NULL unless `unusual` holds of a row. */
#define RARE_COLUMN(walk, type, unusual, put) \
    do { \
        bool needed = false; \
        walk(if (unusual) { \
            needed = true; \
            break; \
        }); \
        if (needed) \
            COLUMN(walk, type, put); \
        else \
            pg_put_null_array(p, (type)); \
    } while (0)

static void put_nulls(struct pg_params *p, const Oid *elements, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pg_put_null_array(p, elements[i]);
}
#define NO_ROWS(...) \
    do { \
        static const Oid elements[] = {__VA_ARGS__}; \
        put_nulls(p, elements, sizeof elements / sizeof elements[0]); \
    } while (0)

static void put_due(struct pg_params *p, bool present, int64_t value)
{
    if (present)
        pg_array_int8(p, value);
    else
        pg_array_null(p);
}

/* 0 is none. */
static void put_seq(struct pg_params *p, uint64_t seq)
{
    if (seq != 0)
        pg_array_uint(p, seq);
    else
        pg_array_null(p);
}

static void put_number(struct pg_params *p, uint32_t number)
{
    if (number != 0)
        pg_array_int4(p, number);
    else
        pg_array_null(p);
}

static void put_some_bytes(struct pg_params *p, bool present, const uint8_t *bytes, size_t len)
{
    pg_array_bytes(p, present ? bytes : NULL, len);
}

void batch_encode_known(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
#define KNOWN(put) \
    for (size_t i = 0; i < b->n_known; i++) { \
        const struct ledger_known *k = &b->known[i]; \
        put; \
    }
    if (b->n_known == 0) {
        NO_ROWS(PG_INT4, PG_INT8, PG_BYTEA);
        return;
    }
    COLUMN(KNOWN, PG_INT4, pg_array_int4(p, k->ledger));
    COLUMN(KNOWN, PG_INT8, pg_array_uint(p, k->seq));
    COLUMN(KNOWN, PG_BYTEA, pg_array_bytes(p, k->hash, HASH_LEN));
}

void batch_encode_assets(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
#define ASSETS(put) \
    for (size_t i = 0; i < b->n_assets; i++) { \
        const struct asset *a = &b->assets[i]; \
        put; \
    }
    if (b->n_assets == 0) {
        NO_ROWS(PG_INT4, PG_INT2, PG_TEXT);
        return;
    }
    COLUMN(ASSETS, PG_INT4, pg_array_int4(p, a->id));
    COLUMN(ASSETS, PG_INT2, pg_array_int2(p, a->scale));
    COLUMN(ASSETS, PG_TEXT, pg_array_str(p, str_of(a->code)));
}

void batch_encode_ledgers(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
#define LEDGERS(put) \
    for (size_t i = 0; i < b->n_ledgers; i++) { \
        const struct ledger_row *l = &b->ledgers[i]; \
        put; \
    }
    if (b->n_ledgers == 0) {
        NO_ROWS(PG_INT4, PG_TEXT, PG_INT8, PG_INT8);
        return;
    }
    COLUMN(LEDGERS, PG_INT4, pg_array_int4(p, l->id));
    COLUMN(LEDGERS, PG_TEXT, pg_array_str(p, str_of(l->name)));
    COLUMN(LEDGERS, PG_INT8, pg_array_floor(p, l->default_floor));
    COLUMN(LEDGERS, PG_INT8, pg_array_int8(p, l->created_at));
}

/* The rows of records, and of what hangs on them. */
#define RECORDS(put) \
    for (size_t i = 0; i < b->n_records; i++) { \
        const struct record *r = b->records[i]; \
        put; \
    }

void batch_encode_records(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
    if (b->n_records == 0) {
        NO_ROWS(PG_INT4, PG_INT8, PG_INT2, PG_INT2, PG_INT8, PG_INT8, PG_INT8, PG_INT4, PG_BYTEA, PG_TEXT,
            PG_BYTEA, PG_TEXT, PG_TEXT, PG_BYTEA, PG_BYTEA, PG_INT8, PG_INT4, PG_INT8, PG_INT2);
        return;
    }
    COLUMN(RECORDS, PG_INT4, pg_array_int4(p, r->ledger));
    COLUMN(RECORDS, PG_INT8, pg_array_uint(p, r->seq));
    COLUMN(RECORDS, PG_INT2, pg_array_int2(p, (int64_t)r->kind));
    COLUMN(RECORDS, PG_INT2, pg_array_int2(p, r->format));
    COLUMN(RECORDS, PG_INT8, pg_array_int8(p, r->recorded_at));
    RARE_COLUMN(RECORDS, PG_INT8, r->effective_at != r->recorded_at, pg_array_int8(p, r->effective_at));
    COLUMN(RECORDS, PG_INT8, pg_array_int8(p, (int64_t)uuid_high(r->id)));
    COLUMN(RECORDS, PG_INT4, pg_array_int4(p, uuid_low(r->id)));
    COLUMN(RECORDS, PG_BYTEA, pg_array_bytes(p, r->hash, HASH_LEN));
    RARE_COLUMN(RECORDS, PG_TEXT, r->idempotency_key.data != NULL, pg_array_str(p, r->idempotency_key));
    RARE_COLUMN(RECORDS, PG_BYTEA, r->idempotency_key.data != NULL,
        put_some_bytes(p, r->idempotency_key.data != NULL, r->request_hash, HASH_LEN));
    RARE_COLUMN(RECORDS, PG_TEXT, r->reference.data != NULL, pg_array_str(p, r->reference));
    RARE_COLUMN(RECORDS, PG_TEXT, r->actor.data != NULL, pg_array_str(p, r->actor));
    RARE_COLUMN(RECORDS, PG_BYTEA, r->has_trace, put_some_bytes(p, r->has_trace, r->trace_id, TRACE_ID_LEN));
    RARE_COLUMN(
        RECORDS, PG_BYTEA, r->text.present, put_some_bytes(p, r->text.present, r->text.digest, HASH_LEN));
    RARE_COLUMN(RECORDS, PG_INT8, r->related_seq != 0, put_seq(p, r->related_seq));
    RARE_COLUMN(RECORDS, PG_INT4, r->refusal != 0, put_number(p, r->refusal));
    RARE_COLUMN(RECORDS, PG_INT8, r->declined_amount != 0, pg_array_int8(p, r->declined_amount));
    RARE_COLUMN(RECORDS, PG_INT2, r->n_lots != 0, pg_array_int2(p, (int64_t)r->n_lots));
}

void batch_encode_entries(struct pg_params *p, const struct batch_rows *rows)
{
#define ENTRIES(put) \
    for (size_t i = 0; i < rows->n_entries; i++) { \
        const struct entry *e = rows->entries[i].entry; \
        put; \
    }
    if (rows->n_entries == 0) {
        NO_ROWS(PG_INT4, PG_INT8, PG_INT2, PG_INT8, PG_INT8, PG_INT4, PG_INT2, PG_INT4, PG_INT8, PG_INT8,
            PG_INT8, PG_INT8, PG_INT8, PG_INT8, PG_INT8, PG_INT8);
        return;
    }
    COLUMN(ENTRIES, PG_INT4, pg_array_int4(p, rows->entries[i].record->ledger); (void)e);
    COLUMN(ENTRIES, PG_INT8, pg_array_uint(p, rows->entries[i].record->seq); (void)e);
    COLUMN(ENTRIES, PG_INT2, pg_array_int2(p, e->leg));
    COLUMN(ENTRIES, PG_INT8, pg_array_uint(p, e->account));
    COLUMN(ENTRIES, PG_INT8, pg_array_uint(p, e->version));
    COLUMN(ENTRIES, PG_INT4, pg_array_int4(p, e->asset));
    COLUMN(ENTRIES, PG_INT2, pg_array_int2(p, e->side));
    COLUMN(ENTRIES, PG_INT4, pg_array_int4(p, e->revision));
    RARE_COLUMN(ENTRIES, PG_INT8, e->floor.present, pg_array_floor(p, e->floor));
    RARE_COLUMN(ENTRIES, PG_INT8, e->change.posted != 0, pg_array_int8(p, e->change.posted));
    COLUMN(ENTRIES, PG_INT8, pg_array_int8(p, e->after.posted));
    RARE_COLUMN(ENTRIES, PG_INT8, e->change.incoming != 0, pg_array_int8(p, e->change.incoming));
    RARE_COLUMN(ENTRIES, PG_INT8, e->after.incoming != 0, pg_array_int8(p, e->after.incoming));
    RARE_COLUMN(ENTRIES, PG_INT8, e->change.outgoing != 0, pg_array_int8(p, e->change.outgoing));
    RARE_COLUMN(ENTRIES, PG_INT8, e->after.outgoing != 0, pg_array_int8(p, e->after.outgoing));
    RARE_COLUMN(ENTRIES, PG_INT8, e->backdated, put_due(p, e->backdated, e->effective_at));
}

void batch_encode_texts(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
#define TEXTS(put) RECORDS(if (r->text.present) { put; })
    if (rows->n_texts == 0) {
        NO_ROWS(PG_INT4, PG_INT8, PG_BYTEA, PG_TEXT);
        return;
    }
    COLUMN(TEXTS, PG_INT4, pg_array_int4(p, r->ledger));
    COLUMN(TEXTS, PG_INT8, pg_array_uint(p, r->seq));
    COLUMN(TEXTS, PG_BYTEA, pg_array_bytes(p, r->text.salt, SALT_LEN));
    COLUMN(TEXTS, PG_TEXT, pg_array_str(p, r->text.body));
}

void batch_encode_accounts(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
#define ACCOUNTS(put) \
    RECORDS(if (r->account != NULL) { \
        const struct account_row *a = r->account; \
        put; \
    })
    if (rows->n_accounts == 0) {
        NO_ROWS(PG_INT4, PG_INT8, PG_INT4, PG_INT2, PG_INT8, PG_INT8, PG_INT4, PG_TEXT);
        return;
    }
    COLUMN(ACCOUNTS, PG_INT4, pg_array_int4(p, r->ledger); (void)a);
    COLUMN(ACCOUNTS, PG_INT8, pg_array_uint(p, a->number));
    COLUMN(ACCOUNTS, PG_INT4, pg_array_int4(p, a->asset));
    COLUMN(ACCOUNTS, PG_INT2, pg_array_int2(p, (int64_t)a->type));
    COLUMN(ACCOUNTS, PG_INT8, pg_array_uint(p, a->opened_seq));
    COLUMN(ACCOUNTS, PG_INT8, pg_array_int8(p, (int64_t)uuid_high(a->id)));
    COLUMN(ACCOUNTS, PG_INT4, pg_array_int4(p, uuid_low(a->id)));
    COLUMN(ACCOUNTS, PG_TEXT, pg_array_str(p, a->external_id));
}

/* The leg of a revision's entry. One that has none gets a leg that is no entry's: the database refuses it (I1). */
static int64_t revision_leg(const struct record *r, const struct revision_row *row)
{
    for (size_t leg = 0; leg < r->n_entries; leg++)
        if (r->entries[leg].account == row->account && r->entries[leg].revision == row->revision)
            return (int64_t)leg;
    return LEG_MAX + 1;
}

void batch_encode_revisions(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
#define REVISIONS(put) \
    RECORDS(for (size_t k = 0; k < r->n_revisions; k++) { \
        const struct revision_row *v = &r->revisions[k]; \
        put; \
    })
    if (rows->n_revisions == 0) {
        NO_ROWS(PG_INT4, PG_INT8, PG_INT4, PG_INT8, PG_INT2, PG_INT2, PG_INT8, PG_INT8);
        return;
    }
    COLUMN(REVISIONS, PG_INT4, pg_array_int4(p, r->ledger); (void)v);
    COLUMN(REVISIONS, PG_INT8, pg_array_uint(p, v->account));
    COLUMN(REVISIONS, PG_INT4, pg_array_int4(p, v->revision));
    COLUMN(REVISIONS, PG_INT8, pg_array_uint(p, r->seq); (void)v);
    COLUMN(REVISIONS, PG_INT2, pg_array_int2(p, revision_leg(r, v)));
    COLUMN(REVISIONS, PG_INT2, pg_array_int2(p, (int64_t)v->status));
    COLUMN(REVISIONS, PG_INT8, pg_array_floor(p, v->floor));
    COLUMN(REVISIONS, PG_INT8, put_seq(p, v->text_seq));
}

void batch_encode_lots(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
#define LOTS(put) \
    RECORDS(for (size_t k = 0; k < r->n_lots; k++) { \
        const struct lot *l = &r->lots[k]; \
        put; \
    })
    if (rows->n_lots == 0) {
        NO_ROWS(PG_INT4, PG_INT8, PG_INT2, PG_INT2, PG_INT4, PG_INT8, PG_INT2, PG_INT8, PG_INT8, PG_INT8,
            PG_INT8);
        return;
    }
    COLUMN(LOTS, PG_INT4, pg_array_int4(p, r->ledger); (void)l);
    COLUMN(LOTS, PG_INT8, pg_array_uint(p, l->origin));
    COLUMN(LOTS, PG_INT2, pg_array_int2(p, l->leg));
    COLUMN(LOTS, PG_INT2, pg_array_int2(p, (int64_t)l->kind));
    COLUMN(LOTS, PG_INT4, pg_array_int4(p, l->version));
    COLUMN(LOTS, PG_INT8, pg_array_uint(p, r->seq); (void)l);
    COLUMN(LOTS, PG_INT2, pg_array_int2(p, (int64_t)k); (void)l);
    COLUMN(LOTS, PG_INT8, pg_array_uint(p, l->account));
    COLUMN(LOTS, PG_INT8, pg_array_int8(p, l->change));
    COLUMN(LOTS, PG_INT8, pg_array_int8(p, l->remaining_after));
    COLUMN(LOTS, PG_INT8, put_due(p, l->has_due, l->due_at));
}

void batch_encode_erasures(struct pg_params *p, const struct batch_rows *rows)
{
    const struct journal_batch *b = rows->batch;
#define ERASURES(put) RECORDS(if (r->kind == RECORD_ERASURE && r->related_seq != 0) { put; })
    if (rows->n_erasures == 0) {
        NO_ROWS(PG_INT4, PG_INT8);
        return;
    }
    COLUMN(ERASURES, PG_INT4, pg_array_int4(p, r->ledger));
    COLUMN(ERASURES, PG_INT8, pg_array_uint(p, r->related_seq));
}
