#include "base/check.h"
#include "relay/relay_internal.h"

static struct str header(const struct relay_message *m, const char *name)
{
    for (size_t i = 0; i < m->message.n_headers; i++)
        if (strcmp(m->message.headers[i].name, name) == 0)
            return m->message.headers[i].value;
    return STR_NONE;
}

static const struct event sample = {
    .topic = EVENT_TOPIC_ENTRY,
    .type = "ledger.entry.posted.v1",
    .id = {"main:7:1", 8},
    .key = {"01890a5d-ac96-7000-8000-000000000001", 36},
    .subject = {"01890a5d-ac96-7000-8000-000000000001", 36},
    .source = {"/ledgers/main", 13},
    .time = 1700000000123456,
    .data = {"{\"a\":1}", 7},
};

static void events_are_messages_in_binary_mode(void **state)
{
    (void)state;
    struct arena arena;
    struct relay_message m;
    arena_init(&arena, 0);
    relay_message(&sample, false, &arena, &m);
    assert_string_equal(m.message.topic, "ledger.entry.v1");
    CHECK_STR("key", m.message.key, sample.key);
    CHECK_STR("value", m.message.value, STR("{\"a\":1}"));
    CHECK_INT("timestamp", m.message.timestamp_ms, 1700000000123);
    static const struct {
        const char *name, *value;
    } cases[] = {
        {"ce_specversion", "1.0"},
        {"ce_id", "main:7:1"},
        {"ce_source", "/ledgers/main"},
        {"ce_type", "ledger.entry.posted.v1"},
        {"ce_subject", "01890a5d-ac96-7000-8000-000000000001"},
        {"ce_time", "2023-11-14T22:13:20.123456Z"},
        {"content-type", "application/json"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CHECK_STR(cases[i].name, header(&m, cases[i].name), str_of(cases[i].value));
    CHECK_INT("no others", m.message.n_headers, COUNT_OF(cases));
    arena_fini(&arena);
}

static void traces_and_replays_show(void **state)
{
    (void)state;
    static const char traceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    struct event event = sample;
    struct arena arena;
    struct relay_message m;
    arena_init(&arena, 0);
    event.has_traceparent = true;
    memcpy(event.traceparent, traceparent, sizeof traceparent);
    relay_message(&event, true, &arena, &m);
    CHECK_STR("CloudEvents' extension", header(&m, "ce_traceparent"), str_of(traceparent));
    CHECK_STR("OpenTelemetry's header", header(&m, "traceparent"), str_of(traceparent));
    CHECK_STR("replay", header(&m, "ce_replay"), STR("true"));
    CHECK_INT("no more than there is room for", m.message.n_headers <= RELAY_HEADERS_MAX, 1);
    arena_fini(&arena);
}

static void every_event_has_a_topic_that_is_made(void **state)
{
    (void)state;
    for (int topic = EVENT_TOPIC_TRANSFER; topic <= EVENT_TOPIC_ACCOUNT; topic++) {
        bool made = false;
        for (size_t i = 0; i < relay_topics_n; i++)
            if (strcmp(relay_topics[i].name, event_topic_name((enum event_topic)topic)) == 0)
                made = !relay_topics[i].compacted;
        CHECK(event_topic_name((enum event_topic)topic), made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_messages_in_binary_mode),
        cmocka_unit_test(traces_and_replays_show),
        cmocka_unit_test(every_event_has_a_topic_that_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
