/*
 * Attacks through the port: each builds on the base state one record that breaks one rule and otherwise
 * nothing, and must be refused with the number of the invariant; and the controls beside them, which must be
 * taken.
 */
#include "journal/journal_suite_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"

typedef void attack(struct fixture *f);

/* ---- what they are made of
 * ---------------------------------------------------------------------------------- */

static struct entry *leg(struct record *r, size_t i)
{
    return (struct entry *)&r->entries[i]; /* the fixture's own memory */
}

/* An unsealed transfer of 100 from the wallet 2 to the wallet 3. */
static struct record *good(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    fixture_entry(f, r, 2, POSTED(-100));
    fixture_entry(f, r, 3, POSTED(100));
    return r;
}

static struct record *with(struct fixture *f, enum record_kind kind, uint64_t account, struct amounts change)
{
    struct record *r = fixture_begin(f, kind);
    fixture_entry(f, r, account, change);
    return r;
}

static struct lot hold_lot(
    uint64_t origin, uint32_t version, uint64_t account, int64_t change, int64_t remaining)
{
    return (struct lot){.origin = origin,
        .kind = LOT_HOLD,
        .version = version,
        .account = account,
        .change = change,
        .remaining_after = remaining};
}

/* An unsealed capture of the hold of record 8, up to its lot. */
static struct record *captured(struct fixture *f, int64_t amount)
{
    struct record *r = with(f, RECORD_CAPTURE, 2, (struct amounts){-amount, 0, -amount});
    fixture_entry(f, r, 3, (struct amounts){amount, -amount, 0});
    return r;
}

/* ---- controls
 * ----------------------------------------------------------------------------------------------- */

static void control_two_transfers(struct fixture *f)
{
    fixture_seal(f, good(f));
    fixture_transfer(f, 3, 1, 50);
}

static void control_exchange(struct fixture *f)
{
    struct record *r = with(f, RECORD_EXCHANGE, 2, POSTED(-100));
    fixture_entry(f, r, 1, POSTED(100));
    fixture_entry(f, r, 6, POSTED(-92));
    fixture_entry(f, r, 5, POSTED(92));
    fixture_seal(f, r);
}

static void control_partial_capture(struct fixture *f)
{
    struct record *r = captured(f, 200);
    fixture_lot(f, r, hold_lot(8, 2, 2, -200, 100));
    fixture_seal(f, r);
}

static void control_floor_above_balance(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_REVISION);
    fixture_revision(f, r, 2, ACCOUNT_OPEN, FLOOR(5000));
    fixture_entry(f, r, 2, POSTED(0));
    fixture_seal(f, r);
    fixture_transfer(f, 1, 2, 10); /* improves it */
    r = captured(f, 300);          /* available stays as it was */
    fixture_lot(f, r, hold_lot(8, 2, 2, -300, 0));
    fixture_seal(f, r);
}

static void control_incoming_hold_at_the_floor(struct fixture *f)
{
    struct record *r = with(f, RECORD_HOLD, 1, (struct amounts){0, 0, 1000});
    fixture_entry(f, r, 4, (struct amounts){0, 1000, 0});
    fixture_lot(f, r, hold_lot(r->seq, 1, 1, 1000, 1000));
    fixture_seal(f, r);
}

static void control_to_the_floor(struct fixture *f)
{
    fixture_transfer(f, 2, 3, 700);
}

static void control_same_account_twice(struct fixture *f)
{
    struct record *r = good(f);
    fixture_entry(f, r, 2, POSTED(-5));
    fixture_entry(f, r, 3, POSTED(5));
    fixture_seal(f, r);
}

static void control_same_time(struct fixture *f)
{
    f->now = f->state.head.recorded_at;
    fixture_transfer(f, 2, 3, 1);
}

/* ---- I1
 * ----------------------------------------------------------------------------------------------------- */

static void i1_gap_in_seq(struct fixture *f)
{
    f->state.head.seq++;
    fixture_seal(f, good(f));
}

static void i1_same_seq_again(struct fixture *f)
{
    f->state.head.seq--;
    fixture_seal(f, good(f));
}

static void i1_seq_0(struct fixture *f)
{
    struct record *r = good(f);
    r->seq = 0;
    fixture_seal(f, r);
}

static void i1_unknown_ledger(struct fixture *f)
{
    struct record *r = good(f);
    r->ledger = 77;
    fixture_seal(f, r);
}

static void i1_no_entries(struct fixture *f)
{
    fixture_seal(f, fixture_begin(f, RECORD_TRANSFER));
}

static void i1_legs_0_and_2(struct fixture *f)
{
    struct record *r = good(f);
    leg(r, 1)->leg = 2;
    fixture_seal(f, r);
}

static void i1_legs_from_1(struct fixture *f)
{
    struct record *r = good(f);
    leg(r, 0)->leg = 1;
    leg(r, 1)->leg = 2;
    fixture_seal(f, r);
}

