#include "base/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal/journal_suite.h"

static char directory[] = "/tmp/creditledger-sqlite-XXXXXX";

static void next_url(char *ret_url, size_t size)
{
    static int n;
    snprintf(ret_url, size, "sqlite:%s/%d.db", directory, n++);
}

static void drop(const char *url)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[512];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s%s", url + strlen("sqlite:"), suffixes[i]);
        unlink(path);
    }
}

int main(void)
{
    if (mkdtemp(directory) == NULL)
        return 1;
    int failed = journal_suite_run(&(struct journal_suite){
        .name = "journal/sqlite", .url = next_url, .drop = drop, .lasting = true, .file_scheme = "sqlite:"});
    rmdir(directory);
    return failed;
}
