#include "readmodel/fact.h"

#include "base/check.h"
#include "events/event_json.h"
#include "ledger/refusal.h"
#include "readmodel/json_plain.h"

static const struct asset assets[] = {
    {.id = 1, .scale = 2, .code = "USD"}, {.id = 2, .scale = 0, .code = "CREDITS"}};

#define LEGS_MAX 6

/* A record with all that its kind may have, by chance. */
struct made {
    struct record record;
    struct entry entries[LEGS_MAX];
    const struct asset *assets[LEGS_MAX];
    struct account_row account;
    struct revision_row revision;
};

static const char *const texts[] = {"plain", "qu\"ote\\", "line\nbreak\x01", "žluťoučký", ""};
static const char *const bodies[] = {
    "{\"metadata\":{\"order\":\"7\",\"n\":1.50,\"deep\":{\"metadata\":[1,{}]}}}", "{\"name\":\"Al\\\"ice\"}",
    "{\"metadata\":{\"a\":\"}\"},\"name\":\"\\u00e9\"}", "{\"metadata\":{}}",
    "{\"metadata\":{},\"name\":null}"};

static struct str some_text(uint64_t *random)
{
    size_t i = check_below(random, COUNT_OF(texts) + 1);
    return i < COUNT_OF(texts) ? str_of(texts[i]) : STR_NONE;
}

static int64_t some_amount(uint64_t *random)
{
    static const int64_t edges[] = {0, 1, LIMIT_AMOUNT_MAX, 12345};
    return edges[check_below(random, COUNT_OF(edges))];
}

static struct floor some_floor(uint64_t *random)
{
    bool present = check_below(random, 2) == 1;
    return (struct floor){present, present ? -some_amount(random) : 0};
}

static void make_entries(struct made *m, uint64_t *random, size_t n, bool moves)
{
    for (size_t i = 0; i < n; i++) {
        int64_t moved = moves ? (i % 2 ? 1 : -1) * (1 + (int64_t)(i / 2)) : 0;
        m->assets[i] = i % 2 ? m->assets[i - 1] : &assets[check_below(random, 2)];
        m->entries[i] = (struct entry){.leg = (uint32_t)i,
            .account = 10 + i,
            .account_id = uuid_make(INT64_C(1700000000000000), 10 + i, (uint32_t)check_random(random)),
            .version = 1 + check_below(random, UINT64_C(1) << 43),
            .asset = m->assets[i]->id,
            .side = check_below(random, 2) ? 1 : -1,
            .revision = 1 + (uint32_t)check_below(random, 9),
            .floor = some_floor(random),
            .change = {moved, moves ? some_amount(random) : 0, 0},
            .after = {-some_amount(random), some_amount(random), some_amount(random)}};
    }
    m->record.entries = m->entries;
    m->record.n_entries = n;
}

static void make_account(struct made *m, uint64_t *random)
{
    struct record *r = &m->record;
    bool opening = r->kind == RECORD_OPENING;
    m->entries[0].change = (struct amounts){0};
    m->account = (struct account_row){.number = 10,
        .id = m->entries[0].account_id,
        .asset = m->entries[0].asset,
        .type = (enum account_type)(1 + check_below(random, 5)),
        .external_id = some_text(random),
        .opened_seq = r->seq};
    m->entries[0].side = (int8_t)account_type_side(m->account.type);
    m->revision = (struct revision_row){.account = 10,
        .revision = m->entries[0].revision,
        .status = (enum account_status)(1 + check_below(random, 3)),
        .floor = m->entries[0].floor,
        .text_seq = check_below(random, 2) ? r->seq : 3};
    r->account = opening ? &m->account : NULL;
    r->revisions = &m->revision;
    r->n_revisions = 1;
    r->related_seq = 0;
    r->reference = STR_NONE;
    r->effective_at = r->recorded_at;
}

static void make_record(struct made *m, enum record_kind kind, uint64_t *random)
{
    struct record *r = &m->record;
    *m = (struct made){.record.kind = kind};
    r->seq = 1 + check_below(random, UINT64_C(1) << 43);
    r->id = uuid_make(INT64_C(1700000000000000), r->seq, (uint32_t)check_random(random));
    r->recorded_at = INT64_C(1700000001000000) + (int64_t)check_below(random, 1000000);
    r->effective_at = r->recorded_at - (int64_t)check_below(random, 2) * 77;
    r->idempotency_key = some_text(random);
    r->reference = some_text(random);
    r->actor = some_text(random);
    r->related_seq = check_below(random, 2) ? 1 + check_below(random, 99) : 0;
    r->has_trace = check_below(random, 2) == 1;
    if (r->has_trace)
        r->trace_id[3] = 0xa7;
    r->text.present = check_below(random, 3) > 0;
    r->text.readable = r->text.present && check_below(random, 3) > 0;
    if (r->text.readable)
        r->text.body = str_of(bodies[check_below(random, COUNT_OF(bodies))]);
    if (kind == RECORD_DECLINED) {
        r->refusal = REFUSAL_INSUFFICIENT_FUNDS;
        r->declined_amount = some_amount(random);
    }
    bool account = kind == RECORD_OPENING || kind == RECORD_REVISION;
    bool one = account || kind == RECORD_DECLINED || kind == RECORD_ERASURE;
    make_entries(m, random, one ? 1 : 2 * (1 + (size_t)check_below(random, LEGS_MAX / 2)), !one);
    if (account)
        make_account(m, random);
}

