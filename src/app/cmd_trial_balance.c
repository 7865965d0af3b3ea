/*
 * `creditledger trial-balance`: every account's balance as a debit or a credit, by asset, and totals that
 * must be equal. Totals are 128-bit. One snapshot, beside whatever else runs; accounts are printed as they
 * are read.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/json_out.h"
#include "app/asset_table.h"
#include "app/options.h"
#include "app/store.h"
#include "base/instant.h"
#include "journal/history.h"
#include "money/amount.h"

#define ACCOUNTS_PAGE 1000
#define TYPES 6 /* account types are 1 to 5 */

struct total {
    amount_sum debit, credit;
    uint64_t accounts;
};

struct trial {
    struct journal *j;
    uint32_t ledger;
    struct asset_table assets;
    struct total (*totals)[TYPES]; /* by asset, by type; [0] is the asset's total */
    bool json, summary, failed;
    const int64_t *at, *known_at;
    struct strbuf rows; /* JSON members */
    struct account *page;
    size_t n_page;
    struct arena names;
};

static void print_amounts(amount_sum debit, amount_sum credit, int scale, bool zero_is_blank)
{
    struct strbuf d, c;
    strbuf_init(&d);
    strbuf_init(&c);
    if (debit != 0 || !zero_is_blank)
        strbuf_amount_sum(&d, debit, scale);
    if (credit != 0 || !zero_is_blank)
        strbuf_amount_sum(&c, credit, scale);
    printf("%24.*s %24.*s", STR_ARG(strbuf_view(&d)), STR_ARG(strbuf_view(&c)));
    strbuf_fini(&d);
    strbuf_fini(&c);
}

/* Exact integers of any size, as JSON allows. */
static void put_amounts(struct json_out *o, amount_sum debit, amount_sum credit)
{
    out_key(o, "debit");
    strbuf_amount_sum(o->b, debit, 0);
    out_key(o, "credit");
    strbuf_amount_sum(o->b, credit, 0);
}

static void show_account(
    struct trial *t, const struct account *account, const struct asset *asset, int64_t posted)
{
    amount_sum debit = posted < 0 ? -(amount_sum)posted : 0, credit = posted > 0 ? posted : 0;
    if (!t->json) {
        char id[UUID_TEXT_LEN + 1];
        uuid_format(account->id, id);
        struct str name = account->external_id.data ? account->external_id : str_of(id);
        print_amounts(debit, credit, asset->scale, true);
        printf(" %-8s %-9s " STR_FMT "\n", asset->code, account_type_name(account->type), STR_ARG(name));
        return;
    }
    struct json_out o = {.b = &t->rows};
    out_begin(&o, '{');
    out_uint_member(&o, "number", account->number);
    out_uuid_member(&o, "accountId", account->id);
    out_str_member(&o, "externalId", account->external_id);
    out_c_member(&o, "type", account_type_name(account->type));
    out_c_member(&o, "currency", asset->code);
    put_amounts(&o, debit, credit);
    out_end(&o, '}');
    fwrite(t->rows.data, 1, t->rows.len, stdout);
    strbuf_clear(&t->rows);
    strbuf_c(&t->rows, "\n"); /* the comma comes from here for every row but the first */
}

static int one_account(struct trial *t, const struct account *account, bool first, struct err *err)
{
    const struct asset *asset;
    int rc = asset_table_find(&t->assets, account->asset, &asset, err);
    if (rc != 0)
        return rc;
    int64_t posted = account->balance.posted;
    if (t->at != NULL || t->known_at != NULL) {
        struct history_balance then;
        rc = history_balance(t->j, account, t->at, t->known_at, &then, err);
        if (rc != 0)
            return rc;
        posted = then.amounts.posted;
    }
    struct total *by_type = t->totals[asset->id];
    size_t type = (size_t)account->type < TYPES ? (size_t)account->type : 0;
    for (int i = 0; i < 2; i++) {
        struct total *total = &by_type[i == 0 ? 0 : type];
        total->accounts++;
        if (posted < 0)
            total->debit -= posted;
        else
            total->credit += posted;
    }
    if (!t->summary) {
        if (t->json && !first)
            putchar(',');
        show_account(t, account, asset, posted);
    }
    return 0;
}

