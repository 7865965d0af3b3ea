#include "base/testing.h"

#include "app/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a run printed. */
static char out[65536], problems[8192];

/* What the command saw. */
static struct {
    int runs;
    char listen[64], data[64], first[64];
    bool json, fail;
    int64_t readers;
    size_t positional;
} seen;

static int run_serve(const struct options *o)
{
    seen.runs++;
    snprintf(seen.listen, sizeof seen.listen, "%s", options_get(o, "listen"));
    snprintf(seen.data, sizeof seen.data, "%s", options_get(o, "data") ? options_get(o, "data") : "(none)");
    seen.json = options_flag(o, "json");
    seen.positional = options_positional(o);
    if (seen.positional > 0)
        snprintf(seen.first, sizeof seen.first, "%s", options_positional_at(o, 0));
    if (!options_int(o, "readers", 1, 8, &seen.readers))
        return EXIT_USAGE;
    return seen.fail ? options_fail(o, EXIT_FAULT, "found %d faults", 2) : EXIT_OK;
}

static const struct option_spec serve_options[] = {
    {"listen", "ADDRESS", "where to listen", "TEST_LISTEN", "here:1", NULL},
    {"data", "DIR", "directory", NULL, NULL, "@dir"},
    {"readers", "N", "readers", "TEST_READERS", "2", NULL},
    {"json", NULL, "print JSON", "TEST_JSON", NULL, NULL},
    {"format", "FORMAT", "which", NULL, NULL, "csv hledger"},
    {"token-file", "FILE", "tokens [of 'clients']", NULL, NULL, "@file"},
    {.name = NULL},
};

extern const struct command_spec cmd_completion;

static struct command_spec commands[4] = {
    {.name = "serve",
        .summary = "Serve: it's the server",
        .positional = "FILE",
        .positional_min = 0,
        .positional_max = 1,
        .details = "More about it.",
        .options = serve_options,
        .run = run_serve},
    {.name = "trial-balance",
        .summary = "Sums",
        .positional = "",
        .options = serve_options + 5,
        .run = run_serve},
};

static void slurp(FILE *f, char *text, size_t size)
{
    rewind(f);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
}

/* Runs the command line with both outputs caught; arguments end with NULL. */
static int run_main(const char *first, ...)
{
    char *argv[16] = {(char *)"creditledger"};
    int argc = 1;
    va_list args;
    va_start(args, first);
    for (const char *a = first; a != NULL; a = va_arg(args, const char *))
        argv[argc++] = (char *)a;
    va_end(args);
    memset(&seen, 0, sizeof seen.runs);
    seen.runs = 0;
    FILE *caught_out = tmpfile(), *caught_err = tmpfile();
    fflush(NULL);
    int old_out = dup(1), old_err = dup(2);
    dup2(fileno(caught_out), 1);
    dup2(fileno(caught_err), 2);
    int code = options_main(commands, argc, argv);
    fflush(NULL);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    slurp(caught_out, out, sizeof out);
    slurp(caught_err, problems, sizeof problems);
    return code;
}

static int setup(void **state)
{
    (void)state;
    commands[2] = cmd_completion;
    memset(&seen, 0, sizeof seen);
    unsetenv("TEST_LISTEN");
    unsetenv("TEST_READERS");
    unsetenv("TEST_JSON");
    return 0;
}

#define HOLDS(text, part) \
    do { \
        if (strstr((text), (part)) == NULL) \
            fail_msg("'%s' lacks '%s'", (text), (part)); \
    } while (0)

static void test_values_in_both_spellings(void **state)
{
    (void)state;
    assert_int_equal(run_main("serve", "--listen", "a:1", "--data=x=y", "--json", "f.csv", NULL), EXIT_OK);
    assert_string_equal(seen.listen, "a:1");
    assert_string_equal(seen.data, "x=y");
    assert_true(seen.json);
    assert_string_equal(seen.first, "f.csv");
    assert_int_equal(seen.readers, 2);
    assert_string_equal(problems, "");
}

static void test_precedence(void **state)
{
    (void)state;
    assert_int_equal(run_main("serve", NULL), EXIT_OK);
    assert_string_equal(seen.listen, "here:1");
    setenv("TEST_LISTEN", "env:2", 1);
    assert_int_equal(run_main("serve", NULL), EXIT_OK);
    assert_string_equal(seen.listen, "env:2");
    assert_int_equal(run_main("serve", "--listen", "line:3", NULL), EXIT_OK);
    assert_string_equal(seen.listen, "line:3");
    setenv("TEST_LISTEN", "", 1);
    assert_int_equal(run_main("serve", NULL), EXIT_OK);
    assert_string_equal(seen.listen, "here:1");
}

