#include "base/testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "journal/digest.h"
#include "telemetry/log.h"

/* A ledger in memory with a clock and a randomness that the test turns. */
struct world {
    struct journal *journal;
    struct catalog *catalog;
    struct engine *engine;
    struct digest *digest;
    struct arena arena;
    int64_t clock;
    uint8_t next_random;
    struct journal_ops ops; /* the backend's, with append replaced */
    int (*append)(struct journal *, const struct journal_batch *, struct err *);
    int fail_appends, fail_code, appends, unannounced;
};

static struct world *the_world; /* for failing_append, which gets no context */

static int64_t test_now(void *environment)
{
    struct world *w = environment;
    return __atomic_add_fetch(&w->clock, 1, __ATOMIC_RELAXED);
}

static void test_random(void *environment, void *ret_bytes, size_t len)
{
    struct world *w = environment;
    uint8_t *p = ret_bytes;
    for (size_t i = 0; i < len; i++)
        p[i] = w->next_random++;
}

static int failing_append(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    the_world->appends++;
    for (size_t i = 0; i < batch->n_assets; i++)
        the_world->unannounced += catalog_asset(the_world->catalog, batch->assets[i].id) == NULL;
    for (size_t i = 0; i < batch->n_records; i++)
        if (str_eq_c(batch->records[i]->reference, "poison"))
            return err_set(err, ERR_CONFLICT, "%s", "refused by the database alone");
    if (the_world->fail_appends > 0) {
        the_world->fail_appends--;
        return err_set(err, the_world->fail_code, "%s", "made to fail");
    }
    return the_world->append(j, batch, err);
}

static struct world *world_new(size_t cache_accounts, size_t queue_commands)
{
    static int n;
    struct world *w = calloc(1, sizeof *w);
    struct err err = {0};
    char url[64];
    snprintf(url, sizeof url, "memory:engine-test-%d", n++);
    the_world = w;
    w->clock = INT64_C(1767225600000000); /* 2026-01-01 */
    arena_init(&w->arena, 65536);
    w->digest = digest_new();
    struct journal_options options = {.mode = JOURNAL_WRITE, .create = true, .now = w->clock};
    assert_int_equal(journal_open(url, &options, &w->journal, &err), 0);
    w->ops = *w->journal->ops;
    w->append = w->ops.append;
    w->ops.append = failing_append;
    w->journal->ops = &w->ops;
    assert_int_equal(catalog_new(w->journal, &w->catalog, &err), 0);
    struct engine_config config = {
        .journal = w->journal,
        .catalog = w->catalog,
        .now = test_now,
        .random = test_random,
        .environment = w,
        .cache_accounts = cache_accounts,
        .queue_commands = queue_commands,
    };
    assert_int_equal(engine_new(&config, &w->engine, &err), 0);
    return w;
}

static void world_free(struct world *w)
{
    engine_stop(w->engine);
    engine_free(w->engine);
    catalog_free(w->catalog);
    journal_close(w->journal);
    digest_free(w->digest);
    arena_fini(&w->arena);
    free(w);
}

static struct account_ref ext(const char *name)
{
    return (struct account_ref){.by = REF_BY_EXTERNAL_ID, .external_id = str_of(name)};
}

static struct command open_command(const char *name, bool wallet)
{
    return (struct command){
        .op = COMMAND_OPEN_ACCOUNT,
        .ledger = STR("main"),
        .as.open = {.currency = STR("USD"),
            .type = ACCOUNT_LIABILITY,
            .external_id = str_of(name),
            .has_floor = wallet,
            .floor = {wallet, 0}},
    };
}

static struct command transfer_command(
    struct world *w, struct account_ref from, struct account_ref to, int64_t amount, const char *key)
{
    struct posting *posting = ARENA_NEW(&w->arena, struct posting);
    *posting = (struct posting){
        .debit = from, .credit = to, .amount_minor = amount, .currency = STR("USD"), .wallet = true};
    return (struct command){
        .op = COMMAND_POST,
        .ledger = STR("main"),
        .idempotency_key = str_of(key),
        .as.post = {.postings = posting, .n_postings = 1},
    };
}

