#include "events/event_json.h"

#include <string.h>

#include "base/instant.h"

void event_json_name(struct strbuf *b, const char *name)
{
    if (b->len > 0 && b->data[b->len - 1] != '{' && b->data[b->len - 1] != '[')
        strbuf_char(b, ',');
    strbuf_char(b, '"');
    strbuf_c(b, name);
    strbuf_c(b, "\":");
}

void event_json_string(struct strbuf *b, struct str s)
{
    if (s.data == NULL) {
        strbuf_c(b, "null");
        return;
    }
    strbuf_char(b, '"');
    for (size_t i = 0, plain = 0; i <= s.len; i++) {
        unsigned char c = i < s.len ? (unsigned char)s.data[i] : 0;
        if (i < s.len && c >= 0x20 && c != '"' && c != '\\')
            continue;
        strbuf_add(b, s.data + plain, i - plain);
        plain = i + 1;
        if (i < s.len && c < 0x20)
            strbuf_printf(b, "\\u%04x", c);
        else if (i < s.len) {
            strbuf_char(b, '\\');
            strbuf_char(b, (char)c);
        }
    }
    strbuf_char(b, '"');
}

void event_json_text(struct strbuf *b, const char *name, struct str value)
{
    event_json_name(b, name);
    event_json_string(b, value);
}

void event_json_int(struct strbuf *b, const char *name, int64_t value)
{
    event_json_name(b, name);
    strbuf_int(b, value);
}

void event_json_uint(struct strbuf *b, const char *name, uint64_t value)
{
    event_json_name(b, name);
    strbuf_uint(b, value);
}

void event_json_uuid(struct strbuf *b, const char *name, struct uuid id)
{
    event_json_name(b, name);
    strbuf_char(b, '"');
    strbuf_uuid(b, id);
    strbuf_char(b, '"');
}

void event_json_instant(struct strbuf *b, const char *name, int64_t instant)
{
    event_json_name(b, name);
    strbuf_char(b, '"');
    strbuf_instant(b, instant);
    strbuf_char(b, '"');
}

/* The length of the string that starts at the front of s, quotes included; 0 if there is none. */
static size_t string_length(struct str s)
{
    if (s.len == 0 || s.data[0] != '"')
        return 0;
    for (size_t i = 1; i < s.len; i++) {
        if (s.data[i] == '\\')
            i++;
        else if (s.data[i] == '"')
            return i + 1;
    }
    return 0;
}

/* The length of the value at the front of s: up to the ',' or bracket of the level it stands on. */
static size_t value_length(struct str s)
{
    size_t depth = 0, i = 0;
    while (i < s.len) {
        char c = s.data[i];
        if (c == '"') {
            size_t n = string_length((struct str){s.data + i, s.len - i});
            if (n == 0)
                return 0;
            i += n;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return i;
        if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        i++;
    }
    return 0;
}

struct str event_json_member(struct str object, const char *name)
{
    if (object.len < 2 || object.data[0] != '{')
        return STR_NONE;
    struct str s = {object.data + 1, object.len - 1};
    for (;;) {
        size_t key = string_length(s);
        if (key == 0 || key >= s.len || s.data[key] != ':')
            return STR_NONE;
        struct str key_text = {s.data + 1, key - 2}, value = {s.data + key + 1, s.len - key - 1};
        value.len = value_length(value);
        if (value.len == 0)
            return STR_NONE;
        if (str_eq_c(key_text, name))
            return value;
        size_t used = key + 1 + value.len + 1;
        if (used >= s.len || s.data[used - 1] != ',')
            return STR_NONE;
        s.data += used;
        s.len -= used;
    }
}
