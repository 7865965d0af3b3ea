/*
 * Several processes on one journal, in random order: commands to any of them, outcomes that arrive late, commits that
 * happen late, keys sent again to another process, and appends and reads that fail or whose outcome is unknown.
 *
 * What must hold, seen by a reader that shares nothing with the engines: whoever was answered finds the record in the
 * journal at that moment (I9); a key has one record, and every definite answer to it is that one (I8); what was said to
 * have failed is not there; each record is what had to be decided at its place (funds, frozen accounts, what was left to
 * reverse), declines included; a dry run was right at some moment between its question and its answer; the auditor finds
 * nothing (I1 to I6, I10).
 *
 * A failure prints its seed; CREDITLEDGER_TEST_SEED=n runs that one alone, CREDITLEDGER_TEST_SEEDS=n runs as many.
 */
#include "base/check.h"

#include "app/verify.h"
#include "support/rig.h"
#include "telemetry/log.h"

#define PROCESSES_MAX 3
#define LEDGERS 2
#define ACCOUNTS 4 /* of a ledger, besides @world, which the first of them makes appear */
#define WORLD 2    /* its number */
#define FUNDS 100
#define STEPS 250
#define REQUESTS 600
#define RECORDS 800

/* What a client asked, and what it was told; a request with a key may be sent several times. */
struct request {
    struct command command;
    struct posting posting;
    struct submission submission;
    struct answer answer;
    struct run *run;
    int process;
    uint64_t head_before, head_after; /* of its ledger, when it was sent and when it was answered */
    size_t ledger, from, to;
    int64_t amount;
    bool waiting, answered, repeated;
};

struct state {
    int64_t balance[ACCOUNTS + 2]; /* by number; a credit is positive */
    bool frozen[ACCOUNTS + 2];
};

struct run {
    uint64_t seed, dice;
    struct arena arena;
    struct digest *digest;
    struct rig rigs[PROCESSES_MAX];
    size_t n_rigs;
    struct request requests[REQUESTS];
    size_t n_requests, n_waiting, keys;
    struct state states[LEDGERS][RECORDS + 1]; /* after record seq */
    bool ended;
};

static struct {
    unsigned done, declined, replayed, dry, failed, unknown, conflicts, held, restarts;
} seen;

static const char *const ledger_names[] = {"main", "shop"};

#define FAIL(r, ...) \
    do { \
        char text_[600]; \
        snprintf(text_, sizeof text_, __VA_ARGS__); \
        fail_msg("seed %" PRIu64 ": %s\n  CREDITLEDGER_TEST_SEED=%" PRIu64 " runs it again", (r)->seed, \
            text_, (r)->seed); \
    } while (0)

static uint64_t draw(struct run *r, uint64_t n)
{
    return check_below(&r->dice, n);
}

static bool one_in(struct run *r, uint64_t n)
{
    return draw(r, n) == 0;
}

static struct journal *reader(struct run *r)
{
    return r->rigs[0].reader;
}

static uint64_t head_of(struct run *r, size_t ledger)
{
    struct ledger_head head;
    assert_int_equal(reader(r)->ops->head(reader(r), (uint32_t)ledger + 1, &head, NULL), 0);
    return head.seq;
}

/* --- requests */

static bool is_definite(const struct answer *a)
{
    return a->record != NULL;
}

static void on_done(struct submission *s)
{
    struct request *q = (struct request *)(uintptr_t)((char *)s - offsetof(struct request, submission));
    struct run *r = q->run;
    const struct answer *a = &q->answer;
    if (!q->waiting)
        FAIL(r, "answered twice");
    q->waiting = false;
    q->answered = true;
    q->head_after = head_of(r, q->ledger);
    r->n_waiting--;
    seen.done += a->refusal == REFUSAL_NONE && !a->dry_run;
    seen.replayed += a->replayed;
    seen.failed += a->refusal == REFUSAL_STORAGE_UNAVAILABLE;
    seen.unknown += a->refusal == REFUSAL_OUTCOME_UNKNOWN;
    if (a->refusal == REFUSAL_INTERNAL || a->refusal == REFUSAL_JOURNAL_BEHIND)
        FAIL(r, "refusal %d", (int)a->refusal);
    if (!is_definite(a) || a->dry_run)
        return;
    const struct record *record;
    if (reader(r)->ops->record(
            reader(r), (uint32_t)q->ledger + 1, a->record->seq, false, &r->arena, &record, NULL) != 0 ||
        !uuid_eq(record->id, a->record->id))
        FAIL(r, "I9: record %" PRIu64 " was answered and is not in the journal", a->record->seq);
}

