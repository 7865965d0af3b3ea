/*
 * The read model's answers against the journal's: the same books, the same balances, statements page by page, transfers by
 * every filter. Over the database that CREDITLEDGER_TEST_BACKEND names; the journal is in memory.
 */
#include "readmodel/query.h"

#include "base/check.h"
#include "base/instant.h"
#include "readmodel/readmodel_fixture.h"

#define URL_SIZE 512
#define RECORDS 300

static char url[URL_SIZE];
static struct journal *journal;
static struct books books;
static struct reading *reading;
static uint64_t seq;
static bool cutting; /* whether an erasure is here yet is not asked */

static void good(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, err->message);
}

static void begin(void)
{
    struct err err = {0};
    int64_t recorded_at;
    good(query_begin(reading, STR("main"), &seq, &recorded_at, &err), &err);
    if (seq > 0)
        CHECK_INT("recorded_at", recorded_at, books.records[seq - 1]->recorded_at);
}

static struct account in_journal(uint64_t number, struct arena *arena)
{
    struct err err = {0};
    struct account_want want = {.ledger = 1, .number = number};
    good(journal->ops->accounts_fetch(journal, &want, 1, arena, &err), &err);
    assert_true(want.found);
    return want.account;
}

static void same_amounts(const char *name, struct amounts a, struct amounts b)
{
    CHECK_INT(name, a.posted, b.posted);
    CHECK_INT(name, a.incoming, b.incoming);
    CHECK_INT(name, a.outgoing, b.outgoing);
}

static void same_floor(const char *name, struct floor a, struct floor b)
{
    CHECK_INT(name, a.present, b.present);
    CHECK_INT(name, a.minor, b.minor);
}

static void test_accounts(void **state)
{
    (void)state;
    struct arena arena;
    struct err err = {0};
    arena_init(&arena, 0);
    begin();
    CHECK_INT("all of it", seq, books.n_records);
    for (uint64_t number = 1; number <= books.f.state.n_accounts; number++) {
        struct account want = in_journal(number, &arena);
        struct query_account got, by_external;
        good(query_account(reading, &want.id, STR_NONE, &arena, &got, &err), &err);
        const struct account *a = &got.account;
        CHECK("id", uuid_eq(a->id, want.id));
        CHECK_INT("number", a->number, number);
        CHECK_STR("currency", str_of(query_asset(reading, a->asset)->code),
            str_of(books.f.assets[want.asset - 1].code));
        CHECK_INT("scale", query_asset(reading, a->asset)->scale, books.f.assets[want.asset - 1].scale);
        CHECK_INT("type", a->type, want.type);
        CHECK_STR("external id", a->external_id, want.external_id);
        CHECK_INT("opened", a->opened_seq, want.opened_seq);
        CHECK_INT("revision", a->revision, want.revision);
        CHECK_INT("status", a->status, want.status);
        same_floor("floor", a->floor, want.floor);
        CHECK_INT("version", a->version, want.version);
        CHECK_INT("seq", a->seq, want.seq);
        same_amounts("balance", a->balance, want.balance);
        if (want.external_id.data == NULL)
            continue;
        good(query_account(reading, NULL, want.external_id, &arena, &by_external, &err), &err);
        CHECK_INT("by external id", by_external.account.number, number);
        struct uuid other = want.id;
        other.bytes[0] ^= 1;
        CHECK_INT("another id", query_account(reading, &other, STR_NONE, &arena, &got, &err), ERR_NOT_FOUND);
    }
    struct query_account got;
    CHECK_INT("none", query_account(reading, NULL, STR("nobody"), &arena, &got, &err), ERR_NOT_FOUND);
    query_end(reading);
    arena_fini(&arena);
}

static void same_line(const struct history_line *got, const struct history_line *want)
{
    CHECK_INT("seq", got->seq, want->seq);
    CHECK_INT("leg", got->entry.leg, want->entry.leg);
    CHECK_INT("version", got->entry.version, want->entry.version);
    CHECK_INT("side", got->entry.side, want->entry.side);
    CHECK_INT("revision", got->entry.revision, want->entry.revision);
    CHECK_INT("backdated", got->entry.backdated, want->entry.backdated);
    same_floor("floor", got->entry.floor, want->entry.floor);
    same_amounts("change", got->entry.change, want->entry.change);
    same_amounts("after", got->entry.after, want->entry.after);
    same_amounts("running", got->running, want->running);
    CHECK_INT("effective", got->effective_at, want->effective_at);
    CHECK_INT("recorded", got->recorded_at, want->recorded_at);
}