static void i1_time_runs_backwards(struct fixture *f)
{
    f->now = f->state.head.recorded_at - 1;
    fixture_seal(f, good(f));
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
    struct record *r = good(f);
    fixture_revision(f, r, 5, ACCOUNT_OPEN, FLOOR_NONE);
    fixture_seal(f, r);
}

static void i1_decline_that_moves(struct fixture *f)
{
    struct record *r = good(f);
    r->kind = RECORD_DECLINED;
    r->refusal = 308;
    fixture_seal(f, r);
}

static void i1_related_to_itself(struct fixture *f)
{
    struct record *r = good(f);
    r->related_seq = r->seq;
    fixture_seal(f, r);
}

/* ---- I2, I3
 * ------------------------------------------------------------------------------------------------- */

static void i2_unbalanced(struct fixture *f)
{
    struct record *r = with(f, RECORD_TRANSFER, 2, POSTED(-100));
    fixture_entry(f, r, 3, POSTED(101));
    fixture_seal(f, r);
}

static void i2_one_leg_alone(struct fixture *f)
{
    fixture_seal(f, with(f, RECORD_TRANSFER, 3, POSTED(100)));
}

static void i2_usd_out_eur_in(struct fixture *f)
{
    struct record *r = with(f, RECORD_EXCHANGE, 2, POSTED(-100));
    fixture_entry(f, r, 5, POSTED(100));
    fixture_seal(f, r);
}

static void i3_hold_without_other_side(struct fixture *f)
{
    struct record *r = with(f, RECORD_HOLD, 2, (struct amounts){0, 0, 100});
    fixture_lot(f, r, hold_lot(r->seq, 1, 2, 100, 100));
    fixture_seal(f, r);
}

static void i3_outgoing_usd_incoming_eur(struct fixture *f)
{
    struct record *r = with(f, RECORD_HOLD, 2, (struct amounts){0, 0, 100});
    fixture_entry(f, r, 5, (struct amounts){0, 100, 0});
    fixture_lot(f, r, hold_lot(r->seq, 1, 2, 100, 100));
    fixture_seal(f, r);
}

/* ---- I4
 * ----------------------------------------------------------------------------------------------------- */

static void i4_version_skipped(struct fixture *f)
{
    fixture_head(f, 2)->version++;
    fixture_seal(f, good(f));
}

static void i4_version_repeated(struct fixture *f)
{
    fixture_head(f, 2)->version--;
    fixture_seal(f, good(f));
}

static void i4_version_1_again(struct fixture *f)
{
    struct record *r = with(f, RECORD_TRANSFER, 5, POSTED(0));
    *leg(r, 0) = (struct entry){
        .account = 5, .version = 1, .asset = 2, .side = 1, .revision = 1, .effective_at = r->effective_at};
    fixture_seal(f, r);
}

static void i4_posted_after_wrong(struct fixture *f)
{
    struct record *r = good(f);
    leg(r, 0)->after.posted += 50;
    fixture_seal(f, r);
}

static void i4_incoming_after_wrong(struct fixture *f)
{
    struct record *r = good(f);
    leg(r, 1)->after.incoming = 0;
    fixture_seal(f, r);
}

static void i4_outgoing_after_wrong(struct fixture *f)
{
    struct record *r = good(f);
    leg(r, 0)->after.outgoing = 0;
    fixture_seal(f, r);
}

static void i4_consistent_with_each_other_only(struct fixture *f)
{
    fixture_head(f, 2)->balance.posted = 100000;
    struct record *r = with(f, RECORD_TRANSFER, 2, POSTED(-100));
    fixture_entry(f, r, 2, POSTED(100));
    fixture_seal(f, r);
}

static void i4_unknown_account(struct fixture *f)
{
    struct record *r = good(f);
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
    struct record *r = good(f);
    leg(r, 0)->asset = leg(r, 1)->asset = 2;
    fixture_seal(f, r);
}

static void i4_side_flipped(struct fixture *f)
{
    struct record *r = good(f);
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
    fixture_seal(f, with(f, RECORD_REVISION, 2, POSTED(0)));
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
    struct record *r = with(f, RECORD_TRANSFER, 5, POSTED(0));
    leg(r, 0)->change.posted = INT64_MAX;
    leg(r, 0)->after.posted = INT64_MIN + 99; /* 100 + INT64_MAX, wrapped */
    fixture_seal(f, r);
}

/* ---- I5
 * ----------------------------------------------------------------------------------------------------- */

static void i5_outgoing_below_zero(struct fixture *f)
{
    struct record *r = with(f, RECORD_VOID, 3, (struct amounts){0, -300, 0});
    fixture_entry(f, r, 3, (struct amounts){0, 0, -300});
    fixture_seal(f, r);
}

