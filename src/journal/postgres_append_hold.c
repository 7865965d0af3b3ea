/*
 * What other processes wrote since a caller looked, and, for one who wants to decide on what cannot change meanwhile,
 * the ledgers' locks: a transaction that is left open on the append wire until its append or release.
 *
 * What is new of a ledger is told by two statements. Records are never changed and seqs have no gap, so entries up to
 * the head that the first one saw are the same whenever the second one looks; what is newer is left out.
 */
#include <string.h>

#include "journal/postgres_append_internal.h"

static const struct pg_statement statement_begin = {
    "begin_hold", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"};
static const struct pg_statement statement_hold = {"hold", "SELECT creditledger.hold($1, $2)"};
/* Each ledger's head, whether what was known of it is there, and what its genesis hash is made of. */
static const struct pg_statement statement_news = {"news",
    "SELECT l.name, l.default_floor, l.created_at, h.seq, h.recorded_at, h.hash,"
    " (SELECT a.number FROM creditledger.account a WHERE a.ledger = k.ledger ORDER BY a.number DESC LIMIT 1),"
    " (SELECT j.hash FROM creditledger.journal j WHERE j.ledger = k.ledger AND j.seq = k.seq)"
    " FROM unnest($1::int[], $2::bigint[]) AS k(ledger, seq)"
    " LEFT JOIN creditledger.ledger l ON l.id = k.ledger"
    " LEFT JOIN LATERAL (SELECT j.seq, j.recorded_at, j.hash FROM creditledger.journal j WHERE j.ledger = "
    "k.ledger"
    " ORDER BY j.seq DESC LIMIT 1) h ON true ORDER BY k.ledger"};
enum {
    NEWS_NAME,
    NEWS_FLOOR,
    NEWS_CREATED,
    NEWS_SEQ,
    NEWS_RECORDED,
    NEWS_HASH,
    NEWS_ACCOUNTS,
    NEWS_KNOWN_HASH
};
static const struct pg_statement statement_changes = {"changes",
    "SELECT e.*, k.ledger FROM unnest($1::int[], $2::bigint[]) AS k(ledger, seq)"
    " CROSS JOIN LATERAL (SELECT " POSTGRES_ENTRY_COLUMNS " FROM creditledger.entry e"
    " WHERE e.ledger = k.ledger AND e.seq > k.seq ORDER BY e.seq, e.leg LIMIT $3) e"
    " ORDER BY k.ledger, e.seq, e.leg"};
enum { CHANGES_LEDGER = POSTGRES_ENTRY_COLUMN_COUNT };

/* Results of one look. */
struct look {
    PGresult *news, *changes;
};

static void look_fini(struct look *look)
{
    PQclear(look->news);
    PQclear(look->changes);
    *look = (struct look){0};
}

static void put_ledgers(struct pg_params *params, const struct ledger_known *known, size_t n)
{
    pg_array_begin(params, PG_INT4);
    for (size_t i = 0; i < n; i++)
        pg_array_int4(params, known[i].ledger);
    pg_array_end(params);
}

static void put_known(struct pg_params *params, const struct ledger_known *known, size_t n)
{
    pg_params_clear(params);
    put_ledgers(params, known, n);
    pg_array_begin(params, PG_INT8);
    for (size_t i = 0; i < n; i++)
        pg_array_uint(params, known[i].seq);
    pg_array_end(params);
}

/* One more than is wanted tells that there are too many. */
static void put_changes(
    struct pg_params *params, const struct ledger_known *known, size_t n, size_t max_entries)
{
    put_known(params, known, n);
    pg_put_int8(params, max_entries < INT32_MAX ? (int64_t)max_entries + 1 : INT32_MAX);
}

static int look(struct pg_wire *wire, struct pg_params *params, const struct ledger_known *known, size_t n,
    size_t max_entries, struct look *ret_look, struct err *err)
{
    put_known(params, known, n);
    int rc = pg_run(wire, &statement_news, params, &ret_look->news, err);
    if (rc != 0)
        return rc;
    put_changes(params, known, n, max_entries);
    return pg_run(wire, &statement_changes, params, &ret_look->changes, err);
}

/* ---- with locks ---- */

static void put_hold(struct postgres_journal *p, const struct ledger_known *known, size_t n)
{
    struct pg_params *params = &p->appending->params;
    pg_params_clear(params);
    pg_put_int4(params, appending_lock_kind(p));
    put_ledgers(params, known, n);
}

/* The statements are prepared first: in the pipeline nobody waits for that. */
static int hold_prepare(struct postgres_journal *p, const struct ledger_known *known, size_t n,
    size_t max_entries, struct err *err)
{
    struct pg_wire *wire = &p->append;
    struct pg_params *params = &p->appending->params;
    int rc = pg_prepare(wire, &statement_begin, NULL, err);
    put_hold(p, known, n);
    if (rc == 0)
        rc = pg_prepare(wire, &statement_hold, params, err);
    put_known(params, known, n);
    if (rc == 0)
        rc = pg_prepare(wire, &statement_news, params, err);
    put_changes(params, known, n, max_entries);
    if (rc == 0)
        rc = pg_prepare(wire, &statement_changes, params, err);
    return rc;
}

static int hold_send(struct postgres_journal *p, const struct ledger_known *known, size_t n,
    size_t max_entries, struct err *err)
{
    struct pg_wire *wire = &p->append;
    struct pg_params *params = &p->appending->params;
    if (!PQenterPipelineMode(wire->pg))
        return pg_error(wire, NULL, "database", err);
    int rc = pg_send(wire, &statement_begin, NULL, err);
    put_hold(p, known, n);
    if (rc == 0)
        rc = pg_send(wire, &statement_hold, params, err);
    put_known(params, known, n);
    if (rc == 0)
        rc = pg_send(wire, &statement_news, params, err);
    put_changes(params, known, n, max_entries);
    if (rc == 0)
        rc = pg_send(wire, &statement_changes, params, err);
    if (rc == 0 && !PQpipelineSync(wire->pg))
        rc = pg_error(wire, NULL, "database", err);
    return rc;
}

/* The four results, to the pipeline's end; the first error counts. */
static int hold_take(struct postgres_journal *p, struct look *ret_look, struct err *err)
{
    struct pg_wire *wire = &p->append;
    PGresult **keep[] = {NULL, NULL, &ret_look->news, &ret_look->changes};
    size_t n = 0;
    int64_t deadline_ms = pg_deadline(wire);
    int rc = 0;
    for (bool done = false; !done;) {
        PGresult *result = NULL;
        int failed = pg_result(wire, deadline_ms, &result, err);
        if (failed != 0)
            return failed;
        ExecStatusType status = result == NULL ? PGRES_EMPTY_QUERY : PQresultStatus(result);
        if (result == NULL && PQstatus(wire->pg) != CONNECTION_OK)
            return rc != 0 ? rc : pg_error(wire, NULL, "database", err);
        if (status == PGRES_PIPELINE_SYNC)
            done = true;
        else if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            INVARIANT(n < sizeof keep / sizeof keep[0]);
            if (keep[n] != NULL) {
                *keep[n] = result;
                result = NULL;
            }
            n++;
        } else if (result != NULL && status != PGRES_PIPELINE_ABORTED && rc == 0)
            rc = pg_error(wire, result, "database", err);
        PQclear(result);
        if (rc != 0 && wire->pg == NULL)
            return rc;
    }
    (void)PQexitPipelineMode(wire->pg);
    return rc;
}

