/* The importer over memory and SQLite: what it posts, what it refuses before it posts, and what a second run
 * finds. */
#include "app/import.h"

#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/books_fixture.h"

static struct books books;
static struct import_counts counts;
static struct err err;

static struct import_options movements(void)
{
    return (struct import_options){
        .account_column = STR("account"),
        .amount_column = STR("amount"),
        .counter_column = STR("kind"),
        .id_column = STR("id"),
        .currency = STR("USD"),
        .separator = ',',
        .scale = -1,
        .account_type = ACCOUNT_LIABILITY,
        .counter_type = ACCOUNT_EQUITY,
        .key_prefix = STR(IMPORT_KEY_PREFIX),
    };
}

static struct import_options openings(void)
{
    struct import_options o = movements();
    o.opening = true;
    o.amount_column = o.id_column = o.counter_column = STR_NONE;
    o.balance_column = STR("credits_remaining");
    o.counter = STR("@world");
    return o;
}

static int import(const char *file, struct import_options o)
{
    const struct ledger_row *ledger = catalog_ledger(books.catalog, 1);
    err = (struct err){0};
    return import_run(
        books.engine, books.journal, books.catalog, ledger, &o, str_of(file), books.clock, &counts, &err);
}

static uint64_t head(void)
{
    struct ledger_head h;
    assert_int_equal(0, books.journal->ops->head(books.journal, 1, &h, NULL));
    return h.seq;
}

#define imports(file, options) \
    do { \
        if (import(file, options) != 0) \
            fail_msg("%s", err.message); \
    } while (0)

/* It must fail with that message, and leave the journal as it was. */
#define refuses(file, options, code, part) \
    do { \
        uint64_t before = head(); \
        assert_int_equal(code, import(file, options)); \
        if (strstr(err.message, part) == NULL) \
            fail_msg("'%s' does not say '%s'", err.message, part); \
        assert_int_equal(before, head()); \
    } while (0)

static void posts_rows_and_finds_them_again(void **state)
{
    (void)state;
    static const char file[] = "id,account,amount,kind\n"
                               "1,alice,1000,deposit\n"
                               "2,bob,500,deposit\n"
                               "3,alice,-300,spent\n"
                               "4,bob,0,spent\n"
                               "5,alice,20,bob\n";
    imports(file, movements());
    assert_int_equal(5, counts.rows);
    assert_int_equal(4, counts.posted);
    assert_int_equal(1, counts.zero);
    assert_int_equal(4, counts.opened);
    assert_int_equal(720, books_balance(&books, "alice"));
    assert_int_equal(480, books_balance(&books, "bob"));
    assert_int_equal(-1500, books_balance(&books, "deposit"));
    uint64_t before = head();
    imports(file, movements());
    assert_int_equal(0, counts.posted);
    assert_int_equal(4, counts.already);
    assert_int_equal(0, counts.opened);
    assert_int_equal(before, head());
    /* The next month's file overlaps: only what is new is posted. */
    imports("id,account,amount,kind\n5,alice,20,bob\n6,alice,1,deposit\n", movements());
    assert_int_equal(1, counts.posted);
    assert_int_equal(1, counts.already);
    assert_int_equal(721, books_balance(&books, "alice"));
}

static void without_ids_a_file_is_known_by_its_content(void **state)
{
    (void)state;
    static const char file[] = "account,amount,kind\nalice,10,in\nalice,10,in\n";
    struct import_options o = movements();
    o.id_column = STR_NONE;
    imports(file, o);
    assert_int_equal(2, counts.posted); /* equal rows are two movements */
    imports(file, o);
    assert_int_equal(2, counts.already);
    assert_int_equal(20, books_balance(&books, "alice"));
    imports("account,amount,kind\nalice,10,in\n", o);
    assert_int_equal(1, counts.posted);
}

static void checks_balances_after_every_row(void **state)
{
    (void)state;
    struct import_options o = movements();
    o.balance_column = STR("balance");
    imports("id,account,amount,kind,balance\n1,alice,1000,in,1000\n2,alice,-1,in,999\n3,bob,5,in,\n", o);
    assert_int_equal(2, counts.balances);
    imports("id,account,amount,kind,balance\n1,alice,1000,in,1000\n2,alice,-1,in,999\n3,bob,5,in,\n", o);
    assert_int_equal(2, counts.balances);
    assert_int_equal(3, counts.already);
    /* Stops at the row, says both values; what stands before it is posted, nothing after it. */
    assert_int_equal(ERR_CORRUPT,
        import(
            "id,account,amount,kind,balance\n4,alice,1,in,1000\n5,alice,1,in,1002\n6,alice,1,in,1002\n", o));
    assert_non_null(strstr(err.message, "line 3, column balance"));
    assert_non_null(strstr(err.message, "1001"));
    assert_non_null(strstr(err.message, "1002"));
    assert_int_equal(1, counts.posted);
    assert_int_equal(1000, books_balance(&books, "alice"));
    /* Corrected, it goes on where it stopped. */
    imports("id,account,amount,kind,balance\n4,alice,1,in,1000\n5,alice,2,in,1002\n6,alice,0,in,1002\n", o);
    assert_int_equal(1, counts.posted);
    assert_int_equal(1, counts.already);
}

