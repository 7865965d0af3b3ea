#include "app/books_fixture.h"

#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MICROS_PER_TICK 1000

static int64_t tick(void *environment)
{
    struct books *b = environment;
    return b->clock += MICROS_PER_TICK;
}

static void fill(void *environment, void *ret_bytes, size_t len)
{
    struct books *b = environment;
    uint8_t *p = ret_bytes;
    for (size_t i = 0; i < len; i++) {
        b->random = b->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        p[i] = (uint8_t)(b->random >> 56);
    }
}

void books_open(struct books *b, bool sqlite)
{
    static int n;
    struct err err = {0};
    *b = (struct books){.clock = BOOKS_EPOCH, .random = 7};
    arena_init(&b->arena, 65536);
    b->digest = digest_new();
    if (sqlite) {
        strcpy(b->directory, "/tmp/creditledger-test-XXXXXX");
        assert_non_null(mkdtemp(b->directory));
        snprintf(b->url, sizeof b->url, "sqlite:%s/ledger.db", b->directory);
    } else {
        snprintf(b->url, sizeof b->url, "memory:books-%d", n++);
    }
    struct journal_options options = {.mode = JOURNAL_WRITE, .create = true, .now = b->clock};
    if (journal_open(b->url, &options, &b->journal, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(0, catalog_new(b->journal, &b->catalog, &err));
    struct engine_config config = {
        .journal = b->journal, .catalog = b->catalog, .now = tick, .random = fill, .environment = b};
    assert_int_equal(0, engine_new(&config, &b->engine, &err));
}

void books_close(struct books *b)
{
    engine_free(b->engine);
    catalog_free(b->catalog);
    journal_close(b->journal);
    digest_free(b->digest);
    arena_fini(&b->arena);
    if (b->directory[0] != '\0') {
        char command[128];
        snprintf(command, sizeof command, "rm -rf '%s'", b->directory);
        assert_int_equal(0, system(command));
    }
}

struct account_ref books_ext(const char *name)
{
    return (struct account_ref){.by = REF_BY_EXTERNAL_ID, .external_id = str_of(name)};
}

struct account_ref books_world(const char *currency)
{
    return (struct account_ref){.by = REF_BY_WORLD, .currency = str_of(currency)};
}

struct answer books_run(struct books *b, struct command command)
{
    struct answer answer = {0};
    command.ledger = STR("main");
    digest_command(b->digest, &command);
    struct submission s = {.commands = &command, .answers = &answer, .n = 1, .arena = &b->arena};
    engine_call(b->engine, &s);
    return answer;
}

const struct record *books_do(struct books *b, struct command command)
{
    struct answer answer = books_run(b, command);
    if (answer.refusal != REFUSAL_NONE)
        fail_msg("refused: %s (%s)", refusal_info(answer.refusal)->name, answer.detail);
    return answer.record;
}

const struct record *books_account(struct books *b, const char *name, enum account_type type,
    const char *currency, struct floor floor, const char *text)
{
    return books_do(b, (struct command){
                           .op = COMMAND_OPEN_ACCOUNT,
                           .text = str_of(text),
                           .as.open = {.currency = str_of(currency),
                               .type = type,
                               .external_id = str_of(name),
                               .has_floor = true,
                               .floor = floor},
                       });
}

struct command books_transfer_command(struct books *b, struct account_ref debit, struct account_ref credit,
    int64_t amount, const char *currency, const char *key)
{
    struct posting *posting = ARENA_NEW(&b->arena, struct posting);
    *posting = (struct posting){
        .debit = debit, .credit = credit, .amount_minor = amount, .currency = str_of(currency)};
    return (struct command){.op = COMMAND_POST,
        .idempotency_key = str_of(key),
        .as.post = {.postings = posting, .n_postings = 1}};
}

const struct record *books_transfer(
    struct books *b, struct account_ref debit, struct account_ref credit, int64_t amount, const char *key)
{
    return books_do(b, books_transfer_command(b, debit, credit, amount, "USD", key));
}

int64_t books_balance(struct books *b, const char *name)
{
    struct account_want want = {.ledger = 1, .external_id = str_of(name)};
    assert_int_equal(0, b->journal->ops->accounts_fetch(b->journal, &want, 1, &b->arena, NULL));
    if (!want.found)
        fail_msg("no account %s", name);
    return amounts_balance(want.account.balance, account_type_side(want.account.type));
}
