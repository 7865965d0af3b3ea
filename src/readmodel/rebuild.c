/*
 * A new generation from the journal, beside the live one. Most of the time is spent without anybody noticing; at the end
 * the projector is asked to stand still (LEASE_SWITCH), what it had applied meanwhile is caught up with, and the new
 * generation becomes the live one.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "readmodel/projector_internal.h"
#include "telemetry/log.h"

#define CLOSE_FACTS (READMODEL_BATCH_MAX / 4) /* a batch smaller than that: it is close to the head */
#define GRACE_MS 1000                         /* for queries that are under way on the old generation */

struct rebuild {
    const struct projector_config *config;
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    char holder[LEASE_HOLDER_MAX + 1];
    struct db *control;
    int64_t renewed_us;
    bool rebuilding, switching, projecting; /* which leases are held */
    uint32_t live, id;                      /* 0: none */
    struct source *source;
    struct readmodel *model;
    struct source_batch batch;
    uint64_t done, total, facts;
};

/* --- leases ------------------------------------------------------------------------------------------------- */

static int take(
    struct rebuild *b, const char *name, bool *ret_held, struct lease_state *state, struct err *err)
{
    int r = lease_take(b->control, name, b->holder, state, err);
    *ret_held = r == 0 && state->held;
    return r;
}

static int begin(struct rebuild *b, struct err *err)
{
    struct lease_state state;
    int r = take(b, LEASE_REBUILD, &b->rebuilding, &state, err);
    if (r == 0 && !b->rebuilding)
        return err_set(err, ERR_BUSY, "another rebuild is running (%s)", state.holder);
    b->renewed_us = projector_monotonic_us();
    return r;
}

static int renew_one(struct rebuild *b, const char *name, bool *held, struct err *err)
{
    struct lease_state state;
    if (!*held)
        return 0;
    int r = take(b, name, held, &state, err);
    if (r == 0 && !*held)
        return err_set(err, ERR_CONFLICT, "%s took the lease '%s' over: this rebuild was away for too long",
            state.holder, name);
    return r;
}

static int renew(struct rebuild *b, struct err *err)
{
    int64_t now = projector_monotonic_us();
    if (now - b->renewed_us < LEASE_RENEW_MS * 1000)
        return 0;
    b->renewed_us = now;
    int r = renew_one(b, LEASE_REBUILD, &b->rebuilding, err);
    if (r == 0)
        r = renew_one(b, LEASE_SWITCH, &b->switching, err);
    if (r == 0)
        r = renew_one(b, LEASE_PROJECTOR, &b->projecting, err);
    return r;
}

static void give(struct rebuild *b, const char *name, bool *held)
{
    if (*held)
        projector_give(b->control, name, b->holder);
    *held = false;
}

static int go_on(struct rebuild *b, struct err *err)
{
    if (b->progress != NULL && !b->progress(b->ctx, b->done, b->total))
        return err_set(err, ERR_CANCELLED, "the rebuild was stopped; the live read model is as it was");
    return renew(b, err);
}

/* --- generations -------------------------------------------------------------------------------------------- */

int projector_drop_leftovers(const char *read_url, struct err *err)
{
    struct arena arena;
    struct generation *generations;
    size_t n;
    arena_init(&arena, 0);
    int r = generation_list(read_url, &arena, &generations, &n, err);
    if (r == ERR_NOT_FOUND) { /* nothing was made here before */
        r = 0;
        n = 0;
    }
    for (size_t i = 0; r == 0 && i < n; i++)
        if (generations[i].state != GENERATION_LIVE)
            r = generation_drop(read_url, generations[i].id, err);
    arena_fini(&arena);
    return r;
}

/* The live generation, to look at; *ret_model NULL: there is none that this program can read. */
static int open_live(const struct rebuild *b, struct readmodel **ret_model, struct err *err)
{
    const struct readmodel_options options = {.pooled = b->config->pooled};
    *ret_model = NULL;
    if (b->live == 0)
        return 0;
    int r = readmodel_open(b->config->read_url, &options, ret_model, err);
    if (r == ERR_UNSUPPORTED || r == ERR_NOT_FOUND)
        r = 0;
    return r;
}

/*
 * Where the live generation is in the topics. Taken before the journal is read to its end, so that every message before
 * these offsets is in the new generation too; what comes after them is there in part, and falls out as a duplicate.
 */
