#include "base/testing.h"

#include "app/store.h"
#include "journal/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/store-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* Locks in another process; 0, or the code it got, its message in *ret_err. */
static int lock_elsewhere(const char *url, char *ret_message, size_t size)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct err err = {0};
        int fd, failed = store_lock(url, &fd, &err);
        ssize_t n = write(fds[1], err.message, strlen(err.message));
        _exit(n < 0 ? 99 : -failed);
    }
    close(fds[1]);
    ssize_t n = read(fds[0], ret_message, size - 1);
    ret_message[n > 0 ? n : 0] = '\0';
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return -WEXITSTATUS(status);
}

static void test_a_second_writer_is_refused_by_name(void **state)
{
    (void)state;
    char url[256], message[1024], pid[32];
    struct err err = {0};
    int fd;
    snprintf(url, sizeof url, "sqlite:%s/new/deeper/ledger.db", dir);
    assert_int_equal(store_lock(url, &fd, &err), 0);
    assert_int_equal(lock_elsewhere(url, message, sizeof message), ERR_BUSY);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    if (strstr(message, pid) == NULL || strstr(message, "/new/deeper/lock") == NULL)
        fail_msg("%s", message);
    store_unlock(fd);
    assert_int_equal(lock_elsewhere(url, message, sizeof message), 0);
    struct stat s;
    char path[128];
    snprintf(path, sizeof path, "%s/new/deeper", dir);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0700);
}

static void test_two_names_of_a_database_meet_in_one_lock(void **state)
{
    (void)state;
    char url[256], other[256], link_path[128], file_link[128], message[1024];
    int fd;
    snprintf(link_path, sizeof link_path, "%s-link", dir);
    assert_int_equal(symlink(dir, link_path), 0);
    snprintf(url, sizeof url, "%s/ledger.db", dir);
    FILE *f = fopen(url, "w");
    assert_non_null(f);
    fclose(f);
    snprintf(url, sizeof url, "sqlite:%s/ledger.db", dir);
    snprintf(other, sizeof other, "sqlite:%s/../%s/ledger.db", link_path, strrchr(dir, '/') + 1);
    assert_int_equal(store_lock(url, &fd, NULL), 0);
    assert_int_equal(lock_elsewhere(other, message, sizeof message), ERR_BUSY);
    snprintf(file_link, sizeof file_link, "%s-file", dir);
    assert_int_equal(symlink(url + strlen("sqlite:"), file_link), 0);
    snprintf(other, sizeof other, "sqlite:%s", file_link);
    assert_int_equal(lock_elsewhere(other, message, sizeof message), ERR_BUSY);
    unlink(file_link);
    /* Another file beside it is another database. */
    snprintf(other, sizeof other, "sqlite:%s/other.db", dir);
    assert_int_equal(lock_elsewhere(other, message, sizeof message), 0);
    store_unlock(fd);
    unlink(link_path);
}

static unsigned mode_of(const char *path, const char *suffix)
{
    char name[256];
    struct stat s;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    assert_int_equal(stat(name, &s), 0);
    return s.st_mode & 0777u;
}

/* The directory may have been made by somebody who thought less of it; the files hold names and metadata. */
static void test_files_are_their_owners_alone(void **state)
{
    (void)state;
    char path[128], url[160], copy[160];
    struct err err = {0};
    struct journal *j;
    mode_t mask = umask(022);
    snprintf(path, sizeof path, "%s/private.db", dir);
    snprintf(url, sizeof url, "sqlite:%s", path);
    snprintf(copy, sizeof copy, "%s.copy", path);
    const struct journal_options options = {.mode = JOURNAL_WRITE, .create = true};
    assert_int_equal(journal_open(url, &options, &j, &err), 0);
    assert_int_equal(j->ops->backup(j, copy, NULL, NULL, &err), 0);
    umask(mask);
    assert_int_equal(mode_of(path, ""), 0600);
    assert_int_equal(mode_of(path, "-wal"), 0600);
    assert_int_equal(mode_of(copy, ""), 0600);
    journal_close(j);
    unlink(path);
    unlink(copy);
}

