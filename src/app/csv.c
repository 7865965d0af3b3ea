#include "app/csv.h"

#include <string.h>

static bool line_ends(char c)
{
    return c == '\n' || c == '\r';
}

void csv_init(struct csv *csv, struct str bytes, char separator)
{
    INVARIANT(separator != '"' && !line_ends(separator) && separator != '\0');
    csv->at = bytes.data;
    csv->end = bytes.data + bytes.len;
    csv->line = 1;
    csv->separator = separator;
    arena_init(&csv->unescaped, 0);
    if (str_starts(bytes, STR("\xef\xbb\xbf")))
        csv->at += 3;
    csv->line_start = csv->at;
}

void csv_fini(struct csv *csv)
{
    arena_fini(&csv->unescaped);
}

static int fail(struct csv *csv, const char *where, struct err *err, const char *what)
{
    size_t character = (size_t)(where - csv->line_start) + 1;
    csv->at = csv->end;
    return err_set(err, ERR_CORRUPT, "line %zu, character %zu: %s", csv->line, character, what);
}

/* At a line end: steps over it, CRLF as one. */
static void next_line(struct csv *csv)
{
    if (csv->at[0] == '\r' && csv->at + 1 < csv->end && csv->at[1] == '\n')
        csv->at++;
    csv->at++;
    csv->line++;
    csv->line_start = csv->at;
}

static int check_field(struct csv *csv, const char *start, struct str field, struct err *err)
{
    if (field.len > CSV_FIELD_LEN_MAX)
        return fail(csv, start, err, "a field of more than 65536 bytes (is a closing quote missing?)");
    if (field.len > 0 && memchr(field.data, '\0', field.len) != NULL)
        return fail(csv, start, err, "a NUL byte (UTF-16? convert the file to UTF-8)");
    if (!str_utf8_valid(field))
        return fail(csv, start, err, "not UTF-8 (convert the file, for example with iconv)");
    return 0;
}

static int bare_field(struct csv *csv, struct str *ret_field, struct err *err)
{
    const char *start = csv->at;
    while (csv->at < csv->end && *csv->at != csv->separator && !line_ends(*csv->at)) {
        if (*csv->at == '"')
            return fail(
                csv, csv->at, err, "a quote inside an unquoted field (quote the field and double the quote)");
        csv->at++;
    }
    *ret_field = (struct str){start, (size_t)(csv->at - start)};
    return check_field(csv, start, *ret_field, err);
}

/* "a""b" without its outer quotes to a"b. */
static struct str undouble(struct csv *csv, struct str raw)
{
    char *text = arena_alloc(&csv->unescaped, raw.len);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        text[len++] = raw.data[i];
        i += raw.data[i] == '"';
    }
    return (struct str){text, len};
}

static int quoted_field(struct csv *csv, struct str *ret_field, struct err *err)
{
    const char *opening = csv->at++;
    const char *opening_line_start = csv->line_start;
    size_t opening_line = csv->line;
    const char *start = csv->at;
    bool doubled = false;
    for (;;) {
        if (csv->at == csv->end || csv->at - start > CSV_FIELD_LEN_MAX * 2) {
            csv->line = opening_line;
            csv->line_start = opening_line_start;
            return fail(csv, opening, err, "this quote is never closed");
        }
        if (*csv->at == '"') {
            if (csv->at + 1 == csv->end || csv->at[1] != '"')
                break;
            doubled = true;
            csv->at += 2;
        } else if (line_ends(*csv->at)) {
            next_line(csv);
        } else {
            csv->at++;
        }
    }
    struct str raw = {start, (size_t)(csv->at - start)};
    csv->at++;
    if (csv->at < csv->end && *csv->at != csv->separator && !line_ends(*csv->at))
        return fail(
            csv, csv->at, err, "text after a closing quote (double a quote that belongs to the text)");
    *ret_field = doubled ? undouble(csv, raw) : raw;
    return check_field(csv, csv->at, *ret_field, err);
}

int csv_next(struct csv *csv, struct csv_row *ret_row, struct err *err)
{
    arena_reset(&csv->unescaped);
    while (csv->at < csv->end && line_ends(*csv->at))
        next_line(csv);
    if (csv->at == csv->end)
        return 0;
    struct csv_row row = {.fields = csv->fields, .line = csv->line};
    for (;;) {
        if (row.n == CSV_FIELDS_MAX)
            return fail(csv, csv->at, err, "more than 1000 fields in a row");
        bool quoted = csv->at < csv->end && *csv->at == '"';
        int rc =
            quoted ? quoted_field(csv, &csv->fields[row.n], err) : bare_field(csv, &csv->fields[row.n], err);
        if (rc != 0)
            return rc;
        row.n++;
        if (csv->at == csv->end)
            break;
        if (line_ends(*csv->at)) {
            next_line(csv);
            break;
        }
        csv->at++; /* the separator */
    }
    *ret_row = row;
    return 1;
}

void strbuf_csv(struct strbuf *b, struct str field, char separator)
{
    bool quote = false;
    for (size_t i = 0; i < field.len && !quote; i++)
        quote = field.data[i] == separator || field.data[i] == '"' || line_ends(field.data[i]);
    if (!quote) {
        strbuf_str(b, field);
        return;
    }
    strbuf_char(b, '"');
    for (size_t i = 0; i < field.len; i++) {
        if (field.data[i] == '"')
            strbuf_char(b, '"');
        strbuf_char(b, field.data[i]);
    }
    strbuf_char(b, '"');
}
