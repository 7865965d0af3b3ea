/*
 * What goes in comes out again, by every way of reading.
 */
#include "journal/journal_suite_internal.h"

#include <string.h>

void suite_records_come_back_as_they_went_in(void **state)
{
    struct bench *b = *state;
    struct fixture *f = &b->f;
    uint32_t usd = fixture_asset(f, "USD", 2);
    struct record *r[6];
    r[0] = fixture_begin(f, RECORD_OPENING);
    fixture_text(f, r[0], "{\"name\":\"Ann\"}");
    fixture_key(f, r[0], "open-1");
    uint64_t ann = fixture_open(f, r[0], usd, ACCOUNT_LIABILITY, FLOOR(-500), "ann");
    fixture_seal(f, r[0]);
    r[1] = fixture_begin(f, RECORD_OPENING);
    uint64_t bob = fixture_open(f, r[1], usd, ACCOUNT_EXPENSE, FLOOR_NONE, NULL);
    fixture_seal(f, r[1]);
    r[2] = fixture_begin(f, RECORD_TRANSFER);
    r[2]->effective_at -= 3600 * INT64_C(1000000);
    r[2]->reference = STR("invoice 7");
    r[2]->actor = STR("billing");
    r[2]->has_trace = true;
    memset(r[2]->trace_id, 0xab, TRACE_ID_LEN);
    fixture_entry(f, r[2], ann, POSTED(-100));
    fixture_entry(f, r[2], bob, POSTED(100));
    fixture_seal(f, r[2]);
    r[3] = fixture_begin(f, RECORD_DECLINED);
    r[3]->refusal = 308;
    r[3]->declined_amount = 7777;
    r[3]->related_seq = r[2]->seq;
    fixture_entry(f, r[3], ann, POSTED(0));
    fixture_seal(f, r[3]);
    r[4] = fixture_begin(f, RECORD_REVISION);
    fixture_text(f, r[4], "{}");
    fixture_revision(f, r[4], ann, ACCOUNT_FROZEN, FLOOR_NONE);
    fixture_entry(f, r[4], ann, POSTED(0));
    fixture_seal(f, r[4]);
    r[5] = fixture_begin(f, RECORD_REVERSAL);
    r[5]->related_seq = r[2]->seq;
    fixture_entry(f, r[5], bob, POSTED(-40));
    fixture_entry(f, r[5], ann, POSTED(40));
    for (uint32_t leg = 0; leg < 2; leg++) {
        struct lot lot = {.origin = r[2]->seq,
            .leg = leg,
            .kind = LOT_REFUNDABLE,
            .version = 1,
            .account = leg ? bob : ann,
            .change = 100,
            .remaining_after = 100};
        fixture_lot(f, r[5], lot);
        lot.version = 2;
        lot.change = -40;
        lot.remaining_after = 60;
        fixture_lot(f, r[5], lot);
    }
    fixture_seal(f, r[5]);
    bench_commit(b);

    for (uint64_t seq = 1; seq <= 6; seq++) {
        assert_record(r[seq - 1], read_one(b, b->j, seq, true));
        const struct record *bare = read_one(b, b->j, seq, false);
        assert_record(r[seq - 1], bare);
        assert_false(bare->text.readable);
    }
    const struct record_text *text = &read_one(b, b->j, 1, true)->text;
    assert_true(text->readable && str_eq(text->body, r[0]->text.body));
    assert_memory_equal(text->salt, r[0]->text.salt, SALT_LEN);
    const struct record *none;
    assert_int_equal(b->j->ops->record(b->j, 1, 7, true, &b->arena, &none, &b->err), ERR_NOT_FOUND);
    assert_int_equal(b->j->ops->record(b->j, 1, 0, true, &b->arena, &none, &b->err), ERR_NOT_FOUND);
    struct ledger_head head;
    assert_int_equal(b->j->ops->head(b->j, 1, &head, &b->err), 0);
    assert_int_equal(head.seq, 6);
    assert_int_equal(head.accounts, 2);
    assert_int_equal(head.recorded_at, r[5]->recorded_at);
    assert_memory_equal(head.hash, r[5]->hash, HASH_LEN);
    int64_t instant;
    assert_int_equal(b->j->ops->recorded_at(b->j, 1, 3, &instant, &b->err), 0);
    assert_int_equal(instant, r[2]->recorded_at);
    assert_int_equal(b->j->ops->recorded_at(b->j, 1, 7, &instant, &b->err), ERR_NOT_FOUND);
}

