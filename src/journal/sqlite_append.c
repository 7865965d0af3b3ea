/* Appending: one transaction a batch, from parts to seal as the schema wants it. */
#include <stdio.h>
#include <string.h>

#include "journal/sqlite_internal.h"

/* After so many frames the WAL is moved into the database as far as readers let it; after that many a writer
 * waits for the readers, shortly, so that the file does not grow without bound. */
#define WAL_FRAMES_MOVE 4000
#define WAL_FRAMES_WAIT 64000
#define WAL_WAIT_MS 200

static int append_catalog(struct sqlite_journal *s, const struct journal_batch *batch, struct err *err)
{
    sqlite3_stmt *st;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->n_assets; i++) {
        const struct asset *asset = &batch->assets[i];
        rc = sql_get(s, SQL_INSERT_ASSET, &st, err);
        if (rc != 0)
            return rc;
        sqlite3_bind_int64(st, 1, asset->id);
        sql_bind_str(st, 2, str_of(asset->code));
        sqlite3_bind_int(st, 3, asset->scale);
        rc = sql_step(s, st, err);
    }
    for (size_t i = 0; rc == 0 && i < batch->n_ledgers; i++) {
        const struct ledger_row *ledger = &batch->ledgers[i];
        rc = sql_get(s, SQL_INSERT_LEDGER, &st, err);
        if (rc != 0)
            return rc;
        sqlite3_bind_int64(st, 1, ledger->id);
        sql_bind_str(st, 2, str_of(ledger->name));
        sql_bind_floor(st, 3, ledger->default_floor);
        sqlite3_bind_int64(st, 4, ledger->created_at);
        rc = sql_step(s, st, err);
    }
    return rc;
}

/* Says once a transaction that it appends to this ledger. */
static int append_begin(struct sqlite_journal *s, uint32_t ledger, struct err *err)
{
    sqlite3_stmt *st;
    uint8_t bit = (uint8_t)(1u << ledger % 8);
    if (s->appending[ledger / 8] & bit)
        return 0;
    int rc = sql_get(s, SQL_APPENDING, &st, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(st, 1, ledger);
    rc = sql_step(s, st, err);
    if (rc == 0)
        s->appending[ledger / 8] |= bit;
    return rc;
}

/* A revision's key is that of its entry; so the revisions of a record are in the order of their entries. */
static int append_revisions(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    sqlite3_stmt *st;
    size_t leg = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < record->n_revisions; i++, leg++) {
        const struct revision_row *row = &record->revisions[i];
        while (leg < record->n_entries && (record->entries[leg].account != row->account ||
                                              record->entries[leg].revision != row->revision))
            leg++;
        if (leg == record->n_entries)
            return err_set(err, ERR_CONFLICT, "I1: revision without its entry");
        rc = sql_get(s, SQL_INSERT_REVISION, &st, err);
        if (rc != 0)
            return rc;
        sqlite3_bind_int64(st, 1, place_key(record->ledger, record->seq, leg));
        sql_bind_uint(st, 2, row->account);
        sqlite3_bind_int64(st, 3, row->revision);
        sqlite3_bind_int(st, 4, (int)row->status);
        sql_bind_floor(st, 5, row->floor);
        if (row->text_seq != 0)
            sql_bind_uint(st, 6, row->text_seq);
        else
            sqlite3_bind_null(st, 6);
        rc = sql_step(s, st, err);
    }
    return rc;
}

