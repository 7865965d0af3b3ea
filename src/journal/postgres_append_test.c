/*
 * Appending to PostgreSQL when others write too, when answers are lost, when locks are held. Each test has a database of
 * its own on the cluster that CREDITLEDGER_TEST_POSTGRES names (a superuser's URI); without it all are skipped.
 */
#include "base/testing.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "journal/journal_fixture.h"
#include "journal/postgres_internal.h"
#include "journal/postgres_testing.h"

#define ACCOUNTS 4

/* Two writers of one database, and a plain connection beside them. */
struct writers {
    char url[512];
    struct journal *a, *b;
    struct fixture fa, fb; /* what each believes */
    PGconn *side;
};

static struct err failure; /* of a call that must not fail */

#define MUST(call) \
    do { \
        if ((call) != 0) \
            fail_msg("%s: %s", #call, failure.message); \
    } while (0)

/* ---- databases ---- */

static void run_on(PGconn *pg, const char *sql)
{
    PGresult *result = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    PQclear(result);
}

static int64_t ask(PGconn *pg, const char *sql)
{
    PGresult *result = PQexec(pg, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    int64_t value = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return value;
}

static int ignore_note(void *ctx, const char *note)
{
    (void)ctx;
    (void)note;
    return 0;
}

static struct journal *open_writer(const char *url, enum ledger_lock lock)
{
    struct err err = {0};
    struct journal *j = NULL;
    const struct journal_options options = {.mode = JOURNAL_WRITE, .now = 1, .lock = lock};
    if (journal_open(url, &options, &j, &err) != 0)
        fail_msg("%s", err.message);
    return j;
}

static void writers_init(struct writers *w, enum ledger_lock lock, bool plain)
{
    const struct postgres_migration_plan plan = {.now = 1, .plain = true};
    memset(w, 0, sizeof *w);
    if (plain) {
        postgres_testing_empty_url(w->url, sizeof w->url);
        MUST(postgres_migrate(w->url, &plan, ignore_note, NULL, &failure));
    } else
        postgres_testing_url(w->url, sizeof w->url);
    w->a = open_writer(w->url, lock);
    w->b = open_writer(w->url, lock);
    w->side = PQconnectdb(w->url);
    fixture_init_main(&w->fa, w->a, 1);
    fixture_init_main(&w->fb, w->a, 2);
    /* Both know the accounts; the second one's records differ from here on. */
    struct fixture *both[] = {&w->fa, &w->fb};
    for (size_t k = 0; k < 2; k++) {
        both[k]->random = 7;
        uint32_t usd = fixture_asset(both[k], "USD", 2);
        for (size_t i = 0; i < ACCOUNTS; i++)
            fixture_account(both[k], usd, ACCOUNT_LIABILITY, (struct floor){false, 0});
    }
    assert_int_equal(fixture_commit(&w->fa, w->a, NULL), 0);
    fixture_keep(&w->fb, &w->fb.state);
    w->fb.random = 99;
    assert_memory_equal(w->fa.committed.head.hash, w->fb.committed.head.hash, HASH_LEN);
}

static void set_database(struct writers *w, const char *what)
{
    char sql[256];
    snprintf(sql, sizeof sql, "ALTER DATABASE \"%s\" %s", PQdb(w->side), what);
    postgres_testing_prompt(getenv("CREDITLEDGER_TEST_POSTGRES"), sql, sql, sizeof sql);
}

static void writers_fini(struct writers *w)
{
    fixture_fini(&w->fa);
    fixture_fini(&w->fb);
    journal_close(w->a);
    journal_close(w->b);
    PQfinish(w->side);
    postgres_testing_drop(w->url);
}

/* ---- batches ---- */

struct pending {
    struct ledger_known known;
    struct journal_batch batch;
};

static const struct journal_batch *pend(struct pending *p, const struct fixture *f)
{
    p->known = (struct ledger_known){.ledger = f->row.id, .seq = f->committed.head.seq};
    memcpy(p->known.hash, f->committed.head.hash, HASH_LEN);
    p->batch = (struct journal_batch){.known = &p->known,
        .n_known = 1,
        .records = (const struct record *const *)f->batch,
        .n_records = f->n_batch};
    return &p->batch;
}

static void transfers(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        fixture_transfer(f, 1 + (uint64_t)i % ACCOUNTS, 1 + (uint64_t)(i + 1) % ACCOUNTS, 5 + i);
}

static struct pg_wire *append_wire(struct journal *j)
{
    return &((struct postgres_journal *)j)->append;
}

static void assert_records(struct writers *w, int64_t expected)
{
    assert_int_equal(ask(w->side, "SELECT count(*) FROM creditledger.journal"), expected);
    assert_int_equal(ask(w->side, "SELECT max(seq) FROM creditledger.journal"), expected);
    assert_int_equal(ask(w->side, "SELECT coalesce(sum(posted), 0) FROM creditledger.entry"), 0);
}

/* ---- heads ---- */

static void test_head_moved(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    transfers(&w->fa, 3);
    transfers(&w->fb, 2);
    MUST(fixture_commit(&w->fa, w->a, &failure));
    assert_int_equal(fixture_commit(&w->fb, w->b, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "head of ledger 1 is 7, not 4"));
    assert_records(w, ACCOUNTS + 3);
}

/* As many records as were expected, by somebody else: only the hash tells. The batch would fit otherwise. */
static void head_with_another_hash(enum ledger_lock lock, bool plain)
{
    struct writers w;
    struct err err = {0};
    writers_init(&w, lock, plain);
    transfers(&w.fb, 2);
    fixture_keep(&w.fb, &w.fb.state); /* it believes that these were committed */
    w.fb.n_batch = 0;
    w.fb.batch = NULL;
    transfers(&w.fa, 2);
    MUST(fixture_commit(&w.fa, w.a, &failure));
    transfers(&w.fb, 1);
    assert_int_equal(fixture_commit(&w.fb, w.b, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "head of"));
    assert_records(&w, ACCOUNTS + 2);
    writers_fini(&w);
}

static void test_same_seq_another_hash(void **state)
{
    (void)state;
    head_with_another_hash(LEDGER_LOCK_DEFAULT, false);
    head_with_another_hash(LEDGER_LOCK_ROW, false);
    head_with_another_hash(LEDGER_LOCK_NONE, false);
}

static void test_records_without_their_head_are_refused(void **state)
{
    struct writers *w = *state;
    struct pending p;
    transfers(&w->fa, 1);
    pend(&p, &w->fa);
    p.batch.n_known = 0;
    assert_int_equal(w->a->ops->append(w->a, &p.batch, NULL), ERR_CONFLICT);
    assert_records(w, ACCOUNTS);
}

static void keyed_transfer(struct fixture *f, const char *key)
{
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    fixture_key(f, r, key);
    fixture_entry(f, r, 1, (struct amounts){-5, 0, 0});
    fixture_entry(f, r, 2, (struct amounts){5, 0, 0});
    fixture_seal(f, r);
}

static void test_duplicate_key(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    keyed_transfer(&w->fa, "once");
    MUST(fixture_commit(&w->fa, w->a, &failure));
    transfers(&w->fa, 1);
    keyed_transfer(&w->fa, "once");
    assert_int_equal(fixture_commit(&w->fa, w->a, &err), ERR_DUPLICATE);
    assert_records(w, ACCOUNTS + 1);
    keyed_transfer(&w->fa, "twice");
    MUST(fixture_commit(&w->fa, w->a, &failure));
    assert_records(w, ACCOUNTS + 2);
}

/* ---- unknown outcomes ---- */

/* The line to the server is cut; what it may still send is not read. */
static void cut(struct journal *j)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(dup2(pair[0], PQsocket(append_wire(j)->pg)) >= 0);
    close(pair[0]);
    close(pair[1]);
}

static void wait_for(struct writers *w, const char *sql, int64_t expected)
{
    for (int i = 0; i < 2000; i++) {
        if (ask(w->side, sql) == expected)
            return;
        usleep(5000);
    }
    fail_msg("%s did not become %lld", sql, (long long)expected);
}

static const char sql_waiting[] =
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND"
    " database = (SELECT oid FROM pg_database WHERE datname = current_database())";

static void test_answer_lost_after_commit(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    struct pending p;
    transfers(&w->fa, 3);
    pend(&p, &w->fa);
    MUST(w->a->ops->append_start(w->a, &p.batch, &failure));
    wait_for(w, "SELECT count(*) FROM creditledger.journal", ACCOUNTS + 3);
    cut(w->a);
    assert_int_equal(w->a->ops->append_finish(w->a, &err), ERR_UNKNOWN);
    p.batch.again = true;
    MUST(w->a->ops->append(w->a, &p.batch, &failure));
    assert_records(w, ACCOUNTS + 3);
}

static void test_found_behind_what_others_wrote(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    struct pending p;
    keyed_transfer(&w->fa, "key");
    pend(&p, &w->fa);
    MUST(w->a->ops->append_start(w->a, &p.batch, &failure));
    wait_for(w, "SELECT count(*) FROM creditledger.journal", ACCOUNTS + 1);
    cut(w->a);
    assert_int_equal(w->a->ops->append_finish(w->a, &err), ERR_UNKNOWN);
    struct fixture_state mine = w->fa.state;
    fixture_keep(&w->fa, &mine); /* somebody else goes on from it */
    transfers(&w->fa, 2);
    MUST(fixture_commit(&w->fa, w->b, &failure));
    p.batch.again = true;
    MUST(w->a->ops->append(w->a, &p.batch, &failure));
    assert_records(w, ACCOUNTS + 3);
}

/* The server ends the session before it could do anything. */
static void kill_before_commit(struct writers *w, struct pending *p)
{
    struct err err = {0};
    char sql[128];
    run_on(w->side, "BEGIN; SELECT pg_advisory_xact_lock(1129073735, 1)");
    MUST(w->a->ops->append_start(w->a, &p->batch, &failure));
    wait_for(w, sql_waiting, 1);
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", PQbackendPID(append_wire(w->a)->pg));
    run_on(w->side, sql);
    assert_int_equal(w->a->ops->append_finish(w->a, &err), ERR_UNKNOWN);
    run_on(w->side, "COMMIT");
}

static void test_killed_before_commit(void **state)
{
    struct writers *w = *state;
    struct pending p;
    transfers(&w->fa, 3);
    pend(&p, &w->fa);
    kill_before_commit(w, &p);
    assert_records(w, ACCOUNTS);
    p.batch.again = true;
    MUST(w->a->ops->append(w->a, &p.batch, &failure));
    assert_records(w, ACCOUNTS + 3);
}

static void test_killed_and_overtaken(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    struct pending p;
    transfers(&w->fa, 3);
    pend(&p, &w->fa);
    kill_before_commit(w, &p);
    transfers(&w->fb, 3);
    MUST(fixture_commit(&w->fb, w->b, &failure));
    p.batch.again = true;
    assert_int_equal(w->a->ops->append(w->a, &p.batch, &err), ERR_CONFLICT);
    assert_records(w, ACCOUNTS + 3);
}

/* Cut off, and the server is still at it: the second attempt waits behind the first, and finds it done. */
static void test_cut_off_and_still_going_on(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    struct pending p;
    transfers(&w->fa, 3);
    pend(&p, &w->fa);
    run_on(w->side, "BEGIN; SELECT pg_advisory_xact_lock(1129073735, 1)");
    MUST(w->a->ops->append_start(w->a, &p.batch, &failure));
    wait_for(w, sql_waiting, 1);
    cut(w->a);
    assert_int_equal(w->a->ops->append_finish(w->a, &err), ERR_UNKNOWN);
    p.batch.again = true;
    MUST(w->a->ops->append_start(w->a, &p.batch, &failure));
    run_on(w->side, "COMMIT");
    MUST(w->a->ops->append_finish(w->a, &failure));
    assert_records(w, ACCOUNTS + 3);
}

/* While the database cannot be had, what became of a batch stays unknown. */
static void test_unknown_stays_unknown(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    struct pending p;
    transfers(&w->fa, 1);
    pend(&p, &w->fa);
    kill_before_commit(w, &p);
    set_database(w, "ALLOW_CONNECTIONS false");
    p.batch.again = true;
    assert_int_equal(w->a->ops->append(w->a, &p.batch, &err), ERR_UNKNOWN);
    set_database(w, "ALLOW_CONNECTIONS true");
    for (int i = 0; i < 100 && w->a->ops->append(w->a, &p.batch, &err) != 0; i++) {
        assert_int_equal(err.code, ERR_UNKNOWN);
        usleep(50000);
    }
    assert_records(w, ACCOUNTS + 1);
}

static void test_catalog_lost_after_commit(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    const struct asset eur = {.id = 2, .scale = 2, .code = "EUR"},
                       points = {.id = 2, .scale = 0, .code = "POINTS"};
    const struct ledger_row row = {.id = 2, .name = "second", .default_floor = {true, 0}, .created_at = 5};
    struct journal_batch batch = {.assets = &eur, .n_assets = 1, .ledgers = &row, .n_ledgers = 1};
    MUST(w->a->ops->append_start(w->a, &batch, &failure));
    wait_for(w, "SELECT count(*) FROM creditledger.ledger", 2);
    cut(w->a);
    assert_int_equal(w->a->ops->append_finish(w->a, &err), ERR_UNKNOWN);
    batch.again = true;
    MUST(w->a->ops->append(w->a, &batch, &failure));
    batch.again = false;
    assert_int_equal(w->b->ops->append(w->b, &batch, NULL), ERR_CONFLICT);
    batch.again = true;
    batch.assets = &points; /* another one has that number */
    assert_int_equal(w->b->ops->append(w->b, &batch, NULL), ERR_CONFLICT);
}

/* ---- looking and holding ---- */

struct changes {
    size_t n;
    uint64_t last_seq, versions[ACCOUNTS + 1];
    int64_t posted[ACCOUNTS + 1];
};

static int note_change(void *ctx, uint32_t ledger, const struct entry *entry, uint64_t seq)
{
    struct changes *c = ctx;
    assert_int_equal(ledger, 1);
    assert_true(seq >= c->last_seq && entry->account <= ACCOUNTS);
    c->last_seq = seq;
    c->versions[entry->account] = entry->version;
    c->posted[entry->account] = entry->after.posted;
    c->n++;
    return 0;
}

static struct ledger_known known_of(const struct fixture *f)
{
    struct ledger_known known = {.ledger = 1, .seq = f->committed.head.seq};
    memcpy(known.hash, f->committed.head.hash, HASH_LEN);
    return known;
}

static void test_catch_up(void **state)
{
    struct writers *w = *state;
    struct ledger_known known = known_of(&w->fb);
    transfers(&w->fa, 3);
    MUST(fixture_commit(&w->fa, w->a, &failure));
    for (int hold = 0; hold < 2; hold++) {
        struct ledger_news news;
        struct changes c = {0};
        MUST(w->b->ops->catch_up(w->b, &known, 1, hold, 100, &news, note_change, &c, &failure));
        assert_false(news.lost || news.too_many);
        assert_int_equal(news.head.seq, ACCOUNTS + 3);
        assert_int_equal(news.head.accounts, ACCOUNTS);
        assert_int_equal(news.head.recorded_at, w->fa.committed.head.recorded_at);
        assert_memory_equal(news.head.hash, w->fa.committed.head.hash, HASH_LEN);
        assert_int_equal(c.n, 6);
        for (uint64_t i = 1; i <= ACCOUNTS; i++) {
            assert_int_equal(c.versions[i], fixture_head(&w->fa, i)->version);
            assert_int_equal(c.posted[i], fixture_head(&w->fa, i)->balance.posted);
        }
        c = (struct changes){0};
        MUST(w->b->ops->catch_up(w->b, &known, 1, hold, 5, &news, note_change, &c, &failure));
        assert_true(news.too_many && c.n == 0 && news.head.seq == ACCOUNTS + 3);
        MUST(w->b->ops->catch_up(w->b, &known, 1, hold, 6, &news, note_change, &c, &failure));
        assert_true(!news.too_many && c.n == 6);
        w->b->ops->release(w->b);
    }
}

static void test_lost(void **state)
{
    struct writers *w = *state;
    struct ledger_known good = known_of(&w->fa), ahead = good, other = good, none = {.ledger = 7};
    ahead.seq += 5;
    other.hash[3] ^= 1;
    const struct {
        struct ledger_known known;
        bool lost;
    } cases[] = {{good, false}, {ahead, true}, {other, true}, {none, true}, {{.ledger = 1}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int hold = 0; hold < 2; hold++) {
            struct ledger_news news;
            struct changes c = {0};
            MUST(w->a->ops->catch_up(w->a, &cases[i].known, 1, hold, 100, &news, note_change, &c, &failure));
            assert_int_equal(news.lost, cases[i].lost);
            assert_true(c.n == 0 || cases[i].known.seq == 0);
            w->a->ops->release(w->a);
        }
}

static void hold_keeps_others_out(enum ledger_lock lock)
{
    struct writers w;
    struct err err = {0};
    struct pending pa, pb;
    struct ledger_news news;
    struct changes c = {0};
    writers_init(&w, lock, false);
    struct ledger_known known = known_of(&w.fa);
    MUST(w.a->ops->catch_up(w.a, &known, 1, true, 100, &news, note_change, &c, &failure));
    transfers(&w.fb, 2);
    MUST(w.b->ops->append_start(w.b, pend(&pb, &w.fb), &failure));
    struct pollfd done = {.fd = w.b->ops->append_fd(w.b), .events = POLLIN};
    assert_int_equal(poll(&done, 1, 200), 0); /* it waits */
    transfers(&w.fa, 1);
    MUST(w.a->ops->append(w.a, pend(&pa, &w.fa), &failure));
    assert_int_equal(w.b->ops->append_finish(w.b, &err), ERR_CONFLICT);
    assert_records(&w, ACCOUNTS + 1);

    fixture_keep(&w.fa, &w.fa.state); /* nothing is held any more */
    transfers(&w.fa, 1);
    MUST(fixture_commit(&w.fa, w.b, &failure));

    known = known_of(&w.fa);
    MUST(w.a->ops->catch_up(w.a, &known, 1, true, 100, &news, note_change, &c, &failure));
    transfers(&w.fa, 1);
    MUST(w.b->ops->append_start(w.b, pend(&pb, &w.fa), &failure));
    assert_int_equal(poll(&done, 1, 100), 0);
    w.a->ops->release(w.a);
    MUST(w.b->ops->append_finish(w.b, &failure));
    assert_records(&w, ACCOUNTS + 3);
    writers_fini(&w);
}

static void test_hold(void **state)
{
    (void)state;
    hold_keeps_others_out(LEDGER_LOCK_ADVISORY);
    hold_keeps_others_out(LEDGER_LOCK_ROW);
}

/* A refusal in a transaction that holds locks lets go of them; so does a connection that breaks. */
static void test_hold_ends_with_a_failure(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    struct ledger_news news;
    struct changes c = {0};
    char sql[128];
    struct ledger_known known = known_of(&w->fa);
    MUST(w->a->ops->catch_up(w->a, &known, 1, true, 100, &news, note_change, &c, &failure));
    struct record *r = fixture_begin(&w->fa, RECORD_TRANSFER);
    fixture_entry(&w->fa, r, 1, (struct amounts){-5, 0, 0});
    fixture_seal(&w->fa, r);
    assert_int_equal(fixture_commit(&w->fa, w->a, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "I2"));
    assert_int_equal(
        ask(w->side, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                     " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"),
        0);
    MUST(w->a->ops->catch_up(w->a, &known, 1, true, 100, &news, note_change, &c, &failure));
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d, 5000)", PQbackendPID(append_wire(w->a)->pg));
    run_on(w->side, sql);
    transfers(&w->fb, 1);
    MUST(fixture_commit(&w->fb, w->b, &failure));
    /* What was decided under locks that are gone does not get in. */
    transfers(&w->fa, 1);
    assert_int_not_equal(fixture_commit(&w->fa, w->a, &err), 0);
    assert_records(w, ACCOUNTS + 1);
}

struct contender {
    pthread_t thread;
    struct journal *j;
    struct fixture *f;
    uint64_t debit, credit;
    int rounds, conflicts;
};

static int ignore_change(void *ctx, uint32_t ledger, const struct entry *entry, uint64_t seq)
{
    (void)ctx, (void)ledger, (void)entry, (void)seq;
    return 0;
}

/* Its accounts are its own, so that only the ledger's head is everybody's. */
static void *contend(void *ctx)
{
    struct contender *c = ctx;
    for (int i = 0; i < c->rounds; i++) {
        struct ledger_news news;
        struct ledger_known known = known_of(c->f);
        INVARIANT(c->j->ops->catch_up(c->j, &known, 1, true, 100000, &news, ignore_change, NULL, NULL) == 0);
        INVARIANT(!news.lost);
        c->f->state.head = c->f->committed.head = news.head;
        if (c->f->now < news.head.recorded_at)
            c->f->now = news.head.recorded_at;
        fixture_transfer(c->f, c->debit, c->credit, 1);
        fixture_transfer(c->f, c->credit, c->debit, 1);
        c->conflicts += fixture_commit(c->f, c->j, NULL) != 0;
    }
    return NULL;
}

static void two_contend(enum ledger_lock lock)
{
    struct writers w;
    writers_init(&w, lock, false);
    struct contender c[] = {{.j = w.a, .f = &w.fa, .debit = 1, .credit = 2, .rounds = 100},
        {.j = w.b, .f = &w.fb, .debit = 3, .credit = 4, .rounds = 100}};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&c[i].thread, NULL, contend, &c[i]), 0);
    for (size_t i = 0; i < 2; i++)
        pthread_join(c[i].thread, NULL);
    assert_int_equal(c[0].conflicts + c[1].conflicts, 0);
    assert_records(&w, ACCOUNTS + 400);
    writers_fini(&w);
}

