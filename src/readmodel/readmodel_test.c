/*
 * The read model against a naive one: whatever order, repetition and failure the facts come in, the tables are in the end
 * what the records say. Over the database that CREDITLEDGER_TEST_BACKEND names.
 */
#include "readmodel/readmodel.h"

#include "base/check.h"
#include "base/instant.h"
#include "readmodel/numbers.h"
#include "readmodel/projection.h"
#include "readmodel/readmodel_fixture.h"

#define URL_SIZE 512
#define ACCOUNTS_MAX 512

static char url[URL_SIZE];

static void good(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, err->message);
}

static struct readmodel *opened(size_t heads)
{
    struct err err = {0};
    struct readmodel *m = NULL;
    good(readmodel_open(
             url, &(struct readmodel_options){.write = true, .create = true, .heads = heads}, &m, &err),
        &err);
    return m;
}

/* Every test starts with nothing. */
static struct readmodel *fresh(size_t heads)
{
    struct err err = {0};
    uint32_t id, live;
    struct readmodel *m = opened(heads);
    live = readmodel_generation(m);
    readmodel_close(m);
    good(generation_new(url, "journal", &id, &err), &err);
    good(generation_switch(url, id, live, &err), &err);
    good(generation_drop(url, live, &err), &err);
    return opened(heads);
}

/* ---- the tables, and what they should be, as text ---- */

static void put_nullable(struct strbuf *b, struct str s)
{
    if (s.data == NULL)
        strbuf_c(b, "-");
    else
        strbuf_str(b, s);
}

static void put_row(struct strbuf *b, const struct db_result *result, size_t row)
{
    for (size_t i = 0; i < result->n_columns; i++) {
        const struct db_value *v = db_at(result, row, i);
        strbuf_char(b, ' ');
        if (v->type == DB_INT)
            strbuf_int(b, v->integer);
        else if (v->type == DB_BYTES)
            strbuf_hex(b, (const uint8_t *)v->bytes.data, v->bytes.len);
        else
            put_nullable(b, v->type == DB_TEXT ? v->bytes : STR_NONE);
    }
    strbuf_char(b, '\n');
}

static const struct db_statement dumps[] = {
    {"dump_ledger", "SELECT 'ledger', name, seq, most_seq, recorded_at FROM @ledger ORDER BY name"},
    {"dump_head", "SELECT 'head', account, (SELECT code FROM @asset a WHERE a.id = h.asset), side, version, "
                  "seq, posted,"
                  " revision, floor FROM @head h ORDER BY ledger, account"},
    {"dump_account", "SELECT 'account', number, id, (SELECT code FROM @asset a WHERE a.id = c.asset), type,"
                     " external_id, opened_seq, opened_at, revision, status, floor, text_seq, name, metadata"
                     " FROM @account c ORDER BY ledger, number"},
    {"dump_line",
        "SELECT 'line', seq, leg, account, version, kind, record, change, posted, revision, counterparty,"
        " reference, effective_at, recorded_at FROM @line ORDER BY ledger, seq, leg"},
    {"dump_transfer",
        "SELECT 'transfer', seq, kind, record, idempotency_key, reference, refusal, declined_amount, "
        "effective_at,"
        " recorded_at, actor, trace, metadata, currency, amount FROM @transfer ORDER BY ledger, seq"},
    {"dump_metadata",
        "SELECT 'metadata', seq, name, value FROM @transfer_metadata ORDER BY ledger, seq, name"},
    {"dump_day",
        "SELECT 'day', account, day, in_billions * 1000000000 + in_rest,"
        " out_billions * 1000000000 + out_rest, entries, closing FROM @day ORDER BY ledger, account, day"},
    {"dump_total",
        "SELECT 'total', (SELECT code FROM @asset a WHERE a.id = t.asset) AS code, accounts, entries,"
        " volume, credit_normal, debit_normal FROM @total t ORDER BY code"},
    {"dump_incomplete", "SELECT 'incomplete', COUNT(*) FROM @incomplete"},
    {"dump_parked", "SELECT 'parked', COUNT(*) FROM @parked"},
};

