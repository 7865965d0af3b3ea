#include "http/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

/* Digits up to 65535: getaddrinfo would take 99999 for 34463, and names of services. */
static bool is_port(const char *text)
{
    unsigned long port = 0;
    if (*text == '\0')
        return false;
    for (; *text >= '0' && *text <= '9' && port <= UINT16_MAX; text++)
        port = port * 10 + (unsigned long)(*text - '0');
    return *text == '\0' && port <= UINT16_MAX;
}

/* The host without brackets and the port, each NUL-terminated. */
static bool split_address(const char *address, char *ret_host, size_t size, const char **ret_port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || !is_port(colon + 1))
        return false;
    const char *from = address, *to = colon;
    if (*from == '[') {
        if (to[-1] != ']')
            return false;
        from++, to--;
    }
    size_t len = (size_t)(to - from);
    if (len == 0 || len >= size)
        return false;
    memcpy(ret_host, from, len);
    ret_host[len] = '\0';
    *ret_port = colon + 1;
    return true;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, address, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

static int bound_port(int fd)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return -1;
    if (bound.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return ntohs(((struct sockaddr_in6 *)&bound)->sin6_port);
}

/* Accepted sockets inherit TCP_NODELAY, which saves a call for each. */
static int bind_and_listen(int fd, const struct addrinfo *where)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return -1;
    if (where->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0)
        return -1;
    return bind(fd, where->ai_addr, where->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0 ? 0 : -1;
}

int listen_open(const char *address, int *ret_fd, int *ret_port, bool *ret_loopback, struct err *err)
{
    char host[256];
    const char *port;
    if (!split_address(address, host, sizeof host, &port))
        return err_set(
            err, ERR_CONFIG, "'%s' is no address to listen on: write 127.0.0.1:4000 or [::1]:4000", address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host, port, &hints, &found);
    if (rc != 0)
        return err_set(err, ERR_CONFIG, "cannot listen on '%s': %s", address, gai_strerror(rc));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int failed = fd < 0 || bind_and_listen(fd, found) != 0 ? errno : 0;
    *ret_loopback = is_loopback(found->ai_addr);
    freeaddrinfo(found);
    if (failed == 0) {
        *ret_fd = fd;
        *ret_port = bound_port(fd);
        return 0;
    }
    if (fd >= 0)
        close(fd);
    int code = failed == EADDRINUSE                          ? ERR_BUSY
               : failed == EADDRNOTAVAIL || failed == EACCES ? ERR_CONFIG
                                                             : ERR_IO;
    return err_set(err, code, "cannot listen on %s: %s", address, strerror(failed));
}
