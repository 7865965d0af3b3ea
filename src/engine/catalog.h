/*
 * The ledgers and assets of a database, and how far each ledger's journal has got: small, append-only, in
 * memory, safe from any thread. Rows never move, so pointers stay valid for the catalog's life. In a shared
 * journal other processes add rows and records too: several threads may refresh, each through a handle of its own.
 */
#ifndef CREDITLEDGER_ENGINE_CATALOG_H
#define CREDITLEDGER_ENGINE_CATALOG_H

#include "journal/journal.h"

struct catalog;

/* Reads both tables and all heads through the handle, which is not kept. */
MUST_CHECK int catalog_new(struct journal *j, struct catalog **ret_catalog, struct err *err);
void catalog_free(struct catalog *catalog);
/* Reads again what other writers of the database may have added. Any thread; the handle is the caller's. ERR_LOST: rows
 * that were committed are gone, or are others. */
MUST_CHECK int catalog_refresh(struct catalog *catalog, struct journal *j, struct err *err);

const struct ledger_row *catalog_ledger(const struct catalog *catalog, uint32_t id); /* NULL: none */
const struct ledger_row *catalog_ledger_by_name(
    const struct catalog *catalog, struct str name);                                       /* NULL: none */
const struct asset *catalog_asset(const struct catalog *catalog, uint32_t id);             /* NULL: none */
const struct asset *catalog_asset_by_code(const struct catalog *catalog, struct str code); /* NULL: none */
size_t catalog_ledgers(const struct catalog *catalog);                                     /* ids are 1..n */
size_t catalog_assets(const struct catalog *catalog);                                      /* ids are 1..n */

/* The last committed seq of a ledger. */
uint64_t catalog_head_seq(const struct catalog *catalog, uint32_t ledger);

/* Rows and heads known to be committed. Any thread; rows that are here already stay, and a head never goes back. */
void catalog_add_ledger(struct catalog *catalog, const struct ledger_row *row);
void catalog_add_asset(struct catalog *catalog, const struct asset *row);
/* Of an asset that is about to be committed, before it is: from the commit on readers see accounts of that
 * asset, and find it here by its id. It has no name and does not count until it is added. For the only writer
 * of a database: in a shared one the number may become another asset's. */
void catalog_announce_asset(struct catalog *catalog, const struct asset *row);
void catalog_reached(struct catalog *catalog, uint32_t ledger, uint64_t seq);

#endif
