#include "http/toy_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void answer(struct http_exchange *x, struct str body)
{
    struct api_response r;
    api_response_init(&r);
    r.status = 200;
    r.content_type = "text/plain";
    api_response_header(&r, "X-Toy", "%d", 1);
    strbuf_str(&r.body, body);
    http_reply(x, &r);
    api_response_fini(&r);
}

static size_t toy_body_limit(void *ctx, enum api_method method, struct str path)
{
    (void)ctx;
    (void)method;
    return str_eq_c(path, "/small") ? 10 : TOY_BODY_LIMIT;
}

static void to_worker(struct toy *toy, struct http_exchange *x)
{
    pthread_mutex_lock(&toy->lock);
    INVARIANT(toy->n_to_worker < TOY_KEPT_MAX);
    toy->to_worker[toy->n_to_worker++] = x;
    pthread_cond_signal(&toy->work);
    pthread_mutex_unlock(&toy->lock);
}

static void *worker_main(void *arg)
{
    struct toy *toy = arg;
    pthread_mutex_lock(&toy->lock);
    while (!toy->quit) {
        if (toy->n_to_worker == 0) {
            pthread_cond_wait(&toy->work, &toy->lock);
            continue;
        }
        for (size_t i = 0; i < toy->n_to_worker; i++)
            toy->from_worker[toy->n_from_worker++] = toy->to_worker[i];
        toy->n_to_worker = 0;
        pthread_mutex_unlock(&toy->lock);
        http_wake(toy->server);
        pthread_mutex_lock(&toy->lock);
    }
    pthread_mutex_unlock(&toy->lock);
    return NULL;
}

static void begin_stream(struct toy *toy, struct http_exchange *x, const struct api_request *request)
{
    struct api_response head;
    api_response_init(&head);
    head.status = 200;
    head.content_type = "application/x-ndjson";
    http_stream_begin(x, &head);
    api_response_fini(&head);
    uint64_t lines = 0;
    (void)!str_to_uint64(request->query, &lines);
    INVARIANT(toy->n_streams < TOY_KEPT_MAX);
    toy->streams[toy->n_streams++] = (struct toy_stream){x, lines};
    http_wake(toy->server);
}

/* Marks what /stall keeps. */
static char is_stream;

static void toy_handler(void *ctx, struct http_exchange *x, const struct api_request *request)
{
    struct toy *toy = ctx;
    http_exchange_set(x, toy);
    atomic_fetch_add(&toy->handled, 1);
    if (str_eq_c(request->path, "/later")) {
        to_worker(toy, x);
    } else if (str_eq_c(request->path, "/never")) {
        toy->kept[toy->n_kept++] = x;
        atomic_store(&toy->kept_now, toy->n_kept);
    } else if (str_eq_c(request->path, "/stream")) {
        begin_stream(toy, x, request);
    } else if (str_eq_c(request->path, "/stall")) {
        begin_stream(toy, x, request);
        toy->n_streams--;
        http_exchange_set(x, &is_stream);
        http_stream_write(x, STR("begun\n"));
        toy->kept[toy->n_kept++] = x;
    } else if (str_eq_c(request->path, "/echo") || str_eq_c(request->path, "/small")) {
        answer(x, request->body);
    } else {
        struct strbuf b;
        strbuf_init(&b);
        strbuf_printf(&b, STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(request->method_name),
            STR_ARG(request->path), STR_ARG(request->query));
        answer(x, strbuf_view(&b));
        strbuf_fini(&b);
    }
}

/* True when it is over. */
static bool feed_stream(struct toy *toy, struct toy_stream *s)
{
    if (!http_stream_alive(s->exchange)) {
        atomic_fetch_add(&toy->streams_lost, 1);
        return true;
    }
    while (s->left > 0 && http_stream_buffered(s->exchange) < TOY_STREAM_AHEAD) {
        char line[32];
        int n = snprintf(line, sizeof line, "{\"line\":%llu}\n", (unsigned long long)s->left--);
        http_stream_write(s->exchange, (struct str){line, (size_t)n});
    }
    if (http_stream_buffered(s->exchange) > atomic_load(&toy->most_buffered))
        atomic_store(&toy->most_buffered, http_stream_buffered(s->exchange));
    return s->left == 0;
}

static void release_kept(struct toy *toy)
{
    for (size_t i = 0; i < toy->n_kept; i++)
        if (http_exchange_get(toy->kept[i]) == &is_stream)
            http_stream_end(toy->kept[i]);
        else
            answer(toy->kept[i], STR("released"));
    toy->n_kept = 0;
    atomic_store(&toy->kept_now, 0);
}

static void toy_woken(void *ctx)
{
    struct toy *toy = ctx;
    pthread_mutex_lock(&toy->lock);
    for (size_t i = 0; i < toy->n_from_worker; i++)
        answer(toy->from_worker[i], STR("later"));
    toy->n_from_worker = 0;
    pthread_mutex_unlock(&toy->lock);
    for (size_t i = 0; i < toy->n_streams;) {
        if (feed_stream(toy, &toy->streams[i])) {
            http_stream_end(toy->streams[i].exchange);
            toy->streams[i] = toy->streams[--toy->n_streams];
        } else {
            i++;
        }
    }
    if (atomic_exchange(&toy->release, false))
        release_kept(toy);
}

static void *loop_main(void *arg)
{
    struct toy *toy = arg;
    struct err err;
    toy->run_result = http_run(toy->server, &err);
    return NULL;
}

