/*
 * What the files of the SQLite backend share: the handle, its statements, reading rows, turning SQLite's
 * codes into ours. Private to journal/sqlite*.c. The schema, its keys and the order in which a record's rows
 * are written are explained in journal/sql/sqlite/0001_journal.sql.
 */
#ifndef CREDITLEDGER_JOURNAL_SQLITE_INTERNAL_H
#define CREDITLEDGER_JOURNAL_SQLITE_INTERNAL_H

#include <sqlite3.h>

#include "journal/digest.h"
#include "journal/journal.h"

/* Bits of the keys: ledger, seq (or account number), leg (or lot of a record). */
#define SEQ_BITS 36
#define LEG_BITS 11
#define SEQ_MAX ((UINT64_C(1) << SEQ_BITS) - 1)
#define LEG_MAX ((UINT64_C(1) << LEG_BITS) - 1)

/* X(NAME, sql): statements prepared on first use and kept. */
#define SQL_TABLE(X) \
    X(BEGIN, "BEGIN") \
    X(BEGIN_IMMEDIATE, "BEGIN IMMEDIATE") \
    X(COMMIT, "COMMIT") \
    X(TOUCH, "SELECT count(*) FROM (SELECT 1 FROM ledger LIMIT 1)") \
    X(LEDGERS, "SELECT id, name, default_floor, created_at FROM ledger ORDER BY id") \
    X(LEDGER, "SELECT id, name, default_floor, created_at FROM ledger WHERE id = ?1") \
    X(ASSETS, "SELECT id, code, scale FROM asset ORDER BY id") \
    X(HEAD, "SELECT record, recorded_at, hash FROM journal WHERE record BETWEEN ?1 AND ?2" \
            " ORDER BY record DESC LIMIT 1") \
    X(LAST_ACCOUNT, \
        "SELECT holder FROM account WHERE holder BETWEEN ?1 AND ?2 ORDER BY holder DESC LIMIT 1") \
    X(ACCOUNT_BY_NUMBER, SQL_ACCOUNT " WHERE a.holder = ?1") \
    X(ACCOUNT_BY_EXTERNAL_ID, SQL_ACCOUNT " WHERE a.ledger = ?1 AND a.external_id = ?2") \
    X(ACCOUNTS, SQL_ACCOUNT " WHERE a.holder BETWEEN ?1 AND ?2 ORDER BY a.holder LIMIT ?3") \
    X(KEY, "SELECT record, request_hash FROM journal WHERE ledger = ?1 AND idempotency_key = ?2") \
    X(LOTS, \
        "SELECT origin, leg, kind, version, account, change, remaining_after, due_at FROM lot l" \
        " WHERE ledger = ?1 AND origin = ?2 AND NOT EXISTS (SELECT 1 FROM lot n WHERE n.ledger = l.ledger" \
        " AND n.origin = l.origin AND n.leg = l.leg AND n.kind = l.kind AND n.version = l.version + 1)" \
        " ORDER BY leg, kind") \
    X(ENTRY_ONE, SQL_ENTRY " WHERE e.ledger = ?1 AND e.account = ?2 AND e.version = ?3") \
    X(ENTRIES_UP, SQL_ENTRY " WHERE e.ledger = ?1 AND e.account = ?2 AND e.version BETWEEN ?3 AND ?4" \
                            " ORDER BY e.version") \
    X(ENTRIES_DOWN, SQL_ENTRY " WHERE e.ledger = ?1 AND e.account = ?2 AND e.version BETWEEN ?3 AND ?4" \
                              " ORDER BY e.version DESC") \
    X(LATE_ENTRIES, SQL_ENTRY " WHERE e.ledger = ?1 AND e.account = ?2 AND e.version BETWEEN ?3 AND ?4" \
                              " AND e.effective_at IS NOT NULL AND e.effective_at >= ?5" \
                              " AND e.effective_at < ?6 AND (e.effective_at, e.version) > (?7, ?8)" \
                              " ORDER BY e.effective_at, e.version") \
    X(RECORDED_AT, "SELECT recorded_at FROM journal WHERE record = ?1") \
    X(INSERT_LEDGER, "INSERT INTO ledger(id, name, default_floor, created_at) VALUES(?1, ?2, ?3, ?4)") \
    X(INSERT_ASSET, "INSERT INTO asset(id, code, scale) VALUES(?1, ?2, ?3)") \
    X(APPENDING, "INSERT INTO appending(ledger) VALUES(?1)") \
    X(ANNOUNCE, "UPDATE appending SET announced = ?1 WHERE ledger = ?2") \
    X(EXAMINE, "UPDATE appending SET examined = announced WHERE ledger = ?1") \
    X(APPENDED, "DELETE FROM appending") \
    X(INSERT_REVISION, \
        "INSERT OR FAIL INTO account_revision(place, account, revision, status, floor, text_seq)" \
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6)") \
    X(INSERT_ACCOUNT, \
        "INSERT OR FAIL INTO account(holder, asset, type, opened_seq, id_high, id_low, external_id)" \
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)") \
    X(INSERT_ENTRY, \
        "INSERT OR FAIL INTO entry(place, account, version, asset, side, revision, floor, posted," \
        " incoming, outgoing, posted_after, incoming_after, outgoing_after, effective_at)" \
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)") \
    X(INSERT_LOT, \
        "INSERT OR FAIL INTO lot(place, origin, leg, kind, version, account, change, remaining_after," \
        " due_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)") \
    X(INSERT_TEXT, "INSERT OR FAIL INTO record_text(record, salt, body) VALUES(?1, ?2, ?3)") \
    X(INSERT_RECORD, \
        "INSERT OR FAIL INTO journal(record, kind, lots, format, refusal, declined_amount, related_seq," \
        " effective_at, recorded_at, id_high, id_low, idempotency_key, request_hash, reference, actor," \
        " trace_id, text_digest, hash)" \
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)")