static void dump(struct readmodel *m, struct strbuf *b)
{
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(dumps); i++) {
        struct db_result result;
        struct err err = {0};
        good(db_run(readmodel_db(m), &dumps[i], DB_NO_VALUES, &arena, &result, &err), &err);
        for (size_t row = 0; row < result.n_rows; row++)
            put_row(b, &result, row);
    }
    arena_fini(&arena);
}

static void put_uuid(struct strbuf *b, struct uuid id)
{
    strbuf_char(b, ' ');
    strbuf_hex(b, id.bytes, sizeof id.bytes);
}

static void put_str(struct strbuf *b, struct str s)
{
    strbuf_char(b, ' ');
    put_nullable(b, s);
}

static void put_floor(struct strbuf *b, struct floor floor)
{
    if (floor.present)
        strbuf_printf(b, " %lld", (long long)floor.minor);
    else
        strbuf_c(b, " -");
}

#define U(x) (unsigned long long)(x)
#define I(x) (long long)(x)

static const struct fact *fact_at(const struct books *b, uint64_t seq)
{
    size_t i = 0;
    while (b->facts[i].seq != seq)
        i++;
    return &b->facts[i];
}

static void naive_accounts(const struct books *b, struct strbuf *out)
{
    for (uint64_t number = 1; number <= b->f.state.n_accounts; number++) {
        const struct account *a = &b->f.state.accounts[number - 1];
        strbuf_printf(out, " head %llu %s %d %llu %llu %lld %u", U(number), b->f.assets[a->asset - 1].code,
            account_type_side(a->type), U(a->version), U(a->seq), I(a->balance.posted), a->revision);
        put_floor(out, a->floor);
        strbuf_char(out, '\n');
    }
    for (uint64_t number = 1; number <= b->f.state.n_accounts; number++) {
        const struct account *a = &b->f.state.accounts[number - 1];
        uint64_t text_seq = a->text_seq != 0 ? a->text_seq : a->opened_seq;
        const struct fact_account *text = &fact_at(b, text_seq)->account;
        strbuf_printf(out, " account %llu", U(number));
        put_uuid(out, a->id);
        strbuf_printf(out, " %s %d", b->f.assets[a->asset - 1].code, (int)a->type);
        put_str(out, a->external_id);
        strbuf_printf(out, " %llu %lld %u %d", U(a->opened_seq),
            I(b->records[a->opened_seq - 1]->recorded_at), a->revision, (int)a->status);
        put_floor(out, a->floor);
        strbuf_printf(out, " %llu", U(text_seq));
        put_str(out, b->erased[text_seq - 1] ? STR_NONE : text->name);
        put_str(out, b->erased[text_seq - 1] ? STR_NONE : text->metadata);
        strbuf_char(out, '\n');
    }
}

static void naive_lines(const struct books *b, struct strbuf *out)
{
    for (size_t i = 0; i < b->n_facts; i++) {
        const struct fact *f = &b->facts[i];
        const struct fact_entry *e = &f->entry;
        if (f->kind != FACT_ENTRY)
            continue;
        strbuf_printf(out, " line %llu %u %llu %llu %d", U(f->seq), e->leg, U(uuid_counter(e->account)),
            U(e->version), (int)f->record_kind);
        put_uuid(out, f->record);
        strbuf_printf(out, " %lld %lld %u", I(e->change.posted), I(e->after.posted), e->revision);
        if (e->has_counterparty)
            put_uuid(out, e->counterparty);
        else
            strbuf_c(out, " -");
        put_str(out, f->reference);
        strbuf_printf(out, " %lld %lld\n", I(f->effective_at), I(f->recorded_at));
    }
}

