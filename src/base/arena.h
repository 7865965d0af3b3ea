/*
 * An arena: memory that is given back all at once. Used for everything whose life is one request or one batch.
 * Aborts when memory is exhausted. Not thread-safe; may be handed from thread to thread.
 */
#ifndef CREDITLEDGER_BASE_ARENA_H
#define CREDITLEDGER_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunk; /* newest first */
    size_t chunk_size;
};

void arena_init(struct arena *a, size_t chunk_size); /* allocates nothing yet; 0 takes the default of 4 KiB */
void arena_fini(struct arena *a);
void arena_reset(struct arena *a);               /* keeps one chunk */
void *arena_alloc(struct arena *a, size_t size); /* zeroed, aligned for any type; never NULL */
void *arena_copy(struct arena *a, const void *bytes, size_t size);
struct str arena_str(
    struct arena *a, struct str s); /* a copy with a NUL behind it; STR_NONE stays STR_NONE */
struct str arena_printf(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))

#endif
