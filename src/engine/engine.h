/*
 * The engine: one thread that decides for all ledgers of the process. It takes whatever commands wait in its
 * bounded queue (that is the batch: no timer), fetches what they name, decides them one after another,
 * appends the records in one transaction, and only then answers (I9). A failed append fails its batch with a
 * SERVICE refusal and forgets what it had decided; nothing acknowledged is touched.
 *
 * Over a shared journal (journal.h) the next batch is decided while one commits, other processes' records are taken
 * in as they show, and a commit during which the connection broke is found out about before anybody is answered:
 * engine_internal.h tells how.
 *
 * engine_submit() is safe from any thread; engine_step() runs one batch on the caller's thread for tests and
 * simulation, instead of engine_start().
 */
#ifndef CREDITLEDGER_ENGINE_ENGINE_H
#define CREDITLEDGER_ENGINE_ENGINE_H

#include "engine/catalog.h"
#include "ledger/decide.h"

struct engine;
struct metrics;
struct spans;

struct engine_config {
    struct journal *journal; /* a JOURNAL_WRITE handle; the engine's alone from now on, not closed by it */
    struct catalog *catalog; /* shared, not owned */
    int64_t (*now)(void *environment);                              /* microseconds since the epoch */
    void (*random)(void *environment, void *ret_bytes, size_t len); /* unpredictable in production */
    /* Sleeps; NULL: really. Tests count and pass the time as they like. */
    void (*pause)(void *environment, int64_t micros);
    void *environment;
    struct metrics *metrics; /* may be NULL */
    struct spans *spans;     /* may be NULL */
    size_t queue_commands;   /* 0 takes the LIMIT_*_DEFAULT, here and below */
    size_t queue_bytes;
    size_t commit_commands;
    size_t cache_accounts;
    void (*committed)(
        void *ctx); /* on the engine's thread after every batch that wrote, before it is answered */
    void *committed_ctx;
};

struct answer {
    enum refusal refusal; /* REFUSAL_NONE: done */
    bool replayed;        /* the key was used before: this is the first answer again */
    bool dry_run;         /* decided, not recorded */
    bool created;         /* ledger, asset: it is new */
    const struct record
        *record; /* effect or decline, in the submission's arena; NULL if nothing was recorded */
    const struct asset *asset;       /* declare_asset; open_account: of the account */
    const struct ledger_row *ledger; /* the ledger acted on; NULL if unknown */
    char detail[256]; /* refusals: one sentence with the numbers and names that count, else empty */
};

/* Commands answered together, in order. Owned by the submitter, who keeps it alive until `done` is called. */
struct submission {
    struct command *commands; /* request_hash filled; salt and random are filled by the engine */
    struct answer *answers;   /* n of them */
    size_t n;
    bool atomic;                                 /* all or nothing */
    bool stop_on_refusal;                        /* what comes after the first refusal is NOT_APPLIED */
    struct arena *arena;                         /* for the answers' records */
    void (*done)(struct submission *submission); /* on the engine's thread, after the commit */
    /* The engine's while it is queued. */
    struct submission *next;
    size_t queued_bytes;
    int64_t queued_at, taken_at, decided_at;
};

MUST_CHECK int engine_new(const struct engine_config *config, struct engine **ret_engine, struct err *err);
void engine_free(struct engine *engine); /* after engine_stop(), if it was started */

/* Before engine_start(): the configuration's `spans`, for who has them only later. */
void engine_set_spans(struct engine *engine, struct spans *spans);

MUST_CHECK int engine_start(struct engine *engine, struct err *err);
/* Refuses what comes from now on (SHUTTING_DOWN), answers what is queued, ends the thread. */
void engine_stop(struct engine *engine);

/* REFUSAL_NONE: `done` will be called. QUEUE_FULL or SHUTTING_DOWN: it will not, and nothing was kept. */
MUST_CHECK enum refusal engine_submit(struct engine *engine, struct submission *submission);
/* One step on this thread; false if there was nothing to do. A step is a batch from its commands to its answers; over a
 * shared journal it is an outcome that has come, or else commands taken and decided, or else an outcome waited for.
 * Not together with engine_start(). */
bool engine_step(struct engine *engine);
/* Submits and waits; for commands of the command line and for tests. Steps the engine itself if it is not
 * started. */
void engine_call(struct engine *engine, struct submission *submission);

/* False after a failed batch until an append succeeds: /readyz. While there are no commands the engine's thread
 * tries an empty one every second: who asks /readyz before sending anything would otherwise wait for ever. */
bool engine_healthy(const struct engine *engine);
/* Shared journals: what was acknowledged and is no longer in the journal, in a sentence for operators; NULL if nothing
 * is. From then on every write is refused (JOURNAL_BEHIND) until the process is started anew. Any thread. */
const char *engine_lost(const struct engine *engine);
bool engine_started(
    const struct engine *engine); /* it has its thread; else engine_step() is for the caller */
size_t engine_queue_depth(const struct engine *engine); /* commands waiting */

#endif
