#include "readmodel/json_plain.h"

#include <jansson.h>

#include "base/check.h"

/* What jansson reads in it is the same: `plain` is a part of JSON. */
static void same(const char *name, const struct json_value *plain, json_t *tree)
{
    const struct json_value *child = plain->first;
    json_t *of_tree;
    size_t i;
    const char *key;
    switch (plain->kind) {
    case JSON_KIND_NULL:
        CHECK(name, json_is_null(tree));
        return;
    case JSON_KIND_BOOL:
        CHECK(name, json_is_boolean(tree));
        return;
    case JSON_KIND_INT:
        CHECK(name, json_is_integer(tree));
        CHECK_INT(name, plain->integer, json_integer_value(tree));
        return;
    case JSON_KIND_TEXT:
        CHECK(name, json_is_string(tree));
        CHECK_STR(name, plain->text, ((struct str){json_string_value(tree), json_string_length(tree)}));
        return;
    case JSON_KIND_ARRAY:
        CHECK(name, json_is_array(tree));
        json_array_foreach(tree, i, of_tree)
        {
            CHECK(name, child != NULL);
            same(name, child, of_tree);
            child = child->next;
        }
        CHECK(name, child == NULL);
        return;
    case JSON_KIND_OBJECT:
        CHECK(name, json_is_object(tree));
        json_object_foreach(tree, key, of_tree)
        {
            CHECK(name, json_value_member(plain, key) != NULL);
            same(name, json_value_member(plain, key), of_tree);
            child = child->next;
        }
        CHECK(name, child == NULL);
        return;
    case JSON_KIND_REAL:
        break;
    }
    fail_msg("%s: a real is not plain", name);
}

/* True if it is plain; then jansson takes it too. */
static bool held_against_jansson(const char *name, struct str data, struct arena *arena)
{
    struct json_value *plain = json_plain(data, arena);
    if (plain == NULL)
        return false;
    json_t *tree = json_loadb(data.data, data.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    if (tree == NULL)
        fail_msg("%s: no JSON, and plain: " STR_FMT, name, STR_ARG(data));
    same(name, plain, tree);
    CHECK_STR(name, plain->raw, data);
    json_decref(tree);
    return true;
}

static void test_what_is_plain(void **state)
{
    static const struct {
        const char *name, *data;
        bool plain;
    } cases[] = {
        {"an object", "{\"a\":1,\"b\":\"x\",\"c\":[true,false,null],\"d\":{},\"e\":[]}", true},
        {"a number", "-12", true},
        {"64 bits", "9223372036854775807", true},
        {"minus zero", "[-0]", true},
        {"other letters", "{\"příjmení\":\"žluťoučký\"}", true},
        {"the same name on two levels", "{\"a\":{\"a\":1}}", true},
        {"names of one length and edges", "{\"axb\":1,\"ayb\":2}", true},
        {"more than 64 bits", "9223372036854775808", false},
        {"a zero before", "[01]", false},
        {"no digits", "[-]", false},
        {"a fraction", "[1.5]", false},
        {"an exponent", "[1e3]", false},
        {"an escape", "[\"\\n\"]", false},
        {"a control character", "[\"\n\"]", false},
        {"no UTF-8", "[\"\xff\"]", false},
        {"a surrogate", "[\"\xed\xa0\x80\"]", false},
        {"blanks", "{\"a\": 1}", false},
        {"a blank behind", "{} ", false},
        {"a name twice", "{\"a\":1,\"b\":2,\"a\":3}", false},
        {"no name", "{1}", false},
        {"no value", "{\"a\":}", false},
        {"a comma too many", "[1,]", false},
        {"a comma too few", "[1 2]", false},
        {"another bracket", "[1}", false},
        {"cut in text", "[\"a", false},
        {"cut", "{\"a\":1", false},
        {"cut in a word", "[nul", false},
        {"two values", "{}{}", false},
        {"nothing", "", false},
        {"deep", "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", false},
    };
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CHECK_INT(cases[i].name, held_against_jansson(cases[i].name, str_of(cases[i].data), &arena),
            cases[i].plain);
    arena_fini(&arena);
}

/* Bytes changed by chance: whatever still is plain is JSON. */
static void test_changed_by_chance(void **state)
{
    static const char sound[] =
        "{\"a\":-1,\"b\":\"x\",\"aa\":[true,null,{\"k\":0,\"l\":\"\xc3\xa9\"}],\"d\":{},\"c\":12}";
    static const char bytes[] = "{}[],:\"\\abl019-. tnu\xc3\xa9\x01";
    (void)state;
    struct arena arena;
    uint64_t random = 11;
    size_t plain = 0;
    arena_init(&arena, 0);
    for (size_t i = 0; i < 30000; i++) {
        char data[sizeof sound];
        memcpy(data, sound, sizeof sound);
        for (size_t n = 1 + check_below(&random, 3); n > 0; n--)
            data[check_below(&random, sizeof sound - 1)] = bytes[check_below(&random, sizeof bytes - 1)];
        plain += held_against_jansson("changed", (struct str){data, sizeof sound - 1}, &arena);
        arena_reset(&arena);
    }
    CHECK("some are plain", plain > 1000 && plain < 29000);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_plain),
        cmocka_unit_test(test_changed_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
