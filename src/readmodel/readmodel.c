/* One generation of the read model, and applying facts to it: fetch, fold, flush, in one transaction. */
#include "readmodel/readmodel.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/instant.h"
#include "readmodel/generation_internal.h"
#include "readmodel/heads.h"
#include "readmodel/progress.h"
#include "readmodel/projection.h"
#include "readmodel/rows.h"

struct readmodel {
    struct db *db;
    uint32_t generation;
    bool write;
    bool unscrubbed; /* what was erased may still be in the files */
    /* What the writer keeps in memory. It counts only while `loaded`: a failure throws it away. */
    bool loaded;
    int64_t serial, next_parked;
    struct progress *progress;
    struct heads heads;
    void *states[PROJECTIONS_N];
    struct readmodel_offset *offsets;
    size_t n_offsets;
};

static const struct db_statement read_state = {
    "state_read", "SELECT serial, format FROM @state WHERE id = 1"};
static const struct db_statement take_serial = {
    "state_serial", "UPDATE @state SET serial = ?1 + 1 WHERE id = 1 AND serial = ?1"};
static const struct db_statement read_positions = {
    "position_read", "SELECT part, next FROM @position ORDER BY part"};
static const struct db_statement read_ledgers = {
    "ledgers_read", "SELECT name, seq, most_seq, recorded_at FROM @ledger ORDER BY name"};
static const struct db_statement read_seq = {"seq_read", "SELECT seq FROM @ledger WHERE name = ?1"};
static const struct db_statement read_parked = {"parked_read",
    "SELECT id, topic, message_key, type, payload, reason, part, message_offset, parked_at, replayed FROM "
    "@parked"
    " WHERE id > ?1 ORDER BY id LIMIT ?2"};
static const struct db_statement most_parked = {"parked_most", "SELECT COALESCE(MAX(id), 0) FROM @parked"};
static const struct db_statement count_parked = {
    "parked_count", "SELECT COUNT(*) FROM @parked WHERE replayed = 0"};
static const struct db_statement done_parked = {
    "parked_done", "UPDATE @parked SET replayed = 1 WHERE id = ?1"};

static const struct db_table position_table = {.name = "position",
    .table = "@position",
    .columns = {{"part", DB_INT}, {"next", DB_INT}},
    .n_columns = 2,
    .tail = "ON CONFLICT (part) DO UPDATE SET next = excluded.next"};
static const struct db_table parked_table = {.name = "parked",
    .table = "@parked",
    .columns = {{"id", DB_INT}, {"topic", DB_TEXT}, {"message_key", DB_TEXT}, {"type", DB_TEXT},
        {"payload", DB_BYTES}, {"reason", DB_TEXT}, {"part", DB_INT}, {"message_offset", DB_INT},
        {"parked_at", DB_INT}, {"replayed", DB_INT}},
    .n_columns = 10,
    .tail = ""};

/* ---- open and close ---- */

static int one_int(struct db *db, const struct db_statement *statement, const struct db_value *values,
    size_t n_values, int64_t none, int64_t *ret_value, struct err *err)
{
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(db, statement, values, n_values, &arena, &result, err);
    if (rc == 0)
        *ret_value = result.n_rows > 0 ? db_at(&result, 0, 0)->integer : none;
    arena_fini(&arena);
    return rc;
}

static int check_format(struct db *db, int64_t *ret_serial, struct err *err)
{
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(db, &read_state, DB_NO_VALUES, &arena, &result, err);
    if (rc == 0 && result.n_rows != 1)
        rc = err_set(err, ERR_CORRUPT, "the read model has no state");
    int64_t format = rc == 0 ? db_at(&result, 0, 1)->integer : 0;
    if (rc == 0)
        *ret_serial = db_at(&result, 0, 0)->integer;
    arena_fini(&arena);
    if (rc == 0 && format != READMODEL_FORMAT)
        return err_set(err, ERR_UNSUPPORTED,
            "the read model is of format %lld, this program's is %d: 'creditledger projections rebuild' "
            "makes it anew",
            (long long)format, READMODEL_FORMAT);
    return rc;
}

