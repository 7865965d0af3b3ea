/*
 * The API as a service without a network: takes a request, has api/ decode it, has the engine or a reader thread do
 * the work, has api/ encode the answer. `serve` puts it behind http/; scenarios and simulation call it directly.
 *
 * Threads: begin, finish, tick and cancel belong to one thread, the caller's loop. `ready` is called from any
 * thread, possibly before service_begin has returned. Reads run on the service's own reader threads, each with a
 * JOURNAL_READ handle; when `readers` is 0 they run inline on a handle of their own (tests, memory journals).
 */
#ifndef CREDITLEDGER_APP_SERVICE_H
#define CREDITLEDGER_APP_SERVICE_H

#include "api/message.h"
#include "app/tokens.h"
#include "engine/engine.h"

struct service;

struct service_config {
    const char *database_url;        /* for the readers' handles */
    const char *database_direct_url; /* the same, as in struct journal_options; NULL: none */
    bool shared;                     /* other processes write to the same journal */
    /* False while the database is known to be away, for /readyz; NULL: nobody watches. Any thread. */
    bool (*reachable)(const void *ctx);
    const void *reachable_ctx;
    struct engine *engine;
    struct catalog *catalog;
    struct metrics *metrics;     /* may be NULL */
    const struct tokens *tokens; /* NULL: everybody may do everything */
    size_t readers;
    int64_t (*now)(void *environment);
    void *environment;
};

struct service_call {
    const struct api_request *request; /* valid until the last service_finish */
    struct api_response response;
    void (*ready)(struct service_call *call); /* service_finish may be called now */
    void *owner;
    struct service_call *next; /* the owner's, for a queue of ready calls */
    void *state;               /* the service's */
};

MUST_CHECK int service_new(
    const struct service_config *config, struct service **ret_service, struct err *err);
/* All calls must have been finished. */
void service_free(struct service *service);
/* New writes and waits are answered `shutting_down`; waiting reads are released. */
void service_stop(struct service *service);

/* The most a body may have, by route. */
size_t service_body_limit(enum api_method method, struct str path);
void service_begin(struct service *service, struct service_call *call);
/*
 * Fills call->response. True: complete, the call is over. False: the response is a stream; response.body is its next
 * piece (head valid the first time); take it, clear it, then call service_continue and wait for `ready` again.
 */
MUST_CHECK bool service_finish(struct service *service, struct service_call *call);
void service_continue(struct service *service, struct service_call *call);
/* The client has gone: no more pieces; `ready` will still come once, then finish it and drop the result. */
void service_cancel(struct service *service, struct service_call *call);
/* Releases calls that wait for a seq or an event which has come, or whose time is up. After commits, and each second. */
void service_tick(struct service *service);

/* begin .. finish in one, waiting; streams are gathered into one body. For tests and the command line. */
void service_sync(
    struct service *service, const struct api_request *request, struct api_response *ret_response);

#endif
