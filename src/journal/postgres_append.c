/*
 * Appending: one call of creditledger.append() a batch, its own transaction, in one round trip. Where locks are held
 * already (postgres_append_hold.c) or the database has no functions (postgres_append_plain.c) it is a pipeline of
 * statements that ends with COMMIT, in one round trip as well.
 *
 * A batch cannot outgrow PostgreSQL's limit of 1 GB a message as long as LIMIT_COMMIT_COMMANDS_DEFAULT and
 * LIMIT_POSTINGS_MAX hold: 4096 commands of 500 postings are under 0.8 GB. If an operator raises the first,
 * what is too large is refused here, and the engine takes the batch apart.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/postgres_append_internal.h"

#define MESSAGE_MAX 1000000000

#define P10(n) "$" #n "0,$" #n "1,$" #n "2,$" #n "3,$" #n "4,$" #n "5,$" #n "6,$" #n "7,$" #n "8,$" #n "9,"
static const struct pg_statement statement_append = {"append",
    "SELECT creditledger.append($1,$2,$3,$4,$5,$6,$7,$8,$9," P10(1) P10(2) P10(3) P10(4) P10(5)
        P10(6) "$70,$71,$72,$73,$74,$75,$76,$77,$78)"};
static const struct pg_statement statement_commit = {"commit", "COMMIT"};

/* How many of these records are in the journal. */
static const struct pg_statement statement_find_records = {"find_records",
    "SELECT count(*) FROM unnest($1::int[], $2::bigint[], $3::bytea[]) AS w(ledger, seq, hash)"
    " JOIN creditledger.journal j ON j.ledger = w.ledger AND j.seq = w.seq AND j.hash = w.hash"};
static const struct pg_statement statement_find_assets = {"find_assets",
    "SELECT count(*) FROM unnest($1::int[], $2::smallint[], $3::text[]) AS w(id, scale, code)"
    " JOIN creditledger.asset a ON a.id = w.id AND a.scale = w.scale AND a.code = w.code"};
static const struct pg_statement statement_find_ledgers = {"find_ledgers",
    "SELECT count(*) FROM unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[]) AS w(id, name, floor, "
    "created_at)"
    " JOIN creditledger.ledger l ON l.id = w.id AND l.name = w.name AND l.created_at = w.created_at"
    " AND l.default_floor IS NOT DISTINCT FROM w.floor"};

struct postgres_appending *postgres_appending_new(void)
{
    struct postgres_appending *a = calloc(1, sizeof *a);
    INVARIANT(a != NULL);
    pg_params_init(&a->params);
    return a;
}

void postgres_appending_free(struct postgres_appending *a)
{
    if (a == NULL)
        return;
    pg_params_fini(&a->params);
    batch_rows_fini(&a->rows);
    free(a);
}

int appending_lock_kind(const struct postgres_journal *p)
{
    switch (p->lock) {
    case LEDGER_LOCK_NONE:
        return 0;
    case LEDGER_LOCK_ROW:
        return 2;
    case LEDGER_LOCK_DEFAULT:
    case LEDGER_LOCK_ADVISORY:
        return 1;
    }
    INVARIANT(false);
    return 0;
}

bool appending_is_nothing(const struct postgres_journal *p)
{
    const struct journal_batch *batch = p->appending->rows.batch;
    return batch->n_records + batch->n_assets + batch->n_ledgers == 0;
}

/* ---- sending ---- */

static void encode(struct postgres_journal *p)
{
    struct pg_params *params = &p->appending->params;
    const struct batch_rows *rows = &p->appending->rows;
    pg_params_clear(params);
    pg_put_int4(params, appending_lock_kind(p));
    pg_put_bool(params, !p->no_notify);
    batch_encode_known(params, rows);
    batch_encode_assets(params, rows);
    batch_encode_ledgers(params, rows);
    batch_encode_records(params, rows);
    batch_encode_entries(params, rows);
    batch_encode_texts(params, rows);
    batch_encode_accounts(params, rows);
    batch_encode_revisions(params, rows);
    batch_encode_lots(params, rows);
}

/* Everything up to the first byte: what fails here was not sent. */
static int prepare(struct postgres_journal *p, const struct journal_batch *batch, struct err *err)
{
    struct postgres_appending *a = p->appending;
    int rc = batch_rows_take(&a->rows, batch, err);
    if (rc == 0)
        rc = pg_ready(&p->append, err);
    if (rc != 0)
        return rc;
    /* A connection that broke took the locks with it; whether somebody wrote since, append() finds out. */
    a->held = a->held && PQtransactionStatus(p->append.pg) == PQTRANS_INTRANS;
    a->transaction = a->held || p->plain;
    if (p->plain)
        return plain_prepare(p, err);
    encode(p);
    if (a->params.bytes.len > MESSAGE_MAX)
        return err_set(err, ERR_CONFLICT,
            "the batch has %zu bytes, more than PostgreSQL takes in one message", a->params.bytes.len);
    rc = pg_prepare(&p->append, &statement_append, &a->params, err);
    if (rc == 0 && a->held)
        rc = pg_prepare(&p->append, &statement_commit, NULL, err);
    return rc;
}