static void test_two_contend(void **state)
{
    (void)state;
    two_contend(LEDGER_LOCK_ADVISORY);
    two_contend(LEDGER_LOCK_ROW);
}

/* ---- the rest ---- */

static void test_big_batch_and_reads_meanwhile(void **state)
{
    struct writers *w = *state;
    struct pending p;
    struct ledger_head head;
    transfers(&w->fa, 8000);
    MUST(w->a->ops->append_start(w->a, pend(&p, &w->fa), &failure));
    for (int i = 0; i < 20; i++) {
        struct key_want want = {.ledger = 1, .key = STR("nobody's")};
        MUST(w->a->ops->head(w->a, 1, &head, &failure));
        assert_true(head.seq == ACCOUNTS || head.seq == ACCOUNTS + 8000);
        MUST(w->a->ops->keys_fetch(w->a, &want, 1, &failure));
    }
    struct pollfd done = {.fd = w->a->ops->append_fd(w->a), .events = POLLIN};
    assert_int_equal(poll(&done, 1, 30000), 1);
    MUST(w->a->ops->append_finish(w->a, &failure));
    MUST(w->a->ops->head(w->a, 1, &head, &failure));
    assert_int_equal(head.seq, ACCOUNTS + 8000);
    assert_memory_equal(head.hash, w->fa.state.head.hash, HASH_LEN);
    assert_records(w, ACCOUNTS + 8000);
}

