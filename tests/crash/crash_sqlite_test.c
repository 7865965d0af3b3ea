/*
 * Power failures at any moment: batches are appended through the SQLite backend over the VFS that forgets
 * what was not synced; after each failure the journal is opened again and must hold every batch that was
 * acknowledged, none in half, in one chain. The same run with synchronous=OFF, and over a disk that lies
 * about syncs, must find loss: else the test could not see any.
 */
#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/instant.h"
#include "journal/journal_fixture.h"
#include "support/vfs_crash.h"

#define PATH "/ledger.db"
#define START INT64_C(1700000000000000)
#define RECORDS_MAX 4096

/* One journal, and what it must hold. */
struct run {
    uint64_t seed;
    bool unsafe;
    struct fixture f;
    bool fixture_made;
    struct journal *j;
    uint8_t hashes[RECORDS_MAX + 1][HASH_LEN]; /* [seq], of all acknowledged records; [0]: the genesis */
    unsigned failures;                         /* of the power */
    unsigned survived;                         /* batches that got through although nobody was told */
    bool lost;
    char loss[ERR_MESSAGE_MAX + 64];
};

static uint64_t dice(struct run *r, uint64_t sides)
{
    return fixture_random(&r->f) % sides;
}

static void lose(struct run *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void lose(struct run *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!r->lost)
        vsnprintf(r->loss, sizeof r->loss, format, args);
    va_end(args);
    r->lost = true;
}

static int run_open(struct run *r, struct err *err)
{
    const struct journal_options options = {.mode = JOURNAL_WRITE,
        .create = true,
        .now = START,
        .vfs = VFS_CRASH_NAME,
        .unsafe_no_sync = r->unsafe,
        .cache_bytes = 1 << 20};
    r->j = NULL;
    return journal_open("sqlite:" PATH, &options, &r->j, err);
}

static void run_close(struct run *r)
{
    journal_close(r->j);
    r->j = NULL;
}

/* Power back on, and the journal open; a failure may come while it is opened, too. */
static bool run_recover(struct run *r)
{
    struct err err = {0};
    for (unsigned tries = 0; tries < 20; tries++) {
        run_close(r);
        vfs_crash_reboot(r->seed * 1000 + ++r->failures);
        vfs_crash_fail_after(tries < 3 && dice(r, 4) == 0 ? 1 + dice(r, 30) : 0);
        int rc = run_open(r, &err);
        if (rc == 0) {
            vfs_crash_fail_after(0);
            return true;
        }
        if (!vfs_crash_is_off())
            break;
    }
    lose(r, "cannot be opened: %s", err.message);
    return false;
}

static int note_fault(void *ctx, const char *note)
{
    lose(ctx, "self check: %s", note);
    return 0;
}

/* Every record from the first on: its place, its hash over what is stored, the hash it had when it was made.
 */
static void check_chain(struct run *r, uint64_t seq)
{
    struct journal_scan *scan;
    struct err err;
    const struct record *record;
    uint64_t n = 0;
    if (r->j->ops->scan_open(r->j, 1, 1, true, &scan, &err) != 0) {
        lose(r, "scan: %s", err.message);
        return;
    }
    for (;;) {
        int rc = r->j->ops->scan_next(scan, &record, &err);
        if (rc != 0)
            lose(r, "scan: %s", err.message);
        if (rc != 0 || record == NULL)
            break;
        uint8_t hash[HASH_LEN];
        const struct asset *asset = record->account ? &r->f.assets[record->account->asset - 1] : NULL;
        digest_record(r->f.digest, r->hashes[n], record, asset, hash);
        n++;
        if (record->seq != n || n > seq || memcmp(hash, record->hash, HASH_LEN) != 0 ||
            memcmp(hash, r->hashes[n], HASH_LEN) != 0) {
            lose(r, "record %llu is not what was appended", (unsigned long long)n);
            break;
        }
    }
    r->j->ops->scan_close(scan);
    if (!r->lost && n != seq)
        lose(r, "%llu records of %llu", (unsigned long long)n, (unsigned long long)seq);
}

