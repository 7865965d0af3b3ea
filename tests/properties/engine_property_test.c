/*
 * Whole sequences of commands through the engine, over the memory journal and over SQLite at once (with
 * --postgres over SQLite and PostgreSQL), against the naive model of model.h: batches of any size, several ledgers, duplicate keys within a batch and across
 * batches, atomic and dry and halting submissions, caches too small for a batch, restarts, a clock that also
 * runs backwards, reads and appends that fail, and appends that succeed and say that they failed.
 *
 * Afterwards both journals hold and export the same bytes, each record is what the model says it must be, the auditor
 * finds nothing, and balances and statements on both axes of time are the model's.
 *
 * A failure prints its seed; CREDITLEDGER_TEST_SEED=n runs that one alone, CREDITLEDGER_TEST_SEEDS=n runs as
 * many.
 */
#include "base/check.h"

#include "app/verify.h"
#include "exports.h"
#include "generate.h"
#include "journal/canonical.h"
#include "journal/history.h"
#include "support/pg_database.h"
#include "support/rig.h"
#include "telemetry/log.h"

#define RIGS 2
#define START INT64_C(1767225600000000) /* 2026-01-01 */
#define SECOND INT64_C(1000000)
#define SUBMISSION_MAX 6
#define QUEUE_MAX 16
#define RETRIES_MAX 64
#define STEPS 60

/* What a client sends in one piece. */
struct piece {
    struct request requests[SUBMISSION_MAX];
    size_t n;
    bool atomic, stop_on_refusal;
};

struct run {
    uint64_t seed, dice;
    bool faults;
    struct arena arena;
    struct digest *digest;
    struct model *model;
    struct generator generator;
    struct rig rigs[RIGS];
    struct piece retries[RETRIES_MAX];
    size_t n_retries;
    bool healthy; /* what the engines must say of themselves */
    bool behind;  /* something was written and nobody told: until the journal is read again, readers do not
                     know */
    uint64_t learnt[MODEL_LEDGERS]; /* records whose ids the model knows */
};

static struct {
    unsigned commands, records, declined, replays, failures, unknown, reads_failed, conflicts, restarts;
    int refusals[500];
} seen;

static char directory[64];
static bool over_postgres; /* SQLite and PostgreSQL, else memory and SQLite */

#define FAIL(r, ...) \
    do { \
        char text_[1200]; \
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

/* --- life
 * ---------------------------------------------------------------------------------------------------- */

static void run_begin(struct run *r, uint64_t seed, bool faults)
{
    static const size_t caches[] = {1, 4, 16, 0}, commits[] = {1, 3, 9, 0};
    struct err err = {0};
    memset(r, 0, sizeof *r);
    r->seed = seed;
    r->dice = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    r->faults = faults;
    r->healthy = true;
    arena_init(&r->arena, 65536);
    r->digest = digest_new();
    r->model = calloc(1, sizeof *r->model);
    assert_non_null(r->model);
    model_init(r->model, START);
    r->generator = (struct generator){.arena = &r->arena, .seed = &r->dice, .now = START};
    char urls[RIGS][PG_DATABASE_URL_MAX];
    snprintf(urls[0], sizeof urls[0], "memory:property-%d", (int)getpid());
    snprintf(urls[over_postgres ? 0 : 1], sizeof urls[0], "sqlite:%s/journal.db", directory);
    if (over_postgres)
        pg_database_make(START, urls[1]);
    struct rig_options options = {.now = START,
        .seed = seed,
        .cache_accounts = caches[draw(r, 4)],
        .commit_commands = commits[draw(r, 4)],
        .unsafe_no_sync = true};
    for (size_t i = 0; i < RIGS; i++) {
        options.url = arena_str(&r->arena, str_of(urls[i])).data;
        if (rig_open(&r->rigs[i], &options, &err) != 0)
            FAIL(r, "%.300s: %s", urls[i], err.message);
    }
}

static void run_end(struct run *r)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[128];
    for (size_t i = 0; i < RIGS; i++)
        rig_close(&r->rigs[i]);
    if (over_postgres)
        pg_database_drop(r->rigs[1].options.url);
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        snprintf(path, sizeof path, "%s/journal.db%s", directory, suffixes[i]);
        unlink(path);
    }
    digest_free(r->digest);
    arena_fini(&r->arena);
    free(r->model);
}

