/*
 * Attacks through the port: each builds on the base state one record that breaks one rule and otherwise
 * nothing, and must be refused with the number of the invariant. I5 to I8 are in
 * journal_suite_attacks_lots.c, the controls in journal_suite_sound.c.
 */
#include "journal/journal_suite_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"

static struct entry *leg(struct record *r, size_t i)
{
    return (struct entry *)&r->entries[i]; /* the fixture's own memory */
}

/* ---- I1 ---- */

static void i1_gap_in_seq(struct fixture *f)
{
    f->state.head.seq++;
    fixture_seal(f, make_good(f));
}

static void i1_same_seq_again(struct fixture *f)
{
    f->state.head.seq--;
    fixture_seal(f, make_good(f));
}

static void i1_seq_0(struct fixture *f)
{
    struct record *r = make_good(f);
    r->seq = 0;
    fixture_seal(f, r);
}

static void i1_unknown_ledger(struct fixture *f)
{
    struct record *r = make_good(f);
    r->ledger = 77;
    fixture_seal(f, r);
}

static void i1_no_entries(struct fixture *f)
{
    fixture_seal(f, fixture_begin(f, RECORD_TRANSFER));
}

static void i1_legs_0_and_2(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 1)->leg = 2;
    fixture_seal(f, r);
}

static void i1_legs_from_1(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 0)->leg = 1;
    leg(r, 1)->leg = 2;
    fixture_seal(f, r);
}

static void i1_time_runs_backwards(struct fixture *f)
{
    f->now = f->state.head.recorded_at - 1;
    fixture_seal(f, make_good(f));
}

static void i1_effective_in_the_future(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    r->effective_at++;
    fixture_entry(f, r, 2, POSTED(-1));
    fixture_entry(f, r, 3, POSTED(1));
    fixture_seal(f, r);
}

static void i1_account_without_revision(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, NULL);
    r->n_revisions = 0;
    fixture_seal(f, r);
}

static void i1_account_without_entry(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, NULL);
    r->n_entries = 0;
    fixture_entry(f, r, 2, POSTED(0));
    fixture_seal(f, r);
}

static void i1_account_number_skipped(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, NULL);
    ((struct account_row *)r->account)->number = 9;
    ((struct revision_row *)r->revisions)->account = 9;
    leg(r, 0)->account = 9;
    fixture_seal(f, r);
}

static void i1_revision_without_entry(struct fixture *f)
{
    struct record *r = make_good(f);
    fixture_revision(f, r, 5, ACCOUNT_OPEN, FLOOR_NONE);
    fixture_seal(f, r);
}

static void i2_decline_that_moves(struct fixture *f)
{
    struct record *r = make_good(f);
    r->kind = RECORD_DECLINED;
    r->refusal = 308;
    fixture_seal(f, r);
}

static void i2_transfer_that_moves_nothing(struct fixture *f)
{
    fixture_seal(f, make_with(f, RECORD_TRANSFER, 2, POSTED(0)));
}

static void i1_revision_by_a_transfer(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    fixture_revision(f, r, 5, ACCOUNT_OPEN, FLOOR_NONE);
    fixture_entry(f, r, 5, POSTED(0));
    fixture_seal(f, r);
}

static void i1_transfer_with_a_relation(struct fixture *f)
{
    struct record *r = make_good(f);
    r->related_seq = 7;
    fixture_seal(f, r);
}

static void i1_reversal_of_nothing(struct fixture *f)
{
    struct record *r = make_good(f);
    r->kind = RECORD_REVERSAL;
    fixture_seal(f, r);
}

static void i1_refusal_of_a_transfer(struct fixture *f)
{
    struct record *r = make_good(f);
    r->refusal = 308;
    fixture_seal(f, r);
}

static void i1_decline_of_two_accounts(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_DECLINED);
    r->refusal = 308;
    fixture_entry(f, r, 2, POSTED(0));
    fixture_entry(f, r, 3, POSTED(0));
    fixture_seal(f, r);
}

static void i1_related_to_itself(struct fixture *f)
{
    struct record *r = make_good(f);
    r->related_seq = r->seq;
    fixture_seal(f, r);
}