static struct account_ref account_ref(struct run *r, size_t number)
{
    return (struct account_ref){
        .by = REF_BY_EXTERNAL_ID, .external_id = arena_printf(&r->arena, "account-%zu", number)};
}

static struct request *new_request(struct run *r, size_t ledger)
{
    struct request *q = &r->requests[r->n_requests++];
    *q = (struct request){.run = r, .ledger = ledger, .command = {.ledger = str_of(ledger_names[ledger])}};
    return q;
}

static void send(struct run *r, struct request *q, size_t process)
{
    q->process = (int)process;
    q->submission = (struct submission){
        .commands = &q->command, .answers = &q->answer, .n = 1, .arena = &r->arena, .done = on_done};
    q->waiting = true;
    q->head_before = head_of(r, q->ledger);
    digest_command(r->digest, &q->command);
    r->n_waiting++;
    assert_int_equal(engine_submit(r->rigs[process].engine, &q->submission), REFUSAL_NONE);
}

static void give_key(struct run *r, struct request *q)
{
    q->command.idempotency_key = arena_printf(&r->arena, "key-%zu", r->keys++);
}

static size_t account_at(size_t i)
{
    return i == 0 ? 1 : i + 2;
}

static void ask_transfer(struct run *r, struct request *q)
{
    size_t from = draw(r, ACCOUNTS);
    q->from = account_at(from);
    q->to = account_at((from + 1 + draw(r, ACCOUNTS - 1)) % ACCOUNTS);
    q->amount = (int64_t)(1 + draw(r, 60));
    q->posting = (struct posting){.debit = account_ref(r, q->from),
        .credit = account_ref(r, q->to),
        .amount_minor = q->amount,
        .currency = STR("USD"),
        .wallet = true};
    q->command.op = COMMAND_POST;
    q->command.as.post = (struct command_post){.postings = &q->posting, .n_postings = 1};
    q->command.dry_run = one_in(r, 8);
}

static void ask_status(struct run *r, struct request *q)
{
    q->from = account_at(draw(r, ACCOUNTS));
    q->command.op = COMMAND_REVISE_ACCOUNT;
    q->command.as.revise = (struct command_revise){.account = account_ref(r, q->from),
        .has_status = true,
        .status = one_in(r, 3) ? ACCOUNT_FROZEN : ACCOUNT_OPEN};
}

/* Of a transfer that some process has answered; false: there is none. */
static bool ask_reversal(struct run *r, struct request *q)
{
    for (int tries = 0; tries < 10; tries++) {
        const struct request *other = &r->requests[draw(r, r->n_requests)];
        const struct answer *a = &other->answer;
        if (!other->answered || !is_definite(a) || a->dry_run || a->record->kind != RECORD_TRANSFER)
            continue;
        q->ledger = other->ledger;
        q->command = (struct command){.op = COMMAND_REVERSE,
            .ledger = other->command.ledger,
            .as.reverse = {.transfer = a->record->id, .has_amount = one_in(r, 2), .amount_minor = 1}};
        return true;
    }
    return false;
}

/* The same request and key again, perhaps while the first is on its way, perhaps to another process. */
static bool repeat(struct run *r, struct request *q)
{
    const struct request *other = &r->requests[draw(r, r->n_requests)];
    if (other == q || other->command.idempotency_key.data == NULL)
        return false;
    q->ledger = other->ledger, q->from = other->from, q->to = other->to, q->amount = other->amount;
    q->posting = other->posting;
    q->command = other->command;
    q->repeated = true;
    if (q->command.op == COMMAND_POST)
        q->command.as.post.postings = &q->posting;
    return true;
}

static void ask(struct run *r)
{
    if (r->n_requests == REQUESTS)
        return;
    struct request *q = new_request(r, one_in(r, 3));
    uint64_t what = draw(r, 10);
    if ((what == 0 && ask_reversal(r, q)) || (what <= 2 && repeat(r, q)))
        what = 0;
    else if (what == 3)
        ask_status(r, q);
    else
        ask_transfer(r, q);
    if (!q->repeated && !one_in(r, 4))
        give_key(r, q);
    send(r, q, draw(r, r->n_rigs));
}

