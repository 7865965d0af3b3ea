#include "base/testing.h"

#include "app/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char digest_a[65], digest_b[65];

static void hex_of(const char *token, char ret_hex[65])
{
    uint8_t sha256[32];
    token_digest(str_of(token), sha256);
    for (int i = 0; i < 32; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", sha256[i]);
}

static int setup(void **state)
{
    (void)state;
    hex_of("secret-a", digest_a);
    hex_of("secret-b", digest_b);
    return 0;
}

static struct tokens *parse(const char *format, ...) PRINTF_LIKE(1, 2);
static struct tokens *parse(const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct tokens *tokens = NULL;
    struct err err = {0};
    if (tokens_parse(str_of(text), &tokens, &err) != 0)
        fail_msg("%s", err.message);
    return tokens;
}

static void test_digest_is_sha256(void **state)
{
    (void)state;
    char hex[65];
    hex_of("abc", hex); /* FIPS 180-4, example */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_found_by_the_token_itself(void **state)
{
    (void)state;
    struct tokens *t = parse("# clients\n\n  billing\t%s read,post \r\nops %s admin", digest_a, digest_b);
    assert_int_equal(tokens_count(t), 2);
    const struct token *a = tokens_find(t, STR("Bearer secret-a")),
                       *b = tokens_find(t, STR("bearer   secret-b "));
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a->name, "billing");
    assert_int_equal(a->scopes, SCOPE_READ | SCOPE_POST);
    assert_string_equal(b->name, "ops");
    static const char *const wrong[] = {"", "Bearer", "Bearer ", "secret-a", "Basic secret-a",
        "Bearer secret-c", "Bearersecret-a", "Bearer secret-a secret-b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (tokens_find(t, str_of(wrong[i])) != NULL)
            fail_msg("'%s' is let in", wrong[i]);
    char digest_itself[80];
    snprintf(digest_itself, sizeof digest_itself, "Bearer %s", digest_a);
    assert_null(tokens_find(t, str_of(digest_itself)));
    assert_null(tokens_find(t, STR_NONE));
    tokens_free(t);
}

static void test_scopes(void **state)
{
    (void)state;
    struct token read = {.scopes = SCOPE_READ}, post = {.scopes = SCOPE_POST},
                 admin = {.scopes = SCOPE_ADMIN};
    assert_true(token_allows(&read, SCOPE_READ));
    assert_false(token_allows(&read, SCOPE_POST));
    assert_false(token_allows(&read, SCOPE_ADMIN));
    assert_false(token_allows(&post, SCOPE_READ));
    assert_true(token_allows(&post, SCOPE_NONE));
    assert_true(token_allows(&admin, SCOPE_READ));
    assert_true(token_allows(&admin, SCOPE_POST));
    assert_true(token_allows(&admin, SCOPE_ADMIN));
    unsigned scopes;
    assert_true(scopes_parse(STR("post,read"), &scopes));
    assert_int_equal(scopes, SCOPE_READ | SCOPE_POST);
    assert_false(scopes_parse(STR("read,"), &scopes));
    assert_false(scopes_parse(STR(""), &scopes));
    assert_false(scopes_parse(STR("none"), &scopes));
    assert_false(scopes_parse(STR("Read"), &scopes));
}

static void test_faults_name_the_line(void **state)
{
    (void)state;
    char text[1024];
    const struct {
        const char *second_line, *problem;
    } cases[] = {
        {"bad!name", "line 2: 'bad!name' is no name"},
        {"b secret-b read", "line 2: the second word must be the SHA-256"},
        {"b DIGEST", "line 2: the third word must be scopes"},
        {"b DIGEST write", "line 2: the third word must be scopes"},
        {"b DIGEST read post", "line 2: there is more behind"},
        {"a DIGEST read", "line 2: the name 'a' appears twice"},
        {"b SAME read", "line 2: another line has the same token"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf line;
        strbuf_init(&line);
        const char *hole = strstr(cases[i].second_line, "DIGEST"),
                   *same = strstr(cases[i].second_line, "SAME");
        const char *at = hole ? hole : same;
        if (at == NULL) {
            strbuf_c(&line, cases[i].second_line);
        } else {
            strbuf_add(&line, cases[i].second_line, (size_t)(at - cases[i].second_line));
            strbuf_c(&line, hole ? digest_b : digest_a);
            strbuf_c(&line, at + (hole ? 6 : 4));
        }
        snprintf(text, sizeof text, "a %s read\n%.*s\n", digest_a, (int)line.len, line.data);
        strbuf_fini(&line);
        struct tokens *t;
        struct err err = {0};
        assert_int_equal(tokens_parse(str_of(text), &t, &err), ERR_CONFIG);
        if (strstr(err.message, cases[i].problem) == NULL)
            fail_msg("'%s' gives '%s'", cases[i].second_line, err.message);
        assert_null(strstr(err.message, "secret-b")); /* a token in the wrong place is not repeated */
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct tokens *t;
    struct err err = {0};
    assert_int_equal(tokens_parse(STR("# nothing\n"), &t, &err), ERR_CONFIG);
    struct strbuf b;
    strbuf_init(&b);
    for (int i = 0; i <= LIMIT_TOKENS_MAX; i++)
        strbuf_printf(&b, "t%d %064d read\n", i, i);
    assert_int_equal(tokens_parse(strbuf_view(&b), &t, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "the limit is 10000"));
    strbuf_fini(&b);
    char name[LIMIT_ACTOR_MAX + 2];
    memset(name, 'a', sizeof name);
    assert_true(token_name_valid((struct str){name, LIMIT_ACTOR_MAX}));
    assert_false(token_name_valid((struct str){name, LIMIT_ACTOR_MAX + 1}));
    assert_false(token_name_valid((struct str){"a\0b", 3}));
}

static void test_replacing_keeps_what_was_found(void **state)
{
    (void)state;
    struct tokens *t = parse("a %s read\n", digest_a);
    const struct token *before = tokens_find(t, STR("Bearer secret-a"));
    tokens_replace(t, parse("b %s post\n", digest_b));
    tokens_replace(t, parse("c %s admin\n", digest_b));
    assert_string_equal(before->name, "a");
    assert_null(tokens_find(t, STR("Bearer secret-a")));
    assert_string_equal(tokens_find(t, STR("Bearer secret-b"))->name, "c");
    tokens_free(t);
}

static void test_the_file_is_private(void **state)
{
    (void)state;
    char path[] = "/tmp/tokens-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    dprintf(fd, "a %s read\n", digest_a);
    close(fd);
    static const struct {
        mode_t mode;
        bool good;
    } cases[] = {
        {0600, true}, {0400, true}, {0640, true}, {0604, false}, {0602, false}, {0620, false}, {0644, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tokens *t = NULL;
        struct err err = {0};
        chmod(path, cases[i].mode);
        int failed = tokens_load(path, &t, &err);
        if ((failed == 0) != cases[i].good)
            fail_msg("mode %03o: %s", (unsigned)cases[i].mode, err.message);
        if (failed)
            assert_non_null(strstr(err.message, path));
        else
            tokens_free(t);
    }
    unlink(path);
    struct tokens *t;
    struct err err = {0};
    assert_int_equal(tokens_load(path, &t, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_is_sha256),
        cmocka_unit_test(test_found_by_the_token_itself),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_faults_name_the_line),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_replacing_keeps_what_was_found),
        cmocka_unit_test(test_the_file_is_private),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
