/*
 * History against a naive model: the list of all entries of an account, from which every answer is computed
 * anew.
 */
#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/instant.h"
#include "journal/history.h"
#include "journal/journal_fixture.h"
#include "journal/postgres.h"
#include "journal/postgres_testing.h"

#define START INT64_C(1700000000000000)
#define ENTRIES_MAX 256

static const char *scheme; /* which backend the group runs over */

/* ---- the model ---- */

struct model_entry {
    uint64_t version, seq;
    int64_t recorded_at, effective_at;
    struct amounts change;
    struct floor floor;
};

struct model {
    struct model_entry entries[ENTRIES_MAX]; /* of one account, by version */
    size_t n;
};

static void model_read(struct model *m, const struct record *const *records, size_t n, uint64_t account)
{
    m->n = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < records[i]->n_entries; k++) {
            const struct entry *e = &records[i]->entries[k];
            if (e->account != account)
                continue;
            assert_true(m->n < ENTRIES_MAX);
            m->entries[m->n++] = (struct model_entry){e->version, records[i]->seq, records[i]->recorded_at,
                records[i]->effective_at, e->change, e->floor};
        }
}

static bool model_moves(const struct model_entry *e)
{
    return e->change.posted != 0 || e->change.incoming != 0 || e->change.outgoing != 0;
}

static void model_add(struct amounts *sum, struct amounts change)
{
    sum->posted += change.posted;
    sum->incoming += change.incoming;
    sum->outgoing += change.outgoing;
}

/* Everything known by known_at that happened before `before` on the axis. */
static struct amounts model_before(
    const struct model *m, enum history_axis axis, int64_t before, int64_t known_at)
{
    struct amounts sum = {0, 0, 0};
    for (size_t i = 0; i < m->n; i++) {
        const struct model_entry *e = &m->entries[i];
        int64_t t = axis == AXIS_EFFECTIVE ? e->effective_at : e->recorded_at;
        if (e->recorded_at <= known_at && t < before)
            model_add(&sum, e->change);
    }
    return sum;
}

static enum history_axis sort_axis;

static int by_axis(const void *a, const void *b)
{
    const struct model_entry *x = a, *y = b;
    int64_t s = sort_axis == AXIS_EFFECTIVE ? x->effective_at : x->recorded_at;
    int64_t t = sort_axis == AXIS_EFFECTIVE ? y->effective_at : y->recorded_at;
    if (s != t)
        return s < t ? -1 : 1;
    return x->version < y->version ? -1 : 1;
}

static size_t model_lines(const struct model *m, enum history_axis axis, int64_t from, int64_t to,
    int64_t known_at, struct model_entry *ret_lines)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct model_entry *e = &m->entries[i];
        int64_t t = axis == AXIS_EFFECTIVE ? e->effective_at : e->recorded_at;
        if (model_moves(e) && e->recorded_at <= known_at && t >= from && t < to)
            ret_lines[n++] = *e;
    }
    sort_axis = axis;
    if (n > 1)
        qsort(ret_lines, n, sizeof *ret_lines, by_axis);
    return n;
}

/* ---- a journal with a history ---- */

struct world {
    char url[256];
    struct journal *j;
    struct fixture f;
    struct arena arena;
    struct err err;
    const struct record *records[ENTRIES_MAX];
    size_t n_records;
};

static void world_open(struct world *w, uint64_t seed)
{
    static int n;
    *w = (struct world){.j = NULL};
    if (postgres_url(scheme))
        postgres_testing_url(w->url, sizeof w->url);
    else
        snprintf(w->url, sizeof w->url, "%s%d", scheme, n++);
    const struct journal_options options = {
        .mode = JOURNAL_WRITE, .create = true, .now = START, .unsafe_no_sync = true};
    if (journal_open(w->url, &options, &w->j, &w->err) != 0)
        fail_msg("%s", w->err.message);
    fixture_init_main(&w->f, w->j, seed);
    arena_init(&w->arena, 0);
}

