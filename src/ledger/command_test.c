#include "ledger/command.h"

#include "base/check.h"

static const char long_text[] =
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void test_names(void **state)
{
    (void)state;
    const struct {
        const char *name;
        struct str text;
        bool external_id, key, ledger;
    } cases[] = {
        {"none", STR_NONE, false, false, false},
        {"empty", STR(""), false, false, false},
        {"plain", STR("shop-1_eu"), true, true, true},
        {"one character", STR("a"), true, true, true},
        {"digit first", STR("1a"), true, true, true},
        {"dash first", STR("-a"), true, true, false},
        {"underscore first", STR("_a"), true, true, false},
        {"upper case", STR("Main"), true, true, false},
        {"blank", STR("a b"), true, true, false},
        {"slash", STR("a/b"), true, true, false},
        {"at sign first", STR("@world:USD"), false, true, false},
        {"at sign later", STR("a@b"), true, true, false},
        {"umlaut", STR("k\xc3\xb6ln"), true, true, false},
        {"not UTF-8", STR("a\xff"), false, false, false},
        {"newline", STR("a\nb"), false, false, false},
        {"NUL", {"a\0b", 3}, false, false, false},
        {"delete", STR("a\x7f"), false, false, false},
        {"64 bytes", {long_text, 64}, true, true, true},
        {"65 bytes", {long_text, 65}, true, true, false},
        {"255 bytes", {long_text, 255}, true, true, false},
        {"256 bytes", {long_text, 256}, false, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK_INT(cases[i].name, external_id_valid(cases[i].text), cases[i].external_id);
        CHECK_INT(cases[i].name, idempotency_key_valid(cases[i].text), cases[i].key);
        CHECK_INT(cases[i].name, ledger_name_valid(cases[i].text), cases[i].ledger);
    }
}

/* The bytes of some commands, by hand: stored hashes depend on them for ever. */
static void test_known_bytes(void **state)
{
    (void)state;
    static const struct posting posting = {
        .debit = {.by = REF_BY_WORLD, .currency = {"USD", 3}},
        .credit = {.by = REF_BY_EXTERNAL_ID, .external_id = {"bob", 3}},
        .amount_minor = 1234,
        .currency = {"USD", 3},
        .wallet = true,
    };
    static const struct expectation expectation = {
        .account = {.by = REF_BY_ID, .id = {{0xaa}}}, .has_version = true, .version = 7};
    static const struct {
        const char *name;
        struct command command;
        const char *want;
    } cases[] = {
        {"a transfer from @world",
            {.op = COMMAND_POST,
                .ledger = {"main", 4},
                .reference = {"", 0},
                .as.post = {.postings = &posting, .n_postings = 1, .expects = &expectation, .n_expects = 1}},
            "0105000000046d61696e"
            "00"       /* effectiveAt: not named */
            "00000000" /* reference: empty, which is not none */
            "ffffffff" /* text: none */
            "00000001"
            "0200000003555344"
            "0100000003626f62"
            "00000000000004d2"
            "00000003555344"
            "01"
            "00000001" /* expectations */
            "00aa000000000000000000000000000000"
            "010000000000000007"
            "00"
            "00"}, /* balance after */
        {"an account with a floor",
            {.op = COMMAND_OPEN_ACCOUNT,
                .ledger = {"main", 4},
                .has_effective_at = true,
                .effective_at = -1,
                .text = {"{}", 2},
                .as.open = {.currency = {"USD", 3},
                    .type = ACCOUNT_LIABILITY,
                    .has_floor = true,
                    .floor = {true, -256}}},
            "0103000000046d61696e"
            "01ffffffffffffffff"
            "ffffffff"
            "000000027b7d"
            "00000003555344"
            "02"
            "ffffffff"
            "01"
            "01ffffffffffffff00"},
    };
    struct strbuf bytes, hex;
    strbuf_init(&bytes);
    strbuf_init(&hex);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        strbuf_clear(&bytes);
        strbuf_clear(&hex);
        command_canonical(&cases[i].command, &bytes);
        strbuf_hex(&hex, (const uint8_t *)bytes.data, bytes.len);
        CHECK_STR(cases[i].name, strbuf_view(&hex), str_of(cases[i].want));
    }
    strbuf_fini(&bytes);
    strbuf_fini(&hex);
}

