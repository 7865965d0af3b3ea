/*
 * Rows that wait for db_insert(): what a projection folds, it puts down here as the values of its table, column by
 * column. The memory is kept from batch to batch. Text is borrowed until the flush.
 */
#ifndef CREDITLEDGER_READMODEL_ROWS_H
#define CREDITLEDGER_READMODEL_ROWS_H

#include "db/db.h"
#include "ledger/record.h"

struct rows {
    struct db_value *values;
    size_t n_values, cap;
    struct arena arena; /* for what is not borrowed; reset by the flush */
};

void rows_init(struct rows *r);
void rows_fini(struct rows *r);
void rows_clear(struct rows *r);
/* The next n values, to be filled in by the caller; good until the next call. */
struct db_value *rows_next(struct rows *r, size_t n);
/* Inserts all and forgets them, also on failure. */
MUST_CHECK int rows_flush(struct rows *r, struct db *db, const struct db_table *table, struct err *err);

static inline struct db_value db_uint(uint64_t value)
{
    return db_int(value > INT64_MAX ? INT64_MAX : (int64_t)value);
}
/* Borrows the id. */
static inline struct db_value db_uuid(const struct uuid *id)
{
    return db_bytes(id->bytes, sizeof id->bytes);
}
static inline struct db_value db_floor(struct floor floor)
{
    return floor.present ? db_int(floor.minor) : db_null();
}

/* The other way, out of results. */
static inline uint64_t value_uint(const struct db_value *value)
{
    return value->type == DB_INT && value->integer > 0 ? (uint64_t)value->integer : 0;
}
static inline struct str value_str(const struct db_value *value)
{
    return value->type == DB_TEXT ? value->bytes : STR_NONE;
}
static inline struct floor value_floor(const struct db_value *value)
{
    return (struct floor){value->type == DB_INT, value->type == DB_INT ? value->integer : 0};
}
struct uuid value_uuid(const struct db_value *value); /* zero if it is none */

#endif
