/*
 * Journals that other processes write to: the slow road of a batch (engine_internal.h), which takes it to its outcome
 * whatever happens, and what is known of ledgers, compared with the journal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/engine_internal.h"
#include "telemetry/log.h"

static struct journal *journal_of(struct engine *e)
{
    return e->config.journal;
}

/* --- what was known */

const struct ledger_known *past_newest(const struct engine *e, uint32_t ledger)
{
    const struct ledger_past *past = e->pasts[ledger];
    return past != NULL && past->n > 0 ? &past->heads[past->newest] : NULL;
}

void past_push(struct engine *e, uint32_t ledger, uint64_t seq, const uint8_t hash[HASH_LEN])
{
    struct ledger_past *past = e->pasts[ledger];
    if (past == NULL) {
        past = e->pasts[ledger] = calloc(1, sizeof *past);
        INVARIANT(past != NULL);
    } else if (past->heads[past->newest].seq == seq &&
               memcmp(past->heads[past->newest].hash, hash, HASH_LEN) == 0) {
        return;
    }
    past->newest = (past->newest + (past->n > 0)) % PAST_HEADS;
    past->n += past->n < PAST_HEADS;
    struct ledger_known *head = &past->heads[past->newest];
    *head = (struct ledger_known){.ledger = ledger, .seq = seq};
    memcpy(head->hash, hash, HASH_LEN);
}

/* --- records that are gone */

/* The journal has record `seq` with that hash; of an empty ledger there is nothing to lose. */
static int still_there(struct engine *e, const struct ledger_known *known, bool *ret_there, struct err *err)
{
    const struct record *record;
    *ret_there = known->seq == 0;
    if (known->seq == 0)
        return 0;
    int r = journal_of(e)->ops->record(
        journal_of(e), known->ledger, known->seq, false, &e->batch.arena, &record, err);
    if (r == 0)
        *ret_there = memcmp(record->hash, known->hash, HASH_LEN) == 0;
    return r == ERR_NOT_FOUND ? 0 : r;
}

static int lost_from(struct engine *e, const struct ledger_past *past, uint64_t *ret_seq, struct err *err)
{
    for (unsigned i = 0; i < past->n; i++) {
        const struct ledger_known *known = &past->heads[(past->newest + PAST_HEADS - i) % PAST_HEADS];
        bool there;
        int r = still_there(e, known, &there, err);
        if (r < 0)
            return r;
        if (there) {
            *ret_seq = known->seq + 1;
            return 0;
        }
        *ret_seq = known->seq; /* that and perhaps more: older heads are forgotten */
    }
    return 0;
}

/* Stops writing for good: going on would give their numbers to other records. */
static int declare_lost(struct engine *e, uint32_t ledger, struct err *err)
{
    const struct ledger_past *past = e->pasts[ledger];
    const struct ledger_row *row = catalog_ledger(e->config.catalog, ledger);
    uint64_t from = 0, to = past->heads[past->newest].seq;
    int r = lost_from(e, past, &from, err);
    if (r < 0)
        return r; /* still stale: it is looked at again */
    snprintf(e->lost_text, sizeof e->lost_text,
        "records %" PRIu64 " to %" PRIu64 " of ledger %s were acknowledged and are not in the database", from,
        to, row != NULL ? row->name : "?");
    e->lost = true;
    set_healthy(e, false);
    log_event(LOG_ERROR, "the journal lacks records that it had; nothing is written from now on", "error",
        e->lost_text, NULL);
    return err_set(err, ERR_LOST, "%s", e->lost_text);
}

/* --- what others wrote */

/* One ledger is in the collection once. */
static void collect(struct engine *e, uint32_t ledger, struct ledger_known *known, size_t *n)
{
    struct ledger_past *past = e->pasts[ledger];
    if (past->collected == e->collections)
        return;
    past->collected = e->collections;
    known[(*n)++] = past->heads[past->newest];
}

static int by_ledger(const void *a, const void *b)
{
    const struct ledger_known *x = a, *y = b;
    return (x->ledger > y->ledger) - (x->ledger < y->ledger);
}

