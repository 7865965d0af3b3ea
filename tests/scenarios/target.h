/*
 * Where a scenario's requests go: the service in this process over a journal in memory, SQLite or PostgreSQL,
 * or a real server over HTTP. Each scenario gets a target of its own, with nothing in it. After the last request the
 * target is audited: what `creditledger verify` would say.
 */
#ifndef CREDITLEDGER_TESTS_TARGET_H
#define CREDITLEDGER_TESTS_TARGET_H

#include "base/str.h"

#define TARGET_HEADERS_MAX 16

struct exchange_header {
    struct str name, value;
};

struct exchange {
    struct str method, path, query, body; /* path and query as they go over the wire */
    struct exchange_header headers[TARGET_HEADERS_MAX];
    size_t n_headers;
};

/* The answer; all of it lives in `bytes` until the next request. */
struct outcome {
    int status;
    struct strbuf headers; /* "name: value\n" lines */
    struct strbuf body;
};

struct target {
    /* False, with a message, if there was no answer at all. */
    bool (*send)(
        struct target *target, const struct exchange *exchange, struct outcome *ret_outcome, struct err *err);
    /* Stops serving and audits the journal; false, with a message, if it is not sound. Frees the target. */
    bool (*finish)(struct target *target, struct err *err);
};

enum target_kind { TARGET_MEMORY, TARGET_SQLITE, TARGET_POSTGRES };

/* `directory` is empty and the target's own. Exits on failure. */
struct target *target_service_new(enum target_kind kind, const char *directory);
/* `program` is creditledger's path, the journal SQLite's or PostgreSQL's. */
struct target *target_http_new(enum target_kind kind, const char *program, const char *directory);

/* The value of the first header of that name, STR_NONE if there is none. */
struct str outcome_header(const struct outcome *outcome, const char *name);

#endif
