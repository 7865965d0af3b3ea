/*
 * Who the accounts are: @account. What its balance is stands in the table of heads (heads.h). An account is first heard of
 * by its opening or by its first entry, whichever topic is faster; of revisions the newest wins, for status and floor, and
 * for name and metadata among those that set them.
 */
#include <stdlib.h>

#include "readmodel/projection.h"
#include "readmodel/rows.h"

enum {
    LEDGER,
    NUMBER,
    ID,
    ASSET,
    SIDE,
    TYPE,
    EXTERNAL_ID,
    OPENED_SEQ,
    OPENED_AT,
    REVISION,
    STATUS,
    FLOOR,
    TEXT_REVISION,
    TEXT_SEQ,
    NAME,
    METADATA,
    COLUMNS
};

static const char ddl[] =
    "CREATE TABLE @account (ledger BIGINT NOT NULL, number BIGINT NOT NULL, id @BYTES NOT NULL, asset BIGINT "
    "NOT NULL,"
    " side BIGINT NOT NULL, type BIGINT, external_id @TEXT, opened_seq BIGINT, opened_at BIGINT, revision "
    "BIGINT NOT NULL,"
    " status BIGINT, floor BIGINT, text_revision BIGINT NOT NULL, text_seq BIGINT, name @TEXT, metadata "
    "@TEXT,"
    " PRIMARY KEY (ledger, number)) @WITHOUT_ROWID;";

static const char indexes[] = "CREATE INDEX IF NOT EXISTS @account_external ON @account (ledger, "
                              "external_id) WHERE external_id IS NOT NULL;";

static const struct db_table table = {.name = "account",
    .table = "@account",
    .columns = {[LEDGER] = {"ledger", DB_INT},
        [NUMBER] = {"number", DB_INT},
        [ID] = {"id", DB_BYTES},
        [ASSET] = {"asset", DB_INT},
        [SIDE] = {"side", DB_INT},
        [TYPE] = {"type", DB_INT},
        [EXTERNAL_ID] = {"external_id", DB_TEXT},
        [OPENED_SEQ] = {"opened_seq", DB_INT},
        [OPENED_AT] = {"opened_at", DB_INT},
        [REVISION] = {"revision", DB_INT},
        [STATUS] = {"status", DB_INT},
        [FLOOR] = {"floor", DB_INT},
        [TEXT_REVISION] = {"text_revision", DB_INT},
        [TEXT_SEQ] = {"text_seq", DB_INT},
        [NAME] = {"name", DB_TEXT},
        [METADATA] = {"metadata", DB_TEXT}},
    .n_columns = COLUMNS,
    .tail =
        "ON CONFLICT (ledger, number) DO UPDATE SET type = excluded.type, external_id = excluded.external_id,"
        " opened_seq = excluded.opened_seq, opened_at = excluded.opened_at, revision = excluded.revision,"
        " status = excluded.status, floor = excluded.floor, text_revision = excluded.text_revision,"
        " text_seq = excluded.text_seq, name = excluded.name, metadata = excluded.metadata"};

#define FETCH_COLUMNS \
    "SELECT ledger, number, id, asset, side, type, external_id, opened_seq, opened_at, revision, status, " \
    "floor," \
    " text_revision, text_seq, name, metadata FROM @account WHERE ledger = ?1 AND number "
static const struct db_statement fetch_sqlite = {
    "accounts_fetch", FETCH_COLUMNS "IN (SELECT value FROM json_each('[' || ?2 || ']'))"};
static const struct db_statement fetch_postgres = {
    "accounts_fetch", FETCH_COLUMNS "= ANY (string_to_array(?2, ',')::bigint[])"};
static const struct db_statement erase_text = {"account_erase",
    "UPDATE @account SET name = NULL, metadata = NULL WHERE ledger = ?1 AND number = ?2 AND text_seq = ?3"};

struct accounts {
    struct applied *facts; /* openings, revisions, first entries, erasures: few */
    size_t n, cap;
    struct rows rows; /* a row an account, in the table's columns */
    struct numbers at;
};

static void *state_new(void)
{
    struct accounts *s = calloc(1, sizeof *s);
    INVARIANT(s != NULL);
    rows_init(&s->rows);
    return s;
}

static void state_free(void *state)
{
    struct accounts *s = state;
    free(s->facts);
    rows_fini(&s->rows);
    numbers_fini(&s->at);
    free(s);
}

static bool is_erasure(const struct fact *f)
{
    return f->kind == FACT_ENTRY && f->record_kind == RECORD_ERASURE;
}

static void fold(void *state, const struct applied *a)
{
    struct accounts *s = state;
    const struct fact *f = a->fact;
    if (f->kind != FACT_ACCOUNT && !is_erasure(f) && !(f->kind == FACT_ENTRY && f->entry.version == 1))
        return;
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 64 : 2 * s->cap;
        s->facts = realloc(s->facts, s->cap * sizeof *s->facts);
        INVARIANT(s->facts != NULL);
    }
    s->facts[s->n++] = *a;
}

