#include "readmodel/readmodel_fixture.h"

#include "base/check.h"
#include "db/postgres_testing.h"
#include "ledger/refusal.h"

static const char *const texts[] = {"{\"metadata\":{\"order\":\"7\",\"n\":12,\"vip\":true}}",
    "{\"metadata\":{\"order\":\"8\",\"deep\":{\"a\":[1]},\"rate\":0.1}}", "{\"metadata\":{}}"};
static const char *const account_texts[] = {"{\"metadata\":{\"tier\":\"gold\"},\"name\":\"Al\\\"ice\"}",
    "{\"metadata\":{},\"name\":\"Bob\"}", "{\"metadata\":{\"x\":1}}"};
static const char *const references[] = {"inv-1", "inv-2", "inv-3"};

static uint64_t below(struct books *b, uint64_t n)
{
    return check_below(&b->f.random, n);
}

static void some_text(struct books *b, struct record *r, const char *const *some, size_t n)
{
    uint64_t i = below(b, n + 1);
    if (i < n)
        fixture_text(&b->f, r, some[i]);
}

static void trimmings(struct books *b, struct record *r)
{
    char key[32];
    snprintf(key, sizeof key, "key-%llu", (unsigned long long)r->seq);
    if (below(b, 2) == 0)
        fixture_key(&b->f, r, key);
    if (below(b, 2) == 0)
        r->reference = str_of(references[below(b, COUNT_OF(references))]);
    if (below(b, 3) == 0)
        r->actor = STR("till");
    r->has_trace = below(b, 3) == 0;
    if (r->has_trace)
        r->trace_id[5] = 0x42;
}

static void make_opening(struct books *b)
{
    static const enum account_type types[] = {ACCOUNT_LIABILITY, ACCOUNT_ASSET, ACCOUNT_EQUITY};
    struct record *r = fixture_begin(&b->f, RECORD_OPENING);
    char external[32];
    snprintf(external, sizeof external, "ext-%llu", (unsigned long long)r->seq);
    some_text(b, r, account_texts, COUNT_OF(account_texts));
    fixture_open(&b->f, r, 1 + (uint32_t)(b->f.state.n_accounts % 2), types[below(b, 3)],
        (struct floor){.present = false}, below(b, 2) ? external : NULL);
    trimmings(b, r);
    r->reference = STR_NONE;
    fixture_seal(&b->f, r);
}

static void make_revision(struct books *b)
{
    struct record *r = fixture_begin(&b->f, RECORD_REVISION);
    uint64_t account = 1 + below(b, b->f.state.n_accounts);
    some_text(b, r, account_texts, COUNT_OF(account_texts));
    bool lower = below(b, 2) == 0;
    fixture_revision(&b->f, r, account, (enum account_status)(1 + below(b, 2)),
        (struct floor){lower, lower ? -1000000000 : 0});
    fixture_entry(&b->f, r, account, (struct amounts){0, 0, 0});
    fixture_seal(&b->f, r);
}

/* Two accounts of one currency. */
static void some_pair(struct books *b, uint64_t *ret_debit, uint64_t *ret_credit)
{
    do {
        *ret_debit = 1 + below(b, b->f.state.n_accounts);
        *ret_credit = 1 + below(b, b->f.state.n_accounts);
    } while (*ret_debit == *ret_credit || (*ret_debit - *ret_credit) % 2 != 0);
}

static void make_transfer(struct books *b)
{
    struct record *r = fixture_begin(&b->f, RECORD_TRANSFER);
    uint64_t debit, credit;
    if (below(b, 4) == 0)
        r->effective_at = r->recorded_at - (int64_t)below(b, 100000000);
    for (uint64_t pairs = 1 + below(b, 3) / 2 * 2; pairs > 0; pairs--) {
        some_pair(b, &debit, &credit);
        int64_t amount = 1 + (int64_t)below(b, 1000);
        fixture_entry(&b->f, r, debit, (struct amounts){-amount, 0, 0});
        fixture_entry(&b->f, r, credit, (struct amounts){amount, 0, 0});
    }
    some_text(b, r, texts, COUNT_OF(texts));
    trimmings(b, r);
    fixture_seal(&b->f, r);
}

static void make_decline(struct books *b)
{
    struct record *r = fixture_begin(&b->f, RECORD_DECLINED);
    fixture_entry(&b->f, r, 1 + below(b, b->f.state.n_accounts), (struct amounts){0, 0, 0});
    r->refusal = REFUSAL_INSUFFICIENT_FUNDS;
    r->declined_amount = 1 + (int64_t)below(b, 500);
    some_text(b, r, texts, COUNT_OF(texts));
    trimmings(b, r);
    fixture_seal(&b->f, r);
}

/* A record whose text is still there; NULL if none was found. */
static const struct record *some_text_of(struct books *b)
{
    for (int tries = 0; tries < 20; tries++) {
        const struct record *r = b->records[below(b, b->n_records)];
        if (r->text.present && !b->erased[r->seq - 1])
            return r;
    }
    return NULL;
}

static void make_erasure(struct books *b)
{
    const struct record *of = some_text_of(b);
    if (of == NULL) {
        make_opening(b);
        return;
    }
    struct record *r = fixture_begin(&b->f, RECORD_ERASURE);
    r->related_seq = of->seq;
    fixture_entry(&b->f, r, of->entries[0].account, (struct amounts){0, 0, 0});
    fixture_seal(&b->f, r);
    b->erased[of->seq - 1] = true;
}

