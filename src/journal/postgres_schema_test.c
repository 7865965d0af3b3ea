/* What the PostgreSQL backend does beyond the port: migrations, roles, the self check, connections that break. */
#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/db.h"
#include "journal/journal_fixture.h"
#include "journal/postgres.h"
#include "journal/postgres_internal.h"
#include "journal/postgres_testing.h"

#define START INT64_C(1700000000000000)

struct base {
    char url[256];
    struct err err;
    char notes[4096];
};

static int setup(void **state)
{
    struct base *b = calloc(1, sizeof *b);
    postgres_testing_url(b->url, sizeof b->url);
    *state = b;
    return 0;
}

static int setup_empty(void **state)
{
    struct base *b = calloc(1, sizeof *b);
    postgres_testing_empty_url(b->url, sizeof b->url);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct base *b = *state;
    postgres_testing_drop(b->url);
    free(b);
    return 0;
}

static int open_url(
    struct base *b, const char *url, enum journal_mode mode, bool create, struct journal **ret_journal)
{
    const struct journal_options options = {.mode = mode, .create = create, .now = START};
    return journal_open(url, &options, ret_journal, &b->err);
}

static struct journal *must_open(struct base *b, enum journal_mode mode)
{
    struct journal *j;
    if (open_url(b, b->url, mode, false, &j) != 0)
        fail_msg("open: %s", b->err.message);
    return j;
}

static void prompt(struct base *b, const char *sql)
{
    postgres_testing_prompt(b->url, sql, NULL, 0);
}

static int see_note(void *ctx, const char *note)
{
    struct base *b = ctx;
    size_t len = strlen(b->notes);
    snprintf(b->notes + len, sizeof b->notes - len, "%s\n", note);
    return 0;
}

static int migrate(struct base *b, const char *url, const char *runtime_role, bool plain)
{
    const struct postgres_migration_plan plan = {.now = START, .runtime_role = runtime_role, .plain = plain};
    b->notes[0] = '\0';
    return postgres_migrate(url, &plan, see_note, b, &b->err);
}

static void assert_message(struct base *b, const char *what)
{
    if (strstr(b->err.message, what) == NULL)
        fail_msg("no \"%s\" in: %s", what, b->err.message);
}

static void assert_noted(struct base *b, const char *what)
{
    if (strstr(b->notes, what) == NULL)
        fail_msg("no note with \"%s\" in: %s", what, b->notes);
}

static void self_check(struct base *b)
{
    struct journal *j = must_open(b, JOURNAL_READ);
    b->notes[0] = '\0';
    assert_int_equal(j->ops->self_check(j, see_note, b, &b->err), 0);
    journal_close(j);
}

/* ---- migrations ---- */

static void migrating_again_does_nothing(void **state)
{
    struct base *b = *state;
    assert_int_equal(migrate(b, b->url, NULL, false), 0);
    assert_noted(b, "applied 0001_journal.sql");
    assert_int_equal(migrate(b, b->url, NULL, false), 0);
    assert_string_equal(b->notes, "");
    self_check(b);
    assert_string_equal(b->notes, "");
}

