/*
 * Where connections to PostgreSQL lead, and what an answer means that says nothing. Each test has a database of its own
 * on the cluster that CREDITLEDGER_TEST_POSTGRES names (a superuser's URI); without it all are skipped.
 */
#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/postgres_internal.h"
#include "journal/postgres_testing.h"

struct place {
    char url[512];
    struct journal *j; /* a writer */
    PGconn *side;
};

static const struct journal_options reading = {.mode = JOURNAL_READ};
static const struct journal_options writing = {.mode = JOURNAL_WRITE, .now = 1};
static const struct journal_batch nothing = {0};

static struct postgres_journal *inside(struct journal *j)
{
    return (struct postgres_journal *)j;
}

static void set_database(struct place *at, const char *what)
{
    char sql[256];
    snprintf(sql, sizeof sql, "ALTER DATABASE \"%s\" %s", PQdb(at->side), what);
    postgres_testing_prompt(getenv("CREDITLEDGER_TEST_POSTGRES"), sql, sql, sizeof sql);
}

static void see_head(struct journal *j)
{
    struct err err = {0};
    struct ledger_head head;
    if (j->ops->head(j, 1, &head, &err) != 0)
        fail_msg("%s", err.message);
}

static void append_nothing(struct journal *j)
{
    struct err err = {0};
    if (j->ops->append(j, &nothing, &err) != 0)
        fail_msg("%s", err.message);
}

/* A standby that lags would make records seem lost, and balances newer than they are. */
static void test_of_several_hosts_the_primary(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct journal *j;
    struct ledger_head head;
    char url[512];
    snprintf(url, sizeof url, "postgres://%s@/%s?host=%s,%s&port=%s,%s", PQuser(at->side), PQdb(at->side),
        PQhost(at->side), PQhost(at->side), PQport(at->side), PQport(at->side));
    assert_int_equal(journal_open(url, &writing, &j, &err), 0);
    see_head(j);
    set_database(at, "SET default_transaction_read_only = on"); /* as a standby is */
    pg_close(&inside(j)->read);
    assert_int_equal(j->ops->head(j, 1, &head, &err), ERR_IO);
    journal_close(j);
    assert_int_equal(journal_open(url, &reading, &j, &err), ERR_IO);
    assert_int_equal(journal_open(at->url, &reading, &j, &err), 0); /* the one that was asked for */
    journal_close(j);
}

static void test_several_hosts_outside_the_url(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct journal *j;
    char hosts[256], ports[64], url[512];
    snprintf(hosts, sizeof hosts, "%s,%s", PQhost(at->side), PQhost(at->side));
    snprintf(ports, sizeof ports, "%s,%s", PQport(at->side), PQport(at->side));
    snprintf(url, sizeof url, "postgres://%s@/%s", PQuser(at->side), PQdb(at->side));
    set_database(at, "SET default_transaction_read_only = on");
    setenv("PGHOST", hosts, 1);
    setenv("PGPORT", ports, 1);
    int rc = journal_open(url, &reading, &j, &err);
    unsetenv("PGHOST");
    unsetenv("PGPORT");
    assert_int_equal(rc, ERR_IO);
}

/* The server that was left may be there still: nothing is decided on what it says. */
static void test_reads_move_with_the_appends(void **state)
{
    struct place *at = *state;
    struct postgres_journal *p = inside(at->j);
    see_head(at->j);
    int before = PQbackendPID(p->read.pg);
    append_nothing(at->j);
    see_head(at->j);
    assert_int_equal(PQbackendPID(p->read.pg), before);
    pg_close(&p->append);
    append_nothing(at->j);
    see_head(at->j);
    assert_int_not_equal(PQbackendPID(p->read.pg), before);
}

/* Distributed databases answer so when they do not know themselves. */
static void test_an_ambiguous_result_is_unknown(void **state)
{
    static const char *const sqlstates[] = {"40003", "08007"};
    struct place *at = *state;
    for (size_t i = 0; i < 2; i++) {
        struct err err = {0};
        struct journal_batch again = {.again = true};
        char sql[512];
        snprintf(sql, sizeof sql,
            "CREATE FUNCTION ambiguous() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
            " RAISE EXCEPTION 'result is ambiguous' USING ERRCODE = '%s'; END $$;"
            "CREATE TRIGGER ambiguous BEFORE INSERT ON creditledger.record_text EXECUTE FUNCTION ambiguous()",
            sqlstates[i]);
        postgres_testing_prompt(at->url, sql, sql, sizeof sql);
        assert_int_equal(at->j->ops->append(at->j, &nothing, &err), ERR_UNKNOWN);
        assert_int_equal(at->j->ops->append(at->j, &again, &err), ERR_UNKNOWN);
        postgres_testing_prompt(at->url, "DROP FUNCTION ambiguous() CASCADE", sql, sizeof sql);
        assert_int_equal(at->j->ops->append(at->j, &again, &err), 0);
    }
}

static int setup(void **state)
{
    static struct place at;
    struct err err = {0};
    postgres_testing_url(at.url, sizeof at.url);
    if (journal_open(at.url, &writing, &at.j, &err) != 0)
        fail_msg("%s", err.message);
    at.side = PQconnectdb(at.url);
    *state = &at;
    return 0;
}

static int teardown(void **state)
{
    struct place *at = *state;
    journal_close(at->j);
    PQfinish(at->side);
    postgres_testing_drop(at->url);
    return 0;
}

#define at_a_place(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    if (!postgres_testing_begin(1))
        return 0;
    const struct CMUnitTest tests[] = {
        at_a_place(test_of_several_hosts_the_primary),
        at_a_place(test_several_hosts_outside_the_url),
        at_a_place(test_reads_move_with_the_appends),
        at_a_place(test_an_ambiguous_result_is_unknown),
    };
    return cmocka_run_group_tests_name("journal/postgres_connection", tests, NULL, NULL);
}
