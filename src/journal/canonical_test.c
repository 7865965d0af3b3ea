#include "base/testing.h"

#include <stdlib.h>
#include <string.h>

#include "journal/canonical.h"

static const struct asset usd = {.id = 3, .scale = 2, .code = "USD"};

static uint64_t next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct str any_string(uint64_t *state, struct arena *arena)
{
    uint64_t n = next(state) % 40;
    if (n == 0)
        return STR_NONE;
    char *p = arena_alloc(arena, n);
    for (size_t i = 0; i < n - 1; i++)
        p[i] = (char)('a' + next(state) % 26);
    return (struct str){p, n - 1}; /* the empty string among them */
}

static struct floor any_floor(uint64_t *state)
{
    return next(state) % 2 ? (struct floor){true, (int64_t)next(state)} : (struct floor){false, 0};
}

static struct amounts any_amounts(uint64_t *state)
{
    return (struct amounts){(int64_t)next(state), (int64_t)next(state), (int64_t)next(state)};
}

static void any_bytes(uint64_t *state, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)next(state);
}

static void any_rows(uint64_t *state, struct arena *arena, struct record *r)
{
    r->n_revisions = next(state) % 3;
    struct revision_row *revisions = ARENA_ARRAY(arena, struct revision_row, r->n_revisions);
    for (size_t i = 0; i < r->n_revisions; i++)
        revisions[i] = (struct revision_row){next(state), (uint32_t)next(state),
            (enum account_status)(1 + next(state) % 3), any_floor(state), next(state)};
    r->revisions = revisions;
    r->n_entries = next(state) % 5;
    struct entry *entries = ARENA_ARRAY(arena, struct entry, r->n_entries);
    for (size_t i = 0; i < r->n_entries; i++)
        entries[i] = (struct entry){.leg = (uint32_t)next(state),
            .account = next(state),
            .version = next(state),
            .asset = (uint32_t)next(state),
            .side = next(state) % 2 ? 1 : -1,
            .revision = (uint32_t)next(state),
            .floor = any_floor(state),
            .change = any_amounts(state),
            .after = any_amounts(state),
            .backdated = next(state) % 2,
            .effective_at = r->effective_at};
    r->entries = entries;
    r->n_lots = next(state) % 4;
    struct lot *lots = ARENA_ARRAY(arena, struct lot, r->n_lots);
    for (size_t i = 0; i < r->n_lots; i++) {
        lots[i] = (struct lot){.origin = next(state),
            .leg = (uint32_t)next(state),
            .kind = (enum lot_kind)(1 + next(state) % 3),
            .version = (uint32_t)next(state),
            .account = next(state),
            .change = (int64_t)next(state),
            .remaining_after = (int64_t)next(state),
            .has_due = next(state) % 2};
        lots[i].due_at = lots[i].has_due ? (int64_t)next(state) : 0;
    }
    r->lots = lots;
}

static struct record *any_record(uint64_t *state, struct arena *arena)
{
    struct record *r = ARENA_NEW(arena, struct record);
    r->format = RECORD_FORMAT;
    r->ledger = (uint32_t)next(state);
    r->seq = next(state);
    r->kind = (enum record_kind)(1 + next(state) % 12);
    any_bytes(state, r->id.bytes, sizeof r->id.bytes);
    r->idempotency_key = any_string(state, arena);
    if (r->idempotency_key.data != NULL)
        any_bytes(state, r->request_hash, HASH_LEN);
    r->effective_at = (int64_t)next(state);
    r->recorded_at = (int64_t)next(state);
    r->reference = any_string(state, arena);
    r->related_seq = next(state);
    r->actor = any_string(state, arena);
    r->has_trace = next(state) % 2;
    if (r->has_trace)
        any_bytes(state, r->trace_id, TRACE_ID_LEN);
    r->refusal = (uint32_t)next(state);
    r->declined_amount = (int64_t)next(state);
    r->text.present = next(state) % 2;
    if (r->text.present)
        any_bytes(state, r->text.digest, HASH_LEN);
    if (next(state) % 2) {
        struct account_row *a = ARENA_NEW(arena, struct account_row);
        *a = (struct account_row){.number = next(state),
            .asset = usd.id,
            .type = (enum account_type)(1 + next(state) % 5),
            .external_id = any_string(state, arena),
            .opened_seq = r->seq};
        any_bytes(state, a->id.bytes, sizeof a->id.bytes);
        r->account = a;
    }
    any_rows(state, arena, r);
    return r;
}

