/*
 * SQL for everything but the journal's append path: one small driver over SQLite and PostgreSQL, so that a statement is
 * written once for both. Used by the read model, the relay's cursor and the leases; none of it holds money's truth.
 *
 * A handle is one part of one database: the control part, or one generation of the read model.
 *
 *   URL                part        where its tables are
 *   sqlite:DIR/read.db  NULL       the file itself
 *   sqlite:DIR/read.db  "g3"       DIR/read-g3.db, so that building one part beside another shares no lock
 *   postgres://...      NULL       creditledger_read.NAME
 *   postgres://...      "g3"       creditledger_read.g3_NAME
 *
 * In SQL, `@name` is the part's table or index `name`, and `?1` is the first parameter. What both databases
 * understand is to be used, and types are BIGINT, @TEXT (ordered by its bytes, over both) and @BYTES (BLOB or bytea);
 * booleans are 0 and 1. `@WITHOUT_ROWID` behind a table's last parenthesis keeps its rows in the order of the primary
 * key where that is a choice (SQLite); PostgreSQL does not see it. Sums are to be cast to BIGINT or TEXT, for over
 * PostgreSQL they are numeric. Statements are prepared once a connection, unless a pooler is in the way.
 *
 * A handle belongs to one thread at a time. Functions that can fail return 0 or a negative code of base/err.h:
 * ERR_BUSY (locked, deadlock, serialization: the transaction is undone, try it again), ERR_IO (connection, disk; the
 * next call connects again; a transaction that was open is gone), ERR_UNKNOWN (broke while committing), ERR_CONFLICT
 * (a unique key or a check), ERR_FULL, ERR_CONFIG (rights, unknown host), ERR_NOT_FOUND (no such table). Nothing waits
 * without a deadline. An error within a transaction undoes all of it, over both databases.
 */
#ifndef CREDITLEDGER_DB_DB_H
#define CREDITLEDGER_DB_DB_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct db;

struct db_options {
    const char *part;    /* NULL: control */
    bool create;         /* make the file or the schema if there is none; else ERR_NOT_FOUND */
    bool read_only;      /* nothing is ever written through this handle */
    bool pooled;         /* postgres: the URL leads to a pooler in transaction mode */
    int busy_timeout_ms; /* how long a lock is waited for; 0: a default */
    int timeout_ms;      /* postgres: for one statement; 0: a default of half a minute */
};

MUST_CHECK int db_open(
    const char *url, const struct db_options *options, struct db **ret_db, struct err *err);
void db_close(struct db *db); /* NULL is fine; undoes an open transaction */
/* True if it is PostgreSQL: for the few statements that must differ. */
bool db_is_postgres(const struct db *db);
/* Forgets the part for good: its file, or its tables. No handle on it may be open in this process. */
MUST_CHECK int db_drop_part(const char *url, const char *part, struct err *err);

enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BYTES };

struct db_value {
    enum db_type type;
    int64_t integer;
    struct str bytes; /* DB_TEXT, DB_BYTES */
};

/* PostgreSQL wants to know what a NULL would be if it were none, where the statement does not tell. */
static inline struct db_value db_null_of(enum db_type type)
{
    return (struct db_value){.type = DB_NULL, .integer = type};
}
static inline struct db_value db_null(void)
{
    return db_null_of(DB_NULL);
}
static inline struct db_value db_int(int64_t value)
{
    return (struct db_value){.type = DB_INT, .integer = value};
}
/* STR_NONE is NULL. */
static inline struct db_value db_text(struct str value)
{
    return value.data == NULL ? db_null_of(DB_TEXT) : (struct db_value){.type = DB_TEXT, .bytes = value};
}
static inline struct db_value db_bytes(const void *bytes, size_t len)
{
    return bytes == NULL ? db_null_of(DB_BYTES)
                         : (struct db_value){.type = DB_BYTES, .bytes = {(const char *)bytes, len}};
}

/* `static const struct db_statement`, in the file that uses it; `name` is unique in the program. One without a name is
 * not kept: for SQL that is put together. */
struct db_statement {
    const char *name, *sql;
};

/* All rows at once, row by row, in the arena: what may be large is asked for by the page. A NUL stands behind texts. */
struct db_result {
    size_t n_rows, n_columns;
    const struct db_value *values; /* n_rows * n_columns */
    uint64_t changed;              /* rows that INSERT, UPDATE or DELETE touched */
};

static inline const struct db_value *db_at(const struct db_result *result, size_t row, size_t column)
{
    return &result->values[row * result->n_columns + column];
}

/* One or more statements without parameters: tables. All of it or nothing; programs that do so at once wait for each
 * other. */
MUST_CHECK int db_script(struct db *db, const char *sql, struct err *err);
/* One statement. `ret_result` may be NULL when nobody wants the rows (then `arena` may be too). */
MUST_CHECK int db_run(struct db *db, const struct db_statement *statement, const struct db_value *values,
    size_t n_values, struct arena *arena, struct db_result *ret_result, struct err *err);
#define DB_VALUES(...) \
    (const struct db_value[]){__VA_ARGS__}, \
        sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)
#define DB_NO_VALUES NULL, 0

/* A transaction. `write` takes SQLite's write lock at once; without it all reads see one state (REPEATABLE READ). */
MUST_CHECK int db_begin(struct db *db, bool write, struct err *err);
MUST_CHECK int db_commit(struct db *db, struct err *err); /* a failure has undone it, but for ERR_UNKNOWN */
void db_rollback(struct db *db);                          /* harmless if none is open */

/*
 * What was deleted or overwritten leaves the files, too: the log of changes goes to the database's file and is emptied.
 * `thorough` writes the file anew besides, which takes time and room like the file itself: in the free space of its
 * pages a row that was moved may have left a copy. ERR_BUSY: readers are in the way; ask again. Over PostgreSQL, where
 * VACUUM is the server's, it does nothing.
 */
MUST_CHECK int db_scrub(struct db *db, bool thorough, struct err *err);

/*
 * Many rows into one table: one round trip of arrays over PostgreSQL, one prepared statement stepped over SQLite. `tail`
 * is what follows the values: "ON CONFLICT (ledger, number) DO UPDATE SET version = excluded.version", or "". PostgreSQL
 * refuses two rows of one call with the same conflict key: the caller has folded them into one.
 */
struct db_column {
    const char *name;
    enum db_type type; /* not DB_NULL; its values may be */
};

#define DB_COLUMNS_MAX 32

struct db_table {
    const char *name;  /* of the statement, unique in the program; the struct is kept like a statement's */
    const char *table; /* "@line" */
    struct db_column columns[DB_COLUMNS_MAX];
    size_t n_columns;
    const char *tail;
};

/* `values`: n_rows * n_columns, row by row. */
MUST_CHECK int db_insert(struct db *db, const struct db_table *table, const struct db_value *values,
    size_t n_rows, uint64_t *ret_changed, struct err *err); /* ret_changed may be NULL */

/* The URL as messages may show it: without its password. */
void db_url_shown(const char *url, char *ret_shown, size_t size);

#endif
