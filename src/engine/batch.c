#include "engine/batch.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_ARENA_CHUNK 262144

static void *grow(void *items, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 256;
    items = realloc(items, *cap * size);
    INVARIANT_F(items != NULL, "out of memory at %zu bytes", *cap * size);
    return items;
}

void batch_init(struct batch *b, struct account_cache *cache, struct ledger_state *states, uint64_t seed)
{
    *b = (struct batch){.cache = cache, .ledger_states = states, .seed = seed};
    arena_init(&b->arena, BATCH_ARENA_CHUNK);
}

void batch_fini(struct batch *b)
{
    arena_fini(&b->arena);
    free(b->records);
    free(b->assets);
    free(b->ledgers);
    free(b->known);
    free(b->doubts);
    free(b->keys);
    free(b->undos);
    free(b->buckets);
}

void batch_begin(struct batch *b, uint64_t serial, size_t expected_keys)
{
    arena_reset(&b->arena);
    b->serial = serial;
    b->n_sealed = b->n_known = b->n_doubts = 0;
    b->catalog_doubt = false;
    b->n_records = b->n_assets = b->n_ledgers = b->n_keys = b->n_undos = 0;
    b->without_floor = 0;
    size_t buckets = 64;
    while (buckets < 2 * expected_keys)
        buckets *= 2;
    if (buckets > b->n_buckets) {
        free(b->buckets);
        b->buckets = malloc(buckets * sizeof *b->buckets);
        INVARIANT_F(b->buckets != NULL, "out of memory at %zu bytes", buckets * sizeof *b->buckets);
        b->n_buckets = buckets;
    }
    memset(b->buckets, 0, b->n_buckets * sizeof *b->buckets);
}

struct batch_mark batch_mark(const struct batch *b)
{
    return (struct batch_mark){
        b->n_records, b->n_assets, b->n_ledgers, b->n_keys, b->n_undos, b->without_floor};
}

static struct undo *push_undo(struct batch *b)
{
    b->undos = grow(b->undos, &b->cap_undos, b->n_undos, sizeof *b->undos);
    return &b->undos[b->n_undos++];
}

static void undo_one(struct batch *b, const struct undo *u)
{
    if (u->kind == UNDO_LEDGER) {
        b->ledger_states[u->ledger] = u->state;
    } else if (u->was_new) {
        account_cache_drop(b->cache, u->account.ledger, u->account.number);
    } else {
        struct account *account = account_cache_get(b->cache, u->account.ledger, u->account.number);
        INVARIANT_F(account != NULL, "account %llu", (unsigned long long)u->account.number);
        *account = u->account;
    }
}

void batch_undo(struct batch *b, struct batch_mark mark)
{
    while (b->n_undos > mark.undos)
        undo_one(b, &b->undos[--b->n_undos]);
    while (b->n_keys > mark.keys) {
        const struct batch_key *key = &b->keys[--b->n_keys];
        INVARIANT(b->buckets[key->bucket] == b->n_keys + 1);
        b->buckets[key->bucket] = key->next;
    }
    INVARIANT_F(b->n_sealed <= mark.records || mark.records == 0, "%zu records are sealed", b->n_sealed);
    if (mark.records == 0)
        b->n_sealed = b->n_known = 0;
    b->n_records = mark.records;
    b->n_assets = mark.assets;
    b->n_ledgers = mark.ledgers;
    b->without_floor = mark.without_floor;
}

static size_t key_bucket(const struct batch *b, uint32_t ledger, struct str key)
{
    return hash64(b->seed ^ ledger, key.data, key.len) & (b->n_buckets - 1);
}

const struct batch_key *batch_find_key(const struct batch *b, uint32_t ledger, struct str key)
{
    if (b->n_keys == 0)
        return NULL;
    for (uint32_t at = b->buckets[key_bucket(b, ledger, key)]; at != 0; at = b->keys[at - 1].next) {
        const struct batch_key *found = &b->keys[at - 1];
        if (found->ledger == ledger && str_eq(found->key, key))
            return found;
    }
    return NULL;
}

static void add_key(struct batch *b, const struct record *record)
{
    size_t bucket = key_bucket(b, record->ledger, record->idempotency_key);
    b->keys = grow(b->keys, &b->cap_keys, b->n_keys, sizeof *b->keys);
    b->keys[b->n_keys++] = (struct batch_key){
        .ledger = record->ledger,
        .key = record->idempotency_key,
        .request_hash = record->request_hash,
        .record = record,
        .bucket = (uint32_t)bucket,
        .next = b->buckets[bucket],
    };
    b->buckets[bucket] = (uint32_t)b->n_keys;
}

static void open_account(struct batch *b, const struct record *record)
{
    const struct account_row *row = record->account;
    struct account account = {
        .ledger = record->ledger,
        .number = row->number,
        .id = row->id,
        .asset = row->asset,
        .type = row->type,
        .external_id = row->external_id,
        .opened_seq = row->opened_seq,
    };
    account_cache_put(b->cache, &account);
    struct undo *u = push_undo(b);
    u->kind = UNDO_ACCOUNT;
    u->was_new = true;
    u->account = account;
}

