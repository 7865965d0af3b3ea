/*
 * `creditledger erase`: takes away the text (name, metadata) of records, on request of the person it is
 * about. The erasure is itself a record; the chain and every balance stay as they are, because they cover
 * only a digest.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json_out.h"
#include "app/downstream.h"
#include "app/options.h"
#include "app/store.h"
#include "readmodel/projector.h"

#define ACTOR "command-line"

struct erasing {
    const struct options *o;
    struct store store;
    const struct ledger_row *ledger;
    struct arena arena;
    uint64_t *seqs; /* records that have a text now */
    size_t n, cap;
};

static void add_seq(struct erasing *e, uint64_t seq)
{
    if (e->n == e->cap) {
        e->cap = e->cap ? e->cap * 2 : 16;
        e->seqs = reallocarray(e->seqs, e->cap, sizeof *e->seqs);
        INVARIANT(e->seqs != NULL);
    }
    e->seqs[e->n++] = seq;
}

/* Adds the record if there is something to erase. */
static int consider(struct erasing *e, uint64_t seq, const struct uuid *id, struct err *err)
{
    const struct record *record;
    struct journal *j = e->store.journal;
    int rc = j->ops->record(j, e->ledger->id, seq, true, &e->arena, &record, err);
    if (rc == ERR_NOT_FOUND || (rc == 0 && id != NULL && !uuid_eq(*id, record->id)))
        return err_set(err, ERR_NOT_FOUND, "ledger %s has no such record", e->ledger->name);
    if (rc == 0 && record->text.present && record->text.readable)
        add_seq(e, seq);
    return rc;
}

struct revisions {
    uint64_t *seqs;
    size_t n, cap;
    uint32_t last;
};

static int on_entry(void *ctx, const struct entry *entry, uint64_t seq)
{
    struct revisions *r = ctx;
    if (entry->revision == r->last)
        return 0;
    r->last = entry->revision;
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->seqs = reallocarray(r->seqs, r->cap, sizeof *r->seqs);
        INVARIANT(r->seqs != NULL);
    }
    r->seqs[r->n++] = seq;
    return 0;
}

/* An account's opening and all its revisions: where its name and metadata have been. */
static int collect_account(struct erasing *e, const char *text, struct err *err)
{
    struct journal *j = e->store.journal;
    struct account_want want = {.ledger = e->ledger->id};
    struct uuid id;
    bool by_id = uuid_parse(str_of(text), &id);
    if (by_id)
        want.number = uuid_counter(id);
    else if (str_starts(str_of(text), STR("ext:")) && text[4] != '\0')
        want.external_id = str_of(text + 4);
    else
        return err_set(err, ERR_CONFIG, "--account is '%s': use the account's id or ext:EXTERNAL-ID", text);
    int rc = j->ops->accounts_fetch(j, &want, 1, &e->arena, err);
    if (rc != 0)
        return rc;
    if (!want.found || (by_id && !uuid_eq(id, want.account.id)))
        return err_set(err, ERR_NOT_FOUND, "ledger %s has no account %s", e->ledger->name, text);
    struct revisions r = {0};
    rc = j->ops->entries(
        j, e->ledger->id, want.account.number, 1, want.account.version, false, on_entry, &r, err);
    for (size_t i = 0; rc == 0 && i < r.n; i++)
        rc = consider(e, r.seqs[i], NULL, err);
    free(r.seqs);
    return rc;
}

static int collect(struct erasing *e, struct err *err)
{
    const char *seq = options_get(e->o, "seq"), *transfer = options_get(e->o, "transfer");
    uint64_t number;
    struct uuid id;
    if (seq != NULL) {
        if (!str_to_uint64(str_of(seq), &number) || number == 0)
            return err_set(err, ERR_CONFIG, "--seq is '%s': it must be a record's seq", seq);
        return consider(e, number, NULL, err);
    }
    if (transfer != NULL) {
        if (!uuid_parse(str_of(transfer), &id))
            return err_set(err, ERR_CONFIG, "--transfer is '%s': it must be a transfer's id", transfer);
        return consider(e, uuid_counter(id), &id, err);
    }
    return collect_account(e, options_get(e->o, "account"), err);
}

