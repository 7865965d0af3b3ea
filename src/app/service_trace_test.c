/* Requests as traces: what is recorded of each, and what hangs on what. */
#include "app/service_fixture.h"

#include "telemetry/spans_fixture.h"

#define USD "{\"currency\":\"USD\",\"minBalance\":null}"
#define CLIENT "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"

static struct fixture *f;
static struct spans *spans;
static char from[37], to[37];

static struct span seen[64];
static size_t n_seen;

/* What was recorded since the last look. */
static void look(void)
{
    n_seen = 0;
    for (const struct span *s; (s = spans_next(spans)) != NULL; spans_taken(spans))
        if (n_seen < COUNT_OF(seen))
            seen[n_seen++] = *s;
}

static int setup_with(struct spans *with)
{
    spans = with;
    f = fixture_new(&(struct fixture_options){.spans = with});
    open_account(f, USD, from);
    open_account(f, USD, to);
    if (with != NULL)
        look();
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(spans_fixture_new(NULL));
}

static int setup_without(void **state)
{
    (void)state;
    return setup_with(NULL);
}

static int teardown(void **state)
{
    (void)state;
    fixture_free(f);
    spans_fixture_free(spans);
    return 0;
}

static const char *body(const char *more)
{
    static char text[256];
    snprintf(text, sizeof text, "{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1,\"currency\":\"USD\"%s}", from,
        to, more);
    return text;
}

static const struct span *find(const char *name)
{
    const struct span *found = NULL;
    for (size_t i = 0; i < n_seen; i++)
        if (strcmp(seen[i].name, name) == 0) {
            if (found != NULL)
                fail_msg("two spans '%s'", name);
            found = &seen[i];
        }
    if (found == NULL)
        fail_msg("no span '%s' among %zu", name, n_seen);
    return found;
}

static int64_t number_of(const struct span *s, const char *key)
{
    for (size_t i = 0; i < SPAN_ATTRIBUTES_MAX && s->attributes[i].key != NULL; i++)
        if (strcmp(s->attributes[i].key, key) == 0)
            return s->attributes[i].number;
    return -1;
}

static void expect_within(const struct span *child, const struct span *parent)
{
    assert_memory_equal(child->trace_id, parent->trace_id, 16);
    assert_memory_equal(child->parent_id, parent->span_id, 8);
    CHECK(child->name, child->began_us >= parent->began_us && child->ended_us <= parent->ended_us);
    CHECK(child->name, child->began_us <= child->ended_us);
    CHECK_INT(child->name, child->kind, SPAN_INTERNAL);
}

static struct uuid transfer_id(void)
{
    struct uuid id;
    assert_true(uuid_parse(str_of(text_at(f, "transferId")), &id));
    return id;
}

static void test_a_transfer(void **state)
{
    (void)state;
    static const uint8_t none[8];
    assert_int_equal(call(f, "POST", "/transfers", NULL, body("")), 201);
    look();
    assert_int_equal(n_seen, 4);
    const struct span *request = find("POST /transfers"), *commit = find("commit");
    assert_int_equal(request->kind, SPAN_SERVER);
    assert_memory_equal(request->parent_id, none, 8);
    assert_false(request->failed);
    assert_int_equal(number_of(request, "http.response.status_code"), 201);
    assert_int_equal(number_of(request, "creditledger.seq"), number_at(f, "seq"));
    expect_within(find("queue"), request);
    expect_within(find("decide"), request);
    expect_within(commit, request);
    assert_int_equal(number_of(commit, "creditledger.seq"), number_at(f, "seq"));
    assert_int_equal(number_of(commit, "creditledger.batch"), 1);
    assert_true(find("queue")->ended_us <= find("decide")->began_us);
    assert_true(find("decide")->ended_us <= commit->began_us);

    /* The record is part of it, and whoever follows the journal finds its parent. */
    struct uuid id = transfer_id();
    struct trace_context told;
    assert_memory_equal(commit->span_id, id.bytes + 8, 8);
    assert_int_equal(trace_flags_of(id.bytes), TRACE_SAMPLED);
    assert_true(trace_parse(str_of(header_of(f, "traceparent")), &told));
    assert_memory_equal(told.trace_id, request->trace_id, 16);
    assert_memory_equal(told.parent_id, request->span_id, 8);
    uint8_t stored[16];
    assert_true(str_to_bytes(str_of(text_at(f, "traceId")), stored, 16));
    assert_memory_equal(stored, request->trace_id, 16);
}

static void test_the_client_has_a_trace(void **state)
{
    (void)state;
    assert_int_equal(call(f, "POST", "/transfers", CLIENT "1", body("")), 201);
    look();
    const struct span *request = find("POST /transfers");
    assert_int_equal(request->trace_id[0], 0x0a);
    assert_int_equal(request->parent_id[0], 0xb7);
    expect_within(find("commit"), request);
    assert_int_equal(trace_flags_of(transfer_id().bytes), TRACE_SAMPLED);
    assert_string_equal(header_of(f, "traceparent") + 36, "b7ad6b7169203331-01");

    /* One that nobody follows is stored all the same, and has no spans. */
    assert_int_equal(call(f, "POST", "/transfers", CLIENT "0", body("")), 201);
    look();
    assert_int_equal(n_seen, 0);
    assert_int_equal(trace_flags_of(transfer_id().bytes), 0);
    assert_string_equal(text_at(f, "traceId"), "0af7651916cd43dd8448eb211c80319c");
}

