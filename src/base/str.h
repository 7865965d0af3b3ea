/*
 * Byte strings: `struct str`, a borrowed slice (not NUL-terminated, never owned), and `struct strbuf`, a growing
 * heap buffer. A strbuf aborts the process when memory is exhausted; what a client can make it grow to is limited
 * by whoever feeds it (base/limits.h). Neither is safe to share between threads.
 */
#ifndef CREDITLEDGER_BASE_STR_H
#define CREDITLEDGER_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct str {
    const char *data;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).data

struct str str_of(const char *nul_terminated); /* NULL gives STR_NONE */
bool str_eq(struct str a, struct str b);
bool str_eq_c(struct str a, const char *b);
bool str_starts(struct str s, struct str prefix);
/* Cuts s at the first `separator`: what is before it goes to *ret_head, the rest stays in *s. False at the end. */
bool str_split(struct str *s, char separator, struct str *ret_head);
struct str str_trim(struct str s); /* ASCII blanks at both ends */
bool str_utf8_valid(struct str s); /* RFC 3629: no surrogates, no overlong forms, nothing past U+10FFFF */

struct strbuf {
    char *data;
    size_t len, cap;
};

void strbuf_init(struct strbuf *b);
void strbuf_fini(struct strbuf *b);
void strbuf_clear(struct strbuf *b);
void strbuf_reserve(struct strbuf *b, size_t more);
void strbuf_add(struct strbuf *b, const void *bytes, size_t len);
void strbuf_str(struct strbuf *b, struct str s);
void strbuf_c(struct strbuf *b, const char *nul_terminated);
void strbuf_char(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void strbuf_int(struct strbuf *b, int64_t value);   /* decimal */
void strbuf_uint(struct strbuf *b, uint64_t value); /* decimal */
void strbuf_hex(struct strbuf *b, const uint8_t *bytes, size_t len);
struct str strbuf_view(const struct strbuf *b); /* valid until the buffer changes */

/* Decimal digits with an optional '-', nothing else. False on anything else and on overflow. */
MUST_CHECK bool str_to_int64(struct str s, int64_t *ret_value);
MUST_CHECK bool str_to_uint64(struct str s, uint64_t *ret_value);
/* Exactly 2 * len hex digits. */
MUST_CHECK bool str_to_bytes(struct str s, uint8_t *ret_bytes, size_t len);

/* A 64-bit hash for in-memory tables; `seed` is chosen at start so that clients cannot aim at one bucket. */
uint64_t hash64(uint64_t seed, const void *bytes, size_t len);

#endif
