#include "exports.h"

#include <stdlib.h>
#include <string.h>

#include "app/export.h"

struct text {
    char *data;
    size_t size;
};

static int export_to(struct rig *rig, uint32_t ledger, struct text *ret_text, struct err *err)
{
    FILE *out = open_memstream(&ret_text->data, &ret_text->size);
    INVARIANT(out != NULL);
    const struct export_request request = {.j = rig->reader,
        .ledger = catalog_ledger(rig->catalog, ledger),
        .format = EXPORT_NDJSON,
        .from_seq = 1,
        .out = out};
    uint64_t n;
    int rc = export_ledger(&request, &n, err);
    fclose(out);
    return rc;
}

int exports_compare(struct rig *a, struct rig *b, uint32_t ledger, struct err *err)
{
    struct text x = {NULL, 0}, y = {NULL, 0};
    int rc = export_to(a, ledger, &x, err);
    if (rc == 0)
        rc = export_to(b, ledger, &y, err);
    if (rc == 0 && (x.size == 0 || x.size != y.size || memcmp(x.data, y.data, x.size) != 0))
        rc = err_set(err, ERR_CONFLICT, "%zu and %zu bytes, and they differ", x.size, y.size);
    free(x.data);
    free(y.data);
    return rc;
}
