/* Reads of single rows and of ordered runs of them. */
#include <string.h>

#include "journal/sqlite_internal.h"

/* ---- accounts and keys ---- */

/* A row of SQL_ACCOUNT; external_id borrows from the statement. */
static bool account_row(sqlite3_stmt *statement, struct account *ret_account)
{
    int64_t holder = sqlite3_column_int64(statement, 0);
    *ret_account = (struct account){
        .ledger = (uint32_t)(holder >> SEQ_BITS) + 1,
        .number = (uint64_t)holder & SEQ_MAX,
        .asset = (uint32_t)sqlite3_column_int64(statement, 3),
        .type = (enum account_type)sqlite3_column_int(statement, 4),
        .external_id = sql_str(statement, 5),
        .opened_seq = sql_uint(statement, 6),
        .revision = (uint32_t)sqlite3_column_int64(statement, 7),
        .status = (enum account_status)sqlite3_column_int(statement, 8),
        .floor = sql_floor(statement, 9),
        .text_seq = sql_uint(statement, 10),
        .version = sql_uint(statement, 11),
        .seq = seq_of_place(sqlite3_column_int64(statement, 12)),
        .balance = {sqlite3_column_int64(statement, 13), sqlite3_column_int64(statement, 14),
            sqlite3_column_int64(statement, 15)},
    };
    return sql_uuid(statement, 1, ret_account->number, &ret_account->id);
}

static int account_fetch(
    struct sqlite_journal *s, struct account_want *want, struct arena *arena, struct err *err)
{
    sqlite3_stmt *statement;
    want->found = false;
    if (want->ledger < 1 || want->ledger > LIMIT_LEDGERS_MAX || want->number > SEQ_MAX)
        return 0;
    int rc = sql_get(s, want->number ? SQL_ACCOUNT_BY_NUMBER : SQL_ACCOUNT_BY_EXTERNAL_ID, &statement, err);
    if (rc != 0)
        return rc;
    if (want->number) {
        sqlite3_bind_int64(statement, 1, record_key(want->ledger, want->number));
    } else {
        sqlite3_bind_int64(statement, 1, want->ledger);
        sql_bind_str(statement, 2, want->external_id);
    }
    rc = sql_step(s, statement, err);
    if (rc <= 0)
        return rc;
    want->found = account_row(statement, &want->account);
    want->account.external_id = arena_str(arena, want->account.external_id);
    sqlite3_reset(statement);
    return want->found ? 0 : sql_damaged(err, "account", want->ledger, want->account.number);
}

