#include "app/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"

#define FLUSH_AT 65536
#define PROGRESS_EVERY 256
#define ACCOUNTS_PAGE 1000

static const struct export_writer *writer_of(enum export_format format)
{
    switch (format) {
    case EXPORT_NDJSON:
        return &export_ndjson;
    case EXPORT_CSV:
        return &export_csv;
    case EXPORT_HLEDGER:
        return &export_hledger;
    case EXPORT_BEANCOUNT:
        return &export_beancount;
    }
    INVARIANT_F(false, "format %d", (int)format);
    return NULL;
}

static int flush(struct exporter *x, struct err *err)
{
    size_t n = x->b.len;
    if (n > 0 && fwrite(x->b.data, 1, n, x->request->out) != n)
        return err_set(err, errno == ENOSPC ? ERR_FULL : ERR_IO, "writing: %s", strerror(errno));
    strbuf_clear(&x->b);
    return 0;
}

static int add_account(void *ctx, const struct account *account)
{
    struct exporter *x = ctx;
    if (account->number != x->n_accounts + 1)
        return ERR_CORRUPT;
    x->accounts[x->n_accounts++] = (struct export_account){
        .id = account->id,
        .external_id = arena_str(&x->names, account->external_id),
        .type = account->type,
        .asset = account->asset,
        .first_effective = INSTANT_MAX,
    };
    return x->n_accounts > x->head.accounts ? ERR_CORRUPT : 0;
}

static int load_accounts(struct exporter *x, struct err *err)
{
    const struct export_request *q = x->request;
    x->accounts = calloc((size_t)x->head.accounts + 1, sizeof *x->accounts);
    INVARIANT_F(x->accounts != NULL, "out of memory at %" PRIu64 " accounts", x->head.accounts);
    while (x->n_accounts < x->head.accounts) {
        size_t before = x->n_accounts;
        int rc = q->j->ops->accounts(q->j, q->ledger->id, before, ACCOUNTS_PAGE, add_account, x, err);
        if (rc == ERR_CORRUPT || (rc == 0 && x->n_accounts == before))
            return err_set(err, ERR_CORRUPT,
                "accounts are missing after number %zu: run 'creditledger verify'", x->n_accounts);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int export_account_find(
    struct exporter *x, uint64_t number, struct export_account **ret_account, struct err *err)
{
    if (number == 0 || number > x->n_accounts)
        return err_set(
            err, ERR_CORRUPT, "account %" PRIu64 " does not exist: run 'creditledger verify'", number);
    *ret_account = &x->accounts[number - 1];
    return 0;
}

static int walk(struct exporter *x, const struct export_writer *w, uint64_t *ret_records, struct err *err)
{
    const struct export_request *q = x->request;
    uint64_t first = q->from_seq ? q->from_seq : 1,
             total = x->head.seq >= first ? x->head.seq - first + 1 : 0;
    struct journal_scan *scan;
    int rc = q->j->ops->scan_open(q->j, q->ledger->id, first, w->needs_text, &scan, err);
    if (rc != 0)
        return rc;
    for (;;) {
        const struct record *record;
        rc = q->j->ops->scan_next(scan, &record, err);
        if (rc != 0 || record == NULL)
            break;
        rc = w->record(x, record, err);
        if (rc == 0 && x->b.len > FLUSH_AT)
            rc = flush(x, err);
        if (rc != 0)
            break;
        if (++*ret_records % PROGRESS_EVERY == 0 && q->progress &&
            !q->progress(q->ctx, *ret_records, total)) {
            rc = err_set(err, ERR_CANCELLED, "stopped");
            break;
        }
    }
    q->j->ops->scan_close(scan);
    return rc;
}

static int export_all(
    struct exporter *x, const struct export_writer *w, uint64_t *ret_records, struct err *err)
{
    const struct export_request *q = x->request;
    int rc = q->j->ops->head(q->j, q->ledger->id, &x->head, err);
    if (rc == 0)
        rc = asset_table_load(q->j, &x->assets, err);
    if (rc == 0 && w->needs_accounts)
        rc = load_accounts(x, err);
    if (rc == 0)
        rc = w->begin(x, err);
    if (rc == 0)
        rc = walk(x, w, ret_records, err);
    if (rc == 0)
        rc = w->end(x, err);
    return rc == 0 ? flush(x, err) : rc;
}

int export_ledger(const struct export_request *request, uint64_t *ret_records, struct err *err)
{
    struct exporter x = {.request = request};
    strbuf_init(&x.b);
    arena_init(&x.names, 65536);
    *ret_records = 0;
    int rc = request->j->ops->snapshot_begin(request->j, err);
    if (rc == 0) {
        rc = export_all(&x, writer_of(request->format), ret_records, err);
        request->j->ops->snapshot_end(request->j);
    }
    if (rc == 0 && fflush(request->out) != 0)
        rc = err_set(err, errno == ENOSPC ? ERR_FULL : ERR_IO, "writing: %s", strerror(errno));
    free(x.accounts);
    arena_fini(&x.names);
    asset_table_fini(&x.assets);
    strbuf_fini(&x.b);
    return rc;
}
