/* Opening, @world, revision, erasure and reversal, one record after another on the bench. */
#include "base/check.h"
#include "ledger/testbench.h"

#define NO_FLOOR ((struct floor){false, 0})
#define ZERO_FLOOR ((struct floor){true, 0})

static int setup(void **state)
{
    struct bench *bench = malloc(sizeof *bench);
    assert_non_null(bench);
    bench_init(bench);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    bench_fini(*state);
    free(*state);
    return 0;
}

static void test_open(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *name;
        struct command_open open;
        struct floor ledger_default;
        enum refusal refusal;
        struct floor floor;
        int side;
    } cases[] = {
        {"floor of the ledger", {{"USD", 3}, ACCOUNT_LIABILITY, {NULL, 0}, false, {false, 0}}, {true, 0},
            REFUSAL_NONE, {true, 0}, 1},
        {"ledger without a floor", {{"USD", 3}, ACCOUNT_INCOME, {NULL, 0}, false, {false, 0}}, {false, 0},
            REFUSAL_NONE, {false, 0}, 1},
        {"floor named", {{"USD", 3}, ACCOUNT_ASSET, {"a", 1}, true, {true, -500}}, {true, 0}, REFUSAL_NONE,
            {true, -500}, -1},
        {"no floor named", {{"EUR", 3}, ACCOUNT_EXPENSE, {"b", 1}, true, {false, 0}}, {true, 0}, REFUSAL_NONE,
            {false, 0}, -1},
        {"unknown currency", {{"NONE", 4}, ACCOUNT_ASSET, {"c", 1}, false, {false, 0}}, {true, 0},
            REFUSAL_ASSET_NOT_FOUND, {false, 0}, 0},
        {"external id taken", {{"EUR", 3}, ACCOUNT_ASSET, {"a", 1}, false, {false, 0}}, {true, 0},
            REFUSAL_EXTERNAL_ID_TAKEN, {true, -500}, -1},
        {"currency comes before external id", {{"NONE", 4}, ACCOUNT_ASSET, {"a", 1}, false, {false, 0}},
            {true, 0}, REFUSAL_ASSET_NOT_FOUND, {false, 0}, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *name = cases[i].name;
        struct command command = {.op = COMMAND_OPEN_ACCOUNT,
            .random = 5,
            .text = i % 2 ? STR("{}") : STR_NONE,
            .as.open = cases[i].open};
        struct decision d;
        uint64_t accounts = bench->n_accounts;
        bench->default_floor = cases[i].ledger_default;
        bench_run(bench, &command, &d);
        CHECK_INT(name, d.refusal, cases[i].refusal);
        CHECK_INT(name, bench->n_accounts, accounts + (d.refusal == REFUSAL_NONE));
        CHECK_INT(name, d.record != NULL, d.refusal != REFUSAL_ASSET_NOT_FOUND);
        if (d.record == NULL)
            continue;
        const struct entry *entry = &d.record->entries[0];
        CHECK(name, d.record->n_entries == 1 && !entry_moves(entry));
        CHECK_INT(name, entry->side, cases[i].side);
        CHECK(name,
            entry->floor.present == cases[i].floor.present && entry->floor.minor == cases[i].floor.minor);
        if (d.refusal != REFUSAL_NONE) {
            CHECK_INT(name, d.record->kind, RECORD_DECLINED);
            CHECK_INT(name, entry->account, 3);
            CHECK_INT(name, entry->version, 2);
            CHECK(name, d.record->account == NULL && d.record->n_revisions == 0);
            continue;
        }
        CHECK_INT(name, d.record->kind, RECORD_OPENING);
        CHECK(name, entry->version == 1 && entry->revision == 1 && entry->account == accounts + 1);
        CHECK(name, uuid_eq(entry->account_id, d.record->account->id) &&
                        !uuid_eq(d.record->id, d.record->account->id));
        CHECK(name, d.record->revisions[0].status == ACCOUNT_OPEN && d.record->revisions[0].revision == 1);
        CHECK_INT(name, d.record->revisions[0].text_seq, i % 2 ? d.record->seq : 0);
        CHECK_INT(name, d.record->account->opened_seq, d.record->seq);
    }
}

