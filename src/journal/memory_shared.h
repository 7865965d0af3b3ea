/*
 * The in-memory journal as a shared one (journal_options.shared): several handles write, each for a process of its
 * own as it were, so that what an engine does among others can be tried move by move. One lock for the whole store
 * stands for the locks of its ledgers; who meets it is told ERR_BUSY instead of waiting, because the holder may be on
 * the same thread. Callers hold the store's read-write lock. Private to journal/memory*.c.
 */
#ifndef CREDITLEDGER_JOURNAL_MEMORY_SHARED_H
#define CREDITLEDGER_JOURNAL_MEMORY_SHARED_H

#include "journal/memory_store.h"

/* Whether the batch continues the journal: ERR_CONFLICT, ERR_DUPLICATE. *ret_there: it is asked for again, and is in
 * the journal. */
MUST_CHECK int mem_shared_check(
    const struct mem_store *store, const struct journal_batch *batch, bool *ret_there, struct err *err);

/* catch_up() without its visits: *ret_last gets, for each known ledger, how far to visit; known seq if not at all. */
void mem_shared_news(const struct mem_store *store, const struct ledger_known *known, size_t n,
    size_t max_entries, struct ledger_news *ret_news, uint64_t *ret_last);

#endif