static struct command move(struct world *w, const char *from, const char *to, int64_t amount, const char *key)
{
    return transfer_command(w, ext(from), ext(to), amount, key);
}

static void nothing_to_do(struct submission *s)
{
    (void)s;
}

static struct submission *submission_of(struct world *w, const struct command *commands, size_t n)
{
    struct submission *s = ARENA_NEW(&w->arena, struct submission);
    s->commands = arena_copy(&w->arena, commands, n * sizeof *commands);
    s->answers = ARENA_ARRAY(&w->arena, struct answer, n);
    s->n = n;
    s->arena = &w->arena;
    s->done = nothing_to_do;
    for (size_t i = 0; i < n; i++)
        digest_command(w->digest, &s->commands[i]);
    return s;
}

static struct answer run(struct world *w, struct command command)
{
    struct submission *s = submission_of(w, &command, 1);
    engine_call(w->engine, s);
    return s->answers[0];
}

static void fund(struct world *w, const char *name, int64_t amount)
{
    assert_int_equal(run(w, open_command(name, true)).refusal, REFUSAL_NONE);
    if (amount > 0) {
        struct account_ref outside = {.by = REF_BY_WORLD, .currency = STR("USD")};
        assert_int_equal(run(w, transfer_command(w, outside, ext(name), amount, NULL)).refusal, REFUSAL_NONE);
    }
}

static int64_t balance(struct world *w, const char *name)
{
    struct account_want want = {.ledger = 1, .external_id = str_of(name)};
    assert_int_equal(w->journal->ops->accounts_fetch(w->journal, &want, 1, &w->arena, NULL), 0);
    assert_true(want.found);
    return want.account.balance.posted;
}

static void a_key_has_one_effect_in_a_batch_and_across_batches(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 1000);
    fund(w, "b", 0);
    struct submission *all[200];
    for (int i = 0; i < 200; i++) {
        struct command command = move(w, "a", "b", 10, "once");
        all[i] = submission_of(w, &command, 1);
        assert_int_equal(engine_submit(w->engine, all[i]), REFUSAL_NONE);
    }
    assert_true(engine_step(w->engine));
    assert_false(engine_step(w->engine));
    for (int i = 0; i < 200; i++) {
        assert_int_equal(all[i]->answers[0].refusal, REFUSAL_NONE);
        assert_int_equal(all[i]->answers[0].replayed, i > 0);
        assert_true(uuid_eq(all[i]->answers[0].record->id, all[0]->answers[0].record->id));
    }
    struct answer later = run(w, move(w, "a", "b", 10, "once"));
    assert_true(later.replayed);
    assert_true(uuid_eq(later.record->id, all[0]->answers[0].record->id));
    assert_int_equal(run(w, move(w, "a", "b", 11, "once")).refusal, REFUSAL_IDEMPOTENCY_KEY_REUSED);
    assert_int_equal(balance(w, "b"), 10);
    world_free(w);
}

