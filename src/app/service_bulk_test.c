#include <pthread.h>

#include "app/service_fixture.h"

#define USD "{\"currency\":\"USD\"}"
#define NDJSON "Content-Type: application/x-ndjson"

static struct fixture *f;
static char a[37], w[37];

static int set_up(void **state)
{
    (void)state;
    f = fixture_new(&(struct fixture_options){.readers = 0});
    open_account(f, USD, a);
    open_account(f, "{\"currency\":\"USD\",\"type\":\"wallet\"}", w);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_free(f);
    return 0;
}

/* One element; `extra` are further members, with a comma before them. */
static void element(struct strbuf *b, const char *from, const char *to, int amount, const char *extra)
{
    strbuf_printf(
        b, "{\"from\":\"%s\",\"to\":\"%s\",\"amount\":%d,\"currency\":\"USD\"%s}", from, to, amount, extra);
}

static int send(const char *query, const char *headers, struct strbuf *b)
{
    char target[100];
    snprintf(target, sizeof target, "/transfers/batch%s", query);
    strbuf_char(b, '\0');
    b->len--;
    return call(f, "POST", target, headers, b->data);
}

static void test_array(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    strbuf_char(&b, '[');
    element(&b, a, w, 10, ",\"idempotencyKey\":\"one\"");
    strbuf_char(&b, ',');
    element(&b, w, a, 50, "");
    strbuf_char(&b, ',');
    element(&b, w, a, 0, "");
    strbuf_char(&b, ',');
    element(&b, w, a, 4, "");
    strbuf_c(&b, ",7,{\"postings\":[{\"debit\":\"@world\",\"credit\":\"");
    strbuf_c(&b, w);
    strbuf_c(&b, "\",\"amount\":1,\"currency\":\"USD\"}]},");
    element(&b, a, w, 10, ",\"idempotencyKey\":\"one\"");
    strbuf_char(&b, ']');
    assert_int_equal(send("", NULL, &b), 200);
    assert_int_equal(json_array_size(value_at(f, "results")), 7);
    assert_int_equal(number_at(f, "results.0.status"), 201);
    assert_true(json_is_false(value_at(f, "results.0.replayed")));
    assert_int_equal(number_at(f, "results.0.transfer.amount"), 10);
    assert_int_equal(number_at(f, "results.1.status"), 422);
    assert_string_equal(text_at(f, "results.1.error.code"), "insufficient_funds");
    assert_int_equal(number_at(f, "results.1.error.available"), 10);
    assert_string_equal(text_at(f, "results.2.error.code"), "amount_zero");
    assert_int_equal(number_at(f, "results.3.transfer.entries.0.balance"), 6);
    assert_string_equal(text_at(f, "results.4.error.code"), "invalid_field");
    assert_int_equal(number_at(f, "results.5.transfer.amount"), 1);
    assert_true(json_is_true(value_at(f, "results.6.replayed")));
    assert_string_equal(
        text_at(f, "results.6.transfer.transferId"), text_at(f, "results.0.transfer.transferId"));
    assert_int_equal(balance_of(f, w), 7);
    strbuf_fini(&b);
}

static void test_atomic(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    strbuf_char(&b, '[');
    element(&b, a, w, 10, "");
    strbuf_char(&b, ',');
    element(&b, w, a, 50, ",\"idempotencyKey\":\"atom\"");
    strbuf_char(&b, ',');
    element(&b, a, w, 1, "");
    strbuf_char(&b, ']');
    assert_int_equal(send("?atomic=true", NULL, &b), 422);
    assert_string_equal(text_at(f, "results.0.error.code"), "not_applied");
    assert_string_equal(text_at(f, "results.1.error.code"), "insufficient_funds");
    assert_string_equal(text_at(f, "results.2.error.code"), "not_applied");
    assert_int_equal(balance_of(f, w), 0);
    strbuf_clear(&b);
    strbuf_char(&b, '[');
    element(&b, a, w, 10, "");
    strbuf_char(&b, ',');
    element(&b, a, w, 0, "");
    strbuf_char(&b, ']');
    assert_int_equal(send("?atomic=true", NULL, &b), 400);
    assert_string_equal(text_at(f, "results.0.error.code"), "not_applied");
    assert_string_equal(text_at(f, "results.1.error.code"), "amount_zero");
    assert_int_equal(balance_of(f, w), 0);
    strbuf_clear(&b);
    strbuf_char(&b, '[');
    element(&b, a, w, 10, "");
    strbuf_char(&b, ',');
    element(&b, w, a, 4, "");
    strbuf_char(&b, ']');
    assert_int_equal(send("?atomic=true&dryRun=true", NULL, &b), 200);
    assert_int_equal(number_at(f, "results.1.transfer.entries.0.balance"), 6);
    assert_int_equal(balance_of(f, w), 0);
    assert_int_equal(send("?atomic=true", NULL, &b), 200);
    assert_int_equal(number_at(f, "results.1.status"), 201);
    assert_int_equal(balance_of(f, w), 6);
    strbuf_fini(&b);
}

