/*
 * Whole records, and scans of them. A record's rows are in four tables; they are read in blocks of records, with one
 * statement a table, all four sent at once, and put together here. While the records of one block are taken, the next
 * block is on its way.
 *
 * The statements of a block see different moments unless the handle is in a snapshot. That does no harm: records
 * never change, are visible as a whole, and the journal's rows are read first, so what is there of them is there for
 * the others. (A text that was erased in between is read or not.)
 */
#include <stdlib.h>
#include <string.h>

#include "journal/postgres_internal.h"

/* Records in a block: as many as give about BLOCK_ROWS rows, going by the block before. */
#define BLOCK_FIRST 64
#define BLOCK_MAX 512
#define BLOCK_ROWS 4096

enum part { PART_JOURNAL, PART_ENTRY, PART_REVISION, PART_LOT, PART_COUNT };

#define JOURNAL_COLUMNS \
    "SELECT j.seq, j.kind, j.lots, j.format, j.refusal, j.declined_amount, j.related_seq, j.effective_at," \
    " j.recorded_at, j.id_high, j.id_low, j.idempotency_key, j.request_hash, j.reference, j.actor, " \
    "j.trace_id," \
    " j.text_digest, j.hash"
static const struct pg_statement statement_journal = {"scan_journal",
    JOURNAL_COLUMNS ", NULL::bytea, NULL::text FROM creditledger.journal j"
                    " WHERE j.ledger = $1 AND j.seq BETWEEN $2 AND $3 ORDER BY j.seq"};
static const struct pg_statement statement_journal_text = {"scan_journal_text",
    JOURNAL_COLUMNS ", t.salt, t.body FROM creditledger.journal j LEFT JOIN LATERAL (SELECT x.salt, x.body"
                    " FROM creditledger.record_text x WHERE x.ledger = j.ledger AND x.seq = j.seq"
                    " AND j.text_digest IS NOT NULL LIMIT 1) t ON true"
                    " WHERE j.ledger = $1 AND j.seq BETWEEN $2 AND $3 ORDER BY j.seq"};
/* An account's own row comes with its first entry. */
static const struct pg_statement statement_entry = {"scan_entry",
    "SELECT " POSTGRES_ENTRY_COLUMNS ", a.id_high, a.id_low, a.asset, a.type, a.opened_seq, a.external_id"
    " FROM creditledger.entry e LEFT JOIN LATERAL (SELECT b.id_high, b.id_low,"
    " CASE WHEN e.version = 1 THEN b.asset END AS asset, CASE WHEN e.version = 1 THEN b.type END AS type,"
    " CASE WHEN e.version = 1 THEN b.opened_seq END AS opened_seq,"
    " CASE WHEN e.version = 1 THEN b.external_id END AS external_id"
    " FROM creditledger.account b WHERE b.ledger = e.ledger AND b.number = e.account LIMIT 1) a ON true"
    " WHERE e.ledger = $1 AND e.seq BETWEEN $2 AND $3 ORDER BY e.seq, e.leg"};
static const struct pg_statement statement_revision = {"scan_revision",
    "SELECT r.seq, r.leg, r.account, r.revision, r.status, r.floor, r.text_seq FROM "
    "creditledger.account_revision r"
    " WHERE r.ledger = $1 AND r.seq BETWEEN $2 AND $3 ORDER BY r.seq, r.leg"};
static const struct pg_statement statement_lot = {"scan_lot",
    "SELECT " POSTGRES_LOT_COLUMNS ", l.seq, l.place FROM creditledger.lot l"
    " WHERE l.ledger = $1 AND l.seq BETWEEN $2 AND $3 ORDER BY l.seq, l.place"};

/* Columns of the above. */
enum {
    JOURNAL_SEQ = 0,
    ENTRY_ACCOUNT_ID = POSTGRES_ENTRY_COLUMN_COUNT,
    REVISION_SEQ = 0,
    LOT_SEQ = 8,
    LOT_PLACE = 9
};

struct block {
    uint64_t first, last;
    PGresult *results[PART_COUNT];
    int row[PART_COUNT]; /* not yet taken */
};