/* Nothing of these ledgers is decided and undecided: what is cached is as of the known heads. */
static int on_change(void *ctx, uint32_t ledger, const struct entry *entry, uint64_t seq)
{
    struct engine *e = ctx;
    struct account *account = account_cache_peek(e->cache, ledger, entry->account);
    if (account == NULL || entry->version <= account->version)
        return 0;
    if (entry->version != account->version + 1 || entry->revision != account->revision) {
        account_cache_drop(e->cache, ledger, entry->account); /* status and texts are read anew */
        return 0;
    }
    account->version = entry->version;
    account->balance = entry->after;
    account->seq = seq;
    return 0;
}

static int take_news(struct engine *e, const struct ledger_known *known, const struct ledger_news *news,
    bool *ret_moved, struct err *err)
{
    if (news->lost)
        return declare_lost(e, known->ledger, err);
    if (news->too_many)
        account_cache_clear_ledger(e->cache, known->ledger);
    struct ledger_state *state = &e->ledgers[known->ledger];
    *ret_moved |= news->too_many || news->head.seq != known->seq;
    state->head = news->head;
    past_push(e, known->ledger, news->head.seq, news->head.hash);
    catalog_reached(e->config.catalog, known->ledger, news->head.seq);
    return 0;
}

/* Learns what others wrote to these ledgers; their batches are undone. `n` may be 0. */
static int learn(struct engine *e, struct ledger_known *known, size_t n, bool hold, size_t max_entries,
    bool *ret_moved, struct err *err)
{
    if (n == 0)
        return 0;
    struct ledger_news *news = ARENA_ARRAY(&e->batch.arena, struct ledger_news, n);
    qsort(known, n, sizeof *known, by_ledger);
    int r = journal_of(e)->ops->catch_up(journal_of(e), known, n, hold, max_entries, news, on_change, e, err);
    if (r < 0) {
        /* Some entries may have been applied: the heads they belong to are not known. */
        for (size_t i = 0; i < n; i++)
            account_cache_clear_ledger(e->cache, known[i].ledger);
        return r;
    }
    e->held = hold;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = take_news(e, &known[i], &news[i], ret_moved, err);
    return r;
}

/* The ledgers that the commands act on. */
static int learn_of_input(
    struct engine *e, const struct batch_input *input, bool hold, bool *ret_moved, struct err *err)
{
    struct ledger_known *known = ARENA_ARRAY(&e->batch.arena, struct ledger_known, input->n_commands);
    size_t n = 0;
    e->collections++;
    for (const struct submission *s = input->first; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->n; i++) {
            const struct ledger_row *row = catalog_ledger_by_name(e->config.catalog, s->commands[i].ledger);
            if (row == NULL)
                continue;
            int r = fetch_ledger(e, row->id, err);
            if (r < 0)
                return r;
            collect(e, row->id, known, &n);
        }
    }
    return learn(e, known, n, hold, CATCH_UP_ENTRIES, ret_moved, err);
}

int shared_recheck(struct engine *e, struct err *err)
{
    account_cache_clear(e->cache);
    size_t ledgers = catalog_ledgers(e->config.catalog), n = 0;
    struct ledger_known *known = ARENA_ARRAY(&e->batch.arena, struct ledger_known, ledgers + 1);
    e->collections++;
    for (uint32_t id = 1; id <= ledgers; id++)
        if (e->ledgers[id].loaded)
            collect(e, id, known, &n);
    bool moved = false;
    int r = learn(e, known, n, false, 1, &moved, err);
    if (r == 0)
        r = catalog_refresh(e->config.catalog, journal_of(e), err);
    if (r == 0)
        e->stale = false;
    return r;
}

size_t catalog_size(const struct engine *e)
{
    return catalog_ledgers(e->config.catalog) + catalog_assets(e->config.catalog);
}

