/*
 * The two roads to an answer say the same: a journal in memory and a read model in a file beside it, which the test brings
 * up to date from the journal when it wants to. Random requests are asked both ways; what only the read model answers is
 * held against what the journal's answers add up to.
 */
#include <pthread.h>
#include <unistd.h>

#include "app/service_fixture.h"
#include "base/instant.h"
#include "readmodel/query.h"

#define OPERATIONS 400
#define QUESTIONS 160
#define APPLY_RECORDS 64
#define LEDGERS_MAX 4
#define NAMED 6 /* accounts, by external id a0.. */

struct books {
    struct fixture *f;
    char directory[64], url[128];
    struct journal *journal;
    struct readmodel *model;
    uint64_t done[LEDGERS_MAX]; /* by ledger, id - 1 */
    uint64_t random;
};

static char target[700], body[900];

#define TARGET(...) (snprintf(target, sizeof target, __VA_ARGS__), target)
#define BODY(...) (snprintf(body, sizeof body, __VA_ARGS__), body)

/* --- a read model beside the journal ------------------------------------------------------------------------ */

static struct books *books_new(const struct fixture_options *options)
{
    struct books *b = calloc(1, sizeof *b);
    struct fixture_options with = *options;
    struct err err = {0};
    b->random = 20260131;
    snprintf(b->directory, sizeof b->directory, "/tmp/creditledger-query-XXXXXX");
    assert_non_null(mkdtemp(b->directory));
    snprintf(b->url, sizeof b->url, "sqlite:%s/read.db", b->directory);
    int r =
        readmodel_open(b->url, &(struct readmodel_options){.write = true, .create = true}, &b->model, &err);
    CHECK_INT(err.message, r, 0);
    with.read_url = b->url;
    b->f = fixture_new(&with);
    assert_int_equal(
        journal_open(b->f->url, &(struct journal_options){.mode = JOURNAL_READ}, &b->journal, &err), 0);
    return b;
}

static void books_free(struct books *b)
{
    char command[100];
    readmodel_close(b->model);
    journal_close(b->journal);
    fixture_free(b->f);
    snprintf(command, sizeof command, "rm -rf %s", b->directory);
    assert_int_equal(system(command), 0);
    free(b);
}

struct gathered {
    struct fact *at;
    size_t n;
};

static void add_facts(
    struct books *b, uint32_t ledger, uint64_t seq, struct arena *arena, struct gathered *facts)
{
    const struct record *record;
    struct err err = {0};
    assert_int_equal(b->journal->ops->record(b->journal, ledger, seq, true, arena, &record, &err), 0);
    const struct asset **assets = ARENA_ARRAY(arena, const struct asset *, record->n_entries);
    for (size_t i = 0; i < record->n_entries; i++)
        assets[i] = catalog_asset(b->f->catalog, record->entries[i].asset);
    struct event_source source = {
        .ledger = str_of(catalog_ledger(b->f->catalog, ledger)->name), .record = record, .assets = assets};
    size_t n = event_count(record);
    facts->at = realloc(facts->at, (facts->n + n) * sizeof *facts->at);
    for (size_t i = 0; i < n; i++)
        fact_of_record(&source, i, arena, &facts->at[facts->n++]);
}

/* Brings the read model up to `seq` of a ledger. */
static void project_to(struct books *b, uint32_t ledger, uint64_t seq)
{
    while (b->done[ledger - 1] < seq) {
        struct arena arena;
        struct gathered facts = {NULL, 0};
        struct readmodel_applied applied;
        struct err err = {0};
        arena_init(&arena, 0);
        for (int i = 0; i < APPLY_RECORDS && b->done[ledger - 1] < seq; i++)
            add_facts(b, ledger, ++b->done[ledger - 1], &arena, &facts);
        int r = readmodel_apply(b->model, facts.at, facts.n, NULL, 0, &applied, &err);
        CHECK_INT(err.message, r, 0);
        assert_true(applied.taken == facts.n && !applied.gap);
        free(facts.at);
        arena_fini(&arena);
    }
}

static void project(struct books *b)
{
    for (uint32_t id = 1; id <= catalog_ledgers(b->f->catalog); id++)
        project_to(b, id, catalog_head_seq(b->f->catalog, id));
}

/* --- lively books ------------------------------------------------------------------------------------------- */

static uint64_t below(struct books *b, uint64_t n)
{
    return check_below(&b->random, n);
}

static const char *currency_of(uint64_t account)
{
    return account < 4 ? "USD" : "EUR";
}

