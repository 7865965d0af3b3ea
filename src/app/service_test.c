#include "app/service_fixture.h"

#define USD "{\"currency\":\"USD\"}"
#define WALLET "{\"currency\":\"USD\",\"type\":\"wallet\"}"

static char body[1000], target[300];

#define BODY(...) (snprintf(body, sizeof body, __VA_ARGS__), body)
#define TARGET(...) (snprintf(target, sizeof target, __VA_ARGS__), target)

static struct fixture *inline_fixture(void)
{
    return fixture_new(&(struct fixture_options){.readers = 0});
}

static struct str keep(struct fixture *f)
{
    struct str s = body_of(f);
    char *copy = malloc(s.len + 1);
    memcpy(copy, s.data, s.len);
    return (struct str){copy, s.len};
}

static void test_quick_start(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    char a[37], b[37], id[37];
    open_account(f, USD, a);
    open_account(f, USD, b);
    assert_int_equal(number_at(f, "number"), 2);
    assert_true(json_is_null(value_at(f, "minBalance")));
    assert_string_equal(text_at(f, "normalSide"), "credit");
    BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1234,\"currency\":\"USD\",\"idempotencyKey\":\"demo-1\"}",
        a, b);
    expect(f, 201, "POST", "/transfers", body);
    struct str first = keep(f);
    snprintf(id, sizeof id, "%s", text_at(f, "transferId"));
    assert_null(header_of(f, "Idempotency-Replayed"));
    assert_string_equal(header_of(f, "Ledger-Seq"), "3");
    assert_string_equal(header_of(f, "Location"), TARGET("/transfers/%s", id));
    assert_int_equal(number_at(f, "entries.0.balance"), -1234);
    assert_int_equal(number_at(f, "entries.1.balance"), 1234);
    assert_string_equal(text_at(f, "from"), a);
    expect(f, 201, "POST", "/transfers", body);
    CHECK_STR("replay", body_of(f), first);
    assert_string_equal(header_of(f, "Idempotency-Replayed"), "true");
    expect(f, 200, "GET", TARGET("/transfers/%s", id), NULL);
    CHECK_STR("read back", body_of(f), first);
    free((void *)(uintptr_t)first.data);
    assert_int_equal(balance_of(f, b), 1234);
    assert_int_equal(number_at(f, "version"), 2);
    expect(f, 200, "GET", TARGET("/accounts/%s/statements", b), NULL);
    assert_int_equal(json_array_size(value_at(f, "lines")), 1);
    assert_int_equal(number_at(f, "opening"), 0);
    assert_int_equal(number_at(f, "closing"), 1234);
    assert_int_equal(number_at(f, "lines.0.amount"), 1234);
    assert_string_equal(text_at(f, "lines.0.counterparties.0"), a);
    assert_string_equal(text_at(f, "lines.0.transferId"), id);
    assert_null(value_at(f, "cursor"));
    BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1235,\"currency\":\"USD\",\"idempotencyKey\":\"demo-1\"}",
        a, b);
    refused(f, 422, "idempotency_key_reused", "POST", "/transfers", body);
    assert_int_equal(balance_of(f, b), 1234);
    fixture_free(f);
}

static void test_a_decline_stays_declined(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    char a[37], w[37];
    open_account(f, USD, a);
    open_account(f, WALLET, w);
    transfer(f, a, w, 300);
    BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":500,\"currency\":\"USD\",\"idempotencyKey\":\"big\"}", w,
        a);
    refused(f, 422, "insufficient_funds", "POST", "/transfers", body);
    struct str first = keep(f);
    assert_string_equal(text_at(f, "accountId"), w);
    assert_int_equal(number_at(f, "available"), 300);
    assert_int_equal(number_at(f, "required"), 500);
    assert_non_null(strstr(text_at(f, "detail"), "300 available"));
    assert_int_equal(number_at(f, "seq"), 4);
    char declined[37];
    snprintf(declined, sizeof declined, "%s", text_at(f, "transferId"));
    transfer(f, a, w, 1000);
    BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":500,\"currency\":\"USD\",\"idempotencyKey\":\"big\"}", w,
        a);
    refused(f, 422, "insufficient_funds", "POST", "/transfers", body);
    CHECK_STR("replay of a decline", body_of(f), first);
    assert_string_equal(header_of(f, "Idempotency-Replayed"), "true");
    free((void *)(uintptr_t)first.data);
    expect(f, 200, "GET", TARGET("/transfers/%s", declined), NULL);
    assert_string_equal(text_at(f, "status"), "declined");
    assert_string_equal(text_at(f, "code"), "insufficient_funds");
    assert_int_equal(number_at(f, "declinedAmount"), 500);
    assert_int_equal(json_array_size(value_at(f, "postings")), 0);
    assert_int_equal(balance_of(f, w), 1300);
    fixture_free(f);
}