int sqlite_accounts_fetch(
    struct journal *j, struct account_want *wants, size_t n, struct arena *arena, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    bool began;
    int rc = sql_read_begin(s, &began, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = account_fetch(s, &wants[i], arena, err);
    sql_read_end(s, began);
    return rc;
}

int sqlite_accounts(struct journal *j, uint32_t ledger, uint64_t after_number, size_t limit,
    journal_account_visit *visit, void *ctx, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    sqlite3_stmt *statement;
    if (ledger < 1 || ledger > LIMIT_LEDGERS_MAX || after_number >= SEQ_MAX)
        return 0;
    int rc = sql_get(s, SQL_ACCOUNTS, &statement, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(statement, 1, record_key(ledger, after_number + 1));
    sqlite3_bind_int64(statement, 2, record_key(ledger, SEQ_MAX));
    sqlite3_bind_int64(statement, 3, limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
    while ((rc = sql_step(s, statement, err)) > 0) {
        struct account account;
        rc = account_row(statement, &account) ? visit(ctx, &account)
                                              : sql_damaged(err, "account", ledger, account.number);
        if (rc != 0) {
            sqlite3_reset(statement);
            break;
        }
    }
    return rc;
}

static int key_fetch(struct sqlite_journal *s, struct key_want *want, struct err *err)
{
    sqlite3_stmt *statement;
    want->found = false;
    int rc = sql_get(s, SQL_KEY, &statement, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(statement, 1, want->ledger);
    sql_bind_str(statement, 2, want->key);
    rc = sql_step(s, statement, err);
    if (rc <= 0)
        return rc;
    want->seq = seq_of_record(sqlite3_column_int64(statement, 0));
    want->found = sql_bytes(statement, 1, want->request_hash, HASH_LEN);
    sqlite3_reset(statement);
    return want->found ? 0 : sql_damaged(err, "record", want->ledger, want->seq);
}

int sqlite_keys_fetch(struct journal *j, struct key_want *wants, size_t n, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    bool began;
    int rc = sql_read_begin(s, &began, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = key_fetch(s, &wants[i], err);
    sql_read_end(s, began);
    return rc;
}

/* ---- entries and lots ---- */

bool sqlite_entry_row(sqlite3_stmt *statement, struct entry *ret_entry)
{
    int64_t place = sqlite3_column_int64(statement, 0);
    bool backdated = sqlite3_column_type(statement, 13) != SQLITE_NULL;
    *ret_entry = (struct entry){
        .leg = (uint32_t)((uint64_t)place & LEG_MAX),
        .account = sql_uint(statement, 1),
        .version = sql_uint(statement, 2),
        .asset = (uint32_t)sqlite3_column_int64(statement, 3),
        .side = (int8_t)sqlite3_column_int(statement, 4),
        .revision = (uint32_t)sqlite3_column_int64(statement, 5),
        .floor = sql_floor(statement, 6),
        .change = {sqlite3_column_int64(statement, 7), sqlite3_column_int64(statement, 8),
            sqlite3_column_int64(statement, 9)},
        .after = {sqlite3_column_int64(statement, 10), sqlite3_column_int64(statement, 11),
            sqlite3_column_int64(statement, 12)},
        .backdated = backdated,
        .effective_at = sqlite3_column_int64(statement, backdated ? 13 : 16),
    };
    return sql_uuid(statement, 14, ret_entry->account, &ret_entry->account_id);
}

int sqlite_entry(struct journal *j, uint32_t ledger, uint64_t account, uint64_t version,
    struct entry *ret_entry, uint64_t *ret_seq, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    sqlite3_stmt *statement;
    int rc = sql_get(s, SQL_ENTRY_ONE, &statement, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(statement, 1, ledger);
    sql_bind_uint(statement, 2, account);
    sql_bind_uint(statement, 3, version);
    rc = sql_step(s, statement, err);
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "account %u/%llu has no version %llu", ledger,
            (unsigned long long)account, (unsigned long long)version);
    if (rc < 0)
        return rc;
    bool good = sqlite_entry_row(statement, ret_entry);
    *ret_seq = seq_of_place(sqlite3_column_int64(statement, 0));
    sqlite3_reset(statement);
    return good ? 0 : sql_damaged(err, "record", ledger, *ret_seq);
}

static int visit_entries(struct sqlite_journal *s, sqlite3_stmt *statement, uint32_t ledger,
    journal_entry_visit *visit, void *ctx, struct err *err)
{
    int rc;
    while ((rc = sql_step(s, statement, err)) > 0) {
        struct entry entry;
        uint64_t seq = seq_of_place(sqlite3_column_int64(statement, 0));
        rc = sqlite_entry_row(statement, &entry) ? visit(ctx, &entry, seq)
                                                 : sql_damaged(err, "record", ledger, seq);
        if (rc != 0) {
            sqlite3_reset(statement);
            break;
        }
    }
    return rc;
}

/* Versions are asked for with an open end as UINT64_MAX; SQLite's integers have a sign. */
static uint64_t version_bound(uint64_t version)
{
    return version > INT64_MAX ? INT64_MAX : version;
}

int sqlite_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    bool descending, journal_entry_visit *visit, void *ctx, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    sqlite3_stmt *statement;
    int rc = sql_get(s, descending ? SQL_ENTRIES_DOWN : SQL_ENTRIES_UP, &statement, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(statement, 1, ledger);
    sql_bind_uint(statement, 2, account);
    sql_bind_uint(statement, 3, version_bound(first));
    sql_bind_uint(statement, 4, version_bound(last));
    return visit_entries(s, statement, ledger, visit, ctx, err);
}

int sqlite_late_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    int64_t from, int64_t to, int64_t after_effective, uint64_t after_version, journal_entry_visit *visit,
    void *ctx, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    sqlite3_stmt *statement;
    int rc = sql_get(s, SQL_LATE_ENTRIES, &statement, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(statement, 1, ledger);
    sql_bind_uint(statement, 2, account);
    sql_bind_uint(statement, 3, version_bound(first));
    sql_bind_uint(statement, 4, version_bound(last));
    sqlite3_bind_int64(statement, 5, from);
    sqlite3_bind_int64(statement, 6, to);
    sqlite3_bind_int64(statement, 7, after_effective);
    sql_bind_uint(statement, 8, version_bound(after_version));
    return visit_entries(s, statement, ledger, visit, ctx, err);
}

int sqlite_recorded_at(
    struct journal *j, uint32_t ledger, uint64_t seq, int64_t *ret_instant, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    sqlite3_stmt *statement;
    int rc = seq < 1 || seq > SEQ_MAX ? 0 : sql_get(s, SQL_RECORDED_AT, &statement, err);
    if (rc == 0 && seq >= 1 && seq <= SEQ_MAX) {
        sqlite3_bind_int64(statement, 1, record_key(ledger, seq));
        rc = sql_step(s, statement, err);
    }
    if (rc == 0)
        return err_set(err, ERR_NOT_FOUND, "no record %u/%llu", ledger, (unsigned long long)seq);
    if (rc < 0)
        return rc;
    *ret_instant = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return 0;
}

void sqlite_lot_row(sqlite3_stmt *statement, struct lot *ret_lot)
{
    *ret_lot = (struct lot){
        .origin = sql_uint(statement, 0),
        .leg = (uint32_t)sqlite3_column_int64(statement, 1),
        .kind = (enum lot_kind)sqlite3_column_int(statement, 2),
        .version = (uint32_t)sqlite3_column_int64(statement, 3),
        .account = sql_uint(statement, 4),
        .change = sqlite3_column_int64(statement, 5),
        .remaining_after = sqlite3_column_int64(statement, 6),
        .has_due = sqlite3_column_type(statement, 7) != SQLITE_NULL,
        .due_at = sqlite3_column_int64(statement, 7),
    };
}

int sqlite_lots(struct journal *j, uint32_t ledger, uint64_t origin, struct arena *arena,
    const struct lot **ret_lots, size_t *ret_n, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    sqlite3_stmt *statement;
    int rc = sql_get(s, SQL_LOTS, &statement, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(statement, 1, ledger);
    sql_bind_uint(statement, 2, origin);
    struct lot *lots = NULL;
    size_t n = 0, cap = 0;
    while ((rc = sql_step(s, statement, err)) > 0) {
        if (n == cap) {
            struct lot *more = ARENA_ARRAY(arena, struct lot, cap = cap ? 2 * cap : 8);
            if (n > 0)
                memcpy(more, lots, n * sizeof *lots);
            lots = more;
        }
        sqlite_lot_row(statement, &lots[n++]);
    }
    if (rc < 0)
        return rc;
    *ret_lots = lots;
    *ret_n = n;
    return 0;
}