static int hold_and_look(struct postgres_journal *p, const struct ledger_known *known, size_t n,
    size_t max_entries, struct look *ret_look, struct err *err)
{
    int rc = pg_ready(&p->append, err);
    if (rc == 0)
        rc = hold_prepare(p, known, n, max_entries, err);
    if (rc != 0)
        return rc;
    p->appending->held = true;
    rc = hold_send(p, known, n, max_entries, err);
    if (rc != 0)
        pg_close(&p->append);
    else
        rc = hold_take(p, ret_look, err);
    if (rc != 0)
        appending_let_go(p);
    return rc;
}

void appending_let_go(struct postgres_journal *p)
{
    struct pg_wire *wire = &p->append;
    if (p->appending == NULL || !p->appending->held)
        return;
    p->appending->held = false;
    if (wire->pg == NULL)
        return;
    if (PQpipelineStatus(wire->pg) != PQ_PIPELINE_OFF || pg_exec(wire, "ROLLBACK", NULL, NULL) != 0)
        pg_close(wire);
}

void postgres_release(struct journal *j)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    INVARIANT(p->appending == NULL || !p->appending->under_way);
    appending_let_go(p);
}

/* ---- telling ---- */

static int head_of(struct postgres_journal *p, const PGresult *news, int row, uint32_t ledger,
    struct ledger_head *ret_head, struct err *err)
{
    *ret_head = (struct ledger_head){.seq = pg_uint(news, row, NEWS_SEQ),
        .recorded_at = pg_int(news, row, NEWS_RECORDED),
        .accounts = pg_uint(news, row, NEWS_ACCOUNTS)};
    if (ret_head->seq > 0)
        return pg_bytes(news, row, NEWS_HASH, ret_head->hash, HASH_LEN)
                   ? 0
                   : postgres_damaged(err, "record", ledger, ret_head->seq);
    struct ledger_row genesis = {.id = ledger,
        .default_floor = pg_floor(news, row, NEWS_FLOOR),
        .created_at = pg_int(news, row, NEWS_CREATED)};
    if (!pg_name(news, row, NEWS_NAME, genesis.name, sizeof genesis.name))
        return postgres_damaged(err, "ledger", ledger, 0);
    ret_head->recorded_at = genesis.created_at;
    digest_genesis(p->digest, &genesis, ret_head->hash);
    return 0;
}

