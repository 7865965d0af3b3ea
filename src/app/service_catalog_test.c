/*
 * A service whose catalog knows nothing of what another one makes, as that of another process: what is asked for by
 * name or met in a record must be found all the same.
 */
#include "app/service_fixture.h"

struct two {
    struct fixture *f; /* the first; calls go to whichever is in f->service */
    struct service *first, *second;
    struct catalog *catalog; /* the second's */
};

static int set_up(void **state)
{
    static struct two t;
    struct err err = {0};
    t.f = fixture_new(&(struct fixture_options){.readers = 0});
    t.first = t.f->service;
    assert_int_equal(catalog_new(t.f->journal, &t.catalog, &err), 0);
    t.second = fixture_second_service(t.f, 0, t.catalog);
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct two *t = *state;
    t->f->service = t->first;
    service_stop(t->second);
    service_free(t->second);
    fixture_free(t->f);
    catalog_free(t->catalog);
    return 0;
}

/* Made by the first: a ledger, an asset, an account in it with a movement. From here on the second is asked. */
static void make(struct two *t)
{
    struct fixture *f = t->f;
    expect(f, 201, "POST", "/ledgers", "{\"name\":\"shop\",\"defaultMinBalance\":null}");
    expect(f, 201, "POST", "/assets", "{\"currency\":\"POINTS\",\"scale\":0}");
    expect(f, 201, "POST", "/ledgers/shop/accounts", "{\"currency\":\"POINTS\",\"externalId\":\"a\"}");
    expect(f, 201, "POST", "/ledgers/shop/accounts", "{\"currency\":\"POINTS\",\"externalId\":\"b\"}");
    expect(f, 201, "POST", "/ledgers/shop/transfers",
        "{\"from\":\"ext:a\",\"to\":\"ext:b\",\"amount\":7,\"currency\":\"POINTS\",\"idempotencyKey\":"
        "\"k\"}");
    f->service = t->second;
    assert_null(catalog_ledger_by_name(t->catalog, STR("shop")));
    assert_null(catalog_asset_by_code(t->catalog, STR("POINTS")));
}

static void test_a_ledger_is_found_by_name(void **state)
{
    struct two *t = *state;
    make(t);
    expect(t->f, 200, "GET", "/ledgers/shop/accounts/ext:b/balance", NULL);
    assert_int_equal(number_at(t->f, "balance"), 7);
    assert_string_equal(text_at(t->f, "currency"), "POINTS");
    refused(t->f, 404, "ledger_not_found", "GET", "/ledgers/market/accounts", NULL);
}

static void test_a_seq_of_it_is_waited_for(void **state)
{
    struct two *t = *state;
    make(t);
    assert_int_equal(call(t->f, "GET", "/ledgers/shop/transfers", "Ledger-Min-Seq: 3", NULL), 200);
    assert_int_equal(json_array_size(value_at(t->f, "transfers")), 1);
    assert_int_equal(call(t->f, "GET", "/ledgers/shop/transfers", "Ledger-Min-Seq: 4", NULL), 503);
    assert_string_equal(text_at(t->f, "code"), "not_reached");
}

static void test_a_seq_beyond_it_is_said_at_once_to_be(void **state)
{
    struct two *t = *state;
    make(t);
    assert_int_equal(call(t->f, "GET", "/ledgers/shop/transfers", "Ledger-Min-Seq: 4", NULL), 503);
    assert_string_equal(text_at(t->f, "code"), "not_reached");
    assert_int_equal(call(t->f, "GET", "/ledgers/shop/transfers", "Ledger-Min-Seq: soon", NULL), 400);
}

static void test_lists_show_what_was_made(void **state)
{
    struct two *t = *state;
    make(t);
    expect(t->f, 200, "GET", "/ledgers", NULL);
    assert_string_equal(text_at(t->f, "ledgers.1.ledger"), "shop");
    assert_int_equal(number_at(t->f, "ledgers.1.seq"), 3);
    expect(t->f, 200, "GET", "/assets", NULL);
    assert_string_equal(text_at(t->f, "assets.0.currency"), "POINTS");
}

/* In `main`, which the second knows, in an asset that it does not. */
static void test_assets_of_rows_are_found(void **state)
{
    static const char *const targets[] = {"/accounts/ext:a", "/accounts", "/accounts/ext:a/balance",
        "/accounts/ext:a/statements", "/transfers", "/events"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        if (i > 0)
            set_up(state);
        struct two *t = *state;
        expect(t->f, 201, "POST", "/assets", "{\"currency\":\"POINTS\",\"scale\":0}");
        expect(t->f, 201, "POST", "/accounts", "{\"currency\":\"POINTS\",\"externalId\":\"a\"}");
        expect(t->f, 201, "POST", "/accounts", "{\"currency\":\"POINTS\",\"externalId\":\"b\"}");
        expect(t->f, 201, "POST", "/transfers",
            "{\"from\":\"ext:a\",\"to\":\"ext:b\",\"amount\":7,\"currency\":\"POINTS\"}");
        t->f->service = t->second;
        assert_null(catalog_asset_by_code(t->catalog, STR("POINTS")));
        expect(t->f, 200, "GET", targets[i], NULL);
        assert_non_null(catalog_asset_by_code(t->catalog, STR("POINTS")));
        if (i + 1 < sizeof targets / sizeof *targets)
            tear_down(state);
    }
}

static void test_writes_find_it_too(void **state)
{
    struct two *t = *state;
    make(t);
    expect(t->f, 201, "POST", "/ledgers/shop/accounts/ext:b/credits", "{\"amount\":3}");
    expect(t->f, 200, "GET", "/ledgers/shop/accounts/ext:b/balance", NULL);
    assert_int_equal(number_at(t->f, "balance"), 10);
}

static void test_a_replay_is_in_an_asset_that_was_not_known(void **state)
{
    struct two *t = *state;
    make(t);
    static const char transfer[] =
        "{\"from\":\"ext:a\",\"to\":\"ext:b\",\"amount\":7,\"currency\":\"POINTS\",\"idempotencyKey\":\"k\"}";
    expect(t->f, 201, "POST", "/ledgers/shop/transfers", transfer);
    assert_string_equal(header_of(t->f, "Idempotency-Replayed"), "true");
    assert_string_equal(text_at(t->f, "currency"), "POINTS");
    assert_non_null(catalog_asset_by_code(t->catalog, STR("POINTS")));
}

static void test_a_bulk_replay_too(void **state)
{
    struct two *t = *state;
    make(t);
    expect(t->f, 200, "POST", "/ledgers/shop/transfers/batch",
        "[{\"from\":\"ext:a\",\"to\":\"ext:b\",\"amount\":7,\"currency\":\"POINTS\",\"idempotencyKey\":\"k\"}"
        "]");
    assert_true(json_is_true(value_at(t->f, "results.0.replayed")));
    assert_non_null(catalog_asset_by_code(t->catalog, STR("POINTS")));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_a_ledger_is_found_by_name),
        T(test_a_seq_of_it_is_waited_for),
        T(test_a_seq_beyond_it_is_said_at_once_to_be),
        T(test_lists_show_what_was_made),
        T(test_assets_of_rows_are_found),
        T(test_writes_find_it_too),
        T(test_a_replay_is_in_an_asset_that_was_not_known),
        T(test_a_bulk_replay_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
