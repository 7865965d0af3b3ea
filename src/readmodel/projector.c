#include "readmodel/projector.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/instant.h"
#include "db/postgres_url.h"
#include "readmodel/hole.h"
#include "readmodel/projector_internal.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "telemetry/spans.h"

#define WAIT_MS 500        /* for news, at most: leases and switches are looked at besides */
#define SWITCH_LOOK_MS 100 /* how often it looks whether a rebuild wants to switch over */
#define SWITCH_REST_MS 20  /* while one does */
#define PAUSE_FIRST_MS 50
#define PAUSE_MOST_MS 5000
#define GAP_PAUSE_MS 1000
#define MEASURE_US 1000000 /* how often lag and parked messages are counted */
#define SCRUB_US 1000000   /* how often it is tried while readers are in the way */
#define BUSY_FACTS 24      /* of one batch: more keep coming */
#define MANY_FACTS 2048    /* of one batch: it is behind, and nothing is to be gained */
#define GATHER_MS 10       /* between two batches then, at most */
#define NAMES 64           /* ledgers of a batch that are remembered as told */
#define CONFLICTS_MAX 20   /* in a row: that is nobody else's turn, it is something that will not go away */

struct projector {
    struct projector_config config;
    pthread_t thread;
    int stop_fd; /* readable: it is to stop */
    _Atomic bool stopping;

    pthread_mutex_t lock;         /* of the two below */
    struct projector_state state; /* as others see it */
    struct source *source;        /* NULL: not open. Set and cleared by the thread, woken by anyone */

    /* The thread's own. */
    char holder[LEASE_HOLDER_MAX + 1];
    struct db *control;
    struct readmodel *model;
    struct source_batch batch;
    bool active;
    bool at_gap; /* until the fact at this place was applied, or another model is open */
    uint32_t gap_part;
    int64_t gap_offset;
    struct hole hole;
    int64_t renewed_us, switch_looked_us, measured_us, scrubbed_us;
    int pause_ms;
    unsigned conflicts; /* in a row */
};

/* --- state -------------------------------------------------------------------------------------------------- */

static void say(enum projector_phase phase, const char *detail)
{
    switch (phase) {
    case PROJECTOR_STANDBY:
        log_event(LOG_INFO, "another process projects, standing by", NULL);
        return;
    case PROJECTOR_FOLLOWING:
        log_event(LOG_INFO, "projecting", NULL);
        return;
    case PROJECTOR_STOPPED_AT_GAP:
        log_event(LOG_ERROR, "the projection has stopped at a gap", "gap", detail, NULL);
        return;
    case PROJECTOR_FAILING:
        log_event(LOG_WARNING, "the projection fails; trying again", "error", detail, NULL);
        return;
    }
}

static void show(struct projector *p, enum projector_phase phase, bool changed)
{
    struct metrics *m = p->config.metrics;
    bool active = phase == PROJECTOR_FOLLOWING || phase == PROJECTOR_STOPPED_AT_GAP;
    if (active || phase == PROJECTOR_STANDBY)
        metrics_set(m, METRIC_PROJECTOR_ACTIVE, active);
    if (active)
        metrics_set(m, METRIC_PROJECTION_GAP, phase == PROJECTOR_STOPPED_AT_GAP);
    if (changed && phase == PROJECTOR_STANDBY) { /* another one knows */
        metrics_set(m, METRIC_PROJECTION_GAP, METRIC_UNKNOWN);
        metrics_set(m, METRIC_PARKED_MESSAGES, METRIC_UNKNOWN);
        metrics_set(m, METRIC_PROJECTION_LAG_RECORDS, METRIC_UNKNOWN);
        metrics_oldest(m, METRIC_PROJECTION_OLDEST, METRIC_UNKNOWN);
    }
}

static void set_phase(struct projector *p, enum projector_phase phase, const char *detail)
{
    struct projector_state state = {.phase = phase};
    snprintf(state.detail, sizeof state.detail, "%s", detail);
    bool changed = p->state.phase != phase; /* only this thread changes it */
    show(p, phase, changed);
    if (changed && p->active && p->control != NULL)
        (void)!projector_note(p->control, &state, NULL); /* for people: the next change tells again */
    pthread_mutex_lock(&p->lock);
    p->state = state;
    pthread_mutex_unlock(&p->lock);
    if (changed)
        say(phase, detail);
}