static void world_close(struct world *w)
{
    journal_close(w->j);
    fixture_fini(&w->f);
    arena_fini(&w->arena);
    if (postgres_url(w->url))
        postgres_testing_drop(w->url);
    if (strncmp(w->url, "sqlite:", 7) == 0) {
        char path[80];
        static const char *const suffixes[] = {"", "-wal", "-shm"};
        for (size_t i = 0; i < 3; i++) {
            snprintf(path, sizeof path, "%s%s", w->url + 7, suffixes[i]);
            unlink(path);
        }
    }
}

static void world_commit(struct world *w)
{
    for (size_t i = 0; i < w->f.n_batch; i++) {
        assert_true(w->n_records < ENTRIES_MAX);
        w->records[w->n_records++] = w->f.batch[i];
    }
    if (fixture_commit(&w->f, w->j, &w->err) != 0)
        fail_msg("append: %s", w->err.message);
}

static struct account world_account(struct world *w, uint64_t number)
{
    struct account_want want = {.ledger = 1, .number = number};
    assert_int_equal(w->j->ops->accounts_fetch(w->j, &want, 1, &w->arena, &w->err), 0);
    assert_true(want.found);
    return want.account;
}

/* Three accounts and a mixture of all that a history can hold; several records share a time. */
static void world_fill(struct world *w, size_t n)
{
    struct fixture *f = &w->f;
    uint32_t usd = fixture_asset(f, "USD", 2);
    fixture_transfer_at(f, fixture_account(f, usd, ACCOUNT_LIABILITY, (struct floor){false, 0}),
        fixture_account(f, usd, ACCOUNT_ASSET, (struct floor){false, 0}), 7, START - 1000);
    fixture_account(f, usd, ACCOUNT_EQUITY, (struct floor){false, 0});
    for (size_t i = 0; i < n; i++) {
        f->now = f->state.head.recorded_at + (int64_t)(fixture_random(f) % 4);
        uint64_t a = 1 + fixture_random(f) % 3, b = 1 + (a + fixture_random(f) % 2) % 3;
        int64_t late = fixture_random(f) % 2 ? f->now - (int64_t)(fixture_random(f) % 40) : INT64_MAX;
        int64_t amount = 1 + (int64_t)(fixture_random(f) % 100);
        struct record *r;
        switch (fixture_random(f) % 8) {
        case 0: /* moves nothing, perhaps backdated */
            r = fixture_begin(f, RECORD_DECLINED);
            r->refusal = 308;
            r->effective_at = late < r->recorded_at ? late : r->recorded_at;
            fixture_entry(f, r, a, (struct amounts){0, 0, 0});
            fixture_seal(f, r);
            break;
        case 1:
            r = fixture_begin(f, RECORD_REVISION);
            fixture_revision(f, r, a, ACCOUNT_OPEN, (struct floor){true, -1000000 - amount});
            fixture_entry(f, r, a, (struct amounts){0, 0, 0});
            fixture_seal(f, r);
            break;
        case 2: /* pending amounts only */
            r = fixture_begin(f, RECORD_HOLD);
            r->effective_at = late < r->recorded_at ? late : r->recorded_at;
            fixture_entry(f, r, a, (struct amounts){0, 0, amount});
            fixture_entry(f, r, b, (struct amounts){0, amount, 0});
            fixture_lot(f, r,
                (struct lot){.origin = r->seq,
                    .kind = LOT_HOLD,
                    .version = 1,
                    .account = a,
                    .change = amount,
                    .remaining_after = amount});
            fixture_seal(f, r);
            break;
        default:
            fixture_transfer_at(f, a, b, amount, late);
        }
    }
    world_commit(w);
}

/* A time at which something happened, or just beside it, or the ends of time. */
static int64_t any_instant(struct world *w)
{
    uint64_t dice = fixture_random(&w->f);
    if (dice % 16 == 0)
        return INT64_MIN;
    if (dice % 16 == 1)
        return INT64_MAX;
    const struct record *r = w->records[fixture_random(&w->f) % w->n_records];
    int64_t t = fixture_random(&w->f) % 2 ? r->recorded_at : r->effective_at;
    return t + (int64_t)(fixture_random(&w->f) % 3) - 1;
}