static void test_bad_requests(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    char a[37], b[37], e[37];
    open_account(f, USD, a);
    open_account(f, USD, b);
    open_account(f, "{\"currency\":\"EUR\",\"externalId\":\"euro/1\"}", e);
    refused(f, 404, "route_not_found", "GET", "/nothing", NULL);
    refused(f, 405, "method_not_allowed", "DELETE", "/transfers", NULL);
    assert_string_equal(header_of(f, "Allow"), "POST, GET, HEAD");
    refused(f, 400, "malformed_json", "POST", "/transfers", "{");
    refused(f, 400, "duplicate_json_key", "POST", "/accounts", "{\"currency\":\"USD\",\"currency\":\"USD\"}");
    refused(f, 400, "unknown_field", "POST", "/accounts", "{\"currency\":\"USD\",\"nmae\":\"x\"}");
    assert_string_equal(text_at(f, "field"), "nmae");
    refused(f, 400, "amount_exponent", "POST", "/transfers",
        BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1e3,\"currency\":\"USD\"}", a, b));
    assert_string_equal(text_at(f, "field"), "amount");
    refused(f, 404, "account_not_found", "POST", "/transfers",
        BODY("{\"from\":\"%s\",\"to\":\"ext:nobody\",\"amount\":1,\"currency\":\"USD\"}", a));
    refused(f, 422, "currency_mismatch", "POST", "/transfers",
        BODY("{\"from\":\"%s\",\"to\":\"ext:euro/1\",\"amount\":1,\"currency\":\"USD\"}", a));
    refused(f, 422, "same_account", "POST", "/transfers",
        BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1,\"currency\":\"USD\"}", a, a));
    refused(f, 422, "asset_not_found", "POST", "/accounts", "{\"currency\":\"GEMS\"}");
    refused(f, 422, "effective_in_future", "POST", "/transfers",
        BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1,\"currency\":\"USD\",\"effectiveAt\":\"2030-01-"
             "01T00:00:00Z\"}",
            a, b));
    refused(f, 404, "ledger_not_found", "POST", "/ledgers/none/accounts", USD);
    refused(f, 404, "ledger_not_found", "GET", "/ledgers/none/accounts", NULL);
    refused(f, 404, "account_not_found", "GET", "/accounts/123", NULL);
    refused(f, 404, "account_not_found", "GET", "/accounts/00000000-0000-0000-0000-000000000000", NULL);
    refused(
        f, 404, "account_not_found", "GET", "/accounts/0190a000-0000-7000-8000-000000040001/balance", NULL);
    refused(f, 404, "transfer_not_found", "GET", "/transfers/0190a000-0000-7000-8000-000000040001", NULL);
    refused(f, 404, "transfer_not_found", "POST", "/transfers/123/reverse", "{}");
    refused(f, 400, "invalid_parameter", "GET", "/transfers?colour=red", NULL);
    refused(f, 400, "invalid_cursor", "GET", "/accounts?cursor=abc", NULL);
    assert_int_equal(call(f, "POST", "/accounts", "Content-Type: text/plain", USD), 415);
    assert_int_equal(call(f, "GET", "/accounts", "Ledger-Min-Seq: soon", NULL), 400);
    assert_int_equal(
        call(f, "POST", "/accounts", "Idempotency-Key: x", "{\"currency\":\"USD\",\"idempotencyKey\":\"y\"}"),
        400);
    assert_string_equal(text_at(f, "code"), "idempotency_key_conflict");
    /* Nothing of that left a trace. */
    assert_int_equal(catalog_head_seq(f->catalog, 1), 3);
    fixture_free(f);
}