static void same_line_record(const struct query_statement *q, size_t i)
{
    const struct record *want = books.records[q->statement.lines[i].seq - 1], *got = q->records[i];
    const struct entry *other = event_counterparty(want, q->statement.lines[i].entry.leg);
    CHECK("id", uuid_eq(got->id, want->id));
    CHECK_INT("kind", got->kind, want->kind);
    CHECK_STR("reference", got->reference, want->reference);
    CHECK_INT("counterparty", q->has_counterparty[i], other != NULL);
    if (other != NULL)
        CHECK("counterparty", uuid_eq(q->counterparties[i], other->account_id));
}

/* All pages of one statement. */
static void same_statement(uint64_t number, int64_t from, int64_t to, size_t limit, struct arena *arena)
{
    struct err err = {0};
    struct account account = in_journal(number, arena);
    struct query_account mine;
    struct history_position position = {.started = false};
    good(query_account(reading, &account.id, STR_NONE, arena, &mine, &err), &err);
    for (bool more = true; more;) {
        struct history_statement want;
        struct query_statement got;
        good(history_statement(
                 journal, &account, AXIS_RECORDED, from, to, NULL, &position, limit, arena, &want, &err),
            &err);
        good(query_statement(reading, &mine.account, from, to, &position, limit, arena, &got, &err), &err);
        same_amounts("opening", got.statement.opening, want.opening);
        same_amounts("closing", got.statement.closing, want.closing);
        CHECK_INT("lines", got.statement.n_lines, want.n_lines);
        CHECK_INT("more", got.statement.more, want.more);
        for (size_t i = 0; i < want.n_lines; i++) {
            same_line(&got.statement.lines[i], &want.lines[i]);
            same_line_record(&got, i);
        }
        more = want.more && limit > 0;
        if (want.more) {
            CHECK_INT("instant", got.statement.next.instant, want.next.instant);
            CHECK_INT("version", got.statement.next.version, want.next.version);
            CHECK_INT("known", got.statement.next.known_version, want.next.known_version);
            same_amounts("running", got.statement.next.running, want.next.running);
        }
        position = want.next;
    }
}

static void test_statements(void **state)
{
    (void)state;
    struct arena arena;
    uint64_t random = 17;
    int64_t first = books.records[0]->recorded_at,
            span = books.records[books.n_records - 1]->recorded_at - first;
    arena_init(&arena, 0);
    begin();
    for (size_t i = 0; i < 200; i++) {
        uint64_t number = 1 + check_below(&random, books.f.state.n_accounts);
        int64_t from = first + (int64_t)check_below(&random, (uint64_t)span);
        int64_t to = from + (int64_t)check_below(&random, (uint64_t)span) - 1000000;
        if (i % 3 == 0)
            from = INSTANT_MIN;
        if (i % 4 == 0)
            to = INSTANT_MAX;
        same_statement(number, from, to, (size_t)check_below(&random, 9), &arena);
        arena_reset(&arena);
    }
    query_end(reading);
    arena_fini(&arena);
}

/* ---- transfers ---- */

static bool has_account(const struct record *r, uint64_t number)
{
    for (size_t i = 0; i < r->n_entries; i++)
        if (r->entries[i].account == number)
            return true;
    return false;
}

static const struct fact_transfer *transfer_of(const struct record *r)
{
    size_t i = 0;
    while (books.facts[i].seq != r->seq)
        i++;
    return &books.facts[i].transfer;
}

static bool has_member(const struct record *r, struct str key, struct str value)
{
    char text[64];
    struct str m = transfer_of(r)->metadata;
    bool bare = !str_eq_c(key, "order");
    snprintf(text, sizeof text, bare ? "\"" STR_FMT "\":" STR_FMT : "\"" STR_FMT "\":\"" STR_FMT "\"",
        STR_ARG(key), STR_ARG(value));
    return !books.erased[r->seq - 1] && m.data != NULL && memmem(m.data, m.len, text, strlen(text)) != NULL;
}

