/*
 * Kafka as the source, with a real broker (CREDITLEDGER_TEST_KAFKA): repeated messages, poison, a hole, and a rebuild that goes on
 * in the topics where the one before it was. Events are sent as the relay sends them.
 */
#include "base/check.h"
#include "kafka/kafka.h"
#include "readmodel/projector_fixture.h"
#include "readmodel/projector_internal.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define PARTITIONS 3
#define TIMEOUT_MS 20000

static struct kafka_config kafka;
static struct kafka_producer *producer;
static char prefix[64];
static bool without_first; /* else without the last event */

/* Topics of its own for every test. */
static struct stage *kafka_stage(size_t records)
{
    static int number;
    static const struct kafka_topic topics[] = {{"ledger.transfer.v1", false, PARTITIONS},
        {"ledger.entry.v1", false, PARTITIONS}, {"ledger.account.v1", false, 1}};
    struct err err = {0};
    struct stage *s = stage_new(records);
    snprintf(prefix, sizeof prefix, "p%ld-%d-", (long)getpid(), ++number);
    kafka = (struct kafka_config){.brokers = getenv("CREDITLEDGER_TEST_KAFKA"),
        .topic_prefix = prefix,
        .group = prefix,
        .transactional = prefix,
        .partitions = PARTITIONS,
        .replication = -1};
    good(kafka_make_topics(&kafka, topics, COUNT_OF(topics), TIMEOUT_MS, &err), &err);
    good(kafka_producer_new(&kafka, TIMEOUT_MS, &producer, &err), &err);
    s->config.kafka = &kafka;
    s->config.metrics = metrics_new();
    return s;
}

static void kafka_stage_free(struct stage *s)
{
    kafka_producer_free(producer);
    metrics_free(s->config.metrics);
    stage_free(s);
}

static void send_event(const struct event *event)
{
    struct err err = {0};
    const struct kafka_header headers[] = {{"ce_id", event->id}, {"ce_type", str_of(event->type)}};
    const struct kafka_message message = {.topic = event_topic_name(event->topic),
        .key = event->key,
        .value = event->data,
        .timestamp_ms = event->time / 1000,
        .headers = headers,
        .n_headers = COUNT_OF(headers)};
    good(kafka_send(producer, &message, &err), &err);
}

/* Records first..last of the journal; of record `without` all but the last event. */
static void publish(struct stage *s, uint64_t first, uint64_t last, uint64_t without)
{
    struct err err = {0};
    struct arena arena;
    arena_init(&arena, 0);
    good(kafka_begin(producer, &err), &err);
    for (uint64_t seq = first; seq <= last; seq++) {
        const struct record *record;
        arena_reset(&arena);
        good(s->journal->ops->record(s->journal, 1, seq, true, &arena, &record, &err), &err);
        const struct asset **assets = ARENA_ARRAY(&arena, const struct asset *, record->n_entries);
        for (size_t i = 0; i < record->n_entries; i++)
            assets[i] = &s->books.f.assets[record->entries[i].asset - 1];
        const struct event_source source = {.ledger = STR("main"), .record = record, .assets = assets};
        for (size_t n = 0; n < event_count(record); n++) {
            struct event event;
            if (seq == without && n == (without_first ? 0 : event_count(record) - 1))
                continue;
            event_at(&source, n, &arena, &event);
            send_event(&event);
        }
    }
    good(kafka_commit(producer, TIMEOUT_MS, &err), &err);
    arena_fini(&arena);
}

static void wait_for_lag(struct stage *s, int64_t lag)
{
    for (int i = 0; metrics_gauge(s->config.metrics, METRIC_PROJECTION_LAG_RECORDS) != lag; i++) {
        if (i > TIMEOUT_MS)
            fail_msg("lag is %jd", (intmax_t)metrics_gauge(s->config.metrics, METRIC_PROJECTION_LAG_RECORDS));
        usleep(1000);
    }
}

static void test_repeated(void **state)
{
    (void)state;
    struct stage *s = kafka_stage(300);
    publish(s, 1, stage_head(s), 0);
    struct projector *p = stage_start(s);
    stage_wait(s, stage_head(s));
    CHECK_INT("differences", stage_differences(s), 0);
    publish(s, 1, stage_head(s), 0);
    uint64_t before = stage_head(s);
    stage_transfer(s, 50);
    publish(s, before + 1, stage_head(s), 0);
    stage_wait(s, stage_head(s));
    wait_for_lag(s, 0);
    projector_stop(p);
    CHECK_INT("differences", stage_differences(s), 0);
    kafka_stage_free(s);
}

