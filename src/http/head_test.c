#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/head.h"

static void splits_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        bool good;
        const char *path, *query, *authority;
    } cases[] = {
        {"/", true, "/", "", NULL},
        {"/a/b%20c?x=1&y=%3f?", true, "/a/b%20c", "x=1&y=%3f?", NULL},
        {"/a?", true, "/a", "", NULL},
        {"http://h:80/a?b", true, "/a", "b", "h:80"},
        {"HTTP://h/", true, "/", "", "h"},
        {"http://h", false, "", "", NULL},
        {"http:///a", false, "", "", NULL},
        {"https://h/a", false, "", "", NULL},
        {"", false, "", "", NULL},
        {"*", false, "", "", NULL},
        {"a", false, "", "", NULL},
        {"/a b", false, "", "", NULL},
        {"/a\tb", false, "", "", NULL},
        {"/a\x7f", false, "", "", NULL},
        {"?x", false, "", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str path, query, authority;
        bool good = http_target_split(str_of(cases[i].target), &path, &query, &authority);
        if (good != cases[i].good)
            fail_msg("'%s'", cases[i].target);
        if (!good)
            continue;
        if (!str_eq_c(path, cases[i].path) || !str_eq_c(query, cases[i].query) ||
            !str_eq(authority, str_of(cases[i].authority)))
            fail_msg("'%s' splits wrongly", cases[i].target);
    }
}

static void knows_loopback_names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "localhost", "LOCALHOST:1", "localhost:", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:4000"};
    static const char *const bad[] = {"", "localhost.", "localhost.evil.example", "127.0.0.1.evil.example",
        "127.0.0.2", "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1 ", "::1", "[::1", "[::1]x", "evil.example",
        "0.0.0.0", "localhos"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!http_host_is_loopback(str_of(good[i])))
            fail_msg("'%s' refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (http_host_is_loopback(str_of(bad[i])))
            fail_msg("'%s' let through", bad[i]);
}

#define HOST \
    { \
        STR("Host"), STR("localhost") \
    }
#define LENGTH(value) \
    { \
        STR("Content-Length"), STR(value) \
    }
#define ENCODING(value) \
    { \
        STR("transfer-encoding"), STR(value) \
    }

