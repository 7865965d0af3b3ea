/*
 * Whole records: one ordered statement a table, all standing at the same record, so that a scan costs one
 * step a row and no query a record. The account of an opening is found by the number that its entry names;
 * openings being in the order of numbers, that statement walks along too.
 */
#include <stdlib.h>
#include <string.h>

#include "journal/sqlite_internal.h"

/* After so many records a scan lets its statements go and takes them up again, unless its handle holds a
 * snapshot: a reader that stays keeps the WAL from being reused. */
#define SCAN_CHUNK 4096

static const char sql_records[] =
    "SELECT j.record, j.kind, j.lots, j.format, j.refusal, j.declined_amount, j.related_seq, j.effective_at,"
    " j.recorded_at, j.id_high, j.id_low, j.idempotency_key, j.request_hash, j.reference, j.actor, "
    "j.trace_id, "
    "j.text_digest, j.hash,"
    " CASE WHEN ?3 THEN (SELECT salt FROM record_text t WHERE t.record = j.record) END,"
    " CASE WHEN ?3 THEN (SELECT body FROM record_text t WHERE t.record = j.record) END"
    " FROM journal j WHERE j.record BETWEEN ?1 AND ?2 ORDER BY j.record";
static const char sql_entries[] =
    "SELECT e.place, e.account, e.version, e.asset, e.side, e.revision, e.floor, e.posted, e.incoming,"
    " e.outgoing, e.posted_after, e.incoming_after, e.outgoing_after, e.effective_at,"
    " a.id_high, a.id_low, NULL FROM entry e LEFT JOIN account a ON a.holder = e.place >> 47 << 36 | "
    "e.account"
    " WHERE e.place BETWEEN ?1 AND ?2 ORDER BY e.place";
static const char sql_revisions[] =
    "SELECT account, revision, status, floor, text_seq, place FROM account_revision"
    " WHERE place BETWEEN ?1 AND ?2 ORDER BY place";
static const char sql_accounts[] =
    "SELECT holder, id_high, id_low, asset, type, external_id, opened_seq FROM account"
    " WHERE holder BETWEEN ?1 AND ?2 ORDER BY holder";
static const char sql_lots[] =
    "SELECT origin, leg, kind, version, account, change, remaining_after, due_at, place"
    " FROM lot WHERE place BETWEEN ?1 AND ?2 ORDER BY place";

/* Columns of the above. */
enum { JOURNAL_LOTS = 2, ENTRY_PLACE = 0, REVISION_PLACE = 5, LOT_PLACE = 8 };

static int prepare(struct sqlite_journal *s, const char *sql, sqlite3_stmt **statement, struct err *err)
{
    if (*statement != NULL)
        return 0;
    int rc = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    return rc == SQLITE_OK ? 0 : sql_error(s, rc, "prepare", err);
}

static void reader_reset(struct record_reader *r)
{
    sqlite3_stmt *all[] = {r->journal, r->entry, r->revision, r->account, r->lot};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        sqlite3_reset(all[i]); /* NULL is fine */
    r->has_entry = r->has_revision = r->has_account = r->has_lot = false;
}

void record_reader_fini(struct record_reader *r)
{
    sqlite3_stmt *all[] = {r->journal, r->entry, r->revision, r->account, r->lot};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        sqlite3_finalize(all[i]);
    free(r->entries);
    free(r->revisions);
    free(r->lots);
    *r = (struct record_reader){0};
}

static int step_to(struct sqlite_journal *s, sqlite3_stmt *statement, bool *ret_has, struct err *err)
{
    int rc = sql_step(s, statement, err);
    *ret_has = rc > 0;
    return rc < 0 ? rc : 0;
}

static int start_range(struct sqlite_journal *s, sqlite3_stmt *statement, int64_t first, int64_t last,
    bool *ret_has, struct err *err)
{
    sqlite3_bind_int64(statement, 1, first);
    sqlite3_bind_int64(statement, 2, last);
    return step_to(s, statement, ret_has, err);
}

