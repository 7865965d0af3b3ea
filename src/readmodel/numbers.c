/* Open addressing with linear probing; what is removed is closed up, so that there are no tombstones. */
#include "readmodel/numbers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct numbers_slot {
    uint64_t a, b;
    uint32_t index; /* NUMBERS_NONE: free */
};

#define LEAST_SLOTS 64

static size_t home_of(const struct numbers *t, uint64_t a, uint64_t b)
{
    uint64_t h = (b ^ (a * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 32;
    return (size_t)(h * UINT64_C(0xc4ceb9fe1a85ec53) >> 20) & (t->cap - 1);
}

void numbers_fini(struct numbers *t)
{
    free(t->slots);
    *t = (struct numbers){0};
}

void numbers_clear(struct numbers *t)
{
    if (t->n > 0)
        memset(t->slots, 0xff, t->cap * sizeof *t->slots);
    t->n = 0;
}

/* Where the pair is, or would be put. */
static struct numbers_slot *slot_of(const struct numbers *t, uint64_t a, uint64_t b)
{
    size_t i = home_of(t, a, b);
    while (t->slots[i].index != NUMBERS_NONE && (t->slots[i].a != a || t->slots[i].b != b))
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

uint32_t numbers_get(const struct numbers *t, uint64_t a, uint64_t b)
{
    return t->n == 0 ? NUMBERS_NONE : slot_of(t, a, b)->index;
}

static void grow(struct numbers *t)
{
    struct numbers old = *t;
    t->cap = old.cap == 0 ? LEAST_SLOTS : 2 * old.cap;
    t->slots = malloc(t->cap * sizeof *t->slots);
    INVARIANT(t->slots != NULL);
    memset(t->slots, 0xff, t->cap * sizeof *t->slots);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].index != NUMBERS_NONE)
            *slot_of(t, old.slots[i].a, old.slots[i].b) = old.slots[i];
    free(old.slots);
}

void numbers_set(struct numbers *t, uint64_t a, uint64_t b, uint32_t index)
{
    INVARIANT(index != NUMBERS_NONE);
    if (2 * (t->n + 1) > t->cap)
        grow(t);
    struct numbers_slot *slot = slot_of(t, a, b);
    t->n += slot->index == NUMBERS_NONE;
    *slot = (struct numbers_slot){a, b, index};
}

void numbers_remove(struct numbers *t, uint64_t a, uint64_t b)
{
    if (t->n == 0)
        return;
    struct numbers_slot *slot = slot_of(t, a, b);
    if (slot->index == NUMBERS_NONE)
        return;
    size_t mask = t->cap - 1, hole = (size_t)(slot - t->slots);
    for (size_t i = (hole + 1) & mask; t->slots[i].index != NUMBERS_NONE; i = (i + 1) & mask) {
        size_t home = home_of(t, t->slots[i].a, t->slots[i].b);
        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* it would stand before its home */
        t->slots[hole] = t->slots[i];
        hole = i;
    }
    t->slots[hole].index = NUMBERS_NONE;
    t->n--;
}