static void a_declined_key_stays_declined(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 5);
    fund(w, "b", 0);
    struct answer first = run(w, move(w, "a", "b", 10, "poor"));
    assert_int_equal(first.refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(first.record->kind, RECORD_DECLINED);
    struct account_ref outside = {.by = REF_BY_WORLD, .currency = STR("USD")};
    assert_int_equal(run(w, transfer_command(w, outside, ext("a"), 100, NULL)).refusal, REFUSAL_NONE);
    struct answer again = run(w, move(w, "a", "b", 10, "poor"));
    assert_int_equal(again.refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_true(again.replayed);
    assert_int_equal(again.record->seq, first.record->seq);
    assert_int_equal(balance(w, "b"), 0);
    world_free(w);
}

static void a_failed_commit_is_forgotten(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
        int failures;
        enum refusal refusal;
    } cases[] = {
        {"disk", ERR_IO, 1, REFUSAL_STORAGE_UNAVAILABLE},
        {"full", ERR_FULL, 1, REFUSAL_STORAGE_UNAVAILABLE},
        {"busy", ERR_BUSY, 1, REFUSAL_STORAGE_UNAVAILABLE},
        {"conflict that passes", ERR_CONFLICT, 1, REFUSAL_NONE},
        {"conflict that stays", ERR_CONFLICT, 100, REFUSAL_INTERNAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("# case: %s\n", cases[i].name);
        struct world *w = world_new(0, 0);
        fund(w, "a", 100);
        fund(w, "b", 0);
        w->fail_appends = cases[i].failures;
        w->fail_code = cases[i].code;
        struct answer answer = run(w, move(w, "a", "b", 60, "k"));
        assert_int_equal(answer.refusal, cases[i].refusal);
        assert_int_equal(engine_healthy(w->engine), cases[i].refusal == REFUSAL_NONE);
        assert_int_equal(balance(w, "b"), cases[i].refusal == REFUSAL_NONE ? 60 : 0);
        w->fail_appends = 0;
        /* A retry with the key has one effect, and the heads are what the journal says, not what was lost. */
        assert_int_equal(run(w, move(w, "a", "b", 60, "k")).refusal, REFUSAL_NONE);
        assert_true(engine_healthy(w->engine));
        assert_int_equal(balance(w, "b"), 60);
        assert_int_equal(run(w, move(w, "a", "b", 60, "k2")).refusal, REFUSAL_INSUFFICIENT_FUNDS);
        assert_int_equal(run(w, move(w, "a", "b", 40, "k3")).refusal, REFUSAL_NONE);
        world_free(w);
    }
}

/* What writes nothing proves nothing: only an append that succeeds makes the engine healthy again. */
static void a_replay_does_not_make_it_healthy(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 100);
    fund(w, "b", 0);
    assert_int_equal(run(w, move(w, "a", "b", 10, "k")).refusal, REFUSAL_NONE);
    w->fail_appends = 1;
    w->fail_code = ERR_FULL;
    assert_int_equal(run(w, move(w, "a", "b", 10, "lost")).refusal, REFUSAL_STORAGE_UNAVAILABLE);
    assert_true(run(w, move(w, "a", "b", 10, "k")).replayed);
    assert_false(engine_healthy(w->engine));
    assert_int_equal(run(w, move(w, "a", "b", 10, "lost")).refusal, REFUSAL_NONE);
    assert_true(engine_healthy(w->engine));
    world_free(w);
}

/* Nobody sends commands to what says that it is not ready. */
static void it_becomes_healthy_without_commands(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    struct err err = {0};
    fund(w, "a", 100);
    fund(w, "b", 0);
    assert_int_equal(engine_start(w->engine, &err), 0);
    w->fail_appends = 2; /* the command's and the first probe's */
    w->fail_code = ERR_FULL;
    assert_int_equal(run(w, move(w, "a", "b", 10, "k")).refusal, REFUSAL_STORAGE_UNAVAILABLE);
    assert_false(engine_healthy(w->engine));
    for (int i = 0; i < 1000 && !engine_healthy(w->engine); i++)
        usleep(10000);
    assert_true(engine_healthy(w->engine));
    engine_stop(w->engine);
    assert_int_equal(w->fail_appends, 0);
    assert_int_equal(balance(w, "b"), 0);
    world_free(w);
}

