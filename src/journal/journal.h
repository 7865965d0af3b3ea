/*
 * The journal: the only truth. This is the port; behind it are the backends (sqlite, postgres, memory), each of
 * which passes the same behavioural suite (journal/journal_suite.c).
 *
 * A handle belongs to one thread at a time. A database has at most one JOURNAL_WRITE handle in a process (the
 * engine's thread); JOURNAL_READ handles (queries, verify, export, backup) never block it and see committed batches
 * only. A handle whose connection broke fails the call that met it (ERR_IO) and connects again on the next one.
 *
 * Shared journals (postgres) are written by several processes, with no leader among them. What a process knows of a
 * ledger is good as of a head (seq, hash); append() refuses a batch whose ledgers have another head, catch_up() tells
 * what others wrote. In a journal that is not shared this process is the only writer, and those calls are NULL.
 *
 * Functions that can fail return 0 or a negative code of base/err.h with a message in `err` (which may be NULL).
 * What they hand out lives in the arena given to them. Records are numbered by `seq` within a ledger, from 1.
 */
#ifndef CREDITLEDGER_JOURNAL_JOURNAL_H
#define CREDITLEDGER_JOURNAL_JOURNAL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/limits.h"
#include "ledger/account.h"
#include "ledger/record.h"
#include "money/asset.h"

enum journal_mode { JOURNAL_READ, JOURNAL_WRITE };

/* What serialises the writers of one ledger (docs/adr). The unique keys are the last line with any of them. */
enum ledger_lock {
    LEDGER_LOCK_DEFAULT, /* what was measured to be best */
    LEDGER_LOCK_ADVISORY,
    LEDGER_LOCK_ROW,
    LEDGER_LOCK_NONE, /* for databases without either: conflicts show at commit */
};

struct journal_options {
    enum journal_mode mode;
    bool create;         /* make the database and bring its schema up to date; else it must be current */
    int64_t now;         /* created_at of what `create` makes (ledger `main`) */
    size_t cache_bytes;  /* page cache; 0 takes the backend's default */
    int busy_timeout_ms; /* how long to wait for a lock another process holds; 0 takes the default */
    const char *vfs;     /* sqlite, tests: name of a registered VFS; NULL otherwise */
    bool unsafe_no_sync; /* sqlite, tests that must turn red: synchronous=OFF */
    bool shared;         /* memory, tests: several handles write, as processes do to a shared journal */
    /* postgres */
    const char *
        direct_url; /* past a pooler, for listen(); NULL: the URL itself is direct. With one, the URL is taken
                               for a pooler's in transaction mode: nothing is kept in the session */
    enum ledger_lock lock;
    bool no_notify; /* commits wake nobody in other processes: those poll */
};

/* One row of `ledger`: a namespace with its own seq, accounts, keys and hash chain. */
struct ledger_row {
    uint32_t id; /* from 1, dense; 1 is `main` */
    char name[LIMIT_LEDGER_NAME_MAX + 1];
    struct floor default_floor;
    int64_t created_at;
};

/* Where a ledger's journal ends. For an empty one: seq 0, recorded_at = created_at, hash = genesis (journal/digest.h). */
struct ledger_head {
    uint64_t seq;
    int64_t recorded_at;
    uint8_t hash[HASH_LEN];
    uint64_t accounts; /* how many: the next account's number less 1 */
};

/* Asks for one account by number, or, where number is 0, by external id. */
struct account_want {
    uint32_t ledger;
    uint64_t number;
    struct str external_id;
    bool found;
    struct account account; /* if found */
};

struct key_want {
    uint32_t ledger;
    struct str key;
    bool found;
    uint64_t seq;                   /* if found */
    uint8_t request_hash[HASH_LEN]; /* if found */
};

/* How far a caller knows a ledger: its head when it last looked. */
struct ledger_known {
    uint32_t ledger;
    uint64_t seq; /* 0: knows nothing, hash is genesis */
    uint8_t hash[HASH_LEN];
};

/* What became of a ledger since. */
struct ledger_news {
    struct ledger_head head;
    bool
        too_many; /* more changes than were asked for: none of this ledger was visited, forget what was cached */
    bool
        lost; /* record `seq` with that hash is not in the journal: what was committed has been lost (a failover
                      to a replica that lagged, a restored backup). Nothing was visited */
};

