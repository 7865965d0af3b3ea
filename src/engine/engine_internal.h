/* The engine's private shape: queue, batches and answers in engine.c, reading ahead in fetch.c, deciding in
 * process.c. */
#ifndef CREDITLEDGER_ENGINE_ENGINE_INTERNAL_H
#define CREDITLEDGER_ENGINE_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/batch.h"
#include "engine/engine.h"
#include "journal/digest.h"
#include "telemetry/metrics.h"

struct engine {
    struct engine_config config;

    /* The queue: any thread, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t arrived, answered;
    struct submission *first, *last;
    size_t queued_commands, queued_bytes;
    bool stopping, started;
    pthread_t thread;
    _Atomic size_t depth;
    _Atomic bool healthy;

    /* The engine's thread only. */
    struct account_cache *cache;
    struct ledger_state *ledgers; /* by id, LIMIT_LEDGERS_MAX + 1 */
    struct batch batch;
    struct digest *digest;
    bool stale; /* an append failed: what we know of the journal is to be read again */
    int64_t now;
};

/* --- fetch.c: from the journal into the cache
 * ------------------------------------------------------------------ */

/* What the prefetch found of the commands' idempotency keys, in the order of the commands. */
struct key_facts {
    struct key_want *wants; /* one a command that has a key and whose ledger exists */
    size_t n;
};

/* The commands of one batch as one sequence. */
struct batch_input {
    struct submission *first; /* linked by next */
    size_t n_commands;
};

/* Loads every ledger head, account head and key that the batch's commands name, in a few calls of the port.
 */
MUST_CHECK int fetch_batch(
    struct engine *e, const struct batch_input *input, struct key_facts *ret_keys, struct err *err);
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
    struct engine *e, struct submission *s, size_t index, const struct key_want *key, struct err *err);

/* Puts the undone decline of an atomic submission back as a record of its own, if its account still exists.
 */
void keep_decline(struct engine *e, struct submission *s, size_t index);

/* --- detail.c
 * ------------------------------------------------------------------------------------------------------ */

/* One sentence for a REQUEST refusal. */
void describe_refusal(const struct command *command, const struct facts *facts,
    const struct decision *decision, const struct engine *e, char *ret_text, size_t size);

#endif