static void i1_unknown_kind(struct fixture *f)
{
    struct record *r = make_good(f);
    r->kind = (enum record_kind)13;
    fixture_seal(f, r);
}

static void i1_transfer_that_opens(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, NULL);
    fixture_seal(f, r);
}

static void i1_opening_of_nothing(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_revision(f, r, 2, ACCOUNT_OPEN, FLOOR(0));
    fixture_entry(f, r, 2, POSTED(0));
    fixture_seal(f, r);
}

static void i1_empty_external_id(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, "");
    fixture_seal(f, r);
}

static void i1_asset_of_scale_19(struct fixture *f)
{
    fixture_asset(f, "GBP", 19);
}

static void i1_revision_and_an_entry_more(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_REVISION);
    fixture_revision(f, r, 2, ACCOUNT_OPEN, FLOOR(0));
    fixture_entry(f, r, 2, POSTED(0));
    fixture_entry(f, r, 3, POSTED(0));
    fixture_seal(f, r);
}

static void i1_entry_of_another_time(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 1)->backdated = true;
    leg(r, 1)->effective_at = r->effective_at - 1;
    fixture_seal(f, r);
}

static void i1_text_without_body(struct fixture *f)
{
    struct record *r = make_good(f);
    fixture_text(f, r, "{}");
    r->text.readable = false;
    fixture_seal(f, r);
}

static void i1_empty_reference(struct fixture *f)
{
    struct record *r = make_good(f);
    r->reference = STR("");
    fixture_seal(f, r);
}

/* ---- I2, I3 ---- */

static void i2_unbalanced(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_TRANSFER, 2, POSTED(-100));
    fixture_entry(f, r, 3, POSTED(101));
    fixture_seal(f, r);
}

static void i2_one_leg_alone(struct fixture *f)
{
    fixture_seal(f, make_with(f, RECORD_TRANSFER, 3, POSTED(100)));
}

static void i2_usd_out_eur_in(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_EXCHANGE, 2, POSTED(-100));
    fixture_entry(f, r, 5, POSTED(100));
    fixture_seal(f, r);
}

static void i3_hold_without_other_side(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_HOLD, 2, (struct amounts){0, 0, 100});
    fixture_lot(f, r, make_hold_lot(r->seq, 1, 2, 100, 100));
    fixture_seal(f, r);
}

static void i3_outgoing_usd_incoming_eur(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_HOLD, 2, (struct amounts){0, 0, 100});
    fixture_entry(f, r, 5, (struct amounts){0, 100, 0});
    fixture_lot(f, r, make_hold_lot(r->seq, 1, 2, 100, 100));
    fixture_seal(f, r);
}

/* ---- I4 ---- */

static void i4_version_skipped(struct fixture *f)
{
    fixture_head(f, 2)->version++;
    fixture_seal(f, make_good(f));
}

static void i4_version_repeated(struct fixture *f)
{
    fixture_head(f, 2)->version--;
    fixture_seal(f, make_good(f));
}

static void i4_version_1_again(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_TRANSFER, 5, POSTED(0));
    *leg(r, 0) = (struct entry){
        .account = 5, .version = 1, .asset = 2, .side = 1, .revision = 1, .effective_at = r->effective_at};
    fixture_seal(f, r);
}

static void i4_posted_after_wrong(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 0)->after.posted += 50;
    fixture_seal(f, r);
}

static void i4_incoming_after_wrong(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 1)->after.incoming = 0;
    fixture_seal(f, r);
}

static void i4_outgoing_after_wrong(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 0)->after.outgoing = 0;
    fixture_seal(f, r);
}

static void i4_consistent_with_each_other_only(struct fixture *f)
{
    fixture_head(f, 2)->balance.posted = 100000;
    struct record *r = make_with(f, RECORD_TRANSFER, 2, POSTED(-100));
    fixture_entry(f, r, 2, POSTED(100));
    fixture_seal(f, r);
}

static void i4_unknown_account(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 1)->account = 99;
    leg(r, 1)->version = 1;
    fixture_seal(f, r);
}

static void i4_opening_with_money(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, NULL);
    leg(r, 0)->change.posted = leg(r, 0)->after.posted = 100;
    fixture_entry(f, r, 1, POSTED(-100));
    fixture_seal(f, r);
}

