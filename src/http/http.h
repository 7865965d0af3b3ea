/*
 * The HTTP server: the only room that knows the HTTP library (libmicrohttpd, in external event-loop mode). One
 * thread runs http_run(): it parses requests, calls the handler, and sends what the handler, then or later, replies.
 * The handler never blocks: what takes time is replied to from `woken`, after somebody called http_wake().
 *
 * What the library lets through and must not pass is refused here with problem+json: two Host or Content-Length
 * headers, Content-Length with Transfer-Encoding, heads and bodies over their limits, slow senders, a foreign Host
 * on a loopback listener.
 */
#ifndef CREDITLEDGER_HTTP_HTTP_H
#define CREDITLEDGER_HTTP_HTTP_H

#include "api/message.h"
#include "base/err.h"

struct http_server;
struct http_exchange;

struct http_config {
    const char *listen;     /* "127.0.0.1:4000", "[::1]:0" (0: any free port), "0.0.0.0:80" */
    size_t connections_max; /* 0 takes LIMIT_CONNECTIONS_DEFAULT */
    size_t bodies_max; /* bytes of the bodies of all requests in progress; 0 takes LIMIT_BODIES_DEFAULT */
    int request_timeout_ms; /* from the first byte of a request to its last; 0: 30 000 */
    int idle_timeout_ms;    /* a kept-alive connection without a request; 0: 75 000 */
    int reply_timeout_ms;   /* a suspended exchange without a reply is answered 503; 0: 60 000 */
    /* The most a body may have; the route decides before the body arrives. */
    size_t (*body_limit)(void *ctx, enum api_method method, struct str path);
    /* On the loop's thread, once a whole request is there. It must lead to exactly one http_reply, or one
     * http_stream_begin ... http_stream_end, now or later, always on the loop's thread. */
    void (*handler)(void *ctx, struct http_exchange *exchange, const struct api_request *request);
    /* On the loop's thread, after http_wake(), and at least once a second. */
    void (*woken)(void *ctx);
    void *ctx;
};

MUST_CHECK int http_new(const struct http_config *config, struct http_server **ret_server, struct err *err);
void http_free(struct http_server *server);
int http_port(const struct http_server *server);
/* Runs the loop until http_stop() and all exchanges in progress have been replied to (or the grace has passed). */
MUST_CHECK int http_run(struct http_server *server, struct err *err);
/* From any thread, and from a signal handler: no new connections, finish what is begun, then http_run returns. */
void http_stop(struct http_server *server, int grace_ms);
void http_wake(struct http_server *server); /* from any thread */

/* Sends the response and takes its body's memory over (the body is left empty). The exchange is gone after that. */
void http_reply(struct http_exchange *exchange, struct api_response *response);

/* A response whose body comes in pieces. Pieces are buffered until sent; http_stream_buffered tells how much waits.
 * http_stream_alive is false once the client has gone: end the stream then. */
void http_stream_begin(struct http_exchange *exchange, const struct api_response *head);
void http_stream_write(struct http_exchange *exchange, struct str piece);
size_t http_stream_buffered(const struct http_exchange *exchange);
bool http_stream_alive(const struct http_exchange *exchange);
void http_stream_end(struct http_exchange *exchange);

/* A place for the owner's state while the exchange lasts. If the client goes away before the reply, http_reply is
 * still to be called, and does nothing but clean up. */
void http_exchange_set(struct http_exchange *exchange, void *owner);
void *http_exchange_get(const struct http_exchange *exchange);
size_t http_connections(const struct http_server *server);

#endif
