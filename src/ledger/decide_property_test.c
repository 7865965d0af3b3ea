/*
 * Random commands against a naive model: plain arrays, 128-bit sums, and the rules written down a second
 * time. The model says beforehand what each command must come to; every record is then checked against I1 to
 * I6 with the model's own figures. Prints its seed; DECIDE_SEED and DECIDE_STEPS change it.
 */
#include "base/check.h"
#include "ledger/testbench.h"

#define ACCOUNTS 14
#define POSTINGS 4

__extension__ typedef __int128 wide;

struct model_account {
    uint32_t asset;
    int side;
    int64_t posted;
    struct floor floor;
    enum account_status status;
    uint32_t revision;
    uint64_t version, text_seq;
    bool world;
};

struct model_record {
    enum record_kind kind;
    size_t n;
    uint64_t debit[POSTINGS], credit[POSTINGS], leg0;
    int64_t amount[POSTINGS], left[POSTINGS];
    bool text, erased, drawn_on;
};

/* A movement in the model's words. */
struct step {
    uint64_t debit, credit;
    int64_t amount;
};

struct expected {
    enum refusal refusal;
    uint64_t refuses; /* the account, 0 if none */
    int64_t declined_amount;
    struct step steps[POSTINGS];
    size_t n;
};

static uint64_t seed;
static struct model_account accounts[BENCH_ACCOUNTS + 1]; /* by number */
static uint64_t n_accounts;
static struct model_record *records; /* by seq */
static uint64_t n_records, max_records;
static int outcomes[400];
static int successes[16];

static uint64_t draw(uint64_t n)
{
    return check_below(&seed, n);
}

static bool one_in(uint64_t n)
{
    return draw(n) == 0;
}

static int64_t balance(uint64_t number)
{
    return accounts[number].posted * accounts[number].side;
}

/* --- what must come of it ----------------------------------------------------------------------------------
 */

static bool refuse(struct expected *e, enum refusal refusal, uint64_t account, int64_t amount)
{
    e->refusal = refusal;
    e->refuses = account;
    e->declined_amount = amount;
    return false;
}

static bool statuses_allow(struct expected *e)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct step *s = &e->steps[i];
        const struct model_account *debit = &accounts[s->debit], *credit = &accounts[s->credit];
        if (debit->status == ACCOUNT_CLOSED)
            return refuse(e, REFUSAL_ACCOUNT_CLOSED, s->debit, s->amount);
        if (credit->status == ACCOUNT_CLOSED)
            return refuse(e, REFUSAL_ACCOUNT_CLOSED, s->credit, s->amount);
        if (debit->status == ACCOUNT_FROZEN && debit->side == 1)
            return refuse(e, REFUSAL_ACCOUNT_FROZEN, s->debit, s->amount);
        if (credit->status == ACCOUNT_FROZEN && credit->side == -1)
            return refuse(e, REFUSAL_ACCOUNT_FROZEN, s->credit, s->amount);
    }
    return true;
}

static bool funds_allow(struct expected *e)
{
    wide posted[BENCH_ACCOUNTS + 1];
    for (uint64_t i = 1; i <= n_accounts; i++)
        posted[i] = accounts[i].posted;
    for (size_t i = 0; i < e->n; i++) {
        const uint64_t who[2] = {e->steps[i].debit, e->steps[i].credit};
        const wide after[2] = {posted[who[0]] - e->steps[i].amount, posted[who[1]] + e->steps[i].amount};
        for (int leg = 0; leg < 2; leg++) {
            const struct model_account *a = &accounts[who[leg]];
            bool worse = (after[leg] - posted[who[leg]]) * a->side < 0;
            if (worse && a->floor.present && after[leg] * a->side < a->floor.minor)
                return refuse(e, REFUSAL_INSUFFICIENT_FUNDS, who[leg], e->steps[i].amount);
        }
        for (int leg = 0; leg < 2; leg++)
            if (after[leg] > LIMIT_AMOUNT_MAX || after[leg] < -LIMIT_AMOUNT_MAX)
                return refuse(e, REFUSAL_BALANCE_LIMIT, who[leg], e->steps[i].amount);
        posted[who[0]] = after[0];
        posted[who[1]] = after[1];
    }
    return true;
}