static int send_batch(struct postgres_journal *p, struct err *err)
{
    struct postgres_appending *a = p->appending;
    struct pg_wire *wire = &p->append;
    a->deadline_ms = pg_deadline(wire);
    if (!a->transaction) {
        int rc = pg_send(wire, &statement_append, &a->params, err);
        return rc != 0 ? rc : pg_flush(wire, a->deadline_ms, err);
    }
    if (!PQenterPipelineMode(wire->pg))
        return pg_error(wire, NULL, "database", err);
    int rc = p->plain ? plain_send(p, err) : pg_send(wire, &statement_append, &a->params, err);
    if (rc == 0 && !p->plain)
        rc = pg_send(wire, &statement_commit, NULL, err);
    if (rc == 0 && !PQpipelineSync(wire->pg))
        rc = pg_error(wire, NULL, "database", err);
    return rc != 0 ? rc : pg_flush(wire, a->deadline_ms, err);
}

/* ---- the outcome ---- */

/* The connection is given up, and with it what the server may still be doing is out of sight. */
static int unknown(struct postgres_journal *p, const char *why, struct err *err)
{
    pg_close(&p->append);
    p->appending->held = false;
    return err_set(err, ERR_UNKNOWN, "database: whether the batch was committed is unknown: %s", why);
}

/* An error that the server says it has rolled back for. When it ends the session instead (FATAL) or says nothing,
 * the transaction may have been committed before: its answer is what was lost. Distributed databases say so in an
 * error of its own (40003, 08007; CockroachDB: "result is ambiguous"). */
static bool rolled_back(const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool ambiguous = sqlstate != NULL && (strcmp(sqlstate, "40003") == 0 || strcmp(sqlstate, "08007") == 0);
    return severity != NULL && strcmp(severity, "ERROR") == 0 && !ambiguous;
}

