/*
 * The worked bytes of docs/record-format.md are made here, from code: the test compares the document with
 * them, and
 * `--write FILE` writes them into it. The annotations come from a second reading of the format, written after
 * the document and not from canonical.c.
 */
#include "base/testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "journal/canonical.h"
#include "journal/journal_fixture.h"

#define CREATED INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
#define BEGIN_MARK "<!-- worked bytes: begin -->\n"
#define END_MARK "<!-- worked bytes: end -->\n"

static const char *document; /* its path */

/* ---- the second reading ---- */

struct cursor {
    const uint8_t *bytes;
    size_t len, at;
    struct strbuf *out;
    char prefix[32];
};

static const uint8_t *row(struct cursor *c, size_t len, const char *format, ...) PRINTF_LIKE(3, 4);
static const uint8_t *row(struct cursor *c, size_t len, const char *format, ...)
{
    assert_true(c->at + len <= c->len);
    const uint8_t *p = c->bytes + c->at;
    char what[200];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    struct strbuf hex;
    strbuf_init(&hex);
    strbuf_hex(&hex, p, len);
    strbuf_printf(c->out, "%4zu  %-32.*s  %s%s\n", c->at, (int)hex.len, hex.data, c->prefix, what);
    strbuf_fini(&hex);
    c->at += len;
    return p;
}

static uint64_t peek(const struct cursor *c, size_t skip, size_t len)
{
    uint64_t value = 0;
    assert_true(c->at + skip + len <= c->len);
    for (size_t i = 0; i < len; i++)
        value = value << 8 | c->bytes[c->at + skip + i];
    return value;
}

static uint64_t number(struct cursor *c, size_t len, const char *name)
{
    uint64_t value = peek(c, 0, len);
    row(c, len, "%s %" PRIu64, name, value);
    return value;
}

static void amount(struct cursor *c, const char *name)
{
    row(c, 8, "%s %" PRId64, name, (int64_t)peek(c, 0, 8));
}

static void instant(struct cursor *c, const char *name)
{
    char text[INSTANT_TEXT_LEN + 1];
    instant_format((int64_t)peek(c, 0, 8), text);
    row(c, 8, "%s %s", name, text);
}

static bool string(struct cursor *c, const char *name)
{
    size_t len = (size_t)peek(c, 0, 2);
    if (len == 0xffff) {
        row(c, 2, "%s: none", name);
        return false;
    }
    row(c, 2, "%s: %zu bytes", name, len);
    if (len > 0)
        row(c, len, "  \"%.*s\"", (int)len, (const char *)c->bytes + c->at);
    return true;
}

/* True if a value follows. */
static bool optional(struct cursor *c, const char *name)
{
    return row(c, 1, "%s: %s", name, peek(c, 0, 1) ? "yes" : "no")[0] == 1;
}

static void named(struct cursor *c, size_t len, const char *name, const char *(*name_of)(int))
{
    int value = (int)peek(c, 0, len);
    row(c, len, "%s %d, %s", name, value, name_of(value));
}

static const char *kind_of(int value)
{
    return record_kind_name((enum record_kind)value);
}

static const char *type_of(int value)
{
    return account_type_name((enum account_type)value);
}

static const char *status_of(int value)
{
    return account_status_name((enum account_status)value);
}

static const char *lot_of(int value)
{
    static const char *const names[] = {"?", "hold", "grant", "refundable"};
    return names[value];
}

static void annotate_header(struct cursor *c)
{
    number(c, 4, "format");
    number(c, 4, "ledger");
    number(c, 8, "seq");
    named(c, 2, "kind", kind_of);
    row(c, 16, "id");
    instant(c, "effective_at");
    instant(c, "recorded_at");
    number(c, 8, "related_seq");
    number(c, 4, "refusal");
    amount(c, "declined_amount");
    if (string(c, "idempotency_key"))
        row(c, 32, "request_hash");
    string(c, "reference");
    string(c, "actor");
    if (optional(c, "trace_id"))
        row(c, 16, "  trace_id");
    if (optional(c, "text"))
        row(c, 32, "  digest");
    if (!optional(c, "account"))
        return;
    number(c, 8, "  number");
    row(c, 16, "  id");
    number(c, 4, "  asset");
    string(c, "  code");
    number(c, 1, "  scale");
    named(c, 1, "  type", type_of);
    string(c, "  external_id");
}

