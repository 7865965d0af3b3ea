/*
 * Attacks through the port: each builds on the base state one record that breaks one rule and otherwise
 * nothing, and must be refused with the number of the invariant. The controls are in journal_suite_sound.c.
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

/* ---- I5 ---- */

static void i5_outgoing_below_zero(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_VOID, 3, (struct amounts){0, -300, 0});
    fixture_entry(f, r, 3, (struct amounts){0, 0, -300});
    fixture_seal(f, r);
}

static void i5_hold_captured_twice(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_HOLD, 2, (struct amounts){0, 0, 300});
    fixture_entry(f, r, 3, (struct amounts){0, 300, 0});
    fixture_lot(f, r, make_hold_lot(r->seq, 1, 2, 300, 300));
    fixture_seal(f, r);
    for (uint32_t version = 2; version <= 3; version++) {
        r = make_captured(f, 300);
        fixture_lot(f, r, make_hold_lot(8, version, 2, -300, version == 2 ? 0 : -300));
        fixture_seal(f, r);
    }
}

static void i5_capture_without_lot(struct fixture *f)
{
    fixture_seal(f, make_captured(f, 300));
}

static void i5_capture_that_leaves_the_hold_whole(struct fixture *f)
{
    struct record *r = make_captured(f, 300);
    fixture_lot(f, r, make_hold_lot(8, 2, 2, -300, 300));
    fixture_seal(f, r);
}

static void i5_reversal_without_lots(struct fixture *f)
{
    struct record *r = make_reversal(f, 400, 1000, 1);
    r->n_lots = 0;
    fixture_seal(f, r);
}

static void i5_reversal_of_more_than_is_left(struct fixture *f)
{
    fixture_seal(f, make_reversal(f, 600, 1000, 1));
    fixture_transfer(f, 1, 2, 1000);
    fixture_seal(f, make_reversal(f, 600, 400, 3));
}

static void i5_reversal_that_starts_anew(struct fixture *f)
{
    fixture_seal(f, make_reversal(f, 600, 1000, 1));
    fixture_transfer(f, 1, 2, 1000);
    fixture_seal(f, make_reversal(f, 600, 1000, 1));
}

static void i5_reversal_that_takes_less_than_it_gives(struct fixture *f)
{
    struct record *r = make_reversal(f, 400, 1000, 1);
    for (size_t i = 1; i < 4; i += 2) {
        ((struct lot *)r->lots)[i].change = -1;
        ((struct lot *)r->lots)[i].remaining_after = 999;
    }
    fixture_seal(f, r);
}

static void i5_reversal_the_same_way_again(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_REVERSAL);
    r->related_seq = 7;
    fixture_entry(f, r, 1, POSTED(-400));
    fixture_entry(f, r, 2, POSTED(400));
    r->lots = make_reversal(f, 400, 1000, 1)->lots;
    r->n_lots = 4;
    fixture_seal(f, r);
}

static void i5_reversal_of_a_hold(struct fixture *f)
{
    struct record *r = make_good(f);
    r->kind = RECORD_REVERSAL;
    r->related_seq = 8;
    fixture_seal(f, r);
}

static void i5_lot_of_an_old_record(struct fixture *f)
{
    struct record *r = make_good(f);
    fixture_lot(f, r,
        (struct lot){.origin = 7,
            .leg = 1,
            .kind = LOT_REFUNDABLE,
            .version = 1,
            .account = 2,
            .change = 1000,
            .remaining_after = 1000});
    fixture_seal(f, r);
}

static void i5_lot_larger_than_its_leg(struct fixture *f)
{
    struct record *r = make_good(f);
    fixture_lot(f, r,
        (struct lot){.origin = r->seq,
            .leg = 1,
            .kind = LOT_GRANT,
            .version = 1,
            .account = 3,
            .change = 500,
            .remaining_after = 500});
    fixture_seal(f, r);
}

static void i5_lot_of_another_account(struct fixture *f)
{
    struct record *r = make_good(f);
    fixture_lot(f, r,
        (struct lot){.origin = r->seq,
            .leg = 1,
            .kind = LOT_GRANT,
            .version = 1,
            .account = 2,
            .change = 100,
            .remaining_after = 100});
    fixture_seal(f, r);
}