static bool wanted(const struct query_filter *f, const struct record *r)
{
    if (r->kind != RECORD_TRANSFER && r->kind != RECORD_REVERSAL && r->kind != RECORD_DECLINED)
        return false;
    const struct fact_transfer *t = transfer_of(r);
    bool ok = (!f->has_account || has_account(r, f->account)) && (!f->has_kind || r->kind == f->kind) &&
              (!f->has_from || r->recorded_at >= f->from) && (!f->has_to || r->recorded_at < f->to) &&
              (!f->has_least || (t->amount > 0 && t->amount >= f->least)) &&
              (!f->has_most || (t->amount > 0 && t->amount <= f->most)) &&
              (f->currency.data == NULL || str_eq(t->currency, f->currency)) &&
              (f->reference.data == NULL || str_eq(r->reference, f->reference)) &&
              (f->before_seq == 0 || r->seq < f->before_seq);
    for (size_t i = 0; i < f->n_metadata; i++)
        ok = ok && has_member(r, f->metadata[i].key, f->metadata[i].value);
    return ok;
}

static void same_entries(const struct record *got, const struct record *want)
{
    CHECK_INT("entries", got->n_entries, want->n_entries);
    for (size_t i = 0; i < want->n_entries; i++) {
        const struct entry *g = &got->entries[i], *w = &want->entries[i];
        CHECK_INT("leg", g->leg, w->leg);
        CHECK_INT("account", g->account, w->account);
        CHECK("account's id", uuid_eq(g->account_id, w->account_id));
        CHECK_INT("version", g->version, w->version);
        CHECK_INT("side", g->side, w->side);
        CHECK_INT("revision", g->revision, w->revision);
        same_floor("floor", g->floor, w->floor);
        same_amounts("change", g->change, w->change);
        same_amounts("after", g->after, w->after);
        CHECK_STR("currency", str_of(query_asset(reading, g->asset)->code),
            str_of(books.f.assets[w->asset - 1].code));
    }
}

static void same_transfer(const struct query_transfer *t, const struct record *want)
{
    const struct record *got = t->record;
    CHECK_INT("seq", got->seq, want->seq);
    CHECK("id", uuid_eq(got->id, want->id));
    CHECK_INT("kind", got->kind, want->kind);
    CHECK_STR("key", got->idempotency_key, want->idempotency_key);
    CHECK_STR("reference", got->reference, want->reference);
    CHECK_STR("actor", got->actor, want->actor);
    CHECK_INT("refusal", got->refusal, want->refusal);
    CHECK_INT("declined", got->declined_amount, want->declined_amount);
    CHECK_INT("effective", got->effective_at, want->effective_at);
    CHECK_INT("recorded", got->recorded_at, want->recorded_at);
    CHECK_INT("trace", got->has_trace, want->has_trace);
    CHECK_INT("trace", memcmp(got->trace_id, want->trace_id, TRACE_ID_LEN), 0);
    CHECK_INT("related", t->has_related, want->related_seq != 0);
    if (t->has_related)
        CHECK("related", uuid_eq(t->related, books.records[want->related_seq - 1]->id));
    bool none = str_eq_c(transfer_of(want)->metadata, "{}");
    if (books.erased[want->seq - 1])
        CHECK("erased", cutting || (got->text.present && !got->text.readable));
    else if (none)
        CHECK("no text", !got->text.present);
    else
        CHECK_STR("text", got->text.body, want->text.body);
    same_entries(got, want);
}

/* All pages of one search. */
static void same_search(struct query_filter *f, size_t limit, struct arena *arena)
{
    struct err err = {0};
    uint64_t at = f->before_seq != 0 && f->before_seq <= seq ? f->before_seq - 1 : seq;
    for (size_t n = limit; n == limit;) {
        struct query_transfer *transfers;
        good(query_transfers(reading, f, limit, arena, &transfers, &n, &err), &err);
        CHECK("no more than asked for", n <= limit);
        for (size_t i = 0; i < n; i++, at--) {
            while (at > 0 && !wanted(f, books.records[at - 1]))
                at--;
            CHECK("there is one", at > 0);
            same_transfer(&transfers[i], books.records[at - 1]);
            f->before_seq = at;
        }
    }
    while (at > 0 && !wanted(f, books.records[at - 1]))
        at--;
    CHECK_INT("none was left out", at, 0);
}

