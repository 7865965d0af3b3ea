/*
 * Cursors of lists: base64url of version, kind of list, a hash of the filters, the position as numbers, and a
 * checksum. Opaque to clients, not secret: the checksum catches what was cut, mistyped or taken from another
 * list, it does not keep anybody from making one. So a reader checks the numbers as it checks any input.
 * Pure.
 */
#ifndef CREDITLEDGER_API_CURSOR_H
#define CREDITLEDGER_API_CURSOR_H

#include "base/str.h"

#define CURSOR_VALUES_MAX 10
#define CURSOR_TEXT_MAX 160

/* The number of values is the kind's own. */
enum cursor_kind {
    CURSOR_ACCOUNTS = 1,
    CURSOR_TRANSFERS = 2,
    CURSOR_STATEMENT = 3,
    /* The same lists from the read model: a cursor leads back to where it was made. */
    CURSOR_READ_TRANSFERS = 4,
    CURSOR_READ_STATEMENT = 5,
    CURSOR_ACTIVITY = 6
};

struct cursor {
    enum cursor_kind kind;
    uint64_t filter; /* hash of what the list was asked for; cursor_filter() */
    uint64_t values[CURSOR_VALUES_MAX];
    size_t n;
};

/* Folds one more filter into the hash; start with the kind. STR_NONE and an empty string differ. */
uint64_t cursor_filter(uint64_t hash, struct str filter);

void cursor_encode(const struct cursor *cursor, struct strbuf *b);
/* The kind that a cursor claims to be, undamaged; 0: none. Says nothing about its filters. */
int cursor_kind(struct str text);
/* False unless it is a cursor of that kind with that filter and exactly n values. */
MUST_CHECK bool cursor_decode(
    struct str text, enum cursor_kind kind, uint64_t filter, size_t n, struct cursor *ret_cursor);

#endif
