#include "readmodel/rows.h"

#include <stdlib.h>
#include <string.h>

void rows_init(struct rows *r)
{
    *r = (struct rows){0};
    arena_init(&r->arena, 65536);
}

void rows_fini(struct rows *r)
{
    free(r->values);
    arena_fini(&r->arena);
    r->values = NULL;
}

void rows_clear(struct rows *r)
{
    r->n_values = 0;
    arena_reset(&r->arena);
}

struct db_value *rows_next(struct rows *r, size_t n)
{
    if (r->n_values + n > r->cap) {
        r->cap = 2 * (r->n_values + n) + 256;
        r->values = realloc(r->values, r->cap * sizeof *r->values);
        INVARIANT(r->values != NULL);
    }
    struct db_value *values = &r->values[r->n_values];
    r->n_values += n;
    return values;
}

int rows_flush(struct rows *r, struct db *db, const struct db_table *table, struct err *err)
{
    INVARIANT_F(r->n_values % table->n_columns == 0, "%zu values for %s", r->n_values, table->name);
    int rc = db_insert(db, table, r->values, r->n_values / table->n_columns, NULL, err);
    rows_clear(r);
    return rc;
}

struct uuid value_uuid(const struct db_value *value)
{
    struct uuid id = {{0}};
    if (value->type == DB_BYTES && value->bytes.len == sizeof id.bytes)
        memcpy(id.bytes, value->bytes.data, sizeof id.bytes);
    return id;
}
