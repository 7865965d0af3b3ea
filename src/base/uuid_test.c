#include "base/uuid.h"

#include "base/check.h"

static void test_layout(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t instant;
        uint64_t counter;
        uint32_t random;
        const char *text;
    } cases[] = {
        {"smallest", 0, 1, 0, "00000000-0000-7000-8000-000000040000"},
        {"before the epoch counts as the epoch", -1, 1, 0, "00000000-0000-7000-8000-000000040000"},
        {"milliseconds first", 1000, 1, 0, "00000000-0001-7000-8000-000000040000"},
        {"microseconds are cut off", 1999, 1, 0, "00000000-0001-7000-8000-000000040000"},
        {"30 bits of randomness", 0, 1, UINT32_MAX, "00000000-0000-7fff-8000-00000007ffff"},
        {"largest counter", 0, UUID_COUNTER_MAX, 0, "00000000-0000-7000-bfff-fffffffc0000"},
        {"RFC 9562, appendix A.6, its instant", INT64_C(1645557742000000), 2, 5,
            "017f22e2-79b0-7000-8000-000000080005"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct uuid id = uuid_make(cases[i].instant, cases[i].counter, cases[i].random);
        char text[UUID_TEXT_LEN + 1];
        uuid_format(id, text);
        CHECK_STR(cases[i].name, str_of(text), str_of(cases[i].text));
        CHECK_INT(cases[i].name, uuid_counter(id), cases[i].counter);
        CHECK(cases[i].name, uuid_eq(uuid_around(cases[i].counter, uuid_high(id), uuid_low(id)), id));
        CHECK(cases[i].name, uuid_carries(id, cases[i].counter));
        CHECK(cases[i].name, !uuid_carries(id, cases[i].counter ^ 1));
        id.bytes[8] ^= 0x40; /* another variant */
        CHECK(cases[i].name, !uuid_carries(id, cases[i].counter));
        id.bytes[8] ^= 0x40;
        struct strbuf b;
        strbuf_init(&b);
        strbuf_uuid(&b, id);
        CHECK_STR(cases[i].name, strbuf_view(&b), str_of(cases[i].text));
        strbuf_fini(&b);
    }
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"017f22e2-79b0-7000-8000-000000080005", true},
        {"017F22E2-79B0-7000-8000-0000000ABCDE", true},
        {"00000000-0000-0000-0000-000000000000", true},
        {"", false},
        {"017f22e2-79b0-7000-8000-00000008000", false},
        {"017f22e2-79b0-7000-8000-0000000800055", false},
        {"017f22e279b0-7000-8000-0000000800050-", false},
        {"017f22e2+79b0-7000-8000-000000080005", false},
        {"017f22e2-79b0-7000-8000-00000008000g", false},
        {"017f22e2-79b0-7000-8000-00000008-005", false},
        {"{17f22e2-79b0-7000-8000-00000008000}", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct uuid id;
        CHECK_INT(cases[i].text, uuid_parse(str_of(cases[i].text), &id), cases[i].valid);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t random = 42;
    for (int i = 0; i < 1000; i++) {
        uint64_t counter = 1 + check_below(&random, UUID_COUNTER_MAX);
        struct uuid id = uuid_make(
            (int64_t)check_below(&random, INT64_C(1) << 51), counter, (uint32_t)check_random(&random));
        char text[UUID_TEXT_LEN + 1];
        uuid_format(id, text);
        struct uuid again;
        CHECK(text, uuid_parse(str_of(text), &again) && uuid_eq(id, again));
        CHECK(text, uuid_counter(again) == counter && !uuid_is_zero(again));
        CHECK(text, id.bytes[6] >> 4 == 7 && id.bytes[8] >> 6 == 2);
        again.bytes[check_below(&random, 16)] ^= 1;
        CHECK(text, !uuid_eq(id, again));
    }
    assert_true(uuid_is_zero((struct uuid){{0}}));
}

static void make_with_counter(void *ctx)
{
    uuid_make(0, *(uint64_t *)ctx, 0);
}

static void test_counters_out_of_range_abort(void **state)
{
    (void)state;
    uint64_t zero = 0, too_large = UUID_COUNTER_MAX + 1;
    assert_true(check_aborts(make_with_counter, &zero));
    assert_true(check_aborts(make_with_counter, &too_large));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_counters_out_of_range_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
