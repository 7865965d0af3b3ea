#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/bench_histogram.h"

static struct histogram h;

static void empty_has_no_quantile(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_int_equal(histogram_quantile(&h, 1), 0);
}

static void quantiles_are_near(void **state)
{
    (void)state;
    memset(&h, 0, sizeof h);
    for (uint64_t us = 1; us <= 100000; us++)
        histogram_add(&h, us);
    const double parts[] = {0.01, 0.5, 0.95, 0.99, 0.999};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double exact = parts[i] * 100000, found = (double)histogram_quantile(&h, parts[i]);
        assert_true(found >= exact && found <= exact * (1 + 1.0 / 32));
    }
    assert_int_equal(histogram_quantile(&h, 1), 100000);
    assert_int_equal(h.most, 100000);
    assert_int_equal(h.n, 100000);
}

/* Every value alone is found again within the promised error, over the whole range. */
static void every_magnitude_is_kept(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 39; bit++) {
        for (int64_t by = -1; by <= 1; by++) {
            uint64_t us = (UINT64_C(1) << bit) + (uint64_t)by;
            memset(&h, 0, sizeof h);
            histogram_add(&h, us);
            histogram_add(&h, us * 2);
            uint64_t low = histogram_quantile(&h, 0);
            assert_true(low >= us && low <= us + us / 64 + 1);
        }
    }
    memset(&h, 0, sizeof h);
    histogram_add(&h, UINT64_MAX);
    assert_int_equal(histogram_quantile(&h, 0.5), histogram_quantile(&h, 0.5));
    assert_int_equal(histogram_quantile(&h, 1), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_has_no_quantile),
        cmocka_unit_test(quantiles_are_near),
        cmocka_unit_test(every_magnitude_is_kept),
    };
    return cmocka_run_group_tests_name("app/bench_histogram", tests, NULL, NULL);
}