static int failure(struct postgres_journal *p, const PGresult *result, struct err *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (!rolled_back(result))
        return unknown(p, PQresultErrorMessage(result), err);
    if (sqlstate != NULL && strcmp(sqlstate, "CL110") == 0)
        return err_set(err, ERR_CONFIG, "database: %s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    if (sqlstate != NULL && strcmp(sqlstate, "22012") == 0) /* plain profile: see postgres_append_plain.c */
        return err_set(err, ERR_CONFLICT, "head of a ledger is not what was known");
    return pg_error(&p->append, result, "database", err);
}

/* The plain profile's batch of nothing is taken back: what it shows is that it could have been written. */
static const char *ends_with(const struct postgres_journal *p)
{
    return p->plain && appending_is_nothing(p) ? "ROLLBACK" : "COMMIT";
}

/* Takes results to the end of what was sent. A commit shows only there: a statement's success comes before it. */
static int take_outcome(struct postgres_journal *p, struct err *err)
{
    struct postgres_appending *a = p->appending;
    struct pg_wire *wire = &p->append;
    struct err local = {0};
    bool done = false, committed = false;
    int rc = 0;
    while (!done) {
        PGresult *result = NULL;
        if (pg_result(wire, a->deadline_ms, &result, &local) != 0)
            return unknown(p, local.message, err);
        ExecStatusType status = result == NULL ? PGRES_EMPTY_QUERY : PQresultStatus(result);
        if (result == NULL) /* the end of one statement, or of a connection */
            done = !a->transaction || PQstatus(wire->pg) != CONNECTION_OK;
        else if (status == PGRES_PIPELINE_SYNC)
            done = true;
        else if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
            committed = !a->transaction || strcmp(PQcmdStatus(result), ends_with(p)) == 0;
        else if (status != PGRES_PIPELINE_ABORTED && rc == 0)
            rc = failure(p, result, err);
        PQclear(result);
        if (rc != 0 && wire->pg == NULL)
            return rc;
    }
    if (a->transaction)
        (void)PQexitPipelineMode(wire->pg);
    if (rc == 0 && (!committed || PQtransactionStatus(wire->pg) != PQTRANS_IDLE))
        return unknown(p, "the connection was lost", err);
    if (PQtransactionStatus(wire->pg) != PQTRANS_IDLE && pg_exec(wire, "ROLLBACK", NULL, NULL) != 0)
        pg_close(wire);
    return rc;
}

/* ---- an outcome that was unknown ---- */

static int count_found(
    struct postgres_journal *p, const struct pg_statement *statement, int64_t *ret_n, struct err *err)
{
    PGresult *result;
    int rc = pg_run(&p->append, statement, &p->appending->params, &result, err);
    if (rc != 0)
        return rc;
    *ret_n = PQntuples(result) == 1 ? pg_int(result, 0, 0) : -1;
    PQclear(result);
    return 0;
}

/* The last record of record i's ledger in the batch? */
static bool is_last(const struct journal_batch *batch, size_t i)
{
    for (size_t k = i + 1; k < batch->n_records; k++)
        if (batch->records[k]->ledger == batch->records[i]->ledger)
            return false;
    return true;
}

#define LAST_RECORDS(put) \
    for (size_t i = 0; i < batch->n_records; i++) { \
        const struct record *r = batch->records[i]; \
        if (is_last(batch, i)) { \
            put; \
        } \
    }

/* Is the batch in the journal? Its last record of each ledger, with our hash, says so for all before it. */
static int find_records(
    struct postgres_journal *p, const struct journal_batch *batch, bool *ret_found, struct err *err)
{
    struct pg_params *params = &p->appending->params;
    int64_t wanted = 0, found = 0;
    pg_params_clear(params);
    pg_array_begin(params, PG_INT4);
    LAST_RECORDS(pg_array_int4(params, r->ledger); wanted++);
    pg_array_end(params);
    pg_array_begin(params, PG_INT8);
    LAST_RECORDS(pg_array_uint(params, r->seq));
    pg_array_end(params);
    pg_array_begin(params, PG_BYTEA);
    LAST_RECORDS(pg_array_bytes(params, r->hash, HASH_LEN));
    pg_array_end(params);
    int rc = count_found(p, &statement_find_records, &found, err);
    *ret_found = rc == 0 && found == wanted;
    return rc;
}

/* A batch of assets and ledgers alone: if they are there, nothing is left to do, whoever wrote them. */
static int find_catalog(
    struct postgres_journal *p, const struct journal_batch *batch, bool *ret_found, struct err *err)
{
    struct pg_params *params = &p->appending->params;
    int64_t found = 0;
    int rc = 0;
    *ret_found = batch->n_assets + batch->n_ledgers > 0;
    if (batch->n_assets > 0) {
        pg_params_clear(params);
        batch_encode_assets(params, &p->appending->rows);
        rc = count_found(p, &statement_find_assets, &found, err);
        *ret_found = *ret_found && found == (int64_t)batch->n_assets;
    }
    if (rc == 0 && batch->n_ledgers > 0) {
        pg_params_clear(params);
        batch_encode_ledgers(params, &p->appending->rows);
        rc = count_found(p, &statement_find_ledgers, &found, err);
        *ret_found = *ret_found && found == (int64_t)batch->n_ledgers;
    }
    return rc;
}

/*
 * The same batch was sent before. `rc` is what became of it now. Only a conflict tells something about then: it is the
 * batch itself that stands in the way, or else nothing of it will ever be in the journal, because the attempt that
 * was cut off continues the same heads as this one, and heads only move on. All other failures leave it unknown.
 */
static int resolve(struct postgres_journal *p, const struct journal_batch *batch, int rc, struct err *err)
{
    struct err local = {0};
    bool found = false;
    if (rc != ERR_CONFLICT && rc != ERR_DUPLICATE) {
        if (rc != 0 && rc != ERR_UNKNOWN && err != NULL) {
            local = *err;
            err_set(err, ERR_UNKNOWN, "whether the batch was committed is unknown still: %s", local.message);
        }
        return rc == 0 ? 0 : ERR_UNKNOWN;
    }
    int find = batch->n_records > 0 ? find_records(p, batch, &found, &local)
                                    : find_catalog(p, batch, &found, &local);
    if (find != 0)
        return err_set(
            err, ERR_UNKNOWN, "whether the batch was committed is unknown still: %s", local.message);
    return found ? 0 : rc;
}

/* ---- the port ---- */

int postgres_append_start(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct postgres_appending *a = p->appending;
    INVARIANT(p->mode == JOURNAL_WRITE && a != NULL && !a->under_way);
    int rc = prepare(p, batch, err);
    if (rc != 0) {
        appending_let_go(p);
        return batch->again ? resolve(p, batch, rc, err) : rc;
    }
    struct err local = {0};
    if (send_batch(p, &local) != 0)
        return unknown(p, local.message, err);
    a->under_way = true;
    return 0;
}

int postgres_append_finish(struct journal *j, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct postgres_appending *a = p->appending;
    INVARIANT(a != NULL && a->under_way);
    a->under_way = false;
    int rc = take_outcome(p, err);
    a->held = false;
    return a->rows.batch->again ? resolve(p, a->rows.batch, rc, err) : rc;
}

int postgres_append(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    int rc = postgres_append_start(j, batch, err);
    return rc != 0 ? rc : postgres_append_finish(j, err);
}

int postgres_append_fd(const struct journal *j)
{
    const struct postgres_journal *p = (const struct postgres_journal *)j;
    return p->append.pg == NULL ? -1 : PQsocket(p->append.pg);
}
