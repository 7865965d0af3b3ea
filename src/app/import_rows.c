/* From the file's lines to rows whose every value is sound by itself. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json_out.h"
#include "app/import_internal.h"
#include "base/instant.h"
#include "ledger/command.h"
#include "money/amount.h"

static struct str column_name(const struct import *im, enum import_column column)
{
    const struct import_options *o = im->options;
    const struct str names[COLUMN_N] = {o->account_column, o->amount_column, o->currency_column,
        o->counter_column, o->date_column, o->id_column, o->balance_column, o->reference_column};
    return names[column];
}

int import_fail(
    const struct import *im, size_t line, enum import_column column, struct err *err, const char *format, ...)
{
    char message[ERR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct str name = column_name(im, column);
    if (name.data == NULL)
        return err_set(err, ERR_CORRUPT, "line %zu: %s", line, message);
    return err_set(err, ERR_CORRUPT, "line %zu, column " STR_FMT ": %s", line, STR_ARG(name), message);
}

/* ---- the header
 * ---------------------------------------------------------------------------------------------------- */

static int find_column(struct str name, const struct csv_row *header, size_t *ret_at, struct err *err)
{
    size_t found = 0;
    for (size_t i = 0; i < header->n; i++)
        if (str_eq(str_trim(header->fields[i]), name)) {
            *ret_at = i;
            found++;
        }
    if (found == 1)
        return 0;
    if (found > 1)
        return err_set(err, ERR_CONFIG, "line %zu: %zu columns are called '" STR_FMT "'", header->line, found,
            STR_ARG(name));
    struct strbuf names;
    strbuf_init(&names);
    for (size_t i = 0; i < header->n && names.len < 300; i++) {
        strbuf_c(&names, i > 0 ? ", " : "");
        strbuf_str(&names, str_trim(header->fields[i]));
    }
    err_set(err, ERR_CONFIG, "line %zu: there is no column '" STR_FMT "'; the file has: " STR_FMT,
        header->line, STR_ARG(name), STR_ARG(strbuf_view(&names)));
    strbuf_fini(&names);
    return ERR_CONFIG;
}

/* Kept sorted by name: canonical JSON has its keys in order. */
static int add_metadata(struct import *im, struct str name, const struct csv_row *header, struct err *err)
{
    size_t at;
    int rc = find_column(name, header, &at, err);
    if (rc != 0)
        return rc;
    if (im->n_metadata == IMPORT_METADATA_MAX)
        return err_set(err, ERR_CONFIG, "more than %d metadata columns", IMPORT_METADATA_MAX);
    size_t i = im->n_metadata;
    for (; i > 0; i--) {
        struct str other = im->metadata_names[i - 1];
        int order = memcmp(name.data, other.data, name.len < other.len ? name.len : other.len);
        if (order == 0 && name.len == other.len)
            return err_set(err, ERR_CONFIG, "metadata column '" STR_FMT "' is named twice", STR_ARG(name));
        if (order > 0 || (order == 0 && name.len > other.len))
            break;
        im->metadata[i] = im->metadata[i - 1];
        im->metadata_names[i] = other;
    }
    im->metadata[i] = at;
    im->metadata_names[i] = arena_str(&im->names_arena, name);
    im->n_metadata++;
    return 0;
}