/* True if it is to stop; at most so long. */
static bool rest(const struct projector *p, int ms)
{
    struct pollfd stop = {.fd = p->stop_fd, .events = POLLIN};
    return poll(&stop, 1, ms) > 0;
}

static void set_source(struct projector *p, struct source *source)
{
    pthread_mutex_lock(&p->lock);
    struct source *old = p->source;
    p->source = source;
    pthread_mutex_unlock(&p->lock);
    if (old != NULL)
        old->ops->close(old);
}

/* --- whose turn it is --------------------------------------------------------------------------------------- */

static void let_go(struct projector *p)
{
    readmodel_close(p->model);
    p->model = NULL;
    p->at_gap = false;
    p->hole = (struct hole){.seq = 0};
}

static void yield(struct projector *p, struct err *err)
{
    let_go(p);
    if (p->active && lease_give(p->control, LEASE_PROJECTOR, p->holder, err) != 0)
        log_event(LOG_WARNING, "cannot give the projector's lease back", "error", err->message, NULL);
    p->active = false;
    p->renewed_us = 0;
}

/* A rebuild that wants to switch over goes first. *ret_wait: come again soon. */
static int mind_switch(struct projector *p, bool *ret_wait, struct err *err)
{
    int64_t now = projector_monotonic_us();
    *ret_wait = false;
    if (p->active && now - p->switch_looked_us < SWITCH_LOOK_MS * 1000)
        return 0;
    p->switch_looked_us = now;
    int r = projector_switching(p->control, ret_wait, err);
    if (r == 0 && *ret_wait)
        yield(p, err);
    return r;
}

static int mind_lease(struct projector *p, struct err *err)
{
    int64_t now = projector_monotonic_us();
    if (p->renewed_us != 0 && now - p->renewed_us < LEASE_RENEW_MS * 1000)
        return 0;
    struct lease_state lease;
    int r = lease_take(p->control, LEASE_PROJECTOR, p->holder, &lease, err);
    if (r != 0)
        return r;
    p->renewed_us = now;
    if (p->active && !lease.held)
        let_go(p);
    p->active = lease.held;
    return 0;
}

/* --- projecting --------------------------------------------------------------------------------------------- */

static int open_control(struct projector *p, struct err *err)
{
    return p->control != NULL ? 0 : projector_control(&p->config, true, &p->control, err);
}

static void tell_seq(struct projector *p, struct str ledger, uint64_t seq)
{
    metrics_ledger_seq(p->config.metrics, METRIC_LEDGER_PROJECTED, ledger, seq);
    if (p->config.reached != NULL)
        p->config.reached(p->config.ctx, ledger, seq);
}

static int tell_ledger(struct projector *p, struct str ledger, struct err *err)
{
    uint64_t seq;
    int r = readmodel_seq(p->model, ledger, &seq, err);
    if (r == 0)
        tell_seq(p, ledger, seq);
    return r;
}

/* A model that was opened may be ahead of what was told: another process, or a rebuild, brought it there. */
static int tell_all(struct projector *p, struct err *err)
{
    struct arena arena;
    struct readmodel_ledger *ledgers;
    size_t n;
    arena_init(&arena, 0);
    int r = readmodel_ledgers(p->model, &arena, &ledgers, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        tell_seq(p, ledgers[i].name, ledgers[i].seq);
    arena_fini(&arena);
    return r;
}

/* Once a ledger of the batch; of many, all in one question. */
static int tell(struct projector *p, size_t n, struct err *err)
{
    struct str told[NAMES];
    size_t n_told = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct str ledger = p->batch.facts[i].ledger;
        size_t k = 0;
        while (k < n_told && !str_eq(told[k], ledger))
            k++;
        if (k < n_told)
            continue;
        if (n_told == NAMES)
            return tell_all(p, err);
        told[n_told++] = ledger;
        r = tell_ledger(p, ledger, err);
    }
    return r;
}