static void a_record_that_the_database_refuses_fails_alone(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 100);
    fund(w, "b", 0);
    struct submission *all[3];
    for (int i = 0; i < 3; i++) {
        struct command command = move(w, "a", "b", 1, NULL);
        if (i == 1)
            command.reference = STR("poison");
        all[i] = submission_of(w, &command, 1);
        assert_int_equal(engine_submit(w->engine, all[i]), REFUSAL_NONE);
    }
    assert_true(engine_step(w->engine));
    assert_int_equal(all[0]->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(all[1]->answers[0].refusal, REFUSAL_INTERNAL);
    assert_int_equal(all[2]->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(balance(w, "b"), 2);
    world_free(w);
}

static void atomic_is_all_or_nothing_and_binds_the_decline(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 100);
    fund(w, "b", 0);
    struct command commands[] = {
        move(w, "a", "b", 60, "at-1"), move(w, "a", "b", 60, "at-2"), move(w, "a", "b", 1, "at-3")};
    struct submission *s = submission_of(w, commands, 3);
    s->atomic = true;
    engine_call(w->engine, s);
    assert_int_equal(s->answers[0].refusal, REFUSAL_NOT_APPLIED);
    assert_int_equal(s->answers[1].refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(s->answers[2].refusal, REFUSAL_NOT_APPLIED);
    assert_int_equal(balance(w, "a"), 100);
    assert_int_equal(run(w, commands[1]).replayed, true);
    assert_int_equal(run(w, commands[0]).refusal, REFUSAL_NONE); /* its key was not bound */
    assert_int_equal(balance(w, "b"), 60);
    /* A decline on an account that a sibling opened leaves nothing at all. */
    struct command with_open[] = {open_command("c", true), move(w, "c", "b", 1, "at-4")};
    s = submission_of(w, with_open, 2);
    s->atomic = true;
    uint64_t head = catalog_head_seq(w->catalog, 1);
    engine_call(w->engine, s);
    assert_int_equal(s->answers[1].refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_null(s->answers[1].record);
    assert_int_equal(catalog_head_seq(w->catalog, 1), head);
    world_free(w);
}

static void a_dry_run_leaves_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 100);
    fund(w, "b", 0);
    uint64_t head = catalog_head_seq(w->catalog, 1);
    int appends = w->appends;
    struct command commands[] = {move(w, "a", "b", 60, "dry"), move(w, "a", "b", 60, "dry-2")};
    commands[0].dry_run = commands[1].dry_run = true;
    struct submission *s = submission_of(w, commands, 2);
    engine_call(w->engine, s);
    assert_int_equal(s->answers[0].refusal, REFUSAL_NONE);
    assert_true(s->answers[0].dry_run);
    assert_int_equal(s->answers[1].refusal, REFUSAL_INSUFFICIENT_FUNDS); /* sees its sibling */
    assert_int_equal(catalog_head_seq(w->catalog, 1), head);
    assert_int_equal(w->appends, appends);
    commands[1].dry_run = false;
    assert_int_equal(run(w, commands[1]).refusal, REFUSAL_NONE);
    world_free(w);
}

static void world_opens_once_per_currency(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 5);
    fund(w, "b", 5);
    assert_int_equal(balance(w, WORLD_PREFIX "USD"), -10);
    struct ledger_head head;
    assert_int_equal(w->journal->ops->head(w->journal, 1, &head, NULL), 0);
    assert_int_equal(head.accounts, 3);
    /* A currency that nobody uses has no outside to pay from, and the wallet is in another. */
    struct account_ref outside = {.by = REF_BY_WORLD, .currency = STR("NZD")};
    struct command foreign = transfer_command(w, outside, ext("a"), 1, NULL);
    ((struct posting *)(uintptr_t)foreign.as.post.postings)->currency = STR("NZD");
    assert_int_equal(run(w, foreign).refusal, REFUSAL_CURRENCY_MISMATCH);
    world_free(w);
}

static void more_accounts_than_the_cache_holds(void **state)
{
    (void)state;
    struct world *w = world_new(4, 0);
    char name[16];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "n%d", i);
        fund(w, arena_str(&w->arena, str_of(name)).data, 10);
    }
    for (int i = 0; i < 50; i++) {
        char from[16], to[16];
        snprintf(from, sizeof from, "n%d", i);
        snprintf(to, sizeof to, "n%d", (i * 7 + 1) % 50);
        if (strcmp(from, to) == 0)
            continue;
        assert_int_equal(run(w, move(w, from, to, 1, NULL)).refusal, REFUSAL_NONE);
    }
    world_free(w);
}