static void several_programs_may_migrate_at_once(void **state)
{
    struct base *b = *state;
    pid_t children[4];
    for (size_t i = 0; i < 4; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct journal *j;
            if (open_url(b, b->url, JOURNAL_WRITE, true, &j) != 0)
                _exit(1);
            _exit(0);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    char text[32];
    postgres_testing_prompt(b->url, "SELECT count(*) FROM creditledger.ledger", text, sizeof text);
    assert_string_equal(text, "1");
    self_check(b);
    assert_string_equal(b->notes, "");
}

static void a_newer_schema_is_refused(void **state)
{
    struct base *b = *state;
    struct journal *j;
    prompt(b, "INSERT INTO creditledger.migration SELECT max(version) + 1, 'next.sql', '', false FROM "
              "creditledger.migration");
    assert_int_equal(open_url(b, b->url, JOURNAL_READ, false, &j), ERR_UNSUPPORTED);
    assert_message(b, "use a newer one");
    assert_int_equal(open_url(b, b->url, JOURNAL_WRITE, true, &j), ERR_UNSUPPORTED);
    assert_int_equal(migrate(b, b->url, NULL, false), ERR_UNSUPPORTED);
}

static void a_schema_that_other_files_made_is_refused(void **state)
{
    struct base *b = *state;
    struct journal *j;
    prompt(b, "UPDATE creditledger.migration SET checksum = sha256('') WHERE version = 1");
    assert_int_equal(open_url(b, b->url, JOURNAL_READ, false, &j), ERR_UNSUPPORTED);
    assert_message(b, "0001_journal.sql");
    assert_int_equal(migrate(b, b->url, NULL, false), ERR_UNSUPPORTED);
}

static void a_schema_that_is_behind_is_not_brought_up_to_date_unasked(void **state)
{
    struct base *b = *state;
    struct journal *j;
    assert_int_equal(open_url(b, b->url, JOURNAL_WRITE, false, &j), ERR_NOT_FOUND);
    assert_message(b, "creditledger migrate");
    assert_int_equal(open_url(b, b->url, JOURNAL_WRITE, true, &j), 0);
    journal_close(j);
    prompt(b, "DROP VIEW IF EXISTS creditledger.holds;"
              "DELETE FROM creditledger.migration WHERE version = (SELECT max(version) FROM "
              "creditledger.migration)");
    assert_int_equal(open_url(b, b->url, JOURNAL_READ, false, &j), ERR_CONFIG);
    assert_message(b, "creditledger migrate");
}

/* It has nothing to do with ours and stays as it is. */
static void a_failed_migration_leaves_nothing(void **state)
{
    struct base *b = *state;
    char text[32];
    prompt(b, "CREATE SCHEMA creditledger; CREATE TABLE creditledger.entry(a int)");
    assert_int_not_equal(migrate(b, b->url, NULL, false), 0);
    postgres_testing_prompt(b->url,
        "SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 'creditledger'::regnamespace",
        text, sizeof text);
    assert_string_equal(text, "entry");
}

static void the_plain_profile_has_no_functions_and_triggers(void **state)
{
    struct base *b = *state;
    char text[32];
    assert_int_equal(migrate(b, b->url, NULL, true), 0);
    assert_noted(b, "plain profile");
    postgres_testing_prompt(b->url,
        "SELECT (SELECT count(*) FROM pg_proc WHERE pronamespace = 'creditledger'::regnamespace)"
        " + (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)",
        text, sizeof text);
    assert_string_equal(text, "0");
    self_check(b);
    assert_string_equal(b->notes, "");
    assert_int_equal(migrate(b, b->url, NULL, false), ERR_CONFIG);
    struct journal *j;
    assert_int_equal(open_url(b, b->url, JOURNAL_WRITE, true, &j), 0); /* and stays plain */
    struct fixture f;
    fixture_init_main(&f, j, 1);
    fixture_account(&f, fixture_asset(&f, "USD", 2), ACCOUNT_EQUITY, (struct floor){false, 0});
    if (fixture_commit(&f, j, &b->err) != 0)
        fail_msg("append: %s", b->err.message);
    fixture_fini(&f);
    journal_close(j);
}

/* ---- roles ---- */

static void the_runtime_role_may_serve_and_nothing_more(void **state)
{
    struct base *b = *state;
    char role[64], url[256], sql[256], sqlstate[6];
    snprintf(role, sizeof role, "cl_backend_role_%d", (int)getpid());
    assert_int_equal(migrate(b, b->url, role, false), 0);
    assert_noted(b, "made role");
    assert_int_equal(migrate(b, b->url, role, false), 0);
    assert_string_equal(b->notes, "");
    postgres_testing_as(b->url, role, url, sizeof url);
    struct journal *j;
    if (open_url(b, url, JOURNAL_WRITE, true, &j) != 0)
        fail_msg("open: %s", b->err.message);
    assert_int_equal(postgres_excess_rights(j, see_note, b, &b->err), 0);
    assert_string_equal(b->notes, "");
    struct fixture f;
    fixture_init_main(&f, j, 1);
    fixture_account(&f, fixture_asset(&f, "USD", 2), ACCOUNT_EQUITY, (struct floor){false, 0});
    if (fixture_commit(&f, j, &b->err) != 0)
        fail_msg("append: %s", b->err.message);
    fixture_fini(&f);
    static const char *const denied[] = {"DELETE FROM creditledger.record_text",
        "UPDATE creditledger.entry SET posted = 0", "TRUNCATE creditledger.journal",
        "CREATE TABLE creditledger.more(a int)", "DELETE FROM creditledger.migration",
        "ALTER TABLE creditledger.entry DISABLE TRIGGER ALL", "SELECT FROM creditledger.ledger FOR UPDATE"};
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
        postgres_testing_sqlstate(url, denied[i], sqlstate);
        if (strcmp(sqlstate, "42501") != 0)
            fail_msg("%s: %s", denied[i], sqlstate);
    }
    journal_close(j);
    prompt(b, "DELETE FROM creditledger.migration WHERE version = (SELECT max(version) FROM "
              "creditledger.migration)");
    assert_int_equal(open_url(b, url, JOURNAL_WRITE, true, &j), ERR_CONFIG);
    assert_message(b, "creditledger migrate");
    snprintf(sql, sizeof sql, "DROP OWNED BY %s; DROP ROLE %s", role, role);
    prompt(b, sql);
}

