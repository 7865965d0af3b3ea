#include "api/decode_write.h"

#include "base/check.h"

#define A "0190a000-0000-7000-8000-000000040001"
#define B "0190a000-0000-7000-8000-000000080002"
#define T(amount) "{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":" amount ",\"currency\":\"USD\"}"

struct fixture {
    struct arena arena;
    struct write_context context;
    struct write write;
    struct fault fault;
};

static bool decode_as(struct fixture *f, enum route_id route, const char *parameter, const char *body)
{
    arena_init(&f->arena, 0);
    f->fault = (struct fault){.refusal = REFUSAL_NONE};
    f->context.route = route;
    f->context.ledger = STR("main");
    f->context.parameter = str_of(parameter);
    f->context.arena = &f->arena;
    return decode_write(&f->context, str_of(body), &f->write, &f->fault);
}

/* --- the table of bad requests
 * ------------------------------------------------------------------------------- */

static const struct bad {
    const char *name;
    enum route_id route;
    const char *body;
    enum refusal refusal;
    const char *field;
} bads[] = {
    {"amount 0", ROUTE_CREATE_TRANSFER, T("0"), REFUSAL_AMOUNT_ZERO, "amount"},
    {"amount -0", ROUTE_CREATE_TRANSFER, T("-0"), REFUSAL_AMOUNT_ZERO, "amount"},
    {"amount \"0\"", ROUTE_CREATE_TRANSFER, T("\"0\""), REFUSAL_AMOUNT_ZERO, "amount"},
    {"amount -1", ROUTE_CREATE_TRANSFER, T("-1"), REFUSAL_AMOUNT_NEGATIVE, "amount"},
    {"amount \"-1\"", ROUTE_CREATE_TRANSFER, T("\"-1\""), REFUSAL_AMOUNT_NEGATIVE, "amount"},
    {"amount 1.5", ROUTE_CREATE_TRANSFER, T("1.5"), REFUSAL_AMOUNT_FRACTIONAL, "amount"},
    {"amount 1e3", ROUTE_CREATE_TRANSFER, T("1e3"), REFUSAL_AMOUNT_EXPONENT, "amount"},
    {"amount 1000.0", ROUTE_CREATE_TRANSFER, T("1000.0"), REFUSAL_AMOUNT_EXPONENT, "amount"},
    {"amount 1e300", ROUTE_CREATE_TRANSFER, T("1e300"), REFUSAL_AMOUNT_EXPONENT, "amount"},
    {"amount -0.5", ROUTE_CREATE_TRANSFER, T("-0.5"), REFUSAL_AMOUNT_FRACTIONAL, "amount"},
    {"amount \"1e3\"", ROUTE_CREATE_TRANSFER, T("\"1e3\""), REFUSAL_AMOUNT_EXPONENT, "amount"},
    {"amount past 64 bits", ROUTE_CREATE_TRANSFER, T("9223372036854775808"), REFUSAL_NUMBER_OUT_OF_RANGE, ""},
    {"amount at 64 bits", ROUTE_CREATE_TRANSFER, T("9223372036854775807"), REFUSAL_AMOUNT_TOO_LARGE,
        "amount"},
    {"amount past the limit", ROUTE_CREATE_TRANSFER, T("4000000000000000001"), REFUSAL_AMOUNT_TOO_LARGE,
        "amount"},
    {"text past 64 bits", ROUTE_CREATE_TRANSFER, T("\"9223372036854775808\""), REFUSAL_AMOUNT_TOO_LARGE,
        "amount"},
    {"amount \"12x\"", ROUTE_CREATE_TRANSFER, T("\"12x\""), REFUSAL_AMOUNT_NOT_DIGITS, "amount"},
    {"amount \"\"", ROUTE_CREATE_TRANSFER, T("\"\""), REFUSAL_AMOUNT_NOT_DIGITS, "amount"},
    {"amount \"-\"", ROUTE_CREATE_TRANSFER, T("\"-\""), REFUSAL_AMOUNT_NOT_DIGITS, "amount"},
    {"amount \" 12\"", ROUTE_CREATE_TRANSFER, T("\" 12\""), REFUSAL_AMOUNT_NOT_DIGITS, "amount"},
    {"amount \"+12\"", ROUTE_CREATE_TRANSFER, T("\"+12\""), REFUSAL_AMOUNT_NOT_DIGITS, "amount"},
    {"amount \"1,2\"", ROUTE_CREATE_TRANSFER, T("\"1,2\""), REFUSAL_AMOUNT_NOT_DIGITS, "amount"},
    {"amount \"12.34\"", ROUTE_CREATE_TRANSFER, T("\"12.34\""), REFUSAL_AMOUNT_DECIMAL, "amount"},
    {"amount true", ROUTE_CREATE_TRANSFER, T("true"), REFUSAL_AMOUNT_NOT_NUMBER, "amount"},
    {"amount null", ROUTE_CREATE_TRANSFER, T("null"), REFUSAL_AMOUNT_NOT_NUMBER, "amount"},
    {"amount []", ROUTE_CREATE_TRANSFER, T("[1]"), REFUSAL_AMOUNT_NOT_NUMBER, "amount"},
    {"empty body", ROUTE_CREATE_TRANSFER, "", REFUSAL_MALFORMED_JSON, ""},
    {"array", ROUTE_CREATE_TRANSFER, "[]", REFUSAL_INVALID_FIELD, ""},
    {"no from", ROUTE_CREATE_TRANSFER, "{\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\"}",
        REFUSAL_MISSING_FIELD, "from"},
    {"no amount", ROUTE_CREATE_TRANSFER, "{\"from\":\"" A "\",\"to\":\"" B "\",\"currency\":\"USD\"}",
        REFUSAL_MISSING_FIELD, "amount"},
    {"unknown field", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\",\"ammount\":1}",
        REFUSAL_UNKNOWN_FIELD, "ammount"},
    {"field of another write", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\",\"minBalance\":1}",
        REFUSAL_UNKNOWN_FIELD, "minBalance"},
    {"account no id", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"x\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\"}", REFUSAL_INVALID_FIELD, "from"},
    {"account a number", ROUTE_CREATE_TRANSFER,
        "{\"from\":1,\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\"}", REFUSAL_INVALID_FIELD, "from"},
    {"ext: alone", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"ext:\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\"}", REFUSAL_INVALID_FIELD,
        "from"},
    {"currency in lower case", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"usd\"}", REFUSAL_INVALID_FIELD,
        "currency"},
    {"key null", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\",\"idempotencyKey\":null}",
        REFUSAL_INVALID_FIELD, "idempotencyKey"},
    {"key empty", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\",\"idempotencyKey\":\"\"}",
        REFUSAL_INVALID_FIELD, "idempotencyKey"},
    {"time without offset", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"" A "\",\"to\":\"" B
        "\",\"amount\":1,\"currency\":\"USD\",\"effectiveAt\":\"2026-01-01T00:00:00\"}",
        REFUSAL_INVALID_FIELD, "effectiveAt"},
    {"metadata a list", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\",\"metadata\":[]}",
        REFUSAL_INVALID_FIELD, "metadata"},
    {"line end in reference", ROUTE_CREATE_TRANSFER,
        "{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\",\"reference\":\"a\\nb\"}",
        REFUSAL_INVALID_FIELD, "reference"},
    {"no postings", ROUTE_CREATE_TRANSACTION, "{\"postings\":[]}", REFUSAL_INVALID_FIELD, "postings"},
    {"posting no object", ROUTE_CREATE_TRANSACTION, "{\"postings\":[1]}", REFUSAL_INVALID_FIELD, "postings"},
    {"wrong amount within", ROUTE_CREATE_TRANSACTION,
        "{\"postings\":[{\"debit\":\"" A "\",\"credit\":\"" B "\",\"amount\":1,\"currency\":\"USD\"},"
        "{\"debit\":\"" A "\",\"credit\":\"" B "\",\"amount\":-7,\"currency\":\"USD\"}]}",
        REFUSAL_AMOUNT_NEGATIVE, "postings[1].amount"},
    {"from in a posting", ROUTE_CREATE_TRANSACTION,
        "{\"postings\":[{\"from\":\"" A "\",\"to\":\"" B "\",\"amount\":1,\"currency\":\"USD\"}]}",
        REFUSAL_UNKNOWN_FIELD, "postings[0].from"},
    {"expect nothing", ROUTE_CREATE_TRANSACTION,
        "{\"postings\":[{\"debit\":\"" A "\",\"credit\":\"" B "\",\"amount\":1,\"currency\":\"USD\"}],"
        "\"expect\":[{\"account\":\"" A "\"}]}",
        REFUSAL_MISSING_FIELD, "expect[0].version"},
    {"expect of no currency", ROUTE_CREATE_TRANSACTION,
        "{\"postings\":[{\"debit\":\"" A "\",\"credit\":\"" B "\",\"amount\":1,\"currency\":\"USD\"}],"
        "\"expect\":[{\"account\":\"@world\",\"version\":1}]}",
        REFUSAL_INVALID_FIELD, "expect[0].account"},
    {"no currency", ROUTE_OPEN_ACCOUNT, "{}", REFUSAL_MISSING_FIELD, "currency"},
    {"external id with @", ROUTE_OPEN_ACCOUNT, "{\"currency\":\"USD\",\"externalId\":\"@world:USD\"}",
        REFUSAL_INVALID_FIELD, "externalId"},
    {"control in external id", ROUTE_OPEN_ACCOUNT, "{\"currency\":\"USD\",\"externalId\":\"a\\u0007\"}",
        REFUSAL_INVALID_FIELD, "externalId"},
    {"no such type", ROUTE_OPEN_ACCOUNT, "{\"currency\":\"USD\",\"type\":\"purse\"}", REFUSAL_INVALID_FIELD,
        "type"},
    {"floor of 1.5", ROUTE_OPEN_ACCOUNT, "{\"currency\":\"USD\",\"minBalance\":1.5}",
        REFUSAL_AMOUNT_FRACTIONAL, "minBalance"},
    {"no such status", ROUTE_REVISE_ACCOUNT, "{\"status\":\"asleep\"}", REFUSAL_INVALID_FIELD, "status"},
    {"nothing to change", ROUTE_REVISE_ACCOUNT, "{\"idempotencyKey\":\"k\"}", REFUSAL_MISSING_FIELD, ""},
    {"reverse 0", ROUTE_REVERSE_TRANSFER, "{\"amount\":0}", REFUSAL_AMOUNT_ZERO, "amount"},
    {"credit without amount", ROUTE_CREDIT_ACCOUNT, "{}", REFUSAL_MISSING_FIELD, "amount"},
    {"from in a credit", ROUTE_CREDIT_ACCOUNT, "{\"amount\":1,\"from\":\"" A "\"}", REFUSAL_UNKNOWN_FIELD,
        "from"},
    {"ledger in capitals", ROUTE_CREATE_LEDGER, "{\"name\":\"Shop\"}", REFUSAL_INVALID_FIELD, "name"},
    {"scale of 19", ROUTE_DECLARE_ASSET, "{\"currency\":\"X\",\"scale\":19}", REFUSAL_INVALID_FIELD, "scale"},
    {"scale of -1", ROUTE_DECLARE_ASSET, "{\"currency\":\"X\",\"scale\":-1}", REFUSAL_INVALID_FIELD, "scale"},
    {"no scale", ROUTE_DECLARE_ASSET, "{\"currency\":\"X\"}", REFUSAL_MISSING_FIELD, "scale"},
};

