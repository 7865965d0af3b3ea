/*
 * Query parameters, by one table: name, how its value is read, which routes have it. Unknown and repeated
 * ones are refused by name, like unknown fields. Pure.
 */
#ifndef CREDITLEDGER_API_DECODE_QUERY_H
#define CREDITLEDGER_API_DECODE_QUERY_H

#include "api/decode_body.h"
#include "api/routes.h"

/* What a read is answered from. Left out, the route and the server choose. */
enum consistency { CONSISTENCY_ANY, CONSISTENCY_STRONG, CONSISTENCY_EVENTUAL };

/* A value is there if its has_ is set, its text not STR_NONE; limit and axis have their defaults. */
struct query {
    bool dry_run, atomic;
    bool has_at, has_known_at, has_from, has_to, has_account, has_kind, has_least, has_most;
    bool axis_effective;
    int64_t at, known_at, from, to; /* of an activity: midnights */
    size_t limit;
    uint64_t after;
    int64_t wait_s;
    struct account_ref account;
    enum record_kind kind;
    struct str reference, cursor, currency;
    int64_t least, most; /* amounts, minor units */
    struct {
        struct str key, value;
    } metadata[LIMIT_METADATA_FILTERS_MAX]; /* in order of their keys */
    size_t n_metadata;
    enum consistency consistency;
    uint64_t filter; /* hash of all parameters but cursor, limit and consistency, for cursor.h */
};

MUST_CHECK bool decode_query(
    enum route_id route, struct str query, struct arena *arena, struct query *ret_query, struct fault *fault);

#endif
