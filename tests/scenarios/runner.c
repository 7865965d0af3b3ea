/*
 * Runs scenarios: scenario_runner --memory|--sqlite|--postgres [--http PROGRAM] [--record FILE] SCENARIO... A
 * point of the Test Anything Protocol each; with --http over a real server on that journal. Every scenario starts with an empty journal, which is audited when it is over.
 */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "script.h"
#include "support/pg_database.h"

struct how {
    enum target_kind kind;
    const char *program;
    FILE *record;
};

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat, (void)type, (void)walk;
    return remove(path);
}

static bool read_file(const char *path, struct strbuf *b)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t n;
    do {
        strbuf_reserve(b, 65536);
        n = fread(b->data + b->len, 1, 65536, file);
        b->len += n;
    } while (n > 0);
    fclose(file);
    return true;
}

static bool run_scenario(const struct how *how, const char *path, struct err *err)
{
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    struct strbuf text;
    strbuf_init(&text);
    if (!read_file(path, &text)) {
        strbuf_fini(&text);
        err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
        return false;
    }
    char directory[] = "/tmp/creditledger-scenario-XXXXXX", log[64];
    INVARIANT(mkdtemp(directory) != NULL);
    struct target *target = how->program != NULL ? target_http_new(how->kind, how->program, directory)
                                                 : target_service_new(how->kind, directory);
    struct err audit;
    bool good = script_run(name, strbuf_view(&text), target, how->record, err);
    bool sound = target->finish(target, good ? err : &audit);
    strbuf_fini(&text);
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    snprintf(log, sizeof(log), "%s.log", directory);
    if (good && sound)
        (void)unlink(log);
    return good && sound;
}

static int usage(void)
{
    fprintf(stderr,
        "usage: scenario_runner --memory|--sqlite|--postgres [--http PROGRAM] [--record FILE] SCENARIO...\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct how how = {.kind = TARGET_MEMORY};
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--memory") == 0)
            how.kind = TARGET_MEMORY;
        else if (strcmp(argv[i], "--sqlite") == 0)
            how.kind = TARGET_SQLITE;
        else if (strcmp(argv[i], "--postgres") == 0)
            how.kind = TARGET_POSTGRES;
        else if (strcmp(argv[i], "--http") == 0 && i + 1 < argc)
            how.program = argv[++i];
        else if (strcmp(argv[i], "--record") == 0 && i + 1 < argc)
            how.record = fopen(argv[++i], "w");
        else
            return usage();
    }
    if (i == argc || (how.kind == TARGET_MEMORY && how.program != NULL))
        return usage();
    if (how.kind == TARGET_POSTGRES)
        pg_database_need();
    printf("1..%d\n", argc - i);
    int failed = 0;
    for (int n = 1; i < argc; i++, n++) {
        const char *name = strrchr(argv[i], '/') != NULL ? strrchr(argv[i], '/') + 1 : argv[i];
        struct err err;
        bool good = run_scenario(&how, argv[i], &err);
        printf("%sok %d - %s\n", good ? "" : "not ", n, name);
        if (!good)
            printf("# %s\n", err.message);
        fflush(stdout);
        failed += !good;
    }
    if (how.record != NULL)
        fclose(how.record);
    return failed > 0;
}