/* ---- comparing ---- */

static void assert_amounts(struct amounts got, struct amounts want, const char *what, uint64_t seed)
{
    if (memcmp(&got, &want, sizeof got) != 0)
        fail_msg("seed %llu, %s: posted %lld, incoming %lld, outgoing %lld; should be %lld, %lld, %lld",
            (unsigned long long)seed, what, (long long)got.posted, (long long)got.incoming,
            (long long)got.outgoing, (long long)want.posted, (long long)want.incoming,
            (long long)want.outgoing);
}

static void check_balance(
    struct world *w, const struct model *m, const struct account *account, uint64_t seed)
{
    int64_t at = any_instant(w), known_at = any_instant(w);
    bool has_at = fixture_random(&w->f) % 4, has_known = fixture_random(&w->f) % 2;
    struct history_balance b;
    if (history_balance(w->j, account, has_at ? &at : NULL, has_known ? &known_at : NULL, &b, &w->err) != 0)
        fail_msg("seed %llu: %s", (unsigned long long)seed, w->err.message);
    if (!has_known)
        known_at = INT64_MAX;
    struct amounts want = {0, 0, 0};
    const struct model_entry *last = NULL;
    for (size_t i = 0; i < m->n; i++) {
        const struct model_entry *e = &m->entries[i];
        if (e->recorded_at > known_at)
            continue;
        if (!has_at || e->effective_at <= at)
            model_add(&want, e->change);
        if (!has_at || e->recorded_at <= at)
            last = e;
    }
    assert_amounts(b.amounts, want, "balance", seed);
    assert_int_equal(b.version, last ? last->version : 0);
    assert_int_equal(b.seq, last ? last->seq : 0);
    assert_int_equal(b.floor.present, last ? last->floor.present : false);
    assert_int_equal(b.floor.minor, last ? last->floor.minor : 0);
}

/* What is asked of a statement; `disturb` is called between pages. */
struct ask {
    enum history_axis axis;
    int64_t from, to;
    const int64_t *known_at;
    size_t limit;
    void (*disturb)(struct world *w);
};

static void check_statement(
    struct world *w, const struct model *m, struct account account, const struct ask *ask, uint64_t seed)
{
    static struct model_entry want[ENTRIES_MAX];
    int64_t known_at = ask->known_at ? *ask->known_at : INT64_MAX;
    size_t n = model_lines(m, ask->axis, ask->from, ask->to, known_at, want), at = 0;
    int64_t end = ask->to > ask->from ? ask->to : ask->from;
    struct amounts opening = model_before(m, ask->axis, ask->from, known_at);
    struct amounts closing = model_before(m, ask->axis, end, known_at), running = opening;
    struct history_statement s;
    struct history_position position = {0};
    do {
        if (history_statement(w->j, &account, ask->axis, ask->from, ask->to, ask->known_at, &position,
                ask->limit, &w->arena, &s, &w->err) != 0)
            fail_msg("seed %llu: %s", (unsigned long long)seed, w->err.message);
        assert_amounts(s.opening, opening, "opening", seed);
        assert_amounts(s.closing, closing, "closing", seed);
        assert_true(s.n_lines <= ask->limit);
        if (s.n_lines > n - at || (!s.more && s.n_lines != n - at) ||
            (s.more && (s.n_lines != ask->limit || s.n_lines >= n - at)))
            fail_msg("seed %llu, axis %d: page of %zu lines with %zu of %zu given, %s more",
                (unsigned long long)seed, (int)ask->axis, s.n_lines, at, n, s.more ? "and" : "no");
        for (size_t i = 0; i < s.n_lines; i++, at++) {
            const struct history_line *line = &s.lines[i];
            model_add(&running, want[at].change);
            if (line->entry.version != want[at].version)
                fail_msg("seed %llu, axis %d, limit %zu: line %zu is version %llu, should be %llu",
                    (unsigned long long)seed, (int)ask->axis, ask->limit, at,
                    (unsigned long long)line->entry.version, (unsigned long long)want[at].version);
            assert_int_equal(line->seq, want[at].seq);
            assert_int_equal(line->effective_at, want[at].effective_at);
            assert_int_equal(line->recorded_at, want[at].recorded_at);
            assert_amounts(line->entry.change, want[at].change, "change", seed);
            assert_amounts(line->running, running, "running", seed);
        }
        if (s.more && ask->disturb != NULL) {
            ask->disturb(w);
            account = world_account(w, account.number);
        }
        position = s.next;
    } while (s.more);
    assert_amounts(running, closing, "running after the last line", seed);
}