struct journal_scan {
    struct postgres_journal *p;
    struct arena arena;
    uint32_t ledger;
    bool with_text;
    uint64_t next_seq, last_seq; /* what is left to hand out */
    uint64_t block_records;
    struct block now, ahead;
    bool under_way; /* `ahead` was asked for, its results are still on the wire */
};

/* ---- blocks ---- */

static void block_clear(struct block *b)
{
    for (int i = 0; i < PART_COUNT; i++)
        PQclear(b->results[i]);
    *b = (struct block){0};
}

static const struct pg_statement *part_statement(enum part part, bool with_text)
{
    static const struct pg_statement *const statements[PART_COUNT] = {
        &statement_journal, &statement_entry, &statement_revision, &statement_lot};
    return part == PART_JOURNAL && with_text ? &statement_journal_text : statements[part];
}

/* Sends what asks for a block. On failure nothing is left on the wire. */
static int block_ask(struct postgres_journal *p, struct pg_wire *wire, uint32_t ledger, uint64_t first,
    uint64_t last, bool with_text, struct err *err)
{
    struct pg_params *params = &p->params;
    pg_params_clear(params);
    pg_put_int4(params, ledger);
    pg_put_uint(params, first);
    pg_put_uint(params, last);
    int rc = 0;
    for (enum part i = 0; rc == 0 && i < PART_COUNT; i++)
        rc = pg_prepare(wire, part_statement(i, with_text), params, err);
    if (rc != 0)
        return rc;
    if (!PQenterPipelineMode(wire->pg))
        return pg_error(wire, NULL, "database", err);
    for (enum part i = 0; rc == 0 && i < PART_COUNT; i++)
        rc = pg_send(wire, part_statement(i, with_text), params, err);
    if (rc == 0 && !PQpipelineSync(wire->pg))
        rc = pg_error(wire, NULL, "database", err);
    return rc != 0 ? rc : pg_flush(wire, pg_deadline(wire), err);
}

/* One statement's result and the NULL that ends it. */
static int take_part(struct pg_wire *wire, int64_t deadline_ms, PGresult **ret_result, struct err *err)
{
    PGresult *end = NULL;
    int rc = pg_result(wire, deadline_ms, ret_result, err);
    if (rc == 0)
        rc = pg_result(wire, deadline_ms, &end, err);
    INVARIANT(end == NULL);
    return rc;
}

/* Takes a block's results off the wire, all of them, even if one is an error. */
static int block_take(struct pg_wire *wire, struct block *b, struct err *err)
{
    int64_t deadline_ms = pg_deadline(wire);
    PGresult *sync = NULL, *failure = NULL;
    int rc = 0;
    for (int i = 0; rc == 0 && i < PART_COUNT; i++) {
        rc = take_part(wire, deadline_ms, &b->results[i], err);
        if (rc == 0 && PQresultStatus(b->results[i]) != PGRES_TUPLES_OK && failure == NULL)
            failure = b->results[i];
    }
    if (rc == 0)
        rc = pg_result(wire, deadline_ms, &sync, err);
    if (rc == 0 && (PQresultStatus(sync) != PGRES_PIPELINE_SYNC || !PQexitPipelineMode(wire->pg)))
        rc = pg_error(wire, NULL, "database", err);
    PQclear(sync);
    if (rc == 0 && failure != NULL)
        rc = pg_error(wire, failure, "database", err);
    if (rc != 0)
        block_clear(b);
    return rc;
}

/* ---- a record from its rows ---- */

static int broken(uint32_t ledger, uint64_t seq, const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "record %u/%llu: %s", ledger, (unsigned long long)seq, what);
}

/* How many rows of a part, from where it stands, belong to a record. */
static size_t count_rows(const struct block *b, enum part part, int column, uint64_t seq)
{
    const PGresult *result = b->results[part];
    int row = b->row[part];
    while (row < PQntuples(result) && pg_uint(result, row, column) == seq)
        row++;
    return (size_t)(row - b->row[part]);
}

