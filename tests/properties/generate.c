#include "generate.h"

#include <inttypes.h>
#include <string.h>

static uint64_t below(struct generator *g, uint64_t n)
{
    *g->seed ^= *g->seed >> 12;
    *g->seed ^= *g->seed << 25;
    *g->seed ^= *g->seed >> 27;
    return (*g->seed * UINT64_C(2685821657736338717) >> 33) % n;
}

static bool one_in(struct generator *g, uint64_t n)
{
    return below(g, n) == 0;
}

/* --- in words
 * ------------------------------------------------------------------------------------------------ */

static void say_ref(struct strbuf *b, const struct account_ref *ref)
{
    strbuf_printf(b, " %d:", (int)ref->by);
    if (ref->by == REF_BY_ID)
        strbuf_uuid(b, ref->id);
    else
        strbuf_str(b, ref->by == REF_BY_WORLD ? ref->currency : ref->external_id);
}

static void say_floor(struct strbuf *b, bool named, struct floor floor)
{
    if (named && floor.present)
        strbuf_printf(b, " floor %" PRId64, floor.minor);
    else
        strbuf_c(b, named ? " floor none" : "");
}

static void say_post(struct strbuf *b, const struct command_post *post)
{
    for (size_t i = 0; i < post->n_postings; i++) {
        const struct posting *p = &post->postings[i];
        say_ref(b, &p->debit);
        strbuf_c(b, p->wallet ? " pays" : " to");
        say_ref(b, &p->credit);
        strbuf_printf(b, " %" PRId64 " " STR_FMT ";", p->amount_minor, STR_ARG(p->currency));
    }
    for (size_t i = 0; i < post->n_expects; i++) {
        const struct expectation *e = &post->expects[i];
        strbuf_c(b, " expect");
        say_ref(b, &e->account);
        if (e->has_version)
            strbuf_printf(b, " version %" PRIu64, e->version);
        if (e->has_min_available)
            strbuf_printf(b, " least %" PRId64, e->min_available_minor);
    }
    if (post->has_balance_after) {
        strbuf_c(b, " after");
        say_ref(b, &post->balance_account);
        strbuf_printf(b, " %" PRId64, post->balance_after_minor);
    }
}

static void say_rest(struct strbuf *b, const struct command *c)
{
    switch (c->op) {
    case COMMAND_CREATE_LEDGER:
        strbuf_printf(b, " " STR_FMT, STR_ARG(c->as.create_ledger.name));
        say_floor(b, true, c->as.create_ledger.default_floor);
        break;
    case COMMAND_DECLARE_ASSET:
        strbuf_printf(b, " " STR_FMT " %d", STR_ARG(c->as.declare_asset.code), c->as.declare_asset.scale);
        break;
    case COMMAND_OPEN_ACCOUNT:
        strbuf_printf(b, " " STR_FMT " type %d ext '" STR_FMT "'", STR_ARG(c->as.open.currency),
            (int)c->as.open.type, STR_ARG(c->as.open.external_id));
        say_floor(b, c->as.open.has_floor, c->as.open.floor);
        break;
    case COMMAND_REVISE_ACCOUNT:
        say_ref(b, &c->as.revise.account);
        strbuf_printf(b, " status %d match %d %u", c->as.revise.has_status ? (int)c->as.revise.status : 0,
            c->as.revise.has_if_revision, c->as.revise.has_if_revision ? c->as.revise.if_revision : 0);
        say_floor(b, c->as.revise.has_floor, c->as.revise.floor);
        break;
    case COMMAND_POST:
        say_post(b, &c->as.post);
        break;
    case COMMAND_REVERSE:
        strbuf_char(b, ' ');
        strbuf_uuid(b, c->as.reverse.transfer);
        strbuf_printf(b, " %" PRId64, c->as.reverse.has_amount ? c->as.reverse.amount_minor : 0);
        break;
    case COMMAND_ERASE:
        strbuf_printf(b, " %" PRIu64, c->as.erase.seq);
        break;
    }
}

void request_say(struct generator *g, struct request *request)
{
    const struct command *c = &request->command;
    struct strbuf b;
    strbuf_init(&b);
    strbuf_printf(&b, "%d in " STR_FMT, (int)c->op, STR_ARG(c->ledger));
    if (c->has_effective_at)
        strbuf_printf(&b, " at %" PRId64, c->effective_at);
    strbuf_printf(&b, " ref '" STR_FMT "' text '" STR_FMT "'", STR_ARG(c->reference), STR_ARG(c->text));
    say_rest(&b, c);
    request->said = arena_str(g->arena, strbuf_view(&b)).data;
    strbuf_fini(&b);
}

/* --- choices
 * ------------------------------------------------------------------------------------------------- */

static struct str any_currency(struct generator *g)
{
    static const char *const codes[] = {
        "USD", "USD", "USD", "USD", "USD", "EUR", "EUR", "CREDITS", "JPY", "NOPE"};
    return str_of(codes[below(g, 10)]);
}

