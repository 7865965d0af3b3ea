/*
 * Parked messages once more. The projector stands still meanwhile (LEASE_SWITCH), because a read model has one writer.
 * Replayed facts carry no place of a source: where the source goes on is not changed by what is older.
 */
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
    struct readmodel *model;
    int64_t last_id; /* of all that were ever parked */
    struct replay_report report;
};

static bool fact_again(
    const struct parked *parked, struct arena *arena, struct fact *ret_fact, struct err *why)
{
    bool known = true;
    if (parked->payload.data == NULL || parked->type.data == NULL) {
        err_set(why, ERR_CORRUPT, "it has no type or no value");
        return false;
    }
    if (!fact_decode(parked->type, parked->payload, arena, ret_fact, &known, why))
        return false;
    if (!known)
        err_set(why, ERR_UNSUPPORTED, "its type is not known");
    ret_fact->part = 0;
    ret_fact->offset = -1; /* of no source */
    return known;
}

/* The model parks a fact that contradicts it once more: what it says is the reason, and one of the two is enough. */
static int parked_again(
    struct replay *p, struct arena *arena, bool *ret_applied, struct err *why, struct err *err)
{
    struct parked *again;
    size_t n;
    int r = readmodel_parked(p->model, p->last_id, 1, arena, &again, &n, err);
    *ret_applied = r == 0 && n == 0;
    if (r != 0 || n == 0)
        return r;
    p->last_id = again->id;
    err_set(why, ERR_CORRUPT, STR_FMT, STR_ARG(again->reason));
    return readmodel_parked_done(p->model, again->id, err);
}

static int apply_again(struct replay *p, const struct fact *fact, struct arena *arena, bool *ret_applied,
    struct err *why, struct err *err)
{
    struct readmodel_applied applied;
    int r = readmodel_apply(p->model, fact, 1, NULL, 0, &applied, err);
    if (r != 0 || !applied.gap)
        return r == 0 ? parked_again(p, arena, ret_applied, why, err) : r;
    err_set(why, ERR_CONFLICT, "it comes too early: it is version %llu, and version %llu is not here",
        (unsigned long long)applied.at.found, (unsigned long long)applied.at.expected);
    return 0;
}

static int replay_one(struct replay *p, const struct parked *parked, struct err *err)
{
    struct arena arena;
    struct fact fact;
    struct err why = {0};
    bool applied = false;
    int r = 0;
    arena_init(&arena, 0);
    if (fact_again(parked, &arena, &fact, &why))
        r = apply_again(p, &fact, &arena, &applied, &why, err);
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

/* All that wait, or one. `ret_next`: the id to go on behind; 0: that was all. */
static int replay_page(struct replay *p, int64_t id, int64_t after, int64_t *ret_next, struct err *err)
{
    struct arena arena;
    struct parked *parked;
    size_t n;
    arena_init(&arena, 0);
    int r = readmodel_parked(p->model, after, id == 0 ? PAGE : 1, &arena, &parked, &n, err);
    if (r == 0 && id != 0 && (n == 0 || parked[0].id != id))
        r = err_set(err, ERR_NOT_FOUND, "there is no parked message %lld", (long long)id);
    *ret_next = r == 0 && id == 0 && n == PAGE ? parked[n - 1].id : 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = renew(p, err);
        if (r == 0 && !parked[i].replayed)
            r = replay_one(p, &parked[i], err);
    }
    arena_fini(&arena);
    return r;
}

static int find_last(struct replay *p, struct err *err)
{
    int r = 0;
    for (size_t n = PAGE; r == 0 && n == PAGE;) {
        struct arena arena;
        struct parked *parked;
        arena_init(&arena, 0);
        r = readmodel_parked(p->model, p->last_id, PAGE, &arena, &parked, &n, err);
        if (r == 0 && n > 0)
            p->last_id = parked[n - 1].id;
        arena_fini(&arena);
    }
    return r;
}

/* What is parked again meanwhile has been replayed: it is behind the last. */
static int replay_all(struct replay *p, int64_t id, struct err *err)
{
    int64_t after = id == 0 ? 0 : id - 1;
    int r = find_last(p, err);
    int64_t last = p->last_id;
    do
        r = r == 0 ? replay_page(p, id, after, &after, err) : r;
    while (r == 0 && after != 0 && after < last);
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
    if (p.projecting)
        projector_give(p.control, LEASE_PROJECTOR, p.holder);
    if (p.switching)
        projector_give(p.control, LEASE_SWITCH, p.holder);
    db_close(p.control);
    *ret_report = p.report;
    return r;
}
