/*
 * What the files of the PostgreSQL backend share: the handle, its connections, values in PostgreSQL's binary format,
 * turning its errors into ours. Private to journal/postgres*.c.
 *
 * Who does what:
 *   postgres.c             the handle: opening, snapshots, listening, URLs
 *   postgres_connection.c  connections, running statements, deadlines, errors
 *   postgres_values.c      parameters and results in binary format
 *   postgres_catalog.c     ledgers, assets, heads
 *   postgres_read.c        accounts, keys, entries, lots
 *   postgres_record.c      whole records and scans of them
 *   postgres_schema.c      migrations, the runtime role
 *   postgres_check.c       the self check, excess rights
 *   postgres_append*.c     appending and catching up, over the wire `append`
 *
 * Nothing here waits without a deadline: a connection that does not answer in time is closed, and the call fails. The
 * next call connects again. While a database cannot be reached, attempts are spaced out; calls between them fail at
 * once with the error of the last attempt.
 */
#ifndef CREDITLEDGER_JOURNAL_POSTGRES_INTERNAL_H
#define CREDITLEDGER_JOURNAL_POSTGRES_INTERNAL_H

#include <libpq-fe.h>

#include "journal/digest.h"
#include "journal/journal.h"
#include "journal/postgres.h"

/* ---- values ---- */

/* Object ids of types, as in the server's pg_type.dat. They are part of the protocol and never change. */
enum {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_BYTEA_ARRAY = 1001,
    PG_INT2_ARRAY = 1005,
    PG_INT4_ARRAY = 1007,
    PG_TEXT_ARRAY = 1009,
    PG_INT8_ARRAY = 1016,
};

#define PG_PARAMS_MAX 80

/* The parameters of one statement, in order. A scratch buffer: cleared and filled again for each. */
struct pg_params {
    struct strbuf bytes;
    size_t offsets[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX]; /* -1: NULL */
    Oid types[PG_PARAMS_MAX];
    int n;
    uint32_t elements; /* of the array that is being filled */
    bool has_null;
    bool in_array;
};

void pg_params_init(struct pg_params *p);
void pg_params_fini(struct pg_params *p);
void pg_params_clear(struct pg_params *p);

void pg_put_null(struct pg_params *p, Oid type);
void pg_put_null_array(struct pg_params *p, Oid element_type);
void pg_put_bool(struct pg_params *p, bool value);
void pg_put_int2(struct pg_params *p, int64_t value);
void pg_put_int4(struct pg_params *p, int64_t value); /* aborts if it does not fit, as int2 does */
void pg_put_int8(struct pg_params *p, int64_t value);
void pg_put_uint(struct pg_params *p, uint64_t value); /* int8; what does not fit becomes its largest */
void pg_put_str(struct pg_params *p, struct str s);    /* text; STR_NONE is NULL */
void pg_put_bytes(struct pg_params *p, const void *bytes, size_t len); /* bytea; NULL is NULL */

/* One parameter that is a one-dimensional array: begin, elements, end. The type is the element's (PG_INT8 ...). */
void pg_array_begin(struct pg_params *p, Oid element_type);
void pg_array_null(struct pg_params *p);
void pg_array_int2(struct pg_params *p, int64_t value);
void pg_array_int4(struct pg_params *p, int64_t value);
void pg_array_int8(struct pg_params *p, int64_t value);
void pg_array_uint(struct pg_params *p, uint64_t value);      /* int8, as pg_put_uint() */
void pg_array_floor(struct pg_params *p, struct floor floor); /* int8 */
void pg_array_str(struct pg_params *p, struct str s);
void pg_array_bytes(struct pg_params *p, const void *bytes, size_t len);
void pg_array_end(struct pg_params *p);

/* Values of a result in binary format. Integers of 2, 4 and 8 bytes alike; NULL reads as 0. */
bool pg_is_null(const PGresult *result, int row, int column);
int64_t pg_int(const PGresult *result, int row, int column);
uint64_t pg_uint(const PGresult *result, int row, int column);
bool pg_bool(const PGresult *result, int row, int column);
struct floor pg_floor(const PGresult *result, int row, int column);
struct str pg_str(
    const PGresult *result, int row, int column); /* borrows from the result; NULL is STR_NONE */
