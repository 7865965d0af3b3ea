#include "journal/journal_suite_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- tests ---- */

static void a_new_database_has_ledger_main_and_nothing_else(void **state)
{
    struct bench *b = *state;
    assert_string_equal(b->f.row.name, "main");
    assert_false(b->f.row.default_floor.present);
    assert_int_equal(b->f.row.created_at, SUITE_START);
    struct ledger_head head;
    assert_int_equal(b->j->ops->head(b->j, 1, &head, &b->err), 0);
    assert_int_equal(head.seq, 0);
    assert_int_equal(head.accounts, 0);
    assert_int_equal(head.recorded_at, SUITE_START);
    assert_memory_equal(head.hash, b->f.state.head.hash, HASH_LEN); /* the genesis */
    assert_int_equal(b->j->ops->head(b->j, 2, &head, &b->err), ERR_NOT_FOUND);
    struct seen assets = {0};
    assert_int_equal(b->j->ops->assets(b->j, see_asset, &assets, &b->err), 0);
    assert_int_equal(assets.n, 0);
}

static void a_missing_database_is_not_made_unasked(void **state)
{
    struct bench *b = *state;
    struct bench other = {.url = ""};
    bool own = suite_current->missing_url != NULL;
    (own ? suite_current->missing_url : suite_current->url)(other.url, sizeof other.url);
    const struct journal_options options = {.mode = JOURNAL_READ};
    struct journal *j;
    assert_int_equal(journal_open(other.url, &options, &j, &b->err), ERR_NOT_FOUND);
    if (own)
        suite_current->drop(other.url);
}

/* Everything a snapshot could notice. */
static void change_everything(struct bench *b)
{
    struct fixture *f = &b->f;
    fixture_asset(f, "GBP", 2);
    fixture_account(f, 3, ACCOUNT_LIABILITY, FLOOR_NONE);
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    r->effective_at -= 1;
    fixture_key(f, r, "later");
    fixture_entry(f, r, 1, POSTED(-5));
    fixture_entry(f, r, 2, POSTED(5));
    fixture_seal(f, r);
    bench_capture(f, 200, 2, 100);
    r = fixture_begin(f, RECORD_REVISION);
    fixture_revision(f, r, 3, ACCOUNT_FROZEN, FLOOR(10));
    fixture_entry(f, r, 3, POSTED(0));
    fixture_seal(f, r);
    r = fixture_begin(f, RECORD_HOLD);
    fixture_entry(f, r, 1, (struct amounts){0, 0, 5});
    fixture_entry(f, r, 2, (struct amounts){0, 5, 0});
    fixture_lot(f, r, make_hold_lot(r->seq, 1, 1, 5, 5));
    fixture_seal(f, r);
    assert_int_equal(r->seq, BASE_SEQ + 5);
    bench_commit(b);
}