static void same_amounts(const char *name, struct amounts a, struct amounts b)
{
    CHECK_INT(name, a.posted, b.posted);
    CHECK_INT(name, a.incoming, b.incoming);
    CHECK_INT(name, a.outgoing, b.outgoing);
}

static void same_str(const char *name, struct str a, struct str b)
{
    CHECK_STR(name, a, b);
    CHECK_INT(name, a.data == NULL, b.data == NULL);
}

static void same_floor(const char *name, struct floor a, struct floor b)
{
    CHECK_INT(name, a.present, b.present);
    CHECK_INT(name, a.minor, b.minor);
}

static void same_transfer(const char *name, const struct fact_transfer *a, const struct fact_transfer *b)
{
    same_str(name, a->idempotency_key, b->idempotency_key);
    same_str(name, a->actor, b->actor);
    same_str(name, a->refusal, b->refusal);
    same_str(name, a->metadata, b->metadata);
    same_str(name, a->currency, b->currency);
    CHECK_INT(name, a->declined_amount, b->declined_amount);
    CHECK_INT(name, a->amount, b->amount);
    CHECK_INT(name, a->has_trace, b->has_trace);
    CHECK_INT(name, memcmp(a->trace_id, b->trace_id, TRACE_ID_LEN), 0);
}

static void same_account(const char *name, const struct fact_account *a, const struct fact_account *b)
{
    CHECK(name, uuid_eq(a->account, b->account));
    same_str(name, a->currency, b->currency);
    same_str(name, a->external_id, b->external_id);
    same_str(name, a->name, b->name);
    same_str(name, a->metadata, b->metadata);
    same_str(name, a->actor, b->actor);
    same_floor(name, a->floor, b->floor);
    CHECK_INT(name, a->scale, b->scale);
    CHECK_INT(name, a->side, b->side);
    CHECK_INT(name, a->opened, b->opened);
    CHECK_INT(name, a->type, b->type);
    CHECK_INT(name, a->revision, b->revision);
    CHECK_INT(name, a->status, b->status);
    CHECK_INT(name, a->has_text, b->has_text);
}

static void same_entry(const char *name, const struct fact_entry *a, const struct fact_entry *b)
{
    CHECK(name, uuid_eq(a->account, b->account));
    CHECK(name, uuid_eq(a->counterparty, b->counterparty));
    CHECK_INT(name, a->has_counterparty, b->has_counterparty);
    CHECK_INT(name, a->leg, b->leg);
    CHECK_INT(name, a->version, b->version);
    same_str(name, a->currency, b->currency);
    CHECK_INT(name, a->scale, b->scale);
    CHECK_INT(name, a->side, b->side);
    CHECK_INT(name, a->revision, b->revision);
    same_floor(name, a->floor, b->floor);
    same_amounts(name, a->change, b->change);
    same_amounts(name, a->after, b->after);
}

static void same(const char *name, const struct fact *a, const struct fact *b)
{
    CHECK_INT(name, a->kind, b->kind);
    same_str(name, a->ledger, b->ledger);
    CHECK_INT(name, a->seq, b->seq);
    CHECK_INT(name, a->n, b->n);
    CHECK_INT(name, a->of, b->of);
    CHECK_INT(name, a->record_kind, b->record_kind);
    CHECK(name, uuid_eq(a->record, b->record));
    same_str(name, a->reference, b->reference);
    CHECK_INT(name, a->effective_at, b->effective_at);
    CHECK_INT(name, a->recorded_at, b->recorded_at);
    CHECK_INT(name, a->related_seq, b->related_seq);
    if (a->kind == FACT_TRANSFER)
        same_transfer(name, &a->transfer, &b->transfer);
    else if (a->kind == FACT_ACCOUNT)
        same_account(name, &a->account, &b->account);
    else
        same_entry(name, &a->entry, &b->entry);
}

