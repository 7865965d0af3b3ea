#include "app/string_set.h"

#include <stdlib.h>
#include <sys/random.h>

void string_set_init(struct string_set *set)
{
    *set = (struct string_set){0};
    arena_init(&set->bytes, 65536);
    if (getrandom(&set->seed, sizeof set->seed, 0) != sizeof set->seed)
        set->seed = (uint64_t)(uintptr_t)set;
}

void string_set_fini(struct string_set *set)
{
    arena_fini(&set->bytes);
    free(set->items);
    free(set->slots);
    *set = (struct string_set){0};
}

static size_t *slot_of(struct string_set *set, struct str item)
{
    size_t i = (size_t)hash64(set->seed, item.data, item.len) & (set->n_slots - 1);
    while (set->slots[i] != 0 && !str_eq(set->items[set->slots[i] - 1], item))
        i = (i + 1) & (set->n_slots - 1);
    return &set->slots[i];
}

static void make_room(struct string_set *set)
{
    if (set->n == set->cap) {
        set->cap = set->cap ? set->cap * 2 : 64;
        set->items = reallocarray(set->items, set->cap, sizeof *set->items);
        INVARIANT_F(set->items != NULL, "out of memory at %zu strings", set->cap);
    }
    if (set->n_slots > 0 && set->n < set->n_slots / 2)
        return;
    set->n_slots = set->n_slots ? set->n_slots * 2 : 256;
    free(set->slots);
    set->slots = calloc(set->n_slots, sizeof *set->slots);
    INVARIANT_F(set->slots != NULL, "out of memory at %zu slots", set->n_slots);
    for (size_t i = 0; i < set->n; i++)
        *slot_of(set, set->items[i]) = i + 1;
}

bool string_set_add(struct string_set *set, struct str item, size_t *ret_number)
{
    make_room(set);
    size_t *slot = slot_of(set, item);
    if (*slot != 0) {
        *ret_number = *slot - 1;
        return false;
    }
    set->items[set->n] = arena_str(&set->bytes, item);
    *slot = set->n + 1;
    *ret_number = set->n++;
    return true;
}
