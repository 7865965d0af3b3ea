/*
 * Postings by table: a fixed cast of accounts, pending amounts among them, and what each transaction comes
 * to, to the last figure of the refusal's detail. Every row says what it is for; precedence rows break two
 * rules at once.
 */
#include "base/check.h"
#include "ledger/testbench.h"

enum who {
    NOBODY,
    WALLET,
    FREE,
    ASSET,
    EXPENSE,
    EURO,
    FROZEN,
    FROZEN_ASSET,
    CLOSED,
    PENDING,
    UNDER,
    TOP,
    BOTTOM,
    PENDING_ASSET,
    N
};

#define MAX LIMIT_AMOUNT_MAX
#define NOW INT64_C(1700000000000000)

static const struct {
    enum account_type type;
    uint32_t asset;
    enum account_status status;
    struct floor floor;
    struct amounts balance;
} cast[N] = {
    [WALLET] = {ACCOUNT_LIABILITY, 1, ACCOUNT_OPEN, {true, 0}, {100, 0, 0}},
    [FREE] = {ACCOUNT_LIABILITY, 1, ACCOUNT_OPEN, {false, 0}, {0, 0, 0}},
    [ASSET] = {ACCOUNT_ASSET, 1, ACCOUNT_OPEN, {true, 100}, {-500, 0, 0}},
    [EXPENSE] = {ACCOUNT_EXPENSE, 1, ACCOUNT_OPEN, {false, 0}, {-50, 0, 0}},
    [EURO] = {ACCOUNT_LIABILITY, 2, ACCOUNT_OPEN, {false, 0}, {0, 0, 0}},
    [FROZEN] = {ACCOUNT_LIABILITY, 1, ACCOUNT_FROZEN, {false, 0}, {100, 0, 0}},
    [FROZEN_ASSET] = {ACCOUNT_ASSET, 1, ACCOUNT_FROZEN, {false, 0}, {-100, 0, 0}},
    [CLOSED] = {ACCOUNT_LIABILITY, 1, ACCOUNT_CLOSED, {false, 0}, {0, 0, 0}},
    [PENDING] = {ACCOUNT_LIABILITY, 1, ACCOUNT_OPEN, {true, 0}, {100, 10, 30}},
    [UNDER] = {ACCOUNT_LIABILITY, 1, ACCOUNT_OPEN, {true, 50}, {20, 0, 0}},
    [TOP] = {ACCOUNT_LIABILITY, 1, ACCOUNT_OPEN, {false, 0}, {MAX, 0, 0}},
    [BOTTOM] = {ACCOUNT_LIABILITY, 1, ACCOUNT_OPEN, {true, -MAX}, {-MAX, 0, 0}},
    [PENDING_ASSET] = {ACCOUNT_ASSET, 1, ACCOUNT_OPEN, {true, 0}, {-100, 40, 10}},
};

struct case_expect {
    enum who account;
    uint64_t version; /* 0: not named */
    bool has_min;
    int64_t min;
};

struct post_case {
    const char *name;
    struct {
        enum who debit, credit;
        int64_t amount;
        bool wallet;
        const char *currency; /* NULL: USD */
    } postings[4];
    struct case_expect expects[2];
    int64_t effective; /* relative to now; 0: not named */
    enum who balance_account;
    int64_t balance_after;
    /* what must come of it */
    enum refusal refusal;
    enum who refuses;
    size_t index;
    int64_t amount, actual, declined;
    int64_t after[8]; /* posted after each leg */
};

#define MOVE_IN(currency, debit, credit, amount) \
    { \
        debit, credit, amount, false, currency \
    }
#define MOVE(debit, credit, amount) \
    { \
        debit, credit, amount, false, NULL \
    }
#define FROM_TO(from, to, amount) \
    { \
        from, to, amount, true, NULL \
    }
#define AT(account, version) \
    { \
        account, version, false, 0 \
    }