/* ---- tests ---- */

static unsigned rounds(unsigned over_memory)
{
    /* A database costs a tenth of a second there. */
    return strncmp(scheme, "memory:", 7) == 0 ? over_memory : over_memory / (postgres_url(scheme) ? 40 : 10);
}

static void places_in_recorded_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= rounds(40); seed++) {
        struct world w;
        world_open(&w, seed);
        uint64_t seq;
        assert_int_equal(history_seq_at(w.j, 1, INT64_MAX, &seq, &w.err), 0);
        assert_int_equal(seq, 0);
        assert_int_equal(history_seq_at(w.j, 1, INT64_MIN, &seq, &w.err), 0);
        assert_int_equal(seq, 0);
        assert_int_equal(history_seq_at(w.j, 2, 0, &seq, &w.err), ERR_NOT_FOUND);
        world_fill(&w, 1 + seed % 40);
        for (int i = 0; i < 40; i++) {
            int64_t t = any_instant(&w);
            uint64_t want = 0;
            for (size_t k = 0; k < w.n_records; k++)
                if (w.records[k]->recorded_at <= t)
                    want = w.records[k]->seq;
            assert_int_equal(history_seq_at(w.j, 1, t, &seq, &w.err), 0);
            assert_int_equal(seq, want);
        }
        for (uint64_t number = 1; number <= 3; number++) {
            static struct model m;
            model_read(&m, w.records, w.n_records, number);
            struct account account = world_account(&w, number);
            for (uint64_t s = 0; s <= w.n_records + 1; s++) {
                uint64_t version, want = 0;
                for (size_t k = 0; k < m.n; k++)
                    if (m.entries[k].seq <= s)
                        want = m.entries[k].version;
                assert_int_equal(history_version_at(w.j, &account, s, &version, &w.err), 0);
                assert_int_equal(version, want);
            }
        }
        world_close(&w);
    }
}

static void balances_agree_with_the_model(void **state)
{
    (void)state;
    static struct model m;
    for (uint64_t seed = 1; seed <= rounds(100); seed++) {
        struct world w;
        world_open(&w, seed);
        world_fill(&w, 1 + seed % 60);
        for (uint64_t number = 1; number <= 3; number++) {
            model_read(&m, w.records, w.n_records, number);
            struct account account = world_account(&w, number);
            for (int i = 0; i < 60; i++)
                check_balance(&w, &m, &account, seed);
        }
        world_close(&w);
    }
}

static void statements_agree_with_the_model(void **state)
{
    (void)state;
    static struct model m;
    for (uint64_t seed = 1; seed <= rounds(100); seed++) {
        struct world w;
        world_open(&w, seed);
        world_fill(&w, 1 + seed % 60);
        for (uint64_t number = 1; number <= 3; number++) {
            model_read(&m, w.records, w.n_records, number);
            struct account account = world_account(&w, number);
            for (int i = 0; i < 40; i++) {
                int64_t known_at = any_instant(&w);
                struct ask ask = {.axis = i % 2 ? AXIS_EFFECTIVE : AXIS_RECORDED,
                    .from = any_instant(&w),
                    .to = any_instant(&w),
                    .known_at = fixture_random(&w.f) % 2 ? &known_at : NULL,
                    .limit = 1 + fixture_random(&w.f) % 12};
                check_statement(&w, &m, account, &ask, seed);
            }
        }
        world_close(&w);
    }
}

