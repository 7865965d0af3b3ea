#include "engine/engine_internal.h"

#include <stdio.h>
#include <string.h>

/* One command on its way to an answer. */
struct task {
    struct engine *e;
    struct submission *s;
    struct command *command;
    struct answer *answer;
    const struct ledger_row *ledger;
    struct facts facts;
    struct err *err;
};

const struct asset *asset_by_id(const struct engine *e, uint32_t id)
{
    const struct batch *b = &e->batch;
    size_t committed = b->n_assets > 0 ? b->assets[0].id - 1 : catalog_assets(e->config.catalog);
    if (id <= committed) /* beyond, the catalog may hold what was announced and not committed */
        return catalog_asset(e->config.catalog, id);
    return id - committed <= b->n_assets ? &b->assets[id - committed - 1] : NULL;
}

static const struct asset *known_asset(const struct engine *e, struct str code)
{
    const struct asset *asset = catalog_asset_by_code(e->config.catalog, code);
    for (size_t i = 0; asset == NULL && i < e->batch.n_assets; i++)
        if (str_eq_c(code, e->batch.assets[i].code))
            asset = &e->batch.assets[i];
    return asset;
}

static struct asset make_asset(struct str code, int scale)
{
    struct asset asset = {.scale = (uint8_t)scale};
    INVARIANT(code.len <= LIMIT_ASSET_CODE_MAX);
    memcpy(asset.code, code.data, code.len);
    return asset;
}

const struct asset *find_asset(struct engine *e, struct str code)
{
    const struct asset *asset = known_asset(e, code);
    int scale;
    if (asset == NULL && asset_iso4217_scale(code, &scale)) {
        struct asset unused = make_asset(code, scale);
        asset = arena_copy(&e->batch.arena, &unused, sizeof unused);
    }
    return asset;
}

/* Gives an asset its number in the batch. NULL when the table is full. The copy outlives growth of the batch.
 */
static const struct asset *adopt_asset(struct engine *e, struct asset asset)
{
    const struct batch *b = &e->batch;
    size_t n = catalog_assets(e->config.catalog) + b->n_assets;
    if (n >= LIMIT_ASSETS_MAX)
        return NULL;
    /* The catalog may have grown since by what another process declared: then these numbers are taken, and the
     * journal refuses the batch. */
    asset.id = b->n_assets > 0 ? b->assets[b->n_assets - 1].id + 1 : (uint32_t)n + 1;
    batch_add_asset(&e->batch, &asset);
    return arena_copy(&e->batch.arena, &asset, sizeof asset);
}

static void refuse(struct task *t, enum refusal refusal, const char *detail)
{
    t->answer->refusal = refusal;
    snprintf(t->answer->detail, sizeof t->answer->detail, "%s", detail);
}

/* --- facts, one function an operation
 * ---------------------------------------------------------------------------- */

static void take_decided(struct task *t, const struct record *record)
{
    batch_take(&t->e->batch, record);
    struct ledger_state *state = &t->e->ledgers[t->ledger->id];
    t->facts.next_seq = state->head.seq + 1;
    t->facts.next_account = state->head.accounts + 1;
}

static const struct account *resolve_or_open_world(
    struct task *t, const struct account_ref *ref, const struct asset *asset)
{
    const struct account *account = resolve(t->e, t->ledger->id, ref);
    if (account != NULL || ref->by != REF_BY_WORLD || asset == NULL || asset->id == 0)
        return account;
    take_decided(t, decide_world(t->command, &t->facts, asset, t->s->arena));
    return resolve(t->e, t->ledger->id, ref);
}

static void gather_post(struct task *t)
{
    struct arena *arena = &t->e->batch.arena;
    const struct command_post *post = &t->command->as.post;
    struct posting_facts *postings = ARENA_ARRAY(arena, struct posting_facts, post->n_postings);
    for (size_t i = 0; i < post->n_postings; i++) {
        postings[i].asset = find_asset(t->e, post->postings[i].currency);
        postings[i].debit = resolve_or_open_world(t, &post->postings[i].debit, postings[i].asset);
        postings[i].credit = resolve_or_open_world(t, &post->postings[i].credit, postings[i].asset);
    }
    const struct account **expects = ARENA_ARRAY(arena, const struct account *, post->n_expects);
    for (size_t i = 0; i < post->n_expects; i++)
        expects[i] = resolve(t->e, t->ledger->id, &post->expects[i].account);
    t->facts.postings = postings;
    t->facts.expects = expects;
    if (post->has_balance_after)
        t->facts.balance_account = resolve(t->e, t->ledger->id, &post->balance_account);
}

