#include "api/text.h"

#include <string.h>

/* The end of the JSON value that starts at `at`, len if it does not end. Trusts brackets and quotes, no more.
 */
static size_t value_end(struct str s, size_t at)
{
    size_t depth = 0;
    for (size_t i = at; i < s.len; i++) {
        char c = s.data[i];
        if (c == '"') {
            for (i++; i < s.len && s.data[i] != '"'; i++)
                if (s.data[i] == '\\')
                    i++;
            if (i >= s.len)
                return s.len;
            if (depth == 0)
                return i + 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return i; /* the end of what holds a bare value */
            if (--depth == 0)
                return i + 1;
        } else if (c == ',' && depth == 0) {
            return i;
        }
    }
    return s.len;
}

static bool split_member(struct str body, size_t *at, struct text_parts *parts)
{
    size_t key_end = value_end(body, *at);
    if (body.data[*at] != '"' || key_end + 1 >= body.len || body.data[key_end] != ':')
        return false;
    struct str key = {body.data + *at, key_end - *at};
    size_t end = value_end(body, key_end + 1);
    struct str value = {body.data + key_end + 1, end - key_end - 1};
    if (end >= body.len || value.len == 0)
        return false;
    if (str_eq(key, STR("\"metadata\"")) && value.data[0] == '{')
        parts->metadata = value;
    else if (str_eq(key, STR("\"name\"")) && (value.data[0] == '"' || str_eq(value, STR("null"))))
        parts->name = value;
    else
        return false;
    *at = end;
    return true;
}

bool text_split(struct str body, struct text_parts *ret_parts)
{
    *ret_parts = (struct text_parts){STR_NONE, STR_NONE};
    struct text_parts parts = *ret_parts;
    if (body.len < 2 || body.data[0] != '{' || body.data[body.len - 1] != '}')
        return false;
    size_t at = 1;
    while (body.data[at] != '}') {
        if (!split_member(body, &at, &parts))
            return false;
        if (body.data[at] == ',')
            at++;
        else if (body.data[at] != '}')
            return false;
    }
    if (at + 1 != body.len)
        return false;
    *ret_parts = parts;
    return true;
}

static char *put(char *at, struct str s)
{
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

struct str text_join(const struct text_parts *parts, struct arena *arena)
{
    const struct str frame = STR("{\"metadata\":,\"name\":}");
    bool metadata = parts->metadata.data != NULL, name = parts->name.data != NULL;
    if (!metadata && !name)
        return STR_NONE;
    char *text = arena_alloc(arena, frame.len + parts->metadata.len + parts->name.len), *at = text;
    at = put(at, STR("{"));
    at = put(at, metadata ? STR("\"metadata\":") : STR(""));
    at = put(at, parts->metadata);
    at = put(at, metadata && name ? STR(",") : STR(""));
    at = put(at, name ? STR("\"name\":") : STR(""));
    at = put(at, parts->name);
    at = put(at, STR("}"));
    return (struct str){text, (size_t)(at - text)};
}

struct str text_join_full(const struct text_parts *parts, struct arena *arena)
{
    struct text_parts kept = *parts;
    if (str_eq(kept.metadata, STR("{}")))
        kept.metadata = STR_NONE;
    if (str_eq(kept.name, STR("null")))
        kept.name = STR_NONE;
    struct str text = text_join(&kept, arena);
    return text.data != NULL ? text : STR("{}");
}
