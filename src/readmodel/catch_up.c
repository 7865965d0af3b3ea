/*
 * The read model brought up to a record while nobody may be projecting: for an erasure, which is not done while the text is
 * still in a read model. Whoever projects is waited for; if nobody does, this takes his place until it is there.
 */
#include <poll.h>

#include "readmodel/projector_internal.h"

#define LOOK_MS 50

struct catching {
    const struct projector_config *config;
    struct str ledger;
    uint64_t seq;
    int64_t until_us;
    char holder[LEASE_HOLDER_MAX + 1];
    struct db *control;
    struct readmodel *model;
    struct source *source;
    struct source_batch batch;
    bool done;
};

static int in_time(const struct catching *c, const char *who, struct err *err)
{
    return projector_monotonic_us() < c->until_us
               ? 0
               : err_set(err, ERR_TIMEOUT, "%s has not come to record %llu of ledger " STR_FMT " yet", who,
                     (unsigned long long)c->seq, STR_ARG(c->ledger));
}

/* --- in a projector's place --------------------------------------------------------------------------------- */

static int open_both(struct catching *c, struct err *err)
{
    const struct readmodel_options options = {.write = true, .pooled = c->config->pooled};
    int r = readmodel_open(c->config->read_url, &options, &c->model, err);
    if (r == 0)
        r = projector_source(c->config, true, &c->source, err);
    return r == 0 ? c->source->ops->seek(c->source, c->model, err) : r;
}

static void close_both(struct catching *c)
{
    if (c->source != NULL)
        c->source->ops->close(c->source);
    readmodel_close(c->model);
    c->source = NULL;
    c->model = NULL;
}

/* False in *ret_held: it was away for too long, and another one projects. */
static int renew(struct catching *c, bool *ret_held, struct err *err)
{
    struct lease_state lease;
    int r = lease_take(c->control, LEASE_PROJECTOR, c->holder, &lease, err);
    *ret_held = r == 0 && lease.held;
    return r;
}

static int apply(struct catching *c, struct err *err)
{
    struct readmodel_applied applied;
    int r = readmodel_apply(
        c->model, c->batch.facts, c->batch.n, c->batch.parked, c->batch.n_parked, &applied, err);
    if (r == 0 && applied.gap)
        return err_set(err, ERR_CORRUPT, "there is a gap before record %llu of ledger %s: rebuild it",
            (unsigned long long)applied.at.seq, applied.at.ledger);
    return r;
}

/* To the journal's end. */
static int project(struct catching *c, struct err *err)
{
    bool held = true;
    int r = open_both(c, err);
    while (r == 0 && held) {
        r = c->source->ops->next(c->source, READMODEL_BATCH_MAX, 0, &c->batch, err);
        if (r == 0 && c->batch.n == 0)
            break;
        if (r == 0)
            r = apply(c, err);
        if (r == 0)
            r = in_time(c, "the read model", err);
        if (r == 0)
            r = renew(c, &held, err);
    }
    if (r == 0 && held)
        r = readmodel_scrub(c->model, true, err);
    c->done = r == 0 && held;
    close_both(c);
    /* Readers were in the way, or another one wrote: once more. */
    return r == ERR_BUSY || r == ERR_CONFLICT ? in_time(c, "the read model", err) : r;
}

/* --- whose turn it is --------------------------------------------------------------------------------------- */

static int look(struct catching *c, struct err *err)
{
    const struct readmodel_options options = {.pooled = c->config->pooled};
    struct readmodel *model;
    uint64_t seq = 0;
    int r = readmodel_open(c->config->read_url, &options, &model, err);
    if (r != 0)
        return r;
    r = readmodel_seq(model, c->ledger, &seq, err);
    readmodel_close(model);
    c->done = r == 0 && seq >= c->seq;
    return r;
}

static int step(struct catching *c, struct err *err)
{
    struct lease_state lease = {.held = false};
    bool switching;
    int r = projector_switching(c->control, &switching, err);
    if (r == 0 && !switching)
        r = lease_take(c->control, LEASE_PROJECTOR, c->holder, &lease, err);
    if (r != 0)
        return r;
    if (lease.held) {
        r = project(c, err);
        projector_give(c->control, LEASE_PROJECTOR, c->holder);
        return r;
    }
    r = look(c, err);
    if (r == 0 && !c->done) {
        (void)poll(NULL, 0, LOOK_MS);
        r = in_time(c, switching ? "a rebuild" : lease.holder, err);
    }
    return r;
}

/* A rebuild that is under way drops what it leaves by itself. */
static int tidy(struct catching *c, struct err *err)
{
    struct lease_state lease;
    int r = lease_take(c->control, LEASE_REBUILD, c->holder, &lease, err);
    if (r != 0 || !lease.held)
        return r;
    r = projector_drop_leftovers(c->config->read_url, err);
    projector_give(c->control, LEASE_REBUILD, c->holder);
    return r;
}

int projector_catch_up(
    const struct projector_config *config, struct str ledger, uint64_t seq, struct err *err)
{
    struct catching c = {.config = config,
        .ledger = ledger,
        .seq = seq,
        .until_us = projector_monotonic_us() + PROJECTOR_CATCH_UP_MS * INT64_C(1000)};
    uint32_t live = 0;
    lease_holder(c.holder);
    int r = projector_control(config, false, &c.control, err);
    if (r != 0)
        return r;
    arena_init(&c.batch.arena, 65536);
    r = generation_live(c.control, &live, err);
    if (r == 0 && live == 0)
        r = err_set(err, ERR_NOT_FOUND, "there is no read model");
    while (r == 0 && !c.done)
        r = step(&c, err);
    if (r == 0)
        r = tidy(&c, err);
    arena_fini(&c.batch.arena);
    db_close(c.control);
    return r;
}