/* What one transaction appends: assets and ledgers first, then records in order. All of it or none. */
struct journal_batch {
    const struct asset *assets;
    size_t n_assets;
    const struct ledger_row *ledgers;
    size_t n_ledgers;
    const struct record *const *records; /* sealed; per ledger in seq order from the head on */
    size_t n_records;
    /* The heads that the records continue, one for each ledger with records, ascending by ledger. Shared journals
     * compare them before they take the batch; the others need none. */
    const struct ledger_known *known;
    size_t n_known;
    /* The outcome of an earlier append of this very batch is unknown: finding it in the journal is success. */
    bool again;
};

struct journal;
struct journal_scan;

typedef int journal_ledger_visit(void *ctx, const struct ledger_row *row);
typedef int journal_asset_visit(void *ctx, const struct asset *row);
typedef int journal_account_visit(void *ctx, const struct account *account);
/* Non-zero from a visit stops the walk and is returned. */
typedef int journal_entry_visit(void *ctx, const struct entry *entry, uint64_t seq);
/* Of the entry: account, version, revision, floor and after are filled, side and asset too. */
typedef int journal_change_visit(void *ctx, uint32_t ledger, const struct entry *entry, uint64_t seq);
typedef int journal_head_visit(void *ctx, uint32_t ledger, uint64_t seq);
typedef int journal_note_visit(void *ctx, const char *note);
/* Progress of long work: false asks to stop (ERR_CANCELLED). */
typedef bool journal_progress(void *ctx, uint64_t done, uint64_t total);

struct journal_ops {
    void (*close)(struct journal *j);

    /* --- any handle ------------------------------------------------------------------------------------------ */
    int (*ledgers)(struct journal *j, journal_ledger_visit *visit, void *ctx, struct err *err);
    int (*assets)(struct journal *j, journal_asset_visit *visit, void *ctx, struct err *err);
    int (*head)(struct journal *j, uint32_t ledger, struct ledger_head *ret_head, struct err *err);
    int (*accounts_fetch)(
        struct journal *j, struct account_want *wants, size_t n, struct arena *arena, struct err *err);
    int (*keys_fetch)(struct journal *j, struct key_want *wants, size_t n, struct err *err);
    /* A whole record; text.body and salt only if with_text and not erased. ERR_NOT_FOUND. */
    int (*record)(struct journal *j, uint32_t ledger, uint64_t seq, bool with_text, struct arena *arena,
        const struct record **ret_record, struct err *err);
    /* The newest version of every lot that record `origin` brought about. */
    int (*lots)(struct journal *j, uint32_t ledger, uint64_t origin, struct arena *arena,
        const struct lot **ret_lots, size_t *ret_n, struct err *err);

    /* --- reads that must agree with each other: between these the handle sees one state ------------------------ */
    int (*snapshot_begin)(struct journal *j, struct err *err);
    void (*snapshot_end)(struct journal *j);

    /* Accounts in order of number, from after_number + 1, at most `limit`. */
    int (*accounts)(struct journal *j, uint32_t ledger, uint64_t after_number, size_t limit,
        journal_account_visit *visit, void *ctx, struct err *err);
    /* One version of an account. ERR_NOT_FOUND. */
    int (*entry)(struct journal *j, uint32_t ledger, uint64_t account, uint64_t version,
        struct entry *ret_entry, uint64_t *ret_seq, struct err *err);
    /* Versions first..last of an account, ascending, or descending if `descending`. */
    int (*entries)(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
        bool descending, journal_entry_visit *visit, void *ctx, struct err *err);
    /* Backdated entries of an account among versions first..last with from <= effective_at < to, in the order of
     * (effective_at, version), starting after (after_effective, after_version). */
    int (*late_entries)(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
        int64_t from, int64_t to, int64_t after_effective, uint64_t after_version, journal_entry_visit *visit,
        void *ctx, struct err *err);
    /* recorded_at of one record. ERR_NOT_FOUND. */
    int (*recorded_at)(
        struct journal *j, uint32_t ledger, uint64_t seq, int64_t *ret_instant, struct err *err);

    /* Streams records from_seq.. in order; scan_next gives NULL at the end. One scan at a time a handle; the records
     * live until the next call of scan_next (they are in the scan's own arena). */
    int (*scan_open)(struct journal *j, uint32_t ledger, uint64_t from_seq, bool with_text,
        struct journal_scan **ret_scan, struct err *err);
    int (*scan_next)(struct journal_scan *scan, const struct record **ret_record, struct err *err);
    void (*scan_close)(struct journal_scan *scan);

