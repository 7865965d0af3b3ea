/*
 * Runs a fuzz target on every file of a directory, and on a few inputs that every parser should survive.
 * Stands in for libFuzzer where the fuzzers are not built.
 */
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_bytes(const void *bytes, size_t len)
{
    /* A copy of just that size, so that a read past the end is seen. */
    uint8_t *copy = malloc(len > 0 ? len : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, len);
    (void)LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    static uint8_t bytes[1 << 20];
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    run_bytes(bytes, len);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    run_bytes("", 0);
    run_bytes("\0", 1);
    run_bytes("\xff\xfe\xfd\xfc", 4);
    run_bytes("{\"a\":[1,2,{\"b\":null}]}", 22);
    DIR *directory = opendir(argv[1]);
    if (directory == NULL)
        return errno == ENOENT ? 0 : 1; /* a target may have no corpus yet */
    int failed = 0;
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (entry->d_name[0] == '.')
            continue;
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        failed |= run_file(path);
    }
    closedir(directory);
    return failed;
}