static void gather_open(struct task *t)
{
    const struct command_open *open = &t->command->as.open;
    const struct asset *asset = find_asset(t->e, open->currency);
    if (asset != NULL && asset->id == 0)
        asset = adopt_asset(t->e, *asset);
    t->facts.asset = asset;
    if (open->external_id.data != NULL)
        t->facts.account = account_cache_find(t->e->cache, t->ledger->id, open->external_id);
}

/* The committed record with that id, in the batch's arena. Clients cannot know the id of an uncommitted one; of one
 * that another process committed they can. */
static int load_original(struct task *t, uint64_t seq, const struct uuid *id, bool with_text)
{
    struct journal *j = t->e->config.journal;
    uint64_t committed = past_newest(t->e, t->ledger->id)->seq;
    if (seq == 0 || (seq > committed && !t->e->shared) || seq > INT64_MAX)
        return 0;
    const struct record *record;
    int r = j->ops->record(j, t->ledger->id, seq, with_text, &t->e->batch.arena, &record, t->err);
    if (r == ERR_NOT_FOUND && seq > committed)
        return 0;
    if (r < 0)
        return r;
    if (seq > t->e->ledgers[t->ledger->id].head.seq)
        return err_set(t->err, ERR_CONFLICT, "another process has written to ledger %u", t->ledger->id);
    if (id == NULL || uuid_eq(record->id, *id))
        t->facts.original = record;
    return 0;
}

static const struct lot *newest_lot_in(const struct batch *b, const struct task *t, uint32_t leg)
{
    uint64_t origin = t->facts.original->seq;
    for (size_t i = b->n_records; i > 0; i--) {
        const struct record *record = b->records[i - 1];
        if (record->ledger != t->ledger->id || record->kind != RECORD_REVERSAL ||
            record->related_seq != origin)
            continue;
        for (size_t k = record->n_lots; k > 0; k--)
            if (record->lots[k - 1].leg == leg && record->lots[k - 1].kind == LOT_REFUNDABLE)
                return &record->lots[k - 1];
    }
    return NULL;
}

/* The newest refundable lot of a leg: of this batch, of the one in flight, or of the journal. */
static const struct lot *newest_lot(
    const struct task *t, uint32_t leg, const struct lot *committed, size_t n_committed)
{
    const struct lot *lot = newest_lot_in(&t->e->batch, t, leg);
    if (lot == NULL)
        lot = newest_lot_in(&t->e->flown, t, leg);
    if (lot != NULL)
        return lot;
    for (size_t i = 0; i < n_committed; i++)
        if (committed[i].leg == leg && committed[i].kind == LOT_REFUNDABLE)
            return &committed[i];
    return NULL;
}

static int gather_reverse(struct task *t)
{
    struct journal *j = t->e->config.journal;
    struct arena *arena = &t->e->batch.arena;
    struct uuid id = t->command->as.reverse.transfer;
    int r = load_original(t, uuid_counter(id), &id, false);
    if (r < 0 || t->facts.original == NULL)
        return r;
    const struct record *original = t->facts.original;
    const struct account **accounts = ARENA_ARRAY(arena, const struct account *, original->n_entries);
    const struct lot **refundable = ARENA_ARRAY(arena, const struct lot *, original->n_entries);
    const struct lot *lots = NULL;
    size_t n_lots = 0;
    r = j->ops->lots(j, t->ledger->id, original->seq, arena, &lots, &n_lots, t->err);
    for (size_t i = 0; r == 0 && i < original->n_entries; i++) {
        struct account *account;
        r = fetch_number(t->e, t->ledger->id, original->entries[i].account, &account, t->err);
        accounts[i] = account;
        refundable[i] = newest_lot(t, original->entries[i].leg, lots, n_lots);
    }
    t->facts.original_accounts = accounts;
    t->facts.refundable = refundable;
    return r;
}

static bool erases(const struct batch *b, const struct task *t, uint64_t seq)
{
    for (size_t i = 0; i < b->n_records; i++) {
        const struct record *record = b->records[i];
        if (record->ledger == t->ledger->id && record->kind == RECORD_ERASURE && record->related_seq == seq)
            return true;
    }
    return false;
}

static int gather_erase(struct task *t)
{
    uint64_t seq = t->command->as.erase.seq;
    int r = load_original(t, seq, NULL, true);
    if (r < 0 || t->facts.original == NULL)
        return r;
    const struct record *original = t->facts.original;
    t->facts.text_erased = original->text.present && !original->text.readable;
    t->facts.text_erased |= erases(&t->e->batch, t, seq) || erases(&t->e->flown, t, seq);
    struct account *account;
    r = fetch_number(t->e, t->ledger->id, original->entries[0].account, &account, t->err);
    t->facts.account = account;
    return r;
}

