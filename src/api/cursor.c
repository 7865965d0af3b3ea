#include "api/cursor.h"

#include <string.h>

#define CURSOR_VERSION 1
#define CHECK_SEED UINT64_C(0x637572736f723031)
#define HEAD_LEN 10 /* version, kind, filter */
#define CHECK_LEN 4
#define BYTES_MAX (HEAD_LEN + 8 * CURSOR_VALUES_MAX + CHECK_LEN)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

uint64_t cursor_filter(uint64_t hash, struct str filter)
{
    return hash64(hash + (filter.data == NULL), filter.len > 0 ? filter.data : "", filter.len);
}

static void put(uint8_t *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

static uint64_t get(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static void base64_encode(const uint8_t *bytes, size_t len, struct strbuf *b)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i < 3 ? len - i : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < left ? bytes[i + k] : 0);
        for (size_t k = 0; k <= left; k++)
            strbuf_char(b, alphabet[group >> (18 - 6 * k) & 63]);
    }
}

/* Without padding; unused bits must be zero, so that a cursor has one spelling. */
static bool base64_decode(struct str text, uint8_t *ret_bytes, size_t size, size_t *ret_len)
{
    uint32_t bits = 0;
    size_t held = 0, n = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *at = text.data[i] != 0 ? strchr(alphabet, text.data[i]) : NULL;
        if (at == NULL)
            return false;
        bits = (bits << 6 | (uint32_t)(at - alphabet)) & 0xfff;
        held += 6;
        if (held < 8)
            continue;
        if (n == size)
            return false;
        held -= 8;
        ret_bytes[n++] = (uint8_t)(bits >> held);
    }
    *ret_len = n;
    return text.len % 4 != 1 && (bits & ((1u << held) - 1)) == 0;
}

void cursor_encode(const struct cursor *cursor, struct strbuf *b)
{
    INVARIANT(cursor->n <= CURSOR_VALUES_MAX);
    uint8_t bytes[BYTES_MAX];
    bytes[0] = CURSOR_VERSION;
    bytes[1] = (uint8_t)cursor->kind;
    put(bytes + 2, cursor->filter, 8);
    for (size_t i = 0; i < cursor->n; i++)
        put(bytes + HEAD_LEN + 8 * i, cursor->values[i], 8);
    size_t len = HEAD_LEN + 8 * cursor->n;
    put(bytes + len, hash64(CHECK_SEED, bytes, len), CHECK_LEN);
    base64_encode(bytes, len + CHECK_LEN, b);
}

int cursor_kind(struct str text)
{
    uint8_t bytes[BYTES_MAX];
    size_t len;
    if (!base64_decode(text, bytes, sizeof bytes, &len) || len < HEAD_LEN + CHECK_LEN)
        return 0;
    bool sound = bytes[0] == CURSOR_VERSION && get(bytes + len - CHECK_LEN, CHECK_LEN) ==
                                                   (hash64(CHECK_SEED, bytes, len - CHECK_LEN) & UINT32_MAX);
    return sound ? bytes[1] : 0;
}

bool cursor_decode(
    struct str text, enum cursor_kind kind, uint64_t filter, size_t n, struct cursor *ret_cursor)
{
    INVARIANT(n <= CURSOR_VALUES_MAX);
    uint8_t bytes[BYTES_MAX];
    size_t len, body = HEAD_LEN + 8 * n;
    if (!base64_decode(text, bytes, sizeof bytes, &len) || len != body + CHECK_LEN)
        return false;
    if (bytes[0] != CURSOR_VERSION || bytes[1] != (uint8_t)kind || get(bytes + 2, 8) != filter ||
        get(bytes + body, CHECK_LEN) != (hash64(CHECK_SEED, bytes, body) & UINT32_MAX))
        return false;
    *ret_cursor = (struct cursor){.kind = kind, .filter = filter, .n = n};
    for (size_t i = 0; i < n; i++)
        ret_cursor->values[i] = get(bytes + HEAD_LEN + 8 * i, 8);
    return true;
}
