/* The server in one process: sockets in front, the memory journal behind. */
#include "base/testing.h"

#include "app/serve_loop.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/store.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

static struct journal *journal;
static struct catalog *catalog;
static struct engine *engine;
static struct metrics *metrics;
static struct serve_loop *loop;
static pthread_t runner;
static bool running;
static char token_path[64];
static struct tokens *tokens;

static void on_committed(void *ctx)
{
    (void)ctx;
    serve_loop_committed(loop);
}

static void *run(void *arg)
{
    (void)arg;
    struct err err = {0};
    if (serve_loop_run(loop, &err) != 0)
        fprintf(stderr, "%s\n", err.message);
    return NULL;
}

/* All of it, but nobody looks yet at what arrives. */
static void prepare(int grace_ms)
{
    struct journal_options options = {.mode = JOURNAL_WRITE, .create = true, .now = store_now(NULL)};
    struct err err = {0};
    assert_int_equal(journal_open("memory:loop", &options, &journal, &err), 0);
    assert_int_equal(catalog_new(journal, &catalog, &err), 0);
    metrics = metrics_new();
    struct engine_config config = {.journal = journal,
        .catalog = catalog,
        .now = store_now,
        .random = store_random,
        .metrics = metrics,
        .committed = on_committed};
    assert_int_equal(engine_new(&config, &engine, &err), 0);
    struct serve_loop_config serving = {.engine = engine,
        .catalog = catalog,
        .metrics = metrics,
        .tokens = tokens,
        .token_file = token_path,
        .database_url = "memory:loop",
        .readers = 2,
        .listen = "127.0.0.1:0",
        .grace_ms = grace_ms};
    if (serve_loop_new(&serving, &loop, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(engine_start(engine, &err), 0);
}

static void go(void)
{
    assert_int_equal(pthread_create(&runner, NULL, run, NULL), 0);
    running = true;
}

static void start(int grace_ms)
{
    prepare(grace_ms);
    go();
}

static int setup(void **state)
{
    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    start(10000);
    return 0;
}

static void stop(void)
{
    if (!running)
        return;
    running = false;
    serve_loop_stop(loop);
    pthread_join(runner, NULL);
    engine_stop(engine);
    assert_true(serve_loop_drain(loop));
    serve_loop_free(loop);
    engine_free(engine);
    catalog_free(catalog);
    journal_close(journal);
    metrics_free(metrics);
}

static int teardown(void **state)
{
    (void)state;
    stop();
    if (tokens != NULL) {
        tokens_free(tokens);
        tokens = NULL;
        unlink(token_path);
    }
    return 0;
}

static int client(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)serve_loop_port(loop)),
        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_all(int fd, struct str s)
{
    for (size_t done = 0; done < s.len;) {
        ssize_t n = send(fd, s.data + done, s.len - done, MSG_NOSIGNAL);
        assert_true(n > 0);
        done += (size_t)n;
    }
}

static void send_request(int fd, const char *method, const char *path, const char *headers, struct str body)
{
    struct strbuf b;
    strbuf_init(&b);
    strbuf_printf(&b,
        "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n", method,
        path, body.len, headers);
    strbuf_str(&b, body);
    send_all(fd, strbuf_view(&b));
    strbuf_fini(&b);
}

/* Everything until the server closes; to be freed. */
static char *receive(int fd)
{
    struct strbuf b;
    strbuf_init(&b);
    for (;;) {
        strbuf_reserve(&b, 65537);
        ssize_t n = recv(fd, b.data + b.len, 65536, 0);
        assert_true(n >= 0);
        if (n == 0)
            break;
        b.len += (size_t)n;
    }
    close(fd);
    strbuf_char(&b, '\0');
    return b.data;
}

#define JSON "Content-Type: application/json\r\n"
#define NDJSON "Content-Type: application/x-ndjson\r\n"

static char *exchange(const char *method, const char *path, const char *headers, const char *body)
{
    int fd = client();
    send_request(fd, method, path, headers, str_of(body));
    return receive(fd);
}

static void expect(char *answer, const char *part)
{
    if (strstr(answer, part) == NULL)
        fail_msg("%s\nlacks %s", answer, part);
    free(answer);
}

static void open_two(void)
{
    expect(exchange(
               "POST", "/accounts", JSON, "{\"currency\":\"USD\",\"externalId\":\"a\",\"minBalance\":null}"),
        "HTTP/1.1 201");
    expect(
        exchange("POST", "/accounts", JSON, "{\"currency\":\"USD\",\"externalId\":\"b\"}"), "HTTP/1.1 201");
}

/* n transfers of 1, a line each, with `padding` bytes of metadata; to be freed. */
static struct str bulk(size_t n, char tag, size_t padding)
{
    struct strbuf b;
    strbuf_init(&b);
    for (size_t i = 0; i < n; i++) {
        strbuf_printf(&b,
            "{\"from\":\"ext:a\",\"to\":\"ext:b\",\"amount\":1,\"currency\":\"USD\",\"idempotencyKey\":\"%c%"
            "zu\","
            "\"metadata\":{\"padding\":\"",
            tag, i);
        for (size_t k = 0; k < padding; k++)
            strbuf_char(&b, 'p');
        strbuf_c(&b, "\"}}\n");
    }
    return strbuf_view(&b);
}

/* Not by strstr: under the sanitizer each of its calls looks at the whole text. */
static size_t count(const char *text, const char *part)
{
    size_t n = 0, len = strlen(part);
    for (const char *at = text; *at != '\0'; at++)
        n += *at == *part && strncmp(at, part, len) == 0;
    return n;
}

static void test_writes_reads_and_files(void **state)
{
    (void)state;
    open_two();
    expect(exchange("POST", "/transfers", JSON,
               "{\"from\":\"ext:a\",\"to\":\"ext:b\",\"amount\":12,\"currency\":\"USD\"}"),
        "\"amount\":12");
    expect(exchange("GET", "/accounts/ext:b/balance", "", ""), "\"balance\":12,");
    expect(exchange("GET", "/nowhere", "", ""), "HTTP/1.1 404");
    expect(exchange("GET", "/openapi.yaml", "", ""), "openapi: 3.1");
    char *head = exchange("HEAD", "/api", "", "");
    assert_null(strstr(head, "<html"));
    expect(head, "Content-Type: text/html");
    expect(exchange("POST", "/api", "", ""), "HTTP/1.1 4");
    expect(exchange("GET", "/metrics", "", ""), "\ncreditledger_postings_total 1\n");
    expect(exchange("GET", "/readyz", "", ""), "HTTP/1.1 200");
}

static void test_a_stream_arrives_whole_however_slowly_it_is_read(void **state)
{
    (void)state;
    open_two();
    struct str body =
        bulk(1000, 's', 12000); /* more than the kernel buffers: the stream waits for its reader */
    int fd = client();
    send_request(fd, "POST", "/transfers/batch", NDJSON, body);
    struct timespec pause = {0, 50000000};
    nanosleep(&pause, NULL);
    char *answer = receive(fd);
    /* Names may be cut by the chunks they travel in: there are two to a line. */
    size_t lines = count(answer, "\n{\"line\":"), keys = count(answer, "\"idempotencyKey\":\"s");
    if (lines < 700 || keys < 700)
        fail_msg("%zu lines, %zu keys", lines, keys);
    free(answer);
    free((void *)(uintptr_t)body.data);
    expect(exchange("GET", "/accounts/ext:b/balance", "", ""), "\"balance\":1000,");
}

static void test_a_client_that_goes_away_amid_a_stream(void **state)
{
    (void)state;
    open_two();
    for (int i = 0; i < 3; i++) {
        struct str body = bulk(1000, (char)('t' + i), 9000);
        int fd = client();
        send_request(fd, "POST", "/transfers/batch", NDJSON, body);
        char some[100];
        if (i > 0)
            assert_true(recv(fd, some, sizeof some, 0) > 0);
        struct linger at_once = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
        free((void *)(uintptr_t)body.data);
    }
    expect(exchange("GET", "/readyz", "", ""), "HTTP/1.1 200");
}

static void test_a_wait_ends_with_the_commit(void **state)
{
    (void)state;
    open_two();
    int fd = client();
    send_request(fd, "GET", "/events?after=2&wait=20", "", STR(""));
    struct timespec pause = {0, 50000000};
    nanosleep(&pause, NULL);
    int64_t began = store_now(NULL);
    expect(exchange("POST", "/transfers", JSON,
               "{\"from\":\"ext:a\",\"to\":\"ext:b\",\"amount\":12,\"currency\":\"USD\"}"),
        "HTTP/1.1 201");
    expect(receive(fd), "ledger.transfer.posted.v1");
    assert_true(store_now(NULL) - began < 900000); /* sooner than the tick of a second */
}

static void test_stopping_answers_what_is_there(void **state)
{
    (void)state;
    open_two();
    struct str body = bulk(3000, 'z', 0);
    int stream = client(), wait = client();
    send_request(wait, "GET", "/events?after=999999&wait=20", "", STR(""));
    send_request(stream, "POST", "/transfers/batch", NDJSON, body);
    char first[1];
    assert_int_equal(recv(stream, first, 1, 0), 1);
    int64_t began = store_now(NULL);
    serve_loop_stop(loop);
    expect(receive(wait), "\"events\":[]");
    char *answer = receive(stream);
    assert_non_null(strstr(answer, "\"line\":3000,"));
    assert_non_null(strstr(answer, "\r\n0\r\n\r\n"));
    free(answer);
    free((void *)(uintptr_t)body.data);
    stop();
    assert_true(store_now(NULL) - began < 9000000);
}

/* The loop hears of the requests and of the end in one breath. */
static void test_what_had_arrived_is_done(void **state)
{
    (void)state;
    stop();
    prepare(10000);
    int first = client(), second = client();
    send_request(first, "POST", "/accounts", JSON, STR("{\"currency\":\"USD\",\"externalId\":\"a\"}"));
    send_request(second, "POST", "/accounts", JSON, STR("{\"currency\":\"USD\",\"externalId\":\"b\"}"));
    serve_loop_stop(loop);
    go();
    expect(receive(first), "HTTP/1.1 201");
    expect(receive(second), "HTTP/1.1 201");
}

static void test_a_grace_of_nothing_leaves_nothing_behind(void **state)
{
    (void)state;
    stop();
    start(0);
    open_two();
    struct str body = bulk(4000, 'g', 0);
    int fd = client();
    send_request(fd, "POST", "/transfers/batch", NDJSON, body);
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    stop();
    close(fd);
    free((void *)(uintptr_t)body.data);
}

static void write_tokens(const char *name, const char *token)
{
    uint8_t sha256[32];
    token_digest(str_of(token), sha256);
    FILE *f = fopen(token_path, "w");
    assert_non_null(f);
    fprintf(f, "%s ", name);
    for (int i = 0; i < 32; i++)
        fprintf(f, "%02x", sha256[i]);
    fprintf(f, " read,post\n");
    fclose(f);
    chmod(token_path, 0600);
}

#define WITH(token) "Authorization: Bearer " token "\r\n"

static void test_tokens_are_read_again(void **state)
{
    (void)state;
    stop();
    snprintf(token_path, sizeof token_path, "/tmp/loop-tokens-%ld", (long)getpid());
    write_tokens("one", "first");
    struct err err = {0};
    assert_int_equal(tokens_load(token_path, &tokens, &err), 0);
    start(1000);
    expect(exchange("GET", "/accounts", WITH("first"), ""), "HTTP/1.1 200");
    expect(exchange("GET", "/accounts", "", ""), "HTTP/1.1 401");
    expect(exchange("GET", "/openapi.yaml", "", ""), "HTTP/1.1 200");
    write_tokens("two", "second");
    serve_loop_reload(loop);
    struct timespec pause = {0, 100000000};
    nanosleep(&pause, NULL);
    expect(exchange("GET", "/accounts", WITH("first"), ""), "HTTP/1.1 401");
    expect(exchange("GET", "/accounts", WITH("second"), ""), "HTTP/1.1 200");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_writes_reads_and_files),
        T(test_a_stream_arrives_whole_however_slowly_it_is_read),
        T(test_a_client_that_goes_away_amid_a_stream),
        T(test_a_wait_ends_with_the_commit),
        T(test_stopping_answers_what_is_there),
        T(test_what_had_arrived_is_done),
        T(test_a_grace_of_nothing_leaves_nothing_behind),
        T(test_tokens_are_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