static int open_source(struct projector *p, struct err *err)
{
    struct source *source;
    if (p->source != NULL)
        return 0;
    int r = projector_source(&p->config, false, &source, err);
    if (r == 0)
        set_source(p, source);
    return r;
}

static int open_model(struct projector *p, struct err *err)
{
    const struct readmodel_options options = {.write = true,
        .create = true,
        .source = projector_source_name(&p->config),
        .pooled = p->config.pooled};
    int r = open_source(p, err);
    if (r == 0)
        r = readmodel_open(p->config.read_url, &options, &p->model, err);
    if (r == 0)
        r = p->source->ops->seek(p->source, p->model, err);
    if (r == 0)
        r = tell_all(p, err);
    p->measured_us = 0;
    return r;
}

/* A rebuild has switched over: the model that is open is not the live one any more. */
static int mind_generation(struct projector *p, struct err *err)
{
    uint32_t live;
    if (p->model == NULL)
        return 0;
    int r = generation_live(p->control, &live, err);
    if (r == 0 && live != readmodel_generation(p->model))
        let_go(p);
    return r;
}

/* Counted now and then; what cannot be counted is no reason not to project. */
static void measure(struct projector *p)
{
    int64_t now = projector_monotonic_us();
    struct source_lag lag;
    uint64_t parked;
    if (p->config.metrics == NULL || (p->measured_us != 0 && now - p->measured_us < MEASURE_US))
        return;
    p->measured_us = now;
    if (p->source->ops->lag(p->source, &lag, NULL) == 0) {
        metrics_set(p->config.metrics, METRIC_PROJECTION_LAG_RECORDS, (int64_t)lag.records);
        metrics_oldest(p->config.metrics, METRIC_PROJECTION_OLDEST, lag.oldest_at);
        (void)!hole_look(&p->hole, p->model, lag.records < READMODEL_BATCH_MAX, now, NULL);
    }
    if (readmodel_parked_count(p->model, &parked, NULL) == 0)
        metrics_set(p->config.metrics, METRIC_PARKED_MESSAGES, (int64_t)parked);
}

/* The last part of each trace: the parent is the span that committed the record. */
static void trace(const struct projector *p, size_t n, int64_t began, int64_t ended)
{
    for (size_t i = 0; p->config.spans != NULL && i < n; i++) {
        const struct fact *f = &p->batch.facts[i];
        if (f->kind != FACT_TRANSFER || !f->transfer.has_trace ||
            !spans_sampled_record(p->config.spans, f->transfer.trace_id, f->record.bytes))
            continue;
        struct span span = {.name = "project", .kind = SPAN_CONSUMER, .began_us = began, .ended_us = ended};
        memcpy(span.trace_id, f->transfer.trace_id, sizeof span.trace_id);
        memcpy(span.parent_id, f->record.bytes + 8, sizeof span.parent_id);
        spans_span_id(p->config.spans, span.span_id);
        span_text(&span, "creditledger.ledger", f->ledger);
        span_int(&span, "creditledger.seq", (int64_t)f->seq);
        span_int(&span, "creditledger.batch", (int64_t)n);
        spans_record(p->config.spans, &span);
    }
}

static void describe_gap(const struct readmodel_gap *gap, char ret_text[512])
{
    char account[UUID_TEXT_LEN + 1];
    uuid_format(gap->account, account);
    snprintf(ret_text, 512,
        "ledger %s, record %llu: version %llu of account %s has come, and version %llu has not; the "
        "projection "
        "goes on when it comes, or after 'creditledger projections rebuild'",
        gap->ledger, (unsigned long long)gap->seq, (unsigned long long)gap->found, account,
        (unsigned long long)gap->expected);
}

/* The missing fact may still come: what follows is read again, and nothing of it applied before. */
static int stop_at_gap(
    struct projector *p, const struct readmodel_gap *gap, const struct fact *early, struct err *err)
{
    char text[512];
    describe_gap(gap, text);
    p->at_gap = true;
    p->gap_part = early->part;
    p->gap_offset = early->offset;
    set_phase(p, PROJECTOR_STOPPED_AT_GAP, text);
    (void)rest(p, GAP_PAUSE_MS);
    return p->source->ops->seek(p->source, p->model, err);
}

