#include "engine/engine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "telemetry/log.h"

/* How often a batch is decided again when the journal moved on under it. */
#define CONFLICT_RETRIES 3
/* How long an unhealthy engine without commands waits before it tries the journal again. */
#define PROBE_SECONDS 1

/* --- life
 * ------------------------------------------------------------------------------------------------------------
 */

int engine_new(const struct engine_config *config, struct engine **ret_engine, struct err *err)
{
    struct engine *e = calloc(1, sizeof *e);
    INVARIANT(e != NULL);
    e->config = *config;
    if (e->config.queue_commands == 0)
        e->config.queue_commands = LIMIT_QUEUE_COMMANDS_DEFAULT;
    if (e->config.queue_bytes == 0)
        e->config.queue_bytes = LIMIT_QUEUE_BYTES_DEFAULT;
    if (e->config.commit_commands == 0)
        e->config.commit_commands = LIMIT_COMMIT_COMMANDS_DEFAULT;
    if (e->config.cache_accounts == 0)
        e->config.cache_accounts = LIMIT_CACHE_ACCOUNTS_DEFAULT;
    pthread_mutex_init(&e->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->arrived, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&e->answered, NULL);
    uint64_t seed;
    config->random(config->environment, &seed, sizeof seed);
    e->cache = account_cache_new(e->config.cache_accounts, seed);
    e->ledgers = calloc(LIMIT_LEDGERS_MAX + 1, sizeof *e->ledgers);
    INVARIANT(e->ledgers != NULL);
    batch_init(&e->batch, e->cache, e->ledgers, seed);
    e->digest = digest_new();
    e->healthy = true;
    /* An unreadable head is better found now than by the first client. */
    int r = fetch_ledger(e, 1, err);
    if (r < 0) {
        engine_free(e);
        return err_wrap(err, "cannot read the journal's head");
    }
    *ret_engine = e;
    return 0;
}

void engine_free(struct engine *e)
{
    if (e == NULL)
        return;
    INVARIANT(!e->started && e->first == NULL);
    batch_fini(&e->batch);
    account_cache_free(e->cache);
    digest_free(e->digest);
    free(e->ledgers);
    pthread_mutex_destroy(&e->mutex);
    pthread_cond_destroy(&e->arrived);
    pthread_cond_destroy(&e->answered);
    free(e);
}

bool engine_healthy(const struct engine *e)
{
    return e->healthy;
}

bool engine_started(const struct engine *e)
{
    return e->started;
}

size_t engine_queue_depth(const struct engine *e)
{
    return e->depth;
}

/* --- the queue
 * ---------------------------------------------------------------------------------------------------------
 */

static size_t bytes_of(const struct submission *s)
{
    size_t bytes = sizeof *s + s->n * (sizeof *s->commands + sizeof *s->answers);
    for (size_t i = 0; i < s->n; i++) {
        const struct command *command = &s->commands[i];
        bytes += command->text.len + command->reference.len + command->idempotency_key.len;
        if (command->op == COMMAND_POST)
            bytes += command->as.post.n_postings * sizeof(struct posting) +
                     command->as.post.n_expects * sizeof(struct expectation);
    }
    return bytes;
}

enum refusal engine_submit(struct engine *e, struct submission *s)
{
    INVARIANT(s->n >= 1);
    s->queued_bytes = bytes_of(s);
    s->queued_at = e->config.now(e->config.environment);
    s->next = NULL;
    enum refusal refusal = REFUSAL_NONE;
    pthread_mutex_lock(&e->mutex);
    /* An empty queue takes anything that a single request may be. */
    bool full = e->first != NULL && (e->queued_commands + s->n > e->config.queue_commands ||
                                        e->queued_bytes + s->queued_bytes > e->config.queue_bytes);
    if (e->stopping) {
        refusal = REFUSAL_SHUTTING_DOWN;
    } else if (full) {
        refusal = REFUSAL_QUEUE_FULL;
    } else {
        if (e->first == NULL)
            pthread_cond_signal(&e->arrived);
        *(e->first == NULL ? &e->first : &e->last->next) = s;
        e->last = s;
        e->queued_commands += s->n;
        e->queued_bytes += s->queued_bytes;
        e->depth = e->queued_commands;
    }
    pthread_mutex_unlock(&e->mutex);
    if (refusal == REFUSAL_QUEUE_FULL)
        metrics_count(e->config.metrics, METRIC_QUEUE_REFUSED, 1);
    return refusal;
}