/* --- a batch
 * ------------------------------------------------------------------------------------------------- */

static void make_piece(struct run *r, struct piece *piece)
{
    if (r->n_retries > 0 && one_in(r, 2)) {
        *piece = r->retries[--r->n_retries];
        return;
    }
    *piece = (struct piece){.n = 1 + (one_in(r, 3) ? draw(r, SUBMISSION_MAX) : 0)};
    piece->atomic = one_in(r, 4);
    piece->stop_on_refusal = !piece->atomic && one_in(r, 6);
    bool dry_run = one_in(r, 10);
    for (size_t i = 0; i < piece->n; i++) {
        struct request *request = &piece->requests[i];
        generate(&r->generator, r->model, request);
        request->command.dry_run = dry_run;
        digest_command(r->digest, &request->command);
    }
    /* The client's library sends something twice. */
    if (piece->n > 1 && one_in(r, 5))
        piece->requests[piece->n - 1] = piece->requests[draw(r, piece->n - 1)];
    if (one_in(r, 6) && r->n_retries < RETRIES_MAX)
        r->retries[r->n_retries++] = *piece; /* and again later */
}

/* One piece on its way through both engines. */
struct flight {
    struct piece piece;
    struct submission submissions[RIGS];
    struct command commands[RIGS][SUBMISSION_MAX];
    struct answer answers[RIGS][SUBMISSION_MAX];
    unsigned answered;
};

static void on_done(struct submission *s)
{
    s->queued_at = -1; /* the mark of an answer */
}

static void fly(struct run *r, struct flight *f)
{
    for (size_t i = 0; i < RIGS; i++) {
        for (size_t k = 0; k < f->piece.n; k++)
            f->commands[i][k] = f->piece.requests[k].command;
        f->submissions[i] = (struct submission){.commands = f->commands[i],
            .answers = f->answers[i],
            .n = f->piece.n,
            .atomic = f->piece.atomic,
            .stop_on_refusal = f->piece.stop_on_refusal,
            .arena = &r->arena,
            .done = on_done};
        assert_int_equal(engine_submit(r->rigs[i].engine, &f->submissions[i]), REFUSAL_NONE);
    }
}

/* How many of the flights the engine takes in one go. */
static size_t taken(const struct run *r, const struct flight *flights, size_t n)
{
    size_t limit = r->rigs[0].options.commit_commands, commands = 0, i = 0;
    for (; i < n; i++) {
        commands += flights[i].piece.n;
        if (i > 0 && limit > 0 && commands > limit)
            break;
    }
    return i;
}

struct weather {
    enum rig_fault fault;
    unsigned appends_fail, reads_until_fail;
    int code;
};

static struct weather any_weather(struct run *r)
{
    static const int codes[] = {ERR_IO, ERR_FULL, ERR_BUSY};
    struct weather w = {.fault = RIG_SOUND, .code = codes[draw(r, 3)], .appends_fail = 1};
    if (!r->faults)
        return w;
    switch (draw(r, 16)) {
    case 0:
        w.fault = RIG_APPEND_FAILS;
        break;
    case 1:
        w.fault = RIG_OUTCOME_UNKNOWN;
        break;
    case 2:
        w.fault = RIG_APPEND_FAILS;
        w.code = ERR_CONFLICT; /* three are tried again; after a fourth the batch is taken apart */
        w.appends_fail = 1 + (unsigned)draw(r, one_in(r, 2) ? 4 : 12);
        break;
    case 3:
        w.reads_until_fail = 1 + (unsigned)draw(r, 12);
        break;
    default:
        break;
    }
    return w;
}

static bool answered(const struct flight *flights, size_t n, size_t rig)
{
    for (size_t i = 0; i < n; i++)
        if (flights[i].submissions[rig].queued_at != -1)
            return false;
    return true;
}

/* One batch. Over a shared journal it takes several steps: deciding, the outcome, and again if a key was used. */
static void step_rigs(struct run *r, const struct weather *w, const struct flight *flights, size_t n)
{
    for (size_t i = 0; i < RIGS; i++) {
        struct rig *rig = &r->rigs[i];
        rig->fault = w->fault;
        rig->appends_fail = w->appends_fail;
        rig->fault_code = w->code;
        rig->reads_until_fail = w->reads_until_fail;
        rig->appends = rig->reads_failed = 0;
        do
            assert_true(engine_step(rig->engine));
        while (rig->journal->shared && !answered(flights, n, i));
        rig->fault = RIG_SOUND;
        rig->reads_until_fail = 0;
    }
}

