#include "api/routes.h"

#include "base/check.h"
#include "base/limits.h"

static const struct {
    const char *name, *path;
    enum api_method method;
    int route; /* -1: refused */
    enum refusal refusal;
    const char *ledger, *parameter, *allow;
} cases[] = {
    {"transfers", "/transfers", API_POST, ROUTE_CREATE_TRANSFER, 0, "main", NULL, ""},
    {"list of transfers", "/transfers", API_GET, ROUTE_LIST_TRANSFERS, 0, "main", NULL, ""},
    {"head is get", "/transfers", API_HEAD, ROUTE_LIST_TRANSFERS, 0, "main", NULL, ""},
    {"one transfer", "/transfers/abc", API_GET, ROUTE_GET_TRANSFER, 0, "main", "abc", ""},
    {"batch is no transfer", "/transfers/batch", API_POST, ROUTE_POST_BATCH, 0, "main", NULL, ""},
    {"batch has no get", "/transfers/batch", API_GET, -1, REFUSAL_METHOD_NOT_ALLOWED, "main", NULL, "POST"},
    {"reverse", "/transfers/x/reverse", API_POST, ROUTE_REVERSE_TRANSFER, 0, "main", "x", ""},
    {"ledger", "/ledgers/shop/transfers", API_POST, ROUTE_CREATE_TRANSFER, 0, "shop", NULL, ""},
    {"ledger and account", "/ledgers/shop/accounts/a/balance", API_GET, ROUTE_GET_BALANCE, 0, "shop", "a",
        ""},
    {"ledger list", "/ledgers", API_GET, ROUTE_LIST_LEDGERS, 0, "main", NULL, ""},
    {"one ledger has no route", "/ledgers/shop", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL, ""},
    {"assets have no ledger", "/ledgers/shop/assets", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL, ""},
    {"ledgers do not nest", "/ledgers/a/ledgers/b/events", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL,
        ""},
    {"external id", "/accounts/ext:a%2Fb%20c", API_GET, ROUTE_GET_ACCOUNT, 0, "main", "ext:a/b c", ""},
    {"plus stays in a path", "/accounts/ext:a+b", API_GET, ROUTE_GET_ACCOUNT, 0, "main", "ext:a+b", ""},
    {"world", "/accounts/@world:USD", API_GET, ROUTE_GET_ACCOUNT, 0, "main", "@world:USD", ""},
    {"bad escape", "/accounts/%zz", API_GET, -1, REFUSAL_INVALID_PARAMETER, "main", NULL, ""},
    {"cut escape", "/accounts/a%2", API_GET, -1, REFUSAL_INVALID_PARAMETER, "main", NULL, ""},
    {"escaped zero", "/accounts/a%00b", API_GET, -1, REFUSAL_INVALID_PARAMETER, "main", NULL, ""},
    {"escaped line end", "/accounts/a%0Ab", API_GET, -1, REFUSAL_INVALID_PARAMETER, "main", NULL, ""},
    {"escaped no utf-8", "/accounts/%ff", API_GET, -1, REFUSAL_INVALID_PARAMETER, "main", NULL, ""},
    {"escaped ledger", "/ledgers/%73hop/events", API_GET, ROUTE_LIST_EVENTS, 0, "shop", NULL, ""},
    {"empty parameter", "/accounts//balance", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL, ""},
    {"slash behind", "/transfers/", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL, ""},
    {"no such", "/nothing", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL, ""},
    {"no path", "", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL, ""},
    {"deep", "/a/b/c/d/e/f/g/h", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL, ""},
    {"put", "/accounts/a", API_PUT, -1, REFUSAL_METHOD_NOT_ALLOWED, "main", NULL, "GET, HEAD, PATCH"},
    {"delete", "/transfers", API_DELETE, -1, REFUSAL_METHOD_NOT_ALLOWED, "main", NULL, "POST, GET, HEAD"},
    {"post on health", "/healthz", API_POST, -1, REFUSAL_METHOD_NOT_ALLOWED, "main", NULL, "GET, HEAD"},
    {"health has no ledger", "/ledgers/a/healthz", API_GET, -1, REFUSAL_ROUTE_NOT_FOUND, "main", NULL, ""},
    {"page", "/api", API_GET, ROUTE_API_PAGE, 0, "main", NULL, ""},
    {"page with slash", "/api/", API_GET, ROUTE_API_PAGE_SLASH, 0, "main", NULL, ""},
    {"page's file", "/api/swagger-ui.css", API_GET, ROUTE_API_FILE, 0, "main", "swagger-ui.css", ""},
};

static void test_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena;
        struct route_match m;
        arena_init(&arena, 0);
        route_match(cases[i].method, str_of(cases[i].path), &arena, &m);
        CHECK_INT(cases[i].name, m.refusal, cases[i].refusal);
        CHECK_INT(cases[i].name, m.route != NULL ? (int)m.route->id : -1, cases[i].route);
        CHECK_STR(cases[i].name, str_of(m.allow), str_of(cases[i].allow));
        if (m.refusal == REFUSAL_NONE) {
            CHECK_STR(cases[i].name, m.ledger, str_of(cases[i].ledger));
            CHECK_STR(cases[i].name, m.parameter, str_of(cases[i].parameter));
        }
        arena_fini(&arena);
    }
}

/* Every route is reached by its own pattern, with and without a ledger before it. */
static void test_every_route_matches_itself(void **state)
{
    (void)state;
    for (int i = 0; i < ROUTES_N; i++) {
        const struct route *route = route_of((enum route_id)i);
        for (int prefixed = 0; prefixed <= (route->place == ROUTE_PLACE_LEDGER); prefixed++) {
            struct arena arena;
            struct route_match m;
            arena_init(&arena, 0);
            struct str path = arena_printf(&arena, "%s%s", prefixed ? "/ledgers/one" : "", route->pattern);
            route_match(route->method, path, &arena, &m);
            CHECK(route->pattern, m.route == route);
            CHECK_STR(route->pattern, m.ledger, prefixed ? STR("one") : STR("main"));
            arena_fini(&arena);
        }
    }
}

static void test_body_limit(void **state)
{
    (void)state;
    assert_int_equal(route_body_limit(API_POST, STR("/transfers/batch")), LIMIT_BATCH_BODY_MAX);
    assert_int_equal(route_body_limit(API_POST, STR("/ledgers/a/transfers/batch")), LIMIT_BATCH_BODY_MAX);
    assert_int_equal(route_body_limit(API_POST, STR("/transfers")), LIMIT_BODY_MAX);
    assert_int_equal(route_body_limit(API_GET, STR("/transfers/batch")), LIMIT_BODY_MAX);
    assert_int_equal(route_body_limit(API_OTHER, STR("")), LIMIT_BODY_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_every_route_matches_itself),
        cmocka_unit_test(test_body_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