/* Takes what waits, up to the most that one transaction should hold, but at least one submission. */
static struct batch_input take_batch(struct engine *e)
{
    struct batch_input input = {.first = e->first};
    struct submission *last = NULL;
    for (struct submission *s = e->first; s != NULL; s = s->next) {
        if (last != NULL && input.n_commands + s->n > e->config.commit_commands)
            break;
        last = s;
        input.n_commands += s->n;
        e->queued_bytes -= s->queued_bytes;
    }
    if (last != NULL) {
        e->first = last->next;
        last->next = NULL;
    }
    e->queued_commands -= input.n_commands;
    e->depth = e->queued_commands;
    metrics_set(e->config.metrics, METRIC_QUEUE_DEPTH, (int64_t)e->queued_commands);
    return input;
}

/* --- one batch
 * ------------------------------------------------------------------------------------------------------------
 */

static void refuse_rest(struct submission *s, size_t from)
{
    for (size_t i = from; i < s->n; i++)
        s->answers[i] = (struct answer){.refusal = REFUSAL_NOT_APPLIED};
}

/*
 * Of an atomic submission that was refused only the decline that refused it is kept, moved onto the heads as
 * they are without its siblings: it binds its key, so that a late retry cannot turn the refusal into a
 * success.
 */
static void undo_atomic(struct engine *e, struct submission *s, size_t refused, struct batch_mark mark)
{
    batch_undo(&e->batch, mark);
    for (size_t i = 0; i < s->n; i++)
        if (i != refused)
            s->answers[i] = (struct answer){.refusal = REFUSAL_NOT_APPLIED, .ledger = s->answers[i].ledger};
    if (!s->answers[refused].replayed && !s->commands[refused].dry_run)
        keep_decline(e, s, refused);
}

static int process_submission(
    struct engine *e, struct submission *s, const struct key_facts *keys, size_t *next_key, struct err *err)
{
    struct batch_mark mark = batch_mark(&e->batch);
    size_t refused = SIZE_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const struct command *command = &s->commands[i];
        const struct key_want *key = NULL;
        INVARIANT(command->dry_run == s->commands[0].dry_run);
        bool keyed = command->idempotency_key.data != NULL &&
                     catalog_ledger_by_name(e->config.catalog, command->ledger) != NULL;
        if (keyed)
            key = &keys->wants[(*next_key)++];
        if (refused != SIZE_MAX)
            continue;
        int r = process_command(e, s, i, key, err);
        if (r < 0)
            return r;
        if (s->answers[i].refusal != REFUSAL_NONE && (s->atomic || s->stop_on_refusal)) {
            refused = i;
            refuse_rest(s, i + 1);
        }
    }
    if (s->atomic && refused != SIZE_MAX)
        undo_atomic(e, s, refused, mark);
    if (s->commands[0].dry_run)
        batch_undo(&e->batch, mark);
    return 0;
}

/* Salts, randomness and the time enter here, once, so that deciding again decides the same. */
static void prepare(struct engine *e, const struct batch_input *input)
{
    struct fresh {
        uint8_t salt[SALT_LEN];
        uint32_t random;
    };
    struct fresh *fresh = ARENA_ARRAY(&e->batch.arena, struct fresh, input->n_commands);
    e->config.random(e->config.environment, fresh, input->n_commands * sizeof *fresh);
    e->now = e->config.now(e->config.environment);
    for (struct submission *s = input->first; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->n; i++, fresh++) {
            memcpy(s->commands[i].salt, fresh->salt, SALT_LEN);
            s->commands[i].random = fresh->random;
        }
    }
}

