/*
 * Time and limits of the room: slow senders, idle connections, silent handlers, stalled readers, the most that bodies and
 * connections may be, and the ways to stop.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http/toy_checks.h"

static struct toy *start_with(const struct http_config *config)
{
    struct toy *toy = malloc(sizeof *toy);
    toy_start(toy, config);
    return toy;
}

static void stop_and_free(struct toy *toy)
{
    toy_stop(toy, 0);
    free(toy);
}

/* What is sent before, then one byte every few milliseconds, for ever. */
static void dribble(struct toy *toy, const char *before, char byte, const char *expected)
{
    struct client c;
    struct reply r;
    client_open(&c, toy);
    client_send(&c, str_of(before));
    for (int i = 0; i < 30; i++) {
        client_send(&c, (struct str){&byte, 1});
        pause_ms(4);
        char peek;
        if (recv(c.fd, &peek, 1, MSG_DONTWAIT | MSG_PEEK) >= 0)
            break;
    }
    if (!client_reply(&c, false, &r))
        fail_msg("no answer after '%s'", before);
    assert_int_equal(r.status, 408);
    assert_true(reply_has(&r, expected));
    reply_fini(&r);
    assert_true(client_closed(&c, WAIT_MS));
    client_close(&c);
}

static void cuts_slow_senders(void **state)
{
    (void)state;
    struct toy *toy = start_with(&(struct http_config){.request_timeout_ms = 50, .idle_timeout_ms = 60000});
    dribble(toy, "", 'G', "request_timeout");
    dribble(toy, "GET /", 'n', "request_timeout");
    dribble(toy, "GET /now HTTP/1.1\r\nX: ", 'x', "request_timeout");
    dribble(toy, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", 'b',
        "request_timeout");
    dribble(toy, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n", 'b',
        "request_timeout");
    struct client c;
    client_open(&c, toy); /* says nothing at all: no answer either */
    assert_true(client_closed(&c, WAIT_MS));
    client_close(&c);
    client_open(&c, toy); /* the second request is the slow one */
    client_send(&c, STR(GET("/now") "POST /echo HTTP/1.1\r\n"));
    expect_next(&c, 200, "GET /now ");
    struct reply r;
    assert_true(client_reply(&c, false, &r));
    assert_int_equal(r.status, 408);
    reply_fini(&r);
    client_close(&c);
    assert_int_equal(atomic_load(&toy->handled), 1);
    wait_connections(toy, 0);
    stop_and_free(toy);
}

/* Each is within the limit of one; together they are not. */
static void limits_the_bodies_of_all(void **state)
{
    (void)state;
    struct toy *toy = start_with(&(struct http_config){.bodies_max = 1000});
    struct client kept, other;
    struct reply r;
    char never[800], echo[800];
#define SIX_HUNDRED(path) "POST " path " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600\r\n\r\n%600s"
    snprintf(never, sizeof never, SIX_HUNDRED("/never"), "");
    snprintf(echo, sizeof echo, SIX_HUNDRED("/echo"), "");
    client_open(&kept, toy);
    client_send(&kept, str_of(never));
    wait_count(&toy->kept_now, 1);
    expect_reply(toy, echo, 503, "queue_full");
    expect_reply(toy, echo, 503, "Retry-After: 1");
    toy_release(toy);
    assert_true(client_reply(&kept, false, &r));
    reply_fini(&r);
    client_close(&kept);
    client_open(&other, toy);
    for (int i = 0; i < 5; i++) { /* what is answered counts no more */
        client_send(&other, str_of(echo));
        assert_true(client_reply(&other, false, &r));
        assert_int_equal(r.status, 200);
        reply_fini(&r);
    }
    client_close(&other);
    stop_and_free(toy);
}

static void cuts_idle_connections(void **state)
{
    (void)state;
    struct toy *toy = start_with(&(struct http_config){.idle_timeout_ms = 30});
    struct client c;
    client_open(&c, toy);
    client_send(&c, STR(GET("/later")));
    expect_next(&c, 200, "later");
    assert_true(client_closed(&c, WAIT_MS));
    client_close(&c);
    client_open(&c, toy); /* a dribbled second request line does not prolong it */
    client_send(&c, STR(GET("/later") "GET /n"));
    expect_next(&c, 200, "later");
    assert_true(client_closed(&c, WAIT_MS));
    client_close(&c);
    wait_connections(toy, 0);
    stop_and_free(toy);
}

static void answers_for_a_silent_handler(void **state)
{
    (void)state;
    struct toy *toy = start_with(&(struct http_config){.reply_timeout_ms = 30});
    struct client c;
    struct reply r;
    client_open(&c, toy);
    for (int i = 0; i < 3; i++) {
        client_send(&c, STR(GET("/never")));
        assert_true(client_reply(&c, false, &r));
        assert_int_equal(r.status, 503);
        assert_true(reply_has(&r, "storage_unavailable"));
        assert_true(reply_has(&r, "Retry-After"));
        reply_fini(&r);
        client_send(&c, STR(GET("/now")));
        expect_next(&c, 200, "GET /now ");
    }
    toy_release(toy); /* three late answers, which nobody may see */
    client_send(&c, STR(GET("/later")));
    expect_next(&c, 200, "later");
    client_send(&c, STR(GET("/stall"))); /* a stream that goes silent is broken off, not ended as if whole */
    assert_false(client_reply(&c, false, &r));
    assert_int_equal(r.status, 200);
    assert_memory_equal(r.body.data, "begun\n", 6);
    reply_fini(&r);
    client_close(&c);
    wait_connections(toy, 0);
    stop_and_free(toy);
}

