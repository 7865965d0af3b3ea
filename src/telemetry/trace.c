#include "telemetry/trace.h"

#include <string.h>

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* Section 3.2.2: lower-case hex only. */
static bool take_hex(const char *text, uint8_t *ret_bytes, size_t len)
{
    for (size_t i = 0; i < 2 * len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return str_to_bytes((struct str){text, 2 * len}, ret_bytes, len);
}

bool trace_parse(struct str s, struct trace_context *ret_context)
{
    struct trace_context c;
    uint8_t version;
    if (s.len < TRACEPARENT_LEN || s.data[2] != '-' || s.data[35] != '-' || s.data[52] != '-')
        return false;
    if (!take_hex(s.data, &version, 1) || version == 0xff)
        return false;
    /* Section 4.3: a higher version may go on behind another '-'. */
    if (s.len > TRACEPARENT_LEN && (version == 0 || s.data[TRACEPARENT_LEN] != '-'))
        return false;
    if (!take_hex(s.data + 3, c.trace_id, 16) || !take_hex(s.data + 36, c.parent_id, 8) ||
        !take_hex(s.data + 53, &c.flags, 1))
        return false;
    if (all_zero(c.trace_id, 16) || all_zero(c.parent_id, 8))
        return false;
    *ret_context = c;
    return true;
}

static char *put_hex(char *p, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *p++ = digits[bytes[i] >> 4];
        *p++ = digits[bytes[i] & 15];
    }
    return p;
}

void trace_format(const struct trace_context *context, char ret_text[TRACEPARENT_LEN + 1])
{
    char *p = ret_text;
    memcpy(p, "00-", 3);
    p = put_hex(p + 3, context->trace_id, 16);
    *p++ = '-';
    p = put_hex(p, context->parent_id, 8);
    *p++ = '-';
    p = put_hex(p, &context->flags, 1);
    *p = '\0';
    INVARIANT(p == ret_text + TRACEPARENT_LEN);
}
