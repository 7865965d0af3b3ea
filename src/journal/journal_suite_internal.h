/* Shared by the files of the behavioural suite. */
#ifndef CREDITLEDGER_JOURNAL_JOURNAL_SUITE_INTERNAL_H
#define CREDITLEDGER_JOURNAL_JOURNAL_SUITE_INTERNAL_H

#include "base/testing.h"

#include "journal/journal_fixture.h"
#include "journal/journal_suite.h"

#define SUITE_START INT64_C(1700000000000000)
#define FLOOR_NONE ((struct floor){false, 0})
#define FLOOR(minor_) ((struct floor){true, (minor_)})
#define POSTED(minor_) ((struct amounts){(minor_), 0, 0})

/* One test's database: a writer, and a fixture that follows ledger `main`. */
struct bench {
    char url[256];
    struct journal *j;
    struct fixture f;
    struct arena arena;
    struct err err;
};

extern const struct journal_suite *suite_current;

int bench_setup(void **state);
int bench_teardown(void **state);
struct journal *bench_open(struct bench *b, enum journal_mode mode);
void bench_commit(struct bench *b);

/*
 * USD is asset 1, EUR asset 2. Accounts: 1 the outside (no floor), 2 a wallet (floor 0) with 1000 of which
 * 300 are held for 3, 3 a wallet, 4 an asset account with floor 0 and balance 1000 (so posted -1000), 5 and 6
 * EUR without floor, 5 with 100 EUR from 6. Records: 1-6 openings, 7 transfer, 8 hold (its lot: origin 8, leg
 * 0), 9 transfer to 4, 10 transfer in EUR.
 */
#define BASE_SEQ 10
void bench_base(struct bench *b);

/* A capture from the hold of record 8, sealed. */
struct record *bench_capture(struct fixture *f, int64_t amount, uint32_t version, int64_t left);

void assert_account(const struct account *a, const struct account *b);
void assert_record(const struct record *a, const struct record *b);
struct account fetch_one(struct bench *b, struct journal *j, uint32_t ledger, uint64_t number);
const struct record *read_one(struct bench *b, struct journal *j, uint64_t seq, bool with_text);

/* What a walk came past; stop_at makes the visitor return 7 after that many. */
struct seen {
    uint64_t numbers[64];
    size_t n, stop_at;
};
int see_account(void *ctx, const struct account *account);
int see_entry(void *ctx, const struct entry *entry, uint64_t seq);
int see_ledger(void *ctx, const struct ledger_row *row);
int see_asset(void *ctx, const struct asset *row);
void assert_seen(const struct seen *seen, const uint64_t *numbers, size_t n);
#define ASSERT_SEEN(seen, ...) \
    assert_seen(&(seen), (const uint64_t[]){__VA_ARGS__}, \
        sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* journal_suite_rows.c */
void suite_records_come_back_as_they_went_in(void **state);
void suite_a_scan_gives_all_records_in_order(void **state);
void suite_a_batch_is_all_or_nothing(void **state);
void suite_accounts_are_found_with_their_heads(void **state);
void suite_keys_are_found_in_their_ledger(void **state);
void suite_versions_of_an_account_are_its_history(void **state);
void suite_late_entries_come_in_the_order_of_their_effect(void **state);
void suite_lots_show_their_newest_version(void **state);

/* journal_suite_sound.c: unsealed records over the base state. */
typedef void attack(struct fixture *f);
/* A transfer of 100 from the wallet 2 to the wallet 3. */
struct record *make_good(struct fixture *f);
/* One entry. */
struct record *make_with(struct fixture *f, enum record_kind kind, uint64_t account, struct amounts change);
struct lot make_hold_lot(
    uint64_t origin, uint32_t version, uint64_t account, int64_t change, int64_t remaining);
/* A capture of the hold of record 8, up to its lot. */
struct record *make_captured(struct fixture *f, int64_t amount);
/* A reversal of record 7 (1000 from 1 to 2), as far as `amount`; `before`: what was left, 1000 at first. */
struct record *make_reversal(struct fixture *f, int64_t amount, int64_t before, uint32_t version);
void suite_sound_records_are_taken(void **state);

/* journal_suite_attacks.c */
struct attack_case {
    const char *invariant, *name;
    attack *make;
    const char *also; /* another rule that may notice first, where one record breaks two */
};
#define ATTACK(invariant, function) \
    { \
        "I" #invariant ":", #function, function, NULL \
    }
/* Each case over the base state, in a new database. */
void suite_attack(struct bench *b, const struct attack_case *cases, size_t n);
void suite_attacks_on_records_are_refused(void **state);

/* journal_suite_attacks_lots.c */
void suite_attacks_on_lots_are_refused(void **state);

#endif
