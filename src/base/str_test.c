#include "base/str.h"

#include "base/check.h"

static void test_compare(void **state)
{
    (void)state;
    assert_true(str_eq(STR("a"), STR("a")));
    assert_false(str_eq(STR("a"), STR("b")));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_eq_c(STR("main"), "main"));
    assert_false(str_eq_c(STR("main"), "mai"));
    assert_true(str_starts(STR("ext:1"), STR("ext:")));
    assert_true(str_starts(STR("ext:"), STR("ext:")));
    assert_false(str_starts(STR("ext"), STR("ext:")));
    assert_true(str_starts(STR_NONE, STR("")));
    assert_null(str_of(NULL).data);
    assert_int_equal(str_of("abc").len, 3);
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *parts[4];
    } cases[] = {
        {"a,b,c", {"a", "b", "c"}},
        {"a", {"a"}},
        {"", {""}},
        {",", {"", ""}},
        {"a,", {"a", ""}},
        {"a,,b", {"a", "", "b"}},
        {NULL, {NULL}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = cases[i].text ? cases[i].text : "none";
        struct str rest = str_of(cases[i].text), part;
        size_t n = 0;
        for (; str_split(&rest, ',', &part); n++) {
            CHECK(name, n < COUNT_OF(cases[i].parts) && cases[i].parts[n] != NULL);
            CHECK_STR(name, part, str_of(cases[i].parts[n]));
        }
        CHECK(name, n == COUNT_OF(cases[i].parts) || cases[i].parts[n] == NULL);
    }
}

static void test_trim(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {" a ", "a"}, {"a", "a"}, {"\t\r\n a b \n", "a b"}, {"   ", ""}, {"", ""}, {"\va", "\va"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CHECK_STR(cases[i][0], str_trim(str_of(cases[i][0])), str_of(cases[i][1]));
    assert_int_equal(str_trim(STR_NONE).len, 0);
}

/* Table 3-7 of the Unicode standard: every boundary of a well-formed sequence from both sides. */
static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct str text;
        bool valid;
    } cases[] = {
        {"none", {NULL, 0}, true},
        {"ascii", {"credits", 7}, true},
        {"NUL is a character", {"a\0b", 3}, true},
        {"umlaut", {"\xc3\xa4", 2}, true},
        {"U+0080", {"\xc2\x80", 2}, true},
        {"overlong, two bytes", {"\xc1\xbf", 2}, false},
        {"U+0800", {"\xe0\xa0\x80", 3}, true},
        {"overlong, three bytes", {"\xe0\x9f\xbf", 3}, false},
        {"U+D7FF", {"\xed\x9f\xbf", 3}, true},
        {"first surrogate", {"\xed\xa0\x80", 3}, false},
        {"U+E000", {"\xee\x80\x80", 3}, true},
        {"U+FFFF", {"\xef\xbf\xbf", 3}, true},
        {"U+10000", {"\xf0\x90\x80\x80", 4}, true},
        {"overlong, four bytes", {"\xf0\x8f\xbf\xbf", 4}, false},
        {"U+10FFFF", {"\xf4\x8f\xbf\xbf", 4}, true},
        {"past U+10FFFF", {"\xf4\x90\x80\x80", 4}, false},
        {"five-byte lead", {"\xf8\x88\x80\x80\x80", 5}, false},
        {"lone continuation", {"\x80", 1}, false},
        {"cut short", {"a\xe2\x82", 3}, false},
        {"interrupted",
            {"\xe2\x82"
             "a",
                3},
            false},
        {"0xff", {"\xff", 1}, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CHECK_INT(cases[i].name, str_utf8_valid(cases[i].text), cases[i].valid);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_signed, is_unsigned;
        int64_t as_signed;
        uint64_t as_unsigned;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"-0", true, false, 0, 0},
        {"007", true, true, 7, 7},
        {"-1", true, false, -1, 0},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", false, true, 0, UINT64_C(9223372036854775808)},
        {"-9223372036854775808", true, false, INT64_MIN, 0},
        {"-9223372036854775809", false, false, 0, 0},
        {"18446744073709551615", false, true, 0, UINT64_MAX},
        {"18446744073709551616", false, false, 0, 0},
        {"99999999999999999999999", false, false, 0, 0},
        {"", false, false, 0, 0},
        {"-", false, false, 0, 0},
        {"--1", false, false, 0, 0},
        {"+1", false, false, 0, 0},
        {" 1", false, false, 0, 0},
        {"1 ", false, false, 0, 0},
        {"1.0", false, false, 0, 0},
        {"1e3", false, false, 0, 0},
        {"0x10", false, false, 0, 0},
        {"12x", false, false, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t s = 77;
        uint64_t u = 77;
        CHECK_INT(cases[i].text, str_to_int64(str_of(cases[i].text), &s), cases[i].is_signed);
        CHECK_INT(cases[i].text, s, cases[i].is_signed ? cases[i].as_signed : 77);
        CHECK_INT(cases[i].text, str_to_uint64(str_of(cases[i].text), &u), cases[i].is_unsigned);
        CHECK(cases[i].text, u == (cases[i].is_unsigned ? cases[i].as_unsigned : 77));
    }
}