static void test_what_does_not_count(void **state)
{
    (void)state;
    struct command a = {.op = COMMAND_ERASE, .ledger = STR("main"), .as.erase.seq = 5};
    struct command b = a;
    b.dry_run = true;
    b.idempotency_key = STR("k");
    b.actor = STR("alice");
    b.has_trace = true;
    memset(b.trace_id, 1, sizeof b.trace_id);
    memset(b.request_hash, 2, sizeof b.request_hash);
    memset(b.salt, 3, sizeof b.salt);
    b.random = 4;
    b.effective_at = 6; /* without has_effective_at */
    struct strbuf x, y;
    strbuf_init(&x);
    strbuf_init(&y);
    command_canonical(&a, &x);
    command_canonical(&b, &y);
    assert_true(x.len > 0 && str_eq(strbuf_view(&x), strbuf_view(&y)));
    strbuf_fini(&x);
    strbuf_fini(&y);
}

/*
 * Injectivity: commands are drawn from small domains, so that equal and nearly equal ones are frequent, and
 * each is described in words as well. Two share their bytes if and only if they share their description.
 */
struct drawn {
    struct command command;
    struct posting postings[3];
    struct expectation expects[2];
    struct strbuf words, bytes;
};

/* Draws come off a tape, so that a twin can be drawn that differs in one choice. */
static uint64_t tape[128];
static size_t tape_at;

static uint64_t draw(uint64_t n)
{
    assert_true(tape_at < COUNT_OF(tape));
    return tape[tape_at++] % n;
}

static struct str draw_str(struct strbuf *words)
{
    static const char *const texts[] = {NULL, "", "a", "ab", "b", "aa"};
    const char *text = texts[draw(COUNT_OF(texts))];
    strbuf_printf(words, text ? "'%s' " : "none ", text);
    return str_of(text);
}

static bool draw_bool(struct strbuf *words)
{
    bool value = draw(2);
    strbuf_c(words, value ? "yes " : "no ");
    return value;
}

static int64_t draw_int(struct strbuf *words)
{
    static const int64_t values[] = {0, 1, 255, 256, -1, INT64_MAX};
    int64_t value = values[draw(COUNT_OF(values))];
    strbuf_printf(words, "%" PRId64 " ", value);
    return value;
}

static struct floor draw_floor(struct strbuf *words)
{
    struct floor floor = {.present = draw_bool(words)};
    floor.minor = floor.present ? draw_int(words) : (int64_t)draw(3);
    return floor;
}

static struct account_ref draw_ref(struct strbuf *words)
{
    struct account_ref ref = {.by = (enum account_ref_by)draw(3)};
    strbuf_printf(words, "by%d ", (int)ref.by);
    if (ref.by == REF_BY_ID) {
        ref.id.bytes[draw(2)] = (uint8_t)draw(3);
        strbuf_uuid(words, ref.id);
        strbuf_char(words, ' ');
    } else if (ref.by == REF_BY_EXTERNAL_ID)
        ref.external_id = draw_str(words);
    else
        ref.currency = draw_str(words);
    return ref;
}

static void draw_post(struct drawn *d)
{
    struct command_post *post = &d->command.as.post;
    *post = (struct command_post){
        .postings = d->postings, .expects = d->expects, .n_postings = draw(3), .n_expects = draw(3)};
    strbuf_printf(&d->words, "%zu ", post->n_postings);
    for (size_t i = 0; i < post->n_postings; i++) {
        d->postings[i].debit = draw_ref(&d->words);
        d->postings[i].credit = draw_ref(&d->words);
        d->postings[i].amount_minor = draw_int(&d->words);
        d->postings[i].currency = draw_str(&d->words);
        d->postings[i].wallet = draw_bool(&d->words);
    }
    strbuf_printf(&d->words, "%zu ", post->n_expects);
    for (size_t i = 0; i < post->n_expects; i++) {
        struct expectation *e = &d->expects[i];
        e->account = draw_ref(&d->words);
        if ((e->has_version = draw_bool(&d->words)))
            e->version = (uint64_t)draw_int(&d->words);
        if ((e->has_min_available = draw_bool(&d->words)))
            e->min_available_minor = draw_int(&d->words);
    }
    if ((post->has_balance_after = draw_bool(&d->words))) {
        post->balance_account = draw_ref(&d->words);
        post->balance_after_minor = draw_int(&d->words);
    }
}

