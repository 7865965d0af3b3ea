#include "app/serve_listen.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define HOST_MAX 255

/* "host:port" or "[host]:port" or either without the port; the host without brackets. False if it does not
 * fit. */
static bool host_of(const char *listen, char ret_host[HOST_MAX + 1], bool *ret_v6)
{
    const char *from = listen, *end;
    *ret_v6 = listen[0] == '[';
    if (*ret_v6) {
        from++;
        end = strchr(from, ']');
    } else {
        end = strrchr(listen, ':');
    }
    size_t len = end ? (size_t)(end - from) : strlen(from);
    if (len > HOST_MAX)
        return false;
    memcpy(ret_host, from, len);
    ret_host[len] = '\0';
    return true;
}

bool listen_is_loopback(const char *listen)
{
    char host[HOST_MAX + 1];
    bool v6;
    struct in_addr v4_address;
    struct in6_addr v6_address;
    if (!host_of(listen, host, &v6))
        return false;
    if (v6)
        return inet_pton(AF_INET6, host, &v6_address) == 1 && IN6_IS_ADDR_LOOPBACK(&v6_address);
    if (strcmp(host, "localhost") == 0)
        return true;
    return inet_pton(AF_INET, host, &v4_address) == 1 && ntohl(v4_address.s_addr) >> 24 == 127;
}

void listen_url(const char *listen, int port, char *ret_url, size_t size)
{
    char host[HOST_MAX + 1];
    bool v6;
    if (!host_of(listen, host, &v6))
        host[0] = '\0';
    if (strcmp(host, "0.0.0.0") == 0 || *host == '\0')
        snprintf(host, sizeof host, "127.0.0.1");
    if (strcmp(host, "::") == 0)
        snprintf(host, sizeof host, "::1");
    snprintf(ret_url, size, v6 ? "http://[%s]:%d" : "http://%s:%d", host, port);
}
