/*
 * The assets of a database as one snapshot shows them, by number: for commands that read records beside a
 * live server, whose catalog may be older than the records. One thread.
 */
#ifndef CREDITLEDGER_APP_ASSET_TABLE_H
#define CREDITLEDGER_APP_ASSET_TABLE_H

#include "journal/journal.h"

struct asset_table {
    struct asset *rows; /* by id; a row that does not exist has id 0 */
    size_t n;
};

/* Within the caller's snapshot. On failure nothing is kept. */
MUST_CHECK int asset_table_load(struct journal *j, struct asset_table *ret_table, struct err *err);
void asset_table_fini(struct asset_table *table);
/* ERR_CORRUPT for a number that no row has. */
MUST_CHECK int asset_table_find(
    const struct asset_table *table, uint32_t id, const struct asset **ret_asset, struct err *err);

#endif
