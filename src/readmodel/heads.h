/*
 * The accounts' heads, and the judgement whether an entry is the next of its account: what makes applying facts exact,
 * however often and with whatever gaps they come. Heads are kept in memory, so many of them; the rest are fetched by the
 * batch from the table `head`, which is the accounts' balances as projected.
 *
 * A head is addressed by its index, which holds for one batch. One thread.
 */
#ifndef CREDITLEDGER_READMODEL_HEADS_H
#define CREDITLEDGER_READMODEL_HEADS_H

#include "db/db.h"
#include "readmodel/fact.h"
#include "readmodel/numbers.h"

struct head {
    uint64_t number;
    uint32_t ledger, asset; /* the read model's numbers for them; asset 0: nothing of the account is here */
    uint64_t version, seq;  /* of the newest entry; 0: none */
    struct amounts balance;
    struct floor floor;
    int64_t recorded_at;
    uint32_t revision;
    int8_t side;
    bool changed; /* since the last flush */
    /* For the projection of daily activity: its row of this batch, and that row's day. */
    uint32_t activity; /* index plus 1; 0: none */
    int64_t activity_day;
};

/* Those used lately, and those before them: when the young are many the old are forgotten. */
struct heads {
    struct head *young, *old;
    size_t n_young, n_old, cap_young, cap_old, limit;
    struct numbers young_at, old_at;
    uint32_t *changed;
    size_t n_changed, cap_changed;
    struct numbers missing; /* not in memory, to be fetched */
    struct {
        uint32_t ledger;
        uint64_t number;
    } * wanted;
    size_t n_wanted, cap_wanted;
};

extern const char heads_ddl[];

void heads_init(struct heads *h, size_t limit);
void heads_fini(struct heads *h);
void heads_forget(struct heads *h); /* all of them: what is in memory may not be what is in the database */

/* First every account of the batch is wanted, then all are fetched, then heads_at() finds each. */
void heads_want(struct heads *h, uint32_t ledger, uint64_t number);
MUST_CHECK int heads_fetch(struct heads *h, struct db *db, struct err *err);
struct head *heads_at(struct heads *h, uint32_t ledger, uint64_t number);

enum verdict { VERDICT_NEXT, VERDICT_PAST, VERDICT_GAP, VERDICT_CONTRADICTION };
/* Pure. On a contradiction *ret_why says what does not fit. `asset` is the entry's. */
enum verdict head_judge(
    const struct head *head, const struct fact *fact, uint32_t asset, const char **ret_why);
/* Moves the head on by an entry that is its next. */
void heads_apply(struct heads *h, struct head *head, const struct fact *fact, uint32_t asset);

/* Writes what changed; heads_end() ends the batch. */
MUST_CHECK int heads_flush(struct heads *h, struct db *db, struct err *err);
void heads_end(struct heads *h);

#endif
