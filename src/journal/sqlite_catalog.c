/* Ledgers, assets, and where a ledger's journal ends. */
#include <string.h>

#include "journal/sqlite_internal.h"

/* Copies to a fixed, NUL-terminated field; false if it does not fit. */
static bool copy_name(sqlite3_stmt *statement, int column, char *ret_name, size_t size)
{
    struct str name = sql_str(statement, column);
    if (name.data == NULL || name.len >= size)
        return false;
    memcpy(ret_name, name.data, name.len);
    ret_name[name.len] = '\0';
    return true;
}

static bool ledger_row(sqlite3_stmt *statement, struct ledger_row *ret_row)
{
    *ret_row = (struct ledger_row){
        .id = (uint32_t)sqlite3_column_int64(statement, 0),
        .default_floor = sql_floor(statement, 2),
        .created_at = sqlite3_column_int64(statement, 3),
    };
    return copy_name(statement, 1, ret_row->name, sizeof ret_row->name);
}

int sqlite_ledgers(struct journal *j, journal_ledger_visit *visit, void *ctx, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    sqlite3_stmt *statement;
    int rc = sql_get(s, SQL_LEDGERS, &statement, err);
    while (rc == 0 && (rc = sql_step(s, statement, err)) > 0) {
        struct ledger_row row;
        rc = ledger_row(statement, &row) ? visit(ctx, &row) : sql_damaged(err, "ledger", row.id, 0);
        if (rc != 0)
            sqlite3_reset(statement);
        else
            continue;
        break;
    }
    return rc;
}

int sqlite_assets(struct journal *j, journal_asset_visit *visit, void *ctx, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    sqlite3_stmt *statement;
    int rc = sql_get(s, SQL_ASSETS, &statement, err);
    while (rc == 0 && (rc = sql_step(s, statement, err)) > 0) {
        struct asset asset = {.id = (uint32_t)sqlite3_column_int64(statement, 0),
            .scale = (uint8_t)sqlite3_column_int(statement, 2)};
        rc = copy_name(statement, 1, asset.code, sizeof asset.code) ? visit(ctx, &asset)
                                                                    : sql_damaged(err, "asset", asset.id, 0);
        if (rc != 0) {
            sqlite3_reset(statement);
            break;
        }
    }
    return rc;
}

static int empty_head(
    struct sqlite_journal *s, uint32_t ledger, struct ledger_head *ret_head, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = sql_get(s, SQL_LEDGER, &statement, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(statement, 1, ledger);
    rc = sql_step(s, statement, err);
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "no ledger %u", ledger);
    if (rc < 0)
        return rc;
    struct ledger_row row;
    bool good = ledger_row(statement, &row);
    sqlite3_reset(statement);
    if (!good)
        return sql_damaged(err, "ledger", ledger, 0);
    *ret_head = (struct ledger_head){.recorded_at = row.created_at};
    digest_genesis(s->digest, &row, ret_head->hash);
    return 0;
}

static int last_record(
    struct sqlite_journal *s, uint32_t ledger, struct ledger_head *ret_head, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = sql_get(s, SQL_HEAD, &statement, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(statement, 1, record_key(ledger, 0));
    sqlite3_bind_int64(statement, 2, record_key(ledger, SEQ_MAX));
    rc = sql_step(s, statement, err);
    if (rc == 0)
        return empty_head(s, ledger, ret_head, err);
    if (rc < 0)
        return rc;
    *ret_head = (struct ledger_head){.seq = seq_of_record(sqlite3_column_int64(statement, 0)),
        .recorded_at = sqlite3_column_int64(statement, 1)};
    bool good = sql_bytes(statement, 2, ret_head->hash, HASH_LEN);
    sqlite3_reset(statement);
    return good ? 0 : sql_damaged(err, "record", ledger, ret_head->seq);
}

int sqlite_head(struct journal *j, uint32_t ledger, struct ledger_head *ret_head, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    if (ledger < 1 || ledger > LIMIT_LEDGERS_MAX)
        return err_set(err, ERR_NOT_FOUND, "no ledger %u", ledger);
    bool began;
    sqlite3_stmt *statement;
    int rc = sql_read_begin(s, &began, err);
    if (rc != 0)
        return rc;
    rc = last_record(s, ledger, ret_head, err);
    if (rc == 0)
        rc = sql_get(s, SQL_LAST_ACCOUNT, &statement, err);
    if (rc == 0) {
        sqlite3_bind_int64(statement, 1, record_key(ledger, 0));
        sqlite3_bind_int64(statement, 2, record_key(ledger, SEQ_MAX));
        rc = sql_step(s, statement, err);
    }
    if (rc > 0) {
        ret_head->accounts = seq_of_record(sqlite3_column_int64(statement, 0));
        sqlite3_reset(statement);
        rc = 0;
    }
    sql_read_end(s, began);
    return rc;
}
