/*
 * From a request line to the application and back. The library calls exchange_step again and again for one
 * request: with the head, with pieces of the body, when it is whole, and when a suspended connection has been
 * resumed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/problem.h"
#include "http/head.h"
#include "http/internal.h"

#define SPARE_MAX 1024
#define SPARE_BODY_MAX 16384     /* a larger buffer is given back after use */
#define BODY_RESERVE_MAX 1048576 /* believed of a Content-Length; what is beyond grows as it comes */

static struct http_exchange *exchange_new(struct http_server *server)
{
    struct http_exchange *x = server->spare;
    if (x != NULL) {
        server->spare = x->next;
        server->n_spare--;
    } else {
        x = calloc(1, sizeof *x);
        INVARIANT(x != NULL);
        arena_init(&x->memory, 0);
    }
    x->server = server;
    x->prev = NULL;
    x->next = server->exchanges;
    if (x->next != NULL)
        x->next->prev = x;
    server->exchanges = x;
    return x;
}

static void exchange_destroy(struct http_exchange *x)
{
    arena_fini(&x->memory);
    strbuf_fini(&x->body);
    strbuf_fini(&x->pending);
    free(x);
}

static void keep_small(struct strbuf *b)
{
    if (b->cap > SPARE_BODY_MAX)
        strbuf_fini(b);
    strbuf_clear(b);
}

/* Once both sides have left it. */
static void exchange_release(struct http_exchange *x)
{
    if (x->with_app || x->conn != NULL)
        return;
    struct http_server *server = x->server;
    INVARIANT(server->body_bytes >= x->body.len);
    server->body_bytes -= x->body.len;
    if (x->response != NULL)
        MHD_destroy_response(x->response);
    *(x->prev ? &x->prev->next : &server->exchanges) = x->next;
    if (x->next != NULL)
        x->next->prev = x->prev;
    if (server->n_spare >= SPARE_MAX) {
        exchange_destroy(x);
        return;
    }
    keep_small(&x->body);
    keep_small(&x->pending);
    arena_reset(&x->memory);
    *x = (struct http_exchange){
        .memory = x->memory, .body = x->body, .pending = x->pending, .next = server->spare};
    server->spare = x;
    server->n_spare++;
}

void exchange_free_all(struct http_server *server)
{
    while (server->exchanges != NULL) {
        struct http_exchange *x = server->exchanges;
        INVARIANT(x->conn == NULL);
        x->with_app = false;
        exchange_release(x);
    }
    while (server->spare != NULL) {
        struct http_exchange *x = server->spare;
        server->spare = x->next;
        exchange_destroy(x);
    }
}

void exchange_leave_app(struct http_exchange *x)
{
    INVARIANT(x->with_app && x->server->n_with_app > 0);
    x->with_app = false;
    x->server->n_with_app--;
    exchange_release(x);
}

void exchange_resume(struct http_exchange *x)
{
    if (!x->suspended)
        return;
    INVARIANT(x->conn != NULL);
    x->suspended = false;
    x->server->run_again = true;
    conn_wait(x->conn, WAIT_SEND);
    MHD_resume_connection(x->conn->mhd);
}

void exchange_suspend(struct http_exchange *x)
{
    INVARIANT(!x->suspended);
    x->suspended = true;
    conn_wait(x->conn, WAIT_REPLY);
    MHD_suspend_connection(x->conn->mhd);
}

void exchange_abort(struct http_exchange *x)
{
    x->aborted = true;
    exchange_resume(x);
}

void exchange_overdue(struct http_exchange *x)
{
    if (x->streaming) {
        struct http_conn *conn = x->conn;
        exchange_abort(x);
        conn_cut(conn);
        return;
    }
    INVARIANT(x->state == EXCHANGE_HANDLED && x->suspended);
    x->late = true;
    struct api_response response;
    api_response_init(&response);
    api_problem_write(&response, REFUSAL_STORAGE_UNAVAILABLE, STR("No answer came within the time limit."));
    reply_prepare(x, &response);
    api_response_fini(&response);
    exchange_resume(x);
}

void *exchange_begin(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_server *server = cls;
    struct http_conn *conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    INVARIANT(conn != NULL && conn->exchange == NULL);
    struct http_exchange *x = exchange_new(server);
    x->conn = conn;
    conn->exchange = x;
    /* The library decodes the target in place; what routes see is what was sent. */
    x->target = arena_str(&x->memory, str_of(target));
    /* A first request's time runs from the connection's start. */
    if (conn->wait != WAIT_REQUEST)
        conn_wait(conn, WAIT_REQUEST);
    conn->heard = true;
    return x;
}

struct header_walk {
    struct http_exchange *exchange;
    struct api_header *headers;
    size_t n, max;
};

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_size,
    const char *value, size_t value_size)
{
    (void)kind;
    struct header_walk *walk = cls;
    struct arena *memory = &walk->exchange->memory;
    if (walk->n == walk->max)
        return MHD_NO;
    struct str text = value != NULL ? (struct str){value, value_size} : STR("");
    walk->headers[walk->n++] = (struct api_header){
        arena_str(memory, (struct str){name, name_size}),
        arena_str(memory, text),
    };
    return MHD_YES;
}

static void take_headers(struct http_exchange *x)
{
    struct MHD_Connection *mhd = x->conn->mhd;
    int n = MHD_get_connection_values(mhd, MHD_HEADER_KIND, NULL, NULL);
    INVARIANT(n >= 0);
    struct header_walk walk = {x, ARENA_ARRAY(&x->memory, struct api_header, (size_t)n), 0, (size_t)n};
    (void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, take_header, &walk);
    x->request.headers = walk.headers;
    x->request.n_headers = walk.n;
}

