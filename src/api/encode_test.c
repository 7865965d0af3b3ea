#include "api/encode.h"

#include "api/problem.h"
#include "api/text.h"
#include "base/check.h"
#include "base/instant.h"

#define ID(n) \
    { \
        { \
            1, 2, 3, 4, 5, 6, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, (n) \
        } \
    }
#define TEXT(n) "01020304-0506-7000-8000-00000000000" #n

static const struct asset usd = {.id = 1, .scale = 2, .code = "USD"};

static const struct asset *find(const void *ctx, uint32_t id)
{
    (void)ctx;
    return id == 1 ? &usd : NULL;
}

static const struct entry entries[2] = {
    {.leg = 0,
        .version = 2,
        .asset = 1,
        .side = -1,
        .change = {-5, 0, 0},
        .after = {-8, 2, 0},
        .account_id = ID(1)},
    {.leg = 1,
        .version = 9,
        .asset = 1,
        .side = 1,
        .floor = {true, -3},
        .change = {5, 0, 0},
        .after = {7, 0, 4},
        .account_id = ID(2)},
};

static struct record sample(void)
{
    return (struct record){.seq = 7,
        .kind = RECORD_TRANSFER,
        .id = ID(7),
        .effective_at = 0,
        .recorded_at = 1,
        .reference = STR("r"),
        .text = {.present = true,
            .readable = true,
            .body = STR("{\"metadata\":{\"k\":\"},\"},\"name\":\"n\"}")},
        .entries = entries,
        .n_entries = 2};
}

static void check_record(const char *name, const struct record *record, bool strings, const char *want)
{
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {&b, strings};
    encode_record(&o, &(struct record_view){.record = record, .ledger = STR("main"), .assets = {find, NULL}});
    CHECK_STR(name, strbuf_view(&b), str_of(want));
    strbuf_fini(&b);
}

#define TAIL(metadata) \
    "\"idempotencyKey\":null,\"reference\":\"r\",\"effectiveAt\":\"1970-01-01T00:00:00.000000Z\"," \
    "\"recordedAt\":\"1970-01-01T00:00:00.000001Z\",\"metadata\":" metadata \
    ",\"relatedTransferId\":null,\"actor\":null,\"traceId\":null}"

static void test_transfer(void **state)
{
    (void)state;
    struct record record = sample();
    /* The debited account is debit-normal: what was taken from it shows as more. */
    check_record("transfer", &record, false,
        "{\"transferId\":\"" TEXT(
            7) "\",\"ledger\":\"main\",\"kind\":\"transfer\",\"status\":\"posted\",\"seq\":7,"
               "\"from\":\"" TEXT(1) "\",\"to\":\"" TEXT(
                   2) "\",\"amount\":5,\"currency\":\"USD\","
                      "\"postings\":[{\"debit\":\"" TEXT(1) "\",\"credit\":\"" TEXT(
                          2) "\",\"amount\":5,\"currency\":\"USD\"}],"
                             "\"entries\":[{\"accountId\":\"" TEXT(
                                 1) "\",\"version\":2,\"change\":5,\"balance\":8,\"available\":6,"
                                    "\"minBalance\":null},{\"accountId\":\"" TEXT(
                                        2) "\",\"version\":9,\"change\":5,\"balance\":7,\"available\":3,"
                                           "\"minBalance\":-3}]," TAIL("{\"k\":\"},\"}"));
}

static void test_decline(void **state)
{
    (void)state;
    struct entry zero = entries[1];
    zero.change = (struct amounts){0};
    struct record record = sample();
    record.kind = RECORD_DECLINED;
    record.refusal = REFUSAL_INSUFFICIENT_FUNDS;
    record.declined_amount = 11;
    record.entries = &zero;
    record.n_entries = 1;
    record.text.readable = false; /* erased */
    check_record("decline", &record, true,
        "{\"transferId\":\"" TEXT(
            7) "\",\"ledger\":\"main\",\"kind\":\"declined\",\"status\":\"declined\",\"seq\":7,"
               "\"code\":\"insufficient_funds\",\"declinedAmount\":\"11\",\"postings\":[],"
               "\"entries\":[{\"accountId\":\"" TEXT(2) "\",\"version\":9,\"change\":\"0\",\"balance\":\"7\","
                                                        "\"available\":\"3\",\"minBalance\":\"-3\"}]," TAIL(
                                                            "null"));
    struct arena arena;
    struct problem problem;
    struct api_response response;
    arena_init(&arena, 0);
    api_response_init(&response);
    problem_of_record(&record, &arena, &problem);
    api_problem_respond(&response, &problem, false);
    assert_int_equal(response.status, 422);
    const char *has[] = {
        "\"accountId\":\"" TEXT(2) "\",\"available\":3,\"required\":11,\"seq\":7,\"transferId\":\"" TEXT(
            7) "\"}",
        "has 3 available, must keep at least -3, and would have to give 11."};
    for (size_t i = 0; i < COUNT_OF(has); i++)
        CHECK(has[i], memmem(response.body.data, response.body.len, has[i], strlen(has[i])) != NULL);
    api_response_fini(&response);
    arena_fini(&arena);
}