/* --- commands ----------------------------------------------------------------------------------------------
 */

static const char *const codes[] = {NULL, "USD", "EUR"};

/* What one command draws: the command, and what it names in the model's numbers (0: something unknown). */
struct drawn {
    struct command command;
    struct posting postings[POSTINGS];
    struct expectation expects[2];
    uint64_t debit[POSTINGS], credit[POSTINGS], expect[2], account, seq;
    uint32_t asset[POSTINGS];
};

static uint64_t pick(uint32_t asset)
{
    uint64_t number;
    do
        number = 1 + draw(n_accounts);
    while (asset != 0 && accounts[number].asset != asset);
    return number;
}

static struct account_ref ref_of(const struct bench *bench, uint64_t number)
{
    if (number == 0)
        return one_in(2) ? (struct account_ref){.by = REF_BY_EXTERNAL_ID, .external_id = STR("nobody")}
                         : (struct account_ref){.by = REF_BY_ID, .id = uuid_make(5, 1 + draw(9), 12345)};
    if (accounts[number].world)
        return (struct account_ref){.by = REF_BY_WORLD, .currency = str_of(codes[accounts[number].asset])};
    return bench_ref(bench, number);
}

static int64_t draw_amount(uint64_t debit, uint64_t credit)
{
    if (debit != 0 && one_in(8) && balance(debit) > 0)
        return balance(debit);
    if (credit != 0 && one_in(8) && balance(credit) > 0)
        return balance(credit);
    if (one_in(60))
        return LIMIT_AMOUNT_MAX - (int64_t)draw(3);
    return 1 + (int64_t)draw(120);
}

static void draw_posting(struct bench *bench, struct drawn *d, size_t i)
{
    uint64_t debit = pick(0), credit = pick(one_in(12) ? 0 : accounts[debit].asset);
    uint32_t asset = one_in(40) ? 1 + (uint32_t)draw(2) : accounts[debit].asset;
    if (one_in(60))
        asset = 0;
    if (one_in(60))
        debit = 0;
    if (one_in(60))
        credit = 0;
    d->debit[i] = debit;
    d->credit[i] = credit;
    d->asset[i] = asset;
    d->postings[i] = (struct posting){
        .debit = ref_of(bench, debit),
        .credit = ref_of(bench, credit),
        .amount_minor = draw_amount(debit, credit),
        .currency = asset ? str_of(codes[asset]) : STR("NONE"),
        .wallet = one_in(2),
    };
}

static bool draw_time(struct bench *bench, struct command *command)
{
    if (one_in(4)) {
        command->has_effective_at = true;
        command->effective_at = bench->now - (int64_t)draw(50) + (one_in(8) ? 50 : 0);
    }
    return !command->has_effective_at || command->effective_at <= bench->now;
}

static bool expect_request(const struct drawn *d, struct expected *e, size_t n, bool time_ok)
{
    const struct command_post *post = &d->command.as.post;
    for (size_t i = 0; i < n; i++) {
        if (d->asset[i] == 0)
            return refuse(e, REFUSAL_ASSET_NOT_FOUND, 0, 0);
        if (d->debit[i] == 0 || d->credit[i] == 0)
            return refuse(e, REFUSAL_ACCOUNT_NOT_FOUND, 0, 0);
        if (d->debit[i] == d->credit[i])
            return refuse(e, REFUSAL_SAME_ACCOUNT, 0, 0);
        if (accounts[d->debit[i]].asset != d->asset[i] || accounts[d->credit[i]].asset != d->asset[i])
            return refuse(e, REFUSAL_CURRENCY_MISMATCH, 0, 0);
        if (d->postings[i].wallet && accounts[d->debit[i]].side + accounts[d->credit[i]].side == -2)
            return refuse(e, REFUSAL_DEBIT_NORMAL_PAIR, 0, 0);
    }
    for (size_t i = 0; i < post->n_expects; i++)
        if (d->expect[i] == 0)
            return refuse(e, REFUSAL_ACCOUNT_NOT_FOUND, 0, 0);
    if (post->has_balance_after && d->account == 0)
        return refuse(e, REFUSAL_ACCOUNT_NOT_FOUND, 0, 0);
    return time_ok || refuse(e, REFUSAL_EFFECTIVE_IN_FUTURE, 0, 0);
}