static int keep_account(void *ctx, const struct account *account)
{
    struct trial *t = ctx;
    t->page[t->n_page] = *account;
    t->page[t->n_page++].external_id = arena_str(&t->names, account->external_id);
    return 0;
}

/* A page is read before it is worked on: looking into history needs the handle. */
static int all_accounts(struct trial *t, struct err *err)
{
    uint64_t after = 0;
    do {
        t->n_page = 0;
        arena_reset(&t->names);
        int rc = t->j->ops->accounts(t->j, t->ledger, after, ACCOUNTS_PAGE, keep_account, t, err);
        if (rc != 0)
            return rc;
        for (size_t i = 0; i < t->n_page; i++) {
            rc = one_account(t, &t->page[i], after == 0 && i == 0, err);
            if (rc != 0)
                return rc;
        }
        if (t->n_page > 0)
            after = t->page[t->n_page - 1].number;
    } while (t->n_page == ACCOUNTS_PAGE);
    return 0;
}

static void print_totals(struct trial *t)
{
    puts(t->summary ? "" : "------------------------ ------------------------");
    for (size_t a = 0; a < t->assets.n; a++) {
        const struct total *by_type = t->totals[a];
        const struct asset *asset = &t->assets.rows[a];
        if (asset->id == 0 || by_type[0].accounts == 0)
            continue;
        for (size_t type = 1; type < TYPES; type++)
            if (by_type[type].accounts > 0) {
                print_amounts(by_type[type].debit, by_type[type].credit, asset->scale, true);
                printf(" %-8s %-9s %" PRIu64 " account%s\n", asset->code,
                    account_type_name((enum account_type)type), by_type[type].accounts,
                    by_type[type].accounts == 1 ? "" : "s");
            }
        bool equal = by_type[0].debit == by_type[0].credit;
        print_amounts(by_type[0].debit, by_type[0].credit, asset->scale, false);
        printf(" %-8s %s\n", asset->code, equal ? "total" : "TOTALS DIFFER");
    }
}

static void put_totals(struct trial *t, bool equal)
{
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {.b = &b};
    strbuf_c(&b, "{");
    out_key(&o, "totals");
    out_begin(&o, '[');
    for (size_t a = 0; a < t->assets.n; a++) {
        const struct total *by_type = t->totals[a];
        if (t->assets.rows[a].id == 0 || by_type[0].accounts == 0)
            continue;
        for (size_t type = 0; type < TYPES; type++) {
            if (by_type[type].accounts == 0)
                continue;
            out_begin(&o, '{');
            out_c_member(&o, "currency", t->assets.rows[a].code);
            out_c_member(&o, "type", type ? account_type_name((enum account_type)type) : NULL);
            out_uint_member(&o, "accounts", by_type[type].accounts);
            put_amounts(&o, by_type[type].debit, by_type[type].credit);
            out_end(&o, '}');
        }
    }
    out_end(&o, ']');
    out_bool_member(&o, "equal", equal);
    out_end(&o, '}');
    printf("],%s\n", (strbuf_char(&b, '\0'), b.data + 1));
    strbuf_fini(&b);
}

static bool totals_equal(const struct trial *t)
{
    for (size_t a = 0; a < t->assets.n; a++)
        if (t->totals[a][0].debit != t->totals[a][0].credit)
            return false;
    return true;
}

static int run_trial(struct trial *t, struct err *err)
{
    int rc = asset_table_load(t->j, &t->assets, err);
    if (rc != 0)
        return rc;
    t->totals = calloc(t->assets.n + 1, sizeof *t->totals);
    t->page = calloc(ACCOUNTS_PAGE, sizeof *t->page);
    INVARIANT(t->totals != NULL && t->page != NULL);
    if (t->json)
        fputs("{\"accounts\":[", stdout);
    else if (!t->summary)
        printf("%24s %24s %-8s %-9s %s\n", "debit", "credit", "currency", "type", "account");
    rc = all_accounts(t, err);
    if (rc != 0)
        return rc;
    if (t->json)
        put_totals(t, totals_equal(t));
    else
        print_totals(t);
    return 0;
}