static int take_entries(struct block *b, struct record *record, struct arena *arena, struct err *err)
{
    const PGresult *result = b->results[PART_ENTRY];
    size_t n = count_rows(b, PART_ENTRY, POSTGRES_ENTRY_SEQ, record->seq);
    struct entry *entries = ARENA_ARRAY(arena, struct entry, n);
    for (size_t i = 0; i < n; i++) {
        int row = b->row[PART_ENTRY]++;
        struct entry *e = &entries[i];
        postgres_entry_row(result, row, e);
        if (!e->backdated)
            e->effective_at = record->effective_at;
        if (!pg_uuid(result, row, ENTRY_ACCOUNT_ID, e->account, &e->account_id))
            return broken(record->ledger, record->seq, "I4: entry of an account that is not there", err);
    }
    record->entries = entries;
    record->n_entries = n;
    return 0;
}

/* The account that an opening opened; its entry is the record's first. */
static int take_account(const struct block *b, struct record *record, struct arena *arena, struct err *err)
{
    const PGresult *result = b->results[PART_ENTRY];
    if (record->kind != RECORD_OPENING || record->n_entries == 0)
        return 0;
    int row = b->row[PART_ENTRY] - (int)record->n_entries, column = ENTRY_ACCOUNT_ID + 2;
    if (pg_is_null(result, row, column))
        return broken(record->ledger, record->seq, "I1: opening without its account", err);
    struct account_row *account = ARENA_NEW(arena, struct account_row);
    *account = (struct account_row){
        .number = record->entries[0].account,
        .id = record->entries[0].account_id,
        .asset = (uint32_t)pg_int(result, row, column),
        .type = (enum account_type)pg_int(result, row, column + 1),
        .opened_seq = pg_uint(result, row, column + 2),
        .external_id = arena_str(arena, pg_str(result, row, column + 3)),
    };
    record->account = account;
    return 0;
}

static int take_revisions(struct block *b, struct record *record, struct arena *arena, struct err *err)
{
    const PGresult *result = b->results[PART_REVISION];
    size_t n = count_rows(b, PART_REVISION, REVISION_SEQ, record->seq);
    struct revision_row *revisions = n == 0 ? NULL : ARENA_ARRAY(arena, struct revision_row, n);
    for (size_t i = 0; i < n; i++) {
        int row = b->row[PART_REVISION]++;
        uint64_t leg = pg_uint(result, row, 1), account = pg_uint(result, row, 2);
        if (leg >= record->n_entries || record->entries[leg].account != account)
            return broken(record->ledger, record->seq, "I1: a revision does not stand with its entry", err);
        revisions[i] = (struct revision_row){
            .account = account,
            .revision = (uint32_t)pg_int(result, row, 3),
            .status = (enum account_status)pg_int(result, row, 4),
            .floor = pg_floor(result, row, 5),
            .text_seq = pg_uint(result, row, 6),
        };
    }
    record->revisions = revisions;
    record->n_revisions = n;
    return 0;
}

static int take_lots(
    struct block *b, struct record *record, uint64_t lots_said, struct arena *arena, struct err *err)
{
    const PGresult *result = b->results[PART_LOT];
    size_t n = count_rows(b, PART_LOT, LOT_SEQ, record->seq);
    struct lot *lots = n == 0 ? NULL : ARENA_ARRAY(arena, struct lot, n);
    for (size_t i = 0; i < n; i++) {
        int row = b->row[PART_LOT]++;
        if (pg_uint(result, row, LOT_PLACE) != i)
            return broken(record->ledger, record->seq, "I1: the places of its lots are not 0, 1, 2 ...", err);
        postgres_lot_row(result, row, &lots[i]);
    }
    if (n != lots_said)
        return broken(record->ledger, record->seq, "I1: it has another number of lots than it says", err);
    record->lots = lots;
    record->n_lots = n;
    return 0;
}

/* Bytes that may be NULL: false if there are some of another length. */
static bool optional_bytes(
    const PGresult *result, int row, int column, bool *ret_present, void *ret_bytes, size_t len)
{
    *ret_present = !pg_is_null(result, row, column);
    return !*ret_present || pg_bytes(result, row, column, ret_bytes, len);
}

