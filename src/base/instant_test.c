#include "base/instant.h"

#include <time.h>

#include "base/check.h"

static void test_parse(void **state)
{
    (void)state;
    enum { STRICT = 1, LOOSE = 2, BOTH = 3 };
    static const struct {
        const char *text;
        int accepted; /* by which of the two */
        int64_t instant;
    } cases[] = {
        {"1970-01-01T00:00:00Z", BOTH, 0},
        {"1970-01-01t00:00:00z", BOTH, 0},
        {"1970-01-01 00:00:00Z", BOTH, 0},
        {"1969-12-31T23:59:59.999999Z", BOTH, -1},
        {"2026-01-31T12:34:56.000001Z", BOTH, INT64_C(1769862896000001)},
        {"2026-01-31T12:34:56.1Z", BOTH, INT64_C(1769862896100000)},
        {"2026-01-31T12:34:56.123456789Z", BOTH, INT64_C(1769862896123456)},
        {"2026-01-31T12:34:56.1234567899Z", 0, 0},
        {"2026-01-31T12:34:56.Z", 0, 0},
        {"2026-01-31T12:34:56+02:00", BOTH, INT64_C(1769855696000000)},
        {"2026-01-31T12:34:56-02:30", BOTH, INT64_C(1769871896000000)},
        {"2026-01-31T12:34:56-00:00", BOTH, INT64_C(1769862896000000)},
        {"2026-01-31T12:34:56+24:00", 0, 0},
        {"2026-01-31T12:34:56+02:60", 0, 0},
        {"2026-01-31T12:34:56+0200", 0, 0},
        {"2026-01-31T12:34:56", LOOSE, INT64_C(1769862896000000)},
        {"2026-01-31 12:34:56", LOOSE, INT64_C(1769862896000000)},
        {"2026-01-31", LOOSE, INT64_C(1769817600000000)},
        {"1993-01-01", LOOSE, INT64_C(725846400000000)},
        {"2026-01-31T", 0, 0},
        {"2026-01-31T12:34Z", 0, 0},
        {"2026-01-31T24:00:00Z", 0, 0},
        {"2026-01-31T23:60:00Z", 0, 0},
        {"2016-12-31T23:59:60Z", 0, 0},
        {"2026-02-29T00:00:00Z", 0, 0},
        {"2024-02-29T00:00:00Z", BOTH, INT64_C(1709164800000000)},
        {"1900-02-29T00:00:00Z", 0, 0},
        {"2000-02-29T00:00:00Z", BOTH, INT64_C(951782400000000)},
        {"2026-04-31T00:00:00Z", 0, 0},
        {"2026-13-01T00:00:00Z", 0, 0},
        {"2026-00-01T00:00:00Z", 0, 0},
        {"2026-01-00T00:00:00Z", 0, 0},
        {"0000-01-01T00:00:00Z", 0, 0},
        {"0001-01-01T00:00:00Z", BOTH, INSTANT_MIN},
        {"0001-01-01T00:00:00+00:01", 0, 0},
        {"9999-12-31T23:59:59.999999Z", BOTH, INSTANT_MAX},
        {"9999-12-31T23:59:59.999999-00:01", 0, 0},
        {"2026-1-31T12:34:56Z", 0, 0},
        {" 2026-01-31T12:34:56Z", 0, 0},
        {"2026-01-31T12:34:56Z ", 0, 0},
        {"+2026-01-31T12:34:56Z", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = cases[i].text;
        int64_t instant = 77;
        CHECK_INT(name, instant_parse(str_of(name), &instant), (cases[i].accepted & STRICT) != 0);
        CHECK_INT(name, instant, cases[i].accepted & STRICT ? cases[i].instant : 77);
        instant = 77;
        CHECK_INT(name, instant_parse_loose(str_of(name), &instant), (cases[i].accepted & LOOSE) != 0);
        CHECK_INT(name, instant, cases[i].accepted & LOOSE ? cases[i].instant : 77);
    }
}

/* Against the C library's calendar, over the whole range. */
static void test_format_agrees_with_gmtime(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (int i = 0; i < 20000; i++) {
        uint64_t span = (uint64_t)INSTANT_MAX - (uint64_t)INSTANT_MIN;
        int64_t instant = INSTANT_MIN + (int64_t)(check_random(&random) % (span + 1));
        int64_t micros = (instant % MICROS_PER_SECOND + MICROS_PER_SECOND) % MICROS_PER_SECOND;
        time_t seconds = (time_t)((instant - micros) / MICROS_PER_SECOND);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        char want[80], got[INSTANT_TEXT_LEN + 1];
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.%06" PRId64 "Z", tm.tm_year + 1900,
            tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, micros);
        instant_format(instant, got);
        CHECK_STR(want, str_of(got), str_of(want));
        int64_t again;
        CHECK(want, instant_parse(str_of(got), &again) && again == instant);
    }
}

static void test_strbuf(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    strbuf_instant(&b, INSTANT_MIN);
    strbuf_char(&b, ' ');
    strbuf_instant(&b, INSTANT_MAX);
    CHECK_STR(
        "ends of the range", strbuf_view(&b), STR("0001-01-01T00:00:00.000000Z 9999-12-31T23:59:59.999999Z"));
    strbuf_fini(&b);
}

static void format_it(void *ctx)
{
    char text[INSTANT_TEXT_LEN + 1];
    instant_format(*(int64_t *)ctx, text);
}

static void test_out_of_range_aborts(void **state)
{
    (void)state;
    int64_t early = INSTANT_MIN - 1, late = INSTANT_MAX + 1;
    assert_true(check_aborts(format_it, &early));
    assert_true(check_aborts(format_it, &late));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_format_agrees_with_gmtime),
        cmocka_unit_test(test_strbuf),
        cmocka_unit_test(test_out_of_range_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
