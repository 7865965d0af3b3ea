/*
 * For tests: makes valid records by hand, without the core's decisions, so that tests of the journal depend
 * on nothing above it, and lets tests bend them before they are sealed. A fixture follows one ledger: its
 * accounts' heads, its seq and its hash chain. Records wait in a batch until fixture_commit() appends them;
 * if that fails the fixture is where it was after the last commit.
 */
#ifndef CREDITLEDGER_JOURNAL_JOURNAL_FIXTURE_H
#define CREDITLEDGER_JOURNAL_JOURNAL_FIXTURE_H

#include "journal/digest.h"

#define FIXTURE_ASSETS_MAX 8

/* What a commit makes permanent and a failure takes back. */
struct fixture_state {
    struct ledger_head head;
    struct account *accounts; /* [number - 1] */
    size_t n_accounts, n_assets;
};

struct fixture {
    struct arena arena;
    struct digest *digest;
    struct ledger_row row;
    bool new_ledger; /* goes along with the next commit */
    struct asset assets[FIXTURE_ASSETS_MAX];
    struct fixture_state state, committed;
    struct record **batch;
    size_t n_batch;
    int64_t now; /* recorded_at of the next record; moves on by a second with each */
    uint64_t random;
};

/* Follows an empty ledger `row`. */
void fixture_init(struct fixture *f, const struct ledger_row *row, uint64_t seed);
/* Follows ledger `main` of a new database. */
void fixture_init_main(struct fixture *f, struct journal *j, uint64_t seed);
void fixture_fini(struct fixture *f);
uint64_t fixture_random(struct fixture *f);
struct account *fixture_head(struct fixture *f, uint64_t account);

uint32_t fixture_asset(struct fixture *f, const char *code, uint8_t scale);

/* A record by hand: begin, then what it has, then seal. Entries move the heads on as they are added. */
struct record *fixture_begin(struct fixture *f, enum record_kind kind);
void fixture_text(struct fixture *f, struct record *r, const char *body);
void fixture_key(struct fixture *f, struct record *r, const char *key);
/* Account row, first revision and zero entry; returns the number. */
uint64_t fixture_open(struct fixture *f, struct record *r, uint32_t asset, enum account_type type,
    struct floor floor, const char *external_id);
struct revision_row *fixture_revision(
    struct fixture *f, struct record *r, uint64_t account, enum account_status status, struct floor floor);
struct entry *fixture_entry(struct fixture *f, struct record *r, uint64_t account, struct amounts change);
struct lot *fixture_lot(struct fixture *f, struct record *r, struct lot lot);
/* Hashes it, moves the ledger on and puts it into the batch. */
void fixture_seal(struct fixture *f, struct record *r);

/* Whole records. */
uint64_t fixture_account(struct fixture *f, uint32_t asset, enum account_type type, struct floor floor);
struct record *fixture_transfer(struct fixture *f, uint64_t debit, uint64_t credit, int64_t amount);
struct record *fixture_transfer_at(
    struct fixture *f, uint64_t debit, uint64_t credit, int64_t amount, int64_t effective_at);

MUST_CHECK int fixture_commit(struct fixture *f, struct journal *j, struct err *err);
void fixture_drop(struct fixture *f); /* back to the last commit */
/* Takes a state for committed: for one who took f->state before a commit that seemed to fail and did not. */
void fixture_keep(struct fixture *f, const struct fixture_state *state);

#endif