static struct floor any_floor(struct generator *g)
{
    static const int64_t floors[] = {0, 0, 0, -100, 20, -LIMIT_AMOUNT_MAX};
    return one_in(g, 3) ? (struct floor){0} : (struct floor){true, floors[below(g, 6)]};
}

static int64_t any_amount(struct generator *g)
{
    if (one_in(g, 40))
        return LIMIT_AMOUNT_MAX - (int64_t)below(g, 2);
    return 1 + (int64_t)below(g, one_in(g, 10) ? 1000 : 60);
}

static struct str any_name(struct generator *g)
{
    return arena_printf(g->arena, "n%u", (unsigned)below(g, 30));
}

/* An account of the ledger, mostly; 0 for @world. */
static struct account_ref any_ref(struct generator *g, const struct model_ledger *l, struct str currency)
{
    if (one_in(g, 7))
        return (struct account_ref){.by = REF_BY_WORLD, .currency = currency};
    if (l->n_accounts == 0 || one_in(g, 25))
        return (struct account_ref){.by = REF_BY_EXTERNAL_ID, .external_id = any_name(g)};
    const struct model_account *account = &l->accounts[below(g, l->n_accounts)];
    struct account_ref ref = {.by = REF_BY_ID, .id = account->id};
    if (account->external[0] == 'n' && one_in(g, 2))
        return (struct account_ref){
            .by = REF_BY_EXTERNAL_ID, .external_id = arena_str(g->arena, str_of(account->external))};
    if (one_in(g, 60)) /* the number is right, the id is not */
        ref.id.bytes[2] ^= 1;
    return ref;
}

/* One of the currency where it can be found in a few tries. */
static struct account_ref ref_in(
    struct generator *g, const struct model *m, const struct model_ledger *l, struct str currency)
{
    for (int tries = 0; tries < 6 && l->n_accounts > 0; tries++) {
        uint64_t number = 1 + below(g, l->n_accounts);
        const struct model_account *a = &l->accounts[number - 1];
        if (a->world || !str_eq_c(currency, m->assets[a->asset - 1].code))
            continue;
        return (struct account_ref){.by = REF_BY_ID, .id = a->id};
    }
    return any_ref(g, l, currency);
}

static struct expectation any_expectation(
    struct generator *g, const struct model_ledger *l, const struct account_ref *ref)
{
    struct expectation e = {.account = *ref};
    const struct model_leg *head = NULL;
    if (ref->by == REF_BY_ID)
        head = model_head(l, uuid_counter(ref->id), l->n_records);
    e.has_version = one_in(g, 2);
    e.version = head != NULL ? head->version - one_in(g, 3) : below(g, 5);
    e.has_min_available = !e.has_version || one_in(g, 2);
    e.min_available_minor = head != NULL && one_in(g, 2) ? head->after : (int64_t)below(g, 50);
    return e;
}

static void make_post(
    struct generator *g, const struct model *m, const struct model_ledger *l, struct command *c)
{
    static const size_t counts[] = {1, 1, 1, 1, 2, 2, 3, 4};
    struct command_post *post = &c->as.post;
    c->op = COMMAND_POST;
    post->n_postings = counts[below(g, 8)];
    struct posting *postings = ARENA_ARRAY(g->arena, struct posting, post->n_postings);
    struct str currency = any_currency(g);
    for (size_t i = 0; i < post->n_postings; i++) {
        if (one_in(g, 8))
            currency = any_currency(g);
        postings[i] = (struct posting){.debit = ref_in(g, m, l, currency),
            .credit = one_in(g, 3) ? any_ref(g, l, currency) : ref_in(g, m, l, currency),
            .amount_minor = any_amount(g),
            .currency = currency,
            .wallet = one_in(g, 3)};
        if (one_in(g, 4)) /* so that wallets have something to spend */
            postings[i].debit = (struct account_ref){.by = REF_BY_WORLD, .currency = currency};
    }
    post->postings = postings;
    if (one_in(g, 5)) {
        post->n_expects = 1 + below(g, 2);
        struct expectation *expects = ARENA_ARRAY(g->arena, struct expectation, post->n_expects);
        for (size_t i = 0; i < post->n_expects; i++)
            expects[i] = any_expectation(g, l, i == 0 ? &postings[0].debit : &postings[0].credit);
        post->expects = expects;
    }
    if (one_in(g, 12)) {
        post->has_balance_after = true;
        post->balance_account = postings[0].credit;
        post->balance_after_minor = (int64_t)below(g, 60);
        const struct model_leg *head = NULL;
        if (post->balance_account.by == REF_BY_ID && post->n_postings == 1)
            head = model_head(l, uuid_counter(post->balance_account.id), l->n_records);
        if (head != NULL)
            post->balance_after_minor =
                (head->after + postings[0].amount_minor % 1000) * l->accounts[head->account - 1].side;
    }
}

