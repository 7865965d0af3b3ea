/* Generations of the read model: which there are, which one is live. One row each, in the control part. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/instant.h"
#include "readmodel/generation_internal.h"
#include "readmodel/heads.h"
#include "readmodel/progress.h"
#include "readmodel/projection.h"
#include "readmodel/rows.h"

static const char control_ddl[] =
    "CREATE TABLE IF NOT EXISTS @generation (id BIGINT PRIMARY KEY, state "
    "BIGINT NOT NULL, format BIGINT NOT NULL,"
    " made_at BIGINT NOT NULL, live_at BIGINT NOT NULL, source @TEXT NOT NULL);";

/* A generation's own: beside the tables of the projections. */
static const char state_ddl[] =
    "CREATE TABLE @state (id BIGINT PRIMARY KEY, serial BIGINT NOT NULL, format BIGINT NOT NULL);"
    "INSERT INTO @state (id, serial, format) VALUES (1, 0, 0);"
    "CREATE TABLE @position (part BIGINT PRIMARY KEY, next BIGINT NOT NULL);"
    "CREATE TABLE @parked (id BIGINT PRIMARY KEY, topic @TEXT, message_key @TEXT, type @TEXT, payload "
    "@BYTES, "
    "reason TEXT,"
    " part BIGINT NOT NULL, message_offset BIGINT NOT NULL, parked_at BIGINT NOT NULL, replayed BIGINT NOT "
    "NULL);";

static const struct db_statement list_all = {
    "generation_list", "SELECT id, state, format, made_at, live_at, source FROM @generation ORDER BY id"};
static const struct db_statement find_live = {
    "generation_live", "SELECT id FROM @generation WHERE state = 2"};
static const struct db_statement next_id = {
    "generation_next", "SELECT COALESCE(MAX(id), 0) + 1 FROM @generation"};
static const struct db_statement add = {"generation_add",
    "INSERT INTO @generation (id, state, format, made_at, live_at, source) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"};
static const struct db_statement set_state = {
    "generation_set", "UPDATE @generation SET state = ?2, live_at = ?3 WHERE id = ?1 AND state = ?4"};
static const struct db_statement retire = {
    "generation_retire", "UPDATE @generation SET state = 3 WHERE id = ?1 AND state = 2"};
static const struct db_statement forget = {
    "generation_forget", "DELETE FROM @generation WHERE id = ?1 AND state <> 2"};
static const struct db_statement mark_format = {
    "generation_format", "UPDATE @state SET format = ?1 WHERE id = 1"};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * MICROS_PER_SECOND + t.tv_nsec / 1000;
}

void generation_part(uint32_t id, char ret_part[GENERATION_PART_MAX])
{
    snprintf(ret_part, GENERATION_PART_MAX, "g%u", id);
}

/* The one-off calls below keep nothing in the session, so that they need not know whether there is a pooler. */
static int open_control(const char *url, bool create, bool pooled, struct db **ret_control, struct err *err)
{
    int rc = db_open(url, &(struct db_options){.create = create, .pooled = pooled}, ret_control, err);
    if (rc != 0)
        return rc;
    if (create)
        rc = db_script(*ret_control, control_ddl, err);
    if (rc != 0)
        db_close(*ret_control);
    return rc;
}

static int make_tables(struct db *db, struct err *err)
{
    int rc = db_begin(db, true, err);
    if (rc != 0)
        return rc;
    rc = db_script(db, state_ddl, err);
    if (rc == 0)
        rc = db_script(db, progress_ddl, err);
    if (rc == 0)
        rc = db_script(db, heads_ddl, err);
    for (size_t i = 0; rc == 0 && i < PROJECTIONS_N; i++)
        rc = db_script(db, projections[i]->ddl, err);
    if (rc == 0)
        rc = db_run(db, &mark_format, DB_VALUES(db_int(READMODEL_FORMAT)), NULL, NULL, err);
    if (rc == 0)
        return db_commit(db, err);
    db_rollback(db);
    return rc;
}

