/*
 * The auditor audited: a journal with a bit of everything is found sound, and then, for every rule, a copy of
 * it with that rule broken is found broken, at the record where it is. A wrapper hands out the broken
 * records, and hashes them anew where another rule than the chain is meant to speak first.
 */
#include "app/verify.h"

#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/bent_fixture.h"
#include "app/verify_unique.h"

struct found {
    struct verify_fault faults[100];
    size_t n;
    size_t ledgers;
};

static void on_fault(void *ctx, const struct verify_fault *fault)
{
    struct found *f = ctx;
    if (fault->ledger != NULL)
        assert_string_equal("main", fault->ledger);
    if (f->n < 100)
        f->faults[f->n++] = *fault;
}

static void on_ledger(void *ctx, const struct ledger_row *ledger, const struct ledger_head *head)
{
    (void)ledger;
    (void)head;
    ((struct found *)ctx)->ledgers++;
}

static struct verify_counts audit(struct found *f, uint64_t max_faults)
{
    struct verify_options options = {
        .max_faults = max_faults, .fault = on_fault, .ledger_done = on_ledger, .ctx = f};
    struct verify_counts counts;
    struct err err = {0};
    *f = (struct found){0};
    if (verify_journal(&fake.base, &options, &counts, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(counts.faults, f->n);
    return counts;
}

static struct found found;

static void sound_books_pass(void **state)
{
    (void)state;
    fake_open();
    struct verify_counts counts = audit(&found, 0);
    if (found.n > 0)
        fail_msg("%s: %s", found.faults[0].invariant, found.faults[0].message);
    assert_int_equal(1, counts.ledgers);
    assert_int_equal(STORY_END, counts.records);
    assert_int_equal(4, counts.accounts);
    assert_int_equal(19, counts.entries);
    assert_int_equal(6, counts.lots); /* two legs: their amounts, what two reversals left */
    assert_int_equal(5, counts.keys);
    assert_int_equal(3, counts.texts);
    assert_int_equal(1, counts.texts_erased);
    assert_int_equal(1, found.ledgers);
    rehash(); /* and the test's own hashing is the journal's */
    audit(&found, 0);
    assert_int_equal(0, found.n);
    arena_fini(&fake.arena);
}

static struct entry *leg(uint64_t seq, size_t i)
{
    return (struct entry *)(uintptr_t)&fake.records[seq - 1]->entries[i];
}

static struct revision_row *revision(uint64_t seq)
{
    return (struct revision_row *)(uintptr_t)&fake.records[seq - 1]->revisions[0];
}

static struct account_row *row(uint64_t seq)
{
    return (struct account_row *)(uintptr_t)fake.records[seq - 1]->account;
}

static struct lot *lot(uint64_t seq, size_t i)
{
    return (struct lot *)(uintptr_t)&fake.records[seq - 1]->lots[i];
}

static struct record *rec(uint64_t seq)
{
    return fake.records[seq - 1];
}

static void remove_record(void)
{
    memmove(&fake.records[PAY - 1], &fake.records[PAY], (fake.n-- - PAY) * sizeof *fake.records);
}
static void swap_time(void)
{
    rec(PAY)->recorded_at = rec(TOP_UP)->recorded_at - 1;
    rec(PAY)->effective_at = rec(PAY)->recorded_at;
}
static void record_id(void)
{
    rec(PAY)->id = uuid_make(BOOKS_EPOCH, 99, 1);
}
static void other_ledger(void)
{
    rec(PAY)->ledger = 2;
}
static void leg_gap(void)
{
    leg(PAY, 1)->leg = 2;
}
static void no_entries(void)
{
    rec(DECLINED)->n_entries = 0;
}
static void unknown_kind(void)
{
    rec(PAY)->kind = (enum record_kind)77;
}
static void decline_without_reason(void)
{
    rec(DECLINED)->refusal = 0;
}
static void reversal_of_nothing(void)
{
    rec(REVERSAL)->related_seq = 0;
}
static void reversal_of_later(void)
{
    rec(REVERSAL)->related_seq = LAST_PAY;
}
static void account_number(void)
{
    row(OPEN_BOB)->number = 7;
}
static void account_id(void)
{
    row(OPEN_BOB)->id = uuid_make(BOOKS_EPOCH, 9, 1);
}
static void account_opened_elsewhere(void)
{
    row(OPEN_BOB)->opened_seq = 1;
}
static void opening_without_account(void)
{
    rec(OPEN_EVE)->account = NULL;
}
static void account_without_opening(void)
{
    rec(OPEN_EVE)->kind = RECORD_REVISION;
}
static void revision_gap(void)
{
    revision(REVISION)->revision = 3;
}
static void revision_of_nobody(void)
{
    revision(REVISION)->account = 50;
}
static void revision_without_entry(void)
{
    leg(REVISION, 0)->revision = 1;
}
static void revision_in_transfer(void)
{
    rec(REVISION)->kind = RECORD_TRANSFER;
}
static void revision_missing(void)
{
    rec(REVISION)->n_revisions = 0;
}
static void one_leg_more(void)
{
    leg(LAST_PAY, 1)->change.posted += 1;
    leg(LAST_PAY, 1)->after.posted += 1;
}
static void pending_one_sided(void)
{
    leg(LAST_PAY, 1)->change.incoming += 5;
    leg(LAST_PAY, 1)->after.incoming += 5;
}
static void wrong_after(void)
{
    leg(LAST_PAY, 0)->after.posted += 1;
}
static void wrong_change_both(void)
{
    leg(LAST_PAY, 0)->change.posted -= 1;
    leg(LAST_PAY, 1)->change.posted += 1;
}
static void version_gap(void)
{
    leg(LAST_PAY, 0)->version++;
}
static void version_twice(void)
{
    leg(PAY, 0)->version++;
}
static void other_asset(void)
{
    leg(LAST_PAY, 0)->asset = leg(LAST_PAY, 1)->asset = 2;
}
static void flipped_side(void)
{
    leg(LAST_PAY, 0)->side = -1;
}
static void nobodys_entry(void)
{
    leg(LAST_PAY, 0)->account = 40;
}
static void beyond_range(void)
{
    int64_t far = LIMIT_AMOUNT_MAX;
    leg(LAST_PAY, 1)->change.posted = far;
    leg(LAST_PAY, 1)->after.posted += far - 10;
}
static void decline_that_moves(void)
{
    leg(DECLINED, 0)->change.posted = 1;
    leg(DECLINED, 0)->after.posted++;
}
static void negative_pending(void)
{
    leg(LAST_PAY, 0)->change.incoming = leg(LAST_PAY, 0)->after.incoming = -5;
    leg(LAST_PAY, 1)->change.outgoing = leg(LAST_PAY, 1)->after.outgoing = -5;
}
static void negative_outgoing(void)
{
    leg(LAST_PAY, 0)->change.outgoing = leg(LAST_PAY, 0)->after.outgoing = -5;
    leg(LAST_PAY, 1)->change.outgoing = leg(LAST_PAY, 1)->after.outgoing = 5;
}
static void below_floor(void)
{
    leg(LAST_PAY, 0)->change.posted = -2000;
    leg(LAST_PAY, 0)->after.posted = leg(LAST_PAY, 0)->after.posted + 10 - 2000;
    leg(LAST_PAY, 1)->change.posted = 2000;
    leg(LAST_PAY, 1)->after.posted = leg(LAST_PAY, 1)->after.posted - 10 + 2000;
}
static void other_floor(void)
{
    leg(LAST_PAY, 0)->floor.minor = -100;
}
static void no_floor(void)
{
    leg(PAY, 0)->floor.present = false;
}
static void key_twice(void)
{
    rec(LAST_PAY)->idempotency_key = STR("pay");
}
static void external_id_twice(void)
{
    row(OPEN_EVE)->external_id = STR("bob");
}
static void one_bit_of_hash(void)
{
    rec(STORY_END)->hash[31] ^= 1;
}
static void reference_added(void)
{
    rec(PAY)->reference = STR("forged");
}
static void key_changed(void)
{
    rec(PAY)->idempotency_key = STR("forged");
}
static void type_changed(void)
{
    row(OPEN_BOB)->type = ACCOUNT_EQUITY;
}
static void ledger_changed(void)
{
    fake.ledger.default_floor = (struct floor){.present = true, .minor = -1};
}
static void text_changed(void)
{
    rec(OPEN_ALICE)->text.body = STR("{\"name\":\"Mallory\"}");
}
static void text_taken(void)
{
    rec(OPEN_ALICE)->text.readable = false;
}
static void text_added(void)
{
    rec(PAY)->text.readable = true;
    rec(PAY)->text.body = STR("{}");
}
static void text_not_erased(void)
{
    struct record *r = rec(OPEN_EVE);
    r->text.readable = true;
    r->text.body = STR("{\"name\":\"Eve\"}");
    digest_text(books.digest, &r->text);
}
static void from_the_future(void)
{
    rec(PAY)->effective_at = rec(PAY)->recorded_at + 1;
}
static void not_marked_late(void)
{
    leg(PAY_LATE, 0)->backdated = false;
}
static void other_effective_time(void)
{
    leg(PAY_LATE, 0)->effective_at++;
}
static void closed_with_balance(void)
{
    revision(REVISION)->status = ACCOUNT_CLOSED;
}
static void frozen_pays(void)
{
    revision(REVISION)->status = ACCOUNT_FROZEN;
}
static void lot_remaining(void)
{
    lot(REVERSAL_AGAIN, 0)->remaining_after += 1;
}
static void lot_gap(void)
{
    lot(REVERSAL_AGAIN, 0)->version = 4;
}
static void lot_of_other_leg(void)
{
    lot(REVERSAL, 0)->leg = 7;
    lot(REVERSAL, 1)->leg = 7;
}
static void lot_too_big(void)
{
    lot(REVERSAL, 0)->change += 50;
    lot(REVERSAL, 0)->remaining_after += 50;
    lot(REVERSAL, 1)->remaining_after += 50;
}
static void lot_overdrawn(void)
{
    lot(REVERSAL, 1)->change -= 500;
    lot(REVERSAL, 1)->remaining_after -= 500;
}
static void unreadable(void)
{
    fake.unreadable = PAY;
}
static void trigger_missing(void)
{
    fake.note = "trigger entry_insert is missing";
}
static void bend_posted(struct account *account)
{
    account->balance.posted += account->number == BOB;
}
static void head_posted(void)
{
    fake.bend_account = bend_posted;
}
static void bend_version(struct account *account)
{
    account->version += account->number == BOB;
}
static void head_version(void)
{
    fake.bend_account = bend_version;
}
static void bend_name(struct account *account)
{
    account->external_id = account->number == BOB ? STR("robert") : account->external_id;
}
static void head_name(void)
{
    fake.bend_account = bend_name;
}
static void account_gone(void)
{
    fake.hide_last_account = true;
}
static void account_more(void)
{
    fake.invent_account = true;
}
static void head_hash(void)
{
    fake.bend_head = true;
}

/* The first fault must be of that rule and at that record. */
static const struct bend {
    const char *name;
    void (*bend)(void);
    bool hashed_anew;
    const char *invariant;
    uint64_t seq;
} bends[] = {
    {"a record is missing", remove_record, true, "I1", PAY + 1},
    {"recorded_at runs backwards", swap_time, true, "I1", PAY},
    {"the id carries another seq", record_id, true, "I1", PAY},
    {"a record of another ledger", other_ledger, true, "I1", PAY},
    {"legs are not dense", leg_gap, true, "I1", PAY},
    {"no entries", no_entries, true, "I1", DECLINED},
    {"unknown kind", unknown_kind, true, "I1", PAY},
    {"a decline without its reason", decline_without_reason, true, "I1", DECLINED},
    {"a reversal of nothing", reversal_of_nothing, true, "I1", REVERSAL},
    {"a reversal of something later", reversal_of_later, true, "I1", REVERSAL},
    {"account numbers skip", account_number, true, "I1", OPEN_BOB},
    {"the account's id carries another number", account_id, true, "I1", OPEN_BOB},
    {"the account says another record opened it", account_opened_elsewhere, true, "I1", OPEN_BOB},
    {"an opening without its account", opening_without_account, true, "I1", OPEN_EVE},
    {"an account without an opening", account_without_opening, true, "I1", OPEN_EVE},
    {"revisions skip", revision_gap, true, "I1", REVISION},
    {"a revision of nobody", revision_of_nobody, true, "I1", REVISION},
    {"a revision without its entry", revision_without_entry, true, "I1", REVISION},
    {"a transfer that revises", revision_in_transfer, true, "I1", REVISION},
    {"a revision without its row", revision_missing, true, "I1", REVISION},
    {"an unreadable record", unreadable, false, "I1", PAY},
    {"postings do not sum to zero", one_leg_more, true, "I2", LAST_PAY},
    {"pending is one-sided", pending_one_sided, true, "I3", LAST_PAY},
    {"a wrong balance after", wrong_after, true, "I4", LAST_PAY},
    {"a wrong change on both legs", wrong_change_both, true, "I4", LAST_PAY},
    {"versions skip", version_gap, true, "I4", LAST_PAY},
    {"a version twice", version_twice, true, "I4", PAY},
    {"another asset", other_asset, true, "I4", LAST_PAY},
    {"a flipped side", flipped_side, true, "I4", LAST_PAY},
    {"an entry of nobody", nobodys_entry, true, "I4", LAST_PAY},
    {"beyond the range", beyond_range, true, "I4", LAST_PAY},
    {"a decline that moves", decline_that_moves, true, "I4", DECLINED},
    {"a lot that does not add up", lot_remaining, true, "I4", REVERSAL_AGAIN},
    {"a lot's versions skip", lot_gap, true, "I4", REVERSAL_AGAIN},
    {"a lot of no leg", lot_of_other_leg, true, "I4", REVERSAL},
    {"a lot that is not its leg", lot_too_big, true, "I4", REVERSAL},
    {"a lot overdrawn", lot_overdrawn, true, "I4", REVERSAL},
    {"pending is negative", negative_pending, true, "I5", LAST_PAY},
    {"outgoing alone is negative", negative_outgoing, true, "I5", LAST_PAY},
    {"below the floor", below_floor, true, "I6", LAST_PAY},
    {"a floor that is not in force", other_floor, true, "I6", LAST_PAY},
    {"a floor left out", no_floor, true, "I6", PAY},
    {"the database's triggers are gone", trigger_missing, false, "I7", 0},
    {"a key twice", key_twice, true, "I8", LAST_PAY},
    {"an external id twice", external_id_twice, true, "I8", OPEN_EVE},
    {"one bit of a hash", one_bit_of_hash, false, "I10", STORY_END},
    {"a reference added", reference_added, false, "I10", PAY},
    {"a key changed", key_changed, false, "I10", PAY},
    {"an account's type changed", type_changed, false, "I10", OPEN_BOB},
    {"the ledger's own row changed", ledger_changed, false, "I10", 1},
    {"a text changed", text_changed, false, "I10", OPEN_ALICE},
    {"a text taken away without a record", text_taken, false, "I10", OPEN_ALICE},
    {"a text that its record does not know", text_added, false, "I10", PAY},
    {"an erased text that is still there", text_not_erased, true, "I10", OPEN_EVE},
    {"effective in the future", from_the_future, true, "time", PAY},
    {"late, and its entry does not say so", not_marked_late, true, "time", PAY_LATE},
    {"an entry with another effective time", other_effective_time, true, "time", PAY_LATE},
    {"closed with a balance", closed_with_balance, true, "status", REVISION},
    {"taken from a frozen account", frozen_pays, true, "status", LAST_PAY},
    {"a head with another balance", head_posted, false, "I4", LAST_PAY},
    {"a head with another version", head_version, false, "I4", LAST_PAY},
    {"a head with another name", head_name, false, "I4", OPEN_BOB},
    {"an account that is gone", account_gone, false, "I1", 0},
    {"an account that nobody opened", account_more, false, "I1", 0},
    {"a head with another hash", head_hash, false, "I10", STORY_END},
};

static void every_rule_speaks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bends / sizeof *bends; i++) {
        const struct bend *b = &bends[i];
        fake_open();
        b->bend();
        if (b->hashed_anew)
            rehash();
        audit(&found, 50);
        if (found.n == 0)
            fail_msg("%s: nothing was found", b->name);
        const struct verify_fault *first = &found.faults[0];
        if (strcmp(first->invariant, b->invariant) != 0 || first->seq != b->seq)
            fail_msg("%s: expected %s at %llu, first was %s at %llu: %s", b->name, b->invariant,
                (unsigned long long)b->seq, first->invariant, (unsigned long long)first->seq, first->message);
        arena_fini(&fake.arena);
    }
}