static int erase_all(struct erasing *e, struct answer *answers, struct err *err)
{
    const char *reason = options_get(e->o, "reason");
    struct command *commands = ARENA_ARRAY(&e->arena, struct command, e->n);
    for (size_t i = 0; i < e->n; i++)
        /* No key: a text is erased once anyway, and a client's key could stand in the way of it. */
        commands[i] = (struct command){
            .op = COMMAND_ERASE,
            .ledger = str_of(e->ledger->name),
            .actor = STR(ACTOR),
            .reference = str_of(reason),
            .as.erase.seq = e->seqs[i],
        };
    struct submission s = {
        .commands = commands, .answers = answers, .n = e->n, .stop_on_refusal = true, .arena = &e->arena};
    engine_call(e->store.engine, &s);
    for (size_t i = 0; i < e->n; i++)
        if (answers[i].refusal != REFUSAL_NONE)
            return err_set(err, ERR_IO, "record %" PRIu64 ": %s", e->seqs[i],
                answers[i].detail[0] ? answers[i].detail : refusal_info(answers[i].refusal)->title);
    return 0;
}

/* --- the read model ----------------------------------------------------------------------------------------- */

/*
 * The erasure is an event like others: whoever projects takes the text out of the read model. Here it is seen to that
 * somebody does, also when there is nothing to erase any more, for the one who erased may have been stopped before.
 */
static const char *clean_read_model(const struct erasing *e, struct err *err)
{
    struct downstream d;
    struct ledger_head head;
    struct journal *j = e->store.journal;
    int rc = downstream_describe(e->o, &e->store, &d, err);
    if (rc == 0 && !d.has_read)
        return "none";
    if (rc == 0)
        rc = j->ops->head(j, e->ledger->id, &head, err);
    const struct projector_config config = {.read_url = d.read_url,
        .pooled = d.pooled,
        .journal_url = e->store.url,
        .journal_options = &e->store.options};
    if (rc == 0)
        rc = projector_catch_up(&config, str_of(e->ledger->name), head.seq, err);
    return rc == 0 ? "clean" : rc == ERR_NOT_FOUND ? "none" : "behind";
}

static void print_result(const struct erasing *e, const struct answer *answers, const char *read_model)
{
    if (!options_flag(e->o, "json")) {
        for (size_t i = 0; i < e->n; i++)
            printf("erased the text of record %" PRIu64 " (record %" PRIu64 " says so)\n", e->seqs[i],
                answers[i].record->seq);
        if (e->n == 0)
            puts("nothing to erase: no text is there");
        return;
    }
    struct strbuf b;
    strbuf_init(&b);
    struct json_out out = {.b = &b};
    out_begin(&out, '{');
    out_c_member(&out, "ledger", e->ledger->name);
    out_key(&out, "erased");
    out_begin(&out, '[');
    for (size_t i = 0; i < e->n; i++) {
        out_begin(&out, '{');
        out_uint_member(&out, "seq", e->seqs[i]);
        out_uint_member(&out, "by", answers[i].record->seq);
        out_end(&out, '}');
    }
    out_end(&out, ']');
    out_c_member(&out, "readModel", read_model);
    out_end(&out, '}');
    printf(STR_FMT "\n", STR_ARG(strbuf_view(&b)));
    strbuf_fini(&b);
}