static bool expectations_allow(const struct drawn *d, struct expected *e)
{
    for (size_t i = 0; i < d->command.as.post.n_expects; i++) {
        const struct expectation *x = &d->expects[i];
        if (x->has_version && x->version != accounts[d->expect[i]].version)
            return refuse(e, REFUSAL_EXPECTED_VERSION, d->expect[i], 0);
        if (x->has_min_available && balance(d->expect[i]) < x->min_available_minor)
            return refuse(e, REFUSAL_EXPECTED_AVAILABLE, d->expect[i], 0);
    }
    return true;
}

static void draw_expectations(struct bench *bench, struct drawn *d)
{
    struct command_post *post = &d->command.as.post;
    post->expects = d->expects;
    post->n_expects = one_in(8) ? 1 + draw(2) : 0;
    for (size_t i = 0; i < post->n_expects; i++) {
        uint64_t number = one_in(30) ? 0 : pick(0);
        d->expect[i] = number;
        d->expects[i] = (struct expectation){.account = ref_of(bench, number),
            .has_version = one_in(2),
            .has_min_available = one_in(2),
            .version = accounts[number].version + (one_in(6) ? 1 : 0),
            .min_available_minor = number ? balance(number) + (one_in(4) ? 1 : 0) : 0};
    }
}

static void draw_post(struct bench *bench, struct drawn *d, struct expected *e)
{
    struct command_post *post = &d->command.as.post;
    d->command.op = COMMAND_POST;
    size_t n = one_in(3) ? 1 + draw(POSTINGS) : 1;
    for (size_t i = 0; i < n; i++)
        draw_posting(bench, d, i);
    post->postings = d->postings;
    post->n_postings = n;
    draw_expectations(bench, d);
    wide result = 0;
    if (one_in(12)) {
        d->account = one_in(20) ? 0 : one_in(2) ? d->debit[0] : pick(0);
        post->has_balance_after = true;
        post->balance_account = ref_of(bench, d->account);
        result = d->account ? balance(d->account) : 0;
        for (size_t i = 0; i < n && d->account; i++) {
            result += d->debit[i] == d->account
                          ? -(wide)d->postings[i].amount_minor * accounts[d->account].side
                          : 0;
            result += d->credit[i] == d->account
                          ? (wide)d->postings[i].amount_minor * accounts[d->account].side
                          : 0;
        }
        post->balance_after_minor = (int64_t)result + (one_in(2) ? 1 : 0);
    }
    bool time_ok = draw_time(bench, &d->command);
    if (!expect_request(d, e, n, time_ok))
        return;
    e->n = n;
    for (size_t i = 0; i < n; i++)
        e->steps[i] = (struct step){d->debit[i], d->credit[i], d->postings[i].amount_minor};
    if (!statuses_allow(e) || !expectations_allow(d, e) || !funds_allow(e))
        return;
    if (post->has_balance_after && result != post->balance_after_minor)
        refuse(e, REFUSAL_BALANCE_DIFFERS, 0, 0);
}

