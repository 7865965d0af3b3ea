/*
 * The read model: what queries are answered from, in a database of its own, made of facts and of nothing else. It can be
 * thrown away and made again from the journal at any time.
 *
 * A read model has generations: each is complete in itself, and one of them is live. A rebuild makes the next one beside
 * it and switches over; readers and projector follow (control table `generation`).
 *
 * Applying is fetch, fold, commit, like posting: the heads of the accounts that a batch of facts names are fetched, the
 * facts folded over them in memory, and the rows written in one transaction, together with the position that was
 * reached. An entry is applied only if its version is the account's next: one that was there before has no effect, one
 * that comes too early is a gap. Transfers and accounts are applied once by their key and revision. Whoever writes checks
 * the generation's serial, so that of two projectors one fails (ERR_CONFLICT) and nothing is doubled.
 *
 * `seq` of a ledger is the last record of which every fact up to and including it is here, also when facts come in
 * another order than the journal's (from partitions of topics): what is here beyond it is kept count of. It is what
 * answers carry as asOfSeq.
 *
 * A handle belongs to one thread at a time.
 */
#ifndef CREDITLEDGER_READMODEL_READMODEL_H
#define CREDITLEDGER_READMODEL_READMODEL_H

#include "db/db.h"
#include "readmodel/fact.h"

#define READMODEL_FORMAT 1             /* of the tables: another one is built anew */
#define READMODEL_BATCH_MAX 16384      /* facts of one transaction */
#define READMODEL_HEADS_DEFAULT 262144 /* account heads kept in memory while applying */

struct readmodel;

enum generation_state { GENERATION_BUILDING = 1, GENERATION_LIVE = 2, GENERATION_RETIRED = 3 };

struct generation {
    uint32_t id; /* part "g<id>" */
    enum generation_state state;
    uint32_t format;
    int64_t made_at, live_at; /* 0: not yet */
    char source[32];          /* "journal" or "kafka": who feeds it */
};

struct readmodel_options {
    bool write;         /* for readmodel_apply() */
    bool create;        /* a database without one gets its first generation, live from the start and empty */
    const char *source; /* with `create`: who will feed it, "journal" or "kafka" */
    uint32_t building;  /* this generation instead of the live one; 0: the live one */
    bool pooled;
    size_t heads; /* 0: the default */
};

/* ERR_NOT_FOUND: there is none and `create` is off. ERR_UNSUPPORTED: its format is another one: rebuild. */
MUST_CHECK int readmodel_open(
    const char *url, const struct readmodel_options *options, struct readmodel **ret_model, struct err *err);
void readmodel_close(struct readmodel *model);
struct db *readmodel_db(struct readmodel *model); /* the generation's part, for queries */
uint32_t readmodel_generation(const struct readmodel *model);

/* --- generations, over the control part -------------------------------------------------------------------- */

MUST_CHECK int generation_list(const char *url, struct arena *arena, struct generation **ret_generations,
    size_t *ret_n, struct err *err);
/* The live one's id, 0 if none. Cheap: one row. */
MUST_CHECK int generation_live(struct db *control, uint32_t *ret_id, struct err *err);
/* A new one in state building, with empty tables. */
MUST_CHECK int generation_new(const char *url, const char *source, uint32_t *ret_id, struct err *err);
/* It becomes the live one, the old one retired; ERR_CONFLICT if the live one is not `instead_of` any more. */
MUST_CHECK int generation_switch(const char *url, uint32_t id, uint32_t instead_of, struct err *err);
/* Drops a generation that is not live. */
MUST_CHECK int generation_drop(const char *url, uint32_t id, struct err *err);

/* --- applying ---------------------------------------------------------------------------------------------- */

struct readmodel_gap {
    char ledger[LIMIT_LEDGER_NAME_MAX + 1];
    struct uuid account;
    uint64_t expected, found; /* versions */
    uint64_t seq;             /* of the fact that came too early */
};

struct readmodel_applied {
    size_t taken;      /* facts up to here are in the read model, or were before */
    size_t duplicates; /* of them, had no effect */
    bool gap;          /* the fact at `taken` comes too early */
    struct readmodel_gap at;
};

/* A fact that could not be read, or that contradicts what is here. */
struct parked {
    int64_t id; /* given by the read model */
    struct str topic, key, type, payload, reason;
    uint32_t part;
    int64_t offset;
    int64_t parked_at;
    bool replayed;
};

/*
 * Applies facts in their order up to the first gap, in one transaction with the offsets they carry (`part`, `offset`;
 * the next offset of a part is the last one's plus 1) and with `parked`. A fact that contradicts what is here (an entry
 * whose `after` is not what was there plus its change) is parked, not applied.
 * ERR_CONFLICT: another projector wrote, or the generation is no longer there: open again.
 */
MUST_CHECK int readmodel_apply(struct readmodel *model, const struct fact *facts, size_t n,
    const struct parked *parked, size_t n_parked, struct readmodel_applied *ret_applied, struct err *err);

/*
 * A generation that is being built has no indexes but those that applying needs, and is filled faster for it. When it is
 * full this makes them: call it before the last facts are caught up with, for it takes seconds a million transfers, and
 * generation_switch() does it otherwise. Harmless if they are there.
 */
MUST_CHECK int readmodel_finish(struct readmodel *model, struct err *err);

/*
 * What erasures took out leaves the files, too (db_scrub()). To be called after readmodel_apply(), and once after opening,
 * for whoever wrote before may have been killed; costs nothing when there is nothing to do. ERR_BUSY: call it again.
 */
MUST_CHECK int readmodel_scrub(struct readmodel *model, bool thorough, struct err *err);

/* How far each ledger is, by name; 0 if it was never heard of. */
MUST_CHECK int readmodel_seq(struct readmodel *model, struct str ledger, uint64_t *ret_seq, struct err *err);
struct readmodel_ledger {
    struct str name;
    uint64_t seq;        /* complete up to here */
    uint64_t most_seq;   /* the last of which anything is here */
    int64_t recorded_at; /* of the record `seq` */
};
MUST_CHECK int readmodel_ledgers(struct readmodel *model, struct arena *arena,
    struct readmodel_ledger **ret_ledgers, size_t *ret_n, struct err *err);
/* The next offset of each part, where this generation goes on; parts that are not there start from the beginning. */
struct readmodel_offset {
    uint32_t part;
    int64_t next;
};
MUST_CHECK int readmodel_offsets(struct readmodel *model, struct arena *arena,
    struct readmodel_offset **ret_offsets, size_t *ret_n, struct err *err);
/* Sets them: a rebuild from the journal takes the live generation's, read before the journal was read to its end. */
MUST_CHECK int readmodel_set_offsets(
    struct readmodel *model, const struct readmodel_offset *offsets, size_t n, struct err *err);

MUST_CHECK int readmodel_parked(struct readmodel *model, int64_t after_id, size_t limit, struct arena *arena,
    struct parked **ret_parked, size_t *ret_n, struct err *err);
MUST_CHECK int readmodel_parked_count(struct readmodel *model, uint64_t *ret_n, struct err *err);
MUST_CHECK int readmodel_parked_done(struct readmodel *model, int64_t id, struct err *err);

#endif