static void naive_transfers(const struct books *b, struct strbuf *out)
{
    for (size_t i = 0; i < b->n_facts; i++) {
        const struct fact *f = &b->facts[i];
        const struct fact_transfer *t = &f->transfer;
        if (f->kind != FACT_TRANSFER)
            continue;
        strbuf_printf(out, " transfer %llu %d", U(f->seq), (int)f->record_kind);
        put_uuid(out, f->record);
        put_str(out, t->idempotency_key);
        put_str(out, f->reference);
        put_str(out, t->refusal);
        strbuf_printf(out, " %lld %lld %lld", I(t->declined_amount), I(f->effective_at), I(f->recorded_at));
        put_str(out, t->actor);
        strbuf_char(out, ' ');
        if (t->has_trace)
            strbuf_hex(out, t->trace_id, TRACE_ID_LEN);
        else
            strbuf_char(out, '-');
        put_str(out, b->erased[f->seq - 1] ? STR_NONE : t->metadata);
        put_str(out, t->currency);
        strbuf_printf(out, " %lld\n", I(t->amount));
    }
}

/* The fixture's texts have these members. */
static void naive_metadata(const struct books *b, struct strbuf *out)
{
    for (size_t i = 0; i < b->n_facts; i++) {
        const struct fact *f = &b->facts[i];
        if (f->kind != FACT_TRANSFER || b->erased[f->seq - 1])
            continue;
        struct str m = f->transfer.metadata;
        if (memmem(m.data, m.len, "\"7\"", 3) != NULL)
            strbuf_printf(out, " metadata %llu n 12\n metadata %llu order 7\n metadata %llu vip true\n",
                U(f->seq), U(f->seq), U(f->seq));
        else if (memmem(m.data, m.len, "\"8\"", 3) != NULL)
            strbuf_printf(out, " metadata %llu order 8\n metadata %llu rate 0.1\n", U(f->seq), U(f->seq));
    }
}

static void naive_days(const struct books *b, struct strbuf *out)
{
    for (uint64_t number = 1; number <= b->f.state.n_accounts; number++) {
        int64_t day = -1, in = 0, out_sum = 0, closing = 0;
        uint64_t n = 0;
        for (size_t i = 0; i <= b->n_facts; i++) {
            const struct fact *f = i < b->n_facts ? &b->facts[i] : NULL;
            const struct fact_entry *e = f != NULL ? &f->entry : NULL;
            if (f != NULL &&
                (f->kind != FACT_ENTRY || uuid_counter(e->account) != number || e->change.posted == 0))
                continue;
            if (n > 0 && (f == NULL || f->recorded_at / MICROS_PER_DAY != day)) {
                strbuf_printf(out, " day %llu %lld %lld %lld %llu %lld\n", U(number), I(day), I(in),
                    I(out_sum), U(n), I(closing));
                n = 0;
                in = out_sum = 0;
            }
            if (f == NULL)
                break;
            day = f->recorded_at / MICROS_PER_DAY;
            int64_t change = e->change.posted * e->side;
            in += change > 0 ? change : 0;
            out_sum -= change < 0 ? change : 0;
            closing = e->after.posted * e->side;
            n++;
        }
    }
}

static void naive_totals(const struct books *b, struct strbuf *out)
{
    static const char *const codes[] = {"CREDITS", "USD"};
    for (size_t c = 0; c < COUNT_OF(codes); c++) {
        int64_t accounts = 0, entries = 0, volume = 0, credit = 0, debit = 0;
        for (size_t i = 0; i < b->n_facts; i++) {
            const struct fact_entry *e = &b->facts[i].entry;
            if (b->facts[i].kind != FACT_ENTRY || !str_eq_c(e->currency, codes[c]))
                continue;
            accounts += e->version == 1;
            entries++;
            volume += e->change.posted > 0 ? e->change.posted : 0;
            *(e->side > 0 ? &credit : &debit) += e->change.posted * e->side;
        }
        assert_int_equal(credit, debit);
        strbuf_printf(out, " total %s %lld %lld %lld %lld %lld\n", codes[c], I(accounts), I(entries),
            I(volume), I(credit), I(debit));
    }
}

static void naive(const struct books *b, struct strbuf *out)
{
    strbuf_printf(out, " ledger %s %zu %zu %lld\n", b->f.row.name, b->n_records, b->n_records,
        I(b->records[b->n_records - 1]->recorded_at));
    naive_accounts(b, out);
    naive_lines(b, out);
    naive_transfers(b, out);
    naive_metadata(b, out);
    naive_days(b, out);
    naive_totals(b, out);
    strbuf_c(out, " incomplete 0\n parked 0\n");
}