    /* What the database can tell about itself: schema version, missing triggers, page damage; one note a finding. */
    int (*self_check)(struct journal *j, journal_note_visit *visit, void *ctx, struct err *err);
    /* A consistent copy to a new file, beside a live writer. */
    int (*backup)(
        struct journal *j, const char *path, journal_progress *progress, void *ctx, struct err *err);

    /* --- JOURNAL_WRITE only ------------------------------------------------------------------------------------ */
    /*
     * One durable transaction: when it returns 0, the batch survives a crash. On failure nothing of it is in the
     * journal; ERR_FULL, ERR_BUSY and ERR_IO may be retried, ERR_CONFLICT means that the batch does not continue
     * the journal (somebody else wrote, or the database refused a record: the message says which invariant).
     * An ERASURE record also deletes the text of the record it relates to.
     * An empty batch changes nothing and is still written durably: it proves that the journal takes writes.
     * Shared journals also fail with ERR_DUPLICATE (a key of the batch is in the journal: look keys up, decide
     * again), and with ERR_UNKNOWN when the connection broke after the batch was sent: then nobody may guess; the
     * same batch is appended `again` until its outcome is known.
     */
    int (*append)(struct journal *j, const struct journal_batch *batch, struct err *err);

    /* --- shared journals; NULL in the others ------------------------------------------------------------------- */
    /*
     * append() in two halves, so that the caller can decide while the database commits. After append_start()
     * returned 0 the batch must stay as it is until append_finish() returned, which waits for the outcome and fails
     * like append(); the other calls of the handle, append and catch_up with `hold` excepted, go on meanwhile. The
     * descriptor polls readable when append_finish() has something to do and will hardly wait.
     */
    int (*append_start)(struct journal *j, const struct journal_batch *batch, struct err *err);
    int (*append_finish)(struct journal *j, struct err *err);
    int (*append_fd)(const struct journal *j);
    /*
     * Compares n known heads (ascending by ledger) with the journal, fills n news, and visits the entries of the
     * records written since, ascending by (ledger, seq, leg), at most max_entries of a ledger. With `hold` (JOURNAL_WRITE)
     * it first takes these ledgers' locks and keeps them until the next append() or release(): what it tells stays
     * true, and the append of exactly these heads meets no conflict.
     */
    int (*catch_up)(struct journal *j, const struct ledger_known *known, size_t n, bool hold,
        size_t max_entries, struct ledger_news *ret_news, journal_change_visit *visit, void *ctx,
        struct err *err);
    /* Gives back what catch_up() held; harmless if nothing is held. */
    void (*release)(struct journal *j);
    /* The heads of all ledgers, ascending, in one look. */
    int (*heads)(struct journal *j, journal_head_visit *visit, void *ctx, struct err *err);
    /*
     * Waits until another process may have committed, at most timeout_ms: 1 if it was told so, 0 if the time passed
     * (poll then: messages can be missed while a connection is down). JOURNAL_READ handles, over direct_url; the
     * handle is good for heads() besides. interrupt_fd (-1: none) ends the wait early when it is readable.
     */
    int (*listen)(struct journal *j, int timeout_ms, int interrupt_fd, struct err *err);
};

/* Backends embed this first. */
struct journal {
    const struct journal_ops *ops;
    bool shared; /* other processes may write to the same database */
};

/*
 * Opens by URL: "sqlite:PATH" (a file), "postgres://..." or "postgresql://..." (a libpq URI; schema `creditledger` of
 * that database), "memory:NAME" (lives as long as a handle on NAME is open in this process). Messages and logs never
 * show a URL's password.
 * ERR_CONFIG for anything else; ERR_NOT_FOUND when it does not exist and `create` is off; ERR_UNSUPPORTED when its
 * schema is newer than this program.
 */
MUST_CHECK int journal_open(
    const char *url, const struct journal_options *options, struct journal **ret_journal, struct err *err);
void journal_close(struct journal *journal); /* NULL is fine */

/* For backends: a note of formatted text. A visit that is NULL hears nothing. */
int journal_note(journal_note_visit *visit, void *ctx, const char *format, ...) PRINTF_LIKE(3, 4);

/* The backends' constructors, for journal_open(). `path` and `name` are what follows the scheme. */
MUST_CHECK int journal_sqlite_open(
    const char *path, const struct journal_options *options, struct journal **ret_journal, struct err *err);
MUST_CHECK int journal_memory_open(
    const char *name, const struct journal_options *options, struct journal **ret_journal, struct err *err);
/* The whole URL, scheme included. */
MUST_CHECK int journal_postgres_open(
    const char *url, const struct journal_options *options, struct journal **ret_journal, struct err *err);

#endif
