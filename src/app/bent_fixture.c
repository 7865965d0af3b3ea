#include "app/bent_fixture.h"

#include "base/testing.h"

#include <stdlib.h>
#include <string.h>

struct books books;

void tell_story(void)
{
    struct floor zero = {.present = true, .minor = 0};
    struct books *b = &books;
    books_open(b, false);
    books_account(b, "alice", ACCOUNT_LIABILITY, "USD", zero, "{\"name\":\"Alice\"}");
    books_account(b, "bob", ACCOUNT_LIABILITY, "USD", (struct floor){0}, NULL);
    books_transfer(b, books_world("USD"), books_ext("alice"), 1000, "top-up");
    const struct record *pay = books_transfer(b, books_ext("alice"), books_ext("bob"), 300, "pay");
    struct command late = books_transfer_command(b, books_ext("bob"), books_ext("alice"), 50, "USD", "late");
    late.has_effective_at = true;
    late.effective_at = BOOKS_EPOCH - 86400000000;
    books_do(b, late);
    struct answer declined = books_run(
        b, books_transfer_command(b, books_ext("alice"), books_ext("bob"), 5000, "USD", "too-much"));
    assert_int_equal(REFUSAL_INSUFFICIENT_FUNDS, declined.refusal);
    struct command reverse = {
        .op = COMMAND_REVERSE, .as.reverse = {.transfer = pay->id, .has_amount = true, .amount_minor = 100}};
    books_do(b, reverse);
    reverse.as.reverse.amount_minor = 20;
    books_do(b, reverse);
    books_do(b,
        (struct command){.op = COMMAND_REVISE_ACCOUNT,
            .text = STR("{\"name\":\"Alice B.\"}"),
            .as.revise = {
                .account = books_ext("alice"), .has_floor = true, .floor = {true, -50}, .has_text = true}});
    books_account(b, "eve", ACCOUNT_ASSET, "USD", (struct floor){0}, "{\"name\":\"Eve\"}");
    books_do(b, (struct command){.op = COMMAND_ERASE, .as.erase = {.seq = OPEN_EVE}});
    const struct record *last = books_transfer(b, books_ext("alice"), books_ext("bob"), 10, "last");
    assert_int_equal(STORY_END, last->seq);
}

struct fake fake;

static void *copy(const void *p, size_t size)
{
    return p != NULL ? arena_copy(&fake.arena, p, size) : NULL;
}

static int fake_ledgers(struct journal *j, journal_ledger_visit *visit, void *ctx, struct err *err)
{
    (void)j;
    (void)err;
    return visit(ctx, &fake.ledger);
}

static int fake_assets(struct journal *j, journal_asset_visit *visit, void *ctx, struct err *err)
{
    (void)j;
    return fake.real->ops->assets(fake.real, visit, ctx, err);
}

static int fake_head(struct journal *j, uint32_t ledger, struct ledger_head *ret_head, struct err *err)
{
    (void)j;
    int rc = fake.real->ops->head(fake.real, ledger, ret_head, err);
    const struct record *last = fake.records[fake.n - 1];
    ret_head->seq = last->seq;
    ret_head->recorded_at = last->recorded_at;
    memcpy(ret_head->hash, last->hash, HASH_LEN);
    ret_head->hash[0] ^= fake.bend_head;
    return rc;
}

static int fake_record(struct journal *j, uint32_t ledger, uint64_t seq, bool with_text, struct arena *arena,
    const struct record **ret_record, struct err *err)
{
    (void)j;
    (void)ledger;
    (void)with_text;
    (void)arena;
    for (size_t i = 0; i < fake.n; i++)
        if (fake.records[i]->seq == seq) {
            *ret_record = fake.records[i];
            return 0;
        }
    return err_set(err, ERR_NOT_FOUND, "no record");
}

static int fake_accounts_fetch(
    struct journal *j, struct account_want *wants, size_t n, struct arena *arena, struct err *err)
{
    (void)j;
    (void)arena;
    (void)err;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < fake.n; k++)
            if (fake.records[k]->account != NULL && fake.records[k]->account->number == wants[i].number) {
                wants[i].found = true;
                wants[i].account.external_id = fake.records[k]->account->external_id;
            }
    return 0;
}

static int bend_and_visit(void *ctx, const struct account *account)
{
    void **both = ctx;
    journal_account_visit *visit;
    memcpy(&visit, both[0], sizeof visit);
    struct account bent = *account;
    if (fake.hide_last_account && bent.number == EVE)
        return 0;
    if (fake.bend_account != NULL)
        fake.bend_account(&bent);
    int rc = visit(both[1], &bent);
    if (rc == 0 && fake.invent_account && bent.number == EVE) {
        bent.number++;
        rc = visit(both[1], &bent);
    }
    return rc;
}

