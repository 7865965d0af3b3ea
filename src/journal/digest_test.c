#include "base/testing.h"

#include <stdlib.h>
#include <string.h>

#include "journal/canonical.h"
#include "journal/digest.h"

static void assert_hex(const uint8_t hash[HASH_LEN], const char *expected)
{
    uint8_t want[HASH_LEN];
    assert_true(str_to_bytes(str_of(expected), want, HASH_LEN));
    assert_memory_equal(hash, want, HASH_LEN);
}

static void hashes_are_sha256(void **state)
{
    struct digest *d = *state;
    uint8_t hash[HASH_LEN];
    /* FIPS 180-4, examples of the NIST. */
    digest_bytes(d, STR("abc"), hash);
    assert_hex(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_bytes(d, STR(""), hash);
    assert_hex(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_bytes(d, STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), hash);
    assert_hex(hash, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void a_text_is_salted(void **state)
{
    struct digest *d = *state;
    struct record_text text = {.present = true, .readable = true, .body = STR("ghijkl")};
    memcpy(text.salt, "0123456789abcdef", SALT_LEN);
    digest_text(d, &text);
    uint8_t hash[HASH_LEN];
    digest_bytes(d, STR("0123456789abcdefghijkl"), hash);
    assert_memory_equal(text.digest, hash, HASH_LEN);
}

static void a_genesis_covers_the_ledger_row(void **state)
{
    struct digest *d = *state;
    const struct ledger_row row = {.id = 1, .name = "main", .created_at = 1000000};
    uint8_t first[HASH_LEN], other[HASH_LEN];
    digest_genesis(d, &row, first);
    struct strbuf b;
    strbuf_init(&b);
    strbuf_c(&b, "creditledger genesis 1");
    strbuf_add(&b, "\0\0\0\1\0\4main\0\0\0\0\0\0\x0f\x42\x40", 19);
    digest_bytes(d, strbuf_view(&b), other);
    assert_memory_equal(first, other, HASH_LEN);
    strbuf_fini(&b);

    struct ledger_row changed[4] = {row, row, row, row};
    changed[0].id = 2;
    strcpy(changed[1].name, "mai");
    changed[2].default_floor = (struct floor){true, 0};
    changed[3].created_at++;
    for (size_t i = 0; i < 4; i++) {
        digest_genesis(d, &changed[i], other);
        assert_memory_not_equal(first, other, HASH_LEN);
    }
}

static void a_record_is_chained_to_the_one_before(void **state)
{
    struct digest *d = *state;
    const struct record record = {.format = RECORD_FORMAT, .ledger = 1, .seq = 7, .kind = RECORD_TRANSFER};
    uint8_t previous[HASH_LEN] = {1, 2, 3}, hash[HASH_LEN], expected[HASH_LEN];
    digest_record(d, previous, &record, NULL, hash);
    struct strbuf b;
    strbuf_init(&b);
    strbuf_add(&b, previous, HASH_LEN);
    canonical_encode(&record, NULL, &b);
    digest_bytes(d, strbuf_view(&b), expected);
    assert_memory_equal(hash, expected, HASH_LEN);
    strbuf_fini(&b);
    previous[31] ^= 1;
    digest_record(d, previous, &record, NULL, expected);
    assert_memory_not_equal(hash, expected, HASH_LEN);
}

static void a_command_is_hashed_by_its_canonical_bytes(void **state)
{
    struct digest *d = *state;
    struct command command = {.op = COMMAND_CREATE_LEDGER,
        .ledger = STR("shop"),
        .as.create_ledger = {.name = STR("shop"), .default_floor = {true, 0}}};
    digest_command(d, &command);
    struct strbuf b;
    strbuf_init(&b);
    command_canonical(&command, &b);
    uint8_t expected[HASH_LEN];
    digest_bytes(d, strbuf_view(&b), expected);
    assert_memory_equal(command.request_hash, expected, HASH_LEN);
    strbuf_fini(&b);
}

static int setup(void **state)
{
    *state = digest_new();
    return 0;
}

static int teardown(void **state)
{
    digest_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_sha256),
        cmocka_unit_test(a_text_is_salted),
        cmocka_unit_test(a_genesis_covers_the_ledger_row),
        cmocka_unit_test(a_record_is_chained_to_the_one_before),
        cmocka_unit_test(a_command_is_hashed_by_its_canonical_bytes),
    };
    return cmocka_run_group_tests_name("journal/digest", tests, setup, teardown);
}
