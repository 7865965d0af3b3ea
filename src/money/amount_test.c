#include "money/amount.h"

#include "base/check.h"
#include "base/limits.h"

#define MAX LIMIT_AMOUNT_MAX

static void test_add(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t a, b;
        bool fits;
    } cases[] = {
        {"zero", 0, 0, true},
        {"plain", 1200, 34, true},
        {"negative", -1200, -34, true},
        {"up to the limit", MAX - 1, 1, true},
        {"over the limit by one", MAX, 1, false},
        {"down to the limit", -MAX + 1, -1, true},
        {"under the limit by one", -MAX, -1, false},
        {"both at the limit", MAX, MAX, false},
        {"limits cancel", MAX, -MAX, true},
        {"past 64 bits", INT64_MAX, 1, false},
        {"below 64 bits", INT64_MIN, -1, false},
        {"out of range inputs, sum in range", INT64_MAX, INT64_MIN, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t sum = 77;
        CHECK_INT(cases[i].name, amount_add(cases[i].a, cases[i].b, &sum), cases[i].fits);
        CHECK(cases[i].name, sum == (cases[i].fits ? cases[i].a + cases[i].b : 77));
        int64_t swapped = 77;
        CHECK_INT(cases[i].name, amount_add(cases[i].b, cases[i].a, &swapped), cases[i].fits);
        CHECK(cases[i].name, swapped == sum);
    }
}

static void test_range(void **state)
{
    (void)state;
    assert_true(amount_in_range(0) && amount_in_range(MAX) && amount_in_range(-MAX));
    assert_false(amount_in_range(MAX + 1) || amount_in_range(-MAX - 1));
    assert_false(amount_in_range(INT64_MAX) || amount_in_range(INT64_MIN));
}

static void test_parse_decimal(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int scale;
        char point;
        bool valid;
        int64_t minor;
    } cases[] = {
        {"12.34", 2, '.', true, 1234},
        {"12.3", 2, '.', true, 1230},
        {"12", 2, '.', true, 1200},
        {"-12.34", 2, '.', true, -1234},
        {"+12.34", 2, '.', true, 1234},
        {"0.05", 2, '.', true, 5},
        {"-0.05", 2, '.', true, -5},
        {"-0", 2, '.', true, 0},
        {"007", 0, '.', true, 7},
        {"12,34", 2, ',', true, 1234},
        {"12.34", 2, ',', false, 0},
        {"12,34", 2, '.', false, 0},
        {"12.345", 2, '.', false, 0},
        {"12.340", 2, '.', false, 0},
        {"12.0", 0, '.', false, 0},
        {"12.", 2, '.', false, 0},
        {".5", 2, '.', false, 0},
        {"-.5", 2, '.', false, 0},
        {".", 2, '.', false, 0},
        {"1.2.3", 2, '.', false, 0},
        {"", 2, '.', false, 0},
        {"-", 2, '.', false, 0},
        {"+-1", 2, '.', false, 0},
        {"- 1", 2, '.', false, 0},
        {" 1", 2, '.', false, 0},
        {"1 ", 2, '.', false, 0},
        {"1,234.56", 2, '.', false, 0},
        {"1e3", 2, '.', false, 0},
        {"12x", 2, '.', false, 0},
        {"4000000000000000000", 0, '.', true, MAX},
        {"-4000000000000000000", 0, '.', true, -MAX},
        {"4000000000000000001", 0, '.', false, 0},
        {"9223372036854775808", 0, '.', false, 0},
        {"99999999999999999999999999", 0, '.', false, 0},
        {"40000000000000000.00", 2, '.', true, MAX},
        {"40000000000000000.01", 2, '.', false, 0},
        {"4", 18, '.', true, MAX},
        {"5", 18, '.', false, 0},
        {"0.000000000000000001", 18, '.', true, 1},
        {"0.0000000000000000001", 18, '.', false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t minor = 77;
        bool valid = amount_parse_decimal(str_of(cases[i].text), cases[i].scale, cases[i].point, &minor);
        CHECK_INT(cases[i].text, valid, cases[i].valid);
        CHECK_INT(cases[i].text, minor, cases[i].valid ? cases[i].minor : 77);
    }
}

static void test_write(void **state)
{
    (void)state;
    static const struct {
        int64_t minor;
        int scale;
        const char *text;
    } cases[] = {
        {1234, 2, "12.34"},
        {-1234, 2, "-12.34"},
        {5, 2, "0.05"},
        {-5, 2, "-0.05"},
        {0, 2, "0.00"},
        {0, 0, "0"},
        {7, 0, "7"},
        {100, 2, "1.00"},
        {1, 18, "0.000000000000000001"},
        {MAX, 0, "4000000000000000000"},
        {-MAX, 18, "-4.000000000000000000"},
        {INT64_MAX, 2, "92233720368547758.07"},
        {INT64_MIN, 2, "-92233720368547758.08"},
    };
    struct strbuf b;
    strbuf_init(&b);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        strbuf_clear(&b);
        strbuf_amount(&b, cases[i].minor, cases[i].scale);
        CHECK_STR(cases[i].text, strbuf_view(&b), str_of(cases[i].text));
    }
    strbuf_clear(&b);
    amount_sum least = (amount_sum)((amount_magnitude)1 << 127);
    strbuf_amount_sum(&b, least, 0);
    CHECK_STR("least of 128 bits", strbuf_view(&b), STR("-170141183460469231731687303715884105728"));
    strbuf_clear(&b);
    strbuf_amount_sum(&b, (amount_sum)MAX * 1000000, 2);
    CHECK_STR("a million full accounts", strbuf_view(&b), STR("40000000000000000000000.00"));
    strbuf_fini(&b);
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t random = 99;
    struct strbuf b;
    strbuf_init(&b);
    for (int i = 0; i < 20000; i++) {
        int64_t minor = (int64_t)check_below(&random, (uint64_t)MAX + 1) >> check_below(&random, 62);
        minor = check_below(&random, 2) ? minor : -minor;
        int scale = (int)check_below(&random, LIMIT_ASSET_SCALE_MAX + 1);
        strbuf_clear(&b);
        strbuf_amount(&b, minor, scale);
        int64_t again;
        assert_true(amount_parse_decimal(strbuf_view(&b), scale, '.', &again));
        assert_int_equal(again, minor);
    }
    strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_parse_decimal),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