static struct db_value *row_at(struct accounts *s, uint32_t index)
{
    return &s->rows.values[(size_t)index * COLUMNS];
}

static int fetch_ledger(struct accounts *s, struct db *db, uint32_t ledger, struct err *err)
{
    struct strbuf list;
    struct db_result result;
    strbuf_init(&list);
    for (size_t i = 0; i < s->n; i++)
        if (s->facts[i].ledger == ledger) {
            if (list.len > 0)
                strbuf_char(&list, ',');
            strbuf_uint(&list, s->facts[i].account);
        }
    int rc = db_run(db, db_is_postgres(db) ? &fetch_postgres : &fetch_sqlite,
        DB_VALUES(db_uint(ledger), db_text(strbuf_view(&list))), &s->rows.arena, &result, err);
    for (size_t i = 0; rc == 0 && i < result.n_rows; i++) {
        numbers_set(
            &s->at, ledger, value_uint(db_at(&result, i, NUMBER)), (uint32_t)(s->rows.n_values / COLUMNS));
        struct db_value *v = rows_next(&s->rows, COLUMNS);
        for (size_t column = 0; column < COLUMNS; column++)
            v[column] = *db_at(&result, i, column);
    }
    strbuf_fini(&list);
    return rc;
}

static int fetch(struct accounts *s, struct db *db, struct err *err)
{
    struct numbers done = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        uint32_t ledger = s->facts[i].ledger;
        if (numbers_get(&done, ledger, 0) != NUMBERS_NONE)
            continue;
        numbers_set(&done, ledger, 0, 0);
        rc = fetch_ledger(s, db, ledger, err);
    }
    numbers_fini(&done);
    return rc;
}

/* The account's row, a new one if it was never heard of. */
static struct db_value *row_of(struct accounts *s, const struct applied *a)
{
    uint32_t at = numbers_get(&s->at, a->ledger, a->account);
    if (at != NUMBERS_NONE)
        return row_at(s, at);
    const struct fact *f = a->fact;
    bool entry = f->kind == FACT_ENTRY;
    numbers_set(&s->at, a->ledger, a->account, (uint32_t)(s->rows.n_values / COLUMNS));
    struct db_value *v = rows_next(&s->rows, COLUMNS);
    for (size_t column = 0; column < COLUMNS; column++)
        v[column] = db_null();
    v[LEDGER] = db_uint(a->ledger);
    v[NUMBER] = db_uint(a->account);
    v[ID] = db_uuid(entry ? &f->entry.account : &f->account.account);
    v[ASSET] = db_uint(a->asset);
    v[SIDE] = db_int(entry ? f->entry.side : f->account.side);
    v[REVISION] = v[TEXT_REVISION] = db_int(0);
    return v;
}

static void merge_account(struct db_value *v, const struct applied *a)
{
    const struct fact *f = a->fact;
    const struct fact_account *account = &f->account;
    if (account->opened) {
        v[TYPE] = db_int(account->type);
        v[EXTERNAL_ID] = db_text(account->external_id);
        v[OPENED_SEQ] = db_uint(f->seq);
        v[OPENED_AT] = db_int(f->recorded_at);
    }
    if (account->revision > value_uint(&v[REVISION])) {
        v[REVISION] = db_uint(account->revision);
        v[STATUS] = db_int(account->status);
        v[FLOOR] = db_floor(account->floor);
    }
    if (account->has_text && account->revision > value_uint(&v[TEXT_REVISION])) {
        v[TEXT_REVISION] = db_uint(account->revision);
        v[TEXT_SEQ] = db_uint(f->seq);
        v[NAME] = a->erased ? db_null() : db_text(account->name);
        v[METADATA] = a->erased ? db_null() : db_text(account->metadata);
    }
}

static int erase_all(struct accounts *s, struct db *db, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        const struct applied *a = &s->facts[i];
        if (is_erasure(a->fact))
            rc = db_run(db, &erase_text,
                DB_VALUES(db_uint(a->ledger), db_uint(a->account), db_uint(a->fact->related_seq)), NULL, NULL,
                err);
    }
    return rc;
}

static int flush(void *state, struct db *db, struct err *err)
{
    struct accounts *s = state;
    if (s->n == 0)
        return 0;
    int rc = fetch(s, db, err);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        if (is_erasure(s->facts[i].fact))
            continue;
        struct db_value *v = row_of(s, &s->facts[i]);
        if (s->facts[i].fact->kind == FACT_ACCOUNT)
            merge_account(v, &s->facts[i]);
    }
    if (rc == 0)
        rc = rows_flush(&s->rows, db, &table, err);
    if (rc == 0)
        rc = erase_all(s, db, err);
    rows_clear(&s->rows);
    numbers_clear(&s->at);
    s->n = 0;
    return rc;
}

const struct projection projection_accounts = {.name = "accounts",
    .ddl = ddl,
    .indexes = indexes,
    .state_new = state_new,
    .state_free = state_free,
    .fold = fold,
    .flush = flush};
