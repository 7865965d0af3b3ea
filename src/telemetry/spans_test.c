#include "base/testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "telemetry/log.h"
#include "telemetry/spans_fixture.h"

static const char *const variables[] = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"};

/* name, value, name, value, NULL; everything else is unset. */
static void environment(const char *const *pairs)
{
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        unsetenv(variables[i]);
    for (; pairs[0] != NULL; pairs += 2)
        setenv(pairs[0], pairs[1], 1);
}
#define ENV(...) environment((const char *const[]){__VA_ARGS__, NULL})
#define TO "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"

/* --- the environment */

static void test_where_spans_go(void **state)
{
    (void)state;
    static const struct {
        const char *name, *general, *traces, *url; /* "" is not set; url NULL: refused, "": none */
    } cases[] = {
        {"nothing", "", "", ""},
        {"the path goes behind", "http://localhost:4318", "", "http://localhost:4318/v1/traces"},
        {"behind a slash", "http://localhost:4318/", "", "http://localhost:4318/v1/traces"},
        {"behind a path", "https://c.example/otel//", "", "https://c.example/otel/v1/traces"},
        {"before a query", "http://c.example/x?key=1", "", "http://c.example/x/v1/traces?key=1"},
        {"of traces, as it is", "", "http://localhost:4318/mine", "http://localhost:4318/mine"},
        {"of traces, without a path", "http://other", "http://localhost:4318", "http://localhost:4318/"},
        {"IPv6", "http://[::1]:4318", "", "http://[::1]:4318/v1/traces"},
        {"no scheme", "localhost:4318", "", NULL},
        {"another scheme", "ftp://localhost/", "", NULL},
        {"a file", "", "file:///etc/passwd", NULL},
        {"no host", "http://", "", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ENV("OTEL_EXPORTER_OTLP_ENDPOINT", cases[i].general, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            cases[i].traces);
        struct spans_config c;
        struct err err = {0};
        int r = spans_config_read("api", &c, &err);
        if (cases[i].url == NULL) {
            CHECK_INT(cases[i].name, r, ERR_CONFIG);
            CHECK(cases[i].name, strstr(err.message, "OTEL_EXPORTER_OTLP_") != NULL);
            CHECK(cases[i].name, strstr(err.message, "4318") == NULL); /* it may hold a password */
        } else {
            CHECK_INT(cases[i].name, r, 0);
            CHECK_STR(cases[i].name, c.url != NULL ? str_of(c.url) : STR(""), str_of(cases[i].url));
        }
        spans_config_fini(&c);
    }
}

static struct spans_config config;

static int read_config(void)
{
    struct err err = {0};
    spans_config_fini(&config);
    int r = spans_config_read("api", &config, &err);
    if (r < 0)
        assert_null(strstr(err.message, "secret"));
    return r;
}

static void test_switched_off(void **state)
{
    (void)state;
    ENV(TO, "OTEL_SDK_DISABLED", "TRUE");
    assert_int_equal(read_config(), 0);
    assert_null(config.url);
    ENV(TO, "OTEL_TRACES_EXPORTER", "none");
    assert_int_equal(read_config(), 0);
    assert_null(config.url);
    ENV(TO, "OTEL_SDK_DISABLED", "false", "OTEL_TRACES_EXPORTER", "otlp");
    assert_int_equal(read_config(), 0);
    assert_non_null(config.url);
}

static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value; /* of the header "key"; NULL: refused */
    } cases[] = {
        {"key=secret", "secret"},
        {" a=1 , key = Bearer%20secret%2C1 ,", "Bearer secret,1"},
        {"key=", ""},
        {"key=a=secret", "a=secret"},
        {"secret", NULL},
        {"=secret", NULL},
        {"k y=secret", NULL},
        {"key=secret%0d%0aX: 1", NULL},
        {"key=secret%2", NULL},
        {"key=secret%zz", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ENV(TO, "OTEL_EXPORTER_OTLP_HEADERS", cases[i].text);
        CHECK_INT(cases[i].text, read_config(), cases[i].value != NULL ? 0 : ERR_CONFIG);
        if (cases[i].value == NULL)
            continue;
        const struct spans_pair *last = &config.headers[config.n_headers - 1];
        CHECK_STR(cases[i].text, last->key, STR("key"));
        CHECK_STR(cases[i].text, last->value, str_of(cases[i].value));
    }
    ENV(TO, "OTEL_EXPORTER_OTLP_HEADERS", "a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2");
    assert_int_equal(read_config(), 0);
    assert_int_equal(config.n_headers, 1);
    CHECK_STR("of traces", config.headers[0].key, STR("b"));
}

