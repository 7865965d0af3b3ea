#include "base/testing.h"

#include "telemetry/trace.h"

#include <string.h>

#define GOOD "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void test_reads_and_writes_the_same(void **state)
{
    (void)state;
    struct trace_context c;
    char text[TRACEPARENT_LEN + 1];
    assert_true(trace_parse(STR(GOOD), &c));
    assert_int_equal(c.trace_id[0], 0x4b);
    assert_int_equal(c.trace_id[15], 0x36);
    assert_int_equal(c.parent_id[1], 0xf0);
    assert_int_equal(c.flags, 1);
    trace_format(&c, text);
    assert_string_equal(text, GOOD);
}

static void test_cases(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        bool good;
    } cases[] = {
        {"good", GOOD, true},
        {"empty", "", false},
        {"short", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false},
        {"version 00 with more behind", GOOD "-what", false},
        {"version 01 with more behind", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what", true},
        {"version 01 with more behind, no dash",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01what", false},
        {"version 01 as long as 00", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
        {"version ff", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"zero trace id", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
        {"zero parent id", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
        {"upper case", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
        {"no hex", "00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01", false},
        {"dash moved", "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01", false},
        {"blank in front", " " GOOD, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct trace_context c;
        if (trace_parse(str_of(cases[i].text), &c) != cases[i].good)
            fail_msg("%s: %s", cases[i].name, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_writes_the_same),
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
