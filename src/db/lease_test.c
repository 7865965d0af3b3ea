/* Who may work, over SQLite and, where CREDITLEDGER_TEST_POSTGRES names a cluster, over PostgreSQL. */
#include "base/check.h"

#include <pthread.h>
#include <time.h>

#include "db/lease.h"
#include "db/postgres_testing.h"

#define RELAY "relay"

struct place {
    char url[512];
    struct db *a, *b; /* two handles, as of two processes */
    char directory[64];
};

static char shared_url[512];

static void good(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, err->message);
}

static struct db *opened(const char *url)
{
    struct err err = {0};
    struct db *db = NULL;
    const struct db_options options = {.create = true};
    good(db_open(url, &options, &db, &err), &err);
    return db;
}

static struct lease_state taken(struct db *db, const char *holder)
{
    struct err err = {0};
    struct lease_state state;
    good(lease_take(db, RELAY, holder, &state, &err), &err);
    return state;
}

/* As if so much time had gone by. */
static void pass(struct place *at, const char *microseconds)
{
    struct err err = {0};
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE @lease SET expires_at = expires_at - %s", microseconds);
    good(db_script(at->b, sql, &err), &err);
}

static void test_one_has_it(void **state)
{
    struct place *at = *state;
    struct lease_state ours = taken(at->a, "a"), theirs = taken(at->b, "b"), again = taken(at->a, "a");
    assert_true(ours.held && again.held && !theirs.held);
    assert_string_equal(theirs.holder, "a");
    assert_string_equal(again.holder, "a");
    CHECK_INT("epoch", ours.epoch, 1);
    CHECK_INT("seen", theirs.epoch, 1);
    CHECK_INT("renewed", again.epoch, 1);
    CHECK("left", theirs.expires_in_us > 0 && theirs.expires_in_us <= LEASE_SECONDS * INT64_C(1000000));
    CHECK("renewed for all of it", again.expires_in_us > (LEASE_SECONDS - 1) * INT64_C(1000000));
}

static void test_who_does_not_renew_loses_it(void **state)
{
    struct place *at = *state;
    CHECK("taken", taken(at->a, "a").held);
    pass(at, "4900000");
    CHECK("not yet", !taken(at->b, "b").held);
    CHECK("renewed", taken(at->a, "a").held);
    pass(at, "4900000");
    CHECK("from the renewal on", !taken(at->b, "b").held);
    pass(at, "200000");
    struct lease_state theirs = taken(at->b, "b");
    CHECK("over", theirs.held);
    CHECK_INT("epoch", theirs.epoch, 2);
    struct lease_state slept = taken(at->a, "a"); /* it slept, and asks as if nothing had been */
    CHECK("lost", !slept.held);
    assert_string_equal(slept.holder, "b");
    CHECK_INT("seen", slept.epoch, 2);
    pass(at, "6000000");
    CHECK_INT("its own, late", taken(at->b, "b").epoch, 2); /* nobody had it in between */
}

static void test_time_really_passes(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct lease_state before, after;
    struct timespec pause = {0, 30000000};
    (void)taken(at->a, "a");
    good(lease_read(at->b, RELAY, &before, &err), &err);
    nanosleep(&pause, NULL);
    good(lease_read(at->b, RELAY, &after, &err), &err);
    int64_t gone = before.expires_in_us - after.expires_in_us;
    CHECK("thirty milliseconds, and some", gone >= 25000 && gone < 5000000);
    CHECK("nobody asked for it", !after.held);
}

static void test_given_back(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct lease_state now;
    (void)taken(at->a, "a");
    good(lease_give(at->b, RELAY, "b", &err), &err); /* is not b's to give */
    CHECK("still a's", !taken(at->b, "b").held);
    good(lease_give(at->a, RELAY, "a", &err), &err);
    good(lease_read(at->b, RELAY, &now, &err), &err);
    assert_string_equal(now.holder, "");
    CHECK("over", now.expires_in_us <= 0);
    struct lease_state next = taken(at->b, "b");
    CHECK("b's at once", next.held);
    CHECK_INT("epoch", next.epoch, 2);
    good(lease_give(at->b, RELAY, "b", &err), &err);
    CHECK_INT("the same again is another time", taken(at->b, "b").epoch, 3);
}

static void test_leases_are_apart(void **state)
{
    struct place *at = *state;
    struct err err = {0};
    struct lease_state other;
    (void)taken(at->a, "a");
    good(lease_read(at->a, "projector", &other, &err), &err);
    assert_string_equal(other.holder, "");
    CHECK_INT("never taken", other.epoch, 0);
    good(lease_take(at->b, "projector", "b", &other, &err), &err);
    CHECK("taken", other.held);
    CHECK("both", taken(at->a, "a").held);
}

/* Before the machine was started again, or before its clock was set back. */
static void test_a_lease_of_another_clock(void **state)
{
    struct place *at = *state;
    (void)taken(at->a, "a");
    pass(at, "-86400000000");
    struct lease_state theirs = taken(at->b, "b");
    CHECK("not for a day", theirs.held && theirs.epoch == 2);
}