static int take_offsets(struct rebuild *b, struct err *err)
{
    struct readmodel *live;
    struct arena arena;
    struct readmodel_offset *offsets;
    size_t n, kept = 0;
    int r = open_live(b, &live, err);
    if (r != 0 || live == NULL)
        return r;
    arena_init(&arena, 0);
    r = readmodel_offsets(live, &arena, &offsets, &n, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (offsets[i].part >= SOURCE_PART_KAFKA)
            offsets[kept++] = offsets[i];
    if (r == 0 && kept > 0)
        r = readmodel_set_offsets(b->model, offsets, kept, err);
    arena_fini(&arena);
    readmodel_close(live);
    return r;
}

static int make(struct rebuild *b, struct err *err)
{
    int r = generation_live(b->control, &b->live, err);
    if (r == 0)
        r = projector_drop_leftovers(b->config->read_url, err);
    if (r == 0)
        r = generation_new(b->config->read_url, projector_source_name(b->config), &b->id, err);
    if (r != 0)
        return r;
    const struct readmodel_options options = {.write = true, .building = b->id, .pooled = b->config->pooled};
    r = readmodel_open(b->config->read_url, &options, &b->model, err);
    if (r == 0)
        r = take_offsets(b, err);
    if (r == 0)
        r = projector_source(b->config, true, &b->source, err);
    return r == 0 ? b->source->ops->seek(b->source, b->model, err) : r;
}

/* --- filling ------------------------------------------------------------------------------------------------ */

static int apply(struct rebuild *b, struct err *err)
{
    struct readmodel_applied applied;
    int r = readmodel_apply(
        b->model, b->batch.facts, b->batch.n, b->batch.parked, b->batch.n_parked, &applied, err);
    if (r != 0)
        return r;
    if (applied.gap)
        return err_set(err, ERR_CORRUPT,
            "ledger %s, record %llu: version %llu of an account comes before version %llu; 'creditledger "
            "verify' "
            "says what is wrong with the journal",
            applied.at.ledger, (unsigned long long)applied.at.seq, (unsigned long long)applied.at.found,
            (unsigned long long)applied.at.expected);
    for (size_t i = 0; i < b->batch.n; i++)
        b->done += b->batch.facts[i].n + 1 == b->batch.facts[i].of;
    b->facts += b->batch.n;
    if (b->total < b->done)
        b->total = b->done;
    return 0;
}

static int take_batch(struct rebuild *b, struct err *err)
{
    int r = b->source->ops->next(b->source, READMODEL_BATCH_MAX, 0, &b->batch, err);
    if (r == 0 && b->batch.n > 0)
        r = apply(b, err);
    return r == 0 ? go_on(b, err) : r;
}

static int fill(struct rebuild *b, struct err *err)
{
    struct source_lag lag;
    int r = b->source->ops->lag(b->source, &lag, err);
    if (r != 0)
        return r;
    b->total = lag.records;
    do
        r = take_batch(b, err);
    while (r == 0 && b->batch.n >= CLOSE_FACTS);
    return r;
}

/* --- switching over ----------------------------------------------------------------------------------------- */

static int meanwhile(void *ctx, struct err *err)
{
    return take_batch(ctx, err);
}

static int take_over(struct rebuild *b, const char *name, bool *held, struct err *err)
{
    int r = projector_take_over(b->control, name, b->holder, meanwhile, b, err);
    *held = r == 0;
    return r;
}

static int behind(
    struct rebuild *b, const struct readmodel_ledger *ledgers, size_t n, bool *ret_behind, struct err *err)
{
    *ret_behind = false;
    for (size_t i = 0; i < n && !*ret_behind; i++) {
        uint64_t seq;
        int r = readmodel_seq(b->model, ledgers[i].name, &seq, err);
        if (r != 0)
            return r;
        *ret_behind = seq < ledgers[i].seq;
    }
    return 0;
}

/* At least as far as the live one, which stands still. A journal that ends before it is told as such. */
static int catch_up(struct rebuild *b, struct err *err)
{
    struct readmodel *live;
    struct arena arena;
    struct readmodel_ledger *ledgers = NULL;
    size_t n = 0;
    bool is_behind = true;
    int r = open_live(b, &live, err);
    arena_init(&arena, 0);
    if (r == 0 && live != NULL)
        r = readmodel_ledgers(live, &arena, &ledgers, &n, err);
    readmodel_close(live);
    for (bool more = true; r == 0 && is_behind && more;) {
        r = take_batch(b, err);
        more = b->batch.n > 0;
        if (r == 0)
            r = behind(b, ledgers, n, &is_behind, err);
    }
    if (r == 0 && is_behind)
        log_event(LOG_WARNING, "the live read model was ahead of the journal: the new one is not", NULL);
    arena_fini(&arena);
    return r;
}

static int switch_over(struct rebuild *b, struct err *err)
{
    int r = take_over(b, LEASE_SWITCH, &b->switching, err);
    if (r == 0)
        r = take_over(b, LEASE_PROJECTOR, &b->projecting, err);
    if (r == 0)
        r = catch_up(b, err);
    readmodel_close(b->model);
    b->model = NULL;
    return r == 0 ? generation_switch(b->config->read_url, b->id, b->live, err) : r;
}

static int build(struct rebuild *b, struct err *err)
{
    int r = projector_control(b->config, true, &b->control, err);
    if (r == 0)
        r = begin(b, err);
    if (r == 0)
        r = make(b, err);
    if (r == 0)
        r = fill(b, err);
    if (r == 0) /* takes a while: what is committed meanwhile is caught up with below */
        r = readmodel_finish(b->model, err);
    return r == 0 ? switch_over(b, err) : r;
}

/* Nothing is left of it, or nothing of the one before. What cannot be dropped now is dropped by the next rebuild. */
static void tidy(struct rebuild *b, bool built)
{
    struct err err;
    uint32_t drop = built ? b->live : b->id;
    if (b->source != NULL)
        b->source->ops->close(b->source);
    readmodel_close(b->model);
    if (b->control != NULL) {
        give(b, LEASE_PROJECTOR, &b->projecting);
        give(b, LEASE_SWITCH, &b->switching);
    }
    if (built && drop != 0)
        (void)poll(NULL, 0, GRACE_MS);
    if (drop != 0 && generation_drop(b->config->read_url, drop, &err) != 0)
        log_event(LOG_WARNING, "cannot drop a generation of the read model; the next rebuild does", "error",
            err.message, NULL);
    if (b->control != NULL)
        give(b, LEASE_REBUILD, &b->rebuilding);
    db_close(b->control);
    arena_fini(&b->batch.arena);
}

int projector_rebuild(const struct projector_config *config,
    bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx, struct rebuild_report *ret_report,
    struct err *err)
{
    struct rebuild b = {.config = config, .progress = progress, .ctx = ctx};
    int64_t began = projector_monotonic_us();
    arena_init(&b.batch.arena, 65536);
    lease_holder(b.holder);
    int r = build(&b, err);
    *ret_report = (struct rebuild_report){
        .id = b.id, .records = b.done, .facts = b.facts, .took_us = projector_monotonic_us() - began};
    tidy(&b, r == 0);
    return r;
}
