/*
 * "Fail the Nth call": a batch is appended through the SQLite backend while the N-th call to the operating
 * system fails, for N = 1, 2, ... until none fails. After each failure nothing of the batch is there, the
 * same handle takes the same batch once the fault is over, and the journal is whole, for a second handle and
 * after opening it again.
 */
#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/journal_fixture.h"
#include "support/vfs_fail.h"

#define START INT64_C(1700000000000000)
#define CALLS_MAX 2000 /* more than any of the operations makes */

static char directory[64];

struct trial {
    enum vfs_fail_mode mode;
    uint64_t n;
    char url[128];
    struct journal *j;
    struct fixture f;
    struct err err;
};

#define EXPECT(t, condition) \
    do { \
        if (!(condition)) \
            fail_msg("mode %d, call %llu (%s): %s; %s", (int)(t)->mode, (unsigned long long)(t)->n, \
                vfs_fail_what(), #condition, (t)->err.message); \
    } while (0)

static int open_journal(struct trial *t, enum journal_mode mode, struct journal **ret_journal)
{
    const struct journal_options options = {.mode = mode,
        .create = mode == JOURNAL_WRITE,
        .now = START,
        .vfs = VFS_FAIL_NAME,
        .busy_timeout_ms = 1};
    return journal_open(t->url, &options, ret_journal, &t->err);
}

static void remove_files(const struct trial *t)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char path[160];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s%s", t->url + strlen("sqlite:"), suffixes[i]);
        unlink(path);
    }
}

/* Two accounts and a transfer with a text that an erasure can take. */
static void setup(struct trial *t, enum vfs_fail_mode mode, uint64_t n)
{
    *t = (struct trial){.mode = mode, .n = n};
    snprintf(t->url, sizeof t->url, "sqlite:%s/fail.db", directory);
    remove_files(t);
    EXPECT(t, open_journal(t, JOURNAL_WRITE, &t->j) == 0);
    fixture_init_main(&t->f, t->j, 7);
    uint32_t usd = fixture_asset(&t->f, "USD", 2);
    for (int i = 0; i < 2; i++)
        fixture_account(&t->f, usd, ACCOUNT_LIABILITY, (struct floor){false, 0});
    struct record *r = fixture_begin(&t->f, RECORD_TRANSFER);
    fixture_text(&t->f, r, "{\"name\":\"somebody\"}");
    fixture_entry(&t->f, r, 1, (struct amounts){-5, 0, 0});
    fixture_entry(&t->f, r, 2, (struct amounts){5, 0, 0});
    fixture_seal(&t->f, r);
    EXPECT(t, fixture_commit(&t->f, t->j, &t->err) == 0);
}

static void teardown(struct trial *t)
{
    journal_close(t->j);
    fixture_fini(&t->f);
    remove_files(t);
}

/* Something of everything; the erasure makes the append move the WAL into the database, too. */
static void make_batch(struct trial *t)
{
    fixture_account(&t->f, 1, ACCOUNT_ASSET, (struct floor){true, 0});
    struct record *r = fixture_begin(&t->f, RECORD_TRANSFER);
    fixture_key(&t->f, r, "a key");
    fixture_text(&t->f, r, "{\"metadata\":{\"a\":\"b\"}}");
    fixture_entry(&t->f, r, 1, (struct amounts){-7, 0, 0});
    fixture_entry(&t->f, r, 2, (struct amounts){7, 0, 0});
    fixture_seal(&t->f, r);
    r = fixture_begin(&t->f, RECORD_ERASURE);
    r->related_seq = 3;
    fixture_entry(&t->f, r, 1, (struct amounts){0, 0, 0});
    fixture_seal(&t->f, r);
    for (int i = 0; i < 40; i++)
        fixture_transfer(&t->f, 1, 2, i + 1);
}

static int see_note(void *ctx, const char *note)
{
    struct trial *t = ctx;
    return err_set(&t->err, ERR_CORRUPT, "%s", note);
}

/* All records up to `seq` are there in one chain, nothing behind them, and the database finds no fault in
 * itself. */
static void check_whole(struct trial *t, struct journal *j, uint64_t seq)
{
    struct ledger_head head;
    struct journal_scan *scan;
    const struct record *record;
    uint8_t hash[HASH_LEN];
    uint64_t seen = 0;
    EXPECT(t, j->ops->head(j, 1, &head, &t->err) == 0);
    EXPECT(t, head.seq == seq);
    digest_genesis(t->f.digest, &t->f.row, hash);
    EXPECT(t, j->ops->scan_open(j, 1, 1, true, &scan, &t->err) == 0);
    while (true) {
        EXPECT(t, j->ops->scan_next(scan, &record, &t->err) == 0);
        if (record == NULL)
            break;
        struct asset usd = t->f.assets[0];
        digest_record(t->f.digest, hash, record, record->account != NULL ? &usd : NULL, hash);
        EXPECT(t, memcmp(hash, record->hash, HASH_LEN) == 0);
        seen++;
    }
    j->ops->scan_close(scan);
    EXPECT(t, seen == seq && memcmp(hash, head.hash, HASH_LEN) == 0);
}

