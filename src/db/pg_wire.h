/*
 * Connections to PostgreSQL, below the journal's backend and the driver of db/db.h: made when they are needed, given up
 * when they break, errors turned into ours. A wire belongs to one thread at a time.
 *
 * Nothing here waits without a deadline: a connection that does not answer in time is closed, and the call fails. The
 * next call connects again. While a database cannot be reached, attempts are spaced out; calls between them fail at
 * once with the error of the last attempt.
 */
#ifndef CREDITLEDGER_DB_PG_WIRE_H
#define CREDITLEDGER_DB_PG_WIRE_H

#include "db/pg_values.h"

#define PG_STATEMENTS_MAX 256
#define PG_TIMEOUT_MS 30000

/* A statement, written once in the file that uses it: `static const struct pg_statement`. A connection that may keep
 * it (not pooled) prepares it under its name on first use; one without a name is never prepared. */
struct pg_statement {
    const char *name, *sql;
};

enum pg_wire_use {
    /* Commits are made over it, or decided on what it reads: it leads to a primary whose settings make them durable. */
    PG_APPENDS = 1,
    PG_LISTENS = 2, /* over direct_url */
};

/* What a key or a check stands for, by the beginning of its name. A table of them ends with a NULL; what is not in it and
 * begins with i and digits says its invariant itself. */
struct pg_constraint {
    const char *constraint, *invariant;
    int code; /* 0: ERR_CONFLICT */
};

/* One connection, or the place for one. */
struct pg_wire {
    PGconn *pg; /* NULL while there is none */
    char *url;
    const char *name;                        /* in messages; NULL: "database" */
    const struct pg_constraint *constraints; /* NULL: they mean nothing beyond the conflict */
    unsigned use;                            /* of pg_wire_use */
    bool pooled;          /* nothing is kept in the session: no named statements, no settings */
    bool connected;       /* once at least */
    unsigned connections; /* made so far */
    bool listening;       /* LISTEN was said on this connection */
    /* A transaction of several calls is open: another connection would not do for it. Set by who began it, cleared by who
     * ends it or gives it up. */
    bool in_transaction;
    int timeout_ms; /* for one statement, PG_TIMEOUT_MS unless set */
    const struct pg_statement *prepared[PG_STATEMENTS_MAX];
    size_t n_prepared;
    /* While it cannot be had. */
    unsigned failures;
    int64_t retry_at_ms; /* monotonic; not before then */
    struct err last;
    char sqlstate[6]; /* of the last error; empty if it came without */
};

/* Connected and idle, or an error. Cheap if it is already. */
MUST_CHECK int pg_ready(struct pg_wire *wire, struct err *err);
/* Closes; the next pg_ready() connects again. */
void pg_close(struct pg_wire *wire);
/* Runs one statement and waits for its outcome: 0 and a result (PQclear() it; may be NULL-ed by ret_result == NULL if
 * there is nothing to read), or an error. */
MUST_CHECK int pg_run(struct pg_wire *wire, const struct pg_statement *statement,
    const struct pg_params *params, PGresult **ret_result, struct err *err);
/* The same without parameters, never prepared; several statements separated by semicolons are one transaction. The
 * last one's result, in text format. */
MUST_CHECK int pg_exec(struct pg_wire *wire, const char *sql, PGresult **ret_result, struct err *err);
/* Runs a COPY ... FROM STDIN with these bytes. Never prepared. */
MUST_CHECK int pg_copy(
    struct pg_wire *wire, const char *sql, struct str bytes, PGresult **ret_result, struct err *err);

/* The parts of pg_run(), for those who pipeline or do something while they wait.
 * pg_prepare() sees to it that a statement is prepared, if this connection keeps statements. */
MUST_CHECK int pg_prepare(struct pg_wire *wire, const struct pg_statement *statement,
    const struct pg_params *params, struct err *err);
MUST_CHECK int pg_send(struct pg_wire *wire, const struct pg_statement *statement,
    const struct pg_params *params, struct err *err);
/* Everything queued is on its way. Reads meanwhile, so that neither side waits for the other for ever. */
MUST_CHECK int pg_flush(struct pg_wire *wire, int64_t deadline_ms, struct err *err);
/* The next PQgetResult(), not waited for beyond the deadline (ERR_TIMEOUT closes the connection). *ret_result NULL is
 * what PQgetResult() means by it. The result may be an error: pg_error() tells. */
MUST_CHECK int pg_result(struct pg_wire *wire, int64_t deadline_ms, PGresult **ret_result, struct err *err);
int64_t pg_now_ms(void); /* monotonic */
int64_t pg_deadline(const struct pg_wire *wire);

/*
 * The error that a result or, where result is NULL, the connection stands for. The code follows from the SQLSTATE:
 *   a constraint that the table has a code for   that one
 *   other 23xxx, CL0xx, CL100 (the head moved)   ERR_CONFLICT; the message starts with the invariant's number if it has one
 *   40001 40P01 55P03                            ERR_BUSY       57014 ERR_TIMEOUT
 *   53100 53200                                  ERR_FULL       53300 ERR_BUSY
 *   08xxx 57P0x 25006 XX000, connection lost     ERR_IO; the connection is closed
 *   XX001 XX002                                  ERR_CORRUPT
 *   42xxx 28xxx 3Fxxx                            ERR_CONFIG
 *   3Dxxx                                        ERR_NOT_FOUND
 *   0Axxx                                        ERR_UNSUPPORTED
 * The message is "doing: what PostgreSQL says".
 */
MUST_CHECK int pg_error(struct pg_wire *wire, const PGresult *result, const char *doing, struct err *err);
/* True if a connection was lost or must be given up because of this SQLSTATE ("" or NULL: of no answer at all). */
bool pg_fatal(const char *sqlstate);

#endif