static void test_bad_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bads); i++) {
        struct fixture f = {0};
        CHECK(bads[i].name, !decode_as(&f, bads[i].route, A, bads[i].body));
        CHECK_INT(bads[i].name, f.fault.refusal, bads[i].refusal);
        CHECK_STR(bads[i].name, str_of(f.fault.field), str_of(bads[i].field));
        CHECK(bads[i].name, f.fault.detail[0] != '\0');
        arena_fini(&f.arena);
    }
}

/* --- good requests
 * ------------------------------------------------------------------------------------------- */

static void test_transfer(void **state)
{
    (void)state;
    struct fixture f = {0};
    f.context.dry_run = true;
    f.context.actor = STR("till");
    assert_true(decode_as(&f, ROUTE_CREATE_TRANSFER, NULL,
        "{\"from\":\"ext:shop/"
        "1\",\"to\":\"@world\",\"amount\":\"0012\",\"currency\":\"USD\",\"idempotencyKey\":\"k\","
        "\"reference\":\"r\",\"effectiveAt\":\"1970-01-01T01:00:01+01:00\",\"metadata\":{\"b\":1,\"a\":{}}"
        "}"));
    const struct command *c = &f.write.command;
    const struct posting *p = &c->as.post.postings[0];
    assert_int_equal(c->op, COMMAND_POST);
    assert_true(c->dry_run && c->has_effective_at && p->wallet);
    assert_int_equal(c->effective_at, 1000000);
    assert_int_equal(c->as.post.n_postings, 1);
    assert_int_equal(p->amount_minor, 12);
    CHECK_STR("external id", p->debit.external_id, STR("shop/1"));
    assert_int_equal(p->credit.by, REF_BY_WORLD);
    CHECK_STR("world's currency", p->credit.currency, STR("USD"));
    CHECK_STR("key", c->idempotency_key, STR("k"));
    CHECK_STR("reference", c->reference, STR("r"));
    CHECK_STR("actor", c->actor, STR("till"));
    CHECK_STR("text", c->text, STR("{\"metadata\":{\"a\":{},\"b\":1}}"));
    arena_fini(&f.arena);
}

