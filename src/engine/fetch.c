#include "engine/engine_internal.h"

#include <stdio.h>
#include <string.h>

/* Wants being gathered for one call of the port. */
struct wants {
    struct engine *engine;
    struct account_want *items;
    size_t n, cap;
};

static struct journal *journal_of(struct engine *e)
{
    return e->config.journal;
}

int fetch_ledger(struct engine *e, uint32_t ledger, struct err *err)
{
    struct ledger_state *state = &e->ledgers[ledger];
    if (state->loaded)
        return 0;
    int r = journal_of(e)->ops->head(journal_of(e), ledger, &state->head, err);
    if (r < 0)
        return r;
    past_push(e, ledger, state->head.seq, state->head.hash);
    state->loaded = true;
    return 0;
}

int fetch_anew(struct engine *e, struct err *err)
{
    account_cache_clear(e->cache);
    for (size_t id = 0; id <= catalog_ledgers(e->config.catalog); id++)
        e->ledgers[id].loaded = false;
    return catalog_refresh(e->config.catalog, journal_of(e), err);
}

static void want(struct wants *w, uint32_t ledger, uint64_t number, struct str external_id)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 256;
        struct account_want *items = ARENA_ARRAY(&w->engine->batch.arena, struct account_want, cap);
        if (w->n > 0)
            memcpy(items, w->items, w->n * sizeof *items);
        w->items = items;
        w->cap = cap;
    }
    w->items[w->n++] = (struct account_want){.ledger = ledger, .number = number, .external_id = external_id};
}

static struct str world_id(struct engine *e, struct str currency)
{
    return arena_printf(&e->batch.arena, WORLD_PREFIX STR_FMT, STR_ARG(currency));
}

static void want_ref(struct wants *w, uint32_t ledger, const struct account_ref *ref)
{
    struct engine *e = w->engine;
    struct str external_id = ref->external_id;
    bool found = false;
    switch (ref->by) {
    case REF_BY_ID:
        found =
            uuid_counter(ref->id) == 0 || account_cache_get(e->cache, ledger, uuid_counter(ref->id)) != NULL;
        break;
    case REF_BY_WORLD:
        external_id = world_id(e, ref->currency);
        found = account_cache_find(e->cache, ledger, external_id) != NULL;
        break;
    case REF_BY_EXTERNAL_ID:
        found = account_cache_find(e->cache, ledger, external_id) != NULL;
        break;
    }
    metrics_count(e->config.metrics, found ? METRIC_CACHE_HITS : METRIC_CACHE_MISSES, 1);
    if (!found)
        want(w, ledger, ref->by == REF_BY_ID ? uuid_counter(ref->id) : 0, external_id);
}

static void want_accounts_of(struct wants *w, uint32_t ledger, const struct command *command)
{
    switch (command->op) {
    case COMMAND_OPEN_ACCOUNT:
        if (command->as.open.external_id.data != NULL &&
            account_cache_find(w->engine->cache, ledger, command->as.open.external_id) == NULL)
            want(w, ledger, 0, command->as.open.external_id);
        break;
    case COMMAND_REVISE_ACCOUNT:
        want_ref(w, ledger, &command->as.revise.account);
        break;
    case COMMAND_POST:
        for (size_t i = 0; i < command->as.post.n_postings; i++) {
            want_ref(w, ledger, &command->as.post.postings[i].debit);
            want_ref(w, ledger, &command->as.post.postings[i].credit);
        }
        for (size_t i = 0; i < command->as.post.n_expects; i++)
            want_ref(w, ledger, &command->as.post.expects[i].account);
        if (command->as.post.has_balance_after)
            want_ref(w, ledger, &command->as.post.balance_account);
        break;
    case COMMAND_CREATE_LEDGER:
    case COMMAND_DECLARE_ASSET:
    case COMMAND_REVERSE: /* its accounts are known when its record is */
    case COMMAND_ERASE:
        break;
    }
}

