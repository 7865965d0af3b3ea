#include "api/cursor.h"

#include "base/check.h"

static const struct cursor sample = {
    .kind = CURSOR_TRANSFERS, .filter = 0x1122334455667788u, .values = {1, UINT64_MAX}, .n = 2};

static struct str encoded(struct strbuf *b, const struct cursor *cursor)
{
    strbuf_init(b);
    cursor_encode(cursor, b);
    return strbuf_view(b);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t n = 0; n <= CURSOR_VALUES_MAX; n++) {
        struct cursor in = {.kind = CURSOR_STATEMENT, .filter = n * 77, .n = n}, out;
        struct strbuf b;
        for (size_t i = 0; i < n; i++)
            in.values[i] = UINT64_C(0x9e3779b97f4a7c15) * (i + n);
        struct str text = encoded(&b, &in);
        assert_true(text.len <= CURSOR_TEXT_MAX);
        assert_true(cursor_decode(text, CURSOR_STATEMENT, n * 77, n, &out));
        for (size_t i = 0; i < n; i++)
            assert_int_equal(out.values[i], in.values[i]);
        strbuf_fini(&b);
    }
}

static void test_of_another_list_or_filter(void **state)
{
    (void)state;
    struct strbuf b;
    struct cursor out;
    struct str text = encoded(&b, &sample);
    assert_true(cursor_decode(text, sample.kind, sample.filter, 2, &out));
    assert_int_equal(cursor_kind(text), sample.kind);
    assert_int_equal(cursor_kind((struct str){text.data, text.len - 1}), 0);
    assert_int_equal(cursor_kind(STR("")), 0);
    assert_int_equal(cursor_kind(STR("AQID")), 0);
    assert_false(cursor_decode(text, CURSOR_ACCOUNTS, sample.filter, 2, &out));
    assert_false(cursor_decode(text, sample.kind, sample.filter + 1, 2, &out));
    assert_false(cursor_decode(text, sample.kind, sample.filter, 1, &out));
    assert_false(cursor_decode(text, sample.kind, sample.filter, 3, &out));
    strbuf_fini(&b);
}

/* Any one character changed, dropped or added makes it invalid. */
static void test_every_change_is_noticed(void **state)
{
    (void)state;
    struct strbuf b;
    struct cursor out;
    struct str text = encoded(&b, &sample);
    char copy[CURSOR_TEXT_MAX + 2];
    for (size_t i = 0; i < text.len; i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(copy, text.data, text.len);
            if (copy[i] == (char)c)
                continue;
            copy[i] = (char)c;
            assert_false(cursor_decode((struct str){copy, text.len}, sample.kind, sample.filter, 2, &out));
            assert_int_equal(cursor_kind((struct str){copy, text.len}), 0);
        }
        assert_false(cursor_decode((struct str){text.data, i}, sample.kind, sample.filter, 2, &out));
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = 'A';
    assert_false(cursor_decode((struct str){copy, text.len + 1}, sample.kind, sample.filter, 2, &out));
    strbuf_fini(&b);
}

static void test_filters_do_not_run_together(void **state)
{
    (void)state;
    uint64_t ab_c = cursor_filter(cursor_filter(1, STR("ab")), STR("c"));
    uint64_t a_bc = cursor_filter(cursor_filter(1, STR("a")), STR("bc"));
    assert_true(ab_c != a_bc);
    assert_true(cursor_filter(1, STR("")) != cursor_filter(1, STR_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_of_another_list_or_filter),
        cmocka_unit_test(test_every_change_is_noticed),
        cmocka_unit_test(test_filters_do_not_run_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
