#include "base/arena.h"

#include "base/check.h"

static void test_allocations_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t chunk, size;
    } cases[] = {
        {"nothing", 0, 0},
        {"one byte", 0, 1},
        {"odd size", 0, 33},
        {"a whole chunk", 64, 64},
        {"larger than a chunk", 64, 1000},
        {"chunk of an odd size", 37, 20},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        arena_init(&a, cases[i].chunk);
        unsigned char *blocks[50];
        for (size_t n = 0; n < COUNT_OF(blocks); n++) {
            blocks[n] = arena_alloc(&a, cases[i].size);
            CHECK(cases[i].name, blocks[n] != NULL && (uintptr_t)blocks[n] % _Alignof(max_align_t) == 0);
            for (size_t k = 0; k < cases[i].size; k++)
                CHECK_INT(cases[i].name, blocks[n][k], 0);
            memset(blocks[n], (int)n + 1, cases[i].size);
        }
        for (size_t n = 0; n < COUNT_OF(blocks); n++)
            for (size_t k = 0; k < cases[i].size; k++)
                CHECK_INT(cases[i].name, blocks[n][k], n + 1);
        arena_fini(&a);
        CHECK(cases[i].name, a.chunk == NULL);
    }
}

static void test_reset_keeps_one_chunk_and_zeroes_again(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 256);
    arena_reset(&a); /* of an empty one: nothing */
    assert_null(a.chunk);
    void *first = arena_alloc(&a, 100);
    memset(first, 0xff, 100);
    for (int i = 0; i < 20; i++)
        memset(arena_alloc(&a, 200), 0xff, 200);
    arena_reset(&a);
    unsigned char *again = arena_alloc(&a, 100);
    assert_ptr_equal(again, first);
    for (int i = 0; i < 100; i++)
        assert_int_equal(again[i], 0);
    arena_fini(&a);
}

static void test_strings(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_null(arena_str(&a, STR_NONE).data);
    struct str empty = arena_str(&a, STR(""));
    assert_non_null(empty.data);
    assert_int_equal(empty.len, 0);
    char source[] = "wallet";
    struct str copy = arena_str(&a, str_of(source));
    source[0] = 'W';
    CHECK_STR("copied, not borrowed", copy, STR("wallet"));
    assert_int_equal(copy.data[copy.len], '\0');
    CHECK_STR("printf", arena_printf(&a, "%s:%d", "USD", 42), STR("USD:42"));
    struct str long_text = arena_printf(&a, "%05000d", 7);
    assert_int_equal(long_text.len, 5000);
    int64_t numbers[] = {1, 2, 3};
    int64_t *copied = arena_copy(&a, numbers, sizeof numbers);
    assert_memory_equal(copied, numbers, sizeof numbers);
    assert_non_null(arena_copy(&a, NULL, 0));
    assert_non_null(ARENA_NEW(&a, struct str));
    assert_non_null(ARENA_ARRAY(&a, struct str, 3));
    arena_fini(&a);
}

static void ask_too_much(void *ctx)
{
    arena_alloc(ctx, SIZE_MAX / 2);
}

static void test_absurd_sizes_abort(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_true(check_aborts(ask_too_much, &a));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_zeroed_aligned_and_apart),
        cmocka_unit_test(test_reset_keeps_one_chunk_and_zeroes_again),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_absurd_sizes_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