/* Ids made from one random number differ in their random bits too, and other numbers give other ids. */
static void test_ids(void **state)
{
    struct bench *bench = *state;
    struct command command = {
        .op = COMMAND_OPEN_ACCOUNT, .as.open = {.currency = STR("USD"), .type = ACCOUNT_ASSET}};
    struct facts facts = {
        .ledger = 1, .next_seq = 9, .next_account = 9, .now = bench->now, .asset = &bench->assets[0]};
    struct uuid seen[3 * 64];
    size_t n = 0;
    for (uint32_t random = 0; random < 64; random++) {
        struct decision d;
        command.random = random << 18;
        decide(&command, &facts, &bench->arena, &d);
        seen[n++] = d.record->id;
        seen[n++] = d.record->account->id;
        seen[n++] = decide_world(&command, &facts, &bench->assets[0], &bench->arena)->account->id;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(uuid_eq(seen[i], seen[k]));
}

static void test_world(void **state)
{
    struct bench *bench = *state;
    uint64_t user = bench_open(bench, "EUR", ACCOUNT_LIABILITY, ZERO_FLOOR);
    struct posting posting = {.debit = {.by = REF_BY_WORLD, .currency = STR("EUR")},
        .credit = bench_ref(bench, user),
        .amount_minor = 500,
        .currency = STR("EUR"),
        .wallet = true};
    struct command command = {.op = COMMAND_POST,
        .idempotency_key = STR("k"),
        .text = STR("{}"),
        .reference = STR("r"),
        .has_trace = true,
        .trace_sampled = true,
        .trace_id = {1, 2, 3},
        .as.post = {.postings = &posting, .n_postings = 1}};
    struct decision d;
    bench->default_floor = ZERO_FLOOR; /* not for the outside */
    bench_run(bench, &command, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
    const struct record *opening = bench_record(bench, 2);
    assert_int_equal(opening->kind, RECORD_OPENING);
    CHECK_STR("external id", opening->account->external_id, STR("@world:EUR"));
    assert_int_equal(opening->account->type, ACCOUNT_EQUITY);
    assert_int_equal(opening->account->asset, 2);
    assert_false(
        opening->entries[0].floor.present || opening->text.present || opening->revisions[0].floor.present);
    assert_null(opening->idempotency_key.data);
    assert_null(opening->reference.data);
    assert_int_equal(opening->id.bytes[15] & 1, 1);
    assert_true(opening->has_trace && memcmp(opening->trace_id, command.trace_id, TRACE_ID_LEN) == 0);
    assert_int_equal(d.record->seq, 3);
    assert_false(uuid_eq(opening->id, d.record->id));
    assert_true(account_is_world(&bench->accounts[opening->account->number - 1]));
    assert_int_equal(bench_balance(bench, opening->account->number), -500);
    bench_run(bench, &command, &d); /* the second use opens nothing */
    assert_int_equal(bench->n_accounts, 2);
    assert_int_equal(bench_balance(bench, user), 1000);
}

static void test_revise(void **state)
{
    struct bench *bench = *state;
    enum { STATUS = 1, FLOOR = 2, TEXT = 4, IF = 8 };
    static const struct {
        const char *name;
        int named;
        enum account_status status;
        struct floor floor;
        uint32_t if_revision;
        int64_t pay; /* moved into (or, negative, out of) the account before */
        enum refusal refusal;
        enum account_status then_status;
        struct floor then_floor;
        uint32_t then_revision;
    } steps[] = {
        {"nothing named", 0, 0, {false, 0}, 0, 0, REFUSAL_NONE, ACCOUNT_OPEN, {true, 0}, 2},
        {"floor", FLOOR, 0, {true, -100}, 0, 0, REFUSAL_NONE, ACCOUNT_OPEN, {true, -100}, 3},
        {"freeze", STATUS, ACCOUNT_FROZEN, {false, 0}, 0, 0, REFUSAL_NONE, ACCOUNT_FROZEN, {true, -100}, 4},
        {"text alone", TEXT, 0, {false, 0}, 0, 0, REFUSAL_NONE, ACCOUNT_FROZEN, {true, -100}, 5},
        {"floor above the balance is allowed", FLOOR, 0, {true, 7000}, 0, 0, REFUSAL_NONE, ACCOUNT_FROZEN,
            {true, 7000}, 6},
        {"If-Match", IF | STATUS, ACCOUNT_OPEN, {false, 0}, 6, 0, REFUSAL_NONE, ACCOUNT_OPEN, {true, 7000},
            7},
        {"If-Match of another revision", IF | STATUS, ACCOUNT_FROZEN, {false, 0}, 6, 0,
            REFUSAL_PRECONDITION_FAILED, ACCOUNT_OPEN, {true, 7000}, 7},
        {"close with a balance", STATUS, ACCOUNT_CLOSED, {false, 0}, 0, 5, REFUSAL_ACCOUNT_NOT_EMPTY,
            ACCOUNT_OPEN, {true, 7000}, 7},
        {"If-Match comes before the balance", IF | STATUS, ACCOUNT_CLOSED, {false, 0}, 6, 0,
            REFUSAL_PRECONDITION_FAILED, ACCOUNT_OPEN, {true, 7000}, 7},
        {"no floor", FLOOR, 0, {false, 0}, 0, 0, REFUSAL_NONE, ACCOUNT_OPEN, {false, 0}, 8},
        {"close when empty", STATUS, ACCOUNT_CLOSED, {false, 0}, 0, -5, REFUSAL_NONE, ACCOUNT_CLOSED,
            {false, 0}, 9},
        {"close again", STATUS, ACCOUNT_CLOSED, {false, 0}, 0, 0, REFUSAL_NONE, ACCOUNT_CLOSED, {false, 0},
            10},
        {"reopen", STATUS, ACCOUNT_OPEN, {false, 0}, 0, 0, REFUSAL_NONE, ACCOUNT_OPEN, {false, 0}, 11},
    };
    uint64_t number = bench_open(bench, "USD", ACCOUNT_LIABILITY, ZERO_FLOOR);
    uint64_t other = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR);
    uint64_t text_seq = 0;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        const char *name = steps[i].name;
        if (steps[i].pay > 0)
            CHECK(name, bench_post(bench, other, number, steps[i].pay));
        if (steps[i].pay < 0)
            CHECK(name, bench_post(bench, number, other, -steps[i].pay));
        struct command command = {.op = COMMAND_REVISE_ACCOUNT,
            .text = steps[i].named & TEXT ? STR("{\"name\":\"n\"}") : STR_NONE,
            .as.revise = {.account = bench_ref(bench, number),
                .has_status = (steps[i].named & STATUS) != 0,
                .has_floor = (steps[i].named & FLOOR) != 0,
                .has_text = (steps[i].named & TEXT) != 0,
                .has_if_revision = (steps[i].named & IF) != 0,
                .status = steps[i].status,
                .floor = steps[i].floor,
                .if_revision = steps[i].if_revision}};
        struct decision d;
        struct account before = bench->accounts[number - 1];
        bench_run(bench, &command, &d);
        const struct account *after = &bench->accounts[number - 1];
        CHECK_INT(name, d.refusal, steps[i].refusal);
        CHECK_INT(name, d.record->kind, d.refusal ? RECORD_DECLINED : RECORD_REVISION);
        CHECK_INT(name, d.record->n_revisions, d.refusal ? 0 : 1);
        CHECK_INT(name, after->status, steps[i].then_status);
        CHECK_INT(name, after->revision, steps[i].then_revision);
        CHECK(name, after->floor.present == steps[i].then_floor.present &&
                        after->floor.minor == steps[i].then_floor.minor);
        CHECK_INT(name, after->version, before.version + 1);
        CHECK_INT(name, after->balance.posted, before.balance.posted);
        text_seq = steps[i].named & TEXT ? d.record->seq : text_seq;
        CHECK_INT(name, after->text_seq, text_seq);
        if (d.refusal == REFUSAL_PRECONDITION_FAILED)
            CHECK_INT(name, d.detail.expected_version, 6);
        if (d.refusal == REFUSAL_ACCOUNT_NOT_EMPTY)
            CHECK_INT(name, d.detail.actual_minor, 5);
    }
}