static void test_memory_needs_no_lock(void **state)
{
    (void)state;
    int fd = 7;
    assert_int_equal(store_lock("memory:x", &fd, NULL), 0);
    assert_int_equal(fd, -1);
    store_unlock(fd);
}

static void test_a_file_in_the_way_is_named(void **state)
{
    (void)state;
    char url[256];
    struct err err = {0};
    int fd;
    snprintf(url, sizeof url, "%s/file", dir);
    FILE *f = fopen(url, "w");
    assert_non_null(f);
    fclose(f);
    snprintf(url, sizeof url, "sqlite:%s/file/ledger.db", dir);
    assert_true(store_lock(url, &fd, &err) < 0);
    assert_non_null(strstr(err.message, "/file"));
}

static int run_read(const struct options *o)
{
    struct store store = {0};
    store_close(&store); /* never opened: nothing happens */
    struct err err = {0};
    int code = store_open_read(o, &store, &err);
    assert_int_equal(code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "creditledger serve"));
    return EXIT_OK;
}

static int run_engine(const struct options *o)
{
    struct store store;
    struct err err = {0};
    if (store_open_engine(o, &store, &err) != 0)
        fail_msg("%s", err.message);
    assert_non_null(store.engine);
    assert_non_null(catalog_ledger_by_name(store.catalog, STR("main")));
    struct store reader;
    if (store_open_read(o, &reader, &err) != 0)
        fail_msg("%s", err.message);
    store_close(&reader);
    store_close(&store);
    return EXIT_OK;
}

static void test_reading_makes_nothing_and_writing_does(void **state)
{
    (void)state;
    static const struct option_spec options[] = {STORE_OPTIONS, {.name = NULL}};
    const struct command_spec commands[] = {
        {.name = "read", .summary = "", .positional = "", .options = options, .run = run_read},
        {.name = "write", .summary = "", .positional = "", .options = options, .run = run_engine},
        {.name = NULL},
    };
    char data[128];
    struct stat s;
    snprintf(data, sizeof data, "%s/data", dir);
    char *argv[] = {(char *)"creditledger", (char *)"read", (char *)"--data", data, NULL};
    assert_int_equal(options_main(commands, 4, argv), EXIT_OK);
    assert_int_equal(stat(data, &s), -1);
    argv[1] = (char *)"write";
    assert_int_equal(options_main(commands, 4, argv), EXIT_OK);
    assert_int_equal(options_main(commands, 4, argv), EXIT_OK);
}

/* What store_describe() made of a command line, and of the variables. */
static struct store described;
static struct err description_err;
static int description_code;

static int run_describe(const struct options *o)
{
    description_err = (struct err){0};
    description_code = store_describe(o, &described, &description_err);
    return EXIT_OK;
}

static int describe(const char *const *words)
{
    static const struct option_spec options[] = {STORE_OPTIONS, STORE_WRITE_OPTIONS, {.name = NULL}};
    const struct command_spec commands[] = {
        {.name = "test", .summary = "", .positional = "", .options = options, .run = run_describe},
        {.name = NULL},
    };
    char *argv[12] = {(char *)"creditledger", (char *)"test"};
    int argc = 2;
    for (; words[argc - 2] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 2];
    assert_int_equal(options_main(commands, argc, argv), EXIT_OK);
    return description_code;
}

#define DESCRIBE(...) describe((const char *const[]){__VA_ARGS__, NULL})
#define POOLER "postgres://app:hush@pooler:6432/ledger"
#define DIRECT "postgresql://app:hush@db/ledger"