static void one_fault_is_told_once(void **state)
{
    (void)state;
    fake_open();
    one_bit_of_hash();
    fake.records[STORY_END - 1]->hash[31] ^= 1;
    rec(PAY)->reference = STR("forged");
    audit(&found, 50);
    assert_int_equal(1, found.n);
    arena_fini(&fake.arena);
    fake_open();
    wrong_after();
    rehash();
    audit(&found, 50);
    assert_int_equal(2, found.n); /* the entry, and the head, which the wrapper did not bend */
    assert_int_equal(ALICE, found.faults[0].account);
    assert_non_null(strstr(found.faults[0].message, "expected"));
    arena_fini(&fake.arena);
}

static void goes_on_behind_what_cannot_be_read(void **state)
{
    (void)state;
    fake_open();
    unreadable();
    rec(LAST_PAY)->reference = STR("forged");
    struct verify_counts counts = audit(&found, 50);
    assert_int_equal(STORY_END - 1, counts.records);
    bool forged = false;
    for (size_t i = 0; i < found.n; i++)
        forged = forged || (strcmp(found.faults[i].invariant, "I10") == 0 && found.faults[i].seq == LAST_PAY);
    assert_true(forged);
    arena_fini(&fake.arena);
}

/* What the database says of itself does not count: thirty missing triggers must not hide the record that was
 * bent. */
