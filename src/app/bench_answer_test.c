#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/bench_answer.h"

/* Every case is also offered byte by byte: less than all of it is never an answer and never wrong. */
static void reads_answers(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        int status;
        const char *body;
        bool close;
    } cases[] = {
        {"HTTP/1.1 201 Created\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello", 201, "hello", false},
        {"HTTP/1.1 204 No Content\r\ncontent-length:0\r\n\r\n", 204, "", false},
        {"HTTP/1.0 503 X\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n!", 503, "!", true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x=1\r\n0123456789\r\n0\r\n\r\n",
            200, "abc0123456789", false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
    };
    struct strbuf scratch;
    strbuf_init(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str bytes = str_of(cases[i].bytes);
        struct bench_answer a;
        for (size_t len = 0; len < bytes.len; len++)
            if (bench_answer_parse((struct str){bytes.data, len}, &scratch, &a) != BENCH_MORE)
                fail_msg("case %zu at %zu bytes", i, len);
        assert_int_equal(bench_answer_parse(bytes, &scratch, &a), BENCH_WHOLE);
        assert_int_equal(a.status, cases[i].status);
        assert_int_equal(a.consumed, bytes.len);
        assert_int_equal(a.close, cases[i].close);
        if (!str_eq_c(a.body, cases[i].body))
            fail_msg("case %zu: " STR_FMT, i, STR_ARG(a.body));
    }
    strbuf_fini(&scratch);
}

static void stops_at_the_first_answer(void **state)
{
    (void)state;
    struct str
        first = STR("HTTP/1.1 201 C\r\nContent-Length: 1\r\n\r\n1"),
        both =
            STR("HTTP/1.1 201 C\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 422 U\r\nContent-Length: 1\r\n\r\n2");
    struct strbuf scratch;
    struct bench_answer a;
    strbuf_init(&scratch);
    assert_int_equal(bench_answer_parse(both, &scratch, &a), BENCH_WHOLE);
    assert_int_equal(a.consumed, first.len);
    assert_int_equal(
        bench_answer_parse((struct str){both.data + first.len, both.len - first.len}, &scratch, &a),
        BENCH_WHOLE);
    assert_int_equal(a.status, 422);
    strbuf_fini(&scratch);
}

static void refuses_what_is_no_answer(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 abc\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    };
    struct strbuf scratch;
    struct bench_answer a;
    strbuf_init(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (bench_answer_parse(str_of(cases[i]), &scratch, &a) != BENCH_BAD)
            fail_msg("taken: %s", cases[i]);
    strbuf_fini(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_answers),
        cmocka_unit_test(stops_at_the_first_answer),
        cmocka_unit_test(refuses_what_is_no_answer),
    };
    return cmocka_run_group_tests_name("app/bench_answer", tests, NULL, NULL);
}
