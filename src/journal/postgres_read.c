/* Reads of single rows and of ordered runs of them. Long runs are fetched in pages, by key, so that memory is bounded. */
#include <string.h>

#include "journal/postgres_internal.h"

#define PAGE_ROWS 500

/* An account with its newest revision and newest entry. */
#define ACCOUNT_COLUMNS \
    "a.ledger, a.number, a.id_high, a.id_low, a.asset, a.type, a.external_id, a.opened_seq, r.revision, " \
    "r.status," \
    " r.floor, r.text_seq, e.version, e.seq, e.posted_after, e.incoming_after, e.outgoing_after"
#define ACCOUNT_HEAD \
    " CROSS JOIN LATERAL (SELECT v.revision, v.status, v.floor, v.text_seq FROM " \
    "creditledger.account_revision v" \
    " WHERE v.ledger = a.ledger AND v.account = a.number ORDER BY v.revision DESC LIMIT 1) r" \
    " CROSS JOIN LATERAL (SELECT n.version, n.seq, n.posted_after, n.incoming_after, n.outgoing_after" \
    " FROM creditledger.entry n WHERE n.ledger = a.ledger AND n.account = a.number" \
    " ORDER BY n.version DESC LIMIT 1) e"
enum { ACCOUNT_COLUMN_COUNT = 17 };

static const struct pg_statement statement_accounts_fetch = {"accounts_fetch",
    "SELECT " ACCOUNT_COLUMNS ", w.i FROM unnest($1::int[], $2::bigint[], $3::text[]) WITH ORDINALITY"
    " AS w(ledger, number, external_id, i)"
    " CROSS JOIN LATERAL (SELECT * FROM creditledger.account b WHERE b.ledger = w.ledger AND b.number ="
    " CASE WHEN w.number > 0 THEN w.number ELSE (SELECT c.number FROM creditledger.account c"
    " WHERE c.ledger = w.ledger AND c.external_id = w.external_id) END LIMIT 1) a" ACCOUNT_HEAD};
static const struct pg_statement statement_accounts = {"accounts",
    "SELECT " ACCOUNT_COLUMNS " FROM (SELECT * FROM creditledger.account WHERE ledger = $1 AND number > $2"
    " ORDER BY number LIMIT $3) a" ACCOUNT_HEAD " ORDER BY a.number"};
static const struct pg_statement statement_keys_fetch = {"keys_fetch",
    "SELECT w.i, j.seq, j.request_hash FROM unnest($1::int[], $2::text[]) WITH ORDINALITY AS w(ledger, key, "
    "i)"
    " CROSS JOIN LATERAL (SELECT k.seq, k.request_hash FROM creditledger.journal k"
    " WHERE k.ledger = w.ledger AND k.idempotency_key = w.key LIMIT 1) j"};

/* An entry with what its row leaves out: the account's id, and when the record was effective. */
#define ENTRY_JOINS \
    " FROM creditledger.entry e LEFT JOIN LATERAL (SELECT b.id_high, b.id_low FROM creditledger.account b" \
    " WHERE b.ledger = e.ledger AND b.number = e.account LIMIT 1) a ON true" \
    " LEFT JOIN LATERAL (SELECT k.effective_at FROM creditledger.journal k" \
    " WHERE k.ledger = e.ledger AND k.seq = e.seq LIMIT 1) j ON true"
#define SELECT_ENTRY "SELECT " POSTGRES_ENTRY_COLUMNS ", a.id_high, a.id_low, j.effective_at" ENTRY_JOINS
static const struct pg_statement statement_entries_up = {"entries_up",
    SELECT_ENTRY " WHERE e.ledger = $1 AND e.account = $2 AND e.version BETWEEN $3 AND $4"
                 " ORDER BY e.version LIMIT $5"};
static const struct pg_statement statement_entries_down = {"entries_down",
    SELECT_ENTRY " WHERE e.ledger = $1 AND e.account = $2 AND e.version BETWEEN $3 AND $4"
                 " ORDER BY e.version DESC LIMIT $5"};
static const struct pg_statement statement_late_entries = {"late_entries",
    SELECT_ENTRY " WHERE e.ledger = $1 AND e.account = $2 AND e.version BETWEEN $3 AND $4"
                 " AND e.effective_at IS NOT NULL AND e.effective_at >= $5 AND e.effective_at < $6"
                 " AND (e.effective_at, e.version) > ($7, $8) ORDER BY e.effective_at, e.version LIMIT $9"};