static void draw_account_op(struct drawn *d)
{
    struct command *c = &d->command;
    if (c->op == COMMAND_OPEN_ACCOUNT) {
        c->as.open.currency = draw_str(&d->words);
        c->as.open.type = (enum account_type)(1 + draw(5));
        strbuf_printf(&d->words, "type%d ", (int)c->as.open.type);
        c->as.open.external_id = draw_str(&d->words);
        if ((c->as.open.has_floor = draw_bool(&d->words)))
            c->as.open.floor = draw_floor(&d->words);
        return;
    }
    c->as.revise.account = draw_ref(&d->words);
    if ((c->as.revise.has_status = draw_bool(&d->words))) {
        c->as.revise.status = (enum account_status)(1 + draw(3));
        strbuf_printf(&d->words, "status%d ", (int)c->as.revise.status);
    }
    if ((c->as.revise.has_floor = draw_bool(&d->words)))
        c->as.revise.floor = draw_floor(&d->words);
    c->as.revise.has_text = draw_bool(&d->words);
    if ((c->as.revise.has_if_revision = draw_bool(&d->words))) {
        c->as.revise.if_revision = (uint32_t)draw(300);
        strbuf_printf(&d->words, "if%u ", c->as.revise.if_revision);
    }
}

static void draw_command(struct drawn *d)
{
    struct command *c = &d->command;
    strbuf_init(&d->words);
    strbuf_init(&d->bytes);
    c->op = (enum command_op)(1 + draw(7));
    strbuf_printf(&d->words, "op%d ", (int)c->op);
    c->ledger = draw_str(&d->words);
    if ((c->has_effective_at = draw_bool(&d->words)))
        c->effective_at = draw_int(&d->words);
    c->reference = draw_str(&d->words);
    c->text = draw_str(&d->words);
    c->random = (uint32_t)draw(2); /* does not count */
    switch (c->op) {
    case COMMAND_CREATE_LEDGER:
        c->as.create_ledger.name = draw_str(&d->words);
        c->as.create_ledger.default_floor = draw_floor(&d->words);
        break;
    case COMMAND_DECLARE_ASSET:
        c->as.declare_asset.code = draw_str(&d->words);
        c->as.declare_asset.scale = (int)draw(19);
        strbuf_printf(&d->words, "scale%d", c->as.declare_asset.scale);
        break;
    case COMMAND_OPEN_ACCOUNT:
    case COMMAND_REVISE_ACCOUNT:
        draw_account_op(d);
        break;
    case COMMAND_POST:
        draw_post(d);
        break;
    case COMMAND_REVERSE:
        c->as.reverse.transfer.bytes[15] = (uint8_t)draw(3);
        strbuf_uuid(&d->words, c->as.reverse.transfer);
        if ((c->as.reverse.has_amount = draw_bool(&d->words)))
            c->as.reverse.amount_minor = draw_int(&d->words);
        break;
    case COMMAND_ERASE:
        c->as.erase.seq = (uint64_t)draw_int(&d->words);
        break;
    }
    command_canonical(c, &d->bytes);
}

static void undraw(struct drawn *d)
{
    strbuf_fini(&d->words);
    strbuf_fini(&d->bytes);
}

static bool check_pair(const struct drawn *a, const struct drawn *b)
{
    bool same_words = str_eq(strbuf_view(&a->words), strbuf_view(&b->words));
    bool same_bytes = str_eq(strbuf_view(&a->bytes), strbuf_view(&b->bytes));
    if (same_words != same_bytes)
        fail_msg("'" STR_FMT "' and '" STR_FMT "': %s bytes", STR_ARG(strbuf_view(&a->words)),
            STR_ARG(strbuf_view(&b->words)), same_bytes ? "the same" : "different");
    return same_words;
}

static void draw_all(struct drawn *d)
{
    *d = (struct drawn){0};
    tape_at = 0;
    draw_command(d);
}

static void test_injective(void **state)
{
    (void)state;
    enum { N = 2000 };
    uint64_t seed = 2024;
    struct drawn *all = calloc(N, sizeof *all);
    assert_non_null(all);
    size_t n_equal = 0, n_twins = 0;
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < COUNT_OF(tape); k++)
            tape[k] = check_random(&seed) >> 11;
        draw_all(&all[i]);
        size_t used = tape_at;
        for (size_t k = 0; k < i; k++)
            n_equal += check_pair(&all[i], &all[k]);
        for (size_t k = 0; k < used; k++) {
            struct drawn twin;
            tape[k]++;
            draw_all(&twin);
            n_twins += !check_pair(&all[i], &twin);
            undraw(&twin);
            tape[k]--;
        }
    }
    assert_true(n_equal > 0 && n_twins > 10 * N); /* else the domains show nothing */
    for (size_t i = 0; i < N; i++)
        undraw(&all[i]);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_known_bytes),
        cmocka_unit_test(test_what_does_not_count),
        cmocka_unit_test(test_injective),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
