#include "engine/account_cache.h"

#include <stdlib.h>
#include <string.h>

#define SLAB_ENTRIES 1024

struct cached {
    struct account account;
    struct cached *next_number, *next_external; /* chains; next_number also links the free list */
    uint64_t batch;                             /* that used it last */
    bool in_use, referenced;
};

struct account_cache {
    size_t capacity, size, buckets;    /* buckets: a power of two */
    uint64_t seed, batch, pinned_from; /* what these batches used is pinned */
    struct cached **by_number, **by_external;
    struct cached **slabs;
    size_t n_slabs, hand; /* the clock's hand: an index over all slabs' entries */
    struct cached *unused;
};

static void *must(void *p)
{
    INVARIANT_F(p != NULL, "%s", "out of memory");
    return p;
}

struct account_cache *account_cache_new(size_t capacity, uint64_t seed)
{
    struct account_cache *cache = must(calloc(1, sizeof *cache));
    cache->capacity = capacity;
    cache->seed = seed;
    cache->batch = cache->pinned_from = 1;
    cache->buckets = 1024;
    while (cache->buckets < capacity)
        cache->buckets *= 2;
    cache->by_number = must(calloc(cache->buckets, sizeof *cache->by_number));
    cache->by_external = must(calloc(cache->buckets, sizeof *cache->by_external));
    return cache;
}

static void free_external(struct cached *c)
{
    free((char *)(uintptr_t)c->account.external_id.data);
    c->account.external_id = STR_NONE;
}

void account_cache_free(struct account_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t s = 0; s < cache->n_slabs; s++) {
        for (size_t i = 0; i < SLAB_ENTRIES; i++)
            free_external(&cache->slabs[s][i]);
        free(cache->slabs[s]);
    }
    free(cache->slabs);
    free(cache->by_number);
    free(cache->by_external);
    free(cache);
}

static struct cached **number_bucket(const struct account_cache *cache, uint32_t ledger, uint64_t number)
{
    uint64_t h = hash64(cache->seed ^ ledger, &number, sizeof number);
    return &cache->by_number[h & (cache->buckets - 1)];
}

static struct cached **external_bucket(struct account_cache *cache, uint32_t ledger, struct str external_id)
{
    uint64_t h = hash64(cache->seed ^ ledger, external_id.data, external_id.len);
    return &cache->by_external[h & (cache->buckets - 1)];
}

static struct account *pin(struct account_cache *cache, struct cached *c)
{
    c->batch = cache->batch;
    c->referenced = true;
    return &c->account;
}

static struct cached *lookup(const struct account_cache *cache, uint32_t ledger, uint64_t number)
{
    struct cached *c = *number_bucket(cache, ledger, number);
    while (c != NULL && (c->account.number != number || c->account.ledger != ledger))
        c = c->next_number;
    return c;
}

struct account *account_cache_get(struct account_cache *cache, uint32_t ledger, uint64_t number)
{
    struct cached *c = lookup(cache, ledger, number);
    return c != NULL ? pin(cache, c) : NULL;
}

struct account *account_cache_find(struct account_cache *cache, uint32_t ledger, struct str external_id)
{
    struct cached *c = *external_bucket(cache, ledger, external_id);
    while (c != NULL && (c->account.ledger != ledger || !str_eq(c->account.external_id, external_id)))
        c = c->next_external;
    return c != NULL ? pin(cache, c) : NULL;
}

static void unlink_entry(struct account_cache *cache, struct cached *c)
{
    struct cached **p = number_bucket(cache, c->account.ledger, c->account.number);
    while (*p != c)
        p = &(*p)->next_number;
    *p = c->next_number;
    if (c->account.external_id.data != NULL) {
        p = external_bucket(cache, c->account.ledger, c->account.external_id);
        while (*p != c)
            p = &(*p)->next_external;
        *p = c->next_external;
    }
    free_external(c);
    c->in_use = false;
    c->next_number = cache->unused;
    cache->unused = c;
    cache->size--;
}