static int append_account(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    sqlite3_stmt *st;
    const struct account_row *row = record->account;
    if (row == NULL)
        return 0;
    if (row->number < 1 || row->number > SEQ_MAX)
        return err_set(err, ERR_CONFLICT, "I7: accounts are numbered 1, 2, 3 ...");
    if (!uuid_carries(row->id, row->number))
        return err_set(err, ERR_CONFLICT, "I7: the id does not carry the number of the account");
    int rc = sql_get(s, SQL_INSERT_ACCOUNT, &st, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(st, 1, record_key(record->ledger, row->number));
    sqlite3_bind_int64(st, 2, row->asset);
    sqlite3_bind_int(st, 3, (int)row->type);
    sql_bind_uint(st, 4, row->opened_seq);
    sql_bind_uuid(st, 5, row->id);
    sql_bind_str(st, 7, row->external_id);
    return sql_step(s, st, err);
}

static int append_entry(
    struct sqlite_journal *s, const struct record *record, const struct entry *entry, struct err *err)
{
    sqlite3_stmt *st;
    int rc = sql_get(s, SQL_INSERT_ENTRY, &st, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(st, 1, place_key(record->ledger, record->seq, entry->leg));
    sql_bind_uint(st, 2, entry->account);
    sql_bind_uint(st, 3, entry->version);
    sqlite3_bind_int64(st, 4, entry->asset);
    sqlite3_bind_int(st, 5, entry->side);
    sqlite3_bind_int64(st, 6, entry->revision);
    sql_bind_floor(st, 7, entry->floor);
    sqlite3_bind_int64(st, 8, entry->change.posted);
    sqlite3_bind_int64(st, 9, entry->change.incoming);
    sqlite3_bind_int64(st, 10, entry->change.outgoing);
    sqlite3_bind_int64(st, 11, entry->after.posted);
    sqlite3_bind_int64(st, 12, entry->after.incoming);
    sqlite3_bind_int64(st, 13, entry->after.outgoing);
    if (entry->backdated)
        sqlite3_bind_int64(st, 14, entry->effective_at);
    else
        sqlite3_bind_null(st, 14);
    return sql_step(s, st, err);
}

static int append_lots(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    sqlite3_stmt *st;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < record->n_lots; i++) {
        const struct lot *lot = &record->lots[i];
        rc = sql_get(s, SQL_INSERT_LOT, &st, err);
        if (rc != 0)
            return rc;
        sqlite3_bind_int64(st, 1, place_key(record->ledger, record->seq, i));
        sql_bind_uint(st, 2, lot->origin);
        sqlite3_bind_int64(st, 3, lot->leg);
        sqlite3_bind_int(st, 4, (int)lot->kind);
        sqlite3_bind_int64(st, 5, lot->version);
        sql_bind_uint(st, 6, lot->account);
        sqlite3_bind_int64(st, 7, lot->change);
        sqlite3_bind_int64(st, 8, lot->remaining_after);
        if (lot->has_due)
            sqlite3_bind_int64(st, 9, lot->due_at);
        else
            sqlite3_bind_null(st, 9);
        rc = sql_step(s, st, err);
    }
    return rc;
}

static int append_text(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    sqlite3_stmt *st;
    if (!record->text.present)
        return 0;
    if (!record->text.readable)
        return err_set(err, ERR_CONFLICT, "I1: a text and its digest go together");
    int rc = sql_get(s, SQL_INSERT_TEXT, &st, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(st, 1, record_key(record->ledger, record->seq));
    sql_bind_bytes(st, 2, record->text.salt, SALT_LEN);
    sql_bind_str(st, 3, record->text.body);
    return sql_step(s, st, err);
}

/* The journal row, last: it checks the parts and seals them. An erasure's deletes the text it relates to. */
static int append_seal(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    sqlite3_stmt *st;
    int rc = sql_get(s, SQL_INSERT_RECORD, &st, err);
    if (rc != 0)
        return rc;
    bool has_key = record->idempotency_key.data != NULL;
    sqlite3_bind_int64(st, 1, record_key(record->ledger, record->seq));
    sqlite3_bind_int(st, 2, (int)record->kind);
    sql_bind_uint(st, 3, record->n_lots);
    sqlite3_bind_int64(st, 4, record->format);
    if (record->refusal != 0)
        sqlite3_bind_int64(st, 5, record->refusal);
    else
        sqlite3_bind_null(st, 5);
    sqlite3_bind_int64(st, 6, record->declined_amount);
    if (record->related_seq != 0)
        sql_bind_uint(st, 7, record->related_seq);
    else
        sqlite3_bind_null(st, 7);
    sqlite3_bind_int64(st, 8, record->effective_at);
    sqlite3_bind_int64(st, 9, record->recorded_at);
    sql_bind_uuid(st, 10, record->id);
    sql_bind_str(st, 12, record->idempotency_key);
    sql_bind_bytes(st, 13, has_key ? record->request_hash : NULL, HASH_LEN);
    sql_bind_str(st, 14, record->reference);
    sql_bind_str(st, 15, record->actor);
    sql_bind_bytes(st, 16, record->has_trace ? record->trace_id : NULL, TRACE_ID_LEN);
    sql_bind_bytes(st, 17, record->text.present ? record->text.digest : NULL, HASH_LEN);
    sql_bind_bytes(st, 18, record->hash, HASH_LEN);
    return sql_step(s, st, err);
}

/* Entries of one asset that balance, nothing pending, not backdated, and nothing else. The schema looks at
 * all other records closely; so it does at a wrong one, because then it can say what is wrong. */
static bool is_plain(const struct record *record)
{
    bool plain = record->kind == RECORD_TRANSFER && record->n_lots == 0 && record->n_revisions == 0 &&
                 record->account == NULL && record->refusal == 0 && record->declined_amount == 0 &&
                 record->related_seq == 0 && record->effective_at == record->recorded_at &&
                 record->n_entries > 0;
    int64_t sum = 0;
    for (size_t i = 0; plain && i < record->n_entries; i++) {
        const struct entry *e = &record->entries[i];
        plain = e->version > 1 && e->asset == record->entries[0].asset && e->change.posted != 0 &&
                e->change.incoming == 0 && e->change.outgoing == 0 && !e->backdated &&
                !__builtin_add_overflow(sum, e->change.posted, &sum);
    }
    return plain && sum == 0;
}

static int announce(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    sqlite3_stmt *st;
    int rc = sql_get(s, SQL_ANNOUNCE, &st, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(st, 1, record_key(record->ledger, record->seq));
    sqlite3_bind_int64(st, 2, record->ledger);
    return sql_step(s, st, err);
}

static int examine(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    sqlite3_stmt *st;
    int rc = sql_get(s, SQL_EXAMINE, &st, err);
    if (rc != 0)
        return rc;
    sqlite3_bind_int64(st, 1, record->ledger);
    return sql_step(s, st, err);
}

static int append_parts(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    int rc = append_revisions(s, record, err);
    if (rc == 0)
        rc = append_account(s, record, err);
    for (size_t i = 0; rc == 0 && i < record->n_entries; i++) {
        if (record->entries[i].leg != i)
            return err_set(err, ERR_CONFLICT, "I1: legs are not 0, 1, 2 ...");
        rc = append_entry(s, record, &record->entries[i], err);
    }
    if (rc == 0)
        rc = append_lots(s, record, err);
    return rc != 0 ? rc : append_text(s, record, err);
}

static int append_record(struct sqlite_journal *s, const struct record *record, struct err *err)
{
    if (record->ledger < 1 || record->ledger > LIMIT_LEDGERS_MAX || record->seq < 1 || record->seq > SEQ_MAX)
        return err_set(err, ERR_CONFLICT, "I1: no such ledger, or not the next record");
    if (record->n_entries > LEG_MAX + 1 || record->n_lots > LEG_MAX + 1)
        return err_set(err, ERR_CONFLICT, "I1: a record has at most %llu legs and lots",
            (unsigned long long)LEG_MAX + 1);
    if (!uuid_carries(record->id, record->seq))
        return err_set(err, ERR_CONFLICT, "I8: the id does not carry the seq of the record");
    bool plain = is_plain(record);
    int rc = append_begin(s, record->ledger, err);
    if (rc == 0 && !plain)
        rc = announce(s, record, err);
    if (rc == 0)
        rc = append_parts(s, record, err);
    if (rc == 0)
        rc = append_seal(s, record, err);
    if (rc == 0 && !plain)
        rc = examine(s, record, err);
    return rc;
}

/* Where, behind what: the message starts with the invariant's number. */
static void say_where(const struct record *record, struct err *err)
{
    if (err == NULL)
        return;
    size_t len = strlen(err->message);
    snprintf(err->message + len, sizeof err->message - len, " (ledger %u, seq %llu)", record->ledger,
        (unsigned long long)record->seq);
}

/* Writes a page as it was: a transaction that changed nothing would never touch the disk. */
static int append_nothing(struct sqlite_journal *s, struct err *err)
{
    int64_t version = 0;
    char sql[64];
    int rc = sql_int(s, "PRAGMA user_version", &version, err);
    if (rc != 0)
        return rc;
    snprintf(sql, sizeof sql, "PRAGMA user_version = %lld", (long long)version);
    return sql_exec(s, sql, err);
}

/* A wait in vain, for a reader that stays (a backup), is not repeated at every commit, but each time the WAL
 * has grown by so much again. */
static bool waited_lately(const struct sqlite_journal *s, int frames_before)
{
    return frames_before >= WAL_FRAMES_WAIT && s->wal_frames >= frames_before &&
           s->wal_frames / WAL_FRAMES_MOVE == frames_before / WAL_FRAMES_MOVE;
}

int sqlite_append(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    struct sqlite_journal *s = (struct sqlite_journal *)j;
    INVARIANT(s->mode == JOURNAL_WRITE && !s->in_snapshot && sqlite3_get_autocommit(s->db));
    int frames_before = s->wal_frames;
    int rc = sql_run(s, SQL_BEGIN_IMMEDIATE, err);
    if (rc != 0)
        return rc;
    memset(s->appending, 0, sizeof s->appending);
    bool erases = false;
    rc = append_catalog(s, batch, err);
    for (size_t i = 0; rc == 0 && i < batch->n_records; i++) {
        rc = append_record(s, batch->records[i], err);
        if (rc != 0)
            say_where(batch->records[i], err);
        erases = erases || batch->records[i]->kind == RECORD_ERASURE;
    }
    if (rc == 0 && batch->n_assets + batch->n_ledgers + batch->n_records == 0)
        rc = append_nothing(s, err);
    if (rc == 0)
        rc = sql_run(s, SQL_APPENDED, err);
    if (rc == 0)
        rc = sql_run(s, SQL_COMMIT, err);
    if (rc != 0) {
        sql_rollback(s);
        return rc;
    }
    if (erases) /* the WAL still has the pages with the text: do not wait until it is long */
        s->wal_frames = WAL_FRAMES_WAIT;
    if (erases || !waited_lately(s, frames_before))
        sqlite_checkpoint(s);
    return 0;
}

void sqlite_checkpoint(struct sqlite_journal *s)
{
    if (s->wal_frames < WAL_FRAMES_MOVE)
        return;
    if (s->wal_frames < WAL_FRAMES_WAIT) {
        (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        return;
    }
    int64_t timeout_ms = 0;
    if (sql_int(s, "PRAGMA busy_timeout", &timeout_ms, NULL) != 0)
        return;
    sqlite3_busy_timeout(s->db, WAL_WAIT_MS);
    (void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(s->db, (int)timeout_ms);
}