static void annotate_rows(struct cursor *c)
{
    uint64_t n = number(c, 4, "revisions:");
    for (uint64_t i = 0; i < n; i++) {
        number(c, 8, "  account");
        number(c, 4, "  revision");
        named(c, 1, "  status", status_of);
        if (optional(c, "  floor"))
            amount(c, "  floor");
        number(c, 8, "  text_seq");
    }
    n = number(c, 4, "entries:");
    for (uint64_t i = 0; i < n; i++) {
        number(c, 4, "  leg");
        number(c, 8, "  account");
        number(c, 8, "  version");
        number(c, 4, "  asset");
        row(c, 1, "  side %d", peek(c, 0, 1) == 1 ? 1 : -1);
        number(c, 4, "  revision");
        if (optional(c, "  floor"))
            amount(c, "  floor");
        amount(c, "  posted");
        amount(c, "  incoming");
        amount(c, "  outgoing");
        amount(c, "  posted_after");
        amount(c, "  incoming_after");
        amount(c, "  outgoing_after");
        optional(c, "  backdated");
    }
    n = number(c, 4, "lots:");
    for (uint64_t i = 0; i < n; i++) {
        number(c, 8, "  origin");
        number(c, 4, "  leg");
        named(c, 1, "  kind", lot_of);
        number(c, 4, "  version");
        number(c, 8, "  account");
        amount(c, "  change");
        amount(c, "  remaining_after");
        if (optional(c, "  due_at"))
            instant(c, "  due_at");
    }
    assert_int_equal(c->at, c->len);
}

/* ---- the document ---- */

struct pages {
    struct fixture f;
    struct strbuf out, bytes;
    uint8_t previous[HASH_LEN];
};

static void hex_line(struct strbuf *out, const char *name, const uint8_t *bytes, size_t len)
{
    strbuf_printf(out, "%s ", name);
    strbuf_hex(out, bytes, len);
    strbuf_char(out, '\n');
}

/* `title` NULL: bytes without annotations. */
static void show(struct pages *p, struct record *r, const char *title, const char *prose)
{
    fixture_seal(&p->f, r);
    strbuf_clear(&p->bytes);
    canonical_encode(r, r->account ? &p->f.assets[r->account->asset - 1] : NULL, &p->bytes);
    if (title != NULL)
        strbuf_printf(&p->out, "### Record %" PRIu64 ": %s\n\n%s\n\n", r->seq, title, prose);
    strbuf_printf(&p->out, "```text\nrecord %" PRIu64 "\n", r->seq);
    hex_line(&p->out, "previous", p->previous, HASH_LEN);
    if (r->text.present) {
        hex_line(&p->out, "salt", r->text.salt, SALT_LEN);
        strbuf_printf(&p->out, "body " STR_FMT "\n", STR_ARG(r->text.body));
    }
    if (title != NULL) {
        struct cursor c = {.bytes = (const uint8_t *)p->bytes.data, .len = p->bytes.len, .out = &p->out};
        annotate_header(&c);
        annotate_rows(&c);
    } else {
        hex_line(&p->out, "bytes", (const uint8_t *)p->bytes.data, p->bytes.len);
    }
    hex_line(&p->out, "hash", r->hash, HASH_LEN);
    strbuf_c(&p->out, "```\n\n");
    memcpy(p->previous, r->hash, HASH_LEN);
}