static enum MHD_Result refuse(struct http_exchange *x, enum refusal refusal, const char *detail)
{
    conn_refuse(x->conn, refusal, detail, x->head_only);
    x->aborted = true;
    return MHD_NO;
}

static enum MHD_Result refuse_body(struct http_exchange *x)
{
    char detail[80];
    snprintf(detail, sizeof detail, "Here the limit is %zu bytes.", x->body_limit);
    return refuse(x, REFUSAL_BODY_TOO_LARGE, detail);
}

static bool head_too_large(const struct http_exchange *x, const char **ret_detail)
{
#define TEXT2(number) #number
#define TEXT(number) TEXT2(number)
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->conn->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    *ret_detail = NULL;
    if (x->target.len > LIMIT_URL_MAX)
        *ret_detail = "The limit of a URL is " TEXT(LIMIT_URL_MAX) " bytes.";
    else if (info != NULL && info->header_size > LIMIT_HEADERS_MAX)
        *ret_detail = "The limit of a request's head is " TEXT(LIMIT_HEADERS_MAX) " bytes.";
#undef TEXT
#undef TEXT2
    return *ret_detail != NULL;
}

/* HEAD is GET to the application; the library sends no body then. */
static void take_method(struct http_exchange *x, const char *method)
{
    struct api_request *request = &x->request;
    request->method_name = arena_str(&x->memory, str_of(method));
    request->method = api_method_parse(request->method_name);
    x->head_only = request->method == API_HEAD;
    if (x->head_only)
        request->method = API_GET;
}

static enum MHD_Result step_head(struct http_exchange *x, const char *method, const char *version)
{
    const struct http_server *server = x->server;
    struct http_head head;
    const char *detail;
    take_method(x, method);
    if (head_too_large(x, &detail))
        return refuse(x, REFUSAL_HEADERS_TOO_LARGE, detail);
    if (!http_target_split(x->target, &x->request.path, &x->request.query, &x->authority))
        return refuse(x, REFUSAL_MALFORMED_HTTP, "The request target is no path and no http:// URL.");
    take_headers(x);
    enum refusal refusal =
        http_head_check(&x->request, str_of(version), x->authority, server->loopback, &head, &detail);
    if (refusal != REFUSAL_NONE)
        return refuse(x, refusal, detail);
    x->body_limit = server->config.body_limit(server->config.ctx, x->request.method, x->request.path);
    if (head.has_length && head.length > x->body_limit)
        return refuse_body(x);
    if (head.has_length)
        strbuf_reserve(&x->body, head.length < BODY_RESERVE_MAX ? (size_t)head.length : BODY_RESERVE_MAX);
    x->state = EXCHANGE_BODY;
    return MHD_YES;
}

static enum MHD_Result step_body(struct http_exchange *x, const char *upload, size_t *upload_size)
{
    if (*upload_size > x->body_limit - x->body.len)
        return refuse_body(x);
    /* A body comes before anybody knows whose it is: without a limit on all of them together, whoever reaches
     * the port could fill the memory, token or not. */
    if (x->server->body_bytes + *upload_size > x->server->config.bodies_max)
        return refuse(x, REFUSAL_QUEUE_FULL, "Too many large requests are in progress.");
    x->server->body_bytes += *upload_size;
    strbuf_add(&x->body, upload, *upload_size);
    *upload_size = 0;
    return MHD_YES;
}

static enum MHD_Result step_queue(struct http_exchange *x)
{
    struct MHD_Response *response = x->response;
    x->response = NULL;
    x->state = EXCHANGE_QUEUED;
    conn_wait(x->conn, WAIT_SEND);
    enum MHD_Result result = MHD_queue_response(x->conn->mhd, x->status, response);
    MHD_destroy_response(response);
    return result;
}

static void step_handle(struct http_exchange *x)
{
    struct http_server *server = x->server;
    x->request.body = x->body.len > 0 ? strbuf_view(&x->body) : STR("");
    x->state = EXCHANGE_HANDLED;
    x->with_app = true;
    server->n_with_app++;
    server->config.handler(server->config.ctx, x, &x->request);
}

enum MHD_Result exchange_step(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_size, void **exchange)
{
    (void)cls;
    (void)mhd;
    (void)url;
    struct http_exchange *x = *exchange;
    INVARIANT(x != NULL && x->conn != NULL);
    /* Whoever stopped cleanly has answered all that it did: a write that nobody can be told of is not begun. */
    bool unheard = x->conn->cut && (x->state == EXCHANGE_HEAD || x->state == EXCHANGE_BODY);
    if (x->aborted || unheard)
        return MHD_NO;
    if (x->state == EXCHANGE_HEAD)
        return step_head(x, method, version);
    if (x->state == EXCHANGE_BODY && *upload_size > 0)
        return step_body(x, upload, upload_size);
    if (x->state == EXCHANGE_BODY)
        step_handle(x);
    if (x->state == EXCHANGE_ANSWERED)
        return step_queue(x);
    INVARIANT(x->state == EXCHANGE_HANDLED);
    exchange_suspend(x);
    return MHD_YES;
}

void exchange_completed(
    void *cls, struct MHD_Connection *mhd, void **exchange, enum MHD_RequestTerminationCode code)
{
    (void)mhd;
    (void)code;
    struct http_server *server = cls;
    struct http_exchange *x = *exchange;
    *exchange = NULL;
    if (x == NULL)
        return;
    struct http_conn *conn = x->conn;
    conn->exchange = NULL;
    x->conn = NULL;
    x->suspended = false;
    conn_wait(conn, WAIT_IDLE);
    if (server->stopping)
        conn_cut(conn);
    exchange_release(x);
}
