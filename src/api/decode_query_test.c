#include "api/decode_query.h"

#include "base/check.h"
#include "base/instant.h"

static void test_refusals(void **state)
{
    static const struct {
        enum route_id route;
        const char *query, *field;
    } cases[] = {
        {ROUTE_LIST_TRANSFERS, "color=red", "color"},
        {ROUTE_LIST_TRANSFERS, "dryRun=true", "dryRun"},
        {ROUTE_GET_TRANSFER, "limit=1", "limit"},
        {ROUTE_LIST_TRANSFERS, "limit=0", "limit"},
        {ROUTE_LIST_TRANSFERS, "limit=1001", "limit"},
        {ROUTE_LIST_TRANSFERS, "limit=1&limit=2", "limit"},
        {ROUTE_LIST_TRANSFERS, "limit=", "limit"},
        {ROUTE_LIST_TRANSFERS, "limit", "limit"},
        {ROUTE_LIST_TRANSFERS, "kind=gift", "kind"},
        {ROUTE_LIST_TRANSFERS, "account=x", "account"},
        {ROUTE_LIST_TRANSFERS, "account=@world", "account"},
        {ROUTE_LIST_TRANSFERS, "from=yesterday", "from"},
        {ROUTE_LIST_TRANSFERS, "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"},
        {ROUTE_LIST_TRANSFERS, "reference=", "reference"},
        {ROUTE_LIST_TRANSFERS, "reference=%zz", ""},
        {ROUTE_LIST_TRANSFERS, "reference=%00", ""},
        {ROUTE_GET_STATEMENT, "axis=sideways", "axis"},
        {ROUTE_GET_STATEMENT, "consistency=weak", "consistency"},
        {ROUTE_GET_TRANSFER, "consistency=strong", "consistency"},
        {ROUTE_GET_STATEMENT, "metadata.a=b", "metadata.a"},
        {ROUTE_LIST_TRANSFERS, "metadata.=b", "metadata.KEY"},
        {ROUTE_LIST_TRANSFERS, "metadata=b", "metadata"},
        {ROUTE_LIST_TRANSFERS, "metadata.b=1&metadata.a=1&metadata.b=2", "metadata.KEY"},
        {ROUTE_LIST_TRANSFERS,
            "metadata.1=1&metadata.2=1&metadata.3=1&metadata.4=1&metadata.5=1&metadata.6=1&metadata.7=1"
            "&metadata.8=1&metadata.9=1",
            "metadata.KEY"},
        {ROUTE_LIST_TRANSFERS, "minAmount=-1", "minAmount"},
        {ROUTE_LIST_TRANSFERS, "minAmount=1.5", "minAmount"},
        {ROUTE_LIST_TRANSFERS, "maxAmount=4000000000000000001", "maxAmount"},
        {ROUTE_LIST_TRANSFERS, "minAmount=2&maxAmount=1", "minAmount"},
        {ROUTE_LIST_TRANSFERS, "currency=usd", "currency"},
        {ROUTE_GET_ACTIVITY, "from=2026-01-31T12:00:00Z", "from"},
        {ROUTE_GET_ACTIVITY, "from=today", "from"},
        {ROUTE_GET_ACTIVITY, "from=2026-02-01&to=2026-01-31", "from"},
        {ROUTE_GET_TOTALS, "limit=1", "limit"},
        {ROUTE_GET_BALANCE, "at=2026-01-02", "at"},
        {ROUTE_LIST_EVENTS, "wait=31", "wait"},
        {ROUTE_LIST_EVENTS, "wait=-1", "wait"},
        {ROUTE_LIST_EVENTS, "after=-1", "after"},
        {ROUTE_CREATE_TRANSFER, "dryRun=1", "dryRun"},
        {ROUTE_CREATE_TRANSFER, "atomic=true", "atomic"},
        {ROUTE_CREATE_TRANSFER, "=true", ""},
        {ROUTE_HEALTH, "x=1", "x"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena;
        struct query q;
        struct fault fault = {.refusal = REFUSAL_NONE};
        arena_init(&arena, 0);
        CHECK(cases[i].query, !decode_query(cases[i].route, str_of(cases[i].query), &arena, &q, &fault));
        CHECK_INT(cases[i].query, fault.refusal, REFUSAL_INVALID_PARAMETER);
        CHECK_STR(cases[i].query, str_of(fault.field), str_of(cases[i].field));
        arena_fini(&arena);
    }
}

static struct query decoded(enum route_id route, const char *query, struct arena *arena)
{
    struct query q;
    struct fault fault;
    CHECK(query, decode_query(route, str_of(query), arena, &q, &fault));
    return q;
}

static void test_values(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct query q = decoded(ROUTE_LIST_TRANSFERS,
        "account=ext:a%26b&kind=declined&reference=x+y&from=1970-01-01T00:00:01Z&to=1970-01-01T01:00:02+01:00"
        "&limit=7&cursor=abc&&",
        &arena);
    assert_true(q.has_account && q.has_kind && q.has_from && q.has_to);
    CHECK_STR("account", q.account.external_id, STR("a&b"));
    assert_int_equal(q.kind, RECORD_DECLINED);
    CHECK_STR("reference", q.reference, STR("x y"));
    assert_int_equal(q.from, 1000000);
    assert_int_equal(q.to, 2000000);
    assert_int_equal(q.limit, 7);
    CHECK_STR("cursor", q.cursor, STR("abc"));
    q = decoded(ROUTE_LIST_TRANSFERS, "", &arena);
    assert_int_equal(q.limit, LIMIT_PAGE_DEFAULT);
    assert_true(q.cursor.data == NULL && q.reference.data == NULL && !q.has_account);
    q = decoded(ROUTE_POST_BATCH, "atomic=true&dryRun=true", &arena);
    assert_true(q.atomic && q.dry_run);
    q = decoded(ROUTE_GET_STATEMENT, "axis=effective", &arena);
    assert_true(q.axis_effective);
    q = decoded(ROUTE_LIST_TRANSFERS,
        "metadata.order=7&minAmount=0&maxAmount=4000000000000000000&metadata.a.b%3d=&currency=USD&metadata."
        "ord=8"
        "&consistency=eventual",
        &arena);
    assert_true(q.has_least && q.has_most && q.least == 0 && q.most == LIMIT_AMOUNT_MAX);
    assert_int_equal(q.consistency, CONSISTENCY_EVENTUAL);
    CHECK_STR("currency", q.currency, STR("USD"));
    assert_int_equal(q.n_metadata, 3);
    CHECK_STR("first key", q.metadata[0].key, STR("a.b="));
    CHECK_STR("first value", q.metadata[0].value, STR(""));
    CHECK_STR("second key", q.metadata[1].key, STR("ord"));
    CHECK_STR("third key", q.metadata[2].key, STR("order"));
    CHECK_STR("third value", q.metadata[2].value, STR("7"));
    q = decoded(ROUTE_GET_ACTIVITY, "from=1970-01-02&to=1970-01-03T00:00:00Z", &arena);
    assert_true(q.from == MICROS_PER_DAY && q.to == 2 * MICROS_PER_DAY && q.consistency == CONSISTENCY_ANY);
    q = decoded(ROUTE_LIST_EVENTS, "after=18446744073709551615&wait=30", &arena);
    assert_true(q.after == UINT64_MAX && q.wait_s == 30);
    arena_fini(&arena);
}

/* A cursor goes with its filters: those, in whatever order, and no others; limit and cursor are none. */
static void test_filter_hash(void **state)
{
    static const char *const distinct[] = {
        "",
        "kind=transfer",
        "kind=declined",
        "reference=a",
        "reference=b",
        "account=@world:USD",
        "account=@world:EUR",
        "account=ext:a",
        "account=ext:b",
        "from=2026-01-01T00:00:00Z",
        "minAmount=1",
        "maxAmount=1",
        "currency=USD",
        "metadata.a=b",
        "metadata.a=c",
        "metadata.ab=",
        "metadata.a=b&metadata.c=d",
        "to=2026-01-01T00:00:00Z",
        "account=0190a000-0000-7000-8000-000000040001",
    };
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(distinct); i++)
        for (size_t k = 0; k < i; k++)
            CHECK(distinct[i], decoded(ROUTE_LIST_TRANSFERS, distinct[i], &arena).filter !=
                                   decoded(ROUTE_LIST_TRANSFERS, distinct[k], &arena).filter);
    assert_int_equal(decoded(ROUTE_LIST_TRANSFERS, "kind=transfer&reference=a", &arena).filter,
        decoded(ROUTE_LIST_TRANSFERS, "limit=3&reference=a&cursor=x&kind=transfer", &arena).filter);
    assert_int_equal(
        decoded(ROUTE_LIST_TRANSFERS, "metadata.a=1&metadata.b=2&consistency=eventual", &arena).filter,
        decoded(ROUTE_LIST_TRANSFERS, "metadata.b=2&metadata.a=1", &arena).filter);
    assert_true(
        decoded(ROUTE_LIST_TRANSFERS, "", &arena).filter != decoded(ROUTE_LIST_ACCOUNTS, "", &arena).filter);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_filter_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
