#include "app/verify_unique.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
    uint64_t hash, row;
};

#define READ_AHEAD 4096 /* items of one run held while merging */

/* One sorted run while merging: a window of the file, or the run that is still in memory. */
struct run {
    uint64_t offset, left; /* in items, of what is not in the window yet */
    struct item *window;
    size_t at, n;
};

struct unique {
    struct item *items;
    size_t n, cap, run_max;
    FILE *spill;
    size_t runs; /* in the file, all of run_max items */
};

static void *allocate(void *old, size_t n, size_t size)
{
    void *p = reallocarray(old, n, size);
    INVARIANT_F(p != NULL, "out of memory at %zu items", n);
    return p;
}

struct unique *unique_new(size_t run_max)
{
    struct unique *u = allocate(NULL, 1, sizeof *u);
    *u = (struct unique){.run_max = run_max ? run_max : UNIQUE_RUN};
    return u;
}

void unique_free(struct unique *u)
{
    if (u == NULL)
        return;
    if (u->spill)
        fclose(u->spill);
    free(u->items);
    free(u);
}

static int compare(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int spill_failed(struct err *err)
{
    return err_set(
        err, errno == ENOSPC ? ERR_FULL : ERR_IO, "temporary file for sorting keys: %s", strerror(errno));
}

static int spill(struct unique *u, struct err *err)
{
    qsort(u->items, u->n, sizeof *u->items, compare);
    if (u->spill == NULL && (u->spill = tmpfile()) == NULL)
        return spill_failed(err);
    if (fwrite(u->items, sizeof *u->items, u->n, u->spill) != u->n)
        return spill_failed(err);
    u->runs++;
    u->n = 0;
    return 0;
}

int unique_add(struct unique *u, uint64_t hash, uint64_t row, struct err *err)
{
    if (u->n == u->run_max) {
        int rc = spill(u, err);
        if (rc != 0)
            return rc;
    }
    if (u->n == u->cap) {
        u->cap = u->cap ? u->cap * 2 : 1024;
        if (u->cap > u->run_max)
            u->cap = u->run_max;
        u->items = allocate(u->items, u->cap, sizeof *u->items);
    }
    u->items[u->n++] = (struct item){hash, row};
    return 0;
}

/* True if the run has a current item. */
static int run_fill(struct unique *u, struct run *run, bool *ret_has, struct err *err)
{
    if (run->at == run->n && run->left > 0) {
        size_t n = run->left < READ_AHEAD ? (size_t)run->left : READ_AHEAD;
        if (fseeko(u->spill, (off_t)(run->offset * sizeof(struct item)), SEEK_SET) != 0 ||
            fread(run->window, sizeof(struct item), n, u->spill) != n)
            return spill_failed(err);
        run->offset += n;
        run->left -= n;
        run->at = 0;
        run->n = n;
    }
    *ret_has = run->at < run->n;
    return 0;
}

/* The run whose current item is least. Linear: a run is 2 million items, so there are few. */
static int least_run(struct unique *u, struct run *runs, size_t n, struct run **ret_run, struct err *err)
{
    *ret_run = NULL;
    for (size_t i = 0; i < n; i++) {
        bool has = false;
        int rc = run_fill(u, &runs[i], &has, err);
        if (rc != 0)
            return rc;
        if (has && (*ret_run == NULL ||
                       compare(&runs[i].window[runs[i].at], &(*ret_run)->window[(*ret_run)->at]) < 0))
            *ret_run = &runs[i];
    }
    return 0;
}

static int merge(struct unique *u, struct run *runs, size_t n, int (*same)(void *, uint64_t, uint64_t),
    void *ctx, struct err *err)
{
    struct item last = {0, 0};
    bool any = false;
    for (;;) {
        struct run *run = NULL;
        int rc = least_run(u, runs, n, &run, err);
        if (rc != 0 || run == NULL)
            return rc;
        struct item item = run->window[run->at++];
        if (any && item.hash == last.hash && (rc = same(ctx, last.row, item.row)) != 0)
            return rc;
        last = item;
        any = true;
    }
}

int unique_finish(
    struct unique *u, int (*same)(void *ctx, uint64_t row, uint64_t other_row), void *ctx, struct err *err)
{
    if (u->n > 0)
        qsort(u->items, u->n, sizeof *u->items, compare);
    if (u->spill != NULL && fflush(u->spill) != 0)
        return spill_failed(err);
    struct run *runs = allocate(NULL, u->runs + 1, sizeof *runs);
    for (size_t i = 0; i < u->runs; i++)
        runs[i] = (struct run){.offset = i * u->run_max,
            .left = u->run_max,
            .window = allocate(NULL, READ_AHEAD, sizeof(struct item))};
    runs[u->runs] = (struct run){.window = u->items, .n = u->n};
    int rc = merge(u, runs, u->runs + 1, same, ctx, err);
    for (size_t i = 0; i < u->runs; i++)
        free(runs[i].window);
    free(runs);
    return rc;
}