void suite_a_scan_gives_all_records_in_order(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    for (uint64_t from = 0; from <= BASE_SEQ + 1; from++) {
        struct journal_scan *scan;
        assert_int_equal(b->j->ops->scan_open(b->j, 1, from, false, &scan, &b->err), 0);
        uint64_t seq = from > 0 ? from : 1;
        const struct record *r;
        for (;; seq++) {
            assert_int_equal(b->j->ops->scan_next(scan, &r, &b->err), 0);
            if (r == NULL)
                break;
            assert_int_equal(r->seq, seq);
            assert_record(r, read_one(b, b->j, seq, false));
        }
        assert_int_equal(seq, BASE_SEQ + 1);
        b->j->ops->scan_close(scan);
    }
}

void suite_a_batch_is_all_or_nothing(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct fixture *f = &b->f;
    struct ledger_head before = f->committed.head, head;
    fixture_asset(f, "CREDITS", 0);
    uint64_t extra = fixture_account(f, 3, ACCOUNT_LIABILITY, FLOOR_NONE);
    fixture_transfer(f, 1, 2, 50);
    struct record *bad = fixture_begin(f, RECORD_TRANSFER);
    fixture_entry(f, bad, 1, POSTED(-50));
    fixture_entry(f, bad, 2, POSTED(51));
    fixture_seal(f, bad);
    assert_int_equal(fixture_commit(f, b->j, &b->err), ERR_CONFLICT);
    assert_non_null(strstr(b->err.message, "I2"));
    assert_int_equal(b->j->ops->head(b->j, 1, &head, &b->err), 0);
    assert_memory_equal(&head.hash, &before.hash, HASH_LEN);
    assert_int_equal(head.seq, before.seq);
    assert_int_equal(head.accounts, before.accounts);
    struct seen assets = {0};
    assert_int_equal(b->j->ops->assets(b->j, see_asset, &assets, &b->err), 0);
    ASSERT_SEEN(assets, 1, 2);
    struct account_want want = {.ledger = 1, .number = extra};
    assert_int_equal(b->j->ops->accounts_fetch(b->j, &want, 1, &b->arena, &b->err), 0);
    assert_false(want.found);
    assert_int_equal(fetch_one(b, b->j, 1, 2).version, fixture_head(f, 2)->version);
    /* The same once more, without the fault. */
    fixture_transfer(f, 1, 2, 50);
    bench_commit(b);
    assert_int_equal(fetch_one(b, b->j, 1, 2).balance.posted, 1050);
}

void suite_accounts_are_found_with_their_heads(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct fixture *f = &b->f;
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR(5), "caf\xc3\xa9");
    fixture_seal(f, r);
    r = fixture_begin(f, RECORD_REVISION);
    fixture_text(f, r, "{\"name\":\"x\"}");
    fixture_revision(f, r, 3, ACCOUNT_FROZEN, FLOOR(10));
    fixture_entry(f, r, 3, POSTED(0));
    fixture_seal(f, r);
    fixture_transfer(f, 2, 3, 1);
    bench_commit(b);
    struct account_want wants[10] = {0};
    for (uint64_t i = 0; i < 7; i++)
        wants[i] = (struct account_want){.ledger = 1, .number = i + 1};
    wants[7] = (struct account_want){.ledger = 1, .number = 8};
    wants[8] = (struct account_want){.ledger = 1, .external_id = STR("caf\xc3\xa9")};
    wants[9] = (struct account_want){.ledger = 2, .number = 1};
    assert_int_equal(b->j->ops->accounts_fetch(b->j, wants, 10, &b->arena, &b->err), 0);
    for (uint64_t i = 0; i < 7; i++) {
        assert_true(wants[i].found);
        assert_account(&wants[i].account, fixture_head(f, i + 1));
    }
    assert_false(wants[7].found || wants[9].found);
    assert_true(wants[8].found);
    assert_account(&wants[8].account, fixture_head(f, 7));
    struct account_want other = {.ledger = 1, .external_id = STR("cafe")};
    assert_int_equal(b->j->ops->accounts_fetch(b->j, &other, 1, &b->arena, &b->err), 0);
    assert_false(other.found);

    struct seen seen = {0};
    assert_int_equal(b->j->ops->accounts(b->j, 1, 0, 100, see_account, &seen, &b->err), 0);
    ASSERT_SEEN(seen, 1, 2, 3, 4, 5, 6, 7);
    seen = (struct seen){0};
    assert_int_equal(b->j->ops->accounts(b->j, 1, 2, 3, see_account, &seen, &b->err), 0);
    ASSERT_SEEN(seen, 3, 4, 5);
    seen = (struct seen){.stop_at = 2};
    assert_int_equal(b->j->ops->accounts(b->j, 1, 0, 100, see_account, &seen, &b->err), 7);
    ASSERT_SEEN(seen, 1, 2);
    seen = (struct seen){0};
    assert_int_equal(b->j->ops->accounts(b->j, 1, 7, 10, see_account, &seen, &b->err), 0);
    assert_int_equal(seen.n, 0);
}

