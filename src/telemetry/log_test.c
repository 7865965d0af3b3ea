#include "base/testing.h"

#include "telemetry/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int saved_stderr, capture[2];

static void capture_begin(void)
{
    assert_int_equal(pipe(capture), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(capture[1], STDERR_FILENO);
    close(capture[1]);
}

static void capture_end(char *ret_text, size_t size)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    size_t used = 0;
    for (ssize_t n; used < size - 1 && (n = read(capture[0], ret_text + used, size - 1 - used)) > 0;)
        used += (size_t)n;
    close(capture[0]);
    ret_text[used] = '\0';
}

static void test_json_line(void **state)
{
    (void)state;
    char text[1024];
    log_setup(LOG_INFO, LOG_JSON);
    capture_begin();
    log_event(LOG_WARNING, "a \"quoted\" message", "path", "C:\\x\ny\x01", "bad", "\xff!", "good", "é", NULL);
    log_event(LOG_DEBUG, "not wanted", NULL);
    capture_end(text, sizeof text);
    assert_int_equal(strncmp(text, "{\"time\":\"2", 10), 0);
    assert_string_equal(text + 9 + 27,
        "\",\"level\":\"warning\",\"message\":\"a \\\"quoted\\\" message\","
        "\"path\":\"C:\\\\x\\u000ay\\u0001\",\"bad\":\"\\ufffd!\",\"good\":\"é\"}\n");
}

static void test_text_line(void **state)
{
    (void)state;
    char text[1024];
    log_setup(LOG_DEBUG, LOG_TEXT);
    capture_begin();
    log_event(LOG_DEBUG, "listening", "address", "127.0.0.1:4000", "why", "two words", "none", "", "esc",
        "\x1b[0m", NULL);
    capture_end(text, sizeof text);
    assert_string_equal(text + 27,
        " debug listening address=127.0.0.1:4000 why=\"two words\" none=\"\" esc=\"\\u001b[0m\"\n");
}

static void test_levels(void **state)
{
    (void)state;
    log_setup(LOG_WARNING, LOG_JSON);
    assert_false(log_enabled(LOG_DEBUG));
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARNING));
    assert_true(log_enabled(LOG_ERROR));
}

static void test_a_missing_value_ends_the_fields(void **state)
{
    (void)state;
    char text[1024];
    log_setup(LOG_INFO, LOG_TEXT);
    capture_begin();
    log_event(LOG_INFO, "m", "a", "1", "b", (const char *)NULL, NULL);
    capture_end(text, sizeof text);
    assert_string_equal(text + 27, " info m a=1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_text_line),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_a_missing_value_ends_the_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
