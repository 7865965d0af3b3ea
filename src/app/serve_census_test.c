#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/serve_census.h"
#include "app/store.h"
#include "journal/digest.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

#define URL "memory:census"

static struct journal *journal;
static struct catalog *catalog;
static struct engine *engine;
static struct digest *digest;

static int setup(void **state)
{
    (void)state;
    struct journal_options options = {.mode = JOURNAL_WRITE, .create = true, .now = store_now(NULL)};
    struct err err = {0};
    assert_int_equal(journal_open(URL, &options, &journal, &err), 0);
    assert_int_equal(catalog_new(journal, &catalog, &err), 0);
    struct engine_config config = {
        .journal = journal, .catalog = catalog, .now = store_now, .random = store_random};
    assert_int_equal(engine_new(&config, &engine, &err), 0);
    digest = digest_new();
    log_setup(LOG_ERROR, LOG_TEXT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    digest_free(digest);
    engine_free(engine);
    catalog_free(catalog);
    journal_close(journal);
    return 0;
}

static void call(struct command *command)
{
    struct answer answer;
    struct arena arena;
    arena_init(&arena, 0);
    digest_command(digest, command);
    struct submission s = {.commands = command, .answers = &answer, .n = 1, .arena = &arena};
    engine_call(engine, &s);
    if (answer.refusal != REFUSAL_NONE)
        fail_msg("refused: %s", answer.detail);
    arena_fini(&arena);
}

static void open_accounts(const char *ledger, size_t n, bool has_floor)
{
    for (size_t i = 0; i < n; i++) {
        struct command c = {.op = COMMAND_OPEN_ACCOUNT, .ledger = str_of(ledger)};
        c.as.open = (struct command_open){
            .currency = STR("USD"), .type = ACCOUNT_LIABILITY, .has_floor = true, .floor = {has_floor, 0}};
        call(&c);
    }
}

/* A transfer from @world opens it: it counts as an account, and not among those without a floor. */
static void use_world(void)
{
    struct command open = {.op = COMMAND_OPEN_ACCOUNT, .ledger = STR("main")};
    open.as.open = (struct command_open){.currency = STR("USD"),
        .type = ACCOUNT_LIABILITY,
        .external_id = STR("a"),
        .has_floor = true,
        .floor = {true, 0}};
    call(&open);
    struct posting posting = {.debit = {.by = REF_BY_WORLD, .currency = STR("USD")},
        .credit = {.by = REF_BY_EXTERNAL_ID, .external_id = STR("a")},
        .amount_minor = 5,
        .currency = STR("USD")};
    struct command post = {.op = COMMAND_POST, .ledger = STR("main")};
    post.as.post = (struct command_post){.postings = &posting, .n_postings = 1};
    call(&post);
}

static int64_t gauge(struct metrics *m, const char *name)
{
    char wanted[64];
    struct strbuf b;
    strbuf_init(&b);
    metrics_render(m, &b);
    strbuf_char(&b, '\0');
    snprintf(wanted, sizeof wanted, "\n%s ", name);
    const char *at = strstr(b.data, wanted);
    assert_non_null(at);
    int64_t value = atoll(at + strlen(wanted));
    strbuf_fini(&b);
    return value;
}

static void wait_for_accounts(struct metrics *m, int64_t n)
{
    struct timespec ms = {0, 1000000};
    for (int i = 0; i < 5000 && gauge(m, "creditledger_accounts") != n; i++)
        nanosleep(&ms, NULL);
    assert_int_equal(gauge(m, "creditledger_accounts"), n);
}

static void test_counts_all_ledgers_over_pages(void **state)
{
    (void)state;
    struct command second = {.op = COMMAND_CREATE_LEDGER, .ledger = STR("shop")};
    second.as.create_ledger = (struct command_ledger){.name = STR("shop")};
    call(&second);
    open_accounts("main", 2005, true);
    open_accounts("main", 7, false);
    open_accounts("shop", 3, false);
    use_world();
    struct metrics *m = metrics_new();
    struct census *census =
        serve_census_start(&(struct census_config){.database_url = URL, .catalog = catalog, .metrics = m});
    assert_non_null(census);
    /* What is opened from now on is the engine's to count. */
    open_accounts("main", 4, false);
    wait_for_accounts(m, 2005 + 7 + 3 + 2);
    assert_int_equal(gauge(m, "creditledger_accounts_without_floor"), 10);
    serve_census_stop(census);
    metrics_free(m);
}

/* The engine of this test has no metrics, so that what it opens is what another process opened. */
static void test_counts_again_what_others_opened(void **state)
{
    (void)state;
    open_accounts("main", 5, true);
    struct metrics *m = metrics_new();
    struct census *census = serve_census_start(
        &(struct census_config){.database_url = URL, .catalog = catalog, .metrics = m, .again_ms = 1});
    wait_for_accounts(m, 5);
    metrics_add(m, METRIC_ACCOUNTS, 3); /* as our engine counts what it opens ... */
    open_accounts("main", 3, false);    /* ... these */
    open_accounts("main", 4, false);
    wait_for_accounts(m, 12);
    assert_int_equal(gauge(m, "creditledger_accounts_without_floor"), 7);
    serve_census_stop(census);
    metrics_free(m);
}

static void test_without_a_database_it_says_so(void **state)
{
    (void)state;
    assert_null(serve_census_start(
        &(struct census_config){.database_url = "memory:none-of-that-name", .catalog = catalog}));
    serve_census_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts_all_ledgers_over_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_counts_again_what_others_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_a_database_it_says_so, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
