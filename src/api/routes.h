/*
 * The routes of the API: one table gives matching, scopes, body limits, `Allow`, and what the test of the
 * OpenAPI contract is held against. A path of a route with a ledger may have `/ledgers/{ledger}` before it,
 * and acts on `main` without. HEAD is answered as GET. Pure.
 */
#ifndef CREDITLEDGER_API_ROUTES_H
#define CREDITLEDGER_API_ROUTES_H

#include "api/message.h"
#include "base/arena.h"
#include "ledger/refusal.h"

/* X(NAME, METHOD, pattern, access, scope of the path, body, dry-run-able) */
#define ROUTE_TABLE(X) \
    X(CREATE_LEDGER, POST, "/ledgers", ADMIN, GLOBAL, JSON, true) \
    X(LIST_LEDGERS, GET, "/ledgers", READ, GLOBAL, NONE, false) \
    X(DECLARE_ASSET, POST, "/assets", ADMIN, GLOBAL, JSON, true) \
    X(LIST_ASSETS, GET, "/assets", READ, GLOBAL, NONE, false) \
    X(OPEN_ACCOUNT, POST, "/accounts", POST, LEDGER, JSON, true) \
    X(LIST_ACCOUNTS, GET, "/accounts", READ, LEDGER, NONE, false) \
    X(GET_ACCOUNT, GET, "/accounts/{account}", READ, LEDGER, NONE, false) \
    X(REVISE_ACCOUNT, PATCH, "/accounts/{account}", ADMIN, LEDGER, JSON, true) \
    X(GET_BALANCE, GET, "/accounts/{account}/balance", READ, LEDGER, NONE, false) \
    X(GET_STATEMENT, GET, "/accounts/{account}/statements", READ, LEDGER, NONE, false) \
    X(GET_ACTIVITY, GET, "/accounts/{account}/activity", READ, LEDGER, NONE, false) \
    X(CREDIT_ACCOUNT, POST, "/accounts/{account}/credits", POST, LEDGER, JSON, true) \
    X(DEBIT_ACCOUNT, POST, "/accounts/{account}/debits", POST, LEDGER, JSON, true) \
    X(CREATE_TRANSFER, POST, "/transfers", POST, LEDGER, JSON, true) \
    X(LIST_TRANSFERS, GET, "/transfers", READ, LEDGER, NONE, false) \
    X(POST_BATCH, POST, "/transfers/batch", POST, LEDGER, BULK, true) \
    X(GET_TRANSFER, GET, "/transfers/{transferId}", READ, LEDGER, NONE, false) \
    X(REVERSE_TRANSFER, POST, "/transfers/{transferId}/reverse", POST, LEDGER, JSON, true) \
    X(CREATE_TRANSACTION, POST, "/transactions", POST, LEDGER, JSON, true) \
    X(GET_TOTALS, GET, "/totals", READ, LEDGER, NONE, false) \
    X(LIST_EVENTS, GET, "/events", READ, LEDGER, NONE, false) \
    X(HEALTH, GET, "/healthz", OPEN, GLOBAL, NONE, false) \
    X(READINESS, GET, "/readyz", OPEN, GLOBAL, NONE, false) \
    X(METRICS, GET, "/metrics", READ, GLOBAL, NONE, false) \
    X(OPENAPI, GET, "/openapi.yaml", OPEN, GLOBAL, NONE, false) \
    X(API_PAGE, GET, "/api", OPEN, GLOBAL, NONE, false) \
    X(API_PAGE_SLASH, GET, "/api/", OPEN, GLOBAL, NONE, false) \
    X(API_FILE, GET, "/api/{file}", OPEN, GLOBAL, NONE, false)

enum route_id {
#define X(NAME, method, pattern, access, place, body, dry_run) ROUTE_##NAME,
    ROUTE_TABLE(X)
#undef X
        ROUTES_N
};

enum route_access { ROUTE_ACCESS_OPEN, ROUTE_ACCESS_READ, ROUTE_ACCESS_POST, ROUTE_ACCESS_ADMIN };
enum route_place { ROUTE_PLACE_GLOBAL, ROUTE_PLACE_LEDGER };
enum route_body { ROUTE_BODY_NONE, ROUTE_BODY_JSON, ROUTE_BODY_BULK };

struct route {
    enum route_id id;
    enum api_method method;
    const char *pattern;
    enum route_access access;
    enum route_place place;
    enum route_body body;
    bool dry_run;
};

struct route_match {
    enum refusal refusal;      /* REFUSAL_NONE: the rest counts */
    const struct route *route; /* NULL if refused */
    struct str ledger;         /* decoded; "main" if the path names none */
    struct str parameter;      /* what stands for {…}, decoded; STR_NONE if the pattern has none */
    char allow[64];            /* METHOD_NOT_ALLOWED: the value of `Allow` */
    const char *detail;        /* static text of a refusal */
};

const struct route *route_of(enum route_id id);
/* Decoded parts live in the arena, or are slices of `path`. */
void route_match(enum api_method method, struct str path, struct arena *arena, struct route_match *ret_match);
/* The most a body may have. */
size_t route_body_limit(enum api_method method, struct str path);
bool route_is_write(const struct route *route);

/*
 * Percent-decoding (RFC 3986 section 2.1) into the arena; a slice of the input if there is nothing to decode.
 * `plus_is_blank` as in forms. False if a '%' lacks its two digits, or the result is not UTF-8 or has control
 * characters.
 */
MUST_CHECK bool percent_decode(
    struct str s, bool plus_is_blank, struct arena *arena, struct str *ret_decoded);

#endif
