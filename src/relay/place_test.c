#include "base/check.h"
#include "relay/relay_internal.h"

#define HASH64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void positions_come_back(void **state)
{
    (void)state;
    struct place place = {.seq = UINT64_MAX, .recorded_at = -5}, back;
    struct strbuf b;
    for (size_t i = 0; i < HASH_LEN; i++)
        place.hash[i] = (uint8_t)(i * 7);
    strbuf_init(&b);
    place_format(&place, &b);
    assert_true(place_parse(strbuf_view(&b), &back));
    assert_true(back.seq == place.seq);
    CHECK_INT("recorded at", back.recorded_at, -5);
    assert_memory_equal(back.hash, place.hash, HASH_LEN);
    strbuf_fini(&b);
}

static void what_is_no_position_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        bool good;
    } cases[] = {
        {"as it is written", "{\"seq\":7,\"hash\":\"" HASH64 "\",\"recordedAt\":9}", true},
        {"with members to come", "{\"seq\":7,\"hash\":\"" HASH64 "\",\"recordedAt\":9,\"more\":{\"a\":1}}",
            true},
        {"nothing", "", false},
        {"seq 0", "{\"seq\":0,\"hash\":\"" HASH64 "\",\"recordedAt\":9}", false},
        {"a seq that is none", "{\"seq\":-7,\"hash\":\"" HASH64 "\",\"recordedAt\":9}", false},
        {"a short hash", "{\"seq\":7,\"hash\":\"0011\",\"recordedAt\":9}", false},
        {"no hash", "{\"seq\":7,\"recordedAt\":9}", false},
        {"no instant", "{\"seq\":7,\"hash\":\"" HASH64 "\"}", false},
        {"cut off", "{\"seq\":7,\"hash\":\"" HASH64 "\",\"recordedAt\":9", false},
        {"cut off early", "{\"seq\":7", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct place place;
        CHECK_INT(cases[i].name, place_parse(str_of(cases[i].text), &place), cases[i].good);
    }
    struct place place;
    assert_false(place_parse(STR_NONE, &place));
}

/* --- the cursor, in a file ------------------------------------------------------------------------------------ */

static char directory[] = "/tmp/relay-place-XXXXXX";
static char url[64];

#define OK(call) \
    do { \
        int ok_ = (call); \
        if (ok_ != 0) \
            fail_msg("%s: %d %s", #call, ok_, err.message); \
    } while (0)

static struct book *add(struct books *books, const char *name)
{
    books->at = realloc(books->at, (books->n + 1) * sizeof *books->at);
    struct book *book = &books->at[books->n++];
    *book = (struct book){.row.id = (uint32_t)books->n};
    snprintf(book->row.name, sizeof book->row.name, "%s", name);
    return book;
}

static void the_cursor_is_kept_and_guarded(void **state)
{
    (void)state;
    struct err err = {0};
    const struct db_options options = {.create = true};
    const struct kafka_config ours = {.topic_prefix = "a."}, others = {.topic_prefix = ""};
    struct db *db;
    struct books books = {0}, seen = {0};
    OK(db_open(url, &options, &db, &err));
    OK(cursor_prepare(db, &err));
    OK(cursor_prepare(db, &err));
    struct book *main_book = add(&books, "main");
    add(&books, "quiet");
    main_book = &books.at[0];
    main_book->place = (struct place){.seq = 5, .recorded_at = 50, .hash = {1, 2, 3}};
    main_book->cursor_due = true;
    OK(cursor_write(&books, db, &ours, 3, &err));
    assert_false(books.at[0].cursor_due);

    add(&seen, "main");
    add(&seen, "quiet");
    const char *raised;
    OK(places_from_cursor(&seen, db, &others, &raised, &err));
    assert_null(raised);
    CHECK_INT("topics of another prefix", seen.at[0].place.seq, 0);
    OK(places_from_cursor(&seen, db, &ours, &raised, &err));
    assert_string_equal(raised, "main");
    CHECK_INT("seq", seen.at[0].place.seq, 5);
    CHECK_INT("recorded at", seen.at[0].place.recorded_at, 50);
    assert_memory_equal(seen.at[0].place.hash, books.at[0].place.hash, HASH_LEN);
    CHECK_INT("a ledger without a row", seen.at[1].place.seq, 0);

    /* A later holder has written; the earlier one, that slept, changes nothing. */
    books.at[0].place.seq = 9;
    books.at[0].cursor_due = true;
    OK(cursor_write(&books, db, &ours, 4, &err));
    books.at[0].place.seq = 7;
    books.at[0].cursor_due = true;
    OK(cursor_write(&books, db, &ours, 3, &err));
    OK(places_from_cursor(&seen, db, &ours, &raised, &err));
    CHECK_INT("the later one's", seen.at[0].place.seq, 9);

    /* What the topic knows better stays. */
    seen.at[0].place.seq = 12;
    OK(places_from_cursor(&seen, db, &ours, &raised, &err));
    CHECK_INT("the topic's", seen.at[0].place.seq, 12);
    assert_null(raised);
    books_fini(&books);
    books_fini(&seen);
    db_close(db);
}

int main(void)
{
    assert_non_null(mkdtemp(directory));
    snprintf(url, sizeof url, "sqlite:%s/l-read.db", directory);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_come_back),
        cmocka_unit_test(what_is_no_position_is_refused),
        cmocka_unit_test(the_cursor_is_kept_and_guarded),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command) != 0 ? 1 : failed;
}