/* False unless the column holds exactly len bytes. */
MUST_CHECK bool pg_bytes(const PGresult *result, int row, int column, void *ret_bytes, size_t len);
/* The UUID whose first 64 and last 18 bits are in two columns, and that carries `counter`. */
MUST_CHECK bool pg_uuid(const PGresult *result, int row, int column, uint64_t counter, struct uuid *ret_id);
/* Copies to a fixed, NUL-terminated field; false if it does not fit. */
MUST_CHECK bool pg_name(const PGresult *result, int row, int column, char *ret_name, size_t size);

/* ---- connections ---- */

#define PG_STATEMENTS_MAX 48

/* A statement, written once in the file that uses it: `static const struct pg_statement`. A connection that may keep
 * it (not pooled) prepares it under its name on first use. */
struct pg_statement {
    const char *name, *sql;
};

enum pg_wire_use {
    /* Commits are made over it, or decided on what it reads: it leads to a primary whose settings make them durable. */
    PG_APPENDS = 1,
    PG_LISTENS = 2, /* over direct_url */
};

/* One connection, or the place for one. */
struct pg_wire {
    PGconn *pg; /* NULL while there is none */
    char *url;
    unsigned use;         /* of pg_wire_use */
    bool pooled;          /* nothing is kept in the session: no named statements, no settings */
    bool connected;       /* once at least */
    unsigned connections; /* made so far */
    bool listening;       /* LISTEN was said on this connection */
    /* A transaction of several calls is open: another connection would not do for it. Set by who began it, cleared by who
     * ends it or gives it up. */
    bool in_transaction;
    int timeout_ms; /* for one statement, POSTGRES_TIMEOUT_MS unless set */
    const struct pg_statement *prepared[PG_STATEMENTS_MAX];
    size_t n_prepared;
    /* While it cannot be had. */
    unsigned failures;
    int64_t retry_at_ms; /* monotonic; not before then */
    struct err last;
};

struct postgres_journal;
struct postgres_appending; /* what appending keeps between calls: postgres_append.c's own */

/* Connected and idle, or an error. Cheap if it is already. */
MUST_CHECK int pg_ready(struct pg_wire *wire, struct err *err);
/* Closes; the next pg_ready() connects again. */
void pg_close(struct pg_wire *wire);
/* Runs one statement and waits for its outcome: 0 and a result (PQclear() it; may be NULL-ed by ret_result == NULL if
 * there is nothing to read), or an error. */
MUST_CHECK int pg_run(struct pg_wire *wire, const struct pg_statement *statement,
    const struct pg_params *params, PGresult **ret_result, struct err *err);
/* The same without parameters, never prepared; several statements separated by semicolons are one transaction. The
 * last one's result, in text format. */
MUST_CHECK int pg_exec(struct pg_wire *wire, const char *sql, PGresult **ret_result, struct err *err);

/* The parts of pg_run(), for those who pipeline or do something while they wait.
 * pg_prepare() sees to it that a statement is prepared, if this connection keeps statements. */
MUST_CHECK int pg_prepare(struct pg_wire *wire, const struct pg_statement *statement,
    const struct pg_params *params, struct err *err);
MUST_CHECK int pg_send(struct pg_wire *wire, const struct pg_statement *statement,
    const struct pg_params *params, struct err *err);
/* Everything queued is on its way. Reads meanwhile, so that neither side waits for the other for ever. */
MUST_CHECK int pg_flush(struct pg_wire *wire, int64_t deadline_ms, struct err *err);
/* The next PQgetResult(), not waited for beyond the deadline (ERR_TIMEOUT closes the connection). *ret_result NULL is
 * what PQgetResult() means by it. The result may be an error: pg_error() tells. */
