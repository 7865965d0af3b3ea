#include "api/json_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/json_out.h"
#include "base/limits.h"

static bool is_text(struct str s, const char *text)
{
    return s.len == strlen(text) && strncasecmp(s.data, text, s.len) == 0;
}

/* What follows ';' in a media type: charset=utf-8 and nothing else that matters. */
static bool charset_fits(struct str parameters)
{
    struct str parameter, name;
    while (str_split(&parameters, ';', &parameter)) {
        struct str value = str_trim(parameter);
        if (!str_split(&value, '=', &name) || !is_text(str_trim(name), "charset") || value.data == NULL)
            continue;
        value = str_trim(value);
        if (value.len >= 2 && value.data[0] == '"')
            value = (struct str){value.data + 1, value.len - 2};
        if (!is_text(value, "utf-8") && !is_text(value, "utf8"))
            return false;
    }
    return true;
}

bool json_content_type(
    const struct api_request *request, bool bulk, enum body_format *ret_format, struct fault *fault)
{
    struct str header = api_request_header(request, "Content-Type"), type, rest = header;
    *ret_format = BODY_JSON;
    if (header.data == NULL) {
        if (request->body.len == 0)
            return true;
        return fault_set(fault, REFUSAL_UNSUPPORTED_MEDIA_TYPE, "Content-Type", "There is no Content-Type.");
    }
    if (str_split(&rest, ';', &type)) {
        type = str_trim(type);
        bool json = is_text(type, "application/json");
        bool ndjson = bulk && is_text(type, "application/x-ndjson");
        if (ndjson)
            *ret_format = BODY_NDJSON;
        if ((json || ndjson) && charset_fits(rest))
            return true;
    }
    return fault_set(fault, REFUSAL_UNSUPPORTED_MEDIA_TYPE, "Content-Type",
        "Content-Type is '%.*s', not application/json%s.", header.len < 100 ? (int)header.len : 100,
        header.data, bulk ? " or application/x-ndjson" : "");
}

struct position {
    size_t line, column;
};

static struct position position_of(struct str body, size_t offset)
{
    struct position p = {1, 1};
    for (size_t i = 0; i < offset; i++) {
        p.column++;
        if (body.data[i] == '\n')
            p = (struct position){p.line + 1, 1};
    }
    return p;
}

/* Before parsing, so that a deep body is refused without being built. Brackets in strings do not count. */
static bool check_depth(struct str body, struct fault *fault)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth <= LIMIT_JSON_DEPTH_MAX)
                continue;
            struct position at = position_of(body, i);
            return fault_set(fault, REFUSAL_JSON_TOO_DEEP, NULL,
                "Line %zu, column %zu: nested deeper than %d levels.", at.line, at.column,
                LIMIT_JSON_DEPTH_MAX);
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

/* Most bodies are, and that is seen eight bytes at a time. */
static bool is_ascii(struct str s)
{
    uint64_t high = 0;
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.data + i, 8);
        high |= word;
    }
    for (; i < s.len; i++)
        high |= (uint64_t)(unsigned char)s.data[i];
    return (high & UINT64_C(0x8080808080808080)) == 0;
}

static bool check_utf8(struct str body, struct fault *fault)
{
    if (is_ascii(body) || str_utf8_valid(body))
        return true;
    size_t at = 0;
    while (at < body.len) {
        size_t n = 1;
        while (n <= 4 && at + n <= body.len && !str_utf8_valid((struct str){body.data + at, n}))
            n++;
        if (n > 4 || at + n > body.len)
            break;
        at += n;
    }
    struct position p = position_of(body, at);
    return fault_set(fault, REFUSAL_INVALID_UTF8, NULL, "Line %zu, byte %zu: not UTF-8.", p.line, p.column);
}

static bool read_failed(const json_error_t *error, struct fault *fault)
{
    enum refusal refusal = REFUSAL_MALFORMED_JSON;
    enum json_error_code code = json_error_code(error);
    if (code == json_error_duplicate_key)
        refusal = REFUSAL_DUPLICATE_JSON_KEY;
    else if (code == json_error_numeric_overflow)
        refusal = REFUSAL_NUMBER_OUT_OF_RANGE;
    else if (code == json_error_invalid_utf8)
        refusal = REFUSAL_INVALID_UTF8;
    return fault_set(
        fault, refusal, NULL, "Line %d, column %d: %s.", error->line, error->column, error->text);
}

bool json_read(struct str body, json_t **ret_root, struct fault *fault)
{
    if (str_trim(body).len == 0)
        return fault_set(fault, REFUSAL_MALFORMED_JSON, NULL, "The body is empty.");
    if (!check_utf8(body, fault) || !check_depth(body, fault))
        return false;
    json_error_t error;
    json_t *root = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return read_failed(&error, fault);
    *ret_root = root;
    return true;
}

static void canonical_real(double value, struct strbuf *b)
{
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    strbuf_c(b, text);
    /* What was a real stays one for whoever reads it back. */
    if (strpbrk(text, ".e") == NULL)
        strbuf_c(b, ".0");
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void canonical_object(const json_t *value, struct strbuf *b)
{
    json_t *object = (json_t *)(uintptr_t)value; /* jansson's iterators ask for it; nothing is changed */
    size_t n = json_object_size(object), i = 0;
    const char **keys = malloc((n + 1) * sizeof *keys);
    INVARIANT(keys != NULL);
    for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at))
        keys[i++] = json_object_iter_key(at);
    qsort(keys, n, sizeof *keys, compare_keys);
    strbuf_char(b, '{');
    for (i = 0; i < n; i++) {
        if (i > 0)
            strbuf_char(b, ',');
        json_escape(b, str_of(keys[i]));
        strbuf_char(b, ':');
        json_canonical(json_object_get(object, keys[i]), b);
    }
    strbuf_char(b, '}');
    free(keys);
}

/* Recursion ends at LIMIT_JSON_DEPTH_MAX: json_read() lets nothing deeper in. */
void json_canonical(const json_t *value, struct strbuf *b)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        canonical_object(value, b);
        break;
    case JSON_ARRAY:
        strbuf_char(b, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0)
                strbuf_char(b, ',');
            json_canonical(json_array_get(value, i), b);
        }
        strbuf_char(b, ']');
        break;
    case JSON_STRING:
        json_escape(b, (struct str){json_string_value(value), json_string_length(value)});
        break;
    case JSON_INTEGER:
        strbuf_int(b, json_integer_value(value));
        break;
    case JSON_REAL:
        canonical_real(json_real_value(value), b);
        break;
    case JSON_TRUE:
        strbuf_c(b, "true");
        break;
    case JSON_FALSE:
        strbuf_c(b, "false");
        break;
    case JSON_NULL:
        strbuf_c(b, "null");
        break;
    }
}