static void assert_same_string(struct str a, struct str b)
{
    assert_int_equal(a.data == NULL, b.data == NULL);
    assert_true(str_eq(a, b));
}

static void assert_same_entry(const struct entry *a, const struct entry *b)
{
    assert_int_equal(a->leg, b->leg);
    assert_int_equal(a->account, b->account);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->asset, b->asset);
    assert_int_equal(a->side, b->side);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->floor.present, b->floor.present);
    assert_int_equal(a->floor.minor, b->floor.minor);
    assert_memory_equal(&a->change, &b->change, sizeof a->change);
    assert_memory_equal(&a->after, &b->after, sizeof a->after);
    assert_int_equal(a->backdated, b->backdated);
    assert_int_equal(a->effective_at, b->effective_at);
}

static void assert_same_lot(const struct lot *a, const struct lot *b)
{
    assert_int_equal(a->origin, b->origin);
    assert_int_equal(a->leg, b->leg);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->account, b->account);
    assert_int_equal(a->change, b->change);
    assert_int_equal(a->remaining_after, b->remaining_after);
    assert_int_equal(a->has_due, b->has_due);
    assert_int_equal(a->due_at, b->due_at);
}

static void assert_same_rows(const struct record *a, const struct record *b)
{
    assert_int_equal(a->n_revisions, b->n_revisions);
    for (size_t i = 0; i < a->n_revisions; i++) {
        assert_int_equal(a->revisions[i].account, b->revisions[i].account);
        assert_int_equal(a->revisions[i].revision, b->revisions[i].revision);
        assert_int_equal(a->revisions[i].status, b->revisions[i].status);
        assert_int_equal(a->revisions[i].floor.present, b->revisions[i].floor.present);
        assert_int_equal(a->revisions[i].floor.minor, b->revisions[i].floor.minor);
        assert_int_equal(a->revisions[i].text_seq, b->revisions[i].text_seq);
    }
    assert_int_equal(a->n_entries, b->n_entries);
    for (size_t i = 0; i < a->n_entries; i++)
        assert_same_entry(&a->entries[i], &b->entries[i]);
    assert_int_equal(a->n_lots, b->n_lots);
    for (size_t i = 0; i < a->n_lots; i++)
        assert_same_lot(&a->lots[i], &b->lots[i]);
}

static void assert_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->format, b->format);
    assert_int_equal(a->ledger, b->ledger);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->kind, b->kind);
    assert_true(uuid_eq(a->id, b->id));
    assert_same_string(a->idempotency_key, b->idempotency_key);
    assert_memory_equal(a->request_hash, b->request_hash, HASH_LEN);
    assert_int_equal(a->effective_at, b->effective_at);
    assert_int_equal(a->recorded_at, b->recorded_at);
    assert_same_string(a->reference, b->reference);
    assert_int_equal(a->related_seq, b->related_seq);
    assert_same_string(a->actor, b->actor);
    assert_int_equal(a->has_trace, b->has_trace);
    assert_memory_equal(a->trace_id, b->trace_id, TRACE_ID_LEN);
    assert_int_equal(a->refusal, b->refusal);
    assert_int_equal(a->declined_amount, b->declined_amount);
    assert_int_equal(a->text.present, b->text.present);
    assert_memory_equal(a->text.digest, b->text.digest, HASH_LEN);
    assert_int_equal(a->account == NULL, b->account == NULL);
    if (a->account != NULL) {
        assert_int_equal(a->account->number, b->account->number);
        assert_true(uuid_eq(a->account->id, b->account->id));
        assert_int_equal(a->account->asset, b->account->asset);
        assert_int_equal(a->account->type, b->account->type);
        assert_same_string(a->account->external_id, b->account->external_id);
        assert_int_equal(a->account->opened_seq, b->account->opened_seq);
    }
    assert_same_rows(a, b);
}