MUST_CHECK int pg_result(struct pg_wire *wire, int64_t deadline_ms, PGresult **ret_result, struct err *err);
int64_t pg_now_ms(void); /* monotonic */
int64_t pg_deadline(const struct pg_wire *wire);

/*
 * The error that a result or, where result is NULL, the connection stands for. The code follows from the SQLSTATE:
 *   23505 on journal_idempotency                 ERR_DUPLICATE
 *   other 23xxx, CL0xx, CL100 (the head moved)   ERR_CONFLICT; the message starts with the invariant's number if it has one
 *   40001 40P01 55P03                            ERR_BUSY       57014 ERR_TIMEOUT
 *   53100 53200                                  ERR_FULL       53300 ERR_BUSY
 *   08xxx 57P0x 25006 XX000, connection lost     ERR_IO; the connection is closed
 *   XX001 XX002                                  ERR_CORRUPT
 *   42xxx 28xxx 3Fxxx                            ERR_CONFIG
 *   3Dxxx                                        ERR_NOT_FOUND
 *   0Axxx                                        ERR_UNSUPPORTED
 * The message is "doing: what PostgreSQL says".
 */
MUST_CHECK int pg_error(struct pg_wire *wire, const PGresult *result, const char *doing, struct err *err);
/* True if a connection was lost or must be given up because of this SQLSTATE ("" or NULL: of no answer at all). */
bool pg_fatal(const char *sqlstate);

/* ---- the handle ---- */

#define POSTGRES_SCHEMA "creditledger"
#define POSTGRES_CHANNEL "creditledger_commit"
#define POSTGRES_TIMEOUT_MS 30000
#define POSTGRES_SEQ_MAX UUID_COUNTER_MAX
#define POSTGRES_HEAD_MOVED "CL100"

struct journal_scan;

struct postgres_journal {
    struct journal base;
    enum journal_mode mode;
    enum ledger_lock lock;
    bool no_notify;
    bool plain;            /* the schema has no functions and triggers */
    char *direct_url;      /* NULL: url is direct */
    struct pg_wire append; /* JOURNAL_WRITE only */
    struct pg_wire
        read; /* in JOURNAL_WRITE handles beside `append`: fetching goes on while a batch commits */
    unsigned read_beside;    /* the connection of `append` that `read` was made beside */
    struct pg_wire listen;   /* JOURNAL_READ, connected by the first listen() */
    struct pg_params params; /* scratch of the reads; appending has its own */
    struct digest *digest;
    struct journal_scan *scan;            /* the open one, or NULL */
    struct postgres_appending *appending; /* NULL in JOURNAL_READ */
};

/* The wire for a read, ready: `read`. Takes up first what a scan has under way on it. */
MUST_CHECK int postgres_reading(struct postgres_journal *p, struct pg_wire **ret_wire, struct err *err);
/* ERR_CORRUPT: `what` ledger/n is damaged. */
MUST_CHECK int postgres_damaged(struct err *err, const char *what, uint64_t ledger, uint64_t n);

/* ---- postgres_schema.c ---- */

/* A file of sql/postgres. What follows a line that is exactly POSTGRES_PLAIN_END is left out of the plain profile (a
 * file that begins with it has nothing there). */
#define POSTGRES_PLAIN_END "-- Not in the plain profile:\n"

struct postgres_migration {
    const char *name, *sql;
};
extern const struct postgres_migration
    postgres_migrations[]; /* in order; made from sql/postgres at build time */
extern const unsigned postgres_migration_count;

/* Sets *ret_plain; demands that the schema is this program's. ERR_NOT_FOUND, ERR_CONFIG, ERR_UNSUPPORTED. */
MUST_CHECK int postgres_schema_check(struct pg_wire *wire, bool *ret_plain, struct err *err);
/* ERR_CONFIG: the server is older than what the triggers rely on; the plain profile has none. */
MUST_CHECK int postgres_version_check(const struct pg_wire *wire, bool plain, struct err *err);
/* The text of a migration as the profile has it; its length. */
size_t postgres_migration_length(const struct postgres_migration *migration, bool plain);
int postgres_self_check(struct journal *j, journal_note_visit *visit, void *ctx, struct err *err);