static const struct pg_statement statement_recorded_at = {
    "recorded_at", "SELECT recorded_at FROM creditledger.journal WHERE ledger = $1 AND seq = $2"};
static const struct pg_statement statement_lots = {"lots",
    "SELECT " POSTGRES_LOT_COLUMNS
    " FROM creditledger.lot l WHERE l.ledger = $1 AND l.origin = $2 AND NOT EXISTS"
    " (SELECT FROM creditledger.lot n WHERE n.ledger = l.ledger AND n.origin = l.origin AND n.leg = l.leg"
    " AND n.kind = l.kind AND n.version = l.version + 1) ORDER BY l.leg, l.kind"};

/* Text that no column can hold (a NUL, bytes that are not UTF-8) is not there: it is asked for as NULL. */
static void put_text(struct pg_params *params, struct str s)
{
    bool storable = s.data != NULL && memchr(s.data, '\0', s.len) == NULL && str_utf8_valid(s);
    pg_array_str(params, storable ? s : STR_NONE);
}

/* Clears the scratch and starts it with the ledger. */
static struct pg_params *params_of(struct postgres_journal *p, uint32_t ledger)
{
    pg_params_clear(&p->params);
    pg_put_int4(&p->params, ledger > LIMIT_LEDGERS_MAX ? 0 : ledger); /* there is no ledger 0 */
    return &p->params;
}

static int run(
    struct postgres_journal *p, const struct pg_statement *statement, PGresult **ret_result, struct err *err)
{
    struct pg_wire *wire;
    *ret_result = NULL;
    int rc = postgres_reading(p, &wire, err);
    return rc != 0 ? rc : pg_run(wire, statement, &p->params, ret_result, err);
}

/* ---- accounts and keys ---- */

/* external_id borrows from the result. */
static bool account_row(const PGresult *result, int row, struct account *ret_account)
{
    *ret_account = (struct account){
        .ledger = (uint32_t)pg_int(result, row, 0),
        .number = pg_uint(result, row, 1),
        .asset = (uint32_t)pg_int(result, row, 4),
        .type = (enum account_type)pg_int(result, row, 5),
        .external_id = pg_str(result, row, 6),
        .opened_seq = pg_uint(result, row, 7),
        .revision = (uint32_t)pg_int(result, row, 8),
        .status = (enum account_status)pg_int(result, row, 9),
        .floor = pg_floor(result, row, 10),
        .text_seq = pg_uint(result, row, 11),
        .version = pg_uint(result, row, 12),
        .seq = pg_uint(result, row, 13),
        .balance = {pg_int(result, row, 14), pg_int(result, row, 15), pg_int(result, row, 16)},
    };
    return pg_uuid(result, row, 2, ret_account->number, &ret_account->id);
}

static void put_wants(struct pg_params *params, struct account_want *wants, size_t n)
{
    pg_params_clear(params);
    pg_array_begin(params, PG_INT4);
    for (size_t i = 0; i < n; i++)
        pg_array_int4(params, wants[i].ledger > LIMIT_LEDGERS_MAX ? 0 : wants[i].ledger);
    pg_array_end(params);
    pg_array_begin(params, PG_INT8);
    for (size_t i = 0; i < n; i++)
        pg_array_uint(params, wants[i].number);
    pg_array_end(params);
    pg_array_begin(params, PG_TEXT);
    for (size_t i = 0; i < n; i++)
        put_text(params, wants[i].number ? STR_NONE : wants[i].external_id);
    pg_array_end(params);
}

int postgres_accounts_fetch(
    struct journal *j, struct account_want *wants, size_t n, struct arena *arena, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    PGresult *result = NULL;
    for (size_t i = 0; i < n; i++)
        wants[i].found = false;
    put_wants(&p->params, wants, n);
    int rc = n == 0 ? 0 : run(p, &statement_accounts_fetch, &result, err);
    for (int i = 0; rc == 0 && n > 0 && i < PQntuples(result); i++) {
        uint64_t place = pg_uint(result, i, ACCOUNT_COLUMN_COUNT);
        INVARIANT(place >= 1 && place <= n);
        struct account_want *want = &wants[place - 1];
        want->found = account_row(result, i, &want->account);
        want->account.external_id = arena_str(arena, want->account.external_id);
        if (!want->found)
            rc = postgres_damaged(err, "account", want->ledger, want->account.number);
    }
    PQclear(result);
    return rc;
}

