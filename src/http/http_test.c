/*
 * The room against real sockets: a listening server with the handler of toy_server.h, and clients that send
 * bytes. Time and limits are in http_limits_test.c.
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

static void answers_in_every_way(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_send(&c, STR(GET("/now?a=%20b")));
    expect_next(&c, 200, "GET /now a=%20b");
    client_send(&c, STR("POST /echo HTTP/1.1\r\nHost: [::1]:99\r\nContent-Length: 5\r\n\r\nhello"));
    expect_next(&c, 200, "hello");
    client_send(&c, STR("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n"));
    expect_next(&c, 200, "abcdefg");
    client_send(&c, STR("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
    expect_next(&c, 200, "");
    client_send(&c, STR(GET("/later")));
    expect_next(&c, 200, "later");
    client_send(&c, STR("GET http://127.0.0.1:1/now HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    expect_next(&c, 200, "GET /now ");
    client_send(&c, STR("DELETE /now HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    expect_next(&c, 200, "DELETE /now ");
    assert_int_equal(http_connections(((struct toy *)*state)->server), 1);
    client_close(&c);
}

static void head_is_get_without_body(void **state)
{
    struct client c;
    struct reply r;
    client_open(&c, *state);
    client_send(&c, STR("HEAD /now HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("/now")));
    assert_true(client_reply(&c, true, &r));
    assert_int_equal(r.status, 200);
    assert_true(reply_has(&r, "Content-Length: 10"));
    assert_true(reply_has(&r, "X-Toy: 1"));
    reply_fini(&r);
    expect_next(&c, 200, "GET /now ");
    client_send(&c, STR("HEAD /stream?3 HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("/now")));
    assert_true(client_reply(&c, true, &r));
    reply_fini(&r);
    expect_next(&c, 200, "GET /now ");
    client_close(&c);
}

static void takes_the_largest_body(void **state)
{
    struct strbuf text;
    struct client c;
    struct reply r;
    strbuf_init(&text);
    strbuf_printf(&text, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", BODY_MAX);
    for (size_t i = 0; i < BODY_MAX; i++)
        strbuf_char(&text, (char)('a' + i % 23));
    client_open(&c, *state);
    client_send(&c, strbuf_view(&text));
    assert_true(client_reply(&c, false, &r));
    assert_int_equal(r.body.len, BODY_MAX);
    assert_memory_equal(r.body.data, text.data + text.len - BODY_MAX, BODY_MAX);
    reply_fini(&r);
    strbuf_fini(&text);
    client_close(&c);
}

static void continues_when_asked(void **state)
{
    struct client c;
    struct reply r;
    client_open(&c, *state);
    client_send(&c,
        STR("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
    assert_true(client_reply(&c, false, &r));
    assert_int_equal(r.status, 100);
    reply_fini(&r);
    client_send(&c, STR("ok"));
    expect_next(&c, 200, "ok");
    client_close(&c);
}

static void keeps_the_order_of_a_pipeline(void **state)
{
    struct client c;
    client_open(&c, *state);
    struct strbuf text;
    strbuf_init(&text);
    for (int i = 0; i < 50; i++) {
        strbuf_printf(&text, "GET /now?%d HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("/later"), i);
        strbuf_c(&text, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc");
    }
    client_send(&c, strbuf_view(&text));
    for (int i = 0; i < 50; i++) {
        char first[32];
        snprintf(first, sizeof first, "GET /now %d", i);
        expect_next(&c, 200, first);
        expect_next(&c, 200, "later");
        expect_next(&c, 200, "abc");
    }
    strbuf_fini(&text);
    client_close(&c);
}

static void takes_a_request_byte_by_byte(void **state)
{
    struct str bytes = STR("\r\nPOST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "5\r\nhello\r\n0\r\n\r\n" GET("/later"));
    struct client c;
    client_open(&c, *state);
    for (size_t i = 0; i < bytes.len; i++) {
        client_send(&c, (struct str){bytes.data + i, 1});
        if (i % 8 == 0)
            pause_ms(1);
    }
    expect_next(&c, 200, "hello");
    expect_next(&c, 200, "later");
    client_close(&c);
}

static void speaks_http_1_0(void **state)
{
    struct client c;
    client_open(&c, *state);
    client_send(&c, STR("GET /now HTTP/1.0\r\n\r\n"));
    expect_next(&c, 200, "GET /now ");
    assert_true(client_closed(&c, WAIT_MS));
    client_close(&c);
    client_open(&c, *state);
    client_send(&c, STR("GET /stream?2 HTTP/1.0\r\n\r\n"));
    expect_next(&c, 200, "{\"line\":2}\n{\"line\":1}\n");
    client_close(&c);
}

/* Requests and the end of the stream in one segment: answers, then the end of the other half, at once. */
static void answers_half_closed_clients(void **state)
{
    static const struct {
        const char *bytes;
        int answers;
    } cases[] = {
        {GET("/now"), 1},
        {GET("/later"), 1},
        {GET("/later") GET("/now") GET("/later"), 3},
        {GET("/now") "POST /echo HT", 1},
        {GET("/now") "POST /echo HTTP/1.1\r\nX: ", 1},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc", 0},
        {"GE", 0},
        {"", 0},
    };
    for (size_t i = 0; i < 5 * sizeof cases / sizeof cases[0]; i++) {
        struct str bytes = str_of(cases[i / 5].bytes);
        struct client c;
        struct reply r;
        client_open(&c, *state);
        int cork = 1; /* what follows leaves together with the end */
        setsockopt(c.fd, IPPROTO_TCP, TCP_CORK, &cork, sizeof cork);
        client_send(&c, bytes);
        shutdown(c.fd, SHUT_WR);
        for (int n = 0; n < cases[i / 5].answers; n++) {
            assert_true(client_reply(&c, false, &r));
            assert_int_equal(r.status, 200);
            reply_fini(&r);
        }
        if (!client_closed(&c, WAIT_MS))
            fail_msg("open after %s", bytes.data);
        client_close(&c);
    }
    wait_connections(*state, 0);
}

