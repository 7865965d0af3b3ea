/*
 * Parameters and results of PostgreSQL in its binary format: big-endian integers, lengths before what is in an array. For
 * who writes SQL for PostgreSQL alone; db/db.h is for both databases.
 */
#ifndef CREDITLEDGER_DB_PG_VALUES_H
#define CREDITLEDGER_DB_PG_VALUES_H

#include <libpq-fe.h>

#include "base/str.h"
#include "base/uuid.h"

/* Object ids of types, as in the server's pg_type.dat. They are part of the protocol and never change. */
enum {
    PG_BOOL = 16,
    PG_BYTEA = 17,
    PG_INT8 = 20,
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_TEXT = 25,
    PG_BYTEA_ARRAY = 1001,
    PG_INT2_ARRAY = 1005,
    PG_INT4_ARRAY = 1007,
    PG_TEXT_ARRAY = 1009,
    PG_INT8_ARRAY = 1016,
};

#define PG_PARAMS_MAX 80

/* The parameters of one statement, in order. A scratch buffer: cleared and filled again for each. */
struct pg_params {
    struct strbuf bytes;
    size_t offsets[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX]; /* -1: NULL */
    Oid types[PG_PARAMS_MAX];
    int n;
    uint32_t elements; /* of the array that is being filled */
    bool has_null;
    bool in_array;
};

void pg_params_init(struct pg_params *p);
void pg_params_fini(struct pg_params *p);
void pg_params_clear(struct pg_params *p);

void pg_put_null(struct pg_params *p, Oid type);
void pg_put_null_array(struct pg_params *p, Oid element_type);
void pg_put_bool(struct pg_params *p, bool value);
void pg_put_int2(struct pg_params *p, int64_t value);
void pg_put_int4(struct pg_params *p, int64_t value); /* aborts if it does not fit, as int2 does */
void pg_put_int8(struct pg_params *p, int64_t value);
void pg_put_uint(struct pg_params *p, uint64_t value); /* int8; what does not fit becomes its largest */
void pg_put_str(struct pg_params *p, struct str s);    /* text; STR_NONE is NULL */
void pg_put_bytes(struct pg_params *p, const void *bytes, size_t len); /* bytea; NULL is NULL */

/* One parameter that is a one-dimensional array: begin, elements, end. The type is the element's (PG_INT8 ...). */
void pg_array_begin(struct pg_params *p, Oid element_type);
void pg_array_null(struct pg_params *p);
void pg_array_int2(struct pg_params *p, int64_t value);
void pg_array_int4(struct pg_params *p, int64_t value);
void pg_array_int8(struct pg_params *p, int64_t value);
void pg_array_uint(struct pg_params *p, uint64_t value); /* int8, as pg_put_uint() */
void pg_array_str(struct pg_params *p, struct str s);
void pg_array_bytes(struct pg_params *p, const void *bytes, size_t len);
void pg_array_end(struct pg_params *p);

/* Values of a result in binary format. Integers of 2, 4 and 8 bytes alike; NULL reads as 0. */
bool pg_is_null(const PGresult *result, int row, int column);
int64_t pg_int(const PGresult *result, int row, int column);
uint64_t pg_uint(const PGresult *result, int row, int column);
bool pg_bool(const PGresult *result, int row, int column);
struct str pg_str(
    const PGresult *result, int row, int column); /* borrows from the result; NULL is STR_NONE */
/* False unless the column holds exactly len bytes. */
MUST_CHECK bool pg_bytes(const PGresult *result, int row, int column, void *ret_bytes, size_t len);
/* The UUID whose first 64 and last 18 bits are in two columns, and that carries `counter`. */
MUST_CHECK bool pg_uuid(const PGresult *result, int row, int column, uint64_t counter, struct uuid *ret_id);
/* Copies to a fixed, NUL-terminated field; false if it does not fit. */
MUST_CHECK bool pg_name(const PGresult *result, int row, int column, char *ret_name, size_t size);

#endif
