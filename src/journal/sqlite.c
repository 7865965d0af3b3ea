/* The SQLite backend: opening, closing, statements and errors. */
#include "journal/sqlite_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CACHE_WRITER_DEFAULT ((size_t)64 << 20)
#define CACHE_READER_DEFAULT ((size_t)8 << 20)
#define BUSY_TIMEOUT_DEFAULT_MS 5000
/* What the WAL file is cut back to after it has been moved into the database. */
#define WAL_KEEP_BYTES (128 << 20)

static const char *const sql_text[SQL_COUNT] = {
#define X(NAME, sql) [SQL_##NAME] = sql,
    SQL_TABLE(X)
#undef X
};

/* ---- errors ---- */

static int code_of(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return ERR_CONFLICT;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:
        return ERR_CORRUPT;
    default:
        return sqlite3_system_errno(db) == ENOSPC || sqlite3_system_errno(db) == EDQUOT ? ERR_FULL : ERR_IO;
    }
}

int sql_error(struct sqlite_journal *s, int rc, const char *doing, struct err *err)
{
    int code = code_of(s->db, rc);
    if (code == ERR_CONFLICT) /* the message of a trigger starts with the invariant's number */
        return err_set(err, code, "%s", sqlite3_errmsg(s->db));
    return err_set(err, code, "%s: %s", doing, sqlite3_errmsg(s->db));
}

int sql_damaged(struct err *err, const char *what, uint64_t ledger, uint64_t n)
{
    return err_set(
        err, ERR_CORRUPT, "%s %llu/%llu is damaged", what, (unsigned long long)ledger, (unsigned long long)n);
}

/* ---- statements ---- */

int sql_get(struct sqlite_journal *s, enum sql_id id, sqlite3_stmt **ret_statement, struct err *err)
{
    sqlite3_stmt *statement = s->statements[id];
    if (statement == NULL) {
        int rc = sqlite3_prepare_v3(s->db, sql_text[id], -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
        if (rc != SQLITE_OK)
            return sql_error(s, rc, "prepare", err);
        s->statements[id] = statement;
    }
    INVARIANT_F(!sqlite3_stmt_busy(statement), "%s", sql_text[id]);
    *ret_statement = statement;
    return 0;
}

int sql_step(struct sqlite_journal *s, sqlite3_stmt *statement, struct err *err)
{
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(statement);
        return 0;
    }
    int code = sql_error(s, rc, "database", err);
    sqlite3_reset(statement);
    return code;
}

int sql_run(struct sqlite_journal *s, enum sql_id id, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = sql_get(s, id, &statement, err);
    if (rc != 0)
        return rc;
    rc = sql_step(s, statement, err);
    INVARIANT(rc <= 0);
    return rc;
}

int sql_exec(struct sqlite_journal *s, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sql_error(s, rc, "database", err);
}

void sql_rollback(struct sqlite_journal *s)
{
    if (!sqlite3_get_autocommit(s->db)) /* SQLite has rolled back by itself after some errors */
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    INVARIANT(sqlite3_get_autocommit(s->db));
}

int sql_read_begin(struct sqlite_journal *s, bool *ret_began, struct err *err)
{
    *ret_began = sqlite3_get_autocommit(s->db) != 0;
    return *ret_began ? sql_run(s, SQL_BEGIN, err) : 0;
}

void sql_read_end(struct sqlite_journal *s, bool began)
{
    if (began && sql_run(s, SQL_COMMIT, NULL) != 0)
        sql_rollback(s);
}

int sql_int(struct sqlite_journal *s, const char *sql, int64_t *ret_value, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    if (rc != SQLITE_OK)
        return sql_error(s, rc, "database", err);
    rc = sql_step(s, statement, err);
    if (rc > 0)
        *ret_value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc > 0 ? 0 : rc == 0 ? err_set(err, ERR_CORRUPT, "database: no answer to \"%s\"", sql) : rc;
}

/* ---- values ---- */