static void check_accounts(struct run *r)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (uint64_t number = 1; number <= r->f.state.n_accounts; number++) {
        struct account_want want = {.ledger = 1, .number = number};
        struct err err;
        const struct account *head = fixture_head(&r->f, number);
        if (r->j->ops->accounts_fetch(r->j, &want, 1, &arena, &err) != 0)
            lose(r, "accounts: %s", err.message);
        else if (!want.found || want.account.version != head->version || want.account.seq != head->seq ||
                 memcmp(&want.account.balance, &head->balance, sizeof head->balance) != 0)
            lose(r, "account %llu is not where it was", (unsigned long long)number);
    }
    arena_fini(&arena);
}

/* Notes what the records just made must look like; their batch is about to be committed. */
static void note_batch(struct run *r)
{
    for (size_t i = 0; i < r->f.n_batch; i++) {
        INVARIANT(r->f.batch[i]->seq <= RECORDS_MAX);
        memcpy(r->hashes[r->f.batch[i]->seq], r->f.batch[i]->hash, HASH_LEN);
    }
}

/* After a failure: acknowledged batches are there; the one under way is there as a whole or not at all. */
static void check_recovered(struct run *r, const struct fixture_state *under_way)
{
    struct ledger_head head;
    struct err err;
    if (r->j->ops->head(r->j, 1, &head, &err) != 0) {
        lose(r, "head: %s", err.message);
        return;
    }
    uint64_t acknowledged = r->f.committed.head.seq;
    if (under_way != NULL && head.seq == under_way->head.seq && head.seq != acknowledged) {
        fixture_keep(&r->f, under_way);
        r->survived++;
    } else if (head.seq != acknowledged) {
        lose(r, "%llu records, %llu acknowledged", (unsigned long long)head.seq,
            (unsigned long long)acknowledged);
        return;
    }
    if (memcmp(head.hash, r->f.committed.head.hash, HASH_LEN) != 0)
        lose(r, "the head's hash is another");
    check_chain(r, head.seq);
    if (!r->lost)
        check_accounts(r);
    if (!r->lost && dice(r, 4) == 0 && r->j->ops->self_check(r->j, note_fault, r, &err) != 0)
        lose(r, "self check: %s", err.message);
}

static void make_accounts(struct run *r)
{
    uint32_t usd = fixture_asset(&r->f, "USD", 2);
    for (int i = 0; i < 5; i++)
        fixture_account(&r->f, usd, ACCOUNT_LIABILITY, (struct floor){false, 0});
}

static void make_transfers(struct run *r)
{
    size_t n = 1 + dice(r, dice(r, 10) == 0 ? 60 : 6);
    for (size_t i = 0; i < n; i++) {
        uint64_t debit = 1 + dice(r, 5), credit = 1 + (debit + dice(r, 4)) % 5;
        struct record *record = fixture_begin(&r->f, RECORD_TRANSFER);
        fixture_text(
            &r->f, record, "{\"metadata\":{\"filler\":\"so that a record takes some room on its page\"}}");
        fixture_entry(&r->f, record, debit, (struct amounts){-1, 0, 0});
        fixture_entry(&r->f, record, credit, (struct amounts){1, 0, 0});
        fixture_seal(&r->f, record);
    }
}

