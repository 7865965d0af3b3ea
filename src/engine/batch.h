/*
 * What one batch has decided and not yet committed: records in order, new assets and ledgers, idempotency
 * keys, ledger heads, and an undo log of the cached accounts it moved. A mark taken before a command (or an
 * atomic submission, or a dry run) brings all of it back. Lives in the engine's thread; emptied for every
 * batch.
 *
 * Two batches may stand on each other: one on its way to the disk, and one decided on what that will leave. Then
 * the upper one is undone first.
 */
#ifndef CREDITLEDGER_ENGINE_BATCH_H
#define CREDITLEDGER_ENGINE_BATCH_H

#include "engine/account_cache.h"
#include "journal/journal.h"

/* A ledger as the engine sees it: where its journal will stand when the batch is committed. */
struct ledger_state {
    bool loaded;
    struct ledger_head head;
    uint64_t sealed_in; /* serial of the last batch that sealed a record of it */
    /* The batch that is being decided records after `not_before`: two commits never share an instant, so that what is
     * known at T is for ever what was answered at T (?knownAt=), whichever clock went wrong or back. */
    uint64_t timed_in; /* its serial */
    int64_t not_before;
};

struct batch_key {
    uint32_t ledger;
    struct str key;
    const uint8_t *request_hash;
    const struct record *record;
    uint32_t bucket, next; /* chain of indexes + 1 */
};

enum undo_kind { UNDO_ACCOUNT, UNDO_LEDGER };

struct undo {
    enum undo_kind kind;
    bool was_new; /* an account that the batch opened */
    struct account account;
    uint32_t ledger;
    struct ledger_state state;
};

struct batch_mark {
    size_t records, assets, ledgers, keys, undos;
    int64_t without_floor;
};

struct batch {
    struct arena arena; /* scratch: facts, wants; gone with the batch */
    const struct record **records;
    size_t n_records, cap_records;
    struct asset *assets;
    size_t n_assets, cap_assets;
    struct ledger_row *ledgers;
    size_t n_ledgers, cap_ledgers;
    size_t n_sealed;            /* so many of the records have their hashes */
    struct ledger_known *known; /* the heads that the sealed records continue, one a ledger */
    size_t n_known, cap_known;
    uint32_t
        *doubts; /* ledgers of answers that leave no record: nothing proves their heads to be the newest */
    size_t n_doubts, cap_doubts;
    bool catalog_doubt;  /* a ledger or an asset was asked for that is not known here */
    size_t catalog_size; /* how many of both were known when it was first decided */
    uint64_t serial;     /* of all batches of the engine */
    struct batch_key *keys;
    size_t n_keys, cap_keys;
    struct undo *undos;
    size_t n_undos, cap_undos;
    uint32_t *buckets; /* of keys: index + 1 of the newest */
    size_t n_buckets;
    uint64_t seed;
    int64_t without_floor;       /* by how much the batch changes the number of accounts without a floor */
    struct account_cache *cache; /* not owned */
    struct ledger_state *ledger_states; /* by ledger id; not owned */
};

void batch_init(struct batch *b, struct account_cache *cache, struct ledger_state *states, uint64_t seed);
void batch_fini(struct batch *b);
void batch_begin(struct batch *b, uint64_t serial, size_t expected_keys);

struct batch_mark batch_mark(const struct batch *b);
void batch_undo(struct batch *b, struct batch_mark mark);

/* Takes a decided record in: moves the heads of ledger and accounts, remembers its key. The record outlives
 * the batch. */
void batch_take(struct batch *b, const struct record *record);
const struct batch_key *batch_find_key(const struct batch *b, uint32_t ledger, struct str key);
void batch_add_asset(struct batch *b, const struct asset *asset);
void batch_add_ledger(struct batch *b, const struct ledger_row *row);
/* Record `seq` of the ledger, which continues `hash`, is the first of it in the batch to be sealed. */
void batch_know(struct batch *b, uint32_t ledger, uint64_t seq, const uint8_t hash[HASH_LEN]);
void batch_doubt(struct batch *b, uint32_t ledger);
bool batch_is_empty(const struct batch *b);
/* What the journal is to append, borrowed from the batch. */
struct journal_batch batch_to_append(struct batch *b);

/* A deep copy, for an answer whose record belongs to another submission. */
const struct record *record_copy(struct arena *arena, const struct record *record);

#endif
