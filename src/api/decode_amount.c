#include "api/decode_amount.h"

#include <string.h>

#include "base/limits.h"
#include "money/amount.h"

#define SHOWN_MAX 40 /* of a wrong value, in the detail */

static int shown(struct str s)
{
    return (int)(s.len < SHOWN_MAX ? s.len : SHOWN_MAX);
}

static size_t digits_of(struct str s)
{
    size_t n = 0;
    while (n < s.len && s.data[n] >= '0' && s.data[n] <= '9')
        n++;
    return n;
}

/* Why a string is no amount. It has at least one character that is no digit, or none at all. */
static enum refusal diagnose(struct str s)
{
    struct str rest = s;
    if (rest.len > 0 && rest.data[0] == '-')
        rest = (struct str){rest.data + 1, rest.len - 1};
    size_t n = digits_of(rest);
    if (n == 0 || n == rest.len)
        return REFUSAL_AMOUNT_NOT_DIGITS;
    bool decimal = rest.data[n] == '.';
    if (decimal)
        n += 1 + digits_of((struct str){rest.data + n + 1, rest.len - n - 1});
    if (n == rest.len)
        return decimal ? REFUSAL_AMOUNT_DECIMAL : REFUSAL_AMOUNT_NOT_DIGITS;
    if (rest.data[n] != 'e' && rest.data[n] != 'E')
        return REFUSAL_AMOUNT_NOT_DIGITS;
    n++;
    if (n < rest.len && (rest.data[n] == '+' || rest.data[n] == '-'))
        n++;
    size_t exponent = digits_of((struct str){rest.data + n, rest.len - n});
    return exponent > 0 && n + exponent == rest.len ? REFUSAL_AMOUNT_EXPONENT : REFUSAL_AMOUNT_NOT_DIGITS;
}

static bool from_string(struct str s, const char *field, int64_t *ret_minor, struct fault *fault)
{
    struct str digits = s;
    if (digits.len > 1 && digits.data[0] == '-')
        digits = (struct str){digits.data + 1, digits.len - 1};
    if (digits.len == 0 || digits_of(digits) != digits.len)
        return fault_set(
            fault, diagnose(s), field, "\"%.*s\" is no amount in minor units.", shown(s), s.data);
    if (!str_to_int64(s, ret_minor))
        return fault_set(fault, REFUSAL_AMOUNT_TOO_LARGE, field, "\"%.*s\" is beyond %lld.", shown(s), s.data,
            (long long)LIMIT_AMOUNT_MAX);
    return true;
}

static bool from_real(double value, const char *field, struct fault *fault)
{
    /* Whatever its value, the literal has a point or an exponent; integers arrive as integers. */
    const double integers_from = 9007199254740992.0; /* 2^53: no double beyond has decimals */
    bool whole = value >= integers_from || value <= -integers_from || (double)(int64_t)value == value;
    return fault_set(fault, whole ? REFUSAL_AMOUNT_EXPONENT : REFUSAL_AMOUNT_FRACTIONAL, field,
        "The number is %.15g, written with a point or an exponent.", value);
}

bool decode_balance(const json_t *value, const char *field, int64_t *ret_amount_minor, struct fault *fault)
{
    int64_t minor = 0;
    if (json_is_real(value))
        return from_real(json_real_value(value), field, fault);
    if (json_is_integer(value)) {
        minor = json_integer_value(value);
    } else if (json_is_string(value)) {
        struct str s = {json_string_value(value), json_string_length(value)};
        if (!from_string(s, field, &minor, fault))
            return false;
    } else {
        return fault_set(fault, REFUSAL_AMOUNT_NOT_NUMBER, field, "It is neither an integer nor a string.");
    }
    if (!amount_in_range(minor))
        return fault_set(fault, REFUSAL_AMOUNT_TOO_LARGE, field, "%lld is beyond %lld.", (long long)minor,
            (long long)LIMIT_AMOUNT_MAX);
    *ret_amount_minor = minor;
    return true;
}

bool decode_amount(const json_t *value, const char *field, int64_t *ret_amount_minor, struct fault *fault)
{
    int64_t minor = 0;
    if (!decode_balance(value, field, &minor, fault))
        return false;
    if (minor == 0)
        return fault_set(fault, REFUSAL_AMOUNT_ZERO, field, "The amount is 0.");
    if (minor < 0)
        return fault_set(fault, REFUSAL_AMOUNT_NEGATIVE, field, "The amount is %lld.", (long long)minor);
    *ret_amount_minor = minor;
    return true;
}
