/* The four formats: what they hold, and that nothing people chose can break out of its place. */
#include "app/export.h"

#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "app/books_fixture.h"

static struct books books;

static char *export(enum export_format format, uint64_t from_seq)
{
    char *text = NULL;
    size_t size = 0;
    struct err err = {0};
    uint64_t records;
    FILE *out = open_memstream(&text, &size);
    struct export_request request = {
        .j = books.journal,
        .ledger = catalog_ledger(books.catalog, 1),
        .format = format,
        .from_seq = from_seq,
        .out = out,
    };
    if (export_ledger(&request, &records, &err) != 0)
        fail_msg("%s", err.message);
    fclose(out);
    return text;
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no '%s' in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("there is '%s' in:\n%s", part, text);
}

#define NASTY "a; b  c:d\"e\\f(g) = 5 USD"

/* alice 1, @world 2, an account with a nasty name 3, one without a name 4, points in a code beancount cannot
 * spell. */
static void write_books(void)
{
    struct books *b = &books;
    struct floor none = {0};
    books_open(b, false);
    books_account(b, "alice", ACCOUNT_LIABILITY, "USD", none, "{\"name\":\"Alice\"}");
    struct command top_up =
        books_transfer_command(b, books_world("USD"), books_ext("alice"), 1234, "USD", "top-up");
    top_up.reference = STR("ref; account expenses:forged | \"quoted\" \\");
    top_up.has_effective_at = true;
    top_up.effective_at = INT64_C(757382400000000); /* 1994-01-01 */
    books_do(b, top_up);
    books_account(b, NASTY, ACCOUNT_ASSET, "USD", none, NULL);
    books_transfer(b, books_ext(NASTY), books_ext("alice"), 5, NULL);
    books_do(
        b, (struct command){.op = COMMAND_DECLARE_ASSET, .as.declare_asset = {.code = STR("X"), .scale = 0}});
    books_account(b, NULL, ACCOUNT_INCOME, "X", none, NULL);
    books_account(b, "alice-4", ACCOUNT_LIABILITY, "X", none, NULL);
    books_do(b, books_transfer_command(b, books_world("X"), books_ext("alice-4"), 7, "X", NULL));
}

static void hledger_names_signs_and_escapes(void **state)
{
    (void)state;
    char *text = export(EXPORT_HLEDGER, 1);
    has(text, "commodity 1000.00 \"USD\"\n");
    has(text, "commodity 1000. \"X\"\n");
    has(text, "\naccount liabilities:alice  ; id:");
    has(text, "account assets:a__b__c_d_e_f_g____5_USD-3  ; id:");
    has(text, "account income:account-4  ; id:");
    has(text, "account liabilities:alice-4-5  ; id:"); /* not to be taken for the fourth account */
    has(text, "\n1994-01-01 * (3) transfer ref  account expenses:forged   \"quoted\" \\\n    ; id:");
    has(text, "\n    liabilities:alice  -12.34 \"USD\"\n");
    has(text, "\n    equity:_world_USD-2  12.34 \"USD\"\n");
    has(text, "  7 \"X\"\n");
    lacks(text, "; account");
    free(text);
}

static void beancount_names_signs_and_escapes(void **state)
{
    (void)state;
    char *text = export(EXPORT_BEANCOUNT, 1);
    has(text, "\n1994-01-01 * \"transfer\" \"ref; account expenses:forged |  quoted   \"\n  seq: 3\n");
    has(text, "\n  Liabilities:Alice-1  -12.34 USD\n");
    has(text, "\n  Equity:World-USD-2  12.34 USD\n");
    has(text, "\n  Assets:A--b--c-d-e-f-g----5-USD-3  0.05 USD\n");
    has(text, "\n1994-01-01 open Liabilities:Alice-1 USD\n");
    has(text, " 7 ASSETX2\n");
    lacks(text, "Account-4"); /* never moved: never opened */
    free(text);
}