/* What must come of a batch. */
struct outcome {
    struct model_answer answers[QUEUE_MAX][SUBMISSION_MAX];
    enum refusal of[QUEUE_MAX]; /* of every command of the flight, if it is not REFUSAL_NONE */
    unsigned appends;
    bool unknown; /* it was written, and nobody was told */
};

/* Plays one flight; true if there is something to write. */
static bool play(struct run *r, const struct flight *f, const struct model_mark *committed,
    struct model_answer *ret_answers)
{
    struct command commands[SUBMISSION_MAX];
    const char *said[SUBMISSION_MAX];
    struct model_mark before = model_mark(r->model);
    for (size_t k = 0; k < f->piece.n; k++) {
        commands[k] = f->piece.requests[k].command;
        said[k] = f->piece.requests[k].said;
    }
    struct model_submission s = {commands, said, f->piece.n, f->piece.atomic, f->piece.stop_on_refusal};
    model_submission(r->model, committed, &s, r->rigs[0].clock, ret_answers);
    struct model_mark after = model_mark(r->model);
    return memcmp(&before, &after, sizeof before) != 0;
}

#define CONFLICT_ATTEMPTS 4

/* A batch that the journal refuses again and again is taken apart: each submission goes alone. */
static void alone(struct run *r, unsigned fails, const struct flight *flights, size_t n, struct outcome *o)
{
    for (size_t i = 0; i < n; i++) {
        struct model_mark before = model_mark(r->model);
        if (!play(r, &flights[i], &before, o->answers[i]))
            continue;
        r->healthy = fails < CONFLICT_ATTEMPTS;
        if (r->healthy) {
            o->appends += fails + 1;
            fails = 0;
        } else {
            o->appends += CONFLICT_ATTEMPTS;
            fails -= CONFLICT_ATTEMPTS;
            o->of[i] = REFUSAL_INTERNAL;
            model_undo(r->model, &before);
        }
    }
}

static void together(
    struct run *r, const struct weather *w, const struct flight *flights, size_t n, struct outcome *o)
{
    struct model_mark before = model_mark(r->model);
    bool writes = false, read_failed = r->rigs[0].reads_failed > 0;
    for (size_t i = 0; i < n; i++)
        writes |= play(r, &flights[i], &before, o->answers[i]);
    bool fails = !read_failed && writes && w->fault != RIG_SOUND, conflict = w->code == ERR_CONFLICT;
    enum refusal of_batch = read_failed || (fails && !conflict) ? REFUSAL_STORAGE_UNAVAILABLE : REFUSAL_NONE;
    o->appends = writes && !read_failed;
    if (fails && conflict && w->appends_fail < CONFLICT_ATTEMPTS) {
        o->appends = w->appends_fail + 1;
    } else if (fails && conflict) {
        o->appends = CONFLICT_ATTEMPTS;
        if (n > 1) {
            model_undo(r->model, &before);
            alone(r, w->appends_fail - CONFLICT_ATTEMPTS, flights, n, o);
            return;
        }
        of_batch = REFUSAL_INTERNAL;
    }
    o->unknown = of_batch != REFUSAL_NONE && !read_failed && w->fault == RIG_OUTCOME_UNKNOWN;
    if (of_batch != REFUSAL_NONE && !o->unknown)
        model_undo(r->model, &before);
    /* What writes nothing proves nothing. */
    r->healthy = of_batch == REFUSAL_NONE && (r->healthy || writes);
    for (size_t i = 0; i < n; i++)
        o->of[i] = of_batch;
}

static void check_rigs(struct run *r, const struct outcome *o)
{
    r->behind = o->unknown || (r->behind && r->rigs[0].reads_failed > 0);
    for (size_t i = 0; i < RIGS; i++) {
        const struct rig *rig = &r->rigs[i];
        if (rig->reads_failed != r->rigs[0].reads_failed)
            FAIL(r, "the engines read differently");
        /* Of a shared journal, which is appended to in halves, and again when a key was used before, it is not known. */
        if (!rig->journal->shared && rig->appends != o->appends)
            FAIL(r, "%u appends, expected %u", rig->appends, o->appends);
        if (engine_healthy(rig->engine) != r->healthy)
            FAIL(r, "healthy is wrong");
        for (size_t k = 0; !r->behind && k < r->model->n_ledgers; k++)
            if (catalog_head_seq(rig->catalog, (uint32_t)k + 1) != r->model->ledgers[k].n_records)
                FAIL(r, "journal %zu: readers are told of another seq of ledger %zu", i, k + 1);
    }
}