static void test_status(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    char a[37], b[37];
    open_account(f, USD, a);
    open_account(f, USD, b);
    expect(f, 200, "PATCH", TARGET("/accounts/%s", a), "{\"status\":\"frozen\"}");
    assert_string_equal(header_of(f, "ETag"), "\"2\"");
    assert_string_equal(header_of(f, "Ledger-Seq"), "3");
    BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1,\"currency\":\"USD\"}", a, b);
    refused(f, 422, "account_frozen", "POST", "/transfers", body);
    transfer(f, b, a, 5);
    refused(f, 422, "account_not_empty", "PATCH", TARGET("/accounts/%s", a), "{\"status\":\"closed\"}");
    expect(f, 200, "PATCH", TARGET("/accounts/%s", a), "{\"status\":\"open\"}");
    transfer(f, a, b, 5);
    expect(f, 200, "PATCH", TARGET("/accounts/%s", a), "{\"status\":\"closed\"}");
    assert_string_equal(text_at(f, "status"), "closed");
    BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1,\"currency\":\"USD\"}", b, a);
    refused(f, 422, "account_closed", "POST", "/transfers", body);
    fixture_free(f);
}

static void test_revision_of_texts(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    char a[37];
    open_account(f, "{\"currency\":\"USD\",\"name\":\"one\",\"metadata\":{\"k\":1}}", a);
    TARGET("/accounts/%s", a);
    expect(f, 200, "PATCH", target, "{\"name\":\"two\",\"idempotencyKey\":\"p1\"}");
    struct str first = keep(f);
    assert_int_equal(number_at(f, "metadata.k"), 1);
    expect(f, 200, "PATCH", target, "{\"metadata\":{\"k\":2}}");
    assert_string_equal(text_at(f, "name"), "two");
    assert_int_equal(number_at(f, "metadata.k"), 2);
    expect(f, 200, "PATCH", target, "{\"minBalance\":-10}");
    assert_string_equal(text_at(f, "name"), "two");
    struct str last = keep(f);
    expect(f, 200, "GET", target, NULL);
    CHECK_STR("get", body_of(f), last);
    assert_string_equal(header_of(f, "ETag"), "\"4\"");
    /* The first revision again, though the account's text is another by now. */
    expect(f, 200, "PATCH", target, "{\"name\":\"two\",\"idempotencyKey\":\"p1\"}");
    assert_string_equal(header_of(f, "Idempotency-Replayed"), "true");
    CHECK_STR("replay", body_of(f), first);
    refused(
        f, 422, "idempotency_key_reused", "PATCH", target, "{\"name\":\"three\",\"idempotencyKey\":\"p1\"}");
    assert_int_equal(call(f, "PATCH", target, "If-Match: \"3\"", "{\"name\":\"late\"}"), 412);
    assert_string_equal(text_at(f, "code"), "precondition_failed");
    assert_int_equal(call(f, "PATCH", target, "If-Match: \"4\"", "{\"name\":null,\"metadata\":{}}"), 200);
    assert_true(json_is_null(value_at(f, "name")));
    assert_int_equal(json_object_size(value_at(f, "metadata")), 0);
    refused(f, 404, "account_not_found", "PATCH", "/accounts/ext:none", "{\"name\":\"x\"}");
    expect(f, 201, "POST", TARGET("/accounts/%s/credits", a), "{\"amount\":1}");
    refused(f, 422, "world_immutable", "PATCH", "/accounts/@world:USD", "{\"status\":\"frozen\"}");
    free((void *)(uintptr_t)first.data);
    free((void *)(uintptr_t)last.data);
    fixture_free(f);
}

