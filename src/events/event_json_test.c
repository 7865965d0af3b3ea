#include "base/testing.h"

#include "events/event_json.h"

#include <string.h>

static void test_members_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *object, *name, *value; /* value NULL: none */
    } cases[] = {
        {"{\"name\":\"A\",\"metadata\":{}}", "name", "\"A\""},
        {"{\"name\":\"A\",\"metadata\":{}}", "metadata", "{}"},
        {"{\"metadata\":{\"name\":1,\"x\":[{},2,\"}\"]},\"name\":null}", "metadata",
            "{\"name\":1,\"x\":[{},2,\"}\"]}"},
        {"{\"metadata\":{\"name\":1}}", "name", NULL},
        {"{\"metadata\":{\"name\":1},\"name\":\"a,\\\"}\"}", "name", "\"a,\\\"}\""},
        {"{\"a\":\"metadata\",\"metadata\":[1,2]}", "metadata", "[1,2]"},
        {"{}", "name", NULL},
        {"", "name", NULL},
        {"[1]", "name", NULL},
        {"{\"name\":", "name", NULL},
        {"{\"name\":\"open", "name", NULL},
        {"{\"a\":1,", "name", NULL},
        {"{\"a\":1]\"name\":2}", "name", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str value = event_json_member(str_of(cases[i].object), cases[i].name);
        if (cases[i].value == NULL ? value.data != NULL : !str_eq_c(value, cases[i].value))
            fail_msg("%s of %s is %.*s", cases[i].name, cases[i].object, (int)value.len,
                value.data ? value.data : "");
    }
}

static void test_strings_are_escaped(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    event_json_string(&b, STR("\"a\\\n\x01é"));
    event_json_string(&b, STR_NONE);
    event_json_string(&b, STR(""));
    assert_true(str_eq_c(strbuf_view(&b), "\"\\\"a\\\\\\u000a\\u0001é\"null\"\""));
    strbuf_fini(&b);
}

static void test_commas_stand_between_members(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    strbuf_char(&b, '{');
    event_json_int(&b, "a", -1);
    event_json_text(&b, "b", STR("{"));
    event_json_uint(&b, "c", UINT64_MAX);
    strbuf_char(&b, '}');
    assert_true(str_eq_c(strbuf_view(&b), "{\"a\":-1,\"b\":\"{\",\"c\":18446744073709551615}"));
    strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_found),
        cmocka_unit_test(test_strings_are_escaped),
        cmocka_unit_test(test_commas_stand_between_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