static void stops_after_enough_faults(void **state)
{
    (void)state;
    fake_open();
    for (uint64_t seq = 1; seq <= STORY_END; seq++)
        rec(seq)->hash[0] ^= 1;
    struct verify_counts counts = audit(&found, 3);
    assert_int_equal(3, found.n);
    assert_true(counts.stopped);
    trigger_missing();
    audit(&found, 3);
    assert_int_equal(4, found.n);
    assert_string_equal("I10", found.faults[2].invariant);
    assert_string_equal("I7", found.faults[3].invariant);
    arena_fini(&fake.arena);
}

static bool refuse_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)done;
    assert_int_equal(STORY_END, total);
    return false;
}

static void can_be_stopped_and_knows_its_ledgers(void **state)
{
    (void)state;
    fake_open();
    struct verify_options options = {.fault = on_fault, .progress = refuse_progress, .ctx = &found};
    struct verify_counts counts;
    struct err err;
    assert_int_equal(ERR_CANCELLED, verify_journal(&fake.base, &options, &counts, &err));
    options.progress = NULL;
    options.ledger = STR("nowhere");
    assert_int_equal(ERR_NOT_FOUND, verify_journal(&fake.base, &options, &counts, &err));
    assert_non_null(strstr(err.message, "nowhere"));
    arena_fini(&fake.arena);
}

