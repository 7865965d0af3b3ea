#include "support/stage.h"

#include <stdlib.h>
#include <unistd.h>

void stage_open(struct stage *st)
{
    static int n;
    struct err err = {0};
    memset(st, 0, sizeof *st);
    snprintf(st->url, sizeof st->url, "memory:stage-%d-%d", (int)getpid(), n++);
    arena_init(&st->arena, 65536);
    st->digest = digest_new();
    struct rig_options options = {.url = st->url, .now = INT64_C(1767225600000000), .shared = true};
    for (int i = 0; i < PROCESSES; i++) {
        options.seed = (uint64_t)i + 1;
        assert_int_equal(rig_open(&st->rigs[i], &options, &err), 0);
    }
    struct account_ref outside = {.by = REF_BY_WORLD, .currency = STR("USD")};
    assert_int_equal(run(st, 0, opening("a")).refusal, REFUSAL_NONE);
    assert_int_equal(run(st, 0, opening("b")).refusal, REFUSAL_NONE);
    assert_int_equal(run(st, 0, transfer(st, outside, ext("a"), 100, NULL)).refusal, REFUSAL_NONE);
    struct command look = pay(st, "a", "b", 1, NULL);
    look.dry_run = true;
    assert_int_equal(run(st, 1, look).refusal, REFUSAL_NONE);
    for (int i = 0; i < PROCESSES; i++) {
        struct rig *rig = &st->rigs[i];
        /* A process that has just learnt that others write goes carefully for a while; these tests start bold. */
        for (int k = 0; k < 40 && rig->holds > 0; k++) {
            rig->holds = 0;
            assert_int_equal(run(st, i, look).refusal, REFUSAL_NONE);
        }
        rig->appends = rig->key_reads = rig->catch_ups = rig->holds = rig->pauses = 0;
    }
}

void stage_close(struct stage *st)
{
    for (int i = 0; i < PROCESSES; i++)
        engine_stop(st->rigs[i].engine);
    for (int i = 0; i < PROCESSES; i++)
        rig_close(&st->rigs[i]);
    digest_free(st->digest);
    arena_fini(&st->arena);
}

struct account_ref ext(const char *name)
{
    return (struct account_ref){.by = REF_BY_EXTERNAL_ID, .external_id = str_of(name)};
}

struct command opening(const char *name)
{
    return (struct command){
        .op = COMMAND_OPEN_ACCOUNT,
        .ledger = STR("main"),
        .as.open = {.currency = STR("USD"),
            .type = ACCOUNT_LIABILITY,
            .external_id = str_of(name),
            .has_floor = true,
            .floor = {true, 0}},
    };
}

struct command transfer(
    struct stage *st, struct account_ref from, struct account_ref to, int64_t amount, const char *key)
{
    struct posting *posting = ARENA_NEW(&st->arena, struct posting);
    *posting = (struct posting){
        .debit = from, .credit = to, .amount_minor = amount, .currency = STR("USD"), .wallet = true};
    return (struct command){
        .op = COMMAND_POST,
        .ledger = STR("main"),
        .idempotency_key = str_of(key),
        .as.post = {.postings = posting, .n_postings = 1},
    };
}

struct command pay(struct stage *st, const char *from, const char *to, int64_t amount, const char *key)
{
    return transfer(st, ext(from), ext(to), amount, key);
}

struct command reversing(struct uuid id)
{
    return (struct command){.op = COMMAND_REVERSE, .ledger = STR("main"), .as.reverse = {.transfer = id}};
}

static void on_done(struct submission *s)
{
    s->queued_at = -1;
}

bool answered(const struct submission *s)
{
    return s->queued_at == -1;
}

struct submission *send_all(struct stage *st, int process, const struct command *commands, size_t n)
{
    struct submission *s = ARENA_NEW(&st->arena, struct submission);
    *s = (struct submission){.commands = arena_copy(&st->arena, commands, n * sizeof *commands),
        .answers = ARENA_ARRAY(&st->arena, struct answer, n),
        .n = n,
        .arena = &st->arena,
        .done = on_done};
    for (size_t i = 0; i < n; i++)
        digest_command(st->digest, &s->commands[i]);
    assert_int_equal(engine_submit(st->rigs[process].engine, s), REFUSAL_NONE);
    return s;
}

struct submission *send(struct stage *st, int process, struct command command)
{
    return send_all(st, process, &command, 1);
}

void step(struct stage *st, int process)
{
    assert_true(engine_step(st->rigs[process].engine));
}

struct answer run(struct stage *st, int process, struct command command)
{
    struct submission *s = send(st, process, command);
    for (int i = 0; i < 10 && !answered(s); i++)
        step(st, process);
    assert_true(answered(s));
    return s->answers[0];
}

int64_t balance(struct stage *st, const char *name)
{
    struct journal *j = st->rigs[0].reader;
    struct account_want want = {.ledger = 1, .external_id = str_of(name)};
    assert_int_equal(j->ops->accounts_fetch(j, &want, 1, &st->arena, NULL), 0);
    assert_true(want.found);
    return want.account.balance.posted;
}

uint64_t head(struct stage *st)
{
    struct ledger_head head;
    struct journal *j = st->rigs[0].reader;
    assert_int_equal(j->ops->head(j, 1, &head, NULL), 0);
    return head.seq;
}

uint64_t counted(struct stage *st, int process, const char *name)
{
    struct strbuf b;
    char line[96];
    strbuf_init(&b);
    metrics_render(st->rigs[process].metrics, &b);
    strbuf_char(&b, '\0');
    snprintf(line, sizeof line, "\ncreditledger_%s ", name);
    const char *found = strstr(b.data, line);
    assert_non_null(found);
    uint64_t n = strtoull(found + strlen(line), NULL, 10);
    strbuf_fini(&b);
    return n;
}