void suite_keys_are_found_in_their_ledger(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct fixture *f = &b->f;
    struct record *r = fixture_begin(f, RECORD_DECLINED);
    r->refusal = 308;
    fixture_key(f, r, "k-1");
    fixture_entry(f, r, 2, POSTED(0));
    fixture_seal(f, r);
    bench_commit(b);
    struct key_want wants[] = {{.ledger = 1, .key = STR("k-1")}, {.ledger = 1, .key = STR("k-")},
        {.ledger = 2, .key = STR("k-1")}, {.ledger = 1, .key = STR("K-1")}};
    assert_int_equal(b->j->ops->keys_fetch(b->j, wants, 4, &b->err), 0);
    assert_true(wants[0].found);
    assert_int_equal(wants[0].seq, r->seq);
    assert_memory_equal(wants[0].request_hash, r->request_hash, HASH_LEN);
    for (size_t i = 1; i < 4; i++)
        assert_false(wants[i].found);
}

void suite_versions_of_an_account_are_its_history(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct fixture *f = &b->f;
    for (int i = 0; i < 5; i++)
        /* versions 3..7 of account 3; the id of the account is not stored with the entry but found again */
        ((struct entry *)fixture_transfer(f, 1, 3, 10)->entries)[1].account_id = (struct uuid){{0}};
    bench_commit(b);
    struct entry e;
    uint64_t seq;
    assert_int_equal(b->j->ops->entry(b->j, 1, 3, 4, &e, &seq, &b->err), 0);
    assert_int_equal(seq, BASE_SEQ + 2);
    assert_int_equal(e.version, 4);
    assert_int_equal(e.leg, 1);
    assert_int_equal(e.after.posted, 20);
    assert_int_equal(e.after.incoming, 300);
    assert_true(e.floor.present && !e.backdated);
    assert_true(uuid_eq(e.account_id, fixture_head(f, 3)->id));
    assert_int_equal(e.effective_at, read_one(b, b->j, seq, false)->effective_at);
    assert_int_equal(b->j->ops->entry(b->j, 1, 3, 8, &e, &seq, &b->err), ERR_NOT_FOUND);
    assert_int_equal(b->j->ops->entry(b->j, 1, 3, 0, &e, &seq, &b->err), ERR_NOT_FOUND);
    assert_int_equal(b->j->ops->entry(b->j, 1, 99, 1, &e, &seq, &b->err), ERR_NOT_FOUND);
    assert_int_equal(b->j->ops->entry(b->j, 9, 1, 1, &e, &seq, &b->err), ERR_NOT_FOUND);

    struct seen seen = {0};
    assert_int_equal(b->j->ops->entries(b->j, 1, 3, 1, UINT32_MAX, false, see_entry, &seen, &b->err), 0);
    ASSERT_SEEN(seen, 1, 2, 3, 4, 5, 6, 7);
    seen = (struct seen){0};
    assert_int_equal(b->j->ops->entries(b->j, 1, 3, 3, 5, true, see_entry, &seen, &b->err), 0);
    ASSERT_SEEN(seen, 5, 4, 3);
    seen = (struct seen){.stop_at = 1};
    assert_int_equal(b->j->ops->entries(b->j, 1, 3, 3, 5, true, see_entry, &seen, &b->err), 7);
    ASSERT_SEEN(seen, 5);
    seen = (struct seen){0};
    assert_int_equal(b->j->ops->entries(b->j, 1, 3, 5, 4, false, see_entry, &seen, &b->err), 0);
    assert_int_equal(seen.n, 0);
}