static void test_flags(void **state)
{
    (void)state;
    setenv("TEST_JSON", "true", 1);
    assert_int_equal(run_main("serve", NULL), EXIT_OK);
    assert_true(seen.json);
    assert_int_equal(run_main("serve", "--json=off", NULL), EXIT_OK);
    assert_false(seen.json);
    setenv("TEST_JSON", "0", 1);
    assert_int_equal(run_main("serve", NULL), EXIT_OK);
    assert_false(seen.json);
    setenv("TEST_JSON", "maybe", 1);
    assert_int_equal(run_main("serve", NULL), EXIT_USAGE);
    HOLDS(problems, "TEST_JSON is 'maybe': it must be true or false");
    assert_int_equal(seen.runs, 0);
}

static void test_wrong_usage(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *problem;
    } cases[] = {
        {"--lisen", "x", "there is no option --lisen; did you mean --listen?"},
        {"--jsno", NULL, "did you mean --json?"},
        {"--token", "x", "did you mean --token-file?"},
        {"--zzzzzz", NULL, "there is no option --zzzzzz\n"},
        {"-x", NULL, "there is no option -x"},
        {"--listen", NULL, "--listen needs a value: --listen ADDRESS"},
        {"a", "b", "unexpected argument 'b'"},
        {"--json=2", NULL, "--json is '2': it must be true or false"},
        {"--readers", "9", "--readers is '9': it must be a whole number from 1 to 8"},
        {"--readers", "0", "from 1 to 8"},
        {"--readers", "2x", "--readers is '2x'"},
        {"--readers", "99999999999999999999", "--readers is '9999"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (run_main("serve", cases[i].a, cases[i].b, NULL) != EXIT_USAGE)
            fail_msg("%s %s is taken", cases[i].a, cases[i].b ? cases[i].b : "");
        HOLDS(problems, cases[i].problem);
        HOLDS(problems, "creditledger serve: ");
        assert_string_equal(out, "");
    }
}

static void test_a_bad_variable_is_named(void **state)
{
    (void)state;
    setenv("TEST_READERS", "many", 1);
    assert_int_equal(run_main("serve", NULL), EXIT_USAGE);
    HOLDS(problems, "TEST_READERS is 'many'");
    assert_int_equal(run_main("serve", "--readers", "3", NULL), EXIT_OK);
    assert_int_equal(run_main("serve", "--help", NULL), EXIT_OK);
}

static void test_two_dashes_end_the_options(void **state)
{
    (void)state;
    assert_int_equal(run_main("serve", "--", "--json", NULL), EXIT_OK);
    assert_false(seen.json);
    assert_string_equal(seen.first, "--json");
    assert_int_equal(run_main("serve", "-", NULL), EXIT_OK);
    assert_string_equal(seen.first, "-");
}

static void test_positional_counts(void **state)
{
    (void)state;
    assert_int_equal(run_main("completion", NULL), EXIT_USAGE);
    HOLDS(problems, "bash|zsh is missing");
    assert_int_equal(run_main("trial-balance", "x", NULL), EXIT_USAGE);
    HOLDS(problems, "unexpected argument 'x'");
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(run_main("--help", NULL), EXIT_OK);
    HOLDS(out, "  serve           Serve: it's the server\n");
    HOLDS(out, "  trial-balance   Sums\n");
    assert_int_equal(run_main("serve", "--listen", "x", "--help", NULL), EXIT_OK);
    assert_int_equal(seen.runs, 0);
    HOLDS(out, "Usage: creditledger serve [OPTIONS] FILE\n");
    HOLDS(out, "  --listen ADDRESS        where to listen (default here:1; also TEST_LISTEN)\n");
    HOLDS(out, "  --help ");
    HOLDS(out, "More about it.");
    char again[65536];
    memcpy(again, out, sizeof again);
    assert_int_equal(run_main("help", "serve", NULL), EXIT_OK);
    assert_string_equal(out, again);
    assert_int_equal(run_main("--version", NULL), EXIT_OK);
    HOLDS(out, "creditledger ");
}

