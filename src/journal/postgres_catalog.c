/* Ledgers, assets, and where a ledger's journal ends. */
#include "journal/postgres_internal.h"

static const struct pg_statement statement_ledgers = {
    "ledgers", "SELECT id, name, default_floor, created_at FROM creditledger.ledger ORDER BY id"};
static const struct pg_statement statement_assets = {
    "assets", "SELECT id, code, scale FROM creditledger.asset ORDER BY id"};
/* One statement, so one state: the head and the number of accounts agree. */
static const struct pg_statement statement_head = {"head",
    "SELECT l.id, l.name, l.default_floor, l.created_at, j.seq, j.recorded_at, j.hash,"
    " (SELECT a.number FROM creditledger.account a WHERE a.ledger = l.id ORDER BY a.number DESC LIMIT 1)"
    " FROM creditledger.ledger l LEFT JOIN LATERAL (SELECT seq, recorded_at, hash FROM creditledger.journal"
    " WHERE ledger = l.id ORDER BY seq DESC LIMIT 1) j ON true WHERE l.id = $1"};
static const struct pg_statement statement_heads = {"heads",
    "SELECT l.id, (SELECT j.seq FROM creditledger.journal j WHERE j.ledger = l.id ORDER BY j.seq DESC LIMIT "
    "1)"
    " FROM creditledger.ledger l ORDER BY l.id"};

static bool ledger_row(const PGresult *result, int row, struct ledger_row *ret_row)
{
    *ret_row = (struct ledger_row){
        .id = (uint32_t)pg_int(result, row, 0),
        .default_floor = pg_floor(result, row, 2),
        .created_at = pg_int(result, row, 3),
    };
    return pg_name(result, row, 1, ret_row->name, sizeof ret_row->name);
}

int postgres_ledgers(struct journal *j, journal_ledger_visit *visit, void *ctx, struct err *err)
{
    struct pg_wire *wire;
    PGresult *result = NULL;
    int rc = postgres_reading((struct postgres_journal *)j, &wire, err);
    if (rc == 0)
        rc = pg_run(wire, &statement_ledgers, NULL, &result, err);
    for (int i = 0; rc == 0 && i < PQntuples(result); i++) {
        struct ledger_row row;
        rc = ledger_row(result, i, &row) ? visit(ctx, &row) : postgres_damaged(err, "ledger", row.id, 0);
    }
    PQclear(result);
    return rc;
}

int postgres_assets(struct journal *j, journal_asset_visit *visit, void *ctx, struct err *err)
{
    struct pg_wire *wire;
    PGresult *result = NULL;
    int rc = postgres_reading((struct postgres_journal *)j, &wire, err);
    if (rc == 0)
        rc = pg_run(wire, &statement_assets, NULL, &result, err);
    for (int i = 0; rc == 0 && i < PQntuples(result); i++) {
        struct asset asset = {.id = (uint32_t)pg_int(result, i, 0), .scale = (uint8_t)pg_int(result, i, 2)};
        rc = pg_name(result, i, 1, asset.code, sizeof asset.code)
                 ? visit(ctx, &asset)
                 : postgres_damaged(err, "asset", asset.id, 0);
    }
    PQclear(result);
    return rc;
}

static int head_row(
    struct postgres_journal *p, const PGresult *result, struct ledger_head *ret_head, struct err *err)
{
    struct ledger_row row;
    if (!ledger_row(result, 0, &row))
        return postgres_damaged(err, "ledger", row.id, 0);
    *ret_head = (struct ledger_head){.recorded_at = row.created_at, .accounts = pg_uint(result, 0, 7)};
    if (pg_is_null(result, 0, 4)) {
        digest_genesis(p->digest, &row, ret_head->hash);
        return 0;
    }
    ret_head->seq = pg_uint(result, 0, 4);
    ret_head->recorded_at = pg_int(result, 0, 5);
    return pg_bytes(result, 0, 6, ret_head->hash, HASH_LEN)
               ? 0
               : postgres_damaged(err, "record", row.id, ret_head->seq);
}

int postgres_head(struct journal *j, uint32_t ledger, struct ledger_head *ret_head, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct pg_wire *wire;
    PGresult *result = NULL;
    if (ledger < 1 || ledger > LIMIT_LEDGERS_MAX)
        return err_set(err, ERR_NOT_FOUND, "no ledger %u", ledger);
    int rc = postgres_reading(p, &wire, err);
    if (rc != 0)
        return rc;
    pg_params_clear(&p->params);
    pg_put_int4(&p->params, ledger);
    rc = pg_run(wire, &statement_head, &p->params, &result, err);
    if (rc == 0 && PQntuples(result) == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no ledger %u", ledger);
    if (rc == 0)
        rc = head_row(p, result, ret_head, err);
    PQclear(result);
    return rc;
}

int postgres_heads(struct journal *j, journal_head_visit *visit, void *ctx, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct pg_wire *wire = &p->listen; /* who listens reads over that connection too */
    PGresult *result = NULL;
    int rc = p->listen.listening ? pg_ready(wire, err) : postgres_reading(p, &wire, err);
    if (rc == 0)
        rc = pg_run(wire, &statement_heads, NULL, &result, err);
    for (int i = 0; rc == 0 && i < PQntuples(result); i++)
        rc = visit(ctx, (uint32_t)pg_int(result, i, 0), pg_uint(result, i, 1));
    PQclear(result);
    return rc;
}
