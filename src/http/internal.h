/*
 * What the files of this room share. A connection (http_conn) lives as long as its socket; an exchange lives
 * from a request line until both the library has finished with the request and the application has replied,
 * whichever comes last. Everything here belongs to the loop's thread, except what is marked atomic.
 *
 * Every connection stands in exactly one waiting list. All that stand in one list wait equally long, so a
 * list is in the order of its deadlines, and starting or ending a wait is a constant piece of work.
 */
#ifndef CREDITLEDGER_HTTP_INTERNAL_H
#define CREDITLEDGER_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/limits.h"
#include "http/http.h"
#include "http/linger.h"
#include "ledger/refusal.h"

enum http_wait {
    WAIT_REQUEST, /* for the rest of a request; a new connection waits here for its first */
    WAIT_IDLE,    /* for the next request */
    WAIT_REPLY,   /* for the application */
    WAIT_SEND,    /* for the client to take the answer */
    WAIT_CLOSED,  /* cut; the library has yet to notice */
    WAIT_N
};

struct http_conn {
    struct http_server *server;
    struct MHD_Connection *mhd;
    int fd;
    bool heard; /* a request line has come */
    bool
        cut; /* it can be answered no more; what the socket still holds of requests is read, and has no effect */
    enum http_wait wait;
    int64_t deadline_ms;
    uint64_t acked;                 /* bytes the client had taken when last looked at */
    struct http_exchange *exchange; /* NULL between requests */
    struct http_conn *prev, *next;  /* in its waiting list */
    bool half_closed;               /* the client sends no more; it may still want its answers */
    struct http_conn *half_prev, *half_next;
};

struct http_waiting {
    struct http_conn *first, *last; /* earliest deadline first */
    int64_t timeout_ms;
};

enum exchange_state {
    EXCHANGE_HEAD,     /* the request line is known */
    EXCHANGE_BODY,     /* the head is accepted */
    EXCHANGE_HANDLED,  /* the application has it */
    EXCHANGE_ANSWERED, /* the answer is made, the library has not asked for it yet */
    EXCHANGE_QUEUED,   /* the library sends it */
};

struct http_exchange {
    struct http_server *server;
    struct http_conn *conn; /* NULL once the library has finished with it or the client has gone */
    enum exchange_state state;
    bool with_app;  /* http_reply or http_stream_end is still to come */
    bool suspended; /* the library leaves the connection alone until it is resumed */
    bool aborted;   /* the connection is to be closed without an answer, or amid one */
    bool late;      /* 503 was answered because time was up: what the application says is dropped */
    bool streaming, ended;
    bool head_only; /* HEAD */
    void *owner;
    struct api_request request;
    struct str target, authority;
    struct arena memory; /* of the request's head */
    struct strbuf body;  /* of the request */
    size_t body_limit;
    struct MHD_Response *response; /* EXCHANGE_ANSWERED */
    unsigned status;
    struct strbuf pending; /* stream: what waits to be sent, from `sent` on */
    size_t sent;
    struct http_exchange *prev, *next; /* server->exchanges, or next alone in server->spare */
};

struct http_server {
    struct http_config config;
    struct MHD_Daemon *daemon;
    int listen_fd, epoll_fd, event_fd, port;
    bool loopback;
    bool run_again; /* the library has work that no descriptor tells of */
    bool drained;   /* a stream's buffer became empty: whoever fills it wants to know */
    bool stopping;
    int64_t now_ms, woken_ms, stop_ms;
    struct http_waiting waiting[WAIT_N];
    struct http_conn *half_closed;
    struct http_exchange *exchanges; /* all that are in use */
    struct http_exchange *spare;
    size_t n_with_app, n_spare;
    size_t body_bytes; /* of all exchanges */
    struct linger_set linger;
    atomic_size_t connections;
    atomic_bool woken, stop;
    atomic_int grace_ms;
};

int64_t http_now_ms(void);

/* conn.c */
void conn_notify(
    void *server, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code);
void conn_wait(struct http_conn *conn, enum http_wait wait);
/* Shuts the socket down: the library sees its end and closes the connection. */
void conn_cut(struct http_conn *conn);
/* Answers past the library, which knows no answer before a request is whole; the connection must be closed
 * after. */
void conn_refuse(struct http_conn *conn, enum refusal refusal, const char *detail, bool head_only);
/* The client has shut its sending half down. */
void conn_half_closed(struct http_conn *conn);
/* Cuts those of them that wait for more from their clients; only while the library has nothing left to do. */
void conn_cut_half_closed(struct http_server *server);
/* Does what is due; returns the next deadline, INT64_MAX if there is none. */
int64_t conn_expire(struct http_server *server);
/* Cuts all connections that are not amid a request, nor have one in their sockets; with `everything`, those too. */
void conn_cut_all(struct http_server *server, bool everything);

/* exchange.c */
void *exchange_begin(void *server, const char *target, struct MHD_Connection *mhd);
enum MHD_Result exchange_step(void *server, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **exchange);
void exchange_completed(
    void *server, struct MHD_Connection *mhd, void **exchange, enum MHD_RequestTerminationCode code);
/* The application took too long: 503, or the end of a stream. */
void exchange_overdue(struct http_exchange *exchange);
/* No answer, or no more of it. */
void exchange_abort(struct http_exchange *exchange);
/* Lets the library go on with a suspended connection. */
void exchange_resume(struct http_exchange *exchange);
void exchange_suspend(struct http_exchange *exchange);
/* The application is through with it. */
void exchange_leave_app(struct http_exchange *exchange);
void exchange_free_all(struct http_server *server);

/* reply.c */
/* Makes exchange->response from *response and takes its body. */
void reply_prepare(struct http_exchange *exchange, struct api_response *response);

#endif
