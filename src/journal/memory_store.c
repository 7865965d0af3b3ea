#include "journal/memory_store.h"

#include <stdlib.h>
#include <string.h>

/* Makes room for one more element. */
static void *grown(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t more = *cap ? *cap * 2 : 4;
    void *p = realloc(array, more * size);
    INVARIANT_F(p != NULL, "out of memory at %zu bytes", more * size);
    *cap = more;
    return p;
}

#define GROW(owner, array) \
    ((owner)->array = \
            grown((owner)->array, (owner)->n_##array, &(owner)->cap_##array, sizeof *(owner)->array))

/* ---- index ---- */

static void index_put(struct mem_index *index, uint64_t hash, uint64_t value)
{
    size_t at = hash & (index->cap - 1);
    while (index->slots[at].value != 0)
        at = (at + 1) & (index->cap - 1);
    index->slots[at] = (struct mem_slot){hash, value};
    index->n++;
}

static void index_add(struct mem_index *index, struct str what, uint64_t value)
{
    if (index->n * 2 >= index->cap) {
        struct mem_index bigger = {.cap = index->cap ? index->cap * 2 : 64};
        bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
        INVARIANT(bigger.slots != NULL);
        for (size_t i = 0; i < index->cap; i++)
            if (index->slots[i].value != 0)
                index_put(&bigger, index->slots[i].hash, index->slots[i].value);
        free(index->slots);
        *index = bigger;
    }
    index_put(index, hash64(0, what.data, what.len), value);
}

/* Goes on at *at (start with SIZE_MAX); 0 when no candidate is left. */
static uint64_t index_candidate(const struct mem_index *index, uint64_t hash, size_t *at)
{
    if (index->cap == 0)
        return 0;
    *at = (*at == SIZE_MAX ? hash : *at + 1) & (index->cap - 1);
    while (index->slots[*at].value != 0 && index->slots[*at].hash != hash)
        *at = (*at + 1) & (index->cap - 1);
    return index->slots[*at].value;
}

/* ---- store ---- */

struct mem_store *mem_store_new(const char *name)
{
    struct mem_store *store = calloc(1, sizeof *store);
    INVARIANT(store != NULL);
    store->name = strdup(name);
    INVARIANT(store->name != NULL);
    INVARIANT(pthread_rwlock_init(&store->lock, NULL) == 0);
    arena_init(&store->arena, 65536);
    return store;
}

static void account_free(struct mem_account *account)
{
    free(account->revisions);
    free(account->entries);
    free(account->late);
    free(account);
}

static void ledger_free(struct mem_ledger *ledger)
{
    for (size_t i = 0; i < ledger->n_accounts; i++)
        account_free(ledger->accounts[i]);
    for (size_t i = 0; i < ledger->n_records; i++)
        free(ledger->records[i].lots);
    free(ledger->accounts);
    free(ledger->records);
    free(ledger->keys.slots);
    free(ledger->external_ids.slots);
    free(ledger);
}

void mem_shrink(struct mem_store *store, size_t n_assets, size_t n_ledgers)
{
    INVARIANT(n_assets <= store->n_assets && n_ledgers <= store->n_ledgers);
    store->n_assets = n_assets;
    while (store->n_ledgers > n_ledgers)
        ledger_free(store->ledgers[--store->n_ledgers]);
}

void mem_store_free(struct mem_store *store)
{
    mem_shrink(store, 0, 0);
    free(store->ledgers);
    free(store->assets);
    arena_fini(&store->arena);
    pthread_rwlock_destroy(&store->lock);
    free(store->name);
    free(store);
}

struct mem_ledger *mem_ledger(const struct mem_store *store, uint32_t id)
{
    return id >= 1 && id <= store->n_ledgers ? store->ledgers[id - 1] : NULL;
}

struct mem_account *mem_account(const struct mem_ledger *ledger, uint64_t number)
{
    return number >= 1 && number <= ledger->n_accounts ? ledger->accounts[number - 1] : NULL;
}

const struct record *mem_record(const struct mem_ledger *ledger, uint64_t seq)
{
    return seq >= 1 && seq <= ledger->n_records ? ledger->records[seq - 1].record : NULL;
}

struct mem_account *mem_account_by_external_id(const struct mem_ledger *ledger, struct str external_id)
{
    uint64_t hash = hash64(0, external_id.data, external_id.len), number;
    for (size_t at = SIZE_MAX; (number = index_candidate(&ledger->external_ids, hash, &at)) != 0;) {
        struct mem_account *account = mem_account(ledger, number);
        if (account != NULL && account->row->external_id.data != NULL &&
            str_eq(account->row->external_id, external_id))
            return account;
    }
    return NULL;
}

const struct record *mem_record_by_key(const struct mem_ledger *ledger, struct str key)
{
    uint64_t hash = hash64(0, key.data, key.len), seq;
    for (size_t at = SIZE_MAX; (seq = index_candidate(&ledger->keys, hash, &at)) != 0;) {
        const struct record *record = mem_record(ledger, seq);
        if (record != NULL && record->idempotency_key.data != NULL && str_eq(record->idempotency_key, key))
            return record;
    }
    return NULL;
}

const struct lot *mem_lot_newest(
    const struct mem_ledger *ledger, uint64_t origin, uint32_t leg, enum lot_kind kind, uint64_t seq)
{
    if (mem_record(ledger, origin) == NULL)
        return NULL;
    const struct mem_record *record = &ledger->records[origin - 1];
    for (size_t i = record->n_lots; i-- > 0;) {
        const struct mem_lot *l = &record->lots[i];
        if (l->seq <= seq && l->lot->leg == leg && l->lot->kind == kind)
            return l->lot;
    }
    return NULL;
}

struct record *mem_record_copy(const struct record *record, bool with_text, struct arena *arena)
{
    struct record *copy = arena_copy(arena, record, sizeof *record);
    copy->idempotency_key = arena_str(arena, record->idempotency_key);
    copy->reference = arena_str(arena, record->reference);
    copy->actor = arena_str(arena, record->actor);
    if (with_text && record->text.readable) {
        copy->text.body = arena_str(arena, record->text.body);
    } else {
        copy->text.readable = false;
        copy->text.body = STR_NONE;
        memset(copy->text.salt, 0, SALT_LEN);
    }
    if (record->account != NULL) {
        struct account_row *account = arena_copy(arena, record->account, sizeof *account);
        account->external_id = arena_str(arena, record->account->external_id);
        copy->account = account;
    }
    copy->revisions = arena_copy(arena, record->revisions, record->n_revisions * sizeof *record->revisions);
    copy->entries = arena_copy(arena, record->entries, record->n_entries * sizeof *record->entries);
    copy->lots = arena_copy(arena, record->lots, record->n_lots * sizeof *record->lots);
    return copy;
}

size_t mem_late_after(const struct mem_account *account, int64_t effective_at, uint64_t version)
{
    size_t low = 0, high = account->n_late;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t v = account->late[middle];
        int64_t at = account->entries[v - 1].entry->effective_at;
        if (at < effective_at || (at == effective_at && v <= version))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- appending ---- */

void mem_add_asset(struct mem_store *store, const struct asset *asset)
{
    GROW(store, assets);
    store->assets[store->n_assets++] = *asset;
}

void mem_add_ledger(struct mem_store *store, const struct ledger_row *row, const uint8_t genesis[HASH_LEN])
{
    struct mem_ledger *ledger = calloc(1, sizeof *ledger);
    INVARIANT(ledger != NULL);
    ledger->row = *row;
    memcpy(ledger->genesis, genesis, HASH_LEN);
    GROW(store, ledgers);
    store->ledgers[store->n_ledgers++] = ledger;
}

void mem_put_account(struct mem_ledger *ledger, const struct account_row *row)
{
    INVARIANT(row->number == ledger->n_accounts + 1);
    struct mem_account *account = calloc(1, sizeof *account);
    INVARIANT(account != NULL);
    account->row = row;
    GROW(ledger, accounts);
    ledger->accounts[ledger->n_accounts++] = account;
    if (row->external_id.data != NULL)
        index_add(&ledger->external_ids, row->external_id, row->number);
}

void mem_put_revision(struct mem_account *account, const struct revision_row *row, uint64_t seq)
{
    INVARIANT(row->revision == account->n_revisions + 1);
    GROW(account, revisions);
    account->revisions[account->n_revisions++] = (struct mem_revision){row, seq};
}

void mem_put_entry(struct mem_account *account, const struct entry *entry, uint64_t seq)
{
    INVARIANT(entry->version == account->n_entries + 1);
    GROW(account, entries);
    account->entries[account->n_entries++] = (struct mem_entry){entry, seq};
    if (!entry->backdated)
        return;
    size_t at = mem_late_after(account, entry->effective_at, entry->version);
    GROW(account, late);
    memmove(account->late + at + 1, account->late + at, (account->n_late - at) * sizeof *account->late);
    account->late[at] = entry->version;
    account->n_late++;
}

void mem_put_lot(struct mem_ledger *ledger, const struct lot *lot, uint64_t seq)
{
    struct mem_record *origin = &ledger->records[lot->origin - 1];
    GROW(origin, lots);
    origin->lots[origin->n_lots++] = (struct mem_lot){lot, seq};
}

void mem_put_record(struct mem_ledger *ledger, struct record *record)
{
    INVARIANT(record->seq == ledger->n_records + 1);
    GROW(ledger, records);
    ledger->records[ledger->n_records++] = (struct mem_record){.record = record};
    if (record->idempotency_key.data != NULL)
        index_add(&ledger->keys, record->idempotency_key, record->seq);
}

static void take_back_entries(struct mem_account *account, uint64_t seq)
{
    while (account->n_entries > 0 && account->entries[account->n_entries - 1].seq == seq) {
        const struct entry *entry = account->entries[account->n_entries - 1].entry;
        if (entry->backdated) {
            size_t at = mem_late_after(account, entry->effective_at, entry->version - 1);
            INVARIANT(at < account->n_late && account->late[at] == entry->version);
            account->n_late--;
            memmove(
                account->late + at, account->late + at + 1, (account->n_late - at) * sizeof *account->late);
        }
        account->n_entries--;
    }
    while (account->n_revisions > 0 && account->revisions[account->n_revisions - 1].seq == seq)
        account->n_revisions--;
}

void mem_take_back(struct mem_ledger *ledger, const struct record *record)
{
    for (size_t i = 0; i < record->n_lots; i++) {
        if (mem_record(ledger, record->lots[i].origin) == NULL)
            continue;
        struct mem_record *origin = &ledger->records[record->lots[i].origin - 1];
        while (origin->n_lots > 0 && origin->lots[origin->n_lots - 1].seq == record->seq)
            origin->n_lots--;
    }
    for (size_t i = 0; i < record->n_entries; i++) {
        struct mem_account *account = mem_account(ledger, record->entries[i].account);
        if (account != NULL)
            take_back_entries(account, record->seq);
    }
    for (size_t i = 0; i < record->n_revisions; i++) {
        struct mem_account *account = mem_account(ledger, record->revisions[i].account);
        if (account != NULL)
            take_back_entries(account, record->seq);
    }
    if (ledger->n_accounts > 0 && ledger->accounts[ledger->n_accounts - 1]->row->opened_seq == record->seq)
        account_free(ledger->accounts[--ledger->n_accounts]);
    if (ledger->n_records == record->seq && mem_record(ledger, record->seq) == record)
        free(ledger->records[--ledger->n_records].lots);
}