static void check_naive(const char *name, struct readmodel *m, const struct books *b)
{
    struct strbuf got, want;
    strbuf_init(&got);
    strbuf_init(&want);
    dump(m, &got);
    naive(b, &want);
    struct str g = strbuf_view(&got), w = strbuf_view(&want), gl, wl;
    while (str_split(&w, '\n', &wl)) {
        if (!str_split(&g, '\n', &gl))
            gl = STR("(nothing)");
        CHECK_STR(name, gl, wl);
    }
    CHECK_INT(name, g.len, 0);
    strbuf_fini(&got);
    strbuf_fini(&want);
}

/* ---- tests ---- */

/* All facts, in batches of at most `most`; the writer is closed and opened again now and then. */
static struct readmodel *apply_all(
    struct readmodel *m, const struct fact *facts, size_t n, size_t most, uint64_t *random, size_t heads)
{
    for (size_t at = 0; at < n;) {
        struct readmodel_applied applied;
        struct err err = {0};
        size_t batch = 1 + check_below(random, most);
        batch = batch > n - at ? n - at : batch;
        good(readmodel_apply(m, facts + at, batch, NULL, 0, &applied, &err), &err);
        CHECK_INT("no gap", applied.gap, false);
        CHECK_INT("all taken", applied.taken, batch);
        at += batch;
        if (check_below(random, 10) == 0) {
            readmodel_close(m);
            m = opened(heads);
        }
    }
    return m;
}

static void test_in_order(void **state)
{
    (void)state;
    struct books b;
    uint64_t random = 11;
    books_make(&b, NULL, "main", 400, 5);
    struct readmodel *m = fresh(0);
    m = apply_all(m, b.facts, b.n_facts, 100, &random, 0);
    check_naive("in order", m, &b);
    m = apply_all(m, b.facts, b.n_facts, 100, &random, 0);
    check_naive("again", m, &b);
    readmodel_close(m);
    books_free(&b);
}

static void test_scattered(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct books b;
        uint64_t random = seed;
        size_t n, heads = seed % 2 ? 8 : 0; /* few heads: they are forgotten and fetched */
        books_make(&b, NULL, "main", 250, seed);
        struct fact *facts = books_scatter(&b, 5, true, seed, &n);
        assert_true(n > b.n_facts);
        struct readmodel *m = fresh(heads);
        m = apply_all(m, facts, n, 40, &random, heads);
        check_naive("scattered", m, &b);
        readmodel_close(m);
        free(facts);
        books_free(&b);
    }
}

/* A record counts when all of its facts are here, and a ledger is at the last before the first that is not. */
static void test_contiguous(void **state)
{
    (void)state;
    struct books b;
    struct err err = {0};
    books_make(&b, NULL, "main", 60, 9);
    size_t n, n_here = 0, n_seen[61] = {0};
    struct fact *facts = books_scatter(&b, 4, false, 3, &n);
    struct readmodel *m = fresh(0);
    for (size_t i = 0; i < n; i++) {
        struct readmodel_applied applied;
        uint64_t seq, want = 0;
        good(readmodel_apply(m, &facts[i], 1, NULL, 0, &applied, &err), &err);
        n_here += applied.taken;
        n_seen[facts[i].seq]++;
        while (want < 60 && n_seen[want + 1] == event_count(b.records[want]))
            want++;
        good(readmodel_seq(m, STR("main"), &seq, &err), &err);
        CHECK_INT("seq", seq, want);
    }
    CHECK_INT("all", n_here, b.n_facts);
    readmodel_close(m);
    free(facts);
    books_free(&b);
}

