/*
 * The server and its loop. The loop waits in an epoll of its own for the library's epoll descriptor, an
 * eventfd (http_wake, http_stop) and the lingering sockets. The eventfd is watched edge-triggered and never
 * read: every write makes an edge, and the counter has room for longer than any machine lives.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "http/internal.h"
#include "http/listen.h"

#define TICK_MS 1000
#define EVENTS_MAX 16
#define POOL_BYTES 32768 /* of a connection; the library clears all of it for every request */
#define TAG_LIBRARY 0
#define TAG_WAKE 1
#define TAG_LINGER 2
#define TAG_MAX 4096 /* beyond it: the address of a connection */
#define FOREVER_MS (INT64_MAX / 4)
#define CLOSING_RUNS 100

int64_t http_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int either(int value, int fallback)
{
    return value > 0 ? value : fallback;
}

static void set_limits(struct http_server *server)
{
    struct http_config *config = &server->config;
    if (config->connections_max == 0)
        config->connections_max = LIMIT_CONNECTIONS_DEFAULT;
    if (config->bodies_max == 0)
        config->bodies_max = LIMIT_BODIES_DEFAULT;
    server->waiting[WAIT_REQUEST].timeout_ms = either(config->request_timeout_ms, 30000);
    server->waiting[WAIT_IDLE].timeout_ms = either(config->idle_timeout_ms, 75000);
    server->waiting[WAIT_REPLY].timeout_ms = either(config->reply_timeout_ms, 60000);
    server->waiting[WAIT_SEND].timeout_ms = either(config->idle_timeout_ms, 75000);
    server->waiting[WAIT_CLOSED].timeout_ms = FOREVER_MS;
}

static int watch(struct http_server *server, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event event = {.events = events, .data.u64 = tag};
    return epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int open_loop(struct http_server *server, struct err *err)
{
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->epoll_fd < 0 || server->event_fd < 0 ||
        watch(server, server->event_fd, EPOLLIN | EPOLLET, TAG_WAKE) != 0)
        return err_set(err, ERR_IO, "cannot make the HTTP loop: %s", strerror(errno));
    linger_init(&server->linger, server->epoll_fd, TAG_LINGER);
    return 0;
}

static int start_library(struct http_server *server, struct err *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO;
    server->daemon = MHD_start_daemon(flags, 0, NULL, NULL, exchange_step, server, MHD_OPTION_LISTEN_SOCKET,
        server->listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->config.connections_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_URI_LOG_CALLBACK, exchange_begin, server, MHD_OPTION_NOTIFY_COMPLETED, exchange_completed,
        server, MHD_OPTION_NOTIFY_CONNECTION, conn_notify, server, MHD_OPTION_END);
    if (server->daemon == NULL)
        return err_set(err, ERR_IO, "the HTTP library does not start");
    int fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (watch(server, fd, EPOLLIN, TAG_LIBRARY) != 0)
        return err_set(err, ERR_IO, "cannot watch the HTTP library: %s", strerror(errno));
    return 0;
}

static int server_open(struct http_server *server, struct err *err)
{
    int rc = listen_open(server->config.listen, &server->listen_fd, &server->port, &server->loopback, err);
    if (rc == 0)
        rc = open_loop(server, err);
    return rc == 0 ? start_library(server, err) : rc;
}

