/*
 * How far the read model is, and the names it has numbers for: ledgers, assets, which facts of which records are here,
 * whose text was erased. Loaded once and kept in memory, for one projector writes at a time (its serial says so); what
 * changed is written with the batch.
 *
 * A ledger is at `seq` when every fact of every record up to it is here. Of the records beyond, it is kept which of their
 * facts came: topics have partitions, and those do not wait for each other.
 */
#ifndef CREDITLEDGER_READMODEL_PROGRESS_H
#define CREDITLEDGER_READMODEL_PROGRESS_H

#include "db/db.h"
#include "money/asset.h"
#include "readmodel/fact.h"

struct progress;

struct progress_ledger {
    char name[LIMIT_LEDGER_NAME_MAX + 1];
    uint64_t seq, most_seq;
    int64_t recorded_at; /* of record `seq` */
    bool changed;
    bool passed; /* records that are written as incomplete are complete and behind */
};

extern const char progress_ddl[];

struct progress *progress_new(void);
void progress_free(struct progress *p);
MUST_CHECK int progress_load(struct progress *p, struct db *db, struct err *err);

/* Numbers from 1, given when a name is first met. An asset's scale is that of its first fact. */
uint32_t progress_ledger_id(struct progress *p, struct str name);
uint32_t progress_asset_id(struct progress *p, struct str code, uint8_t scale);
size_t progress_ledgers(const struct progress *p);
const struct progress_ledger *progress_ledger(const struct progress *p, uint32_t id);

bool progress_has(const struct progress *p, uint32_t ledger, const struct fact *fact);
void progress_mark(struct progress *p, uint32_t ledger, const struct fact *fact); /* it is here now */

void progress_erase(struct progress *p, uint32_t ledger, uint64_t seq); /* the text of that record is gone */
bool progress_erased(const struct progress *p, uint32_t ledger, uint64_t seq);

MUST_CHECK int progress_flush(struct progress *p, struct db *db, struct err *err);

#endif