/* Never before the head, and after it if it is another commit's. */
static int64_t time_of_record(const struct engine *e, struct ledger_state *state)
{
    if (state->timed_in != e->batch.serial) {
        state->timed_in = e->batch.serial;
        state->not_before = state->head.recorded_at + (state->head.seq > 0);
    }
    int64_t earliest =
        state->head.recorded_at > state->not_before ? state->head.recorded_at : state->not_before;
    return e->now > earliest ? e->now : earliest;
}

static int gather(struct task *t)
{
    struct ledger_state *state = &t->e->ledgers[t->ledger->id];
    t->facts = (struct facts){
        .ledger = t->ledger->id,
        .next_seq = state->head.seq + 1,
        .next_account = state->head.accounts + 1,
        .now = time_of_record(t->e, state),
        .default_floor = t->ledger->default_floor,
    };
    switch (t->command->op) {
    case COMMAND_OPEN_ACCOUNT:
        gather_open(t);
        return 0;
    case COMMAND_REVISE_ACCOUNT:
        t->facts.account = resolve(t->e, t->ledger->id, &t->command->as.revise.account);
        return 0;
    case COMMAND_POST:
        gather_post(t);
        return 0;
    case COMMAND_REVERSE:
        return gather_reverse(t);
    case COMMAND_ERASE:
        return gather_erase(t);
    case COMMAND_CREATE_LEDGER:
    case COMMAND_DECLARE_ASSET:
        break;
    }
    INVARIANT_F(false, "operation %d has no facts", (int)t->command->op);
    return 0;
}

/* --- ledgers and assets: rows of their own, not records
 * ----------------------------------------------------------- */

static bool same_floor(struct floor a, struct floor b)
{
    return a.present == b.present && (!a.present || a.minor == b.minor);
}

static void create_ledger(struct task *t)
{
    const struct command_ledger *wish = &t->command->as.create_ledger;
    struct batch *b = &t->e->batch;
    const struct ledger_row *row = catalog_ledger_by_name(t->e->config.catalog, wish->name);
    for (size_t i = 0; row == NULL && i < b->n_ledgers; i++)
        if (str_eq_c(wish->name, b->ledgers[i].name))
            row = &b->ledgers[i];
    size_t n = catalog_ledgers(t->e->config.catalog) + b->n_ledgers;
    if (row == NULL && n >= LIMIT_LEDGERS_MAX) {
        refuse(t, REFUSAL_TOO_MANY_ELEMENTS, "A database holds at most 65535 ledgers.");
        return;
    }
    if (row == NULL) {
        struct ledger_row fresh = {
            .id = (uint32_t)n + 1, .default_floor = wish->default_floor, .created_at = t->e->now};
        INVARIANT(wish->name.len <= LIMIT_LEDGER_NAME_MAX);
        memcpy(fresh.name, wish->name.data, wish->name.len);
        batch_add_ledger(b, &fresh);
        row = &fresh;
        t->answer->created = true;
        t->answer->ledger = arena_copy(t->s->arena, row, sizeof *row);
        return;
    }
    t->answer->ledger = arena_copy(t->s->arena, row, sizeof *row);
    if (!same_floor(row->default_floor, wish->default_floor))
        refuse(t, REFUSAL_LEDGER_EXISTS, "It has another default minimum balance.");
}

static void declare_asset(struct task *t)
{
    const struct command_asset *wish = &t->command->as.declare_asset;
    const struct asset *asset = find_asset(t->e, wish->code);
    bool known = asset != NULL && asset->id != 0;
    if (asset != NULL && asset->scale != wish->scale) {
        char text[96];
        snprintf(text, sizeof text, "%s has scale %d.", asset->code, asset->scale);
        refuse(t, REFUSAL_ASSET_EXISTS, text);
    } else if (!known) {
        asset = adopt_asset(t->e, make_asset(wish->code, wish->scale));
        t->answer->created = asset != NULL;
        if (asset == NULL)
            refuse(t, REFUSAL_TOO_MANY_ELEMENTS, "A database holds at most 65535 assets.");
    }
    if (asset != NULL)
        t->answer->asset = arena_copy(t->s->arena, asset, sizeof *asset);
}

/* --- answers
 * -------------------------------------------------------------------------------------------------------- */

static void answer_with(struct task *t, const struct record *record)
{
    t->answer->record = record;
    if (record->kind == RECORD_DECLINED)
        t->answer->refusal = (enum refusal)record->refusal;
    if (record->account != NULL) {
        const struct asset *asset = asset_by_id(t->e, record->account->asset);
        INVARIANT(asset != NULL);
        t->answer->asset = arena_copy(t->s->arena, asset, sizeof *asset);
    }
}

