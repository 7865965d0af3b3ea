/*
 * The engine's private shape.
 *
 *   queue.c    commands arriving, and waiting for them
 *   engine.c   one batch from its commands to its answers, the thread
 *   fetch.c    from the journal into the cache
 *   process.c  one command
 *   detail.c   what a refusal says
 *   shared.c   journals that other processes write to: what they wrote, locks, unknown outcomes, lost records
 *   flight.c   one batch on its way to the disk while the next is decided
 *   traced.c   what happened, as spans
 *
 * In a journal of its own the engine takes a batch, decides, appends and answers, one after another. In a shared one
 * there are two roads:
 *
 * The quick road (flight.c) is for the case that all goes well. `flown` is being committed; meanwhile commands are
 * taken as they arrive and decided into `batch`, on heads as `flown` will leave them. When the outcome comes, `flown`
 * is answered, and `batch` is sent. Nothing of `batch` is answered before: what it was decided on is durable then (I9).
 * Keys of `flown` are found like committed ones, its lots too, and its accounts stay pinned; while it brings assets or
 * ledgers nothing is decided beside it, so that nobody asks for rows that may never be.
 *
 * The slow road (shared.c) takes one batch from its commands to its outcome, whatever it needs: others have written
 * (their entries are applied to the cached heads, under the ledgers' locks, and the batch is decided again); a key is
 * in the journal (keys are looked up, and it is decided again); the connection broke; a record is refused. Whatever
 * is not plain success on the quick road undoes `batch` and then `flown`, and both go the slow road in their order.
 * While other processes write, every batch goes it: a batch that is void is work for nothing.
 *
 * What a process knows of a ledger is exact as of a head: the newest in `ledger_past`. Accounts fetched are only
 * taken if their newest entry is no newer; else others have written, and that is learnt first.
 */
#ifndef CREDITLEDGER_ENGINE_ENGINE_INTERNAL_H
#define CREDITLEDGER_ENGINE_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/batch.h"
#include "engine/engine.h"
#include "journal/digest.h"
#include "telemetry/metrics.h"

/* How often a batch is decided again that the journal refuses though nobody else wrote. */
#define CONFLICT_RETRIES 3
/* The same when others did: under the ledgers' locks once is enough, but not every database has them. */
#define SHARED_ATTEMPTS 100
/* So many batches without anything new from others, and the ledgers' locks are no longer taken first. */
#define HOLD_BATCHES 16
/* So many batches after a duplicate have their keys looked up before they are decided. */
#define KEYS_EAGER_BATCHES 8
/* Entries of others that are applied to the cache one by one; of a ledger with more all is read again. */
#define CATCH_UP_ENTRIES 20000
/* Locks and deadlocks: first pause, doubled each time and jittered, and how often. */
#define BUSY_PAUSE_US 5000
#define BUSY_RETRIES 6
/* A broken connection during a commit: pauses as above up to the longest, for so long in all. */
#define UNKNOWN_PAUSE_US 20000
#define UNKNOWN_PAUSE_MAX_US 1000000
#define UNKNOWN_LIMIT_US 30000000
#define UNKNOWN_STOPPING_US 5000000
/* After so long without a sign of it the outcome of an append is waited for at the journal itself. */
#define FLIGHT_PATIENCE_MS 1000
/* How long an unhealthy engine without commands waits before it tries the journal again. */
#define PROBE_MS 1000

/* The last heads at which a ledger was known, and which the journal must have for ever. */
#define PAST_HEADS 32

struct ledger_past {
    struct ledger_known heads[PAST_HEADS]; /* a ring */
    unsigned n, newest;
    uint64_t collected; /* the last collection that has it */
};

/* The commands of one batch as one sequence. */
struct batch_input {
    struct submission *first, *last; /* linked by next */
    size_t n_commands;
};

struct engine {
    struct engine_config config;

    /* The queue: any thread, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    struct submission *first, *last;
    size_t queued_commands, queued_bytes;
    bool stopping, started, sleeping; /* sleeping: whoever brings something wakes the engine by wake_fd */
    int wake_fd;
    pthread_t thread;
    _Atomic size_t depth;
    _Atomic bool healthy, lost;
    char lost_text[256]; /* written once, before `lost` */

    /* The engine's thread only. */
    struct account_cache *cache;
    struct ledger_state *ledgers; /* by id, LIMIT_LEDGERS_MAX + 1 */
    struct ledger_past **pasts;   /* by id; NULL: never loaded */
    struct batch batch;
    struct digest *digest;
    bool stale; /* an append failed: what we know of the journal is to be read again */
    int64_t now;
    int64_t append_began; /* of the last append whose outcome is known */
    uint64_t serial;      /* of batches */

    /* Shared journals: shared.c */
    bool shared, held; /* held: catch_up() holds the ledgers' locks */
    unsigned hold_left, keys_eager;
    uint64_t collections;
    uint64_t jitter;

    /* Shared journals: flight.c */
    struct batch flown;
    struct journal_batch flown_rows;
    struct batch_input flown_input, open_input; /* the commands of flown, and of batch */
    bool in_flight;
    bool open_slow; /* the open batch waits for the flight to land, and then goes the slow road */
    int64_t sent_at;
};

/* --- queue.c */

/* Takes what waits, as far as `accept` likes it (NULL: all), up to the most that one transaction should hold beside
 * `already`; at least one submission if that is 0. */
typedef bool queue_accept(struct engine *e, const struct submission *s);
struct batch_input queue_take(struct engine *e, size_t already, queue_accept *accept);
void queue_append(struct batch_input *input, const struct batch_input *more);
/* Sleeps until there is something to do: commands (if `room`, and if they fit beside the open ones), the end, a
 * readable fd (-1: none), the time (-1: none). False if the time passed. */
