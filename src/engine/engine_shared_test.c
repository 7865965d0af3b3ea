/* Several processes on one journal, and one batch decided while another commits. */
#include "support/stage.h"

#include <pthread.h>

#include "engine/engine_internal.h"
#include "telemetry/log.h"

/* --- one process */

static void the_next_batch_is_decided_while_one_commits(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    st.rigs[0].outcome_waits = true;
    struct submission *first = send(&st, 0, pay(&st, "a", "b", 60, "k1"));
    step(&st, 0);
    assert_int_equal(st.rigs[0].appends, 1);
    struct submission *second = send(&st, 0, pay(&st, "b", "a", 50, "k2"));
    step(&st, 0);
    struct submission *third = send(&st, 0, pay(&st, "a", "b", 91, "k3"));
    step(&st, 0);
    assert_false(answered(first) || answered(second) || answered(third));
    assert_int_equal(st.rigs[0].appends, 1);
    st.rigs[0].outcome_waits = false;
    step(&st, 0); /* the outcome, and the next flight */
    assert_true(answered(first));
    assert_false(answered(second) || answered(third));
    assert_int_equal(st.rigs[0].appends, 2);
    step(&st, 0);
    assert_true(answered(second) && answered(third));
    assert_int_equal(second->answers[0].refusal, REFUSAL_NONE); /* it saw what was in flight */
    assert_int_equal(third->answers[0].refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(balance(&st, "a"), 90);
    assert_int_equal(st.rigs[0].key_reads, 0);
    assert_int_equal(st.rigs[0].catch_ups, 0);
    stage_close(&st);
}

/* With clocks that stand still and a process whose clock is behind: else what was known at an instant could change after
 * it was told. */
static void no_two_commits_share_an_instant(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    st.rigs[1].clock -= 1000000;
    int64_t last = 0;
    for (int i = 0; i < 6; i++) {
        struct submission *one = send(&st, i % 2, pay(&st, "a", "b", 1, NULL));
        struct submission *two = send(&st, i % 2, pay(&st, "a", "b", 1, NULL));
        while (!answered(one) || !answered(two))
            step(&st, i % 2);
        assert_true(one->answers[0].record->recorded_at > last);
        last = two->answers[0].record->recorded_at;
        assert_true(last == one->answers[0].record->recorded_at); /* one commit */
    }
    stage_close(&st);
}

static void what_stands_on_a_flight_is_answered_after_it(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct command dry = pay(&st, "b", "a", 60, NULL), wrong = pay(&st, "a", "b", 1, "k1");
    dry.dry_run = true;
    st.rigs[0].outcome_waits = true;
    struct submission *first = send(&st, 0, pay(&st, "a", "b", 60, "k1"));
    step(&st, 0);
    struct submission *all[] = {send(&st, 0, pay(&st, "a", "b", 60, "k1")), send(&st, 0, wrong),
        send(&st, 0, dry), send(&st, 0, pay(&st, "a", "nobody", 1, NULL))};
    step(&st, 0);
    for (size_t i = 0; i < 4; i++)
        assert_false(answered(all[i]));
    st.rigs[0].outcome_waits = false;
    step(&st, 0);
    assert_true(answered(first));
    for (size_t i = 0; i < 4; i++)
        assert_true(answered(all[i])); /* nothing to write: no flight of their own */
    assert_true(all[0]->answers[0].replayed);
    assert_int_equal(all[0]->answers[0].record->seq, first->answers[0].record->seq);
    assert_int_equal(all[1]->answers[0].refusal, REFUSAL_IDEMPOTENCY_KEY_REUSED);
    assert_int_equal(all[2]->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(all[3]->answers[0].refusal, REFUSAL_ACCOUNT_NOT_FOUND);
    assert_int_equal(st.rigs[0].appends, 1);
    stage_close(&st);
}

/* Reversals of what is being reversed, in the batch in flight and in this one. */
static void a_reversal_sees_the_one_in_flight(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct answer paid = run(&st, 0, pay(&st, "a", "b", 10, NULL));
    struct command part = reversing(paid.record->id);
    part.as.reverse.has_amount = true;
    part.as.reverse.amount_minor = 7;
    st.rigs[0].outcome_waits = true;
    struct submission *first = send(&st, 0, part);
    step(&st, 0);
    struct submission *second = send(&st, 0, part), *rest = send(&st, 0, reversing(paid.record->id));
    step(&st, 0);
    st.rigs[0].outcome_waits = false;
    step(&st, 0);
    step(&st, 0);
    assert_int_equal(first->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(second->answers[0].refusal, REFUSAL_REVERSAL_EXCEEDS);
    assert_int_equal(rest->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(balance(&st, "b"), 0);
    stage_close(&st);
}

/* What does not fit beside the open batch waits for the flight, asleep. */
static void what_does_not_fit_keeps_nobody_awake(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct engine *e = st.rigs[0].engine;
    size_t many = e->config.commit_commands;
    struct command *commands = ARENA_ARRAY(&st.arena, struct command, many);
    for (size_t i = 0; i < many; i++)
        commands[i] = pay(&st, "a", "b", 1000, NULL);
    st.rigs[0].outcome_waits = true;
    struct submission *first = send(&st, 0, pay(&st, "a", "b", 1, NULL));
    step(&st, 0);
    struct submission *second = send(&st, 0, pay(&st, "a", "b", 1, NULL));
    assert_true(queue_wait(e, flight_has_room(e), -1, 1));
    step(&st, 0);
    struct submission *third = send_all(&st, 0, commands, many);
    assert_true(flight_has_room(e));
    assert_false(queue_wait(e, flight_has_room(e), -1, 1));
    assert_false(answered(first));
    st.rigs[0].outcome_waits = false;
    for (int i = 0; i < 8 && !answered(third); i++)
        step(&st, 0);
    assert_true(answered(first) && answered(second) && answered(third));
    stage_close(&st);
}

/* A new currency is the catalog's only once it is committed: nothing is decided beside it. */
static void new_assets_and_ledgers_fly_alone(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct command open = opening("yen");
    open.as.open.currency = STR("JPY");
    struct command more = open;
    more.as.open.external_id = STR("yen-2");
    st.rigs[0].outcome_waits = true;
    struct submission *first = send(&st, 0, open);
    step(&st, 0);
    struct submission *second = send(&st, 0, more);
    assert_true(engine_step(st.rigs[0].engine)); /* nothing is taken: it waits for the outcome */
    assert_true(answered(first));
    step(&st, 0);
    step(&st, 0);
    assert_true(answered(second));
    assert_int_equal(second->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(second->answers[0].asset->id, first->answers[0].asset->id);
    stage_close(&st);
}

static void the_index_finds_keys_that_were_used(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct answer first = run(&st, 0, pay(&st, "a", "b", 60, "once"));
    assert_int_equal(st.rigs[0].key_reads, 0);
    struct submission *again = send(&st, 0, pay(&st, "a", "b", 60, "once"));
    struct submission *other = send(&st, 0, pay(&st, "a", "b", 40, "new"));
    for (int i = 0; i < 4 && !answered(other); i++)
        step(&st, 0);
    assert_true(again->answers[0].replayed);
    assert_int_equal(again->answers[0].record->seq, first.record->seq);
    assert_int_equal(
        other->answers[0].refusal, REFUSAL_NONE); /* it would have been declined beside a second 60 */
    assert_int_equal(balance(&st, "b"), 100);
    assert_int_equal(counted(&st, 0, "duplicates_total"), 1);
    /* Retries come in crowds: for a while keys are looked up, and no batch is decided for nothing. */
    assert_true(run(&st, 0, pay(&st, "a", "b", 60, "once")).replayed);
    assert_int_equal(counted(&st, 0, "duplicates_total"), 1);
    unsigned reads = st.rigs[0].key_reads;
    for (int i = 0; i < 20; i++)
        (void)run(&st, 0, pay(&st, "b", "a", 1, NULL));
    assert_int_equal(st.rigs[0].key_reads, reads);
    assert_int_equal(run(&st, 0, pay(&st, "b", "a", 1, "n2")).refusal, REFUSAL_NONE);
    assert_int_equal(st.rigs[0].key_reads, reads);
    stage_close(&st);
}

/* The first run made the state that refuses the second: nothing would be appended, and the index not asked. */
static void a_replay_is_one_even_where_nothing_would_be_written(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct command exact = pay(&st, "a", "b", 30, "exact");
    exact.as.post.has_balance_after = true;
    exact.as.post.balance_account = ext("b");
    exact.as.post.balance_after_minor = 30;
    assert_int_equal(run(&st, 0, exact).refusal, REFUSAL_NONE);
    struct answer again = run(&st, 0, exact);
    assert_int_equal(again.refusal, REFUSAL_NONE);
    assert_true(again.replayed);
    struct command dry = pay(&st, "a", "b", 60, "exact");
    dry.dry_run = true;
    assert_int_equal(run(&st, 0, dry).refusal, REFUSAL_IDEMPOTENCY_KEY_REUSED);
    /* All or nothing: the sibling's key is looked up before its refusal is believed. */
    struct command both[] = {pay(&st, "a", "b", 30, "at-1"), pay(&st, "b", "a", 1, "at-2")};
    assert_int_equal(run(&st, 0, both[0]).refusal, REFUSAL_NONE);
    struct submission *s = send_all(&st, 0, (struct command[]){both[0], pay(&st, "a", "b", 10, "at-3")}, 2);
    s->atomic = true;
    for (int i = 0; i < 4 && !answered(s); i++)
        step(&st, 0);
    assert_true(s->answers[0].replayed);
    assert_int_equal(s->answers[1].refusal, REFUSAL_NONE);
    stage_close(&st);
}

/* --- two processes */

static void another_process_writes_in_between(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    uint64_t misses = counted(&st, 0, "account_cache_misses_total");
    assert_int_equal(run(&st, 1, pay(&st, "a", "b", 60, NULL)).refusal, REFUSAL_NONE);
    /* Process 0 believes in a balance of 100. */
    assert_int_equal(run(&st, 0, pay(&st, "a", "b", 60, NULL)).refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(counted(&st, 0, "conflicts_total"), 1);
    assert_int_equal(counted(&st, 0, "batches_decided_again_total"), 0); /* the flight was the first time */
    assert_int_equal(run(&st, 0, pay(&st, "a", "b", 40, NULL)).refusal, REFUSAL_NONE);
    assert_int_equal(balance(&st, "b"), 100);
    assert_int_equal(catalog_head_seq(st.rigs[0].catalog, 1), head(&st));
    /* Entries were applied, nothing was read again. */
    assert_int_equal(counted(&st, 0, "account_cache_misses_total"), misses);
    stage_close(&st);
}

/* While others write the locks come first, and no batch is decided in vain; when they have stopped, they do not. */
static void locks_are_taken_first_while_others_write(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    uint64_t conflicts[] = {counted(&st, 0, "conflicts_total"), counted(&st, 1, "conflicts_total")};
    for (int i = 0; i < 40; i++)
        assert_int_equal(
            run(&st, i % 2, pay(&st, i % 2 ? "b" : "a", i % 2 ? "a" : "b", 1, NULL)).refusal, REFUSAL_NONE);
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(counted(&st, i, "conflicts_total") - conflicts[i], 1);
    assert_true(st.rigs[0].holds >= 18);
    unsigned before = 0;
    for (int i = 0; i < 40; i++) {
        before = st.rigs[0].holds;
        assert_int_equal(
            run(&st, 0, pay(&st, i % 2 ? "b" : "a", i % 2 ? "a" : "b", 1, NULL)).refusal, REFUSAL_NONE);
    }
    assert_int_equal(st.rigs[0].holds, before);
    assert_int_equal(balance(&st, "a"), 100);
    stage_close(&st);
}

static void a_flight_meets_another_process(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    st.rigs[0].outcome_waits = st.rigs[0].commits_late = true;
    struct submission *first = send(&st, 0, pay(&st, "a", "b", 60, "k1"));
    step(&st, 0);
    struct submission *second = send(&st, 0, pay(&st, "b", "a", 50, "k2"));
    step(&st, 0);
    struct submission *third = send(&st, 0, opening("c"));
    step(&st, 0);
    /* An account gets the number that the open batch has given to its own. */
    assert_int_equal(run(&st, 1, opening("d")).refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 1, pay(&st, "a", "d", 70, NULL)).refusal, REFUSAL_NONE);
    st.rigs[0].outcome_waits = false;
    for (int i = 0; i < 6 && !(answered(second) && answered(third)); i++)
        step(&st, 0);
    assert_int_equal(first->answers[0].refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(second->answers[0].refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(third->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(balance(&st, "a"), 30);
    assert_int_equal(balance(&st, "c"), 0);
    assert_int_equal(run(&st, 0, pay(&st, "d", "c", 70, NULL)).refusal, REFUSAL_NONE);
    stage_close(&st);
}

/* What was made elsewhere a moment ago is known here when somebody asks for it. */
static void what_others_made_is_known(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct command ledger = {
        .op = COMMAND_CREATE_LEDGER, .ledger = STR("main"), .as.create_ledger = {.name = STR("shop")}};
    struct command asset = {
        .op = COMMAND_DECLARE_ASSET, .ledger = STR("main"), .as.declare_asset = {.code = STR("POINTS")}};
    struct command open = opening("p"), twin = opening("q");
    open.ledger = twin.ledger = STR("shop");
    open.as.open.currency = twin.as.open.currency = STR("POINTS");
    open.idempotency_key = STR("open-p");
    assert_true(run(&st, 1, ledger).created);
    assert_true(run(&st, 1, asset).created);
    struct answer opened = run(&st, 1, open);
    assert_int_equal(opened.refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 0, twin).refusal, REFUSAL_NONE); /* ledger and asset */
    struct answer paid = run(&st, 1, pay(&st, "a", "b", 60, NULL));
    assert_int_equal(run(&st, 0, reversing(paid.record->id)).refusal, REFUSAL_NONE);
    assert_int_equal(balance(&st, "a"), 100);
    assert_int_equal(run(&st, 1, opening("e")).refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 0, pay(&st, "a", "e", 5, NULL)).refusal, REFUSAL_NONE);
    struct answer replayed = run(&st, 0, open);
    assert_true(replayed.replayed);
    assert_string_equal(replayed.asset->code, "POINTS");
    /* Both give the next asset a number; one of them is late. */
    assert_true(run(&st, 1,
        (struct command){
            .op = COMMAND_DECLARE_ASSET, .ledger = STR("main"), .as.declare_asset = {.code = STR("MILES")}})
                    .created);
    struct answer late = run(&st, 0,
        (struct command){
            .op = COMMAND_DECLARE_ASSET, .ledger = STR("main"), .as.declare_asset = {.code = STR("STARS")}});
    assert_true(late.created);
    assert_string_equal(catalog_asset(st.rigs[0].catalog, late.asset->id)->code, "STARS");
    assert_string_equal(catalog_asset(st.rigs[0].catalog, late.asset->id - 1)->code, "MILES");
    stage_close(&st);
}

/* What leaves no record is not proven by an append. */
static void dry_runs_and_refusals_are_of_the_newest_heads(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct command dry = pay(&st, "a", "b", 60, NULL), exact = pay(&st, "a", "b", 10, NULL);
    dry.dry_run = true;
    exact.as.post.has_balance_after = true;
    exact.as.post.balance_account = ext("b");
    exact.as.post.balance_after_minor = 70;
    assert_int_equal(run(&st, 1, pay(&st, "a", "b", 60, NULL)).refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 0, dry).refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(st.rigs[0].appends, 0);
    assert_int_equal(run(&st, 1, pay(&st, "b", "a", 60, NULL)).refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 0, dry).refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 1, pay(&st, "a", "b", 60, NULL)).refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 0, exact).refusal, REFUSAL_NONE);
    stage_close(&st);
}

/* A frozen account, a raised floor: the revision is read again, not guessed from an entry. */
static void revisions_of_others_count(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    struct command freeze = {.op = COMMAND_REVISE_ACCOUNT,
        .ledger = STR("main"),
        .as.revise = {.account = ext("a"), .has_status = true, .status = ACCOUNT_FROZEN}};
    assert_int_equal(run(&st, 1, freeze).refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 0, pay(&st, "a", "b", 1, NULL)).refusal, REFUSAL_ACCOUNT_FROZEN);
    freeze.as.revise.status = ACCOUNT_OPEN;
    assert_int_equal(run(&st, 1, freeze).refusal, REFUSAL_NONE);
    assert_int_equal(run(&st, 0, pay(&st, "a", "b", 1, NULL)).refusal, REFUSAL_NONE);
    stage_close(&st);
}

/* --- threads */

struct client {
    struct engine *engine;
    int id, done;
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct arena arena;
    arena_init(&arena, 0);
    struct digest *digest = digest_new();
    for (int i = 0; i < 100; i++) {
        char key[32];
        snprintf(
            key, sizeof key, "t%d-%d", c->id / 2, i); /* two clients use each key: one of them is a replay */
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
        do
            engine_call(c->engine, &s);
        while (answer.refusal == REFUSAL_STORAGE_UNAVAILABLE);
        c->done += answer.refusal == REFUSAL_NONE || answer.refusal == REFUSAL_INSUFFICIENT_FUNDS;
    }
    digest_free(digest);
    arena_fini(&arena);
    return NULL;
}

static void two_processes_with_threads_of_their_own(void **state)
{
    (void)state;
    struct stage st;
    struct err err = {0};
    stage_open(&st);
    uint64_t before = head(&st);
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(engine_start(st.rigs[i].engine, &err), 0);
    struct client clients[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        clients[i] = (struct client){.engine = st.rigs[i % 2].engine, .id = i};
        assert_int_equal(pthread_create(&threads[i], NULL, client_main, &clients[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].done, 100);
    }
    for (int i = 0; i < PROCESSES; i++)
        engine_stop(st.rigs[i].engine);
    assert_int_equal(balance(&st, "a") + balance(&st, "b"), 100);
    assert_int_equal(head(&st) - before, 400);
    stage_close(&st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_batch_is_decided_while_one_commits),
        cmocka_unit_test(no_two_commits_share_an_instant),
        cmocka_unit_test(what_stands_on_a_flight_is_answered_after_it),
        cmocka_unit_test(a_reversal_sees_the_one_in_flight),
        cmocka_unit_test(what_does_not_fit_keeps_nobody_awake),
        cmocka_unit_test(new_assets_and_ledgers_fly_alone),
        cmocka_unit_test(the_index_finds_keys_that_were_used),
        cmocka_unit_test(a_replay_is_one_even_where_nothing_would_be_written),
        cmocka_unit_test(another_process_writes_in_between),
        cmocka_unit_test(locks_are_taken_first_while_others_write),
        cmocka_unit_test(a_flight_meets_another_process),
        cmocka_unit_test(what_others_made_is_known),
        cmocka_unit_test(dry_runs_and_refusals_are_of_the_newest_heads),
        cmocka_unit_test(revisions_of_others_count),
        cmocka_unit_test(two_processes_with_threads_of_their_own),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
