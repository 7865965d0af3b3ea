/*
 * An account as decisions see it: its identity and its head, which is what its newest entry says. The engine caches
 * these; the journal is the authority. A plain value. Pure.
 */
#ifndef CREDITLEDGER_LEDGER_ACCOUNT_H
#define CREDITLEDGER_LEDGER_ACCOUNT_H

#include "base/limits.h"
#include "ledger/record.h"

/* The outside: one account per asset, external id "@world:<code>", equity, no floor. Client ids cannot start with @. */
#define WORLD_PREFIX "@world:"

struct account {
    uint32_t ledger;
    uint64_t number;
    struct uuid id;
    uint32_t asset;
    enum account_type type;
    struct str external_id; /* STR_NONE if none; memory of whoever made the account */
    uint64_t opened_seq;
    /* The revision in force. */
    uint32_t revision;
    enum account_status status;
    struct floor floor;
    uint64_t text_seq;
    /* The newest entry. */
    uint64_t version;
    uint64_t seq; /* of the record that has it */
    struct amounts balance;
};

/* Moves the head on by one entry of record `seq`; the entry must continue the account (I4). */
void account_apply(struct account *account, const struct entry *entry, uint64_t seq);
/* Puts a revision in force; its zero entry is applied separately. */
void account_revise(struct account *account, const struct revision_row *revision);
bool account_is_world(const struct account *account);

#endif