static void decoding_is_the_inverse_of_encoding(void **unused)
{
    (void)unused;
    struct arena arena;
    arena_init(&arena, 0);
    struct strbuf bytes, again;
    strbuf_init(&bytes);
    strbuf_init(&again);
    for (uint64_t seed = 0; seed < 2000; seed++) {
        uint64_t state = seed;
        arena_reset(&arena);
        strbuf_clear(&bytes);
        strbuf_clear(&again);
        struct record *record = any_record(&state, &arena), decoded;
        canonical_encode(record, &usd, &bytes);
        struct asset asset;
        struct err err = {0};
        if (!canonical_decode(strbuf_view(&bytes), &arena, &decoded, &asset, &err))
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
        assert_same(record, &decoded);
        if (record->account != NULL) {
            assert_string_equal(asset.code, usd.code);
            assert_int_equal(asset.scale, usd.scale);
        } else {
            assert_string_equal(asset.code, "");
        }
        canonical_encode(&decoded, &asset, &again);
        assert_true(str_eq(strbuf_view(&bytes), strbuf_view(&again)));
    }
    strbuf_fini(&bytes);
    strbuf_fini(&again);
    arena_fini(&arena);
}

/* Every prefix is refused; every changed byte is refused or read as exactly what it says. */
static void damage_is_refused_or_visible(void **unused)
{
    (void)unused;
    struct arena arena;
    arena_init(&arena, 0);
    struct strbuf bytes, again;
    strbuf_init(&bytes);
    strbuf_init(&again);
    unsigned refused = 0, visible = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        uint64_t state = seed;
        arena_reset(&arena);
        strbuf_clear(&bytes);
        canonical_encode(any_record(&state, &arena), &usd, &bytes);
        struct record decoded;
        struct asset asset;
        for (size_t n = 0; n < bytes.len; n++) {
            char *exact = malloc(n + 1); /* so that the sanitiser sees a read past the end */
            memcpy(exact, bytes.data, n);
            assert_false(canonical_decode((struct str){exact, n}, &arena, &decoded, &asset, NULL));
            free(exact);
        }
        for (size_t i = 0; i < bytes.len; i++) {
            char before = bytes.data[i];
            bytes.data[i] = (char)(before ^ (1 << next(&state) % 8));
            if (canonical_decode(strbuf_view(&bytes), &arena, &decoded, &asset, NULL)) {
                strbuf_clear(&again);
                canonical_encode(&decoded, &asset, &again);
                assert_true(str_eq(strbuf_view(&bytes), strbuf_view(&again)));
                visible++;
            } else {
                refused++;
            }
            bytes.data[i] = before;
        }
    }
    assert_true(refused > 0 && visible > 0);
    strbuf_fini(&bytes);
    strbuf_fini(&again);
    arena_fini(&arena);
}

static void faults_name_their_offset(void **unused)
{
    (void)unused;
    struct arena arena;
    arena_init(&arena, 0);
    struct strbuf bytes;
    strbuf_init(&bytes);
    struct record record = {.format = RECORD_FORMAT, .ledger = 1, .seq = 1, .kind = RECORD_TRANSFER}, decoded;
    struct asset asset;
    struct err err = {0};
    canonical_encode(&record, NULL, &bytes);
    assert_int_equal(bytes.len, 91);
    static const struct {
        size_t offset;
        char byte;
        const char *message;
    } cases[] = {
        {3, 2, "canonical bytes: an unknown format at offset 0"},
        {17, 0, "canonical bytes: an unknown kind at offset 16"},
        {17, 13, "canonical bytes: an unknown kind at offset 16"},
        {76, 2, "canonical bytes: a flag that is neither 0 nor 1 at offset 76"},
        {78, 2, "canonical bytes: a flag that is neither 0 nor 1 at offset 78"},
        {85, 1, "canonical bytes: a count of rows that the bytes left cannot hold at offset 83"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char before = bytes.data[cases[i].offset];
        bytes.data[cases[i].offset] = cases[i].byte;
        assert_false(canonical_decode(strbuf_view(&bytes), &arena, &decoded, &asset, &err));
        assert_string_equal(err.message, cases[i].message);
        bytes.data[cases[i].offset] = before;
    }
    strbuf_char(&bytes, '\0');
    assert_false(canonical_decode(strbuf_view(&bytes), &arena, &decoded, &asset, &err));
    assert_string_equal(err.message, "canonical bytes: more bytes than the record has at offset 91");
    strbuf_fini(&bytes);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_is_the_inverse_of_encoding),
        cmocka_unit_test(damage_is_refused_or_visible),
        cmocka_unit_test(faults_name_their_offset),
    };
    return cmocka_run_group_tests_name("journal/canonical", tests, NULL, NULL);
}