/* ---- verify_unique.h
 * ------------------------------------------------------------------------------------------- */

struct pairs {
    uint64_t rows[64];
    size_t n;
};

static int on_pair(void *ctx, uint64_t row_number, uint64_t other)
{
    struct pairs *p = ctx;
    assert_true(row_number < other);
    p->rows[p->n++] = row_number;
    p->rows[p->n++] = other;
    return 0;
}

static void finds_twins_in_memory_and_in_runs(void **state)
{
    (void)state;
    static const size_t run_sizes[] = {0, 1000, 7, 1};
    for (size_t r = 0; r < sizeof run_sizes / sizeof *run_sizes; r++) {
        struct unique *u = unique_new(run_sizes[r]);
        struct pairs pairs = {.n = 0};
        for (uint64_t i = 1; i <= 500; i++)
            assert_int_equal(0, unique_add(u, (i == 400 ? 17 : i) * UINT64_C(0x9e3779b97f4a7c15), i, NULL));
        assert_int_equal(0, unique_add(u, 499 * UINT64_C(0x9e3779b97f4a7c15), 501, NULL));
        assert_int_equal(0, unique_finish(u, on_pair, &pairs, NULL));
        assert_int_equal(4, pairs.n);
        bool first = pairs.rows[0] == 17;
        assert_int_equal(17, pairs.rows[first ? 0 : 2]);
        assert_int_equal(400, pairs.rows[first ? 1 : 3]);
        assert_int_equal(499, pairs.rows[first ? 2 : 0]);
        assert_int_equal(501, pairs.rows[first ? 3 : 1]);
        unique_free(u);
    }
}

static int setup(void **state)
{
    (void)state;
    tell_story();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    books_close(&books);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_books_pass),
        cmocka_unit_test(every_rule_speaks),
        cmocka_unit_test(one_fault_is_told_once),
        cmocka_unit_test(goes_on_behind_what_cannot_be_read),
        cmocka_unit_test(stops_after_enough_faults),
        cmocka_unit_test(can_be_stopped_and_knows_its_ledgers),
        cmocka_unit_test(finds_twins_in_memory_and_in_runs),
    };
    return cmocka_run_group_tests_name("verify", tests, setup, teardown);
}
