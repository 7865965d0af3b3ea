/*
 * Opening the store that a subcommand works on: --data DIR and --database-url URL to a journal URL, the lock that
 * keeps a second writer off a data directory, and an engine over it for commands that write. PostgreSQL needs no such
 * lock: several processes may write to it.
 */
#ifndef CREDITLEDGER_APP_STORE_H
#define CREDITLEDGER_APP_STORE_H

#include "app/options.h"
#include "engine/engine.h"

/* clang-format off */
/* Where the database is, for the option tables of all commands. */
#define STORE_OPTIONS                                                                                         \
    {"data", "DIR", "directory of the embedded database", "CREDITLEDGER_DATA", "creditledger-data", "@dir"},  \
    {"database-url", "URL", "postgres://USER@HOST/DATABASE, sqlite:PATH or memory:NAME instead of --data",    \
        "CREDITLEDGER_DATABASE_URL", NULL, NULL},                                                             \
    {"database-direct-url", "URL", "PostgreSQL past a pooler, if --database-url leads to one in transaction mode", \
        "CREDITLEDGER_DATABASE_DIRECT_URL", NULL, NULL}

/* How it is written to, for commands that do. */
#define STORE_WRITE_OPTIONS                                                                                   \
    {"ledger-lock", "LOCK", "PostgreSQL: what orders the writers of a ledger: auto, advisory, row or none",    \
        "CREDITLEDGER_LEDGER_LOCK", "auto", "auto advisory row none"},                                        \
    {"database-notify", "ON", "PostgreSQL: on or off: commits wake who waits for events in other processes",  \
        "CREDITLEDGER_DATABASE_NOTIFY", "on", "on off"}
/* clang-format on */

struct store {
    char url[4200];                 /* journal URL */
    char shown[4200];               /* the same for messages and logs: without its password */
    struct journal_options options; /* how further handles are opened; `mode` is JOURNAL_READ */
    int lock_fd;                    /* -1: not locked */
    struct journal *journal;
    struct catalog *catalog;
    struct engine *engine; /* store_open_engine only */
    struct metrics *metrics;
};

/* Where the options point; makes no directory. */
MUST_CHECK int store_url(const struct options *o, char *ret_url, size_t size, struct err *err);
/* Where the options point and how handles on it are opened; `options.mode` is JOURNAL_READ. Opens nothing. */
MUST_CHECK int store_describe(const struct options *o, struct store *ret_store, struct err *err);
/* A JOURNAL_READ handle and the catalog, beside whatever else runs. */
MUST_CHECK int store_open_read(const struct options *o, struct store *ret_store, struct err *err);
/* The lock (ERR_BUSY with the holder's pid if another process has it), a JOURNAL_WRITE handle created and migrated
 * as needed, catalog, metrics, and an engine that is not started. */
MUST_CHECK int store_open_engine(const struct options *o, struct store *ret_store, struct err *err);
/* The same; of `tuning` (NULL: nothing) the sizes that are not 0 and the `committed` hook are taken. */
MUST_CHECK int store_open_tuned(
    const struct options *o, const struct engine_config *tuning, struct store *ret_store, struct err *err);
/* An engine that was started has been stopped before. A store of zeros, never opened, is fine. */
void store_close(struct store *store);

/* The lock of a journal URL alone: *ret_fd is -1 if the URL needs none (memory, PostgreSQL). Makes the directory. ERR_BUSY names
 * the process that holds it. */
MUST_CHECK int store_lock(const char *url, int *ret_fd, struct err *err);
void store_unlock(int fd); /* -1 is fine */

/* The production clock and randomness, for struct engine_config. */
int64_t store_now(void *environment);
void store_random(void *environment, void *ret_bytes, size_t len);

#endif