int http_new(const struct http_config *config, struct http_server **ret_server, struct err *err)
{
    INVARIANT(config->handler != NULL && config->body_limit != NULL);
    struct http_server *server = calloc(1, sizeof *server);
    INVARIANT(server != NULL);
    server->config = *config;
    server->listen_fd = server->epoll_fd = server->event_fd = -1;
    server->now_ms = server->woken_ms = http_now_ms();
    set_limits(server);
    int rc = server_open(server, err);
    if (rc != 0) {
        http_free(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

static void close_listener(struct http_server *server)
{
    if (server->daemon != NULL && server->listen_fd >= 0)
        (void)MHD_quiesce_daemon(server->daemon);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    server->listen_fd = -1;
}

/* A suspended connection must be resumed before the library may stop; resumed ones see that they are aborted.
 */
static void close_connections(struct http_server *server)
{
    conn_cut_all(server, true);
    for (int i = 0; i < CLOSING_RUNS && http_connections(server) > 0; i++)
        (void)MHD_run(server->daemon);
}

void http_free(struct http_server *server)
{
    if (server == NULL)
        return;
    close_listener(server);
    if (server->daemon != NULL) {
        close_connections(server);
        MHD_stop_daemon(server->daemon);
    }
    exchange_free_all(server);
    if (server->epoll_fd >= 0)
        linger_fini(&server->linger);
    if (server->event_fd >= 0)
        close(server->event_fd);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    free(server);
}

int http_port(const struct http_server *server)
{
    return server->port;
}

size_t http_connections(const struct http_server *server)
{
    return atomic_load_explicit(&server->connections, memory_order_relaxed);
}

static void ring(struct http_server *server)
{
    uint64_t one = 1;
    int saved = errno;
    (void)!write(server->event_fd, &one, sizeof one);
    errno = saved;
}

void http_wake(struct http_server *server)
{
    if (!atomic_exchange(&server->woken, true))
        ring(server);
}

void http_stop(struct http_server *server, int grace_ms)
{
    atomic_store(&server->grace_ms, grace_ms);
    atomic_store(&server->stop, true);
    ring(server);
}

static bool callers_wait(const struct http_server *server)
{
    struct pollfd listener = {.fd = server->listen_fd, .events = POLLIN};
    return poll(&listener, 1, 0) > 0;
}

/* What has arrived by now is still taken up; then the door closes, and who is not amid a request goes. The library lets
 * in a few at a time only, and whoever it has not let in when the door closes is sent away. */
static void begin_stop(struct http_server *server)
{
    (void)MHD_run(server->daemon);
    for (int i = 0; i < CLOSING_RUNS && callers_wait(server); i++)
        (void)MHD_run(server->daemon);
    server->stopping = true;
    server->stop_ms = server->now_ms + atomic_load(&server->grace_ms);
    close_listener(server);
    conn_cut_all(server, false);
    server->run_again = true;
}

static bool stop_complete(const struct http_server *server)
{
    if (!server->stopping)
        return false;
    return server->now_ms >= server->stop_ms || (http_connections(server) == 0 && server->n_with_app == 0);
}

static void call_woken(struct http_server *server)
{
    bool asked = atomic_exchange(&server->woken, false) || server->drained;
    if (!asked && server->now_ms - server->woken_ms < TICK_MS)
        return;
    server->drained = false;
    server->woken_ms = server->now_ms;
    server->run_again = true;
    if (server->config.woken != NULL)
        server->config.woken(server->config.ctx);
}

static bool library_busy(const struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG library_ms;
    return server->run_again || (MHD_get_timeout(server->daemon, &library_ms) == MHD_YES && library_ms == 0);
}

static int wait_ms(struct http_server *server, int64_t deadline_ms)
{
    if (!library_busy(server) && server->half_closed != NULL)
        conn_cut_half_closed(server);
    if (server->drained || library_busy(server))
        return 0;
    int64_t until = server->woken_ms + TICK_MS;
    if (deadline_ms < until)
        until = deadline_ms;
    if (server->stopping && server->stop_ms < until)
        until = server->stop_ms;
    return until <= server->now_ms ? 0 : (int)(until - server->now_ms);
}

static int take_events(struct http_server *server, int timeout_ms, struct err *err)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(server->epoll_fd, events, EVENTS_MAX, timeout_ms);
    if (n < 0 && errno != EINTR)
        return err_set(err, ERR_IO, "the HTTP loop cannot wait: %s", strerror(errno));
    server->now_ms = http_now_ms();
    for (int i = 0; i < n; i++) {
        uint64_t tag = events[i].data.u64;
        if (tag == TAG_LIBRARY)
            server->run_again = true;
        else if (tag > TAG_MAX)
            conn_half_closed((struct http_conn *)(uintptr_t)tag);
        else if (tag >= TAG_LINGER)
            linger_ready(&server->linger, (size_t)(tag - TAG_LINGER));
    }
    return 0;
}

static void run_library(struct http_server *server)
{
    if (!library_busy(server))
        return;
    server->run_again = false;
    (void)MHD_run(server->daemon);
}

int http_run(struct http_server *server, struct err *err)
{
    int64_t deadline_ms = 0;
    while (!stop_complete(server)) {
        int rc = take_events(server, wait_ms(server, deadline_ms), err);
        if (rc != 0)
            return rc;
        call_woken(server);
        run_library(server);
        deadline_ms = conn_expire(server);
        int64_t linger_ms = linger_expire(&server->linger, server->now_ms);
        if (linger_ms < deadline_ms)
            deadline_ms = linger_ms;
        if (atomic_load_explicit(&server->stop, memory_order_relaxed) && !server->stopping)
            begin_stop(server);
    }
    close_connections(server);
    return 0;
}
