/*
 * The same work without HTTP: the engine over the database, submissions of --batch commands, several in
 * flight, so that the engine always finds the next one waiting.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "app/bench.h"
#include "app/progress.h"
#include "app/store.h"
#include "journal/digest.h"

#define LEDGER "main"
#define TEXT "{\"metadata\":{\"channel\":\"web\",\"order\":\"2718281828\"}}"

struct slot {
    struct submission submission;
    struct engine_bench *bench;
    struct arena arena;
    struct command *commands;
    struct answer *answers;
    struct posting *postings;
    uint64_t first_n;
    int64_t started_us, done_us;
    struct slot *next;
};

struct engine_bench {
    const struct bench_plan *plan;
    struct bench_results *results;
    struct store store;
    struct digest *digest;
    struct progress progress;
    struct slot *slots, *idle;
    bool opening;
    uint64_t random, next_n;
    size_t in_flight;
    pthread_mutex_t lock; /* of `finished` */
    pthread_cond_t some_finished;
    struct slot *finished;
};

/* On the engine's thread. */
static void submission_done(struct submission *submission)
{
    struct slot *slot = (struct slot *)submission; /* its first member */
    struct engine_bench *b = slot->bench;
    slot->done_us = bench_now_us();
    pthread_mutex_lock(&b->lock);
    slot->next = b->finished;
    b->finished = slot;
    pthread_cond_signal(&b->some_finished);
    pthread_mutex_unlock(&b->lock);
}

static struct str key_text(struct arena *arena, const char *run, char kind, uint64_t n)
{
    char key[BENCH_KEY_LEN];
    bench_key(run, kind, n, key);
    return arena_str(arena, (struct str){key, sizeof key});
}

static void make_opening(struct engine_bench *b, struct slot *slot, size_t i, uint64_t n)
{
    struct str name = key_text(&slot->arena, b->plan->opened_by, BENCH_ACCOUNT, n);
    slot->commands[i] = (struct command){
        .op = COMMAND_OPEN_ACCOUNT,
        .ledger = STR(LEDGER),
        .idempotency_key = name,
        .as.open = {.currency = STR(BENCH_CURRENCY),
            .type = ACCOUNT_LIABILITY,
            .external_id = name,
            .has_floor = true},
    };
}

static void make_transfer(struct engine_bench *b, struct slot *slot, size_t i, uint64_t n)
{
    size_t from, to;
    bench_pick(b->plan, &b->random, n, &from, &to);
    struct str key = key_text(&slot->arena, b->plan->run, BENCH_TRANSFER, n);
    slot->postings[i] = (struct posting){
        .debit = {.by = REF_BY_ID, .id = b->results->accounts[from]},
        .credit = {.by = REF_BY_ID, .id = b->results->accounts[to]},
        .amount_minor = BENCH_AMOUNT,
        .currency = STR(BENCH_CURRENCY),
        .wallet = true,
    };
    slot->commands[i] = (struct command){
        .op = COMMAND_POST,
        .ledger = STR(LEDGER),
        .idempotency_key = key,
        .reference = arena_printf(
            &slot->arena, "order-" STR_FMT, BENCH_KEY_DIGITS, key.data + BENCH_KEY_LEN - BENCH_KEY_DIGITS),
        .text = STR(TEXT),
        .as.post = {.postings = &slot->postings[i], .n_postings = 1},
    };
}

static void fill(struct engine_bench *b, struct slot *slot, size_t n)
{
    arena_reset(&slot->arena);
    slot->first_n = b->next_n;
    for (size_t i = 0; i < n; i++, b->next_n++) {
        if (b->opening)
            make_opening(b, slot, i, b->next_n);
        else
            make_transfer(b, slot, i, b->next_n);
        digest_command(b->digest, &slot->commands[i]);
    }
    slot->submission = (struct submission){
        .commands = slot->commands,
        .answers = slot->answers,
        .n = n,
        .arena = &slot->arena,
        .done = submission_done,
    };
    slot->started_us = bench_now_us();
}

static int take_answer(struct engine_bench *b, const struct slot *slot, size_t i, struct err *err)
{
    const struct answer *a = &slot->answers[i];
    uint64_t n = slot->first_n + i;
    if (b->opening) {
        if (a->refusal != REFUSAL_NONE || a->record == NULL || a->record->account == NULL)
            return err_set(err, ERR_IO, "opening an account was refused: %s %s",
                refusal_info(a->refusal)->name, a->detail);
        b->results->accounts[n] = a->record->account->id;
        return 0;
    }
    int status = a->refusal == REFUSAL_NONE ? 201 : refusal_info(a->refusal)->http_status;
    b->results->answers[status]++;
    if (status == 201)
        bench_ack(b->results, a->record->id, n);
    return 0;
}

/* Waits for at least one submission; its answers are taken and its slot is idle again. */
static int reap(struct engine_bench *b, struct err *err)
{
    pthread_mutex_lock(&b->lock);
    while (b->finished == NULL)
        pthread_cond_wait(&b->some_finished, &b->lock);
    struct slot *slot = b->finished;
    b->finished = NULL;
    pthread_mutex_unlock(&b->lock);
    int rc = 0;
    for (struct slot *next; slot != NULL; slot = next) {
        next = slot->next;
        b->in_flight--;
        if (!b->opening)
            histogram_add(&b->results->latency, (uint64_t)(slot->done_us - slot->started_us));
        for (size_t i = 0; i < slot->submission.n && rc == 0; i++)
            rc = take_answer(b, slot, i, err);
        slot->next = b->idle;
        b->idle = slot;
    }
    progress_at(&b->progress, b->opening ? b->next_n : b->results->n_acked);
    return rc;
}