bool queue_wait(struct engine *e, bool room, int fd, int timeout_ms);
void queue_stop(struct engine *e);
bool queue_stopping(struct engine *e);
int queue_init(struct engine *e, struct err *err);
void queue_fini(struct engine *e);

/* --- engine.c */

void prepare(struct engine *e, const struct batch_input *input);
/* Fetches, decides and seals more commands into the batch begun. On failure some of them are in it. */
MUST_CHECK int decide_more(struct engine *e, const struct batch_input *input, struct err *err);
/* A batch from its commands on: begun, and decided. */
MUST_CHECK int decide_batch(struct engine *e, const struct batch_input *input, struct err *err);
/* What happened once the journal has the batch: catalog, heads, counters. */
void publish(struct engine *e, struct batch *b);
void count_commit(struct engine *e, int r, int64_t begun);
/* Answers a batch, published or failed. */
void finish_batch(
    struct engine *e, struct batch *b, const struct batch_input *input, int r, const struct err *err);
/* From prepared commands to answers. */
void run_prepared(struct engine *e, struct batch_input *input);
void set_healthy(struct engine *e, bool healthy);

/* --- shared.c */

/* The newest head known to be committed; NULL: the ledger was never loaded. */
const struct ledger_known *past_newest(const struct engine *e, uint32_t ledger);
void past_push(struct engine *e, uint32_t ledger, uint64_t seq, const uint8_t hash[HASH_LEN]);
/* The slow road: decides, commits, until there is an outcome. What it returns is of the last attempt. */
/* If it may grow: what arrives while the ledgers' locks are waited for goes along. Else others who write would make
 * every batch small, of what came in the moment after the last one. */
MUST_CHECK int shared_attempt(struct engine *e, struct batch_input *input, bool may_grow, struct err *err);
/* Ledgers and assets known; readers and the follower add to them at any time. */
size_t catalog_size(const struct engine *e);
/* Whether answers that leave no record were decided on the newest heads. ERR_CONFLICT: they were not, and what is
 * new has been learnt. */
MUST_CHECK int shared_settle_doubts(struct engine *e, struct err *err);
/* An append that failed with `r` for a reason that passes, or whose outcome is unknown, is repeated. */
MUST_CHECK int shared_persist(struct engine *e, struct journal_batch *rows, int r, struct err *err);
/* What a failed append means for the batches to come. The batches are undone before. */
void shared_note_failure(struct engine *e, int r, const struct err *err);
/* Everything known is compared with the journal and read again: after a failure. */
MUST_CHECK int shared_recheck(struct engine *e, struct err *err);

/* --- flight.c */

/* One step of the quick road: an outcome, more commands, or a flight off. False if there was nothing to do. */
bool flight_turn(struct engine *e, bool patience_ended);
bool flight_has_room(const struct engine *e);

/* --- traced.c: nothing of it does anything unless there are spans and the trace is sampled */

void traced_decided(struct engine *e, const struct batch_input *input);
/* Of a batch that is committed and not answered, or that failed (r < 0). */
void traced_batch(struct engine *e, const struct batch *b, const struct batch_input *input, int r);

/* --- fetch.c: from the journal into the cache
 * ------------------------------------------------------------------ */

/* What is known of a command beforehand. */
struct command_known {
    const struct ledger_row *ledger; /* NULL: there is none, or the command acts on none */
    struct key_want *key;            /* NULL: the command has none */
};

struct batch_known {
    struct command_known *commands; /* in their order */
    struct key_want *wants;
    size_t n_wants;
    bool keys_fetched; /* else no key is found among `wants`, and the journal's index is to tell */
};

/* Loads every ledger head and account head that the commands name, and the keys if asked, in a few calls of the
 * port. */
MUST_CHECK int fetch_batch(struct engine *e, const struct batch_input *input, bool keys,
    struct batch_known *ret_known, struct err *err);
MUST_CHECK int fetch_keys(struct engine *e, struct batch_known *known, struct err *err);
MUST_CHECK int fetch_ledger(struct engine *e, uint32_t ledger, struct err *err);
/* NULL in *ret_account: there is none. From the cache, or the journal. */
MUST_CHECK int fetch_number(
    struct engine *e, uint32_t ledger, uint64_t number, struct account **ret_account, struct err *err);
/* After fetch_batch(): the cache alone knows. NULL: no such account. */
struct account *resolve(struct engine *e, uint32_t ledger, const struct account_ref *ref);
/* Forgets all that was cached and reads the catalog again. */
MUST_CHECK int fetch_anew(struct engine *e, struct err *err);

/* --- process.c: one command
 * -------------------------------------------------------------------------------------- */

/* A committed or in-batch asset; an ISO 4217 currency that nobody has used yet comes with id 0; NULL:
 * unknown. */
const struct asset *find_asset(struct engine *e, struct str code);
const struct asset *asset_by_id(const struct engine *e, uint32_t id);
/* Decides submission->commands[index] into its answer. Negative: the journal could not be read. */
MUST_CHECK int process_command(
    struct engine *e, struct submission *s, size_t index, const struct command_known *known, struct err *err);

/* Puts the undone decline of an atomic submission back as a record of its own, if its account still exists.
 */
void keep_decline(struct engine *e, struct submission *s, size_t index);

/* --- detail.c
 * ------------------------------------------------------------------------------------------------------ */

/* One sentence for a REQUEST refusal. */
void describe_refusal(const struct command *command, const struct facts *facts,
    const struct decision *decision, const struct engine *e, char *ret_text, size_t size);

#endif