static struct account *account_to_move(struct batch *b, uint32_t ledger, uint64_t number)
{
    struct account *account = account_cache_get(b->cache, ledger, number);
    INVARIANT_F(account != NULL, "ledger %u account %llu", ledger, (unsigned long long)number);
    struct undo *u = push_undo(b);
    u->kind = UNDO_ACCOUNT;
    u->was_new = false;
    u->account = *account;
    return account;
}

static void revise(struct batch *b, uint32_t ledger, const struct revision_row *revision)
{
    struct account *account = account_to_move(b, ledger, revision->account);
    bool before = account->revision > 0 && !account->floor.present;
    account_revise(account, revision);
    if (!account_is_world(account))
        b->without_floor += (int64_t)!account->floor.present - (int64_t)before;
}

void batch_take(struct batch *b, const struct record *record)
{
    struct ledger_state *state = &b->ledger_states[record->ledger];
    INVARIANT_F(record->seq == state->head.seq + 1, "record %llu after %llu", (unsigned long long)record->seq,
        (unsigned long long)state->head.seq);
    struct undo *u = push_undo(b);
    u->kind = UNDO_LEDGER;
    u->ledger = record->ledger;
    u->state = *state;
    state->head.seq = record->seq;
    state->head.recorded_at = record->recorded_at;
    if (record->account != NULL) {
        open_account(b, record);
        state->head.accounts++;
    }
    for (size_t i = 0; i < record->n_revisions; i++)
        revise(b, record->ledger, &record->revisions[i]);
    for (size_t i = 0; i < record->n_entries; i++)
        account_apply(
            account_to_move(b, record->ledger, record->entries[i].account), &record->entries[i], record->seq);
    if (record->idempotency_key.data != NULL)
        add_key(b, record);
    b->records = grow(b->records, &b->cap_records, b->n_records, sizeof(*b->records));
    b->records[b->n_records++] = record;
}

void batch_add_asset(struct batch *b, const struct asset *asset)
{
    b->assets = grow(b->assets, &b->cap_assets, b->n_assets, sizeof *b->assets);
    b->assets[b->n_assets++] = *asset;
}

void batch_add_ledger(struct batch *b, const struct ledger_row *row)
{
    b->ledgers = grow(b->ledgers, &b->cap_ledgers, b->n_ledgers, sizeof *b->ledgers);
    b->ledgers[b->n_ledgers++] = *row;
}

void batch_know(struct batch *b, uint32_t ledger, uint64_t seq, const uint8_t hash[HASH_LEN])
{
    struct ledger_state *state = &b->ledger_states[ledger];
    if (state->sealed_in == b->serial)
        return;
    state->sealed_in = b->serial;
    b->known = grow(b->known, &b->cap_known, b->n_known, sizeof *b->known);
    struct ledger_known *known = &b->known[b->n_known++];
    *known = (struct ledger_known){.ledger = ledger, .seq = seq - 1};
    memcpy(known->hash, hash, HASH_LEN);
}

void batch_doubt(struct batch *b, uint32_t ledger)
{
    for (size_t i = b->n_doubts; i > 0 && b->n_doubts - i < 8; i--)
        if (b->doubts[i - 1] == ledger)
            return;
    b->doubts = grow(b->doubts, &b->cap_doubts, b->n_doubts, sizeof *b->doubts);
    b->doubts[b->n_doubts++] = ledger;
}

bool batch_is_empty(const struct batch *b)
{
    return b->n_records == 0 && b->n_assets == 0 && b->n_ledgers == 0;
}

static int by_ledger(const void *a, const void *b)
{
    const struct ledger_known *x = a, *y = b;
    return (x->ledger > y->ledger) - (x->ledger < y->ledger);
}

struct journal_batch batch_to_append(struct batch *b)
{
    INVARIANT_F(b->n_sealed == b->n_records, "%zu of %zu", b->n_sealed, b->n_records);
    if (b->n_known > 1)
        qsort(b->known, b->n_known, sizeof *b->known, by_ledger);
    return (struct journal_batch){.assets = b->assets,
        .n_assets = b->n_assets,
        .ledgers = b->ledgers,
        .n_ledgers = b->n_ledgers,
        .records = b->records,
        .n_records = b->n_records,
        .known = b->known,
        .n_known = b->n_known};
}

const struct record *record_copy(struct arena *arena, const struct record *record)
{
    struct record *copy = arena_copy(arena, record, sizeof *record);
    copy->idempotency_key = arena_str(arena, record->idempotency_key);
    copy->reference = arena_str(arena, record->reference);
    copy->actor = arena_str(arena, record->actor);
    copy->text.body = arena_str(arena, record->text.body);
    if (record->account != NULL) {
        struct account_row *account = arena_copy(arena, record->account, sizeof *record->account);
        account->external_id = arena_str(arena, record->account->external_id);
        copy->account = account;
    }
    copy->revisions = arena_copy(arena, record->revisions, record->n_revisions * sizeof *record->revisions);
    copy->entries = arena_copy(arena, record->entries, record->n_entries * sizeof *record->entries);
    copy->lots = arena_copy(arena, record->lots, record->n_lots * sizeof *record->lots);
    return copy;
}