static int submit(struct engine_bench *b, size_t n, struct err *err)
{
    struct slot *slot = b->idle;
    b->idle = slot->next;
    fill(b, slot, n);
    enum refusal refusal = engine_submit(b->store.engine, &slot->submission);
    if (refusal != REFUSAL_NONE)
        return err_set(err, ERR_IO, "the engine takes no commands: %s", refusal_info(refusal)->name);
    b->in_flight++;
    return 0;
}

static size_t next_size(const struct engine_bench *b, int64_t until_us)
{
    const struct bench_plan *plan = b->plan;
    if (b->opening) {
        size_t left = plan->accounts - (size_t)b->next_n;
        return left < plan->batch ? left : plan->batch;
    }
    bool over =
        plan->requests > 0 ? b->results->sent >= (uint64_t)plan->requests : bench_now_us() >= until_us;
    return over ? 0 : plan->batch;
}

static int phase(struct engine_bench *b, bool opening, double *ret_seconds, struct err *err)
{
    int64_t from_us = bench_now_us(), until_us = from_us + b->plan->seconds * 1000000;
    size_t n;
    int rc = 0;
    b->opening = opening;
    b->next_n = 0;
    progress_begin(&b->progress, opening ? "opening accounts" : "transfers", opening ? b->plan->accounts : 0,
        b->plan->quiet);
    while (rc == 0 && (n = next_size(b, until_us)) > 0) {
        if (b->idle == NULL)
            rc = reap(b, err);
        if (rc == 0)
            rc = submit(b, n, err);
        b->results->sent += !opening;
    }
    struct err ignored;
    while (b->in_flight > 0) {
        int waited = reap(b, rc == 0 ? err : &ignored);
        rc = rc == 0 ? waited : rc;
    }
    progress_end(&b->progress);
    *ret_seconds = (double)(bench_now_us() - from_us) / 1e6;
    return rc;
}

/* The record of each sampled transfer must be there, and carry the key. */
static int look_up(struct engine_bench *b, struct err *err)
{
    struct bench_results *r = b->results;
    size_t n = b->plan->lookups < r->n_acked ? b->plan->lookups : r->n_acked;
    struct journal *j = NULL;
    struct arena arena;
    int64_t from_us = bench_now_us();
    int rc = journal_open(b->store.url, &b->store.options, &j, err);
    arena_init(&arena, 0);
    progress_begin(&b->progress, "looking up", n, b->plan->quiet);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct bench_acked *acked = &r->acked[bench_sample(r->n_acked, n, i)];
        const struct record *record = NULL;
        char key[BENCH_KEY_LEN];
        bench_key(b->plan->run, BENCH_TRANSFER, acked->n, key);
        rc = j->ops->record(j, 1, uuid_counter(acked->transfer), false, &arena, &record, err);
        bool there = rc == 0 && uuid_eq(record->id, acked->transfer) && record->kind == RECORD_TRANSFER &&
                     str_eq(record->idempotency_key, (struct str){key, sizeof key});
        if (rc == ERR_NOT_FOUND)
            rc = 0;
        r->missing += !there;
        progress_at(&b->progress, ++r->looked_up);
        arena_reset(&arena);
    }
    progress_end(&b->progress);
    arena_fini(&arena);
    journal_close(j);
    r->lookup_seconds = (double)(bench_now_us() - from_us) / 1e6;
    return rc;
}

static void slots_new(struct engine_bench *b)
{
    const struct bench_plan *plan = b->plan;
    b->slots = calloc(plan->in_flight, sizeof *b->slots);
    INVARIANT(b->slots != NULL);
    for (size_t i = 0; i < plan->in_flight; i++) {
        struct slot *slot = &b->slots[i];
        slot->bench = b;
        arena_init(&slot->arena, 65536);
        slot->commands = calloc(plan->batch, sizeof *slot->commands);
        slot->answers = calloc(plan->batch, sizeof *slot->answers);
        slot->postings = calloc(plan->batch, sizeof *slot->postings);
        INVARIANT(slot->commands != NULL && slot->answers != NULL && slot->postings != NULL);
        slot->next = b->idle;
        b->idle = slot;
    }
}

static void slots_free(struct engine_bench *b)
{
    for (size_t i = 0; i < b->plan->in_flight; i++) {
        arena_fini(&b->slots[i].arena);
        free(b->slots[i].commands);
        free(b->slots[i].answers);
        free(b->slots[i].postings);
    }
    free(b->slots);
}

int bench_in_process(
    const struct options *o, const struct bench_plan *plan, struct bench_results *r, struct err *err)
{
    struct engine_bench b = {.plan = plan, .results = r, .random = 0x9e3779b97f4a7c15u};
    /* One submission is one transaction, as the floor's batches are. */
    struct engine_config tuning = {.commit_commands = plan->batch};
    int rc = store_open_tuned(o, &tuning, &b.store, err);
    if (rc != 0)
        return rc;
    b.digest = digest_new();
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.some_finished, NULL);
    slots_new(&b);
    rc = engine_start(b.store.engine, err);
    if (rc == 0) {
        rc = phase(&b, true, &r->open_seconds, err);
        if (rc == 0)
            rc = phase(&b, false, &r->load_seconds, err);
        engine_stop(b.store.engine);
    }
    if (rc == 0)
        rc = look_up(&b, err);
    slots_free(&b);
    pthread_cond_destroy(&b.some_finished);
    pthread_mutex_destroy(&b.lock);
    digest_free(b.digest);
    store_close(&b.store);
    return rc;
}