static void test_credits_debits_and_reversal(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    char w[37], e[37], id[37];
    open_account(f, "{\"currency\":\"EUR\"}", e);
    open_account(f, "{\"currency\":\"USD\",\"type\":\"wallet\",\"externalId\":\"w 1\"}", w);
    expect(f, 201, "POST", "/accounts/ext:w%201/credits", "{\"amount\":100}");
    expect(f, 201, "POST", TARGET("/accounts/%s/debits", w), "{\"amount\":30,\"currency\":\"USD\"}");
    snprintf(id, sizeof id, "%s", text_at(f, "transferId"));
    assert_int_equal(balance_of(f, w), 70);
    assert_int_equal(balance_of(f, "@world:USD"), -70);
    refused(f, 422, "currency_mismatch", "POST", TARGET("/accounts/%s/debits", w),
        "{\"amount\":30,\"currency\":\"EUR\"}");
    refused(f, 404, "account_not_found", "POST", "/accounts/ext:none/credits", "{\"amount\":1}");
    expect(f, 201, "POST", TARGET("/transfers/%s/reverse", id), "{\"amount\":10}");
    assert_string_equal(text_at(f, "kind"), "reversal");
    assert_string_equal(text_at(f, "relatedTransferId"), id);
    struct str first = keep(f);
    expect(f, 200, "GET", header_of(f, "Location"), NULL);
    CHECK_STR("reversal read back", body_of(f), first);
    free((void *)(uintptr_t)first.data);
    refused(f, 422, "reversal_exceeds", "POST", TARGET("/transfers/%s/reverse", id), "{\"amount\":21}");
    expect(f, 201, "POST", TARGET("/transfers/%s/reverse", id), NULL);
    assert_int_equal(number_at(f, "amount"), 20);
    assert_int_equal(balance_of(f, w), 100);
    refused(f, 422, "reversal_exceeds", "POST", TARGET("/transfers/%s/reverse", id), NULL);
    assert_string_equal(text_at(f, "detail"), "All of it has been reversed.");
    fixture_free(f);
}

static void test_transactions(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    char a[37], b[37];
    open_account(f, USD, a);
    open_account(f, USD, b);
    BODY("{\"postings\":[{\"debit\":\"%s\",\"credit\":\"%s\",\"amount\":5,\"currency\":\"USD\"},"
         "{\"debit\":\"%s\",\"credit\":\"@world\",\"amount\":3,\"currency\":\"USD\"}],"
         "\"expect\":[{\"account\":\"%s\",\"version\":1}]}",
        a, b, b, b);
    expect(f, 201, "POST", "/transactions", body);
    assert_int_equal(json_array_size(value_at(f, "postings")), 2);
    assert_null(value_at(f, "from"));
    assert_int_equal(number_at(f, "entries.2.balance"), 2);
    refused(f, 409, "expected_version", "POST", "/transactions", body);
    BODY("{\"postings\":[{\"debit\":\"%s\",\"credit\":\"%s\",\"amount\":5,\"currency\":\"USD\"}],"
         "\"expect\":[{\"account\":\"%s\",\"minAvailable\":1000}]}",
        a, b, b);
    refused(f, 409, "expected_available", "POST", "/transactions", body);
    assert_int_equal(number_at(f, "available"), 2);
    assert_null(strstr(text_at(f, "detail"), " 0 was expected"));
    assert_non_null(strstr(text_at(f, "detail"), "had 2 available"));
    assert_int_equal(
        call(f, "POST", "/transactions", "Prefer: amounts=string",
            BODY("{\"postings\":[{\"debit\":\"%s\",\"credit\":\"%s\",\"amount\":5,\"currency\":\"USD\"}]}", a,
                b)),
        201);
    assert_string_equal(text_at(f, "amount"), "5");
    assert_string_equal(text_at(f, "entries.1.balance"), "7");
    assert_string_equal(header_of(f, "Preference-Applied"), "amounts=string");
    fixture_free(f);
}