static void test_keys(void **state)
{
    static const struct {
        const char *header, *body, *key;
        enum refusal refusal;
    } cases[] = {
        {NULL, NULL, NULL, REFUSAL_NONE},
        {"h", NULL, "h", REFUSAL_NONE},
        {NULL, "b", "b", REFUSAL_NONE},
        {"same", "same", "same", REFUSAL_NONE},
        {"one", "other", NULL, REFUSAL_IDEMPOTENCY_KEY_CONFLICT},
        {"", NULL, NULL, REFUSAL_INVALID_PARAMETER},
        {"\xff", NULL, NULL, REFUSAL_INVALID_PARAMETER},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f = {0};
        char body[200];
        const char *name = cases[i].header != NULL ? cases[i].header : "no header";
        f.context.header_key = str_of(cases[i].header);
        snprintf(body, sizeof body, "{\"currency\":\"USD\"%s%s%s}",
            cases[i].body ? ",\"idempotencyKey\":\"" : "", cases[i].body ? cases[i].body : "",
            cases[i].body ? "\"" : "");
        CHECK_INT(name, decode_as(&f, ROUTE_OPEN_ACCOUNT, NULL, body), cases[i].refusal == REFUSAL_NONE);
        CHECK_INT(name, f.fault.refusal, cases[i].refusal);
        if (cases[i].refusal == REFUSAL_NONE)
            CHECK_STR(name, f.write.command.idempotency_key, str_of(cases[i].key));
        arena_fini(&f.arena);
    }
}