/* A text that was merged with another one than the account has is not for the client's key to remember. */
static void test_revise_merged_with_a_text_of_the_past(void **state)
{
    struct bench *bench = *state;
    uint64_t number = bench_open(bench, "USD", ACCOUNT_LIABILITY, ZERO_FLOOR);
    struct command command = {.op = COMMAND_REVISE_ACCOUNT,
        .text = STR("{\"name\":\"one\"}"),
        .as.revise = {.account = bench_ref(bench, number), .has_text = true, .has_base_text = true}};
    struct decision d;
    bench_run(bench, &command, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
    uint64_t first = d.record->seq;
    bench_run(bench, &command, &d); /* with none again */
    assert_int_equal(d.refusal, REFUSAL_REVISION_CONTENDED);
    assert_null(d.record);
    struct command freeze = {.op = COMMAND_REVISE_ACCOUNT,
        .as.revise = {.account = bench_ref(bench, number), .has_status = true, .status = ACCOUNT_FROZEN}};
    bench_run(bench, &freeze, &d); /* another revision, the same text */
    assert_int_equal(d.refusal, REFUSAL_NONE);
    command.as.revise.base_text_seq = first;
    command.as.revise.has_if_revision = true;
    command.as.revise.if_revision = 2;
    bench_run(bench, &command, &d); /* what the client asked for comes first, and is recorded */
    assert_int_equal(d.refusal, REFUSAL_PRECONDITION_FAILED);
    assert_non_null(d.record);
    command.as.revise.if_revision = 3;
    bench_run(bench, &command, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
    assert_int_equal(bench->accounts[number - 1].text_seq, d.record->seq);
    assert_int_equal(bench->accounts[number - 1].status, ACCOUNT_FROZEN);
}

/* Pending amounts keep an account from closing as posted ones do. */
static void test_close_needs_all_three_zero(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *name;
        struct amounts balance;
        enum refusal refusal;
    } cases[] = {{"empty", {0, 0, 0}, REFUSAL_NONE}, {"posted", {-1, 0, 0}, REFUSAL_ACCOUNT_NOT_EMPTY},
        {"incoming", {0, 1, 0}, REFUSAL_ACCOUNT_NOT_EMPTY},
        {"outgoing", {0, 0, 1}, REFUSAL_ACCOUNT_NOT_EMPTY}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct account account = {.ledger = 1,
            .number = 4,
            .asset = 1,
            .type = ACCOUNT_ASSET,
            .revision = 1,
            .status = ACCOUNT_OPEN,
            .version = 3,
            .seq = 5,
            .balance = cases[i].balance};
        struct command command = {
            .op = COMMAND_REVISE_ACCOUNT, .as.revise = {.has_status = true, .status = ACCOUNT_CLOSED}};
        struct facts facts = {.ledger = 1, .next_seq = 6, .now = bench->now, .account = &account};
        struct decision d;
        decide(&command, &facts, &bench->arena, &d);
        CHECK_INT(cases[i].name, d.refusal, cases[i].refusal);
    }
}

static void test_revise_refuses_the_request(void **state)
{
    struct bench *bench = *state;
    uint64_t user = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR);
    struct posting posting = {.debit = {.by = REF_BY_WORLD, .currency = STR("USD")},
        .credit = bench_ref(bench, user),
        .amount_minor = 1,
        .currency = STR("USD")};
    struct command post = {.op = COMMAND_POST, .as.post = {.postings = &posting, .n_postings = 1}};
    struct decision d;
    bench_run(bench, &post, &d);
    struct command revise = {.op = COMMAND_REVISE_ACCOUNT,
        .as.revise = {.account = {.by = REF_BY_EXTERNAL_ID, .external_id = STR("nobody")},
            .has_status = true,
            .status = ACCOUNT_FROZEN}};
    bench_run(bench, &revise, &d);
    assert_int_equal(d.refusal, REFUSAL_ACCOUNT_NOT_FOUND);
    assert_null(d.record);
    revise.as.revise.account = (struct account_ref){.by = REF_BY_WORLD, .currency = STR("USD")};
    bench_run(bench, &revise, &d);
    assert_int_equal(d.refusal, REFUSAL_WORLD_IMMUTABLE);
    assert_null(d.record);
}

