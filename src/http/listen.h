/*
 * The listening socket, made from text: "127.0.0.1:4000", "[::1]:0", "0.0.0.0:80", "localhost:4000".
 */
#ifndef CREDITLEDGER_HTTP_LISTEN_H
#define CREDITLEDGER_HTTP_LISTEN_H

#include "base/err.h"
#include "base/str.h"

/* ERR_CONFIG: the text is none or names nothing here; ERR_BUSY: the port is taken; ERR_IO. */
MUST_CHECK int listen_open(
    const char *address, int *ret_fd, int *ret_port, bool *ret_loopback, struct err *err);

#endif