/* All periods, all times of knowing, all page sizes, of three transfers backdated across each other. */
static void three_transfers_backdated_across_each_other(void **state)
{
    (void)state;
    static struct model m;
    struct world w;
    world_open(&w, 1);
    struct fixture *f = &w.f;
    uint32_t usd = fixture_asset(f, "USD", 2);
    f->now = START + 10;
    uint64_t a = fixture_account(f, usd, ACCOUNT_LIABILITY, (struct floor){false, 0});
    f->now = START + 10;
    uint64_t b = fixture_account(f, usd, ACCOUNT_LIABILITY, (struct floor){false, 0});
    static const int64_t recorded[] = {20, 30, 40, 50}, effective[] = {15, 12, 14, 50},
                         amounts[] = {100, 20, 3, 1000};
    for (size_t i = 0; i < 4; i++) {
        f->now = START + recorded[i];
        fixture_transfer_at(f, a, b, amounts[i], START + effective[i]);
    }
    world_commit(&w);
    model_read(&m, w.records, w.n_records, b);
    struct account account = world_account(&w, b);

    /* By hand: effective 12: 20, 14: 3, 15: 100, 50: 1000. */
    static const struct {
        int64_t at, known_at, posted;
    } balances[] = {{11, 99, 0}, {12, 99, 20}, {13, 99, 20}, {14, 99, 23}, {15, 99, 123}, {49, 99, 123},
        {50, 99, 1123}, {14, 20, 0}, {15, 20, 100}, {15, 30, 120}, {13, 30, 20}, {14, 39, 20}, {14, 40, 23},
        {99, 40, 123}};
    for (size_t i = 0; i < sizeof balances / sizeof balances[0]; i++) {
        int64_t at = START + balances[i].at, known_at = START + balances[i].known_at;
        struct history_balance balance;
        assert_int_equal(history_balance(w.j, &account, &at, &known_at, &balance, &w.err), 0);
        assert_int_equal(balance.amounts.posted, balances[i].posted);
    }
    struct history_statement s;
    assert_int_equal(history_statement(w.j, &account, AXIS_EFFECTIVE, START + 13, START + 50, NULL, NULL, 10,
                         &w.arena, &s, &w.err),
        0);
    assert_int_equal(s.opening.posted, 20);
    assert_int_equal(s.closing.posted, 123);
    assert_int_equal(s.n_lines, 2);
    assert_int_equal(s.lines[0].running.posted, 23);
    assert_int_equal(s.lines[1].running.posted, 123);
    assert_false(s.more);

    for (int64_t from = 9; from <= 52; from++)
        for (int64_t to = 9; to <= 52; to++)
            for (int64_t known = 9; known <= 52; known += rounds(10) == 10 ? 1 : 9) {
                int64_t known_at = START + known;
                for (size_t i = 0; i < 2; i++) {
                    struct ask ask = {.axis = i ? AXIS_EFFECTIVE : AXIS_RECORDED,
                        .from = START + from,
                        .to = START + to,
                        .known_at = known < 52 ? &known_at : NULL,
                        .limit = 1 + (size_t)(from + to + known) % 5};
                    check_statement(&w, &m, account, &ask, 0);
                    arena_reset(&w.arena);
                }
            }
    world_close(&w);
}

static void backdate_across(struct world *w)
{
    struct fixture *f = &w->f;
    fixture_transfer_at(f, 1, 2, 1, START - (int64_t)(fixture_random(f) % 2000));
    fixture_transfer_at(f, 2, 1, 2, f->now - (int64_t)(fixture_random(f) % 40));
    fixture_transfer(f, 3, 1, 5);
    world_commit(w);
}