static void test_erase(void **state)
{
    struct bench *bench = *state;
    uint64_t a = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR);
    uint64_t b = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR);
    struct posting posting = {.debit = bench_ref(bench, b),
        .credit = bench_ref(bench, a),
        .amount_minor = 5,
        .currency = STR("USD")};
    struct command post = {
        .op = COMMAND_POST, .text = STR("{}"), .as.post = {.postings = &posting, .n_postings = 1}};
    struct decision d;
    bench_run(bench, &post, &d);
    uint64_t with_text = d.record->seq, without = bench_post(bench, a, b, 1);
    const struct {
        const char *name;
        uint64_t seq;
        enum refusal refusal;
    } cases[] = {
        {"no such record", 99, REFUSAL_TRANSFER_NOT_FOUND},
        {"no text", without, REFUSAL_NOTHING_TO_ERASE},
        {"text", with_text, REFUSAL_NONE},
        {"erased before", with_text, REFUSAL_NOTHING_TO_ERASE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct command erase = {.op = COMMAND_ERASE, .as.erase.seq = cases[i].seq};
        bench_run(bench, &erase, &d);
        CHECK_INT(cases[i].name, d.refusal, cases[i].refusal);
        CHECK_INT(cases[i].name, d.record != NULL, d.refusal == REFUSAL_NONE);
        if (d.record == NULL)
            continue;
        CHECK_INT(cases[i].name, d.record->kind, RECORD_ERASURE);
        CHECK_INT(cases[i].name, d.record->related_seq, with_text);
        CHECK_INT(cases[i].name, d.record->entries[0].account, b); /* leg 0 of what is erased */
        CHECK(cases[i].name, d.record->n_entries == 1 && !entry_moves(&d.record->entries[0]));
    }
}