/* Its rows could not be told from new ones after a correction: all or nothing. */
static void without_ids_a_differing_balance_posts_nothing(void **state)
{
    (void)state;
    struct import_options o = movements();
    o.id_column = STR_NONE;
    o.balance_column = STR("balance");
    refuses("account,amount,kind,balance\nalice,5,in,5\nalice,1,in,7\n", o, ERR_CORRUPT,
        "line 3, column balance: the ledger's balance of 'alice' would be 6, the file says 7");
    o.id_column = STR("id");
    o.dry_run = true;
    refuses("id,account,amount,kind,balance\n1,alice,5,in,5\n2,alice,1,in,7\n", o, ERR_CORRUPT, "would be 6");
}

static void directions_follow_the_account(void **state)
{
    (void)state;
    struct import_options o = movements();
    o.account_type = ACCOUNT_ASSET;
    o.counter_type = ACCOUNT_INCOME;
    imports("id,account,amount,kind\n1,cash,700,sales\n2,cash,-200,rent\n", o);
    assert_int_equal(500, books_balance(&books, "cash"));
    assert_int_equal(700, books_balance(&books, "sales"));
    assert_int_equal(-200, books_balance(&books, "rent"));
}

static void a_movement_that_would_be_declined_is_refused_first(void **state)
{
    (void)state;
    struct import_options o = movements();
    o.has_floor = true;
    o.floor = (struct floor){.present = true, .minor = 0};
    refuses("id,account,amount,kind\n1,alice,10,in\n2,alice,-11,out\n", o, ERR_CORRUPT,
        "line 3, column account: 'alice' would fall to -1, below its minimum of 0");
    /* A counter that is an account elsewhere has its floor, too. */
    refuses("id,account,amount,kind\n1,alice,10,in\n2,bob,11,alice\n", o, ERR_CORRUPT,
        "line 3, column kind: 'alice'");
    o.has_floor = false;
    imports("id,account,amount,kind\n1,alice,10,in\n2,alice,-11,out\n", o);
    books_do(&books,
        (struct command){.op = COMMAND_REVISE_ACCOUNT,
            .as.revise = {.account = books_ext("alice"), .has_status = true, .status = ACCOUNT_FROZEN}});
    refuses("id,account,amount,kind\n3,alice,-1,in\n", o, ERR_CORRUPT, "the account 'alice' is frozen");
}

static void opening_balances(void **state)
{
    (void)state;
    static const char file[] = "account,credits_remaining\nalice,120\nbob,0\ncarol,-5\n";
    imports(file, openings());
    assert_int_equal(2, counts.posted);
    assert_int_equal(3, counts.opened);
    assert_int_equal(120, books_balance(&books, "alice"));
    assert_int_equal(0, books_balance(&books, "bob"));
    assert_int_equal(-5, books_balance(&books, "carol"));
    imports(file, openings());
    assert_int_equal(0, counts.posted);
    assert_int_equal(2, counts.already);
    /* An account gets one opening, whatever file it comes in; and must end at what the file says. */
    refuses("account,credits_remaining\ndave,1\nalice,130\n", openings(), ERR_CORRUPT,
        "line 3: the key 'import:opening:alice'");
    refuses("account,credits_remaining\nalice,1\nalice,1\n", openings(), ERR_CORRUPT,
        "line 3, column account: 'alice' is on line 2");
    books_account(&books, "eve", ACCOUNT_LIABILITY, "USD", (struct floor){0}, NULL);
    books_transfer(&books, books_world("USD"), books_ext("eve"), 7, NULL);
    refuses(
        "account,credits_remaining\neve,100\n", openings(), ERR_CORRUPT, "would be 107, the file says 100");
    struct import_options o = openings();
    o.has_floor = true;
    o.floor = (struct floor){.present = true, .minor = 0};
    refuses("account,credits_remaining\nfrank,-1\n", o, ERR_CORRUPT, "below its minimum of 0");
}

