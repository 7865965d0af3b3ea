/*
 * One at a time: a named row of the control part that says who does a job, until when. The database's clock decides
 * (the machine's since it started, over SQLite), so that machines need not agree on the time. Whoever holds it renews it; whoever stops
 * renewing it loses it after LEASE_SECONDS to the first that asks. A lease keeps others from the work, it does not make
 * the work safe: a holder that slept does not know that it lost it. What it writes is guarded by what it writes to
 * (the epoch in Kafka's transactions, the serial of a read model).
 */
#ifndef CREDITLEDGER_DB_LEASE_H
#define CREDITLEDGER_DB_LEASE_H

#include "db/db.h"

#define LEASE_SECONDS 5      /* without a renewal it is anybody's */
#define LEASE_RENEW_MS 1000  /* how often a holder renews it, and others ask for it */
#define LEASE_HOLDER_MAX 128 /* "host:pid:random" */

struct lease_state {
    bool held;                         /* by the one who asked */
    uint64_t epoch;                    /* grows with every change of holder */
    char holder[LEASE_HOLDER_MAX + 1]; /* who has it, or had it last if it is over; "" nobody */
    int64_t expires_in_us;             /* not above 0: it is over */
};

/* Makes the table; several processes may do so at once. */
MUST_CHECK int lease_prepare(struct db *db, struct err *err);
/* A name for this process: host, pid and something random. */
void lease_holder(char ret_holder[LEASE_HOLDER_MAX + 1]);
/* Takes or renews the lease if it is free or ours; else tells whose it is. */
MUST_CHECK int lease_take(
    struct db *db, const char *name, const char *holder, struct lease_state *ret_state, struct err *err);
/* Gives it back, so that another need not wait. */
MUST_CHECK int lease_give(struct db *db, const char *name, const char *holder, struct err *err);
MUST_CHECK int lease_read(struct db *db, const char *name, struct lease_state *ret_state, struct err *err);

#endif
