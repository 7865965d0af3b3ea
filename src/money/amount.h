/*
 * Amounts: int64 minor units (1234 is 12.34 in an asset of scale 2). The only place where money is added.
 * Every operation is checked: out of range is reported, never wrapped. The range, ±LIMIT_AMOUNT_MAX, leaves
 * room so that sums of two in-range numbers fit 64 bits; totals over accounts are summed in 128 bits. No
 * floating point. Pure.
 */
#ifndef CREDITLEDGER_MONEY_AMOUNT_H
#define CREDITLEDGER_MONEY_AMOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* A total over accounts: an extension of gcc and clang, and so the one typedef. */
__extension__ typedef __int128 amount_sum;
__extension__ typedef unsigned __int128 amount_magnitude;

bool amount_in_range(int64_t amount_minor);
/* False, and *ret_sum untouched, when the result would leave the range. */
MUST_CHECK bool amount_add(int64_t a_minor, int64_t b_minor, int64_t *ret_sum_minor);

/*
 * Decimal text to minor units: optional sign, digits, at most one `point` followed by 1 to `scale` digits
 * ("12.3" at scale 2 is 1230; "1.234" is refused rather than rounded; so are "12." and ".5"). No blanks, no
 * grouping, no exponent.
 */
MUST_CHECK bool amount_parse_decimal(struct str text, int scale, char point, int64_t *ret_minor);
/* "-12.34": always exactly `scale` decimals. */
void strbuf_amount(struct strbuf *b, int64_t minor, int scale);
void strbuf_amount_sum(struct strbuf *b, amount_sum minor, int scale);

#endif