static struct record *opening(
    struct pages *p, uint32_t asset, enum account_type type, struct floor floor, const char *external_id)
{
    struct record *r = fixture_begin(&p->f, RECORD_OPENING);
    fixture_open(&p->f, r, asset, type, floor, external_id);
    return r;
}

static void show_genesis(struct pages *p)
{
    strbuf_clear(&p->bytes);
    strbuf_c(&p->bytes, "creditledger genesis 1");
    canonical_ledger(
        p->f.row.id, str_of(p->f.row.name), p->f.row.default_floor, p->f.row.created_at, &p->bytes);
    strbuf_c(&p->out, "### The genesis of ledger `main`\n\n```text\ngenesis\n");
    struct cursor c = {.bytes = (const uint8_t *)p->bytes.data, .len = p->bytes.len, .out = &p->out};
    row(&c, 22, "\"creditledger genesis 1\"");
    number(&c, 4, "id");
    string(&c, "name");
    optional(&c, "default_floor");
    instant(&c, "created_at");
    assert_int_equal(c.at, c.len);
    digest_genesis(p->f.digest, &p->f.row, p->previous);
    hex_line(&p->out, "hash", p->previous, HASH_LEN);
    strbuf_c(&p->out, "```\n\n");
}

static void show_accounts(struct pages *p)
{
    const struct floor none = {false, 0}, zero = {true, 0};
    struct record *r = opening(p, 1, ACCOUNT_EQUITY, none, "@world:USD");
    strbuf_c(&p->out, "Record 1, the opening of `@world:USD`, without annotations:\n\n");
    show(p, r, NULL, NULL);
    r = fixture_begin(&p->f, RECORD_OPENING);
    fixture_text(&p->f, r, "{\"name\":\"Ann\"}");
    fixture_key(&p->f, r, "open-ann");
    fixture_open(&p->f, r, 1, ACCOUNT_LIABILITY, zero, "ann");
    show(p, r, "an opening",
        "Account 2, a wallet in USD with floor 0, external id `ann`, and a name, which is in the text.");
    strbuf_c(
        &p->out, "Records 3 to 5 open account 3 (a shop, USD), 4 (`@world:EUR`) and 5 (Ann's euros):\n\n");
    show(p, opening(p, 1, ACCOUNT_LIABILITY, none, "shop"), NULL, NULL);
    show(p, opening(p, 2, ACCOUNT_EQUITY, none, "@world:EUR"), NULL, NULL);
    show(p, opening(p, 2, ACCOUNT_LIABILITY, zero, "ann-eur"), NULL, NULL);
}

static void show_transfer_and_hold(struct pages *p)
{
    struct fixture *f = &p->f;
    struct record *r = fixture_begin(f, RECORD_TRANSFER);
    fixture_key(f, r, "demo-1");
    r->effective_at = r->recorded_at - 86400 * MICROS_PER_SECOND;
    r->reference = STR("invoice 7");
    r->actor = STR("billing");
    r->has_trace = true;
    for (size_t i = 0; i < TRACE_ID_LEN; i++)
        r->trace_id[i] = (uint8_t)(0x4b + i);
    fixture_entry(f, r, 1, (struct amounts){-1000, 0, 0});
    fixture_entry(f, r, 2, (struct amounts){1000, 0, 0});
    show(p, r, "a transfer",
        "10.00 USD from `@world:USD` to Ann, with everything that a transfer can have; effective a day "
        "before it was "
        "recorded.");
    r = fixture_begin(f, RECORD_HOLD);
    fixture_entry(f, r, 2, (struct amounts){0, 0, 300});
    fixture_entry(f, r, 3, (struct amounts){0, 300, 0});
    fixture_lot(f, r,
        (struct lot){.origin = r->seq,
            .kind = LOT_HOLD,
            .version = 1,
            .account = 2,
            .change = 300,
            .remaining_after = 300,
            .has_due = true,
            .due_at = r->recorded_at + 7 * MICROS_PER_DAY});
    show(p, r, "a hold",
        "3.00 USD of Ann's are held for the shop for a week. Only pending amounts move; a lot follows "
        "what is left of the hold.");
    uint64_t hold = r->seq;
    r = fixture_begin(f, RECORD_CAPTURE);
    r->related_seq = hold;
    fixture_entry(f, r, 2, (struct amounts){-200, 0, -200});
    fixture_entry(f, r, 3, (struct amounts){200, -200, 0});
    fixture_lot(f, r,
        (struct lot){.origin = hold,
            .kind = LOT_HOLD,
            .version = 2,
            .account = 2,
            .change = -200,
            .remaining_after = 100});
    show(p, r, "a partial capture", "2.00 of the 3.00 USD are taken; the lot's second version leaves 1.00.");
}

