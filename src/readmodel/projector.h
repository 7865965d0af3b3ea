/*
 * The projector: follows a source and keeps the live generation of the read model up to date, on a thread of its own.
 * One at a time for a read model (db/lease.h); others stand by. A switch to another generation is noticed before the
 * next batch. A gap stops it: it says so, keeps asking whether the missing fact has come, and applies nothing else. A
 * read model that is away is tried again with growing pauses. Never holds up posting.
 */
#ifndef CREDITLEDGER_READMODEL_PROJECTOR_H
#define CREDITLEDGER_READMODEL_PROJECTOR_H

#include "readmodel/source.h"

struct metrics;
struct spans;
struct projector;

struct projector_config {
    const char *read_url;
    bool pooled;
    const char *journal_url; /* source: the journal, unless kafka is there */
    const struct journal_options *journal_options;
    const struct kafka_config *kafka; /* NULL: the journal is the bus */
    struct metrics *metrics;          /* may be NULL */
    struct spans *spans;              /* may be NULL */
    /* On the projector's thread, after every batch: the ledger is at seq. */
    void (*reached)(void *ctx, struct str ledger, uint64_t seq);
    void *ctx;
};

/* A read model that is not there is made. Fails if it cannot be opened as things are; one that is only away now (a server
 * that does not answer, a full disk) is tried on the thread, and PROJECTOR_FAILING until it is back: who posts may start. */
MUST_CHECK int projector_start(
    const struct projector_config *config, struct projector **ret_projector, struct err *err);
void projector_stop(struct projector *projector); /* after the batch at hand; NULL is fine */
/* Something was committed to the journal. Any thread. */
void projector_wake(struct projector *projector);

enum projector_phase { PROJECTOR_STANDBY, PROJECTOR_FOLLOWING, PROJECTOR_STOPPED_AT_GAP, PROJECTOR_FAILING };
struct projector_state {
    enum projector_phase phase;
    char detail[512]; /* gap or failure, a sentence; else "" */
};
/* For /readyz and `projections status`. Any thread. */
void projector_state(struct projector *projector, struct projector_state *ret_state);

/* What `projections status` shows; starts nothing and makes nothing. ERR_NOT_FOUND: there is no read model. */
struct projector_ledger {
    struct str name;
    uint64_t journal_seq;   /* the head; 0: the journal has no such ledger */
    uint64_t seq, most_seq; /* as in struct readmodel_ledger; 0: nothing is here */
    int64_t next_at;        /* recorded_at of the first record that is not here; 0: all are */
};
struct projector_status {
    const struct generation *generations;
    size_t n_generations;
    uint32_t live;    /* 0: none */
    bool readable;    /* the live one is of this program's format; else it has no ledgers here */
    char holder[129]; /* who projects; "" nobody */
    bool rebuilding;
    struct projector_state state; /* as the one who projects wrote it last, */
    int64_t state_at;             /* and when; 0: never */
    uint64_t parked;
    const struct projector_ledger *ledgers;
    size_t n_ledgers;
};
MUST_CHECK int projector_status(const struct projector_config *config, struct arena *arena,
    struct projector_status *ret_status, struct err *err);

/*
 * Parked messages once more: message `id`, or all that wait (0), in their order. What can be applied now is, and is marked as
 * replayed; what cannot stays parked. While this is at work the projector stands still. ERR_NOT_FOUND: no such message.
 */
struct replay_report {
    uint64_t applied, still_parked;
};
MUST_CHECK int projector_replay(const struct projector_config *config, int64_t id,
    void (*visit)(void *ctx, const struct parked *parked, const char *reason), /* NULL: it was applied */
    void *ctx, struct replay_report *ret_report, struct err *err);

/*
 * The read model up to record `seq` of the ledger: by whoever projects, or here, from the journal, if nobody does. What
 * was erased up to there is then neither in its tables nor in its files; over PostgreSQL dead rows are VACUUM's. What
 * rebuilds left behind is dropped. ERR_NOT_FOUND: there is no read model. ERR_TIMEOUT after PROJECTOR_CATCH_UP_MS;
 * ERR_CORRUPT: a gap is in the way.
 */
#define PROJECTOR_CATCH_UP_MS 60000
MUST_CHECK int projector_catch_up(
    const struct projector_config *config, struct str ledger, uint64_t seq, struct err *err);

/*
 * Builds a new generation from the journal beside the live one, and switches over. Progress: records done, and how many
 * there are. *ret_id is the new live generation. On failure or cancellation nothing is left of it.
 */
struct rebuild_report {
    uint32_t id;
    uint64_t records, facts;
    int64_t took_us;
};
MUST_CHECK int projector_rebuild(const struct projector_config *config,
    bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx, struct rebuild_report *ret_report,
    struct err *err);

/*
 * Compares the live generation with the journal, account by account (I11): the read model's balances with SUM over the
 * journal's entries up to the seq that the read model is at, done by the journal's database, never by the fold. Also
 * the last line of each account, its days, the transfers' number and the totals. Visits every difference.
 */
struct check_difference {
    struct str ledger;
    uint64_t account; /* number; 0: of the ledger */
    const char *what; /* "posted", "line", "activity", "transfers", "totals" ... */
    char expected[64], found[64];
};
struct check_report {
    uint64_t accounts, lines, transfers, differences;
};
MUST_CHECK int projector_check(const struct projector_config *config,
    void (*visit)(void *ctx, const struct check_difference *difference),
    bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx, struct check_report *ret_report,
    struct err *err);

#endif
