#include "journal/postgres_testing.h"

#include "base/testing.h"

#include <stdlib.h>

#include "journal/postgres.h"

static struct {
    char model[512]; /* URL of the migrated one; empty until it is needed */
    int64_t now;
} testing;

bool postgres_testing_begin(int64_t now)
{
    testing.now = now;
    return postgres_testing_needed();
}

static void drop_model(void)
{
    postgres_testing_forget(testing.model);
}

void postgres_testing_url(char *ret_url, size_t size)
{
    if (testing.model[0] == '\0') {
        struct err err;
        const struct postgres_migration_plan plan = {.now = testing.now};
        postgres_testing_empty_url(testing.model, sizeof testing.model);
        atexit(drop_model);
        if (postgres_migrate(testing.model, &plan, NULL, NULL, &err) != 0)
            fail_msg("migrate: %s", err.message);
    }
    postgres_testing_copy_url(testing.model, ret_url, size);
}