static struct query_filter some_filter(uint64_t *random)
{
    static const struct {
        const char *key, *value;
    } members[] = {
        {"order", "7"}, {"order", "8"}, {"n", "12"}, {"vip", "true"}, {"rate", "0.1"}, {"n", "13"}};
    struct query_filter f = {.has_account = check_below(random, 3) == 0,
        .has_kind = check_below(random, 5) == 0,
        .has_from = check_below(random, 4) == 0,
        .has_to = check_below(random, 4) == 0,
        .has_least = check_below(random, 4) == 0,
        .has_most = check_below(random, 4) == 0};
    f.account = 1 + check_below(random, books.f.state.n_accounts + 1);
    f.kind = check_below(random, 2) ? RECORD_TRANSFER : RECORD_DECLINED;
    f.from = books.records[check_below(random, books.n_records)]->recorded_at;
    f.to = books.records[check_below(random, books.n_records)]->recorded_at;
    f.least = (int64_t)check_below(random, 800);
    f.most = f.has_least && check_below(random, 3) == 0 ? f.least : (int64_t)check_below(random, 1200);
    if (check_below(random, 3) == 0)
        f.reference = check_below(random, 2) ? STR("inv-1") : STR("inv-3");
    if (check_below(random, 4) == 0)
        f.currency = check_below(random, 2) ? STR("USD") : STR("CREDITS");
    if (check_below(random, 4) == 0)
        f.before_seq = 1 + check_below(random, books.n_records + 50);
    for (size_t n = check_below(random, 3) == 0 ? 1 + check_below(random, 2) : 0; n > 0; n--) {
        size_t i = check_below(random, COUNT_OF(members));
        f.metadata[f.n_metadata].key = str_of(members[i].key);
        f.metadata[f.n_metadata++].value = str_of(members[i].value);
    }
    return f;
}

static void test_transfers(void **state)
{
    (void)state;
    struct arena arena;
    uint64_t random = 3;
    arena_init(&arena, 0);
    begin();
    struct query_filter all = {.has_account = false};
    same_search(&all, 7, &arena);
    for (size_t i = 0; i < 400; i++) {
        struct query_filter f = some_filter(&random);
        same_search(&f, 1 + check_below(&random, 20), &arena);
        arena_reset(&arena);
    }
    query_end(reading);
    arena_fini(&arena);
}

static void test_sums(void **state)
{
    (void)state;
    struct arena arena;
    struct err err = {0};
    struct query_total *totals;
    size_t n;
    arena_init(&arena, 0);
    begin();
    good(query_totals(reading, &arena, &totals, &n, &err), &err);
    CHECK_INT("two", n, 2);
    CHECK_STR("in order", totals[0].currency, STR("CREDITS"));
    CHECK_INT("scale", totals[1].scale, 2);
    CHECK("balanced", totals[1].credit_normal == totals[1].debit_normal);
    CHECK_INT("accounts", totals[0].accounts + totals[1].accounts, books.f.state.n_accounts);
    for (uint64_t number = 1; number <= books.f.state.n_accounts; number++) {
        struct account want = in_journal(number, &arena);
        struct query_account mine;
        struct query_day *days;
        int side = account_type_side(want.type);
        good(query_account(reading, &want.id, STR_NONE, &arena, &mine, &err), &err);
        good(query_activity(reading, &mine.account, 0, 100000, 1000, &arena, &days, &n, &err), &err);
        amount_sum sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += days[i].in - days[i].out;
            CHECK("closing", days[i].closing == (int64_t)sum);
            CHECK("moved", days[i].count > 0 && (i == 0 || days[i].day > days[i - 1].day));
        }
        CHECK_INT("balance", sum, amounts_balance(want.balance, side));
        if (n < 2)
            continue;
        int64_t second = days[1].day;
        good(query_activity(reading, &mine.account, second, second, 5, &arena, &days, &n, &err), &err);
        CHECK_INT("one day", n, 1);
        CHECK_INT("that day", days[0].day, second);
    }
    query_end(reading);
    arena_fini(&arena);
}