static void what_a_row_carries(void **state)
{
    (void)state;
    struct import_options o = movements();
    o.separator = ';';
    o.decimal_point = ',';
    o.date_column = STR("date");
    o.reference_column = STR("note");
    o.metadata_columns = STR("till,clerk");
    imports("\xef\xbb\xbf\"id\";account;amount;kind;date;note;clerk;till\r\n"
            "7;\"alice; inc\";\"1234,5\";in;2025-03-01;\"say \"\"hi\"\"\";Zo\xc3\xab;3\r\n\r\n",
        o);
    const struct record *r;
    uint64_t seq = head();
    assert_int_equal(0, books.journal->ops->record(books.journal, 1, seq, true, &books.arena, &r, NULL));
    assert_int_equal(123450, books_balance(&books, "alice; inc"));
    assert_true(str_eq_c(r->idempotency_key, "import:7"));
    assert_true(str_eq_c(r->reference, "say \"hi\""));
    assert_true(str_eq_c(r->text.body, "{\"metadata\":{\"clerk\":\"Zo\xc3\xab\",\"till\":\"3\"}}"));
    assert_int_equal(INT64_C(1740787200000000), r->effective_at);
    assert_int_equal(2, r->n_entries);
}

static void currencies(void **state)
{
    (void)state;
    struct import_options o = movements();
    o.currency = STR_NONE;
    o.currency_column = STR("cur");
    refuses("id,account,amount,kind,cur\n1,a,5,in,CREDITS\n", o, ERR_CORRUPT,
        "line 2, column cur: 'CREDITS' is no ISO 4217 currency and not declared");
    refuses("id,account,amount,kind,cur\n1,a,5,in,usd\n", o, ERR_CORRUPT, "'usd' is not a currency code");
    refuses("id,account,amount,kind,cur\n1,a,5,in,USD\n2,a,5,in,EUR\n", o, ERR_CORRUPT,
        "line 3, column account: 'a' is in EUR here and in USD on line 2");
    refuses(
        "id,account,amount,kind,cur\n1,a,5,in,USD\n2,b,5,in,EUR\n", o, ERR_CORRUPT, "line 3, column kind");
    o.per_currency = true;
    imports("id,account,amount,kind,cur\n1,a,5,in,USD\n2,a,6,in,EUR\n3,a,1,@world,EUR\n", o);
    assert_int_equal(5, books_balance(&books, "a:USD"));
    assert_int_equal(7, books_balance(&books, "a:EUR"));
    o.per_currency = false;
    refuses("id,account,amount,kind,cur\n9,a:EUR,5,x,USD\n", o, ERR_CORRUPT,
        "the ledger's account 'a:EUR' is in EUR, the row in USD");
    o.scale = 3;
    refuses("id,account,amount,kind,cur\n1,a,5,in,USD\n", o, ERR_CORRUPT, "USD has scale 2, --scale says 3");
    o.decimal_point = '.';
    imports("id,account,amount,kind,cur\n10,c,1.5,cin,CREDITS\n", o);
    assert_int_equal(1500, books_balance(&books, "c"));
    o.scale = -1;
    imports("id,account,amount,kind,cur\n11,c,0.001,cin,CREDITS\n", o); /* declared now */
    assert_int_equal(1501, books_balance(&books, "c"));
}

