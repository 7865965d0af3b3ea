#include "base/err.h"

#include "base/check.h"

static void test_set_and_wrap(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(err_set(&err, ERR_FULL, "page %d", 7), ERR_FULL);
    assert_int_equal(err.code, ERR_FULL);
    assert_string_equal(err.message, "page 7");
    assert_int_equal(err_wrap(&err, "batch of %d", 64), ERR_FULL);
    assert_string_equal(err.message, "batch of 64: page 7");
    assert_int_equal(err_set(NULL, ERR_BUSY, "nobody listens"), ERR_BUSY);
    assert_int_equal(err_wrap(NULL, "nobody listens"), ERR_IO);
}

static void test_long_messages_are_cut_not_overrun(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_IO, "%0600d", 1);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
    for (int i = 0; i < 5; i++)
        err_wrap(&err, "%0200d", i);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
    assert_int_equal(err.code, ERR_IO);
    err_wrap(&err, "%0600d", 1);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
}

static void break_invariant(void *ctx)
{
    INVARIANT_F(ctx == NULL, "ctx %p", ctx);
}

static void test_invariants_abort(void **state)
{
    (void)state;
    int something = 0;
    assert_true(check_aborts(break_invariant, &something));
    assert_false(check_aborts(break_invariant, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_and_wrap),
        cmocka_unit_test(test_long_messages_are_cut_not_overrun),
        cmocka_unit_test(test_invariants_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
