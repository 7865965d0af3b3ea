#include "api/json_out.h"

#include <string.h>

#include "base/instant.h"

/* A value or key that follows another value needs a comma; what ends a value tells. */
static void separate(struct json_out *o)
{
    if (o->b->len == 0)
        return;
    char last = o->b->data[o->b->len - 1];
    if (last != '{' && last != '[' && last != ':' && last != '\n')
        strbuf_char(o->b, ',');
}

void out_begin(struct json_out *o, char open)
{
    separate(o);
    strbuf_char(o->b, open);
}

void out_end(struct json_out *o, char close)
{
    strbuf_char(o->b, close);
}

void out_key(struct json_out *o, const char *key)
{
    size_t len = strlen(key);
    separate(o);
    strbuf_reserve(o->b, len + 3);
    char *at = o->b->data + o->b->len;
    at[0] = '"';
    memcpy(at + 1, key, len);
    at[len + 1] = '"';
    at[len + 2] = ':';
    o->b->len += len + 3;
}

static void escape_one(struct strbuf *b, unsigned char c)
{
    static const char short_form[32] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    if (c == '"' || c == '\\') {
        strbuf_char(b, '\\');
        strbuf_char(b, (char)c);
    } else if (short_form[c & 31] != 0) {
        strbuf_char(b, '\\');
        strbuf_char(b, short_form[c & 31]);
    } else {
        strbuf_c(b, "\\u00");
        strbuf_hex(b, &c, 1);
    }
}

/* Only for text that is not UTF-8: every byte past ASCII is replaced. */
static void escape_broken(struct strbuf *b, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c >= 0x80)
            strbuf_c(b, "\xef\xbf\xbd");
        else if (c < 0x20 || c == '"' || c == '\\')
            escape_one(b, c);
        else
            strbuf_char(b, (char)c);
    }
}

/* ASCII that stands for itself. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            return false;
    }
    return true;
}

static void escape_utf8(struct strbuf *b, struct str s)
{
    size_t plain = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        strbuf_add(b, s.data + plain, i - plain);
        escape_one(b, c);
        plain = i + 1;
    }
    strbuf_add(b, s.data + plain, s.len - plain);
}

void json_escape(struct strbuf *b, struct str s)
{
    strbuf_reserve(b, s.len + 2);
    strbuf_char(b, '"');
    if (is_plain(s))
        strbuf_str(b, s);
    else if (str_utf8_valid(s))
        escape_utf8(b, s);
    else
        escape_broken(b, s);
    strbuf_char(b, '"');
}

void out_str(struct json_out *o, struct str s)
{
    separate(o);
    if (s.data == NULL)
        strbuf_add(o->b, "null", 4);
    else
        json_escape(o->b, s);
}

void out_int(struct json_out *o, int64_t value)
{
    separate(o);
    strbuf_int(o->b, value);
}

void out_uint(struct json_out *o, uint64_t value)
{
    separate(o);
    strbuf_uint(o->b, value);
}

void out_amount(struct json_out *o, int64_t amount_minor)
{
    separate(o);
    if (o->amount_strings)
        strbuf_char(o->b, '"');
    strbuf_int(o->b, amount_minor);
    if (o->amount_strings)
        strbuf_char(o->b, '"');
}

void out_sum(struct json_out *o, amount_sum sum_minor)
{
    separate(o);
    if (o->amount_strings)
        strbuf_char(o->b, '"');
    strbuf_amount_sum(o->b, sum_minor, 0);
    if (o->amount_strings)
        strbuf_char(o->b, '"');
}

void out_bool(struct json_out *o, bool value)
{
    separate(o);
    strbuf_c(o->b, value ? "true" : "false");
}

void out_null(struct json_out *o)
{
    separate(o);
    strbuf_add(o->b, "null", 4);
}

void out_uuid(struct json_out *o, struct uuid id)
{
    char text[UUID_TEXT_LEN + 3];
    text[0] = '"';
    uuid_format(id, text + 1);
    text[UUID_TEXT_LEN + 1] = '"';
    separate(o);
    strbuf_add(o->b, text, UUID_TEXT_LEN + 2);
}

void out_instant(struct json_out *o, int64_t instant)
{
    char text[INSTANT_TEXT_LEN + 3];
    text[0] = '"';
    instant_format(instant, text + 1);
    text[INSTANT_TEXT_LEN + 1] = '"';
    separate(o);
    strbuf_add(o->b, text, INSTANT_TEXT_LEN + 2);
}

void out_floor(struct json_out *o, struct floor floor)
{
    if (floor.present)
        out_amount(o, floor.minor);
    else
        out_null(o);
}

void out_raw(struct json_out *o, struct str json)
{
    separate(o);
    strbuf_str(o->b, json);
}

void out_next(struct json_out *o)
{
    separate(o);
}

void out_str_member(struct json_out *o, const char *key, struct str s)
{
    out_key(o, key);
    out_str(o, s);
}

void out_c_member(struct json_out *o, const char *key, const char *nul_terminated)
{
    out_key(o, key);
    out_str(o, str_of(nul_terminated));
}

void out_int_member(struct json_out *o, const char *key, int64_t value)
{
    out_key(o, key);
    out_int(o, value);
}

void out_uint_member(struct json_out *o, const char *key, uint64_t value)
{
    out_key(o, key);
    out_uint(o, value);
}

void out_amount_member(struct json_out *o, const char *key, int64_t amount_minor)
{
    out_key(o, key);
    out_amount(o, amount_minor);
}

void out_sum_member(struct json_out *o, const char *key, amount_sum sum_minor)
{
    out_key(o, key);
    out_sum(o, sum_minor);
}

void out_bool_member(struct json_out *o, const char *key, bool value)
{
    out_key(o, key);
    out_bool(o, value);
}

void out_null_member(struct json_out *o, const char *key)
{
    out_key(o, key);
    out_null(o);
}

void out_uuid_member(struct json_out *o, const char *key, struct uuid id)
{
    out_key(o, key);
    out_uuid(o, id);
}

void out_instant_member(struct json_out *o, const char *key, int64_t instant)
{
    out_key(o, key);
    out_instant(o, instant);
}

void out_floor_member(struct json_out *o, const char *key, struct floor floor)
{
    out_key(o, key);
    out_floor(o, floor);
}
