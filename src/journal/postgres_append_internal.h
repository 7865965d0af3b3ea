/*
 * What the files of the append path over PostgreSQL share. Private to journal/postgres_append*.c.
 *
 *   postgres_append.c         sending a batch, its outcome, the outcome that was unknown
 *   postgres_append_encode.c  a batch as arrays, one a column
 *   postgres_append_plain.c   the same batch for databases without functions, as plain INSERTs
 *   postgres_append_hold.c    locks held between looking and appending, and what others wrote
 */
#ifndef CREDITLEDGER_JOURNAL_POSTGRES_APPEND_INTERNAL_H
#define CREDITLEDGER_JOURNAL_POSTGRES_APPEND_INTERNAL_H

#include "journal/postgres_internal.h"

/* An entry of a batch and the record that has it. */
struct entry_place {
    const struct record *record;
    const struct entry *entry;
};

/* The rows of a batch, counted and, where the order matters, put in order. */
struct batch_rows {
    const struct journal_batch *batch;
    struct entry_place *entries; /* by ledger, account and version: neighbours share pages of the index */
    size_t n_entries, cap_entries;
    size_t n_texts, n_accounts, n_revisions, n_lots, n_erasures;
};

/*
 * Counts and orders; ERR_CONFLICT if the tables cannot hold a record as it is (the same refusals as in the other
 * backends). The batch must live as long as the rows are used.
 */
MUST_CHECK int batch_rows_take(struct batch_rows *rows, const struct journal_batch *batch, struct err *err);
void batch_rows_fini(struct batch_rows *rows);

/* Each appends its table's columns, in the order of creditledger.append()'s parameters. Without rows: NULLs. */
void batch_encode_known(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_assets(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_ledgers(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_records(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_entries(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_texts(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_accounts(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_revisions(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_lots(struct pg_params *p, const struct batch_rows *rows);
void batch_encode_erasures(struct pg_params *p, const struct batch_rows *rows);

struct postgres_appending {
    struct pg_params params;
    struct batch_rows rows;
    bool under_way;   /* a batch was sent, its outcome not yet taken */
    bool transaction; /* it ends with a COMMIT of its own */
    bool held;        /* a transaction with locks is open on the wire */
    int64_t deadline_ms;
};

/* The batch of nothing, which only proves that it could be written. */
bool appending_is_nothing(const struct postgres_journal *p);
/* Gives back locks, if any are held. */
void appending_let_go(struct postgres_journal *p);
/* Queues the statements of a batch, BEGIN to COMMIT; the connection is in pipeline mode. */
MUST_CHECK int plain_send(struct postgres_journal *p, struct err *err);
MUST_CHECK int plain_prepare(struct postgres_journal *p, struct err *err);
/* lock_kind of creditledger.append() and hold(). */
int appending_lock_kind(const struct postgres_journal *p);

#endif
