/*
 * What db.c and its drivers share. Private to db/. db.c holds what does not differ: the dialect, which statement has been
 * prepared, the state of a transaction; a driver is a table of functions over one connection.
 */
#ifndef CREDITLEDGER_DB_DB_INTERNAL_H
#define CREDITLEDGER_DB_DB_INTERNAL_H

#include "db/db.h"

#define DB_BUSY_TIMEOUT_DEFAULT_MS 5000
#define DB_PART_MAX 16 /* letters and digits */

/* A statement as this handle has it. */
struct db_kept {
    const void *key; /* the struct db_statement or db_table; NULL: not kept */
    const char *name;
    char *sql;    /* in the driver's dialect */
    void *native; /* the driver's own; freed by its forget() */
};

enum db_state {
    DB_IDLE,
    DB_READING,
    DB_WRITING,
    DB_UNDONE, /* by an error; waits for its db_commit() or db_rollback() */
};

struct db_ops {
    void (*close)(struct db *db);
    void (*forget)(struct db *db, struct db_kept *kept);
    /* Puts down what `@word` stands for; `sql` ends with what is before it. */
    void (*word)(const struct db *db, struct str word, struct strbuf *sql);
    /* The text of a db_insert(), before the dialect is applied. */
    void (*insert_sql)(const struct db_table *table, struct strbuf *sql);
    int (*script)(struct db *db, const char *sql, struct err *err);
    int (*run)(struct db *db, struct db_kept *kept, const struct db_value *values, size_t n_values,
        struct arena *arena, struct db_result *ret_result, struct err *err);
    int (*insert)(struct db *db, struct db_kept *kept, const struct db_table *table,
        const struct db_value *values, size_t n_rows, uint64_t *ret_changed, struct err *err);
    int (*begin)(struct db *db, bool write, struct err *err);
    int (*commit)(struct db *db, struct err *err); /* a failure leaves no transaction */
    void (*rollback)(struct db *db);
    int (*scrub)(struct db *db, bool thorough, struct err *err); /* NULL: nothing to do */
    char parameter; /* before a parameter's number */
    bool postgres;
};

/* A driver's handle begins with it. */
struct db {
    const struct db_ops *ops;
    char part[DB_PART_MAX + 1]; /* "": control */
    bool read_only;
    int busy_timeout_ms;
    enum db_state state;
    struct err undone_by;
    struct db_kept **kept;
    size_t n_kept, cap_kept;
};

/* `path` is the URL without its scheme. */
MUST_CHECK int db_sqlite_open(
    const char *path, const struct db_options *options, struct db **ret_db, struct err *err);
MUST_CHECK int db_sqlite_drop_part(const char *path, const char *part, struct err *err);
MUST_CHECK int db_postgres_open(
    const char *url, const struct db_options *options, struct db **ret_db, struct err *err);
MUST_CHECK int db_postgres_drop_part(const char *url, const char *part, struct err *err);

/* What all drivers set first. */
void db_init(struct db *db, const struct db_ops *ops, const struct db_options *options);
/* Forgets all that is kept; for a driver's close. */
void db_fini(struct db *db);

#endif