static void check_answer(struct run *r, const struct flight *f, size_t rig, size_t k,
    const struct model_answer *expected, enum refusal of_batch)
{
    const struct answer *got = &f->answers[rig][k];
    const struct request *request = &f->piece.requests[k];
    uint64_t seq = got->record != NULL ? got->record->seq : 0;
    struct model_answer failed = {.refusal = of_batch};
    if (of_batch != REFUSAL_NONE)
        expected = &failed;
    if (f->submissions[rig].queued_at != -1)
        FAIL(r, "not answered: %s", request->said);
    if (got->refusal != expected->refusal || got->replayed != expected->replayed || seq != expected->seq ||
        got->created != expected->created)
        FAIL(r,
            "journal %zu: %s\n  key " STR_FMT " refusal %d replayed %d created %d seq %" PRIu64
            ", expected %d %d %d %" PRIu64 "\n  atomic %d, halting %d, dry %d, element %zu of %zu",
            rig, request->said, STR_ARG(request->command.idempotency_key), (int)got->refusal, got->replayed,
            got->created, seq, (int)expected->refusal, expected->replayed, expected->created, expected->seq,
            f->piece.atomic, f->piece.stop_on_refusal, request->command.dry_run, k, f->piece.n);
}

/* Ids are random: the model is told, from the first journal; that the other has the same is seen at the end.
 */
static void learn(struct run *r)
{
    struct journal *j = r->rigs[0].reader;
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < r->model->n_ledgers; i++) {
        struct model_ledger *l = &r->model->ledgers[i];
        for (; r->learnt[i] < l->n_records; r->learnt[i]++) {
            const struct record *record;
            struct err err;
            uint64_t seq = r->learnt[i] + 1;
            if (j->ops->record(j, (uint32_t)i + 1, seq, false, &arena, &record, &err) != 0)
                FAIL(r, "%s", err.message);
            l->records[seq - 1].id = record->id;
            if (record->account != NULL && record->account->number <= l->n_accounts)
                l->accounts[record->account->number - 1].id = record->account->id;
        }
    }
    arena_fini(&arena);
}

/* Forgets ids of what was never committed. */
static void forget_ids(struct model *m)
{
    for (size_t i = 0; i < m->n_ledgers; i++)
        for (size_t k = m->ledgers[i].n_accounts; k < MODEL_ACCOUNTS; k++)
            m->ledgers[i].accounts[k].id = (struct uuid){{0}};
}

static void try_again_later(struct run *r, const struct flight *f)
{
    for (size_t k = 0; k < f->piece.n; k++)
        if (f->piece.requests[k].command.idempotency_key.data == NULL)
            return;
    if (r->n_retries < RETRIES_MAX)
        r->retries[r->n_retries++] = f->piece;
}

static void count(const struct model_answer *a, enum refusal of_batch)
{
    enum refusal refusal = of_batch != REFUSAL_NONE ? of_batch : a->refusal;
    seen.commands++;
    seen.refusals[refusal]++;
    seen.replays += of_batch == REFUSAL_NONE && a->replayed;
}

static void batch(struct run *r, struct flight *flights, size_t n)
{
    static struct outcome o;
    struct weather weather = any_weather(r);
    memset(&o, 0, sizeof o);
    step_rigs(r, &weather, flights, n);
    together(r, &weather, flights, n, &o);
    check_rigs(r, &o);
    bool failed = false;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < flights[i].piece.n; k++) {
            for (size_t rig = 0; rig < RIGS; rig++)
                check_answer(r, &flights[i], rig, k, &o.answers[i][k], o.of[i]);
            count(&o.answers[i][k], o.of[i]);
        }
        if (o.of[i] != REFUSAL_NONE)
            try_again_later(r, &flights[i]);
        failed |= o.of[i] != REFUSAL_NONE;
    }
    seen.failures += failed;
    seen.unknown += o.unknown;
    seen.reads_failed += r->rigs[0].reads_failed;
    seen.conflicts += weather.code == ERR_CONFLICT;
    forget_ids(r->model);
    learn(r);
}

