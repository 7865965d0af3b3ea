/*
 * The thread that sends, against a collector of ours: a listener that does with each request what the script says.
 */
#include "base/testing.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "telemetry/log.h"
#include "telemetry/spans_internal.h"

#define HANG 1 /* takes the request and says nothing */

struct collector {
    int fd, port;
    pthread_t thread;
    _Atomic bool stop;
    const int *script; /* a status for each request; the last for all that follow */
    _Atomic int requests;
    _Atomic long spans;      /* in requests that were taken */
    char first[2048];        /* the head of the first request */
    _Atomic bool have_first; /* ... once it is there */
};

static long count_spans(const char *body)
{
    long n = 0;
    while ((body = strstr(body, "\"spanId\"")) != NULL)
        n++, body++;
    return n;
}

/* One request on the connection; false at its end. */
static bool serve_one(struct collector *c, int fd, struct strbuf *in)
{
    size_t body = 0, length = 0;
    strbuf_clear(in);
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0) {
            if (c->stop)
                return false;
            continue;
        }
        char piece[65536];
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n <= 0)
            return false;
        strbuf_add(in, piece, (size_t)n);
        strbuf_char(in, '\0');
        in->len--;
        char *end = strstr(in->data, "\r\n\r\n"), *at = strstr(in->data, "Content-Length: ");
        if (end == NULL || at == NULL)
            continue;
        body = (size_t)(end - in->data) + 4;
        length = strtoul(at + 16, NULL, 10);
        if (in->len >= body + length)
            break;
    }
    int n = c->requests++;
    if (n == 0) {
        snprintf(c->first, sizeof c->first, "%.*s", (int)body, in->data);
        c->have_first = true;
    }
    int i = 0;
    while (i < n && c->script[i + 1] != 0)
        i++;
    int status = c->script[i];
    if (status == HANG) {
        char byte;
        while (!c->stop && recv(fd, &byte, 1, MSG_DONTWAIT) != 0) /* until the client hangs up */
            usleep(1000);
        return false;
    }
    if (status == 200)
        c->spans += count_spans(in->data + body);
    char answer[128];
    int len = snprintf(answer, sizeof answer, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}", status);
    return send(fd, answer, (size_t)len, MSG_NOSIGNAL) == len;
}

static void *collector_main(void *arg)
{
    struct collector *c = arg;
    struct strbuf in;
    strbuf_init(&in);
    while (!c->stop) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        int fd = accept(c->fd, NULL, NULL);
        while (fd >= 0 && serve_one(c, fd, &in))
            ;
        close(fd);
    }
    strbuf_fini(&in);
    return NULL;
}

static void collector_start(struct collector *c, const int *script)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    memset(c, 0, sizeof *c);
    c->script = script;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(c->fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(c->fd, 8), 0);
    assert_int_equal(getsockname(c->fd, (struct sockaddr *)&a, &len), 0);
    c->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&c->thread, NULL, collector_main, c), 0);
}

static void collector_stop(struct collector *c)
{
    c->stop = true;
    pthread_join(c->thread, NULL);
    close(c->fd);
}

static struct metrics *metrics;

static struct spans *start(int port)
{
    char url[64];
    struct spans *s;
    struct err err = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url, 1);
    setenv("no_proxy", "*", 1);
    if (spans_start("api", metrics, &s, &err) != 0)
        fail_msg("%s", err.message);
    assert_non_null(s);
    return s;
}

static void record(struct spans *s, int n)
{
    struct span span = {
        .trace_id = {1}, .span_id = {2}, .name = "x", .kind = SPAN_SERVER, .began_us = 1, .ended_us = 2};
    for (int i = 0; i < n; i++)
        spans_record(s, &span);
}

static long counted(const char *name)
{
    struct strbuf b;
    char wanted[80];
    snprintf(wanted, sizeof wanted, "\n%s ", name);
    strbuf_init(&b);
    metrics_render(metrics, &b);
    strbuf_char(&b, '\0');
    const char *at = strstr(b.data, wanted);
    long n = at != NULL ? strtol(at + strlen(wanted), NULL, 10) : -1;
    strbuf_fini(&b);
    return n;
}

static long sent(void)
{
    return counted("creditledger_spans_sent_total");
}

