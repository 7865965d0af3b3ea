#include <stdlib.h>
#include <string.h>

#include "relay/relay_internal.h"

/* --- the books ------------------------------------------------------------------------------------------------ */

static int add_ledger(void *ctx, const struct ledger_row *row)
{
    struct books *books = ctx;
    INVARIANT_F(row->id >= 1, "ledger %u", row->id);
    if (row->id <= books->n)
        return 0;
    INVARIANT_F(row->id == books->n + 1, "ledger %u after %zu", row->id, books->n);
    if (books->n == books->cap) {
        books->cap = books->cap > 0 ? books->cap * 2 : 8;
        books->at = realloc(books->at, books->cap * sizeof *books->at);
        INVARIANT(books->at != NULL);
    }
    books->at[books->n++] = (struct book){.row = *row};
    return 0;
}

int books_refresh(struct books *books, struct journal *journal, struct err *err)
{
    return journal->ops->ledgers(journal, add_ledger, books, err);
}

struct head_look {
    struct books *books;
    bool unknown;
};

static int see_head(void *ctx, uint32_t ledger, uint64_t seq)
{
    struct head_look *look = ctx;
    if (ledger >= 1 && ledger <= look->books->n)
        look->books->at[ledger - 1].head = seq;
    else
        look->unknown = true;
    return 0;
}

static int each_head(struct books *books, struct journal *journal, struct err *err)
{
    int rc = books_refresh(books, journal, err);
    for (size_t i = 0; rc == 0 && i < books->n; i++) {
        struct ledger_head head;
        rc = journal->ops->head(journal, books->at[i].row.id, &head, err);
        if (rc == 0)
            books->at[i].head = head.seq;
    }
    return rc;
}

int books_heads(struct books *books, struct journal *journal, struct err *err)
{
    if (journal->ops->heads == NULL)
        return each_head(books, journal, err);
    struct head_look look = {.books = books};
    int rc = journal->ops->heads(journal, see_head, &look, err);
    if (rc == 0 && look.unknown) {
        rc = books_refresh(books, journal, err);
        if (rc == 0)
            rc = journal->ops->heads(journal, see_head, &look, err);
    }
    return rc;
}

int books_oldest(const struct books *books, struct journal *journal, int64_t *ret_oldest, struct err *err)
{
    *ret_oldest = 0;
    for (size_t i = 0; i < books->n; i++) {
        const struct book *book = &books->at[i];
        int64_t instant;
        if (book->head <= book->place.seq)
            continue;
        int rc = journal->ops->recorded_at(journal, book->row.id, book->place.seq + 1, &instant, err);
        if (rc != 0)
            return rc;
        if (*ret_oldest == 0 || instant < *ret_oldest)
            *ret_oldest = instant;
    }
    return 0;
}

void books_fini(struct books *books)
{
    free(books->at);
    *books = (struct books){0};
}

static struct book *find_book(struct books *books, struct str name)
{
    for (size_t i = 0; i < books->n; i++)
        if (str_eq_c(name, books->at[i].row.name))
            return &books->at[i];
    return NULL;
}

/* --- the topic ------------------------------------------------------------------------------------------------ */

void place_format(const struct place *place, struct strbuf *b)
{
    strbuf_c(b, "{\"seq\":");
    strbuf_uint(b, place->seq);
    strbuf_c(b, ",\"hash\":\"");
    strbuf_hex(b, place->hash, HASH_LEN);
    strbuf_c(b, "\",\"recordedAt\":");
    strbuf_int(b, place->recorded_at);
    strbuf_char(b, '}');
}

static bool take(struct str *s, const char *text)
{
    struct str want = str_of(text);
    if (!str_starts(*s, want))
        return false;
    s->data += want.len;
    s->len -= want.len;
    return true;
}

static struct str take_until(struct str *s, char end)
{
    const char *at = s->len > 0 ? memchr(s->data, end, s->len) : NULL;
    size_t n = at != NULL ? (size_t)(at - s->data) : s->len;
    struct str taken = {s->data, n};
    s->data += n;
    s->len -= n;
    return taken;
}

/* Only the relay writes these: as place_format() does, with members to come behind those that are known. */
bool place_parse(struct str value, struct place *ret_place)
{
    struct place place = {0};
    if (!take(&value, "{\"seq\":") || !str_to_uint64(take_until(&value, ','), &place.seq) || place.seq == 0)
        return false;
    if (!take(&value, ",\"hash\":\"") || !str_to_bytes(take_until(&value, '"'), place.hash, HASH_LEN))
        return false;
    if (!take(&value, "\",\"recordedAt\":"))
        return false;
    struct str instant = value.len > 0 && memchr(value.data, ',', value.len) != NULL
                             ? take_until(&value, ',')
                             : take_until(&value, '}');
    if (!str_to_int64(instant, &place.recorded_at) || value.len == 0 || value.data[value.len - 1] != '}')
        return false;
    *ret_place = place;
    return true;
}

struct topic_read {
    struct books *books;
    struct err *err;
};

