/* The behavioural suite over PostgreSQL. */
#include "base/testing.h"

#include "journal/journal_suite.h"
#include "journal/postgres_testing.h"

int main(void)
{
    if (!postgres_testing_begin(INT64_C(1700000000000000))) /* SUITE_START */
        return 0;
    return journal_suite_run(&(struct journal_suite){.name = "journal/postgres",
        .url = postgres_testing_url,
        .missing_url = postgres_testing_empty_url,
        .drop = postgres_testing_drop,
        .lasting = true});
}
