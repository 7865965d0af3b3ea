#include "base/uuid.h"

#include <string.h>

#define LOW_MASK 0x3ffffu /* of the 18 bits behind the counter */

struct uuid uuid_make(int64_t instant, uint64_t counter, uint32_t random)
{
    INVARIANT_F(counter >= 1 && counter <= UUID_COUNTER_MAX, "counter %llu", (unsigned long long)counter);
    uint64_t millis = instant > 0 ? (uint64_t)instant / 1000 & 0xffffffffffffu : 0;
    uint64_t high = millis << 16 | UINT64_C(7) << 12 | (random >> 18 & 0xfff);
    return uuid_around(counter, high, random);
}

static uint64_t half(struct uuid id, int start)
{
    uint64_t value = 0;
    for (int i = start; i < start + 8; i++)
        value = value << 8 | id.bytes[i];
    return value;
}

uint64_t uuid_counter(struct uuid id)
{
    return half(id, 8) >> 18 & UUID_COUNTER_MAX;
}

uint64_t uuid_high(struct uuid id)
{
    return half(id, 0);
}

uint32_t uuid_low(struct uuid id)
{
    return (uint32_t)(half(id, 8) & LOW_MASK);
}

struct uuid uuid_around(uint64_t counter, uint64_t high, uint32_t low)
{
    uint64_t rest = UINT64_C(2) << 62 | counter << 18 | (low & LOW_MASK);
    struct uuid id;
    for (int i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)(high >> (56 - 8 * i));
        id.bytes[8 + i] = (uint8_t)(rest >> (56 - 8 * i));
    }
    return id;
}

bool uuid_carries(struct uuid id, uint64_t counter)
{
    return counter <= UUID_COUNTER_MAX && uuid_eq(id, uuid_around(counter, uuid_high(id), uuid_low(id)));
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