static void open_accounts(struct books *b, const char *ledger)
{
    static const char *const rest[NAMED] = {"\"type\":\"wallet\"", "\"type\":\"wallet\",\"name\":\"W\"",
        "\"type\":\"liability\",\"minBalance\":null", "\"type\":\"asset\",\"minBalance\":null",
        "\"type\":\"income\",\"minBalance\":null", "\"type\":\"liability\",\"minBalance\":-500"};
    for (unsigned i = 0; i < NAMED; i++)
        expect(b->f, 201, "POST", TARGET("%s/accounts", ledger),
            BODY("{\"currency\":\"%s\",\"externalId\":\"a%u\",%s}", currency_of(i), i, rest[i]));
}

/* "reference" and "metadata", or nothing; with a comma before. */
static const char *random_rest(struct books *b)
{
    static char rest[200];
    char *at = rest;
    const char *end = rest + sizeof rest;
    *at = '\0';
    if (below(b, 3) == 0)
        at += snprintf(at, (size_t)(end - at), ",\"reference\":\"r%u\"", (unsigned)below(b, 4));
    if (below(b, 2) == 0)
        at += snprintf(at, (size_t)(end - at),
            ",\"metadata\":{\"k\":\"v%u\",\"n\":%u,\"deep\":{\"k\":\"v1\"}%s}", (unsigned)below(b, 3),
            (unsigned)below(b, 3), below(b, 2) ? ",\"flag\":true" : "");
    if (below(b, 8) == 0)
        at += snprintf(at, (size_t)(end - at), ",\"effectiveAt\":\"2025-12-%02uT00:00:00Z\"",
            (unsigned)below(b, 30) + 1);
    return rest;
}

static void post_transfer(struct books *b, const char *ledger)
{
    uint64_t from = below(b, 4), to = below(b, 4);
    if (below(b, 4) == 0)
        from = 4, to = 5;
    char headers[160];
    snprintf(headers, sizeof headers,
        "Idempotency-Key: key-%u\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0%u",
        (unsigned)below(b, 10000), (unsigned)below(b, 2));
    int status = call(b->f, "POST", TARGET("%s/transfers", ledger), below(b, 3) == 0 ? headers : NULL,
        BODY("{\"from\":\"ext:a%u\",\"to\":\"ext:a%u\",\"amount\":%u,\"currency\":\"%s\"%s}", (unsigned)from,
            (unsigned)to, (unsigned)below(b, 300) + 1, currency_of(from), random_rest(b)));
    assert_true(status == 201 || status == 400 || status == 422);
}

/* Takes the text of a random record away, if it has one. */
static void erase_text(struct books *b, const char *ledger)
{
    struct arena arena;
    struct answer answer;
    const char *name = *ledger ? "shop" : "main";
    uint32_t id = catalog_ledger_by_name(b->f->catalog, str_of(name))->id;
    struct command command = {.op = COMMAND_ERASE,
        .ledger = str_of(name),
        .reference = STR("asked to"),
        .as.erase.seq = below(b, catalog_head_seq(b->f->catalog, id)) + 1};
    arena_init(&arena, 0);
    struct submission s = {.commands = &command, .answers = &answer, .n = 1, .arena = &arena};
    engine_call(b->f->engine, &s);
    arena_fini(&arena);
}

static void post_transaction(struct books *b, const char *ledger)
{
    int status = call(b->f, "POST", TARGET("%s/transactions", ledger), NULL,
        BODY(
            "{\"postings\":[{\"debit\":\"ext:a2\",\"credit\":\"ext:a%u\",\"amount\":%u,\"currency\":\"USD\"},"
            "{\"debit\":\"ext:a%u\",\"credit\":\"ext:a5\",\"amount\":9,\"currency\":\"EUR\"},"
            "{\"debit\":\"ext:a3\",\"credit\":\"ext:a2\",\"amount\":%u,\"currency\":\"USD\"}]%s}",
            (unsigned)below(b, 2), (unsigned)below(b, 90) + 1, 4u, (unsigned)below(b, 50) + 1,
            random_rest(b)));
    assert_true(status == 201 || status == 422);
}

static void post_reversal(struct books *b, const char *ledger)
{
    expect(
        b->f, 200, "GET", TARGET("%s/transfers?kind=transfer&consistency=strong&limit=1000", ledger), NULL);
    size_t n = json_array_size(value_at(b->f, "transfers"));
    if (n == 0)
        return;
    char path[64];
    snprintf(path, sizeof path, "transfers.%u.transferId", (unsigned)below(b, n));
    const char *part = below(b, 2) ? "{}" : "{\"amount\":3}";
    int status =
        call(b->f, "POST", TARGET("%s/transfers/%s/reverse", ledger, text_at(b->f, path)), NULL, part);
    assert_true(status == 201 || status == 422);
}

