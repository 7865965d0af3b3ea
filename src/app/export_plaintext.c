/*
 * The books for hledger and beancount. Their sign is debit positive, so every amount is -posted. A
 * transaction is a record that moved something, dated by when it took effect (UTC). What people chose
 * (references, external ids) enters only through the filters below: nothing in it can end a line, start a
 * comment or close a quote.
 */
#include "app/export.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/instant.h"
#include "money/amount.h"

#define DATE_LEN 10
/* Beancount reads years 1700 to 2099 only. */
#define BEANCOUNT_FIRST INT64_C(-8520336000000000)
#define BEANCOUNT_AFTER INT64_C(4102444800000000)
#define BEANCOUNT_COMMODITY_MAX 24

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void put_date(struct strbuf *b, int64_t instant)
{
    char text[INSTANT_TEXT_LEN + 1];
    instant_format(instant, text);
    strbuf_add(b, text, DATE_LEN);
}

/* Free text on one line. `special` are the characters that mean something where it stands. */
static void put_line(struct strbuf *b, struct str s, const char *special)
{
    bool valid = str_utf8_valid(s);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        bool replace =
            c < 0x20 || c == 0x7f || (c >= 0x80 && !valid) || (c < 0x80 && strchr(special, c) != NULL);
        strbuf_char(b, replace ? ' ' : (char)c);
    }
}

/* ---- names
 * --------------------------------------------------------------------------------------------------- */

/* "-17" at the end is how unclean names are told apart, so a clean one must not look like that. */
static bool ends_like_number(struct str s)
{
    size_t n = s.len;
    while (n > 0 && isdigit((unsigned char)s.data[n - 1]))
        n--;
    return n < s.len && n > 0 && s.data[n - 1] == '-';
}

static bool hledger_clean(struct str s)
{
    if (s.len == 0 || !plain(s.data[0]) || ends_like_number(s))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!plain(s.data[i]) && strchr("_.-", s.data[i]) == NULL)
            return false;
    return true;
}

void export_hledger_name(const struct export_account *account, uint64_t number, struct strbuf *b)
{
    static const char *const roots[] = {NULL, "assets:", "liabilities:", "equity:", "income:", "expenses:"};
    struct str name = account->external_id;
    strbuf_c(b, roots[account->type]);
    if (name.data == NULL) {
        strbuf_printf(b, "account-%" PRIu64, number);
        return;
    }
    if (hledger_clean(name)) {
        strbuf_str(b, name);
        return;
    }
    for (size_t i = 0; i < name.len; i++)
        strbuf_char(b, plain(name.data[i]) || strchr("_.-", name.data[i]) ? name.data[i] : '_');
    strbuf_printf(b, "-%" PRIu64, number);
}

/* Capital or digit first, then letters, digits and dashes; the number at the end keeps all apart. */
void export_beancount_name(const struct export_account *account, uint64_t number, struct strbuf *b)
{
    static const char *const roots[] = {NULL, "Assets:", "Liabilities:", "Equity:", "Income:", "Expenses:"};
    struct str name = account->external_id.data ? account->external_id : STR("Account");
    strbuf_c(b, roots[account->type]);
    bool first = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (first && !plain(c))
            continue;
        strbuf_char(b, first ? (char)toupper((unsigned char)c) : plain(c) ? c : '-');
        first = false;
    }
    strbuf_printf(b, "%s%" PRIu64, first ? "" : "-", number);
}

static bool beancount_commodity_valid(struct str code)
{
    return code.len >= 2 && code.len <= BEANCOUNT_COMMODITY_MAX && plain(code.data[code.len - 1]);
}

static bool is_code(const struct asset_table *assets, struct str code)
{
    for (size_t i = 0; i < assets->n; i++)
        if (assets->rows[i].id != 0 && str_eq_c(code, assets->rows[i].code))
            return true;
    return false;
}

void export_beancount_commodity(const struct asset_table *assets, const struct asset *asset, struct strbuf *b)
{
    if (beancount_commodity_valid(str_of(asset->code))) {
        strbuf_c(b, asset->code);
        return;
    }
    /* ASSET-<id>, with as many Xs as it takes to be nobody's code. */
    size_t start = b->len;
    strbuf_c(b, "ASSET");
    do {
        strbuf_char(b, 'X');
        size_t marked = b->len;
        strbuf_printf(b, "%" PRIu32, asset->id);
        if (!is_code(assets, (struct str){b->data + start, b->len - start}))
            break;
        b->len = marked;
    } while (b->len - start < BEANCOUNT_COMMODITY_MAX);
}

/* ---- hledger
 * ----------------------------------------------------------------------------------------------------- */

static int hledger_begin(struct exporter *x, struct err *err)
{
    (void)err;
    struct strbuf *b = &x->b;
    strbuf_printf(b,
        "; Credit Ledger, ledger %s, records 1 to %" PRIu64 ". Debits are positive.\ndecimal-mark .\n\n",
        x->request->ledger->name, x->head.seq);
    for (size_t i = 0; i < x->assets.n; i++) {
        const struct asset *asset = &x->assets.rows[i];
        if (asset->id != 0)
            strbuf_printf(b, "commodity 1000.%.*s \"%s\"\n", asset->scale, "000000000000000000", asset->code);
    }
    strbuf_char(b, '\n');
    for (size_t i = 0; i < x->n_accounts; i++) {
        strbuf_c(b, "account ");
        export_hledger_name(&x->accounts[i], i + 1, b);
        strbuf_c(b, "  ; id:");
        strbuf_uuid(b, x->accounts[i].id);
        if (x->accounts[i].external_id.data != NULL) {
            strbuf_c(b, ", external-id:");
            put_line(b, x->accounts[i].external_id, ",:"); /* tags mean something: type:, date: */
        }
        strbuf_char(b, '\n');
    }
    return 0;
}

