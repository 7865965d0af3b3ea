#include "engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "telemetry/log.h"

/* --- life
 * ------------------------------------------------------------------------------------------------------------
 */

static void sleep_a_while(void *environment, int64_t micros)
{
    (void)environment;
    usleep((useconds_t)micros);
}

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
    if (e->config.pause == NULL)
        e->config.pause = sleep_a_while;
    e->shared = config->journal->shared;
    int r = queue_init(e, err);
    uint64_t seed;
    config->random(config->environment, &seed, sizeof seed);
    e->cache = account_cache_new(e->config.cache_accounts, seed);
    e->ledgers = calloc(LIMIT_LEDGERS_MAX + 1, sizeof *e->ledgers);
    e->pasts = calloc(LIMIT_LEDGERS_MAX + 1, sizeof(*e->pasts));
    INVARIANT(e->ledgers != NULL && e->pasts != NULL);
    batch_init(&e->batch, e->cache, e->ledgers, seed);
    batch_init(&e->flown, e->cache, e->ledgers, seed);
    e->jitter = seed | 1;
    e->digest = digest_new();
    e->healthy = true;
    /* An unreadable head is better found now than by the first client. */
    if (r == 0)
        r = fetch_ledger(e, 1, err);
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
    INVARIANT(!e->started && e->first == NULL && !e->in_flight && e->open_input.first == NULL);
    batch_fini(&e->batch);
    batch_fini(&e->flown);
    account_cache_free(e->cache);
    digest_free(e->digest);
    for (size_t i = 0; i <= LIMIT_LEDGERS_MAX; i++)
        free(e->pasts[i]);
    free(e->pasts);
    free(e->ledgers);
    queue_fini(e);
    free(e);
}

bool engine_healthy(const struct engine *e)
{
    return e->healthy;
}

const char *engine_lost(const struct engine *e)
{
    return e->lost ? e->lost_text : NULL;
}

bool engine_started(const struct engine *e)
{
    return e->started;
}

size_t engine_queue_depth(const struct engine *e)
{
    return e->depth;
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
    struct engine *e, struct submission *s, const struct command_known *known, struct err *err)
{
    struct batch_mark mark = batch_mark(&e->batch);
    size_t refused = SIZE_MAX;
    for (size_t i = 0; i < s->n; i++) {
        INVARIANT(s->commands[i].dry_run == s->commands[0].dry_run);
        if (refused != SIZE_MAX)
            continue;
        int r = process_command(e, s, i, &known[i], err);
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

/* Of these the journal keeps nothing, so its index of keys does not see them, and no append proves their heads. */
static bool leaves_nothing(const struct answer *answer)
{
    return answer->record == NULL || (answer->dry_run && !answer->replayed);
}

static bool needs_its_keys(const struct submission *s, const struct command_known *known)
{
    for (size_t i = 0; i < s->n; i++)
        if (known[i].key != NULL && leaves_nothing(&s->answers[i]))
            return true;
    return false;
}

static void note_doubts(struct engine *e, const struct submission *s, const struct command_known *known)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct answer *answer = &s->answers[i];
        if (!leaves_nothing(answer))
            continue;
        if (known[i].ledger != NULL)
            batch_doubt(&e->batch, known[i].ledger->id);
        e->batch.catalog_doubt |=
            answer->refusal == REFUSAL_LEDGER_NOT_FOUND || answer->refusal == REFUSAL_ASSET_NOT_FOUND;
    }
}

/*
 * In a shared journal keys are not looked up beforehand: a key that was used makes the append fail. What leaves no
 * record has no such guard, so its keys are looked up now, and it is decided on that: a replay is always a replay.
 */
static int process_shared(struct engine *e, struct submission *s, struct batch_known *all,
    const struct command_known *known, struct err *err)
{
    struct batch_mark mark = batch_mark(&e->batch);
    int r = process_submission(e, s, known, err);
    if (r == 0 && !all->keys_fetched && needs_its_keys(s, known)) {
        batch_undo(&e->batch, mark);
        r = fetch_keys(e, all, err);
        if (r == 0)
            r = process_submission(e, s, known, err);
    }
    if (r == 0)
        note_doubts(e, s, known);
    return r;
}