static void draw_reverse(struct bench *bench, struct drawn *d, struct expected *e)
{
    struct command_reverse *reverse = &d->command.as.reverse;
    d->command.op = COMMAND_REVERSE;
    uint64_t recent = n_records > 40 && !one_in(4) ? n_records - draw(40) : 1 + draw(n_records);
    d->seq = one_in(40) ? 0 : recent;
    reverse->transfer = d->seq ? bench_record(bench, d->seq)->id : uuid_make(1, 1 + draw(n_records), 99);
    bool time_ok = draw_time(bench, &d->command);
    const struct model_record *r = &records[d->seq];
    reverse->has_amount = one_in(2);
    reverse->amount_minor =
        1 + (int64_t)draw(r->n && !one_in(3) && r->left[0] > 0 ? (uint64_t)r->left[0] : 130);
    if (d->seq == 0 || !time_ok || r->kind != RECORD_TRANSFER || (reverse->has_amount && r->n > 1)) {
        refuse(e,
            d->seq == 0                  ? REFUSAL_TRANSFER_NOT_FOUND
            : !time_ok                   ? REFUSAL_EFFECTIVE_IN_FUTURE
            : r->kind != RECORD_TRANSFER ? REFUSAL_NOT_REVERSIBLE
                                         : REFUSAL_PARTIAL_OF_MANY,
            0, 0);
        return;
    }
    e->n = r->n;
    bool exceeds = reverse->has_amount && reverse->amount_minor > r->left[0];
    for (size_t i = 0; i < r->n; i++) {
        size_t from = r->n - 1 - i;
        int64_t amount = reverse->has_amount ? reverse->amount_minor : r->left[from];
        exceeds |= r->left[from] == 0;
        e->steps[i] = (struct step){r->credit[from], r->debit[from], amount};
    }
    if (!statuses_allow(e))
        return;
    if (exceeds)
        refuse(e, REFUSAL_REVERSAL_EXCEEDS, r->debit[0], reverse->has_amount ? reverse->amount_minor : 0);
    else
        funds_allow(e);
}

static void draw_revise(struct bench *bench, struct drawn *d, struct expected *e)
{
    struct command_revise *revise = &d->command.as.revise;
    d->command.op = COMMAND_REVISE_ACCOUNT;
    d->account = one_in(30) ? 0 : pick(0);
    const struct model_account *a = &accounts[d->account];
    *revise = (struct command_revise){.account = ref_of(bench, d->account),
        .has_status = one_in(2),
        .has_floor = one_in(4),
        .has_if_revision = one_in(4),
        .if_revision = a->revision + (one_in(4) ? 1 : 0),
        .status = one_in(4)   ? ACCOUNT_CLOSED
                  : one_in(4) ? ACCOUNT_FROZEN
                              : ACCOUNT_OPEN,
        .floor = {.present = one_in(2), .minor = (int64_t)draw(400) - 300}};
    revise->has_text = d->command.text.data != NULL;
    if (d->account == 0)
        refuse(e, REFUSAL_ACCOUNT_NOT_FOUND, 0, 0);
    else if (a->world)
        refuse(e, REFUSAL_WORLD_IMMUTABLE, 0, 0);
    else if (revise->has_if_revision && revise->if_revision != a->revision)
        refuse(e, REFUSAL_PRECONDITION_FAILED, d->account, 0);
    else if (revise->has_status && revise->status == ACCOUNT_CLOSED && a->posted != 0)
        refuse(e, REFUSAL_ACCOUNT_NOT_EMPTY, d->account, 0);
}

static void draw_open(struct bench *bench, struct drawn *d, struct expected *e)
{
    d->command.op = COMMAND_OPEN_ACCOUNT;
    bool unknown = one_in(4);
    bench->default_floor = (struct floor){one_in(2), 0};
    d->command.as.open = (struct command_open){.currency = unknown ? STR("NONE") : str_of(codes[1 + draw(2)]),
        .type = (enum account_type)(1 + draw(5)),
        .has_floor = one_in(2),
        .floor = {one_in(2), -(int64_t)draw(300)}};
    /* External ids name their account's number: the next one is free, one before is taken. */
    d->account = n_accounts + 1;
    if (n_accounts >= ACCOUNTS || (n_accounts > 2 && one_in(3)))
        do
            d->account = pick(0);
        while (accounts[d->account].world);
    d->command.as.open.external_id = arena_printf(&bench->arena, "user-%d", (int)d->account);
    if (unknown)
        refuse(e, REFUSAL_ASSET_NOT_FOUND, 0, 0);
    else if (d->account <= n_accounts)
        refuse(e, REFUSAL_EXTERNAL_ID_TAKEN, d->account, 0);
}

static void draw_erase(struct drawn *d, struct expected *e)
{
    d->command.op = COMMAND_ERASE;
    d->seq = one_in(10) ? n_records + 5 : 1 + draw(n_records);
    d->command.as.erase.seq = d->seq;
    if (d->seq > n_records)
        refuse(e, REFUSAL_TRANSFER_NOT_FOUND, 0, 0);
    else if (!records[d->seq].text || records[d->seq].erased)
        refuse(e, REFUSAL_NOTHING_TO_ERASE, 0, 0);
}