static void test_nothing_proves_durably(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    const struct journal_batch nothing = {0};
    int64_t before = ask(w->side, "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint");
    MUST(w->a->ops->append(w->a, &nothing, &failure));
    assert_true(ask(w->side, "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint") > before + 32000);
    assert_records(w, ACCOUNTS);
    assert_int_equal(ask(w->side, "SELECT count(*) FROM creditledger.record_text"), 0);
    set_database(w, "SET default_transaction_read_only = on");
    pg_close(append_wire(w->a));
    assert_int_not_equal(w->a->ops->append(w->a, &nothing, &err), 0);
    assert_non_null(strstr(err.message, "read-only"));
}

static void test_synchronous_commit_off_is_refused(void **state)
{
    struct writers *w = *state;
    char sql[2048];
    size_t n = (size_t)snprintf(sql, sizeof sql, "SELECT creditledger.append(0, false");
    for (int i = 2; i < 78; i++)
        n += (size_t)snprintf(sql + n, sizeof sql - n, ", NULL");
    snprintf(sql + n, sizeof sql - n, ")");
    run_on(w->side, sql);
    run_on(w->side, "SET synchronous_commit = off");
    PGresult *result = PQexec(w->side, sql);
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "CL110");
    PQclear(result);
}

static void erasable(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    fixture_text(f, r, "{\"name\":\"Ada\"}");
    fixture_entry(f, r, 1, (struct amounts){-5, 0, 0});
    fixture_entry(f, r, 2, (struct amounts){5, 0, 0});
    fixture_seal(f, r);
}

