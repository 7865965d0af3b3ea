#include "kafka/properties.h"

#include <string.h>

/* Letters, digits, '.', '-' and '_': what property names are made of, and what may stand in a message. */
static bool key_valid(struct str key)
{
    if (key.len == 0 || key.len > PROPERTY_KEY_MAX)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_')
            return false;
    }
    return true;
}

static int one_line(
    struct str line, int number, struct strbuf *value, property_visit *visit, void *ctx, struct err *err)
{
    struct str key = STR_NONE, rest = line;
    const char *equals = memchr(line.data, '=', line.len);
    if (equals == NULL)
        return err_set(err, ERR_CONFIG, "line %d: a line is key=value", number);
    key = str_trim((struct str){line.data, (size_t)(equals - line.data)});
    rest = str_trim((struct str){equals + 1, line.len - (size_t)(equals - line.data) - 1});
    if (!key_valid(key))
        return err_set(err, ERR_CONFIG,
            "line %d: what stands before '=' is no property's name (letters, digits, '.', '-', '_')", number);
    if (rest.len > PROPERTY_VALUE_MAX || memchr(rest.data, '\0', rest.len) != NULL)
        return err_set(err, ERR_CONFIG,
            "line %d: the value of " STR_FMT " is longer than %d bytes, or has a NUL", number, STR_ARG(key),
            PROPERTY_VALUE_MAX);
    char name[PROPERTY_KEY_MAX + 1];
    memcpy(name, key.data, key.len);
    name[key.len] = '\0';
    strbuf_clear(value);
    strbuf_str(value, rest);
    strbuf_char(value, '\0');
    return visit(ctx, number, name, value->data, err);
}

int properties_parse(struct str text, property_visit *visit, void *ctx, struct err *err)
{
    struct strbuf value;
    strbuf_init(&value);
    int rc = 0;
    struct str line;
    for (int number = 1; rc == 0 && str_split(&text, '\n', &line); number++) {
        line = str_trim(line);
        if (line.len > 0 && line.data[0] != '#' && line.data[0] != '!')
            rc = one_line(line, number, &value, visit, ctx, err);
    }
    strbuf_fini(&value);
    return rc;
}