static void some_batches(struct run *r)
{
    static struct flight flights[QUEUE_MAX];
    size_t n = 1 + draw(r, one_in(r, 4) ? QUEUE_MAX : 3);
    int64_t passes = one_in(r, 12) ? -(int64_t)draw(r, 40) * SECOND : (int64_t)draw(r, 10) * SECOND;
    for (size_t i = 0; i < RIGS; i++)
        r->rigs[i].clock += passes;
    r->generator.now = r->rigs[0].clock;
    memset(flights, 0, sizeof flights);
    for (size_t i = 0; i < n; i++) {
        make_piece(r, &flights[i].piece);
        fly(r, &flights[i]);
    }
    for (size_t from = 0, many; from < n; from += many) {
        many = taken(r, flights + from, n - from);
        batch(r, flights + from, many);
    }
    for (size_t i = 0; i < RIGS; i++)
        assert_false(engine_step(r->rigs[i].engine));
    if (!one_in(r, 15))
        return;
    seen.restarts++;
    r->behind = false;
    r->healthy = true;
    for (size_t i = 0; i < RIGS; i++) {
        struct err err;
        if (rig_restart(&r->rigs[i], &err) != 0)
            FAIL(r, "cannot start again: %s", err.message);
    }
}

/* --- afterwards
 * ---------------------------------------------------------------------------------------------- */

static bool same_floor(struct floor a, struct floor b)
{
    return a.present == b.present && (!a.present || a.minor == b.minor);
}

static void check_lots(struct run *r, const struct model_ledger *l, const struct record *got)
{
    for (size_t i = 0; i < got->n_lots; i++) {
        const struct lot *lot = &got->lots[i];
        bool newest = i + 1 == got->n_lots || got->lots[i + 1].leg != lot->leg;
        if (newest && lot->remaining_after != model_left(l, got->related_seq, lot->leg / 2, got->seq))
            FAIL(r, "record %" PRIu64 ": leg %u has %" PRId64 " left", got->seq, lot->leg,
                lot->remaining_after);
    }
    if ((got->kind == RECORD_REVERSAL) != (got->n_lots > 0))
        FAIL(r, "record %" PRIu64 " has %zu lots", got->seq, got->n_lots);
}

static void check_record(struct run *r, const struct model_ledger *l, const struct record *got)
{
    const struct model_record *want = &l->records[got->seq - 1];
    bool erased = model_erased(l, got->seq);
    if (got->kind != want->kind || got->n_entries != want->n_legs || got->related_seq != want->related ||
        got->refusal != (uint32_t)want->refusal || got->declined_amount != want->declined ||
        got->effective_at != want->effective || got->recorded_at != want->recorded)
        FAIL(r, "ledger %s record %" PRIu64 " (kind %d, expected %d) is not what was foreseen: %s", l->name,
            got->seq, (int)got->kind, (int)want->kind, want->said ? want->said : "");
    if (!str_eq(got->idempotency_key, str_of(want->key)) || got->text.present != want->text ||
        got->text.readable != (want->text && !erased))
        FAIL(r, "record %" PRIu64 ": key or text is another", got->seq);
    for (size_t i = 0; i < want->n_legs; i++) {
        const struct entry *e = &got->entries[i];
        const struct model_leg *leg = &want->legs[i];
        if (e->account != leg->account || e->version != leg->version || e->change.posted != leg->change ||
            e->after.posted != leg->after || e->revision != leg->revision ||
            !same_floor(e->floor, leg->floor) ||
            e->backdated != (leg->change != 0 && want->effective < want->recorded))
            FAIL(r,
                "ledger %s record %" PRIu64 " leg %zu: account %" PRIu64 " version %" PRIu64
                " change %" PRId64 " after %" PRId64 ", expected %" PRIu64 " %" PRIu64 " %" PRId64
                " %" PRId64,
                l->name, got->seq, i, e->account, e->version, e->change.posted, e->after.posted, leg->account,
                leg->version, leg->change, leg->after);
    }
    check_lots(r, l, got);
}