static struct command reverse_command(struct uuid id, int64_t amount)
{
    return (struct command){
        .op = COMMAND_REVERSE,
        .ledger = STR("main"),
        .as.reverse = {.transfer = id, .has_amount = amount > 0, .amount_minor = amount},
    };
}

static void reversals_in_one_batch_see_each_other(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 100);
    fund(w, "b", 0);
    struct answer paid = run(w, move(w, "a", "b", 100, NULL));
    struct command commands[] = {
        reverse_command(paid.record->id, 70),
        reverse_command(paid.record->id, 70),
        reverse_command(paid.record->id, 0),
        reverse_command(paid.record->id, 0),
    };
    struct submission *s = submission_of(w, commands, 4);
    engine_call(w->engine, s);
    assert_int_equal(s->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(s->answers[1].refusal, REFUSAL_REVERSAL_EXCEEDS);
    assert_int_equal(s->answers[2].refusal, REFUSAL_NONE);
    assert_int_equal(s->answers[3].refusal, REFUSAL_REVERSAL_EXCEEDS);
    assert_int_equal(run(w, reverse_command(paid.record->id, 1)).refusal, REFUSAL_REVERSAL_EXCEEDS);
    assert_int_equal(balance(w, "a"), 100);
    struct uuid unknown = uuid_make(w->clock, 3, 12345);
    assert_int_equal(run(w, reverse_command(unknown, 0)).refusal, REFUSAL_TRANSFER_NOT_FOUND);
    assert_int_equal(run(w, reverse_command((struct uuid){{0}}, 0)).refusal, REFUSAL_TRANSFER_NOT_FOUND);
    world_free(w);
}

