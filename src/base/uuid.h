/*
 * Identifiers: UUID version 7 (RFC 9562 section 5.7) whose rand_b carries a 44-bit counter, as section 6.2 allows:
 * 48 bits of milliseconds, 12 random bits, the counter, 18 more random bits. The counter is the record's seq or the
 * account's number, so an id leads to its row through the primary key and needs no index of its own; the rest of
 * the id is compared after the row is read. Ids are unique within their ledger by construction. Pure.
 */
#ifndef CREDITLEDGER_BASE_UUID_H
#define CREDITLEDGER_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define UUID_TEXT_LEN 36
#define UUID_COUNTER_MAX ((UINT64_C(1) << 44) - 1)

struct uuid {
    uint8_t bytes[16];
};

/* `instant` in microseconds since the epoch, not before it; 1 <= counter <= UUID_COUNTER_MAX; 30 bits of `random`. */
struct uuid uuid_make(int64_t instant, uint64_t counter, uint32_t random);
uint64_t uuid_counter(struct uuid id); /* of any 16 bytes */
/* An id in parts, for who stores the counter anyway: its first 64 bits and its last 18, which stand around it. */
uint64_t uuid_high(struct uuid id);
uint32_t uuid_low(struct uuid id);
struct uuid uuid_around(uint64_t counter, uint64_t high, uint32_t low); /* of `low` 18 bits count */
bool uuid_carries(struct uuid id, uint64_t counter); /* those parts and the counter say all of the id */
bool uuid_eq(struct uuid a, struct uuid b);
bool uuid_is_zero(struct uuid id);
void uuid_format(struct uuid id, char ret_text[UUID_TEXT_LEN + 1]); /* lower case, NUL-terminated */
void strbuf_uuid(struct strbuf *b, struct uuid id);
MUST_CHECK bool uuid_parse(struct str text, struct uuid *ret_id); /* 8-4-4-4-12 hex, either case */

#endif
