/*
 * Parked messages once more. The projector stands still meanwhile (LEASE_SWITCH), because a read model has one writer.
 * Replayed facts carry no place of a source: where the source goes on is not changed by what is older.
 */
#include <string.h>

#include "readmodel/projector_internal.h"

#define PAGE 100

struct replay {
    const struct projector_config *config;
    void (*visit)(void *ctx, const struct parked *parked, const char *reason);
    void *ctx;
    char holder[LEASE_HOLDER_MAX + 1];
    struct db *control;
    int64_t renewed_us;
    bool switching, projecting;
    struct source *journal; /* for facts that came from there; NULL until one did */
    struct readmodel *model;
    struct replay_report report;
};

/* From its payload, or from the record if the journal was the source. False: *ret_why says why not. */
static int fact_again(struct replay *p, const struct parked *parked, struct arena *arena,
    struct fact *ret_fact, bool *ret_readable, struct err *why, struct err *err)
{
    bool known = true;
    *ret_readable = false;
    if (parked->part >= SOURCE_PART_KAFKA || parked->part == 0) {
        if (parked->payload.data == NULL || parked->type.data == NULL)
            err_set(why, ERR_CORRUPT, "%s", "it has no type or no value");
        else if (fact_decode(parked->type, parked->payload, arena, ret_fact, &known, why))
            *ret_readable = known;
        if (!known)
            err_set(why, ERR_UNSUPPORTED, "its type is not known");
        return 0;
    }
    int r = p->journal == NULL ? projector_source(p->config, true, &p->journal, err) : 0;
    if (r != 0)
        return r;
    r = source_journal_fact(p->journal, parked->part, parked->offset, arena, ret_fact, why);
    *ret_readable = r == 0;
    return r == ERR_IO ? err_set(err, r, "%s", why->message) : 0;
}

/* The model parks a fact that contradicts it: then there is one parked more than before. */
static int apply_again(
    struct replay *p, struct fact *fact, bool *ret_applied, struct err *why, struct err *err)
{
    struct readmodel_applied applied;
    uint64_t before, after;
    fact->part = 0; /* of no source */
    fact->offset = 0;
    int r = readmodel_parked_count(p->model, &before, err);
    if (r == 0)
        r = readmodel_apply(p->model, fact, 1, NULL, 0, &applied, err);
    if (r == 0)
        r = readmodel_parked_count(p->model, &after, err);
    if (r != 0)
        return r;
    *ret_applied = !applied.gap && after <= before;
    if (applied.gap)
        err_set(why, ERR_CONFLICT, "it comes too early: version %llu, and version %llu is not here",
            (unsigned long long)applied.at.found, (unsigned long long)applied.at.expected);
    else if (!*ret_applied)
        err_set(why, ERR_CORRUPT, "it contradicts what is here");
    return 0;
}

static int replay_one(struct replay *p, const struct parked *parked, struct err *err)
{
    struct arena arena;
    struct fact fact;
    struct err why = {0};
    bool readable, applied = false;
    arena_init(&arena, 0);
    int r = fact_again(p, parked, &arena, &fact, &readable, &why, err);
    if (r == 0 && readable)
        r = apply_again(p, &fact, &applied, &why, err);
    if (r == 0 && applied)
        r = readmodel_parked_done(p->model, parked->id, err);
    arena_fini(&arena);
    if (r != 0)
        return r;
    p->report.applied += applied;
    p->report.still_parked += !applied;
    if (p->visit != NULL)
        p->visit(p->ctx, parked, applied ? NULL : why.message);
    return 0;
}

static int renew(struct replay *p, struct err *err)
{
    int64_t now = projector_monotonic_us();
    if (now - p->renewed_us < LEASE_RENEW_MS * 1000)
        return 0;
    p->renewed_us = now;
    int r = projector_take_over(p->control, LEASE_SWITCH, p->holder, NULL, NULL, err);
    return r == 0 ? projector_take_over(p->control, LEASE_PROJECTOR, p->holder, NULL, NULL, err) : r;
}

static int replay_page(struct replay *p, const struct parked *parked, size_t n, int64_t id, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (parked[i].replayed && id == 0)
            continue;
        r = renew(p, err);
        if (r == 0 && (id == 0 || parked[i].id == id))
            r = replay_one(p, &parked[i], err);
    }
    return r;
}

static int replay_all(struct replay *p, int64_t id, struct err *err)
{
    int64_t after = id == 0 ? 0 : id - 1, last = 0;
    int r = 0;
    struct arena arena;
    struct parked *parked;
    arena_init(&arena, 0);
    for (size_t n = PAGE; r == 0 && n == PAGE; after = last) {
        arena_reset(&arena);
        r = readmodel_parked(p->model, after, id == 0 ? PAGE : 1, &arena, &parked, &n, err);
        if (r == 0 && id != 0 && (n == 0 || parked[0].id != id))
            r = err_set(err, ERR_NOT_FOUND, "there is no parked message %lld", (long long)id);
        if (r == 0 && n > 0) {
            last = parked[n - 1].id;
            r = replay_page(p, parked, n, id, err);
        }
    }
    arena_fini(&arena);
    return r;
}

static int stand_in(struct replay *p, struct err *err)
{
    const struct readmodel_options options = {.write = true, .pooled = p->config->pooled};
    int r = projector_control(p->config, true, &p->control, err);
    if (r == 0)
        r = projector_take_over(p->control, LEASE_SWITCH, p->holder, NULL, NULL, err);
    p->switching = r == 0;
    if (r == 0)
        r = projector_take_over(p->control, LEASE_PROJECTOR, p->holder, NULL, NULL, err);
    p->projecting = r == 0;
    p->renewed_us = projector_monotonic_us();
    return r == 0 ? readmodel_open(p->config->read_url, &options, &p->model, err) : r;
}

int projector_replay(const struct projector_config *config, int64_t id,
    void (*visit)(void *ctx, const struct parked *parked, const char *reason), void *ctx,
    struct replay_report *ret_report, struct err *err)
{
    struct replay p = {.config = config, .visit = visit, .ctx = ctx};
    lease_holder(p.holder);
    int r = stand_in(&p, err);
    if (r == 0)
        r = replay_all(&p, id, err);
    readmodel_close(p.model);
    if (p.journal != NULL)
        p.journal->ops->close(p.journal);
    if (p.projecting)
        projector_give(p.control, LEASE_PROJECTOR, p.holder);
    if (p.switching)
        projector_give(p.control, LEASE_SWITCH, p.holder);
    db_close(p.control);
    *ret_report = p.report;
    return r;
}
