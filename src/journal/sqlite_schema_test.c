/* Migrations, and what the self check sees. */
#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "journal/journal_fixture.h"

static char directory[] = "/tmp/creditledger-schema-XXXXXX";

struct base {
    char path[128], url[160];
    struct err err;
    char notes[2048];
};

static int setup(void **state)
{
    static int n;
    struct base *b = calloc(1, sizeof *b);
    snprintf(b->path, sizeof b->path, "%s/%d.db", directory, n++);
    snprintf(b->url, sizeof b->url, "sqlite:%s", b->path);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct base *b = *state;
    char name[160];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", b->path, suffixes[i]);
        unlink(name);
    }
    free(b);
    return 0;
}

static int open_it(struct base *b, enum journal_mode mode, bool create, struct journal **ret_journal)
{
    const struct journal_options options = {.mode = mode, .create = create, .now = 1};
    return journal_open(b->url, &options, ret_journal, &b->err);
}

/* As somebody with an SQL prompt, past the product. */
static void prompt(struct base *b, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);
    if (rc != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

static void make_journal(struct base *b)
{
    struct journal *j;
    struct fixture f;
    assert_int_equal(open_it(b, JOURNAL_WRITE, true, &j), 0);
    fixture_init_main(&f, j, 1);
    uint32_t usd = fixture_asset(&f, "USD", 2);
    fixture_account(&f, usd, ACCOUNT_EQUITY, (struct floor){false, 0});
    assert_int_equal(fixture_commit(&f, j, &b->err), 0);
    fixture_fini(&f);
    journal_close(j);
}

static int see_note(void *ctx, const char *note)
{
    struct base *b = ctx;
    size_t len = strlen(b->notes);
    snprintf(b->notes + len, sizeof b->notes - len, "%s\n", note);
    return 0;
}

static void self_check(struct base *b)
{
    struct journal *j;
    b->notes[0] = '\0';
    assert_int_equal(open_it(b, JOURNAL_READ, false, &j), 0);
    assert_int_equal(j->ops->self_check(j, see_note, b, &b->err), 0);
    journal_close(j);
}

static void assert_noted(struct base *b, const char *what)
{
    self_check(b);
    if (strstr(b->notes, what) == NULL)
        fail_msg("no note with \"%s\" in: %s", what, b->notes);
}

static void a_database_of_a_newer_program_is_refused(void **state)
{
    struct base *b = *state;
    struct journal *j;
    make_journal(b);
    prompt(b, "PRAGMA user_version = 1000");
    assert_int_equal(open_it(b, JOURNAL_READ, false, &j), ERR_UNSUPPORTED);
    assert_int_equal(open_it(b, JOURNAL_WRITE, true, &j), ERR_UNSUPPORTED);
}

static void another_programs_database_is_left_alone(void **state)
{
    struct base *b = *state;
    struct journal *j;
    prompt(b, "CREATE TABLE things(a)");
    assert_int_equal(open_it(b, JOURNAL_WRITE, true, &j), ERR_CONFIG);
    assert_int_equal(open_it(b, JOURNAL_READ, false, &j), ERR_CONFIG);
    FILE *text = fopen(b->path, "w");
    assert_non_null(text);
    fprintf(text, "%4096s", "not a database");
    fclose(text);
    assert_int_equal(open_it(b, JOURNAL_WRITE, true, &j), ERR_CORRUPT);
}

static void an_old_schema_is_not_brought_up_to_date_unasked(void **state)
{
    struct base *b = *state;
    struct journal *j;
    prompt(b, "PRAGMA application_id = 0x43724c64"); /* ours, before its first migration */
    assert_int_equal(open_it(b, JOURNAL_WRITE, false, &j), ERR_CONFIG);
    assert_non_null(strstr(b->err.message, "migrate"));
    assert_int_equal(open_it(b, JOURNAL_WRITE, true, &j), 0);
    journal_close(j);
    assert_int_equal(open_it(b, JOURNAL_WRITE, false, &j), 0);
    journal_close(j);
}

/* All of them find or make the same database. */
static void several_programs_may_start_at_once(void **state)
{
    struct base *b = *state;
    pid_t children[6];
    for (size_t i = 0; i < 6; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct journal *j;
            if (open_it(b, JOURNAL_WRITE, true, &j) != 0)
                _exit(1);
            journal_close(j);
            _exit(0);
        }
    }
    for (size_t i = 0; i < 6; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    self_check(b);
    assert_string_equal(b->notes, "");
}

static void the_self_check_sees_what_was_done_to_the_schema(void **state)
{
    struct base *b = *state;
    make_journal(b);
    self_check(b);
    assert_string_equal(b->notes, "");
    prompt(b, "DROP TRIGGER journal_update");
    assert_noted(b, "trigger journal_update is missing");
    prompt(b, "CREATE TRIGGER journal_update BEFORE UPDATE ON journal WHEN 0 BEGIN SELECT 1; END");
    assert_noted(b, "trigger journal_update is not what the migrations made");
    prompt(b, "CREATE TABLE more(a)");
    assert_noted(b, "table more is not of this schema");
    prompt(b, "DROP INDEX entry_late");
    assert_noted(b, "index entry_late is missing");
}

static void the_self_check_sees_parts_without_a_record(void **state)
{
    struct base *b = *state;
    make_journal(b);
    prompt(b,
        "DROP TRIGGER entry_insert;"
        "INSERT INTO entry(place, account, version, asset, side, revision, floor, posted, incoming, outgoing,"
        " posted_after, incoming_after, outgoing_after) VALUES(2 << 11, 1, 2, 1, 1, 1, NULL, 5, 0, 0, 5, 0, "
        "0)");
    assert_noted(b, "rows of a record without the record: ledger main, table entry");
    prompt(b, "DROP TRIGGER appending_insert; INSERT INTO appending(ledger) VALUES(1)");
    assert_noted(b, "an append was never finished, ledger 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_database_of_a_newer_program_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(another_programs_database_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_schema_is_not_brought_up_to_date_unasked, setup, teardown),
        cmocka_unit_test_setup_teardown(several_programs_may_start_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_self_check_sees_what_was_done_to_the_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(the_self_check_sees_parts_without_a_record, setup, teardown),
    };
    if (mkdtemp(directory) == NULL)
        return 1;
    int failed = cmocka_run_group_tests_name("journal/sqlite_schema", tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