static void operate(struct books *b, const char *ledger)
{
    unsigned account = (unsigned)below(b, NAMED);
    b->f->clock += (int64_t)below(b, 3 * 3600) * MICROS_PER_SECOND;
    switch (below(b, 11)) {
    case 10:
        erase_text(b, ledger);
        return;
    case 0:
        expect(b->f, 201, "POST", TARGET("%s/accounts/ext:a%u/credits", ledger, account),
            BODY("{\"amount\":%u%s}", (unsigned)below(b, 500) + 1, random_rest(b)));
        return;
    case 1:
        (void)call(b->f, "POST", TARGET("%s/accounts/ext:a%u/debits", ledger, account), NULL,
            BODY("{\"amount\":%u%s}", (unsigned)below(b, 500) + 1, random_rest(b)));
        return;
    case 2:
        post_transaction(b, ledger);
        return;
    case 3:
        post_reversal(b, ledger);
        return;
    case 4:
        expect(b->f, 200, "PATCH", TARGET("%s/accounts/ext:a%u", ledger, account),
            BODY("{\"name\":\"n%u\"}", (unsigned)below(b, 100)));
        return;
    default:
        post_transfer(b, ledger);
    }
}

static struct books *lively_books(void)
{
    struct books *b = books_new(&(struct fixture_options){.readers = 0});
    expect(b->f, 201, "POST", "/ledgers", "{\"name\":\"shop\",\"defaultMinBalance\":null}");
    open_accounts(b, "");
    open_accounts(b, "/ledgers/shop");
    for (int i = 0; i < OPERATIONS; i++)
        operate(b, below(b, 4) == 0 ? "/ledgers/shop" : "");
    project(b);
    return b;
}

/* --- the same question, both ways --------------------------------------------------------------------------- */

/* Asks; the answer without what may differ, its cursor in ret_cursor ("" if none). */
static json_t *ask(struct books *b, const char *question, const char *consistency, const char *cursor,
    int *ret_status, char ret_cursor[200])
{
    *ret_status = call(b->f, "GET",
        TARGET("%s%cconsistency=%s%s%s", question, strchr(question, '?') ? '&' : '?', consistency,
            *cursor ? "&cursor=" : "", cursor),
        NULL, NULL);
    json_t *answer = json_deep_copy(b->f->json);
    snprintf(
        ret_cursor, 200, "%s", *ret_status == 200 && text_at(b->f, "cursor") ? text_at(b->f, "cursor") : "");
    if (*ret_status == 200)
        assert_true(number_at(b->f, "asOfSeq") > 0);
    json_object_del(answer, "asOfSeq");
    json_object_del(answer, "asOf");
    json_object_del(answer, "cursor");
    if (strstr(question, "to=") == NULL)
        json_object_del(answer, "to"); /* now */
    return answer;
}

static bool has_elements(const json_t *answer)
{
    const json_t *list = json_object_get(answer, "transfers");
    return json_array_size(list != NULL ? list : json_object_get(answer, "lines")) > 0;
}

/* One page both ways; false at the end of both. */
static bool same_page(struct books *b, const char *question, char strong_at[200], char eventual_at[200])
{
    int strong_status, eventual_status;
    json_t *strong = ask(b, question, "strong", strong_at, &strong_status, strong_at);
    json_t *eventual = ask(b, question, "eventual", eventual_at, &eventual_status, eventual_at);
    if (strong_status != eventual_status || !json_equal(strong, eventual)) {
        char *one = json_dumps(strong, JSON_SORT_KEYS), *other = json_dumps(eventual, JSON_SORT_KEYS);
        fail_msg("%s\nstrong   %d %s\neventual %d %s", question, strong_status, one, eventual_status, other);
    }
    json_decref(strong);
    json_decref(eventual);
    return *strong_at && *eventual_at;
}

/* The journal hands out a cursor before it knows that nothing follows: then that page is empty. */
static void same(struct books *b, const char *question)
{
    char strong_at[200] = "", eventual_at[200] = "";
    int pages = 0, status;
    while (same_page(b, question, strong_at, eventual_at))
        assert_true(++pages < 2000);
    while (*strong_at || *eventual_at) {
        bool strong = *strong_at;
        char *at = strong ? strong_at : eventual_at;
        json_t *rest = ask(b, question, strong ? "strong" : "eventual", at, &status, at);
        assert_int_equal(status, 200);
        CHECK(question, !has_elements(rest));
        json_decref(rest);
    }
}