static void i4_opening_under_another_asset(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, NULL);
    leg(r, 0)->asset = 2;
    fixture_seal(f, r);
}

static void i4_opening_of_an_unknown_asset(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, NULL);
    f->assets[7].id = 8; /* so that the fixture can hash it */
    ((struct account_row *)r->account)->asset = 8;
    leg(r, 0)->asset = 8;
    fixture_seal(f, r);
}

static void i4_asset_changed(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 0)->asset = leg(r, 1)->asset = 2;
    fixture_seal(f, r);
}

static void i4_side_flipped(struct fixture *f)
{
    struct record *r = make_good(f);
    leg(r, 0)->side = -1;
    fixture_seal(f, r);
}

static void i4_floor_left_out(struct fixture *f)
{
    fixture_head(f, 2)->floor = FLOOR_NONE;
    fixture_transfer(f, 2, 3, 701);
}

static void i4_lower_floor(struct fixture *f)
{
    fixture_head(f, 2)->floor = FLOOR(-500);
    fixture_transfer(f, 2, 3, 701);
}

static void i4_revision_that_moves_money(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_REVISION);
    fixture_revision(f, r, 2, ACCOUNT_OPEN, FLOOR_NONE);
    fixture_entry(f, r, 2, POSTED(-5000));
    fixture_entry(f, r, 3, POSTED(5000));
    fixture_seal(f, r);
}

static void i4_revision_without_row(struct fixture *f)
{
    fixture_head(f, 2)->revision = 2;
    fixture_head(f, 2)->floor = FLOOR(-500);
    fixture_seal(f, make_with(f, RECORD_REVISION, 2, POSTED(0)));
}

static void i4_revision_of_an_unknown_account(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_REVISION);
    fixture_revision(f, r, 2, ACCOUNT_OPEN, FLOOR(0));
    fixture_entry(f, r, 2, POSTED(0));
    ((struct revision_row *)r->revisions)->account = 99;
    fixture_seal(f, r);
}

static void i4_revision_skipped(struct fixture *f)
{
    fixture_head(f, 2)->revision = 2;
    struct record *r = fixture_begin(f, RECORD_REVISION);
    fixture_revision(f, r, 2, ACCOUNT_OPEN, FLOOR(0));
    fixture_entry(f, r, 2, POSTED(0));
    fixture_seal(f, r);
}

static void i4_revision_with_another_floor(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_REVISION);
    fixture_revision(f, r, 2, ACCOUNT_OPEN, FLOOR(0));
    fixture_entry(f, r, 2, POSTED(0))->floor = FLOOR(-500);
    fixture_seal(f, r);
}

static void i4_out_of_range(struct fixture *f)
{
    fixture_transfer(f, 1, 2, LIMIT_AMOUNT_MAX); /* 2 has 1000 already */
}

static void i4_overflow(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_TRANSFER, 5, POSTED(0));
    leg(r, 0)->change.posted = INT64_MAX;
    leg(r, 0)->after.posted = INT64_MIN + 99; /* 100 + INT64_MAX, wrapped */
    fixture_seal(f, r);
}

void suite_attack(struct bench *b, const struct attack_case *cases, size_t n)
{
    bench_base(b);
    struct ledger_head before = b->f.committed.head, head;
    unsigned failures = 0;
    for (size_t i = 0; i < n; i++) {
        cases[i].make(&b->f);
        int rc = fixture_commit(&b->f, b->j, &b->err);
        bool named = (rc == ERR_CONFLICT || (rc == ERR_DUPLICATE && b->j->shared)) &&
                     (strstr(b->err.message, cases[i].invariant) != NULL ||
                         (cases[i].also != NULL && strstr(b->err.message, cases[i].also)));
        if (!named) {
            print_error("%s: code %d, \"%s\"\n", cases[i].name, rc, rc ? b->err.message : "taken");
            failures++;
        }
        assert_int_not_equal(rc, 0);
        assert_int_equal(b->j->ops->head(b->j, 1, &head, &b->err), 0);
        assert_int_equal(head.seq, before.seq);
        assert_int_equal(head.accounts, before.accounts);
        assert_memory_equal(head.hash, before.hash, HASH_LEN);
        b->f.now = before.recorded_at + MICROS_PER_SECOND;
    }
    assert_int_equal(failures, 0);
    fixture_transfer(&b->f, 2, 3, 100); /* and the journal goes on */
    bench_commit(b);
}