static void checks_headers(void **state)
{
    (void)state;
    const struct {
        const char *name, *version;
        struct api_header headers[3];
        size_t n;
        enum refusal refusal;
    } cases[] = {
        {"plain", "HTTP/1.1", {HOST}, 1, REFUSAL_NONE},
        {"no host", "HTTP/1.1", {LENGTH("0")}, 1, REFUSAL_MALFORMED_HTTP},
        {"no host on 1.0", "HTTP/1.0", {LENGTH("0")}, 1, REFUSAL_NONE},
        {"two hosts", "HTTP/1.1", {HOST, {STR("hOST"), STR("localhost")}}, 2, REFUSAL_MALFORMED_HTTP},
        {"two hosts on 1.0", "HTTP/1.0", {HOST, HOST}, 2, REFUSAL_MALFORMED_HTTP},
        {"foreign host", "HTTP/1.1", {{STR("Host"), STR("evil.example")}}, 1, REFUSAL_HOST_NOT_ALLOWED},
        {"empty host", "HTTP/1.1", {{STR("Host"), STR("")}}, 1, REFUSAL_HOST_NOT_ALLOWED},
        {"length", "HTTP/1.1", {HOST, LENGTH(" 12 ")}, 2, REFUSAL_NONE},
        {"two lengths", "HTTP/1.1", {HOST, LENGTH("1"), LENGTH("1")}, 3, REFUSAL_MALFORMED_HTTP},
        {"list of lengths", "HTTP/1.1", {HOST, LENGTH("1, 1")}, 2, REFUSAL_MALFORMED_HTTP},
        {"signed length", "HTTP/1.1", {HOST, LENGTH("+1")}, 2, REFUSAL_MALFORMED_HTTP},
        {"hex length", "HTTP/1.1", {HOST, LENGTH("0x1")}, 2, REFUSAL_MALFORMED_HTTP},
        {"endless length", "HTTP/1.1", {HOST, LENGTH("18446744073709551616")}, 2, REFUSAL_MALFORMED_HTTP},
        {"length and chunked", "HTTP/1.1", {HOST, LENGTH("1"), ENCODING("chunked")}, 3,
            REFUSAL_MALFORMED_HTTP},
        {"chunked", "HTTP/1.1", {HOST, ENCODING("Chunked")}, 2, REFUSAL_NONE},
        {"chunked on 1.0", "HTTP/1.0", {HOST, ENCODING("chunked")}, 2, REFUSAL_MALFORMED_HTTP},
        {"chunked twice", "HTTP/1.1", {HOST, ENCODING("chunked"), ENCODING("chunked")}, 3,
            REFUSAL_MALFORMED_HTTP},
        {"gzip, chunked", "HTTP/1.1", {HOST, ENCODING("gzip, chunked")}, 2, REFUSAL_MALFORMED_HTTP},
        {"identity", "HTTP/1.1", {HOST, ENCODING("identity")}, 2, REFUSAL_MALFORMED_HTTP},
        {"continue", "HTTP/1.1", {HOST, {STR("Expect"), STR("100-Continue")}}, 2, REFUSAL_NONE},
        {"expect", "HTTP/1.1", {HOST, {STR("Expect"), STR("coffee")}}, 2, REFUSAL_MALFORMED_HTTP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_request request = {.headers = cases[i].headers, .n_headers = cases[i].n};
        struct http_head head;
        const char *detail = NULL;
        enum refusal refusal =
            http_head_check(&request, str_of(cases[i].version), STR_NONE, true, &head, &detail);
        if (refusal != cases[i].refusal)
            fail_msg("%s: %d", cases[i].name, (int)refusal);
        if ((refusal == REFUSAL_NONE) != (detail == NULL))
            fail_msg("%s: detail %s", cases[i].name, detail != NULL ? detail : "missing");
    }
}

static void reads_framing(void **state)
{
    (void)state;
    struct api_header with_length[] = {HOST, LENGTH("1048577")}, chunked[] = {HOST, ENCODING("chunked")};
    struct api_request request = {.headers = with_length, .n_headers = 2};
    struct http_head head;
    const char *detail;
    assert_int_equal(
        http_head_check(&request, STR("HTTP/1.1"), STR_NONE, false, &head, &detail), REFUSAL_NONE);
    assert_true(head.has_length && !head.chunked);
    assert_int_equal(head.length, 1048577);
    request.headers = chunked;
    assert_int_equal(
        http_head_check(&request, STR("HTTP/1.1"), STR_NONE, false, &head, &detail), REFUSAL_NONE);
    assert_true(!head.has_length && head.chunked);
}

/* RFC 9112 section 3.2.2: the target's authority counts, not the Host header. */
static void authority_stands_for_host(void **state)
{
    (void)state;
    struct api_header local[] = {HOST}, foreign[] = {{STR("Host"), STR("evil.example")}};
    struct api_request request = {.headers = local, .n_headers = 1};
    struct http_head head;
    const char *detail;
    assert_int_equal(http_head_check(&request, STR("HTTP/1.1"), STR("evil.example"), true, &head, &detail),
        REFUSAL_HOST_NOT_ALLOWED);
    request.headers = foreign;
    assert_int_equal(
        http_head_check(&request, STR("HTTP/1.1"), STR("localhost:1"), true, &head, &detail), REFUSAL_NONE);
    assert_int_equal(
        http_head_check(&request, STR("HTTP/1.1"), STR_NONE, false, &head, &detail), REFUSAL_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_targets),
        cmocka_unit_test(knows_loopback_names),
        cmocka_unit_test(checks_headers),
        cmocka_unit_test(reads_framing),
        cmocka_unit_test(authority_stands_for_host),
    };
    return cmocka_run_group_tests_name("http/head", tests, NULL, NULL);
}