static void make_reverse(struct generator *g, const struct model_ledger *l, struct command *c)
{
    c->op = COMMAND_REVERSE;
    uint64_t seq = l->n_records > 0 ? 1 + below(g, l->n_records) : 1;
    for (int tries = 0; tries < 5 && l->n_records > 0 && l->records[seq - 1].kind != RECORD_TRANSFER; tries++)
        seq = 1 + below(g, l->n_records);
    c->as.reverse.transfer = l->n_records > 0 && !one_in(g, 30)
                                 ? l->records[seq - 1].id
                                 : uuid_make(g->now, seq, (uint32_t)below(g, 1000));
    c->as.reverse.has_amount = one_in(g, 2);
    if (c->as.reverse.has_amount)
        c->as.reverse.amount_minor = 1 + (int64_t)below(g, 25);
}

static void make_open(struct generator *g, struct command *c)
{
    c->op = COMMAND_OPEN_ACCOUNT;
    c->as.open = (struct command_open){.currency = any_currency(g),
        .type = (enum account_type)(one_in(g, 2) ? 2 : 1 + below(g, 5)),
        .external_id = one_in(g, 3) ? STR_NONE : any_name(g),
        .has_floor = !one_in(g, 3),
        .floor = any_floor(g)};
}

static void make_revise(struct generator *g, const struct model_ledger *l, struct command *c)
{
    struct command_revise *r = &c->as.revise;
    c->op = COMMAND_REVISE_ACCOUNT;
    r->account = any_ref(g, l, STR("USD"));
    r->has_status = one_in(g, 2);
    r->status = one_in(g, 2) ? ACCOUNT_OPEN : one_in(g, 2) ? ACCOUNT_FROZEN : ACCOUNT_CLOSED;
    r->has_floor = one_in(g, 2);
    r->floor = any_floor(g);
    r->has_text = c->text.data != NULL;
    r->has_if_revision = one_in(g, 4);
    const struct model_leg *head = NULL;
    if (r->account.by == REF_BY_ID)
        head = model_head(l, uuid_counter(r->account.id), l->n_records);
    r->if_revision = head != NULL && !one_in(g, 3) ? head->revision : (uint32_t)below(g, 4);
}

static void make_declaration(struct generator *g, struct command *c)
{
    static const char *const names[] = {"main", "shop", "game", "shop"};
    if (one_in(g, 2)) {
        c->op = COMMAND_CREATE_LEDGER;
        c->as.create_ledger.name = str_of(names[below(g, 4)]);
        c->as.create_ledger.default_floor = (struct floor){one_in(g, 2), 0};
    } else {
        c->op = COMMAND_DECLARE_ASSET;
        c->as.declare_asset.code = one_in(g, 2) ? STR("CREDITS") : STR("EUR");
        c->as.declare_asset.scale = one_in(g, 5) ? 0 : 2;
    }
}

void generate(struct generator *g, const struct model *m, struct request *ret_request)
{
    struct command *c = &ret_request->command;
    const struct model_ledger *l = &m->ledgers[below(g, m->n_ledgers)];
    *c = (struct command){.ledger = one_in(g, 80) ? STR("none") : arena_str(g->arena, str_of(l->name))};
    uint64_t what = below(g, 100);
    if (one_in(g, 3))
        c->text = arena_printf(g->arena, "{\"metadata\":{\"n\":\"%u\"}}", (unsigned)below(g, 1000));
    if (one_in(g, 4))
        c->reference = arena_printf(g->arena, "order-%u", (unsigned)below(g, 50));
    if (what < 12 && l->n_accounts < MODEL_ACCOUNTS - 40)
        make_open(g, c);
    else if (what < 20)
        make_revise(g, l, c);
    else if (what < 34)
        make_reverse(g, l, c);
    else if (what < 38)
        c->op = COMMAND_ERASE, c->as.erase.seq = 1 + below(g, l->n_records + 3);
    else if (what < 41)
        make_declaration(g, c);
    else
        make_post(g, m, l, c);
    bool moves = c->op == COMMAND_POST || c->op == COMMAND_REVERSE;
    if (moves && one_in(g, 4)) {
        c->has_effective_at = true;
        c->effective_at = one_in(g, 15) ? g->now + 1 + (int64_t)below(g, 1000000)
                                        : g->now - (int64_t)below(g, UINT64_C(400000000));
    }
    bool declares = c->op == COMMAND_CREATE_LEDGER || c->op == COMMAND_DECLARE_ASSET;
    if (!declares && !one_in(g, 4))
        c->idempotency_key =
            arena_printf(g->arena, "k%u", (unsigned)(one_in(g, 12) ? below(g, g->keys + 1) : ++g->keys));
    request_say(g, ret_request);
}