static bool is_lost(const PGresult *news, int row, const struct ledger_known *known)
{
    uint8_t hash[HASH_LEN];
    if (pg_is_null(news, row, NEWS_NAME))
        return true; /* the ledger itself */
    return known->seq > 0 && (!pg_bytes(news, row, NEWS_KNOWN_HASH, hash, HASH_LEN) ||
                                 memcmp(hash, known->hash, HASH_LEN) != 0);
}

static int fill_news(struct postgres_journal *p, const struct look *look, const struct ledger_known *known,
    size_t n, size_t max_entries, struct ledger_news *ret_news, struct err *err)
{
    if ((size_t)PQntuples(look->news) != n)
        return postgres_damaged(err, "ledger", known[0].ledger, 0);
    int row = 0, rows = PQntuples(look->changes);
    for (size_t i = 0; i < n; i++) {
        ret_news[i] = (struct ledger_news){.lost = is_lost(look->news, (int)i, &known[i])};
        if (!pg_is_null(look->news, (int)i, NEWS_NAME)) {
            int rc = head_of(p, look->news, (int)i, known[i].ledger, &ret_news[i].head, err);
            if (rc != 0)
                return rc;
        }
        size_t entries = 0;
        for (; row < rows && pg_int(look->changes, row, CHANGES_LEDGER) == known[i].ledger; row++)
            entries++;
        ret_news[i].too_many = !ret_news[i].lost && entries > max_entries;
    }
    return 0;
}

static int visit_changes(const struct look *look, const struct ledger_known *known, size_t n,
    const struct ledger_news *news, journal_change_visit *visit, void *ctx)
{
    int rc = 0, rows = PQntuples(look->changes);
    size_t i = 0;
    for (int row = 0; rc == 0 && row < rows; row++) {
        struct entry entry;
        uint32_t ledger = (uint32_t)pg_int(look->changes, row, CHANGES_LEDGER);
        uint64_t seq = pg_uint(look->changes, row, POSTGRES_ENTRY_SEQ);
        while (i < n && known[i].ledger != ledger)
            i++;
        INVARIANT(i < n);
        if (news[i].lost || news[i].too_many || seq > news[i].head.seq)
            continue;
        postgres_entry_row(look->changes, row, &entry);
        rc = visit(ctx, ledger, &entry, seq);
    }
    return rc;
}

int postgres_catch_up(struct journal *j, const struct ledger_known *known, size_t n, bool hold,
    size_t max_entries, struct ledger_news *ret_news, journal_change_visit *visit, void *ctx, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct look found = {0};
    struct pg_wire *wire = &p->read;
    int rc;
    INVARIANT(!hold || (p->appending != NULL && !p->appending->under_way));
    if (hold)
        appending_let_go(p);
    if (n == 0)
        return 0;
    /* Without locks there is nothing to hold: what it tells may be old by the time of the append, which then says so. */
    if (hold && !p->plain && appending_lock_kind(p) != 0)
        rc = hold_and_look(p, known, n, max_entries, &found, err);
    else {
        rc = postgres_reading(p, &wire, err);
        if (rc == 0)
            rc = look(wire, &p->params, known, n, max_entries, &found, err);
    }
    if (rc == 0)
        rc = fill_news(p, &found, known, n, max_entries, ret_news, err);
    if (rc == 0)
        rc = visit_changes(&found, known, n, ret_news, visit, ctx);
    look_fini(&found);
    if (rc != 0 && hold)
        appending_let_go(p);
    return rc;
}
