#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/pg_database.h"
#include "target.h"

#define START_TIMEOUT_MS 20000

struct http_target {
    struct target target;
    const char *program;
    const char *where; /* --data or --database-url */
    char database[PG_DATABASE_URL_MAX], log[300];
    bool postgres;
    uint16_t port;
    pid_t pid;
};

_Noreturn static void give_up(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof(address);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        give_up("no free port");
    close(fd);
    return ntohs(address.sin_port);
}

static int connect_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(port);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void run_program(const struct http_target *t, const char *const *arguments)
{
    FILE *log = freopen(t->log, "a", stderr);
    if (log == NULL || dup2(fileno(log), STDOUT_FILENO) < 0)
        _exit(126);
    execv(t->program, (char *const *)arguments);
    _exit(127);
}

static void start_server(struct http_target *t)
{
    char listen[32];
    t->port = free_port();
    snprintf(listen, sizeof(listen), "127.0.0.1:%u", t->port);
    fflush(stdout);
    t->pid = fork();
    if (t->pid < 0)
        give_up("fork");
    if (t->pid == 0)
        run_program(
            t, (const char *const[]){t->program, "serve", "--listen", listen, t->where, t->database, NULL});
    for (int waited = 0; waited < START_TIMEOUT_MS; waited += 10) {
        int fd = connect_to(t->port);
        if (fd >= 0) {
            close(fd);
            return;
        }
        if (waitpid(t->pid, NULL, WNOHANG) == t->pid) {
            printf("Bail out! the server stopped at once; see %s\n", t->log);
            exit(1);
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    printf("Bail out! the server did not listen in time; see %s\n", t->log);
    exit(1);
}

static bool write_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
    return true;
}

static void read_all(int fd, struct strbuf *b)
{
    for (;;) {
        strbuf_reserve(b, 65536);
        ssize_t n = recv(fd, b->data + b->len, 65536, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        b->len += (size_t)n;
    }
}

/* RFC 9112 section 7.1, for answers that came whole. */
static void take_chunks(struct str raw, struct strbuf *ret_body)
{
    for (;;) {
        char *end = NULL;
        size_t size = strtoul(raw.data, &end, 16);
        size_t head = (size_t)(end - raw.data) + 2;
        if (size == 0 || head + size + 2 > raw.len)
            return;
        strbuf_add(ret_body, raw.data + head, size);
        raw = (struct str){raw.data + head + size + 2, raw.len - head - size - 2};
    }
}

static bool take_answer(struct strbuf *raw, struct outcome *ret_outcome, struct err *err)
{
    strbuf_char(raw, '\0');
    char *split = strstr(raw->data, "\r\n\r\n");
    if (split == NULL || sscanf(raw->data, "HTTP/1.1 %d", &ret_outcome->status) != 1) {
        err_set(err, ERR_IO, "no HTTP answer, but %zu bytes", raw->len - 1);
        return false;
    }
    char *line = strstr(raw->data, "\r\n") + 2;
    while (line < split + 2) {
        char *end = strstr(line, "\r\n");
        strbuf_add(&ret_outcome->headers, line, (size_t)(end - line));
        strbuf_char(&ret_outcome->headers, '\n');
        line = end + 2;
    }
    struct str body = {split + 4, raw->len - 1 - (size_t)(split + 4 - raw->data)};
    struct str coding = outcome_header(ret_outcome, "Transfer-Encoding");
    if (coding.len == 7 && strncasecmp(coding.data, "chunked", 7) == 0)
        take_chunks(body, &ret_outcome->body);
    else
        strbuf_str(&ret_outcome->body, body);
    return true;
}

static bool http_send(
    struct target *target, const struct exchange *e, struct outcome *ret_outcome, struct err *err)
{
    struct http_target *t = (struct http_target *)target;
    struct strbuf bytes;
    strbuf_init(&bytes);
    strbuf_str(&bytes, e->method);
    strbuf_char(&bytes, ' ');
    strbuf_str(&bytes, e->path);
    if (e->query.len > 0) {
        strbuf_char(&bytes, '?');
        strbuf_str(&bytes, e->query);
    }
    strbuf_printf(&bytes, " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n", t->port);
    for (size_t i = 0; i < e->n_headers; i++)
        strbuf_printf(
            &bytes, STR_FMT ": " STR_FMT "\r\n", STR_ARG(e->headers[i].name), STR_ARG(e->headers[i].value));
    if (e->body.len > 0 || !str_eq_c(e->method, "GET"))
        strbuf_printf(&bytes, "Content-Length: %zu\r\n", e->body.len);
    strbuf_c(&bytes, "\r\n");
    strbuf_str(&bytes, e->body);
    int fd = connect_to(t->port);
    bool sent = fd >= 0 && write_all(fd, strbuf_view(&bytes));
    strbuf_clear(&bytes);
    if (sent)
        read_all(fd, &bytes);
    else
        err_set(err, ERR_IO, "cannot send: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    bool answered = sent && take_answer(&bytes, ret_outcome, err);
    strbuf_fini(&bytes);
    return answered;
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool http_finish(struct target *target, struct err *err)
{
    struct http_target *t = (struct http_target *)target;
    kill(t->pid, SIGTERM);
    int served = wait_for(t->pid);
    bool sound = served == 0;
    if (!sound)
        err_set(err, ERR_IO, "the server exited with %d; see %s", served, t->log);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        run_program(t, (const char *const[]){t->program, "verify", t->where, t->database, NULL});
    int verified = pid > 0 ? wait_for(pid) : -1;
    if (sound && verified != 0) {
        sound = false;
        err_set(err, ERR_CORRUPT, "verify exited with %d; see %s", verified, t->log);
    }
    if (t->postgres)
        pg_database_drop(t->database);
    free(t);
    return sound;
}

struct target *target_http_new(enum target_kind kind, const char *program, const char *directory)
{
    struct http_target *t = calloc(1, sizeof(*t));
    INVARIANT(t != NULL);
    t->target = (struct target){http_send, http_finish};
    t->program = program;
    t->postgres = kind == TARGET_POSTGRES;
    t->where = t->postgres ? "--database-url" : "--data";
    if (t->postgres)
        pg_database_make(0, t->database);
    else
        snprintf(t->database, sizeof(t->database), "%s", directory);
    snprintf(t->log, sizeof(t->log), "%s.log", directory);
    start_server(t);
    return &t->target;
}