void suite_attacks_on_records_are_refused(void **state)
{
    static const struct attack_case cases[] = {
        ATTACK(1, i1_gap_in_seq),
        ATTACK(1, i1_same_seq_again),
        ATTACK(1, i1_seq_0),
        ATTACK(1, i1_unknown_ledger),
        ATTACK(1, i1_no_entries),
        ATTACK(1, i1_legs_0_and_2),
        ATTACK(1, i1_legs_from_1),
        ATTACK(1, i1_time_runs_backwards),
        ATTACK(1, i1_effective_in_the_future),
        ATTACK(1, i1_account_without_revision),
        {"I1:", "i1_account_without_entry", i1_account_without_entry, "I4:"},
        {"I1:", "i1_account_number_skipped", i1_account_number_skipped, "I7:"},
        ATTACK(1, i1_revision_without_entry),
        ATTACK(2, i2_decline_that_moves),
        ATTACK(2, i2_transfer_that_moves_nothing),
        ATTACK(1, i1_revision_by_a_transfer),
        ATTACK(1, i1_transfer_with_a_relation),
        ATTACK(1, i1_reversal_of_nothing),
        ATTACK(1, i1_refusal_of_a_transfer),
        ATTACK(1, i1_decline_of_two_accounts),
        ATTACK(1, i1_related_to_itself),
        ATTACK(1, i1_unknown_kind),
        {"I1:", "i1_transfer_that_opens", i1_transfer_that_opens, "I4:"},
        {"I1:", "i1_opening_of_nothing", i1_opening_of_nothing, "I4:"},
        {"I1:", "i1_empty_external_id", i1_empty_external_id, "CHECK"},
        {"I1:", "i1_asset_of_scale_19", i1_asset_of_scale_19, "CHECK"},
        ATTACK(1, i1_revision_and_an_entry_more),
        {"I1:", "i1_entry_of_another_time", i1_entry_of_another_time, "I4:"},
        ATTACK(1, i1_text_without_body),
        {"I1:", "i1_empty_reference", i1_empty_reference, "CHECK"},
        ATTACK(2, i2_unbalanced),
        ATTACK(2, i2_one_leg_alone),
        ATTACK(2, i2_usd_out_eur_in),
        ATTACK(3, i3_hold_without_other_side),
        ATTACK(3, i3_outgoing_usd_incoming_eur),
        ATTACK(4, i4_version_skipped),
        ATTACK(4, i4_version_repeated),
        ATTACK(4, i4_version_1_again),
        ATTACK(4, i4_posted_after_wrong),
        ATTACK(4, i4_incoming_after_wrong),
        ATTACK(4, i4_outgoing_after_wrong),
        ATTACK(4, i4_consistent_with_each_other_only),
        {"I4:", "i4_unknown_account", i4_unknown_account, "I1:"},
        {"I4:", "i4_opening_with_money", i4_opening_with_money, "I2:"},
        ATTACK(4, i4_opening_under_another_asset),
        ATTACK(4, i4_opening_of_an_unknown_asset),
        ATTACK(4, i4_asset_changed),
        ATTACK(4, i4_side_flipped),
        ATTACK(4, i4_floor_left_out),
        ATTACK(4, i4_lower_floor),
        {"I4:", "i4_revision_that_moves_money", i4_revision_that_moves_money, "I2:"},
        ATTACK(4, i4_revision_without_row),
        {"I4:", "i4_revision_of_an_unknown_account", i4_revision_of_an_unknown_account, "I1:"},
        ATTACK(4, i4_revision_skipped),
        ATTACK(4, i4_revision_with_another_floor),
        ATTACK(4, i4_out_of_range),
        ATTACK(4, i4_overflow),
    };
    suite_attack(*state, cases, sizeof cases / sizeof cases[0]);
}