static void test_postgres_options(void **state)
{
    (void)state;
    assert_int_equal(DESCRIBE("--database-url", POOLER), 0);
    assert_string_equal(described.url, POOLER);
    assert_null(strstr(described.shown, "hush"));
    assert_non_null(strstr(described.shown, "pooler:6432/ledger"));
    assert_null(described.options.direct_url);
    assert_int_equal(described.options.mode, JOURNAL_READ);
    assert_int_equal(described.options.lock, LEDGER_LOCK_DEFAULT);
    assert_false(described.options.no_notify);
    assert_int_equal(DESCRIBE("--database-url", POOLER, "--database-direct-url", DIRECT, "--ledger-lock",
                         "row", "--database-notify", "off"),
        0);
    assert_string_equal(described.options.direct_url, DIRECT);
    assert_int_equal(described.options.lock, LEDGER_LOCK_ROW);
    assert_true(described.options.no_notify);
    assert_int_equal(DESCRIBE("--database-url", POOLER, "--ledger-lock", "none"), 0);
    assert_int_equal(described.options.lock, LEDGER_LOCK_NONE);
    assert_int_equal(DESCRIBE("--database-url", POOLER, "--ledger-lock", "advisory"), 0);
    assert_int_equal(described.options.lock, LEDGER_LOCK_ADVISORY);
}

static void test_postgres_options_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *words[7], *says;
    } cases[] = {
        {{"--database-url", POOLER, "--ledger-lock", "big", NULL}, "auto, advisory, row or none"},
        {{"--database-url", POOLER, "--database-notify", "maybe", NULL}, "on or off"},
        {{"--database-url", POOLER, "--database-direct-url", "sqlite:x", NULL}, "postgres://"},
        {{"--database-direct-url", DIRECT, NULL}, "--database-direct-url"},
        {{"--data", "x", "--database-url", POOLER, NULL}, "say one of them"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(describe(cases[i].words), ERR_CONFIG);
        assert_non_null(strstr(description_err.message, cases[i].says));
        assert_null(strstr(description_err.message, "hush"));
    }
}

/* The variable belongs to the database of the environment, not to any that somebody names. */
static void test_a_direct_url_of_the_environment(void **state)
{
    (void)state;
    setenv("CREDITLEDGER_DATABASE_URL", POOLER, 1);
    setenv("CREDITLEDGER_DATABASE_DIRECT_URL", DIRECT, 1);
    int both = describe((const char *const[]){NULL});
    const char *direct = described.options.direct_url;
    int other = DESCRIBE("--database-url", "postgres://elsewhere/ledger");
    const char *of_other = described.options.direct_url;
    int file = DESCRIBE("--data", dir);
    const char *of_file = described.options.direct_url;
    unsetenv("CREDITLEDGER_DATABASE_URL");
    unsetenv("CREDITLEDGER_DATABASE_DIRECT_URL");
    assert_int_equal(both, 0);
    assert_string_equal(direct, DIRECT);
    assert_int_equal(other, 0);
    assert_null(of_other);
    assert_int_equal(file, 0);
    assert_null(of_file);
}

static void test_clock_and_randomness(void **state)
{
    (void)state;
    int64_t a = store_now(NULL), b = store_now(NULL);
    assert_true(a > INT64_C(1600000000000000) && b >= a);
    static uint8_t first[10000], second[10000];
    store_random(NULL, first, sizeof first);
    store_random(NULL, second, sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof first; i++)
        zeros += first[i] == 0;
    assert_in_range(zeros, 5, 120); /* 39 of 10 000 are expected */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_second_writer_is_refused_by_name),
        T(test_two_names_of_a_database_meet_in_one_lock),
        T(test_files_are_their_owners_alone),
        T(test_memory_needs_no_lock),
        T(test_a_file_in_the_way_is_named),
        T(test_reading_makes_nothing_and_writing_does),
        T(test_postgres_options),
        T(test_postgres_options_that_are_wrong),
        T(test_a_direct_url_of_the_environment),
        T(test_clock_and_randomness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