/* Behind a gap other partitions may still bring something: that is not to look like having got over it. */
static void following(struct projector *p)
{
    for (size_t i = 0; i < p->batch.n && p->at_gap; i++)
        p->at_gap = p->batch.facts[i].part != p->gap_part || p->batch.facts[i].offset < p->gap_offset;
    if (p->at_gap)
        return;
    char text[512] = "";
    if (p->hole.there)
        hole_describe(&p->hole, text);
    set_phase(p, p->hole.there ? PROJECTOR_STOPPED_AT_GAP : PROJECTOR_FOLLOWING, text);
}

static int apply(struct projector *p, struct err *err)
{
    struct metrics *m = p->config.metrics;
    struct readmodel_applied applied = {0};
    if (p->batch.n > 0)
        metrics_oldest(m, METRIC_PROJECTION_OLDEST, p->batch.facts[0].recorded_at);
    int64_t began = projector_now_us(), began_us = projector_monotonic_us();
    int r = readmodel_apply(
        p->model, p->batch.facts, p->batch.n, p->batch.parked, p->batch.n_parked, &applied, err);
    if (r != 0)
        return r;
    metrics_observe(m, METRIC_PROJECTION_APPLY, (uint64_t)(projector_monotonic_us() - began_us));
    metrics_count(m, METRIC_PROJECTED_FACTS, applied.taken - applied.duplicates);
    metrics_count(m, METRIC_PROJECTED_DUPLICATES, applied.duplicates);
    trace(p, applied.taken, began, projector_now_us());
    r = tell(p, applied.taken, err);
    if (r != 0)
        return r;
    if (applied.gap)
        return stop_at_gap(p, &applied.at, &p->batch.facts[applied.taken], err);
    p->source->ops->applied(p->source);
    if (!p->batch.more)
        metrics_oldest(m, METRIC_PROJECTION_OLDEST, 0);
    following(p);
    return 0;
}

/* What was erased is in no file any more. Readers may hold that up: then it is tried again. */
static int scrub(struct projector *p, struct err *err)
{
    int64_t now = projector_monotonic_us();
    if (p->scrubbed_us != 0 && now - p->scrubbed_us < SCRUB_US)
        return 0;
    int r = readmodel_scrub(p->model, false, err);
    p->scrubbed_us = r == ERR_BUSY ? now : 0;
    return r == ERR_BUSY ? 0 : r;
}

/*
 * A batch has a price of its own, whatever is in it: a transaction, a dozen statements, rows of progress. While facts keep
 * coming the next ones are given a moment to gather, as long as the last batch took: at most half of the time is spent on
 * small ones.
 */
static void gather(const struct projector *p, int64_t took_us)
{
    if (p->batch.n < BUSY_FACTS || p->batch.n >= MANY_FACTS)
        return;
    (void)rest(p, took_us < GATHER_MS * 1000 ? (int)(took_us / 1000) : GATHER_MS);
}

static int project(struct projector *p, struct err *err)
{
    int r = p->model == NULL ? open_model(p, err) : 0;
    if (r == 0)
        r = p->source->ops->next(p->source, READMODEL_BATCH_MAX, WAIT_MS, &p->batch, err);
    if (r != 0)
        return r;
    int64_t began_us = projector_monotonic_us();
    if (p->batch.n == 0 && p->batch.n_parked == 0)
        following(p);
    else
        r = apply(p, err);
    int64_t took_us = projector_monotonic_us() - began_us;
    if (r == 0)
        r = scrub(p, err);
    if (r == 0)
        measure(p);
    if (r == 0)
        gather(p, took_us);
    return r;
}

static int step(struct projector *p, struct err *err)
{
    bool wait;
    int r = open_control(p, err);
    if (r == 0)
        r = mind_switch(p, &wait, err);
    if (r == 0 && wait) {
        (void)rest(p, SWITCH_REST_MS);
        return 0;
    }
    if (r == 0)
        r = mind_lease(p, err);
    if (r == 0 && !p->active) {
        set_phase(p, PROJECTOR_STANDBY, "");
        (void)rest(p, LEASE_RENEW_MS);
        return 0;
    }
    if (r == 0)
        r = mind_generation(p, err);
    return r == 0 ? project(p, err) : r;
}