static void erase(struct fixture *f, uint64_t seq)
{
    struct record *r = fixture_begin(f, RECORD_ERASURE);
    r->related_seq = seq;
    fixture_entry(f, r, 1, (struct amounts){0, 0, 0});
    fixture_seal(f, r);
}

static void test_only_an_owner_erases(void **state)
{
    struct writers *w = *state;
    struct err err = {0};
    char url[600], role[80];
    snprintf(role, sizeof role, "creditledger_test_%d", (int)getpid());
    const struct postgres_migration_plan plan = {.now = 1, .runtime_role = role};
    MUST(postgres_migrate(w->url, &plan, ignore_note, NULL, &failure));
    postgres_testing_as(w->url, role, url, sizeof url);
    struct journal *runtime = open_writer(url, LEDGER_LOCK_DEFAULT);
    assert_string_equal(PQuser(append_wire(runtime)->pg == NULL ? w->side : append_wire(runtime)->pg), role);
    erasable(&w->fa);
    MUST(fixture_commit(&w->fa, runtime, &failure));
    erase(&w->fa, ACCOUNTS + 1);
    assert_int_equal(fixture_commit(&w->fa, runtime, &err), ERR_CONFIG);
    assert_int_equal(ask(w->side, "SELECT count(*) FROM creditledger.record_text"), 1);
    erase(&w->fa, ACCOUNTS + 1);
    MUST(fixture_commit(&w->fa, w->a, &failure));
    assert_int_equal(ask(w->side, "SELECT count(*) FROM creditledger.record_text"), 0);
    assert_records(w, ACCOUNTS + 2);
    journal_close(runtime);
    struct journal *row = open_writer(url, LEDGER_LOCK_ROW); /* the row lock needs no UPDATE */
    transfers(&w->fa, 1);
    MUST(fixture_commit(&w->fa, row, &failure));
    journal_close(row);
    char sql[200];
    snprintf(sql, sizeof sql, "DROP OWNED BY %s; DROP ROLE %s", role, role);
    run_on(w->side, sql);
}

