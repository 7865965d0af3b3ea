/*
 * What the files of the PostgreSQL backend share: the handle. Private to journal/postgres*.c. Connections, values in
 * PostgreSQL's binary format and its errors are db/pg_wire.h's and db/pg_values.h's.
 *
 * Who does what:
 *   postgres.c             the handle: opening, snapshots, listening, what constraints mean
 *   postgres_catalog.c     ledgers, assets, heads
 *   postgres_read.c        accounts, keys, entries, lots
 *   postgres_record.c      whole records and scans of them
 *   postgres_schema.c      migrations, the runtime role
 *   postgres_check.c       the self check, excess rights
 *   postgres_append*.c     appending and catching up, over the wire `append`
 */
#ifndef CREDITLEDGER_JOURNAL_POSTGRES_INTERNAL_H
#define CREDITLEDGER_JOURNAL_POSTGRES_INTERNAL_H

#include "db/pg_wire.h"
#include "journal/digest.h"
#include "journal/journal.h"
#include "journal/postgres.h"

/* ---- values of ours ---- */

static inline void pg_array_floor(struct pg_params *p, struct floor floor)
{
    if (floor.present)
        pg_array_int8(p, floor.minor);
    else
        pg_array_null(p);
}

static inline struct floor pg_floor(const PGresult *result, int row, int column)
{
    if (pg_is_null(result, row, column))
        return (struct floor){false, 0};
    return (struct floor){true, pg_int(result, row, column)};
}

struct postgres_appending; /* what appending keeps between calls: postgres_append.c's own */

/* ---- the handle ---- */

#define POSTGRES_SCHEMA "creditledger"
#define POSTGRES_CHANNEL "creditledger_commit"
#define POSTGRES_SEQ_MAX UUID_COUNTER_MAX
#define POSTGRES_HEAD_MOVED "CL100"

/* For the wires that write: which invariant a constraint holds. */
extern const struct pg_constraint postgres_constraints[];

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
