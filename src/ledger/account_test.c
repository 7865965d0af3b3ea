#include "ledger/account.h"

#include "base/check.h"

static const struct account before = {
    .ledger = 1,
    .number = 7,
    .asset = 2,
    .type = ACCOUNT_LIABILITY,
    .revision = 3,
    .status = ACCOUNT_OPEN,
    .floor = {true, 0},
    .version = 10,
    .seq = 40,
    .balance = {100, 5, 20},
};

static const struct entry good = {
    .account = 7,
    .version = 11,
    .asset = 2,
    .side = 1,
    .revision = 3,
    .floor = {true, 0},
    .change = {-30, 1, 2},
    .after = {70, 6, 22},
};

struct application {
    struct entry entry;
    uint64_t seq;
};

static void apply(void *ctx)
{
    struct application *a = ctx;
    struct account account = before;
    account_apply(&account, &a->entry, a->seq);
}

static void test_apply_moves_the_head_on(void **state)
{
    (void)state;
    struct account account = before;
    account_apply(&account, &good, 41);
    assert_int_equal(account.version, 11);
    assert_int_equal(account.seq, 41);
    assert_int_equal(account.balance.posted, 70);
    assert_int_equal(account.balance.incoming, 6);
    assert_int_equal(account.balance.outgoing, 22);
    struct entry next = good;
    next.version = 12;
    next.change = (struct amounts){10, 0, 0};
    next.after = (struct amounts){80, 6, 22};
    account_apply(&account, &next, 41); /* twice in one record */
    assert_int_equal(account.version, 12);
}

/* I4 and I5: what does not continue the account is a bug, and stops the process. */
static void test_apply_refuses_what_does_not_continue(void **state)
{
    (void)state;
    struct {
        const char *name;
        struct entry entry;
        uint64_t seq;
        bool aborts;
    } cases[20];
    size_t n = 0;
#define CASE(text, aborts_, assignment) \
    do { \
        cases[n].name = text; \
        cases[n].entry = good; \
        cases[n].seq = 41; \
        cases[n].aborts = aborts_; \
        assignment; \
        n++; \
    } while (0)
    CASE("as it should be", false, (void)0);
    CASE("another account", true, cases[n].entry.account = 8);
    CASE("version skipped", true, cases[n].entry.version = 12);
    CASE("version repeated", true, cases[n].entry.version = 10);
    CASE("another asset", true, cases[n].entry.asset = 1);
    CASE("side flipped", true, cases[n].entry.side = -1);
    CASE("floor that is not the account's", true, cases[n].entry.floor.minor = -1);
    CASE("floor gone", true, cases[n].entry.floor.present = false);
    CASE("revision with a movement", true, cases[n].entry.revision = 4);
    CASE("revision skipped", true,
        cases[n].entry = ((struct entry){
            .account = 7, .version = 11, .asset = 2, .side = 1, .revision = 5, .after = {100, 5, 20}}));
    CASE("next revision, nothing moves", false,
        cases[n].entry = ((struct entry){
            .account = 7, .version = 11, .asset = 2, .side = 1, .revision = 4, .after = {100, 5, 20}}));
    CASE("posted does not add up", true, cases[n].entry.after.posted++);
    CASE("incoming does not add up", true, cases[n].entry.after.incoming++);
    CASE("outgoing does not add up", true, cases[n].entry.after.outgoing++);
    CASE("incoming below zero", true,
        (cases[n].entry.change.incoming = -6, cases[n].entry.after.incoming = -1));
    CASE("outgoing below zero", true,
        (cases[n].entry.change.outgoing = -21, cases[n].entry.after.outgoing = -1));
    CASE("seq runs backwards", true, cases[n].seq = 39);
    for (size_t i = 0; i < n; i++) {
        struct application a = {cases[i].entry, cases[i].seq};
        CHECK_INT(cases[i].name, check_aborts(apply, &a), cases[i].aborts);
    }
#undef CASE
}

static void revise_wrongly(void *ctx)
{
    struct account account = before;
    account_revise(&account, ctx);
}

static void test_revise(void **state)
{
    (void)state;
    struct revision_row row = {
        .account = 7, .revision = 4, .status = ACCOUNT_FROZEN, .floor = {true, -50}, .text_seq = 41};
    const struct entry zero = {.account = 7,
        .version = 11,
        .asset = 2,
        .side = 1,
        .revision = 4,
        .floor = {true, -50},
        .after = {100, 5, 20}};
    /* In either order. */
    for (int order = 0; order < 2; order++) {
        struct account account = before;
        if (order == 0)
            account_revise(&account, &row);
        account_apply(&account, &zero, 41);
        if (order == 1)
            account_revise(&account, &row);
        assert_int_equal(account.revision, 4);
        assert_int_equal(account.status, ACCOUNT_FROZEN);
        assert_true(account.floor.present && account.floor.minor == -50);
        assert_int_equal(account.text_seq, 41);
        assert_int_equal(account.version, 11);
    }
    assert_false(check_aborts(revise_wrongly, &row));
    row.revision = 5;
    assert_true(check_aborts(revise_wrongly, &row));
    row.revision = 4;
    row.account = 8;
    assert_true(check_aborts(revise_wrongly, &row));
}

static void test_is_world(void **state)
{
    (void)state;
    static const struct {
        const char *external_id;
        bool is_world;
    } cases[] = {{"@world:USD", true}, {"@world", false}, {"world:USD", false}, {"", false}, {NULL, false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct account account = {.external_id = str_of(cases[i].external_id)};
        CHECK_INT(cases[i].external_id ? cases[i].external_id : "none", account_is_world(&account),
            cases[i].is_world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply_moves_the_head_on),
        cmocka_unit_test(test_apply_refuses_what_does_not_continue),
        cmocka_unit_test(test_revise),
        cmocka_unit_test(test_is_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
