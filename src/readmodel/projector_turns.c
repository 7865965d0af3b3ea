/* Whose turn it is to write the read model, and what the one who does tells the others. */
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include "base/instant.h"
#include "readmodel/projector_internal.h"
#include "telemetry/log.h"

#define TRY_MS 10

static int64_t clock_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * MICROS_PER_SECOND + t.tv_nsec / 1000;
}

int64_t projector_now_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t projector_monotonic_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int projector_control(
    const struct projector_config *config, bool create, struct db **ret_control, struct err *err)
{
    const struct db_options options = {.create = create, .pooled = config->pooled};
    int r = db_open(config->read_url, &options, ret_control, err);
    if (r != 0)
        return r;
    if (create)
        r = lease_prepare(*ret_control, err);
    if (create && r == 0)
        r = projector_note_prepare(*ret_control, err);
    if (r != 0) {
        db_close(*ret_control);
        *ret_control = NULL;
    }
    return r;
}

const char *projector_source_name(const struct projector_config *config)
{
    return config->kafka != NULL ? "kafka" : "journal";
}

int projector_source(
    const struct projector_config *config, bool journal, struct source **ret_source, struct err *err)
{
    if (config->kafka != NULL && !journal)
        return source_kafka_open(config->kafka, ret_source, err);
    return source_journal_open(config->journal_url, config->journal_options, ret_source, err);
}

int projector_switching(struct db *control, bool *ret_switching, struct err *err)
{
    struct lease_state state;
    int r = lease_read(control, LEASE_SWITCH, &state, err);
    *ret_switching = r == 0 && state.holder[0] != '\0' && state.expires_in_us > 0;
    return r;
}

int projector_take_over(struct db *control, const char *name, const char *holder,
    int (*meanwhile)(void *ctx, struct err *err), void *ctx, struct err *err)
{
    int64_t until = projector_monotonic_us() + PROJECTOR_TAKE_OVER_MS * INT64_C(1000);
    for (;;) {
        struct lease_state state;
        int r = lease_take(control, name, holder, &state, err);
        if (r == 0 && !state.held && projector_monotonic_us() > until)
            r = err_set(err, ERR_TIMEOUT, "%s does not let go of the lease '%s': nothing was changed",
                state.holder, name);
        if (r != 0 || state.held)
            return r;
        if (meanwhile != NULL && (r = meanwhile(ctx, err)) != 0)
            return r;
        (void)poll(NULL, 0, TRY_MS);
    }
}

void projector_give(struct db *control, const char *name, const char *holder)
{
    struct err err;
    if (lease_give(control, name, holder, &err) != 0)
        log_event(LOG_WARNING, "cannot give a lease back: it ends by itself", "lease", name, "error",
            err.message, NULL);
}

int projector_note_prepare(struct db *control, struct err *err)
{
    return db_script(control,
        "CREATE TABLE IF NOT EXISTS @projector("
        "id BIGINT PRIMARY KEY, phase BIGINT NOT NULL, noted_at BIGINT NOT NULL, detail @TEXT NOT NULL)",
        err);
}

int projector_note(struct db *control, const struct projector_state *state, struct err *err)
{
    static const struct db_statement statement = {"projector_note",
        "INSERT INTO @projector(id, phase, noted_at, detail) VALUES (1, ?1, ?2, ?3) ON CONFLICT (id) DO "
        "UPDATE "
        "SET phase = excluded.phase, noted_at = excluded.noted_at, detail = excluded.detail"};
    return db_run(control, &statement,
        DB_VALUES(db_int((int64_t)state->phase), db_int(projector_now_us()), db_text(str_of(state->detail))),
        NULL, NULL, err);
}

int projector_note_read(
    struct db *control, struct projector_state *ret_state, int64_t *ret_at, struct err *err)
{
    static const struct db_statement statement = {
        "projector_note_read", "SELECT phase, noted_at, detail FROM @projector WHERE id = 1"};
    struct arena arena;
    struct db_result result;
    *ret_state = (struct projector_state){.phase = PROJECTOR_STANDBY};
    *ret_at = 0;
    arena_init(&arena, 0);
    int r = db_run(control, &statement, DB_NO_VALUES, &arena, &result, err);
    if (r == 0 && result.n_rows > 0) {
        ret_state->phase = (enum projector_phase)db_at(&result, 0, 0)->integer;
        *ret_at = db_at(&result, 0, 1)->integer;
        snprintf(ret_state->detail, sizeof ret_state->detail, STR_FMT, STR_ARG(db_at(&result, 0, 2)->bytes));
    }
    arena_fini(&arena);
    return r == ERR_NOT_FOUND ? 0 : r;
}
