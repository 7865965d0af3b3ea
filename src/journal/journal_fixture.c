#include "journal/journal_fixture.h"

#include <string.h>

#include "base/instant.h"

uint64_t fixture_random(struct fixture *f)
{
    /* splitmix64, public domain (Sebastiano Vigna) */
    uint64_t z = f->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* `n` elements with room for one more, grown by doubling; what it grew out of stays in the arena. */
static void *with_room(struct fixture *f, const void *array, size_t n, size_t size)
{
    if (n != 0 && (n & (n - 1)) != 0)
        return (void *)array;
    void *p = arena_alloc(&f->arena, (n ? 2 * n : 1) * size);
    if (n > 0)
        memcpy(p, array, n * size);
    return p;
}

static struct fixture_state state_copy(struct fixture *f, const struct fixture_state *from)
{
    struct fixture_state copy = *from;
    size_t cap = 1;
    while (cap < from->n_accounts)
        cap *= 2;
    copy.accounts = ARENA_ARRAY(&f->arena, struct account, cap);
    if (from->n_accounts > 0)
        memcpy(copy.accounts, from->accounts, from->n_accounts * sizeof *copy.accounts);
    return copy;
}

void fixture_init(struct fixture *f, const struct ledger_row *row, uint64_t seed)
{
    *f = (struct fixture){.digest = digest_new(),
        .row = *row,
        .new_ledger = row->id != 1,
        .random = seed,
        .now = row->created_at + MICROS_PER_SECOND};
    arena_init(&f->arena, 65536);
    f->state.head.recorded_at = row->created_at;
    digest_genesis(f->digest, row, f->state.head.hash);
    f->committed = state_copy(f, &f->state);
}

static int first_row(void *ctx, const struct ledger_row *row)
{
    *(struct ledger_row *)ctx = *row;
    return 1;
}

void fixture_init_main(struct fixture *f, struct journal *j, uint64_t seed)
{
    struct ledger_row row = {0};
    INVARIANT(j->ops->ledgers(j, first_row, &row, NULL) == 1 && row.id == 1);
    fixture_init(f, &row, seed);
}

void fixture_fini(struct fixture *f)
{
    digest_free(f->digest);
    arena_fini(&f->arena);
}

struct account *fixture_head(struct fixture *f, uint64_t account)
{
    INVARIANT(account >= 1 && account <= f->state.n_accounts);
    return &f->state.accounts[account - 1];
}

uint32_t fixture_asset(struct fixture *f, const char *code, uint8_t scale)
{
    INVARIANT(f->state.n_assets < FIXTURE_ASSETS_MAX && strlen(code) <= LIMIT_ASSET_CODE_MAX);
    struct asset *asset = &f->assets[f->state.n_assets++];
    *asset = (struct asset){.id = (uint32_t)f->state.n_assets, .scale = scale};
    strcpy(asset->code, code);
    return asset->id;
}

struct record *fixture_begin(struct fixture *f, enum record_kind kind)
{
    struct record *r = ARENA_NEW(&f->arena, struct record);
    *r = (struct record){.ledger = f->row.id,
        .seq = f->state.head.seq + 1,
        .kind = kind,
        .format = RECORD_FORMAT,
        .effective_at = f->now,
        .recorded_at = f->now};
    r->id = uuid_make(f->now, r->seq, (uint32_t)fixture_random(f) & 0x3fffffff);
    f->now += MICROS_PER_SECOND;
    return r;
}

void fixture_text(struct fixture *f, struct record *r, const char *body)
{
    r->text.present = r->text.readable = true;
    r->text.body = arena_str(&f->arena, str_of(body));
    for (size_t i = 0; i < SALT_LEN; i++)
        r->text.salt[i] = (uint8_t)fixture_random(f);
    digest_text(f->digest, &r->text);
}

void fixture_key(struct fixture *f, struct record *r, const char *key)
{
    r->idempotency_key = arena_str(&f->arena, str_of(key));
    digest_bytes(f->digest, r->idempotency_key, r->request_hash);
}

struct revision_row *fixture_revision(
    struct fixture *f, struct record *r, uint64_t account, enum account_status status, struct floor floor)
{
    struct account *head = fixture_head(f, account);
    struct revision_row *rows = with_room(f, r->revisions, r->n_revisions, sizeof *rows);
    r->revisions = rows;
    rows[r->n_revisions] = (struct revision_row){.account = account,
        .revision = head->revision + 1,
        .status = status,
        .floor = floor,
        .text_seq = r->text.present ? r->seq : head->text_seq};
    head->revision++;
    head->status = status;
    head->floor = floor;
    head->text_seq = rows[r->n_revisions].text_seq;
    return &rows[r->n_revisions++];
}

struct entry *fixture_entry(struct fixture *f, struct record *r, uint64_t account, struct amounts change)
{
    struct account *head = fixture_head(f, account);
    head->version++;
    head->seq = r->seq;
    head->balance.posted += change.posted;
    head->balance.incoming += change.incoming;
    head->balance.outgoing += change.outgoing;
    struct entry *rows = with_room(f, r->entries, r->n_entries, sizeof *rows);
    r->entries = rows;
    rows[r->n_entries] = (struct entry){.leg = (uint32_t)r->n_entries,
        .account = account,
        .version = head->version,
        .asset = head->asset,
        .side = (int8_t)account_type_side(head->type),
        .revision = head->revision,
        .floor = head->floor,
        .change = change,
        .after = head->balance,
        .backdated = r->effective_at < r->recorded_at,
        .effective_at = r->effective_at,
        .account_id = head->id};
    return &rows[r->n_entries++];
}

uint64_t fixture_open(struct fixture *f, struct record *r, uint32_t asset, enum account_type type,
    struct floor floor, const char *external_id)
{
    f->state.accounts = with_room(f, f->state.accounts, f->state.n_accounts, sizeof *f->state.accounts);
    uint64_t number = ++f->state.n_accounts;
    struct account_row *row = ARENA_NEW(&f->arena, struct account_row);
    *row = (struct account_row){.number = number,
        .asset = asset,
        .type = type,
        .opened_seq = r->seq,
        .external_id = arena_str(&f->arena, str_of(external_id)),
        .id = uuid_make(r->recorded_at, number, (uint32_t)fixture_random(f) & 0x3fffffff)};
    f->state.accounts[number - 1] = (struct account){.ledger = f->row.id,
        .number = number,
        .id = row->id,
        .asset = asset,
        .type = type,
        .external_id = row->external_id,
        .opened_seq = r->seq};
    r->account = row;
    fixture_revision(f, r, number, ACCOUNT_OPEN, floor);
    fixture_entry(f, r, number, (struct amounts){0, 0, 0});
    return number;
}

struct lot *fixture_lot(struct fixture *f, struct record *r, struct lot lot)
{
    struct lot *rows = with_room(f, r->lots, r->n_lots, sizeof *rows);
    r->lots = rows;
    rows[r->n_lots] = lot;
    return &rows[r->n_lots++];
}

void fixture_seal(struct fixture *f, struct record *r)
{
    const struct asset *asset = r->account ? &f->assets[r->account->asset - 1] : NULL;
    digest_record(f->digest, f->state.head.hash, r, asset, r->hash);
    memcpy(f->state.head.hash, r->hash, HASH_LEN);
    f->state.head.seq = r->seq;
    f->state.head.recorded_at = r->recorded_at;
    f->state.head.accounts = f->state.n_accounts;
    f->batch = with_room(f, f->batch, f->n_batch, sizeof(struct record *));
    f->batch[f->n_batch++] = r;
}

uint64_t fixture_account(struct fixture *f, uint32_t asset, enum account_type type, struct floor floor)
{
    struct record *r = fixture_begin(f, RECORD_OPENING);
    uint64_t number = fixture_open(f, r, asset, type, floor, NULL);
    fixture_seal(f, r);
    return number;
}

struct record *fixture_transfer_at(
    struct fixture *f, uint64_t debit, uint64_t credit, int64_t amount, int64_t effective_at)
{
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    if (effective_at < r->recorded_at)
        r->effective_at = effective_at;
    fixture_entry(f, r, debit, (struct amounts){-amount, 0, 0});
    fixture_entry(f, r, credit, (struct amounts){amount, 0, 0});
    fixture_seal(f, r);
    return r;
}

struct record *fixture_transfer(struct fixture *f, uint64_t debit, uint64_t credit, int64_t amount)
{
    return fixture_transfer_at(f, debit, credit, amount, INT64_MAX);
}

void fixture_drop(struct fixture *f)
{
    f->state = state_copy(f, &f->committed);
    f->n_batch = 0;
    f->batch = NULL;
}

void fixture_keep(struct fixture *f, const struct fixture_state *state)
{
    f->new_ledger = false;
    f->committed = state_copy(f, state);
    f->state = state_copy(f, state);
    f->n_batch = 0;
    f->batch = NULL;
}

int fixture_commit(struct fixture *f, struct journal *j, struct err *err)
{
    struct ledger_known known = {.ledger = f->row.id, .seq = f->committed.head.seq};
    memcpy(known.hash, f->committed.head.hash, HASH_LEN);
    const struct journal_batch batch = {.known = &known,
        .n_known = 1,
        .assets = f->assets + f->committed.n_assets,
        .n_assets = f->state.n_assets - f->committed.n_assets,
        .ledgers = &f->row,
        .n_ledgers = f->new_ledger,
        .records = (const struct record *const *)f->batch,
        .n_records = f->n_batch};
    int rc = j->ops->append(j, &batch, err);
    if (rc != 0) {
        fixture_drop(f);
        return rc;
    }
    fixture_keep(f, &f->state);
    return 0;
}
