#include "app/bench_client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "app/bench_answer.h"

#define EVENTS_MAX 256
#define READ_BYTES 32768
#define SPIN_US 50 /* an open loop looks at the clock again rather than sleep for less */

struct bench_conn {
    int fd;       /* -1: to be connected */
    bool writing; /* waits for EPOLLOUT */
    struct strbuf out, in;
    size_t sent;
    struct bench_mark *marks; /* a ring of `depth` */
    size_t first, count;
    int64_t ready_us; /* thinks until then */
    struct bench_conn *next_free;
};

struct bench_client {
    struct bench_target target;
    struct sockaddr_storage address;
    socklen_t address_len;
    int epoll_fd;
    struct bench_conn *conns;
    size_t n_conns;
    struct strbuf scratch;
    /* One run. */
    const struct bench_driver *driver;
    struct bench_conn *free_first, *free_last; /* nothing in flight, in the order in which they may go on */
    size_t in_flight;
    uint64_t sent; /* requests */
    int64_t began_us, heard_us;
    bool exhausted;
};

int64_t bench_now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int bench_target_parse(const char *url, const char *token, struct bench_target *ret_target, struct err *err)
{
    struct bench_target *t = ret_target;
    *t = (struct bench_target){.port = "80"};
    struct str scheme = STR("http://"), rest = str_of(url);
    if (!str_starts(rest, scheme))
        return err_set(err, ERR_CONFIG, "--url is '%s': it must be http://HOST:PORT", url);
    const char *from = url + scheme.len;
    size_t len = strcspn(from, "/");
    size_t base = strlen(from + len);
    while (base > 0 && from[len + base - 1] == '/')
        base--;
    const char *colon = memrchr(from, ':', len);
    if (colon != NULL && memchr(colon, ']', (size_t)(from + len - colon)) != NULL)
        colon = NULL;
    size_t host = colon != NULL ? (size_t)(colon - from) : len;
    size_t port = colon != NULL ? len - host - 1 : 0;
    if (host == 0 || len >= sizeof t->authority || host >= sizeof t->host || port >= sizeof t->port ||
        base >= sizeof t->base)
        return err_set(err, ERR_CONFIG, "--url is '%s': it must be http://HOST:PORT", url);
    memcpy(t->authority, from, len);
    memcpy(t->base, from + len, base);
    bool bracketed = from[0] == '[' && from[host - 1] == ']';
    memcpy(t->host, from + bracketed, host - 2 * bracketed);
    if (port > 0) {
        memcpy(t->port, colon + 1, port);
        t->port[port] = '\0';
    }
    if (token != NULL && (size_t)snprintf(t->authorization, sizeof t->authorization,
                             "Authorization: Bearer %s\r\n", token) >= sizeof t->authorization)
        return err_set(err, ERR_CONFIG, "--token is too long");
    return 0;
}

static int resolve(struct bench_client *c, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int rc = getaddrinfo(c->target.host, c->target.port, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_CONFIG, "%s:%s: %s", c->target.host, c->target.port, gai_strerror(rc));
    memcpy(&c->address, found->ai_addr, found->ai_addrlen);
    c->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int bench_client_new(
    const struct bench_target *target, size_t connections, struct bench_client **ret_client, struct err *err)
{
    struct bench_client *c = calloc(1, sizeof *c);
    INVARIANT(c != NULL);
    c->target = *target;
    c->n_conns = connections;
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c->conns = calloc(connections, sizeof *c->conns);
    INVARIANT(c->conns != NULL && c->epoll_fd >= 0);
    for (size_t i = 0; i < connections; i++)
        c->conns[i].fd = -1;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < connections + 64) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    int rc = resolve(c, err);
    if (rc != 0) {
        bench_client_free(c);
        return rc;
    }
    *ret_client = c;
    return 0;
}

void bench_client_free(struct bench_client *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_conns; i++) {
        if (c->conns[i].fd >= 0)
            close(c->conns[i].fd);
        strbuf_fini(&c->conns[i].out);
        strbuf_fini(&c->conns[i].in);
    }
    close(c->epoll_fd);
    strbuf_fini(&c->scratch);
    free(c->conns);
    free(c);
}