static void test_gap(void **state)
{
    (void)state;
    struct books b;
    struct err err = {0};
    struct readmodel_applied applied;
    struct arena arena;
    books_make(&b, NULL, "main", 120, 4);
    size_t missing = b.n_facts / 2;
    while (b.facts[missing].kind != FACT_ENTRY)
        missing++;
    struct fact *facts = calloc(b.n_facts, sizeof *facts);
    memcpy(facts, b.facts, missing * sizeof *facts);
    memcpy(facts + missing, b.facts + missing + 1, (b.n_facts - missing - 1) * sizeof *facts);
    for (size_t i = 0; i < b.n_facts - 1; i++)
        facts[i].offset = (int64_t)facts[i].seq; /* a record is read as a whole */
    struct readmodel *m = fresh(0);
    good(readmodel_apply(m, facts, b.n_facts - 1, NULL, 0, &applied, &err), &err);
    const struct fact *lost = &b.facts[missing];
    if (!applied.gap) /* nothing of that account came later */
        fail_msg("no gap");
    CHECK_INT("expected", applied.at.expected, lost->entry.version);
    CHECK_INT("found", applied.at.found, lost->entry.version + 1);
    CHECK_STR("ledger", str_of(applied.at.ledger), STR("main"));
    CHECK("account", uuid_eq(applied.at.account, lost->entry.account));
    uint64_t seq;
    good(readmodel_seq(m, STR("main"), &seq, &err), &err);
    CHECK_INT("not beyond", seq, lost->seq - 1);
    struct readmodel_offset *offsets;
    size_t n;
    arena_init(&arena, 0);
    good(readmodel_offsets(m, &arena, &offsets, &n, &err), &err);
    CHECK_INT("one part", n, 1);
    CHECK_INT("stops there", offsets[0].next, facts[applied.taken].offset);
    arena_fini(&arena);
    /* It comes after all. */
    good(readmodel_apply(m, lost, 1, NULL, 0, &applied, &err), &err);
    CHECK_INT("taken", applied.taken, 1);
    good(readmodel_apply(m, b.facts, b.n_facts, NULL, 0, &applied, &err), &err);
    check_naive("after the gap", m, &b);
    readmodel_close(m);
    free(facts);
    books_free(&b);
}

/* What contradicts the read model is put aside, readable, and nothing of it counts. */
static void test_contradiction(void **state)
{
    (void)state;
    struct books b;
    struct err err = {0};
    struct readmodel_applied applied;
    struct arena arena;
    struct parked *parked;
    size_t n;
    books_make(&b, NULL, "main", 30, 4);
    size_t last = b.n_facts - 1;
    struct fact bent = b.facts[last];
    assert_int_equal(bent.kind, FACT_ENTRY);
    bent.entry.after.posted++;
    struct readmodel *m = fresh(0);
    const struct parked poison = {.topic = STR("t"),
        .key = STR("k"),
        .type = STR("x"),
        .payload = STR("{"),
        .reason = STR("no JSON"),
        .part = 7,
        .offset = 41};
    good(readmodel_apply(m, b.facts, last, &poison, 1, &applied, &err), &err);
    good(readmodel_apply(m, &bent, 1, NULL, 0, &applied, &err), &err);
    CHECK_INT("taken", applied.taken, 1);
    uint64_t seq, count;
    good(readmodel_seq(m, STR("main"), &seq, &err), &err);
    CHECK_INT("not counted", seq, b.n_records - 1);
    good(readmodel_parked_count(m, &count, &err), &err);
    CHECK_INT("parked", count, 2);
    arena_init(&arena, 0);
    good(readmodel_parked(m, 0, 10, &arena, &parked, &n, &err), &err);
    CHECK_INT("listed", n, 2);
    CHECK_STR("reason", parked[0].reason, STR("no JSON"));
    CHECK_STR("payload", parked[0].payload, STR("{"));
    CHECK_INT("offset", parked[0].offset, 41);
    struct fact again;
    bool known;
    CHECK("decodes", fact_decode(parked[1].type, parked[1].payload, &arena, &again, &known, &err));
    CHECK_INT("the same", again.entry.after.posted, bent.entry.after.posted);
    good(readmodel_parked_done(m, parked[1].id, &err), &err);
    good(readmodel_parked_count(m, &count, &err), &err);
    CHECK_INT("replayed", count, 1);
    good(readmodel_apply(m, &b.facts[last], 1, NULL, 0, &applied, &err), &err);
    good(readmodel_seq(m, STR("main"), &seq, &err), &err);
    CHECK_INT("the true one counts", seq, b.n_records);
    struct readmodel_offset *offsets;
    good(readmodel_offsets(m, &arena, &offsets, &n, &err), &err);
    CHECK_INT("parts", n, 2);
    CHECK_INT("behind the poison", offsets[1].next, 42);
    arena_fini(&arena);
    readmodel_close(m);
    books_free(&b);
}

