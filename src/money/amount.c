#include "money/amount.h"

#include "base/limits.h"

bool amount_in_range(int64_t amount_minor)
{
    return amount_minor >= -LIMIT_AMOUNT_MAX && amount_minor <= LIMIT_AMOUNT_MAX;
}

bool amount_add(int64_t a_minor, int64_t b_minor, int64_t *ret_sum_minor)
{
    int64_t sum;
    if (__builtin_add_overflow(a_minor, b_minor, &sum) || !amount_in_range(sum))
        return false;
    *ret_sum_minor = sum;
    return true;
}

/* Appends one decimal digit; false when the value would leave the range of amounts. */
static bool push_digit(int64_t *value, char digit)
{
    int64_t next;
    if (__builtin_mul_overflow(*value, 10, &next) || __builtin_add_overflow(next, digit - '0', &next) ||
        next > LIMIT_AMOUNT_MAX)
        return false;
    *value = next;
    return true;
}

bool amount_parse_decimal(struct str text, int scale, char point, int64_t *ret_minor)
{
    INVARIANT_F(scale >= 0 && scale <= LIMIT_ASSET_SCALE_MAX, "scale %d", scale);
    bool negative = false;
    if (text.len > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        negative = text.data[0] == '-';
        text.data++, text.len--;
    }
    int64_t value = 0;
    size_t whole = 0;
    int decimals = -1; /* no point seen yet */
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == point && decimals < 0 && whole > 0) {
            decimals = 0;
            continue;
        }
        if (c < '0' || c > '9' || !push_digit(&value, c))
            return false;
        if (decimals < 0)
            whole++;
        else if (++decimals > scale)
            return false;
    }
    if (whole == 0 || decimals == 0)
        return false;
    for (int i = decimals > 0 ? decimals : 0; i < scale; i++)
        if (!push_digit(&value, '0'))
            return false;
    *ret_minor = negative ? -value : value;
    return true;
}

void strbuf_amount(struct strbuf *b, int64_t minor, int scale)
{
    strbuf_amount_sum(b, minor, scale);
}

void strbuf_amount_sum(struct strbuf *b, amount_sum minor, int scale)
{
    INVARIANT_F(scale >= 0 && scale <= LIMIT_ASSET_SCALE_MAX, "scale %d", scale);
    char text[64]; /* 39 digits of 2^127, a sign and a point */
    size_t at = sizeof text;
    amount_magnitude left = minor < 0 ? -(amount_magnitude)minor : (amount_magnitude)minor;
    int digits = 0;
    do {
        if (digits == scale && scale > 0)
            text[--at] = '.';
        text[--at] = (char)('0' + (int)(left % 10));
        left /= 10;
        digits++;
    } while (left != 0 || digits <= scale);
    if (minor < 0)
        text[--at] = '-';
    strbuf_add(b, text + at, sizeof text - at);
}