static void assert_sees_only_the_base(struct bench *b, struct journal *j, const struct account *before)
{
    struct ledger_head head;
    assert_int_equal(j->ops->head(j, 1, &head, &b->err), 0);
    assert_int_equal(head.seq, BASE_SEQ);
    assert_int_equal(head.accounts, 6);
    for (uint64_t number = 1; number <= 6; number++) {
        struct account account = fetch_one(b, j, 1, number);
        assert_account(&account, &before[number - 1]);
    }
    struct account_want account = {.ledger = 1, .number = 7};
    assert_int_equal(j->ops->accounts_fetch(j, &account, 1, &b->arena, &b->err), 0);
    assert_false(account.found);
    struct key_want key = {.ledger = 1, .key = STR("later")};
    assert_int_equal(j->ops->keys_fetch(j, &key, 1, &b->err), 0);
    assert_false(key.found);
    struct seen seen = {0};
    assert_int_equal(j->ops->accounts(j, 1, 0, 50, see_account, &seen, &b->err), 0);
    ASSERT_SEEN(seen, 1, 2, 3, 4, 5, 6);
    seen = (struct seen){0};
    assert_int_equal(j->ops->assets(j, see_asset, &seen, &b->err), 0);
    ASSERT_SEEN(seen, 1, 2);
    seen = (struct seen){0};
    assert_int_equal(j->ops->entries(j, 1, 2, 1, 99, false, see_entry, &seen, &b->err), 0);
    ASSERT_SEEN(seen, 1, 2, 3);
    seen = (struct seen){0};
    assert_int_equal(
        j->ops->late_entries(j, 1, 2, 1, 99, INT64_MIN, INT64_MAX, INT64_MIN, 0, see_entry, &seen, &b->err),
        0);
    assert_int_equal(seen.n, 0);
    struct entry e;
    uint64_t seq;
    assert_int_equal(j->ops->entry(j, 1, 2, 4, &e, &seq, &b->err), ERR_NOT_FOUND);
    int64_t instant;
    assert_int_equal(j->ops->recorded_at(j, 1, BASE_SEQ + 1, &instant, &b->err), ERR_NOT_FOUND);
    const struct record *r;
    assert_int_equal(j->ops->record(j, 1, BASE_SEQ + 1, true, &b->arena, &r, &b->err), ERR_NOT_FOUND);
    const struct lot *lots;
    size_t n;
    assert_int_equal(j->ops->lots(j, 1, 8, &b->arena, &lots, &n, &b->err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(lots[0].version, 1);
    assert_int_equal(j->ops->lots(j, 1, BASE_SEQ + 5, &b->arena, &lots, &n, &b->err), 0);
    assert_int_equal(n, 0);
    struct journal_scan *scan;
    assert_int_equal(j->ops->scan_open(j, 1, BASE_SEQ, false, &scan, &b->err), 0);
    assert_int_equal(j->ops->scan_next(scan, &r, &b->err), 0);
    assert_non_null(r);
    assert_int_equal(j->ops->scan_next(scan, &r, &b->err), 0);
    assert_null(r);
    j->ops->scan_close(scan);
}

static void a_snapshot_sees_one_state(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct account before[6];
    for (uint64_t number = 1; number <= 6; number++)
        before[number - 1] = *fixture_head(&b->f, number);
    struct journal *reader = bench_open(b, JOURNAL_READ);
    assert_int_equal(reader->ops->snapshot_begin(reader, &b->err), 0);
    struct ledger_head head; /* a database may fix its snapshot only at the first read */
    assert_int_equal(reader->ops->head(reader, 1, &head, &b->err), 0);
    change_everything(b);
    assert_sees_only_the_base(b, reader, before);
    fixture_transfer(&b->f, 1, 2, 1); /* the writer is not held up, and the snapshot still holds */
    bench_commit(b);
    assert_sees_only_the_base(b, reader, before);
    reader->ops->snapshot_end(reader);
    struct account now = fetch_one(b, reader, 1, 2);
    assert_account(&now, fixture_head(&b->f, 2));
    assert_int_equal(reader->ops->head(reader, 1, &head, &b->err), 0);
    assert_int_equal(head.seq, BASE_SEQ + 6);
    journal_close(reader);
}

static void a_reader_sees_what_was_committed_at_once(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct journal *reader = bench_open(b, JOURNAL_READ);
    struct ledger_head head;
    for (int i = 0; i < 10; i++) {
        fixture_transfer(&b->f, 1, 2, 1);
        bench_commit(b);
        assert_int_equal(reader->ops->head(reader, 1, &head, &b->err), 0);
        assert_int_equal(head.seq, b->f.state.head.seq);
        struct account a = fetch_one(b, reader, 1, 2);
        assert_account(&a, fixture_head(&b->f, 2));
    }
    journal_close(reader);
}

static void erasure_takes_the_text_and_nothing_else(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct fixture *f = &b->f;
    struct record *r[3];
    for (int i = 0; i < 2; i++) {
        r[i] = fixture_begin(f, RECORD_TRANSFER);
        fixture_text(f, r[i], i ? "{\"metadata\":{\"n\":2}}" : "{\"metadata\":{\"n\":1}}");
        fixture_entry(f, r[i], 1, POSTED(-5));
        fixture_entry(f, r[i], 2, POSTED(5));
        fixture_seal(f, r[i]);
    }
    bench_commit(b);
    r[2] = fixture_begin(f, RECORD_ERASURE);
    r[2]->related_seq = r[0]->seq;
    fixture_entry(f, r[2], 1, POSTED(0));
    fixture_seal(f, r[2]);
    bench_commit(b);
    for (int i = 0; i < 3; i++)
        assert_record(r[i], read_one(b, b->j, r[i]->seq, true));
    const struct record *erased = read_one(b, b->j, r[0]->seq, true);
    assert_true(erased->text.present && !erased->text.readable);
    assert_memory_equal(erased->text.digest, r[0]->text.digest, HASH_LEN);
    assert_true(read_one(b, b->j, r[1]->seq, true)->text.readable);
}

static void ledgers_do_not_touch_each_other(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct fixture g;
    const struct ledger_row row = {
        .id = 2, .name = "shop", .default_floor = FLOOR(0), .created_at = SUITE_START + 5};
    fixture_init(&g, &row, 2);
    memcpy(g.assets, b->f.assets, sizeof g.assets);
    g.state.n_assets = g.committed.n_assets = b->f.state.n_assets;
    assert_int_equal(fixture_commit(&g, b->j, &b->err), 0);
    struct ledger_head head;
    assert_int_equal(b->j->ops->head(b->j, 2, &head, &b->err), 0);
    assert_memory_equal(head.hash, g.state.head.hash, HASH_LEN);
    assert_int_equal(head.recorded_at, SUITE_START + 5);
    struct record *r = fixture_begin(&g, RECORD_OPENING);
    fixture_key(&g, r, "k");
    fixture_open(&g, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, "same");
    fixture_seal(&g, r);
    assert_int_equal(fixture_commit(&g, b->j, &b->err), 0);
    r = fixture_begin(&b->f, RECORD_OPENING);
    fixture_key(&b->f, r, "k");
    uint64_t number = fixture_open(&b->f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, "same");
    fixture_seal(&b->f, r);
    bench_commit(b);
    struct account_want wants[] = {
        {.ledger = 1, .external_id = STR("same")}, {.ledger = 2, .external_id = STR("same")}};
    assert_int_equal(b->j->ops->accounts_fetch(b->j, wants, 2, &b->arena, &b->err), 0);
    assert_account(&wants[0].account, fixture_head(&b->f, number));
    assert_account(&wants[1].account, fixture_head(&g, 1));
    struct seen seen = {0};
    assert_int_equal(b->j->ops->ledgers(b->j, see_ledger, &seen, &b->err), 0);
    ASSERT_SEEN(seen, 1, 2);
    struct key_want keys[] = {{.ledger = 1, .key = STR("k")}, {.ledger = 2, .key = STR("k")}};
    assert_int_equal(b->j->ops->keys_fetch(b->j, keys, 2, &b->err), 0);
    assert_int_equal(keys[0].seq, BASE_SEQ + 1);
    assert_int_equal(keys[1].seq, 1);
    fixture_fini(&g);
    static const char *const names[] = {"shop", "", "next"};
    for (size_t i = 0; i < 3; i++) { /* taken, none, and one that is not the next */
        struct ledger_row other = {.id = i < 2 ? 3 : 4, .created_at = SUITE_START};
        strcpy(other.name, names[i]);
        fixture_init(&g, &other, 3);
        assert_int_equal(fixture_commit(&g, b->j, &b->err), ERR_CONFLICT);
        fixture_fini(&g);
    }
}

static void records_may_be_wide_and_batches_long(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct fixture *f = &b->f;
    struct record *wide = fixture_begin(f, RECORD_TRANSFER);
    for (int i = 0; i < LIMIT_POSTINGS_MAX; i++) {
        fixture_entry(f, wide, 1, POSTED(-1));
        fixture_entry(f, wide, 1 + (uint64_t)i % 3, POSTED(1));
    }
    fixture_seal(f, wide);
    for (int i = 0; i < 1000; i++)
        fixture_transfer(f, 1, 2 + (uint64_t)i % 2, 1);
    bench_commit(b);
    assert_record(wide, read_one(b, b->j, wide->seq, false));
    for (uint64_t number = 1; number <= 6; number++) {
        struct account a = fetch_one(b, b->j, 1, number);
        assert_account(&a, fixture_head(f, number));
    }
    struct account_want wants[2000];
    for (size_t i = 0; i < 2000; i++)
        wants[i] = (struct account_want){.ledger = 1, .number = 1 + i % 6};
    assert_int_equal(b->j->ops->accounts_fetch(b->j, wants, 2000, &b->arena, &b->err), 0);
    for (size_t i = 0; i < 2000; i++)
        assert_true(wants[i].found && wants[i].account.number == 1 + i % 6);
}

static int nested_read(void *ctx, const struct entry *entry, uint64_t seq)
{
    struct bench *b = ctx;
    struct entry again;
    uint64_t again_seq;
    assert_int_equal(
        b->j->ops->entry(b->j, 1, entry->account, entry->version, &again, &again_seq, &b->err), 0);
    assert_int_equal(again_seq, seq);
    assert_memory_equal(&again.after, &entry->after, sizeof again.after);
    return 0;
}

static void a_visitor_may_read(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    assert_int_equal(b->j->ops->entries(b->j, 1, 1, 1, 99, false, nested_read, b, &b->err), 0);
    assert_int_equal(b->j->ops->entries(b->j, 1, 1, 1, 99, true, nested_read, b, &b->err), 0);
}

static int see_note(void *ctx, const char *note)
{
    (void)ctx;
    fail_msg("self check: %s", note);
    return 0;
}

static void a_sound_database_has_nothing_to_report(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    assert_int_equal(b->j->ops->self_check(b->j, see_note, NULL, &b->err), 0);
}

static void data_outlive_their_handles(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    journal_close(b->j);
    b->j = bench_open(b, JOURNAL_WRITE);
    for (uint64_t number = 1; number <= 6; number++) {
        struct account a = fetch_one(b, b->j, 1, number);
        assert_account(&a, fixture_head(&b->f, number));
    }
    fixture_transfer(&b->f, 1, 2, 50);
    bench_commit(b);
}

static void a_backup_is_the_same_journal(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    char path[200];
    snprintf(path, sizeof path, "%.190s.backup", strchr(b->url, ':') + 1);
    struct journal *reader = bench_open(b, JOURNAL_READ);
    if (reader->ops->backup(reader, path, NULL, NULL, &b->err) != 0)
        fail_msg("backup: %s", b->err.message);
    struct bench copy = {.url = ""};
    snprintf(copy.url, sizeof copy.url, "%.30s%s", suite_current->file_scheme, path);
    struct journal *j = bench_open(&copy, JOURNAL_READ);
    for (uint64_t seq = 1; seq <= BASE_SEQ; seq++)
        assert_record(read_one(b, b->j, seq, true), read_one(b, j, seq, true));
    struct ledger_head head;
    assert_int_equal(j->ops->head(j, 1, &head, &b->err), 0);
    assert_memory_equal(head.hash, b->f.state.head.hash, HASH_LEN);
    journal_close(j);
    /* It is never written over. */
    assert_int_not_equal(reader->ops->backup(reader, path, NULL, NULL, &b->err), 0);
    journal_close(reader);
    if (suite_current->drop != NULL)
        suite_current->drop(copy.url);
}

/* ---- threads ---- */

struct reader {
    struct bench *b;
    pthread_t thread;
    struct journal *j;
    bool failed;
    char what[ERR_MESSAGE_MAX];
    atomic_bool *done;
    atomic_uint snapshots;
};

struct total {
    int64_t posted;
    uint64_t newest;
};

static int add_account(void *ctx, const struct account *account)
{
    struct total *total = ctx;
    total->posted += account->balance.posted;
    total->newest = account->seq > total->newest ? account->seq : total->newest;
    return 0;
}

/* In every snapshot all balances sum to 0, and the newest entry is the head's. */
static void *read_on(void *arg)
{
    struct reader *r = arg;
    struct err err = {0};
    while (!r->failed && !atomic_load(r->done)) {
        struct total total = {0, 0};
        struct ledger_head head = {0};
        int rc = r->j->ops->snapshot_begin(r->j, &err);
        if (rc == 0) {
            rc = r->j->ops->accounts(r->j, 1, 0, 100, add_account, &total, &err);
            if (rc == 0)
                rc = r->j->ops->head(r->j, 1, &head, &err);
            r->j->ops->snapshot_end(r->j);
        }
        if (rc != 0 || total.posted != 0 || total.newest != head.seq || head.seq % 2 != BASE_SEQ % 2) {
            snprintf(r->what, sizeof r->what, "sum %lld, newest %llu, head %llu: %.200s",
                (long long)total.posted, (unsigned long long)total.newest, (unsigned long long)head.seq,
                rc != 0 ? err.message : "");
            r->failed = true;
        }
        atomic_fetch_add(&r->snapshots, 1);
    }
    return NULL;
}

static void readers_see_whole_batches_beside_the_writer(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    atomic_bool done = false;
    struct reader readers[2] = {{.b = b, .done = &done}, {.b = b, .done = &done}};
    for (size_t i = 0; i < 2; i++) {
        readers[i].j = bench_open(b, JOURNAL_READ);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++)
        while (atomic_load(&readers[i].snapshots) == 0)
            usleep(100);
    /* Two records a batch: a reader that sees an odd number sees half a batch. */
    for (int i = 0; i < 200; i++) {
        fixture_transfer(&b->f, 1, 2, 10);
        fixture_transfer(&b->f, 2, 3, 10);
        bench_commit(b);
    }
    atomic_store(&done, true);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(readers[i].thread, NULL);
        journal_close(readers[i].j);
        if (readers[i].failed)
            fail_msg("%s", readers[i].what);
    }
}

static void urls_name_a_backend(void **state)
{
    struct bench *b = *state;
    const struct journal_options options = {.mode = JOURNAL_WRITE, .create = true};
    static const char *const bad[] = {
        "", "x", "memory", "memory:", "sqlite:", "sqlite", "postgres:x", "MEMORY:x"};
    struct journal *j;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(journal_open(bad[i], &options, &j, &b->err), ERR_CONFIG);
    journal_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int journal_suite_run(const struct journal_suite *suite)
{
    suite_current = suite;
    const struct CMUnitTest tests[] = {
        TEST(a_new_database_has_ledger_main_and_nothing_else),
        TEST(a_missing_database_is_not_made_unasked),
        TEST(suite_records_come_back_as_they_went_in),
        TEST(suite_a_scan_gives_all_records_in_order),
        TEST(suite_a_batch_is_all_or_nothing),
        TEST(suite_accounts_are_found_with_their_heads),
        TEST(suite_keys_are_found_in_their_ledger),
        TEST(suite_versions_of_an_account_are_its_history),
        TEST(suite_late_entries_come_in_the_order_of_their_effect),
        TEST(suite_lots_show_their_newest_version),
        TEST(a_snapshot_sees_one_state),
        TEST(a_reader_sees_what_was_committed_at_once),
        TEST(erasure_takes_the_text_and_nothing_else),
        TEST(ledgers_do_not_touch_each_other),
        TEST(records_may_be_wide_and_batches_long),
        TEST(a_visitor_may_read),
        TEST(a_sound_database_has_nothing_to_report),
        TEST(readers_see_whole_batches_beside_the_writer),
        TEST(urls_name_a_backend),
        TEST(suite_sound_records_are_taken),
        TEST(suite_attacks_on_records_are_refused),
        TEST(suite_attacks_on_lots_are_refused),
    };
    const struct CMUnitTest more[] = {
        TEST(data_outlive_their_handles),
        TEST(a_backup_is_the_same_journal),
    };
    size_t n = sizeof tests / sizeof tests[0];
    struct CMUnitTest all[sizeof tests / sizeof tests[0] + 2];
    memcpy(all, tests, sizeof tests);
    if (suite->lasting)
        all[n++] = more[0];
    if (suite->file_scheme != NULL)
        all[n++] = more[1];
    return _cmocka_run_group_tests(suite->name, all, n, NULL, NULL);
}