void sql_bind_uint(sqlite3_stmt *statement, int column, uint64_t value)
{
    sqlite3_bind_int64(statement, column, (sqlite3_int64)value);
}

void sql_bind_str(sqlite3_stmt *statement, int column, struct str s)
{
    if (s.data == NULL)
        sqlite3_bind_null(statement, column);
    else
        sqlite3_bind_text(statement, column, s.data, (int)s.len, SQLITE_STATIC);
}

void sql_bind_bytes(sqlite3_stmt *statement, int column, const void *bytes, size_t len)
{
    if (bytes == NULL)
        sqlite3_bind_null(statement, column);
    else
        sqlite3_bind_blob(statement, column, bytes, (int)len, SQLITE_STATIC);
}

void sql_bind_floor(sqlite3_stmt *statement, int column, struct floor floor)
{
    if (floor.present)
        sqlite3_bind_int64(statement, column, floor.minor);
    else
        sqlite3_bind_null(statement, column);
}

uint64_t sql_uint(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

struct floor sql_floor(sqlite3_stmt *statement, int column)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return (struct floor){false, 0};
    return (struct floor){true, sqlite3_column_int64(statement, column)};
}

struct str sql_str(sqlite3_stmt *statement, int column)
{
    const void *text = sqlite3_column_text(statement, column);
    if (text == NULL)
        return STR_NONE;
    return (struct str){text, (size_t)sqlite3_column_bytes(statement, column)};
}

void sql_bind_uuid(sqlite3_stmt *statement, int column, struct uuid id)
{
    sql_bind_uint(statement, column, uuid_high(id));
    sql_bind_uint(statement, column + 1, uuid_low(id));
}

bool sql_uuid(sqlite3_stmt *statement, int column, uint64_t counter, struct uuid *ret_id)
{
    *ret_id = uuid_around(counter, sql_uint(statement, column), (uint32_t)sql_uint(statement, column + 1));
    return sqlite3_column_type(statement, column) != SQLITE_NULL;
}

bool sql_bytes(sqlite3_stmt *statement, int column, void *ret_bytes, size_t len)
{
    const void *bytes = sqlite3_column_blob(statement, column);
    if (bytes == NULL || (size_t)sqlite3_column_bytes(statement, column) != len)
        return false;
    memcpy(ret_bytes, bytes, len);
    return true;
}

/* SQLite's own count of its memory takes a lock at every allocation; nobody reads it. */
static void configure_library(void)
{
    (void)sqlite3_config(
        SQLITE_CONFIG_MEMSTATUS, 0); /* refused if SQLite runs already: then it stays as it is */
}

/* ---- open and close ---- */

static void sqlite_close(struct journal *j)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    if (s->scan.open)
        sqlite_scan_close(&s->scan);
    record_reader_fini(&s->scan.reader);
    record_reader_fini(&s->reader);
    arena_fini(&s->scan.arena);
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    int rc = sqlite3_close(s->db);
    INVARIANT_F(rc == SQLITE_OK, "sqlite3_close: %d", rc);
    digest_free(s->digest);
    free(s);
}

static int snapshot_begin(struct journal *j, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    INVARIANT(!s->in_snapshot && sqlite3_get_autocommit(s->db));
    sqlite3_stmt *touch;
    int rc = sql_run(s, SQL_BEGIN, err);
    if (rc != 0)
        return rc;
    rc = sql_get(s, SQL_TOUCH, &touch, err); /* BEGIN alone does not choose the state yet */
    if (rc == 0)
        rc = sql_step(s, touch, err);
    if (rc < 0) {
        sql_rollback(s);
        return rc;
    }
    sqlite3_reset(touch);
    s->in_snapshot = true;
    return 0;
}

static void snapshot_end(struct journal *j)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    INVARIANT(s->in_snapshot);
    s->in_snapshot = false;
    sql_rollback(s);
}

