/*
 * Holes: a ledger that stays at a record while what comes after it is here and nothing waits. An entry that is missing
 * shows by its account's next version, as a gap; that a transfer or an account is missing, or parked, shows only here.
 * What follows is applied, but the ledger's `seq` stands still for ever: who waits for it is to be told.
 */
#ifndef CREDITLEDGER_READMODEL_HOLE_H
#define CREDITLEDGER_READMODEL_HOLE_H

#include "readmodel/readmodel.h"

/* Parts of topics come one after the other: a ledger that stood still for so long does not wait for another part. */
#define HOLE_US 5000000

struct hole {
    char ledger[LIMIT_LEDGER_NAME_MAX + 1]; /* the one that is watched; "": none is behind */
    uint64_t seq;
    int64_t since_us;
    bool there;
};

/* Looks again; `caught_up`: the source has nothing that the read model lacks, or nearly so. */
MUST_CHECK int hole_look(
    struct hole *hole, struct readmodel *model, bool caught_up, int64_t now_us, struct err *err);
void hole_describe(const struct hole *hole, char ret_text[512]);

#endif
