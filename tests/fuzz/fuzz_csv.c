/*
 * Fuzzing app/csv.h: the first byte picks the separator, the rest is the file. Whatever comes back is written
 * out again and must read back as the same fields.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reads_back(const struct csv_row *row, char separator)
{
    static struct csv again;
    struct strbuf line;
    strbuf_init(&line);
    bool blank = true;
    for (size_t i = 0; i < row->n; i++) {
        if (i > 0)
            strbuf_char(&line, separator);
        strbuf_csv(&line, row->fields[i], separator);
        blank = blank && i == 0 && row->fields[i].len == 0;
    }
    /* A single empty field is written as a blank line, which is none when read; a byte order mark is eaten.
     */
    if (blank || str_starts(strbuf_view(&line), STR("\xef\xbb\xbf"))) {
        strbuf_fini(&line);
        return;
    }
    struct csv_row back;
    csv_init(&again, strbuf_view(&line), separator);
    INVARIANT(csv_next(&again, &back, NULL) == 1 && back.n == row->n);
    for (size_t i = 0; i < row->n; i++)
        INVARIANT(str_eq(row->fields[i], back.fields[i]));
    INVARIANT(csv_next(&again, &back, NULL) == 0);
    csv_fini(&again);
    strbuf_fini(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct csv csv;
    static const char separators[] = ",;\t|";
    if (size == 0)
        return 0;
    char separator = separators[data[0] % 4];
    csv_init(&csv, (struct str){(const char *)data + 1, size - 1}, separator);
    struct csv_row row;
    size_t last_line = 0;
    while (csv_next(&csv, &row, NULL) == 1) {
        INVARIANT(row.n > 0 && row.line > last_line);
        last_line = row.line;
        reads_back(&row, separator);
    }
    csv_fini(&csv);
    return 0;
}