/* --- life */

static void settle(struct run *r)
{
    for (size_t i = 0; i < r->n_rigs; i++) {
        struct rig *rig = &r->rigs[i];
        rig->outcome_waits = rig->commits_late = false;
        rig->fault = RIG_SOUND;
        rig->appends_fail = rig->reads_until_fail = 0;
    }
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 0; i < r->n_rigs; i++)
            moved |= engine_step(r->rigs[i].engine);
    }
}

static void must(struct run *r, size_t process, size_t ledger, struct command command)
{
    struct request *q = new_request(r, ledger);
    q->command = command;
    send(r, q, process);
    settle(r);
    if (q->answer.refusal != REFUSAL_NONE)
        FAIL(r, "cannot begin: refusal %d", (int)q->answer.refusal);
}

static void begin_ledger(struct run *r, size_t ledger)
{
    struct str name = str_of(ledger_names[ledger]);
    for (size_t i = 0; i < ACCOUNTS; i++) {
        struct posting *funds = ARENA_NEW(&r->arena, struct posting);
        *funds = (struct posting){.debit = {.by = REF_BY_WORLD, .currency = STR("USD")},
            .credit = account_ref(r, account_at(i)),
            .amount_minor = FUNDS,
            .currency = STR("USD")};
        must(r, draw(r, r->n_rigs), ledger,
            (struct command){.op = COMMAND_OPEN_ACCOUNT,
                .ledger = name,
                .as.open = {.currency = STR("USD"),
                    .type = ACCOUNT_LIABILITY,
                    .external_id = account_ref(r, account_at(i)).external_id,
                    .has_floor = true,
                    .floor = {true, 0}}});
        must(r, draw(r, r->n_rigs), ledger,
            (struct command){
                .op = COMMAND_POST, .ledger = name, .as.post = {.postings = funds, .n_postings = 1}});
    }
}

static void run_begin(struct run *r, uint64_t seed)
{
    static const size_t caches[] = {1, 3, 0}, commits[] = {1, 4, 0};
    struct err err = {0};
    memset(r, 0, sizeof *r);
    r->seed = seed;
    r->dice = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    r->n_rigs = 1 + draw(r, PROCESSES_MAX);
    arena_init(&r->arena, 65536);
    r->digest = digest_new();
    char url[64];
    snprintf(url, sizeof url, "memory:shared-property-%d", (int)getpid());
    struct rig_options options = {.url = arena_str(&r->arena, str_of(url)).data,
        .now = INT64_C(1767225600000000),
        .cache_accounts = caches[draw(r, 3)],
        .commit_commands = commits[draw(r, 3)],
        .shared = true};
    for (size_t i = 0; i < r->n_rigs; i++) {
        options.seed = seed * PROCESSES_MAX + i;
        if (rig_open(&r->rigs[i], &options, &err) != 0)
            FAIL(r, "%s", err.message);
    }
    begin_ledger(r, 0);
    must(r, draw(r, r->n_rigs), 0,
        (struct command){
            .op = COMMAND_CREATE_LEDGER, .ledger = STR("main"), .as.create_ledger = {.name = STR("shop")}});
    begin_ledger(r, 1);
}

static void run_end(struct run *r)
{
    for (size_t i = 0; i < r->n_rigs; i++)
        engine_stop(r->rigs[i].engine);
    for (size_t i = 0; i < r->n_rigs; i++)
        rig_close(&r->rigs[i]);
    digest_free(r->digest);
    arena_fini(&r->arena);
}

static void change_weather(struct run *r, struct rig *rig)
{
    static const int codes[] = {ERR_IO, ERR_FULL, ERR_BUSY, ERR_TIMEOUT, ERR_UNKNOWN, ERR_UNKNOWN};
    rig->outcome_waits = one_in(r, 2);
    rig->commits_late = one_in(r, 2);
    rig->fault = RIG_SOUND;
    rig->reads_until_fail = one_in(r, 12) ? 1 + (unsigned)draw(r, 8) : 0;
    if (!one_in(r, 4))
        return;
    rig->fault_code = codes[draw(r, COUNT_OF(codes))];
    rig->appends_fail = 1 + (unsigned)draw(r, one_in(r, 4) ? 100 : 4);
    rig->fault = rig->fault_code == ERR_UNKNOWN && one_in(r, 2) ? RIG_OUTCOME_UNKNOWN : RIG_APPEND_FAILS;
}

