/*
 * What a listen address says about who can reach it. Pure.
 */
#ifndef CREDITLEDGER_APP_SERVE_LISTEN_H
#define CREDITLEDGER_APP_SERVE_LISTEN_H

#include <stdbool.h>

#include "base/str.h"

/* True for "localhost", 127.0.0.0/8 and ::1 only: anything else is taken for reachable by others. */
bool listen_is_loopback(const char *listen);
/* "http://host:port" for a person on this machine; a wildcard address is reached as 127.0.0.1 or [::1]. */
void listen_url(const char *listen, int port, char *ret_url, size_t size);

#endif
