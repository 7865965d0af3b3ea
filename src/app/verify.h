/*
 * The auditor: reads the whole journal of every ledger in seq order through one snapshot and recomputes
 * everything from zero with arithmetic of its own (nothing of ledger/account.h or ledger/decide.h), in 128
 * bits:
 *
 *   I1  seq gap-free, recorded_at never decreasing, ids carry their seq, legs and account numbers dense,
 * revisions gap-free and each with its entry, the head where the last record is I2  posted sums to zero per
 * asset of a record      I3  incoming and outgoing are equal per asset of a record I4  every entry continues
 * its account, every lot its predecessor; the heads as read are the recomputed ones I5  pending amounts are
 * not negative               I6  nothing below the floor in force, unless it improves I7  what the database
 * says of itself (triggers missing, pages damaged) I8  idempotency keys and external ids are unique I10 the
 * hash chain from the ledger's genesis, the digest of every text; missing texts were erased by a record
 *
 * It takes any handle and reads beside a live server. Memory: about 128 bytes an account and 48 a lot; keys
 * go through sorted runs of 32 MiB, spilled to an unlinked temporary file. All callbacks
 * come on the caller's thread.
 */
#ifndef CREDITLEDGER_APP_VERIFY_H
#define CREDITLEDGER_APP_VERIFY_H

#include "journal/journal.h"

#define VERIFY_FAULTS_DEFAULT 20

struct verify_fault {
    const char *invariant;         /* "I4"; "time" for effective times that cannot be */
    const char *ledger;            /* its name, during the call; NULL: of the whole database */
    uint64_t seq;                  /* 0: of no record */
    uint64_t account;              /* its number; 0: of none */
    char message[ERR_MESSAGE_MAX]; /* what was found and what was expected */
};

struct verify_counts {
    uint64_t ledgers, records, entries, accounts, lots, keys, texts, texts_erased, faults;
    bool stopped; /* before the end: enough faults */
};

struct verify_options {
    struct str ledger;   /* only this one; STR_NONE: all */
    uint64_t max_faults; /* stops when that many are found beside I7; 0 takes the default */
    void (*fault)(void *ctx, const struct verify_fault *fault);
    /* A ledger was read to its end; `head` is what was recomputed. May be NULL. */
    void (*ledger_done)(void *ctx, const struct ledger_row *ledger, const struct ledger_head *head);
    journal_progress *progress; /* in records; may be NULL */
    void *ctx;
    /* Another handle on the same database: what it says of itself (I7) is then asked on a thread of its own,
     * beside the walk over the records. NULL: before it, on `j`. */
    struct journal *second;
};

/* 0 when the audit ran, whatever it found: see ret_counts->faults. Negative: it could not run to its end. */
MUST_CHECK int verify_journal(struct journal *j, const struct verify_options *options,
    struct verify_counts *ret_counts, struct err *err);

#endif