static void refuses_what_is_not_http(void **state)
{
    static const struct {
        const char *bytes;
        int status;
        const char *text;
    } cases[] = {
        {"GET /now HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400, "malformed_http"},
        {"GET /now HTTP/1.1\r\n\r\n", 400, ""},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400,
            ""},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\nx", 400,
            ""},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n",
            400, "malformed_http"},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 400, ""},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400, ""},
        {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400, ""},
        {"GET /now HTTP/1.1\r\nHost: localhost\r\nExpect: coffee\r\n\r\n", 400, "malformed_http"},
        {"GET now HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, ""},
        {"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "malformed_http"},
        {"HEAD /now HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "HTTP/1.1 421"},
        {"GET /now HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, "host_not_allowed"},
        {"GET http://evil.example/now HTTP/1.1\r\nHost: localhost\r\n\r\n", 421, "host_not_allowed"},
        {"POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n\r\n", 413, "body_too_large"},
        {"POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n", 413,
            "10 bytes"},
        {"POST /small HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
         "6\r\nabcdef\r\n6\r\nabcdef\r\n",
            413, "body_too_large"},
        {"POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n", 413, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (i == sizeof cases / sizeof cases[0] - 1)
            continue; /* the library may say 400 as well: see answers_or_closes_on_garbage */
        expect_reply(*state, cases[i].bytes, cases[i].status, cases[i].text);
        expect_reply(*state, cases[i].bytes, cases[i].status, "Connection: close");
    }
    assert_int_equal(atomic_load(&((struct toy *)*state)->handled), 0);
    wait_connections(*state, 0);
}

/* Here the library answers by itself: a 4xx or a closed connection, at once, and the handler is not reached.
 */
static void answers_or_closes_on_garbage(void **state)
{
    static const char *const cases[] = {
        "\x16\x03\x01\x02\x01\xfc\x03\x03 hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /now\r\n\r\n",
        "GET /now HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET /now HTTP/1.1\r\nno colon here\r\nHost: localhost\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /small HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client c;
        struct reply r;
        client_open(&c, *state);
        client_send(&c, str_of(cases[i]));
        shutdown(c.fd, SHUT_WR);
        bool answered = client_reply(&c, false, &r);
        if (answered && (r.status < 400 || r.status > 505))
            fail_msg("%d to: %s", r.status, cases[i]);
        reply_fini(&r);
        client_close(&c);
    }
    assert_int_equal(atomic_load(&((struct toy *)*state)->handled), 0);
    wait_connections(*state, 0);
}

/* The client sends all of a body that is refused before it reads: the answer must not be lost to a reset. */
static void answers_413_to_who_sends_first(void **state)
{
    struct client c;
    struct reply r;
    struct strbuf text;
    strbuf_init(&text);
    strbuf_c(&text, "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2097152\r\n\r\n");
    while (text.len < 2097152)
        strbuf_c(&text, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    for (int i = 0; i < 5; i++) {
        client_open(&c, *state);
        client_send(&c, strbuf_view(&text));
        assert_true(client_reply(&c, false, &r));
        assert_int_equal(r.status, 413);
        assert_true(reply_has(&r, "1048576 bytes"));
        reply_fini(&r);
        client_close(&c);
    }
    strbuf_fini(&text);
    wait_connections(*state, 0);
}

static void limits_heads(void **state)
{
    static const struct {
        size_t url, header;
        int least, most;
        const char *text;
    } cases[] = {
        {4000, 0, 200, 200, "GET"},
        {5000, 0, 431, 431, "headers_too_large"},
        {0, 15000, 200, 200, "GET"},
        {0, 17000, 431, 431, "headers_too_large"},
        {0, 100000, 400, 499, ""}, /* more than the library holds: its own answer */
        {100000, 0, 400, 499, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client c;
        struct reply r;
        struct strbuf text;
        strbuf_init(&text);
        strbuf_c(&text, "GET /");
        for (size_t n = 0; n < cases[i].url; n++)
            strbuf_char(&text, 'u');
        strbuf_c(&text, " HTTP/1.1\r\nHost: localhost\r\n");
        for (size_t n = 0; n < cases[i].header; n += 100)
            strbuf_printf(&text, "X-Header-%04zu: %083d\r\n", n / 100, 7);
        strbuf_c(&text, "\r\n");
        client_open(&c, *state);
        client_send(&c, strbuf_view(&text));
        bool answered = client_reply(&c, false, &r);
        if (answered &&
            (r.status < cases[i].least || r.status > cases[i].most || !reply_has(&r, cases[i].text)))
            fail_msg("case %zu: %d", i, r.status);
        assert_true(answered || cases[i].least == 400);
        reply_fini(&r);
        strbuf_fini(&text);
        client_close(&c);
    }
}

static void loses_clients_at_every_byte(void **state)
{
    struct toy *toy = *state;
    static const char *const texts[] = {
        "POST /later HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        "POST /stream?100000 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    };
    for (size_t t = 0; t < 2; t++) {
        struct str text = str_of(texts[t]);
        for (size_t cut = 0; cut <= text.len; cut++) {
            struct client c;
            client_open(&c, toy);
            client_send(&c, (struct str){text.data, cut});
            if (cut % 2 == 0) /* a reset instead of an orderly end */
                setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
            client_close(&c);
        }
    }
    for (int i = 0; i < 3; i++) {
        struct client c;
        client_open(&c, toy);
        client_send(&c, STR(GET("/stream?100000")));
        wait_count(&toy->handled, 1);
        char some[100];
        assert_true(recv(c.fd, some, sizeof some, 0) > 0);
        client_close(&c);
    }
    wait_connections(toy, 0);
    expect_reply(toy, GET("/now"), 200, "GET /now");
}

static void client_gone_before_the_reply(void **state)
{
    struct toy *toy = *state;
    struct client c;
    for (int i = 0; i < 10; i++) {
        client_open(&c, toy);
        client_send(&c, i % 2 ? STR(GET("/never")) : STR(GET("/stall")));
        wait_count(&toy->handled, (size_t)i + 1);
        client_close(&c);
    }
    toy_release(toy);
    wait_connections(toy, 0);
}

static void streams(void **state)
{
    struct toy *toy = *state;
    struct client c;
    struct reply r;
    client_open(&c, toy);
    client_send(&c, STR(GET("/stream?100000") GET("/stream?0") GET("/stream?1") GET("/now")));
    assert_true(client_reply(&c, false, &r));
    char *at = r.body.data;
    for (unsigned long line = 100000; line > 0; line--) {
        char text[32];
        int n = snprintf(text, sizeof text, "{\"line\":%lu}\n", line);
        assert_memory_equal(at, text, (size_t)n);
        at += n;
    }
    assert_ptr_equal(at, r.body.data + r.body.len);
    reply_fini(&r);
    expect_next(&c, 200, "");
    expect_next(&c, 200, "{\"line\":1}\n");
    expect_next(&c, 200, "GET /now ");
    assert_true(atomic_load(&toy->most_buffered) < TOY_STREAM_AHEAD + 32);
    client_close(&c);
}

static void serves_a_thousand_connections(void **state)
{
    struct toy *toy = *state;
    enum { N = 1000 };
    static struct client clients[N];
    for (size_t i = 0; i < N; i++) {
        client_open(&clients[i], toy);
        assert_true(clients[i].fd >= 0);
    }
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++)
            client_send(&clients[i], i % 3 ? STR(GET("/later")) : STR(GET("/now")));
        for (size_t i = 0; i < N; i++)
            expect_next(&clients[i], 200, i % 3 ? "later" : "GET /now ");
    }
    assert_int_equal(http_connections(toy->server), N);
    for (size_t i = 0; i < N; i++)
        client_close(&clients[i]);
    wait_connections(toy, 0);
}

static void says_why_it_cannot_listen(void **state)
{
    struct http_config config = {.listen = "127.0.0.1:0"};
    struct toy *toy = *state;
    struct http_server *server;
    struct err err;
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", http_port(toy->server));
    const struct {
        const char *listen;
        int code;
    } cases[] = {
        {taken, ERR_BUSY},
        {"", ERR_CONFIG},
        {"4000", ERR_CONFIG},
        {":4000", ERR_CONFIG},
        {"127.0.0.1:", ERR_CONFIG},
        {"127.0.0.1:http", ERR_CONFIG},
        {"[::1:4000", ERR_CONFIG},
        {"no.such.name.invalid:4000", ERR_CONFIG},
        {"192.0.2.1:0", ERR_CONFIG},
    };
    config.handler = (void (*)(void *, struct http_exchange *, const struct api_request *))(uintptr_t)1;
    config.body_limit = (size_t(*)(void *, enum api_method, struct str))(uintptr_t)1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        config.listen = cases[i].listen;
        int rc = http_new(&config, &server, &err);
        if (rc != cases[i].code || strstr(err.message, cases[i].listen) == NULL)
            fail_msg("'%s': %d %s", cases[i].listen, rc, err.message);
    }
}

/* Both ends of a thousand connections are in this process. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 4096) {
        limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}
int main(void)
{
    raise_descriptors();
    const struct CMUnitTest tests[] = {
        ON_SERVER(answers_in_every_way),
        ON_SERVER(head_is_get_without_body),
        ON_SERVER(takes_the_largest_body),
        ON_SERVER(continues_when_asked),
        ON_SERVER(keeps_the_order_of_a_pipeline),
        ON_SERVER(takes_a_request_byte_by_byte),
        ON_SERVER(speaks_http_1_0),
        ON_SERVER(answers_half_closed_clients),
        ON_SERVER(refuses_what_is_not_http),
        ON_SERVER(answers_or_closes_on_garbage),
        ON_SERVER(answers_413_to_who_sends_first),
        ON_SERVER(limits_heads),
        ON_SERVER(loses_clients_at_every_byte),
        ON_SERVER(client_gone_before_the_reply),
        ON_SERVER(streams),
        ON_SERVER(serves_a_thousand_connections),
        ON_SERVER(says_why_it_cannot_listen),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