/* Building what is full is several times faster than filling what is indexed: the rows come sorted. */
int generation_index(struct db *db, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < PROJECTIONS_N; i++)
        if (projections[i]->indexes != NULL)
            rc = db_script(db, projections[i]->indexes, err);
    return rc;
}

/* Its part with empty tables; what a part of that name holds was left behind by one who did not get to its row. */
static int make_part(const char *url, uint32_t id, bool indexed, bool pooled, struct err *err)
{
    char part[GENERATION_PART_MAX];
    struct db *db;
    generation_part(id, part);
    int rc = db_drop_part(url, part, err);
    if (rc == 0)
        rc = db_open(url, &(struct db_options){.part = part, .create = true, .pooled = pooled}, &db, err);
    if (rc != 0)
        return rc;
    rc = make_tables(db, err);
    if (rc == 0 && indexed)
        rc = generation_index(db, err);
    db_close(db);
    return rc;
}

static int read_one(
    struct db *control, const struct db_statement *statement, uint32_t *ret_id, struct err *err)
{
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(control, statement, DB_NO_VALUES, &arena, &result, err);
    if (rc == 0)
        *ret_id = result.n_rows > 0 ? (uint32_t)value_uint(db_at(&result, 0, 0)) : 0;
    arena_fini(&arena);
    return rc;
}

/*
 * Its row first, and its tables while the row's transaction is open: who makes one at the same time waits for the row's
 * number, or fails with it.
 */
static int make(struct db *control, const char *url, const char *source, bool live, bool pooled,
    uint32_t *ret_id, struct err *err)
{
    uint32_t id = 0, there = 0;
    int rc = db_begin(control, true, err);
    if (rc != 0)
        return rc;
    if (live)
        rc = read_one(control, &find_live, &there, err);
    if (rc == 0 && there == 0)
        rc = read_one(control, &next_id, &id, err);
    int64_t at = now();
    if (rc == 0 && there == 0)
        rc = db_run(control, &add,
            DB_VALUES(db_uint(id), db_int(live ? GENERATION_LIVE : GENERATION_BUILDING),
                db_int(READMODEL_FORMAT), db_int(at), db_int(live ? at : 0), db_text(str_of(source))),
            NULL, NULL, err);
    if (rc == 0 && there == 0)
        rc = make_part(url, id, live, pooled, err);
    if (rc == 0) {
        *ret_id = there != 0 ? there : id;
        return db_commit(control, err);
    }
    db_rollback(control);
    return rc;
}

int generation_find(
    const char *url, const struct readmodel_options *options, uint32_t *ret_id, struct err *err)
{
    const char *source = options->source != NULL ? options->source : "";
    bool create = options->create, pooled = options->pooled;
    struct db *control;
    int rc = open_control(url, create, pooled, &control, err);
    if (rc != 0)
        return rc;
    rc = generation_live(control, ret_id, err);
    for (int tries = 0; rc == 0 && *ret_id == 0 && create; tries++) {
        rc = make(control, url, source, true, pooled, ret_id, err);
        if (rc != ERR_CONFLICT || tries == 3)
            break;
        rc = generation_live(control, ret_id, err); /* another was faster */
    }
    db_close(control);
    if (rc == 0 && *ret_id == 0)
        return err_set(err, ERR_NOT_FOUND, "the read database has no live read model");
    return rc;
}