/* What can be made again is the servers' own, and no right too many. */
static void the_runtime_role_keeps_read_models(void **state)
{
    struct base *b = *state;
    char role[64], url[256], sql[256];
    const struct db_options options = {.part = "g1", .create = true};
    struct db *db = NULL;
    struct journal *j;
    snprintf(role, sizeof role, "cl_backend_read_%d", (int)getpid());
    prompt(b, "CREATE SCHEMA creditledger_read"); /* somebody's, so far */
    assert_int_equal(migrate(b, b->url, role, false), 0);
    assert_noted(b, "may keep read models in schema creditledger_read");
    assert_int_equal(migrate(b, b->url, role, false), 0);
    assert_string_equal(b->notes, "");
    prompt(b, "DROP SCHEMA creditledger_read");
    assert_int_equal(migrate(b, b->url, role, false), 0);
    postgres_testing_as(b->url, role, url, sizeof url);
    if (db_open(url, &options, &db, &b->err) != 0 ||
        db_script(db, "CREATE TABLE @line (n BIGINT); DELETE FROM @line; TRUNCATE @line", &b->err) != 0)
        fail_msg("%s", b->err.message);
    db_close(db);
    assert_int_equal(open_url(b, url, JOURNAL_READ, false, &j), 0);
    b->notes[0] = '\0';
    assert_int_equal(postgres_excess_rights(j, see_note, b, &b->err), 0);
    assert_string_equal(b->notes, "");
    journal_close(j);
    assert_int_equal(db_drop_part(url, "g1", &b->err), 0);
    snprintf(sql, sizeof sql, "DROP OWNED BY %s; DROP ROLE %s", role, role);
    prompt(b, sql);
}