/* What is parked of another part, behind facts of it that the gap keeps from being applied, does not take them along. */
static void test_gap_beside_parked(void **state)
{
    (void)state;
    struct books b;
    struct err err = {0};
    struct readmodel_applied applied;
    struct readmodel_offset *offsets;
    struct arena arena;
    size_t n;
    books_make(&b, NULL, "main", 60, 4);
    size_t early = b.n_facts - 1;
    while (b.facts[early].kind != FACT_ENTRY || b.facts[early].entry.version < 3)
        early--;
    struct fact facts[3] = {b.facts[0], b.facts[early], b.facts[1]};
    for (size_t i = 0; i < COUNT_OF(facts); i++) {
        facts[i].part = i == 1 ? 8 : 9;
        facts[i].offset = 10 + (int64_t)i;
    }
    const struct parked poison[] = {
        {.topic = STR("t"), .reason = STR("first"), .part = 9, .offset = 11},
        {.topic = STR("t"), .reason = STR("second"), .part = 9, .offset = 13},
        {.topic = STR("t"), .reason = STR("third"), .part = 7, .offset = 1},
    };
    struct readmodel *m = fresh(0);
    good(readmodel_apply(m, facts, COUNT_OF(facts), poison, COUNT_OF(poison), &applied, &err), &err);
    CHECK("gap", applied.gap);
    CHECK_INT("taken", applied.taken, 1);
    arena_init(&arena, 0);
    good(readmodel_offsets(m, &arena, &offsets, &n, &err), &err);
    CHECK_INT("parts", n, 3);
    CHECK_INT("of poison alone", offsets[0].next, 2);
    CHECK("not beyond the gap", offsets[1].next <= 11);
    CHECK_INT("before what was not applied", offsets[2].next, 12);
    arena_fini(&arena);
    readmodel_close(m);
    books_free(&b);
}

/* A message's key and type are bytes of anybody's: what is no text must not keep the batch from the database. */
static void test_parked_bytes(void **state)
{
    (void)state;
    struct err err = {0};
    struct readmodel_applied applied;
    struct parked *parked;
    struct arena arena;
    size_t n;
    const struct parked poison = {.topic = STR("t"),
        .key = {"\xff\0k\xc3", 4},
        .type = {"a\0b", 3},
        .payload = {"\xfe\0", 2},
        .reason = STR("near '\xe2\x82"),
        .part = 7,
        .offset = 41};
    struct readmodel *m = fresh(0);
    good(readmodel_apply(m, NULL, 0, &poison, 1, &applied, &err), &err);
    arena_init(&arena, 0);
    good(readmodel_parked(m, 0, 10, &arena, &parked, &n, &err), &err);
    CHECK_STR("key", parked[0].key, STR("\xef\xbf\xbd\xef\xbf\xbdk\xef\xbf\xbd"));
    CHECK_STR("type", parked[0].type,
        STR("a\xef\xbf\xbd"
            "b"));
    CHECK_STR("reason", parked[0].reason, STR("near '\xef\xbf\xbd\xef\xbf\xbd"));
    CHECK(
        "payload as it came", parked[0].payload.len == 2 && memcmp(parked[0].payload.data, "\xfe\0", 2) == 0);
    arena_fini(&arena);
    readmodel_close(m);
}

