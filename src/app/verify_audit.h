/*
 * Inside the auditor (app/verify.h): what it knows of one ledger while its records pass by, and the checks of
 * one record. Kept apart from the walk so that the rules of the ledger stand in one file.
 */
#ifndef CREDITLEDGER_APP_VERIFY_AUDIT_H
#define CREDITLEDGER_APP_VERIFY_AUDIT_H

#include "app/verify.h"
#include "app/verify_unique.h"
#include "journal/digest.h"

/* An account as recomputed. Its number is its index + 1. */
struct audit_account {
    uint64_t version, seq, opened_seq, text_seq;
    int64_t posted, incoming, outgoing;
    struct floor floor;
    struct uuid id;
    uint64_t external_hash; /* 0 if it has no external id */
    uint32_t asset, revision;
    int8_t side;
    uint8_t type, status;
};

/* The newest version of a lot; a free slot of the table has origin 0. */
struct audit_lot {
    uint64_t origin, account;
    int64_t remaining;
    uint32_t leg, version;
    enum lot_kind kind;
};

struct audit {
    struct journal *j;
    const struct verify_options *options;
    struct verify_counts *counts;
    struct digest *digest;
    uint64_t hash_seed;
    uint64_t notes; /* faults that are the database's own findings: a missing trigger each must not hide the
                       records */
    bool stop;      /* enough faults, or the caller asked */
    bool cancelled;
    const struct asset **assets; /* by id; NULL: no such asset */
    size_t assets_n;
    struct arena asset_rows;
    struct arena scratch; /* for records fetched out of turn */

    /* Of the ledger at hand. */
    const struct ledger_row *ledger;
    struct ledger_head head;
    bool unhashed; /* the record before could not be read: the next one's hash cannot be checked */
    struct audit_account *accounts;
    size_t accounts_cap;
    struct audit_lot *lots;
    size_t lots_n, lots_cap;
    uint64_t *missing_texts, *erasures; /* seqs */
    size_t missing_n, missing_cap, erasures_n, erasures_cap;
    struct unique *keys, *external_ids;
};

void audit_fault(struct audit *a, const char *invariant, uint64_t seq, uint64_t account, const char *format,
    ...) PRINTF_LIKE(5, 6);
/* NULL for a number that was not opened so far. */
struct audit_account *audit_account(struct audit *a, uint64_t number);
/* All checks of the next record; moves the state on to what the record says, so that one fault is told once.
 */
MUST_CHECK int audit_record(struct audit *a, const struct record *record, struct err *err);

#endif