/* Salts, randomness and the time enter here, once, so that deciding again decides the same. */
void prepare(struct engine *e, const struct batch_input *input)
{
    struct fresh {
        uint8_t salt[SALT_LEN];
        uint32_t random;
    };
    struct fresh *fresh = ARENA_ARRAY(&e->batch.arena, struct fresh, input->n_commands);
    e->config.random(e->config.environment, fresh, input->n_commands * sizeof *fresh);
    e->now = e->config.now(e->config.environment);
    for (struct submission *s = input->first; s != NULL; s = s->next) {
        s->taken_at = e->now;
        for (size_t i = 0; i < s->n; i++, fresh++) {
            memcpy(s->commands[i].salt, fresh->salt, SALT_LEN);
            s->commands[i].random = fresh->random;
        }
    }
}

static void seal(struct engine *e)
{
    struct batch *b = &e->batch;
    for (size_t i = b->n_sealed; i < b->n_records; i++) {
        /* decide() made it in an arena of ours; it is const for everybody else */
        struct record *record = (struct record *)(uintptr_t)b->records[i];
        struct ledger_state *state = &e->ledgers[record->ledger];
        if (record->text.present)
            digest_text(e->digest, &record->text);
        const struct asset *asset = record->account ? asset_by_id(e, record->account->asset) : NULL;
        batch_know(b, record->ledger, record->seq, state->head.hash);
        digest_record(e->digest, state->head.hash, record, asset, record->hash);
        memcpy(state->head.hash, record->hash, HASH_LEN);
    }
    b->n_sealed = b->n_records;
}

int decide_more(struct engine *e, const struct batch_input *input, struct err *err)
{
    struct batch_known known;
    if (!e->batch.catalog_doubt)
        e->batch.catalog_size = catalog_size(e);
    int r = fetch_batch(e, input, !e->shared || e->keys_eager > 0, &known, err);
    const struct command_known *next = known.commands;
    for (struct submission *s = input->first; r == 0 && s != NULL; next += s->n, s = s->next)
        r = e->shared ? process_shared(e, s, &known, next, err) : process_submission(e, s, next, err);
    if (r == 0)
        seal(e);
    traced_decided(e, input);
    return r;
}

int decide_batch(struct engine *e, const struct batch_input *input, struct err *err)
{
    account_cache_unpin_all(e->cache);
    batch_begin(&e->batch, ++e->serial, input->n_commands);
    int r = 0;
    if (e->stale)
        r = e->shared ? shared_recheck(e, err) : fetch_anew(e, err);
    if (r == 0) {
        e->stale = false;
        r = decide_more(e, input, err);
    }
    return r;
}

void count_commit(struct engine *e, int r, int64_t begun)
{
    int64_t took = e->config.now(e->config.environment) - begun;
    e->append_began = begun;
    if (r == 0) {
        metrics_count(e->config.metrics, METRIC_COMMITS, 1);
        metrics_observe(e->config.metrics, METRIC_COMMIT, took > 0 ? (uint64_t)took : 0);
    } else {
        metrics_count(e->config.metrics, METRIC_COMMIT_FAILURES, 1);
    }
}