int shared_settle_doubts(struct engine *e, struct err *err)
{
    struct batch *b = &e->batch;
    struct ledger_known *known = ARENA_ARRAY(&b->arena, struct ledger_known, b->n_doubts);
    size_t n = 0;
    bool moved = false;
    int r = 0;
    e->collections++;
    for (size_t i = 0; i < b->n_doubts && !e->held; i++)
        if (e->ledgers[b->doubts[i]].sealed_in != b->serial) /* else the append proves it */
            collect(e, b->doubts[i], known, &n);
    if (n > 0)
        r = learn(e, known, n, false, CATCH_UP_ENTRIES, &moved, err);
    if (r == 0 && b->catalog_doubt)
        r = catalog_refresh(e->config.catalog, journal_of(e), err);
    if (r == 0 && (moved || (b->catalog_doubt && catalog_size(e) != b->catalog_size)))
        r = err_set(err, ERR_CONFLICT, "another process has written meanwhile");
    return r;
}

/* --- patience */

/* From half the pause to one and a half: processes that were in each other's way do not meet again. */
static void pause_about(struct engine *e, int64_t micros)
{
    e->jitter ^= e->jitter << 13;
    e->jitter ^= e->jitter >> 7;
    e->jitter ^= e->jitter << 17;
    e->config.pause(e->config.environment, micros / 2 + (int64_t)(e->jitter % (uint64_t)micros));
}

static bool passes(int r)
{
    return r == ERR_BUSY || r == ERR_TIMEOUT;
}

static int64_t monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* The identical batch again, until the journal says that it has it, or that it does not. */
static int find_out(struct engine *e, struct journal_batch *rows, struct err *err)
{
    log_event(LOG_ERROR, "the connection broke during a commit; finding out what became of it", "error",
        err->message, NULL);
    metrics_count(e->config.metrics, METRIC_UNKNOWN_OUTCOMES, 1);
    metrics_count(e->config.metrics, METRIC_DATABASE_ERRORS, 1);
    set_healthy(e, false);
    rows->again = true;
    int64_t begun = monotonic_us(), pause = UNKNOWN_PAUSE_US, paused = 0;
    for (;;) {
        int r = journal_of(e)->ops->append(journal_of(e), rows, err);
        /* These alone say that the database was not asked, or did not answer. */
        if (r != ERR_UNKNOWN && r != ERR_IO && !passes(r))
            return r;
        int64_t limit = queue_stopping(e) ? UNKNOWN_STOPPING_US : UNKNOWN_LIMIT_US;
        if (paused >= limit || monotonic_us() - begun >= limit)
            break;
        pause_about(e, pause);
        paused += pause;
        pause = 2 * pause < UNKNOWN_PAUSE_MAX_US ? 2 * pause : UNKNOWN_PAUSE_MAX_US;
    }
    return err_set(err, ERR_UNKNOWN, "nobody knows whether the batch was committed");
}

int shared_persist(struct engine *e, struct journal_batch *rows, int r, struct err *err)
{
    int64_t pause = BUSY_PAUSE_US;
    for (int i = 0; passes(r) && i < BUSY_RETRIES; i++, pause *= 2) {
        pause_about(e, pause);
        r = journal_of(e)->ops->append(journal_of(e), rows, err);
    }
    return r == ERR_UNKNOWN ? find_out(e, rows, err) : r;
}

/* --- the slow road */

static int commit(struct engine *e, struct err *err)
{
    struct batch *b = &e->batch;
    if (batch_is_empty(b))
        return 0;
    struct journal_batch rows = batch_to_append(b);
    int64_t begun = e->config.now(e->config.environment);
    int r = journal_of(e)->ops->append(journal_of(e), &rows, err);
    e->held = false; /* whatever came of it */
    r = shared_persist(e, &rows, r, err);
    count_commit(e, r, begun);
    return r;
}

static void let_go(struct engine *e)
{
    if (e->held)
        journal_of(e)->ops->release(journal_of(e));
    e->held = false;
}

void shared_note_failure(struct engine *e, int r, const struct err *err)
{
    if (r == ERR_CONFLICT) {
        metrics_count(e->config.metrics, METRIC_CONFLICTS, 1);
        e->hold_left = HOLD_BATCHES;
        log_event(LOG_DEBUG, "the journal moved on; deciding again", "error", err->message, NULL);
    } else if (r == ERR_DUPLICATE) {
        metrics_count(e->config.metrics, METRIC_DUPLICATES, 1);
        if (e->keys_eager > 0) /* they were looked up: another process used one since */
            e->hold_left = HOLD_BATCHES;
        e->keys_eager = KEYS_EAGER_BATCHES;
    } else {
        e->stale = true;
    }
}

