/*
 * Writing JSON: values appended to a strbuf, compact, commas placed by what stands last in the buffer.
 * Members of an object are a key and then a value, or one of the *_member functions. Amounts are integers, or
 * strings of digits when the client asked for that. Strings are escaped; bytes that are no UTF-8 become
 * U+FFFD, so that the output is JSON whatever came in. Pure.
 */
#ifndef CREDITLEDGER_API_JSON_OUT_H
#define CREDITLEDGER_API_JSON_OUT_H

#include "base/str.h"
#include "base/uuid.h"
#include "ledger/record.h"
#include "money/amount.h"

struct json_out {
    struct strbuf *b;
    bool amount_strings; /* Prefer: amounts=string */
};

void out_begin(struct json_out *o, char open);     /* '{' or '[' */
void out_end(struct json_out *o, char close);      /* '}' or ']' */
void out_key(struct json_out *o, const char *key); /* static text that needs no escape */

void out_str(struct json_out *o, struct str s); /* STR_NONE is null */
void out_int(struct json_out *o, int64_t value);
void out_uint(struct json_out *o, uint64_t value);
void out_amount(struct json_out *o, int64_t amount_minor);
void out_sum(struct json_out *o, amount_sum sum_minor); /* of amounts; may have more than 64 bits */
void out_bool(struct json_out *o, bool value);
void out_null(struct json_out *o);
void out_uuid(struct json_out *o, struct uuid id);
void out_instant(struct json_out *o, int64_t instant);
void out_floor(struct json_out *o, struct floor floor); /* null without one */
void out_raw(struct json_out *o, struct str json);      /* a whole value, already JSON */
void out_next(struct json_out *o); /* the comma, if one is due, before a value that somebody else appends */

void out_str_member(struct json_out *o, const char *key, struct str s);
void out_c_member(struct json_out *o, const char *key, const char *nul_terminated); /* NULL is null */
void out_int_member(struct json_out *o, const char *key, int64_t value);
void out_uint_member(struct json_out *o, const char *key, uint64_t value);
void out_amount_member(struct json_out *o, const char *key, int64_t amount_minor);
void out_sum_member(struct json_out *o, const char *key, amount_sum sum_minor);
void out_bool_member(struct json_out *o, const char *key, bool value);
void out_null_member(struct json_out *o, const char *key);
void out_uuid_member(struct json_out *o, const char *key, struct uuid id);
void out_instant_member(struct json_out *o, const char *key, int64_t instant);
void out_floor_member(struct json_out *o, const char *key, struct floor floor);

/* The string with its quotes, alone. */
void json_escape(struct strbuf *b, struct str s);

#endif