static void check_from_outside(struct trial *t, uint64_t seq)
{
    struct journal *reader;
    EXPECT(t, open_journal(t, JOURNAL_READ, &reader) == 0);
    check_whole(t, reader, seq);
    journal_close(reader);
}

/* False when the append made fewer calls than n. */
static bool try_append(enum vfs_fail_mode mode, uint64_t n, unsigned *failures)
{
    struct trial t;
    setup(&t, mode, n);
    make_batch(&t);
    uint64_t before = t.f.committed.head.seq, after = t.f.state.head.seq;
    const struct journal_batch batch = {
        .records = (const struct record *const *)t.f.batch, .n_records = t.f.n_batch};
    vfs_fail_arm(mode, n);
    int rc = t.j->ops->append(t.j, &batch, &t.err);
    vfs_fail_disarm();
    bool fired = vfs_fail_fired();
    EXPECT(&t, rc == 0 || rc == ERR_IO || rc == ERR_FULL || rc == ERR_BUSY);
    EXPECT(&t, rc == 0 || (fired && t.err.message[0] != '\0'));
    if (rc != 0) {
        (*failures)++;
        check_from_outside(&t, before);
        check_whole(&t, t.j, before);
        EXPECT(&t, t.j->ops->append(t.j, &batch, &t.err) == 0);
    }
    check_whole(&t, t.j, after);
    check_from_outside(&t, after);
    journal_close(t.j);
    EXPECT(&t, open_journal(&t, JOURNAL_WRITE, &t.j) == 0);
    check_whole(&t, t.j, after);
    EXPECT(&t, t.j->ops->self_check(t.j, see_note, &t, &t.err) == 0);
    teardown(&t);
    return fired;
}

static void each_failure_of_an_append_leaves_nothing(void **state)
{
    (void)state;
    for (int mode = 0; mode < VFS_FAIL_MODES; mode++) {
        unsigned failures = 0;
        uint64_t n = 1;
        while (try_append((enum vfs_fail_mode)mode, n, &failures))
            assert_true(++n < CALLS_MAX);
        print_message(
            "# mode %d: %llu calls, %u failed appends\n", mode, (unsigned long long)n - 1, failures);
        assert_true(failures > 0);
    }
}

/* Closing moves the WAL into the database: if that fails, the next one to open finds all of it. */
static bool try_close(enum vfs_fail_mode mode, uint64_t n)
{
    struct trial t;
    setup(&t, mode, n);
    vfs_fail_arm(mode, n);
    journal_close(t.j);
    vfs_fail_disarm();
    bool fired = vfs_fail_fired();
    EXPECT(&t, open_journal(&t, JOURNAL_WRITE, &t.j) == 0);
    check_whole(&t, t.j, t.f.committed.head.seq);
    EXPECT(&t, t.j->ops->self_check(t.j, see_note, &t, &t.err) == 0);
    teardown(&t);
    return fired;
}

/* Making a database: the next attempt finishes what a failed one began. */
static bool try_create(enum vfs_fail_mode mode, uint64_t n)
{
    struct trial t = {.mode = mode, .n = n};
    snprintf(t.url, sizeof t.url, "sqlite:%s/fail.db", directory);
    remove_files(&t);
    vfs_fail_arm(mode, n);
    int rc = open_journal(&t, JOURNAL_WRITE, &t.j);
    vfs_fail_disarm();
    bool fired = vfs_fail_fired();
    EXPECT(&t, rc == 0 || (fired && t.err.message[0] != '\0'));
    if (rc != 0)
        EXPECT(&t, open_journal(&t, JOURNAL_WRITE, &t.j) == 0);
    fixture_init_main(&t.f, t.j, 7);
    check_whole(&t, t.j, 0);
    EXPECT(&t, t.j->ops->self_check(t.j, see_note, &t, &t.err) == 0);
    teardown(&t);
    return fired;
}

static void each_failure_of_a_close_is_made_good(void **state)
{
    (void)state;
    for (int mode = 0; mode < VFS_FAIL_MODES; mode++)
        for (uint64_t n = 1; try_close((enum vfs_fail_mode)mode, n); n++)
            assert_true(n < CALLS_MAX);
}

static void each_failure_of_a_creation_is_made_good(void **state)
{
    (void)state;
    for (int mode = 0; mode < VFS_FAIL_MODES; mode++)
        for (uint64_t n = 1; try_create((enum vfs_fail_mode)mode, n); n++)
            assert_true(n < CALLS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_of_an_append_leaves_nothing),
        cmocka_unit_test(each_failure_of_a_close_is_made_good),
        cmocka_unit_test(each_failure_of_a_creation_is_made_good),
    };
    snprintf(directory, sizeof directory, "%s/creditledger-fail-XXXXXX",
        access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(directory) == NULL)
        return 1;
    vfs_fail_register();
    int failed = cmocka_run_group_tests_name("crash/sqlite_fail", tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
