/* Canonical bytes from outside: what decodes must encode to the same bytes, and nothing else may happen. */
#include <string.h>

#include "journal/canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct strbuf again;
    struct record record;
    struct asset asset;
    struct err err = {0};
    arena_init(&arena, 0);
    strbuf_init(&again);
    const struct str bytes = {(const char *)data, size};
    if (canonical_decode(bytes, &arena, &record, &asset, &err)) {
        INVARIANT((asset.code[0] != '\0') == (record.account != NULL));
        canonical_encode(&record, &asset, &again);
        INVARIANT(str_eq(bytes, strbuf_view(&again)));
    } else {
        INVARIANT(err.code == ERR_CORRUPT && err.message[0] != '\0');
    }
    strbuf_fini(&again);
    arena_fini(&arena);
    return 0;
}