static void i5_hold_captured_twice(struct fixture *f)
{
    struct record *r = with(f, RECORD_HOLD, 2, (struct amounts){0, 0, 300});
    fixture_entry(f, r, 3, (struct amounts){0, 300, 0});
    fixture_lot(f, r, hold_lot(r->seq, 1, 2, 300, 300));
    fixture_seal(f, r);
    for (uint32_t version = 2; version <= 3; version++) {
        r = captured(f, 300);
        fixture_lot(f, r, hold_lot(8, version, 2, -300, version == 2 ? 0 : -300));
        fixture_seal(f, r);
    }
}

static void i5_capture_without_lot(struct fixture *f)
{
    fixture_seal(f, captured(f, 300));
}

static void i5_capture_that_leaves_the_hold_whole(struct fixture *f)
{
    struct record *r = captured(f, 300);
    fixture_lot(f, r, hold_lot(8, 2, 2, -300, 300));
    fixture_seal(f, r);
}

static void i5_lot_of_an_old_record(struct fixture *f)
{
    struct record *r = good(f);
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
    struct record *r = good(f);
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
    struct record *r = good(f);
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
    struct record *r = captured(f, 300);
    fixture_lot(f, r, hold_lot(8, 3, 2, -300, 0));
    fixture_seal(f, r);
}

/* ---- I6
 * ----------------------------------------------------------------------------------------------------- */

static void i6_overdraft(struct fixture *f)
{
    fixture_transfer(f, 2, 3, 701);
}

static void i6_hold_beyond_available(struct fixture *f)
{
    struct record *r = with(f, RECORD_HOLD, 2, (struct amounts){0, 0, 701});
    fixture_entry(f, r, 3, (struct amounts){0, 701, 0});
    fixture_lot(f, r, hold_lot(r->seq, 1, 2, 701, 701));
    fixture_seal(f, r);
}

static void i6_debit_normal_overdraft(struct fixture *f)
{
    fixture_transfer(f, 1, 4, 1001);
}

static void i6_debit_normal_incoming_hold(struct fixture *f)
{
    struct record *r = with(f, RECORD_HOLD, 1, (struct amounts){0, 0, 1001});
    fixture_entry(f, r, 4, (struct amounts){0, 1001, 0});
    fixture_lot(f, r, hold_lot(r->seq, 1, 1, 1001, 1001));
    fixture_seal(f, r);
}

/* ---- I7, I8
 * ------------------------------------------------------------------------------------------------- */

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
        struct record *r = good(f);
        fixture_key(f, r, "once");
        fixture_seal(f, r);
    }
}

/* -------------------------------------------------------------------------------------------------------------
 */

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
    ATTACK(1, i1_account_number_skipped),
    ATTACK(1, i1_revision_without_entry),
    {"I4:", "i1_decline_that_moves", i1_decline_that_moves, "I1:"},
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
    ATTACK(4, i4_unknown_account),
    ATTACK(4, i4_opening_with_money),
    ATTACK(4, i4_opening_under_another_asset),
    ATTACK(4, i4_opening_of_an_unknown_asset),
    ATTACK(4, i4_asset_changed),
    ATTACK(4, i4_side_flipped),
    ATTACK(4, i4_floor_left_out),
    ATTACK(4, i4_lower_floor),
    ATTACK(4, i4_revision_that_moves_money),
    ATTACK(4, i4_revision_without_row),
    ATTACK(4, i4_revision_skipped),
    ATTACK(4, i4_revision_with_another_floor),
    ATTACK(4, i4_out_of_range),
    ATTACK(4, i4_overflow),
    ATTACK(5, i5_outgoing_below_zero),
    ATTACK(5, i5_hold_captured_twice),
    ATTACK(5, i5_capture_without_lot),
    ATTACK(5, i5_capture_that_leaves_the_hold_whole),
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

void suite_sound_records_are_taken(void **state)
{
    static const struct {
        const char *name;
        attack *make;
    } controls[] = {
        {"two transfers", control_two_transfers},
        {"an exchange of two assets", control_exchange},
        {"a partial capture", control_partial_capture},
        {"a floor above the balance, an improvement, a capture", control_floor_above_balance},
        {"a debit-normal account, an incoming hold up to its floor", control_incoming_hold_at_the_floor},
        {"down to the floor", control_to_the_floor},
        {"an account in four legs", control_same_account_twice},
        {"recorded at the same time as the one before", control_same_time},
    };
    for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++) {
        bench_base(*state);
        struct bench *b = *state;
        controls[i].make(&b->f);
        if (fixture_commit(&b->f, b->j, &b->err) != 0)
            fail_msg("%s: %s", controls[i].name, b->err.message);
        assert_int_equal(bench_teardown(state), 0);
        assert_int_equal(bench_setup(state), 0);
    }
}
