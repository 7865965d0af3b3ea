#include "ledger/record.h"

#include "base/check.h"
#include "base/limits.h"

static void test_kinds(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "opening", "revision", "transfer", "reversal", "declined",
        "erasure", "hold", "capture", "void", "grant", "expiry", "exchange", NULL};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *name = record_kind_name((enum record_kind)i);
        CHECK_STR(names[i] ? names[i] : "no kind", str_of(name), str_of(names[i]));
    }
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int number, side;
    } cases[] = {
        {"asset", 1, -1}, {"liability", 2, 1}, {"equity", 3, 1}, {"income", 4, 1}, {"expense", 5, -1}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum account_type type;
        CHECK(cases[i].name, account_type_parse(str_of(cases[i].name), &type));
        CHECK_INT(cases[i].name, type, cases[i].number);
        CHECK_INT(cases[i].name, account_type_side(type), cases[i].side);
        CHECK_STR(cases[i].name, str_of(account_type_name(type)), str_of(cases[i].name));
    }
    static const char *const unknown[] = {"", "wallet", "Asset", "asset ", "assets", "ass"};
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        enum account_type type;
        CHECK(unknown[i], !account_type_parse(str_of(unknown[i]), &type));
    }
    assert_null(account_type_name((enum account_type)0));
    assert_null(account_type_name((enum account_type)6));
}

static void test_statuses(void **state)
{
    (void)state;
    static const char *const names[] = {"open", "frozen", "closed"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        enum account_status status;
        CHECK(names[i], account_status_parse(str_of(names[i]), &status));
        CHECK_INT(names[i], status, i + 1);
        CHECK_STR(names[i], str_of(account_status_name(status)), str_of(names[i]));
    }
    enum account_status status;
    assert_false(account_status_parse(STR("active"), &status));
    assert_false(account_status_parse(STR(""), &status));
    assert_null(account_status_name((enum account_status)0));
    assert_null(account_status_name((enum account_status)4));
}

static void test_amounts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct amounts amounts;
        int side;
        int64_t balance, available;
    } cases[] = {
        {"credit-normal", {100, 0, 0}, 1, 100, 100},
        {"credit-normal: outgoing lowers", {100, 20, 30}, 1, 100, 70},
        {"credit-normal, overdrawn", {-5, 0, 30}, 1, -5, -35},
        {"debit-normal", {-100, 0, 0}, -1, 100, 100},
        {"debit-normal: incoming lowers", {-100, 20, 30}, -1, 100, 80},
        {"debit-normal, overdrawn", {5, 20, 0}, -1, -5, -25},
        {"the extremes", {-LIMIT_AMOUNT_MAX, 0, LIMIT_AMOUNT_MAX}, 1, -LIMIT_AMOUNT_MAX,
            -2 * LIMIT_AMOUNT_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].name, amounts_balance(cases[i].amounts, cases[i].side), cases[i].balance);
        CHECK_INT(cases[i].name, amounts_available(cases[i].amounts, cases[i].side), cases[i].available);
    }
}

static void test_entry_moves(void **state)
{
    (void)state;
    assert_false(entry_moves(&(struct entry){.after = {1, 2, 3}}));
    assert_true(entry_moves(&(struct entry){.change = {.posted = -1}}));
    assert_true(entry_moves(&(struct entry){.change = {.incoming = 1}}));
    assert_true(entry_moves(&(struct entry){.change = {.outgoing = -1}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_entry_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