/* Buffers of both kernels and the stream's fill up; then nothing moves any more. */
static void cuts_readers_that_stall(void **state)
{
    (void)state;
    struct toy *toy = start_with(&(struct http_config){.idle_timeout_ms = 30});
    struct client c;
    client_open(&c, toy);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    client_send(&c, STR(GET("/stream?100000000")));
    wait_count(&toy->streams_lost, 1);
    assert_true(atomic_load(&toy->most_buffered) < TOY_STREAM_AHEAD + 32);
    wait_connections(toy, 0);
    client_close(&c);
    stop_and_free(toy);
}

static void checks_host_on_loopback_only(void **state)
{
    (void)state;
    struct toy *toy = start_with(&(struct http_config){.listen = "0.0.0.0:0"});
    expect_reply(toy, "GET /now HTTP/1.1\r\nHost: ledger.example\r\n\r\n", 200, "GET /now");
    stop_and_free(toy);
}

static void speaks_ipv6(void **state)
{
    (void)state;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0)
        skip();
    close(fd);
    struct toy *toy = start_with(&(struct http_config){.listen = "[::1]:0"});
    expect_reply(toy, GET("/later"), 200, "later");
    expect_reply(toy, "GET /now HTTP/1.1\r\nHost: other\r\n\r\n", 421, "host_not_allowed");
    stop_and_free(toy);
}

static void waits_at_the_connection_limit(void **state)
{
    (void)state;
    struct toy *toy = start_with(&(struct http_config){.connections_max = 4});
    struct client clients[5];
    for (size_t i = 0; i < 5; i++) {
        client_open(&clients[i], toy);
        client_send(&clients[i], STR(GET("/now")));
    }
    for (size_t i = 0; i < 4; i++)
        expect_next(&clients[i], 200, "GET /now ");
    assert_false(client_closed(&clients[4], 20));
    assert_int_equal(http_connections(toy->server), 4);
    client_close(&clients[0]);
    expect_next(&clients[4], 200, "GET /now ");
    for (size_t i = 1; i < 5; i++)
        client_close(&clients[i]);
    stop_and_free(toy);
}

static void stops_with_grace(void **state)
{
    (void)state;
    struct toy *toy = start_with(NULL);
    struct client idle, silent, waiting;
    struct reply r;
    client_open(&idle, toy);
    client_send(&idle, STR(GET("/now")));
    expect_next(&idle, 200, "GET /now ");
    client_open(&silent, toy);
    client_open(&waiting, toy);
    client_send(&waiting, STR(GET("/never")));
    wait_count(&toy->kept_now, 1);
    http_stop(toy->server, 10000);
    assert_true(client_closed(&idle, WAIT_MS));
    assert_true(client_closed(&silent, WAIT_MS));
    struct client late;
    client_open(&late, toy);
    assert_int_equal(late.fd, -1);
    toy_release(toy);
    assert_true(client_reply(&waiting, false, &r));
    assert_int_equal(r.status, 200);
    assert_true(reply_has(&r, "Connection: close"));
    reply_fini(&r);
    assert_true(client_closed(&waiting, WAIT_MS));
    assert_true(toy_stop(toy, 10000) < 5000);
    client_close(&idle);
    client_close(&silent);
    client_close(&waiting);
    client_close(&late);
    free(toy);
}

static void stops_when_grace_is_over(void **state)
{
    (void)state;
    struct toy *toy = start_with(NULL);
    struct client waiting, stream, half;
    client_open(&waiting, toy);
    client_send(&waiting, STR(GET("/never")));
    client_open(&stream, toy);
    client_send(&stream, STR(GET("/stall")));
    client_open(&half, toy);
    client_send(&half, STR("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc"));
    wait_count(&toy->handled, 2);
    int64_t took = toy_stop(toy, 50);
    assert_true(took >= 50 && took < WAIT_MS);
    assert_true(client_closed(&waiting, WAIT_MS));
    client_close(&waiting);
    client_close(&stream);
    client_close(&half);
    free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_slow_senders),
        cmocka_unit_test(limits_the_bodies_of_all),
        cmocka_unit_test(cuts_idle_connections),
        cmocka_unit_test(answers_for_a_silent_handler),
        cmocka_unit_test(cuts_readers_that_stall),
        cmocka_unit_test(checks_host_on_loopback_only),
        cmocka_unit_test(speaks_ipv6),
        cmocka_unit_test(waits_at_the_connection_limit),
        cmocka_unit_test(stops_with_grace),
        cmocka_unit_test(stops_when_grace_is_over),
    };
    return cmocka_run_group_tests_name("http limits", tests, NULL, NULL);
}