int readmodel_open(
    const char *url, const struct readmodel_options *options, struct readmodel **ret_model, struct err *err)
{
    char part[GENERATION_PART_MAX];
    int64_t serial;
    uint32_t id = options->building;
    struct db *db;
    int rc = id != 0 ? 0 : generation_find(url, options, &id, err);
    if (rc != 0)
        return rc;
    generation_part(id, part);
    /* A generation has its tables from the start: `create` never applies to its part. */
    const struct db_options db_options = {.part = part,
        .read_only = !options->write,
        .pooled = options->pooled,
        .timeout_ms = options->write && options->building != 0 ? GENERATION_BUILD_TIMEOUT_MS : 0};
    rc = db_open(url, &db_options, &db, err);
    if (rc != 0)
        return rc;
    rc = check_format(db, &serial, err);
    if (rc != 0) {
        db_close(db);
        return rc;
    }
    struct readmodel *m = calloc(1, sizeof *m);
    INVARIANT(m != NULL);
    m->db = db;
    m->generation = id;
    m->write = options->write;
    m->unscrubbed = options->write && options->building == 0;
    heads_init(&m->heads, options->heads != 0 ? options->heads : READMODEL_HEADS_DEFAULT);
    *ret_model = m;
    return 0;
}

static void forget(struct readmodel *m)
{
    for (size_t i = 0; i < PROJECTIONS_N; i++) {
        if (m->states[i] != NULL)
            projections[i]->state_free(m->states[i]);
        m->states[i] = NULL;
    }
    progress_free(m->progress);
    m->progress = NULL;
    heads_forget(&m->heads);
    free(m->offsets);
    m->offsets = NULL;
    m->n_offsets = 0;
    m->loaded = false;
}

void readmodel_close(struct readmodel *m)
{
    if (m == NULL)
        return;
    forget(m);
    heads_fini(&m->heads);
    db_close(m->db);
    free(m);
}

struct db *readmodel_db(struct readmodel *m)
{
    return m->db;
}

uint32_t readmodel_generation(const struct readmodel *m)
{
    return m->generation;
}

/* ---- what the writer keeps in memory ---- */

static int load_offsets(struct readmodel *m, struct err *err)
{
    struct arena arena;
    arena_init(&arena, 0);
    struct readmodel_offset *offsets;
    int rc = readmodel_offsets(m, &arena, &offsets, &m->n_offsets, err);
    if (rc == 0) {
        m->offsets = malloc((m->n_offsets + 1) * sizeof *offsets);
        INVARIANT(m->offsets != NULL);
        for (size_t i = 0; i < m->n_offsets; i++)
            m->offsets[i] = offsets[i];
    }
    arena_fini(&arena);
    return rc;
}

/* In one snapshot, so that what is in memory is of one serial. */
static int load_all(struct readmodel *m, struct err *err)
{
    int rc = check_format(m->db, &m->serial, err);
    m->progress = progress_new();
    if (rc == 0)
        rc = progress_load(m->progress, m->db, err);
    for (size_t i = 0; i < PROJECTIONS_N; i++) {
        m->states[i] = projections[i]->state_new();
        if (rc == 0 && projections[i]->load != NULL)
            rc = projections[i]->load(m->states[i], m->db, err);
    }
    if (rc == 0)
        rc = load_offsets(m, err);
    return rc != 0 ? rc : one_int(m->db, &most_parked, DB_NO_VALUES, 0, &m->next_parked, err);
}

static int load(struct readmodel *m, struct err *err)
{
    if (m->loaded)
        return 0;
    forget(m);
    int rc = db_begin(m->db, false, err);
    if (rc != 0)
        return rc;
    rc = load_all(m, err);
    db_rollback(m->db);
    m->loaded = rc == 0;
    return rc;
}