static long dropped(void)
{
    return counted("creditledger_spans_dropped_total");
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits until the two counters together are n. */
static void settled(long n)
{
    for (int64_t until = now_ms() + 20000; sent() + dropped() < n && now_ms() < until;)
        usleep(2000);
    assert_int_equal(sent() + dropped(), n);
}

static int setup(void **state)
{
    (void)state;
    metrics = metrics_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unsetenv("OTEL_EXPORTER_OTLP_HEADERS");
    unsetenv("OTEL_EXPORTER_OTLP_TIMEOUT");
    metrics_free(metrics);
    return 0;
}

static void test_a_few_are_sent_by_themselves(void **state)
{
    (void)state;
    struct collector c;
    collector_start(&c, (const int[]){200, 0});
    setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b,x-empty=", 1);
    struct spans *s = start(c.port);
    assert_int_equal(sent(), 0);
    record(s, 3);
    settled(3);
    assert_int_equal(sent(), 3);
    assert_int_equal(c.spans, 3);
    assert_true(c.have_first);
    assert_int_equal(strncmp(c.first, "POST /v1/traces HTTP/1.1\r\n", 26), 0);
    assert_non_null(strstr(c.first, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(c.first, "\r\nx-key: a b\r\n"));
    assert_non_null(strstr(c.first, "\r\nx-empty:\r\n"));
    assert_null(strstr(c.first, "Expect:"));
    spans_stop(s, 1000);
    collector_stop(&c);
}

static void test_many_go_in_batches(void **state)
{
    (void)state;
    struct collector c;
    collector_start(&c, (const int[]){200, 0});
    struct spans *s = start(c.port);
    record(s, 3 * SPANS_BATCH + 7);
    settled(3 * SPANS_BATCH + 7);
    assert_int_equal(c.spans, 3 * SPANS_BATCH + 7);
    assert_in_range(c.requests, 4, 6);
    spans_stop(s, 1000);
    collector_stop(&c);
}

static void test_what_passes_is_tried_again(void **state)
{
    (void)state;
    static const int passing[] = {429, 502, 503, 504};
    for (size_t i = 0; i < 4; i++) {
        struct collector c;
        collector_start(&c, (const int[]){passing[i], 200, 0});
        struct spans *s = start(c.port);
        long before = sent();
        record(s, 2);
        settled(before + 2);
        assert_int_equal(sent(), before + 2);
        assert_int_equal(c.requests, 2);
        spans_stop(s, 1000);
        collector_stop(&c);
    }
}

static void test_what_is_final_is_not(void **state)
{
    (void)state;
    struct collector c;
    collector_start(&c, (const int[]){400, 200, 0});
    struct spans *s = start(c.port);
    record(s, 2);
    settled(2);
    assert_int_equal(dropped(), 2);
    assert_int_equal(c.requests, 1);
    record(s, 1);
    settled(3);
    assert_int_equal(sent(), 1);
    spans_stop(s, 1000);
    collector_stop(&c);
}

/* Recording takes no longer, and the end no longer than it may. */
static void expect_nobody_waits(int port)
{
    struct spans *s = start(port);
    int64_t began = now_ms();
    record(s, 3 * SPANS_RING);
    int64_t recorded = now_ms();
    assert_true(recorded - began < 2000);
    assert_true(dropped() >= SPANS_RING); /* there was no room */
    spans_stop(s, 300);
    assert_in_range(now_ms() - recorded, 0, 3000);
    assert_int_equal(sent() + dropped(), 3 * SPANS_RING);
    assert_int_equal(sent(), 0);
}

static void test_a_collector_that_hangs(void **state)
{
    (void)state;
    struct collector c;
    collector_start(&c, (const int[]){HANG, 0});
    expect_nobody_waits(c.port);
    collector_stop(&c);
}

static void test_a_collector_that_is_away(void **state)
{
    (void)state;
    struct collector c;
    collector_start(&c, (const int[]){200, 0});
    collector_stop(&c); /* its port is nobody's now */
    expect_nobody_waits(c.port);
}

static void test_a_collector_that_is_overloaded(void **state)
{
    (void)state;
    struct collector c;
    collector_start(&c, (const int[]){503, 0});
    expect_nobody_waits(c.port);
    collector_stop(&c);
}

static void test_a_hanging_try_has_its_timeout(void **state)
{
    (void)state;
    struct collector c;
    collector_start(&c, (const int[]){HANG, 200, 0});
    setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100", 1);
    struct spans *s = start(c.port);
    record(s, 1);
    settled(1);
    assert_int_equal(sent(), 1);
    assert_int_equal(c.requests, 2);
    spans_stop(s, 100);
    collector_stop(&c);
}

static void test_the_end_sends_what_waits(void **state)
{
    (void)state;
    struct collector c;
    collector_start(&c, (const int[]){200, 0});
    struct spans *s = start(c.port);
    record(s, 1000);
    spans_stop(s, 10000);
    assert_int_equal(sent(), 1000);
    assert_int_equal(c.spans, 1000);
    collector_stop(&c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_few_are_sent_by_themselves),
        T(test_many_go_in_batches),
        T(test_what_passes_is_tried_again),
        T(test_what_is_final_is_not),
        T(test_a_collector_that_hangs),
        T(test_a_collector_that_is_away),
        T(test_a_collector_that_is_overloaded),
        T(test_a_hanging_try_has_its_timeout),
        T(test_the_end_sends_what_waits),
    };
    log_setup(LOG_ERROR + 1, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