static void seal(struct engine *e)
{
    struct batch *b = &e->batch;
    for (size_t i = 0; i < b->n_records; i++) {
        /* decide() made it in an arena of ours; it is const for everybody else */
        struct record *record = (struct record *)(uintptr_t)b->records[i];
        struct ledger_state *state = &e->ledgers[record->ledger];
        if (record->text.present)
            digest_text(e->digest, &record->text);
        const struct asset *asset = record->account ? asset_by_id(e, record->account->asset) : NULL;
        digest_record(e->digest, state->head.hash, record, asset, record->hash);
        memcpy(state->head.hash, record->hash, HASH_LEN);
    }
}

static int decide_batch(struct engine *e, const struct batch_input *input, struct err *err)
{
    struct key_facts keys;
    account_cache_unpin_all(e->cache);
    batch_begin(&e->batch, input->n_commands);
    int r = 0;
    if (e->stale)
        r = fetch_anew(e, err);
    if (r == 0) {
        e->stale = false;
        r = fetch_batch(e, input, &keys, err);
    }
    size_t next_key = 0;
    for (struct submission *s = input->first; r == 0 && s != NULL; s = s->next)
        r = process_submission(e, s, &keys, &next_key, err);
    if (r == 0)
        seal(e);
    return r;
}

static bool batch_is_empty(const struct batch *b)
{
    return b->n_records == 0 && b->n_assets == 0 && b->n_ledgers == 0;
}

static int commit_batch(struct engine *e, struct err *err)
{
    struct batch *b = &e->batch;
    if (batch_is_empty(b))
        return 0;
    const struct journal_batch batch = {
        b->assets, b->n_assets, b->ledgers, b->n_ledgers, b->records, b->n_records};
    for (size_t i = 0; i < b->n_assets; i++)
        catalog_announce_asset(e->config.catalog, &b->assets[i]);
    int64_t begun = e->config.now(e->config.environment);
    int r = e->config.journal->ops->append(e->config.journal, &batch, err);
    int64_t took = e->config.now(e->config.environment) - begun;
    if (r == 0) {
        metrics_count(e->config.metrics, METRIC_COMMITS, 1);
        metrics_observe(e->config.metrics, METRIC_COMMIT, took > 0 ? (uint64_t)took : 0);
    } else {
        metrics_count(e->config.metrics, METRIC_COMMIT_FAILURES, 1);
    }
    return r;
}

static void count_record(struct engine *e, const struct record *record)
{
    if (record->kind == RECORD_DECLINED) {
        const struct refusal_info *info = refusal_info((enum refusal)record->refusal);
        metrics_declined(e->config.metrics, record->refusal, info->name);
    }
    for (size_t i = 0; i < record->n_entries; i++) {
        const struct entry *entry = &record->entries[i];
        if (entry->change.posted > 0)
            metrics_volume(
                e->config.metrics, entry->asset, asset_by_id(e, entry->asset)->code, entry->change.posted);
    }
    metrics_add(e->config.metrics, METRIC_ACCOUNTS, record->account != NULL);
    metrics_count(
        e->config.metrics, METRIC_POSTINGS, record->kind == RECORD_TRANSFER ? record->n_entries / 2 : 0);
}