static void i5_lot_version_skipped(struct fixture *f)
{
    struct record *r = make_captured(f, 300);
    fixture_lot(f, r, make_hold_lot(8, 3, 2, -300, 0));
    fixture_seal(f, r);
}

/* ---- I6 ---- */

static void i6_overdraft(struct fixture *f)
{
    fixture_transfer(f, 2, 3, 701);
}

static void i6_hold_beyond_available(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_HOLD, 2, (struct amounts){0, 0, 701});
    fixture_entry(f, r, 3, (struct amounts){0, 701, 0});
    fixture_lot(f, r, make_hold_lot(r->seq, 1, 2, 701, 701));
    fixture_seal(f, r);
}

static void i6_debit_normal_overdraft(struct fixture *f)
{
    fixture_transfer(f, 1, 4, 1001);
}

static void i6_debit_normal_incoming_hold(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_HOLD, 1, (struct amounts){0, 0, 1001});
    fixture_entry(f, r, 4, (struct amounts){0, 1001, 0});
    fixture_lot(f, r, make_hold_lot(r->seq, 1, 1, 1001, 1001));
    fixture_seal(f, r);
}

/* ---- I7, I8 ---- */

static void i7_external_id_again(struct fixture *f)
{
    for (int i = 0; i < 2; i++) {
        struct record *r = fixture_begin(f, RECORD_OPENING);
        fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, "twice");
        fixture_seal(f, r);
    }
}

static void i7_asset_again(struct fixture *f)
{
    fixture_asset(f, "USD", 3);
}

static void i8_key_again(struct fixture *f)
{
    for (int i = 0; i < 2; i++) {
        struct record *r = make_good(f);
        fixture_key(f, r, "once");
        fixture_seal(f, r);
    }
}

#define ATTACK(invariant, function) \
    { \
        "I" #invariant ":", #function, function, NULL \
    }

static const struct {
    const char *invariant, *name;
    attack *make;
    const char *also; /* another rule that may notice first */
} attacks[] = {
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
    ATTACK(1, i1_account_without_entry),
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
    ATTACK(4, i4_revision_skipped),
    ATTACK(4, i4_revision_with_another_floor),
    ATTACK(4, i4_out_of_range),
    ATTACK(4, i4_overflow),
    ATTACK(5, i5_outgoing_below_zero),
    ATTACK(5, i5_hold_captured_twice),
    ATTACK(5, i5_capture_without_lot),
    ATTACK(5, i5_capture_that_leaves_the_hold_whole),
    ATTACK(5, i5_reversal_without_lots),
    ATTACK(5, i5_reversal_of_more_than_is_left),
    ATTACK(5, i5_reversal_that_starts_anew),
    ATTACK(5, i5_reversal_that_takes_less_than_it_gives),
    ATTACK(5, i5_reversal_the_same_way_again),
    ATTACK(5, i5_reversal_of_a_hold),
    ATTACK(5, i5_lot_of_an_old_record),
    ATTACK(5, i5_lot_larger_than_its_leg),
    ATTACK(5, i5_lot_of_another_account),
    ATTACK(5, i5_lot_version_skipped),
    ATTACK(6, i6_overdraft),
    ATTACK(6, i6_hold_beyond_available),
    ATTACK(6, i6_debit_normal_overdraft),
    ATTACK(6, i6_debit_normal_incoming_hold),
    ATTACK(7, i7_external_id_again),
    ATTACK(7, i7_asset_again),
    ATTACK(8, i8_key_again),
};

void suite_attacks_are_refused(void **state)
{
    struct bench *b = *state;
    bench_base(b);
    struct ledger_head before = b->f.committed.head, head;
    unsigned failures = 0;
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        attacks[i].make(&b->f);
        int rc = fixture_commit(&b->f, b->j, &b->err);
        bool named =
            rc == ERR_CONFLICT && (strstr(b->err.message, attacks[i].invariant) != NULL ||
                                      (attacks[i].also != NULL && strstr(b->err.message, attacks[i].also)));
        if (!named) {
            print_error("%s: code %d, \"%s\"\n", attacks[i].name, rc, rc ? b->err.message : "taken");
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
