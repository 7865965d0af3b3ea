/* A shared journal that fails: locks, connections that break in a commit, refused records, a failover that lost some. */
#include "support/stage.h"

#include "telemetry/log.h"

static void fails(struct stage *st, enum rig_fault fault, int code, unsigned times)
{
    st->rigs[0].fault = fault;
    st->rigs[0].fault_code = code;
    st->rigs[0].appends_fail = times;
}

static void a_failed_flight_takes_what_stood_on_it_along(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    st.rigs[0].outcome_waits = true;
    fails(&st, RIG_APPEND_FAILS, ERR_IO, 1);
    struct command dry = pay(&st, "b", "a", 60, NULL);
    dry.dry_run = true;
    struct submission *first = send(&st, 0, pay(&st, "a", "b", 60, "k1"));
    step(&st, 0);
    struct submission *second = send(&st, 0, pay(&st, "b", "a", 60, "k2")), *third = send(&st, 0, dry);
    step(&st, 0);
    st.rigs[0].outcome_waits = false;
    step(&st, 0);
    assert_int_equal(first->answers[0].refusal, REFUSAL_STORAGE_UNAVAILABLE);
    for (int i = 0; i < 4 && !answered(third); i++)
        step(&st, 0);
    assert_int_equal(second->answers[0].refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(third->answers[0].refusal, REFUSAL_INSUFFICIENT_FUNDS);
    assert_int_equal(balance(&st, "a"), 100);
    assert_int_equal(run(&st, 0, pay(&st, "a", "b", 60, "k1")).refusal, REFUSAL_NONE);
    assert_true(engine_healthy(st.rigs[0].engine));
    stage_close(&st);
}

static void locks_and_deadlocks_pass(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
        unsigned times;
        enum refusal refusal;
    } cases[] = {
        {"deadlock", ERR_BUSY, 1, REFUSAL_NONE},
        {"lock timeout", ERR_TIMEOUT, 4, REFUSAL_NONE},
        {"for ever", ERR_BUSY, 100, REFUSAL_STORAGE_UNAVAILABLE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("# case: %s\n", cases[i].name);
        struct stage st;
        stage_open(&st);
        fails(&st, RIG_APPEND_FAILS, cases[i].code, cases[i].times);
        assert_int_equal(run(&st, 0, pay(&st, "a", "b", 60, "k")).refusal, cases[i].refusal);
        assert_true(st.rigs[0].pauses >= 1 && st.rigs[0].pauses < 10);
        assert_int_equal(balance(&st, "b"), cases[i].refusal == REFUSAL_NONE ? 60 : 0);
        fails(&st, RIG_SOUND, 0, 0);
        assert_int_equal(run(&st, 0, pay(&st, "a", "b", 60, "k")).refusal, REFUSAL_NONE);
        assert_int_equal(balance(&st, "b"), 60);
        stage_close(&st);
    }
}

static void an_unknown_outcome_is_found_out(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum rig_fault fault;
        unsigned times;
        bool other_writes;
    } cases[] = {
        {"it was done", RIG_OUTCOME_UNKNOWN, 1, false},
        {"it was done, and the database is away for a while", RIG_OUTCOME_UNKNOWN, 5, false},
        {"it was done, and others went on", RIG_OUTCOME_UNKNOWN, 1, true},
        {"it was not done", RIG_APPEND_FAILS, 1, false},
        {"it was not done, and the database is away for a while", RIG_APPEND_FAILS, 5, false},
        {"it was not done, and others went on", RIG_APPEND_FAILS, 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("# case: %s\n", cases[i].name);
        struct stage st;
        stage_open(&st);
        fails(&st, cases[i].fault, ERR_UNKNOWN, cases[i].times);
        st.rigs[0].outcome_waits = true;
        struct submission *first = send(&st, 0, pay(&st, "a", "b", 60, "k"));
        step(&st, 0);
        struct submission *second = send(&st, 0, pay(&st, "a", "b", 30, "k2"));
        step(&st, 0);
        if (cases[i].other_writes)
            assert_int_equal(run(&st, 1, pay(&st, "a", "b", 1, NULL)).refusal, REFUSAL_NONE);
        st.rigs[0].outcome_waits = false;
        for (int k = 0; k < 6 && !answered(second); k++)
            step(&st, 0);
        assert_int_equal(first->answers[0].refusal, REFUSAL_NONE);
        assert_false(first->answers[0].replayed);
        assert_int_equal(second->answers[0].refusal, REFUSAL_NONE);
        assert_int_equal(balance(&st, "b"), 90 + cases[i].other_writes);
        assert_int_equal(counted(&st, 0, "unknown_outcomes_total"), 1);
        assert_true(engine_healthy(st.rigs[0].engine));
        stage_close(&st);
    }
}

static void nobody_guesses_what_stays_unknown(void **state)
{
    (void)state;
    for (int done = 0; done < 2; done++) {
        struct stage st;
        stage_open(&st);
        fails(&st, done ? RIG_OUTCOME_UNKNOWN : RIG_APPEND_FAILS, ERR_UNKNOWN, 100000);
        struct answer answer = run(&st, 0, pay(&st, "a", "b", 60, "k"));
        assert_int_equal(answer.refusal, REFUSAL_OUTCOME_UNKNOWN);
        assert_false(engine_healthy(st.rigs[0].engine));
        assert_true(st.rigs[0].pauses > 10);
        assert_int_equal(balance(&st, "b"), done ? 60 : 0);
        fails(&st, RIG_SOUND, 0, 0);
        answer = run(&st, 0, pay(&st, "a", "b", 60, "k"));
        assert_int_equal(answer.refusal, REFUSAL_NONE);
        assert_int_equal(answer.replayed, done);
        assert_int_equal(balance(&st, "b"), 60);
        assert_int_equal(run(&st, 0, pay(&st, "a", "b", 60, NULL)).refusal, REFUSAL_INSUFFICIENT_FUNDS);
        stage_close(&st);
    }
}

/* Conflicts though nobody else writes: the database does not like a record. */
static void what_the_database_refuses_fails_alone(void **state)
{
    (void)state;
    struct stage st;
    stage_open(&st);
    fails(&st, RIG_APPEND_FAILS, ERR_CONFLICT,
        5 + 4); /* the flight, the batch again and again, the first alone */
    struct submission *all[3];
    for (int i = 0; i < 3; i++)
        all[i] = send(&st, 0, pay(&st, "a", "b", 1 + i, NULL));
    for (int i = 0; i < 6 && !answered(all[2]); i++)
        step(&st, 0);
    assert_int_equal(all[0]->answers[0].refusal, REFUSAL_INTERNAL);
    assert_int_equal(all[1]->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(all[2]->answers[0].refusal, REFUSAL_NONE);
    assert_int_equal(balance(&st, "b"), 5);
    stage_close(&st);
}

static void reads_that_fail_fail_their_batch(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 12; n++) {
        struct stage st;
        stage_open(&st);
        assert_int_equal(run(&st, 1, pay(&st, "a", "b", 60, NULL)).refusal, REFUSAL_NONE);
        st.rigs[0].reads_until_fail = n;
        struct submission *s = send(&st, 0, pay(&st, "b", "a", 60, "k"));
        for (int i = 0; i < 6 && !answered(s); i++)
            step(&st, 0);
        enum refusal refusal = s->answers[0].refusal;
        assert_true(refusal == REFUSAL_NONE || refusal == REFUSAL_STORAGE_UNAVAILABLE);
        if (n == 1)
            assert_true(st.rigs[0].reads_failed > 0);
        st.rigs[0].reads_until_fail = 0;
        assert_int_equal(run(&st, 0, pay(&st, "b", "a", 60, "k")).refusal, REFUSAL_NONE);
        assert_int_equal(balance(&st, "a"), 100);
        stage_close(&st);
    }
}

/* --- a failover to a database that lacks what was acknowledged */

/* The same commands, clock and randomness give the same bytes: of a replica, as far as it got. */
static void few_transfers(struct rig *rig, struct stage *st, int n)
{
    struct account_ref outside = {.by = REF_BY_WORLD, .currency = STR("USD")};
    struct command first[] = {opening("a"), opening("b"), transfer(st, outside, ext("a"), 100, NULL)};
    for (int i = 0; i < 3 + n; i++) {
        struct command command = i < 3 ? first[i] : pay(st, "a", "b", 1, NULL);
        struct answer answer;
        struct submission s = {.commands = &command, .answers = &answer, .n = 1, .arena = &st->arena};
        digest_command(st->digest, &command);
        engine_call(rig->engine, &s);
        assert_int_equal(answer.refusal, REFUSAL_NONE);
    }
}

static void lost_records_stop_all_writing(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int replicated;     /* transfers, of 40 */
        bool other_went_on; /* and somebody wrote to the replica meanwhile, as many as were lost */
        const char *says;
    } cases[] = {
        {"behind", 30, false,
            "records 35 to 44 of ledger main were acknowledged and are not in the database"},
        {"one record", 39, false, "records 44 to 44 of ledger main"},
        {"others went on", 39, true, "records 44 to 44 of ledger main"},
        {"nothing", 40, false, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("# case: %s\n", cases[i].name);
        struct stage st;
        struct rig rig, replica;
        struct err err = {0};
        struct rig_options options = {
            .url = "memory:primary", .now = INT64_C(1767225600000000), .seed = 7, .shared = true};
        stage_open(&st);
        assert_int_equal(rig_open(&rig, &options, &err), 0);
        options.url = "memory:replica";
        assert_int_equal(rig_open(&replica, &options, &err), 0);
        few_transfers(&rig, &st, 40);
        few_transfers(&replica, &st, cases[i].replicated);
        struct command more = pay(&st, "a", "b", 1, "other");
        struct answer answer;
        struct submission s = {.commands = &more, .answers = &answer, .n = 1, .arena = &st.arena};
        digest_command(st.digest, &more);
        if (cases[i].other_went_on)
            engine_call(replica.engine, &s);
        assert_int_equal(rig_failover(&rig, "memory:replica", &err), 0);
        rig.fault = RIG_APPEND_FAILS;
        rig.fault_code = ERR_IO;
        rig.appends_fail = cases[i].replicated == 30; /* one finds out at a conflict, one after a failure */
        more.idempotency_key = STR("mine");
        digest_command(st.digest, &more);
        for (int k = 0; k < 3; k++)
            engine_call(rig.engine, &s);
        assert_int_equal(answer.refusal, cases[i].says ? REFUSAL_JOURNAL_BEHIND : REFUSAL_NONE);
        assert_int_equal(engine_healthy(rig.engine), cases[i].says == NULL);
        if (cases[i].says == NULL) {
            assert_null(engine_lost(rig.engine));
        } else {
            assert_non_null(engine_lost(rig.engine));
            assert_int_equal(strncmp(engine_lost(rig.engine), cases[i].says, strlen(cases[i].says)), 0);
            /* The replica has what it had, and takes writes of a process that does not know better. */
            digest_command(st.digest, &more);
            engine_call(replica.engine, &s);
            assert_int_equal(answer.refusal, REFUSAL_NONE);
        }
        engine_stop(rig.engine);
        engine_stop(replica.engine);
        rig_close(&rig);
        rig_close(&replica);
        stage_close(&st);
    }
}

/* Of assets no head tells: the catalog itself is compared. */
static void a_lost_asset_is_not_taken_for_another(void **state)
{
    (void)state;
    static const char *const went_on_with[] = {"GEM", "PTS", NULL}; /* on the replica, in place of PTS */
    for (size_t i = 0; i < 3; i++) {
        struct stage st;
        struct rig rig, replica;
        struct err err = {0};
        struct rig_options options = {
            .url = "memory:primary", .now = INT64_C(1767225600000000), .seed = 7, .shared = true};
        stage_open(&st);
        assert_int_equal(rig_open(&rig, &options, &err), 0);
        options.url = "memory:replica";
        assert_int_equal(rig_open(&replica, &options, &err), 0);
        few_transfers(&rig, &st, 1);
        few_transfers(&replica, &st, 1);
        struct command declare = {.op = COMMAND_DECLARE_ASSET, .as.declare_asset = {.code = STR("PTS")}};
        struct answer answer;
        struct submission s = {.commands = &declare, .answers = &answer, .n = 1, .arena = &st.arena};
        engine_call(rig.engine, &s);
        assert_true(answer.refusal == REFUSAL_NONE && answer.created);
        if (went_on_with[i] != NULL) {
            declare.as.declare_asset.code = str_of(went_on_with[i]);
            engine_call(replica.engine, &s);
            assert_int_equal(answer.refusal, REFUSAL_NONE);
        }
        assert_int_equal(rig_failover(&rig, "memory:replica", &err), 0);
        rig.fault = RIG_APPEND_FAILS;
        rig.fault_code = ERR_IO;
        rig.appends_fail = 1;
        struct command open = opening("points");
        open.as.open.currency = STR("PTS");
        s.commands = &open;
        digest_command(st.digest, &open);
        for (int k = 0; k < 3; k++)
            engine_call(rig.engine, &s);
        assert_int_equal(answer.refusal, i == 1 ? REFUSAL_EXTERNAL_ID_TAKEN : REFUSAL_JOURNAL_BEHIND);
        assert_int_equal(engine_healthy(rig.engine), i == 1);
        engine_stop(rig.engine);
        engine_stop(replica.engine);
        rig_close(&rig);
        rig_close(&replica);
        stage_close(&st);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_flight_takes_what_stood_on_it_along),
        cmocka_unit_test(locks_and_deadlocks_pass),
        cmocka_unit_test(an_unknown_outcome_is_found_out),
        cmocka_unit_test(nobody_guesses_what_stays_unknown),
        cmocka_unit_test(what_the_database_refuses_fails_alone),
        cmocka_unit_test(reads_that_fail_fail_their_batch),
        cmocka_unit_test(lost_records_stop_all_writing),
        cmocka_unit_test(a_lost_asset_is_not_taken_for_another),
    };
    log_setup((enum log_level)(LOG_ERROR + 1), LOG_TEXT); /* failures are made on purpose here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
