/*
 * The table's own rules, and that docs/errors.md is what the table says. `refusal_test --markdown` writes
 * that page.
 */
#include "ledger/refusal.h"

#include "base/check.h"

static void write_markdown(struct strbuf *b)
{
    static const char *const kinds[] = {[REFUSAL_KIND_REQUEST] = "request",
        [REFUSAL_KIND_STATE] = "state",
        [REFUSAL_KIND_SERVICE] = "service"};
    strbuf_c(b,
        "# Errors\n\n"
        "Every `code` that an `application/problem+json` answer can carry, written from the table in\n"
        "`src/ledger/refusal.h`. Codes and numbers never change their meaning; the number is what a\n"
        "`declined` record stores.\n\n"
        "- **request**: the request itself is wrong; nothing is recorded.\n"
        "- **state**: depends on the ledger's state; recorded as a `declined` record that binds the\n"
        "  idempotency key, so that a late retry gets the same answer.\n"
        "- **service**: the server cannot now; nothing is recorded, retry with the same key.\n\n"
        "| code | status | number | kind | title | what to do |\n"
        "|---|---|---|---|---|---|\n");
    size_t n;
    const struct refusal_info *all = refusal_all(&n);
    for (size_t i = 0; i < n; i++) {
        strbuf_printf(b, "| `%s` | %d | %d | %s | %s | ", all[i].name, all[i].http_status,
            (int)all[i].refusal, kinds[all[i].kind], all[i].title);
        for (const char *p = all[i].hint; *p != '\0'; p++)
            if (*p == '<' || *p == '*' || *p == '_')
                strbuf_printf(b, "\\%c", *p); /* else Markdown takes it for its own */
            else
                strbuf_char(b, *p);
        strbuf_c(b, " |\n");
    }
}

static bool is_name(const char *name)
{
    if (name[0] < 'a' || name[0] > 'z')
        return false;
    for (const char *p = name; *p != '\0'; p++)
        if (!(*p >= 'a' && *p <= 'z') && !(*p >= '0' && *p <= '9') && *p != '_')
            return false;
    return true;
}

static void test_rows(void **state)
{
    (void)state;
    size_t n;
    const struct refusal_info *all = refusal_all(&n);
    assert_true(n > 50);
    for (size_t i = 0; i < n; i++) {
        const char *name = all[i].name;
        CHECK(name, is_name(name));
        CHECK(name, i == 0 || all[i].refusal > all[i - 1].refusal); /* unique, and in order of precedence */
        for (size_t k = 0; k < i; k++)
            CHECK(name, strcmp(name, all[k].name) != 0);
        size_t hint = strlen(all[i].hint), title = strlen(all[i].title);
        CHECK(name, hint > 10 && all[i].hint[hint - 1] == '.');
        CHECK(name, title > 5 && all[i].title[title - 1] != '.');
        CHECK(name, strchr(all[i].hint, '|') == NULL && strchr(all[i].title, '|') == NULL);
        bool is_client = all[i].http_status >= 400 && all[i].http_status <= 499;
        CHECK(name, all[i].kind == REFUSAL_KIND_SERVICE ? all[i].http_status / 100 == 5 : is_client);
        /* The hundreds of a number are its kind. */
        static const enum refusal_kind kind_of[] = {REFUSAL_KIND_REQUEST, REFUSAL_KIND_REQUEST,
            REFUSAL_KIND_REQUEST, REFUSAL_KIND_STATE, REFUSAL_KIND_SERVICE};
        CHECK_INT(name, all[i].kind, kind_of[all[i].refusal / 100]);
        CHECK(name, refusal_info(all[i].refusal) == &all[i]);
        CHECK_INT(name, refusal_is_recorded(all[i].refusal), all[i].kind == REFUSAL_KIND_STATE);
    }
}

/* Numbers are stored for ever: these may be added to, never changed. */
static void test_stored_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int number;
    } cases[] = {
        {"external_id_taken", 300},
        {"precondition_failed", 301},
        {"account_not_empty", 302},
        {"account_closed", 303},
        {"account_frozen", 304},
        {"expected_version", 305},
        {"expected_available", 306},
        {"reversal_exceeds", 307},
        {"insufficient_funds", 308},
        {"balance_limit", 309},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct refusal_info *info = refusal_info((enum refusal)cases[i].number);
        CHECK(cases[i].name, info != NULL && refusal_is_recorded(info->refusal));
        CHECK_STR(cases[i].name, str_of(info->name), str_of(cases[i].name));
    }
}

static void test_unknown_numbers(void **state)
{
    (void)state;
    assert_null(refusal_info(REFUSAL_NONE));
    assert_null(refusal_info((enum refusal)999));
    assert_false(refusal_is_recorded(REFUSAL_NONE));
    assert_false(refusal_is_recorded((enum refusal)999));
}

static void test_page_is_the_table(void **state)
{
    (void)state;
    const char *path = getenv("ERRORS_PAGE");
    assert_non_null(path);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("cannot open %s", path);
    struct strbuf page, want;
    strbuf_init(&page);
    strbuf_init(&want);
    strbuf_reserve(&page, 1 << 20);
    page.len = fread(page.data, 1, page.cap, file);
    fclose(file);
    write_markdown(&want);
    if (!str_eq(strbuf_view(&page), strbuf_view(&want)))
        fail_msg("%s differs from the table: write it anew with ledger_refusal_test --markdown", path);
    strbuf_fini(&page);
    strbuf_fini(&want);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--markdown") == 0) {
        struct strbuf b;
        strbuf_init(&b);
        write_markdown(&b);
        bool written = fwrite(b.data, 1, b.len, stdout) == b.len;
        strbuf_fini(&b);
        return written ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_stored_numbers),
        cmocka_unit_test(test_unknown_numbers),
        cmocka_unit_test(test_page_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