void toy_start(struct toy *toy, const struct http_config *config)
{
    memset(toy, 0, sizeof *toy);
    struct http_config c = config != NULL ? *config : (struct http_config){0};
    c.listen = c.listen != NULL ? c.listen : "127.0.0.1:0";
    c.body_limit = toy_body_limit;
    c.handler = toy_handler;
    c.woken = toy_woken;
    c.ctx = toy;
    pthread_mutex_init(&toy->lock, NULL);
    pthread_cond_init(&toy->work, NULL);
    struct err err;
    int rc = http_new(&c, &toy->server, &err);
    INVARIANT_F(rc == 0, "%s", err.message);
    INVARIANT(pthread_create(&toy->loop, NULL, loop_main, toy) == 0);
    INVARIANT(pthread_create(&toy->worker, NULL, worker_main, toy) == 0);
}

void toy_release(struct toy *toy)
{
    atomic_store(&toy->release, true);
    http_wake(toy->server);
}

int64_t toy_stop(struct toy *toy, int grace_ms)
{
    int64_t from = now_ms();
    http_stop(toy->server, grace_ms);
    pthread_join(toy->loop, NULL);
    int64_t took = now_ms() - from;
    INVARIANT(toy->run_result == 0);
    pthread_mutex_lock(&toy->lock);
    toy->quit = true;
    pthread_cond_signal(&toy->work);
    pthread_mutex_unlock(&toy->lock);
    pthread_join(toy->worker, NULL);
    http_free(toy->server);
    pthread_mutex_destroy(&toy->lock);
    pthread_cond_destroy(&toy->work);
    return took;
}

static int connect_to(int family, int port)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    INVARIANT(fd >= 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    in6.sin6_addr = in6addr_loopback;
    int rc = family == AF_INET ? connect(fd, (struct sockaddr *)&in, sizeof in)
                               : connect(fd, (struct sockaddr *)&in6, sizeof in6);
    if (rc == 0)
        return fd;
    close(fd);
    return -1;
}

void client_open(struct client *c, const struct toy *toy)
{
    strbuf_init(&c->in);
    c->fd = connect_to(AF_INET, http_port(toy->server));
    if (c->fd < 0)
        c->fd = connect_to(AF_INET6, http_port(toy->server));
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    strbuf_fini(&c->in);
}

void client_send(struct client *c, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
}

/* 1: more came; 0: the end; -1: time is up or the connection was reset. */
static int more(struct client *c, int timeout_ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (poll(&p, 1, timeout_ms) <= 0)
        return -1;
    strbuf_reserve(&c->in, 65536);
    ssize_t n = recv(c->fd, c->in.data + c->in.len, 65536, 0);
    if (n > 0)
        c->in.len += (size_t)n;
    return n > 0 ? 1 : (int)n;
}

static void consume(struct client *c, size_t n)
{
    memmove(c->in.data, c->in.data + n, c->in.len - n);
    c->in.len -= n;
}

static bool have(struct client *c, size_t n)
{
    while (c->in.len < n)
        if (more(c, 5000) <= 0)
            return false;
    return true;
}

/* Length of the text up to and including `end`, waiting for it; 0 if it does not come. */
static size_t until(struct client *c, const char *end)
{
    size_t len = strlen(end);
    for (;;) {
        char *at = c->in.len > 0 ? memmem(c->in.data, c->in.len, end, len) : NULL;
        if (at != NULL)
            return (size_t)(at - c->in.data) + len;
        if (more(c, 5000) <= 0)
            return 0;
    }
}

static bool take_chunked(struct client *c, struct strbuf *body)
{
    for (;;) {
        size_t line = until(c, "\r\n");
        if (line == 0)
            return false;
        size_t size = strtoul(c->in.data, NULL, 16);
        consume(c, line);
        if (!have(c, size + 2))
            return false;
        strbuf_add(body, c->in.data, size);
        consume(c, size + 2);
        if (size == 0)
            return true;
    }
}

static const char *find_header(const struct strbuf *head, const char *name)
{
    char *at = strcasestr(head->data, name);
    return at != NULL ? at + strlen(name) : NULL;
}

bool client_reply(struct client *c, bool head_only, struct reply *ret_reply)
{
    *ret_reply = (struct reply){0};
    size_t n = until(c, "\r\n\r\n");
    if (n == 0)
        return false;
    strbuf_add(&ret_reply->head, c->in.data, n);
    strbuf_char(&ret_reply->head, '\0');
    consume(c, n);
    if (sscanf(ret_reply->head.data, "HTTP/1.%*d %d", &ret_reply->status) != 1)
        return false;
    if (head_only || ret_reply->status < 200)
        return true;
    const char *length = find_header(&ret_reply->head, "\r\nContent-Length:");
    if (length == NULL && find_header(&ret_reply->head, "\r\nTransfer-Encoding: chunked") != NULL)
        return take_chunked(c, &ret_reply->body);
    if (length == NULL) {
        while (more(c, 5000) > 0)
            ;
        strbuf_add(&ret_reply->body, c->in.data, c->in.len);
        consume(c, c->in.len);
        return true;
    }
    size_t body = strtoul(length, NULL, 10);
    if (!have(c, body))
        return false;
    strbuf_add(&ret_reply->body, c->in.data, body);
    consume(c, body);
    return true;
}

bool client_closed(struct client *c, int timeout_ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (c->in.len > 0 || poll(&p, 1, timeout_ms) <= 0)
        return false;
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

void reply_fini(struct reply *r)
{
    strbuf_fini(&r->head);
    strbuf_fini(&r->body);
}

bool reply_has(const struct reply *r, const char *text)
{
    size_t len = strlen(text);
    return (r->head.len > 0 && memmem(r->head.data, r->head.len, text, len) != NULL) ||
           (r->body.len > 0 && memmem(r->body.data, r->body.len, text, len) != NULL);
}