/* The WAL goes back into the database; a failure may come in its midst. */
static void checkpoint(struct run *r)
{
    static const char *const modes[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};
    char sql[80];
    sqlite3 *db = NULL;
    snprintf(sql, sizeof sql, "PRAGMA synchronous = %s; PRAGMA wal_checkpoint(%s)",
        r->unsafe ? "OFF" : "FULL", modes[dice(r, 4)]);
    if (sqlite3_open_v2(PATH, &db, SQLITE_OPEN_READWRITE, VFS_CRASH_NAME) == SQLITE_OK)
        (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
}

/* One life of the process: batches, checkpoints and clean restarts until the power fails. */
static void live(struct run *r)
{
    struct err err = {0};
    vfs_crash_fail_after(1 + dice(r, 60));
    while (!vfs_crash_is_off()) {
        switch (dice(r, 12)) {
        case 0:
            checkpoint(r);
            continue;
        case 1: /* the last handle's closing moves the WAL, too */
            run_close(r);
            if (run_open(r, &err) == 0)
                continue;
            if (!vfs_crash_is_off())
                lose(r, "cannot be opened again: %s", err.message);
            vfs_crash_power_off();
            if (run_recover(r))
                check_recovered(r, NULL);
            return;
        case 2: /* between two batches */
            vfs_crash_power_off();
            if (run_recover(r))
                check_recovered(r, NULL);
            return;
        default:
            break;
        }
        if (r->f.state.n_accounts == 0)
            make_accounts(r);
        else
            make_transfers(r);
        note_batch(r);
        struct fixture_state under_way = r->f.state;
        bool acknowledged = fixture_commit(&r->f, r->j, &err) == 0;
        if (!acknowledged && !vfs_crash_is_off())
            lose(r, "append: %s", err.message);
        if (!acknowledged) {
            if (run_recover(r))
                check_recovered(r, &under_way);
            return;
        }
    }
    /* The power failed behind an answer: in a checkpoint, say. */
    if (run_recover(r))
        check_recovered(r, NULL);
}

static void run_one(struct run *r, uint64_t seed, bool unsafe, bool lying)
{
    struct err err = {0};
    memset(r, 0, sizeof *r);
    r->seed = seed;
    r->unsafe = unsafe;
    vfs_crash_register();
    vfs_crash_format();
    (void)sqlite3_test_control(
        SQLITE_TESTCTRL_PRNG_SEED, (int)seed, NULL); /* the salts of the WAL: repeatable */
    if (lying)
        vfs_crash_lie_about_syncs();
    const struct ledger_row row = {.id = 1, .name = "main", .created_at = START};
    fixture_init(&r->f, &row, seed);
    memcpy(r->hashes[0], r->f.state.head.hash, HASH_LEN);
    /* The first failure may come while the database is made. */
    if (dice(r, 3) == 0)
        vfs_crash_fail_after(1 + dice(r, 40));
    bool open = run_open(r, &err) == 0;
    if (!open) {
        if (!vfs_crash_is_off())
            lose(r, "cannot be made: %s", err.message);
        open = run_recover(r);
        if (open)
            check_recovered(r, NULL);
    }
    for (int lives = 0; open && !r->lost && lives < 4 && r->f.state.head.seq < RECORDS_MAX - 2000; lives++)
        live(r);
    run_close(r);
    fixture_fini(&r->f);
}

struct totals {
    unsigned runs, losses, failures, survived;
    char first_loss[600];
};

static struct totals run_many(uint64_t seeds, bool unsafe, bool lying)
{
    static struct run r;
    struct totals t = {0};
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        run_one(&r, seed, unsafe, lying);
        t.runs++;
        t.failures += r.failures;
        t.survived += r.survived;
        if (r.lost && t.losses++ == 0)
            snprintf(t.first_loss, sizeof t.first_loss, "seed %llu: %s", (unsigned long long)seed, r.loss);
    }
    print_message("# %u runs, %u power failures, %u unacknowledged batches survived, %u losses%s%s\n", t.runs,
        t.failures, t.survived, t.losses, t.losses ? "; first: " : "", t.first_loss);
    return t;
}

static uint64_t seeds(uint64_t usual)
{
    const char *text = getenv("CREDITLEDGER_TEST_SEEDS"); /* more, for a longer look */
    uint64_t n;
    return text != NULL && str_to_uint64(str_of(text), &n) ? n : usual;
}

static void acknowledged_batches_survive_power_failures(void **state)
{
    (void)state;
    struct totals t = run_many(seeds(150), false, false);
    if (t.losses > 0)
        fail_msg("%s", t.first_loss);
    assert_true(t.failures >= t.runs);
    assert_true(t.survived > 0); /* some batches fail after they were durable: the caller retries by key */
}

static void without_syncs_the_loss_is_seen(void **state)
{
    (void)state;
    struct totals t = run_many(seeds(30), true, false);
    assert_true(t.losses > t.runs / 4);
}

static void a_disk_that_lies_is_seen(void **state)
{
    (void)state;
    struct totals t = run_many(seeds(30), false, true);
    assert_true(t.losses > t.runs / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_batches_survive_power_failures),
        cmocka_unit_test(without_syncs_the_loss_is_seen),
        cmocka_unit_test(a_disk_that_lies_is_seen),
    };
    return cmocka_run_group_tests_name("crash/sqlite", tests, NULL, NULL);
}
