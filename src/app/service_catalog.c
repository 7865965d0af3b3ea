/*
 * What this process may not have heard of yet: ledgers and assets that another process made a moment ago. A name that
 * is missed is looked for in the journal, through the reader's own handle, before anybody is told that it is not
 * there; an asset that a record carries is there for certain, so a miss means that the catalog is behind.
 */
#include <unistd.h>

#include "app/service_internal.h"

/* Names that nobody has are asked for as well: a reader reads the catalog again at most this often. */
#define REFRESH_INTERVAL_US 10000

int service_refresh(struct job *job, struct reader *reader, struct err *err)
{
    struct service *s = job->service;
    if (!s->config.shared || reader->refreshed_at > job->began_at)
        return 0; /* what was there when the request came has been seen */
    int64_t since = service_now(s) - reader->refreshed_at;
    if (since >= 0 && since < REFRESH_INTERVAL_US)
        usleep((useconds_t)(REFRESH_INTERVAL_US - since));
    int64_t begun = service_now(s);
    int r = catalog_refresh(s->config.catalog, reader->journal, err);
    if (r == 0)
        reader->refreshed_at = begun;
    return r;
}

int service_find_ledger(struct job *job, struct reader *reader, struct err *err)
{
    const struct catalog *catalog = job->service->config.catalog;
    job->ledger = catalog_ledger_by_name(catalog, job->match.ledger);
    if (job->ledger != NULL)
        return 0;
    int r = service_refresh(job, reader, err);
    if (r == 0)
        job->ledger = catalog_ledger_by_name(catalog, job->match.ledger);
    return r;
}

int service_know_asset(
    struct service *s, struct journal *journal, uint32_t id, const struct asset **ret_asset, struct err *err)
{
    *ret_asset = catalog_asset(s->config.catalog, id);
    if (*ret_asset != NULL)
        return 0;
    int r = catalog_refresh(s->config.catalog, journal, err);
    if (r < 0)
        return r;
    *ret_asset = catalog_asset(s->config.catalog, id);
    return *ret_asset != NULL ? 0 : err_set(err, ERR_CORRUPT, "asset %u is in use and not there", id);
}

bool service_knows_record(const struct service *s, const struct record *record)
{
    if (record->account != NULL && catalog_asset(s->config.catalog, record->account->asset) == NULL)
        return false;
    for (size_t i = 0; i < record->n_entries; i++)
        if (catalog_asset(s->config.catalog, record->entries[i].asset) == NULL)
            return false;
    return true;
}

int service_know_record(
    struct service *s, struct journal *journal, const struct record *record, struct err *err)
{
    if (service_knows_record(s, record))
        return 0;
    int r = catalog_refresh(s->config.catalog, journal, err);
    if (r == 0 && !service_knows_record(s, record))
        r = err_set(err, ERR_CORRUPT, "record %llu is in an asset that is not there",
            (unsigned long long)record->seq);
    return r;
}
