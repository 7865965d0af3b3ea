/*
 * The load generator against a server that lies: what the bench must notice, it notices.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "app/bench.h"
#include "http/http.h"

#define KEYS_MAX 4096

/* Answers as the API would, except for what the test asks of it. Its state belongs to the loop's thread while
 * it runs. */
struct liar {
    struct http_server *server;
    pthread_t thread;
    char url[64];
    uint64_t opened, posted, lookups;
    char keys[KEYS_MAX][BENCH_KEY_LEN + 1]; /* of the transfers, by counter */
    size_t n_keys;
    uint64_t forget_every, wrong_key_every, refuse_every; /* 0: never */
    int stall_ms;                                         /* of the first transfer */
    struct http_exchange *stalled;
    int64_t stalled_until_us;
};

static void id_text(uint64_t counter, char *ret_text)
{
    uuid_format(uuid_make(INT64_C(1700000000000000), counter, 7), ret_text);
}

static void answer(struct http_exchange *x, int status, const char *body)
{
    struct api_response r;
    api_response_init(&r);
    r.status = status;
    r.content_type = "application/json";
    strbuf_c(&r.body, body);
    http_reply(x, &r);
    api_response_fini(&r);
}

static void answer_account(struct liar *l, struct http_exchange *x)
{
    char id[UUID_TEXT_LEN + 1], body[128];
    id_text(++l->opened, id);
    snprintf(body, sizeof body, "{\"accountId\":\"%s\"}", id);
    answer(x, 201, body);
}

/* Remembers the key; the answer to one transfer. */
static void post_one(struct liar *l, struct str request, struct strbuf *out)
{
    char id[UUID_TEXT_LEN + 1];
    struct str name = STR("\"idempotencyKey\":\"");
    const char *key = memmem(request.data, request.len, name.data, name.len);
    assert_non_null(key);
    assert_true(l->n_keys < KEYS_MAX);
    memcpy(l->keys[l->n_keys++], key + name.len, BENCH_KEY_LEN);
    id_text(l->n_keys, id);
    strbuf_printf(out, "\"transferId\":\"%s\"}", id);
}

static void answer_transfer(struct liar *l, struct http_exchange *x, const struct api_request *request)
{
    struct strbuf body;
    strbuf_init(&body);
    strbuf_c(&body, "{");
    l->posted++;
    if (l->refuse_every > 0 && l->posted % l->refuse_every == 0) {
        answer(x, 422, "{}");
    } else {
        post_one(l, request->body, &body);
        strbuf_char(&body, '\0');
        answer(x, 201, body.data);
    }
    strbuf_fini(&body);
}

static void answer_bulk(struct liar *l, struct http_exchange *x, const struct api_request *request)
{
    struct strbuf body;
    struct str rest = request->body, element;
    strbuf_init(&body);
    strbuf_c(&body, "{\"results\":[");
    bool ignored = str_split(&rest, '[', &element);
    (void)ignored;
    for (struct str left = rest; left.data != NULL;) {
        const char *end = memmem(left.data, left.len, "}}", 2);
        if (end == NULL)
            break;
        element = (struct str){left.data, (size_t)(end - left.data) + 2};
        left = (struct str){end + 2, left.len - element.len};
        l->posted++;
        if (l->refuse_every > 0 && l->posted % l->refuse_every == 0) {
            strbuf_c(&body, "{\"status\":422,\"error\":{\"type\":\"x\",\"status\":422}},");
            continue;
        }
        strbuf_c(&body, "{\"status\":201,\"transfer\":{\"status\":\"posted\",");
        post_one(l, element, &body);
        strbuf_c(&body, "},");
    }
    body.len--;
    strbuf_c(&body, "]}");
    strbuf_char(&body, '\0');
    answer(x, 200, body.data);
    strbuf_fini(&body);
}

static void answer_lookup(struct liar *l, struct http_exchange *x, const struct api_request *request)
{
    struct uuid id;
    char body[256];
    l->lookups++;
    assert_true(uuid_parse((struct str){request->path.data + strlen("/transfers/"), UUID_TEXT_LEN}, &id));
    const char *key = l->keys[uuid_counter(id) - 1];
    if (l->forget_every > 0 && l->lookups % l->forget_every == 0) {
        answer(x, 404, "{}");
        return;
    }
    bool wrong = l->wrong_key_every > 0 && l->lookups % l->wrong_key_every == 0;
    snprintf(body, sizeof body, "{\"status\":\"posted\",\"idempotencyKey\":\"%s\"}", wrong ? "another" : key);
    answer(x, 200, body);
}