static int conn_open(struct bench_client *c, struct bench_conn *conn, struct err *err)
{
    int on = 1;
    conn->fd = socket(c->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&c->address, c->address_len) != 0 ||
        setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        return err_set(
            err, ERR_IO, "cannot connect to %s:%s: %s", c->target.host, c->target.port, strerror(errno));
    conn->writing = false;
    return 0;
}

static void free_append(struct bench_client *c, struct bench_conn *conn, int64_t ready_us)
{
    conn->ready_us = ready_us;
    conn->next_free = NULL;
    *(c->free_last ? &c->free_last->next_free : &c->free_first) = conn;
    c->free_last = conn;
}

static void conn_lost(struct bench_client *c, struct bench_conn *conn, int64_t now_us)
{
    close(conn->fd);
    conn->fd = -1;
    strbuf_clear(&conn->in);
    strbuf_clear(&conn->out);
    conn->sent = 0;
    c->in_flight -= conn->count;
    bool was_free = conn->count == 0;
    for (; conn->count > 0; conn->count--) {
        c->driver->lost(c->driver->ctx, conn->marks[conn->first]);
        conn->first = (conn->first + 1) % c->driver->depth;
    }
    if (!was_free)
        free_append(c, conn, now_us + c->driver->think_us);
}

static void conn_watch(struct bench_client *c, struct bench_conn *conn, bool writing)
{
    if (conn->writing == writing)
        return;
    struct epoll_event event = {.events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = conn};
    (void)epoll_ctl(c->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
    conn->writing = writing;
}

/* False if the connection is gone. */
static bool conn_flush(struct bench_client *c, struct bench_conn *conn)
{
    while (conn->sent < conn->out.len) {
        ssize_t n = send(
            conn->fd, conn->out.data + conn->sent, conn->out.len - conn->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            conn_watch(c, conn, true);
            return true;
        }
        if (n < 0)
            return false;
        conn->sent += (size_t)n;
    }
    strbuf_clear(&conn->out);
    conn->sent = 0;
    conn_watch(c, conn, false);
    return true;
}

/* When the open loop's next request should go. */
static int64_t due_us(const struct bench_client *c)
{
    int64_t rate = c->driver->rate;
    return c->began_us + (int64_t)(c->sent * 1000000 / (uint64_t)rate);
}

/* Gives the connection as many requests as it may have. */
static bool conn_fill(struct bench_client *c, struct bench_conn *conn, int64_t now_us)
{
    const struct bench_driver *d = c->driver;
    while (conn->count < d->depth && !c->exhausted) {
        uint64_t n;
        if (d->rate > 0 && (conn->count > 0 || due_us(c) > now_us))
            break;
        if (!d->next(d->ctx, &conn->out, &n, now_us)) {
            c->exhausted = true;
            break;
        }
        conn->marks[(conn->first + conn->count++) % d->depth] =
            (struct bench_mark){n, d->rate > 0 ? due_us(c) : now_us};
        c->in_flight++;
        c->sent++;
    }
    return conn->out.len == 0 || conn_flush(c, conn);
}

static int start_free(struct bench_client *c, int64_t now_us, struct err *err)
{
    const struct bench_driver *d = c->driver;
    while (c->free_first != NULL && !c->exhausted) {
        struct bench_conn *conn = c->free_first;
        if (conn->ready_us > now_us || (d->rate > 0 && due_us(c) > now_us))
            break;
        c->free_first = conn->next_free;
        if (c->free_first == NULL)
            c->free_last = NULL;
        int rc = conn->fd < 0 ? conn_open(c, conn, err) : 0;
        if (rc != 0)
            return rc;
        if (!conn_fill(c, conn, now_us))
            conn_lost(c, conn, now_us);
    }
    return 0;
}

/* Takes whole answers off the front; false if what came is no HTTP. */
static bool take_answers(struct bench_client *c, struct bench_conn *conn, bool *ret_close)
{
    size_t at = 0;
    *ret_close = false;
    while (at < conn->in.len && conn->count > 0) {
        struct bench_answer answer;
        enum bench_parse parse =
            bench_answer_parse((struct str){conn->in.data + at, conn->in.len - at}, &c->scratch, &answer);
        if (parse == BENCH_BAD)
            return false;
        if (parse == BENCH_MORE)
            break;
        struct bench_mark mark = conn->marks[conn->first];
        conn->first = (conn->first + 1) % c->driver->depth;
        conn->count--;
        c->in_flight--;
        c->driver->answered(c->driver->ctx, mark, answer.status, answer.body, bench_now_us());
        at += answer.consumed;
        *ret_close |= answer.close;
    }
    memmove(conn->in.data, conn->in.data + at, conn->in.len - at);
    conn->in.len -= at;
    return true;
}

static void conn_readable(struct bench_client *c, struct bench_conn *conn)
{
    bool had = conn->count > 0, closing;
    strbuf_reserve(&conn->in, READ_BYTES);
    ssize_t n = recv(conn->fd, conn->in.data + conn->in.len, conn->in.cap - conn->in.len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->heard_us = bench_now_us();
    if (n > 0)
        conn->in.len += (size_t)n;
    if (n <= 0 || !take_answers(c, conn, &closing)) {
        conn_lost(c, conn, c->heard_us);
        return;
    }
    if (had && conn->count == 0)
        free_append(c, conn, c->heard_us + c->driver->think_us);
    else if (c->driver->depth > 1 && !conn_fill(c, conn, c->heard_us))
        conn_lost(c, conn, c->heard_us);
    if (closing && conn->fd >= 0)
        conn_lost(c, conn, c->heard_us);
}

static int64_t sleep_us(const struct bench_client *c, int64_t now_us)
{
    int64_t until = c->heard_us + BENCH_ANSWER_TIMEOUT_US;
    if (c->exhausted || c->free_first == NULL)
        return until - now_us;
    if (c->free_first->ready_us < until)
        until = c->free_first->ready_us;
    if (c->driver->rate > 0 && due_us(c) > until)
        until = due_us(c);
    return until > now_us ? until - now_us : 0;
}

static int wait_events(const struct bench_client *c, struct epoll_event *events, int64_t us)
{
    if (us < SPIN_US)
        us = 0;
    struct timespec ts = {us / 1000000, us % 1000000 * 1000};
    int n = epoll_pwait2(c->epoll_fd, events, EVENTS_MAX, &ts, NULL);
    if (n < 0 && errno == ENOSYS) /* before Linux 5.11 */
        n = epoll_wait(c->epoll_fd, events, EVENTS_MAX, (int)(us / 1000));
    return n;
}

static int loop(struct bench_client *c, struct err *err)
{
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int64_t now_us = bench_now_us();
        int rc = start_free(c, now_us, err);
        if (rc != 0)
            return rc;
        if (c->exhausted && c->in_flight == 0)
            return 0;
        if (c->in_flight > 0 && now_us - c->heard_us > BENCH_ANSWER_TIMEOUT_US)
            return err_set(err, ERR_TIMEOUT, "no answer for %d s, %zu requests are waiting",
                (int)(BENCH_ANSWER_TIMEOUT_US / 1000000), c->in_flight);
        if (c->in_flight == 0)
            c->heard_us = now_us;
        int n = wait_events(c, events, sleep_us(c, now_us));
        if (n < 0 && errno != EINTR)
            return err_set(err, ERR_IO, "cannot wait for answers: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            struct bench_conn *conn = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) != 0 && !conn_flush(c, conn))
                conn_lost(c, conn, now_us);
            else if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
                conn_readable(c, conn);
        }
    }
}

int bench_client_run(struct bench_client *c, const struct bench_driver *driver, struct err *err)
{
    INVARIANT(driver->connections > 0 && driver->connections <= c->n_conns);
    INVARIANT(driver->depth > 0 && (driver->depth == 1 || driver->rate == 0));
    c->driver = driver;
    c->exhausted = false;
    c->in_flight = 0;
    c->sent = 0;
    c->free_first = c->free_last = NULL;
    struct bench_mark *marks = calloc(driver->connections * driver->depth, sizeof *marks);
    INVARIANT(marks != NULL);
    for (size_t i = 0; i < driver->connections; i++) {
        struct bench_conn *conn = &c->conns[i];
        conn->marks = marks + i * driver->depth;
        conn->first = conn->count = 0;
        free_append(c, conn, 0);
    }
    c->began_us = c->heard_us = bench_now_us();
    int rc = loop(c, err);
    free(marks);
    return rc;
}