/* Whichever way a fact comes, it is the same. */
static void test_both_ways(void **state)
{
    static const enum record_kind kinds[] = {RECORD_OPENING, RECORD_REVISION, RECORD_TRANSFER,
        RECORD_REVERSAL, RECORD_DECLINED, RECORD_ERASURE, RECORD_HOLD};
    (void)state;
    uint64_t random = 7;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < 3000; i++) {
        struct made m;
        make_record(&m, kinds[i % COUNT_OF(kinds)], &random);
        const char *name = record_kind_name(m.record.kind);
        struct event_source source = {STR("books"), &m.record, m.assets};
        for (size_t n = 0; n < event_count(&m.record); n++) {
            struct event event;
            struct fact made, decoded;
            bool known;
            struct err err = {0};
            fact_of_record(&source, n, &arena, &made);
            event_at(&source, n, &arena, &event);
            if (!fact_decode(str_of(event.type), event.data, &arena, &decoded, &known, &err))
                fail_msg("%s: %s in " STR_FMT, name, err.message, STR_ARG(event.data));
            CHECK(name, known);
            same(name, &made, &decoded);
            /* What we write ourselves takes the short way. */
            if (memchr(event.data.data, '\\', event.data.len) == NULL &&
                !str_eq(m.record.text.body, str_of(bodies[0])))
                CHECK(name, json_plain(event.data, &arena) != NULL);
            if (made.kind != FACT_ENTRY)
                continue;
            struct str parked = fact_entry_json(&made, &arena);
            CHECK(name, fact_decode(STR(FACT_ENTRY_TYPE), parked, &arena, &decoded, &known, &err));
            same(name, &made, &decoded);
        }
        arena_reset(&arena);
    }
    arena_fini(&arena);
}

/* What others wrote: blanks, escapes, members that we do not know. */
static void test_foreign_spelling(void **state)
{
    (void)state;
    struct arena arena;
    struct fact f;
    bool known;
    struct err err = {0};
    arena_init(&arena, 0);
    struct str data =
        STR("{ \"transferId\" : \"018bcfe5-6800-7000-8000-000000140000\",\"ledger\":\"main\",\"seq\":5,"
            "\"kind\":\"transfer\",\"events\":3,\"new\":[1.5],\"postings\":[{\"amount\":7,\"currency\":"
            "\"USD\"},{\"amount\":1,\"currency\":\"EUR\"},{\"amount\":2,\"currency\":\"USD\"}],"
            "\"effectiveAt\":\"2023-11-14T22:13:20Z\",\"recordedAt\":\"2023-11-14T22:13:20+00:00\","
            "\"m\\u0065tadata\": {\"b\": 1, \"a\": [ 2 ]}}");
    assert_true(fact_decode(STR("ledger.transfer.posted.v1"), data, &arena, &f, &known, &err));
    CHECK_STR("dumped", f.transfer.metadata, STR("{\"a\":[2],\"b\":1}"));
    CHECK_INT("total of the first currency", f.transfer.amount, 9);
    assert_true(fact_decode(STR("ledger.other.v1"), STR("anything"), &arena, &f, &known, &err));
    assert_false(known);
    arena_fini(&arena);
}

#define ENTRY(seq, leg, version, balance, pending, rest) \
    "{\"accountId\":\"018bcfe5-6800-7000-8000-000000040000\",\"version\":" version ",\"currency\":\"USD\"," \
    "\"change\":1,\"balance\":" balance ",\"minBalance\":null,\"scale\":2,\"normalSide\":\"credit\"," \
    "\"pending\":" pending \
    ",\"pendingChange\":{\"incoming\":0,\"outgoing\":0},\"revision\":1,\"ledger\":\"main\"," \
    "\"seq\":" seq ",\"kind\":\"transfer\",\"events\":3,\"leg\":" leg \
    ",\"transferId\":\"018bcfe5-6800-7000-8000-000000140000\",\"effectiveAt\":\"2023-11-14T22:13:20Z\"," \
    "\"recordedAt\":\"2023-11-14T22:13:20Z\"" rest "}"
#define NOTHING "{\"incoming\":0,\"outgoing\":0}"

static void test_refused(void **state)
{
    static const struct {
        const char *name, *data;
        bool ok;
    } cases[] = {
        {"sound", ENTRY("5", "1", "2", "1", NOTHING, ""), true},
        {"seq is not the id's", ENTRY("6", "1", "2", "1", NOTHING, ""), false},
        {"leg beyond its events", ENTRY("5", "2", "2", "1", NOTHING, ""), false},
        {"version 0", ENTRY("5", "1", "0", "1", NOTHING, ""), false},
        {"version is text", ENTRY("5", "1", "\"2\"", "1", NOTHING, ""), false},
        {"version is a real", ENTRY("5", "1", "2.0", "1", NOTHING, ""), false},
        {"balance out of range", ENTRY("5", "1", "2", "4000000000000000001", NOTHING, ""), false},
        {"balance beyond 64 bits", ENTRY("5", "1", "2", "99999999999999999999", NOTHING, ""), false},
        {"pending negative", ENTRY("5", "1", "2", "1", "{\"incoming\":-1,\"outgoing\":0}", ""), false},
        {"pending missing", ENTRY("5", "1", "2", "1", "null", ""), false},
        {"a member twice", ENTRY("5", "1", "2", "1", NOTHING, ",\"seq\":5"), false},
        {"empty", "", false},
        {"array", "[]", false},
        {"cut", "{\"seq\":", false},
    };
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fact f;
        bool known;
        struct err err = {0};
        bool ok = fact_decode(STR(FACT_ENTRY_TYPE), str_of(cases[i].data), &arena, &f, &known, &err);
        CHECK_INT(cases[i].name, ok, cases[i].ok);
        CHECK_INT(cases[i].name, err.code, ok ? 0 : ERR_CORRUPT);
    }
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_foreign_spelling),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
