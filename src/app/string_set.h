/*
 * A set of strings, numbered in the order in which they came: 0, 1, 2 ... Copies what it keeps. One thread.
 */
#ifndef CREDITLEDGER_APP_STRING_SET_H
#define CREDITLEDGER_APP_STRING_SET_H

#include "base/arena.h"
#include "base/str.h"

struct string_set {
    struct arena bytes;
    struct str *items;
    size_t n, cap;
    size_t *slots; /* item number + 1; 0: free */
    size_t n_slots;
    uint64_t seed;
};

void string_set_init(struct string_set *set); /* the seed is taken from the system */
void string_set_fini(struct string_set *set);
/* True if it is new; *ret_number is its number either way. */
bool string_set_add(struct string_set *set, struct str item, size_t *ret_number);

#endif