static void test_unknown_commands(void **state)
{
    (void)state;
    assert_int_equal(run_main("sevre", NULL), EXIT_USAGE);
    HOLDS(problems, "there is no command 'sevre'; did you mean 'serve'?");
    assert_int_equal(run_main("trial", NULL), EXIT_USAGE);
    HOLDS(problems, "did you mean 'trial-balance'?");
    assert_int_equal(run_main("help", "qqqqq", NULL), EXIT_USAGE);
    assert_null(strstr(problems, "did you mean"));
    assert_int_equal(run_main(NULL, NULL), EXIT_USAGE);
    HOLDS(problems, "Usage: creditledger COMMAND");
    assert_string_equal(out, "");
}

static void test_codes_pass_through(void **state)
{
    (void)state;
    seen.fail = true;
    assert_int_equal(run_main("serve", NULL), EXIT_FAULT);
    assert_string_equal(problems, "creditledger serve: found 2 faults\n");
    seen.fail = false;
}

/* Sources the script in a real bash and asks what it offers for a line whose last word is being typed. */
static void expect_completion(const char *script, const char *line, const char *offered)
{
    char command[4096], got[4096];
    snprintf(command, sizeof command,
        "bash --norc -c 'set -u; source %s; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        "compopt() { :; }; "
        "_creditledger; echo \"${COMPREPLY[@]:-}\"' 2>&1",
        script, line);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    got[fread(got, 1, sizeof got - 1, p)] = '\0';
    assert_int_equal(pclose(p), 0);
    got[strcspn(got, "\n")] = '\0';
    if (strcmp(got, offered) != 0)
        fail_msg("creditledger completes '%s' to '%s', not to '%s'", line, got, offered);
}

static void write_script(const char *shell, char ret_path[64])
{
    snprintf(ret_path, 64, "/tmp/completion-XXXXXX");
    int fd = mkstemp(ret_path);
    assert_true(fd >= 0);
    assert_int_equal(run_main("completion", shell, NULL), EXIT_OK);
    assert_int_equal(write(fd, out, strlen(out)), (ssize_t)strlen(out));
    close(fd);
}

static void test_bash_completion(void **state)
{
    (void)state;
    char path[64], command[128];
    write_script("bash", path);
    snprintf(command, sizeof command, "bash -n %s", path);
    assert_int_equal(system(command), 0);
    expect_completion(path, "creditledger s", "serve");
    expect_completion(path, "creditledger \"\"", "serve trial-balance completion help --help --version");
    expect_completion(path, "creditledger serve --j", "--json");
    expect_completion(
        path, "creditledger serve --", "--listen --data --readers --json --format --token-file --help");
    expect_completion(path, "creditledger serve --format h", "hledger");
    expect_completion(path, "creditledger serve --listen x", "");
    expect_completion(path, "creditledger serve --data /usr/shar", "/usr/share");
    snprintf(command, sizeof command, "creditledger serve %.*s", (int)strlen(path) - 1, path);
    expect_completion(path, command, path);
    expect_completion(path, "creditledger completion z", "zsh");
    expect_completion(path, "creditledger nonsense --j", "");
    unlink(path);
}

static void test_zsh_completion(void **state)
{
    (void)state;
    char path[64];
    write_script("zsh", path);
    HOLDS(out, "#compdef creditledger\n");
    HOLDS(out, "'serve:Serve\\: it'\\''s the server'");
    HOLDS(out, "'--token-file[tokens \\[of '\\''clients'\\''\\]]:FILE:_files'");
    HOLDS(out, "'--format[which]:FORMAT:(csv hledger)'");
    HOLDS(out, "'--data[directory]:DIR:_files -/'");
    char command[128];
    snprintf(command, sizeof command, "! command -v zsh >/dev/null || zsh -n %s", path);
    assert_int_equal(system(command), 0);
    unlink(path);
    assert_int_equal(run_main("completion", "fish", NULL), EXIT_USAGE);
    HOLDS(problems, "'fish' is no shell");
}

static void test_output_that_does_not_arrive(void **state)
{
    (void)state;
    fflush(NULL);
    int old = dup(1);
    assert_non_null(freopen("/dev/full", "w", stdout));
    char *argv[] = {(char *)"creditledger", (char *)"--help", NULL};
    int code = options_main(commands, 2, argv);
    clearerr(stdout);
    dup2(old, 1);
    close(old);
    assert_int_equal(code, EXIT_ENVIRONMENT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(test_values_in_both_spellings),
        T(test_precedence),
        T(test_flags),
        T(test_wrong_usage),
        T(test_a_bad_variable_is_named),
        T(test_two_dashes_end_the_options),
        T(test_positional_counts),
        T(test_help),
        T(test_unknown_commands),
        T(test_codes_pass_through),
        T(test_bash_completion),
        T(test_zsh_completion),
        T(test_output_that_does_not_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