/* Canonical bytes, hash and text: the same over every backend. */
static void check_same(struct run *r, const struct record *a, const struct record *b)
{
    struct strbuf bytes[2];
    const struct record *both[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        strbuf_init(&bytes[i]);
        canonical_encode(both[i],
            both[i]->account ? catalog_asset(r->rigs[i].catalog, both[i]->account->asset) : NULL, &bytes[i]);
    }
    bool same = str_eq(strbuf_view(&bytes[0]), strbuf_view(&bytes[1])) &&
                memcmp(a->hash, b->hash, HASH_LEN) == 0 && str_eq(a->text.body, b->text.body) &&
                memcmp(a->text.salt, b->text.salt, SALT_LEN) == 0;
    if (!same)
        FAIL(r, "record %" PRIu64 " differs between the journals", a->seq);
    strbuf_fini(&bytes[0]);
    strbuf_fini(&bytes[1]);
}

static void check_ledger(struct run *r, uint32_t ledger)
{
    const struct model_ledger *l = &r->model->ledgers[ledger - 1];
    struct journal_scan *scans[RIGS];
    struct err err;
    for (size_t i = 0; i < RIGS; i++) {
        struct journal *j = r->rigs[i].reader;
        assert_int_equal(j->ops->scan_open(j, ledger, 1, true, &scans[i], &err), 0);
    }
    uint64_t n = 0;
    for (;;) {
        const struct record *records[RIGS];
        for (size_t i = 0; i < RIGS; i++)
            assert_int_equal(r->rigs[i].reader->ops->scan_next(scans[i], &records[i], &err), 0);
        if ((records[0] == NULL) != (records[1] == NULL))
            FAIL(r, "one journal has more records");
        if (records[0] == NULL)
            break;
        n++;
        if (n > l->n_records || records[0]->seq != n)
            FAIL(r, "ledger %s: record %" PRIu64 " was not foreseen", l->name, records[0]->seq);
        check_record(r, l, records[0]);
        check_same(r, records[0], records[1]);
        seen.records++;
        seen.declined += records[0]->kind == RECORD_DECLINED;
    }
    if (n != l->n_records)
        FAIL(r, "ledger %s has %" PRIu64 " records of %zu", l->name, n, l->n_records);
    for (size_t i = 0; i < RIGS; i++)
        r->rigs[i].reader->ops->scan_close(scans[i]);
}

static void on_fault(void *ctx, const struct verify_fault *fault)
{
    FAIL((struct run *)ctx, "verify: %s ledger %s seq %" PRIu64 ": %s", fault->invariant, fault->ledger,
        fault->seq, fault->message);
}

static int64_t any_instant(struct run *r, const struct model_ledger *l)
{
    const struct model_record *record = &l->records[draw(r, l->n_records)];
    int64_t instant = one_in(r, 2) ? record->effective : record->recorded;
    return instant + (int64_t)draw(r, 3) - 1;
}

static void check_balances(struct run *r, const struct model_ledger *l, const struct account *accounts)
{
    int64_t at = any_instant(r, l), known = any_instant(r, l);
    for (size_t i = 0; i < RIGS; i++) {
        struct history_balance now, bound;
        struct journal *j = r->rigs[i].reader;
        int64_t posted = model_balance(l, accounts[i].number, INT64_MAX, INT64_MAX);
        assert_int_equal(history_balance(j, &accounts[i], NULL, NULL, &now, NULL), 0);
        if (now.amounts.posted != posted || accounts[i].balance.posted != posted)
            FAIL(r, "account %" PRIu64 " has %" PRId64 ", not %" PRId64, accounts[i].number,
                now.amounts.posted, posted);
        assert_int_equal(history_balance(j, &accounts[i], &at, &known, &bound, NULL), 0);
        if (bound.amounts.posted != model_balance(l, accounts[i].number, at, known))
            FAIL(r, "journal %zu: account %" PRIu64 " at %" PRId64 " as known at %" PRId64 " has %" PRId64, i,
                accounts[i].number, at, known, bound.amounts.posted);
    }
}