static void test_dry_run(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    char a[37], w[37];
    open_account(f, USD, a);
    open_account(f, WALLET, w);
    uint64_t head = catalog_head_seq(f->catalog, 1);
    BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":5,\"currency\":\"USD\",\"idempotencyKey\":\"d\"}", a, w);
    expect(f, 200, "POST", "/transfers?dryRun=true", body);
    assert_true(json_is_true(value_at(f, "dryRun")));
    assert_true(json_is_null(value_at(f, "transferId")) && json_is_null(value_at(f, "seq")));
    assert_int_equal(number_at(f, "entries.1.balance"), 5);
    assert_null(header_of(f, "Ledger-Seq"));
    BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":5,\"currency\":\"USD\"}", w, a);
    refused(f, 422, "insufficient_funds", "POST", "/transfers?dryRun=true", body);
    assert_null(value_at(f, "seq"));
    assert_null(value_at(f, "transferId"));
    expect(f, 200, "POST", "/accounts?dryRun=true", "{\"currency\":\"JPY\"}");
    assert_true(json_is_null(value_at(f, "accountId")));
    expect(f, 200, "PATCH", TARGET("/accounts/%s?dryRun=true", a), "{\"name\":\"n\"}");
    assert_string_equal(text_at(f, "name"), "n");
    expect(f, 200, "POST", "/ledgers?dryRun=true", "{\"name\":\"shop\"}");
    expect(f, 200, "POST", "/assets?dryRun=true", "{\"currency\":\"POINTS\",\"scale\":0}");
    assert_int_equal(catalog_head_seq(f->catalog, 1), head);
    assert_int_equal(catalog_ledgers(f->catalog), 1);
    assert_int_equal(catalog_assets(f->catalog), 1);
    fixture_free(f);
}

static void test_ledgers_and_assets(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    expect(f, 201, "POST", "/ledgers", "{\"name\":\"shop\"}");
    assert_int_equal(number_at(f, "defaultMinBalance"), 0);
    expect(f, 200, "POST", "/ledgers", "{\"name\":\"shop\"}");
    refused(f, 409, "ledger_exists", "POST", "/ledgers", "{\"name\":\"shop\",\"defaultMinBalance\":null}");
    expect(f, 201, "POST", "/assets", "{\"currency\":\"POINTS\",\"scale\":0}");
    expect(f, 200, "POST", "/assets", "{\"currency\":\"POINTS\",\"scale\":0}");
    refused(f, 409, "asset_exists", "POST", "/assets", "{\"currency\":\"POINTS\",\"scale\":2}");
    expect(f, 201, "POST", "/ledgers/shop/accounts", "{\"currency\":\"POINTS\"}");
    assert_string_equal(text_at(f, "ledger"), "shop");
    assert_int_equal(number_at(f, "minBalance"), 0);
    assert_int_equal(number_at(f, "scale"), 0);
    assert_true(strncmp(header_of(f, "Location"), "/ledgers/shop/accounts/", 23) == 0);
    expect(f, 200, "GET", header_of(f, "Location"), NULL);
    refused(f, 404, "account_not_found", "GET", TARGET("/accounts/%s", text_at(f, "accountId")), NULL);
    expect(f, 200, "GET", "/ledgers", NULL);
    assert_int_equal(json_array_size(value_at(f, "ledgers")), 2);
    assert_int_equal(number_at(f, "ledgers.1.seq"), 1);
    expect(f, 200, "GET", "/assets", NULL);
    assert_string_equal(text_at(f, "assets.0.currency"), "POINTS");
    fixture_free(f);
}

