/*
 * The in-memory journal's data: append-only arrays, one store a database name, shared by its handles. What a
 * reader may see is told by lengths (a ledger's records up to a seq), so a snapshot is a few remembered
 * numbers and never makes the writer wait. Callers hold the store's lock. Private to journal/memory*.c.
 */
#ifndef CREDITLEDGER_JOURNAL_MEMORY_STORE_H
#define CREDITLEDGER_JOURNAL_MEMORY_STORE_H

#include <pthread.h>

#include "journal/journal.h"

struct mem_entry {
    const struct entry *entry;
    uint64_t seq;
};

struct mem_revision {
    const struct revision_row *row;
    uint64_t seq;
};

struct mem_lot {
    const struct lot *lot;
    uint64_t seq;
};

struct mem_account {
    const struct account_row *row;
    struct mem_revision *revisions; /* [revision - 1] */
    struct mem_entry *entries;      /* [version - 1] */
    uint64_t *late;                 /* versions of backdated entries, by (effective_at, version) */
    size_t n_revisions, cap_revisions, n_entries, cap_entries, n_late, cap_late;
};

struct mem_record {
    struct record *record; /* a copy in the store's arena; only an erasure changes it, and only its text */
    struct mem_lot *lots;  /* of which it is the origin, in the order they were appended */
    size_t n_lots, cap_lots;
};

/* Finds numbers by a hash of what they stand for. Rows that were taken back stay in it: the finder compares.
 */
struct mem_index {
    struct mem_slot {
        uint64_t hash, value; /* value 0: free */
    } * slots;
    size_t n, cap; /* cap is a power of two */
};

struct mem_ledger {
    struct ledger_row row;
    uint8_t genesis[HASH_LEN];
    struct mem_record *records;    /* [seq - 1] */
    struct mem_account **accounts; /* [number - 1] */
    size_t n_records, cap_records, n_accounts, cap_accounts;
    struct mem_index keys, external_ids;
};

struct mem_store {
    struct mem_store *next; /* in the list of all stores */
    char *name;
    unsigned handles;
    bool has_writer, shared;
    pthread_rwlock_t lock; /* over all that follows */
    const void *holder;    /* shared: the handle that holds the ledgers' locks */
    struct arena arena;
    struct mem_ledger **ledgers; /* [id - 1] */
    struct asset *assets;        /* [id - 1] */
    size_t n_ledgers, cap_ledgers, n_assets, cap_assets;
};

struct mem_store *mem_store_new(const char *name);
void mem_store_free(struct mem_store *store);

struct mem_ledger *mem_ledger(const struct mem_store *store, uint32_t id);         /* NULL if none */
struct mem_account *mem_account(const struct mem_ledger *ledger, uint64_t number); /* NULL if none */
const struct record *mem_record(const struct mem_ledger *ledger, uint64_t seq);    /* NULL if none */
struct mem_account *mem_account_by_external_id(const struct mem_ledger *ledger, struct str external_id);
const struct record *mem_record_by_key(const struct mem_ledger *ledger, struct str key);
/* The newest version of a lot as of `seq`; NULL if there is none. */
const struct lot *mem_lot_newest(
    const struct mem_ledger *ledger, uint64_t origin, uint32_t leg, enum lot_kind kind, uint64_t seq);

/* All of a record, its rows included, copied to `arena`. */
struct record *mem_record_copy(const struct record *record, bool with_text, struct arena *arena);

/* Where the late entries with (effective_at, version) after the given pair begin. */
size_t mem_late_after(const struct mem_account *account, int64_t effective_at, uint64_t version);

void mem_add_asset(struct mem_store *store, const struct asset *asset);
void mem_add_ledger(struct mem_store *store, const struct ledger_row *row, const uint8_t genesis[HASH_LEN]);

/* The parts of a record and its seal, each after its check (journal/memory_check.h); they borrow from the
 * record. */
void mem_put_account(struct mem_ledger *ledger, const struct account_row *row);
void mem_put_revision(struct mem_account *account, const struct revision_row *row, uint64_t seq);
void mem_put_entry(struct mem_account *account, const struct entry *entry, uint64_t seq);
void mem_put_lot(struct mem_ledger *ledger, const struct lot *lot, uint64_t seq);
void mem_put_record(struct mem_ledger *ledger, struct record *record);
/* Takes back a record, or as many of its parts as got in; the newest first. */
void mem_take_back(struct mem_ledger *ledger, const struct record *record);
/* Takes back what came in after the store had so many. */
void mem_shrink(struct mem_store *store, size_t n_assets, size_t n_ledgers);

#endif