int postgres_accounts(struct journal *j, uint32_t ledger, uint64_t after_number, size_t limit,
    journal_account_visit *visit, void *ctx, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    int rc = 0;
    for (bool more = true; rc == 0 && more && limit > 0;) {
        PGresult *result;
        size_t page = limit < PAGE_ROWS ? limit : PAGE_ROWS;
        struct pg_params *params = params_of(p, ledger);
        pg_put_uint(params, after_number);
        pg_put_uint(params, page);
        rc = run(p, &statement_accounts, &result, err);
        if (rc != 0)
            return rc;
        int rows = PQntuples(result);
        for (int i = 0; rc == 0 && i < rows; i++) {
            struct account account;
            rc = account_row(result, i, &account) ? visit(ctx, &account)
                                                  : postgres_damaged(err, "account", ledger, account.number);
            after_number = account.number;
        }
        PQclear(result);
        more = (size_t)rows == page;
        limit -= page;
    }
    return rc;
}

int postgres_keys_fetch(struct journal *j, struct key_want *wants, size_t n, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    struct pg_params *params = &p->params;
    PGresult *result = NULL;
    pg_params_clear(params);
    pg_array_begin(params, PG_INT4);
    for (size_t i = 0; i < n; i++)
        pg_array_int4(params, wants[i].ledger > LIMIT_LEDGERS_MAX ? 0 : wants[i].ledger);
    pg_array_end(params);
    pg_array_begin(params, PG_TEXT);
    for (size_t i = 0; i < n; i++) {
        wants[i].found = false;
        put_text(params, wants[i].key);
    }
    pg_array_end(params);
    int rc = n == 0 ? 0 : run(p, &statement_keys_fetch, &result, err);
    for (int i = 0; rc == 0 && n > 0 && i < PQntuples(result); i++) {
        uint64_t place = pg_uint(result, i, 0);
        INVARIANT(place >= 1 && place <= n);
        struct key_want *want = &wants[place - 1];
        want->seq = pg_uint(result, i, 1);
        want->found = pg_bytes(result, i, 2, want->request_hash, HASH_LEN);
        if (!want->found)
            rc = postgres_damaged(err, "record", want->ledger, want->seq);
    }
    PQclear(result);
    return rc;
}

/* ---- entries and lots ---- */

void postgres_entry_row(const PGresult *result, int row, struct entry *ret_entry)
{
    *ret_entry = (struct entry){
        .leg = (uint32_t)pg_int(result, row, 1),
        .account = pg_uint(result, row, 2),
        .version = pg_uint(result, row, 3),
        .asset = (uint32_t)pg_int(result, row, 4),
        .side = (int8_t)pg_int(result, row, 5),
        .revision = (uint32_t)pg_int(result, row, 6),
        .floor = pg_floor(result, row, 7),
        .change = {pg_int(result, row, 8), pg_int(result, row, 9), pg_int(result, row, 10)},
        .after = {pg_int(result, row, 11), pg_int(result, row, 12), pg_int(result, row, 13)},
        .backdated = !pg_is_null(result, row, 14),
        .effective_at = pg_int(result, row, 14),
    };
}

/* A row of SELECT_ENTRY. */
static bool joined_entry(const PGresult *result, int row, struct entry *ret_entry, uint64_t *ret_seq)
{
    postgres_entry_row(result, row, ret_entry);
    *ret_seq = pg_uint(result, row, POSTGRES_ENTRY_SEQ);
    if (!ret_entry->backdated)
        ret_entry->effective_at = pg_int(result, row, POSTGRES_ENTRY_COLUMN_COUNT + 2);
    return pg_uuid(result, row, POSTGRES_ENTRY_COLUMN_COUNT, ret_entry->account, &ret_entry->account_id);
}

int postgres_entry(struct journal *j, uint32_t ledger, uint64_t account, uint64_t version,
    struct entry *ret_entry, uint64_t *ret_seq, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    PGresult *result;
    struct pg_params *params = params_of(p, ledger);
    pg_put_uint(params, account);
    pg_put_uint(params, version);
    pg_put_uint(params, version);
    pg_put_int8(params, 1);
    int rc = run(p, &statement_entries_up, &result, err);
    if (rc == 0 && PQntuples(result) == 0)
        rc = err_set(err, ERR_NOT_FOUND, "account %u/%llu has no version %llu", ledger,
            (unsigned long long)account, (unsigned long long)version);
    if (rc == 0 && !joined_entry(result, 0, ret_entry, ret_seq))
        rc = postgres_damaged(err, "record", ledger, *ret_seq);
    PQclear(result);
    return rc;
}