static void test_names_of_holders(void **state)
{
    (void)state;
    char one[LEASE_HOLDER_MAX + 1], two[LEASE_HOLDER_MAX + 1], pid[32];
    lease_holder(one);
    lease_holder(two);
    snprintf(pid, sizeof pid, ":%ld:", (long)getpid());
    CHECK("another", strcmp(one, two) != 0);
    CHECK("the pid", strstr(one, pid) != NULL);
    CHECK("the host", one[0] != ':');
}

struct rival {
    pthread_t thread;
    const char *url;
    _Atomic unsigned *working, *epochs;
    unsigned number, terms, overlaps;
    int rc;
};

/* Works, gives it back, and asks again: two at work at once would show. */
static void *compete(void *ctx)
{
    struct rival *r = ctx;
    struct err err = {0};
    struct db *db = NULL;
    struct lease_state state;
    char holder[16];
    const struct db_options options = {.create = true, .busy_timeout_ms = 20000};
    snprintf(holder, sizeof holder, "rival %u", r->number);
    r->rc = db_open(r->url, &options, &db, &err);
    if (r->rc == 0)
        r->rc = lease_prepare(db, &err);
    for (unsigned i = 0; r->rc == 0 && i < 40; i++) {
        r->rc = lease_take(db, RELAY, holder, &state, &err);
        if (r->rc != 0 || !state.held)
            continue;
        r->overlaps += (*r->working)++ != 0;
        r->overlaps += (*r->epochs)++ + 1 != state.epoch;
        r->terms++;
        sched_yield();
        (*r->working)--;
        r->rc = lease_give(db, RELAY, holder, &err);
    }
    if (r->rc != 0)
        fprintf(stderr, "%s: %d: %s\n", holder, r->rc, err.message);
    db_close(db);
    return NULL;
}

static void test_eight_rivals(void **state)
{
    struct place *at = *state;
    _Atomic unsigned working = 0, epochs = 0;
    struct rival rivals[8];
    unsigned terms = 0;
    for (unsigned i = 0; i < 8; i++) {
        rivals[i] = (struct rival){.url = at->url, .working = &working, .epochs = &epochs, .number = i};
        assert_int_equal(pthread_create(&rivals[i].thread, NULL, compete, &rivals[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++)
        pthread_join(rivals[i].thread, NULL);
    for (unsigned i = 0; i < 8; i++) {
        CHECK_INT("rc", rivals[i].rc, 0);
        CHECK_INT("overlaps", rivals[i].overlaps, 0);
        terms += rivals[i].terms;
    }
    CHECK("somebody worked", terms >= 8);
    CHECK_INT("epochs", epochs, terms);
}

/* ---- where ---- */

static int setup(void **state, const char *url)
{
    struct place *at = *state;
    struct err err = {0};
    snprintf(at->url, sizeof at->url, "%s", url);
    at->a = opened(url);
    at->b = opened(url);
    good(lease_prepare(at->a, &err), &err);
    good(lease_prepare(at->b, &err), &err);
    return 0;
}

static int setup_sqlite(void **state)
{
    struct place *at = calloc(1, sizeof *at);
    char url[128];
    snprintf(at->directory, sizeof at->directory, "/tmp/creditledger-lease-XXXXXX");
    assert_non_null(mkdtemp(at->directory));
    snprintf(url, sizeof url, "sqlite:%s/read.db", at->directory);
    *state = at;
    return setup(state, url);
}

static int setup_postgres(void **state)
{
    char text[64];
    postgres_testing_prompt(shared_url, "DROP SCHEMA IF EXISTS creditledger_read CASCADE", text, sizeof text);
    *state = calloc(1, sizeof(struct place));
    return setup(state, shared_url);
}

static int teardown(void **state)
{
    struct place *at = *state;
    char path[128];
    db_close(at->a);
    db_close(at->b);
    snprintf(path, sizeof path, "%s/read.db", at->directory);
    if (at->directory[0] != '\0')
        assert_true(unlink(path) == 0 && rmdir(at->directory) == 0);
    free(at);
    return 0;
}

static void forget_database(void)
{
    postgres_testing_forget(shared_url);
}

#define over(test, where) \
    { \
#test " over " #where, test, setup_##where, teardown, NULL \
    }
#define TESTS(where) \
    over(test_one_has_it, where), over(test_who_does_not_renew_loses_it, where), \
        over(test_time_really_passes, where), over(test_given_back, where), \
        over(test_leases_are_apart, where), over(test_a_lease_of_another_clock, where), \
        over(test_eight_rivals, where)

int main(void)
{
    const struct CMUnitTest everywhere[] = {
        cmocka_unit_test(test_names_of_holders), TESTS(sqlite), TESTS(postgres)};
    const struct CMUnitTest embedded[] = {cmocka_unit_test(test_names_of_holders), TESTS(sqlite)};
    if (!postgres_testing_here()) {
        fprintf(stderr,
            "lease: over SQLite only; PostgreSQL needs ./dev test, or scripts/postgres.py run -- COMMAND\n");
        return cmocka_run_group_tests_name("lease", embedded, NULL, NULL);
    }
    postgres_testing_empty_url(shared_url, sizeof shared_url);
    atexit(forget_database);
    return cmocka_run_group_tests_name("lease", everywhere, NULL, NULL);
}
