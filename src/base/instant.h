/*
 * Points in time: int64 microseconds since 1970-01-01T00:00:00Z. Text is RFC 3339, always UTC with six decimals
 * when written; any offset and 0 to 9 decimals (finer than a microsecond is cut off) when read. No leap seconds
 * (":60" is refused). Years 0001 to 9999. Pure: asks no clock.
 */
#ifndef CREDITLEDGER_BASE_INSTANT_H
#define CREDITLEDGER_BASE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define INSTANT_TEXT_LEN 27 /* 2026-01-31T12:34:56.000001Z */
#define INSTANT_MIN INT64_C(-62135596800000000)
#define INSTANT_MAX INT64_C(253402300799999999)
#define MICROS_PER_SECOND INT64_C(1000000)
#define MICROS_PER_DAY INT64_C(86400000000)

/* Writes 27 characters and a NUL. The instant must be within INSTANT_MIN and INSTANT_MAX. */
void instant_format(int64_t instant, char ret_text[INSTANT_TEXT_LEN + 1]);
void strbuf_instant(struct strbuf *b, int64_t instant);
MUST_CHECK bool instant_parse(struct str text, int64_t *ret_instant); /* RFC 3339 date-time */
/* "YYYY-MM-DD" is that day's midnight UTC; a date-time (with 'T' or a blank) is itself, UTC if it has no offset. */
MUST_CHECK bool instant_parse_loose(struct str text, int64_t *ret_instant);

#endif
