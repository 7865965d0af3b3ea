/*
 * The journal as a source, and the projector over it: that it follows, stands by, takes over, stops at a gap and says so, and
 * that a rebuild beside it takes nothing back. Over the read database that CREDITLEDGER_TEST_BACKEND names.
 */
#include "readmodel/projector.h"

#include <pthread.h>

#include "base/check.h"
#include "readmodel/projector_fixture.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

/* --- the source --------------------------------------------------------------------------------------------- */

/* The same facts, whatever the size of the batches, also after its text is long gone from the journal's scan. */
static void test_batches(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 1000, READMODEL_BATCH_MAX};
    struct stage *s = stage_new(200);
    for (size_t k = 0; k < COUNT_OF(sizes); k++) {
        struct err err = {0};
        struct readmodel *m;
        struct source *source;
        struct source_batch batch = {0};
        arena_init(&batch.arena, 0);
        good(readmodel_open(s->read_url, &(struct readmodel_options){.create = true}, &m, &err), &err);
        good(source_journal_open(s->journal_url, &s->reading, &source, &err), &err);
        good(source->ops->seek(source, m, &err), &err);
        struct source_lag lag;
        good(source->ops->lag(source, &lag, &err), &err);
        CHECK_INT("lag", lag.records, stage_head(s));
        size_t done = 0;
        int64_t offset = -1;
        do {
            good(source->ops->next(source, sizes[k], 0, &batch, &err), &err);
            assert_true(batch.n <= sizes[k]);
            for (size_t i = 0; i < batch.n && done < s->books.n_facts; i++, done++) {
                const struct fact *f = &batch.facts[i], *want = &s->books.facts[done];
                assert_true(
                    f->seq == want->seq && f->n == want->n && f->of == want->of && f->kind == want->kind);
                assert_true(str_eq(f->reference, want->reference) && str_eq(f->ledger, want->ledger));
                if (f->kind == FACT_TRANSFER)
                    assert_true(str_eq(f->transfer.idempotency_key, want->transfer.idempotency_key) &&
                                str_eq(f->transfer.actor, want->transfer.actor));
                assert_true(f->offset > offset);
                offset = f->offset;
            }
        } while (batch.n > 0);
        CHECK_INT("facts", done, s->books.n_facts);
        good(source->ops->lag(source, &lag, &err), &err);
        assert_true(lag.records == 0 && lag.oldest_at == 0);
        source->ops->close(source);
        readmodel_close(m);
        arena_fini(&batch.arena);
    }
    stage_free(s);
}

/* A read model that is ahead is of another journal, or this one lost records: nothing is applied on top of it. */
static void test_lost(void **state)
{
    (void)state;
    struct stage *s = stage_new(50);
    struct rebuild_report report;
    struct err err = {0};
    struct projector_state shown;
    good(projector_rebuild(&s->config, NULL, NULL, &report, &err), &err);
    stage_sql(s, "UPDATE @ledger SET seq = seq + 10, most_seq = most_seq + 10");
    struct projector *p = stage_start(s);
    stage_wait_for_phase(p, PROJECTOR_FAILING, &shown);
    assert_non_null(strstr(shown.detail, "rebuild"));
    projector_stop(p);
    stage_free(s);
}

/* --- the projector ------------------------------------------------------------------------------------------ */

static void test_follows(void **state)
{
    (void)state;
    struct stage *s = stage_new(300);
    s->config.metrics = metrics_new();
    struct projector *p = stage_start(s);
    struct projector_state shown;
    stage_wait(s, stage_head(s));
    CHECK_INT("differences", stage_differences(s), 0);
    for (int i = 0; i < 5; i++) {
        stage_transfer(s, 20);
        projector_wake(p);
        stage_wait(s, stage_head(s));
    }
    stage_transfer(s, 1); /* nobody wakes it: the poll */
    stage_wait(s, stage_head(s));
    stage_wait_for_phase(p, PROJECTOR_FOLLOWING, &shown);
    CHECK_INT("active", metrics_gauge(s->config.metrics, METRIC_PROJECTOR_ACTIVE), 1);
    CHECK_INT("gap", metrics_gauge(s->config.metrics, METRIC_PROJECTION_GAP), 0);
    projector_stop(p);
    CHECK_INT("differences", stage_differences(s), 0);
    assert_false(atomic_load(&s->went_back));
    metrics_free(s->config.metrics);
    stage_free(s);
}

static bool shows(struct metrics *m, const char *line)
{
    struct strbuf b;
    strbuf_init(&b);
    metrics_render(m, &b);
    strbuf_char(&b, '\0');
    bool found = strstr(b.data, line) != NULL;
    strbuf_fini(&b);
    return found;
}

