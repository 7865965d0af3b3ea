#include "http/internal.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "api/problem.h"

static void list_remove(struct http_conn *conn)
{
    struct http_waiting *list = &conn->server->waiting[conn->wait];
    *(conn->prev ? &conn->prev->next : &list->first) = conn->next;
    *(conn->next ? &conn->next->prev : &list->last) = conn->prev;
    conn->prev = conn->next = NULL;
}

static void list_append(struct http_conn *conn, enum http_wait wait)
{
    struct http_waiting *list = &conn->server->waiting[wait];
    conn->wait = wait;
    conn->deadline_ms = conn->server->now_ms + list->timeout_ms;
    INVARIANT(list->last == NULL || list->last->deadline_ms <= conn->deadline_ms);
    conn->prev = list->last;
    conn->next = NULL;
    *(list->last ? &list->last->next : &list->first) = conn;
    list->last = conn;
}

void conn_wait(struct http_conn *conn, enum http_wait wait)
{
    if (conn->wait == WAIT_CLOSED)
        return;
    list_remove(conn);
    list_append(conn, wait);
}

/*
 * The library watches edge-triggered and not for EPOLLRDHUP: when a request and the end of the stream arrive
 * together, it reads the one and never hears of the other. So the end is watched for here.
 */
static void watch_end(struct http_conn *conn)
{
    struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.u64 = (uintptr_t)conn};
    (void)epoll_ctl(conn->server->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event);
}

static void unwatch_end(struct http_conn *conn)
{
    (void)epoll_ctl(conn->server->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
}

void conn_half_closed(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->half_closed)
        return;
    conn->half_closed = true;
    conn->half_prev = NULL;
    conn->half_next = server->half_closed;
    if (conn->half_next != NULL)
        conn->half_next->half_prev = conn;
    server->half_closed = conn;
}

static void forget_half_closed(struct http_conn *conn)
{
    if (!conn->half_closed)
        return;
    *(conn->half_prev ? &conn->half_prev->half_next : &conn->server->half_closed) = conn->half_next;
    if (conn->half_next != NULL)
        conn->half_next->half_prev = conn->half_prev;
    conn->half_closed = false;
}

static bool something_arrived(const struct http_conn *conn)
{
    int unread = 0;
    return ioctl(conn->fd, FIONREAD, &unread) == 0 && unread > 0;
}

void conn_cut_half_closed(struct http_server *server)
{
    struct http_conn *next;
    for (struct http_conn *conn = server->half_closed; conn != NULL; conn = next) {
        next = conn->half_next;
        if ((conn->wait != WAIT_IDLE && conn->wait != WAIT_REQUEST) || something_arrived(conn))
            continue;
        forget_half_closed(conn);
        conn_cut(conn);
    }
}

static void conn_opened(struct http_server *server, struct MHD_Connection *mhd, void **context)
{
    struct http_conn *conn = calloc(1, sizeof *conn);
    INVARIANT_F(conn != NULL, "out of memory at connection %zu", http_connections(server));
    conn->server = server;
    conn->mhd = mhd;
    conn->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    list_append(conn, WAIT_REQUEST);
    watch_end(conn);
    atomic_fetch_add_explicit(&server->connections, 1, memory_order_relaxed);
    *context = conn;
}

void conn_notify(
    void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_opened(server, mhd, context);
        return;
    }
    struct http_conn *conn = *context;
    INVARIANT(conn != NULL && conn->exchange == NULL);
    forget_half_closed(conn);
    list_remove(conn);
    free(conn);
    *context = NULL;
    atomic_fetch_sub_explicit(&server->connections, 1, memory_order_relaxed);
    server->run_again =
        true; /* at its limit the library stops to accept, and starts again in its next run only */
}

void conn_cut(struct http_conn *conn)
{
    conn_wait(conn, WAIT_CLOSED);
    conn->cut = true;
    shutdown(conn->fd, SHUT_RDWR);
    conn->server->run_again = true;
}