/* An account with its newest revision and newest entry. */
#define SQL_ACCOUNT \
    "SELECT a.holder, a.id_high, a.id_low, a.asset, a.type, a.external_id, a.opened_seq, r.revision, " \
    "r.status, r.floor," \
    " r.text_seq, e.version, e.place, e.posted_after, e.incoming_after, e.outgoing_after FROM account a" \
    " CROSS JOIN account_revision r ON r.place = (SELECT place FROM account_revision v" \
    " WHERE v.ledger = a.ledger AND v.account = a.number ORDER BY v.revision DESC LIMIT 1)" \
    " CROSS JOIN entry e ON e.place = (SELECT place FROM entry n" \
    " WHERE n.ledger = a.ledger AND n.account = a.number ORDER BY n.version DESC LIMIT 1)"

#define SQL_ENTRY \
    "SELECT e.place, e.account, e.version, e.asset, e.side, e.revision, e.floor, e.posted, e.incoming," \
    " e.outgoing, e.posted_after, e.incoming_after, e.outgoing_after, e.effective_at," \
    " a.id_high, a.id_low, (SELECT j.effective_at FROM journal j WHERE j.record = e.place >> 11) FROM " \
    "entry e" \
    " LEFT JOIN account a ON a.holder = e.place >> 47 << 36 | e.account"

enum sql_id {
#define X(NAME, sql) SQL_##NAME,
    SQL_TABLE(X)
#undef X
        SQL_COUNT
};

/* Ordered statements over the tables of whole records, stepped in parallel (sqlite_record.c). */
struct record_reader {
    sqlite3_stmt *journal, *entry, *revision, *account, *lot;
    bool has_entry, has_revision, has_account, has_lot; /* stands on a row not yet taken */
    bool with_text;
    uint32_t ledger;
    /* Rows of the record being put together. */
    struct entry *entries;
    struct revision_row *revisions;
    struct lot *lots;
    size_t cap_entries, cap_revisions, cap_lots;
};