/* A lag that was is not shown until somebody posts again. */
static void test_lag_ends(void **state)
{
    (void)state;
    struct stage *s = stage_new(50);
    s->config.metrics = metrics_new();
    struct projector *p = stage_start(s);
    stage_wait(s, stage_head(s));
    for (int i = 0; i < 3; i++) {
        stage_transfer(s, 1);
        projector_wake(p);
        stage_wait(s, stage_head(s));
        usleep(50000); /* less than it is measured after */
        assert_true(shows(s->config.metrics, "\ncreditledger_projection_lag_seconds 0.000000\n"));
    }
    projector_stop(p);
    metrics_free(s->config.metrics);
    stage_free(s);
}

/* One at a time; whoever stops gives its place to the other. */
static void test_takes_over(void **state)
{
    (void)state;
    struct stage *s = stage_new(50);
    struct projector_state shown;
    struct projector *first = stage_start(s);
    stage_wait_for_phase(first, PROJECTOR_FOLLOWING, &shown);
    struct projector *second = stage_start(s);
    stage_transfer(s, 10);
    stage_wait(s, stage_head(s));
    projector_state(second, &shown);
    CHECK_INT("second", shown.phase, PROJECTOR_STANDBY);
    projector_stop(first);
    stage_transfer(s, 10);
    stage_wait(s, stage_head(s));
    stage_wait_for_phase(second, PROJECTOR_FOLLOWING, &shown);
    projector_stop(second);
    CHECK_INT("differences", stage_differences(s), 0);
    stage_free(s);
}

/* Whoever posts may start while the read model's server is away; a path where there can be none is told at once. */
static void test_away(void **state)
{
    (void)state;
    struct stage *s = stage_new(10);
    struct projector_state shown;
    struct projector *p;
    struct err err = {0};
    s->config.read_url = "postgres://nobody@127.0.0.1:1/none";
    p = stage_start(s);
    stage_wait_for_phase(p, PROJECTOR_FAILING, &shown);
    assert_non_null(strstr(shown.detail, "refused"));
    projector_stop(p);
    s->config.read_url = "sqlite:/nowhere/at/all.db";
    CHECK("refused", projector_start(&s->config, &p, &err) != 0);
    stage_free(s);
}

/* A row that the tables do not take is a conflict for the database; that it never goes away is told all the same. */
static void test_lasting_conflict(void **state)
{
    (void)state;
    struct stage *s = stage_new(50);
    struct projector_state shown;
    struct readmodel *m;
    struct err err = {0};
    good(readmodel_open(s->read_url, &(struct readmodel_options){.create = true}, &m, &err), &err);
    readmodel_close(m);
    stage_sql(s, "CREATE UNIQUE INDEX in_the_way ON @day (ledger)");
    struct projector *p = stage_start(s);
    stage_wait_for_phase(p, PROJECTOR_FAILING, &shown);
    projector_stop(p);
    stage_free(s);
}

/* What is missing shows; nothing goes past it; a rebuild beside the stopped projector heals it. */
static void test_gap(void **state)
{
    (void)state;
    struct stage *s = stage_new(50);
    struct projector_state shown;
    struct rebuild_report report;
    struct err err = {0};
    char statement[256];
    good(projector_rebuild(&s->config, NULL, NULL, &report, &err), &err);
    snprintf(statement, sizeof statement, "UPDATE @head SET version = version - 1 WHERE account = %ju",
        (uintmax_t)s->a);
    stage_transfer(s, 3);
    good(projector_rebuild(&s->config, NULL, NULL, &report, &err), &err);
    stage_sql(s, statement);
    uint64_t before = stage_head(s);
    stage_transfer(s, 3);
    s->config.metrics = metrics_new();
    struct projector *p = stage_start(s);
    stage_wait_for_phase(p, PROJECTOR_STOPPED_AT_GAP, &shown);
    assert_non_null(strstr(shown.detail, "ledger main"));
    CHECK_INT("metric", metrics_gauge(s->config.metrics, METRIC_PROJECTION_GAP), 1);
    CHECK_INT("reached", atomic_load(&s->reached), before);
    struct arena arena;
    struct projector_status status;
    arena_init(&arena, 0);
    good(projector_status(&s->config, &arena, &status, &err), &err);
    CHECK_INT("status", status.state.phase, PROJECTOR_STOPPED_AT_GAP);
    assert_true(status.holder[0] != '\0' && status.n_ledgers == 1 && status.ledgers[0].seq == before);
    arena_fini(&arena);
    good(projector_rebuild(&s->config, NULL, NULL, &report, &err), &err);
    stage_wait_for_phase(p, PROJECTOR_FOLLOWING, &shown);
    stage_wait(s, stage_head(s));
    CHECK_INT("metric", metrics_gauge(s->config.metrics, METRIC_PROJECTION_GAP), 0);
    projector_stop(p);
    CHECK_INT("differences", stage_differences(s), 0);
    metrics_free(s->config.metrics);
    stage_free(s);
}

