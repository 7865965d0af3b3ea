/* What the projector and a rebuild share: who may write when, and the source that a configuration names. */
#ifndef CREDITLEDGER_READMODEL_PROJECTOR_INTERNAL_H
#define CREDITLEDGER_READMODEL_PROJECTOR_INTERNAL_H

#include "db/lease.h"
#include "readmodel/projector.h"

/* The projector of the live generation, while it works. */
#define LEASE_PROJECTOR "projector"
/* A rebuild, from its beginning to its end: one at a time. */
#define LEASE_REBUILD "rebuild"
/*
 * A rebuild that is about to switch over. While somebody holds it the projector gives its own lease back and applies
 * nothing, so that the live generation stands still and the new one can get at least as far: a reader never sees
 * asOfSeq go back.
 */
#define LEASE_SWITCH "switch"

/* The control part, with the table of leases. */
MUST_CHECK int projector_control(
    const struct projector_config *config, bool create, struct db **ret_control, struct err *err);
/* From Kafka if there is one, else from the journal. */
MUST_CHECK int projector_source(
    const struct projector_config *config, bool journal, struct source **ret_source, struct err *err);
/* What the generations that it makes are said to be fed by. */
const char *projector_source_name(const struct projector_config *config);
/* Somebody other than us is about to switch over. */
MUST_CHECK int projector_switching(struct db *control, bool *ret_switching, struct err *err);

/*
 * Takes a lease that another one holds and will give back, or lose. `meanwhile` (may be NULL) is called between tries, and
 * ends it by failing. ERR_TIMEOUT after PROJECTOR_TAKE_OVER_MS.
 */
#define PROJECTOR_TAKE_OVER_MS 30000
MUST_CHECK int projector_take_over(struct db *control, const char *name, const char *holder,
    int (*meanwhile)(void *ctx, struct err *err), void *ctx, struct err *err);
/* Gives it back; a failure is logged, for it ends by itself. */
void projector_give(struct db *control, const char *name, const char *holder);

/* What the projector is at, for other processes: a row of the control part. Reading finds none: *ret_at is 0. */
MUST_CHECK int projector_note_prepare(struct db *control, struct err *err);
MUST_CHECK int projector_note(struct db *control, const struct projector_state *state, struct err *err);
MUST_CHECK int projector_note_read(
    struct db *control, struct projector_state *ret_state, int64_t *ret_at, struct err *err);

/* From the beginning of one ledger, and nothing of the others. */
MUST_CHECK int source_journal_only(struct source *source, uint32_t part, struct err *err);
/* Parts from here on are Kafka's, below are ledgers of the journal. */
#define SOURCE_PART_KAFKA 0x10000

/* What a rebuild that was killed left, and what the one before kept for its readers; for whoever holds LEASE_REBUILD. */
MUST_CHECK int projector_drop_leftovers(const char *read_url, struct err *err);

int64_t projector_now_us(void);       /* since the epoch */
int64_t projector_monotonic_us(void); /* since some time */

#endif