static void publish(struct engine *e)
{
    struct batch *b = &e->batch;
    for (size_t i = 0; i < b->n_assets; i++)
        catalog_add_asset(e->config.catalog, &b->assets[i]);
    for (size_t i = 0; i < b->n_ledgers; i++)
        catalog_add_ledger(e->config.catalog, &b->ledgers[i]);
    for (size_t i = 0; i < b->n_records; i++) {
        const struct record *record = b->records[i];
        e->ledgers[record->ledger].committed_seq = record->seq;
        count_record(e, record);
    }
    metrics_add(e->config.metrics, METRIC_ACCOUNTS_WITHOUT_FLOOR, b->without_floor);
    for (size_t i = 0; i < b->n_records; i++) {
        bool last = i + 1 == b->n_records || b->records[i + 1]->ledger != b->records[i]->ledger;
        if (last)
            catalog_reached(e->config.catalog, b->records[i]->ledger, b->records[i]->seq);
    }
    metrics_count(e->config.metrics, METRIC_RECORDS, b->n_records);
    metrics_set(e->config.metrics, METRIC_CACHED_ACCOUNTS, (int64_t)account_cache_size(e->cache));
    if (e->config.committed != NULL && b->n_records + b->n_ledgers + b->n_assets > 0)
        e->config.committed(e->config.committed_ctx);
}

static void fail_batch(struct engine *e, const struct batch_input *input, const struct err *err)
{
    enum refusal refusal = err->code == ERR_CORRUPT || err->code == ERR_CONFLICT
                               ? REFUSAL_INTERNAL
                               : REFUSAL_STORAGE_UNAVAILABLE;
    log_event(LOG_ERROR, "batch not committed", "error", err->message, NULL);
    metrics_count(e->config.metrics, METRIC_DATABASE_ERRORS, 1);
    for (struct submission *s = input->first; s != NULL; s = s->next)
        for (size_t i = 0; i < s->n; i++)
            s->answers[i] = (struct answer){.refusal = refusal};
}

static void answer_all(struct engine *e, const struct batch_input *input)
{
    int64_t now = e->config.now(e->config.environment);
    for (struct submission *s = input->first, *next; s != NULL; s = next) {
        next = s->next; /* done() gives the submission back */
        int64_t took = now - s->queued_at;
        metrics_observe(e->config.metrics, METRIC_POSTING, took > 0 ? (uint64_t)took : 0);
        s->done(s);
    }
}

static void set_healthy(struct engine *e, bool healthy)
{
    e->healthy = healthy;
    metrics_set(e->config.metrics, METRIC_READY, healthy);
}

/* Decides and commits; decides again while others write. What it returns is of the last attempt. */
static int attempt_batch(struct engine *e, const struct batch_input *input, struct err *err)
{
    int r = 0;
    for (int attempt = 0; attempt <= CONFLICT_RETRIES; attempt++) {
        r = decide_batch(e, input, err);
        if (r == 0)
            r = commit_batch(e, err);
        if (r == 0)
            break;
        /* What the journal holds is no longer what the heads say: they are read again before the next
         * decision. */
        batch_undo(&e->batch, (struct batch_mark){0});
        e->stale = true;
        if (r != ERR_CONFLICT)
            break;
        log_event(LOG_WARNING, "the journal moved on; deciding again", "error", err->message, NULL);
    }
    return r;
}

static void finish_batch(struct engine *e, const struct batch_input *input, int r, const struct err *err)
{
    bool proven = e->healthy || !batch_is_empty(&e->batch); /* replays and dry runs write nothing */
    set_healthy(e, r == 0 && proven);
    if (r == 0)
        publish(e);
    else
        fail_batch(e, input, err);
    account_cache_trim(e->cache);
    answer_all(e, input);
}

/*
 * A record that the database refuses, however often it is decided, would take its whole batch with it: then
 * every submission goes alone, and only the one that is to blame fails.
 */
static void run_one_by_one(struct engine *e, const struct batch_input *input)
{
    for (struct submission *s = input->first, *next; s != NULL; s = next) {
        next = s->next;
        s->next = NULL;
        struct err err = {0};
        const struct batch_input alone = {.first = s, .n_commands = s->n};
        finish_batch(e, &alone, attempt_batch(e, &alone, &err), &err);
    }
}

static void run_batch(struct engine *e, const struct batch_input *input)
{
    struct err err = {0};
    metrics_observe(e->config.metrics, METRIC_BATCH, input->n_commands);
    prepare(e, input);
    int r = attempt_batch(e, input, &err);
    if (r == ERR_CONFLICT && input->first->next != NULL)
        run_one_by_one(e, input);
    else
        finish_batch(e, input, r, &err);
}

