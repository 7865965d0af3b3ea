/*
 * What the in-memory journal refuses, so that it can break I1 to I8 no more than a database can: the same
 * rules as the SQLite triggers. A record is taken part by part (account, revisions, entries, lots) and sealed
 * last; each part is checked against what is there, its predecessors in the record included. Private to
 * journal/memory*.c.
 */
#ifndef CREDITLEDGER_JOURNAL_MEMORY_CHECK_H
#define CREDITLEDGER_JOURNAL_MEMORY_CHECK_H

#include "journal/memory_store.h"

MUST_CHECK int mem_check_asset(const struct mem_store *store, const struct asset *asset, struct err *err);
MUST_CHECK int mem_check_ledger(const struct mem_store *store, const struct ledger_row *row, struct err *err);

/*
 * Puts one record in, or refuses it (ERR_CONFLICT, "I4: ...") and leaves nothing of it. The store keeps the
 * record, which must live in its arena.
 */
MUST_CHECK int mem_append_record(struct mem_store *store, struct record *record, struct err *err);

/* The record as a whole, after all its parts (memory_seal.c). */
MUST_CHECK int mem_check_seal(const struct mem_ledger *ledger, const struct record *record, struct err *err);

#endif