struct sqlite_journal;

struct journal_scan {
    struct sqlite_journal *s;
    struct record_reader reader;
    struct arena arena;
    bool open;
    uint64_t next_seq, last_seq; /* what is left */
    unsigned in_chunk;           /* records since the statements were last let go */
};

struct sqlite_journal {
    struct journal base;
    sqlite3 *db;
    enum journal_mode mode;
    bool in_snapshot;
    int wal_frames; /* in the WAL after the last commit */
    struct digest *digest;
    sqlite3_stmt *statements[SQL_COUNT];
    struct record_reader reader; /* of single records */
    struct journal_scan scan;
    uint8_t appending[(LIMIT_LEDGERS_MAX + 8) / 8]; /* bit a ledger: has its row in this transaction */
};

/* ---- sqlite.c ---- */
/* Makes the file for its owner alone, if it is not there; whether that failed is for who opens it to find. */
void sqlite_make_private(const char *path);
/* The error that `rc`, just returned by a call on s->db, stands for; the message is "doing: what SQLite
 * says". */
MUST_CHECK int sql_error(struct sqlite_journal *s, int rc, const char *doing, struct err *err);
/* ERR_CORRUPT: `what` ledger/n is damaged. */
MUST_CHECK int sql_damaged(struct err *err, const char *what, uint64_t ledger, uint64_t n);
/* The statement, reset, for binding. */
MUST_CHECK int sql_get(
    struct sqlite_journal *s, enum sql_id id, sqlite3_stmt **ret_statement, struct err *err);
/* 1: a row, 0: the end (the statement is reset), negative: an error (the statement is reset). */
MUST_CHECK int sql_step(struct sqlite_journal *s, sqlite3_stmt *statement, struct err *err);
/* Runs a statement without parameters and rows. */
MUST_CHECK int sql_run(struct sqlite_journal *s, enum sql_id id, struct err *err);
MUST_CHECK int sql_exec(struct sqlite_journal *s, const char *sql, struct err *err);
/* Leaves a transaction, if there is one, undoing it. */
void sql_rollback(struct sqlite_journal *s);
/* So that several reads see one state: begins unless in a snapshot already; *ret_began is for sql_read_end.
 */
MUST_CHECK int sql_read_begin(struct sqlite_journal *s, bool *ret_began, struct err *err);
void sql_read_end(struct sqlite_journal *s, bool began);
/* The first column of the first row. */
MUST_CHECK int sql_int(struct sqlite_journal *s, const char *sql, int64_t *ret_value, struct err *err);

void sql_bind_uint(sqlite3_stmt *statement, int column, uint64_t value);
void sql_bind_str(sqlite3_stmt *statement, int column, struct str s); /* borrows; STR_NONE is NULL */
void sql_bind_bytes(sqlite3_stmt *statement, int column, const void *bytes, size_t len); /* borrows */
void sql_bind_floor(sqlite3_stmt *statement, int column, struct floor floor);
uint64_t sql_uint(sqlite3_stmt *statement, int column);
struct floor sql_floor(sqlite3_stmt *statement, int column);
struct str sql_str(sqlite3_stmt *statement, int column); /* borrows until the next step; NULL is STR_NONE */
/* The UUID whose first 64 and last 18 bits are in two columns, and that carries `counter`. */
void sql_bind_uuid(sqlite3_stmt *statement, int column, struct uuid id);
MUST_CHECK bool sql_uuid(sqlite3_stmt *statement, int column, uint64_t counter, struct uuid *ret_id);
/* False unless the column holds exactly len bytes. */
MUST_CHECK bool sql_bytes(sqlite3_stmt *statement, int column, void *ret_bytes, size_t len);

static inline int64_t record_key(uint32_t ledger, uint64_t seq)
{
    return (int64_t)((uint64_t)(ledger - 1) << SEQ_BITS | seq);
}