/* Every refusal can be answered, and its declined record told from the record alone. */
static void test_every_refusal(void **state)
{
    (void)state;
    size_t n;
    const struct refusal_info *all = refusal_all(&n);
    for (size_t i = 0; i < n; i++) {
        struct api_response response;
        struct arena arena;
        struct problem problem = {.refusal = all[i].refusal};
        struct record record = sample();
        record.kind = RECORD_DECLINED;
        record.refusal = (uint32_t)all[i].refusal;
        arena_init(&arena, 0);
        api_response_init(&response);
        if (refusal_is_recorded(all[i].refusal)) {
            problem_of_record(&record, &arena, &problem);
            CHECK(all[i].name, problem.detail.len > 0);
        }
        api_problem_respond(&response, &problem, false);
        CHECK_INT(all[i].name, response.status, all[i].http_status);
        CHECK_INT(all[i].name, response.n_headers, response.status == 503 || response.status == 401 ? 1 : 0);
        api_response_fini(&response);
        arena_fini(&arena);
    }
}

static void test_text(void **state)
{
    static const struct {
        const char *body, *metadata, *name;
        bool ok;
    } cases[] = {
        {"{}", NULL, NULL, true},
        {"{\"name\":\"a\\\"}\"}", NULL, "\"a\\\"}\"", true},
        {"{\"name\":null}", NULL, "null", true},
        {"{\"metadata\":{\"a\":[{\"b\":\"]}\"}]},\"name\":\"n\"}", "{\"a\":[{\"b\":\"]}\"}]}", "\"n\"", true},
        {"{\"name\":\"n\",\"metadata\":{}}", "{}", "\"n\"", true},
        {"", NULL, NULL, false},
        {"{", NULL, NULL, false},
        {"{}x", NULL, NULL, false},
        {"{\"other\":1}", NULL, NULL, false},
        {"{\"name\":1}", NULL, NULL, false},
        {"{\"metadata\":[]}", NULL, NULL, false},
        {"{\"name\":\"n}", NULL, NULL, false},
        {"{\"name\":\"n\"", NULL, NULL, false},
        {"{\"name\"}", NULL, NULL, false},
        {"{\"name\":}", NULL, NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct text_parts parts;
        CHECK_INT(cases[i].body, text_split(str_of(cases[i].body), &parts), cases[i].ok);
        CHECK_STR(cases[i].body, parts.metadata, str_of(cases[i].metadata));
        CHECK_STR(cases[i].body, parts.name, str_of(cases[i].name));
    }
}

/* Sums of amounts may need more than 64 bits; as numbers they are still JSON. */
static void test_days_and_totals(void **state)
{
    (void)state;
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {&b, false};
    amount_sum wide = (amount_sum)LIMIT_AMOUNT_MAX * 100;
    encode_day(&o,
        &(struct day_view){.midnight = 31 * MICROS_PER_DAY, .in = wide, .out = 2, .closing = -3, .count = 4});
    encode_day(&o, &(struct day_view){.midnight = -MICROS_PER_DAY});
    o.amount_strings = true;
    encode_total(&o, &(struct total_view){.currency = STR("USD"),
                         .scale = 2,
                         .accounts = 1,
                         .entries = 5,
                         .volume = wide,
                         .credit_normal = -wide,
                         .debit_normal = -7});
    CHECK_STR("days and totals", strbuf_view(&b),
        STR("{\"day\":\"1970-02-01\",\"in\":400000000000000000000,\"out\":2,\"count\":4,\"closing\":-3},"
            "{\"day\":\"1969-12-31\",\"in\":0,\"out\":0,\"count\":0,\"closing\":0},"
            "{\"currency\":\"USD\",\"scale\":2,\"accounts\":1,\"entries\":5,\"volume\":"
            "\"400000000000000000000\","
            "\"creditNormal\":\"-400000000000000000000\",\"debitNormal\":\"-7\"}"));
    strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days_and_totals),
        cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_decline),
        cmocka_unit_test(test_every_refusal),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
