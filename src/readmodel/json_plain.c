#include "readmodel/json_plain.h"

#include <string.h>

#define DEPTH_MAX 16
#define MEMBERS_MAX 256 /* names are compared with each other */

struct reading {
    const char *at, *end;
    struct arena *arena;
};

static bool skip(struct reading *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool word(struct reading *r, const char *text, size_t len)
{
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, text, len) != 0)
        return false;
    r->at += len;
    return true;
}

/* Stands behind the opening quote. */
static bool text(struct reading *r, struct str *ret_text)
{
    const char *start = r->at;
    unsigned char all = 0;
    while (r->at < r->end && *r->at != '"') {
        unsigned char c = (unsigned char)*r->at++;
        if (c < 0x20 || c == '\\')
            return false;
        all |= c;
    }
    *ret_text = (struct str){start, (size_t)(r->at - start)};
    return skip(r, '"') && (all < 0x80 || str_utf8_valid(*ret_text));
}

static bool number(struct reading *r, int64_t *ret_integer)
{
    bool negative = skip(r, '-');
    const char *start = r->at;
    int64_t value = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *r->at - '0', &value))
            return false;
    if (r->at == start || (*start == '0' && r->at - start > 1))
        return false;
    *ret_integer = negative ? -value : value;
    /* No fraction and no exponent: the caller looks at what follows, which is a comma or a bracket. */
    return true;
}

/* Whether an object has a name already. `seen` has a bit for some of what names are told apart by. */
static bool repeated(const struct json_value *object, struct str name, uint64_t *seen)
{
    unsigned char edges = name.len > 0 ? (unsigned char)(name.data[0] * 7 + name.data[name.len - 1]) : 0;
    uint64_t bit = UINT64_C(1) << ((edges + name.len * 5) & 63);
    bool maybe = (*seen & bit) != 0;
    *seen |= bit;
    for (const struct json_value *m = maybe ? object->first : NULL; m != NULL; m = m->next)
        if (str_eq(m->name, name))
            return true;
    return false;
}

static bool value(struct reading *r, int depth, struct json_value *ret_value);

/* Stands behind the opening bracket. */
static bool children(struct reading *r, int depth, char close, struct json_value *parent)
{
    struct json_value **last = &parent->first;
    uint64_t seen = 0;
    if (skip(r, close))
        return true;
    for (size_t n = 0; close == ']' || n < MEMBERS_MAX; n++) {
        struct str name = STR_NONE;
        if (close == '}' &&
            (!skip(r, '"') || !text(r, &name) || !skip(r, ':') || repeated(parent, name, &seen)))
            return false;
        struct json_value *child = ARENA_NEW(r->arena, struct json_value);
        if (!value(r, depth + 1, child))
            return false;
        child->name = name;
        *last = child;
        last = &child->next;
        if (skip(r, close))
            return true;
        if (!skip(r, ','))
            return false;
    }
    return false;
}

static bool value(struct reading *r, int depth, struct json_value *ret_value)
{
    const char *start = r->at;
    bool good = depth < DEPTH_MAX && r->at < r->end;
    *ret_value = (struct json_value){.kind = JSON_KIND_NULL};
    if (!good)
        return false;
    switch (*start) {
    case '"':
        r->at++;
        ret_value->kind = JSON_KIND_TEXT;
        good = text(r, &ret_value->text);
        break;
    case '{':
        r->at++;
        ret_value->kind = JSON_KIND_OBJECT;
        good = children(r, depth, '}', ret_value);
        break;
    case '[':
        r->at++;
        ret_value->kind = JSON_KIND_ARRAY;
        good = children(r, depth, ']', ret_value);
        break;
    case 'n':
        good = word(r, "null", 4);
        break;
    case 't':
    case 'f':
        ret_value->kind = JSON_KIND_BOOL;
        good = *start == 't' ? word(r, "true", 4) : word(r, "false", 5);
        break;
    default:
        ret_value->kind = JSON_KIND_INT;
        good = number(r, &ret_value->integer);
        break;
    }
    ret_value->raw = (struct str){start, (size_t)(r->at - start)};
    return good;
}

struct json_value *json_plain(struct str data, struct arena *arena)
{
    struct reading r = {.at = data.data, .end = data.data + data.len, .arena = arena};
    struct json_value *root = ARENA_NEW(arena, struct json_value);
    return data.len > 0 && value(&r, 0, root) && r.at == r.end ? root : NULL;
}

struct json_value *json_value_member(const struct json_value *object, const char *name)
{
    size_t len = strlen(name);
    for (struct json_value *m = object->first; m != NULL; m = m->next)
        if (m->name.len == len && memcmp(m->name.data, name, len) == 0)
            return m;
    return NULL;
}
