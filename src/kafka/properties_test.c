#include "kafka/properties.h"

#include "base/check.h"

struct seen {
    struct strbuf b;
    int stop_at;
};

static int see(void *ctx, int line, const char *key, const char *value, struct err *err)
{
    struct seen *seen = ctx;
    strbuf_printf(&seen->b, "%d:%s=%s;", line, key, value);
    return line == seen->stop_at ? err_set(err, ERR_CONFIG, "stopped") : 0;
}

static void properties_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *want;
        int stop_at;
    } cases[] = {
        {"nothing", "", "", 0},
        {"one", "a=b", "1:a=b;", 0},
        {"blank lines and comments", "\n# x=y\n  ! z\n\na=b\n", "5:a=b;", 0},
        {"blanks around", "  a.b-c_D9 =  v w\t\r\n", "1:a.b-c_D9=v w;", 0},
        {"an empty value", "a=\nb=1", "1:a=;2:b=1;", 0},
        {"equals signs and marks in a value", "jaas=x y=\"p=#!\";", "1:jaas=x y=\"p=#!\";;", 0},
        {"backslashes are bytes", "p=a\\nb", "1:p=a\\nb;", 0},
        {"a visit stops it", "a=1\nb=2\nc=3", "1:a=1;2:b=2;", 2},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seen seen = {.stop_at = cases[i].stop_at};
        strbuf_init(&seen.b);
        struct err err = {0};
        int rc = properties_parse(str_of(cases[i].text), see, &seen, &err);
        CHECK_INT(cases[i].name, rc, cases[i].stop_at != 0 ? ERR_CONFIG : 0);
        CHECK_STR(cases[i].name, strbuf_view(&seen.b), str_of(cases[i].want));
        strbuf_fini(&seen.b);
    }
}

/* What is wrong is told by its line; nothing that could be a password is in the message. */
static void wrong_lines_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *line;
    } cases[] = {
        {"no equals sign", "a=b\nsecret", "line 2"},
        {"no key", "=secret", "line 1"},
        {"a blank in the key", "\n\nsasl password=secret", "line 3"},
        {"not ASCII", "pässword=secret", "line 1"},
        {"a control character", "a\x01=secret", "line 1"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seen seen = {0};
        strbuf_init(&seen.b);
        struct err err = {0};
        CHECK_INT(cases[i].name, properties_parse(str_of(cases[i].text), see, &seen, &err), ERR_CONFIG);
        CHECK(cases[i].name, strstr(err.message, cases[i].line) != NULL);
        CHECK(cases[i].name, strstr(err.message, "secret") == NULL);
        strbuf_fini(&seen.b);
    }
}

static void lengths_are_limited(void **state)
{
    (void)state;
    struct strbuf text;
    strbuf_init(&text);
    for (size_t more = 0; more < 2; more++) {
        struct seen seen = {0};
        strbuf_init(&seen.b);
        struct err err = {0};
        strbuf_clear(&text);
        strbuf_c(&text, "k=");
        for (size_t i = 0; i < PROPERTY_VALUE_MAX + more; i++)
            strbuf_char(&text, 'v');
        CHECK_INT("value", properties_parse(strbuf_view(&text), see, &seen, &err), more ? ERR_CONFIG : 0);
        strbuf_clear(&text);
        for (size_t i = 0; i < PROPERTY_KEY_MAX + more; i++)
            strbuf_char(&text, 'k');
        strbuf_c(&text, "=v");
        CHECK_INT("key", properties_parse(strbuf_view(&text), see, &seen, &err), more ? ERR_CONFIG : 0);
        strbuf_fini(&seen.b);
    }
    strbuf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_are_read),
        cmocka_unit_test(wrong_lines_are_refused),
        cmocka_unit_test(lengths_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
