/*
 * Fuzzing what stands in a request's line: method, path, query, and a cursor. Input: a byte for the method,
 * then the target up to a line end, then text that is read as a cursor. What a cursor decodes to must encode
 * to the same text.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "api/cursor.h"
#include "api/decode_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cursor(struct str text)
{
    for (int kind = CURSOR_ACCOUNTS; kind <= CURSOR_ACTIVITY; kind++) {
        for (size_t n = 0; n <= CURSOR_VALUES_MAX; n++) {
            struct cursor cursor;
            struct strbuf b;
            if (!cursor_decode(text, (enum cursor_kind)kind, 0, n, &cursor))
                continue;
            INVARIANT(cursor_kind(text) == kind);
            strbuf_init(&b);
            cursor_encode(&cursor, &b);
            INVARIANT(str_eq(strbuf_view(&b), text));
            strbuf_fini(&b);
        }
    }
}

static void check_query(enum route_id route, struct str text, struct arena *arena)
{
    struct query query;
    struct fault fault = {.refusal = REFUSAL_NONE};
    if (!decode_query(route, text, arena, &query, &fault)) {
        INVARIANT(fault.refusal == REFUSAL_INVALID_PARAMETER);
        return;
    }
    INVARIANT(query.limit >= 1 && query.limit <= LIMIT_PAGE_MAX);
    INVARIANT(query.wait_s >= 0 && query.wait_s <= LIMIT_WAIT_SECONDS_MAX);
    INVARIANT(str_utf8_valid(query.reference) && query.n_metadata <= LIMIT_METADATA_FILTERS_MAX);
    for (size_t i = 0; i < query.n_metadata; i++)
        INVARIANT(query.metadata[i].key.len > 0 && str_utf8_valid(query.metadata[i].key) &&
                  str_utf8_valid(query.metadata[i].value));
    INVARIANT(!query.has_least || (query.least >= 0 && query.least <= LIMIT_AMOUNT_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct arena arena;
    struct route_match match;
    struct str rest = {(const char *)data + 1, size - 1}, target = STR_NONE, path = STR_NONE;
    arena_init(&arena, 0);
    (void)str_split(&rest, '\n', &target);
    struct str query = target;
    (void)str_split(&query, '?', &path);
    route_match((enum api_method)(data[0] % (API_OTHER + 1)), path, &arena, &match);
    INVARIANT((match.route != NULL) == (match.refusal == REFUSAL_NONE));
    INVARIANT((match.refusal == REFUSAL_METHOD_NOT_ALLOWED) == (match.allow[0] != '\0'));
    if (match.route != NULL) {
        INVARIANT(str_utf8_valid(match.parameter) && str_utf8_valid(match.ledger));
        check_query(match.route->id, query.data != NULL ? query : STR(""), &arena);
    }
    (void)route_body_limit(API_POST, path);
    check_cursor(rest);
    arena_fini(&arena);
    return 0;
}