/* An owner of the journal's schema alone migrates as ever. */
static void an_owner_that_may_make_no_schema_is_told(void **state)
{
    struct base *b = *state;
    char role[64], owner[64], url[256], sql[512];
    snprintf(role, sizeof role, "cl_backend_app_%d", (int)getpid());
    snprintf(owner, sizeof owner, "cl_backend_owner_%d", (int)getpid());
    snprintf(sql, sizeof sql,
        "CREATE ROLE %s LOGIN; CREATE ROLE %s LOGIN;"
        " DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %%I TO %s', current_database()); END$$",
        role, owner, owner);
    prompt(b, sql);
    postgres_testing_as(b->url, owner, url, sizeof url);
    prompt(b, "SET client_min_messages = warning; DROP SCHEMA creditledger CASCADE");
    assert_int_equal(migrate(b, url, NULL, false), 0);
    snprintf(sql, sizeof sql,
        "DO $$BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %%I FROM %s', current_database()); END$$",
        owner);
    prompt(b, sql);
    assert_int_equal(migrate(b, url, role, false), 0);
    assert_noted(b, "GRANT USAGE, CREATE ON SCHEMA creditledger_read TO");
    prompt(b, "CREATE SCHEMA creditledger_read"); /* not the owner's */
    assert_int_equal(migrate(b, url, role, false), 0);
    assert_noted(b, "GRANT USAGE, CREATE ON SCHEMA creditledger_read TO");
    snprintf(sql, sizeof sql, "GRANT USAGE, CREATE ON SCHEMA creditledger_read TO %s", role);
    prompt(b, sql);
    assert_int_equal(migrate(b, url, role, false), 0);
    assert_string_equal(b->notes, "");
    snprintf(
        sql, sizeof sql, "DROP OWNED BY %s; DROP OWNED BY %s; DROP ROLE %s, %s", owner, role, owner, role);
    prompt(b, sql);
}

/* USAGE and SELECT are enough for all views; their functions are anybody's. */
static void a_role_that_only_reads_reads_the_views(void **state)
{
    struct base *b = *state;
    char role[64], url[256], sql[512], sqlstate[6];
    snprintf(role, sizeof role, "cl_backend_reader_%d", (int)getpid());
    snprintf(sql, sizeof sql,
        "CREATE ROLE %s LOGIN; GRANT USAGE ON SCHEMA creditledger TO %s;"
        " GRANT SELECT ON ALL TABLES IN SCHEMA creditledger TO %s",
        role, role, role);
    prompt(b, sql);
    postgres_testing_as(b->url, role, url, sizeof url);
    static const char *const views[] = {
        "accounts", "balances", "statements", "records", "transfers", "trial_balance", "holds"};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        snprintf(sql, sizeof sql, "SELECT * FROM creditledger.%s", views[i]);
        postgres_testing_sqlstate(url, sql, sqlstate);
        if (sqlstate[0] != '\0')
            fail_msg("%s: %s", views[i], sqlstate);
    }
    postgres_testing_sqlstate(
        url, "INSERT INTO creditledger.asset(id, scale, code) VALUES (1, 2, 'USD')", sqlstate);
    assert_string_equal(sqlstate, "42501");
    snprintf(sql, sizeof sql, "DROP OWNED BY %s; DROP ROLE %s", role, role);
    prompt(b, sql);
}

static void rights_that_serving_does_not_need_are_named(void **state)
{
    struct base *b = *state;
    char role[64], url[256], sql[512];
    struct journal *j = must_open(b, JOURNAL_WRITE);
    assert_int_equal(postgres_excess_rights(j, see_note, b, &b->err), 0);
    assert_noted(b, "role postgres is a superuser");
    journal_close(j);
    snprintf(role, sizeof role, "cl_backend_more_%d", (int)getpid());
    assert_int_equal(migrate(b, b->url, role, false), 0);
    snprintf(sql, sizeof sql,
        "GRANT UPDATE ON creditledger.entry TO %s; GRANT DELETE ON creditledger.lot TO %s;"
        " ALTER TABLE creditledger.asset OWNER TO %s",
        role, role, role);
    prompt(b, sql);
    postgres_testing_as(b->url, role, url, sizeof url);
    assert_int_equal(open_url(b, url, JOURNAL_READ, false, &j), 0);
    b->notes[0] = '\0';
    assert_int_equal(postgres_excess_rights(j, see_note, b, &b->err), 0);
    assert_noted(b, "may UPDATE entry\n");
    assert_noted(b, "may DELETE lot\n");
    assert_noted(b, "owns asset\n");
    journal_close(j);
    snprintf(sql, sizeof sql,
        "ALTER TABLE creditledger.asset OWNER TO postgres; DROP OWNED BY %s; DROP ROLE %s", role, role);
    prompt(b, sql);
}