/* A record that another process made may be of an asset that was declared there a moment ago. */
static int know_asset(struct task *t, const struct record *record)
{
    const struct account_row *opened = record->account;
    if (opened == NULL || asset_by_id(t->e, opened->asset) != NULL)
        return 0;
    int r = catalog_refresh(t->e->config.catalog, t->e->config.journal, t->err);
    if (r == 0 && catalog_asset(t->e->config.catalog, opened->asset) == NULL)
        r = err_set(t->err, ERR_CORRUPT, "account of an unknown asset %u", opened->asset);
    return r;
}

/* The key was used before: *ret_done says that the answer stands. */
static int replay(struct task *t, const struct key_want *key, bool *ret_done)
{
    const struct command *command = t->command;
    const struct batch_key *in_batch = batch_find_key(&t->e->batch, t->ledger->id, command->idempotency_key);
    if (in_batch == NULL)
        in_batch = batch_find_key(&t->e->flown, t->ledger->id, command->idempotency_key);
    const uint8_t *request_hash = in_batch ? in_batch->request_hash : key->found ? key->request_hash : NULL;
    *ret_done = request_hash != NULL;
    if (request_hash == NULL)
        return 0;
    if (memcmp(request_hash, command->request_hash, HASH_LEN) != 0) {
        refuse(t, REFUSAL_IDEMPOTENCY_KEY_REUSED, "");
        return 0;
    }
    const struct record *record;
    if (in_batch) {
        record = record_copy(t->s->arena, in_batch->record);
    } else {
        struct journal *j = t->e->config.journal;
        int r = j->ops->record(j, t->ledger->id, key->seq, true, t->s->arena, &record, t->err);
        if (r == 0)
            r = know_asset(t, record);
        if (r < 0)
            return r;
    }
    t->answer->replayed = true;
    answer_with(t, record);
    metrics_count(t->e->config.metrics, METRIC_REPLAYS, 1);
    return 0;
}

static void settle(struct task *t, struct batch_mark mark)
{
    struct decision decision;
    decide(t->command, &t->facts, t->s->arena, &decision);
    if (decision.record == NULL) {
        INVARIANT(decision.refusal != REFUSAL_NONE);
        t->answer->refusal = decision.refusal;
        describe_refusal(t->command, &t->facts, &decision, t->e, t->answer->detail, sizeof t->answer->detail);
        batch_undo(&t->e->batch, mark);
        return;
    }
    answer_with(t, decision.record);
    take_decided(t, decision.record);
}

int process_command(
    struct engine *e, struct submission *s, size_t index, const struct command_known *known, struct err *err)
{
    struct task t = {
        .e = e, .s = s, .command = &s->commands[index], .answer = &s->answers[index], .err = err};
    struct batch_mark mark = batch_mark(&e->batch);
    *t.answer = (struct answer){.dry_run = t.command->dry_run};
    if (t.command->op == COMMAND_CREATE_LEDGER) {
        create_ledger(&t);
    } else if (t.command->op == COMMAND_DECLARE_ASSET) {
        declare_asset(&t);
    } else {
        t.ledger = known->ledger;
        t.answer->ledger = t.ledger;
        if (t.ledger == NULL) {
            refuse(&t, REFUSAL_LEDGER_NOT_FOUND, "");
            return 0;
        }
        bool done = false;
        int r = known->key != NULL ? replay(&t, known->key, &done) : 0;
        if (r == 0 && !done)
            r = gather(&t);
        if (r < 0)
            return r;
        if (!done)
            settle(&t, mark);
    }
    return 0;
}

void keep_decline(struct engine *e, struct submission *s, size_t index)
{
    struct answer *answer = &s->answers[index];
    const struct record *decline = answer->record;
    answer->record = NULL;
    if (decline == NULL || decline->kind != RECORD_DECLINED)
        return;
    const struct account *account = account_cache_get(e->cache, decline->ledger, decline->entries[0].account);
    if (account == NULL || !uuid_eq(account->id, decline->entries[0].account_id))
        return; /* opened by a sibling that is undone: there is no account to carry the decline */
    const struct ledger_state *state = &e->ledgers[decline->ledger];
    struct record *kept = (struct record *)(uintptr_t)record_copy(s->arena, decline);
    struct entry *entry = (struct entry *)(uintptr_t)kept->entries;
    kept->seq = state->head.seq + 1;
    kept->id = decide_record_id(&s->commands[index], kept->recorded_at, kept->seq);
    entry->version = account->version + 1;
    entry->revision = account->revision;
    entry->floor = account->floor;
    entry->after = account->balance;
    answer->record = kept;
    batch_take(&e->batch, kept);
}
