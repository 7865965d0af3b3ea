/*
 * What one batch has decided and not yet committed: records in order, new assets and ledgers, idempotency
 * keys, ledger heads, and an undo log of the cached accounts it moved. A mark taken before a command (or an
 * atomic submission, or a dry run) brings all of it back. Lives in the engine's thread; emptied for every
 * batch.
 */
#ifndef CREDITLEDGER_ENGINE_BATCH_H
#define CREDITLEDGER_ENGINE_BATCH_H

#include "engine/account_cache.h"
#include "journal/journal.h"

/* A ledger as the engine sees it: where its journal will stand when the batch is committed. */
struct ledger_state {
    bool loaded;
    struct ledger_head head;
    uint64_t committed_seq;
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
void batch_begin(struct batch *b, size_t expected_keys);

struct batch_mark batch_mark(const struct batch *b);
void batch_undo(struct batch *b, struct batch_mark mark);

/* Takes a decided record in: moves the heads of ledger and accounts, remembers its key. The record outlives
 * the batch. */
void batch_take(struct batch *b, const struct record *record);
const struct batch_key *batch_find_key(const struct batch *b, uint32_t ledger, struct str key);
void batch_add_asset(struct batch *b, const struct asset *asset);
void batch_add_ledger(struct batch *b, const struct ledger_row *row);

/* A deep copy, for an answer whose record belongs to another submission. */
const struct record *record_copy(struct arena *arena, const struct record *record);

#endif