static int fake_accounts(struct journal *j, uint32_t ledger, uint64_t after, size_t limit,
    journal_account_visit *visit, void *ctx, struct err *err)
{
    (void)j;
    void *both[2] = {&visit, ctx};
    return fake.real->ops->accounts(fake.real, ledger, after, limit, bend_and_visit, both, err);
}

static int fake_scan_open(struct journal *j, uint32_t ledger, uint64_t from_seq, bool with_text,
    struct journal_scan **ret_scan, struct err *err)
{
    (void)j;
    (void)ledger;
    (void)err;
    assert_true(with_text);
    for (fake.scan_at = 0; fake.scan_at < fake.n && fake.records[fake.scan_at]->seq < from_seq;
         fake.scan_at++)
        ;
    *ret_scan = NULL;
    return 0;
}

static int fake_scan_next(struct journal_scan *scan, const struct record **ret_record, struct err *err)
{
    (void)scan;
    *ret_record = fake.scan_at < fake.n ? fake.records[fake.scan_at++] : NULL;
    if (*ret_record != NULL && (*ret_record)->seq == fake.unreadable)
        return err_set(err, ERR_CORRUPT, "cannot be read");
    return 0;
}

static void fake_scan_close(struct journal_scan *scan)
{
    (void)scan;
}

static int fake_self_check(struct journal *j, journal_note_visit *visit, void *ctx, struct err *err)
{
    (void)j;
    (void)err;
    return fake.note ? visit(ctx, fake.note) : 0;
}

static int fake_snapshot_begin(struct journal *j, struct err *err)
{
    (void)j;
    (void)err;
    return 0;
}

static void fake_snapshot_end(struct journal *j)
{
    (void)j;
}

static int take_ledger(void *ctx, const struct ledger_row *row)
{
    *(struct ledger_row *)ctx = *row;
    return 0;
}

/* Deep enough that every test may write where it likes. */
static void fake_copy_record(uint64_t seq)
{
    const struct record *r;
    assert_int_equal(0, fake.real->ops->record(fake.real, 1, seq, true, &fake.arena, &r, NULL));
    struct record *mine = copy(r, sizeof *r);
    mine->account = copy(r->account, sizeof *r->account);
    mine->revisions = copy(r->revisions, r->n_revisions * sizeof *r->revisions);
    mine->entries = copy(r->entries, r->n_entries * sizeof *r->entries);
    mine->lots = copy(r->lots, r->n_lots * sizeof *r->lots);
    fake.records[fake.n++] = mine;
}

void fake_open(void)
{
    fake = (struct fake){.real = books.journal,
        .ops = {
            .ledgers = fake_ledgers,
            .assets = fake_assets,
            .head = fake_head,
            .record = fake_record,
            .accounts_fetch = fake_accounts_fetch,
            .accounts = fake_accounts,
            .scan_open = fake_scan_open,
            .scan_next = fake_scan_next,
            .scan_close = fake_scan_close,
            .self_check = fake_self_check,
            .snapshot_begin = fake_snapshot_begin,
            .snapshot_end = fake_snapshot_end,
        }};
    fake.base.ops = &fake.ops;
    arena_init(&fake.arena, 65536);
    assert_int_equal(0, fake.real->ops->ledgers(fake.real, take_ledger, &fake.ledger, NULL));
    for (uint64_t seq = 1; seq <= STORY_END; seq++)
        fake_copy_record(seq);
}

void rehash(void)
{
    struct asset usd = {0};
    uint8_t previous[HASH_LEN];
    assert_non_null(catalog_asset(books.catalog, 1));
    usd = *catalog_asset(books.catalog, 1);
    digest_genesis(books.digest, &fake.ledger, previous);
    for (size_t i = 0; i < fake.n; i++) {
        struct record *r = fake.records[i];
        struct account_row *row = (struct account_row *)(uintptr_t)r->account;
        uint64_t opened_seq = row ? row->opened_seq : 0;
        uint32_t asset = row ? row->asset : 0;
        if (row != NULL)
            row->opened_seq = r->seq, row->asset = 1;
        digest_record(books.digest, previous, r, row ? &usd : NULL, r->hash);
        if (row != NULL)
            row->opened_seq = opened_seq, row->asset = asset;
        memcpy(previous, r->hash, HASH_LEN);
    }
}