static const struct post_case cases[] = {
    {.name = "plain transfer", .postings = {MOVE(WALLET, FREE, 40)}, .after = {60, 40}},
    {.name = "to the last unit", .postings = {MOVE(WALLET, FREE, 100)}, .after = {0, 100}},
    {.name = "one unit too many",
        .postings = {MOVE(WALLET, FREE, 101)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = WALLET,
        .amount = 101,
        .actual = 100,
        .declined = 101},
    {.name = "no floor: any depth", .postings = {MOVE(FREE, WALLET, 5000)}, .after = {-5000, 5100}},
    {.name = "outgoing is not available",
        .postings = {MOVE(PENDING, FREE, 71)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = PENDING,
        .amount = 71,
        .actual = 70,
        .declined = 71},
    {.name = "what is not outgoing is", .postings = {MOVE(PENDING, FREE, 70)}, .after = {30, 70}},
    {.name = "debit-normal: incoming is not available",
        .postings = {MOVE(FREE, PENDING_ASSET, 61)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = PENDING_ASSET,
        .amount = 61,
        .actual = 60,
        .declined = 61},
    {.name = "debit-normal: what is not incoming is",
        .postings = {MOVE(FREE, PENDING_ASSET, 60)},
        .after = {-60, -40}},
    {.name = "debit-normal: floor above zero",
        .postings = {MOVE(FREE, ASSET, 401)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = ASSET,
        .amount = 401,
        .actual = 500,
        .declined = 401},
    {.name = "debit-normal: a debit raises it",
        .postings = {MOVE(ASSET, FREE, 1000)},
        .after = {-1500, 1000}},
    {.name = "below its floor: may receive", .postings = {MOVE(FREE, UNDER, 1)}, .after = {-1, 21}},
    {.name = "below its floor: may not pay",
        .postings = {MOVE(UNDER, FREE, 1)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = UNDER,
        .amount = 1,
        .actual = 20,
        .declined = 1},
    {.name = "between debit-normal accounts, said as debit and credit",
        .postings = {MOVE(ASSET, EXPENSE, 10)},
        .after = {-510, -40}},
    {.name = "between debit-normal accounts, said as from and to",
        .postings = {FROM_TO(ASSET, EXPENSE, 10)},
        .refusal = REFUSAL_DEBIT_NORMAL_PAIR,
        .refuses = ASSET,
        .amount = 10},
    {.name = "from and to with one debit-normal account",
        .postings = {FROM_TO(ASSET, FREE, 10)},
        .after = {-510, 10}},
    {.name = "unknown debit account",
        .postings = {MOVE(NOBODY, FREE, 1)},
        .refusal = REFUSAL_ACCOUNT_NOT_FOUND,
        .amount = 1},
    {.name = "unknown credit account of the second posting",
        .postings = {MOVE(WALLET, FREE, 1), MOVE(WALLET, NOBODY, 1)},
        .refusal = REFUSAL_ACCOUNT_NOT_FOUND,
        .index = 1,
        .amount = 1},
    {.name = "unknown currency comes before unknown account",
        .postings = {MOVE_IN("NONE", NOBODY, FREE, 1)},
        .refusal = REFUSAL_ASSET_NOT_FOUND,
        .amount = 1},
    {.name = "same account",
        .postings = {MOVE(WALLET, WALLET, 1)},
        .refusal = REFUSAL_SAME_ACCOUNT,
        .refuses = WALLET,
        .amount = 1},
    {.name = "same account comes before currency",
        .postings = {MOVE_IN("EUR", WALLET, WALLET, 1)},
        .refusal = REFUSAL_SAME_ACCOUNT,
        .refuses = WALLET,
        .amount = 1},
    {.name = "debit account in another currency",
        .postings = {MOVE(EURO, FREE, 1)},
        .refusal = REFUSAL_CURRENCY_MISMATCH,
        .refuses = EURO,
        .amount = 1},
    {.name = "credit account in another currency",
        .postings = {MOVE(FREE, EURO, 1)},
        .refusal = REFUSAL_CURRENCY_MISMATCH,
        .refuses = EURO,
        .amount = 1},
    {.name = "posting in another currency than both",
        .postings = {MOVE_IN("EUR", WALLET, FREE, 1)},
        .refusal = REFUSAL_CURRENCY_MISMATCH,
        .refuses = WALLET,
        .amount = 1},
    {.name = "backdated", .postings = {MOVE(WALLET, FREE, 1)}, .effective = -1, .after = {99, 1}},
    {.name = "in the future",
        .postings = {MOVE(WALLET, FREE, 1)},
        .effective = 1,
        .refusal = REFUSAL_EFFECTIVE_IN_FUTURE},
    {.name = "a wrong request comes before a wrong time",
        .postings = {MOVE(WALLET, WALLET, 1)},
        .effective = 1,
        .refusal = REFUSAL_SAME_ACCOUNT,
        .refuses = WALLET,
        .amount = 1},
    {.name = "a wrong time comes before status",
        .postings = {MOVE(CLOSED, FREE, 1)},
        .effective = 1,
        .refusal = REFUSAL_EFFECTIVE_IN_FUTURE},
    {.name = "frozen may not pay",
        .postings = {MOVE(FROZEN, FREE, 1)},
        .refusal = REFUSAL_ACCOUNT_FROZEN,
        .refuses = FROZEN,
        .amount = 1,
        .declined = 1},
    {.name = "frozen may receive", .postings = {MOVE(FREE, FROZEN, 1)}, .after = {-1, 101}},
    {.name = "frozen and debit-normal: a credit pays",
        .postings = {MOVE(FREE, FROZEN_ASSET, 1)},
        .refusal = REFUSAL_ACCOUNT_FROZEN,
        .refuses = FROZEN_ASSET,
        .amount = 1,
        .declined = 1},
    {.name = "frozen and debit-normal: a debit receives",
        .postings = {MOVE(FROZEN_ASSET, FREE, 1)},
        .after = {-101, 1}},
    {.name = "closed may not pay",
        .postings = {MOVE(CLOSED, FREE, 7)},
        .refusal = REFUSAL_ACCOUNT_CLOSED,
        .refuses = CLOSED,
        .amount = 7,
        .declined = 7},
    {.name = "closed may not receive",
        .postings = {MOVE(FREE, CLOSED, 7)},
        .refusal = REFUSAL_ACCOUNT_CLOSED,
        .refuses = CLOSED,
        .amount = 7,
        .declined = 7},
    {.name = "closed comes before frozen",
        .postings = {MOVE(FROZEN, CLOSED, 7)},
        .refusal = REFUSAL_ACCOUNT_CLOSED,
        .refuses = CLOSED,
        .amount = 7,
        .declined = 7},
    {.name = "status of a later posting comes before funds",
        .postings = {MOVE(WALLET, FREE, 900), MOVE(FROZEN, FREE, 8)},
        .refusal = REFUSAL_ACCOUNT_FROZEN,
        .refuses = FROZEN,
        .index = 1,
        .amount = 8,
        .declined = 8},
    {.name = "range, upwards",
        .postings = {MOVE(FREE, TOP, 1)},
        .refusal = REFUSAL_BALANCE_LIMIT,
        .refuses = TOP,
        .amount = 1,
        .actual = MAX,
        .declined = 1},
    {.name = "range, downwards without a floor",
        .postings = {MOVE(FREE, WALLET, 50), MOVE(FREE, WALLET, MAX)},
        .refusal = REFUSAL_BALANCE_LIMIT,
        .refuses = FREE,
        .index = 1,
        .amount = MAX,
        .actual = -50,
        .declined = MAX},
    {.name = "out of range downwards is below every floor",
        .postings = {MOVE(BOTTOM, FREE, 1)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = BOTTOM,
        .amount = 1,
        .actual = -MAX,
        .declined = 1},
    {.name = "funds come before range",
        .postings = {MOVE(WALLET, TOP, 101)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = WALLET,
        .amount = 101,
        .actual = 100,
        .declined = 101},
    {.name = "funds of the credit side come before range of the debit side",
        .postings = {MOVE(FREE, WALLET, 7), MOVE(FREE, ASSET, MAX)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = ASSET,
        .index = 1,
        .amount = MAX,
        .actual = 500,
        .declined = MAX},
    {.name = "from the top to the bottom", .postings = {MOVE(TOP, BOTTOM, MAX)}, .after = {0, 0}},
    {.name = "one account in several postings",
        .postings = {MOVE(FREE, WALLET, 50), MOVE(WALLET, EXPENSE, 150), MOVE(WALLET, FREE, 1)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = WALLET,
        .index = 2,
        .amount = 1,
        .actual = 0,
        .declined = 1},
    {.name = "in their order: money comes before it goes",
        .postings = {MOVE(FREE, WALLET, 50), MOVE(WALLET, EXPENSE, 150)},
        .after = {-50, 150, 0, 100}},
    {.name = "in their order: money goes before it comes",
        .postings = {MOVE(WALLET, EXPENSE, 150), MOVE(FREE, WALLET, 50)},
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = WALLET,
        .amount = 150,
        .actual = 100,
        .declined = 150},
    {.name = "two currencies in one transaction",
        .postings = {MOVE(WALLET, FREE, 10), MOVE_IN("EUR", EURO, NOBODY, 9)},
        .refusal = REFUSAL_ACCOUNT_NOT_FOUND,
        .index = 1,
        .amount = 9},
    {.name = "expected version",
        .postings = {MOVE(WALLET, FREE, 1)},
        .expects = {AT(WALLET, 11)},
        .after = {99, 1}},
    {.name = "another version than expected",
        .postings = {MOVE(WALLET, FREE, 1)},
        .expects = {AT(FREE, 12), AT(WALLET, 10)},
        .refusal = REFUSAL_EXPECTED_VERSION,
        .refuses = WALLET,
        .index = 1,
        .actual = 100},
    {.name = "expected available",
        .postings = {MOVE(WALLET, FREE, 1)},
        .expects = {{PENDING, 0, true, 70}},
        .after = {99, 1}},
    {.name = "less available than expected",
        .postings = {MOVE(WALLET, FREE, 1)},
        .expects = {{PENDING, 0, true, 71}},
        .refusal = REFUSAL_EXPECTED_AVAILABLE,
        .refuses = PENDING,
        .amount = 71,
        .actual = 70},
    {.name = "version comes before available",
        .postings = {MOVE(WALLET, FREE, 1)},
        .expects = {{PENDING, 1, true, 71}},
        .refusal = REFUSAL_EXPECTED_VERSION,
        .refuses = PENDING,
        .actual = 70},
    {.name = "expectations hold before the postings, not after",
        .postings = {MOVE(FREE, WALLET, 50)},
        .expects = {{WALLET, 0, true, 150}},
        .refusal = REFUSAL_EXPECTED_AVAILABLE,
        .refuses = WALLET,
        .amount = 150,
        .actual = 100},
    {.name = "expectations come before funds",
        .postings = {MOVE(WALLET, FREE, 101)},
        .expects = {AT(WALLET, 10)},
        .refusal = REFUSAL_EXPECTED_VERSION,
        .refuses = WALLET,
        .actual = 100},
    {.name = "status comes before expectations",
        .postings = {MOVE(FROZEN, FREE, 3)},
        .expects = {AT(WALLET, 10)},
        .refusal = REFUSAL_ACCOUNT_FROZEN,
        .refuses = FROZEN,
        .amount = 3,
        .declined = 3},
    {.name = "expectation of an unknown account",
        .postings = {MOVE(WALLET, FREE, 101)},
        .expects = {AT(WALLET, 10), AT(N, 1)},
        .refusal = REFUSAL_ACCOUNT_NOT_FOUND,
        .index = 1},
    {.name = "resulting balance",
        .postings = {MOVE(WALLET, FREE, 1)},
        .balance_account = WALLET,
        .balance_after = 99,
        .after = {99, 1}},
    {.name = "resulting balance in the normal sign",
        .postings = {MOVE(ASSET, FREE, 1)},
        .balance_account = ASSET,
        .balance_after = 501,
        .after = {-501, 1}},
    {.name = "resulting balance of an account that did not move",
        .postings = {MOVE(WALLET, FREE, 1)},
        .balance_account = UNDER,
        .balance_after = 20,
        .after = {99, 1}},
    {.name = "another resulting balance",
        .postings = {MOVE(FREE, WALLET, 5), MOVE(WALLET, FREE, 7)},
        .balance_account = WALLET,
        .balance_after = 93,
        .refusal = REFUSAL_BALANCE_DIFFERS,
        .refuses = WALLET,
        .amount = 93,
        .actual = 98},
    {.name = "funds come before the resulting balance",
        .postings = {MOVE(WALLET, FREE, 101)},
        .balance_account = WALLET,
        .balance_after = 5,
        .refusal = REFUSAL_INSUFFICIENT_FUNDS,
        .refuses = WALLET,
        .amount = 101,
        .actual = 100,
        .declined = 101},
    {.name = "resulting balance of an unknown account",
        .postings = {MOVE(WALLET, FREE, 1)},
        .balance_account = N,
        .refusal = REFUSAL_ACCOUNT_NOT_FOUND},
};

static struct account accounts[N];
static const struct asset usd = {.id = 1, .scale = 2, .code = "USD"},
                          eur = {.id = 2, .scale = 2, .code = "EUR"};

static void set_cast(void)
{
    for (size_t i = 1; i < N; i++)
        accounts[i] = (struct account){.ledger = 3,
            .number = i,
            .id = uuid_make(NOW, i, (uint32_t)i),
            .asset = cast[i].asset,
            .type = cast[i].type,
            .opened_seq = i,
            .revision = 2,
            .status = cast[i].status,
            .floor = cast[i].floor,
            .version = 10 + i,
            .seq = 90,
            .balance = cast[i].balance};
}

static const struct account *account_of(enum who who)
{
    return who == NOBODY || who == N ? NULL : &accounts[who];
}

struct prepared {
    struct posting postings[4];
    struct posting_facts posting_facts[4];
    struct expectation expects[2];
    const struct account *expect_facts[2];
    struct command command;
    struct facts facts;
};

static void prepare(const struct post_case *c, struct prepared *p)
{
    *p = (struct prepared){.command = {.op = COMMAND_POST,
                               .idempotency_key = STR("k"),
                               .reference = STR("r"),
                               .actor = STR("alice"),
                               .text = STR("{}"),
                               .random = 77}};
    struct command_post *post = &p->command.as.post;
    memset(p->command.request_hash, 0xab, HASH_LEN);
    for (; post->n_postings < 4 && c->postings[post->n_postings].amount != 0; post->n_postings++) {
        size_t i = post->n_postings;
        const char *currency = c->postings[i].currency ? c->postings[i].currency : "USD";
        p->postings[i] = (struct posting){.amount_minor = c->postings[i].amount,
            .currency = str_of(currency),
            .wallet = c->postings[i].wallet};
        p->posting_facts[i] =
            (struct posting_facts){account_of(c->postings[i].debit), account_of(c->postings[i].credit),
                currency[0] == 'U'   ? &usd
                : currency[0] == 'E' ? &eur
                                     : NULL};
    }
    for (; post->n_expects < 2 && c->expects[post->n_expects].account != NOBODY; post->n_expects++) {
        const struct case_expect *e = &c->expects[post->n_expects];
        p->expects[post->n_expects] = (struct expectation){.has_version = e->version != 0,
            .version = e->version,
            .has_min_available = e->has_min,
            .min_available_minor = e->min};
        p->expect_facts[post->n_expects] = account_of(e->account);
    }
    post->postings = p->postings;
    post->expects = p->expects;
    post->has_balance_after = c->balance_account != NOBODY;
    post->balance_after_minor = c->balance_after;
    p->command.has_effective_at = c->effective != 0;
    p->command.effective_at = NOW + c->effective;
    p->facts = (struct facts){.ledger = 3,
        .next_seq = 91,
        .next_account = 40,
        .now = NOW,
        .postings = p->posting_facts,
        .expects = p->expect_facts,
        .balance_account = account_of(c->balance_account)};
}

static void check_effect(const struct post_case *c, const struct prepared *p, const struct record *r)
{
    size_t n = p->command.as.post.n_postings;
    CHECK_INT(c->name, r->kind, RECORD_TRANSFER);
    CHECK_INT(c->name, r->n_entries, 2 * n);
    CHECK_INT(c->name, r->effective_at, NOW + c->effective);
    for (size_t i = 0; i < 2 * n; i++) {
        enum who who = i % 2 ? c->postings[i / 2].credit : c->postings[i / 2].debit;
        CHECK_INT(c->name, r->entries[i].account, who);
        CHECK_INT(c->name, r->entries[i].after.posted, c->after[i]);
        CHECK_INT(c->name, r->entries[i].change.posted, (i % 2 ? 1 : -1) * c->postings[i / 2].amount);
        CHECK_INT(c->name, r->entries[i].after.incoming, cast[who].balance.incoming);
        CHECK_INT(c->name, r->entries[i].after.outgoing, cast[who].balance.outgoing);
        CHECK_INT(c->name, r->entries[i].backdated, c->effective < 0);
    }
}

static void check_declined(const struct post_case *c, const struct record *r)
{
    const struct account *head = account_of(c->refuses);
    CHECK_INT(c->name, r->kind, RECORD_DECLINED);
    CHECK_INT(c->name, r->refusal, c->refusal);
    CHECK_INT(c->name, r->declined_amount, c->declined);
    CHECK_INT(c->name, r->effective_at, NOW);
    CHECK_INT(c->name, r->n_entries, 1);
    const struct entry *e = &r->entries[0];
    CHECK(c->name, e->leg == 0 && !entry_moves(e) && !e->backdated);
    CHECK_INT(c->name, e->version, head->version + 1); /* of the journal's head, whatever moved before */
    CHECK(c->name, memcmp(&e->after, &head->balance, sizeof e->after) == 0);
    CHECK_INT(c->name, e->revision, head->revision);
    CHECK(c->name, e->floor.present == head->floor.present && e->floor.minor == head->floor.minor);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct post_case *c = &cases[i];
        struct prepared p;
        struct arena arena;
        struct decision d;
        set_cast();
        prepare(c, &p);
        arena_init(&arena, 0);
        decide(&p.command, &p.facts, &arena, &d);
        const struct refusal_info *got = refusal_info(d.refusal), *want = refusal_info(c->refusal);
        CHECK_STR(c->name, str_of(got ? got->name : "done"), str_of(want ? want->name : "done"));
        CHECK_INT(c->name, d.detail.account ? d.detail.account->number : 0, c->refuses);
        CHECK_INT(c->name, d.detail.index, c->index);
        CHECK_INT(c->name, d.detail.amount_minor, c->amount);
        CHECK_INT(c->name, d.detail.actual_minor, c->actual);
        CHECK_INT(c->name, d.record != NULL, want == NULL || refusal_is_recorded(c->refusal));
        if (d.record != NULL) {
            const struct record *r = d.record;
            CHECK(c->name,
                r->ledger == 3 && r->seq == 91 && uuid_counter(r->id) == 91 && r->recorded_at == NOW);
            CHECK_STR(c->name, r->idempotency_key, STR("k"));
            CHECK_STR(c->name, r->reference, STR("r"));
            CHECK_STR(c->name, r->actor, STR("alice"));
            CHECK(c->name,
                r->request_hash[31] == 0xab && r->text.present && r->n_lots == 0 && r->account == NULL);
            if (want == NULL)
                check_effect(c, &p, r);
            else
                check_declined(c, r);
        }
        arena_fini(&arena);
    }
}

/* The heads are the engine's: a decision must not touch them, nor the detail point into them. */
static void test_facts_are_left_alone(void **state)
{
    (void)state;
    struct account before[N];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct prepared p;
        struct arena arena;
        struct decision d;
        set_cast();
        memcpy(before, accounts, sizeof before);
        prepare(&cases[i], &p);
        arena_init(&arena, 0);
        decide(&p.command, &p.facts, &arena, &d);
        CHECK(cases[i].name, memcmp(before, accounts, sizeof before) == 0);
        CHECK(cases[i].name,
            d.detail.account == NULL || d.detail.account < accounts || d.detail.account >= accounts + N);
        arena_fini(&arena);
    }
}

static void decide_it(void *ctx)
{
    struct prepared *p = ctx;
    struct arena arena;
    struct decision d;
    arena_init(&arena, 0);
    decide(&p->command, &p->facts, &arena, &d);
    arena_fini(&arena);
}

/* What the decoder has already refused is a bug when it gets here. */
static void test_bugs_abort(void **state)
{
    (void)state;
    struct prepared p;
    set_cast();
    prepare(&cases[0], &p);
    assert_false(check_aborts(decide_it, &p));
    p.postings[0].amount_minor = 0;
    assert_true(check_aborts(decide_it, &p));
    p.postings[0].amount_minor = -5;
    assert_true(check_aborts(decide_it, &p));
    p.postings[0].amount_minor = MAX + 1;
    assert_true(check_aborts(decide_it, &p));
    prepare(&cases[0], &p);
    p.command.as.post.n_postings = 0;
    assert_true(check_aborts(decide_it, &p));
    prepare(&cases[0], &p);
    p.command.op = COMMAND_CREATE_LEDGER;
    assert_true(check_aborts(decide_it, &p));
    p.command.op = COMMAND_DECLARE_ASSET;
    assert_true(check_aborts(decide_it, &p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_facts_are_left_alone),
        cmocka_unit_test(test_bugs_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
