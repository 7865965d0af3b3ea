/*
 * A table in memory from pairs of numbers (a ledger and an account, a ledger and a seq ...) to the index of something in
 * an array of the caller's. Grows as it is filled. One thread.
 */
#ifndef CREDITLEDGER_READMODEL_NUMBERS_H
#define CREDITLEDGER_READMODEL_NUMBERS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct numbers_slot;

struct numbers {
    struct numbers_slot *slots;
    size_t n, cap;
};

#define NUMBERS_NONE UINT32_MAX

/* All zero is an empty table. */
void numbers_fini(struct numbers *t);
void numbers_clear(struct numbers *t);                                 /* keeps the memory */
uint32_t numbers_get(const struct numbers *t, uint64_t a, uint64_t b); /* NUMBERS_NONE if it is not there */
void numbers_set(struct numbers *t, uint64_t a, uint64_t b, uint32_t index); /* adds it, or changes it */
void numbers_remove(struct numbers *t, uint64_t a, uint64_t b);              /* harmless if it is not there */

#endif
