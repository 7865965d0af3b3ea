#include "base/testing.h"

#include "events/event.h"

#include <string.h>

#include "base/instant.h"
#include "ledger/refusal.h"

static const struct asset usd = {.id = 1, .scale = 2, .code = "USD"};
static const struct asset *const two_usd[] = {&usd, &usd};
static struct arena arena;

static struct uuid id_of(uint64_t n)
{
    return uuid_make(INT64_C(1700000000000000), n, 0);
}

#define A "018bcfe5-6800-7000-8000-000000040000" /* id_of(1) */
#define B "018bcfe5-6800-7000-8000-000000080000" /* id_of(2) */
#define T "018bcfe5-6800-7000-8000-000000140000" /* id_of(5) */

static struct entry leg(uint32_t n, int64_t change, int64_t after)
{
    return (struct entry){.leg = n,
        .account = n + 1,
        .version = 2 + n,
        .asset = 1,
        .side = 1,
        .revision = 1,
        .floor = {.present = n == 1, .minor = 0},
        .change = {.posted = change},
        .after = {.posted = after},
        .account_id = id_of(n + 1)};
}

static struct record transfer(const struct entry *entries)
{
    return (struct record){.ledger = 1,
        .seq = 5,
        .kind = RECORD_TRANSFER,
        .id = id_of(5),
        .idempotency_key = STR("k\"1"),
        .effective_at = INT64_C(1700000000000000),
        .recorded_at = INT64_C(1700000001000000),
        .reference = STR("inv-7"),
        .has_trace = true,
        .trace_id = {0xab, [15] = 1},
        .text = {.present = true, .readable = true, .body = STR("{\"metadata\":{\"order\":\"7\"}}")},
        .entries = entries,
        .n_entries = 2};
}

static struct event nth(const struct record *r, size_t n)
{
    struct event e;
    event_at(&(struct event_source){.ledger = STR("main"), .record = r, .assets = two_usd}, n, &arena, &e);
    return e;
}

static void expect(struct str got, const char *wanted)
{
    if (!str_eq_c(got, wanted))
        fail_msg("\ngot    %.*s\nwanted %s", (int)got.len, got.data, wanted);
}

static void expect_holds(struct str got, const char *part)
{
    if (memmem(got.data, got.len, part, strlen(part)) == NULL)
        fail_msg("%.*s\nlacks %s", (int)got.len, got.data, part);
}

static void test_transfer(void **state)
{
    (void)state;
    const struct entry entries[] = {leg(0, -1234, -1234), leg(1, 1234, 2000)};
    struct record r = transfer(entries);
    assert_int_equal(event_count(&r), 3);
    struct event e = nth(&r, 0);
    assert_int_equal(e.topic, EVENT_TOPIC_TRANSFER);
    assert_string_equal(e.type, "ledger.transfer.posted.v1");
    expect(e.id, "main:5");
    expect(e.key, T);
    expect(e.source, "/ledgers/main");
    assert_string_equal(e.traceparent, "00-ab000000000000000000000000000001-8000000000140000-00");
    expect(e.data,
        "{\"transferId\":\"" T
        "\",\"ledger\":\"main\",\"seq\":5,\"kind\":\"transfer\",\"events\":3,\"status\":\"posted\","
        "\"postings\":[{\"debit\":\"" A "\",\"credit\":\"" B "\",\"amount\":1234,\"currency\":\"USD\"}],"
        "\"entries\":[{\"accountId\":\"" A "\",\"version\":2,\"currency\":\"USD\",\"change\":-1234,"
        "\"balance\":-1234,\"available\":-1234,\"minBalance\":null},"
        "{\"accountId\":\"" B "\",\"version\":3,\"currency\":\"USD\",\"change\":1234,\"balance\":2000,"
        "\"available\":2000,\"minBalance\":0}],"
        "\"idempotencyKey\":\"k\\\"1\",\"reference\":\"inv-7\",\"effectiveAt\":\"2023-11-14T22:13:20."
        "000000Z\","
        "\"recordedAt\":\"2023-11-14T22:13:21.000000Z\",\"metadata\":{\"order\":\"7\"},\"relatedSeq\":null,"
        "\"actor\":null,\"traceId\":\"ab000000000000000000000000000001\"}");
}