static void later_writes_do_not_disturb_pages(void **state)
{
    (void)state;
    static struct model m;
    for (uint64_t seed = 1; seed <= rounds(40); seed++)
        for (size_t axis = 0; axis < 2; axis++) {
            struct world w;
            world_open(&w, seed);
            world_fill(&w, 30);
            model_read(&m, w.records, w.n_records, 1);
            int64_t known_at = any_instant(&w);
            struct ask ask = {.axis = axis ? AXIS_EFFECTIVE : AXIS_RECORDED,
                .from = INT64_MIN,
                .to = INT64_MAX,
                .known_at = seed % 2 ? &known_at : NULL,
                .limit = 1 + seed % 7,
                .disturb = backdate_across};
            check_statement(&w, &m, world_account(&w, 1), &ask, seed);
            world_close(&w);
        }
}

static void sums_beyond_64_bits_are_reported(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 1);
    struct fixture *f = &w.f;
    uint32_t usd = fixture_asset(f, "USD", 2);
    uint64_t a = fixture_account(f, usd, ACCOUNT_LIABILITY, (struct floor){false, 0});
    uint64_t b = fixture_account(f, usd, ACCOUNT_LIABILITY, (struct floor){false, 0});
    for (int i = 0; i < 3; i++) { /* out and back, and every way out took effect long ago */
        fixture_transfer_at(f, a, b, LIMIT_AMOUNT_MAX, START - 100);
        fixture_transfer(f, b, a, LIMIT_AMOUNT_MAX);
    }
    world_commit(&w);
    struct account account = world_account(&w, b);
    int64_t at = START - 50;
    struct history_balance balance;
    assert_int_equal(history_balance(w.j, &account, &at, NULL, &balance, &w.err), ERR_UNSUPPORTED);
    struct history_statement s;
    assert_int_equal(history_statement(w.j, &account, AXIS_EFFECTIVE, START - 200, INT64_MAX, NULL, NULL, 10,
                         &w.arena, &s, &w.err),
        ERR_UNSUPPORTED);
    assert_int_equal(history_statement(w.j, &account, AXIS_RECORDED, START - 200, INT64_MAX, NULL, NULL, 10,
                         &w.arena, &s, &w.err),
        0);
    assert_int_equal(s.n_lines, 6);
    world_close(&w);
}

/* A cursor comes from outside: whatever it claims, the answer is a page and not a crash. */
static void positions_are_not_trusted(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 1);
    world_fill(&w, 30);
    struct account account = world_account(&w, 1);
    for (int i = 0; i < 500; i++) {
        struct history_position p = {.started = true,
            .instant = any_instant(&w),
            .version = fixture_random(&w.f) >> (fixture_random(&w.f) % 64),
            .known_version = fixture_random(&w.f) >> (fixture_random(&w.f) % 64)};
        struct history_statement s;
        assert_int_equal(history_statement(w.j, &account, i % 2 ? AXIS_EFFECTIVE : AXIS_RECORDED,
                             any_instant(&w), any_instant(&w), NULL, &p, 5, &w.arena, &s, &w.err),
            0);
    }
    world_close(&w);
}

int main(void)
{
    char directory[] = "/tmp/creditledger-history-XXXXXX", path[64];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_in_recorded_time),
        cmocka_unit_test(balances_agree_with_the_model),
        cmocka_unit_test(statements_agree_with_the_model),
        cmocka_unit_test(three_transfers_backdated_across_each_other),
        cmocka_unit_test(later_writes_do_not_disturb_pages),
        cmocka_unit_test(sums_beyond_64_bits_are_reported),
        cmocka_unit_test(positions_are_not_trusted),
    };
    const char *backend = getenv("CREDITLEDGER_TEST_BACKEND"); /* memory if not set */
    scheme = "memory:history-";
    if (backend != NULL && strcmp(backend, "sqlite") == 0) {
        if (mkdtemp(directory) == NULL)
            return 1;
        snprintf(path, sizeof path, "sqlite:%s/", directory);
        scheme = path;
    }
    if (backend != NULL && strcmp(backend, "postgres") == 0) {
        if (!postgres_testing_begin(START))
            return 0;
        scheme = "postgres://";
    }
    int failed = cmocka_run_group_tests_name("journal/history", tests, NULL, NULL);
    if (scheme == path)
        rmdir(directory);
    return failed;
}
