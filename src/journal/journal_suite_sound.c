/*
 * Sound records of every shape, which must be taken; and what they and the attacks are made of.
 */
#include "journal/journal_suite_internal.h"

#include "base/instant.h"

/* ---- what they are made of ---- */

struct record *make_good(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    fixture_entry(f, r, 2, POSTED(-100));
    fixture_entry(f, r, 3, POSTED(100));
    return r;
}

struct record *make_with(struct fixture *f, enum record_kind kind, uint64_t account, struct amounts change)
{
    struct record *r = fixture_begin(f, kind);
    fixture_entry(f, r, account, change);
    return r;
}

struct lot make_hold_lot(
    uint64_t origin, uint32_t version, uint64_t account, int64_t change, int64_t remaining)
{
    return (struct lot){.origin = origin,
        .kind = LOT_HOLD,
        .version = version,
        .account = account,
        .change = change,
        .remaining_after = remaining};
}

struct record *make_captured(struct fixture *f, int64_t amount)
{
    struct record *r = make_with(f, RECORD_CAPTURE, 2, (struct amounts){-amount, 0, -amount});
    fixture_entry(f, r, 3, (struct amounts){amount, -amount, 0});
    return r;
}

/* An unsealed reversal of record 7 (1000 from 1 to 2), as far as `amount`; `before`: what was left, 1000 at
 * first. */
struct record *make_reversal(struct fixture *f, int64_t amount, int64_t before, uint32_t version)
{
    struct record *r = fixture_begin(f, RECORD_REVERSAL);
    r->related_seq = 7;
    fixture_entry(f, r, 2, POSTED(-amount));
    fixture_entry(f, r, 1, POSTED(amount));
    for (uint32_t i = 0; i < 2; i++) {
        struct lot lot = {.origin = 7,
            .leg = i,
            .kind = LOT_REFUNDABLE,
            .version = version,
            .account = 1 + i,
            .change = before,
            .remaining_after = before};
        if (version == 1)
            fixture_lot(f, r, lot);
        lot.version = version == 1 ? 2 : version;
        lot.change = -amount;
        lot.remaining_after = before - amount;
        fixture_lot(f, r, lot);
    }
    return r;
}

/* ---- controls ---- */

static void control_two_transfers(struct fixture *f)
{
    fixture_seal(f, make_good(f));
    fixture_transfer(f, 3, 1, 50);
}

static void control_exchange(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_EXCHANGE, 2, POSTED(-100));
    fixture_entry(f, r, 1, POSTED(100));
    fixture_entry(f, r, 6, POSTED(-92));
    fixture_entry(f, r, 5, POSTED(92));
    fixture_seal(f, r);
}

static void control_partial_capture(struct fixture *f)
{
    struct record *r = make_captured(f, 200);
    fixture_lot(f, r, make_hold_lot(8, 2, 2, -200, 100));
    fixture_seal(f, r);
}

static void control_floor_above_balance(struct fixture *f)
{
    struct record *r = fixture_begin(f, RECORD_REVISION);
    fixture_revision(f, r, 2, ACCOUNT_OPEN, FLOOR(5000));
    fixture_entry(f, r, 2, POSTED(0));
    fixture_seal(f, r);
    fixture_transfer(f, 1, 2, 10); /* improves it */
    r = make_captured(f, 300);     /* available stays as it was */
    fixture_lot(f, r, make_hold_lot(8, 2, 2, -300, 0));
    fixture_seal(f, r);
}

static void control_incoming_hold_at_the_floor(struct fixture *f)
{
    struct record *r = make_with(f, RECORD_HOLD, 1, (struct amounts){0, 0, 1000});
    fixture_entry(f, r, 4, (struct amounts){0, 1000, 0});
    fixture_lot(f, r, make_hold_lot(r->seq, 1, 1, 1000, 1000));
    fixture_seal(f, r);
}

static void control_to_the_floor(struct fixture *f)
{
    fixture_transfer(f, 2, 3, 700);
}

static void control_same_account_twice(struct fixture *f)
{
    struct record *r = make_good(f);
    fixture_entry(f, r, 2, POSTED(-5));
    fixture_entry(f, r, 3, POSTED(5));
    fixture_seal(f, r);
}

static void control_same_time(struct fixture *f)
{
    f->now = f->state.head.recorded_at;
    fixture_transfer(f, 2, 3, 1);
}

static void control_two_reversals(struct fixture *f)
{
    fixture_seal(f, make_reversal(f, 400, 1000, 1));
    fixture_transfer(f, 1, 2, 500);
    fixture_seal(f, make_reversal(f, 600, 600, 3));
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
        {"two reversals in part", control_two_reversals},
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