static int read_header(struct import *im, const struct csv_row *header, struct err *err)
{
    im->n_fields = header->n;
    im->n_metadata = 0;
    for (int c = 0; c < COLUMN_N; c++) {
        struct str name = column_name(im, (enum import_column)c);
        im->columns[c] = SIZE_MAX;
        int rc = name.data != NULL ? find_column(name, header, &im->columns[c], err) : 0;
        if (rc != 0)
            return rc;
    }
    struct str rest = im->options->metadata_columns, name;
    while (str_split(&rest, ',', &name)) {
        int rc = add_metadata(im, str_trim(name), header, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int import_reader_init(struct import_reader *r, struct import *im, struct err *err)
{
    r->im = im;
    r->number = 0;
    csv_init(&r->csv, im->file, im->options->separator);
    struct csv_row header;
    int rc = csv_next(&r->csv, &header, err);
    if (rc == 0)
        rc = err_set(err, ERR_CORRUPT, "the file is empty: its first line must name the columns");
    else if (rc == 1)
        rc = read_header(im, &header, err);
    if (rc != 0)
        csv_fini(&r->csv);
    return rc;
}

void import_reader_fini(struct import_reader *r)
{
    csv_fini(&r->csv);
}

/* ---- values
 * ---------------------------------------------------------------------------------------------------------
 */

/* Empty if the column was not given. */
static struct str value(const struct import *im, const struct csv_row *csv, enum import_column column)
{
    return im->columns[column] == SIZE_MAX ? STR_NONE : str_trim(csv->fields[im->columns[column]]);
}

static int parse_amount(const struct import *im, const struct csv_row *csv, enum import_column column,
    const struct asset *asset, int64_t *ret_minor, struct err *err)
{
    struct str text = value(im, csv, column), digits = text;
    char point = im->options->decimal_point;
    if (text.len == 0)
        return import_fail(im, csv->line, column, err, "no amount");
    if (digits.data[0] == '+' && digits.len > 1 && digits.data[1] != '-')
        digits = (struct str){digits.data + 1, digits.len - 1};
    bool parsed = point == '\0' ? str_to_int64(digits, ret_minor)
                                : amount_parse_decimal(digits, asset->scale, point, ret_minor);
    if (parsed && amount_in_range(*ret_minor))
        return 0;
    if (parsed)
        return import_fail(im, csv->line, column, err, "'" STR_FMT "' is beyond %" PRId64 " minor units",
            STR_ARG(text), LIMIT_AMOUNT_MAX);
    if (point == '\0')
        return import_fail(im, csv->line, column, err,
            "'" STR_FMT "' is not a whole number of minor units (for amounts like 12.34 use --decimal)",
            STR_ARG(text));
    return import_fail(im, csv->line, column, err,
        "'" STR_FMT
        "' is not an amount with at most %d decimals after '%c' and no grouping (%s has scale %d)",
        STR_ARG(text), asset->scale, point, asset->code, asset->scale);
}

static int parse_date(
    const struct import *im, const struct csv_row *csv, struct import_row *row, struct err *err)
{
    struct str text = value(im, csv, COLUMN_DATE);
    if (im->columns[COLUMN_DATE] == SIZE_MAX)
        return 0;
    if (!instant_parse_loose(text, &row->effective_at))
        return import_fail(im, csv->line, COLUMN_DATE, err,
            "'" STR_FMT "' is not a date (YYYY-MM-DD) or a date-time (2026-01-31T12:34:56Z)", STR_ARG(text));
    if (row->effective_at > im->now)
        return import_fail(
            im, csv->line, COLUMN_DATE, err, "'" STR_FMT "' lies in the future", STR_ARG(text));
    row->has_date = true;
    return 0;
}

static int parse_names(struct import *im, const struct csv_row *csv, struct import_row *row, struct err *err)
{
    const struct import_options *o = im->options;
    struct str account = value(im, csv, COLUMN_ACCOUNT);
    struct str counter =
        im->columns[COLUMN_COUNTER] != SIZE_MAX ? value(im, csv, COLUMN_COUNTER) : o->counter;
    if (!external_id_valid(account))
        return import_fail(im, csv->line, COLUMN_ACCOUNT, err,
            "'" STR_FMT
            "' cannot name an account (1 to %d bytes, no control characters, not starting with '@')",
            STR_ARG(account), LIMIT_EXTERNAL_ID_MAX);
    if (!external_id_valid(counter) && !str_eq_c(counter, "@world"))
        return import_fail(im, csv->line, COLUMN_COUNTER, err,
            "'" STR_FMT
            "' cannot name an account (1 to %d bytes, no control characters, not starting with '@'; "
            "@world is the outside)",
            STR_ARG(counter), LIMIT_EXTERNAL_ID_MAX);
    int rc = import_account(im, account, row->currency, true, csv->line, &row->account, err);
    if (rc == 0)
        rc = import_account(im, counter, row->currency, false, csv->line, &row->counter, err);
    if (rc == 0 && row->account == row->counter)
        rc = import_fail(
            im, csv->line, COLUMN_COUNTER, err, "'" STR_FMT "' is the row's own account", STR_ARG(counter));
    return rc;
}

/* {"column":"value"...} of the fields that are not empty. */
static int parse_metadata(struct import *im, const struct csv_row *csv, struct arena *arena,
    struct import_row *row, struct err *err)
{
    struct strbuf *b = &im->scratch;
    strbuf_clear(b);
    for (size_t i = 0; i < im->n_metadata; i++) {
        struct str text = csv->fields[im->metadata[i]];
        if (text.len == 0)
            continue;
        strbuf_char(b, b->len == 0 ? '{' : ',');
        json_escape(b, im->metadata_names[i]);
        strbuf_char(b, ':');
        json_escape(b, text);
    }
    if (b->len == 0)
        return 0;
    strbuf_char(b, '}');
    if (b->len > LIMIT_METADATA_MAX)
        return err_set(err, ERR_CORRUPT, "line %zu: the metadata columns have more than %d bytes", csv->line,
            LIMIT_METADATA_MAX);
    row->metadata = arena_str(arena, strbuf_view(b));
    return 0;
}

static int parse_texts(struct import *im, const struct csv_row *csv, struct arena *arena,
    struct import_row *row, struct err *err)
{
    struct str id = value(im, csv, COLUMN_ID), reference = value(im, csv, COLUMN_REFERENCE);
    if (im->columns[COLUMN_ID] != SIZE_MAX) {
        if (!idempotency_key_valid(id) || im->options->key_prefix.len + id.len > LIMIT_IDEMPOTENCY_KEY_MAX)
            return import_fail(im, csv->line, COLUMN_ID, err,
                "'" STR_FMT
                "' cannot be an idempotency key (1 to %d bytes with its prefix, no control characters)",
                STR_ARG(id), LIMIT_IDEMPOTENCY_KEY_MAX);
        row->id = arena_str(arena, id);
    }
    if (reference.len > 0) {
        /* The rules for a reference are those for a key. */
        if (reference.len > LIMIT_REFERENCE_MAX || !idempotency_key_valid(reference))
            return import_fail(im, csv->line, COLUMN_REFERENCE, err,
                "a reference has at most %d bytes and no control characters", LIMIT_REFERENCE_MAX);
        row->reference = arena_str(arena, reference);
    }
    return parse_metadata(im, csv, arena, row, err);
}

static int parse_amounts(
    struct import *im, const struct csv_row *csv, struct import_row *row, struct err *err)
{
    const struct asset *asset = &im->currencies[row->currency].asset;
    bool balance_given = im->columns[COLUMN_BALANCE] != SIZE_MAX;
    /* An opening's balance column is what is moved, and what must be there afterwards. */
    bool only_balance = im->columns[COLUMN_AMOUNT] == SIZE_MAX;
    int rc =
        parse_amount(im, csv, only_balance ? COLUMN_BALANCE : COLUMN_AMOUNT, asset, &row->amount_minor, err);
    if (rc != 0 || !balance_given || value(im, csv, COLUMN_BALANCE).len == 0)
        return rc;
    row->has_balance = true;
    return parse_amount(im, csv, COLUMN_BALANCE, asset, &row->balance_minor, err);
}

static int parse_row(struct import *im, const struct csv_row *csv, struct arena *arena,
    struct import_row *row, struct err *err)
{
    if (csv->n != im->n_fields)
        return err_set(err, ERR_CORRUPT,
            "line %zu: %zu fields, the header has %zu (another separator? see --delimiter)", csv->line,
            csv->n, im->n_fields);
    struct str code =
        im->columns[COLUMN_CURRENCY] != SIZE_MAX ? value(im, csv, COLUMN_CURRENCY) : im->options->currency;
    int rc = import_currency(im, code, csv->line, &row->currency, err);
    if (rc == 0)
        rc = parse_names(im, csv, row, err);
    if (rc == 0)
        rc = parse_amounts(im, csv, row, err);
    if (rc == 0)
        rc = parse_date(im, csv, row, err);
    if (rc == 0)
        rc = parse_texts(im, csv, arena, row, err);
    return rc;
}

int import_reader_next(
    struct import_reader *r, struct arena *arena, struct import_row *ret_row, struct err *err)
{
    struct csv_row csv;
    int rc = csv_next(&r->csv, &csv, err);
    if (rc != 1)
        return rc;
    *ret_row = (struct import_row){.line = csv.line, .number = ++r->number};
    rc = parse_row(r->im, &csv, arena, ret_row, err);
    return rc == 0 ? 1 : rc;
}
