#include "http/head.h"

#include <strings.h>

static bool same_text(struct str s, const char *text)
{
    struct str t = str_of(text);
    return s.len == t.len && strncasecmp(s.data, t.data, t.len) == 0;
}

static bool all_visible(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] <= 0x20 || s.data[i] == 0x7f)
            return false;
    return true;
}

bool http_target_split(
    struct str target, struct str *ret_path, struct str *ret_query, struct str *ret_authority)
{
    struct str scheme = STR("http://");
    *ret_authority = STR_NONE;
    if (!all_visible(target))
        return false;
    if (target.len > scheme.len && strncasecmp(target.data, scheme.data, scheme.len) == 0) {
        size_t end = scheme.len;
        while (end < target.len && target.data[end] != '/' && target.data[end] != '?')
            end++;
        *ret_authority = (struct str){target.data + scheme.len, end - scheme.len};
        target = (struct str){target.data + end, target.len - end};
        if (ret_authority->len == 0)
            return false;
    }
    if (target.len == 0 || target.data[0] != '/')
        return false;
    struct str path;
    if (!str_split(&target, '?', &path))
        return false;
    *ret_path = path;
    *ret_query = target.data != NULL ? target : STR("");
    return true;
}

static bool is_port(struct str s)
{
    uint64_t port;
    return s.len == 0 ||
           (s.data[0] == ':' &&
               (s.len == 1 || (str_to_uint64((struct str){s.data + 1, s.len - 1}, &port) && port <= 65535)));
}

bool http_host_is_loopback(struct str host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct str name = str_of(names[i]);
        if (host.len >= name.len && strncasecmp(host.data, name.data, name.len) == 0 &&
            is_port((struct str){host.data + name.len, host.len - name.len}))
            return true;
    }
    return false;
}

/* The headers that count here, gathered in one pass. */
struct found {
    size_t hosts, lengths, encodings, expects;
    struct str host, length, encoding, expect;
};

static void note(struct str value, size_t *n, struct str *ret_value)
{
    (*n)++;
    *ret_value = str_trim(value);
}

static struct found gather(const struct api_request *request)
{
    struct found f = {0};
    for (size_t i = 0; i < request->n_headers; i++) {
        struct str name = request->headers[i].name, value = request->headers[i].value;
        if (same_text(name, "host"))
            note(value, &f.hosts, &f.host);
        else if (same_text(name, "content-length"))
            note(value, &f.lengths, &f.length);
        else if (same_text(name, "transfer-encoding"))
            note(value, &f.encodings, &f.encoding);
        else if (same_text(name, "expect"))
            note(value, &f.expects, &f.expect);
    }
    return f;
}

static const char *framing_fault(const struct found *f, bool http_1_0, struct http_head *head)
{
    if (f->lengths > 1)
        return "The request has two Content-Length headers.";
    if (f->lengths > 0 && f->encodings > 0)
        return "The request has Content-Length and Transfer-Encoding.";
    if (f->encodings > 1 || (f->encodings == 1 && !same_text(f->encoding, "chunked")))
        return "The only Transfer-Encoding understood is one 'chunked'.";
    if (f->encodings > 0 && http_1_0)
        return "HTTP/1.0 has no Transfer-Encoding.";
    if (f->lengths > 0 && !str_to_uint64(f->length, &head->length))
        return "Content-Length is not a number of bytes.";
    if (f->expects > 1 || (f->expects == 1 && !same_text(f->expect, "100-continue")))
        return "The only Expect understood is '100-continue'.";
    head->has_length = f->lengths > 0;
    head->chunked = f->encodings > 0;
    return NULL;
}

enum refusal http_head_check(const struct api_request *request, struct str version, struct str authority,
    bool loopback, struct http_head *ret_head, const char **ret_detail)
{
    struct found f = gather(request);
    bool http_1_0 = str_eq_c(version, "HTTP/1.0");
    *ret_head = (struct http_head){0};
    *ret_detail = NULL;
    if (f.hosts > 1)
        *ret_detail = "The request has two Host headers.";
    else if (f.hosts == 0 && !http_1_0)
        *ret_detail = "The request has no Host header.";
    else
        *ret_detail = framing_fault(&f, http_1_0, ret_head);
    if (*ret_detail != NULL)
        return REFUSAL_MALFORMED_HTTP;
    if (authority.data != NULL)
        f.host = authority;
    if (loopback && f.host.data != NULL && !http_host_is_loopback(f.host)) {
        *ret_detail = "This server listens on the loopback address and serves this machine's own names only.";
        return REFUSAL_HOST_NOT_ALLOWED;
    }
    return REFUSAL_NONE;
}