static void test_bytes(void **state)
{
    (void)state;
    uint8_t bytes[3] = {9, 9, 9};
    assert_true(str_to_bytes(STR("00fFa1"), bytes, 3));
    assert_memory_equal(bytes, "\x00\xff\xa1", 3);
    assert_false(str_to_bytes(STR("1234"), bytes, 3));
    assert_false(str_to_bytes(STR("12345g"), bytes, 3));
    assert_memory_equal(bytes, "\x00\xff\xa1", 3); /* untouched by what was refused */
}

static void test_strbuf(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    strbuf_c(&b, "a");
    strbuf_str(&b, STR("bc"));
    strbuf_str(&b, STR_NONE);
    strbuf_char(&b, '-');
    strbuf_int(&b, INT64_MIN);
    strbuf_char(&b, ' ');
    strbuf_int(&b, 0);
    strbuf_char(&b, ' ');
    strbuf_uint(&b, UINT64_MAX);
    strbuf_printf(&b, " %s=%d ", "x", 5);
    strbuf_hex(&b, (const uint8_t *)"\x0f\xf0", 2);
    CHECK_STR("all of it", strbuf_view(&b), STR("abc--9223372036854775808 0 18446744073709551615 x=5 0ff0"));
    strbuf_clear(&b);
    assert_int_equal(strbuf_view(&b).len, 0);
    for (int i = 0; i < 10000; i++)
        strbuf_char(&b, (char)('a' + i % 26));
    for (int i = 0; i < 10000; i++)
        assert_int_equal(b.data[i], 'a' + i % 26);
    strbuf_printf(&b, "%03000d", 1);
    assert_int_equal(b.len, 13000);
    strbuf_fini(&b);
    assert_null(b.data);
}

static void test_hash(void **state)
{
    (void)state;
    enum { N = 4096 };
    static uint64_t seen[N];
    for (size_t i = 0; i < N; i++) {
        seen[i] = hash64(1, &i, sizeof i);
        assert_true(seen[i] == hash64(1, &i, sizeof i));
        assert_true(seen[i] != hash64(2, &i, sizeof i));
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(seen[i] != seen[k]);
    /* Spread over the low bits, which tables use: no bucket of 256 holds four times its share. */
    size_t buckets[256] = {0};
    for (size_t i = 0; i < N; i++)
        assert_true(++buckets[seen[i] & 255] < 4 * N / 256);
    assert_true(hash64(1, "a", 1) != hash64(1, "a\0", 2));
    assert_true(hash64(1, "", 0) != hash64(2, "", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_strbuf),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