static void settings_that_lose_data_are_refused(void **state)
{
    struct base *b = *state;
    char sql[160], name[64];
    static const char *const settings[][2] = {{"synchronous_commit = off", "synchronous_commit"},
        {"default_transaction_isolation = 'serializable'", "isolation"}};
    postgres_testing_prompt(b->url, "SELECT current_database()", name, sizeof name);
    for (size_t i = 0; i < 2; i++) {
        struct journal *j;
        snprintf(sql, sizeof sql, "ALTER DATABASE %s SET %s", name, settings[i][0]);
        prompt(b, sql);
        assert_int_equal(open_url(b, b->url, JOURNAL_WRITE, false, &j), ERR_CONFIG);
        assert_message(b, settings[i][1]);
        assert_int_equal(open_url(b, b->url, JOURNAL_READ, false, &j), 0);
        journal_close(j);
        snprintf(sql, sizeof sql, "ALTER DATABASE %s RESET ALL", name);
        prompt(b, sql);
    }
    journal_close(must_open(b, JOURNAL_WRITE));
}

/* ---- the self check ---- */

static void the_self_check_sees_what_was_done_to_the_schema(void **state)
{
    struct base *b = *state;
    static const struct {
        const char *damage, *note, *repair;
    } cases[] = {
        {"ALTER TABLE creditledger.entry DISABLE TRIGGER check_insert",
            "trigger check_insert on entry is not enabled ALWAYS",
            "ALTER TABLE creditledger.entry ENABLE ALWAYS TRIGGER check_insert"},
        {"ALTER TABLE creditledger.journal ENABLE TRIGGER refuse_change",
            "trigger refuse_change on journal is not enabled ALWAYS",
            "ALTER TABLE creditledger.journal ENABLE ALWAYS TRIGGER refuse_change"},
        {"CREATE TRIGGER more BEFORE INSERT ON creditledger.entry FOR EACH ROW EXECUTE FUNCTION "
         "creditledger.refuse_change()",
            "trigger more on entry is not of this schema", "DROP TRIGGER more ON creditledger.entry"},
        {"CREATE RULE more AS ON INSERT TO creditledger.entry DO INSTEAD NOTHING", "table entry has rules",
            "DROP RULE more ON creditledger.entry; VACUUM creditledger.entry"},
        {"ALTER FUNCTION creditledger.lot_check() RESET search_path",
            "function lot_check is not what the migrations made", NULL},
        {"CREATE OR REPLACE FUNCTION creditledger.asset_check() RETURNS trigger LANGUAGE plpgsql"
         " SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'",
            "function asset_check is not what the migrations made", NULL},
        {"CREATE TABLE creditledger.more(a int)", "table more is not of this schema",
            "DROP TABLE creditledger.more"},
        {"DROP INDEX creditledger.entry_late", "index entry_late is missing", NULL},
        {"ALTER TABLE creditledger.entry DROP CONSTRAINT i6_floor", "constraint i6_floor is missing", NULL},
        {"DROP TRIGGER check_insert ON creditledger.lot", "trigger check_insert on lot is missing", NULL},
        {"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'creditledger.lot_record'::regclass",
            "index lot_record is not valid", NULL},
    };
    self_check(b);
    assert_string_equal(b->notes, "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        prompt(b, cases[i].damage);
        self_check(b);
        assert_noted(b, cases[i].note);
        if (cases[i].repair != NULL && strstr(cases[i].repair, "VACUUM") == NULL)
            prompt(b, cases[i].repair);
    }
}