static uint64_t parked_count(const struct stage *s)
{
    struct err err = {0};
    struct readmodel *m;
    uint64_t n;
    good(readmodel_open(s->read_url, &(struct readmodel_options){0}, &m, &err), &err);
    good(readmodel_parked_count(m, &n, &err), &err);
    readmodel_close(m);
    return n;
}

/* What cannot be read is set aside; what is not known is none of ours; both hold up nothing. */
static void test_poison(void **state)
{
    (void)state;
    static const struct {
        const char *type, *value;
    } poison[] = {{NULL, "{}"}, {"ledger.entry.posted.v1", "{"}, {"ledger.entry.posted.v1", NULL},
        {"ledger.transfer.posted.v1", "[1]"}, {"ledger.entry.unheard.v7", "{}"}};
    struct stage *s = kafka_stage(50);
    struct err err = {0};
    publish(s, 1, 20, 0);
    good(kafka_begin(producer, &err), &err);
    for (size_t i = 0; i < COUNT_OF(poison); i++) {
        const struct kafka_header header = {"ce_type", str_of(poison[i].type)};
        good(kafka_send(producer,
                 &(struct kafka_message){.topic = "ledger.entry.v1",
                     .key = STR("k"),
                     .value = str_of(poison[i].value),
                     .timestamp_ms = 1700000000000,
                     .headers = &header,
                     .n_headers = poison[i].type != NULL},
                 &err),
            &err);
    }
    good(kafka_commit(producer, TIMEOUT_MS, &err), &err);
    publish(s, 21, stage_head(s), 0);
    struct projector *p = stage_start(s);
    stage_wait(s, stage_head(s));
    wait_for_lag(s, 0);
    projector_stop(p);
    CHECK_INT("parked", parked_count(s), 4);
    CHECK_INT("differences", stage_differences(s), 0);
    /* The messages are behind: another one begins behind them. */
    p = stage_start(s);
    stage_transfer(s, 1);
    publish(s, stage_head(s), stage_head(s), 0);
    stage_wait(s, stage_head(s));
    projector_stop(p);
    CHECK_INT("parked", parked_count(s), 4);
    kafka_stage_free(s);
}

/* An event that never came stops the projection; a rebuild from the journal goes on in the topics. */
static void test_hole(void **state)
{
    (void)state;
    struct stage *s = kafka_stage(50);
    struct projector_state shown;
    struct rebuild_report report;
    struct err err = {0};
    uint64_t before = stage_head(s);
    stage_transfer(s, 10);
    publish(s, 1, stage_head(s), before + 4);
    struct projector *p = stage_start(s);
    stage_wait_for_phase(p, PROJECTOR_STOPPED_AT_GAP, &shown);
    CHECK_INT("reached", atomic_load(&s->reached) <= before + 3, true);
    CHECK_INT("differences", stage_differences(s), 0);
    good(projector_rebuild(&s->config, NULL, NULL, &report, &err), &err);
    stage_wait(s, stage_head(s));
    stage_wait_for_phase(p, PROJECTOR_FOLLOWING, &shown);
    before = stage_head(s);
    stage_transfer(s, 10);
    publish(s, before + 1, stage_head(s), 0);
    stage_wait(s, stage_head(s));
    wait_for_lag(s, 0);
    projector_stop(p);
    CHECK_INT("differences", stage_differences(s), 0);
    assert_false(atomic_load(&s->went_back));
    kafka_stage_free(s);
}

/* A transfer's own message that never came stops no account, but its ledger is not complete: that shows, too. */
static void test_missing_transfer(void **state)
{
    (void)state;
    struct stage *s = kafka_stage(50);
    struct projector_state shown;
    struct rebuild_report report;
    struct err err = {0};
    publish(s, 1, stage_head(s), 0);
    without_first = true;
    uint64_t before = stage_head(s);
    stage_transfer(s, 10);
    publish(s, before + 1, stage_head(s), before + 4);
    without_first = false;
    struct projector *p = stage_start(s);
    stage_wait(s, before + 3);
    stage_wait_for_phase(p, PROJECTOR_STOPPED_AT_GAP, &shown);
    assert_non_null(strstr(shown.detail, "rebuild"));
    CHECK_INT("reached", atomic_load(&s->reached), before + 3);
    good(projector_rebuild(&s->config, NULL, NULL, &report, &err), &err);
    stage_wait(s, stage_head(s));
    stage_wait_for_phase(p, PROJECTOR_FOLLOWING, &shown);
    projector_stop(p);
    CHECK_INT("differences", stage_differences(s), 0);
    kafka_stage_free(s);
}

