/*
 * What the head of a request must look like before anybody acts on it: the request target in the forms a
 * server takes, the headers on which two readers of the same bytes could disagree (RFC 9112 sections 3.2
 * and 6.3: request smuggling lives there), and the Host that a loopback listener serves (a web page that
 * points its own name at 127.0.0.1 sends that name). Pure: fuzzed and tested without a socket.
 */
#ifndef CREDITLEDGER_HTTP_HEAD_H
#define CREDITLEDGER_HTTP_HEAD_H

#include "api/message.h"
#include "ledger/refusal.h"

struct http_head {
    bool has_length, chunked;
    uint64_t length; /* valid if has_length */
};

/*
 * Splits "/path?query" or "http://authority/path?query" (section 3.2.2). *ret_authority is STR_NONE for the
 * first form. False for the other forms, for blanks and for control characters.
 */
MUST_CHECK bool http_target_split(
    struct str target, struct str *ret_path, struct str *ret_query, struct str *ret_authority);

/*
 * REFUSAL_NONE, or the first thing that is wrong, with a sentence in *ret_detail. `authority` comes from an
 * absolute target and then stands for the Host. `loopback`: only this machine's own names are served.
 */
enum refusal http_head_check(const struct api_request *request, struct str version, struct str authority,
    bool loopback, struct http_head *ret_head, const char **ret_detail);

/* "localhost", "127.0.0.1" or "[::1]", with or without a port. */
bool http_host_is_loopback(struct str host);

#endif
