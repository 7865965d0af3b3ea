#include "journal/journal_suite_internal.h"

#include <stdlib.h>

#include "journal/canonical.h"

const struct journal_suite *suite_current;

/* ---- a database a test ---- */

struct journal *bench_open(struct bench *b, enum journal_mode mode)
{
    const struct journal_options options = {
        .mode = mode, .create = mode == JOURNAL_WRITE, .now = SUITE_START};
    struct journal *j = NULL;
    if (journal_open(b->url, &options, &j, &b->err) != 0)
        fail_msg("open %s: %s", b->url, b->err.message);
    return j;
}

int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    suite_current->url(b->url, sizeof b->url);
    arena_init(&b->arena, 0);
    b->j = bench_open(b, JOURNAL_WRITE);
    fixture_init_main(&b->f, b->j, 1);
    *state = b;
    return 0;
}

int bench_teardown(void **state)
{
    struct bench *b = *state;
    journal_close(b->j);
    fixture_fini(&b->f);
    arena_fini(&b->arena);
    if (suite_current->drop != NULL)
        suite_current->drop(b->url);
    free(b);
    return 0;
}

void bench_commit(struct bench *b)
{
    if (fixture_commit(&b->f, b->j, &b->err) != 0)
        fail_msg("append: %s", b->err.message);
}

void bench_base(struct bench *b)
{
    struct fixture *f = &b->f;
    uint32_t usd = fixture_asset(f, "USD", 2), eur = fixture_asset(f, "EUR", 2);
    uint64_t outside = fixture_account(f, usd, ACCOUNT_EQUITY, FLOOR_NONE);
    uint64_t wallet = fixture_account(f, usd, ACCOUNT_LIABILITY, FLOOR(0));
    uint64_t shop = fixture_account(f, usd, ACCOUNT_LIABILITY, FLOOR(0));
    uint64_t bank = fixture_account(f, usd, ACCOUNT_ASSET, FLOOR(0));
    uint64_t eur_in = fixture_account(f, eur, ACCOUNT_LIABILITY, FLOOR_NONE);
    uint64_t eur_out = fixture_account(f, eur, ACCOUNT_LIABILITY, FLOOR_NONE);
    fixture_transfer(f, outside, wallet, 1000);
    struct record *hold = fixture_begin(f, RECORD_HOLD);
    fixture_entry(f, hold, wallet, (struct amounts){0, 0, 300});
    fixture_entry(f, hold, shop, (struct amounts){0, 300, 0});
    fixture_lot(f, hold,
        (struct lot){.origin = hold->seq,
            .kind = LOT_HOLD,
            .version = 1,
            .account = wallet,
            .change = 300,
            .remaining_after = 300,
            .has_due = true,
            .due_at = hold->recorded_at + 1000});
    fixture_seal(f, hold);
    fixture_transfer(f, bank, outside, 1000);
    fixture_transfer(f, eur_out, eur_in, 100);
    bench_commit(b);
    assert_int_equal(f->state.head.seq, BASE_SEQ);
}

/* ---- comparing ---- */

void assert_account(const struct account *a, const struct account *b)
{
    assert_int_equal(a->ledger, b->ledger);
    assert_int_equal(a->number, b->number);
    assert_true(uuid_eq(a->id, b->id));
    assert_int_equal(a->asset, b->asset);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->external_id.data == NULL, b->external_id.data == NULL);
    assert_true(str_eq(a->external_id, b->external_id));
    assert_int_equal(a->opened_seq, b->opened_seq);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->floor.present, b->floor.present);
    assert_int_equal(a->floor.minor, b->floor.minor);
    assert_int_equal(a->text_seq, b->text_seq);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->seq, b->seq);
    assert_memory_equal(&a->balance, &b->balance, sizeof a->balance);
}

/* Two records are the same if their canonical bytes are, and what those leave out is. */
void assert_record(const struct record *a, const struct record *b)
{
    const struct asset asset = {.id = a->account ? a->account->asset : 0, .code = "X"};
    struct strbuf x, y;
    strbuf_init(&x);
    strbuf_init(&y);
    canonical_encode(a, &asset, &x);
    canonical_encode(b, &asset, &y);
    if (!str_eq(strbuf_view(&x), strbuf_view(&y)))
        fail_msg("record %llu differs", (unsigned long long)a->seq);
    strbuf_fini(&x);
    strbuf_fini(&y);
    assert_memory_equal(a->hash, b->hash, HASH_LEN);
    for (size_t i = 0; i < a->n_entries; i++) {
        assert_true(uuid_eq(a->entries[i].account_id, b->entries[i].account_id));
        assert_int_equal(a->entries[i].effective_at, b->entries[i].effective_at);
    }
}

struct account fetch_one(struct bench *b, struct journal *j, uint32_t ledger, uint64_t number)
{
    struct account_want want = {.ledger = ledger, .number = number};
    assert_int_equal(j->ops->accounts_fetch(j, &want, 1, &b->arena, &b->err), 0);
    assert_true(want.found);
    return want.account;
}

const struct record *read_one(struct bench *b, struct journal *j, uint64_t seq, bool with_text)
{
    const struct record *r = NULL;
    if (j->ops->record(j, 1, seq, with_text, &b->arena, &r, &b->err) != 0)
        fail_msg("record %llu: %s", (unsigned long long)seq, b->err.message);
    return r;
}

int see_account(void *ctx, const struct account *account)
{
    struct seen *s = ctx;
    s->numbers[s->n++] = account->number;
    return s->n == s->stop_at ? 7 : 0;
}

int see_entry(void *ctx, const struct entry *entry, uint64_t seq)
{
    struct seen *s = ctx;
    (void)seq;
    s->numbers[s->n++] = entry->version;
    return s->n == s->stop_at ? 7 : 0;
}

int see_ledger(void *ctx, const struct ledger_row *row)
{
    struct seen *s = ctx;
    s->numbers[s->n++] = row->id;
    return 0;
}

int see_asset(void *ctx, const struct asset *row)
{
    struct seen *s = ctx;
    s->numbers[s->n++] = row->id;
    return 0;
}

void assert_seen(const struct seen *seen, const uint64_t *numbers, size_t n)
{
    assert_int_equal(seen->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(seen->numbers[i], numbers[i]);
}

#define ASSERT_SEEN(seen, ...) \
    assert_seen(&(seen), (const uint64_t[]){__VA_ARGS__}, \
        sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

struct record *bench_capture(struct fixture *f, int64_t amount, uint32_t version, int64_t left)
{
    struct record *r = fixture_begin(f, RECORD_CAPTURE);
    r->related_seq = 8;
    fixture_entry(f, r, 2, (struct amounts){-amount, 0, -amount});
    fixture_entry(f, r, 3, (struct amounts){amount, -amount, 0});
    fixture_lot(f, r,
        (struct lot){.origin = 8,
            .kind = LOT_HOLD,
            .version = version,
            .account = 2,
            .change = -amount,
            .remaining_after = left});
    fixture_seal(f, r);
    return r;
}
