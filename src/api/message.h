/*
 * A request and a response of the HTTP API as plain bytes, with no HTTP library in sight: the http room makes
 * the one and sends the other; tests and scenarios do the same without a network. Pure.
 */
#ifndef CREDITLEDGER_API_MESSAGE_H
#define CREDITLEDGER_API_MESSAGE_H

#include "base/str.h"

enum api_method { API_GET, API_POST, API_PATCH, API_PUT, API_DELETE, API_HEAD, API_OPTIONS, API_OTHER };

struct api_header {
    struct str name; /* compared without regard to case */
    struct str value;
};

/* Borrowed from the connection for as long as the exchange lasts. */
struct api_request {
    enum api_method method;
    struct str method_name;
    struct str path;  /* still percent-encoded, starts with '/' */
    struct str query; /* what follows '?', still encoded; may be empty */
    const struct api_header *headers;
    size_t n_headers;
    struct str body;
};

#define API_RESPONSE_HEADERS_MAX 12

struct api_response {
    int status;
    const char *content_type; /* static text; NULL: no body */
    struct {
        const char *name; /* static text */
        char value[160];
    } headers[API_RESPONSE_HEADERS_MAX];
    size_t n_headers;
    struct strbuf body;
};

void api_response_init(struct api_response *r);
void api_response_fini(struct api_response *r);
void api_response_header(struct api_response *r, const char *static_name, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* The first header of that name, STR_NONE if there is none. */
struct str api_request_header(const struct api_request *request, const char *name);
enum api_method api_method_parse(struct str name);

#endif
