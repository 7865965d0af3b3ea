#include "base/testing.h"

#include <stdio.h>

#include "engine/account_cache.h"

static struct account make(uint32_t ledger, uint64_t number, const char *external_id)
{
    return (struct account){
        .ledger = ledger, .number = number, .external_id = str_of(external_id), .version = number};
}

static void finds_by_number_and_by_external_id(void **state)
{
    (void)state;
    struct account_cache *cache = account_cache_new(16, 1);
    char name[] = "alice";
    struct account a = make(1, 7, name), other_ledger = make(2, 7, "bob");
    account_cache_put(cache, &a);
    account_cache_put(cache, &other_ledger);
    name[0] = 'X'; /* the cache has a copy of its own */
    assert_int_equal(account_cache_get(cache, 1, 7)->version, 7);
    assert_ptr_equal(account_cache_find(cache, 1, STR("alice")), account_cache_get(cache, 1, 7));
    assert_null(account_cache_find(cache, 1, STR("bob")));
    assert_non_null(account_cache_find(cache, 2, STR("bob")));
    assert_null(account_cache_get(cache, 1, 8));
    account_cache_drop(cache, 1, 7);
    assert_null(account_cache_get(cache, 1, 7));
    assert_null(account_cache_find(cache, 1, STR("alice")));
    assert_int_equal(account_cache_size(cache), 1);
    account_cache_free(cache);
}

static void put_keeps_what_is_there(void **state)
{
    (void)state;
    struct account_cache *cache = account_cache_new(16, 1);
    struct account a = make(1, 1, NULL);
    account_cache_put(cache, &a)->version = 99;
    assert_int_equal(account_cache_put(cache, &a)->version, 99);
    account_cache_clear(cache);
    assert_int_equal(account_cache_size(cache), 0);
    assert_int_equal(account_cache_put(cache, &a)->version, 1);
    account_cache_free(cache);
}

/* What a batch uses stays where it is, however small the capacity; afterwards the cache is back at its bound.
 */
static void pinned_entries_stay_and_trim_restores_the_bound(void **state)
{
    (void)state;
    enum { CAPACITY = 100, USED = 5000 };
    struct account_cache *cache = account_cache_new(CAPACITY, 1);
    static struct account *pointers[USED + 1];
    char name[32];
    for (int round = 0; round < 3; round++) {
        account_cache_unpin_all(cache);
        for (uint64_t n = 1; n <= USED; n++) {
            snprintf(name, sizeof name, "account-%d-%llu", round, (unsigned long long)n);
            struct account a = make((uint32_t)round + 1, n, name);
            pointers[n] = account_cache_put(cache, &a);
        }
        for (uint64_t n = 1; n <= USED; n++) {
            assert_ptr_equal(account_cache_get(cache, (uint32_t)round + 1, n), pointers[n]);
            assert_int_equal(pointers[n]->number, n);
        }
        account_cache_unpin_all(cache);
        account_cache_trim(cache);
        assert_in_range(account_cache_size(cache), 1, CAPACITY);
    }
    account_cache_free(cache);
}

/* The batch that is being committed keeps its accounts while the next one is decided. */
static void two_batches_are_pinned_while_one_commits(void **state)
{
    (void)state;
    struct account_cache *cache = account_cache_new(1, 1);
    struct account accounts[] = {make(1, 1, NULL), make(1, 2, NULL), make(2, 3, NULL)};
    for (size_t i = 0; i < 3; i++) {
        account_cache_put(cache, &accounts[i]);
        account_cache_next_batch(cache);
    }
    account_cache_trim(cache); /* of the first batch alone: it has landed long ago */
    assert_null(account_cache_peek(cache, 1, 1));
    account_cache_trim(cache);
    assert_non_null(account_cache_peek(cache, 2, 3));
    account_cache_unpin_all(cache);
    account_cache_put(cache, &accounts[0]);
    account_cache_next_batch(cache);
    account_cache_put(cache, &accounts[1]);
    account_cache_trim(cache);
    assert_non_null(account_cache_peek(cache, 1, 1));
    assert_non_null(account_cache_peek(cache, 1, 2));
    account_cache_unpin_previous(cache);
    account_cache_trim(cache);
    assert_null(account_cache_peek(cache, 1, 1));
    assert_non_null(account_cache_peek(cache, 1, 2));
    account_cache_clear_ledger(cache, 2);
    assert_int_equal(account_cache_size(cache), 1);
    account_cache_clear_ledger(cache, 1);
    assert_int_equal(account_cache_size(cache), 0);
    account_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_number_and_by_external_id),
        cmocka_unit_test(put_keeps_what_is_there),
        cmocka_unit_test(pinned_entries_stay_and_trim_restores_the_bound),
        cmocka_unit_test(two_batches_are_pinned_while_one_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