/* A process ends as it does on SIGTERM, and another takes its place. */
static void restart(struct run *r, struct rig *rig)
{
    struct err err;
    rig->fault = RIG_SOUND;
    rig->reads_until_fail = 0;
    engine_stop(rig->engine);
    if (rig_restart(rig, &err) != 0)
        FAIL(r, "%s", err.message);
    seen.restarts++;
}

static void live(struct run *r)
{
    for (int i = 0; i < STEPS; i++) {
        struct rig *rig = &r->rigs[draw(r, r->n_rigs)];
        rig->clock += (int64_t)draw(r, 1000);
        if (one_in(r, 5))
            change_weather(r, rig);
        else if (one_in(r, 60))
            restart(r, rig);
        else if (one_in(r, 2))
            ask(r);
        else
            (void)engine_step(rig->engine);
    }
    settle(r);
    if (r->n_waiting > 0)
        FAIL(r, "%zu were never answered", r->n_waiting);
}

/* Who does not know what became of a request sends it again. */
static void ask_again(struct run *r)
{
    size_t n = r->n_requests;
    for (size_t i = 0; i < n && r->n_requests < REQUESTS; i++) {
        const struct request *old = &r->requests[i];
        if (old->command.idempotency_key.data == NULL || is_definite(&old->answer) || old->command.dry_run)
            continue;
        if (old->answer.refusal != REFUSAL_STORAGE_UNAVAILABLE &&
            old->answer.refusal != REFUSAL_OUTCOME_UNKNOWN)
            continue;
        struct request *q = new_request(r, old->ledger);
        q->from = old->from, q->to = old->to, q->amount = old->amount;
        q->command = old->command;
        q->repeated = true;
        send(r, q, draw(r, r->n_rigs));
        settle(r);
        if (!is_definite(&q->answer))
            FAIL(r, "refusal %d of what is sent again", (int)q->answer.refusal);
    }
}

/* --- what had to be */

static void check_decline(struct run *r, const struct record *record, const struct state *before)
{
    uint64_t account = record->entries[0].account;
    bool right = true;
    if (record->refusal == REFUSAL_INSUFFICIENT_FUNDS)
        right = before->balance[account] < record->declined_amount;
    else if (record->refusal == REFUSAL_ACCOUNT_FROZEN)
        right = before->frozen[account];
    if (!right)
        FAIL(r, "record %" PRIu64 " of ledger %u declines with %u what was possible", record->seq,
            record->ledger, record->refusal);
    seen.declined++;
}

static void check_record(struct run *r, size_t ledger, const struct record *record)
{
    const struct state *before = &r->states[ledger][record->seq - 1];
    struct state *after = &r->states[ledger][record->seq];
    *after = *before;
    if (record->kind == RECORD_DECLINED)
        check_decline(r, record, before);
    for (size_t i = 0; i < record->n_entries; i++) {
        const struct entry *e = &record->entries[i];
        after->balance[e->account] += e->change.posted;
        bool lowers = e->change.posted < 0 && e->account != WORLD;
        if (e->after.posted != after->balance[e->account] || (lowers && e->after.posted < 0) ||
            (lowers && before->frozen[e->account]))
            FAIL(r, "record %" PRIu64 " of ledger %u takes what account %" PRIu64 " may not give",
                record->seq, record->ledger, e->account);
    }
    for (size_t i = 0; i < record->n_revisions; i++)
        after->frozen[record->revisions[i].account] = record->revisions[i].status == ACCOUNT_FROZEN;
}

static void check_ledger(struct run *r, size_t ledger)
{
    uint64_t head = head_of(r, ledger);
    if (head > RECORDS)
        FAIL(r, "%" PRIu64 " records", head);
    for (uint64_t seq = 1; seq <= head; seq++) {
        const struct record *record;
        assert_int_equal(
            reader(r)->ops->record(reader(r), (uint32_t)ledger + 1, seq, false, &r->arena, &record, NULL), 0);
        check_record(r, ledger, record);
    }
}

static bool possible(const struct state *s, const struct request *q)
{
    return !s->frozen[q->from] && s->balance[q->from] >= q->amount;
}