static int take_header(const PGresult *result, int row, uint32_t ledger, struct record *record,
    struct arena *arena, struct err *err)
{
    bool has_request_hash;
    *record = (struct record){
        .ledger = ledger,
        .seq = pg_uint(result, row, JOURNAL_SEQ),
        .kind = (enum record_kind)pg_int(result, row, 1),
        .format = (uint32_t)pg_int(result, row, 3),
        .refusal = (uint32_t)pg_int(result, row, 4),
        .declined_amount = pg_int(result, row, 5),
        .related_seq = pg_uint(result, row, 6),
        .effective_at = pg_int(result, row, 7),
        .recorded_at = pg_int(result, row, 8),
        .idempotency_key = arena_str(arena, pg_str(result, row, 11)),
        .reference = arena_str(arena, pg_str(result, row, 13)),
        .actor = arena_str(arena, pg_str(result, row, 14)),
    };
    bool good = pg_uuid(result, row, 9, record->seq, &record->id) &&
                optional_bytes(result, row, 12, &has_request_hash, record->request_hash, HASH_LEN) &&
                optional_bytes(result, row, 15, &record->has_trace, record->trace_id, TRACE_ID_LEN) &&
                optional_bytes(result, row, 16, &record->text.present, record->text.digest, HASH_LEN) &&
                pg_bytes(result, row, 17, record->hash, HASH_LEN) &&
                optional_bytes(result, row, 18, &record->text.readable, record->text.salt, SALT_LEN);
    if (!good)
        return broken(ledger, record->seq, "a column has the wrong length", err);
    record->text.body = arena_str(arena, pg_str(result, row, 19));
    return 0;
}

/* The next record of a block, NULL at its end. */
static int block_next(
    struct block *b, uint32_t ledger, struct arena *arena, const struct record **ret_record, struct err *err)
{
    const PGresult *journal = b->results[PART_JOURNAL], *entries = b->results[PART_ENTRY];
    *ret_record = NULL;
    int row = b->row[PART_JOURNAL];
    if (journal == NULL || row == PQntuples(journal))
        return 0;
    b->row[PART_JOURNAL]++;
    struct record *record = ARENA_NEW(arena, struct record);
    int rc = take_header(journal, row, ledger, record, arena, err);
    if (rc == 0 && b->row[PART_ENTRY] < PQntuples(entries) &&
        pg_uint(entries, b->row[PART_ENTRY], POSTGRES_ENTRY_SEQ) < record->seq)
        rc = broken(ledger, record->seq, "I1: rows of a record before it that is not there", err);
    if (rc == 0)
        rc = take_entries(b, record, arena, err);
    if (rc == 0)
        rc = take_account(b, record, arena, err);
    if (rc == 0)
        rc = take_revisions(b, record, arena, err);
    if (rc == 0)
        rc = take_lots(b, record, pg_uint(journal, row, 2), arena, err);
    if (rc == 0)
        *ret_record = record;
    return rc;
}

int postgres_record(struct journal *j, uint32_t ledger, uint64_t seq, bool with_text, struct arena *arena,
    const struct record **ret_record, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    const struct record *record = NULL;
    struct block block = {0};
    struct pg_wire *wire;
    int rc = 0;
    if (ledger >= 1 && ledger <= LIMIT_LEDGERS_MAX && seq >= 1 && seq <= POSTGRES_SEQ_MAX) {
        rc = postgres_reading(p, &wire, err);
        if (rc == 0)
            rc = block_ask(p, wire, ledger, seq, seq, with_text, err);
        if (rc == 0)
            rc = block_take(wire, &block, err);
        if (rc == 0)
            rc = block_next(&block, ledger, arena, &record, err);
        block_clear(&block);
    }
    if (rc == 0 && record == NULL)
        rc = err_set(err, ERR_NOT_FOUND, "no record %u/%llu", ledger, (unsigned long long)seq);
    if (rc == 0)
        *ret_record = record;
    return rc;
}

/* ---- scan ---- */

