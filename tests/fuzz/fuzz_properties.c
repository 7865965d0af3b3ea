/*
 * Fuzzing a properties file. What is visited is short enough, has a key of plain characters, and stands in the input; a
 * file that is refused is refused by a message that has no byte of a value in it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kafka/properties.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct visited {
    struct str text;
    int line;
};

static int visit(void *ctx, int line, const char *key, const char *value, struct err *err)
{
    struct visited *v = ctx;
    (void)err;
    INVARIANT(line > v->line);
    v->line = line;
    size_t key_len = strlen(key), value_len = strlen(value);
    INVARIANT(key_len >= 1 && key_len <= PROPERTY_KEY_MAX && value_len <= PROPERTY_VALUE_MAX);
    INVARIANT(strpbrk(key, "= \t\r\n#!") == NULL);
    INVARIANT(memmem(v->text.data, v->text.len, key, key_len) != NULL);
    INVARIANT(value_len == 0 || memmem(v->text.data, v->text.len, value, value_len) != NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct visited v = {.text = {(const char *)data, size}};
    struct err err = {0};
    int rc = properties_parse(v.text, visit, &v, &err);
    INVARIANT(rc == 0 || (rc == ERR_CONFIG && strncmp(err.message, "line ", 5) == 0));
    return 0;
}