int generation_list(
    const char *url, struct arena *arena, struct generation **ret_generations, size_t *ret_n, struct err *err)
{
    struct db *control;
    struct db_result result;
    int rc = open_control(url, false, true, &control, err);
    if (rc != 0)
        return rc;
    rc = db_run(control, &list_all, DB_NO_VALUES, arena, &result, err);
    db_close(control);
    if (rc != 0)
        return rc;
    *ret_n = result.n_rows;
    *ret_generations = ARENA_ARRAY(arena, struct generation, result.n_rows);
    for (size_t i = 0; i < result.n_rows; i++) {
        struct generation *g = &(*ret_generations)[i];
        struct str source = value_str(db_at(&result, i, 5));
        *g = (struct generation){.id = (uint32_t)value_uint(db_at(&result, i, 0)),
            .state = (enum generation_state)db_at(&result, i, 1)->integer,
            .format = (uint32_t)value_uint(db_at(&result, i, 2)),
            .made_at = db_at(&result, i, 3)->integer,
            .live_at = db_at(&result, i, 4)->integer};
        snprintf(g->source, sizeof g->source, STR_FMT, STR_ARG(source));
    }
    return 0;
}

int generation_live(struct db *control, uint32_t *ret_id, struct err *err)
{
    int rc = read_one(control, &find_live, ret_id, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    *ret_id = 0; /* there is not even the table: nothing was made yet */
    return 0;
}

int generation_new(const char *url, const char *source, uint32_t *ret_id, struct err *err)
{
    struct db *control;
    int rc = open_control(url, true, true, &control, err);
    if (rc != 0)
        return rc;
    rc = make(control, url, source, false, true, ret_id, err);
    db_close(control);
    return rc;
}

static int changed_one(struct db *control, const struct db_statement *statement,
    const struct db_value *values, size_t n_values, struct err *err)
{
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(control, statement, values, n_values, &arena, &result, err);
    if (rc == 0 && result.changed != 1)
        rc = err_set(err, ERR_CONFLICT, "another generation of the read model was made live, or dropped");
    arena_fini(&arena);
    return rc;
}

/* What was not finished by its builder is now: nothing is lost but time. */
static int finish(const char *url, uint32_t id, struct err *err)
{
    char part[GENERATION_PART_MAX];
    struct db *db;
    generation_part(id, part);
    const struct db_options options = {
        .part = part, .pooled = true, .timeout_ms = GENERATION_BUILD_TIMEOUT_MS};
    int rc = db_open(url, &options, &db, err);
    if (rc != 0)
        return rc;
    rc = generation_index(db, err);
    db_close(db);
    return rc;
}

static int switch_to(struct db *control, uint32_t id, uint32_t instead_of, struct err *err)
{
    uint32_t live = 0;
    int rc = db_begin(control, true, err);
    if (rc == 0 && instead_of != 0)
        rc = changed_one(control, &retire, DB_VALUES(db_uint(instead_of)), err);
    if (rc == 0)
        rc = generation_live(control, &live, err);
    if (rc == 0 && live != 0)
        rc = err_set(err, ERR_CONFLICT, "generation %u of the read model is live", live);
    if (rc == 0)
        rc = changed_one(control, &set_state,
            DB_VALUES(db_uint(id), db_int(GENERATION_LIVE), db_int(now()), db_int(GENERATION_BUILDING)), err);
    if (rc == 0)
        return db_commit(control, err);
    db_rollback(control);
    return rc;
}

int generation_switch(const char *url, uint32_t id, uint32_t instead_of, struct err *err)
{
    struct db *control;
    int rc = finish(url, id, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_CONFLICT, "generation %u of the read model was dropped", id);
    if (rc == 0)
        rc = open_control(url, false, true, &control, err);
    if (rc != 0)
        return rc;
    rc = switch_to(control, id, instead_of, err);
    db_close(control);
    return rc;
}

int generation_drop(const char *url, uint32_t id, struct err *err)
{
    struct db *control;
    char part[GENERATION_PART_MAX];
    int rc = open_control(url, false, true, &control, err);
    if (rc != 0)
        return rc;
    rc = changed_one(control, &forget, DB_VALUES(db_uint(id)), err);
    db_close(control);
    generation_part(id, part);
    return rc != 0 ? rc : db_drop_part(url, part, err);
}