/* Stands before record `first`. */
static int reader_start(struct sqlite_journal *s, struct record_reader *r, uint32_t ledger, uint64_t first,
    uint64_t last, bool with_text, struct err *err)
{
    reader_reset(r);
    r->ledger = ledger;
    r->with_text = with_text;
    int rc = prepare(s, sql_records, &r->journal, err);
    if (rc == 0)
        rc = prepare(s, sql_entries, &r->entry, err);
    if (rc == 0)
        rc = prepare(s, sql_revisions, &r->revision, err);
    if (rc == 0)
        rc = prepare(s, sql_accounts, &r->account, err);
    if (rc == 0)
        rc = prepare(s, sql_lots, &r->lot, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(r->journal, 1, record_key(ledger, first));
    sqlite3_bind_int64(r->journal, 2, record_key(ledger, last));
    sqlite3_bind_int(r->journal, 3, with_text);
    int64_t from = place_key(ledger, first, 0), to = place_key(ledger, last, LEG_MAX);
    rc = start_range(s, r->entry, from, to, &r->has_entry, err);
    if (rc == 0)
        rc = start_range(s, r->revision, from, to, &r->has_revision, err);
    if (rc == 0)
        rc = start_range(s, r->lot, from, to, &r->has_lot, err);
    return rc;
}

/* Room for one more. */
static void *grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? 2 * *cap : 16;
    items = realloc(items, *cap * size);
    INVARIANT(items != NULL);
    return items;
}

static int broken(const struct record_reader *r, uint64_t seq, const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "record %u/%llu: %s", r->ledger, (unsigned long long)seq, what);
}

static bool belongs(sqlite3_stmt *statement, int column, uint64_t seq)
{
    return seq_of_place(sqlite3_column_int64(statement, column)) == seq;
}

static int take_entries(struct sqlite_journal *s, struct record_reader *r, struct record *record,
    struct arena *arena, struct err *err)
{
    size_t n = 0;
    int rc = 0;
    while (rc == 0 && r->has_entry && belongs(r->entry, ENTRY_PLACE, record->seq)) {
        r->entries = grow(r->entries, n, &r->cap_entries, sizeof *r->entries);
        struct entry *entry = &r->entries[n++];
        if (!sqlite_entry_row(r->entry, entry))
            return broken(r, record->seq, "I4: entry of an account that is not there", err);
        if (!entry->backdated)
            entry->effective_at = record->effective_at;
        rc = step_to(s, r->entry, &r->has_entry, err);
    }
    record->entries = arena_copy(arena, r->entries, n * sizeof *r->entries);
    record->n_entries = n;
    return rc;
}

static int take_revisions(struct sqlite_journal *s, struct record_reader *r, struct record *record,
    struct arena *arena, struct err *err)
{
    size_t n = 0;
    int rc = 0;
    while (rc == 0 && r->has_revision && belongs(r->revision, REVISION_PLACE, record->seq)) {
        r->revisions = grow(r->revisions, n, &r->cap_revisions, sizeof *r->revisions);
        uint64_t leg = sql_uint(r->revision, REVISION_PLACE) & LEG_MAX;
        if (leg >= record->n_entries || record->entries[leg].account != sql_uint(r->revision, 0))
            return broken(r, record->seq, "I1: a revision does not stand with its entry", err);
        r->revisions[n++] = (struct revision_row){
            .account = sql_uint(r->revision, 0),
            .revision = (uint32_t)sqlite3_column_int64(r->revision, 1),
            .status = (enum account_status)sqlite3_column_int(r->revision, 2),
            .floor = sql_floor(r->revision, 3),
            .text_seq = sql_uint(r->revision, 4),
        };
        rc = step_to(s, r->revision, &r->has_revision, err);
    }
    record->revisions = n == 0 ? NULL : arena_copy(arena, r->revisions, n * sizeof *r->revisions);
    record->n_revisions = n;
    return rc;
}

