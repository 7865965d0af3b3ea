#include "readmodel/projector_fixture.h"

#include "base/check.h"

#define PATIENCE_MS 20000

void good(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%d: %s", rc, err->message);
}

static void on_reached(void *ctx, struct str ledger, uint64_t seq)
{
    struct stage *s = ctx;
    if (str_eq_c(ledger, "main") && seq < atomic_exchange(&s->reached, seq))
        atomic_store(&s->went_back, true);
}

struct stage *stage_new(size_t records)
{
    struct err err = {0};
    struct stage *s = calloc(1, sizeof *s);
    char directory[] = "/tmp/projector-XXXXXX";
    assert_true(place_make(s->read_url, sizeof s->read_url));
    assert_non_null(mkdtemp(directory));
    snprintf(s->journal_url, sizeof s->journal_url, "sqlite:%s/ledger.db", directory);
    const struct journal_options writing = {
        .mode = JOURNAL_WRITE, .create = true, .now = INT64_C(1700000000000000), .unsafe_no_sync = true};
    good(journal_open(s->journal_url, &writing, &s->journal, &err), &err);
    books_make(&s->books, s->journal, "main", records, 7);
    s->a = fixture_account(&s->books.f, 1, ACCOUNT_EQUITY, (struct floor){false, 0});
    s->b = fixture_account(&s->books.f, 1, ACCOUNT_EQUITY, (struct floor){false, 0});
    good(fixture_commit(&s->books.f, s->journal, &err), &err);
    s->reading = (struct journal_options){.mode = JOURNAL_READ};
    s->config = (struct projector_config){.read_url = s->read_url,
        .journal_url = s->journal_url,
        .journal_options = &s->reading,
        .reached = on_reached,
        .ctx = s};
    return s;
}

void stage_free(struct stage *s)
{
    books_free(&s->books);
    journal_close(s->journal);
    place_drop(s->journal_url);
    place_drop(s->read_url);
    free(s);
}

uint64_t stage_head(const struct stage *s)
{
    return s->books.f.committed.head.seq;
}

void stage_transfer(struct stage *s, size_t n)
{
    struct err err = {0};
    for (size_t i = 0; i < n; i++)
        fixture_transfer(&s->books.f, s->a, s->b, 5);
    good(fixture_commit(&s->books.f, s->journal, &err), &err);
}

void stage_wait(struct stage *s, uint64_t seq)
{
    for (int i = 0; atomic_load(&s->reached) < seq; i++) {
        if (i > PATIENCE_MS)
            fail_msg("at %ju, not %ju", (uintmax_t)atomic_load(&s->reached), (uintmax_t)seq);
        usleep(1000);
    }
}

void stage_wait_for_phase(struct projector *p, enum projector_phase phase, struct projector_state *ret_state)
{
    for (int i = 0;; i++) {
        projector_state(p, ret_state);
        if (ret_state->phase == phase)
            return;
        if (i > PATIENCE_MS)
            fail_msg("in phase %d, not %d: %s", (int)ret_state->phase, (int)phase, ret_state->detail);
        usleep(1000);
    }
}

struct projector *stage_start(struct stage *s)
{
    struct err err = {0};
    struct projector *p = NULL;
    good(projector_start(&s->config, &p, &err), &err);
    return p;
}

static void on_difference(void *ctx, const struct check_difference *d)
{
    (void)ctx;
    print_message("# account %ju %s: %s, found %s\n", (uintmax_t)d->account, d->what, d->expected, d->found);
}

uint64_t stage_differences(struct stage *s)
{
    struct err err = {0};
    struct check_report report;
    good(projector_check(&s->config, on_difference, NULL, NULL, &report, &err), &err);
    assert_true(report.lines > report.transfers && report.accounts > 0);
    return report.differences;
}

void stage_sql(const struct stage *s, const char *statement)
{
    struct err err = {0};
    struct readmodel *m;
    good(readmodel_open(s->read_url, &(struct readmodel_options){.write = true}, &m, &err), &err);
    good(db_script(readmodel_db(m), statement, &err), &err);
    readmodel_close(m);
}