static void draw_command(struct bench *bench, struct drawn *d, struct expected *e)
{
    *d = (struct drawn){0};
    *e = (struct expected){0};
    d->command.random = (uint32_t)check_random(&seed);
    if (one_in(3))
        d->command.text = STR("{\"name\":\"x\"}");
    if (one_in(2)) {
        d->command.idempotency_key = STR("key");
        memset(d->command.request_hash, (int)draw(256), HASH_LEN);
    }
    if (one_in(4)) {
        d->command.has_trace = true;
        d->command.trace_sampled = draw(2);
        memset(d->command.trace_id, 1 + (int)draw(255), TRACE_ID_LEN);
    }
    d->command.salt[0] = (uint8_t)draw(256);
    uint64_t what = draw(100);
    if (n_accounts < 4 || what < 4)
        draw_open(bench, d, e);
    else if (what < 10)
        draw_revise(bench, d, e);
    else if (what < 12)
        draw_erase(d, e);
    else if (what < 30)
        draw_reverse(bench, d, e);
    else
        draw_post(bench, d, e);
}

/* --- the record against the model --------------------------------------------------------------------------
 */

static bool same_floor(struct floor a, struct floor b)
{
    return a.present == b.present && (!a.present || a.minor == b.minor);
}

/* I4, I5, I6 for one entry; moves the model on by it. */
static void check_entry(const char *name, const struct record *r, size_t leg)
{
    const struct entry *entry = &r->entries[leg];
    struct model_account *a = &accounts[entry->account];
    CHECK_INT(name, entry->leg, leg);
    CHECK_INT(name, entry->version, a->version + 1);
    CHECK_INT(name, entry->asset, a->asset);
    CHECK_INT(name, entry->side, a->side);
    CHECK_INT(name, entry->revision, a->revision);
    CHECK(name, same_floor(entry->floor, a->floor));
    CHECK(name, (wide)a->posted + entry->change.posted == entry->after.posted);
    CHECK(name, entry->change.incoming == 0 && entry->change.outgoing == 0);
    CHECK(name, entry->after.incoming == 0 && entry->after.outgoing == 0);
    CHECK(name, !a->floor.present || entry->after.posted * a->side >= a->floor.minor ||
                    entry->change.posted * a->side >= 0);
    CHECK(name, entry->after.posted <= LIMIT_AMOUNT_MAX && entry->after.posted >= -LIMIT_AMOUNT_MAX);
    CHECK_INT(name, uuid_counter(entry->account_id), entry->account);
    CHECK_INT(name, entry->backdated, r->effective_at < r->recorded_at && entry->change.posted != 0);
    CHECK_INT(name, entry->effective_at, r->effective_at);
    a->version = entry->version;
    a->posted = entry->after.posted;
}

/* I1, I2, I3 and what every record carries over from its command. */
static void check_frame(
    const char *name, const struct record *r, const struct drawn *d, const struct bench *bench)
{
    CHECK_INT(name, r->seq, n_records + 1);
    CHECK_INT(name, uuid_counter(r->id), r->seq);
    CHECK_INT(name, r->recorded_at, bench->now);
    CHECK_INT(name, r->format, RECORD_FORMAT);
    CHECK(name, r->n_entries >= 1);
    wide sums[3] = {0};
    for (size_t i = 0; i < r->n_entries; i++)
        sums[r->entries[i].asset] += r->entries[i].change.posted;
    CHECK(name, sums[1] == 0 && sums[2] == 0);
    CHECK_STR(name, r->idempotency_key, d->command.idempotency_key);
    CHECK(name, d->command.idempotency_key.data == NULL ||
                    memcmp(r->request_hash, d->command.request_hash, HASH_LEN) == 0);
    CHECK_INT(name, r->has_trace, d->command.has_trace);
    CHECK(name, memcmp(r->trace_id, d->command.trace_id, TRACE_ID_LEN) == 0);
    if (r->has_trace)
        CHECK_INT(name, r->id.bytes[15] & 1, d->command.trace_sampled);
    CHECK_INT(name, r->text.present, d->command.text.data != NULL);
    CHECK_STR(name, r->text.body, d->command.text);
    CHECK(name, !r->text.present || r->text.salt[0] == d->command.salt[0]);
}