static void make_one(struct books *b)
{
    uint64_t what = below(b, 100);
    if (b->f.state.n_accounts < 6 || what < 4)
        make_opening(b);
    else if (what < 8)
        make_revision(b);
    else if (what < 14)
        make_decline(b);
    else if (what < 20 && b->n_records > 0)
        make_erasure(b);
    else
        make_transfer(b);
    /* Days pass. */
    if (below(b, 20) == 0)
        b->f.now += INT64_C(40000000000);
}

static void put_facts(struct books *b)
{
    size_t cap = 0;
    for (size_t i = 0; i < b->n_records; i++)
        cap += event_count(b->records[i]);
    b->facts = calloc(cap, sizeof *b->facts);
    for (size_t i = 0; i < b->n_records; i++) {
        const struct record *r = b->records[i];
        const struct asset **assets = ARENA_ARRAY(&b->f.arena, const struct asset *, r->n_entries);
        for (size_t leg = 0; leg < r->n_entries; leg++)
            assets[leg] = &b->f.assets[r->entries[leg].asset - 1];
        const struct event_source source = {str_of(b->f.row.name), r, assets};
        for (size_t n = 0; n < event_count(r); n++) {
            struct fact *fact = &b->facts[b->n_facts];
            fact_of_record(&source, n, &b->f.arena, fact);
            fact->offset = (int64_t)b->n_facts++;
        }
    }
}

void books_make(struct books *b, struct journal *journal, const char *ledger, size_t n, uint64_t seed)
{
    struct err err = {0};
    *b = (struct books){.n_records = 0};
    b->records = calloc(n, sizeof *b->records);
    b->erased = calloc(n + 1, sizeof *b->erased);
    if (journal != NULL) {
        fixture_init_main(&b->f, journal, seed);
    } else {
        struct ledger_row row = {.id = 1, .created_at = INT64_C(1700000000000000)};
        snprintf(row.name, sizeof row.name, "%s", ledger);
        fixture_init(&b->f, &row, seed);
    }
    fixture_asset(&b->f, "USD", 2);
    fixture_asset(&b->f, "CREDITS", 0);
    while (b->n_records < n) {
        make_one(b);
        b->records[b->n_records++] = b->f.batch[b->f.n_batch - 1];
        if (journal != NULL && fixture_commit(&b->f, journal, &err) != 0)
            fail_msg("%s", err.message);
    }
    put_facts(b);
}

void books_free(struct books *b)
{
    free(b->records);
    free(b->erased);
    free(b->facts);
    fixture_fini(&b->f);
}

static uint64_t key_of(const struct fact *f)
{
    if (f->kind == FACT_TRANSFER)
        return 3 * f->seq + 1;
    return f->kind == FACT_ENTRY ? 5 * uuid_counter(f->entry.account) + 2
                                 : 7 * uuid_counter(f->account.account) + 3;
}

struct fact *books_scatter(
    const struct books *b, uint32_t partitions, bool repeats, uint64_t seed, size_t *ret_n)
{
    size_t *at = calloc(partitions, sizeof *at), *n = calloc(partitions, sizeof *n), left = b->n_facts,
           done = 0;
    struct fact **parts = calloc(partitions, sizeof *parts),
                *facts = calloc(4 * b->n_facts + 64, sizeof *facts);
    for (uint32_t p = 0; p < partitions; p++)
        parts[p] = calloc(b->n_facts, sizeof **parts);
    for (size_t i = 0; i < b->n_facts; i++) {
        /* Topics have partitions of their own. */
        uint32_t p = (uint32_t)((key_of(&b->facts[i]) + b->facts[i].kind) % partitions);
        parts[p][n[p]] = b->facts[i];
        parts[p][n[p]].part = p;
        parts[p][n[p]].offset = (int64_t)n[p];
        n[p]++;
    }
    while (left > 0) {
        size_t p = check_below(&seed, partitions);
        for (size_t run = 1 + check_below(&seed, 12); run > 0 && at[p] < n[p]; run--, left--)
            facts[done++] = parts[p][at[p]++];
        if (repeats && check_below(&seed, 8) == 0 && done < 3 * b->n_facts) {
            size_t back = check_below(&seed, 10);
            back = back > at[p] ? at[p] : back;
            at[p] -= back;
            left += back;
        }
    }
    for (uint32_t p = 0; p < partitions; p++)
        free(parts[p]);
    free(parts);
    free(at);
    free(n);
    *ret_n = done;
    return facts;
}

/* ---- places ---- */

bool place_make(char *ret_url, size_t size)
{
    const char *backend = getenv("CREDITLEDGER_TEST_BACKEND");
    if (backend != NULL && strcmp(backend, "postgres") == 0) {
        if (!postgres_testing_needed())
            return false;
        postgres_testing_empty_url(ret_url, size);
        return true;
    }
    char directory[] = "/tmp/readmodel-XXXXXX";
    assert_non_null(mkdtemp(directory));
    snprintf(ret_url, size, "sqlite:%s/read.db", directory);
    return true;
}

void place_drop(const char *url)
{
    if (strncmp(url, "sqlite:", 7) != 0) {
        postgres_testing_drop(url);
        return;
    }
    char command[512];
    snprintf(command, sizeof command, "rm -r \"$(dirname '%s')\"", url + 7);
    assert_int_equal(system(command), 0);
}
