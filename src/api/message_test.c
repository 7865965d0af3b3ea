#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/message.h"

static void parses_methods(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum api_method method;
    } cases[] = {
        {"GET", API_GET},
        {"POST", API_POST},
        {"PATCH", API_PATCH},
        {"PUT", API_PUT},
        {"DELETE", API_DELETE},
        {"HEAD", API_HEAD},
        {"OPTIONS", API_OPTIONS},
        {"", API_OTHER},
        {"get", API_OTHER}, /* RFC 9110 section 9.1: methods are case-sensitive */
        {"GETS", API_OTHER},
        {"GE", API_OTHER},
        {"TRACE", API_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (api_method_parse(str_of(cases[i].name)) != cases[i].method)
            fail_msg("'%s'", cases[i].name);
}

static void finds_headers(void **state)
{
    (void)state;
    const struct api_header headers[] = {
        {STR("Host"), STR("localhost")},
        {STR("X-Empty"), STR_NONE},
        {STR("idempotency-key"), STR("one")},
        {STR("Idempotency-Key"), STR("two")},
    };
    struct api_request request = {.headers = headers, .n_headers = 4};
    assert_true(str_eq_c(api_request_header(&request, "HOST"), "localhost"));
    assert_true(str_eq_c(api_request_header(&request, "Idempotency-Key"), "one"));
    /* There with nothing in it is not the same as not there. */
    assert_non_null(api_request_header(&request, "x-empty").data);
    assert_int_equal(api_request_header(&request, "x-empty").len, 0);
    assert_null(api_request_header(&request, "Hos").data);
    assert_null(api_request_header(&request, "Hosts").data);
    request.n_headers = 0;
    assert_null(api_request_header(&request, "Host").data);
}

static void builds_responses(void **state)
{
    (void)state;
    struct api_response r;
    api_response_init(&r);
    assert_null(r.content_type);
    assert_int_equal(r.status, 0);
    api_response_header(&r, "Ledger-Seq", "%d", 17);
    api_response_header(&r, "ETag", "\"%s\"", "3");
    strbuf_c(&r.body, "{}");
    assert_int_equal(r.n_headers, 2);
    assert_string_equal(r.headers[0].name, "Ledger-Seq");
    assert_string_equal(r.headers[0].value, "17");
    assert_string_equal(r.headers[1].value, "\"3\"");
    api_response_fini(&r);
    assert_int_equal(r.n_headers, 0);
    assert_null(r.body.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_methods),
        cmocka_unit_test(finds_headers),
        cmocka_unit_test(builds_responses),
    };
    return cmocka_run_group_tests_name("api/message", tests, NULL, NULL);
}