static const struct journal_ops sqlite_ops = {
    .close = sqlite_close,
    .ledgers = sqlite_ledgers,
    .assets = sqlite_assets,
    .head = sqlite_head,
    .accounts_fetch = sqlite_accounts_fetch,
    .keys_fetch = sqlite_keys_fetch,
    .record = sqlite_record,
    .lots = sqlite_lots,
    .snapshot_begin = snapshot_begin,
    .snapshot_end = snapshot_end,
    .accounts = sqlite_accounts,
    .entry = sqlite_entry,
    .entries = sqlite_entries,
    .late_entries = sqlite_late_entries,
    .recorded_at = sqlite_recorded_at,
    .scan_open = sqlite_scan_open,
    .scan_next = sqlite_scan_next,
    .scan_close = sqlite_scan_close,
    .self_check = sqlite_self_check,
    .backup = sqlite_backup,
    .append = sqlite_append,
};

static int note_wal_frames(void *ctx, sqlite3 *db, const char *name, int frames)
{
    struct sqlite_journal *s = ctx;
    (void)db, (void)name;
    s->wal_frames = frames;
    return SQLITE_OK; /* another answer would make a commit that is durable look failed */
}

/* SQLite would make it readable for everybody; its companions (WAL, shared memory) get the mode of the file.
 * Only a file that is not there is opened: to close any other would let go of the locks that this process
 * holds on it. */
void sqlite_make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

static int open_file(
    struct sqlite_journal *s, const char *path, const struct journal_options *options, struct err *err)
{
    if (options->vfs == NULL && !options->create && access(path, F_OK) != 0)
        return err_set(err, ERR_NOT_FOUND, "%s: %s", path, strerror(errno));
    if (options->vfs == NULL && options->create)
        sqlite_make_private(path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (options->create ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(path, &s->db, flags, options->vfs);
    if (s->db == NULL)
        return err_set(err, ERR_IO, "%s: out of memory", path);
    sqlite3_extended_result_codes(s->db, 1);
    if (rc != SQLITE_OK)
        return sql_error(s, rc, path, err);
    sqlite3_busy_timeout(
        s->db, options->busy_timeout_ms ? options->busy_timeout_ms : BUSY_TIMEOUT_DEFAULT_MS);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return 0;
}

/* What holds for this connection only. `foreign_keys` is what keeps parts without a seal from being
 * committed. */
static int set_pragmas(struct sqlite_journal *s, const struct journal_options *options, struct err *err)
{
    size_t cache = options->cache_bytes       ? options->cache_bytes
                   : s->mode == JOURNAL_WRITE ? CACHE_WRITER_DEFAULT
                                              : CACHE_READER_DEFAULT;
    char sql[512];
    snprintf(sql, sizeof sql,
        "PRAGMA synchronous = %s; PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON;"
        "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -%zu;"
        "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = %d; PRAGMA query_only = %s;",
        options->unsafe_no_sync ? "OFF" : "FULL", cache / 1024, WAL_KEEP_BYTES,
        s->mode == JOURNAL_READ ? "ON" : "OFF");
    int rc = sql_exec(s, sql, err);
    if (rc == 0)
        sqlite3_wal_hook(s->db, note_wal_frames, s);
    return rc;
}

int journal_sqlite_open(
    const char *path, const struct journal_options *options, struct journal **ret_journal, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_library);
    struct sqlite_journal *s = calloc(1, sizeof *s);
    INVARIANT(s != NULL);
    s->base.ops = &sqlite_ops;
    s->mode = options->mode;
    s->digest = digest_new();
    s->scan.s = s;
    arena_init(&s->scan.arena, 16384);
    int rc = open_file(s, path, options, err);
    if (rc == 0)
        rc = sqlite_schema_open(s, options, err);
    if (rc == 0)
        rc = set_pragmas(s, options, err);
    if (rc != 0) {
        sqlite_close(&s->base);
        return rc;
    }
    *ret_journal = &s->base;
    return 0;
}