void suite_late_entries_come_in_the_order_of_their_effect(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct fixture *f = &b->f;
    const int64_t t = SUITE_START;
    fixture_transfer(f, 1, 3, 10);             /* version 3, in time */
    fixture_transfer_at(f, 1, 3, 10, t - 100); /* 4 */
    fixture_transfer_at(f, 1, 3, 10, t - 300); /* 5 */
    fixture_transfer(f, 1, 3, 10);             /* 6, in time */
    fixture_transfer_at(f, 1, 3, 10, t - 200); /* 7 */
    fixture_transfer_at(f, 1, 3, 10, t - 200); /* 8 */
    bench_commit(b);
    static const struct {
        uint64_t first, last;
        int64_t from, to, after_effective;
        uint64_t after_version;
        uint64_t want[4];
        size_t n;
    } cases[] = {
        {1, 99, INT64_MIN, INT64_MAX, INT64_MIN, 0, {5, 7, 8, 4}, 4},
        {1, 7, INT64_MIN, INT64_MAX, INT64_MIN, 0, {5, 7, 4}, 3},
        {5, 99, INT64_MIN, INT64_MAX, INT64_MIN, 0, {5, 7, 8}, 3},
        {1, 99, SUITE_START - 200, SUITE_START - 100, INT64_MIN, 0, {7, 8}, 2},
        {1, 99, SUITE_START - 300, SUITE_START - 99, SUITE_START - 200, 7, {8, 4}, 2},
        {1, 99, SUITE_START - 300, SUITE_START - 99, SUITE_START - 200, 8, {4}, 1},
        {1, 99, SUITE_START - 200, INT64_MAX, SUITE_START - 300, 5, {7, 8, 4}, 3},
        {1, 99, SUITE_START - 99, INT64_MAX, INT64_MIN, 0, {0}, 0},
        {1, 99, SUITE_START, SUITE_START - 500, INT64_MIN, 0, {0}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct seen seen = {0};
        assert_int_equal(
            b->j->ops->late_entries(b->j, 1, 3, cases[i].first, cases[i].last, cases[i].from, cases[i].to,
                cases[i].after_effective, cases[i].after_version, see_entry, &seen, &b->err),
            0);
        assert_seen(&seen, cases[i].want, cases[i].n);
    }
    struct seen seen = {.stop_at = 2};
    assert_int_equal(b->j->ops->late_entries(
                         b->j, 1, 3, 1, 99, INT64_MIN, INT64_MAX, INT64_MIN, 0, see_entry, &seen, &b->err),
        7);
    ASSERT_SEEN(seen, 5, 7);
}

void suite_lots_show_their_newest_version(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    const struct lot *lots;
    size_t n;
    bench_capture(&b->f, 200, 2, 100);
    bench_commit(b);
    assert_int_equal(b->j->ops->lots(b->j, 1, 8, &b->arena, &lots, &n, &b->err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(lots[0].origin, 8);
    assert_int_equal(lots[0].leg, 0);
    assert_int_equal(lots[0].kind, LOT_HOLD);
    assert_int_equal(lots[0].version, 2);
    assert_int_equal(lots[0].account, 2);
    assert_int_equal(lots[0].change, -200);
    assert_int_equal(lots[0].remaining_after, 100);
    assert_int_equal(b->j->ops->lots(b->j, 1, 7, &b->arena, &lots, &n, &b->err), 0);
    assert_int_equal(n, 0);
    assert_int_equal(b->j->ops->lots(b->j, 1, 99, &b->arena, &lots, &n, &b->err), 0);
    assert_int_equal(n, 0);
    bench_capture(&b->f, 100, 3, 0);
    bench_commit(b);
    assert_int_equal(b->j->ops->lots(b->j, 1, 8, &b->arena, &lots, &n, &b->err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(lots[0].remaining_after, 0);
}