static void handler(void *ctx, struct http_exchange *x, const struct api_request *request)
{
    struct liar *l = ctx;
    if (str_eq_c(request->path, "/accounts")) {
        answer_account(l, x);
    } else if (request->method == API_GET) {
        answer_lookup(l, x, request);
    } else if (str_eq_c(request->path, "/transfers/batch")) {
        answer_bulk(l, x, request);
    } else if (l->stall_ms > 0) {
        l->stalled = x;
        l->stalled_until_us = bench_now_us() + l->stall_ms * 1000;
        l->stall_ms = 0;
        http_wake(l->server);
    } else {
        answer_transfer(l, x, request);
    }
}

static void woken(void *ctx)
{
    struct liar *l = ctx;
    if (l->stalled == NULL)
        return;
    while (bench_now_us() < l->stalled_until_us)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    answer(l->stalled, 201, "{\"transferId\":\"00000000-0000-7000-8000-000000000000\"}");
    l->stalled = NULL;
}

static size_t body_limit(void *ctx, enum api_method method, struct str path)
{
    (void)ctx;
    (void)method;
    (void)path;
    return 1 << 24;
}

static void *run(void *arg)
{
    struct liar *l = arg;
    struct err err;
    INVARIANT(http_run(l->server, &err) == 0);
    return NULL;
}

static void start(struct liar *l)
{
    struct http_config config = {
        .listen = "127.0.0.1:0", .body_limit = body_limit, .handler = handler, .woken = woken, .ctx = l};
    struct err err;
    assert_int_equal(http_new(&config, &l->server, &err), 0);
    snprintf(l->url, sizeof l->url, "http://127.0.0.1:%d", http_port(l->server));
    assert_int_equal(pthread_create(&l->thread, NULL, run, l), 0);
}

static struct bench_plan plan_for(const struct liar *l)
{
    return (struct bench_plan){
        .url = l->url,
        .quiet = true,
        .connections = 4,
        .accounts = 50,
        .lookups = 100000,
        .requests = 1000,
        .run = "0123456789ab",
        .opened_by = "0123456789ab",
    };
}

/* Runs the bench and stops the server. */
static struct bench_results *measure(struct liar *l, const struct bench_plan *plan)
{
    struct bench_results *r = calloc(1, sizeof *r);
    struct err err = {0};
    r->accounts = calloc(plan->accounts, sizeof *r->accounts);
    int rc = bench_http(plan, r, &err);
    http_stop(l->server, 0);
    pthread_join(l->thread, NULL);
    http_free(l->server);
    if (rc != 0)
        fail_msg("%s", err.message);
    return r;
}

static void drop(struct liar *l, struct bench_results *r)
{
    free(r->accounts);
    free(r->acked);
    free(r);
    free(l);
}

static void counts_what_is_acknowledged(void **state)
{
    (void)state;
    struct liar *l = calloc(1, sizeof *l);
    l->refuse_every = 10;
    start(l);
    struct bench_plan plan = plan_for(l);
    struct bench_results *r = measure(l, &plan);
    assert_int_equal(l->opened, 50);
    assert_int_equal(l->posted, 1000);
    assert_int_equal(r->n_acked, 900);
    assert_int_equal(r->answers[201], 900);
    assert_int_equal(r->answers[422], 100);
    assert_int_equal(r->latency.n, 1000);
    assert_int_equal(r->looked_up, 900);
    assert_int_equal(r->missing, 0);
    drop(l, r);
}

static void counts_elements_of_bulk(void **state)
{
    (void)state;
    struct liar *l = calloc(1, sizeof *l);
    l->refuse_every = 10;
    start(l);
    struct bench_plan plan = plan_for(l);
    plan.bulk = 50;
    plan.requests = 20;
    struct bench_results *r = measure(l, &plan);
    assert_int_equal(l->posted, 1000);
    assert_int_equal(r->n_acked, 900);
    assert_int_equal(r->answers[422], 100);
    assert_int_equal(r->answers[0], 0);
    assert_int_equal(r->latency.n, 20);
    assert_int_equal(r->missing, 0);
    drop(l, r);
}

