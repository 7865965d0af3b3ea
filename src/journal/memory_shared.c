#include "journal/memory_shared.h"

#include <string.h>

/* The journal has the known head in it; an empty ledger's is its genesis. */
static bool has_head(const struct mem_ledger *ledger, const struct ledger_known *known)
{
    if (known->seq == 0)
        return true;
    const struct record *record = mem_record(ledger, known->seq);
    return record != NULL && memcmp(record->hash, known->hash, HASH_LEN) == 0;
}

static bool has_record(const struct mem_store *store, const struct record *record)
{
    const struct mem_ledger *ledger = mem_ledger(store, record->ledger);
    const struct record *found = ledger != NULL ? mem_record(ledger, record->seq) : NULL;
    return found != NULL && memcmp(found->hash, record->hash, HASH_LEN) == 0;
}

static bool is_there(const struct mem_store *store, const struct journal_batch *batch)
{
    bool there = batch->n_records + batch->n_assets + batch->n_ledgers > 0;
    for (size_t i = 0; there && i < batch->n_records; i++)
        there = has_record(store, batch->records[i]);
    for (size_t i = 0; there && i < batch->n_assets; i++)
        there = batch->assets[i].id <= store->n_assets &&
                strcmp(store->assets[batch->assets[i].id - 1].code, batch->assets[i].code) == 0;
    for (size_t i = 0; there && i < batch->n_ledgers; i++) {
        const struct mem_ledger *ledger = mem_ledger(store, batch->ledgers[i].id);
        there = ledger != NULL && strcmp(ledger->row.name, batch->ledgers[i].name) == 0;
    }
    return there;
}

int mem_shared_check(
    const struct mem_store *store, const struct journal_batch *batch, bool *ret_there, struct err *err)
{
    *ret_there = batch->again && is_there(store, batch);
    if (*ret_there)
        return 0;
    for (size_t i = 0; i < batch->n_known; i++) {
        const struct mem_ledger *ledger = mem_ledger(store, batch->known[i].ledger);
        if (ledger == NULL || ledger->n_records != batch->known[i].seq || !has_head(ledger, &batch->known[i]))
            return err_set(err, ERR_CONFLICT, "ledger %u has another head", batch->known[i].ledger);
    }
    for (size_t i = 0; i < batch->n_records; i++) {
        const struct record *record = batch->records[i];
        const struct mem_ledger *ledger = mem_ledger(store, record->ledger);
        if (record->idempotency_key.data != NULL && ledger != NULL &&
            mem_record_by_key(ledger, record->idempotency_key) != NULL)
            return err_set(err, ERR_DUPLICATE, "key " STR_FMT " is in ledger %u",
                STR_ARG(record->idempotency_key), record->ledger);
    }
    return 0;
}

void mem_shared_news(const struct mem_store *store, const struct ledger_known *known, size_t n,
    size_t max_entries, struct ledger_news *ret_news, uint64_t *ret_last)
{
    for (size_t i = 0; i < n; i++) {
        const struct mem_ledger *ledger = mem_ledger(store, known[i].ledger);
        struct ledger_news *news = &ret_news[i];
        *news = (struct ledger_news){.lost = ledger == NULL || !has_head(ledger, &known[i])};
        ret_last[i] = known[i].seq;
        if (news->lost)
            continue;
        size_t entries = 0;
        for (uint64_t seq = known[i].seq + 1; seq <= ledger->n_records; seq++)
            entries += mem_record(ledger, seq)->n_entries;
        news->too_many = entries > max_entries;
        if (!news->too_many)
            ret_last[i] = ledger->n_records;
        const struct record *record = mem_record(ledger, ledger->n_records);
        news->head = (struct ledger_head){.seq = ledger->n_records,
            .accounts = ledger->n_accounts,
            .recorded_at = record != NULL ? record->recorded_at : ledger->row.created_at};
        memcpy(news->head.hash, record != NULL ? record->hash : ledger->genesis, HASH_LEN);
    }
}