/* Pages of any size make one statement: it runs from its opening to its closing balance, line by line. */
static void check_statement(struct run *r, const struct model_ledger *l, struct account *accounts)
{
    enum history_axis axis = one_in(r, 2) ? AXIS_EFFECTIVE : AXIS_RECORDED;
    int64_t from = any_instant(r, l), to = any_instant(r, l), known = any_instant(r, l);
    size_t limit = 1 + draw(r, 4);
    int64_t from_opening = axis == AXIS_EFFECTIVE ? model_balance(l, accounts[0].number, from - 1, known)
                                                  : model_balance(l, accounts[0].number, INT64_MAX,
                                                        from - 1 < known ? from - 1 : known);
    struct history_position positions[RIGS] = {0};
    int64_t running = from_opening, last = INT64_MIN;
    for (bool more = true; more;) {
        struct history_statement s[RIGS];
        for (size_t i = 0; i < RIGS; i++)
            assert_int_equal(history_statement(r->rigs[i].reader, &accounts[i], axis, from, to, &known,
                                 &positions[i], limit, &r->arena, &s[i], NULL),
                0);
        if (s[0].n_lines != s[1].n_lines || s[0].more != s[1].more || s[0].n_lines > limit ||
            s[0].opening.posted != from_opening || s[1].opening.posted != from_opening ||
            s[0].closing.posted != s[1].closing.posted)
            FAIL(r, "account %" PRIu64 ": the journals' statements differ", accounts[0].number);
        for (size_t k = 0; k < s[0].n_lines; k++) {
            const struct history_line *a = &s[0].lines[k], *b = &s[1].lines[k];
            int64_t instant = axis == AXIS_EFFECTIVE ? a->effective_at : a->recorded_at;
            running += a->entry.change.posted;
            if (a->seq != b->seq || a->entry.version != b->entry.version || a->running.posted != running ||
                b->running.posted != running || instant < last || instant < from || instant >= to ||
                a->recorded_at > known)
                FAIL(r, "account %" PRIu64 ": a line of the statement is wrong, seq %" PRIu64,
                    accounts[0].number, a->seq);
            last = instant;
        }
        more = s[0].more;
        for (size_t i = 0; i < RIGS; i++)
            positions[i] = s[i].next;
        if (!more && running != s[0].closing.posted)
            FAIL(r, "account %" PRIu64 ": the statement closes at %" PRId64 ", its lines at %" PRId64,
                accounts[0].number, s[0].closing.posted, running);
    }
}

static void check_accounts(struct run *r, uint32_t ledger)
{
    const struct model_ledger *l = &r->model->ledgers[ledger - 1];
    for (uint64_t number = 1; number <= l->n_accounts; number++) {
        struct account accounts[RIGS];
        for (size_t i = 0; i < RIGS; i++) {
            struct account_want want = {.ledger = ledger, .number = number};
            struct journal *j = r->rigs[i].reader;
            assert_int_equal(j->ops->accounts_fetch(j, &want, 1, &r->arena, NULL), 0);
            const struct model_leg *head = model_head(l, number, l->n_records);
            accounts[i] = want.account;
            if (!want.found || want.account.version != head->version || want.account.status != head->status ||
                want.account.balance.posted != head->after)
                FAIL(r, "account %" PRIu64 " is not where it was foreseen", number);
        }
        check_balances(r, l, accounts);
        check_statement(r, l, accounts);
    }
}

/* Of the process that wrote all of it, without failures in between. */
static void check_gauge(struct run *r)
{
    unsigned expected = 0;
    for (size_t i = 0; i < r->model->n_ledgers; i++)
        for (size_t k = 0; k < r->model->ledgers[i].n_accounts; k++)
            expected +=
                !r->model->ledgers[i].accounts[k].world &&
                !model_head(&r->model->ledgers[i], k + 1, r->model->ledgers[i].n_records)->floor.present;
    char line[80];
    snprintf(line, sizeof line, "\ncreditledger_accounts_without_floor %u\n", expected);
    for (size_t i = 0; i < RIGS; i++) {
        struct strbuf b;
        strbuf_init(&b);
        metrics_render(r->rigs[i].metrics, &b);
        strbuf_char(&b, '\0');
        if (strstr(b.data, line) == NULL)
            FAIL(r, "the accounts without a floor are not counted as %u", expected);
        strbuf_fini(&b);
    }
}

static void check_all(struct run *r)
{
    struct err err;
    for (uint32_t ledger = 1; ledger <= r->model->n_ledgers; ledger++) {
        check_ledger(r, ledger);
        if (exports_compare(&r->rigs[0], &r->rigs[1], ledger, &err) != 0)
            FAIL(r, "ledger %u: exports: %s", ledger, err.message);
        check_accounts(r, ledger);
    }
    for (size_t i = 0; i < RIGS; i++) {
        const struct verify_options options = {.fault = on_fault, .ctx = r};
        struct verify_counts counts;
        if (verify_journal(r->rigs[i].reader, &options, &counts, &err) != 0)
            FAIL(r, "verify: %s", err.message);
    }
    if (!r->faults)
        check_gauge(r);
}