/* ---- the port ---- */

int postgres_ledgers(struct journal *j, journal_ledger_visit *visit, void *ctx, struct err *err);
int postgres_assets(struct journal *j, journal_asset_visit *visit, void *ctx, struct err *err);
int postgres_head(struct journal *j, uint32_t ledger, struct ledger_head *ret_head, struct err *err);
int postgres_heads(struct journal *j, journal_head_visit *visit, void *ctx, struct err *err);
int postgres_accounts_fetch(
    struct journal *j, struct account_want *wants, size_t n, struct arena *arena, struct err *err);
int postgres_keys_fetch(struct journal *j, struct key_want *wants, size_t n, struct err *err);
int postgres_lots(struct journal *j, uint32_t ledger, uint64_t origin, struct arena *arena,
    const struct lot **ret_lots, size_t *ret_n, struct err *err);
int postgres_accounts(struct journal *j, uint32_t ledger, uint64_t after_number, size_t limit,
    journal_account_visit *visit, void *ctx, struct err *err);
int postgres_entry(struct journal *j, uint32_t ledger, uint64_t account, uint64_t version,
    struct entry *ret_entry, uint64_t *ret_seq, struct err *err);
int postgres_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    bool descending, journal_entry_visit *visit, void *ctx, struct err *err);
int postgres_late_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    int64_t from, int64_t to, int64_t after_effective, uint64_t after_version, journal_entry_visit *visit,
    void *ctx, struct err *err);
int postgres_recorded_at(
    struct journal *j, uint32_t ledger, uint64_t seq, int64_t *ret_instant, struct err *err);
int postgres_record(struct journal *j, uint32_t ledger, uint64_t seq, bool with_text, struct arena *arena,
    const struct record **ret_record, struct err *err);
int postgres_scan_open(struct journal *j, uint32_t ledger, uint64_t from_seq, bool with_text,
    struct journal_scan **ret_scan, struct err *err);
int postgres_scan_next(struct journal_scan *scan, const struct record **ret_record, struct err *err);
void postgres_scan_close(struct journal_scan *scan);
/* Takes the results that a scan has under way off the wire, so that another statement can be run. */
int postgres_scan_settle(struct journal_scan *scan, struct err *err);

/* The bits of `entry` rows and `lot` rows that several statements read alike. */
#define POSTGRES_ENTRY_COLUMNS \
    "e.seq, e.leg, e.account, e.version, e.asset, e.side, e.revision, e.floor, e.posted, e.incoming, " \
    "e.outgoing," \
    " e.posted_after, e.incoming_after, e.outgoing_after, e.effective_at"
enum { POSTGRES_ENTRY_SEQ = 0, POSTGRES_ENTRY_COLUMN_COUNT = 15 };
/* Without account_id; effective_at only if backdated. */
void postgres_entry_row(const PGresult *result, int row, struct entry *ret_entry);
#define POSTGRES_LOT_COLUMNS \
    "l.origin, l.leg, l.kind, l.version, l.account, l.change, l.remaining_after, l.due_at"
void postgres_lot_row(const PGresult *result, int row, struct lot *ret_lot);

/* ---- postgres_append.c ---- */

struct postgres_appending *postgres_appending_new(void);
void postgres_appending_free(
    struct postgres_appending *a); /* NULL is fine; an append under way is abandoned */
int postgres_append(struct journal *j, const struct journal_batch *batch, struct err *err);
int postgres_append_start(struct journal *j, const struct journal_batch *batch, struct err *err);
int postgres_append_finish(struct journal *j, struct err *err);
int postgres_append_fd(const struct journal *j);
/* Without `hold` it reads over `read`, so JOURNAL_READ handles have it too. */
int postgres_catch_up(struct journal *j, const struct ledger_known *known, size_t n, bool hold,
    size_t max_entries, struct ledger_news *ret_news, journal_change_visit *visit, void *ctx,
    struct err *err);
void postgres_release(struct journal *j);

#endif