static int run_with(struct erasing *e)
{
    struct err err = {0};
    const char *name = options_get(e->o, "ledger");
    e->ledger = catalog_ledger_by_name(e->store.catalog, str_of(name));
    if (e->ledger == NULL)
        return options_fail(e->o, EXIT_USAGE, "there is no ledger '%s'", name);
    int rc = collect(e, &err);
    if (rc == ERR_CONFIG || rc == ERR_NOT_FOUND)
        return options_fail(e->o, rc == ERR_CONFIG ? EXIT_USAGE : EXIT_FAULT, "%s", err.message);
    if (rc != 0)
        return options_fail(e->o, EXIT_ENVIRONMENT, "%s", err.message);
    if (e->n > 0 && !options_flag(e->o, "yes")) {
        for (size_t i = 0; i < e->n; i++)
            printf("would erase the text of record %" PRIu64 "\n", e->seqs[i]);
        return options_fail(e->o, EXIT_USAGE, "erased text cannot be brought back; add --yes to erase it");
    }
    struct answer *answers = ARENA_ARRAY(&e->arena, struct answer, e->n + 1);
    if (e->n > 0 && erase_all(e, answers, &err) != 0)
        return options_fail(e->o, EXIT_ENVIRONMENT, "%s", err.message);
    const char *read_model = clean_read_model(e, &err);
    print_result(e, answers, read_model);
    if (strcmp(read_model, "behind") == 0)
        fprintf(stderr,
            "creditledger erase: the read model still has it until a projector runs: %s\n"
            "('creditledger serve' does, and so does the same command again)\n",
            err.message);
    return EXIT_OK;
}

static int run(const struct options *o)
{
    static const char *const targets[] = {"seq", "transfer", "account"};
    int given = 0;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        given += options_get(o, targets[i]) != NULL;
    if (given != 1)
        return options_fail(o, EXIT_USAGE, "name one of --seq, --transfer and --account");
    const char *reason = options_get(o, "reason");
    if (reason != NULL && (strlen(reason) > LIMIT_REFERENCE_MAX || !idempotency_key_valid(str_of(reason))))
        return options_fail(
            o, EXIT_USAGE, "--reason must be 1 to %d bytes of UTF-8 on one line", LIMIT_REFERENCE_MAX);
    struct erasing e = {.o = o};
    struct err err;
    /* To write is to create what is missing; here a missing database is a mistake. */
    int rc = store_open_read(o, &e.store, &err);
    if (rc == 0) {
        store_close(&e.store);
        rc = store_open_engine(o, &e.store, &err);
    }
    if (rc != 0)
        return options_fail(o, EXIT_ENVIRONMENT, "%s", err.message);
    arena_init(&e.arena, 0);
    int code = run_with(&e);
    free(e.seqs);
    arena_fini(&e.arena);
    store_close(&e.store);
    return code;
}

static const struct option_spec options[] = {
    STORE_OPTIONS,
    STORE_WRITE_OPTIONS,
    READ_OPTIONS,
    {"ledger", "NAME", "which ledger", NULL, "main", NULL},
    {"seq", "N", "the text of this record", NULL, NULL, NULL},
    {"transfer", "ID", "the text of the transfer with this id", NULL, NULL, NULL},
    {"account", "ACCOUNT",
        "name and metadata of an account, in its opening and all revisions: its id or ext:EXTERNAL-ID", NULL,
        NULL, NULL},
    {"reason", "TEXT", "kept as the reference of the erasure's record: no personal data", NULL, NULL, NULL},
    {"yes", NULL, "do it; without it, only says what would be erased", NULL, NULL, NULL},
    {"json", NULL, "print one JSON object", NULL, NULL, NULL},
    {0},
};

const struct command_spec cmd_erase = {
    .name = "erase",
    .summary = "erase names and metadata for good; balances and the hash chain stay",
    .positional = "",
    .details =
        "What may hold personal data (names, metadata) is kept apart from the journal, which holds a "
        "salted digest of\n"
        "it. Erasing takes text and salt away and leaves a record that says so. A server on --data "
        "must be stopped;\n"
        "over PostgreSQL servers may go on, and this is done as the role that owns the tables. Backups\n"
        "made before still hold the text. Transfers of an account have texts of their own: erase them "
        "by --transfer.\n"
        "The read model is brought up to the erasure by whoever projects, or by this command. What was\n"
        "published before stays in Kafka's topics as long as they keep it.\n"
        "\n"
        "Exit status: 0 erased (or nothing was there), 1 no such record or account, 2 usage, 3 "
        "another process has\n"
        "the database, or it could not be written.",
    .options = options,
    .run = run,
};