/* ---- applying ---- */

/* One readmodel_apply() on its way. */
struct applying {
    struct readmodel *m;
    const struct fact *facts;
    size_t n;
    struct readmodel_applied *ret;
    struct rows parked;
    struct err *err;
};

static struct uuid account_of(const struct fact *f)
{
    return f->kind == FACT_ENTRY ? f->entry.account : f->account.account;
}

static int fetch(struct applying *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->facts[i].kind == FACT_ENTRY)
            heads_want(&a->m->heads, progress_ledger_id(a->m->progress, a->facts[i].ledger),
                uuid_counter(account_of(&a->facts[i])));
    return heads_fetch(&a->m->heads, a->m->db, a->err);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * MICROS_PER_SECOND + t.tv_nsec / 1000;
}

/* A key and a header are anybody's bytes, and PostgreSQL takes nothing but UTF-8 without NUL: what is none becomes U+FFFD. */
static struct db_value text_of(struct str s, struct arena *arena)
{
    if (s.data == NULL || (memchr(s.data, '\0', s.len) == NULL && str_utf8_valid(s)))
        return db_text(s);
    struct strbuf b;
    strbuf_init(&b);
    for (size_t i = 0; i < s.len;) {
        size_t n = 1;
        while (n < 4 && n < s.len - i && !str_utf8_valid((struct str){s.data + i, n}))
            n++;
        bool valid = s.data[i] != '\0' && str_utf8_valid((struct str){s.data + i, n});
        strbuf_str(&b, valid ? (struct str){s.data + i, n} : STR("\xef\xbf\xbd"));
        i += valid ? n : 1;
    }
    struct db_value value = db_text(arena_str(arena, strbuf_view(&b)));
    strbuf_fini(&b);
    return value;
}

static void park(struct applying *a, const struct parked *p)
{
    struct arena *arena = &a->parked.arena;
    struct db_value *v = rows_next(&a->parked, 10);
    *v++ = db_int(++a->m->next_parked);
    *v++ = text_of(p->topic, arena);
    *v++ = text_of(p->key, arena);
    *v++ = text_of(p->type, arena);
    *v++ = db_bytes(p->payload.data, p->payload.len);
    *v++ = text_of(p->reason, arena);
    *v++ = db_uint(p->part);
    *v++ = db_int(p->offset);
    *v++ = db_int(p->parked_at != 0 ? p->parked_at : now());
    *v++ = db_int(0);
}

static void park_entry(struct applying *a, const struct fact *f, const char *why)
{
    struct arena *arena = &a->parked.arena;
    char *key = arena_alloc(arena, UUID_TEXT_LEN + 1);
    uuid_format(f->entry.account, key);
    park(a, &(struct parked){.topic = str_of(event_topic_name(EVENT_TOPIC_ENTRY)),
                .key = str_of(key),
                .type = STR(FACT_ENTRY_TYPE),
                .payload = fact_entry_json(f, arena),
                .reason = str_of(why),
                .part = f->part,
                .offset = f->offset});
}

/* The fact counts: everybody hears of it. */
static void accept(struct applying *a, const struct fact *f, uint32_t ledger, struct head *head)
{
    struct readmodel *m = a->m;
    struct applied applied = {.fact = f, .ledger = ledger, .head = head};
    if (f->kind == FACT_ENTRY) {
        applied.asset = head->asset;
        applied.account = head->number;
        if (f->record_kind == RECORD_ERASURE && f->related_seq != 0)
            progress_erase(m->progress, ledger, f->related_seq);
        m->unscrubbed |= f->record_kind == RECORD_ERASURE;
    } else if (f->kind == FACT_ACCOUNT) {
        applied.asset = progress_asset_id(m->progress, f->account.currency, f->account.scale);
        applied.account = uuid_counter(f->account.account);
    }
    applied.erased = progress_erased(m->progress, ledger, f->seq);
    progress_mark(m->progress, ledger, f);
    for (size_t i = 0; i < PROJECTIONS_N; i++)
        projections[i]->fold(m->states[i], &applied);
}