static void test_operations(void **state)
{
    (void)state;
    struct fixture *f = inline_fixture();
    expect(f, 200, "GET", "/healthz", NULL);
    expect(f, 200, "HEAD", "/healthz", NULL);
    expect(f, 200, "GET", "/readyz", NULL);
    f->unreachable = true;
    refused(f, 503, "storage_unavailable", "GET", "/readyz", NULL);
    assert_string_equal(text_at(f, "detail"), "The database cannot be reached.");
    f->unreachable = false;
    expect(f, 200, "GET", "/readyz", NULL);
    expect(f, 200, "GET", "/openapi.yaml", NULL);
    expect(f, 200, "GET", "/api", NULL);
    expect(f, 200, "GET", "/api/", NULL);
    refused(f, 404, "route_not_found", "GET", "/api/nothing.js", NULL);
    assert_int_equal(call(f, "POST", "/accounts",
                         "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", USD),
        201);
    assert_string_equal(
        header_of(f, "traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    expect(f, 200, "GET", "/transfers?kind=opening", NULL);
    assert_string_equal(text_at(f, "transfers.0.traceId"), "0af7651916cd43dd8448eb211c80319c");
    expect(f, 200, "GET", "/metrics", NULL);
    service_stop(f->service);
    refused(f, 503, "shutting_down", "GET", "/readyz", NULL);
    refused(f, 503, "shutting_down", "POST", "/accounts", USD);
    assert_string_equal(header_of(f, "Retry-After"), "1");
    fixture_free(f);
}

/* Without a read model all is answered from the journal, and what that cannot answer is refused by name. */
static void test_without_a_read_model(void **state)
{
    static const char *const refused_here[] = {"/totals", "/accounts/ext:a/activity",
        "/accounts/ext:a/balance?consistency=eventual", "/accounts/ext:a/statements?consistency=eventual",
        "/transfers?consistency=eventual", "/transfers?metadata.k=v", "/transfers?minAmount=1",
        "/transfers?maxAmount=1", "/transfers?currency=USD"};
    static const char *const answered[] = {"/accounts/ext:a/balance", "/accounts/ext:a/statements",
        "/transfers", "/accounts", "/transfers?consistency=strong",
        "/accounts/ext:a/balance?consistency=strong"};
    (void)state;
    struct fixture *f = inline_fixture();
    expect(f, 201, "POST", "/accounts", "{\"currency\":\"USD\",\"externalId\":\"a\"}");
    expect(f, 201, "POST", "/accounts", USD);
    for (size_t i = 0; i < COUNT_OF(refused_here); i++) {
        refused(f, 400, "consistency_unavailable", "GET", refused_here[i], NULL);
        assert_string_equal(text_at(f, "field"), "consistency");
    }
    for (size_t i = 0; i < COUNT_OF(answered); i++) {
        expect(f, 200, "GET", answered[i], NULL);
        assert_int_equal(number_at(f, "asOfSeq"), 2);
    }
    fixture_free(f);
}

static int64_t standing_clock(void *environment)
{
    (void)environment;
    return 1;
}

static bool stuck(void *ctx, char *ret_detail, size_t size)
{
    snprintf(ret_detail, size, "Something is missing.");
    return *(const bool *)ctx;
}

/* A relay or a projector in a process of its own has its health and its metrics, and no ledger. */
static void test_a_process_without_the_api(void **state)
{
    static const char *const here[] = {"/healthz", "/readyz", "/metrics", "/api", "/openapi.yaml"};
    static const char *const not_here[] = {
        "/accounts/ext:a/balance", "/transfers", "/ledgers", "/assets", "/events", "/totals"};
    (void)state;
    struct fixture *f = inline_fixture();
    struct service *full = f->service;
    struct err err = {0};
    bool is_stuck = false;
    struct service_config config = {.metrics = f->metrics,
        .readers = 2,
        .projection_stuck = stuck,
        .projection_ctx = &is_stuck,
        .now = standing_clock};
    assert_int_equal(service_new(&config, &f->service, &err), 0);
    service_projected(f->service, STR("main"), 7); /* nobody waits for it here */
    for (size_t i = 0; i < COUNT_OF(here); i++)
        expect(f, 200, "GET", here[i], NULL);
    for (size_t i = 0; i < COUNT_OF(not_here); i++)
        refused(f, 503, "role_not_here", "GET", not_here[i], NULL);
    refused(f, 503, "role_not_here", "POST", "/accounts", USD);
    refused(f, 503, "role_not_here", "POST", "/transfers/batch", "[]");
    refused(f, 404, "route_not_found", "GET", "/nothing", NULL);
    is_stuck = true;
    refused(f, 503, "projection_stopped", "GET", "/readyz", NULL);
    assert_string_equal(text_at(f, "detail"), "Something is missing.");
    expect(f, 200, "GET", "/healthz", NULL);
    service_stop(f->service);
    service_free(f->service);
    f->service = full;
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quick_start),
        cmocka_unit_test(test_a_decline_stays_declined),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_revision_of_texts),
        cmocka_unit_test(test_credits_debits_and_reversal),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_ledgers_and_assets),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_without_a_read_model),
        cmocka_unit_test(test_a_process_without_the_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