bool engine_step(struct engine *e)
{
    pthread_mutex_lock(&e->mutex);
    struct batch_input input = take_batch(e);
    pthread_mutex_unlock(&e->mutex);
    if (input.first == NULL)
        return false;
    run_batch(e, &input);
    return true;
}

/* --- the thread
 * -------------------------------------------------------------------------------------------------------------
 */

/* Under the mutex: until there are commands or none will come; false if meanwhile it is time for a probe. */
static bool wait_for_commands(struct engine *e)
{
    struct timespec probe_at;
    clock_gettime(CLOCK_MONOTONIC, &probe_at);
    probe_at.tv_sec += PROBE_SECONDS;
    while (e->first == NULL && !e->stopping) {
        if (e->healthy)
            pthread_cond_wait(&e->arrived, &e->mutex);
        else if (pthread_cond_timedwait(&e->arrived, &e->mutex, &probe_at) == ETIMEDOUT)
            return false;
    }
    return true;
}

/* Its failure is no news: what made the engine unhealthy was logged. */
static void probe(struct engine *e)
{
    struct err err = {0};
    const struct journal_batch nothing = {0};
    if (e->config.journal->ops->append(e->config.journal, &nothing, &err) != 0)
        return;
    set_healthy(e, true);
    log_event(LOG_INFO, "the journal takes writes again", NULL);
}

static void *engine_main(void *arg)
{
    struct engine *e = arg;
    for (;;) {
        pthread_mutex_lock(&e->mutex);
        bool commands = wait_for_commands(e);
        struct batch_input input = take_batch(e);
        pthread_mutex_unlock(&e->mutex);
        if (input.first != NULL)
            run_batch(e, &input);
        else if (commands)
            return NULL; /* stopping, and all is answered */
        else
            probe(e);
    }
}

int engine_start(struct engine *e, struct err *err)
{
    INVARIANT(!e->started);
    int r = pthread_create(&e->thread, NULL, engine_main, e);
    if (r != 0)
        return err_set(err, ERR_IO, "cannot start the engine's thread: %s", strerror(r));
    e->started = true;
    metrics_set(e->config.metrics, METRIC_READY, 1);
    return 0;
}

void engine_stop(struct engine *e)
{
    pthread_mutex_lock(&e->mutex);
    e->stopping = true;
    pthread_cond_signal(&e->arrived);
    pthread_mutex_unlock(&e->mutex);
    metrics_set(e->config.metrics, METRIC_READY, 0);
    if (e->started) {
        pthread_join(e->thread, NULL);
        e->started = false;
    } else {
        while (engine_step(e))
            ;
    }
}

/* --- waiting callers
 * ----------------------------------------------------------------------------------------------------- */

struct waiting {
    struct submission submission; /* first: done() gets its address */
    struct engine *engine;
    bool answered;
};

static void call_done(struct submission *s)
{
    struct waiting *w = (struct waiting *)s;
    pthread_mutex_lock(&w->engine->mutex);
    w->answered = true;
    pthread_cond_broadcast(&w->engine->answered);
    pthread_mutex_unlock(&w->engine->mutex);
}

void engine_call(struct engine *e, struct submission *s)
{
    struct waiting w = {.submission = *s, .engine = e};
    w.submission.done = call_done;
    enum refusal refusal = engine_submit(e, &w.submission);
    if (refusal != REFUSAL_NONE) {
        for (size_t i = 0; i < s->n; i++)
            s->answers[i] = (struct answer){.refusal = refusal};
        return;
    }
    while (!e->started && !w.answered && engine_step(e))
        ;
    pthread_mutex_lock(&e->mutex);
    while (!w.answered)
        pthread_cond_wait(&e->answered, &e->mutex);
    pthread_mutex_unlock(&e->mutex);
}
