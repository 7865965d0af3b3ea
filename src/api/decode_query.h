/*
 * Query parameters, by one table: name, how its value is read, which routes have it. Unknown and repeated
 * ones are refused by name, like unknown fields. Pure.
 */
#ifndef CREDITLEDGER_API_DECODE_QUERY_H
#define CREDITLEDGER_API_DECODE_QUERY_H

#include "api/decode_body.h"
#include "api/routes.h"

/* A value is there if its has_ is set, its text not STR_NONE; limit and axis have their defaults. */
struct query {
    bool dry_run, atomic;
    bool has_at, has_known_at, has_from, has_to, has_account, has_kind;
    bool axis_effective;
    int64_t at, known_at, from, to;
    size_t limit;
    uint64_t after;
    int64_t wait_s;
    struct account_ref account;
    enum record_kind kind;
    struct str reference, cursor;
    uint64_t filter; /* hash of all parameters but cursor and limit, for cursor.h */
};

MUST_CHECK bool decode_query(
    enum route_id route, struct str query, struct arena *arena, struct query *ret_query, struct fault *fault);

#endif