/* False at a gap. */
static bool fold_entry(struct applying *a, const struct fact *f, uint32_t ledger)
{
    struct readmodel *m = a->m;
    struct head *head = heads_at(&m->heads, ledger, uuid_counter(f->entry.account));
    uint32_t asset = progress_asset_id(m->progress, f->entry.currency, f->entry.scale);
    const char *why;
    bool here = progress_has(m->progress, ledger, f);
    enum verdict verdict = head_judge(head, f, asset, &why);
    if (verdict == VERDICT_PAST && here) {
        a->ret->duplicates++;
    } else if (verdict == VERDICT_NEXT && !here) {
        heads_apply(&m->heads, head, f, asset);
        accept(a, f, ledger, head);
    } else if (verdict == VERDICT_GAP && !here) {
        a->ret->gap = true;
        a->ret->at = (struct readmodel_gap){.account = f->entry.account,
            .expected = head->version + 1,
            .found = f->entry.version,
            .seq = f->seq};
        for (size_t i = 0; i < f->ledger.len; i++)
            a->ret->at.ledger[i] = f->ledger.data[i];
        return false;
    } else if (verdict == VERDICT_CONTRADICTION) {
        park_entry(a, f, why);
    } else {
        park_entry(a, f, here ? "another entry of that record is here" : "another entry has that version");
    }
    return true;
}

static void fold(struct applying *a)
{
    struct readmodel *m = a->m;
    for (size_t i = 0; i < a->n; i++) {
        const struct fact *f = &a->facts[i];
        uint32_t ledger = progress_ledger_id(m->progress, f->ledger);
        if (f->kind == FACT_ENTRY) {
            if (!fold_entry(a, f, ledger))
                return;
        } else if (progress_has(m->progress, ledger, f)) {
            a->ret->duplicates++;
        } else {
            accept(a, f, ledger, NULL);
        }
        a->ret->taken = i + 1;
    }
}

static struct readmodel_offset *offset_of(struct readmodel *m, uint32_t part)
{
    for (size_t i = 0; i < m->n_offsets; i++)
        if (m->offsets[i].part == part)
            return &m->offsets[i];
    m->offsets = realloc(m->offsets, (m->n_offsets + 1) * sizeof *m->offsets);
    INVARIANT(m->offsets != NULL);
    m->offsets[m->n_offsets] = (struct readmodel_offset){.part = part};
    return &m->offsets[m->n_offsets++];
}

static void reach(struct readmodel *m, uint32_t part, int64_t offset)
{
    struct readmodel_offset *o = offset < 0 ? NULL : offset_of(m, part);
    if (o != NULL && o->next <= offset)
        o->next = offset + 1;
}

/* A fact of the same part is before it, and waits for the gap: once this part's position is behind it, nobody reads it again. */
static bool behind_untaken(const struct applying *a, const struct parked *p)
{
    for (size_t i = a->ret->taken; i < a->n; i++)
        if (a->facts[i].part == p->part && a->facts[i].offset <= p->offset)
            return true;
    return false;
}

