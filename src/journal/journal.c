#include "journal/journal.h"

#include <stdio.h>
#include <string.h>

#include "journal/postgres.h"

int journal_open(
    const char *url, const struct journal_options *options, struct journal **ret_journal, struct err *err)
{
    static const struct {
        const char *scheme;
        bool whole; /* takes the URL with its scheme */
        int (*open)(const char *, const struct journal_options *, struct journal **, struct err *);
    } backends[] = {
        {"sqlite:", false, journal_sqlite_open},
        {"memory:", false, journal_memory_open},
        {"postgres://", true, journal_postgres_open},
        {"postgresql://", true, journal_postgres_open},
    };
    INVARIANT(url != NULL && options != NULL && ret_journal != NULL);
    size_t n = sizeof backends / sizeof backends[0];
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(backends[i].scheme);
        if (strncmp(url, backends[i].scheme, len) != 0)
            continue;
        if (url[len] == '\0' && !backends[i].whole) /* a bare postgres:// means libpq's defaults */
            return err_set(err, ERR_CONFIG, "database URL \"%s\" names nothing after the colon", url);
        int rc = backends[i].open(url + (backends[i].whole ? 0 : len), options, ret_journal, err);
        INVARIANT(rc != 0 || (*ret_journal)->ops != NULL);
        return rc;
    }
    char text[256];
    postgres_url_redact(url, text, sizeof text); /* a misspelt scheme may have a password behind it */
    return err_set(
        err, ERR_CONFIG, "database URL \"%s\" is none of sqlite:PATH, memory:NAME and postgres://...", text);
}

void journal_close(struct journal *journal)
{
    if (journal != NULL)
        journal->ops->close(journal);
}

int journal_note(journal_note_visit *visit, void *ctx, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return visit == NULL ? 0 : visit(ctx, text);
}