static void test_refusals(void **state)
{
    (void)state;
    refused(f, 400, "invalid_field", "POST", "/transfers/batch", "[]");
    refused(f, 400, "invalid_field", "POST", "/transfers/batch", "{}");
    refused(f, 400, "malformed_json", "POST", "/transfers/batch", "[");
    refused(f, 400, "duplicate_json_key", "POST", "/transfers/batch", "[{\"a\":1,\"a\":1}]");
    assert_int_equal(call(f, "POST", "/transfers/batch", "Idempotency-Key: k", "[]"), 400);
    assert_string_equal(text_at(f, "field"), "Idempotency-Key");
    assert_int_equal(call(f, "POST", "/transfers/batch", NDJSON, "\n \n"), 400);
    assert_string_equal(text_at(f, "code"), "malformed_json");
    struct strbuf b;
    strbuf_init(&b);
    strbuf_char(&b, '[');
    for (size_t i = 0; i <= LIMIT_BATCH_ELEMENTS_MAX; i++)
        strbuf_c(&b, i > 0 ? ",1" : "1");
    strbuf_char(&b, ']');
    assert_int_equal(send("", NULL, &b), 400);
    assert_string_equal(text_at(f, "code"), "too_many_elements");
    strbuf_fini(&b);
}

static json_t *line_of(struct str *rest)
{
    struct str line;
    assert_true(str_split(rest, '\n', &line));
    json_t *value = json_loadb(line.data, line.len, 0, NULL);
    assert_non_null(value);
    return value;
}

static int64_t integer(const json_t *line, const char *name)
{
    return json_integer_value(json_object_get(line, name));
}

#define LINES 1203

static void many_lines(struct strbuf *b)
{
    for (int i = 0; i < LINES; i++) {
        if (i == 700)
            strbuf_c(b, "{broken\r\n\n");
        else
            element(b, a, w, i == 800 ? -1 : 1, "");
        strbuf_char(b, '\n');
    }
}

static void check_lines(void)
{
    struct str rest = body_of(f);
    for (int i = 0; i < LINES; i++) {
        json_t *line = line_of(&rest);
        /* The broken line has two blank ones behind it, which have no result. */
        assert_int_equal(integer(line, "line"), i + 1 + (i > 700 ? 2 : 0));
        assert_int_equal(integer(line, "status"), i == 700 || i == 800 ? 400 : 201);
        json_decref(line);
    }
    assert_int_equal(rest.len, 0);
}

static void test_ndjson(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    many_lines(&b);
    assert_int_equal(send("", NDJSON, &b), 200);
    assert_string_equal(f->response.content_type, "application/x-ndjson");
    check_lines();
    assert_int_equal(balance_of(f, w), LINES - 2);
    strbuf_fini(&b);
}

static void test_ndjson_atomic(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    many_lines(&b);
    assert_int_equal(send("?atomic=true", NDJSON, &b), 400);
    assert_int_equal(balance_of(f, w), 0);
    strbuf_clear(&b);
    element(&b, a, w, 1, "");
    strbuf_char(&b, '\n');
    element(&b, a, w, 2, "");
    assert_int_equal(send("?atomic=true", NDJSON, &b), 200);
    assert_int_equal(balance_of(f, w), 3);
    strbuf_fini(&b);
}

/* --- piece by piece
 * ------------------------------------------------------------------------------------------ */