/* Nothing is posted, and the message names line and column. */
static void faulty_files(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int code;
        const char *message;
    } cases[] = {
        {"", ERR_CORRUPT, "the file is empty"},
        {"id,account,amount\n", ERR_CONFIG, "there is no column 'kind'; the file has: id, account, amount"},
        {"id,account,amount,kind,id\n", ERR_CONFIG, "2 columns are called 'id'"},
        {"id,account,amount,kind\n1,a,5,in\n2,a,5\n", ERR_CORRUPT, "line 3: 3 fields, the header has 4"},
        {"id,account,amount,kind\n1,a,5,in\n2,a,five,in\n", ERR_CORRUPT,
            "line 3, column amount: 'five' is not a whole number of minor units"},
        {"id,account,amount,kind\n1,a,12.34,in\n", ERR_CORRUPT, "line 2, column amount: '12.34'"},
        {"id,account,amount,kind\n1,a,,in\n", ERR_CORRUPT, "line 2, column amount: no amount"},
        {"id,account,amount,kind\n1,a,9223372036854775807,in\n", ERR_CORRUPT, "is beyond"},
        {"id,account,amount,kind\n1,a,99999999999999999999,in\n", ERR_CORRUPT, "is not a whole number"},
        {"id,account,amount,kind\n1,a,1,in\n1,b,2,in\n", ERR_CORRUPT,
            "line 3, column id: '1' is on line 2 already"},
        {"id,account,amount,kind\n1,,1,in\n", ERR_CORRUPT,
            "line 2, column account: '' cannot name an account"},
        {"id,account,amount,kind\n1,@world,1,in\n", ERR_CORRUPT, "line 2, column account: '@world' cannot"},
        {"id,account,amount,kind\n1,a,1,@bank\n", ERR_CORRUPT, "line 2, column kind: '@bank' cannot"},
        {"id,account,amount,kind\n1,a,1,a\n", ERR_CORRUPT,
            "line 2, column kind: 'a' is the row's own account"},
        {"id,account,amount,kind\n,a,1,in\n", ERR_CORRUPT,
            "line 2, column id: '' cannot be an idempotency key"},
        {"id,account,amount,kind\n1,a,1,in\n\n\n2,\"b,1,in\n", ERR_CORRUPT,
            "line 5, character 3: this quote is never closed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(cases[i].file, movements(), cases[i].code, cases[i].message);
    struct import_options o = movements();
    o.date_column = STR("date");
    refuses("id,account,amount,kind,date\n1,a,1,in,01.02.2025\n", o, ERR_CORRUPT,
        "line 2, column date: '01.02.2025' is not a date");
    refuses("id,account,amount,kind,date\n1,a,1,in,2999-01-01\n", o, ERR_CORRUPT, "lies in the future");
    o = movements();
    o.decimal_point = '.';
    refuses("id,account,amount,kind\n1,a,1.234,in\n", o, ERR_CORRUPT, "at most 2 decimals");
    refuses("id,account,amount,kind\n1,a,\"1,234.50\",in\n", o, ERR_CORRUPT, "no grouping");
}

static void a_changed_row_is_not_the_same_row(void **state)
{
    (void)state;
    imports("id,account,amount,kind\n1,a,10,in\n", movements());
    refuses("id,account,amount,kind\n2,a,1,in\n1,a,11,in\n", movements(), ERR_CORRUPT,
        "line 3: the key 'import:1' is in the ledger (record 3) with other values");
}

static void more_rows_than_a_submission_takes(void **state)
{
    (void)state;
    struct strbuf file;
    strbuf_init(&file);
    strbuf_c(&file, "id,account,amount,kind,balance\n");
    for (int i = 1; i <= 2500; i++)
        strbuf_printf(&file, "%d,user-%d,3,in,%d\n", i, i % 7, (i - 1) / 7 * 3 + 3);
    strbuf_char(&file, '\0');
    struct import_options o = movements();
    o.balance_column = STR("balance");
    imports(file.data, o);
    assert_int_equal(2500, counts.posted);
    assert_int_equal(2500, counts.balances);
    assert_int_equal(8, counts.opened);
    assert_int_equal(-7500, books_balance(&books, "in"));
    imports(file.data, o);
    assert_int_equal(2500, counts.already);
    strbuf_fini(&file);
}

static void a_dry_run_counts_and_writes_nothing(void **state)
{
    (void)state;
    struct import_options o = movements();
    o.dry_run = true;
    uint64_t before = head();
    imports("id,account,amount,kind\n1,a,10,in\n2,b,0,in\n", o);
    assert_int_equal(1, counts.posted);
    assert_int_equal(1, counts.zero);
    assert_int_equal(3, counts.opened);
    assert_int_equal(before, head());
}

static void an_old_decline_stays_one(void **state)
{
    (void)state;
    struct floor zero = {.present = true, .minor = 0};
    books_account(&books, "a", ACCOUNT_LIABILITY, "USD", zero, NULL);
    books_account(&books, "in", ACCOUNT_EQUITY, "USD", (struct floor){0}, NULL);
    /* As the importer would send it, before the account had anything. */
    struct command command =
        books_transfer_command(&books, books_ext("a"), books_ext("in"), 5, "USD", "import:2");
    assert_int_equal(REFUSAL_INSUFFICIENT_FUNDS, books_run(&books, command).refusal);
    imports("id,account,amount,kind\n1,a,10,in\n2,a,-5,in\n3,a,1,in\n", movements());
    assert_int_equal(2, counts.posted);
    assert_int_equal(1, counts.declined);
    assert_int_equal(11, books_balance(&books, "a"));
}

static bool over_sqlite;

static int setup(void **state)
{
    (void)state;
    books_open(&books, over_sqlite);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    books_close(&books);
    return 0;
}

int main(int argc, char **argv)
{
    over_sqlite = argc > 1 && strcmp(argv[1], "sqlite") == 0;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(posts_rows_and_finds_them_again),
        TEST(without_ids_a_file_is_known_by_its_content),
        TEST(checks_balances_after_every_row),
        TEST(without_ids_a_differing_balance_posts_nothing),
        TEST(directions_follow_the_account),
        TEST(a_movement_that_would_be_declined_is_refused_first),
        TEST(opening_balances),
        TEST(what_a_row_carries),
        TEST(currencies),
        TEST(faulty_files),
        TEST(a_changed_row_is_not_the_same_row),
        TEST(more_rows_than_a_submission_takes),
        TEST(a_dry_run_counts_and_writes_nothing),
        TEST(an_old_decline_stays_one),
    };
    return cmocka_run_group_tests_name(
        over_sqlite ? "import over sqlite" : "import over memory", tests, NULL, NULL);
}