static void test_entries_follow_in_leg_order(void **state)
{
    (void)state;
    const struct entry entries[] = {leg(0, -1234, -1234), leg(1, 1234, 2000)};
    struct record r = transfer(entries);
    struct event first = nth(&r, 1), second = nth(&r, 2);
    assert_int_equal(second.topic, EVENT_TOPIC_ENTRY);
    assert_string_equal(second.type, "ledger.entry.posted.v1");
    expect(first.id, "main:5:0");
    expect(first.key, A);
    expect(second.id, "main:5:1");
    expect(second.subject, B);
    expect_holds(second.data, "\"leg\":1,");
    expect_holds(second.data, "\"version\":3,");
    expect_holds(second.data, "\"pending\":{\"incoming\":0,\"outgoing\":0}");
    expect_holds(first.data, "\"counterparty\":\"" B "\"");
    expect_holds(second.data, "\"counterparty\":\"" A "\"");
    expect_holds(second.data, "\"events\":3,");
}

/* A debit-normal account shows its own sign, in every event alike. */
static void test_normal_side(void **state)
{
    (void)state;
    struct entry entries[] = {leg(0, -1234, -5000), leg(1, 1234, 2000)};
    entries[0].side = -1;
    entries[0].after.incoming = 7;
    entries[0].change.incoming = 4;
    struct record r = transfer(entries);
    struct event e = nth(&r, 1);
    expect_holds(e.data, "\"change\":1234,\"balance\":5000,\"available\":4993,");
    expect_holds(e.data, "\"normalSide\":\"debit\"");
    expect_holds(e.data,
        "\"pending\":{\"incoming\":7,\"outgoing\":0},\"pendingChange\":{\"incoming\":4,\"outgoing\":0}");
}

static void test_reversal_and_decline(void **state)
{
    (void)state;
    struct entry entries[] = {leg(0, -1, -1), leg(1, 1, 1)};
    struct record r = transfer(entries);
    r.kind = RECORD_REVERSAL;
    r.related_seq = 4;
    assert_string_equal(nth(&r, 0).type, "ledger.transfer.reversed.v1");
    expect_holds(nth(&r, 0).data, "\"relatedSeq\":4");
    entries[0].change.posted = 0;
    r = transfer(entries);
    r.kind = RECORD_DECLINED;
    r.n_entries = 1;
    r.refusal = REFUSAL_INSUFFICIENT_FUNDS;
    r.declined_amount = 500;
    r.id.bytes[15] |= 1; /* sampled */
    assert_string_equal(nth(&r, 0).traceparent, "00-ab000000000000000000000000000001-8000000000140001-01");
    r.has_trace = false;
    assert_int_equal(event_count(&r), 2);
    struct event e = nth(&r, 0);
    assert_string_equal(e.type, "ledger.transfer.declined.v1");
    assert_false(e.has_traceparent);
    expect_holds(e.data,
        "\"status\":\"declined\",\"code\":\"insufficient_funds\",\"declinedAmount\":500,\"entries\":[{");
    assert_null(memmem(e.data.data, e.data.len, "postings", 8));
    assert_string_equal(nth(&r, 1).type, "ledger.entry.posted.v1");
    expect_holds(nth(&r, 1).data, "\"counterparty\":null,");
    assert_int_equal(event_first_entry(RECORD_DECLINED), 1);
    assert_int_equal(event_first_entry(RECORD_ERASURE), 0);
}