/* Of two writers the one that is behind fails and changes nothing. */
static void test_two_writers(void **state)
{
    (void)state;
    struct books b;
    struct err err = {0};
    struct readmodel_applied applied;
    uint64_t random = 3;
    books_make(&b, NULL, "main", 100, 8);
    struct readmodel *one = fresh(0), *two = opened(0);
    size_t half = b.n_facts / 2;
    good(readmodel_apply(one, b.facts, half, NULL, 0, &applied, &err), &err);
    good(readmodel_apply(two, b.facts, half, NULL, 0, &applied, &err), &err);
    CHECK_INT("all of it was there", applied.duplicates, half);
    CHECK_INT(
        "the slower one", readmodel_apply(one, b.facts + half, 5, NULL, 0, &applied, &err), ERR_CONFLICT);
    CHECK_INT("took nothing", applied.taken, 0);
    two = apply_all(two, b.facts, b.n_facts, 30, &random, 0);
    good(readmodel_apply(one, b.facts + half, 5, NULL, 0, &applied, &err), &err);
    CHECK_INT("after a look", applied.duplicates, 5);
    check_naive("two writers", one, &b);
    readmodel_close(one);
    readmodel_close(two);
    books_free(&b);
}

/* A batch that fails at its end has no effect, in the database or in memory. */
static void test_failed_batch(void **state)
{
    (void)state;
    struct books b;
    struct err err = {0};
    struct readmodel_applied applied;
    books_make(&b, NULL, "main", 100, 2);
    struct readmodel *m = fresh(0);
    for (size_t at = 0; at < b.n_facts;) {
        size_t n = b.n_facts - at < 37 ? b.n_facts - at : 37;
        /* Its last table is not there while the batch is written. */
        good(db_script(readmodel_db(m), "ALTER TABLE @position RENAME TO elsewhere", &err), &err);
        assert_int_not_equal(readmodel_apply(m, b.facts + at, n, NULL, 0, &applied, &err), 0);
        CHECK_INT("nothing", applied.taken, 0);
        char sql[128];
        if (strncmp(url, "sqlite:", 7) == 0)
            snprintf(sql, sizeof sql, "ALTER TABLE elsewhere RENAME TO position");
        else
            snprintf(sql, sizeof sql, "ALTER TABLE creditledger_read.elsewhere RENAME TO g%u_position",
                readmodel_generation(m));
        good(db_script(readmodel_db(m), sql, &err), &err);
        good(readmodel_apply(m, b.facts + at, n, NULL, 0, &applied, &err), &err);
        CHECK_INT("all", applied.duplicates, 0);
        at += n;
    }
    check_naive("after failures", m, &b);
    readmodel_close(m);
    books_free(&b);
}

/* The text that was erased stays away, whoever still brings it. */
static void test_erased_text_stays_away(void **state)
{
    (void)state;
    struct books b;
    uint64_t random = 21;
    books_make(&b, NULL, "main", 300, 6);
    /* Erasures first, as far as their accounts' versions let them: a transfer's fact after the erasure of its text. */
    struct fact *facts = calloc(b.n_facts, sizeof *facts);
    size_t n = 0;
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < b.n_facts; i++)
            if ((b.facts[i].kind == FACT_ENTRY) == (pass == 0))
                facts[n++] = b.facts[i];
    struct readmodel *m = fresh(0);
    for (size_t i = 0; i < n; i++)
        facts[i].offset = (int64_t)i;
    m = apply_all(m, facts, n, 50, &random, 0);
    check_naive("entries first", m, &b);
    readmodel_close(m);
    free(facts);
    books_free(&b);
}

static void test_generations(void **state)
{
    (void)state;
    struct err err = {0};
    struct arena arena;
    struct generation *all;
    struct readmodel_applied applied;
    size_t n;
    uint32_t id;
    struct books b;
    books_make(&b, NULL, "main", 40, 2);
    struct readmodel *m = fresh(0), *building;
    uint32_t live = readmodel_generation(m);
    good(generation_new(url, "kafka", &id, &err), &err);
    good(readmodel_open(url, &(struct readmodel_options){.write = true, .building = id}, &building, &err),
        &err);
    good(readmodel_apply(building, b.facts, b.n_facts, NULL, 0, &applied, &err), &err);
    good(readmodel_finish(building, &err), &err);
    good(readmodel_finish(building, &err), &err);
    check_naive("building", building, &b);
    readmodel_close(building);
    arena_init(&arena, 0);
    good(generation_list(url, &arena, &all, &n, &err), &err);
    CHECK_INT("two", n, 2);
    CHECK_INT("state", all[1].state, GENERATION_BUILDING);
    CHECK_STR("source", str_of(all[1].source), STR("kafka"));
    CHECK_INT("instead of another", generation_switch(url, id, live + 77, &err), ERR_CONFLICT);
    CHECK_INT("the live one stays", generation_drop(url, live, &err), ERR_CONFLICT);
    good(generation_switch(url, id, live, &err), &err);
    CHECK_INT("twice", generation_switch(url, id, live, &err), ERR_CONFLICT);
    readmodel_close(m);
    m = opened(0);
    CHECK_INT("opens the new one", readmodel_generation(m), id);
    check_naive("live", m, &b);
    good(generation_drop(url, live, &err), &err);
    good(generation_list(url, &arena, &all, &n, &err), &err);
    CHECK_INT("one", n, 1);
    arena_fini(&arena);
    readmodel_close(m);
    books_free(&b);
}