static void random_period(struct books *b, char *ret_text, size_t size)
{
    unsigned from = (unsigned)below(b, 28) + 1, to = from + (unsigned)below(b, 3);
    *ret_text = '\0';
    if (below(b, 2) == 0)
        snprintf(ret_text, size, "&from=2026-01-%02uT%02u:00:00Z", from, (unsigned)below(b, 24));
    else if (below(b, 2) == 0)
        snprintf(ret_text, size, "&from=2026-01-%02uT00:00:00Z&to=2026-01-%02uT00:00:00Z", from, to);
}

static void test_both_say_the_same(void **state)
{
    static const char *const kinds[] = {"", "&kind=transfer", "&kind=reversal", "&kind=declined"};
    (void)state;
    struct books *b = lively_books();
    for (int i = 0; i < QUESTIONS; i++) {
        char question[400], period[120], account[60] = "", reference[30] = "";
        const char *ledger = below(b, 3) == 0 ? "/ledgers/shop" : "";
        unsigned n = (unsigned)below(b, NAMED + 2), limit = (unsigned)below(b, 40) + 1;
        const char *name = n < NAMED ? "ext:a" : n == NAMED ? "@world:USD" : "ext:nobody";
        char digit[2] = {n < NAMED ? (char)('0' + n) : '\0', '\0'};
        random_period(b, period, sizeof period);
        switch (below(b, 5)) {
        case 0:
            snprintf(question, sizeof question, "%s/accounts/%s%s/balance", ledger, name, digit);
            break;
        case 1:
        case 2:
            snprintf(question, sizeof question, "%s/accounts/%s%s/statements?limit=%u%s", ledger, name, digit,
                limit, period);
            break;
        default:
            if (below(b, 2) == 0)
                snprintf(account, sizeof account, "&account=%s%s", name, digit);
            if (below(b, 3) == 0)
                snprintf(reference, sizeof reference, "&reference=r%u", (unsigned)below(b, 5));
            snprintf(question, sizeof question, "%s/transfers?limit=%u%s%s%s%s", ledger, limit, period,
                account, reference, kinds[below(b, 4)]);
        }
        same(b, question);
    }
    books_free(b);
}

/* Accounts are found by their ids as well, and only by the whole id. */
static void test_accounts_by_id(void **state)
{
    (void)state;
    struct books *b = lively_books();
    char id[37];
    expect(b->f, 200, "GET", "/accounts/ext:a1", NULL);
    snprintf(id, sizeof id, "%s", text_at(b->f, "accountId"));
    same(b, TARGET("/accounts/%s/statements", id));
    id[0] = id[0] == '0' ? '1' : '0';
    char question[80];
    snprintf(question, sizeof question, "/accounts/%s/balance", id);
    same(b, question);
    refused(b->f, 404, "account_not_found", "GET", TARGET("%s?consistency=eventual", question), NULL);
    same(b, "/accounts/no-name/statements");
    same(b, "/transfers?account=ext:nobody");
    books_free(b);
}

/* --- what only the read model answers ----------------------------------------------------------------------- */

static bool has_member(json_t *transfer, const char *key, const char *value)
{
    json_t *found = json_object_get(json_object_get(transfer, "metadata"), key);
    char *text = found == NULL           ? NULL
                 : json_is_string(found) ? strdup(json_string_value(found))
                                         : json_dumps(found, JSON_ENCODE_ANY);
    bool same_text = text != NULL && strcmp(text, value) == 0;
    free(text);
    return same_text;
}

/* What a record moved in its first posting's currency; 0 if nothing. */
static int64_t amount_of(json_t *transfer, const char **ret_currency)
{
    json_t *postings = json_object_get(transfer, "postings"), *posting;
    size_t i;
    int64_t sum = 0;
    *ret_currency = "";
    json_array_foreach(postings, i, posting)
    {
        const char *currency = json_string_value(json_object_get(posting, "currency"));
        if (i == 0)
            *ret_currency = currency;
        if (strcmp(currency, *ret_currency) == 0)
            sum += json_integer_value(json_object_get(posting, "amount"));
    }
    return sum;
}

struct search {
    const char *query;
    const char *k, *n, *flag, *currency, *reference; /* NULL: whatever */
    int64_t least, most;                             /* most 0: no limit */
    bool nothing;                                    /* there is none, and that is right */
};

