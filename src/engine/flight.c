/* The quick road of engine_internal.h: one batch on its way to the disk while the next is decided. */
#include <poll.h>
#include <string.h>

#include "engine/engine_internal.h"
#include "telemetry/log.h"

static struct journal *journal_of(struct engine *e)
{
    return e->config.journal;
}

bool flight_has_room(const struct engine *e)
{
    if (!e->in_flight)
        return true;
    bool others_write = e->hold_left > 0;
    return !e->open_slow && !others_write && e->flown.n_assets == 0 && e->flown.n_ledgers == 0 &&
           e->open_input.n_commands < e->config.commit_commands;
}

static void begin_open(struct engine *e)
{
    if (!e->in_flight)
        account_cache_unpin_all(e->cache);
    batch_begin(&e->batch, ++e->serial, e->config.commit_commands);
}

/* What needs more than to be decided waits for the flight, and then goes the slow road. */
static void take(struct engine *e, struct batch_input *input)
{
    struct err err = {0};
    if (e->open_input.first == NULL)
        begin_open(e);
    prepare(e, input);
    queue_append(&e->open_input, input);
    if (e->open_slow || e->lost || (!e->in_flight && (e->stale || e->hold_left > 0))) {
        e->open_slow = true;
        return;
    }
    if (decide_more(e, input, &err) != 0)
        e->open_slow = true;
}

/* The open batch has no flight before it any more, and nothing of it is decided. */
static void go_slow(struct engine *e)
{
    struct batch_input input = e->open_input;
    batch_undo(&e->batch, (struct batch_mark){0});
    e->open_input = (struct batch_input){0};
    e->open_slow = false;
    run_prepared(e, &input);
}

static void take_off(struct engine *e)
{
    struct batch grounded = e->flown;
    e->flown = e->batch;
    e->batch = grounded;
    e->flown_input = e->open_input;
    e->open_input = (struct batch_input){0};
    e->in_flight = true;
    account_cache_next_batch(e->cache);
}

/* Sends the open batch; what has nothing to write is answered at once. */
static void send_open(struct engine *e)
{
    struct err err = {0};
    if (!e->open_slow && shared_settle_doubts(e, &err) != 0)
        e->open_slow = true;
    if (e->open_slow) {
        go_slow(e);
        return;
    }
    e->keys_eager -= e->keys_eager > 0;
    if (batch_is_empty(&e->batch)) {
        struct batch_input input = e->open_input;
        e->open_input = (struct batch_input){0};
        finish_batch(e, &e->batch, &input, 0, &err);
        return;
    }
    e->flown_rows = batch_to_append(&e->batch);
    e->sent_at = e->config.now(e->config.environment);
    int r = journal_of(e)->ops->append_start(journal_of(e), &e->flown_rows, &err);
    if (r == 0) {
        metrics_observe(e->config.metrics, METRIC_BATCH, e->open_input.n_commands);
        take_off(e);
        return;
    }
    count_commit(e, r, e->sent_at);
    batch_undo(&e->batch, (struct batch_mark){0});
    shared_note_failure(e, r, &err);
    struct batch_input input = e->open_input;
    e->open_input = (struct batch_input){0};
    finish_batch(e, &e->batch, &input, r, &err);
}

/* The flight failed: the open batch stands on nothing. */
static void crash(struct engine *e, int r, struct err *err)
{
    struct batch_input input = e->flown_input;
    e->flown_input = (struct batch_input){0};
    batch_undo(&e->batch, (struct batch_mark){0});
    batch_undo(&e->flown, (struct batch_mark){0});
    e->open_slow = e->open_input.first != NULL;
    shared_note_failure(e, r, err);
    if (r == ERR_CONFLICT || r == ERR_DUPLICATE)
        run_prepared(e, &input);
    else
        finish_batch(e, &e->flown, &input, r, err);
}

static void land(struct engine *e)
{
    struct err err = {0};
    int r = journal_of(e)->ops->append_finish(journal_of(e), &err);
    r = shared_persist(e, &e->flown_rows, r, &err);
    count_commit(e, r, e->sent_at);
    e->in_flight = false;
    account_cache_unpin_previous(e->cache);
    if (r != 0) {
        crash(e, r, &err);
    } else {
        struct batch_input input = e->flown_input;
        e->flown_input = (struct batch_input){0};
        finish_batch(e, &e->flown, &input, 0, &err);
    }
    batch_begin(&e->flown, ++e->serial, 0);
}

static bool has_landed(struct engine *e)
{
    struct pollfd fd = {.fd = journal_of(e)->ops->append_fd(journal_of(e)), .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

bool flight_turn(struct engine *e, bool patience_ended)
{
    bool done = true;
    struct batch_input input = {0};
    if (e->in_flight && has_landed(e)) {
        land(e);
    } else {
        if (flight_has_room(e))
            input = queue_take(e, e->open_input.n_commands, NULL);
        if (input.first != NULL)
            take(e, &input);
        else if (e->in_flight && patience_ended)
            land(e);
        else
            done = e->in_flight;
    }
    if (!e->in_flight && e->open_input.first != NULL)
        send_open(e);
    return done;
}