static void the_self_check_sees_parts_without_a_record(void **state)
{
    struct base *b = *state;
    prompt(b, "ALTER TABLE creditledger.record_text DISABLE TRIGGER ALL;"
              "INSERT INTO creditledger.record_text VALUES(5, 1, decode(md5(''), 'hex'), '{}')");
    self_check(b);
    assert_noted(b, "rows of a record without the record: ledger main, table record_text, seq 5");
}

/* ---- connections ---- */

static void end_all_sessions(struct base *b)
{
    prompt(b, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
              " WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

static void a_connection_that_was_ended_is_made_again(void **state)
{
    struct base *b = *state;
    struct journal *j = must_open(b, JOURNAL_WRITE);
    struct fixture f;
    fixture_init_main(&f, j, 1);
    uint32_t usd = fixture_asset(&f, "USD", 2);
    fixture_account(&f, usd, ACCOUNT_EQUITY, (struct floor){false, 0});
    assert_int_equal(fixture_commit(&f, j, &b->err), 0);
    for (int i = 0; i < 3; i++) {
        end_all_sessions(b); /* while nothing is under way: seen before anything is sent */
        struct ledger_head head;
        if (j->ops->head(j, 1, &head, &b->err) != 0)
            fail_msg("head: %s", b->err.message);
        assert_int_equal(head.seq, f.state.head.seq);
        fixture_account(&f, usd, ACCOUNT_EQUITY, (struct floor){false, 0});
        if (fixture_commit(&f, j, &b->err) != 0)
            fail_msg("append: %s", b->err.message);
    }
    fixture_fini(&f);
    journal_close(j);
}

static void a_snapshot_does_not_outlive_its_connection(void **state)
{
    struct base *b = *state;
    struct journal *j = must_open(b, JOURNAL_READ);
    struct ledger_head head;
    assert_int_equal(j->ops->snapshot_begin(j, &b->err), 0);
    assert_int_equal(j->ops->head(j, 1, &head, &b->err), 0);
    end_all_sessions(b);
    assert_int_equal(j->ops->head(j, 1, &head, &b->err), ERR_IO);
    assert_int_equal(j->ops->head(j, 1, &head, &b->err), ERR_IO); /* not of another state */
    j->ops->snapshot_end(j);
    assert_int_equal(j->ops->head(j, 1, &head, &b->err), 0);
    assert_int_equal(j->ops->snapshot_begin(j, &b->err), 0);
    j->ops->snapshot_end(j);
    journal_close(j);
}

static void a_scan_goes_on_after_its_connection_was_ended(void **state)
{
    struct base *b = *state;
    struct journal *j = must_open(b, JOURNAL_WRITE);
    struct fixture f;
    struct journal_scan *scan;
    const struct record *record;
    fixture_init_main(&f, j, 1);
    uint32_t usd = fixture_asset(&f, "USD", 2);
    for (int i = 0; i < 300; i++)
        fixture_account(&f, usd, ACCOUNT_EQUITY, (struct floor){false, 0});
    assert_int_equal(fixture_commit(&f, j, &b->err), 0);
    assert_int_equal(j->ops->scan_open(j, 1, 1, true, &scan, &b->err), 0);
    unsigned failures = 0;
    uint64_t expected = 1;
    while (expected <= 300) {
        if (expected == 60 || expected == 130)
            end_all_sessions(b);
        if (j->ops->scan_next(scan, &record, &b->err) != 0) {
            assert_in_range(++failures, 1, 4);
            continue;
        }
        assert_non_null(record);
        assert_int_equal(record->seq, expected++);
        if (expected % 50 == 0) { /* reads between its records, with a block under way */
            struct ledger_head head;
            (void)j->ops->head(j, 1, &head, &b->err);
        }
    }
    assert_int_equal(j->ops->scan_next(scan, &record, &b->err), 0);
    assert_null(record);
    j->ops->scan_close(scan);
    fixture_fini(&f);
    journal_close(j);
}

static int see_head(void *ctx, uint32_t ledger, uint64_t seq)
{
    uint64_t *newest = ctx;
    assert_int_equal(ledger, 1);
    *newest = seq;
    return 0;
}

static void who_listens_is_told_of_commits(void **state)
{
    struct base *b = *state;
    struct journal *j = must_open(b, JOURNAL_WRITE), *listener = must_open(b, JOURNAL_READ);
    struct fixture f;
    int interrupt[2];
    uint64_t newest = 0;
    fixture_init_main(&f, j, 1);
    assert_int_equal(listener->ops->listen(listener, 0, -1, &b->err), 1); /* what was before */
    assert_int_equal(listener->ops->listen(listener, 10, -1, &b->err), 0);
    fixture_account(&f, fixture_asset(&f, "USD", 2), ACCOUNT_EQUITY, (struct floor){false, 0});
    assert_int_equal(fixture_commit(&f, j, &b->err), 0);
    assert_int_equal(listener->ops->listen(listener, 5000, -1, &b->err), 1);
    assert_int_equal(listener->ops->heads(listener, see_head, &newest, &b->err), 0);
    assert_int_equal(newest, 1);
    assert_int_equal(pipe(interrupt), 0);
    assert_int_equal(write(interrupt[1], "x", 1), 1);
    assert_int_equal(listener->ops->listen(listener, 60000, interrupt[0], &b->err), 0);
    end_all_sessions(b);
    int rc = listener->ops->listen(listener, 10, -1, &b->err);
    if (rc == ERR_IO) /* the call that met it; the next one begins again */
        rc = listener->ops->listen(listener, 10, -1, &b->err);
    assert_int_equal(rc, 1);
    close(interrupt[0]);
    close(interrupt[1]);
    fixture_fini(&f);
    journal_close(listener);
    journal_close(j);
}

/* As through a pooler in transaction mode: nothing may be left in the session. */
static void behind_a_pooler_nothing_is_kept_in_the_session(void **state)
{
    struct base *b = *state;
    const struct journal_options options = {.mode = JOURNAL_READ, .direct_url = b->url};
    struct journal *j;
    struct ledger_head head;
    char text[32];
    assert_int_equal(journal_open(b->url, &options, &j, &b->err), 0);
    assert_int_equal(j->ops->head(j, 1, &head, &b->err), 0);
    struct postgres_journal *p = (struct postgres_journal *)j;
    PGresult *result;
    assert_int_equal(
        pg_exec(&p->read,
            "SELECT (SELECT count(*) FROM pg_prepared_statements) + (SELECT count(*) FROM pg_settings"
            " WHERE source = 'session' AND name <> 'client_encoding')",
            &result, &b->err),
        0);
    snprintf(text, sizeof text, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    assert_string_equal(text, "0");
    journal_close(j);
}

static void a_server_that_does_not_answer_is_given_up(void **state)
{
    struct base *b = *state;
    struct journal *j = must_open(b, JOURNAL_READ);
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct ledger_head head;
    p->read.timeout_ms = 50;
    assert_int_equal(pg_exec(&p->read, "SELECT pg_sleep(60)", NULL, &b->err), ERR_TIMEOUT);
    p->read.timeout_ms = 0;
    assert_int_equal(j->ops->head(j, 1, &head, &b->err), 0);
    journal_close(j);
}

static void what_cannot_be_reached_is_not_tried_all_the_time(void **state)
{
    (void)state;
    struct err err;
    char url[] = "postgres://nobody@127.0.0.1:1/none?connect_timeout=2";
    struct pg_wire wire = {.url = url};
    assert_int_equal(pg_ready(&wire, &err), ERR_IO);
    for (int i = 0; i < 100; i++)
        assert_int_equal(pg_ready(&wire, &err), ERR_IO);
    assert_in_range(wire.failures, 1, 20);
    assert_non_null(strstr(err.message, "127.0.0.1"));
}

static void a_database_that_is_not_there_is_not_found(void **state)
{
    struct base *b = *state;
    struct journal *j;
    char url[256], *path;
    snprintf(url, sizeof url, "%s", b->url);
    path = strstr(url, "cl_backend_");
    memcpy(path, "cl_no_such", strlen("cl_no_such"));
    assert_int_equal(open_url(b, url, JOURNAL_READ, false, &j), ERR_NOT_FOUND);
}

static void urls_are_shown_without_passwords(void **state)
{
    static const char *const cases[][2] = {
        {"postgres://u:secret@h:5432/d", "postgres://u@h:5432/d"},
        {"postgres://u@h/d", "postgres://u@h/d"},
        {"postgres://h/d?password=secret&sslmode=require", "postgres://h/d?&sslmode=require"},
        {"postgres://h/d?sslmode=require&password=secret", "postgres://h/d?sslmode=require&"},
        {"postgres://u:sec/ret@h/d", "postgres://u@h/d"},
        {"postgres://u:sec@ret@h/d", "postgres://u@h/d"},
        {"postgres://u:sec?ret@h/d", "postgres://u@h/d"},
        {"postgresq://u:secret@h/d", "postgresq://u@h/d"},
        {"postgres://", "postgres://"},
        {"", ""},
    };
    (void)state;
    char text[128];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        postgres_url_redact(cases[i][0], text, sizeof text);
        assert_string_equal(text, cases[i][1]);
    }
    postgres_url_redact("postgres://u:secret@h:5432/d", text, 12);
    assert_string_equal(text, "postgres://");
    struct err err;
    struct journal *j;
    const struct journal_options options = {.mode = JOURNAL_READ};
    static const char *const bad[] = {
        "postgres://u:secret@h:5432/d?nonsense=1", "postgresq://u:secret@h/d", "postgres://u:secret%@h/d"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(journal_open(bad[i], &options, &j, &err), ERR_CONFIG);
        assert_null(strstr(err.message, "secret"));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_EMPTY(name) cmocka_unit_test_setup_teardown(name, setup_empty, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_EMPTY(migrating_again_does_nothing),
        TEST_EMPTY(several_programs_may_migrate_at_once),
        TEST(a_newer_schema_is_refused),
        TEST(a_schema_that_other_files_made_is_refused),
        TEST_EMPTY(a_schema_that_is_behind_is_not_brought_up_to_date_unasked),
        TEST_EMPTY(a_failed_migration_leaves_nothing),
        TEST_EMPTY(the_plain_profile_has_no_functions_and_triggers),
        TEST(the_runtime_role_may_serve_and_nothing_more),
        TEST(the_runtime_role_keeps_read_models),
        TEST(an_owner_that_may_make_no_schema_is_told),
        TEST(a_role_that_only_reads_reads_the_views),
        TEST(rights_that_serving_does_not_need_are_named),
        TEST(settings_that_lose_data_are_refused),
        TEST(the_self_check_sees_what_was_done_to_the_schema),
        TEST(the_self_check_sees_parts_without_a_record),
        TEST(a_connection_that_was_ended_is_made_again),
        TEST(a_snapshot_does_not_outlive_its_connection),
        TEST(a_scan_goes_on_after_its_connection_was_ended),
        TEST(who_listens_is_told_of_commits),
        TEST(behind_a_pooler_nothing_is_kept_in_the_session),
        TEST(a_server_that_does_not_answer_is_given_up),
        cmocka_unit_test(what_cannot_be_reached_is_not_tried_all_the_time),
        TEST(a_database_that_is_not_there_is_not_found),
        cmocka_unit_test(urls_are_shown_without_passwords),
    };
    if (!postgres_testing_begin(START))
        return 0;
    return cmocka_run_group_tests_name("journal/postgres_schema", tests, NULL, NULL);
}