static void test_without_spans(void **state)
{
    (void)state;
    assert_int_equal(call(f, "POST", "/transfers", NULL, body("")), 201);
    assert_null(text_at(f, "traceId"));
    assert_null(header_of(f, "traceparent"));
    for (int flag = 0; flag <= 1; flag++) { /* the client's word goes on */
        assert_int_equal(call(f, "POST", "/transfers", flag ? CLIENT "1" : CLIENT "0", body("")), 201);
        assert_int_equal(trace_flags_of(transfer_id().bytes), flag);
    }
}

static void test_not_sampled(void **state)
{
    (void)state;
    spans->config.root = ROOT_NEVER;
    assert_int_equal(call(f, "POST", "/transfers", NULL, body("")), 201);
    look();
    assert_int_equal(n_seen, 0);
    assert_null(text_at(f, "traceId"));
    assert_null(header_of(f, "traceparent"));
}

static void test_replays_and_declines(void **state)
{
    (void)state;
    assert_int_equal(call(f, "POST", "/transfers", "Idempotency-Key: k", body("")), 201);
    look();
    uint8_t first[16];
    memcpy(first, find("commit")->trace_id, 16);
    assert_int_equal(call(f, "POST", "/transfers", "Idempotency-Key: k", body("")), 201);
    look();
    assert_int_equal(n_seen, 3); /* nothing was committed */
    assert_memory_not_equal(find("POST /transfers")->trace_id, first, 16);
    assert_int_equal(call(f, "POST", "/transfers?dryRun=true", NULL, body("")), 200);
    look();
    assert_int_equal(n_seen, 3);

    char empty[37];
    open_account(f, "{\"currency\":\"USD\",\"minBalance\":0}", empty);
    look();
    memcpy(from, empty, sizeof from);
    assert_int_equal(call(f, "POST", "/transfers", NULL, body("")), 422);
    look();
    assert_int_equal(n_seen, 4); /* a decline is a record */
    assert_false(find("POST /transfers")->failed);
    assert_int_equal(call(f, "POST", "/transfers", NULL, "{"), 400);
    look();
    assert_int_equal(n_seen, 1);
}

static void test_the_outside_opens(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/accounts/%s/credits", to);
    assert_int_equal(call(f, "POST", path, NULL, "{\"amount\":5}"), 201);
    look();
    assert_int_equal(n_seen, 5);
    const struct span *request = find("POST /accounts/{account}/credits");
    size_t commits = 0;
    for (size_t i = 0; i < n_seen; i++)
        if (strcmp(seen[i].name, "commit") == 0) {
            expect_within(&seen[i], request);
            commits++;
        }
    assert_int_equal(commits, 2); /* @world, and the transfer */
    assert_int_equal(call(f, "POST", path, NULL, "{\"amount\":5}"), 201);
    look();
    assert_int_equal(n_seen, 4);
}

static void test_bulk(void **state)
{
    (void)state;
    char list[1024];
    size_t len = (size_t)snprintf(list, sizeof list, "[%s,", body(""));
    len += (size_t)snprintf(list + len, sizeof list - len, "%s,", body(""));
    snprintf(list + len, sizeof list - len, "{\"from\":\"%s\"}]", from);
    assert_int_equal(call(f, "POST", "/transfers/batch", NULL, list), 200);
    look();
    assert_int_equal(n_seen, 5); /* the request, queue, decide, and the two that are records */
    const struct span *request = find("POST /transfers/batch");
    assert_int_equal(number_of(find("decide"), "creditledger.commands"), 2);
    int64_t before = 0;
    for (size_t i = 0; i < n_seen; i++)
        if (strcmp(seen[i].name, "commit") == 0) {
            expect_within(&seen[i], request);
            assert_true(number_of(&seen[i], "creditledger.seq") > before);
            before = number_of(&seen[i], "creditledger.seq");
            assert_int_equal(number_of(&seen[i], "creditledger.batch"), 2);
        }
}

static void test_reads_and_what_is_none(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/accounts/%s/balance", to);
    assert_int_equal(call(f, "GET", path, NULL, NULL), 200);
    look();
    assert_int_equal(n_seen, 1);
    assert_string_equal(seen[0].name, "GET /accounts/{account}/balance");
    static const char *const quiet[] = {"/healthz", "/readyz", "/metrics", "/nowhere"};
    for (size_t i = 0; i < COUNT_OF(quiet); i++) {
        call(f, "GET", quiet[i], CLIENT "1", NULL);
        look();
        CHECK_INT(quiet[i], n_seen, 0);
    }
}

static void test_a_failure_shows(void **state)
{
    (void)state;
    engine_stop(f->engine);
    assert_int_equal(call(f, "POST", "/transfers", NULL, body("")), 503);
    look();
    assert_int_equal(n_seen, 1);
    assert_true(seen[0].failed);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_transfer),
        T(test_the_client_has_a_trace),
        cmocka_unit_test_setup_teardown(test_without_spans, setup_without, teardown),
        T(test_not_sampled),
        T(test_replays_and_declines),
        T(test_the_outside_opens),
        T(test_bulk),
        T(test_reads_and_what_is_none),
        T(test_a_failure_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
