/*
 * The API as a service without a network: takes a request, has api/ decode it, has the engine or a reader thread do
 * the work, has api/ encode the answer. `serve` puts it behind http/; scenarios and simulation call it directly.
 *
 * Threads: begin, finish, tick and cancel belong to one thread, the caller's loop. `ready` is called from any
 * thread, possibly before service_begin has returned. Reads run on the service's own reader threads, each with a
 * JOURNAL_READ handle; when `readers` is 0 they run inline on a handle of their own (tests, memory journals).
 *
 * With a read model a server has two roads to an answer: the journal, which knows everything at once (strong), and the
 * read model, which knows more ways to ask and follows a moment behind (eventual). An eventual answer first waits
 * QUERY_PATIENCE_US for what this server knows to be committed, and says how far it is (asOfSeq).
 *
 * A process without the role `api` has no engine: it answers for its health and its metrics, and refuses the rest.
 */
#ifndef CREDITLEDGER_APP_SERVICE_H
#define CREDITLEDGER_APP_SERVICE_H

#include "api/message.h"
#include "app/tokens.h"
#include "engine/engine.h"

struct service;
struct spans;

/* How long an eventual read waits for the read model to know what was committed when the request came. */
#define QUERY_PATIENCE_US 100000

struct service_config {
    const char *database_url;        /* for the readers' handles */
    const char *database_direct_url; /* the same, as in struct journal_options; NULL: none */
    bool shared;                     /* other processes write to the same journal */
    /* False while the database is known to be away, for /readyz; NULL: nobody watches. Any thread. */
    bool (*reachable)(const void *ctx);
    const void *reachable_ctx;
    const char *read_url; /* the read model's database; NULL: this server has none */
    bool read_pooled;     /* as in struct readmodel_options */
    /* What keeps the projection of this process from following, as a sentence for /readyz; false: nothing does.
     * NULL: it projects nothing. Any thread. */
    bool (*projection_stuck)(void *ctx, char *ret_detail, size_t size);
    void *projection_ctx;
    /* service_tick() is due; from any thread. NULL: whoever calls does so often enough. */
    void (*wake)(void *ctx);
    void *wake_ctx;
    struct engine *engine; /* NULL: no role `api`; then there is no catalog either */
    struct catalog *catalog;
    struct metrics *metrics;     /* may be NULL */
    struct spans *spans;         /* may be NULL */
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

/* The read model has the ledger up to seq: from the projector of this process, on any thread. Servers whose projector is
 * in another process look for themselves. */
void service_projected(struct service *service, struct str ledger, uint64_t seq);

/* begin .. finish in one, waiting; streams are gathered into one body. For tests and the command line. */
void service_sync(
    struct service *service, const struct api_request *request, struct api_response *ret_response);

#endif
