#include "base/uuid.h"

#include <string.h>

struct uuid uuid_make(int64_t instant, uint64_t counter, uint32_t random)
{
    INVARIANT_F(counter >= 1 && counter <= UUID_COUNTER_MAX, "counter %llu", (unsigned long long)counter);
    uint64_t millis = instant > 0 ? (uint64_t)instant / 1000 & 0xffffffffffffu : 0;
    uint64_t high = millis << 16 | UINT64_C(7) << 12 | (random >> 18 & 0xfff);
    uint64_t low = UINT64_C(2) << 62 | counter << 18 | (random & 0x3ffff);
    struct uuid id;
    for (int i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)(high >> (56 - 8 * i));
        id.bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    return id;
}

uint64_t uuid_counter(struct uuid id)
{
    uint64_t low = 0;
    for (int i = 8; i < 16; i++)
        low = low << 8 | id.bytes[i];
    return low >> 18 & UUID_COUNTER_MAX;
}

bool uuid_eq(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

bool uuid_is_zero(struct uuid id)
{
    return uuid_eq(id, (struct uuid){{0}});
}

void uuid_format(struct uuid id, char ret_text[UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    char *p = ret_text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = digits[id.bytes[i] >> 4];
        *p++ = digits[id.bytes[i] & 15];
    }
    *p = '\0';
}

void strbuf_uuid(struct strbuf *b, struct uuid id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    strbuf_add(b, text, UUID_TEXT_LEN);
}

bool uuid_parse(struct str text, struct uuid *ret_id)
{
    if (text.len != UUID_TEXT_LEN)
        return false;
    char hex[32];
    size_t n = 0;
    for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (text.data[i] == '-'))
            return false;
        if (!dash)
            hex[n++] = text.data[i];
    }
    return str_to_bytes((struct str){hex, n}, ret_id->bytes, 16);
}
