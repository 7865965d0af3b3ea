#include "api/json_in.h"

#include "api/json_out.h"
#include "base/check.h"
#include "base/limits.h"

static void test_refusals(void **state)
{
    static const struct {
        const char *name, *body;
        enum refusal refusal;
        const char *detail_has;
    } cases[] = {
        {"fine", "{\"a\":1}", REFUSAL_NONE, ""},
        {"array", "[]", REFUSAL_NONE, ""},
        {"empty", "", REFUSAL_MALFORMED_JSON, "empty"},
        {"blank", " \n ", REFUSAL_MALFORMED_JSON, "empty"},
        {"cut", "{\"a\":", REFUSAL_MALFORMED_JSON, "Line 1, column 5"},
        {"behind the end", "{} x", REFUSAL_MALFORMED_JSON, "Line 1"},
        {"two values", "{}{}", REFUSAL_MALFORMED_JSON, "Line 1"},
        {"second line", "{\"a\":1,\n  b:2}", REFUSAL_MALFORMED_JSON, "Line 2, column 3"},
        {"bare value", "1", REFUSAL_MALFORMED_JSON, ""},
        {"single quotes", "{'a':1}", REFUSAL_MALFORMED_JSON, ""},
        {"comment", "{/*x*/}", REFUSAL_MALFORMED_JSON, ""},
        {"comma at the end", "{\"a\":1,}", REFUSAL_MALFORMED_JSON, ""},
        {"leading zero", "{\"a\":01}", REFUSAL_MALFORMED_JSON, ""},
        {"NaN", "{\"a\":NaN}", REFUSAL_MALFORMED_JSON, ""},
        {"zero character", "{\"a\":\"\\u0000\"}", REFUSAL_MALFORMED_JSON, ""},
        {"lone surrogate", "{\"a\":\"\\ud800\"}", REFUSAL_MALFORMED_JSON, ""},
        {"byte order mark", "\xef\xbb\xbf{}", REFUSAL_MALFORMED_JSON, ""},
        {"key twice", "{\"a\":1,\"a\":1}", REFUSAL_DUPLICATE_JSON_KEY, "\"a\""},
        {"key twice within", "{\"m\":{\"a\":1,\"a\":2}}", REFUSAL_DUPLICATE_JSON_KEY, "Line 1"},
        {"key twice, once escaped", "{\"a\":1,\"\\u0061\":2}", REFUSAL_DUPLICATE_JSON_KEY, "Line 1"},
        {"integer too big", "{\"a\":9223372036854775808}", REFUSAL_NUMBER_OUT_OF_RANGE,
            "9223372036854775808"},
        {"integer too small", "{\"a\":-9223372036854775809}", REFUSAL_NUMBER_OUT_OF_RANGE, "Line 1"},
        {"real too big", "{\"a\":1e999}", REFUSAL_NUMBER_OUT_OF_RANGE, "Line 1"},
        {"not utf-8", "{\"a\":\n\"\xff\"}", REFUSAL_INVALID_UTF8, "Line 2, byte 2"},
        {"surrogate in utf-8", "{\"a\":\"\xed\xa0\x80\"}", REFUSAL_INVALID_UTF8, "Line 1, byte 7"},
        {"overlong", "{\"a\":\"\xc0\xaf\"}", REFUSAL_INVALID_UTF8, "Line 1"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *root;
        struct fault fault = {.refusal = REFUSAL_NONE};
        bool ok = json_read(str_of(cases[i].body), &root, &fault);
        CHECK_INT(cases[i].name, fault.refusal, cases[i].refusal);
        CHECK_INT(cases[i].name, ok, cases[i].refusal == REFUSAL_NONE);
        if (ok)
            json_decref(root);
        else
            CHECK(cases[i].name, strstr(fault.detail, cases[i].detail_has) != NULL);
    }
}

static bool read_depth(int depth, struct fault *fault)
{
    char body[4 * LIMIT_JSON_DEPTH_MAX];
    json_t *root;
    memset(body, '[', (size_t)depth);
    memset(body + depth, ']', (size_t)depth);
    bool ok = json_read((struct str){body, 2 * (size_t)depth}, &root, fault);
    if (ok)
        json_decref(root);
    return ok;
}

static void test_depth(void **state)
{
    (void)state;
    struct fault fault = {.refusal = REFUSAL_NONE};
    json_t *root;
    assert_true(read_depth(LIMIT_JSON_DEPTH_MAX, &fault));
    assert_false(read_depth(LIMIT_JSON_DEPTH_MAX + 1, &fault));
    assert_int_equal(fault.refusal, REFUSAL_JSON_TOO_DEEP);
    assert_non_null(strstr(fault.detail, "column 33"));
    /* Brackets in a string are text. */
    const char *text = "{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}";
    assert_true(json_read(str_of(text), &root, &fault));
    json_decref(root);
}

static void test_content_type(void **state)
{
    static const struct {
        const char *value;
        bool bulk, ok;
        enum body_format format;
    } cases[] = {
        {"application/json", false, true, BODY_JSON},
        {"Application/JSON; charset=UTF-8", false, true, BODY_JSON},
        {"application/json;charset=\"utf-8\"", false, true, BODY_JSON},
        {"application/json; charset=latin1", false, false, BODY_JSON},
        {"application/json; profile=x", false, true, BODY_JSON},
        {"application/x-ndjson", true, true, BODY_NDJSON},
        {"application/x-ndjson", false, false, BODY_JSON},
        {"text/plain", true, false, BODY_JSON},
        {"application/x-www-form-urlencoded", false, false, BODY_JSON},
        {"", false, false, BODY_JSON},
        {NULL, false, false, BODY_JSON},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct api_header header = {STR("content-TYPE"), str_of(cases[i].value)};
        struct api_request request = {
            .headers = &header, .n_headers = cases[i].value != NULL, .body = STR("{}")};
        struct fault fault = {.refusal = REFUSAL_NONE};
        enum body_format format;
        const char *name = cases[i].value != NULL ? cases[i].value : "none";
        CHECK_INT(name, json_content_type(&request, cases[i].bulk, &format, &fault), cases[i].ok);
        CHECK_INT(name, fault.refusal, cases[i].ok ? REFUSAL_NONE : REFUSAL_UNSUPPORTED_MEDIA_TYPE);
        if (cases[i].ok)
            CHECK_INT(name, format, cases[i].format);
    }
}

static void test_canonical(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"{ \"b\" : 1 , \"a\" : [ true , null ] }", "{\"a\":[true,null],\"b\":1}"},
        {"{\"x\":0.1,\"y\":1e3,\"z\":1.5e300,\"n\":-0.0}",
            "{\"n\":-0.0,\"x\":0.1,\"y\":1000.0,\"z\":1.5e+300}"},
        {"{\"x\":0.30000000000000004}", "{\"x\":0.30000000000000004}"},
        {"{\"s\":\"\\u00e9\\u0001\\n\\\"\\\\\\/\"}", "{\"s\":\"\xc3\xa9\\u0001\\n\\\"\\\\/\"}"},
        {"{\"i\":-9223372036854775808}", "{\"i\":-9223372036854775808}"},
        {"{\"\":{},\"a\":[],\"A\":[[]]}", "{\"\":{},\"A\":[[]],\"a\":[]}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *root;
        struct fault fault;
        struct strbuf once, twice;
        strbuf_init(&once);
        strbuf_init(&twice);
        CHECK(cases[i].in, json_read(str_of(cases[i].in), &root, &fault));
        json_canonical(root, &once);
        json_decref(root);
        CHECK_STR(cases[i].in, strbuf_view(&once), str_of(cases[i].out));
        CHECK(cases[i].in, json_read(strbuf_view(&once), &root, &fault));
        json_canonical(root, &twice);
        json_decref(root);
        CHECK_STR(cases[i].in, strbuf_view(&twice), strbuf_view(&once));
        strbuf_fini(&once);
        strbuf_fini(&twice);
    }
}

static void test_out(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {&b, true};
    out_begin(&o, '{');
    out_str_member(&o, "a", STR("x\"\\\n\x01\xc3\xa9"));
    out_str_member(&o, "broken", STR("\xff!"));
    out_str_member(&o, "none", STR_NONE);
    out_amount_member(&o, "amount", -5);
    out_floor_member(&o, "floor", (struct floor){true, 7});
    out_floor_member(&o, "free", (struct floor){false, 7});
    out_key(&o, "list");
    out_begin(&o, '[');
    out_int(&o, 1);
    out_bool(&o, false);
    out_begin(&o, '{');
    out_end(&o, '}');
    out_end(&o, ']');
    out_end(&o, '}');
    CHECK_STR("out", strbuf_view(&b),
        STR("{\"a\":\"x\\\"\\\\\\n\\u0001\xc3\xa9\",\"broken\":\"\xef\xbf\xbd!\",\"none\":null,\"amount\":\"-"
            "5\","
            "\"floor\":\"7\",\"free\":null,\"list\":[1,false,{}]}"));
    strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_content_type),
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