/* Visits a page; *ret_last is its last entry. */
static int visit_page(const PGresult *result, uint32_t ledger, journal_entry_visit *visit, void *ctx,
    struct entry *ret_last, struct err *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < PQntuples(result); i++) {
        uint64_t seq;
        rc = joined_entry(result, i, ret_last, &seq) ? visit(ctx, ret_last, seq)
                                                     : postgres_damaged(err, "record", ledger, seq);
    }
    return rc;
}

int postgres_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    bool descending, journal_entry_visit *visit, void *ctx, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    int rc = 0;
    for (bool more = true; rc == 0 && more && first <= last;) {
        PGresult *result;
        struct entry end;
        struct pg_params *params = params_of(p, ledger);
        pg_put_uint(params, account);
        pg_put_uint(params, first);
        pg_put_uint(params, last);
        pg_put_int8(params, PAGE_ROWS);
        rc = run(p, descending ? &statement_entries_down : &statement_entries_up, &result, err);
        if (rc != 0)
            return rc;
        more = PQntuples(result) == PAGE_ROWS;
        rc = visit_page(result, ledger, visit, ctx, &end, err);
        PQclear(result);
        if (more && descending)
            last = end.version - 1;
        else if (more)
            first = end.version + 1;
    }
    return rc;
}

int postgres_late_entries(struct journal *j, uint32_t ledger, uint64_t account, uint64_t first, uint64_t last,
    int64_t from, int64_t to, int64_t after_effective, uint64_t after_version, journal_entry_visit *visit,
    void *ctx, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    int rc = 0;
    for (bool more = true; rc == 0 && more;) {
        PGresult *result;
        struct entry end;
        struct pg_params *params = params_of(p, ledger);
        pg_put_uint(params, account);
        pg_put_uint(params, first);
        pg_put_uint(params, last);
        pg_put_int8(params, from);
        pg_put_int8(params, to);
        pg_put_int8(params, after_effective);
        pg_put_uint(params, after_version);
        pg_put_int8(params, PAGE_ROWS);
        rc = run(p, &statement_late_entries, &result, err);
        if (rc != 0)
            return rc;
        more = PQntuples(result) == PAGE_ROWS;
        rc = visit_page(result, ledger, visit, ctx, &end, err);
        PQclear(result);
        if (more) {
            after_effective = end.effective_at;
            after_version = end.version;
        }
    }
    return rc;
}

int postgres_recorded_at(
    struct journal *j, uint32_t ledger, uint64_t seq, int64_t *ret_instant, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    PGresult *result;
    pg_put_uint(params_of(p, ledger), seq);
    int rc = run(p, &statement_recorded_at, &result, err);
    if (rc == 0 && PQntuples(result) == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no record %u/%llu", ledger, (unsigned long long)seq);
    if (rc == 0)
        *ret_instant = pg_int(result, 0, 0);
    PQclear(result);
    return rc;
}

void postgres_lot_row(const PGresult *result, int row, struct lot *ret_lot)
{
    *ret_lot = (struct lot){
        .origin = pg_uint(result, row, 0),
        .leg = (uint32_t)pg_int(result, row, 1),
        .kind = (enum lot_kind)pg_int(result, row, 2),
        .version = (uint32_t)pg_int(result, row, 3),
        .account = pg_uint(result, row, 4),
        .change = pg_int(result, row, 5),
        .remaining_after = pg_int(result, row, 6),
        .has_due = !pg_is_null(result, row, 7),
        .due_at = pg_int(result, row, 7),
    };
}

int postgres_lots(struct journal *j, uint32_t ledger, uint64_t origin, struct arena *arena,
    const struct lot **ret_lots, size_t *ret_n, struct err *err)
{
    struct postgres_journal *p = (struct postgres_journal *)j;
    PGresult *result;
    pg_put_uint(params_of(p, ledger), origin);
    int rc = run(p, &statement_lots, &result, err);
    if (rc != 0)
        return rc;
    size_t n = (size_t)PQntuples(result);
    struct lot *lots = ARENA_ARRAY(arena, struct lot, n);
    for (size_t i = 0; i < n; i++)
        postgres_lot_row(result, (int)i, &lots[i]);
    PQclear(result);
    *ret_lots = lots;
    *ret_n = n;
    return 0;
}
