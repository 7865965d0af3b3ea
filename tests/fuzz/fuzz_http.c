/*
 * Fuzzing the http room: the input goes over a real connection to a listening server, in two pieces (the
 * first byte says where it is cut), and the client then stops sending. Whatever the bytes are, what reaches
 * the handler keeps its promises, everything that comes back is answers, and the server closes the
 * connection. The pure checks of http/head.h are also called with the bytes directly.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/head.h"
#include "http/http.h"

#define BODY_LIMIT 4096
#define PATIENCE_MS 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_server *server;

static size_t body_limit(void *ctx, enum api_method method, struct str path)
{
    (void)ctx;
    (void)method;
    INVARIANT(path.len > 0 && path.data[0] == '/');
    return BODY_LIMIT;
}

static void handler(void *ctx, struct http_exchange *exchange, const struct api_request *request)
{
    (void)ctx;
    INVARIANT(request->path.len > 0 && request->path.data[0] == '/');
    INVARIANT(memchr(request->path.data, '?', request->path.len) == NULL);
    INVARIANT(request->body.len <= BODY_LIMIT);
    INVARIANT(request->method != API_HEAD);
    struct str host = api_request_header(request, "hOsT");
    size_t known = 0;
    for (size_t i = 0; i < request->n_headers; i++)
        known += request->headers[i].name.len + request->headers[i].value.len;
    struct api_response response;
    api_response_init(&response);
    response.status = 200;
    response.content_type = "application/octet-stream";
    api_response_header(&response, "X-Known", "%zu", known + host.len);
    if (request->method == API_PUT) {
        http_stream_begin(exchange, &response);
        http_stream_write(exchange, request->body);
        http_stream_end(exchange);
    } else {
        strbuf_str(&response.body, request->body);
        http_reply(exchange, &response);
    }
    api_response_fini(&response);
}

static void *run(void *arg)
{
    (void)arg;
    struct err err;
    INVARIANT(http_run(server, &err) == 0);
    return NULL;
}

static void start(void)
{
    /* The library may miss the end of a connection that comes with its last bytes: the idle deadline closes it then. */
    struct http_config config = {.listen = "127.0.0.1:0",
        .body_limit = body_limit,
        .handler = handler,
        .request_timeout_ms = 2000,
        .idle_timeout_ms = 3000};
    struct err err;
    pthread_t thread;
    int rc = http_new(&config, &server, &err);
    INVARIANT_F(rc == 0, "%s", err.message);
    INVARIANT(pthread_create(&thread, NULL, run, NULL) == 0);
    pthread_detach(thread);
}

static int connect_to_server(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)http_port(server))};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    INVARIANT(fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof in) == 0);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_piece(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        size -= (size_t)n;
    }
}

static void read_to_the_end(int fd)
{
    char text[8192];
    bool first = true;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        INVARIANT_F(poll(&p, 1, PATIENCE_MS) == 1, "the connection stays open after %d ms", PATIENCE_MS);
        ssize_t n = recv(fd, text, sizeof text, 0);
        if (n <= 0)
            return;
        INVARIANT(!first || n < 9 || memcmp(text, "HTTP/1.", 7) == 0);
        first = false;
    }
}

static void check_pure(struct str bytes)
{
    struct str path, query, authority;
    if (http_target_split(bytes, &path, &query, &authority))
        INVARIANT(path.data[0] == '/' && memchr(path.data, '?', path.len) == NULL);
    (void)http_host_is_loopback(bytes);
    struct api_header headers[4];
    size_t n = 0;
    for (struct str line, rest = bytes; n < 4 && str_split(&rest, '\n', &line);) {
        struct str name;
        if (str_split(&line, ':', &name))
            headers[n++] = (struct api_header){name, line.data != NULL ? line : STR("")};
    }
    struct http_head head;
    const char *detail;
    struct api_request request = {.headers = headers, .n_headers = n};
    enum refusal refusal = http_head_check(&request, STR("HTTP/1.1"), STR_NONE, true, &head, &detail);
    INVARIANT((refusal == REFUSAL_NONE) == (detail == NULL));
    INVARIANT(refusal != REFUSAL_NONE || !(head.has_length && head.chunked));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (server == NULL)
        start();
    if (size == 0)
        return 0;
    size_t cut = data[0] < size ? data[0] : size - 1;
    data++, size--;
    check_pure((struct str){(const char *)data, size});
    int fd = connect_to_server();
    send_piece(fd, data, cut);
    send_piece(fd, data + cut, size - cut);
    shutdown(fd, SHUT_WR);
    read_to_the_end(fd);
    close(fd);
    return 0;
}