static int n_ready;

static void count_ready(struct service_call *c)
{
    (void)c;
    n_ready++;
}

/* The client goes after the first piece: that is posted, the rest is not, and the call ends. */
static void test_cancelled_stream(void **state)
{
    (void)state;
    struct strbuf b;
    struct api_header header = {STR("Content-Type"), STR("application/x-ndjson")};
    strbuf_init(&b);
    many_lines(&b);
    struct api_request request = {.method = API_POST,
        .path = STR("/transfers/batch"),
        .headers = &header,
        .n_headers = 1,
        .body = strbuf_view(&b)};
    struct service_call c = {.request = &request, .ready = count_ready};
    n_ready = 0;
    service_begin(f->service, &c);
    assert_int_equal(n_ready, 0);
    assert_true(engine_step(f->engine));
    assert_int_equal(n_ready, 1);
    assert_false(service_finish(f->service, &c));
    assert_int_equal(c.response.status, 200);
    assert_true(c.response.body.len > 0);
    strbuf_clear(&c.response.body);
    service_cancel(f->service, &c);
    assert_int_equal(n_ready, 2);
    assert_true(service_finish(f->service, &c));
    api_response_fini(&c.response);
    assert_false(engine_step(f->engine));
    assert_int_equal(balance_of(f, w), 500);
    strbuf_fini(&b);
}

/* The engine's queue takes one command: the second is told to come again. */
static void test_full_queue(void **state)
{
    (void)state;
    struct fixture *small = fixture_new(&(struct fixture_options){.queue_commands = 1});
    struct api_header header = {STR("Content-Type"), STR("application/json")};
    struct api_request request = {
        .method = API_POST, .path = STR("/accounts"), .headers = &header, .n_headers = 1, .body = STR(USD)};
    struct service_call first = {.request = &request, .ready = count_ready}, second = first;
    n_ready = 0;
    service_begin(small->service, &first);
    service_begin(small->service, &second);
    assert_int_equal(n_ready, 1);
    assert_true(service_finish(small->service, &second));
    assert_int_equal(second.response.status, 503);
    assert_string_equal(second.response.headers[0].name, "Retry-After");
    assert_true(engine_step(small->engine));
    assert_true(service_finish(small->service, &first));
    assert_int_equal(first.response.status, 201);
    api_response_fini(&first.response);
    api_response_fini(&second.response);
    fixture_free(small);
}

/* --- with threads
 * -------------------------------------------------------------------------------------------- */

static void test_with_readers(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    fixture_free(f);
    f = fixture_new(&(struct fixture_options){.readers = 2, .started = true});
    open_account(f, USD, a);
    open_account(f, USD, w);
    many_lines(&b);
    assert_int_equal(send("", NDJSON, &b), 200);
    check_lines();
    assert_int_equal(balance_of(f, w), LINES - 2);
    strbuf_fini(&b);
}

#define RENAMES 40

static _Atomic int answered;

static void count_answered(struct service_call *c)
{
    (void)c;
    answered++;
}

/*
 * Many revisions of one account at once, half of the name, half of the metadata: each answer must show its
 * own change, and at the end both kinds of change must have survived each other.
 */