/* Topics that were made anew are shorter than what was read of them: from their beginning, and the position is theirs. */
static void test_made_anew(void **state)
{
    (void)state;
    struct stage *s = kafka_stage(50);
    struct readmodel *m;
    struct readmodel_offset *offsets;
    struct arena arena;
    struct err err = {0};
    size_t n;
    publish(s, 1, stage_head(s), 0);
    struct projector *p = stage_start(s);
    stage_wait(s, stage_head(s));
    projector_stop(p);
    stage_sql(s, "UPDATE @position SET next = next + 1000000");
    uint64_t before = stage_head(s);
    stage_transfer(s, 10);
    publish(s, before + 1, stage_head(s), 0);
    p = stage_start(s);
    stage_wait(s, stage_head(s));
    wait_for_lag(s, 0);
    projector_stop(p);
    CHECK_INT("differences", stage_differences(s), 0);
    arena_init(&arena, 0);
    good(readmodel_open(s->read_url, &(struct readmodel_options){0}, &m, &err), &err);
    good(readmodel_offsets(m, &arena, &offsets, &n, &err), &err);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        CHECK("a position of the new topic", offsets[i].next < 1000000);
    readmodel_close(m);
    arena_fini(&arena);
    kafka_stage_free(s);
}

/* Another source for the same read model, and back again. */
static void test_change_of_source(void **state)
{
    (void)state;
    struct stage *s = kafka_stage(50);
    publish(s, 1, stage_head(s), 0);
    struct projector *p = stage_start(s);
    stage_wait(s, stage_head(s));
    projector_stop(p);
    for (int i = 0; i < 2; i++) {
        uint64_t before = stage_head(s);
        s->config.kafka = i == 0 ? NULL : &kafka;
        stage_transfer(s, 10);
        publish(s, before + 1, stage_head(s), 0);
        p = stage_start(s);
        stage_wait(s, stage_head(s));
        projector_stop(p);
        CHECK_INT("differences", stage_differences(s), 0);
    }
    kafka_stage_free(s);
}

/* Nothing came, and so nothing waits: that would be believed for ever of a reader that gets nothing. */
static void test_lag_of_who_gets_nothing(void **state)
{
    (void)state;
    struct stage *s = kafka_stage(20);
    struct err err = {0};
    struct readmodel *m;
    struct source *source;
    struct source_batch batch = {0};
    struct source_lag lag = {.records = 1};
    size_t facts = 0;
    arena_init(&batch.arena, 0);
    publish(s, 1, stage_head(s), 0);
    good(readmodel_open(s->read_url, &(struct readmodel_options){.create = true}, &m, &err), &err);
    good(source_kafka_open(&kafka, &source, &err), &err);
    good(source->ops->seek(source, m, &err), &err);
    for (int i = 0; i < TIMEOUT_MS / 100 && (facts < s->books.n_facts || lag.records > 0); i++) {
        good(source->ops->next(source, READMODEL_BATCH_MAX, 100, &batch, &err), &err);
        good(source->ops->lag(source, &lag, &err), &err);
        facts += batch.n;
    }
    assert_true(facts >= s->books.n_facts);
    CHECK_INT("read to the end", lag.records, 0);
    publish(s, 1, stage_head(s), 0);
    for (int i = 0; i < TIMEOUT_MS / 100 && lag.records == 0; i++) {
        usleep(100000);
        good(source->ops->lag(source, &lag, &err), &err);
    }
    assert_true(lag.records >= facts);
    source->ops->close(source);
    readmodel_close(m);
    arena_fini(&batch.arena);
    kafka_stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_hole),
        cmocka_unit_test(test_missing_transfer),
        cmocka_unit_test(test_made_anew),
        cmocka_unit_test(test_change_of_source),
        cmocka_unit_test(test_lag_of_who_gets_nothing),
    };
    char url[STAGE_URL_SIZE];
    log_setup(LOG_ERROR + 1, LOG_JSON);
    if (getenv("CREDITLEDGER_TEST_KAFKA") == NULL) {
        printf("1..0 # SKIP CREDITLEDGER_TEST_KAFKA names no broker\n");
        return 0;
    }
#ifdef __SANITIZE_THREAD__
    printf("1..0 # SKIP the thread sanitizer does not see librdkafka's threads begin\n");
    return 0;
#endif
    if (!place_make(url, sizeof url))
        return 0;
    place_drop(url);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