/* A replay of another first answer is right too; this looks at those that were decided. */
static void check_dry_run(struct run *r, const struct request *q)
{
    enum refusal refusal = q->answer.refusal;
    if (q->answer.replayed || refusal == REFUSAL_STORAGE_UNAVAILABLE)
        return;
    for (uint64_t seq = q->head_before; seq <= q->head_after; seq++)
        if (possible(&r->states[q->ledger][seq], q) == (refusal == REFUSAL_NONE))
            return;
    FAIL(r, "a dry run was told %d, which was never right between %" PRIu64 " and %" PRIu64, (int)refusal,
        q->head_before, q->head_after);
}

static void check_keys(struct run *r, const struct request *q)
{
    struct key_want want = {.ledger = (uint32_t)q->ledger + 1, .key = q->command.idempotency_key};
    assert_int_equal(reader(r)->ops->keys_fetch(reader(r), &want, 1, NULL), 0);
    if (is_definite(&q->answer) && !q->command.dry_run && (!want.found || want.seq != q->answer.record->seq))
        FAIL(r, "I8: key " STR_FMT " is record %" PRIu64 ", its client was told %" PRIu64, STR_ARG(want.key),
            want.seq, q->answer.record->seq);
    if (want.found && q->command.dry_run && !q->answer.replayed && q->answer.record != NULL && !q->repeated)
        FAIL(r, "a dry run is in the journal");
}

static void check_failed(struct run *r, const struct request *q)
{
    struct key_want want = {.ledger = (uint32_t)q->ledger + 1, .key = q->command.idempotency_key};
    assert_int_equal(reader(r)->ops->keys_fetch(reader(r), &want, 1, NULL), 0);
    for (size_t i = 0; i < r->n_requests; i++)
        if (&r->requests[i] != q && str_eq(r->requests[i].command.idempotency_key, want.key))
            return; /* sent again */
    if (want.found)
        FAIL(r, "what was said to have failed is record %" PRIu64, want.seq);
}

static void on_fault(void *ctx, const struct verify_fault *fault)
{
    struct run *r = ctx;
    FAIL(r, "verify: %s ledger %s seq %" PRIu64 ": %s", fault->invariant, fault->ledger, fault->seq,
        fault->message);
}

static void check_all(struct run *r)
{
    for (size_t i = 0; i < r->n_requests; i++)
        if (r->requests[i].command.idempotency_key.data != NULL &&
            r->requests[i].answer.refusal == REFUSAL_STORAGE_UNAVAILABLE)
            check_failed(r, &r->requests[i]);
    ask_again(r);
    for (size_t i = 0; i < LEDGERS; i++)
        check_ledger(r, i);
    for (size_t i = 0; i < r->n_requests; i++) {
        const struct request *q = &r->requests[i];
        if (q->command.idempotency_key.data != NULL)
            check_keys(r, q);
        if (q->command.dry_run)
            check_dry_run(r, q);
        seen.dry += q->command.dry_run;
    }
    const struct verify_options options = {.fault = on_fault, .ctx = r};
    struct verify_counts counts;
    struct err err;
    if (verify_journal(reader(r), &options, &counts, &err) != 0)
        FAIL(r, "verify: %s", err.message);
}

static uint64_t number_of(const char *variable, uint64_t usual)
{
    const char *text = getenv(variable);
    uint64_t n;
    return text != NULL && str_to_uint64(str_of(text), &n) ? n : usual;
}

static void processes_in_any_order(void **state)
{
    (void)state;
    static struct run r;
    uint64_t only = number_of("CREDITLEDGER_TEST_SEED", 0), n = number_of("CREDITLEDGER_TEST_SEEDS", 100);
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : n); seed++) {
        run_begin(&r, seed);
        live(&r);
        check_all(&r);
        for (size_t i = 0; i < r.n_rigs; i++)
            seen.held += r.rigs[i].holds;
        run_end(&r);
    }
    print_message(
        "# %u done, %u declined, %u replayed, %u dry, %u failed, %u unknown, %u held, %u restarts\n",
        seen.done, seen.declined, seen.replayed, seen.dry, seen.failed, seen.unknown, seen.held,
        seen.restarts);
    if (!only)
        assert_true(seen.done && seen.declined && seen.replayed && seen.dry && seen.failed && seen.unknown &&
                    seen.held && seen.restarts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(processes_in_any_order)};
    log_setup((enum log_level)(LOG_ERROR + 1), LOG_JSON); /* failures are made on purpose here */
    return cmocka_run_group_tests_name("properties/shared", tests, NULL, NULL);
}