static void reverse(struct bench *bench, uint64_t seq, int64_t amount, struct decision *d)
{
    const struct record *original = bench_record(bench, seq);
    struct command command = {.op = COMMAND_REVERSE,
        .as.reverse = {.transfer = original ? original->id : uuid_make(0, 999, 0),
            .has_amount = amount != 0,
            .amount_minor = amount}};
    bench_run(bench, &command, d);
}

static void test_reverse_in_parts(void **state)
{
    struct bench *bench = *state;
    uint64_t a = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR);
    uint64_t b = bench_open(bench, "USD", ACCOUNT_LIABILITY, ZERO_FLOOR);
    uint64_t original = bench_post(bench, a, b, 100);
    static const struct {
        const char *name;
        int64_t amount; /* 0: not named */
        enum refusal refusal;
        int64_t taken, asked, left, declined;
        size_t n_lots;
    } steps[] = {
        {"more than all", 101, REFUSAL_REVERSAL_EXCEEDS, 0, 101, 100, 101, 0},
        {"a part", 30, REFUSAL_NONE, 30, 0, 0, 0, 4},
        {"another part", 20, REFUSAL_NONE, 20, 0, 0, 0, 2},
        {"more than is left", 51, REFUSAL_REVERSAL_EXCEEDS, 0, 51, 50, 51, 0},
        {"the rest", 0, REFUSAL_NONE, 50, 0, 0, 0, 2},
        {"nothing is left", 0, REFUSAL_REVERSAL_EXCEEDS, 0, 100, 0, 0, 0},
        {"nothing is left for a part", 1, REFUSAL_REVERSAL_EXCEEDS, 0, 1, 0, 1, 0},
    };
    int64_t left = 100;
    uint32_t version = 1;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        const char *name = steps[i].name;
        struct decision d;
        reverse(bench, original, steps[i].amount, &d);
        const struct record *r = d.record;
        CHECK_INT(name, d.refusal, steps[i].refusal);
        CHECK_INT(name, r->related_seq, original);
        CHECK_INT(name, r->n_lots, steps[i].n_lots);
        CHECK_INT(name, r->declined_amount, steps[i].declined);
        CHECK_INT(name, d.detail.amount_minor, steps[i].asked);
        CHECK_INT(name, d.detail.actual_minor, steps[i].left);
        left -= steps[i].taken;
        CHECK_INT(name, bench_balance(bench, b), left);
        CHECK_INT(name, bench_balance(bench, a), -left);
        if (d.refusal != REFUSAL_NONE) {
            CHECK(name, r->kind == RECORD_DECLINED && r->n_entries == 1 && r->entries[0].account == a);
            continue;
        }
        CHECK(name, r->kind == RECORD_REVERSAL && r->n_entries == 2);
        CHECK(name, r->entries[0].account == b && r->entries[0].change.posted == -steps[i].taken);
        CHECK(name, r->entries[1].account == a && r->entries[1].change.posted == steps[i].taken);
        version++;
        size_t per_leg = r->n_lots / 2;
        for (size_t k = 0; k < r->n_lots; k++) {
            const struct lot *lot = &r->lots[k];
            bool opens = k % per_leg + 1 < per_leg;
            CHECK(name, lot->origin == original && lot->kind == LOT_REFUNDABLE && !lot->has_due);
            CHECK_INT(name, lot->leg, k / per_leg);
            CHECK_INT(name, lot->account, k / per_leg ? b : a);
            CHECK_INT(name, lot->version, opens ? 1 : version);
            CHECK_INT(name, lot->change, opens ? 100 : -steps[i].taken);
            CHECK_INT(name, lot->remaining_after, opens ? 100 : left);
        }
    }
}