static void test_open(void **state)
{
    static const struct {
        const char *body;
        enum account_type type;
        bool has_floor;
        struct floor floor;
        const char *text;
    } cases[] = {
        {"{\"currency\":\"USD\"}", ACCOUNT_LIABILITY, false, {0}, NULL},
        {"{\"currency\":\"USD\",\"type\":\"wallet\"}", ACCOUNT_LIABILITY, true, {true, 0}, NULL},
        {"{\"currency\":\"USD\",\"type\":\"wallet\",\"minBalance\":-5}", ACCOUNT_LIABILITY, true, {true, -5},
            NULL},
        {"{\"currency\":\"USD\",\"type\":\"wallet\",\"minBalance\":null}", ACCOUNT_LIABILITY, true,
            {false, 0}, NULL},
        {"{\"currency\":\"USD\",\"type\":\"asset\",\"name\":\"till\"}", ACCOUNT_ASSET, false, {0},
            "{\"name\":\"till\"}"},
        {"{\"currency\":\"USD\",\"name\":null,\"metadata\":{}}", ACCOUNT_LIABILITY, false, {0}, NULL},
        {"{\"currency\":\"USD\",\"name\":\"a\\\"b\",\"metadata\":{\"k\":1}}", ACCOUNT_LIABILITY, false, {0},
            "{\"metadata\":{\"k\":1},\"name\":\"a\\\"b\"}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f = {0};
        CHECK(cases[i].body, decode_as(&f, ROUTE_OPEN_ACCOUNT, NULL, cases[i].body));
        const struct command_open *open = &f.write.command.as.open;
        CHECK_INT(cases[i].body, open->type, cases[i].type);
        CHECK_INT(cases[i].body, open->has_floor, cases[i].has_floor);
        CHECK_INT(cases[i].body, open->floor.present, cases[i].floor.present);
        CHECK_INT(cases[i].body, open->floor.minor, cases[i].floor.minor);
        CHECK_STR(cases[i].body, f.write.command.text, str_of(cases[i].text));
        CHECK(cases[i].body, open->external_id.data == NULL);
        arena_fini(&f.arena);
    }
}

static void test_ledger_default(void **state)
{
    (void)state;
    struct fixture f = {0};
    assert_true(decode_as(&f, ROUTE_CREATE_LEDGER, NULL, "{\"name\":\"shop\"}"));
    assert_true(f.write.command.as.create_ledger.default_floor.present);
    assert_int_equal(f.write.command.as.create_ledger.default_floor.minor, 0);
    arena_fini(&f.arena);
    assert_true(decode_as(&f, ROUTE_CREATE_LEDGER, NULL, "{\"name\":\"shop\",\"defaultMinBalance\":null}"));
    assert_false(f.write.command.as.create_ledger.default_floor.present);
    arena_fini(&f.arena);
}

static void test_movement(void **state)
{
    (void)state;
    struct fixture f = {0};
    assert_true(decode_as(&f, ROUTE_DEBIT_ACCOUNT, "ext:a", "{\"amount\":5}"));
    assert_true(f.write.needs_currency);
    write_set_currency(&f.write, STR("EUR"));
    const struct posting *p = f.write.command.as.post.postings;
    CHECK_STR("debit", p->debit.external_id, STR("a"));
    assert_int_equal(p->credit.by, REF_BY_WORLD);
    CHECK_STR("world", p->credit.currency, STR("EUR"));
    CHECK_STR("currency", p->currency, STR("EUR"));
    arena_fini(&f.arena);
    assert_false(decode_as(&f, ROUTE_CREDIT_ACCOUNT, "@world", "{\"amount\":5}"));
    assert_int_equal(f.fault.refusal, REFUSAL_ACCOUNT_NOT_FOUND);
    arena_fini(&f.arena);
}

static void test_reverse_with_empty_body(void **state)
{
    (void)state;
    struct fixture f = {0};
    assert_true(decode_as(&f, ROUTE_REVERSE_TRANSFER, A, ""));
    assert_false(f.write.command.as.reverse.has_amount);
    arena_fini(&f.arena);
    assert_false(decode_as(&f, ROUTE_REVERSE_TRANSFER, "nonsense", ""));
    assert_int_equal(f.fault.refusal, REFUSAL_TRANSFER_NOT_FOUND);
    arena_fini(&f.arena);
}

/* --- revisions
 * ----------------------------------------------------------------------------------------------- */

static void test_merged_text(void **state)
{
    static const struct {
        const char *present, *patch, *text;
    } cases[] = {
        {NULL, "{\"name\":\"n\"}", "{\"name\":\"n\"}"},
        {"{\"metadata\":{\"a\":1},\"name\":\"old\"}", "{\"name\":\"n\"}",
            "{\"metadata\":{\"a\":1},\"name\":\"n\"}"},
        {"{\"metadata\":{\"a\":1},\"name\":\"old\"}", "{\"name\":null}", "{\"metadata\":{\"a\":1}}"},
        {"{\"metadata\":{\"a\":1},\"name\":\"old\"}", "{\"metadata\":{\"b\":2}}",
            "{\"metadata\":{\"b\":2},\"name\":\"old\"}"},
        {"{\"metadata\":{\"a\":1},\"name\":\"old\"}", "{\"metadata\":{}}", "{\"name\":\"old\"}"},
        {"{\"name\":\"old\"}", "{\"name\":null}", "{}"},
        {"{}", "{\"metadata\":{\"b\":2}}", "{\"metadata\":{\"b\":2}}"},
        {"damaged", "{\"name\":\"n\"}", "{\"name\":\"n\"}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f = {0};
        CHECK(cases[i].patch, decode_as(&f, ROUTE_REVISE_ACCOUNT, A, cases[i].patch));
        CHECK(cases[i].patch, f.write.needs_text);
        write_merge_text(&f.write, str_of(cases[i].present), &f.arena);
        CHECK_STR(cases[i].patch, f.write.command.text, str_of(cases[i].text));
        arena_fini(&f.arena);
    }
}

static void test_if_match(void **state)
{
    static const struct {
        const char *header;
        bool ok, has;
        uint32_t revision;
    } cases[] = {
        {NULL, true, false, 0},
        {"\"3\"", true, true, 3},
        {"3", true, true, 3},
        {"*", true, false, 0},
        {"W/\"3\"", false, false, 0},
        {"\"1\", \"2\"", false, false, 0},
        {"\"0\"", false, false, 0},
        {"\"4294967296\"", false, false, 0},
        {"\"\"", false, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f = {0};
        const char *name = cases[i].header != NULL ? cases[i].header : "none";
        f.context.if_match = str_of(cases[i].header);
        CHECK_INT(name, decode_as(&f, ROUTE_REVISE_ACCOUNT, A, "{\"status\":\"frozen\"}"), cases[i].ok);
        CHECK_INT(name, f.fault.refusal, cases[i].ok ? REFUSAL_NONE : REFUSAL_INVALID_PARAMETER);
        if (cases[i].ok) {
            CHECK_INT(name, f.write.command.as.revise.has_if_revision, cases[i].has);
            CHECK_INT(name, f.write.command.as.revise.if_revision, cases[i].revision);
        }
        arena_fini(&f.arena);
    }
}

/* --- bulk
 * ---------------------------------------------------------------------------------------------------- */

static void test_batch(void **state)
{
    (void)state;
    struct fixture f = {0};
    json_t *root;
    arena_init(&f.arena, 0);
    f.context = (struct write_context){.route = ROUTE_POST_BATCH, .ledger = STR("main"), .arena = &f.arena};
    assert_false(decode_batch(&f.context, STR("[]"), &root, &f.fault));
    assert_int_equal(f.fault.refusal, REFUSAL_INVALID_FIELD);
    assert_false(decode_batch(&f.context, STR("{}"), &root, &f.fault));
    assert_int_equal(f.fault.refusal, REFUSAL_INVALID_FIELD);
    const char *body = "[" T("1") ",{\"postings\":[{\"debit\":\"" A "\",\"credit\":\"" B "\",\"amount\":2,"
                                  "\"currency\":\"USD\"}]},7,{}]";
    assert_true(decode_batch(&f.context, str_of(body), &root, &f.fault));
    assert_true(decode_element(&f.context, json_array_get(root, 0), &f.write, &f.fault));
    assert_true(f.write.command.as.post.postings[0].wallet);
    assert_true(decode_element(&f.context, json_array_get(root, 1), &f.write, &f.fault));
    assert_false(f.write.command.as.post.postings[0].wallet);
    assert_false(decode_element(&f.context, json_array_get(root, 2), &f.write, &f.fault));
    assert_int_equal(f.fault.refusal, REFUSAL_INVALID_FIELD);
    assert_false(decode_element(&f.context, json_array_get(root, 3), &f.write, &f.fault));
    assert_int_equal(f.fault.refusal, REFUSAL_MISSING_FIELD);
    json_decref(root);
    f.context.header_key = STR("k");
    assert_false(decode_batch(&f.context, str_of(body), &root, &f.fault));
    assert_int_equal(f.fault.refusal, REFUSAL_INVALID_PARAMETER);
    arena_fini(&f.arena);
}

static void test_limits(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct strbuf b;
    strbuf_init(&b);
    strbuf_c(&b, "{\"currency\":\"USD\",\"metadata\":{\"k\":\"");
    for (size_t i = 0; i < LIMIT_METADATA_MAX - 8; i++)
        strbuf_char(&b, 'x');
    size_t at_limit = b.len;
    strbuf_c(&b, "\"}}");
    strbuf_char(&b, '\0');
    assert_true(decode_as(&f, ROUTE_OPEN_ACCOUNT, NULL, b.data));
    arena_fini(&f.arena);
    b.len = at_limit;
    strbuf_c(&b, "x\"}}");
    strbuf_char(&b, '\0');
    assert_false(decode_as(&f, ROUTE_OPEN_ACCOUNT, NULL, b.data));
    assert_int_equal(f.fault.refusal, REFUSAL_INVALID_FIELD);
    assert_string_equal(f.fault.field, "metadata");
    arena_fini(&f.arena);
    strbuf_clear(&b);
    strbuf_c(&b, "{\"postings\":[0");
    for (size_t i = 0; i < LIMIT_POSTINGS_MAX; i++)
        strbuf_c(&b, ",0");
    strbuf_c(&b, "]}");
    strbuf_char(&b, '\0');
    assert_false(decode_as(&f, ROUTE_CREATE_TRANSACTION, NULL, b.data));
    assert_int_equal(f.fault.refusal, REFUSAL_TOO_MANY_ELEMENTS);
    arena_fini(&f.arena);
    strbuf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_ledger_default),
        cmocka_unit_test(test_movement),
        cmocka_unit_test(test_reverse_with_empty_body),
        cmocka_unit_test(test_merged_text),
        cmocka_unit_test(test_if_match),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