static inline int64_t place_key(uint32_t ledger, uint64_t seq, uint64_t n)
{
    return (int64_t)((uint64_t)record_key(ledger, seq) << LEG_BITS | n);
}

static inline uint64_t seq_of_record(int64_t record)
{
    return (uint64_t)record & SEQ_MAX;
}

static inline uint64_t seq_of_place(int64_t place)
{
    return (uint64_t)place >> LEG_BITS & SEQ_MAX;
}

/* ---- sqlite_schema.c ---- */
#define SQLITE_APPLICATION_ID 0x43724c64 /* "CrLd" */

struct sqlite_migration {
    const char *name, *sql;
};
extern const struct sqlite_migration sqlite_migrations[]; /* in order; made from sql/sqlite at build time */
extern const unsigned sqlite_migration_count;

/* Brings the schema up to date if `create`, else demands that it is. */
MUST_CHECK int sqlite_schema_open(
    struct sqlite_journal *s, const struct journal_options *options, struct err *err);
int sqlite_self_check(struct journal *j, journal_note_visit *visit, void *ctx, struct err *err);

/* ---- sqlite_catalog.c, sqlite_read.c, sqlite_record.c, sqlite_append.c, sqlite_backup.c ---- */
int sqlite_ledgers(struct journal *j, journal_ledger_visit *visit, void *ctx, struct err *err);
int sqlite_assets(struct journal *j, journal_asset_visit *visit, void *ctx, struct err *err);
int sqlite_head(struct journal *j, uint32_t ledger, struct ledger_head *ret_head, struct err *err);
int sqlite_accounts_fetch(
    struct journal *j, struct account_want *wants, size_t n, struct arena *arena, struct err *err);
int sqlite_keys_fetch(struct journal *j, struct key_want *wants, size_t n, struct err *err);
int sqlite_lots(struct journal *j, uint32_t ledger, uint64_t origin, struct arena *arena,
    const struct lot **ret_lots, size_t *ret_n, struct err *err);
int sqlite_accounts(struct journal *j, uint32_t ledger, uint64_t after_number, size_t limit,
    journal_account_visit *visit, void *ctx, struct err *err);
int sqlite_entry(struct journal *j, uint32_t ledger, uint64_t account, uint64_t version,
    struct entry *ret_entry, uint64_t *ret_seq, struct err *err);
int sqlite_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    bool descending, journal_entry_visit *visit, void *ctx, struct err *err);
int sqlite_late_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    int64_t from, int64_t to, int64_t after_effective, uint64_t after_version, journal_entry_visit *visit,
    void *ctx, struct err *err);
int sqlite_recorded_at(
    struct journal *j, uint32_t ledger, uint64_t seq, int64_t *ret_instant, struct err *err);

/* A row of SQL_ENTRY; false if it is damaged. */
MUST_CHECK bool sqlite_entry_row(sqlite3_stmt *statement, struct entry *ret_entry);
void sqlite_lot_row(sqlite3_stmt *statement, struct lot *ret_lot); /* columns origin .. due_at from 0 on */

int sqlite_record(struct journal *j, uint32_t ledger, uint64_t seq, bool with_text, struct arena *arena,
    const struct record **ret_record, struct err *err);
int sqlite_scan_open(struct journal *j, uint32_t ledger, uint64_t from_seq, bool with_text,
    struct journal_scan **ret_scan, struct err *err);
int sqlite_scan_next(struct journal_scan *scan, const struct record **ret_record, struct err *err);
void sqlite_scan_close(struct journal_scan *scan);
void record_reader_fini(struct record_reader *reader);

int sqlite_append(struct journal *j, const struct journal_batch *batch, struct err *err);
/* Moves the WAL into the database when it has grown; failure is no error: it is tried again after later
 * commits. */
void sqlite_checkpoint(struct sqlite_journal *s);

int sqlite_backup(
    struct journal *j, const char *path, journal_progress *progress, void *ctx, struct err *err);

#endif