static size_t lines(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void csv_has_a_line_an_entry(void **state)
{
    (void)state;
    char *text = export(EXPORT_CSV, 1);
    struct ledger_head head;
    assert_int_equal(0, books.journal->ops->head(books.journal, 1, &head, NULL));
    assert_int_equal(
        1 + head.seq + 3, lines(text)); /* a header, an entry each, and a second one of three transfers */
    has(text, "ledger,seq,leg,kind,");
    has(text, "main,3,1,transfer,");
    has(text, ",1994-01-01T00:00:00.000000Z,1,");
    has(text, ",alice,liability,USD,2,0,1234,1234,1234,2,\"ref; account expenses:forged | \"\"quoted\"\" "
              "\\\",top-up,\n");
    has(text, "\"a; b  c:d\"\"e\\f(g) = 5 USD\",asset,USD,2,5,0,5,5,2,,,\n");
    free(text);
    text = export(EXPORT_CSV, head.seq);
    assert_int_equal(3, lines(text));
    free(text);
}

/* That it is enough to recompute every hash, tests/cli shows. */
static void ndjson_is_complete(void **state)
{
    (void)state;
    char *text = export(EXPORT_NDJSON, 1), *rest = text, *line;
    struct ledger_head head;
    assert_int_equal(0, books.journal->ops->head(books.journal, 1, &head, NULL));
    assert_int_equal(head.seq + 2, lines(text));
    size_t n = 0;
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        json_error_t error;
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        if (o == NULL)
            fail_msg("%s in %s", error.text, line);
        const char *type = json_string_value(json_object_get(o, "type"));
        assert_string_equal(n == 0 ? "ledger" : n == head.seq + 1 ? "end" : "record", type);
        if (n == 1) {
            assert_string_equal("{\"name\":\"Alice\"}", json_string_value(json_object_get(o, "text")));
            assert_int_equal(64, strlen(json_string_value(json_object_get(o, "textDigest"))));
            assert_int_equal(32, strlen(json_string_value(json_object_get(o, "textSalt"))));
            assert_string_equal(
                "alice", json_string_value(json_object_get(json_object_get(o, "account"), "externalId")));
            assert_int_equal(1, json_array_size(json_object_get(o, "revisions")));
        }
        if (n == 3) {
            json_t *entry = json_array_get(json_object_get(o, "entries"), 1);
            assert_int_equal(1234, json_integer_value(json_object_get(entry, "posted")));
            assert_true(json_is_true(json_object_get(entry, "backdated")));
            assert_string_equal("top-up", json_string_value(json_object_get(o, "idempotencyKey")));
            assert_int_equal(64, strlen(json_string_value(json_object_get(o, "requestHash"))));
        }
        json_decref(o);
        n++;
    }
    assert_int_equal(head.seq + 2, n);
    free(text);
}

static void names_are_nobody_elses(void **state)
{
    (void)state;
    static const char *const names[] = {
        "alice", "alice-1", "Alice", "al ice", "al_ice", "account-1", "a", "-", "1", "\xc5\x99"};
    enum { N = sizeof names / sizeof *names };
    struct strbuf hledger[N], beancount[N];
    for (size_t i = 0; i < N; i++) {
        struct export_account account = {.external_id = str_of(names[i]), .type = ACCOUNT_LIABILITY};
        strbuf_init(&hledger[i]);
        strbuf_init(&beancount[i]);
        export_hledger_name(&account, i + 1, &hledger[i]);
        export_beancount_name(&account, i + 1, &beancount[i]);
        for (size_t k = 0; k < i; k++) {
            assert_false(str_eq(strbuf_view(&hledger[i]), strbuf_view(&hledger[k])));
            assert_false(str_eq(strbuf_view(&beancount[i]), strbuf_view(&beancount[k])));
        }
    }
    assert_true(str_eq_c(strbuf_view(&hledger[0]), "liabilities:alice"));
    assert_true(str_eq_c(strbuf_view(&beancount[7]), "Liabilities:8"));
    for (size_t i = 0; i < N; i++) {
        strbuf_fini(&hledger[i]);
        strbuf_fini(&beancount[i]);
    }
}

/* Requests cannot say this; a journal written by another program can. */
static void a_reference_cannot_end_its_line(void **state)
{
    (void)state;
    struct command command =
        books_transfer_command(&books, books_world("USD"), books_ext("alice"), 1, "USD", NULL);
    command.reference = STR("a\n    expenses:forged  5 USD\r\nb");
    books_do(&books, command);
    static const enum export_format formats[] = {EXPORT_HLEDGER, EXPORT_BEANCOUNT};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char *text = export(formats[i], 1);
        has(text, "a     expenses:forged  5 USD  b");
        free(text);
    }
}

static int setup(void **state)
{
    (void)state;
    write_books();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    books_close(&books);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hledger_names_signs_and_escapes),
        cmocka_unit_test(beancount_names_signs_and_escapes), cmocka_unit_test(csv_has_a_line_an_entry),
        cmocka_unit_test(ndjson_is_complete), cmocka_unit_test(names_are_nobody_elses),
        cmocka_unit_test(a_reference_cannot_end_its_line), /* last: it writes */
    };
    return cmocka_run_group_tests_name("export", tests, setup, teardown);
}