static void test_reverse_many_postings(void **state)
{
    struct bench *bench = *state;
    uint64_t a = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR),
             b = bench_open(bench, "USD", ACCOUNT_LIABILITY, ZERO_FLOOR);
    uint64_t c = bench_open(bench, "USD", ACCOUNT_ASSET, NO_FLOOR);
    struct posting postings[2] = {{bench_ref(bench, a), bench_ref(bench, b), 70, STR("USD"), false},
        {bench_ref(bench, b), bench_ref(bench, c), 40, STR("USD"), false}};
    struct command post = {.op = COMMAND_POST, .as.post = {.postings = postings, .n_postings = 2}};
    struct decision d;
    bench_run(bench, &post, &d);
    uint64_t original = d.record->seq;
    reverse(bench, original, 40, &d);
    assert_int_equal(d.refusal, REFUSAL_PARTIAL_OF_MANY);
    assert_null(d.record);
    reverse(bench, original, 0, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
    const struct {
        uint64_t account;
        int64_t change;
    } legs[] = {{c, -40}, {b, 40}, {b, -70}, {a, 70}};
    assert_int_equal(d.record->n_entries, COUNT_OF(legs));
    for (size_t i = 0; i < COUNT_OF(legs); i++) {
        assert_int_equal(d.record->entries[i].account, legs[i].account);
        assert_int_equal(d.record->entries[i].change.posted, legs[i].change);
    }
    static const int64_t amounts[] = {70, 70, 40, 40};
    assert_int_equal(d.record->n_lots, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(d.record->lots[i].leg, i / 2);
        assert_int_equal(d.record->lots[i].version, 1 + i % 2);
        assert_int_equal(d.record->lots[i].change, (i % 2 ? -1 : 1) * amounts[i / 2]);
        assert_int_equal(d.record->lots[i].remaining_after, i % 2 ? 0 : amounts[i / 2]);
    }
    assert_int_equal(bench_balance(bench, a) | bench_balance(bench, b) | bench_balance(bench, c), 0);
    uint64_t reversal = d.record->seq;
    reverse(bench, original, 0, &d);
    assert_int_equal(d.refusal, REFUSAL_REVERSAL_EXCEEDS);
    reverse(bench, reversal, 0, &d);
    assert_int_equal(d.refusal, REFUSAL_NOT_REVERSIBLE);
    reverse(bench, 1, 0, &d); /* an opening */
    assert_int_equal(d.refusal, REFUSAL_NOT_REVERSIBLE);
    reverse(bench, 999, 0, &d);
    assert_int_equal(d.refusal, REFUSAL_TRANSFER_NOT_FOUND);
    assert_null(d.record);
}