static void check_moved(const char *name, const struct record *r, const struct expected *e)
{
    CHECK_INT(name, r->n_entries, 2 * e->n);
    for (size_t i = 0; i < e->n; i++) {
        CHECK_INT(name, r->entries[2 * i].account, e->steps[i].debit);
        CHECK_INT(name, r->entries[2 * i].change.posted, -e->steps[i].amount);
        CHECK_INT(name, r->entries[2 * i + 1].account, e->steps[i].credit);
        CHECK_INT(name, r->entries[2 * i + 1].change.posted, e->steps[i].amount);
    }
}

static void check_lots(const char *name, const struct record *r, uint64_t seq)
{
    struct model_record *original = &records[seq];
    size_t at = 0;
    for (size_t leg = 0; leg < 2 * original->n; leg++) {
        size_t i = leg / 2;
        uint64_t account = leg % 2 ? original->credit[i] : original->debit[i];
        int64_t x = r->entries[2 * (original->n - 1 - i) + 1].change.posted;
        if (!original->drawn_on) {
            const struct lot *first = &r->lots[at++];
            CHECK(name, first->origin == seq && first->leg == leg && first->version == 1);
            CHECK(
                name, first->change == original->amount[i] && first->remaining_after == original->amount[i]);
            CHECK(name, first->account == account && first->kind == LOT_REFUNDABLE && !first->has_due);
        }
        const struct lot *lot = &r->lots[at++];
        CHECK(name, lot->origin == seq && lot->leg == leg && lot->account == account && lot->version >= 2);
        CHECK(name,
            lot->change == -x && lot->remaining_after == original->left[i] - x && lot->remaining_after >= 0);
        CHECK(name, lot->kind == LOT_REFUNDABLE);
    }
    CHECK_INT(name, r->n_lots, at);
    for (size_t i = 0; i < original->n; i++)
        original->left[i] -= r->entries[2 * (original->n - 1 - i) + 1].change.posted;
    original->drawn_on = true;
}

/* The first entry of an account, or one of a new revision: the model learns of it before the entry is
 * checked. */
static void model_revise(
    const char *name, const struct record *r, const struct drawn *d, const struct bench *bench)
{
    const struct revision_row *row = r->revisions;
    CHECK_INT(name, r->n_revisions, 1);
    if (r->kind == RECORD_OPENING) {
        const struct command_open *open = &d->command.as.open;
        CHECK_INT(name, r->account->number, n_accounts + 1);
        CHECK(name, r->account->opened_seq == r->seq && r->account->type == open->type);
        CHECK_STR(name, str_of(codes[r->account->asset]), open->currency);
        CHECK_STR(name, r->account->external_id, open->external_id);
        CHECK(name, !uuid_eq(r->account->id, r->id) && uuid_counter(r->account->id) == r->account->number);
        n_accounts++;
        accounts[n_accounts] = (struct model_account){.asset = r->account->asset,
            .side = open->type == ACCOUNT_ASSET || open->type == ACCOUNT_EXPENSE ? -1 : 1,
            .revision = 1,
            .floor = open->has_floor ? open->floor : bench->default_floor,
            .status = ACCOUNT_OPEN};
    } else {
        const struct command_revise *revise = &d->command.as.revise;
        struct model_account *a = &accounts[d->account];
        a->revision++;
        a->status = revise->has_status ? revise->status : a->status;
        a->floor = revise->has_floor ? revise->floor : a->floor;
    }
    struct model_account *a = &accounts[row->account];
    a->text_seq = d->command.text.data != NULL ? r->seq : a->text_seq;
    CHECK_INT(name, row->account, d->account);
    CHECK_INT(name, row->revision, a->revision);
    CHECK_INT(name, row->status, a->status);
    CHECK_INT(name, row->text_seq, a->text_seq);
    CHECK(name, same_floor(row->floor, a->floor));
}