static void notices_what_is_gone_or_another(void **state)
{
    (void)state;
    struct liar *l = calloc(1, sizeof *l);
    l->forget_every = 100;
    l->wrong_key_every = 250;
    start(l);
    struct bench_plan plan = plan_for(l);
    struct bench_results *r = measure(l, &plan);
    assert_int_equal(r->looked_up, 1000);
    assert_int_equal(r->missing, 10 + 2); /* 250 and 750; 500 and 1000 are gone already */
    drop(l, r);
}

static void looks_up_a_sample(void **state)
{
    (void)state;
    struct liar *l = calloc(1, sizeof *l);
    start(l);
    struct bench_plan plan = plan_for(l);
    plan.lookups = 64;
    struct bench_results *r = measure(l, &plan);
    assert_int_equal(r->n_acked, 1000);
    assert_int_equal(r->looked_up, 64);
    assert_int_equal(l->lookups, 64);
    drop(l, r);
}

/* One connection, a request due every 10 ms, the first answered after 200 ms: those that had to wait say so.
 */
static void open_loop_counts_from_when_it_was_due(void **state)
{
    (void)state;
    struct liar *l = calloc(1, sizeof *l);
    l->stall_ms = 200;
    start(l);
    struct bench_plan plan = plan_for(l);
    plan.connections = 1;
    plan.requests = 20;
    plan.rate = 100;
    plan.lookups = 0;
    struct bench_results *r = measure(l, &plan);
    assert_int_equal(r->latency.n, 20);
    /* Waits of 200, 190, ... 10 ms; a closed loop would show one of 200 and 19 of next to nothing. */
    assert_true(histogram_quantile(&r->latency, 0.45) > 80000);
    drop(l, r);
}

static void parses_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *port, *base;
    } cases[] = {
        {"http://127.0.0.1:4000", "127.0.0.1", "4000", ""},
        {"http://localhost", "localhost", "80", ""},
        {"http://[::1]:4000/", "::1", "4000", ""},
        {"http://[::1]", "::1", "80", ""},
        {"http://h:1/ledgers/shop//", "h", "1", "/ledgers/shop"},
        {"https://h:1", NULL, NULL, NULL},
        {"h:1", NULL, NULL, NULL},
        {"http://", NULL, NULL, NULL},
        {"http://:80", NULL, NULL, NULL},
        {"http://h:123456789", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench_target t;
        struct err err;
        int rc = bench_target_parse(cases[i].url, "secret", &t, &err);
        if ((rc == 0) != (cases[i].host != NULL))
            fail_msg("%s: %d", cases[i].url, rc);
        if (rc != 0)
            continue;
        assert_string_equal(t.host, cases[i].host);
        assert_string_equal(t.port, cases[i].port);
        assert_string_equal(t.base, cases[i].base);
        assert_string_equal(t.authorization, "Authorization: Bearer secret\r\n");
    }
}

static void picks_pairs(void **state)
{
    (void)state;
    for (int hot = 0; hot <= 1; hot++) {
        struct bench_plan plan = {.accounts = 3, .hot = hot != 0};
        uint64_t random = 1, seen[3][3] = {{0}};
        for (uint64_t n = 0; n < 3000; n++) {
            size_t from, to;
            bench_pick(&plan, &random, n, &from, &to);
            assert_true(from < 3 && to < 3 && from != to);
            assert_true(hot == 0 || from == 0 || to == 0);
            seen[from][to]++;
        }
        assert_true(seen[0][1] > 300 && seen[1][0] > 300 && seen[0][2] > 300 && seen[2][0] > 300);
        assert_true((seen[1][2] > 300) == (hot == 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_acknowledged),
        cmocka_unit_test(counts_elements_of_bulk),
        cmocka_unit_test(notices_what_is_gone_or_another),
        cmocka_unit_test(looks_up_a_sample),
        cmocka_unit_test(open_loop_counts_from_when_it_was_due),
        cmocka_unit_test(parses_urls),
        cmocka_unit_test(picks_pairs),
    };
    return cmocka_run_group_tests_name("app/bench_http", tests, NULL, NULL);
}