/*
 * In a shared journal an account may be newer than what is known of its ledger, and nothing may be decided on a mix
 * of both. What is in flight cannot be fetched: its accounts are in the cache.
 */
static int admit(struct engine *e, const struct account *account, struct err *err)
{
    if (e->shared && account->seq > past_newest(e, account->ledger)->seq)
        return err_set(err, ERR_CONFLICT, "another process has written to ledger %u", account->ledger);
    if (catalog_asset(e->config.catalog, account->asset) == NULL)
        return catalog_refresh(e->config.catalog, journal_of(e), err);
    return 0;
}

static int fetch_wants(struct engine *e, struct wants *w, struct err *err)
{
    if (w->n == 0)
        return 0;
    int r = journal_of(e)->ops->accounts_fetch(journal_of(e), w->items, w->n, &e->batch.arena, err);
    for (size_t i = 0; r == 0 && i < w->n; i++) {
        if (!w->items[i].found)
            continue;
        r = admit(e, &w->items[i].account, err);
        if (r == 0)
            account_cache_put(e->cache, &w->items[i].account);
    }
    return r;
}

int fetch_keys(struct engine *e, struct batch_known *known, struct err *err)
{
    known->keys_fetched = true;
    return known->n_wants > 0
               ? journal_of(e)->ops->keys_fetch(journal_of(e), known->wants, known->n_wants, err)
               : 0;
}

int fetch_batch(struct engine *e, const struct batch_input *input, bool keys, struct batch_known *ret_known,
    struct err *err)
{
    struct wants w = {.engine = e};
    struct arena *arena = &e->batch.arena;
    struct batch_known known = {.commands = ARENA_ARRAY(arena, struct command_known, input->n_commands),
        .wants = ARENA_ARRAY(arena, struct key_want, input->n_commands)};
    struct command_known *next = known.commands;
    for (struct submission *s = input->first; s != NULL; s = s->next) {
        for (size_t i = 0; i < s->n; i++, next++) {
            const struct command *command = &s->commands[i];
            next->ledger = catalog_ledger_by_name(e->config.catalog, command->ledger);
            if (next->ledger == NULL)
                continue;
            int r = fetch_ledger(e, next->ledger->id, err);
            if (r < 0)
                return r;
            if (command->idempotency_key.data != NULL) {
                next->key = &known.wants[known.n_wants++];
                *next->key = (struct key_want){.ledger = next->ledger->id, .key = command->idempotency_key};
            }
            want_accounts_of(&w, next->ledger->id, command);
        }
    }
    int r = fetch_wants(e, &w, err);
    if (r == 0 && keys)
        r = fetch_keys(e, &known, err);
    *ret_known = known;
    return r;
}

int fetch_number(
    struct engine *e, uint32_t ledger, uint64_t number, struct account **ret_account, struct err *err)
{
    *ret_account = account_cache_get(e->cache, ledger, number);
    if (*ret_account != NULL)
        return 0;
    struct account_want one = {.ledger = ledger, .number = number};
    int r = journal_of(e)->ops->accounts_fetch(journal_of(e), &one, 1, &e->batch.arena, err);
    if (r == 0 && one.found)
        r = admit(e, &one.account, err);
    if (r == 0 && one.found)
        *ret_account = account_cache_put(e->cache, &one.account);
    return r;
}

struct account *resolve(struct engine *e, uint32_t ledger, const struct account_ref *ref)
{
    if (ref->by == REF_BY_WORLD)
        return account_cache_find(e->cache, ledger, world_id(e, ref->currency));
    if (ref->by == REF_BY_EXTERNAL_ID)
        return account_cache_find(e->cache, ledger, ref->external_id);
    struct account *account = account_cache_get(e->cache, ledger, uuid_counter(ref->id));
    return account != NULL && uuid_eq(account->id, ref->id) ? account : NULL;
}
