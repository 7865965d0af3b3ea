/*
 * JSON as this program writes it, read in one pass: without blanks, escapes, reals, numbers beyond 64 bits, names
 * that occur twice, or deep nesting. Whatever is written in another way is left to a reader of all of JSON, so that this
 * one may be small and refuse what it likes: what it takes, that one takes too, and reads the same in it. Events are read
 * at the rate at which they are written, and a tree of counted, hashed values is most of what that costs.
 *
 * Pure. Values live in the arena, their text in what was read.
 */
#ifndef CREDITLEDGER_READMODEL_JSON_PLAIN_H
#define CREDITLEDGER_READMODEL_JSON_PLAIN_H

#include "base/arena.h"
#include "base/str.h"

enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT,
    JSON_KIND_REAL,
    JSON_KIND_TEXT,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
};

struct json_value {
    enum json_kind kind;
    struct str name;                 /* of a member; else STR_NONE */
    struct str text;                 /* JSON_KIND_TEXT: without quotes */
    struct str raw;                  /* as it was written; STR_NONE: another reader read it */
    int64_t integer;                 /* JSON_KIND_INT */
    struct json_value *first, *next; /* elements or members, and the one behind this */
};

/* NULL: not plain, which says nothing about whether it is JSON. */
struct json_value *json_plain(struct str data, struct arena *arena);
/* The member of an object, NULL if there is none. */
struct json_value *json_value_member(const struct json_value *object, const char *name);

#endif