static void set_status(struct bench *bench, uint64_t number, enum account_status status)
{
    struct command command = {.op = COMMAND_REVISE_ACCOUNT,
        .as.revise = {.account = bench_ref(bench, number), .has_status = true, .status = status}};
    struct decision d;
    bench_run(bench, &command, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
}

/* A reversal obeys what a posting obeys, and its declines say what they wanted to reverse. */
static void test_reverse_obeys_status_and_floors(void **state)
{
    struct bench *bench = *state;
    uint64_t a = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR),
             b = bench_open(bench, "USD", ACCOUNT_LIABILITY, ZERO_FLOOR);
    uint64_t original = bench_post(bench, a, b, 100);
    struct decision d;
    assert_true(bench_post(bench, b, a, 60) > 0); /* spent meanwhile */
    reverse(bench, original, 0, &d);
    assert_int_equal(d.refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(d.record->kind, RECORD_DECLINED);
    assert_int_equal(d.record->entries[0].account, b);
    assert_int_equal(d.record->declined_amount, 100);
    assert_int_equal(d.record->related_seq, original);
    assert_int_equal(d.record->n_lots, 0);
    set_status(bench, b, ACCOUNT_FROZEN);
    reverse(bench, original, 40, &d);
    assert_int_equal(d.refusal, REFUSAL_ACCOUNT_FROZEN);
    assert_int_equal(d.record->related_seq, original);
    reverse(bench, original, 101, &d);
    assert_int_equal(d.refusal, REFUSAL_ACCOUNT_FROZEN); /* status comes before what is left */
    set_status(bench, b, ACCOUNT_OPEN);
    reverse(bench, original, 40, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
    assert_int_equal(d.record->lots[1].remaining_after, 60);
    set_status(bench, b, ACCOUNT_CLOSED);
    reverse(bench, original, 1, &d);
    assert_int_equal(d.refusal, REFUSAL_ACCOUNT_CLOSED);
}

static void test_reverse_in_time(void **state)
{
    struct bench *bench = *state;
    uint64_t a = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR),
             b = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR);
    const struct record *original = bench_record(bench, bench_post(bench, a, b, 100));
    struct command command = {.op = COMMAND_REVERSE,
        .has_effective_at = true,
        .effective_at = bench->now + 1,
        .as.reverse.transfer = original->id};
    struct decision d;
    bench_run(bench, &command, &d);
    assert_int_equal(d.refusal, REFUSAL_EFFECTIVE_IN_FUTURE);
    command.effective_at = bench->now - 1;
    bench_run(bench, &command, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
    assert_int_equal(d.record->effective_at, bench->now - 1);
    assert_true(d.record->entries[0].backdated && d.record->entries[1].backdated);
}

/* More accounts, more postings: the largest transaction there can be. */
static void test_largest_transaction(void **state)
{
    struct bench *bench = *state;
    uint64_t source = bench_open(bench, "USD", ACCOUNT_LIABILITY, NO_FLOOR);
    for (int i = 0; i < 50; i++)
        bench_open(bench, "USD", ACCOUNT_LIABILITY, ZERO_FLOOR);
    static struct posting postings[LIMIT_POSTINGS_MAX];
    for (size_t i = 0; i < LIMIT_POSTINGS_MAX; i++)
        postings[i] = (struct posting){
            bench_ref(bench, source), bench_ref(bench, 2 + i % 50), (int64_t)i + 1, STR("USD"), true};
    struct command post = {
        .op = COMMAND_POST, .as.post = {.postings = postings, .n_postings = LIMIT_POSTINGS_MAX}};
    struct decision d;
    bench_run(bench, &post, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
    assert_int_equal(bench_balance(bench, source), -(LIMIT_POSTINGS_MAX * (LIMIT_POSTINGS_MAX + 1) / 2));
    assert_int_equal(bench->accounts[source - 1].version, 1 + LIMIT_POSTINGS_MAX);
    reverse(bench, d.record->seq, 0, &d);
    assert_int_equal(d.refusal, REFUSAL_NONE);
    for (uint64_t i = 1; i <= bench->n_accounts; i++)
        assert_int_equal(bench_balance(bench, i), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_open),
        TEST(test_ids),
        TEST(test_world),
        TEST(test_revise),
        TEST(test_revise_merged_with_a_text_of_the_past),
        TEST(test_close_needs_all_three_zero),
        TEST(test_revise_refuses_the_request),
        TEST(test_erase),
        TEST(test_reverse_in_parts),
        TEST(test_reverse_many_postings),
        TEST(test_reverse_obeys_status_and_floors),
        TEST(test_reverse_in_time),
        TEST(test_largest_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
