/*
 * The text of a record: canonical JSON of {"metadata":{...},"name":"..."}, members that are absent left out,
 * keys sorted. It is taken apart without parsing what is inside: metadata goes into answers as the bytes that
 * were stored. Pure.
 */
#ifndef CREDITLEDGER_API_TEXT_H
#define CREDITLEDGER_API_TEXT_H

#include "base/arena.h"
#include "base/str.h"

struct text_parts {
    struct str metadata; /* a JSON object; STR_NONE if absent */
    struct str name;     /* a JSON string with its quotes, or null; STR_NONE if absent */
};

/* False if the body is not a JSON object of such members (then both are STR_NONE). Slices of the body. */
bool text_split(struct str body, struct text_parts *ret_parts);
/* STR_NONE if both are absent. */
struct str text_join(const struct text_parts *parts, struct arena *arena);
/* The same, "{}" instead of STR_NONE; a name of null and metadata of {} are left out. What a revision stores.
 */
struct str text_join_full(const struct text_parts *parts, struct arena *arena);

#endif