static void test_protocol(void **state)
{
    (void)state;
    ENV(TO, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    assert_int_equal(read_config(), ERR_CONFIG);
    ENV(TO, "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json");
    assert_int_equal(read_config(), 0);
    ENV(TO, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    assert_int_equal(read_config(), 0);
    ENV(TO, "OTEL_EXPORTER_OTLP_TIMEOUT", "250");
    assert_int_equal(read_config(), 0);
    assert_int_equal(config.timeout_ms, 250);
    ENV(TO, "OTEL_EXPORTER_OTLP_TIMEOUT", "soon");
    assert_int_equal(read_config(), 0);
    assert_int_equal(config.timeout_ms, SPANS_TIMEOUT_MS);
    ENV(TO, "OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/at/all");
    assert_int_equal(read_config(), ERR_CONFIG);
}

static struct str resource(const char *key)
{
    struct str found = STR_NONE;
    int n = 0;
    for (size_t i = 0; i < config.n_resource; i++)
        if (str_eq_c(config.resource[i].key, key)) {
            found = config.resource[i].value;
            n++;
        }
    assert_true(n <= 1);
    return found;
}

static void test_resource(void **state)
{
    (void)state;
    ENV(TO);
    assert_int_equal(read_config(), 0);
    CHECK_STR("default", resource("service.name"), STR("creditledger"));
    CHECK_STR("default", resource("creditledger.role"), STR("api"));
    assert_int_equal(resource("service.instance.id").len, 36);
    ENV(TO, "OTEL_RESOURCE_ATTRIBUTES", "service.name=theirs,deployment.environment=a%20b,service.version=9");
    assert_int_equal(read_config(), 0);
    CHECK_STR("attributes", resource("service.name"), STR("theirs"));
    CHECK_STR("attributes", resource("deployment.environment"), STR("a b"));
    CHECK_STR("attributes", resource("service.version"), STR("9"));
    ENV(TO, "OTEL_RESOURCE_ATTRIBUTES", "service.name=theirs", "OTEL_SERVICE_NAME", "mine");
    assert_int_equal(read_config(), 0);
    CHECK_STR("the name wins", resource("service.name"), STR("mine"));
    ENV(TO, "OTEL_RESOURCE_ATTRIBUTES", "a=1,nonsense");
    assert_int_equal(read_config(), 0);
    CHECK_STR("malformed: all of it is dropped", resource("a"), STR_NONE);
}

/* --- sampling */

static bool sampled(const char *sampler, const char *argument, uint64_t low, int parent)
{
    uint8_t id[16] = {1};
    for (int i = 0; i < 8; i++)
        id[15 - i] = (uint8_t)(low >> 8 * i);
    ENV(TO, "OTEL_TRACES_SAMPLER", sampler, "OTEL_TRACES_SAMPLER_ARG", argument);
    assert_int_equal(read_config(), 0);
    struct spans s = {.config = config};
    return spans_sampled(&s, id, parent >= 0, parent > 0);
}

static void test_sampling(void **state)
{
    (void)state;
    const uint64_t half = UINT64_C(1) << 63;
    static const char *const on[] = {"", "always_on", "parentbased_always_on", "jaeger_remote"};
    static const char *const based[] = {
        "", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"};
    for (size_t i = 0; i < COUNT_OF(on); i++)
        CHECK(on[i], sampled(on[i], "", half, -1));
    for (size_t i = 0; i < COUNT_OF(based); i++) {
        CHECK(based[i], sampled(based[i], "0.5", UINT64_MAX, 1));
        CHECK(based[i], !sampled(based[i], "0.5", 0, 0));
    }
    assert_true(sampled("always_on", "", half, 0));
    assert_false(sampled("always_off", "", 0, 1));
    assert_false(sampled("parentbased_always_off", "", 0, -1));
    assert_true(sampled("traceidratio", "0.5", half - 1, 0));
    assert_false(sampled("traceidratio", "0.5", half, 1));
    assert_true(sampled("parentbased_traceidratio", "0.25", half / 2 - 1, -1));
    assert_false(sampled("parentbased_traceidratio", "0.25", half / 2, -1));
    assert_false(sampled("traceidratio", "0", 0, -1));
    assert_true(sampled("traceidratio", "1", UINT64_MAX - 1, -1));
    assert_true(sampled("traceidratio", "2", UINT64_MAX - 1, -1)); /* understood as not set: 1 */
    assert_false(spans_sampled(NULL, (uint8_t[16]){1}, true, 1));
}

static void test_records_carry_the_decision(void **state)
{
    (void)state;
    const uint8_t trace[16] = {1}, yes[16] = {[15] = 1}, no[16] = {[15] = 2};
    ENV(TO, "OTEL_TRACES_SAMPLER", "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0");
    assert_int_equal(read_config(), 0);
    struct spans s = {.config = config};
    assert_true(spans_sampled_record(&s, trace, yes));
    assert_false(spans_sampled_record(&s, trace, no));
    assert_false(spans_sampled_record(NULL, trace, yes));
    ENV(TO, "OTEL_TRACES_SAMPLER", "always_off");
    assert_int_equal(read_config(), 0);
    s.config = config;
    assert_false(spans_sampled_record(&s, trace, yes));
}

/* --- bytes */

static struct span a_span(void)
{
    struct span span = {.trace_id = {0x5b, [15] = 0x0c},
        .span_id = {0xee, [7] = 0x74},
        .name = "POST /transfers",
        .kind = SPAN_SERVER,
        .began_us = 1500000000000001,
        .ended_us = 1500000000000250};
    return span;
}

static void test_encoding(void **state)
{
    (void)state;
    struct spans_config c = {.n_resource = 1, .resource = {{STR("service.name"), STR("a\"b")}}};
    struct span first = a_span(), second = a_span();
    span_text(&first, "http.route", STR("/transfers"));
    span_int(&first, "http.response.status_code", 503);
    first.failed = true;
    second.parent_id[7] = 1;
    second.ended_us = 1; /* a clock that was set back */
    struct strbuf b;
    strbuf_init(&b);
    spans_encode_begin(&b, &c);
    spans_encode_one(&b, &first);
    spans_encode_one(&b, &second);
    spans_encode_end(&b);
    CHECK_STR("request", strbuf_view(&b),
        STR("{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{"
            "\"stringValue\":"
            "\"a\\\"b\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"creditledger\",\"version\":"
            "\"" CREDITLEDGER_VERSION "\"},\"spans\":[{\"traceId\":\"5b00000000000000000000000000000c\","
            "\"spanId\":\"ee00000000000074\","
            "\"name\":\"POST /transfers\",\"kind\":2,\"startTimeUnixNano\":\"1500000000000001000\","
            "\"endTimeUnixNano\":\"1500000000000250000\",\"attributes\":[{\"key\":\"http.route\",\"value\":{"
            "\"stringValue\":\"/"
            "transfers\"}},{\"key\":\"http.response.status_code\",\"value\":{\"intValue\":\"503\"}}],"
            "\"status\":{\"code\":2}},{\"traceId\":\"5b00000000000000000000000000000c\",\"spanId\":"
            "\"ee00000000000074\","
            "\"parentSpanId\":\"0000000000000001\",\"name\":\"POST /transfers\",\"kind\":2,"
            "\"startTimeUnixNano\":\"1500000000000001000\",\"endTimeUnixNano\":\"1500000000000001000\","
            "\"attributes\":[]}]}]}]}"));
    strbuf_fini(&b);
}

static void test_long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    struct span span = {.name = "x"};
    char text[SPAN_TEXT_MAX + 10];
    memset(text, 'a', sizeof text);
    static const char euro[] = {'\xe2', '\x82', '\xac'}; /* its first byte would still fit */
    for (size_t i = 0; i < sizeof euro; i++)
        text[SPAN_TEXT_MAX - 2 + i] = euro[i];
    span_text(&span, "k", (struct str){text, sizeof text});
    assert_int_equal(strlen(span.attributes[0].text), SPAN_TEXT_MAX - 2);
    span_text(&span, "none", STR_NONE);
    assert_string_equal(span.attributes[1].text, "");
}

static void test_ids_differ(void **state)
{
    (void)state;
    struct spans s = {.seeds = {1, 2}};
    uint8_t seen[64][16];
    for (size_t i = 0; i < 64; i++) {
        spans_trace_id(&s, seen[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[i], seen[k], 16);
    }
}

/* --- the ring */

static long counted(struct metrics *m, const char *name)
{
    struct strbuf b;
    char wanted[80];
    snprintf(wanted, sizeof wanted, "\n%s ", name);
    strbuf_init(&b);
    metrics_render(m, &b);
    strbuf_char(&b, '\0');
    const char *at = strstr(b.data, wanted);
    long n = at != NULL ? strtol(at + strlen(wanted), NULL, 10) : -1;
    strbuf_fini(&b);
    return n;
}
#define DROPPED "creditledger_spans_dropped_total"
#define SENT "creditledger_spans_sent_total"

static void test_a_full_ring_drops_the_newest(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct spans *s = spans_fixture_new(m);
    struct span span = a_span();
    span_int(&span, "n", 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SPANS_RING + 5; i++) {
            span.attributes[0].number = i;
            spans_record(s, &span);
        }
        assert_int_equal(counted(m, DROPPED), 5 * (round + 1));
        for (int i = 0; i < SPANS_RING; i++, spans_taken(s)) {
            const struct span *next = spans_next(s);
            assert_non_null(next);
            assert_int_equal(next->attributes[0].number, i);
            assert_null(next->attributes[1].key);
        }
        assert_null(spans_next(s));
    }
    spans_fixture_free(s);
    metrics_free(m);
}

#define RECORDERS 4
#define EACH 20000

static void *record_many(void *arg)
{
    struct spans *s = arg;
    struct span span = a_span();
    span_int(&span, "n", 0);
    for (int i = 0; i < EACH; i++) {
        span.began_us = span.attributes[0].number = i;
        spans_record(s, &span);
    }
    return NULL;
}

static void test_recorders_at_once(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct spans *s = spans_fixture_new(m);
    pthread_t threads[RECORDERS];
    metrics_count(m, METRIC_SPANS_DROPPED, 0);
    for (int i = 0; i < RECORDERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, record_many, s), 0);
    long got = 0, last = 0, idle = 0;
    for (const struct span *span; got + last < RECORDERS * EACH;)
        if ((span = spans_next(s)) == NULL) {
            long before = last;
            last = counted(m, DROPPED);
            if (last == before)
                idle++, usleep(100);
            assert_true(idle < 100000);
        } else {
            assert_int_equal(span->began_us, span->attributes[0].number);
            spans_taken(s);
            got++;
        }
    for (int i = 0; i < RECORDERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(got + counted(m, DROPPED), RECORDERS * EACH);
    spans_fixture_free(s);
    metrics_free(m);
}

static void test_null_is_nobody(void **state)
{
    (void)state;
    struct span span = a_span();
    uint8_t id[16] = {7};
    spans_record(NULL, &span);
    spans_trace_id(NULL, id);
    spans_span_id(NULL, id);
    assert_int_equal(id[0], 7);
    spans_stop(NULL, 100);
    ENV("OTEL_SERVICE_NAME", "x");
    struct spans *s = (struct spans *)&span;
    struct err err;
    assert_int_equal(spans_start("api", NULL, &s, &err), 0);
    assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_spans_go),
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_protocol),
        cmocka_unit_test(test_resource),
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_records_carry_the_decision),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_long_texts_are_cut_between_characters),
        cmocka_unit_test(test_ids_differ),
        cmocka_unit_test(test_a_full_ring_drops_the_newest),
        cmocka_unit_test(test_recorders_at_once),
        cmocka_unit_test(test_null_is_nobody),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    spans_config_fini(&config);
    return failed;
}