/* In the middle of things: what is here of later records shows in no balance, statement or search. */
static void test_cut(void **state)
{
    (void)state;
    struct err err = {0};
    struct arena arena;
    struct readmodel *m;
    struct readmodel_applied applied;
    size_t n;
    uint32_t id, live;
    uint64_t random = 9;
    struct fact *facts = books_scatter(&books, 6, false, 77, &n);
    cutting = true;
    begin();
    live = readmodel_generation(*state);
    query_end(reading);
    arena_init(&arena, 0);
    good(generation_new(url, "kafka", &id, &err), &err);
    good(readmodel_open(url, &(struct readmodel_options){.write = true, .building = id}, &m, &err), &err);
    good(generation_switch(url, id, live, &err), &err);
    for (size_t at = 0; at < n; at += 25) {
        good(readmodel_apply(m, facts + at, n - at < 25 ? n - at : 25, NULL, 0, &applied, &err), &err);
        begin();
        for (uint64_t number = 1; number <= books.f.state.n_accounts; number++) {
            struct account want = in_journal(number, &arena);
            struct query_account got;
            uint64_t version;
            struct entry entry;
            uint64_t entry_seq;
            int rc = query_account(reading, &want.id, STR_NONE, &arena, &got, &err);
            CHECK_INT("there", rc, want.opened_seq <= seq ? 0 : ERR_NOT_FOUND);
            if (rc != 0)
                continue;
            good(history_version_at(journal, &want, seq, &version, &err), &err);
            CHECK_INT("version", got.account.version, version);
            good(journal->ops->entry(journal, 1, number, version, &entry, &entry_seq, &err), &err);
            same_amounts("balance", got.account.balance, entry.after);
            CHECK_INT("seq", got.seq, entry_seq);
        }
        struct query_filter f = {.has_account = true, .account = 1 + check_below(&random, 4)};
        same_search(&f, 10, &arena);
        query_end(reading);
        arena_reset(&arena);
    }
    cutting = false;
    CHECK_INT("to the end", seq, books.n_records);
    readmodel_close(m);
    arena_fini(&arena);
    free(facts);
}

static void test_away(void **state)
{
    (void)state;
    struct err err = {0};
    char other[URL_SIZE];
    uint64_t at;
    int64_t recorded_at;
    struct arena arena;
    struct query_account got;
    struct readmodel *m;
    if (!place_make(other, sizeof other))
        return;
    struct reading *r = reading_new(other, false);
    CHECK_INT("away", query_begin(r, STR("main"), &at, &recorded_at, &err), ERR_NOT_FOUND);
    good(readmodel_open(other, &(struct readmodel_options){.write = true, .create = true}, &m, &err), &err);
    good(query_begin(r, STR("main"), &at, &recorded_at, &err), &err);
    CHECK_INT("empty", at, 0);
    arena_init(&arena, 0);
    CHECK_INT("nobody", query_account(r, NULL, STR("x"), &arena, &got, &err), ERR_NOT_FOUND);
    arena_fini(&arena);
    reading_free(r);
    readmodel_close(m);
    place_drop(other);
}

int main(void)
{
    struct err err = {0};
    struct readmodel *m;
    struct readmodel_applied applied;
    const struct journal_options options = {
        .mode = JOURNAL_WRITE, .create = true, .now = INT64_C(1700000000000000)};
    if (!place_make(url, sizeof url))
        return 0;
    INVARIANT(journal_open("memory:query_test", &options, &journal, &err) == 0);
    books_make(&books, journal, "main", RECORDS, 14);
    INVARIANT(readmodel_open(url, &(struct readmodel_options){.write = true, .create = true}, &m, &err) == 0);
    INVARIANT_F(
        readmodel_apply(m, books.facts, books.n_facts, NULL, 0, &applied, &err) == 0, "%s", err.message);
    reading = reading_new(url, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_statements),
        cmocka_unit_test(test_transfers),
        cmocka_unit_test(test_sums),
        cmocka_unit_test_prestate(test_cut, m),
        cmocka_unit_test(test_away),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    reading_free(reading);
    readmodel_close(m);
    books_free(&books);
    journal_close(journal);
    place_drop(url);
    return failed;
}