static bool is_wanted(const struct search *s, json_t *transfer)
{
    const char *currency, *reference = json_string_value(json_object_get(transfer, "reference"));
    int64_t amount = amount_of(transfer, &currency);
    return (s->k == NULL || has_member(transfer, "k", s->k)) &&
           (s->n == NULL || has_member(transfer, "n", s->n)) &&
           (s->flag == NULL || has_member(transfer, "flag", s->flag)) &&
           (s->currency == NULL || strcmp(currency, s->currency) == 0) &&
           (s->reference == NULL || (reference != NULL && strcmp(reference, s->reference) == 0)) &&
           amount >= s->least && (s->most == 0 || amount <= s->most);
}

/* All that a list has, in pages of 7; to be freed. */
static json_t *gather(struct books *b, const char *query)
{
    json_t *all = json_array();
    char cursor[220] = "";
    do {
        expect(b->f, 200, "GET", TARGET("/transfers?limit=7&%s%s", query, cursor), NULL);
        size_t n = json_array_size(value_at(b->f, "transfers"));
        const char *next = text_at(b->f, "cursor");
        CHECK(query, next == NULL ? n <= 7 : n == 7);
        json_array_extend(all, value_at(b->f, "transfers"));
        snprintf(cursor, sizeof cursor, "%s%s", next ? "&cursor=" : "", next ? next : "");
    } while (*cursor);
    return all;
}

static void test_searches(void **state)
{
    static const struct search searches[] = {
        {"metadata.k=v1", "v1", NULL, NULL, NULL, NULL, 0, 0, false},
        {"metadata.n=2", NULL, "2", NULL, NULL, NULL, 0, 0, false},
        {"metadata.n=2&metadata.k=v0", "v0", "2", NULL, NULL, NULL, 0, 0, false},
        {"metadata.flag=true&metadata.n=0&metadata.k=v2", "v2", "0", "true", NULL, NULL, 0, 0, false},
        {"metadata.k=v9", "v9", NULL, NULL, NULL, NULL, 0, 0, true},
        {"metadata.flag=false", NULL, NULL, "false", NULL, NULL, 0, 0, true},
        {"minAmount=100", NULL, NULL, NULL, NULL, NULL, 100, 0, false},
        {"minAmount=50&maxAmount=60", NULL, NULL, NULL, NULL, NULL, 50, 60, false},
        {"maxAmount=150&minAmount=1&metadata.k=v1", "v1", NULL, NULL, NULL, NULL, 1, 150, false},
        {"currency=EUR", NULL, NULL, NULL, "EUR", NULL, 0, 0, false},
        {"currency=USD&reference=r1", NULL, NULL, NULL, "USD", "r1", 0, 0, false},
        {"currency=XAU", NULL, NULL, NULL, "XAU", NULL, 0, 0, true},
    };
    (void)state;
    struct books *b = lively_books();
    json_t *all = gather(b, "consistency=strong"), *transfer;
    for (size_t i = 0; i < COUNT_OF(searches); i++) {
        json_t *wanted = json_array(), *found = gather(b, searches[i].query);
        size_t k;
        json_array_foreach(all, k, transfer)
        {
            if (is_wanted(&searches[i], transfer))
                json_array_append(wanted, transfer);
        }
        CHECK_INT(searches[i].query, json_array_size(found), json_array_size(wanted));
        CHECK(searches[i].query, json_equal(found, wanted));
        CHECK(searches[i].query, (json_array_size(wanted) > 0) == !searches[i].nothing);
        json_decref(wanted);
        json_decref(found);
    }
    json_decref(all);
    books_free(b);
}

