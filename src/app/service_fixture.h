/*
 * For tests: a service over a memory journal, with a clock that the test turns, and calls in one line. A test
 * of threads starts the engine and asks for readers; else all runs on the test's thread.
 */
#ifndef CREDITLEDGER_APP_SERVICE_FIXTURE_H
#define CREDITLEDGER_APP_SERVICE_FIXTURE_H

#include <jansson.h>

#include "app/service.h"
#include "base/check.h"
#include "telemetry/metrics.h"

struct fixture {
    char url[64];
    struct journal *journal;
    struct catalog *catalog;
    struct engine *engine;
    struct service *service;
    struct metrics *metrics;
    _Atomic int64_t clock; /* moves on by a microsecond with every look */
    _Atomic uint32_t random;
    struct api_response response; /* of the last call */
    json_t *json;                 /* its body, NULL if it is not JSON */
    const char *token;            /* sent with every call; NULL: none */
    bool unreachable;             /* what the service is told of the database */
};

struct fixture_options {
    size_t readers, queue_commands;
    bool started;
    const struct tokens *tokens;
    struct spans *spans;
    const char *read_url; /* of a read model, which the test keeps up to date; NULL: none */
};

struct fixture *fixture_new(const struct fixture_options *options);
/* Another service over the same engine and journal, which the test frees before the fixture; with a catalog of its own
 * (NULL: the same) like one of another process: it hears of what the first makes through the journal alone. */
struct service *fixture_second_service(struct fixture *f, size_t readers, struct catalog *catalog);
void fixture_free(struct fixture *f);

/* `headers` is "Name: value\nName: value", may be NULL; a body without a Content-Type header is
 * application/json. Returns the status. */
int call(struct fixture *f, const char *method, const char *target, const char *headers, const char *body);
/* The same; the test fails unless the status is that. */
void expect(struct fixture *f, int status, const char *method, const char *target, const char *body);
/* The same, and the problem must have that code. */
void refused(struct fixture *f, int status, const char *code, const char *method, const char *target,
    const char *body);

/* Of the last answer; members by path: "error.code", "lines.0.amount". */
const char *text_at(struct fixture *f, const char *path); /* NULL if it is no string */
int64_t number_at(struct fixture *f, const char *path);   /* fails if it is no integer */
json_t *value_at(struct fixture *f, const char *path);    /* NULL if it is not there */
const char *header_of(struct fixture *f, const char *name);
struct str body_of(struct fixture *f);

/* Opens an account; the id goes to ret_id. */
void open_account(struct fixture *f, const char *body, char ret_id[37]);
/* Transfers, and fails unless the answer is 201. */
void transfer(struct fixture *f, const char *from, const char *to, int64_t amount);
int64_t balance_of(struct fixture *f, const char *account);

#endif
