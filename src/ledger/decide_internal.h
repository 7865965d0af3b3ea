/*
 * What the parts of the decision share; private to decide*.c. A `struct making` is one decision on its way:
 * the inputs, the arena, and the decision that the parts fill in. Parts return after the first refusal.
 */
#ifndef CREDITLEDGER_LEDGER_DECIDE_INTERNAL_H
#define CREDITLEDGER_LEDGER_DECIDE_INTERNAL_H

#include "ledger/decide.h"

struct making {
    const struct command *command;
    const struct facts *facts;
    struct arena *arena;
    struct decision *decision;
};

/* A record without rows, effective now, with all that it takes from the command whatever it does. */
struct record *making_record(const struct making *m, enum record_kind kind);
/* The entry that continues `head` by nothing. */
struct entry entry_zero(const struct account *head, int64_t effective_at);
/* Gives the record its only entry, a zero one. */
void record_put_zero_entry(struct record *record, const struct account *head, struct arena *arena);

/* Ends the decision. detail.account is copied, so that the heads may move on while the answer is written. */
void making_refuse(const struct making *m, enum refusal refusal, struct refusal_detail detail);
/* The same for a STATE refusal, with its declined record on `head`: the account as it is in the journal. */
void making_decline(const struct making *m, enum refusal refusal, struct refusal_detail detail,
    const struct account *head, int64_t declined_amount, uint64_t related_seq);

/* One posting with its accounts' heads: `amount_minor` from `debit` to `credit`. */
struct movement {
    const struct account *debit, *credit;
    int64_t amount_minor;
};

/*
 * Movements are checked and applied in their order: status first over all of them, which no movement changes,
 * then each on the heads that those before it left. False after a decline.
 */
MUST_CHECK bool movements_check_status(
    const struct making *m, const struct movement *moves, size_t n, uint64_t related_seq);
MUST_CHECK bool movements_apply(
    const struct making *m, const struct movement *moves, size_t n, struct record *record);

/* Request errors of time; true if the effective time has come. */
MUST_CHECK bool making_check_effective(const struct making *m);
int64_t making_effective_at(const struct making *m);

void decide_open(const struct making *m);
void decide_revise(const struct making *m);
void decide_post(const struct making *m);
void decide_reverse(const struct making *m);
void decide_erase(const struct making *m);

#endif
