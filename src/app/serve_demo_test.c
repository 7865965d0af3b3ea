#include "base/testing.h"

#include "app/serve_demo.h"

#include <string.h>

#include "app/store.h"

static struct journal *journal;
static struct catalog *catalog;
static struct engine *engine;
static struct service_config like;

static int setup(void **state)
{
    (void)state;
    struct journal_options options = {.mode = JOURNAL_WRITE, .create = true, .now = store_now(NULL)};
    struct err err = {0};
    assert_int_equal(journal_open("memory:demo", &options, &journal, &err), 0);
    assert_int_equal(catalog_new(journal, &catalog, &err), 0);
    struct engine_config config = {
        .journal = journal, .catalog = catalog, .now = store_now, .random = store_random};
    assert_int_equal(engine_new(&config, &engine, &err), 0);
    like = (struct service_config){
        .database_url = "memory:demo", .engine = engine, .catalog = catalog, .now = store_now};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    engine_free(engine);
    catalog_free(catalog);
    journal_close(journal);
    return 0;
}

static size_t seed(void)
{
    size_t posted = 99;
    struct err err = {0};
    if (serve_demo_seed(&like, &posted, &err) != 0)
        fail_msg("%s", err.message);
    return posted;
}

static void expect_answer(const char *path, const char *query, const char *part)
{
    struct service *service;
    struct err err = {0};
    assert_int_equal(service_new(&like, &service, &err), 0);
    struct api_request request = {
        .method = API_GET, .method_name = STR("GET"), .path = str_of(path), .query = str_of(query)};
    struct api_response response;
    api_response_init(&response);
    service_sync(service, &request, &response);
    bool found = memmem(response.body.data, response.body.len, part, strlen(part)) != NULL;
    if (response.status != 200 || !found)
        fail_msg("%s?%s: %d %.*s\nlacks %s", path, query, response.status, (int)response.body.len,
            response.body.data, part);
    api_response_fini(&response);
    service_stop(service);
    service_free(service);
}

static void test_a_second_start_posts_nothing(void **state)
{
    (void)state;
    assert_int_equal(seed(), 20);
    uint64_t head = catalog_head_seq(catalog, 1);
    assert_int_equal(seed(), 0);
    assert_int_equal(catalog_head_seq(catalog, 1), head);
}

static void test_what_there_is_to_see(void **state)
{
    (void)state;
    assert_int_equal(seed(), 20);
    expect_answer(
        "/accounts/ext:wallet-alice/balance", "", "\"balance\":957,"); /* 5000 - 1234 - 1999 - 900 + 90 */
    expect_answer(
        "/accounts/ext:wallet-bob/balance", "", "\"balance\":2834,"); /* 2000 + 500 + 1234 - 1500 + 600 */
    expect_answer("/accounts/ext:wallet-claire/balance", "", "\"balance\":3550,");
    expect_answer("/accounts/ext:wallet-claire/balance", "at=2024-03-01T00:00:00Z", "\"balance\":300,");
    expect_answer("/accounts/ext:wallet-emi/balance", "", "\"currency\":\"JPY\"");
    expect_answer("/accounts/ext:revenue/balance", "", "\"balance\":3799,"); /* 1999 + 1500 - 600 + 900 */
    expect_answer("/transfers", "kind=declined", "\"code\":\"insufficient_funds\"");
    expect_answer("/transfers", "kind=reversal", "\"reference\":\"refund of order-1002\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_second_start_posts_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_there_is_to_see, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