/* What failed is opened again: the read model knows where to go on. */
static void recover(struct projector *p, int code, const struct err *err)
{
    let_go(p);
    /* Another one projects, or another generation is live: neither is a fault. */
    if (code == ERR_CONFLICT && ++p->conflicts <= CONFLICTS_MAX) {
        p->renewed_us = 0;
        p->pause_ms = PAUSE_FIRST_MS;
    } else {
        metrics_count(p->config.metrics, METRIC_PROJECTOR_FAILURES, 1);
        set_phase(p, PROJECTOR_FAILING, err->message);
        p->pause_ms = p->pause_ms == 0 ? PAUSE_FIRST_MS : p->pause_ms * 2;
        if (p->pause_ms > PAUSE_MOST_MS)
            p->pause_ms = PAUSE_MOST_MS;
    }
    if (rest(p, p->pause_ms))
        return;
    if (code == ERR_IO || code == ERR_UNKNOWN) {
        db_close(p->control);
        p->control = NULL;
        set_source(p, NULL);
    }
}

static void *projector_main(void *arg)
{
    struct projector *p = arg;
    while (!atomic_load(&p->stopping)) {
        struct err err = {0};
        int r = step(p, &err);
        if (r != 0)
            recover(p, r, &err);
        else
            p->pause_ms = 0, p->conflicts = 0;
    }
    struct err err = {0};
    if (p->control != NULL)
        yield(p, &err);
    return NULL;
}

/* --- from outside ------------------------------------------------------------------------------------------- */

static void projector_free(struct projector *p)
{
    let_go(p);
    set_source(p, NULL);
    db_close(p->control);
    arena_fini(&p->batch.arena);
    if (p->stop_fd >= 0)
        close(p->stop_fd);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* A server that is away comes back, a disk is made room on: the thread tries until then. A path that cannot be opened stays. */
static bool passes(int code, const char *url)
{
    return code == ERR_TIMEOUT || code == ERR_BUSY || code == ERR_FULL ||
           (code == ERR_IO && postgres_url(url));
}

static int start(struct projector *p, struct err *err)
{
    const struct readmodel_options options = {
        .create = true, .source = projector_source_name(&p->config), .pooled = p->config.pooled};
    struct readmodel *model = NULL;
    int r = open_control(p, err);
    if (r == 0)
        r = readmodel_open(p->config.read_url, &options, &model, err);
    /* A format of another version is told by the thread, until a rebuild has made this one's. */
    if (r != 0 && r != ERR_UNSUPPORTED && !passes(r, p->config.read_url))
        return err_wrap(err, "the read model");
    readmodel_close(model);
    p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->stop_fd < 0 || pthread_create(&p->thread, NULL, projector_main, p) != 0)
        return err_set(err, ERR_IO, "cannot start a thread");
    return 0;
}

int projector_start(const struct projector_config *config, struct projector **ret_projector, struct err *err)
{
    struct projector *p = calloc(1, sizeof *p);
    INVARIANT(p != NULL);
    p->config = *config;
    p->stop_fd = -1;
    pthread_mutex_init(&p->lock, NULL);
    arena_init(&p->batch.arena, 65536);
    lease_holder(p->holder);
    metrics_set(config->metrics, METRIC_PROJECTOR_ACTIVE, 0);
    int r = start(p, err);
    if (r != 0) {
        projector_free(p);
        return r;
    }
    *ret_projector = p;
    return 0;
}

void projector_stop(struct projector *p)
{
    if (p == NULL)
        return;
    atomic_store(&p->stopping, true);
    INVARIANT(eventfd_write(p->stop_fd, 1) == 0);
    projector_wake(p);
    pthread_join(p->thread, NULL);
    projector_free(p);
}

void projector_wake(struct projector *p)
{
    pthread_mutex_lock(&p->lock);
    if (p->source != NULL)
        p->source->ops->wake(p->source);
    pthread_mutex_unlock(&p->lock);
}

void projector_state(struct projector *p, struct projector_state *ret_state)
{
    pthread_mutex_lock(&p->lock);
    *ret_state = p->state;
    pthread_mutex_unlock(&p->lock);
}
