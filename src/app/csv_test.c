#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/csv.h"

/* Rows are written [field|field], an error as !message. */
struct csv_case {
    const char *name;
    struct str input;
    char separator;
    const char *expected;
};

/* STR is no constant expression in a static table. */
#define S(literal) \
    { \
        literal, sizeof(literal) - 1 \
    }
#define LONG_INPUT "\"unclosed\nline\nline"

static const struct csv_case cases[] = {
    {"nothing", S(""), ',', ""},
    {"only a byte order mark", S("\xef\xbb\xbf"), ',', ""},
    {"byte order mark before a name",
        S("\xef\xbb\xbf"
          "a,b\n"),
        ',', "1[a|b]"},
    {"byte order mark before a quote", S("\xef\xbb\xbf\"a\",b\n"), ',', "1[a|b]"},
    {"no line end at the end", S("a,b\nc,d"), ',', "1[a|b]2[c|d]"},
    {"CRLF", S("a,b\r\nc,d\r\n"), ',', "1[a|b]2[c|d]"},
    {"CR alone", S("a,b\rc,d\r"), ',', "1[a|b]2[c|d]"},
    {"blank lines are skipped and counted", S("\n\na\r\n\r\nb\n\n"), ',', "3[a]5[b]"},
    {"empty fields", S(",\n,,\n"), ',', "1[|]2[||]"},
    {"empty last field at the end", S("a,"), ',', "1[a|]"},
    {"semicolon", S("a,b;c\n"), ';', "1[a,b|c]"},
    {"tab", S("a\tb\n"), '\t', "1[a|b]"},
    {"quoted separator", S("\"a,b\",c\n"), ',', "1[a,b|c]"},
    {"quoted line end keeps its bytes", S("\"a\r\nb\",c\nd,e\n"), ',', "1[a\r\nb|c]3[d|e]"},
    {"doubled quotes", S("\"say \"\"hi\"\"\",\"\"\"\"\n"), ',', "1[say \"hi\"|\"]"},
    {"quoted empty", S("\"\",\"\"\n"), ',', "1[|]"},
    {"blanks belong to the field", S(" a , b \n"), ',', "1[ a | b ]"},
    {"UTF-8", S("p\xc5\x99\xc3\xadjem,\xe2\x82\xac\n"), ',', "1[p\xc5\x99\xc3\xadjem|\xe2\x82\xac]"},
    {"quote inside a bare field", S("a\nb,c\"d\n"), ',',
        "1[a]!line 2, character 4: a quote inside an unquoted field (quote the field and double the quote)"},
    {"text after a closing quote", S("\"a\"b,c\n"), ',',
        "!line 1, character 4: text after a closing quote (double a quote that belongs to the text)"},
    {"blank after a closing quote", S("\"a\" ,c\n"), ',',
        "!line 1, character 4: text after a closing quote (double a quote that belongs to the text)"},
    {"unclosed quote names where it opened", S("a\nb," LONG_INPUT), ',',
        "1[a]!line 2, character 3: this quote is never closed"},
    {"NUL", S("a,b\0c\n"), ',', "!line 1, character 3: a NUL byte (UTF-16? convert the file to UTF-8)"},
    {"Latin-1", S("a,\xe9t\xe9\n"), ',',
        "!line 1, character 3: not UTF-8 (convert the file, for example with iconv)"},
};

static void render(struct str input, char separator, struct strbuf *out)
{
    static struct csv csv;
    csv_init(&csv, input, separator);
    struct csv_row row;
    struct err err;
    int rc;
    while ((rc = csv_next(&csv, &row, &err)) == 1) {
        strbuf_printf(out, "%zu[", row.line);
        for (size_t i = 0; i < row.n; i++) {
            strbuf_c(out, i > 0 ? "|" : "");
            strbuf_str(out, row.fields[i]);
        }
        strbuf_char(out, ']');
    }
    if (rc < 0)
        strbuf_printf(out, "!%s", err.message);
    assert_int_equal(rc < 0 ? ERR_CORRUPT : 0, rc);
    assert_int_equal(0, csv_next(&csv, &row, &err)); /* at its end, for good */
    csv_fini(&csv);
}

static void reads_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct strbuf out;
        strbuf_init(&out);
        render(cases[i].input, cases[i].separator, &out);
        if (!str_eq_c(strbuf_view(&out), cases[i].expected))
            fail_msg("%s: got " STR_FMT ", expected %s", cases[i].name, STR_ARG(strbuf_view(&out)),
                cases[i].expected);
        strbuf_fini(&out);
    }
}

static void holds_its_limits(void **state)
{
    (void)state;
    struct strbuf in, out;
    strbuf_init(&in);
    strbuf_init(&out);
    for (int i = 0; i < CSV_FIELDS_MAX; i++)
        strbuf_char(&in, ',');
    render(strbuf_view(&in), ',', &out);
    assert_non_null(strstr(out.data, "more than 1000 fields"));
    strbuf_clear(&in);
    strbuf_clear(&out);
    for (int i = 0; i <= CSV_FIELD_LEN_MAX; i++)
        strbuf_char(&in, 'x');
    render(strbuf_view(&in), ',', &out);
    strbuf_char(&out, '\0');
    assert_non_null(strstr(out.data, "more than 65536 bytes"));
    strbuf_fini(&in);
    strbuf_fini(&out);
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "", "plain", "a,b", "say \"hi\"", "two\nlines", "cr\rlf\n", "\"", " blank "};
    struct strbuf line;
    strbuf_init(&line);
    size_t n = sizeof fields / sizeof *fields;
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            strbuf_char(&line, ',');
        strbuf_csv(&line, str_of(fields[i]), ',');
    }
    static struct csv csv;
    csv_init(&csv, strbuf_view(&line), ',');
    struct csv_row row;
    assert_int_equal(1, csv_next(&csv, &row, NULL));
    assert_int_equal(n, row.n);
    for (size_t i = 0; i < n; i++)
        assert_true(str_eq_c(row.fields[i], fields[i]));
    csv_fini(&csv);
    strbuf_fini(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_table),
        cmocka_unit_test(holds_its_limits),
        cmocka_unit_test(writes_what_it_reads),
    };
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
