/*
 * The load generator's HTTP client: many keep-alive connections in one epoll loop on one thread. What to send
 * and what to make of the answers is the driver's. Requests are ready-made bytes; of an answer only the
 * status, the framing and the body are looked at. Nothing is allocated for a request once the buffers have
 * grown.
 */
#ifndef CREDITLEDGER_APP_BENCH_CLIENT_H
#define CREDITLEDGER_APP_BENCH_CLIENT_H

#include "base/err.h"
#include "base/str.h"

#define BENCH_ANSWER_TIMEOUT_US INT64_C(60000000) /* nothing came for so long: the run is over */

struct bench_target {
    char host[256], port[8];
    char authority[300];     /* for Host */
    char base[512];          /* path before every other, "" or "/ledgers/shop" */
    char authorization[600]; /* a header line with its end, or "" */
};

/* "http://host[:port][/path]". */
MUST_CHECK int bench_target_parse(
    const char *url, const char *token, struct bench_target *ret_target, struct err *err);

struct bench_mark {
    uint64_t n;         /* the driver's */
    int64_t started_us; /* when it was sent; in an open loop, when it should have been */
};

struct bench_driver {
    void *ctx;
    /* Appends the next request and says which it is; false: there are no more. */
    bool (*next)(void *ctx, struct strbuf *request, uint64_t *ret_n, int64_t now_us);
    void (*answered)(void *ctx, struct bench_mark mark, int status, struct str body, int64_t now_us);
    /* The connection ended before the answer: whether the request took effect is not known. */
    void (*lost)(void *ctx, struct bench_mark mark);
    size_t connections; /* so many of the client's are used */
    size_t depth;       /* requests in flight on one connection */
    int64_t think_us;   /* pause of a connection after an answer */
    int64_t rate;       /* requests a second in all, whatever the answers do; 0: as fast as they come */
};

struct bench_client;

MUST_CHECK int bench_client_new(
    const struct bench_target *target, size_t connections, struct bench_client **ret_client, struct err *err);
void bench_client_free(struct bench_client *client);
/* Until the driver has no more and all answers are there. */
MUST_CHECK int bench_client_run(
    struct bench_client *client, const struct bench_driver *driver, struct err *err);

int64_t bench_now_us(void);

#endif
