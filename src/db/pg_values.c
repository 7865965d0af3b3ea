/* Parameters and results in PostgreSQL's binary format: big-endian integers, lengths before what is in an array. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "db/pg_values.h"

/* ---- parameters ---- */

void pg_params_init(struct pg_params *p)
{
    *p = (struct pg_params){0};
    strbuf_init(&p->bytes);
}

void pg_params_fini(struct pg_params *p)
{
    strbuf_fini(&p->bytes);
}

void pg_params_clear(struct pg_params *p)
{
    strbuf_clear(&p->bytes);
    p->n = 0;
    p->in_array = false;
}

static void put_u16(struct pg_params *p, uint16_t value)
{
    value = htobe16(value);
    strbuf_add(&p->bytes, &value, sizeof value);
}

static void put_u32(struct pg_params *p, uint32_t value)
{
    value = htobe32(value);
    strbuf_add(&p->bytes, &value, sizeof value);
}

static void put_u64(struct pg_params *p, uint64_t value)
{
    value = htobe64(value);
    strbuf_add(&p->bytes, &value, sizeof value);
}

static int64_t as_int8(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int param_begin(struct pg_params *p, Oid type)
{
    INVARIANT(p->n < PG_PARAMS_MAX && !p->in_array);
    int i = p->n++;
    p->types[i] = type;
    p->offsets[i] = p->bytes.len;
    return i;
}

static void param_end(struct pg_params *p, int i)
{
    size_t length = p->bytes.len - p->offsets[i];
    INVARIANT(length <= INT32_MAX);
    p->lengths[i] = (int)length;
    if (length == 0)
        strbuf_char(&p->bytes, '\0'); /* an empty value still needs an address */
}

void pg_put_null(struct pg_params *p, Oid type)
{
    p->lengths[param_begin(p, type)] = -1;
}

void pg_put_bool(struct pg_params *p, bool value)
{
    int i = param_begin(p, PG_BOOL);
    strbuf_char(&p->bytes, value ? 1 : 0);
    param_end(p, i);
}

void pg_put_int2(struct pg_params *p, int64_t value)
{
    INVARIANT(value >= INT16_MIN && value <= INT16_MAX);
    int i = param_begin(p, PG_INT2);
    put_u16(p, (uint16_t)value);
    param_end(p, i);
}

void pg_put_int4(struct pg_params *p, int64_t value)
{
    INVARIANT(value >= INT32_MIN && value <= INT32_MAX);
    int i = param_begin(p, PG_INT4);
    put_u32(p, (uint32_t)value);
    param_end(p, i);
}

void pg_put_int8(struct pg_params *p, int64_t value)
{
    int i = param_begin(p, PG_INT8);
    put_u64(p, (uint64_t)value);
    param_end(p, i);
}

void pg_put_uint(struct pg_params *p, uint64_t value)
{
    pg_put_int8(p, as_int8(value));
}

void pg_put_str(struct pg_params *p, struct str s)
{
    if (s.data == NULL) {
        pg_put_null(p, PG_TEXT);
        return;
    }
    int i = param_begin(p, PG_TEXT);
    strbuf_str(&p->bytes, s);
    param_end(p, i);
}

void pg_put_bytes(struct pg_params *p, const void *bytes, size_t len)
{
    if (bytes == NULL) {
        pg_put_null(p, PG_BYTEA);
        return;
    }
    int i = param_begin(p, PG_BYTEA);
    strbuf_add(&p->bytes, bytes, len);
    param_end(p, i);
}

/* ---- arrays ---- */

/* The head of an array: dimensions, whether there are NULLs, the element's type; then per dimension its length and
 * lower bound. */
enum { ARRAY_HAS_NULL = 4, ARRAY_LENGTH = 12, ARRAY_HEAD = 20 };

static Oid array_type(Oid element_type)
{
    switch (element_type) {
    case PG_INT2:
        return PG_INT2_ARRAY;
    case PG_INT4:
        return PG_INT4_ARRAY;
    case PG_INT8:
        return PG_INT8_ARRAY;
    case PG_TEXT:
        return PG_TEXT_ARRAY;
    case PG_BYTEA:
        return PG_BYTEA_ARRAY;
    default:
        INVARIANT_F(false, "type %u", element_type);
        return 0;
    }
}

void pg_put_null_array(struct pg_params *p, Oid element_type)
{
    pg_put_null(p, array_type(element_type));
}

void pg_array_begin(struct pg_params *p, Oid element_type)
{
    param_begin(p, array_type(element_type));
    put_u32(p, 1);
    put_u32(p, 0);
    put_u32(p, element_type);
    put_u32(p, 0);
    put_u32(p, 1);
    p->elements = 0;
    p->has_null = false;
    p->in_array = true;
}

void pg_array_null(struct pg_params *p)
{
    INVARIANT(p->in_array);
    put_u32(p, UINT32_MAX);
    p->has_null = true;
    p->elements++;
}

void pg_array_int2(struct pg_params *p, int64_t value)
{
    INVARIANT(p->in_array && value >= INT16_MIN && value <= INT16_MAX);
    put_u32(p, 2);
    put_u16(p, (uint16_t)value);
    p->elements++;
}

void pg_array_int4(struct pg_params *p, int64_t value)
{
    INVARIANT(p->in_array && value >= INT32_MIN && value <= INT32_MAX);
    put_u32(p, 4);
    put_u32(p, (uint32_t)value);
    p->elements++;
}

void pg_array_int8(struct pg_params *p, int64_t value)
{
    INVARIANT(p->in_array);
    put_u32(p, 8);
    put_u64(p, (uint64_t)value);
    p->elements++;
}

void pg_array_uint(struct pg_params *p, uint64_t value)
{
    pg_array_int8(p, as_int8(value));
}

void pg_array_str(struct pg_params *p, struct str s)
{
    pg_array_bytes(p, s.data, s.len);
}

void pg_array_bytes(struct pg_params *p, const void *bytes, size_t len)
{
    INVARIANT(p->in_array && len <= INT32_MAX);
    if (bytes == NULL) {
        pg_array_null(p);
        return;
    }
    put_u32(p, (uint32_t)len);
    strbuf_add(&p->bytes, bytes, len);
    p->elements++;
}

/* Before the last array's begin nothing needed it; now the head is completed. */
void pg_array_end(struct pg_params *p)
{
    INVARIANT(p->in_array);
    p->in_array = false;
    int i = p->n - 1;
    uint32_t has_null = htobe32(p->has_null), elements = htobe32(p->elements);
    char *head = p->bytes.data + p->offsets[i];
    if (p->elements == 0) { /* an empty array has no dimension */
        memset(head, 0, 4);
        p->bytes.len = p->offsets[i] + ARRAY_LENGTH;
    } else {
        memcpy(head + ARRAY_HAS_NULL, &has_null, 4);
        memcpy(head + ARRAY_LENGTH, &elements, 4);
    }
    param_end(p, i);
}

/* ---- results ---- */

bool pg_is_null(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column);
}

