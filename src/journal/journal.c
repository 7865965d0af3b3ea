#include "journal/journal.h"

#include <string.h>

int journal_open(
    const char *url, const struct journal_options *options, struct journal **ret_journal, struct err *err)
{
    static const struct {
        const char *scheme;
        int (*open)(const char *, const struct journal_options *, struct journal **, struct err *);
    } backends[] = {
        {"sqlite:", journal_sqlite_open},
        {"memory:", journal_memory_open},
    };
    INVARIANT(url != NULL && options != NULL && ret_journal != NULL);
    size_t n = sizeof backends / sizeof backends[0];
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(backends[i].scheme);
        if (strncmp(url, backends[i].scheme, len) != 0)
            continue;
        if (url[len] == '\0')
            return err_set(err, ERR_CONFIG, "database URL \"%s\" names nothing after the colon", url);
        int rc = backends[i].open(url + len, options, ret_journal, err);
        INVARIANT(rc != 0 || (*ret_journal)->ops != NULL);
        return rc;
    }
    return err_set(err, ERR_CONFIG, "database URL \"%s\" is neither sqlite:PATH nor memory:NAME", url);
}

void journal_close(struct journal *journal)
{
    if (journal != NULL)
        journal->ops->close(journal);
}