static int run_with(const struct options *o, struct store *store, const int64_t *at, const int64_t *known_at)
{
    const struct ledger_row *ledger =
        catalog_ledger_by_name(store->catalog, str_of(options_get(o, "ledger")));
    if (ledger == NULL)
        return options_fail(o, EXIT_USAGE, "there is no ledger '%s'", options_get(o, "ledger"));
    struct trial t = {
        .j = store->journal,
        .ledger = ledger->id,
        .json = options_flag(o, "json"),
        .summary = options_flag(o, "summary"),
        .at = at,
        .known_at = known_at,
    };
    strbuf_init(&t.rows);
    arena_init(&t.names, 65536);
    struct err err = {0};
    int rc = t.j->ops->snapshot_begin(t.j, &err);
    if (rc == 0) {
        rc = run_trial(&t, &err);
        t.j->ops->snapshot_end(t.j);
    }
    int code = rc == 0 && totals_equal(&t) ? EXIT_OK : EXIT_FAULT;
    if (rc != 0)
        code = options_fail(o, rc == ERR_CORRUPT ? EXIT_FAULT : EXIT_ENVIRONMENT, "%s", err.message);
    else if (code == EXIT_FAULT)
        code = options_fail(o, EXIT_FAULT, "debits and credits differ: run 'creditledger verify'");
    free(t.totals);
    free(t.page);
    arena_fini(&t.names);
    strbuf_fini(&t.rows);
    asset_table_fini(&t.assets);
    return code;
}

/* *ret_given points to *value if the option was given. */
static bool instant_option(
    const struct options *o, const char *name, int64_t *value, const int64_t **ret_given)
{
    const char *text = options_get(o, name);
    *ret_given = NULL;
    if (text == NULL)
        return true;
    if (!instant_parse_loose(str_of(text), value)) {
        (void)options_fail(o, EXIT_USAGE, "--%s is '%s': use YYYY-MM-DD or 2026-01-31T12:34:56Z", name, text);
        return false;
    }
    *ret_given = value;
    return true;
}

static int run(const struct options *o)
{
    int64_t at_value, known_at_value;
    const int64_t *at, *known_at;
    if (!instant_option(o, "at", &at_value, &at) ||
        !instant_option(o, "known-at", &known_at_value, &known_at))
        return EXIT_USAGE;
    struct store store;
    struct err err;
    int rc = store_open_read(o, &store, &err);
    if (rc != 0)
        return options_fail(o, EXIT_ENVIRONMENT, "%s", err.message);
    int code = run_with(o, &store, at, known_at);
    store_close(&store);
    return code;
}

static const struct option_spec options[] = {
    STORE_OPTIONS,
    {"ledger", "NAME", "which ledger", NULL, "main", NULL},
    {"at", "TIME", "balances effective by then (backdated movements count where they took effect)", NULL,
        NULL, NULL},
    {"known-at", "TIME", "balances as recorded by then", NULL, NULL, NULL},
    {"summary", NULL, "totals only, no accounts", NULL, NULL, NULL},
    {"json", NULL, "print one JSON object, amounts in minor units", NULL, NULL, NULL},
    {0},
};

const struct command_spec cmd_trial_balance = {
    .name = "trial-balance",
    .summary = "every account's balance as debit or credit, and totals that must be equal",
    .positional = "",
    .details = "Beside a running server it shows one consistent state. A time is a day (its midnight, UTC) "
               "or a date-time.\n"
               "\n"
               "Exit status: 0 debits equal credits in every asset, 1 they do not, 2 usage, 3 the journal "
               "could not be\n"
               "read.",
    .options = options,
    .run = run,
};
