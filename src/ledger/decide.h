/*
 * The decision: (command, facts) -> a record, or a refusal. No I/O, no clock, no randomness, no allocation
 * outside the arena, no global state: the same inputs give the same bytes. A STATE refusal brings a
 * `declined` record with one zero entry on the account that refused. The record lacks only the hashes
 * (journal/digest.h seals it). Pure.
 *
 * Refusals come in the order of ledger/refusal.h, the first that applies. A posting or reversal is looked at
 * in stages; within a stage posting by posting, and of one posting the debit side before the credit side:
 *   1. the request: what it names, accounts and currencies of the postings, then of the expectations; its
 * time
 *   2. status of the accounts: closed, frozen (an entry that lowers the balance people read)
 *   3. expectations, against the heads before the first posting; for a reversal, what is left to reverse
 *   4. the movements in their order, each on the heads that those before it left: funds (I6), range
 *   5. the balance that an import says must result
 */
#ifndef CREDITLEDGER_LEDGER_DECIDE_H
#define CREDITLEDGER_LEDGER_DECIDE_H

#include "base/arena.h"
#include "ledger/command.h"
#include "ledger/refusal.h"
#include "money/asset.h"

/* A posting with its names resolved; NULL is what was not found. */
struct posting_facts {
    const struct account *debit, *credit;
    const struct asset *asset;
};

/* What the engine fetched for one command. Pointers that do not concern the operation are NULL. */
struct facts {
    uint32_t ledger;
    uint64_t next_seq;
    uint64_t next_account; /* number the next opened account gets */
    int64_t now;           /* becomes recorded_at; at least the previous record's */
    struct floor default_floor;
    const struct asset *asset;     /* open: of the currency */
    const struct account *account; /* revise: the account; open: who holds the external id; erase: leg 0's */
    const struct posting_facts *postings; /* post: one a posting */
    const struct account *const *expects; /* post: one an expectation */
    const struct account *balance_account;
    const struct record *original; /* reverse, erase: the record named */
    const struct account *const
        *original_accounts; /* reverse: one an entry of the original, its current head */
    const struct lot *const
        *refundable;  /* reverse: newest LOT_REFUNDABLE of each entry of the original, or NULL */
    bool text_erased; /* erase: the text has been erased before */
};

/* What a refusal is about; which members count depends on the refusal. */
struct refusal_detail {
    const struct account *account; /* as it was when it refused */
    size_t index;                  /* of the posting or expectation */
    int64_t amount_minor;          /* needed, expected, or asked for */
    int64_t actual_minor;          /* what there is instead */
    uint64_t expected_version;
};

struct decision {
    enum refusal refusal;        /* REFUSAL_NONE: `record` is the effect */
    const struct record *record; /* NULL if nothing is to be recorded */
    struct refusal_detail detail;
};

void decide(const struct command *command, const struct facts *facts, struct arena *arena,
    struct decision *ret_decision);

/* The id of the record that the command becomes. */
struct uuid decide_record_id(const struct command *command, int64_t recorded_at, uint64_t seq);

/* The opening record of @world for an asset, made on first use. */
const struct record *decide_world(
    const struct command *cause, const struct facts *facts, const struct asset *asset, struct arena *arena);

#endif