static void refusal_text(struct strbuf *b, enum refusal refusal, const char *detail, bool head_only)
{
    struct api_response r;
    api_response_init(&r);
    api_problem_write(&r, refusal, str_of(detail));
    char date[64];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    strbuf_printf(b,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %zu\r\n",
        r.status, MHD_get_reason_phrase_for((unsigned)r.status), date, r.content_type, r.body.len);
    for (size_t i = 0; i < r.n_headers; i++)
        strbuf_printf(b, "%s: %s\r\n", r.headers[i].name, r.headers[i].value);
    strbuf_c(b, "\r\n");
    if (!head_only)
        strbuf_str(b, strbuf_view(&r.body));
    api_response_fini(&r);
}

/* The previous answer, if there was one, is wholly in the socket: the library takes no request before that.
 */
void conn_refuse(struct http_conn *conn, enum refusal refusal, const char *detail, bool head_only)
{
    struct strbuf text;
    strbuf_init(&text);
    refusal_text(&text, refusal, detail, head_only);
    (void)!send(conn->fd, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    strbuf_fini(&text);
    shutdown(conn->fd, SHUT_WR);
    /* A watch ends with its descriptor, unless a duplicate keeps what is behind it open. */
    unwatch_end(conn);
    linger_add(&conn->server->linger, conn->fd, conn->server->now_ms);
    conn_wait(conn, WAIT_CLOSED);
}

static struct tcp_info tcp_state(const struct http_conn *conn)
{
    struct tcp_info info;
    memset(&info, 0, sizeof info);
    socklen_t len = sizeof info;
    (void)getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info;
}

static void request_overdue(struct http_conn *conn)
{
    bool begun = conn->heard || tcp_state(conn).tcpi_bytes_received > 0;
    if (begun)
        conn_refuse(conn, REFUSAL_REQUEST_TIMEOUT, "The request did not arrive in time.",
            conn->exchange != NULL && conn->exchange->head_only);
    conn_cut(conn);
}

/* A slow client that takes something now and then is served on; one that takes nothing is cut. */
static void send_overdue(struct http_conn *conn)
{
    uint64_t acked = tcp_state(conn).tcpi_bytes_acked;
    if (acked == conn->acked) {
        conn_cut(conn);
        return;
    }
    conn->acked = acked;
    conn_wait(conn, WAIT_SEND);
}

static void conn_overdue(struct http_conn *conn)
{
    switch (conn->wait) {
    case WAIT_REQUEST:
        request_overdue(conn);
        break;
    case WAIT_REPLY:
        INVARIANT(conn->exchange != NULL);
        exchange_overdue(conn->exchange);
        break;
    case WAIT_SEND:
        send_overdue(conn);
        break;
    case WAIT_IDLE:
        conn_cut(conn);
        break;
    case WAIT_CLOSED:
    case WAIT_N:
        INVARIANT_F(false, "wait %d has no deadline", (int)conn->wait);
    }
}

int64_t conn_expire(struct http_server *server)
{
    int64_t next = INT64_MAX;
    for (int wait = 0; wait < WAIT_CLOSED; wait++) {
        struct http_waiting *list = &server->waiting[wait];
        while (list->first != NULL && list->first->deadline_ms <= server->now_ms)
            conn_overdue(list->first);
        if (list->first != NULL && list->first->deadline_ms < next)
            next = list->first->deadline_ms;
    }
    return next;
}

void conn_cut_all(struct http_server *server, bool everything)
{
    for (int wait = 0; wait < WAIT_CLOSED; wait++) {
        struct http_conn *next;
        for (struct http_conn *conn = server->waiting[wait].first; conn != NULL; conn = next) {
            next = conn->next;
            bool resting = wait == WAIT_IDLE || (wait == WAIT_REQUEST && !conn->heard);
            if (!everything && (!resting || something_arrived(conn)))
                continue;
            if (conn->exchange != NULL)
                exchange_abort(conn->exchange);
            conn_cut(conn);
        }
    }
}