/* A day's figures from the lines of the whole statement. */
static void check_days(struct books *b, const char *account)
{
    expect(b->f, 200, "GET", TARGET("/accounts/%s/statements?consistency=strong&limit=1000", account), NULL);
    assert_null(value_at(b->f, "cursor"));
    json_t *lines = json_incref(value_at(b->f, "lines")), *line;
    size_t n_lines = json_array_size(lines), at = 0, days = 0;
    char cursor[220] = "";
    do {
        expect(b->f, 200, "GET", TARGET("/accounts/%s/activity?limit=3%s", account, cursor), NULL);
        for (size_t i = 0; i < json_array_size(value_at(b->f, "days")); i++, days++) {
            json_t *day = json_array_get(value_at(b->f, "days"), i);
            const char *date = json_string_value(json_object_get(day, "day"));
            int64_t in = 0, out = 0, count = 0, closing = 0;
            for (; at < n_lines; at++, count++) {
                line = json_array_get(lines, at);
                if (strncmp(json_string_value(json_object_get(line, "recordedAt")), date, 10) != 0)
                    break;
                int64_t amount = json_integer_value(json_object_get(line, "amount"));
                *(amount > 0 ? &in : &out) += amount > 0 ? amount : -amount;
                closing = json_integer_value(json_object_get(line, "balance"));
            }
            CHECK(account, count > 0);
            CHECK_INT(date, json_integer_value(json_object_get(day, "in")), in);
            CHECK_INT(date, json_integer_value(json_object_get(day, "out")), out);
            CHECK_INT(date, json_integer_value(json_object_get(day, "count")), count);
            CHECK_INT(date, json_integer_value(json_object_get(day, "closing")), closing);
        }
        snprintf(cursor, sizeof cursor, "&cursor=%s", text_at(b->f, "cursor") ? text_at(b->f, "cursor") : "");
    } while (text_at(b->f, "cursor") != NULL);
    CHECK_INT(account, at, n_lines);
    CHECK(account, n_lines == 0 || days > 1);
    json_decref(lines);
}

static void test_activity(void **state)
{
    (void)state;
    struct books *b = lively_books();
    for (unsigned i = 0; i < NAMED; i++) {
        char account[20];
        snprintf(account, sizeof account, "ext:a%u", i);
        check_days(b, account);
    }
    check_days(b, "@world:EUR");
    expect(b->f, 200, "GET", "/accounts/ext:a2/activity?from=2026-01-05&to=2026-01-06", NULL);
    assert_true(json_array_size(value_at(b->f, "days")) <= 1);
    assert_string_equal(text_at(b->f, "from"), "2026-01-05");
    assert_string_equal(text_at(b->f, "to"), "2026-01-06");
    expect(b->f, 200, "GET", "/accounts/ext:a2/activity?from=2030-01-01", NULL);
    assert_int_equal(json_array_size(value_at(b->f, "days")), 0);
    assert_true(json_is_null(value_at(b->f, "to")));
    expect(b->f, 200, "GET", "/accounts/ext:a2/activity?limit=1", NULL);
    refused(b->f, 400, "invalid_cursor", "GET",
        TARGET("/accounts/ext:a3/activity?limit=1&cursor=%s", text_at(b->f, "cursor")), NULL);
    refused(b->f, 404, "account_not_found", "GET", "/accounts/ext:nobody/activity", NULL);
    books_free(b);
}

static void test_totals(void **state)
{
    (void)state;
    struct books *b = lively_books();
    expect(b->f, 200, "GET", "/accounts?limit=1000", NULL);
    json_t *accounts = json_incref(value_at(b->f, "accounts")), *account;
    static const char *const currencies[] = {"EUR", "USD"};
    for (size_t c = 0; c < COUNT_OF(currencies); c++) {
        size_t i;
        int64_t n = 0, credit = 0, debit = 0;
        json_array_foreach(accounts, i, account)
        {
            if (strcmp(json_string_value(json_object_get(account, "currency")), currencies[c]) != 0)
                continue;
            bool is_credit = strcmp(json_string_value(json_object_get(account, "normalSide")), "credit") == 0;
            expect(b->f, 200, "GET",
                TARGET("/accounts/%s/balance", json_string_value(json_object_get(account, "accountId"))),
                NULL);
            *(is_credit ? &credit : &debit) += number_at(b->f, "balance");
            n++;
        }
        expect(b->f, 200, "GET", "/totals", NULL);
        assert_int_equal(json_array_size(value_at(b->f, "totals")), COUNT_OF(currencies));
        size_t row = strcmp(text_at(b->f, "totals.0.currency"), currencies[c]) == 0 ? 0 : 1;
        char path[40];
#define TOTAL(name) (snprintf(path, sizeof path, "totals.%zu." name, row), number_at(b->f, path))
        CHECK_INT(currencies[c], TOTAL("accounts"), n);
        CHECK_INT(currencies[c], TOTAL("creditNormal"), credit);
        CHECK_INT(currencies[c], TOTAL("debitNormal"), debit);
        CHECK_INT(currencies[c], credit, debit);
        assert_true(TOTAL("entries") > n && TOTAL("volume") > 0);
    }
    assert_int_equal(number_at(b->f, "asOfSeq"), (int64_t)catalog_head_seq(b->f->catalog, 1));
    json_decref(accounts);
    books_free(b);
}

