/*
 * The driver over SQLite: a file for the control part and one for each other part, so that a write lock is one part's. WAL,
 * so that readers and the writer do not meet. A part other than the control part can be made again from its source, so
 * its commits are not waited for by the disk: a crash of the machine may take the last of them, together with the
 * position that they reached, and never part of one. What is deleted is overwritten (secure_delete), also on pages that
 * become free, for it may have been erased: filling a read model takes a twentieth longer for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/db_internal.h"

#define WAL_WAIT_MS 40
#define CACHE_WRITER_BYTES (64 << 20)
#define CACHE_READER_BYTES (8 << 20)
#define MMAP_BYTES (256 << 20)
/* The WAL goes to the file when it has so many pages: larger than the default, for less is written twice. */
#define CHECKPOINT_PAGES 8000
#define WAL_KEEP_BYTES (64 << 20)
#define SCRUB_WAIT_MS 100
#define PATH_SIZE 4200

struct db_sqlite {
    struct db db;
    sqlite3 *file;
    struct db_value *rows; /* scratch */
    size_t cap_rows;
};

static struct db_sqlite *inside(struct db *db)
{
    return (struct db_sqlite *)db;
}

/* ---- errors ---- */

static int code_of(sqlite3 *file, int rc)
{
    if (rc == SQLITE_READONLY_DBMOVED) /* somebody dropped the part */
        return ERR_NOT_FOUND;
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
        return ERR_CORRUPT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_CONFIG;
    case SQLITE_ERROR:
        return strncmp(sqlite3_errmsg(file), "no such table", 13) == 0 ? ERR_NOT_FOUND : ERR_CONFIG;
    default:
        return sqlite3_system_errno(file) == ENOSPC || sqlite3_system_errno(file) == EDQUOT ? ERR_FULL
                                                                                            : ERR_IO;
    }
}

static int failed(struct db_sqlite *s, int rc, const char *doing, struct err *err)
{
    return err_set(err, code_of(s->file, rc), "read database: %s%s%s", doing == NULL ? "" : doing,
        doing == NULL ? "" : ": ", sqlite3_errmsg(s->file));
}