static int commit_batch(struct engine *e, struct err *err)
{
    struct batch *b = &e->batch;
    if (batch_is_empty(b))
        return 0;
    const struct journal_batch batch = batch_to_append(b);
    for (size_t i = 0; i < b->n_assets; i++)
        catalog_announce_asset(e->config.catalog, &b->assets[i]);
    int64_t begun = e->config.now(e->config.environment);
    int r = e->config.journal->ops->append(e->config.journal, &batch, err);
    count_commit(e, r, begun);
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

void publish(struct engine *e, struct batch *b)
{
    for (size_t i = 0; i < b->n_assets; i++)
        catalog_add_asset(e->config.catalog, &b->assets[i]);
    for (size_t i = 0; i < b->n_ledgers; i++)
        catalog_add_ledger(e->config.catalog, &b->ledgers[i]);
    for (size_t i = 0; i < b->n_records; i++)
        count_record(e, b->records[i]);
    metrics_add(e->config.metrics, METRIC_ACCOUNTS_WITHOUT_FLOOR, b->without_floor);
    for (size_t i = 0; i < b->n_records; i++) {
        bool last = i + 1 == b->n_records || b->records[i + 1]->ledger != b->records[i]->ledger;
        if (!last)
            continue;
        past_push(e, b->records[i]->ledger, b->records[i]->seq, b->records[i]->hash);
        catalog_reached(e->config.catalog, b->records[i]->ledger, b->records[i]->seq);
    }
    metrics_count(e->config.metrics, METRIC_RECORDS, b->n_records);
    metrics_set(e->config.metrics, METRIC_CACHED_ACCOUNTS, (int64_t)account_cache_size(e->cache));
    if (e->config.committed != NULL && b->n_records + b->n_ledgers + b->n_assets > 0)
        e->config.committed(e->config.committed_ctx);
}

static enum refusal refusal_of(int code)
{
    if (code == ERR_CORRUPT || code == ERR_CONFLICT)
        return REFUSAL_INTERNAL;
    if (code == ERR_UNKNOWN)
        return REFUSAL_OUTCOME_UNKNOWN;
    return code == ERR_LOST ? REFUSAL_JOURNAL_BEHIND : REFUSAL_STORAGE_UNAVAILABLE;
}

static void fail_batch(struct engine *e, const struct batch_input *input, const struct err *err)
{
    enum refusal refusal = refusal_of(err->code);
    log_event(LOG_ERROR, "batch not committed", "error", err->message, NULL);
    metrics_count(e->config.metrics, METRIC_DATABASE_ERRORS, 1);
    for (struct submission *s = input->first; s != NULL; s = s->next) {
        /* Whatever became of the batch, nothing of a dry run is recorded. */
        bool harmless = s->commands[0].dry_run && refusal == REFUSAL_OUTCOME_UNKNOWN;
        for (size_t i = 0; i < s->n; i++)
            s->answers[i] = (struct answer){.refusal = harmless ? REFUSAL_STORAGE_UNAVAILABLE : refusal};
    }
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

void set_healthy(struct engine *e, bool healthy)
{
    healthy = healthy && !e->lost; /* what is lost comes back for nobody */
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

void finish_batch(
    struct engine *e, struct batch *b, const struct batch_input *input, int r, const struct err *err)
{
    bool proven = e->healthy || !batch_is_empty(b); /* replays and dry runs write nothing */
    set_healthy(e, r == 0 && proven);
    if (r == 0)
        publish(e, b);
    else
        fail_batch(e, input, err);
    traced_batch(e, b, input, r);
    account_cache_trim(e->cache);
    answer_all(e, input);
    batch_begin(b, ++e->serial, 0); /* what is done can no longer be undone */
}

static int outcome_of(struct engine *e, struct batch_input *input, bool may_grow, struct err *err)
{
    return e->shared ? shared_attempt(e, input, may_grow, err) : attempt_batch(e, input, err);
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
        struct batch_input alone = {.first = s, .last = s, .n_commands = s->n};
        int r = outcome_of(e, &alone, false, &err);
        finish_batch(e, &e->batch, &alone, r, &err);
    }
}

void run_prepared(struct engine *e, struct batch_input *input)
{
    struct err err = {0};
    int r = outcome_of(e, input, true, &err);
    metrics_observe(e->config.metrics, METRIC_BATCH, input->n_commands);
    if (r == ERR_CONFLICT && input->first->next != NULL)
        run_one_by_one(e, input);
    else
        finish_batch(e, &e->batch, input, r, &err);
}

/* What there is to do without waiting for anybody but the journal. False: nothing. */
static bool turn(struct engine *e, bool patience_ended)
{
    if (e->shared)
        return flight_turn(e, patience_ended);
    struct batch_input input = queue_take(e, 0, NULL);
    if (input.first == NULL)
        return false;
    prepare(e, &input);
    run_prepared(e, &input);
    return true;
}

bool engine_step(struct engine *e)
{
    return turn(e, true);
}

/* --- the thread
 * -------------------------------------------------------------------------------------------------------------
 */

/* Its failure is no news: what made the engine unhealthy was logged. */
static void probe(struct engine *e)
{
    struct err err = {0};
    const struct journal_batch nothing = {0};
    if (e->lost || e->config.journal->ops->append(e->config.journal, &nothing, &err) != 0)
        return;
    batch_begin(&e->batch, ++e->serial, 0); /* its arena is where heads are compared */
    if (e->shared && e->stale && shared_recheck(e, &err) != 0)
        return;
    set_healthy(e, true);
    log_event(LOG_INFO, "the journal takes writes again", NULL);
}

static void *engine_main(void *arg)
{
    struct engine *e = arg;
    for (;;) {
        struct journal *j = e->config.journal;
        int fd = e->in_flight ? j->ops->append_fd(j) : -1;
        int timeout = e->in_flight ? FLIGHT_PATIENCE_MS : e->healthy || e->lost ? -1 : PROBE_MS;
        bool woken = queue_wait(e, flight_has_room(e), fd, timeout);
        if (turn(e, !woken || queue_stopping(e)))
            continue;
        if (queue_stopping(e))
            return NULL; /* all is answered */
        if (!woken)
            probe(e);
    }
}

void engine_set_spans(struct engine *e, struct spans *spans)
{
    INVARIANT(!e->started);
    e->config.spans = spans;
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
    queue_stop(e);
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
