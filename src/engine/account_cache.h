/*
 * The engine's bounded cache of account heads, found by number or by external id. Entries used since
 * account_cache_unpin_all() stay until the next call of it, so that pointers are good for one batch. While
 * that batch is committed the next one is decided: account_cache_next_batch() keeps what both use, and
 * account_cache_unpin_previous() lets go of what only the first one did. A batch that names more accounts than the capacity makes the cache grow for its duration, and account_cache_trim()
 * brings it back. Which entries go is decided by the clock algorithm (second chance). One thread.
 */
#ifndef CREDITLEDGER_ENGINE_ACCOUNT_CACHE_H
#define CREDITLEDGER_ENGINE_ACCOUNT_CACHE_H

#include "ledger/account.h"

struct account_cache;

struct account_cache *account_cache_new(size_t capacity, uint64_t seed);
void account_cache_free(struct account_cache *cache);

/* NULL: not here. Pins what it returns. */
struct account *account_cache_get(struct account_cache *cache, uint32_t ledger, uint64_t number);
struct account *account_cache_find(struct account_cache *cache, uint32_t ledger, struct str external_id);
/* Copies the account, external id included, unless it is here already (then that one is returned, unchanged).
 */
struct account *account_cache_put(struct account_cache *cache, const struct account *account);
void account_cache_drop(struct account_cache *cache, uint32_t ledger, uint64_t number);
void account_cache_clear(struct account_cache *cache);

/* NULL: not here. Pins nothing, and is no use of it. */
struct account *account_cache_peek(const struct account_cache *cache, uint32_t ledger, uint64_t number);
void account_cache_clear_ledger(struct account_cache *cache, uint32_t ledger);

/* A new batch: nothing is pinned yet. */
void account_cache_unpin_all(struct account_cache *cache);
/* A new batch, while the accounts of the one before it stay pinned. */
void account_cache_next_batch(struct account_cache *cache);
/* The batch before has its outcome. */
void account_cache_unpin_previous(struct account_cache *cache);
/* Evicts down to the capacity what is not pinned. */
void account_cache_trim(struct account_cache *cache);
size_t account_cache_size(const struct account_cache *cache);

#endif