static enum record_kind kind_of(const struct drawn *d, const struct expected *e)
{
    static const enum record_kind kinds[] = {[COMMAND_OPEN_ACCOUNT] = RECORD_OPENING,
        [COMMAND_REVISE_ACCOUNT] = RECORD_REVISION,
        [COMMAND_POST] = RECORD_TRANSFER,
        [COMMAND_REVERSE] = RECORD_REVERSAL,
        [COMMAND_ERASE] = RECORD_ERASURE};
    return e->refusal == REFUSAL_NONE ? kinds[d->command.op] : RECORD_DECLINED;
}

static void remember(const struct record *r, const struct expected *e)
{
    assert_true(r->seq <= max_records);
    n_records = r->seq;
    records[r->seq] = (struct model_record){.kind = r->kind,
        .n = r->kind == RECORD_TRANSFER ? e->n : 0,
        .leg0 = r->entries[0].account,
        .text = r->text.present};
    for (size_t i = 0; i < records[r->seq].n; i++) {
        records[r->seq].debit[i] = e->steps[i].debit;
        records[r->seq].credit[i] = e->steps[i].credit;
        records[r->seq].amount[i] = records[r->seq].left[i] = e->steps[i].amount;
    }
}

static void check_record(const char *name, const struct record *r, const struct drawn *d,
    const struct expected *e, const struct bench *bench)
{
    CHECK_INT(name, r->kind, kind_of(d, e));
    check_frame(name, r, d, bench);
    bool moves = r->kind == RECORD_TRANSFER || r->kind == RECORD_REVERSAL;
    CHECK_INT(
        name, r->effective_at, moves && d->command.has_effective_at ? d->command.effective_at : bench->now);
    CHECK_INT(name, r->related_seq,
        d->command.op == COMMAND_REVERSE || d->command.op == COMMAND_ERASE ? d->seq : 0);
    CHECK_INT(name, r->refusal, e->refusal);
    CHECK_INT(name, r->declined_amount, e->declined_amount);
    CHECK(name, (r->account != NULL) == (r->kind == RECORD_OPENING));
    if (r->kind == RECORD_OPENING || r->kind == RECORD_REVISION)
        model_revise(name, r, d, bench);
    else
        CHECK_INT(name, r->n_revisions, 0);
    if (moves)
        check_moved(name, r, e);
    else {
        CHECK_INT(name, r->n_entries, 1);
        CHECK_INT(name, r->entries[0].change.posted, 0);
        CHECK(name, r->kind != RECORD_DECLINED || r->entries[0].account == e->refuses);
        CHECK(name, r->kind != RECORD_ERASURE || r->entries[0].account == records[d->seq].leg0);
    }
    for (size_t i = 0; i < r->n_entries; i++)
        check_entry(name, r, i);
    if (r->kind == RECORD_REVERSAL)
        check_lots(name, r, d->seq);
    else
        CHECK_INT(name, r->n_lots, 0);
    if (r->kind == RECORD_ERASURE)
        records[d->seq].erased = true;
    remember(r, e);
}

static void open_world(struct bench *bench, uint32_t asset)
{
    struct command cause = {.random = (uint32_t)check_random(&seed)};
    struct posting posting = {.debit = {.by = REF_BY_WORLD, .currency = str_of(codes[asset])},
        .credit = {.by = REF_BY_EXTERNAL_ID, .external_id = STR("nobody")},
        .amount_minor = 1,
        .currency = str_of(codes[asset])};
    cause.op = COMMAND_POST;
    cause.as.post = (struct command_post){.postings = &posting, .n_postings = 1};
    struct decision decision;
    bench_run(bench, &cause, &decision);
    assert_int_equal(decision.refusal, REFUSAL_ACCOUNT_NOT_FOUND);
    const struct record *r = bench_record(bench, n_records + 1);
    assert_non_null(r);
    n_accounts++;
    accounts[n_accounts] = (struct model_account){
        .asset = asset, .side = 1, .revision = 1, .status = ACCOUNT_OPEN, .world = true};
    check_entry("@world", r, 0);
    remember(r, &(struct expected){0});
}

