#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CHUNK 4096

struct arena_chunk {
    struct arena_chunk *older;
    size_t size, used;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t chunk_size)
{
    *a = (struct arena){NULL, chunk_size ? chunk_size : DEFAULT_CHUNK};
}

void arena_fini(struct arena *a)
{
    for (struct arena_chunk *c = a->chunk, *older; c != NULL; c = older) {
        older = c->older;
        free(c);
    }
    a->chunk = NULL;
}

void arena_reset(struct arena *a)
{
    if (a->chunk == NULL)
        return;
    struct arena_chunk *oldest = a->chunk;
    while (oldest->older != NULL) {
        struct arena_chunk *older = oldest->older;
        free(oldest);
        oldest = older;
    }
    oldest->used = 0;
    a->chunk = oldest;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    INVARIANT(size < SIZE_MAX / 4);
    size = (size + align - 1) / align * align;
    struct arena_chunk *c = a->chunk;
    if (c == NULL || c->size - c->used < size) {
        size_t room = a->chunk_size > size ? a->chunk_size : size;
        c = malloc(sizeof *c + room);
        INVARIANT_F(c != NULL, "out of memory at %zu bytes", room);
        *c = (struct arena_chunk){.older = a->chunk, .size = room};
        a->chunk = c;
    }
    void *p = c->bytes + c->used;
    c->used += size;
    memset(p, 0, size);
    return p;
}

void *arena_copy(struct arena *a, const void *bytes, size_t size)
{
    void *p = arena_alloc(a, size);
    if (size > 0)
        memcpy(p, bytes, size);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    if (s.data == NULL)
        return STR_NONE;
    char *p = arena_alloc(a, s.len + 1);
    if (s.len > 0)
        memcpy(p, s.data, s.len);
    return (struct str){p, s.len};
}

struct str arena_printf(struct arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    INVARIANT(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return (struct str){p, (size_t)n};
}
