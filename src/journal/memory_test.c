#include "base/testing.h"

#include <stdio.h>

#include "journal/journal_suite.h"

static void next_url(char *ret_url, size_t size)
{
    static int n;
    snprintf(ret_url, size, "memory:suite-%d", n++);
}

int main(void)
{
    return journal_suite_run(&(struct journal_suite){.name = "journal/memory", .url = next_url});
}
