/*
 * Reading CSV: RFC 4180, and what files in the wild do beside it: a UTF-8 byte order mark, any of CRLF, LF
 * and CR as line end, `;` or another separator, blank lines (skipped), a last line without an end. Quoted
 * fields may hold separators, line ends and doubled quotes. What would have to be guessed is an error that
 * names line and character: a quote inside an unquoted field, text after a closing quote, a quote never
 * closed, NUL, what is not UTF-8.
 *
 * A reader walks over bytes in memory, a row a call. Fields borrow from those bytes, or from the reader until
 * the next call. Limits: CSV_FIELDS_MAX fields a row, CSV_FIELD_LEN_MAX bytes a field. One thread.
 */
#ifndef CREDITLEDGER_APP_CSV_H
#define CREDITLEDGER_APP_CSV_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define CSV_FIELDS_MAX 1000
#define CSV_FIELD_LEN_MAX 65536

struct csv_row {
    const struct str *fields; /* an empty field has length 0, quoted or not */
    size_t n;
    size_t line; /* where the row starts, from 1 */
};

struct csv {
    const char *at, *end, *line_start;
    size_t line;
    char separator;
    struct arena unescaped; /* of the current row */
    struct str fields[CSV_FIELDS_MAX];
};

/* `bytes` stay the caller's and must outlive the reader. */
void csv_init(struct csv *csv, struct str bytes, char separator);
void csv_fini(struct csv *csv);
/* 1 and a row; 0 at the end; ERR_CORRUPT with "line 3, character 14: ..." (then the reader is at its end). */
MUST_CHECK int csv_next(struct csv *csv, struct csv_row *ret_row, struct err *err);

/* Appends one field, quoted if it must be (RFC 4180 section 2, rules 5 to 7). */
void strbuf_csv(struct strbuf *b, struct str field, char separator);

#endif