static void revisions_at_once(struct service *odd)
{
    static char bodies[RENAMES][100];
    static struct api_request requests[RENAMES];
    static struct service_call calls[RENAMES];
    struct api_header header = {STR("Content-Type"), STR("application/json")};
    char path[60];
    open_account(f, "{\"currency\":\"USD\",\"name\":\"n\",\"metadata\":{\"m\":0}}", a);
    snprintf(path, sizeof path, "/accounts/%s", a);
    answered = 0;
    for (int i = 0; i < RENAMES; i++) {
        snprintf(bodies[i], sizeof bodies[i], i % 2 ? "{\"name\":\"%d\"}" : "{\"metadata\":{\"m\":%d}}", i);
        requests[i] = (struct api_request){.method = API_PATCH,
            .path = str_of(path),
            .headers = &header,
            .n_headers = 1,
            .body = str_of(bodies[i])};
        calls[i] = (struct service_call){.request = &requests[i], .ready = count_answered};
        service_begin(i % 2 ? odd : f->service, &calls[i]);
    }
    while (answered < RENAMES)
        usleep(1000);
    int names[RENAMES + 2] = {0}, metadata[RENAMES + 2] = {0};
    for (int i = 0; i < RENAMES; i++) {
        assert_true(service_finish(i % 2 ? odd : f->service, &calls[i]));
        assert_int_equal(calls[i].response.status, 200);
        json_t *json = json_loadb(calls[i].response.body.data, calls[i].response.body.len, 0, NULL);
        int64_t revision = integer(json, "revision");
        assert_in_range(revision, 2, RENAMES + 1);
        names[revision] = atoi(json_string_value(json_object_get(json, "name")));
        metadata[revision] = (int)integer(json_object_get(json, "metadata"), "m");
        assert_int_equal(i % 2 ? names[revision] : metadata[revision], i);
        json_decref(json);
        api_response_fini(&calls[i].response);
    }
    /* Each changed one of the two, and kept the other as it was before. */
    for (int i = 2; i <= RENAMES + 1; i++)
        assert_true(names[i] == names[i - 1] || metadata[i] == metadata[i - 1]);
    expect(f, 200, "GET", path, NULL);
    assert_int_equal(number_at(f, "revision"), RENAMES + 1);
    assert_int_equal(atoi(text_at(f, "name")), names[RENAMES + 1]);
    assert_int_equal(number_at(f, "metadata.m"), metadata[RENAMES + 1]);
}

static void test_revisions_at_once(void **state)
{
    (void)state;
    fixture_free(f);
    f = fixture_new(&(struct fixture_options){.readers = 2, .started = true});
    revisions_at_once(f->service);
}

/* The same from two services, which do not know each other's lanes, as two processes do not. */
static void test_revisions_at_once_from_two_services(void **state)
{
    (void)state;
    fixture_free(f);
    f = fixture_new(&(struct fixture_options){.readers = 2, .started = true});
    struct service *other = fixture_second_service(f, 2, NULL);
    revisions_at_once(other);
    service_stop(other);
    service_free(other);
}

/* Both merge with the same text before either is decided; the later one merges again. */
static void test_revisions_merged_with_the_same_text(void **state)
{
    (void)state;
    struct api_header header = {STR("Content-Type"), STR("application/json")};
    char path[60];
    struct service *other = fixture_second_service(f, 0, NULL);
    snprintf(path, sizeof path, "/accounts/%s", a);
    const struct api_request requests[] = {
        {.method = API_PATCH,
            .path = str_of(path),
            .headers = &header,
            .n_headers = 1,
            .body = STR("{\"name\":\"new\"}")},
        {.method = API_PATCH,
            .path = str_of(path),
            .headers = &header,
            .n_headers = 1,
            .body = STR("{\"metadata\":{\"m\":1}}")},
    };
    struct service_call calls[2] = {{.request = &requests[0], .ready = count_answered},
        {.request = &requests[1], .ready = count_answered}};
    answered = 0;
    service_begin(f->service, &calls[0]);
    service_begin(other, &calls[1]);
    while (answered < 2)
        assert_true(engine_step(f->engine));
    assert_true(service_finish(f->service, &calls[0]));
    assert_true(service_finish(other, &calls[1]));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(calls[i].response.status, 200);
        api_response_fini(&calls[i].response);
    }
    expect(f, 200, "GET", path, NULL);
    assert_non_null(text_at(f, "name"));
    assert_string_equal(text_at(f, "name"), "new");
    assert_int_equal(number_at(f, "metadata.m"), 1);
    assert_int_equal(number_at(f, "revision"), 3); /* and no record of the attempt that was stale */
    service_stop(other);
    service_free(other);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_array),
        WITH_FIXTURE(test_atomic),
        WITH_FIXTURE(test_refusals),
        WITH_FIXTURE(test_ndjson),
        WITH_FIXTURE(test_ndjson_atomic),
        WITH_FIXTURE(test_cancelled_stream),
        WITH_FIXTURE(test_full_queue),
        WITH_FIXTURE(test_with_readers),
        WITH_FIXTURE(test_revisions_at_once),
        WITH_FIXTURE(test_revisions_at_once_from_two_services),
        WITH_FIXTURE(test_revisions_merged_with_the_same_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