int postgres_scan_open(struct journal *j, uint32_t ledger, uint64_t from_seq, bool with_text,
    struct journal_scan **ret_scan, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct ledger_head head;
    INVARIANT(p->scan == NULL);
    int rc = postgres_head(j, ledger, &head, err);
    if (rc != 0)
        return rc;
    struct journal_scan *scan = calloc(1, sizeof *scan);
    INVARIANT(scan != NULL);
    *scan = (struct journal_scan){.p = p,
        .ledger = ledger,
        .with_text = with_text,
        .next_seq = from_seq < 1 ? 1 : from_seq,
        .last_seq = head.seq,
        .block_records = BLOCK_FIRST};
    arena_init(&scan->arena, 16384);
    p->scan = scan;
    *ret_scan = scan;
    return 0;
}

int postgres_scan_settle(struct journal_scan *scan, struct err *err)
{
    if (!scan->under_way)
        return 0;
    scan->under_way = false;
    if (scan->p->read.pg == NULL) { /* what was on the wire went with it */
        block_clear(&scan->ahead);
        return 0;
    }
    return block_take(&scan->p->read, &scan->ahead, err);
}

/* Asks for the block from `first` on; it goes to `ahead`. */
static int ask_ahead(struct journal_scan *scan, uint64_t first, struct err *err)
{
    uint64_t left = scan->last_seq - first + 1;
    scan->ahead.first = first;
    scan->ahead.last = first + (left < scan->block_records ? left : scan->block_records) - 1;
    int rc = pg_ready(&scan->p->read, err);
    if (rc == 0)
        rc = block_ask(scan->p, &scan->p->read, scan->ledger, first, scan->ahead.last, scan->with_text, err);
    scan->under_way = rc == 0;
    if (rc != 0)
        block_clear(&scan->ahead);
    return rc;
}

static void fit_block(struct journal_scan *scan)
{
    uint64_t records = scan->now.last - scan->now.first + 1, rows = 1;
    for (int i = 0; i < PART_COUNT; i++)
        rows += (uint64_t)PQntuples(scan->now.results[i]);
    uint64_t fit = records * BLOCK_ROWS / rows;
    scan->block_records = fit < 1 ? 1 : fit > BLOCK_MAX ? BLOCK_MAX : fit;
}

/* `now` is used up: takes the block ahead, and asks for the one after it. */
static int next_block(struct journal_scan *scan, struct err *err)
{
    block_clear(&scan->now);
    int rc = postgres_scan_settle(scan, err);
    if (rc == 0 && scan->ahead.results[PART_JOURNAL] == NULL) {
        rc = ask_ahead(scan, scan->next_seq, err);
        if (rc == 0)
            rc = postgres_scan_settle(scan, err);
    }
    if (rc != 0)
        return rc;
    scan->now = scan->ahead;
    scan->ahead = (struct block){0};
    INVARIANT(scan->now.first == scan->next_seq);
    fit_block(scan);
    return scan->now.last < scan->last_seq ? ask_ahead(scan, scan->now.last + 1, err) : 0;
}

int postgres_scan_next(struct journal_scan *scan, const struct record **ret_record, struct err *err)
{
    arena_reset(&scan->arena);
    *ret_record = NULL;
    if (scan->next_seq > scan->last_seq)
        return 0;
    int rc = 0;
    if (scan->now.results[PART_JOURNAL] == NULL || scan->next_seq > scan->now.last)
        rc = next_block(scan, err);
    if (rc == 0)
        rc = block_next(&scan->now, scan->ledger, &scan->arena, ret_record, err);
    if (rc == 0 && (*ret_record == NULL || (*ret_record)->seq != scan->next_seq))
        rc = broken(scan->ledger, scan->next_seq, "I1: the record is missing", err);
    if (rc != 0) { /* from here again, if it is asked for again */
        *ret_record = NULL;
        (void)postgres_scan_settle(scan, NULL);
        block_clear(&scan->now);
        block_clear(&scan->ahead);
        return rc;
    }
    scan->next_seq++;
    return 0;
}

void postgres_scan_close(struct journal_scan *scan)
{
    struct postgres_journal *p = scan->p;
    INVARIANT(p->scan == scan);
    (void)postgres_scan_settle(scan, NULL);
    block_clear(&scan->now);
    block_clear(&scan->ahead);
    arena_fini(&scan->arena);
    free(scan);
    p->scan = NULL;
}