int64_t pg_int(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return 0;
    const char *bytes = PQgetvalue(result, row, column);
    int length = PQgetlength(result, row, column);
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    switch (length) {
    case 8:
        memcpy(&u64, bytes, 8);
        return (int64_t)be64toh(u64);
    case 4:
        memcpy(&u32, bytes, 4);
        return (int32_t)be32toh(u32);
    case 2:
        memcpy(&u16, bytes, 2);
        return (int16_t)be16toh(u16);
    default:
        INVARIANT_F(false, "column %s has %d bytes", PQfname(result, column), length);
        return 0;
    }
}

uint64_t pg_uint(const PGresult *result, int row, int column)
{
    return (uint64_t)pg_int(result, row, column);
}

bool pg_bool(const PGresult *result, int row, int column)
{
    return !PQgetisnull(result, row, column) && PQgetvalue(result, row, column)[0] != 0;
}

struct str pg_str(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return STR_NONE;
    return (struct str){PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column)};
}

bool pg_bytes(const PGresult *result, int row, int column, void *ret_bytes, size_t len)
{
    if (PQgetisnull(result, row, column) || (size_t)PQgetlength(result, row, column) != len)
        return false;
    memcpy(ret_bytes, PQgetvalue(result, row, column), len);
    return true;
}

bool pg_uuid(const PGresult *result, int row, int column, uint64_t counter, struct uuid *ret_id)
{
    *ret_id = uuid_around(counter, pg_uint(result, row, column), (uint32_t)pg_uint(result, row, column + 1));
    return !PQgetisnull(result, row, column) && counter <= UUID_COUNTER_MAX;
}

bool pg_name(const PGresult *result, int row, int column, char *ret_name, size_t size)
{
    struct str name = pg_str(result, row, column);
    if (name.data == NULL || name.len >= size)
        return false;
    memcpy(ret_name, name.data, name.len);
    ret_name[name.len] = '\0';
    return true;
}