/* How far the parts are. Behind a gap nothing is taken, and a record whose first facts were is read again. */
static int flush_offsets(struct applying *a, const struct parked *parked, size_t n_parked)
{
    struct readmodel *m = a->m;
    const struct fact *stop = a->ret->gap ? &a->facts[a->ret->taken] : NULL;
    int64_t before = stop != NULL && stop->offset >= 0 ? offset_of(m, stop->part)->next : 0;
    for (size_t i = 0; i < a->ret->taken; i++)
        reach(m, a->facts[i].part, a->facts[i].offset);
    for (size_t i = 0; i < n_parked; i++) {
        if (stop != NULL && behind_untaken(a, &parked[i]))
            continue;
        park(a, &parked[i]);
        reach(m, parked[i].part, parked[i].offset);
    }
    if (stop != NULL && stop->offset >= 0) {
        struct readmodel_offset *o = offset_of(m, stop->part);
        if (o->next > stop->offset)
            o->next = before > stop->offset ? before : stop->offset;
    }
    struct rows rows;
    rows_init(&rows);
    for (size_t i = 0; i < m->n_offsets; i++) {
        struct db_value *v = rows_next(&rows, 2);
        v[0] = db_uint(m->offsets[i].part);
        v[1] = db_int(m->offsets[i].next);
    }
    int rc = rows_flush(&rows, m->db, &position_table, a->err);
    rows_fini(&rows);
    return rc;
}

static int apply(struct applying *a, const struct parked *parked, size_t n_parked)
{
    struct readmodel *m = a->m;
    struct arena arena;
    struct db_result result;
    arena_init(&arena, 0);
    int rc = db_run(m->db, &take_serial, DB_VALUES(db_int(m->serial)), &arena, &result, a->err);
    if (rc == 0 && result.changed != 1)
        rc = err_set(a->err, ERR_CONFLICT, "another projector wrote to generation %u", m->generation);
    arena_fini(&arena);
    if (rc == 0)
        rc = fetch(a);
    if (rc != 0)
        return rc;
    fold(a);
    for (size_t i = 0; rc == 0 && i < PROJECTIONS_N; i++)
        rc = projections[i]->flush(m->states[i], m->db, a->err);
    if (rc == 0)
        rc = heads_flush(&m->heads, m->db, a->err);
    if (rc == 0)
        rc = progress_flush(m->progress, m->db, a->err);
    if (rc == 0)
        rc = flush_offsets(a, parked, n_parked);
    return rc != 0 ? rc : rows_flush(&a->parked, m->db, &parked_table, a->err);
}

int readmodel_apply(struct readmodel *m, const struct fact *facts, size_t n, const struct parked *parked,
    size_t n_parked, struct readmodel_applied *ret_applied, struct err *err)
{
    INVARIANT(m->write && n <= READMODEL_BATCH_MAX);
    struct applying a = {.m = m, .facts = facts, .n = n, .ret = ret_applied, .err = err};
    *ret_applied = (struct readmodel_applied){.taken = 0};
    rows_init(&a.parked);
    int rc = load(m, err);
    if (rc == 0)
        rc = db_begin(m->db, true, err);
    if (rc == 0) {
        rc = apply(&a, parked, n_parked);
        if (rc == 0)
            rc = db_commit(m->db, err);
        else
            db_rollback(m->db);
    }
    rows_fini(&a.parked);
    if (rc == 0) {
        m->serial++;
        heads_end(&m->heads);
        return 0;
    }
    forget(m);
    *ret_applied = (struct readmodel_applied){.taken = 0};
    /* Its tables are gone: to the projector it is the same as another one's having taken over. */
    return rc == ERR_NOT_FOUND ? err_set(err, ERR_CONFLICT, "generation %u was dropped", m->generation) : rc;
}

int readmodel_scrub(struct readmodel *m, bool thorough, struct err *err)
{
    INVARIANT(m->write);
    int rc = m->unscrubbed || thorough ? db_scrub(m->db, thorough, err) : 0;
    if (rc == 0)
        m->unscrubbed = false;
    return rc;
}

int readmodel_finish(struct readmodel *m, struct err *err)
{
    INVARIANT(m->write);
    return generation_index(m->db, err);
}

/* ---- how far it is ---- */

int readmodel_seq(struct readmodel *m, struct str ledger, uint64_t *ret_seq, struct err *err)
{
    int64_t seq;
    int rc = one_int(m->db, &read_seq, DB_VALUES(db_text(ledger)), 0, &seq, err);
    if (rc == 0)
        *ret_seq = (uint64_t)seq;
    return rc;
}