/* --- behind, and away --------------------------------------------------------------------------------------- */

static struct books *small_books(const struct fixture_options *options)
{
    struct books *b = books_new(options);
    expect(b->f, 201, "POST", "/accounts", "{\"currency\":\"USD\",\"externalId\":\"a\"}");
    expect(b->f, 201, "POST", "/accounts", "{\"currency\":\"USD\",\"externalId\":\"b\"}");
    transfer(b->f, "ext:a", "ext:b", 5);
    return b;
}

static void test_behind(void **state)
{
    (void)state;
    struct books *b = small_books(&(struct fixture_options){.readers = 0});
    struct fixture *f = b->f;
    project(b);
    expect(f, 201, "POST", "/accounts", "{\"currency\":\"USD\",\"externalId\":\"c\"}");
    transfer(f, "ext:a", "ext:b", 7); /* seq 5 */
    expect(f, 200, "GET", "/accounts/ext:b/balance", NULL);
    assert_int_equal(number_at(f, "balance"), 12);
    assert_int_equal(number_at(f, "asOfSeq"), 5);
    expect(f, 200, "GET", "/accounts/ext:b/balance?consistency=eventual", NULL);
    assert_int_equal(number_at(f, "balance"), 5);
    assert_int_equal(number_at(f, "asOfSeq"), 3);
    char as_of[INSTANT_TEXT_LEN + 1];
    snprintf(as_of, sizeof as_of, "%s", text_at(f, "asOf"));
    expect(f, 200, "GET", "/transfers", NULL);
    assert_int_equal(json_array_size(value_at(f, "transfers")), 1);
    assert_string_equal(text_at(f, "transfers.0.recordedAt"), as_of);
    assert_int_equal(number_at(f, "asOfSeq"), 3);
    /* An account that is too new for the read model is not called unknown, unless it was asked by name. */
    expect(f, 200, "GET", "/accounts/ext:c/statements", NULL);
    assert_int_equal(number_at(f, "asOfSeq"), 5);
    expect(f, 200, "GET", "/transfers?account=ext:c", NULL);
    assert_int_equal(number_at(f, "asOfSeq"), 5);
    refused(f, 404, "account_not_found", "GET", "/accounts/ext:c/statements?consistency=eventual", NULL);
    refused(f, 404, "account_not_found", "GET", "/accounts/ext:c/activity", NULL);
    refused(f, 404, "account_not_found", "GET", "/transfers?account=ext:c&minAmount=1", NULL);
    /* Who asks for a seq gets it or nothing. */
    assert_int_equal(call(f, "GET", "/transfers", "Ledger-Min-Seq: 3", NULL), 200);
    assert_int_equal(call(f, "GET", "/transfers", "Ledger-Min-Seq: 4", NULL), 503);
    assert_string_equal(text_at(f, "code"), "not_reached");
    assert_int_equal(call(f, "GET", "/totals", "Ledger-Min-Seq: 5", NULL), 503);
    assert_int_equal(call(f, "GET", "/transfers?consistency=strong", "Ledger-Min-Seq: 5", NULL), 200);
    project(b);
    assert_int_equal(call(f, "GET", "/transfers", "Ledger-Min-Seq: 5", NULL), 200);
    assert_int_equal(number_at(f, "asOfSeq"), 5);
    expect(f, 200, "GET", "/accounts/ext:c/statements?consistency=eventual", NULL);
    books_free(b);
}

/* A page goes on where the one before came from; a cursor of the one is none of the other. */
static void test_cursors_lead_back(void **state)
{
    static const char *const lists[] = {"/transfers?limit=1", "/accounts/ext:b/statements?limit=1"};
    (void)state;
    struct books *b = small_books(&(struct fixture_options){.readers = 0});
    transfer(b->f, "ext:a", "ext:b", 7);
    project(b);
    transfer(b->f, "ext:a", "ext:b", 9); /* seq 5, which the read model does not have */
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        char cursor[200];
        expect(b->f, 200, "GET", TARGET("%s&consistency=strong", lists[i]), NULL);
        snprintf(cursor, sizeof cursor, "%s", text_at(b->f, "cursor"));
        expect(b->f, 200, "GET", TARGET("%s&cursor=%s", lists[i], cursor), NULL);
        assert_int_equal(number_at(b->f, "asOfSeq"), 5);
        refused(b->f, 400, "invalid_cursor", "GET",
            TARGET("%s&cursor=%s&consistency=eventual", lists[i], cursor), NULL);
        expect(b->f, 200, "GET", lists[i], NULL);
        snprintf(cursor, sizeof cursor, "%s", text_at(b->f, "cursor"));
        expect(b->f, 200, "GET", TARGET("%s&cursor=%s", lists[i], cursor), NULL);
        assert_int_equal(number_at(b->f, "asOfSeq"), 4);
        refused(b->f, 400, "invalid_cursor", "GET",
            TARGET("%s&cursor=%s&consistency=strong", lists[i], cursor), NULL);
    }
    books_free(b);
}

