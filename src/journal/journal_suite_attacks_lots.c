/*
 * Attacks on pending amounts, lots, floors, names and keys (I5 to I8); see journal_suite_attacks.c.
 */
#include "journal/journal_suite_internal.h"

/* ---- I5 ---- */

static void i5_outgoing_below_zero(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_VOID, 3, (struct amounts){0, -300, 0});
    fixture_entry(f, r, 3, (struct amounts){0, 0, -300});
    fixture_seal(f, r);
}

static void i5_incoming_below_zero_on_the_way(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_VOID, 3, (struct amounts){0, -400, 0});
    fixture_entry(f, r, 3, (struct amounts){0, 100, 0});
    fixture_entry(f, r, 2, (struct amounts){0, 0, -300});
    fixture_lot(f, r, make_hold_lot(8, 2, 2, -300, 0));
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

static struct lot refundable(uint64_t origin, uint32_t i, uint32_t version, int64_t change, int64_t remaining)
{
    return (struct lot){.origin = origin,
        .leg = i,
        .kind = LOT_REFUNDABLE,
        .version = version,
        .account = 1 + i % 2,
        .change = change,
        .remaining_after = remaining};
}

/* Two postings, of which one is given back, and both are used up. */
static void i5_reversal_that_takes_more_than_it_gives(struct fixture *f)
{
    struct record *original = make_with(f, RECORD_TRANSFER, 1, POSTED(-100));
    fixture_entry(f, original, 2, POSTED(100));
    fixture_entry(f, original, 1, POSTED(-50));
    fixture_entry(f, original, 2, POSTED(50));
    fixture_seal(f, original);
    struct record *r = make_with(f, RECORD_REVERSAL, 2, POSTED(-100));
    r->related_seq = original->seq;
    fixture_entry(f, r, 1, POSTED(100));
    for (uint32_t i = 0; i < 4; i++) {
        int64_t amount = i < 2 ? 100 : 50;
        fixture_lot(f, r, refundable(original->seq, i, 1, amount, amount));
        fixture_lot(f, r, refundable(original->seq, i, 2, -amount, 0));
    }
    fixture_seal(f, r);
}

static void i5_reversal_that_takes_a_leg_twice(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_REVERSAL, 2, POSTED(-200));
    r->related_seq = 7;
    fixture_entry(f, r, 1, POSTED(200));
    fixture_entry(f, r, 2, POSTED(-200));
    fixture_entry(f, r, 1, POSTED(200));
    for (uint32_t i = 0; i < 2; i++) {
        fixture_lot(f, r, refundable(7, i, 1, 1000, 1000));
        fixture_lot(f, r, refundable(7, i, 2, -200, 800));
        fixture_lot(f, r, refundable(7, i, 3, -200, 600));
    }
    fixture_seal(f, r);
}

static void i5_reversal_of_a_reversal(struct fixture *f)
{
    struct record *original = make_reversal(f, 400, 1000, 1); /* leg 0 is of account 2 */
    fixture_seal(f, original);
    struct record *r = make_with(f, RECORD_REVERSAL, 1, POSTED(-400));
    r->related_seq = original->seq;
    fixture_entry(f, r, 2, POSTED(400));
    for (uint32_t i = 0; i < 2; i++) {
        struct lot lot = refundable(original->seq, i, 1, 400, 400);
        lot.account = 2 - i;
        fixture_lot(f, r, lot);
        lot = refundable(original->seq, i, 2, -400, 0);
        lot.account = 2 - i;
        fixture_lot(f, r, lot);
    }
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

static void i5_grant_larger_than_its_leg(struct fixture *f)
{
    struct record *r = make_good(f);
    r->kind = RECORD_GRANT;
    fixture_lot(f, r,
        (struct lot){.origin = r->seq,
            .leg = 1,
            .kind = LOT_GRANT,
            .version = 1,
            .account = 3,
            .change = 101,
            .remaining_after = 101});
    fixture_seal(f, r);
}

static void i5_lot_of_another_account(struct fixture *f)
{
    struct record *r = make_good(f);
    r->kind = RECORD_GRANT;
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

static void i7_asset_number_skipped(struct fixture *f)
{
    f->assets[fixture_asset(f, "GBP", 2) - 1].id = 7;
}

static void i7_erasure_of_nothing(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_ERASURE, 1, POSTED(0));
    r->related_seq = 7;
    fixture_seal(f, r);
}

static void i7_account_id_of_another(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    fixture_open(f, r, 1, ACCOUNT_LIABILITY, FLOOR_NONE, NULL);
    ((struct account_row *)r->account)->id = fixture_head(f, 2)->id;
    fixture_seal(f, r);
}

static void i8_id_of_another_record(struct fixture *f)
{
    struct record *r = make_good(f);
    r->id = uuid_make(r->recorded_at, 7, 1);
    fixture_seal(f, r);
}

static void i8_key_again(struct fixture *f)
{
    for (int i = 0; i < 2; i++) {
        struct record *r = make_good(f);
        fixture_key(f, r, "once");
        fixture_seal(f, r);
    }
}

void suite_attacks_on_lots_are_refused(void **state)
{
    static const struct attack_case cases[] = {
        ATTACK(5, i5_outgoing_below_zero),
        ATTACK(5, i5_incoming_below_zero_on_the_way),
        ATTACK(5, i5_hold_captured_twice),
        ATTACK(5, i5_capture_without_lot),
        ATTACK(5, i5_capture_that_leaves_the_hold_whole),
        ATTACK(5, i5_reversal_without_lots),
        ATTACK(5, i5_reversal_of_more_than_is_left),
        ATTACK(5, i5_reversal_that_starts_anew),
        ATTACK(5, i5_reversal_that_takes_less_than_it_gives),
        ATTACK(5, i5_reversal_the_same_way_again),
        ATTACK(5, i5_reversal_that_takes_more_than_it_gives),
        ATTACK(5, i5_reversal_that_takes_a_leg_twice),
        ATTACK(5, i5_reversal_of_a_reversal),
        ATTACK(5, i5_reversal_of_a_hold),
        ATTACK(5, i5_lot_of_an_old_record),
        ATTACK(5, i5_lot_larger_than_its_leg),
        ATTACK(5, i5_grant_larger_than_its_leg),
        ATTACK(5, i5_lot_of_another_account),
        ATTACK(5, i5_lot_version_skipped),
        ATTACK(6, i6_overdraft),
        ATTACK(6, i6_hold_beyond_available),
        ATTACK(6, i6_debit_normal_overdraft),
        ATTACK(6, i6_debit_normal_incoming_hold),
        ATTACK(7, i7_external_id_again),
        ATTACK(7, i7_asset_again),
        {"I7:", "i7_asset_number_skipped", i7_asset_number_skipped, "I1:"},
        ATTACK(7, i7_erasure_of_nothing),
        {"I7:", "i7_account_id_of_another", i7_account_id_of_another, "I1:"},
        ATTACK(8, i8_id_of_another_record),
        ATTACK(8, i8_key_again),
    };
    suite_attack(*state, cases, sizeof cases / sizeof cases[0]);
}