static int take_lots(struct sqlite_journal *s, struct record_reader *r, struct record *record,
    struct arena *arena, struct err *err)
{
    size_t n = 0;
    int rc = 0;
    while (rc == 0 && r->has_lot && belongs(r->lot, LOT_PLACE, record->seq)) {
        r->lots = grow(r->lots, n, &r->cap_lots, sizeof *r->lots);
        if ((sql_uint(r->lot, LOT_PLACE) & LEG_MAX) != n)
            return broken(r, record->seq, "I1: the places of its lots are not 0, 1, 2 ...", err);
        sqlite_lot_row(r->lot, &r->lots[n++]);
        rc = step_to(s, r->lot, &r->has_lot, err);
    }
    if (rc == 0 && (int64_t)n != sqlite3_column_int64(r->journal, JOURNAL_LOTS))
        return broken(r, record->seq, "I1: it has another number of lots than it says", err);
    record->lots = n == 0 ? NULL : arena_copy(arena, r->lots, n * sizeof *r->lots);
    record->n_lots = n;
    return rc;
}

static int take_account(struct sqlite_journal *s, struct record_reader *r, struct record *record,
    struct arena *arena, struct err *err)
{
    if (record->kind != RECORD_OPENING || record->n_entries == 0)
        return 0;
    int64_t holder = record_key(r->ledger, record->entries[0].account);
    int rc = 0;
    if (r->has_account)
        rc = step_to(s, r->account, &r->has_account, err);
    if (rc == 0 && (!r->has_account || sqlite3_column_int64(r->account, 0) != holder)) {
        sqlite3_reset(r->account);
        rc = start_range(s, r->account, holder, record_key(r->ledger, SEQ_MAX), &r->has_account, err);
    }
    if (rc != 0)
        return rc;
    struct account_row *row = ARENA_NEW(arena, struct account_row);
    *row = (struct account_row){
        .number = record->entries[0].account,
        .asset = (uint32_t)sqlite3_column_int64(r->account, 3),
        .type = (enum account_type)sqlite3_column_int(r->account, 4),
        .external_id = arena_str(arena, sql_str(r->account, 5)),
        .opened_seq = sql_uint(r->account, 6),
    };
    if (!r->has_account || sqlite3_column_int64(r->account, 0) != holder ||
        !sql_uuid(r->account, 1, row->number, &row->id))
        return broken(r, record->seq, "I1: opening without its account", err);
    record->account = row;
    return 0;
}

/* Blobs that may be NULL: false if there is one of another length. */
static bool optional_bytes(
    sqlite3_stmt *statement, int column, bool *ret_present, void *ret_bytes, size_t len)
{
    *ret_present = sqlite3_column_type(statement, column) != SQLITE_NULL;
    return !*ret_present || sql_bytes(statement, column, ret_bytes, len);
}

static int take_header(struct record_reader *r, struct record *record, struct arena *arena, struct err *err)
{
    sqlite3_stmt *st = r->journal;
    bool has_request_hash;
    *record = (struct record){
        .ledger = r->ledger,
        .seq = seq_of_record(sqlite3_column_int64(st, 0)),
        .kind = (enum record_kind)sqlite3_column_int(st, 1),
        .format = (uint32_t)sqlite3_column_int64(st, 3),
        .refusal = (uint32_t)sqlite3_column_int64(st, 4),
        .declined_amount = sqlite3_column_int64(st, 5),
        .related_seq = sql_uint(st, 6),
        .effective_at = sqlite3_column_int64(st, 7),
        .recorded_at = sqlite3_column_int64(st, 8),
        .idempotency_key = arena_str(arena, sql_str(st, 11)),
        .reference = arena_str(arena, sql_str(st, 13)),
        .actor = arena_str(arena, sql_str(st, 14)),
    };
    bool good = sql_uuid(st, 9, record->seq, &record->id) &&
                optional_bytes(st, 12, &has_request_hash, record->request_hash, HASH_LEN) &&
                optional_bytes(st, 15, &record->has_trace, record->trace_id, TRACE_ID_LEN) &&
                optional_bytes(st, 16, &record->text.present, record->text.digest, HASH_LEN) &&
                sql_bytes(st, 17, record->hash, HASH_LEN) &&
                optional_bytes(st, 18, &record->text.readable, record->text.salt, SALT_LEN);
    if (!good)
        return broken(r, record->seq, "a column has the wrong length", err);
    record->text.body = arena_str(arena, sql_str(st, 19));
    return 0;
}