static void show_grant(struct pages *p)
{
    struct fixture *f = &p->f;
    struct record *r = fixture_begin(f, RECORD_GRANT);
    fixture_entry(f, r, 1, (struct amounts){-500, 0, 0});
    fixture_entry(f, r, 2, (struct amounts){500, 0, 0});
    fixture_lot(f, r,
        (struct lot){.origin = r->seq,
            .leg = 1,
            .kind = LOT_GRANT,
            .version = 1,
            .account = 2,
            .change = 500,
            .remaining_after = 500,
            .has_due = true,
            .due_at = r->recorded_at + 30 * MICROS_PER_DAY});
    show(p, r, "a grant", "5.00 USD for Ann that expire after thirty days: a lot from leg 1.");
    uint64_t grant = r->seq;
    static const int64_t spends[] = {200, 300};
    for (uint32_t i = 0; i < 2; i++) {
        r = fixture_begin(f, RECORD_TRANSFER);
        fixture_entry(f, r, 2, (struct amounts){-spends[i], 0, 0});
        fixture_entry(f, r, 3, (struct amounts){spends[i], 0, 0});
        fixture_lot(f, r,
            (struct lot){.origin = grant,
                .leg = 1,
                .kind = LOT_GRANT,
                .version = 2 + i,
                .account = 2,
                .change = -spends[i],
                .remaining_after = i == 0 ? 300 : 0});
        show(p, r, i == 0 ? "a first spend of the grant" : "a second spend of the grant",
            i == 0 ? "2.00 USD to the shop, out of the grant."
                   : "3.00 USD to the shop: the grant is used up.");
    }
}

static void show_rest(struct pages *p)
{
    struct fixture *f = &p->f;
    struct record *r = fixture_begin(f, RECORD_EXCHANGE);
    fixture_entry(f, r, 2, (struct amounts){-100, 0, 0});
    fixture_entry(f, r, 1, (struct amounts){100, 0, 0});
    fixture_entry(f, r, 4, (struct amounts){-92, 0, 0});
    fixture_entry(f, r, 5, (struct amounts){92, 0, 0});
    show(p, r, "an exchange of two assets",
        "Ann gives 1.00 USD and gets 0.92 EUR. Each asset balances by itself.");
    r = fixture_begin(f, RECORD_DECLINED);
    fixture_key(f, r, "too-much");
    r->refusal = 308;
    r->declined_amount = 5000;
    fixture_entry(f, r, 2, (struct amounts){0, 0, 0});
    show(p, r, "a decline",
        "50.00 USD that Ann does not have: refusal 308, `insufficient_funds`. One zero entry on the "
        "account that refused; the key is bound.");
    r = fixture_begin(f, RECORD_REVERSAL);
    r->related_seq = 6;
    fixture_entry(f, r, 2, (struct amounts){-150, 0, 0});
    fixture_entry(f, r, 1, (struct amounts){150, 0, 0});
    for (uint32_t leg = 0; leg < 2; leg++) {
        struct lot lot = {.origin = 6,
            .leg = leg,
            .kind = LOT_REFUNDABLE,
            .version = 1,
            .account = 1 + leg,
            .change = 1000,
            .remaining_after = 1000};
        fixture_lot(f, r, lot);
        lot.version = 2;
        lot.change = -150;
        lot.remaining_after = 850;
        fixture_lot(f, r, lot);
    }
    show(p, r, "a reversal in part",
        "1.50 of the 10.00 USD of record 6 go back. The first reversal opens a lot for each "
        "leg of the original, at the leg's amount, and draws on it: 8.50 are left.");
    r = fixture_begin(f, RECORD_ERASURE);
    r->related_seq = 2;
    fixture_entry(f, r, 2, (struct amounts){0, 0, 0});
    show(p, r, "an erasure",
        "Ann's name goes: salt and body of record 2 are deleted. Record 2's bytes, with the digest "
        "alone, and every hash stay what they were.");
}

