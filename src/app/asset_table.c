#include "app/asset_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int add_row(void *ctx, const struct asset *row)
{
    struct asset_table *table = ctx;
    if (row->id == 0 || row->id > LIMIT_ASSETS_MAX)
        return ERR_CORRUPT;
    if (row->id >= table->n) {
        size_t n = row->id + 1u;
        table->rows = reallocarray(table->rows, n, sizeof *table->rows);
        INVARIANT(table->rows != NULL);
        memset(table->rows + table->n, 0, (n - table->n) * sizeof *table->rows);
        table->n = n;
    }
    table->rows[row->id] = *row;
    return 0;
}

int asset_table_load(struct journal *j, struct asset_table *ret_table, struct err *err)
{
    *ret_table = (struct asset_table){0};
    int rc = j->ops->assets(j, add_row, ret_table, err);
    if (rc == ERR_CORRUPT)
        err_set(err, rc, "an asset has a number out of range");
    if (rc != 0)
        asset_table_fini(ret_table);
    return rc;
}

void asset_table_fini(struct asset_table *table)
{
    free(table->rows);
    *table = (struct asset_table){0};
}

int asset_table_find(
    const struct asset_table *table, uint32_t id, const struct asset **ret_asset, struct err *err)
{
    if (id >= table->n || table->rows[id].id == 0)
        return err_set(err, ERR_CORRUPT, "asset %" PRIu32 " does not exist: run 'creditledger verify'", id);
    *ret_asset = &table->rows[id];
    return 0;
}