static void run_one(uint64_t seed, bool faults)
{
    static struct run r;
    run_begin(&r, seed, faults);
    for (int i = 0; i < STEPS && model_has_room(r.model); i++)
        some_batches(&r);
    check_all(&r);
    run_end(&r);
}

static uint64_t number_of(const char *variable, uint64_t usual)
{
    const char *text = getenv(variable);
    uint64_t n;
    return text != NULL && str_to_uint64(str_of(text), &n) ? n : usual;
}

static void run_seeds(bool faults)
{
    uint64_t only = number_of("CREDITLEDGER_TEST_SEED", 0), n = number_of("CREDITLEDGER_TEST_SEEDS", 30);
    memset(&seen, 0, sizeof seen);
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : n); seed++)
        run_one(seed, faults);
    print_message(
        "# %u commands, %u records, %u of them declines; %u replays, %u batches failed, %u of them written "
        "all the same, %u reads failed, %u conflicts, %u restarts\n",
        seen.commands, seen.records, seen.declined, seen.replays, seen.failures, seen.unknown,
        seen.reads_failed, seen.conflicts, seen.restarts);
    if (only)
        return;
    /* A generator that never asks for something proves nothing about it. */
    static const enum refusal wanted[] = {REFUSAL_NONE, REFUSAL_IDEMPOTENCY_KEY_REUSED,
        REFUSAL_LEDGER_NOT_FOUND, REFUSAL_LEDGER_EXISTS, REFUSAL_ASSET_NOT_FOUND, REFUSAL_ASSET_EXISTS,
        REFUSAL_ACCOUNT_NOT_FOUND, REFUSAL_TRANSFER_NOT_FOUND, REFUSAL_SAME_ACCOUNT,
        REFUSAL_CURRENCY_MISMATCH, REFUSAL_DEBIT_NORMAL_PAIR, REFUSAL_EFFECTIVE_IN_FUTURE,
        REFUSAL_NOT_REVERSIBLE, REFUSAL_PARTIAL_OF_MANY, REFUSAL_NOTHING_TO_ERASE, REFUSAL_BALANCE_DIFFERS,
        REFUSAL_WORLD_IMMUTABLE, REFUSAL_NOT_APPLIED, REFUSAL_EXTERNAL_ID_TAKEN, REFUSAL_PRECONDITION_FAILED,
        REFUSAL_ACCOUNT_NOT_EMPTY, REFUSAL_ACCOUNT_CLOSED, REFUSAL_ACCOUNT_FROZEN, REFUSAL_EXPECTED_VERSION,
        REFUSAL_EXPECTED_AVAILABLE, REFUSAL_REVERSAL_EXCEEDS, REFUSAL_INSUFFICIENT_FUNDS,
        REFUSAL_BALANCE_LIMIT};
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (seen.refusals[wanted[i]] == 0)
            fail_msg("no command came to %s", wanted[i] ? refusal_info(wanted[i])->name : "success");
    assert_true(seen.replays > 0 && seen.restarts > 0);
    if (faults)
        assert_true(seen.unknown > 0 && seen.reads_failed > 0 && seen.conflicts > 0);
}

static void everything_is_as_foreseen(void **state)
{
    (void)state;
    run_seeds(false);
}

static void failures_change_nothing_but_when(void **state)
{
    (void)state;
    run_seeds(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_as_foreseen),
        cmocka_unit_test(failures_change_nothing_but_when),
    };
    const struct CMUnitTest sound[] = {cmocka_unit_test(everything_is_as_foreseen)};
    over_postgres = argc == 2 && strcmp(argv[1], "--postgres") == 0;
    if (over_postgres)
        pg_database_need();
    log_setup((enum log_level)(LOG_ERROR + 1), LOG_JSON); /* failures are made on purpose here */
    snprintf(directory, sizeof directory, "/tmp/creditledger-property-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return 2;
    /* A shared journal is read at other moments than one that is not: which call fails cannot be compared. */
    int failed = over_postgres ? cmocka_run_group_tests_name("properties/postgres", sound, NULL, NULL)
                               : cmocka_run_group_tests_name("properties/engine", tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