struct rebuilding {
    struct stage *stage;
    int rounds;
    _Atomic bool done;
};

static void *rebuild_main(void *arg)
{
    struct rebuilding *b = arg;
    for (int i = 0; i < b->rounds; i++) {
        struct err err = {0};
        struct rebuild_report report;
        if (projector_rebuild(&b->stage->config, NULL, NULL, &report, &err) != 0)
            print_message("# rebuild: %s\n", err.message);
    }
    atomic_store(&b->done, true);
    return NULL;
}

/* Rebuilds while it writes and projects: what was reached stays reached. */
static void test_rebuild_beside(void **state)
{
    (void)state;
    struct stage *s = stage_new(200);
    struct rebuilding b = {.stage = s, .rounds = 3};
    struct projector_state shown;
    pthread_t thread;
    struct projector *p = stage_start(s);
    stage_wait(s, stage_head(s));
    assert_int_equal(pthread_create(&thread, NULL, rebuild_main, &b), 0);
    while (!atomic_load(&b.done)) {
        stage_transfer(s, 10);
        projector_wake(p);
        usleep(2000);
    }
    pthread_join(thread, NULL);
    stage_wait(s, stage_head(s));
    stage_wait_for_phase(p, PROJECTOR_FOLLOWING, &shown);
    projector_stop(p);
    assert_false(atomic_load(&s->went_back));
    struct arena arena;
    struct generation *generations;
    struct err err = {0};
    size_t n;
    arena_init(&arena, 0);
    good(generation_list(s->read_url, &arena, &generations, &n, &err), &err);
    CHECK_INT("generations", n, 1);
    CHECK_INT("live", generations[0].id, 4);
    arena_fini(&arena);
    CHECK_INT("differences", stage_differences(s), 0);
    stage_free(s);
}

static bool stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    return false;
}

static void test_cancelled(void **state)
{
    (void)state;
    struct stage *s = stage_new(50);
    struct rebuild_report report;
    struct err err = {0};
    struct arena arena;
    struct generation *generations;
    size_t n;
    good(projector_rebuild(&s->config, NULL, NULL, &report, &err), &err);
    CHECK_INT("cancelled", projector_rebuild(&s->config, stop_at_once, NULL, &report, &err), ERR_CANCELLED);
    arena_init(&arena, 0);
    good(generation_list(s->read_url, &arena, &generations, &n, &err), &err);
    CHECK_INT("generations", n, 1);
    arena_fini(&arena);
    CHECK_INT("differences", stage_differences(s), 0);
    stage_free(s);
}

/* --- an erasure waits for it -------------------------------------------------------------------------------- */

static void expect_only(const struct stage *s, const char *source)
{
    struct err err = {0};
    struct arena arena;
    struct generation *generations;
    size_t n;
    arena_init(&arena, 0);
    good(generation_list(s->read_url, &arena, &generations, &n, &err), &err);
    CHECK_INT("generations", n, 1);
    assert_string_equal(generations[0].source, source);
    arena_fini(&arena);
}

static void test_catch_up(void **state)
{
    (void)state;
    struct stage *s = stage_new(50);
    struct err err = {0};
    uint32_t id;
    struct projector_state shown;
    CHECK_INT("none", projector_catch_up(&s->config, STR("main"), 1, &err), ERR_NOT_FOUND);
    struct projector *p = stage_start(s);
    stage_wait(s, stage_head(s));
    stage_transfer(s, 20); /* by the projector, which nobody woke */
    good(projector_catch_up(&s->config, STR("main"), stage_head(s), &err), &err);
    stage_wait(s, stage_head(s));
    stage_wait_for_phase(p, PROJECTOR_FOLLOWING, &shown);
    projector_stop(p);
    good(
        generation_new(s->read_url, "journal", &id, &err), &err); /* as a rebuild that was killed leaves it */
    stage_transfer(s, 20);
    good(projector_catch_up(&s->config, STR("main"), stage_head(s), &err), &err);
    CHECK_INT("differences", stage_differences(s), 0);
    expect_only(s, "journal");
    stage_sql(s, "UPDATE @head SET version = version - 1"); /* what comes next comes too early */
    stage_transfer(s, 1);
    CHECK_INT("gap", projector_catch_up(&s->config, STR("main"), stage_head(s), &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "gap"));
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_follows),
        cmocka_unit_test(test_lag_ends),
        cmocka_unit_test(test_takes_over),
        cmocka_unit_test(test_away),
        cmocka_unit_test(test_lasting_conflict),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_rebuild_beside),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_catch_up),
    };
    log_setup(LOG_ERROR + 1, LOG_JSON);
    char url[STAGE_URL_SIZE];
    if (!place_make(url, sizeof url))
        return 0;
    place_drop(url);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