static void test_away(void **state)
{
    static const char *const eventual[] = {"/transfers", "/accounts/ext:b/statements", "/totals",
        "/accounts/ext:b/activity", "/accounts/ext:b/balance?consistency=eventual", "/transfers?minAmount=1"};
    static const char *const strong[] = {"/transfers?consistency=strong", "/accounts/ext:b/balance",
        "/accounts/ext:b/statements?consistency=strong", "/accounts/ext:b/statements?axis=effective",
        "/transfers?kind=opening", "/accounts", "/readyz"};
    (void)state;
    struct fixture *f =
        fixture_new(&(struct fixture_options){.readers = 0, .read_url = "sqlite:/nonexistent/read.db"});
    expect(f, 201, "POST", "/accounts", "{\"currency\":\"USD\",\"externalId\":\"a\"}");
    expect(f, 201, "POST", "/accounts", "{\"currency\":\"USD\",\"externalId\":\"b\"}");
    transfer(f, "ext:a", "ext:b", 5);
    for (size_t i = 0; i < COUNT_OF(eventual); i++)
        refused(f, 503, "read_model_unavailable", "GET", eventual[i], NULL);
    for (size_t i = 0; i < COUNT_OF(strong); i++)
        expect(f, 200, "GET", strong[i], NULL);
    fixture_free(f);
}

/* --- waiting ------------------------------------------------------------------------------------------------ */

struct later {
    struct books *b;
    bool tell;      /* as the projector of this process does; else the service finds out for itself */
    bool only_time; /* nothing comes, but time passes */
};

static void *project_later(void *arg)
{
    struct later *later = arg;
    usleep(60000);
    if (later->only_time) {
        later->b->f->clock += QUERY_PATIENCE_US;
        return NULL;
    }
    project(later->b);
    if (later->tell)
        service_projected(later->b->f->service, STR("main"), catalog_head_seq(later->b->f->catalog, 1));
    return NULL;
}

/* Asks while the read model is behind, and something happens a moment later. */
static int ask_meanwhile(struct later *later, const char *question, const char *headers)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, project_later, later), 0);
    int status = call(later->b->f, "GET", question, headers, NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return status;
}

static void test_waiting(void **state)
{
    (void)state;
    struct books *b = small_books(&(struct fixture_options){.readers = 2, .started = true});
    struct fixture *f = b->f;
    struct later later = {.b = b};
    for (int i = 0; i < 2; i++, later.tell = true) {
        transfer(f, "ext:a", "ext:b", 7);
        assert_int_equal(ask_meanwhile(&later, "/transfers", NULL), 200);
        assert_int_equal(number_at(f, "asOfSeq"), 4 + i); /* what was written was read */
    }
    transfer(f, "ext:a", "ext:b", 7); /* seq 6 */
    later.only_time = true;
    assert_int_equal(ask_meanwhile(&later, "/transfers", NULL), 200);
    assert_int_equal(number_at(f, "asOfSeq"), 5); /* patience has an end */
    f->clock += MICROS_PER_SECOND;
    later.only_time = false;
    assert_int_equal(ask_meanwhile(&later, "/totals", "Ledger-Min-Seq: 6"), 200);
    assert_int_equal(number_at(f, "asOfSeq"), 6);
    /* What is there counts, not what somebody said of it. */
    transfer(f, "ext:a", "ext:b", 7);
    service_projected(f->service, STR("main"), 7);
    assert_int_equal(call(f, "GET", "/transfers", "Ledger-Min-Seq: 7", NULL), 503);
    assert_string_equal(text_at(f, "code"), "not_reached");
    assert_int_equal(call(f, "GET", "/transfers", NULL, NULL), 200);
    assert_int_equal(number_at(f, "asOfSeq"), 6);
    books_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_say_the_same),
        cmocka_unit_test(test_accounts_by_id),
        cmocka_unit_test(test_searches),
        cmocka_unit_test(test_activity),
        cmocka_unit_test(test_totals),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_cursors_lead_back),
        cmocka_unit_test(test_away),
        cmocka_unit_test(test_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