static void test_plain(void **state)
{
    (void)state;
    struct writers w;
    struct err err = {0};
    struct pending p;
    const struct journal_batch nothing = {0};
    writers_init(&w, LEDGER_LOCK_DEFAULT, true);
    assert_int_equal(
        ask(w.side, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'creditledger'::regnamespace"), 0);
    keyed_transfer(&w.fa, "once");
    erasable(&w.fa);
    MUST(fixture_commit(&w.fa, w.a, &failure));
    transfers(&w.fb, 1); /* at the old head */
    assert_int_equal(fixture_commit(&w.fb, w.b, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "head of"));
    keyed_transfer(&w.fa, "once");
    assert_int_equal(fixture_commit(&w.fa, w.a, &err), ERR_DUPLICATE);
    erase(&w.fa, ACCOUNTS + 2);
    MUST(fixture_commit(&w.fa, w.a, &failure));
    assert_int_equal(ask(w.side, "SELECT count(*) FROM creditledger.record_text"), 0);

    MUST(w.a->ops->append(w.a, &nothing, &failure));
    assert_int_equal(ask(w.side, "SELECT count(*) FROM creditledger.ledger"), 1);

    transfers(&w.fa, 2);
    MUST(w.a->ops->append_start(w.a, pend(&p, &w.fa), &failure));
    wait_for(&w, "SELECT count(*) FROM creditledger.journal", ACCOUNTS + 5);
    cut(w.a);
    assert_int_equal(w.a->ops->append_finish(w.a, &err), ERR_UNKNOWN);
    p.batch.again = true;
    MUST(w.a->ops->append(w.a, &p.batch, &failure));
    assert_records(&w, ACCOUNTS + 5);

    struct ledger_known known = {.ledger = 1};
    struct ledger_news news;
    struct changes c = {0};
    MUST(w.b->ops->catch_up(w.b, &known, 1, true, 100, &news, note_change, &c, &failure));
    assert_true(c.n == ACCOUNTS + 2 * 4 + 1 && news.head.seq == ACCOUNTS + 5);
    writers_fini(&w);
    head_with_another_hash(LEDGER_LOCK_NONE, true);
}

static int setup(void **state)
{
    static struct writers w;
    writers_init(&w, LEDGER_LOCK_DEFAULT, false);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    writers_fini(*state);
    return 0;
}

#define with_writers(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    if (!postgres_testing_begin(1))
        return 0;
    const struct CMUnitTest tests[] = {
        with_writers(test_head_moved),
        cmocka_unit_test(test_same_seq_another_hash),
        with_writers(test_records_without_their_head_are_refused),
        with_writers(test_duplicate_key),
        with_writers(test_answer_lost_after_commit),
        with_writers(test_found_behind_what_others_wrote),
        with_writers(test_killed_before_commit),
        with_writers(test_killed_and_overtaken),
        with_writers(test_cut_off_and_still_going_on),
        with_writers(test_unknown_stays_unknown),
        with_writers(test_catalog_lost_after_commit),
        with_writers(test_catch_up),
        with_writers(test_lost),
        cmocka_unit_test(test_hold),
        with_writers(test_hold_ends_with_a_failure),
        cmocka_unit_test(test_two_contend),
        with_writers(test_big_batch_and_reads_meanwhile),
        with_writers(test_nothing_proves_durably),
        with_writers(test_synchronous_commit_off_is_refused),
        with_writers(test_only_an_owner_erases),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests_name("journal/postgres_append", tests, NULL, NULL);
}
