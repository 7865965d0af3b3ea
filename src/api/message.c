#include "api/message.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

void api_response_init(struct api_response *r)
{
    memset(r, 0, sizeof *r);
    strbuf_init(&r->body);
}

void api_response_fini(struct api_response *r)
{
    strbuf_fini(&r->body);
    r->n_headers = 0;
}

void api_response_header(struct api_response *r, const char *static_name, const char *format, ...)
{
    INVARIANT_F(r->n_headers < API_RESPONSE_HEADERS_MAX, "no room for header %s", static_name);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(r->headers[r->n_headers].value, sizeof r->headers[r->n_headers].value, format, args);
    va_end(args);
    INVARIANT_F(n >= 0 && (size_t)n < sizeof r->headers[0].value, "header %s too long", static_name);
    r->headers[r->n_headers++].name = static_name;
}

struct str api_request_header(const struct api_request *request, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct api_header *h = &request->headers[i];
        if (h->name.len == len && strncasecmp(h->name.data, name, len) == 0)
            return h->value.data != NULL ? h->value : STR("");
    }
    return STR_NONE;
}

enum api_method api_method_parse(struct str name)
{
    static const struct {
        const char *name;
        enum api_method method;
    } methods[] = {
        {"GET", API_GET},
        {"POST", API_POST},
        {"PATCH", API_PATCH},
        {"PUT", API_PUT},
        {"DELETE", API_DELETE},
        {"HEAD", API_HEAD},
        {"OPTIONS", API_OPTIONS},
    };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (str_eq_c(name, methods[i].name))
            return methods[i].method;
    return API_OTHER;
}
