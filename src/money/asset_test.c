#include "money/asset.h"

#include "base/check.h"

static void test_code_valid(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        bool valid;
    } cases[] = {
        {"USD", true},
        {"A", true},
        {"CREDITS", true},
        {"GPU-HOURS.v", false},
        {"GPU-HOURS.2_X", true},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", true},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456", false},
        {"", false},
        {"usd", false},
        {"Usd", false},
        {"1UP", false},
        {"-A", false},
        {"A B", false},
        {"A/B", false},
        {"A:B", false},
        {"\xc3\x84", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CHECK_INT(cases[i].code, asset_code_valid(str_of(cases[i].code)), cases[i].valid);
    assert_false(asset_code_valid(STR_NONE));
}

static void test_iso4217_scale(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        int scale; /* -1: not known */
    } cases[] = {
        {"USD", 2},
        {"EUR", 2},
        {"GBP", 2},
        {"CHF", 2},
        {"AED", 2},
        {"ZWG", 2},
        {"XCG", 2},
        {"XAD", 2},
        {"CZK", 2},
        {"MGA", 2},
        {"MRU", 2},
        {"VES", 2},
        {"JPY", 0},
        {"KRW", 0},
        {"VND", 0},
        {"CLP", 0},
        {"BIF", 0},
        {"XPF", 0},
        {"UYI", 0},
        {"BHD", 3},
        {"KWD", 3},
        {"TND", 3},
        {"CLF", 4},
        {"UYW", 4},
        {"XAU", -1},
        {"XDR", -1},
        {"XTS", -1},
        {"XXX", -1},
        {"DEM", -1},
        {"HRK", -1},
        {"usd", -1},
        {"US", -1},
        {"USDX", -1},
        {"", -1},
        {"D A", -1},
        {"   ", -1},
        {"CREDITS", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int scale = -1;
        CHECK_INT(cases[i].code, asset_iso4217_scale(str_of(cases[i].code), &scale), cases[i].scale >= 0);
        CHECK_INT(cases[i].code, scale, cases[i].scale);
    }
}

/* The list has 178 codes, 13 of them without a minor unit. */
static void test_iso4217_is_whole(void **state)
{
    (void)state;
    int by_scale[LIMIT_ASSET_SCALE_MAX + 1] = {0};
    char code[4] = "";
    for (int i = 0; i < 26 * 26 * 26; i++) {
        code[0] = (char)('A' + i / 676);
        code[1] = (char)('A' + i / 26 % 26);
        code[2] = (char)('A' + i % 26);
        int scale;
        if (asset_iso4217_scale(str_of(code), &scale)) {
            CHECK(code, asset_code_valid(str_of(code)));
            by_scale[scale]++;
        }
    }
    CHECK_INT("scale 0", by_scale[0], 17);
    CHECK_INT("scale 2", by_scale[2], 139);
    CHECK_INT("scale 3", by_scale[3], 7);
    CHECK_INT("scale 4", by_scale[4], 2);
    CHECK_INT("scale 1", by_scale[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_valid),
        cmocka_unit_test(test_iso4217_scale),
        cmocka_unit_test(test_iso4217_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