static void test_nothing_there(void **state)
{
    (void)state;
    struct err err = {0};
    struct readmodel *m;
    char other[URL_SIZE];
    if (!place_make(other, sizeof other))
        return;
    CHECK_INT(
        "none", readmodel_open(other, &(struct readmodel_options){.write = false}, &m, &err), ERR_NOT_FOUND);
    place_drop(other);
}

static void test_offsets(void **state)
{
    (void)state;
    struct err err = {0};
    struct arena arena;
    struct readmodel_offset *offsets;
    struct readmodel_applied applied;
    size_t n;
    struct books b;
    books_make(&b, NULL, "main", 10, 2);
    struct readmodel *m = fresh(0);
    good(readmodel_apply(m, b.facts, b.n_facts, NULL, 0, &applied, &err), &err);
    good(readmodel_set_offsets(m, (struct readmodel_offset[]){{0, 5}, {3, 9}}, 2, &err), &err);
    for (size_t i = 0; i < b.n_facts; i++) {
        b.facts[i].part = 9;
        b.facts[i].offset = -1;
    }
    good(readmodel_apply(m, b.facts, b.n_facts, NULL, 0, &applied, &err), &err);
    arena_init(&arena, 0);
    good(readmodel_offsets(m, &arena, &offsets, &n, &err), &err);
    CHECK_INT("parts", n, 2);
    CHECK_INT("from nowhere", offsets[0].next, 5);
    CHECK_INT("set", offsets[1].next, 9);
    arena_fini(&arena);
    readmodel_close(m);
    books_free(&b);
}

static void test_sums(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {{"0", true}, {"-1", true}, {"170141183460469231731687303715884105727", true},
        {"-170141183460469231731687303715884105728", true},
        {"170141183460469231731687303715884105728", false}, {"", false}, {"-", false}, {"1x", false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        amount_sum sum;
        struct strbuf b;
        strbuf_init(&b);
        CHECK_INT(cases[i].text, sum_parse(str_of(cases[i].text), &sum), cases[i].ok);
        if (cases[i].ok) {
            strbuf_amount_sum(&b, sum, 0);
            CHECK_STR(cases[i].text, strbuf_view(&b), str_of(cases[i].text));
        }
        strbuf_fini(&b);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    struct numbers t = {0};
    uint32_t here[200];
    uint64_t random = 5;
    memset(here, 0xff, sizeof here);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t key = check_below(&random, COUNT_OF(here));
        if (check_below(&random, 2)) {
            numbers_set(&t, key / 50, key % 50, i);
            here[key] = i;
        } else {
            numbers_remove(&t, key / 50, key % 50);
            here[key] = NUMBERS_NONE;
        }
        key = check_below(&random, COUNT_OF(here));
        CHECK_INT("number", numbers_get(&t, key / 50, key % 50), here[key]);
    }
    numbers_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_scattered),
        cmocka_unit_test(test_contiguous),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_gap_beside_parked),
        cmocka_unit_test(test_parked_bytes),
        cmocka_unit_test(test_contradiction),
        cmocka_unit_test(test_two_writers),
        cmocka_unit_test(test_failed_batch),
        cmocka_unit_test(test_erased_text_stays_away),
        cmocka_unit_test(test_generations),
        cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_offsets),
    };
    if (!place_make(url, sizeof url))
        return 0;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    place_drop(url);
    return failed;
}
