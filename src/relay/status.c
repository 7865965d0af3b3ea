#include <string.h>

#include "relay/relay_internal.h"

/* The cursor and who publishes; a database without a control part has published nothing. */
static int look_at_control(
    const struct relay_config *config, struct books *books, char ret_holder[129], struct err *err)
{
    const struct db_options options = {.read_only = true, .pooled = config->pooled};
    struct db *db = NULL;
    struct lease_state lease = {0};
    int rc = db_open(config->read_url, &options, &db, err);
    if (rc == 0)
        rc = places_from_cursor(books, db, config->kafka, NULL, err);
    if (rc == 0)
        rc = lease_read(db, RELAY_LEASE, &lease, err);
    db_close(db);
    if (rc == ERR_NOT_FOUND)
        rc = 0;
    if (lease.expires_in_us > 0)
        memcpy(ret_holder, lease.holder, sizeof lease.holder);
    return rc;
}

int relay_status(const struct relay_config *config, struct arena *arena, struct relay_ledger **ret_ledgers,
    size_t *ret_n, char ret_holder[129], struct err *err)
{
    struct journal_options options = *config->journal_options;
    options.mode = JOURNAL_READ;
    options.create = false;
    struct journal *journal = NULL;
    struct books books = {0};
    ret_holder[0] = '\0';
    int rc = journal_open(config->journal_url, &options, &journal, err);
    if (rc == 0)
        rc = books_refresh(&books, journal, err);
    if (rc == 0) /* before the heads: a cursor is never ahead of them */
        rc = look_at_control(config, &books, ret_holder, err);
    if (rc == 0)
        rc = books_heads(&books, journal, err);
    struct relay_ledger *ledgers = ARENA_ARRAY(arena, struct relay_ledger, books.n + 1);
    for (size_t i = 0; rc == 0 && i < books.n; i++) {
        const struct book *book = &books.at[i];
        ledgers[i] = (struct relay_ledger){.ledger = arena_str(arena, str_of(book->row.name)),
            .published = book->place.seq,
            .head = book->head};
        if (book->head > book->place.seq)
            rc = journal->ops->recorded_at(
                journal, book->row.id, book->place.seq + 1, &ledgers[i].oldest_at, err);
    }
    *ret_ledgers = ledgers;
    *ret_n = books.n;
    books_fini(&books);
    journal_close(journal);
    return rc;
}