static int exec(struct db_sqlite *s, const char *sql, const char *doing, struct err *err)
{
    int rc = sqlite3_exec(s->file, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : failed(s, rc, doing, err);
}

/* ---- statements ---- */

static void forget(struct db *db, struct db_kept *kept)
{
    (void)db;
    sqlite3_finalize(kept->native);
    kept->native = NULL;
}

static void put_word(const struct db *db, struct str word, struct strbuf *sql)
{
    (void)db;
    if (str_eq_c(word, "BYTES"))
        strbuf_c(sql, "BLOB");
    else if (str_eq_c(word, "WITHOUT_ROWID"))
        strbuf_c(sql, "WITHOUT ROWID");
    else if (str_eq_c(word, "TEXT")) /* it compares bytes */
        strbuf_str(sql, word);
    else
        strbuf_printf(sql, "\"" STR_FMT "\"", STR_ARG(word));
}

static void insert_sql(const struct db_table *table, struct strbuf *sql)
{
    strbuf_printf(sql, "INSERT INTO %s (", table->table);
    for (size_t i = 0; i < table->n_columns; i++)
        strbuf_printf(sql, "%s%s", i == 0 ? "" : ", ", table->columns[i].name);
    strbuf_c(sql, ") VALUES (");
    for (size_t i = 0; i < table->n_columns; i++)
        strbuf_printf(sql, "%s?%zu", i == 0 ? "" : ", ", i + 1);
    strbuf_printf(sql, ") %s", table->tail);
}

static int prepare(
    struct db_sqlite *s, struct db_kept *kept, size_t n_values, sqlite3_stmt **ret_statement, struct err *err)
{
    sqlite3_stmt *statement = kept->native;
    if (statement == NULL) {
        unsigned flags = kept->key == NULL ? 0 : SQLITE_PREPARE_PERSISTENT;
        int rc = sqlite3_prepare_v3(s->file, kept->sql, -1, flags, &statement, NULL);
        if (rc != SQLITE_OK)
            return failed(s, rc, kept->name, err);
        kept->native = statement;
    }
    INVARIANT_F(statement != NULL && (size_t)sqlite3_bind_parameter_count(statement) == n_values,
        "%zu values for %s", n_values, kept->sql);
    *ret_statement = statement;
    return 0;
}

/* What is bound is borrowed: it is there until the statement is done. */
static void bind(sqlite3_stmt *statement, int i, const struct db_value *value)
{
    int rc = SQLITE_OK;
    const char *data = value->bytes.data == NULL ? "" : value->bytes.data;
    switch (value->type) {
    case DB_NULL:
        rc = sqlite3_bind_null(statement, i);
        break;
    case DB_INT:
        rc = sqlite3_bind_int64(statement, i, value->integer);
        break;
    case DB_TEXT:
        rc = sqlite3_bind_text64(statement, i, data, value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case DB_BYTES:
        rc = sqlite3_bind_blob64(statement, i, data, value->bytes.len, SQLITE_STATIC);
        break;
    }
    INVARIANT_F(rc == SQLITE_OK, "parameter %d: %d", i, rc);
}

/* ---- rows ---- */

static int take_value(
    sqlite3_stmt *statement, int column, struct arena *arena, struct db_value *ret_value, struct err *err)
{
    const void *data;
    struct str bytes;
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
        *ret_value = db_null();
        return 0;
    case SQLITE_INTEGER:
        *ret_value = db_int(sqlite3_column_int64(statement, column));
        return 0;
    case SQLITE_TEXT:
        data = sqlite3_column_text(statement, column);
        break;
    case SQLITE_BLOB:
        data = sqlite3_column_blob(statement, column);
        break;
    default:
        return err_set(err, ERR_CONFIG, "read database: column %s is neither integer, text nor bytes",
            sqlite3_column_name(statement, column));
    }
    bytes = (struct str){data == NULL ? "" : data, (size_t)sqlite3_column_bytes(statement, column)};
    bytes = arena_str(arena, bytes);
    *ret_value = sqlite3_column_type(statement, column) == SQLITE_TEXT ? db_text(bytes)
                                                                       : db_bytes(bytes.data, bytes.len);
    return 0;
}

static int take_row(
    struct db_sqlite *s, sqlite3_stmt *statement, size_t n_rows, struct arena *arena, struct err *err)
{
    size_t n_columns = (size_t)sqlite3_column_count(statement), n = n_rows * n_columns;
    if (n + n_columns > s->cap_rows) {
        s->cap_rows = (n + n_columns) * 2;
        s->rows = realloc(s->rows, s->cap_rows * sizeof(struct db_value));
        INVARIANT(s->rows != NULL);
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n_columns; i++)
        rc = take_value(statement, (int)i, arena, &s->rows[n + i], err);
    return rc;
}

static int step_all(struct db_sqlite *s, struct db_kept *kept, sqlite3_stmt *statement, struct arena *arena,
    struct db_result *ret_result, struct err *err)
{
    size_t n = 0;
    int rc, code = 0;
    while (code == 0 && (rc = sqlite3_step(statement)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW)
            code = failed(s, rc, kept->name, err);
        else if (ret_result != NULL)
            code = take_row(s, statement, n++, arena, err);
    }
    if (code != 0 || ret_result == NULL)
        return code;
    size_t n_columns = (size_t)sqlite3_column_count(statement);
    *ret_result = (struct db_result){
        .n_rows = n,
        .n_columns = n_columns,
        .values = n == 0 ? NULL : arena_copy(arena, s->rows, n * n_columns * sizeof(struct db_value)),
        .changed = sqlite3_stmt_readonly(statement) ? 0 : (uint64_t)sqlite3_changes(s->file),
    };
    return 0;
}

static int run(struct db *db, struct db_kept *kept, const struct db_value *values, size_t n_values,
    struct arena *arena, struct db_result *ret_result, struct err *err)
{
    struct db_sqlite *s = inside(db);
    sqlite3_stmt *statement;
    int rc = prepare(s, kept, n_values, &statement, err);
    if (rc != 0)
        return rc;
    /* PostgreSQL would refuse it */
    INVARIANT_F(db->state != DB_READING || sqlite3_stmt_readonly(statement), "%s", kept->sql);
    for (size_t i = 0; i < n_values; i++)
        bind(statement, (int)i + 1, &values[i]);
    rc = step_all(s, kept, statement, arena, ret_result, err);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

static int insert(struct db *db, struct db_kept *kept, const struct db_table *table,
    const struct db_value *values, size_t n_rows, uint64_t *ret_changed, struct err *err)
{
    struct db_sqlite *s = inside(db);
    sqlite3_stmt *statement;
    int rc = prepare(s, kept, table->n_columns, &statement, err);
    for (size_t row = 0; rc == 0 && row < n_rows; row++) {
        for (size_t i = 0; i < table->n_columns; i++)
            bind(statement, (int)i + 1, values++);
        int stepped = sqlite3_step(statement);
        if (stepped == SQLITE_DONE)
            *ret_changed += (uint64_t)sqlite3_changes(s->file);
        else
            rc = failed(s, stepped, table->name, err);
        sqlite3_reset(statement);
    }
    if (rc == 0)
        sqlite3_clear_bindings(statement);
    return rc;
}

/* ---- transactions ---- */

static int script(struct db *db, const char *sql, struct err *err)
{
    return exec(inside(db), sql, NULL, err);
}

static void rollback(struct db *db)
{
    struct db_sqlite *s = inside(db);
    if (!sqlite3_get_autocommit(s->file)) /* SQLite has rolled back by itself after some errors */
        (void)sqlite3_exec(s->file, "ROLLBACK", NULL, NULL, NULL);
    INVARIANT(sqlite3_get_autocommit(s->file));
}

static int begin(struct db *db, bool write, struct err *err)
{
    return exec(inside(db), write ? "BEGIN IMMEDIATE" : "BEGIN", "begin", err);
}

static int commit(struct db *db, struct err *err)
{
    int rc = exec(inside(db), "COMMIT", "commit", err);
    if (rc != 0)
        rollback(db);
    return rc;
}

/* ---- what was deleted ---- */

/* Readers on an older state are not waited for: they end by themselves, and whoever scrubs comes again. */
static int empty_log(struct db_sqlite *s, struct err *err)
{
    sqlite3_busy_timeout(s->file, SCRUB_WAIT_MS);
    int rc = sqlite3_wal_checkpoint_v2(s->file, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(s->file, s->db.busy_timeout_ms);
    return rc == SQLITE_OK ? 0 : failed(s, rc, "emptying the log", err);
}

static int scrub(struct db *db, bool thorough, struct err *err)
{
    struct db_sqlite *s = inside(db);
    /* The copy is of what is left: it need not be in memory. */
    int rc = thorough
                 ? exec(s, "PRAGMA temp_store = FILE; VACUUM; PRAGMA temp_store = MEMORY;", "VACUUM", err)
                 : 0;
    return rc != 0 ? rc : empty_log(s, err);
}

/* ---- open and close ---- */

static void close_file(struct db *db)
{
    struct db_sqlite *s = inside(db);
    db_fini(db);
    int rc = sqlite3_close(s->file);
    INVARIANT_F(rc == SQLITE_OK, "sqlite3_close: %d", rc);
    free(s->rows);
    free(s);
}

static const struct db_ops sqlite_ops = {
    .close = close_file,
    .forget = forget,
    .word = put_word,
    .insert_sql = insert_sql,
    .script = script,
    .run = run,
    .insert = insert,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .scrub = scrub,
    .parameter = '?',
};

/* DIR/read.db and "g3": DIR/read-g3.db. */
static int part_path(const char *path, const char *part, char ret_path[PATH_SIZE], struct err *err)
{
    size_t len = strlen(path), end = len > 3 && strcmp(path + len - 3, ".db") == 0 ? len - 3 : len;
    int n = part == NULL ? snprintf(ret_path, PATH_SIZE, "%s", path)
                         : snprintf(ret_path, PATH_SIZE, "%.*s-%s%s", (int)end, path, part, path + end);
    return n < PATH_SIZE - 8 ? 0 : err_set(err, ERR_CONFIG, "read database: its path is too long");
}

/* For its owner alone, as the journal's file is. Only a file that is not there is opened: to close any other would let
 * go of the locks that this process holds on it. */
static void make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

static int open_file(struct db_sqlite *s, const char *path, const struct db_options *options, struct err *err)
{
    if (options->create)
        make_private(path);
    else if (access(path, F_OK) != 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
    /* A reader too, for it may have to make what readers and writers share; `query_only` keeps it from the rest. */
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (options->create ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(path, &s->file, flags, NULL);
    if (s->file == NULL)
        return err_set(err, ERR_IO, "%s: out of memory", path);
    sqlite3_extended_result_codes(s->file, 1);
    if (rc != SQLITE_OK)
        return failed(s, rc, path, err);
    sqlite3_busy_timeout(s->file, s->db.busy_timeout_ms);
    sqlite3_db_config(s->file, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return 0;
}

/*
 * Several programs may make the file at once. Who changes the mode of the log waits for all others while it holds them up
 * itself: two would wait for each other until their time is over, so each lets go soon and comes again, after another while.
 */
static int use_wal(struct db_sqlite *s, const char *path, struct err *err)
{
    sqlite3_busy_timeout(s->file, WAL_WAIT_MS);
    int rc = ERR_BUSY;
    for (int waited = 0; rc == ERR_BUSY && waited <= s->db.busy_timeout_ms; waited += WAL_WAIT_MS) {
        unsigned char while_ms;
        rc = exec(s, "PRAGMA journal_mode = WAL;", path, err);
        sqlite3_randomness(sizeof while_ms, &while_ms);
        if (rc == ERR_BUSY)
            (void)usleep((useconds_t)(while_ms % WAL_WAIT_MS) * 1000);
    }
    sqlite3_busy_timeout(s->file, s->db.busy_timeout_ms);
    return rc;
}

static int set_pragmas(
    struct db_sqlite *s, const char *path, const struct db_options *options, struct err *err)
{
    char sql[512];
    snprintf(sql, sizeof sql,
        "PRAGMA synchronous = %s; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size "
        "= -%d; PRAGMA mmap_size = "
        "%d;"
        "PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d; PRAGMA query_only = %s;",
        options->part == NULL ? "FULL" : "NORMAL",
        (options->read_only ? CACHE_READER_BYTES : CACHE_WRITER_BYTES) >> 10, MMAP_BYTES, CHECKPOINT_PAGES,
        WAL_KEEP_BYTES, options->read_only ? "ON" : "OFF");
    int rc = options->create ? use_wal(s, path, err) : 0;
    return rc != 0 ? rc : exec(s, sql, path, err);
}

int db_sqlite_open(const char *path, const struct db_options *options, struct db **ret_db, struct err *err)
{
    char file[PATH_SIZE];
    int rc = part_path(path, options->part, file, err);
    if (rc != 0)
        return rc;
    struct db_sqlite *s = calloc(1, sizeof *s);
    INVARIANT(s != NULL);
    db_init(&s->db, &sqlite_ops, options);
    rc = open_file(s, file, options, err);
    if (rc == 0)
        rc = set_pragmas(s, file, options, err);
    if (rc != 0)
        close_file(&s->db);
    else
        *ret_db = &s->db;
    return rc;
}

/* The file first: what is left of the others without it is nothing to SQLite. */
int db_sqlite_drop_part(const char *path, const char *part, struct err *err)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    char file[PATH_SIZE];
    int rc = part_path(path, part, file, err);
    size_t len = strlen(file);
    for (size_t i = 0; rc == 0 && i < sizeof endings / sizeof endings[0]; i++) {
        snprintf(file + len, sizeof file - len, "%s", endings[i]);
        if (unlink(file) != 0 && errno != ENOENT)
            rc = err_set(err, ERR_IO, "%s: %s", file, strerror(errno));
    }
    return rc;
}
