#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/static_files.h"

static void contract_is_there(void **state)
{
    (void)state;
    const struct static_file *file = static_file_find(STR("/openapi.yaml"));
    assert_non_null(file);
    assert_string_equal(file->content_type, "application/yaml; charset=utf-8");
    assert_true(str_starts(file->bytes, STR("openapi: 3.1")));
    /* The last byte is the file's, not the NUL behind it. */
    assert_int_equal(file->bytes.data[file->bytes.len - 1], '\n');
    assert_int_equal(file->bytes.data[file->bytes.len], '\0');
}

static void page_answers_with_and_without_slash(void **state)
{
    (void)state;
    const struct static_file *page = static_file_find(STR("/api"));
    assert_non_null(page);
    assert_ptr_equal(page, static_file_find(STR("/api/")));
    assert_true(str_starts(page->bytes, STR("<!doctype html>")));
}

/* Whatever the page asks for from this server is in the table: a page that loads half is worse than none. */
static void page_parts_are_there(void **state)
{
    (void)state;
    struct str page = static_file_find(STR("/api"))->bytes;
    size_t parts = 0;
    for (size_t i = 0; i + 5 < page.len; i++) {
        if (memcmp(page.data + i, "\"/api/", 6) != 0)
            continue;
        size_t end = i + 1;
        while (page.data[end] != '"')
            end++;
        assert_non_null(static_file_find((struct str){page.data + i + 1, end - i - 1}));
        parts++;
    }
#ifdef CREDITLEDGER_SWAGGER_UI
    assert_true(parts >= 4);
#else
    assert_int_equal(parts, 0);
#endif
}

static void other_paths_are_not(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "", "/", "/api/x", "/openapi.yam", "/openapi.yaml2", "/api//", "/apix"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_null(static_file_find(str_of(paths[i])));
    assert_null(static_file_find(STR_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contract_is_there),
        cmocka_unit_test(page_answers_with_and_without_slash),
        cmocka_unit_test(page_parts_are_there),
        cmocka_unit_test(other_paths_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
