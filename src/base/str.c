#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str str_of(const char *nul_terminated)
{
    return nul_terminated ? (struct str){nul_terminated, strlen(nul_terminated)} : STR_NONE;
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool str_eq_c(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

bool str_split(struct str *s, char separator, struct str *ret_head)
{
    if (s->data == NULL)
        return false;
    const char *at = s->len ? memchr(s->data, separator, s->len) : NULL;
    if (at == NULL) {
        *ret_head = *s;
        *s = STR_NONE;
        return true;
    }
    size_t n = (size_t)(at - s->data);
    *ret_head = (struct str){s->data, n};
    *s = (struct str){at + 1, s->len - n - 1};
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.data[0]))
        s.data++, s.len--;
    while (s.len > 0 && is_blank(s.data[s.len - 1]))
        s.len--;
    return s;
}

/* Length of the well-formed sequence at p, 0 if there is none (RFC 3629 section 4). */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2)
        return 0;
    size_t n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || left < n)
        return 0;
    uint8_t lo = 0x80, hi = 0xbf;
    if (p[0] == 0xe0)
        lo = 0xa0;
    else if (p[0] == 0xed)
        hi = 0x9f;
    else if (p[0] == 0xf0)
        lo = 0x90;
    else if (p[0] == 0xf4)
        hi = 0x8f;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool str_utf8_valid(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.data;
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_sequence(p + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

void strbuf_init(struct strbuf *b)
{
    *b = (struct strbuf){0};
}

void strbuf_fini(struct strbuf *b)
{
    free(b->data);
    *b = (struct strbuf){0};
}

void strbuf_clear(struct strbuf *b)
{
    b->len = 0;
}

void strbuf_reserve(struct strbuf *b, size_t more)
{
    INVARIANT(more < SIZE_MAX / 4 - b->len);
    size_t need = b->len + more;
    if (need <= b->cap)
        return;
    size_t cap = b->cap ? b->cap : 128;
    while (cap < need)
        cap *= 2;
    char *data = realloc(b->data, cap);
    INVARIANT_F(data != NULL, "out of memory at %zu bytes", cap);
    b->data = data;
    b->cap = cap;
}

void strbuf_add(struct strbuf *b, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    if (len > b->cap - b->len)
        strbuf_reserve(b, len);
    memcpy(b->data + b->len, bytes, len);
    b->len += len;
}

void strbuf_str(struct strbuf *b, struct str s)
{
    strbuf_add(b, s.data, s.len);
}

void strbuf_c(struct strbuf *b, const char *nul_terminated)
{
    strbuf_add(b, nul_terminated, strlen(nul_terminated));
}

void strbuf_char(struct strbuf *b, char c)
{
    if (b->len == b->cap)
        strbuf_reserve(b, 1);
    b->data[b->len++] = c;
}

void strbuf_printf(struct strbuf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    INVARIANT(n >= 0);
    strbuf_reserve(b, (size_t)n + 1);
    vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
    va_end(again);
    b->len += (size_t)n;
}

void strbuf_uint(struct strbuf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    strbuf_add(b, digits + at, sizeof digits - at);
}

void strbuf_int(struct strbuf *b, int64_t value)
{
    if (value < 0)
        strbuf_char(b, '-');
    strbuf_uint(b, value < 0 ? ~(uint64_t)value + 1 : (uint64_t)value);
}

void strbuf_hex(struct strbuf *b, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    strbuf_reserve(b, 2 * len);
    for (size_t i = 0; i < len; i++) {
        b->data[b->len++] = digits[bytes[i] >> 4];
        b->data[b->len++] = digits[bytes[i] & 15];
    }
}

struct str strbuf_view(const struct strbuf *b)
{
    return (struct str){b->data, b->len};
}

bool str_to_uint64(struct str s, uint64_t *ret_value)
{
    if (s.len == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.data[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool str_to_int64(struct str s, int64_t *ret_value)
{
    bool negative = s.len > 0 && s.data[0] == '-';
    if (negative)
        s.data++, s.len--;
    uint64_t magnitude;
    if (!str_to_uint64(s, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *ret_value = negative ? (int64_t)(~magnitude + 1) : (int64_t)magnitude;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool str_to_bytes(struct str s, uint8_t *ret_bytes, size_t len)
{
    if (s.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (hex_digit(s.data[2 * i]) < 0 || hex_digit(s.data[2 * i + 1]) < 0)
            return false;
    for (size_t i = 0; i < len; i++)
        ret_bytes[i] = (uint8_t)(hex_digit(s.data[2 * i]) << 4 | hex_digit(s.data[2 * i + 1]));
    return true;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = a;
    product *= b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply-and-fold over 8-byte words; the seed enters every round. */
uint64_t hash64(uint64_t seed, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u;
    size_t left = len;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = mix(h ^ word, seed ^ 0xd6e8feb86659fd93u);
    }
    uint64_t tail = 0;
    if (left > 0)
        memcpy(&tail, p, left);
    h = mix(h ^ tail, seed ^ 0xa0761d6478bd642fu);
    return mix(h ^ len, 0xe7037ed1a0b428dbu);
}