static void check_reached(void)
{
    static const struct {
        int refusal, least;
    } refusals[] = {{REFUSAL_ASSET_NOT_FOUND, 50}, {REFUSAL_ACCOUNT_NOT_FOUND, 50},
        {REFUSAL_TRANSFER_NOT_FOUND, 50}, {REFUSAL_SAME_ACCOUNT, 50}, {REFUSAL_CURRENCY_MISMATCH, 50},
        {REFUSAL_DEBIT_NORMAL_PAIR, 50}, {REFUSAL_EFFECTIVE_IN_FUTURE, 50}, {REFUSAL_NOT_REVERSIBLE, 50},
        {REFUSAL_PARTIAL_OF_MANY, 50}, {REFUSAL_NOTHING_TO_ERASE, 50}, {REFUSAL_BALANCE_DIFFERS, 20},
        {REFUSAL_WORLD_IMMUTABLE, 20}, {REFUSAL_EXTERNAL_ID_TAKEN, 50}, {REFUSAL_PRECONDITION_FAILED, 20},
        {REFUSAL_ACCOUNT_NOT_EMPTY, 20}, {REFUSAL_ACCOUNT_CLOSED, 20}, {REFUSAL_ACCOUNT_FROZEN, 50},
        {REFUSAL_EXPECTED_VERSION, 20}, {REFUSAL_EXPECTED_AVAILABLE, 20}, {REFUSAL_REVERSAL_EXCEEDS, 50},
        {REFUSAL_INSUFFICIENT_FUNDS, 200}, {REFUSAL_BALANCE_LIMIT, 20}};
    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        CHECK(refusal_info((enum refusal)refusals[i].refusal)->name,
            outcomes[refusals[i].refusal] >= refusals[i].least);
    CHECK("transfers", successes[RECORD_TRANSFER] >= 5000);
    CHECK("reversals", successes[RECORD_REVERSAL] >= 500);
    CHECK("revisions", successes[RECORD_REVISION] >= 500);
    CHECK("erasures", successes[RECORD_ERASURE] >= 50);
    CHECK("openings", successes[RECORD_OPENING] >= 8);
}

static void test_against_the_model(void **state)
{
    (void)state;
    const char *from = getenv("DECIDE_SEED"), *count = getenv("DECIDE_STEPS");
    seed = from ? strtoull(from, NULL, 10) : 20260131;
    int steps = count ? atoi(count) : 30000;
    print_message("# seed %" PRIu64 ", %d steps\n", seed, steps);
    struct bench bench;
    bench_init(&bench);
    max_records = (uint64_t)steps + 2;
    records = calloc(max_records + 1, sizeof *records);
    assert_non_null(records);
    open_world(&bench, 1);
    open_world(&bench, 2);
    for (int step = 0; step < steps; step++) {
        struct drawn d;
        struct expected e;
        bench.now += (int64_t)draw(20);
        draw_command(&bench, &d, &e);
        struct decision decision;
        bench_run(&bench, &d.command, &decision);
        const struct refusal_info *want = refusal_info(e.refusal);
        char name[80];
        snprintf(
            name, sizeof name, "step %d, op %d, %s", step, (int)d.command.op, want ? want->name : "done");
        CHECK_INT(name, decision.refusal, e.refusal);
        outcomes[e.refusal]++;
        CHECK_INT(name, decision.record != NULL, want == NULL || want->kind == REFUSAL_KIND_STATE);
        if (decision.record != NULL)
            check_record(name, decision.record, &d, &e, &bench);
        if (want == NULL)
            successes[decision.record->kind]++;
        CHECK_INT(name, bench.n_rows, n_records);
    }
    wide sums[3] = {0};
    for (uint64_t i = 1; i <= n_accounts; i++) {
        sums[accounts[i].asset] += accounts[i].posted;
        CHECK_INT("heads at the end", bench.accounts[i - 1].balance.posted, accounts[i].posted);
        CHECK_INT("heads at the end", bench.accounts[i - 1].version, accounts[i].version);
    }
    assert_true(sums[1] == 0 && sums[2] == 0);
    if (count == NULL && from == NULL)
        check_reached();
    free(records);
    bench_fini(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