static void test_account_opened_and_revised(void **state)
{
    (void)state;
    const struct account_row account = {.number = 1,
        .id = id_of(1),
        .asset = 1,
        .type = ACCOUNT_LIABILITY,
        .external_id = STR("alice"),
        .opened_seq = 5};
    const struct revision_row revision = {
        .account = 1, .revision = 1, .status = ACCOUNT_OPEN, .floor = {true, 0}, .text_seq = 5};
    const struct entry entries[] = {leg(0, 0, 0)};
    struct record r = transfer(entries);
    r.kind = RECORD_OPENING;
    r.n_entries = 1;
    r.account = &account;
    r.revisions = &revision;
    r.n_revisions = 1;
    r.text.body = STR("{\"name\":\"Alice\",\"metadata\":{}}");
    struct event e = nth(&r, 0);
    assert_int_equal(event_count(&r), 2);
    assert_int_equal(e.topic, EVENT_TOPIC_ACCOUNT);
    assert_string_equal(e.type, "ledger.account.opened.v1");
    expect(e.key, A);
    expect_holds(e.data,
        "\"type\":\"liability\",\"externalId\":\"alice\",\"normalSide\":\"credit\",\"status\":\"open\","
        "\"minBalance\":0,\"revision\":1,\"name\":\"Alice\",\"metadata\":{},");
    r.kind = RECORD_REVISION;
    r.account = NULL;
    r.seq = 6; /* text_seq is an older record's: this revision left name and metadata alone */
    e = nth(&r, 0);
    assert_string_equal(e.type, "ledger.account.revised.v1");
    assert_null(memmem(e.data.data, e.data.len, "metadata", 8));
}

static void test_erased_text_is_null(void **state)
{
    (void)state;
    const struct entry entries[] = {leg(0, -1, -1), leg(1, 1, 1)};
    struct record r = transfer(entries);
    r.text.readable = false;
    expect_holds(nth(&r, 0).data, "\"metadata\":null");
    r.text.present = false;
    expect_holds(nth(&r, 0).data, "\"metadata\":{}");
}

static void test_an_erasure_is_its_entry(void **state)
{
    (void)state;
    const struct entry entries[] = {leg(0, 0, 10)};
    struct record r = transfer(entries);
    r.kind = RECORD_ERASURE;
    r.n_entries = 1;
    r.related_seq = 3;
    assert_int_equal(event_count(&r), 1);
    struct event e = nth(&r, 0);
    expect(e.id, "main:5:0");
    expect_holds(e.data, "\"kind\":\"erasure\"");
    expect_holds(e.data, "\"relatedSeq\":3");
}

static void test_structured_json(void **state)
{
    (void)state;
    const struct entry entries[] = {leg(0, -1, -1), leg(1, 1, 1)};
    struct record r = transfer(entries);
    struct event e = nth(&r, 2);
    e.data = STR("{}");
    struct strbuf b;
    strbuf_init(&b);
    event_json(&e, &b);
    expect(strbuf_view(&b), "{\"specversion\":\"1.0\",\"id\":\"main:5:1\",\"source\":\"/ledgers/main\","
                            "\"type\":\"ledger.entry.posted.v1\",\"subject\":\"" B "\","
                            "\"time\":\"2023-11-14T22:13:21.000000Z\",\"partitionkey\":\"" B "\","
                            "\"traceparent\":\"00-ab000000000000000000000000000001-8000000000140000-00\","
                            "\"datacontenttype\":\"application/json\",\"data\":{}}");
    strbuf_fini(&b);
}

static void test_topics(void **state)
{
    (void)state;
    assert_string_equal(event_topic_name(EVENT_TOPIC_TRANSFER), "ledger.transfer.v1");
    assert_string_equal(event_topic_name(EVENT_TOPIC_ENTRY), "ledger.entry.v1");
    assert_string_equal(event_topic_name(EVENT_TOPIC_ACCOUNT), "ledger.account.v1");
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_transfer, teardown),
        cmocka_unit_test_teardown(test_entries_follow_in_leg_order, teardown),
        cmocka_unit_test_teardown(test_normal_side, teardown),
        cmocka_unit_test_teardown(test_reversal_and_decline, teardown),
        cmocka_unit_test_teardown(test_account_opened_and_revised, teardown),
        cmocka_unit_test_teardown(test_erased_text_is_null, teardown),
        cmocka_unit_test_teardown(test_an_erasure_is_its_entry, teardown),
        cmocka_unit_test_teardown(test_structured_json, teardown),
        cmocka_unit_test(test_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