static int hledger_leg(struct exporter *x, const struct entry *e, struct err *err)
{
    struct export_account *account;
    const struct asset *asset;
    int rc = export_account_find(x, e->account, &account, err);
    if (rc == 0)
        rc = asset_table_find(&x->assets, e->asset, &asset, err);
    if (rc != 0)
        return rc;
    strbuf_c(&x->b, "    ");
    export_hledger_name(account, e->account, &x->b);
    strbuf_c(&x->b, "  ");
    strbuf_amount(&x->b, -e->change.posted, asset->scale);
    strbuf_printf(&x->b, " \"%s\"\n", asset->code);
    return 0;
}

static bool moves_posted(const struct record *r)
{
    for (size_t i = 0; i < r->n_entries; i++)
        if (r->entries[i].change.posted != 0)
            return true;
    return false;
}

static int hledger_record(struct exporter *x, const struct record *r, struct err *err)
{
    if (!moves_posted(r))
        return 0;
    strbuf_char(&x->b, '\n');
    put_date(&x->b, r->effective_at);
    strbuf_printf(&x->b, " * (%" PRIu64 ") %s", r->seq, record_kind_name(r->kind));
    if (r->reference.data != NULL) {
        strbuf_char(&x->b, ' ');
        put_line(&x->b, r->reference, ";|");
    }
    strbuf_c(&x->b, "\n    ; id:");
    strbuf_uuid(&x->b, r->id);
    strbuf_char(&x->b, '\n');
    for (size_t i = 0; i < r->n_entries; i++) {
        int rc = r->entries[i].change.posted != 0 ? hledger_leg(x, &r->entries[i], err) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int hledger_end(struct exporter *x, struct err *err)
{
    (void)x;
    (void)err;
    return 0;
}

/* ---- beancount
 * ----------------------------------------------------------------------------------------------------- */

static int beancount_begin(struct exporter *x, struct err *err)
{
    (void)err;
    strbuf_printf(&x->b,
        "; Credit Ledger, ledger %s, records 1 to %" PRIu64 ". Debits are positive.\n"
        "option \"title\" \"Credit Ledger: %s\"\n",
        x->request->ledger->name, x->head.seq, x->request->ledger->name);
    return 0;
}

static int beancount_leg(struct exporter *x, const struct record *r, const struct entry *e, struct err *err)
{
    struct export_account *account;
    const struct asset *asset;
    int rc = export_account_find(x, e->account, &account, err);
    if (rc == 0)
        rc = asset_table_find(&x->assets, e->asset, &asset, err);
    if (rc != 0)
        return rc;
    if (r->effective_at < account->first_effective)
        account->first_effective = r->effective_at;
    strbuf_c(&x->b, "  ");
    export_beancount_name(account, e->account, &x->b);
    strbuf_c(&x->b, "  ");
    strbuf_amount(&x->b, -e->change.posted, asset->scale);
    strbuf_char(&x->b, ' ');
    export_beancount_commodity(&x->assets, asset, &x->b);
    strbuf_char(&x->b, '\n');
    return 0;
}

static int beancount_record(struct exporter *x, const struct record *r, struct err *err)
{
    if (!moves_posted(r))
        return 0;
    if (r->effective_at < BEANCOUNT_FIRST || r->effective_at >= BEANCOUNT_AFTER)
        return err_set(err, ERR_UNSUPPORTED,
            "record %" PRIu64 " takes effect in a year that beancount cannot read "
            "(1700 to 2099)",
            r->seq);
    strbuf_char(&x->b, '\n');
    put_date(&x->b, r->effective_at);
    strbuf_printf(&x->b, " * \"%s\" \"", record_kind_name(r->kind));
    if (r->reference.data != NULL)
        put_line(&x->b, r->reference, "\"\\");
    strbuf_printf(&x->b, "\"\n  seq: %" PRIu64 "\n  record: \"", r->seq);
    strbuf_uuid(&x->b, r->id);
    strbuf_c(&x->b, "\"\n");
    for (size_t i = 0; i < r->n_entries; i++) {
        int rc = r->entries[i].change.posted != 0 ? beancount_leg(x, r, &r->entries[i], err) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Accounts are opened when they first moved, which only now is known; the order of lines means nothing there.
 */
static int beancount_end(struct exporter *x, struct err *err)
{
    strbuf_char(&x->b, '\n');
    for (size_t i = 0; i < x->n_accounts; i++) {
        struct export_account *account = &x->accounts[i];
        const struct asset *asset;
        if (account->first_effective == INSTANT_MAX)
            continue;
        int rc = asset_table_find(&x->assets, account->asset, &asset, err);
        if (rc != 0)
            return rc;
        put_date(&x->b, account->first_effective);
        strbuf_c(&x->b, " open ");
        export_beancount_name(account, i + 1, &x->b);
        strbuf_char(&x->b, ' ');
        export_beancount_commodity(&x->assets, asset, &x->b);
        strbuf_c(&x->b, "\n  id: \"");
        strbuf_uuid(&x->b, account->id);
        strbuf_c(&x->b, "\"\n");
        if (account->external_id.data != NULL) {
            strbuf_c(&x->b, "  external-id: \"");
            put_line(&x->b, account->external_id, "\"\\");
            strbuf_c(&x->b, "\"\n");
        }
    }
    return 0;
}

const struct export_writer export_hledger = {
    hledger_begin, hledger_record, hledger_end, .needs_accounts = true};
const struct export_writer export_beancount = {
    beancount_begin, beancount_record, beancount_end, .needs_accounts = true};