static void text_is_erased_once(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    fund(w, "a", 100);
    fund(w, "b", 0);
    struct command paid = move(w, "a", "b", 1, NULL);
    paid.text = STR("{\"metadata\":{\"order\":\"17\"}}");
    uint64_t seq = run(w, paid).record->seq;
    struct command erase = {.op = COMMAND_ERASE, .ledger = STR("main"), .as.erase = {.seq = seq}};
    struct command twice[] = {erase, erase};
    struct submission *s = submission_of(w, twice, 2);
    engine_call(w->engine, s);
    assert_int_equal(s->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(s->answers[1].refusal, REFUSAL_NOTHING_TO_ERASE);
    assert_int_equal(run(w, erase).refusal, REFUSAL_NOTHING_TO_ERASE);
    const struct record *record;
    assert_int_equal(w->journal->ops->record(w->journal, 1, seq, true, &w->arena, &record, NULL), 0);
    assert_true(record->text.present);
    assert_false(record->text.readable);
    world_free(w);
}

static void ledgers_and_assets_are_declared_once(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    struct command ledger = {.op = COMMAND_CREATE_LEDGER,
        .ledger = STR("main"),
        .as.create_ledger = {.name = STR("shop"), .default_floor = {true, 0}}};
    assert_true(run(w, ledger).created);
    assert_false(run(w, ledger).created);
    ledger.as.create_ledger.default_floor.present = false;
    assert_int_equal(run(w, ledger).refusal, REFUSAL_LEDGER_EXISTS);
    struct command asset = {.op = COMMAND_DECLARE_ASSET,
        .ledger = STR("main"),
        .as.declare_asset = {.code = STR("CREDITS"), .scale = 0}};
    assert_true(run(w, asset).created);
    assert_int_equal(w->unannounced, 0); /* from the commit on readers may meet it */
    assert_false(run(w, asset).created);
    asset.as.declare_asset.scale = 2;
    assert_int_equal(run(w, asset).refusal, REFUSAL_ASSET_EXISTS);
    struct command open = open_command("credits", false);
    open.ledger = STR("shop");
    open.as.open.currency = STR("CREDITS");
    struct answer opened = run(w, open);
    assert_int_equal(opened.record->seq, 1);
    assert_true(opened.record->revisions[0].floor.present); /* the ledger's default */
    assert_string_equal(opened.asset->code, "CREDITS");
    open.as.open.currency = STR("NOSUCH");
    open.as.open.external_id = STR("x");
    assert_int_equal(run(w, open).refusal, REFUSAL_ASSET_NOT_FOUND);
    open.ledger = STR("nowhere");
    assert_int_equal(run(w, open).refusal, REFUSAL_LEDGER_NOT_FOUND);
    world_free(w);
}

static void a_full_queue_refuses_and_recovers(void **state)
{
    (void)state;
    struct world *w = world_new(0, 3);
    fund(w, "a", 100);
    fund(w, "b", 0);
    struct command command = move(w, "a", "b", 1, NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(engine_submit(w->engine, submission_of(w, &command, 1)), REFUSAL_NONE);
    assert_int_equal(engine_submit(w->engine, submission_of(w, &command, 1)), REFUSAL_QUEUE_FULL);
    assert_int_equal(engine_queue_depth(w->engine), 3);
    assert_true(engine_step(w->engine));
    assert_int_equal(engine_submit(w->engine, submission_of(w, &command, 1)), REFUSAL_NONE);
    engine_stop(w->engine); /* answers what is queued */
    assert_int_equal(balance(w, "b"), 4);
    assert_int_equal(engine_submit(w->engine, submission_of(w, &command, 1)), REFUSAL_SHUTTING_DOWN);
    world_free(w);
}

struct client {
    struct world *w;
    int id, done;
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct arena arena;
    arena_init(&arena, 0);
    struct digest *digest = digest_new();
    for (int i = 0; i < 200; i++) {
        char key[32];
        snprintf(key, sizeof key, "c%d-%d", c->id, i);
        struct posting posting = {.debit = ext(i % 2 ? "a" : "b"),
            .credit = ext(i % 2 ? "b" : "a"),
            .amount_minor = i % 7 + 1,
            .currency = STR("USD")};
        struct command command = {.op = COMMAND_POST,
            .ledger = STR("main"),
            .idempotency_key = str_of(key),
            .as.post = {.postings = &posting, .n_postings = 1}};
        struct answer answer;
        struct submission s = {.commands = &command, .answers = &answer, .n = 1, .arena = &arena};
        digest_command(digest, &command);
        engine_call(c->w->engine, &s);
        c->done += answer.refusal == REFUSAL_NONE || answer.refusal == REFUSAL_INSUFFICIENT_FUNDS;
    }
    digest_free(digest);
    arena_fini(&arena);
    return NULL;
}

static void many_threads_conserve_the_total(void **state)
{
    (void)state;
    struct world *w = world_new(0, 0);
    struct err err = {0};
    fund(w, "a", 20);
    fund(w, "b", 20);
    assert_int_equal(engine_start(w->engine, &err), 0);
    struct client clients[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        clients[i] = (struct client){.w = w, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, client_main, &clients[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].done, 200);
    }
    engine_stop(w->engine);
    assert_int_equal(balance(w, "a") + balance(w, "b"), 40);
    assert_true(balance(w, "a") >= 0 && balance(w, "b") >= 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_one_effect_in_a_batch_and_across_batches),
        cmocka_unit_test(a_declined_key_stays_declined),
        cmocka_unit_test(a_failed_commit_is_forgotten),
        cmocka_unit_test(a_record_that_the_database_refuses_fails_alone),
        cmocka_unit_test(atomic_is_all_or_nothing_and_binds_the_decline),
        cmocka_unit_test(a_dry_run_leaves_nothing),
        cmocka_unit_test(world_opens_once_per_currency),
        cmocka_unit_test(more_accounts_than_the_cache_holds),
        cmocka_unit_test(reversals_in_one_batch_see_each_other),
        cmocka_unit_test(text_is_erased_once),
        cmocka_unit_test(ledgers_and_assets_are_declared_once),
        cmocka_unit_test(a_replay_does_not_make_it_healthy),
        cmocka_unit_test(it_becomes_healthy_without_commands),
        cmocka_unit_test(a_full_queue_refuses_and_recovers),
        cmocka_unit_test(many_threads_conserve_the_total),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