static void worked_bytes(struct strbuf *out)
{
    struct pages p = {.previous = {0}};
    const struct ledger_row main_row = {.id = 1, .name = "main", .created_at = CREATED};
    fixture_init(&p.f, &main_row, 1993);
    strbuf_init(&p.out);
    strbuf_init(&p.bytes);
    fixture_asset(&p.f, "USD", 2);
    fixture_asset(&p.f, "EUR", 2);
    show_genesis(&p);
    show_accounts(&p);
    show_transfer_and_hold(&p);
    show_grant(&p);
    show_rest(&p);
    strbuf_fini(&p.bytes);
    fixture_fini(&p.f);
    *out = p.out;
}

/* The document as three parts; the middle is between the marks. */
static bool read_document(
    struct strbuf *text, struct str *ret_before, struct str *ret_worked, struct str *ret_after)
{
    FILE *file = fopen(document, "rb");
    if (file == NULL)
        return false;
    char buffer[65536];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;)
        strbuf_add(text, buffer, n);
    fclose(file);
    strbuf_char(text, '\0');
    char *begin = strstr(text->data, BEGIN_MARK), *end = begin ? strstr(begin, END_MARK) : NULL;
    if (end == NULL)
        return false;
    begin += strlen(BEGIN_MARK);
    *ret_before = (struct str){text->data, (size_t)(begin - text->data)};
    *ret_worked = (struct str){begin, (size_t)(end - begin)};
    *ret_after = str_of(end);
    return true;
}

static void the_document_shows_what_the_code_writes(void **unused)
{
    (void)unused;
    struct strbuf text, worked;
    strbuf_init(&text);
    worked_bytes(&worked);
    struct str before, shown, after;
    assert_true(read_document(&text, &before, &shown, &after));
    size_t same = 0;
    while (same < shown.len && same < worked.len && shown.data[same] == worked.data[same])
        same++;
    if (!str_eq(shown, strbuf_view(&worked)))
        fail_msg("%s differs from the code after %zu bytes of its worked examples; "
                 "journal_record_format_test --write "
                 "brings it up to date",
            document, same);
    strbuf_fini(&text);
    strbuf_fini(&worked);
}

static int write_document(void)
{
    struct strbuf text, worked;
    strbuf_init(&text);
    worked_bytes(&worked);
    struct str before, shown, after;
    bool done = read_document(&text, &before, &shown, &after);
    FILE *file = done ? fopen(document, "wb") : NULL;
    done = file != NULL && fwrite(before.data, 1, before.len, file) == before.len &&
           fwrite(worked.data, 1, worked.len, file) == worked.len &&
           fwrite(after.data, 1, after.len, file) == after.len && fclose(file) == 0;
    strbuf_fini(&text);
    strbuf_fini(&worked);
    return done ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_document_shows_what_the_code_writes)};
    bool write = argc == 3 && strcmp(argv[1], "--write") == 0;
    if (argc != 2 && !write) {
        fprintf(stderr, "usage: %s [--write] docs/record-format.md\n", argv[0]);
        return 2;
    }
    document = argv[argc - 1];
    return write ? write_document() : cmocka_run_group_tests_name("journal/record_format", tests, NULL, NULL);
}