int readmodel_ledgers(struct readmodel *m, struct arena *arena, struct readmodel_ledger **ret_ledgers,
    size_t *ret_n, struct err *err)
{
    struct db_result result;
    int rc = db_run(m->db, &read_ledgers, DB_NO_VALUES, arena, &result, err);
    if (rc != 0)
        return rc;
    *ret_n = result.n_rows;
    *ret_ledgers = ARENA_ARRAY(arena, struct readmodel_ledger, result.n_rows);
    for (size_t i = 0; i < result.n_rows; i++)
        (*ret_ledgers)[i] = (struct readmodel_ledger){.name = value_str(db_at(&result, i, 0)),
            .seq = value_uint(db_at(&result, i, 1)),
            .most_seq = value_uint(db_at(&result, i, 2)),
            .recorded_at = db_at(&result, i, 3)->integer};
    return 0;
}

int readmodel_offsets(struct readmodel *m, struct arena *arena, struct readmodel_offset **ret_offsets,
    size_t *ret_n, struct err *err)
{
    struct db_result result;
    int rc = db_run(m->db, &read_positions, DB_NO_VALUES, arena, &result, err);
    if (rc != 0)
        return rc;
    *ret_n = result.n_rows;
    *ret_offsets = ARENA_ARRAY(arena, struct readmodel_offset, result.n_rows);
    for (size_t i = 0; i < result.n_rows; i++)
        (*ret_offsets)[i] = (struct readmodel_offset){
            .part = (uint32_t)value_uint(db_at(&result, i, 0)), .next = db_at(&result, i, 1)->integer};
    return 0;
}

int readmodel_set_offsets(
    struct readmodel *m, const struct readmodel_offset *offsets, size_t n, struct err *err)
{
    INVARIANT(m->write);
    struct rows rows;
    rows_init(&rows);
    for (size_t i = 0; i < n; i++) {
        struct db_value *v = rows_next(&rows, 2);
        v[0] = db_uint(offsets[i].part);
        v[1] = db_int(offsets[i].next);
    }
    int rc = rows_flush(&rows, m->db, &position_table, err);
    rows_fini(&rows);
    forget(m);
    return rc;
}

/* ---- what could not be applied ---- */

int readmodel_parked(struct readmodel *m, int64_t after_id, size_t limit, struct arena *arena,
    struct parked **ret_parked, size_t *ret_n, struct err *err)
{
    struct db_result result;
    int rc = db_run(m->db, &read_parked, DB_VALUES(db_int(after_id), db_uint(limit)), arena, &result, err);
    if (rc != 0)
        return rc;
    *ret_n = result.n_rows;
    *ret_parked = ARENA_ARRAY(arena, struct parked, result.n_rows);
    for (size_t i = 0; i < result.n_rows; i++) {
        const struct db_value *v = db_at(&result, i, 0);
        (*ret_parked)[i] = (struct parked){.id = v[0].integer,
            .topic = value_str(&v[1]),
            .key = value_str(&v[2]),
            .type = value_str(&v[3]),
            .payload = v[4].type == DB_BYTES ? v[4].bytes : STR_NONE,
            .reason = value_str(&v[5]),
            .part = (uint32_t)value_uint(&v[6]),
            .offset = v[7].integer,
            .parked_at = v[8].integer,
            .replayed = v[9].integer != 0};
    }
    return 0;
}

int readmodel_parked_count(struct readmodel *m, uint64_t *ret_n, struct err *err)
{
    int64_t n;
    int rc = one_int(m->db, &count_parked, DB_NO_VALUES, 0, &n, err);
    if (rc == 0)
        *ret_n = (uint64_t)n;
    return rc;
}

int readmodel_parked_done(struct readmodel *m, int64_t id, struct err *err)
{
    return db_run(m->db, &done_parked, DB_VALUES(db_int(id)), NULL, NULL, err);
}