/* Under the ledgers' locks if others write too. */
static int hold(struct engine *e, const struct batch_input *input, bool *ret_moved, struct err *err)
{
    int64_t pause = BUSY_PAUSE_US;
    metrics_count(e->config.metrics, METRIC_HELD_BATCHES, 1);
    int r = learn_of_input(e, input, true, ret_moved, err);
    for (int i = 0; passes(r) && i < BUSY_RETRIES; i++, pause *= 2) {
        pause_about(e, pause);
        r = learn_of_input(e, input, true, ret_moved, err);
    }
    if (r == 0)
        e->hold_left = *ret_moved ? HOLD_BATCHES : e->hold_left - 1;
    return r;
}

/* Acts on the ledgers whose locks were taken last, and on no other: a lock more would be out of order. */
static bool is_held(struct engine *e, const struct submission *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct ledger_row *row = catalog_ledger_by_name(e->config.catalog, s->commands[i].ledger);
        const struct ledger_past *past = row != NULL ? e->pasts[row->id] : NULL;
        if (past == NULL || past->collected != e->collections)
            return false;
    }
    return true;
}

static void take_along(struct engine *e, struct batch_input *input)
{
    struct batch_input more = queue_take(e, input->n_commands, is_held);
    if (more.first == NULL)
        return;
    prepare(e, &more);
    queue_append(input, &more);
}

static int attempt_once(
    struct engine *e, struct batch_input *input, bool may_grow, bool *ret_moved, struct err *err)
{
    int r = e->lost ? err_set(err, ERR_LOST, "%s", e->lost_text) : 0;
    if (r == 0 && e->stale)
        r = shared_recheck(e, err);
    size_t known_before = catalog_size(e);
    if (r == 0 && e->hold_left > 0)
        r = hold(e, input, ret_moved, err);
    if (r == 0 && e->held && may_grow)
        take_along(e, input);
    if (r == 0)
        r = decide_batch(e, input, err);
    if (r == 0)
        r = shared_settle_doubts(e, err);
    if (r == 0)
        r = commit(e, err);
    let_go(e);
    *ret_moved |= catalog_size(e) != known_before;
    return r;
}

/* An asset or a ledger of another process may have taken the number that ours was given. */
static int see_catalog(struct engine *e, bool *ret_moved, struct err *err)
{
    size_t before = catalog_size(e);
    int r = catalog_refresh(e->config.catalog, journal_of(e), err);
    *ret_moved |= catalog_size(e) != before;
    return r;
}

int shared_attempt(struct engine *e, struct batch_input *input, bool may_grow, struct err *err)
{
    int refused = 0;
    for (int attempt = 0; attempt < SHARED_ATTEMPTS; attempt++) {
        bool moved = false;
        if (attempt > 0)
            metrics_count(e->config.metrics, METRIC_DECIDED_AGAIN, 1);
        int r = attempt_once(e, input, may_grow, &moved, err);
        if (r == 0) {
            e->keys_eager -= e->keys_eager > 0;
            return 0;
        }
        bool rows = e->batch.n_assets + e->batch.n_ledgers > 0;
        batch_undo(&e->batch, (struct batch_mark){0});
        shared_note_failure(e, r, err);
        if (r == ERR_CONFLICT && rows) {
            struct err inner;
            if (see_catalog(e, &moved, &inner) != 0)
                e->stale = true;
        }
        if (r != ERR_CONFLICT && r != ERR_DUPLICATE)
            return r;
        refused = moved ? 0 : refused + 1;
        if (refused > CONFLICT_RETRIES) {
            (void)err_wrap(err, "refused though nobody else wrote");
            return err->code = ERR_CONFLICT;
        }
    }
    return err_set(err, ERR_BUSY, "other processes were quicker %d times", SHARED_ATTEMPTS);
}
