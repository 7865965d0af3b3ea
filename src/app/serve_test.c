#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/serve_access.h"
#include "app/serve_listen.h"
#include "app/serve_notify.h"
#include "telemetry/log.h"

static void test_what_is_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *listen;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:4000", true},
        {"127.9.9.9:0", true},
        {"localhost:4000", true},
        {"[::1]:4000", true},
        {"0.0.0.0:4000", false},
        {"[::]:4000", false},
        {"10.0.0.1:4000", false},
        {"128.0.0.1:4000", false},
        {"example.com:80", false},
        {"localhost.example.com:80", false},
        {"127.0.0.1.example.com:80", false},
        {"[::ffff:10.0.0.1]:80", false},
        {":4000", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (listen_is_loopback(cases[i].listen) != cases[i].loopback)
            fail_msg("%s", cases[i].listen);
}

static void test_urls_for_people(void **state)
{
    (void)state;
    char url[320];
    listen_url("127.0.0.1:0", 4321, url, sizeof url);
    assert_string_equal(url, "http://127.0.0.1:4321");
    listen_url("0.0.0.0:80", 80, url, sizeof url);
    assert_string_equal(url, "http://127.0.0.1:80");
    listen_url("[::]:80", 80, url, sizeof url);
    assert_string_equal(url, "http://[::1]:80");
}

static void test_paths_do_not_name_people(void **state)
{
    (void)state;
    static const struct {
        const char *path, *shown;
    } cases[] = {
        {"/accounts/ext:jane%40example.com/balance", "/accounts/ext:*/balance"},
        {"/accounts/ext%3Ajane/balance", "/accounts/ext:*/balance"},
        {"/ledgers/shop/accounts/ext:a", "/ledgers/shop/accounts/ext:*"},
        {"/transfers", "/transfers"},
        {"/", "/"},
        {"/next/extra", "/next/extra"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf b;
        strbuf_init(&b);
        access_path(&b, str_of(cases[i].path));
        if (!str_eq_c(strbuf_view(&b), cases[i].shown))
            fail_msg("%s is shown as %.*s", cases[i].path, (int)b.len, b.data);
        strbuf_fini(&b);
    }
}

/* Notes `n` requests and counts the lines written. */
static size_t lines_written(struct access_log *log, const struct access_entry *entry, int n)
{
    int fds[2], old = dup(STDERR_FILENO);
    assert_int_equal(pipe(fds), 0);
    fflush(stderr);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    for (int i = 0; i < n; i++)
        access_note(log, entry);
    dup2(old, STDERR_FILENO);
    close(old);
    char text[32768];
    size_t used = 0, lines = 0;
    for (ssize_t got; (got = read(fds[0], text + used, sizeof text - used)) > 0;)
        used += (size_t)got;
    close(fds[0]);
    for (size_t i = 0; i < used; i++)
        lines += text[i] == '\n';
    return lines;
}

static void test_what_is_logged(void **state)
{
    (void)state;
    struct api_request request = {.method = API_POST, .method_name = STR("POST"), .path = STR("/transfers")};
    struct access_log log = {0};
    log_setup(LOG_INFO, LOG_JSON);
    struct access_entry e = {.request = &request, .status = 201, .took_us = 500};
    assert_int_equal(lines_written(&log, &e, 1), 0);
    e.took_us = 2000000;
    assert_int_equal(lines_written(&log, &e, 1), 1);
    request.path = STR("/transfers/batch");
    assert_int_equal(lines_written(&log, &e, 1), 0);
    request.path = STR("/transfers");
    e = (struct access_entry){.request = &request, .status = 422, .took_us = 500};
    assert_int_equal(lines_written(&log, &e, 1), 0);
    log = (struct access_log){0};
    e.status = 503;
    size_t lines = lines_written(&log, &e, 100);
    assert_in_range(lines, 10, 20); /* the second may change meanwhile */
    assert_int_equal(log.withheld > 0, 1);
    log_setup(LOG_DEBUG, LOG_JSON);
    e.status = 201;
    assert_int_equal(lines_written(&log, &e, 3), 3);
}

static void test_a_wait_that_was_asked_for_is_not_slow(void **state)
{
    (void)state;
    struct access_log log = {0};
    const struct api_header min_seq = {STR("ledger-min-seq"), STR("7")};
    struct api_request events = {.method = API_GET,
        .method_name = STR("GET"),
        .path = STR("/events"),
        .query = STR("after=1&wait=30")};
    struct api_request read = {.method = API_GET,
        .method_name = STR("GET"),
        .path = STR("/accounts"),
        .headers = &min_seq,
        .n_headers = 1};
    log_setup(LOG_INFO, LOG_JSON);
    struct access_entry e = {.request = &events, .status = 200, .took_us = 20000000};
    assert_int_equal(lines_written(&log, &e, 1), 0);
    e.request = &read;
    assert_int_equal(lines_written(&log, &e, 1), 0);
    read.n_headers = 0;
    assert_int_equal(lines_written(&log, &e, 1), 1);
}

static void test_service_manager_is_told(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/notify-%ld", (long)getpid());
    unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    serve_notify("READY=1");
    char got[64] = "";
    assert_int_equal(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), 7);
    assert_string_equal(got, "READY=1");
    unsetenv("NOTIFY_SOCKET");
    serve_notify("STOPPING=1");
    assert_int_equal(recv(fd, got, sizeof got - 1, MSG_DONTWAIT), -1);
    close(fd);
    unlink(address.sun_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_loopback),
        cmocka_unit_test(test_urls_for_people),
        cmocka_unit_test(test_paths_do_not_name_people),
        cmocka_unit_test(test_what_is_logged),
        cmocka_unit_test(test_a_wait_that_was_asked_for_is_not_slow),
        cmocka_unit_test(test_service_manager_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