/* The next record, NULL at the end. */
static int reader_next(struct sqlite_journal *s, struct record_reader *r, struct arena *arena,
    const struct record **ret_record, struct err *err)
{
    *ret_record = NULL;
    int rc = sql_step(s, r->journal, err);
    if (rc <= 0)
        return rc;
    struct record *record = ARENA_NEW(arena, struct record);
    rc = take_header(r, record, arena, err);
    if (rc == 0 && r->has_entry && seq_of_place(sqlite3_column_int64(r->entry, ENTRY_PLACE)) < record->seq)
        rc = broken(r, record->seq, "I1: rows of a record before it that is not there", err);
    if (rc == 0)
        rc = take_entries(s, r, record, arena, err);
    if (rc == 0)
        rc = take_revisions(s, r, record, arena, err);
    if (rc == 0)
        rc = take_lots(s, r, record, arena, err);
    if (rc == 0)
        rc = take_account(s, r, record, arena, err);
    if (rc == 0)
        *ret_record = record;
    return rc;
}

int sqlite_record(struct journal *j, uint32_t ledger, uint64_t seq, bool with_text, struct arena *arena,
    const struct record **ret_record, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    const struct record *record = NULL;
    bool began = false;
    int rc = 0;
    if (ledger >= 1 && ledger <= LIMIT_LEDGERS_MAX && seq >= 1 && seq <= SEQ_MAX) {
        rc = sql_read_begin(s, &began, err);
        if (rc == 0)
            rc = reader_start(s, &s->reader, ledger, seq, seq, with_text, err);
        if (rc == 0)
            rc = reader_next(s, &s->reader, arena, &record, err);
        reader_reset(&s->reader);
        sql_read_end(s, began);
    }
    if (rc == 0 && record == NULL)
        rc = err_set(err, ERR_NOT_FOUND, "no record %u/%llu", ledger, (unsigned long long)seq);
    if (rc == 0)
        *ret_record = record;
    return rc;
}

/* ---- scan ---- */

int sqlite_scan_open(struct journal *j, uint32_t ledger, uint64_t from_seq, bool with_text,
    struct journal_scan **ret_scan, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    struct journal_scan *scan = &s->scan;
    struct ledger_head head;
    INVARIANT(!scan->open);
    int rc = sqlite_head(j, ledger, &head, err);
    if (rc != 0)
        return rc;
    scan->next_seq = from_seq < 1 ? 1 : from_seq;
    scan->last_seq = head.seq;
    scan->in_chunk = 0;
    scan->reader.ledger = ledger;
    scan->reader.with_text = with_text;
    scan->open = true;
    *ret_scan = scan;
    return 0;
}

int sqlite_scan_next(struct journal_scan *scan, const struct record **ret_record, struct err *err)
{
    struct sqlite_journal *s = scan->s;
    struct record_reader *r = &scan->reader;
    INVARIANT(scan->open);
    arena_reset(&scan->arena);
    *ret_record = NULL;
    int rc = 0;
    if (scan->in_chunk == SCAN_CHUNK && !s->in_snapshot)
        scan->in_chunk = 0;
    if (scan->next_seq > scan->last_seq) {
        reader_reset(r);
        return 0;
    }
    if (scan->in_chunk == 0)
        rc = reader_start(s, r, r->ledger, scan->next_seq, scan->last_seq, r->with_text, err);
    if (rc == 0)
        rc = reader_next(s, r, &scan->arena, ret_record, err);
    if (rc == 0 && (*ret_record == NULL || (*ret_record)->seq != scan->next_seq))
        rc = broken(r, scan->next_seq, "I1: the record is missing", err);
    if (rc != 0) {
        *ret_record = NULL;
        reader_reset(r);
        scan->in_chunk = 0;
        return rc;
    }
    scan->next_seq++;
    if (scan->in_chunk < SCAN_CHUNK)
        scan->in_chunk++;
    return 0;
}

void sqlite_scan_close(struct journal_scan *scan)
{
    INVARIANT(scan->open);
    reader_reset(&scan->reader);
    scan->open = false;
}