static void add_slab(struct account_cache *cache)
{
    cache->slabs = must(realloc(cache->slabs, (cache->n_slabs + 1) * sizeof *cache->slabs));
    struct cached *slab = must(calloc(SLAB_ENTRIES, sizeof *slab));
    cache->slabs[cache->n_slabs++] = slab;
    for (size_t i = 0; i < SLAB_ENTRIES; i++) {
        slab[i].next_number = cache->unused;
        cache->unused = &slab[i];
    }
}

/* One turn of the hand at most takes every second chance away, the next finds what may go. */
static bool evict_one(struct account_cache *cache)
{
    size_t entries = cache->n_slabs * SLAB_ENTRIES;
    for (size_t steps = 0; steps < 2 * entries; steps++) {
        struct cached *c = &cache->slabs[cache->hand / SLAB_ENTRIES][cache->hand % SLAB_ENTRIES];
        cache->hand = (cache->hand + 1) % entries;
        if (!c->in_use || c->batch >= cache->pinned_from)
            continue;
        if (c->referenced) {
            c->referenced = false;
            continue;
        }
        unlink_entry(cache, c);
        return true;
    }
    return false;
}

struct account *account_cache_put(struct account_cache *cache, const struct account *account)
{
    struct cached *c = lookup(cache, account->ledger, account->number);
    if (c != NULL)
        return pin(cache, c);
    /* While everything is pinned an eviction costs a fruitless turn: grow by a slab instead and trim later.
     */
    if (cache->unused == NULL && (cache->size < cache->capacity || !evict_one(cache)))
        add_slab(cache);
    c = cache->unused;
    cache->unused = c->next_number;
    *c = (struct cached){.account = *account, .in_use = true};
    struct cached **bucket = number_bucket(cache, account->ledger, account->number);
    c->next_number = *bucket;
    *bucket = c;
    if (account->external_id.data != NULL) {
        char *copy = must(malloc(account->external_id.len + 1));
        memcpy(copy, account->external_id.data, account->external_id.len);
        c->account.external_id = (struct str){copy, account->external_id.len};
        bucket = external_bucket(cache, account->ledger, c->account.external_id);
        c->next_external = *bucket;
        *bucket = c;
    }
    cache->size++;
    return pin(cache, c);
}

void account_cache_drop(struct account_cache *cache, uint32_t ledger, uint64_t number)
{
    struct cached *c = lookup(cache, ledger, number);
    if (c != NULL)
        unlink_entry(cache, c);
}

void account_cache_clear(struct account_cache *cache)
{
    for (size_t i = 0; i < cache->n_slabs * SLAB_ENTRIES; i++) {
        struct cached *c = &cache->slabs[i / SLAB_ENTRIES][i % SLAB_ENTRIES];
        if (c->in_use)
            unlink_entry(cache, c);
    }
}

struct account *account_cache_peek(const struct account_cache *cache, uint32_t ledger, uint64_t number)
{
    struct cached *c = lookup(cache, ledger, number);
    return c != NULL ? &c->account : NULL;
}

void account_cache_clear_ledger(struct account_cache *cache, uint32_t ledger)
{
    for (size_t i = 0; i < cache->n_slabs * SLAB_ENTRIES; i++) {
        struct cached *c = &cache->slabs[i / SLAB_ENTRIES][i % SLAB_ENTRIES];
        if (c->in_use && c->account.ledger == ledger)
            unlink_entry(cache, c);
    }
}

void account_cache_unpin_all(struct account_cache *cache)
{
    cache->pinned_from = ++cache->batch;
}

void account_cache_next_batch(struct account_cache *cache)
{
    cache->pinned_from = cache->batch++;
}

void account_cache_unpin_previous(struct account_cache *cache)
{
    cache->pinned_from = cache->batch;
}

void account_cache_trim(struct account_cache *cache)
{
    while (cache->size > cache->capacity && evict_one(cache))
        ;
}

size_t account_cache_size(const struct account_cache *cache)
{
    return cache->size;
}