static int see_position(void *ctx, const struct kafka_received *m)
{
    struct topic_read *read = ctx;
    struct place place;
    if (!place_parse(m->value, &place))
        return err_set(read->err, ERR_CORRUPT,
            "offset %lld of " RELAY_POSITION_TOPIC " is no position: somebody else wrote there; if that "
                                                   "topic is deleted, the relay makes it again and goes on "
            "from its cursor",
            (long long)m->offset);
    struct book *book = find_book(read->books, m->key);
    if (book == NULL)
        return err_set(read->err, ERR_LOST,
            "Kafka has events of a ledger '" STR_FMT
            "' up to seq %llu that the journal does not have: these topics "
            "are another journal's, or this one has lost records",
            STR_ARG(m->key), (unsigned long long)place.seq);
    book->place = place; /* the last one counts */
    return 0;
}

int places_from_topic(struct books *books, const struct kafka_config *kafka, struct err *err)
{
    struct topic_read read = {.books = books, .err = err};
    return kafka_read_all(kafka, RELAY_POSITION_TOPIC, 0, RELAY_TAKE_OVER_MS, see_position, &read, err);
}

/* --- the cursor ----------------------------------------------------------------------------------------------- */

static const char *cursor_prefix(const struct kafka_config *kafka)
{
    return kafka->topic_prefix != NULL ? kafka->topic_prefix : "";
}

/* By the topics' prefix: what was published elsewhere says nothing about topics that are new. */
int cursor_prepare(struct db *db, struct err *err)
{
    static const char sql[] =
        "CREATE TABLE IF NOT EXISTS @relay ("
        "prefix TEXT NOT NULL, ledger TEXT NOT NULL, seq BIGINT NOT NULL, hash @BYTES NOT NULL, "
        "recorded_at BIGINT NOT NULL, epoch BIGINT NOT NULL, written_at BIGINT NOT NULL, "
        "PRIMARY KEY (prefix, ledger))";
    int rc = db_script(db, sql, err);
    /* PostgreSQL: IF NOT EXISTS of two processes at the same moment fails in one of them. */
    return rc == ERR_CONFLICT || rc == ERR_BUSY ? db_script(db, sql, err) : rc;
}

int places_from_cursor(struct books *books, struct db *db, const struct kafka_config *kafka,
    const char **ret_raised, struct err *err)
{
    static const struct db_statement select = {
        "relay cursor", "SELECT ledger, seq, hash, recorded_at FROM @relay WHERE prefix = ?1"};
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    if (ret_raised != NULL)
        *ret_raised = NULL;
    int rc = db_run(db, &select, DB_VALUES(db_text(str_of(cursor_prefix(kafka)))), &arena, &result, err);
    for (size_t i = 0; rc == 0 && i < result.n_rows; i++) {
        struct book *book = find_book(books, db_at(&result, i, 0)->bytes);
        uint64_t seq = (uint64_t)db_at(&result, i, 1)->integer;
        struct str hash = db_at(&result, i, 2)->bytes;
        if (book == NULL || seq <= book->place.seq || hash.len != HASH_LEN)
            continue;
        book->place.seq = seq;
        book->place.recorded_at = db_at(&result, i, 3)->integer;
        memcpy(book->place.hash, hash.data, HASH_LEN);
        if (ret_raised != NULL)
            *ret_raised = book->row.name;
    }
    arena_fini(&arena);
    return rc;
}

int cursor_write(
    struct books *books, struct db *db, const struct kafka_config *kafka, uint64_t epoch, struct err *err)
{
    static const struct db_table table = {
        .name = "relay cursor write",
        .table = "@relay",
        .columns = {{"prefix", DB_TEXT}, {"ledger", DB_TEXT}, {"seq", DB_INT}, {"hash", DB_BYTES},
            {"recorded_at", DB_INT}, {"epoch", DB_INT}, {"written_at", DB_INT}},
        .n_columns = 7,
        .tail =
            "ON CONFLICT (prefix, ledger) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, "
            "recorded_at = excluded.recorded_at, epoch = excluded.epoch, written_at = excluded.written_at "
            "WHERE @relay.epoch <= excluded.epoch",
    };
    size_t n = 0;
    struct db_value *values = calloc(books->n * table.n_columns + 1, sizeof *values);
    INVARIANT(values != NULL);
    for (size_t i = 0; i < books->n; i++) {
        const struct book *book = &books->at[i];
        if (!book->cursor_due)
            continue;
        struct db_value *row = values + n++ * table.n_columns;
        row[0] = db_text(str_of(cursor_prefix(kafka)));
        row[1] = db_text(str_of(book->row.name));
        row[2] = db_int((int64_t)book->place.seq);
        row[3] = db_bytes(book->place.hash, HASH_LEN);
        row[4] = db_int(book->place.recorded_at);
        row[5] = db_int((int64_t)epoch);
        row[6] = db_int(relay_now_us());
    }
    int rc = n > 0 ? db_insert(db, &table, values, n, NULL, err) : 0;
    for (size_t i = 0; rc == 0 && i < books->n; i++)
        books->at[i].cursor_due = false;
    free(values);
    return rc;
}
