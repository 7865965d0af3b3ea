/*
 * Connections: made when they are needed, given up when they break or do not answer, spaced out while the database
 * cannot be had. Every wait is poll() with a deadline; libpq's own waiting functions are used for connecting only,
 * which knows several hosts and has a time limit for each.
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db/pg_wire.h"

#define COPY_PART 65536 /* bytes */
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 1000
#define PROBE_MS 5000
#define SQLSTATE_LEN 5

int64_t pg_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t pg_deadline(const struct pg_wire *wire)
{
    return pg_now_ms() + (wire->timeout_ms ? wire->timeout_ms : PG_TIMEOUT_MS);
}

/* ---- errors ---- */

bool pg_fatal(const char *sqlstate)
{
    static const char *const fatal[] = {
        "08", "57P0", "25006", "25P0", "26000", "42P05",
        "XX000", /* the statement's or session's state is not ours */
    };
    if (sqlstate == NULL || sqlstate[0] == '\0')
        return true;
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        if (strncmp(sqlstate, fatal[i], strlen(fatal[i])) == 0)
            return true;
    return false;
}

static int code_of(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        int code;
    } codes[] = {
        {"23", ERR_CONFLICT},
        {"CL", ERR_CONFLICT},
        {"40", ERR_BUSY},
        {"55P03", ERR_BUSY},
        {"55006", ERR_BUSY},
        {"57014", ERR_TIMEOUT},
        {"53300", ERR_BUSY},
        {"53", ERR_FULL},
        {"22", ERR_CONFLICT}, /* a value that no column takes */
        {"XX001", ERR_CORRUPT},
        {"XX002", ERR_CORRUPT},
        {"42", ERR_CONFIG},
        {"28", ERR_CONFIG},
        {"3F", ERR_CONFIG},
        {"3D", ERR_NOT_FOUND},
        {"0A", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strncmp(sqlstate, codes[i].prefix, strlen(codes[i].prefix)) == 0)
            return codes[i].code;
    return ERR_IO;
}

static const char *name_of(const struct pg_wire *wire)
{
    return wire->name == NULL ? "database" : wire->name;
}

/* What a unique key or a check stands for; those that begin with i and a digit say it themselves. */
static struct pg_constraint meaning_of(const struct pg_wire *wire, const char *constraint)
{
    static _Thread_local char own[8];
    struct pg_constraint none = {.code = ERR_CONFLICT};
    if (constraint == NULL || wire->constraints == NULL)
        return none;
    if (constraint[0] == 'i' && isdigit((unsigned char)constraint[1])) {
        int digits = 1 + (isdigit((unsigned char)constraint[2]) != 0);
        snprintf(own, sizeof own, "I%.*s", digits, constraint + 1);
        return (struct pg_constraint){constraint, own, ERR_CONFLICT};
    }
    for (const struct pg_constraint *c = wire->constraints; c->constraint != NULL; c++)
        if (strncmp(constraint, c->constraint, strlen(c->constraint)) == 0)
            return (struct pg_constraint){c->constraint, c->invariant, c->code == 0 ? ERR_CONFLICT : c->code};
    return none;
}

/* One line, without the blank end that libpq's messages have. */
static void set_message(struct err *err, int code, const char *before, const char *message)
{
    if (err_set(err, code, "%s%s%s", before, before[0] ? ": " : "", message) != code || err == NULL)
        return;
    size_t len = strlen(err->message);
    while (len > 0 && isspace((unsigned char)err->message[len - 1]))
        err->message[--len] = '\0';
    for (size_t i = 0; i < len; i++)
        if (err->message[i] == '\n' || err->message[i] == '\t')
            err->message[i] = ' ';
}

static void give_up(struct pg_wire *wire)
{
    if (wire->pg != NULL)
        PQfinish(wire->pg);
    wire->pg = NULL;
    wire->n_prepared = 0;
    wire->listening = false;
}

/* 23xxx and CL0xx: the message starts with the invariant, and goes without what was being done. */
static int refused(const struct pg_wire *wire, const PGresult *result, const char *sqlstate, struct err *err)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    struct pg_constraint meaning = meaning_of(wire, PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME));
    char text[ERR_MESSAGE_MAX];
    bool key = strcmp(sqlstate, "23505") == 0;
    int code = key ? meaning.code : ERR_CONFLICT;
    /* A check's detail shows the whole row, texts too: that is not for logs. */
    snprintf(text, sizeof text, "%s%s%s", message == NULL ? sqlstate : message,
        key && detail != NULL ? " " : "", key && detail != NULL && code != ERR_DUPLICATE ? detail : "");
    set_message(err, code, meaning.invariant == NULL ? "" : meaning.invariant, text);
    return code;
}

int pg_error(struct pg_wire *wire, const PGresult *result, const char *doing, struct err *err)
{
    const char *sqlstate = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    snprintf(wire->sqlstate, sizeof wire->sqlstate, "%s", sqlstate == NULL ? "" : sqlstate);
    if (sqlstate == NULL || wire->pg == NULL || PQstatus(wire->pg) == CONNECTION_BAD) {
        const char *message = result != NULL && PQresultErrorMessage(result)[0] ? PQresultErrorMessage(result)
                              : wire->pg != NULL && PQerrorMessage(wire->pg)[0] ? PQerrorMessage(wire->pg)
                                                                                : "the connection was lost";
        set_message(err, ERR_IO, doing, message);
        give_up(wire);
        return ERR_IO;
    }
    int code = pg_fatal(sqlstate) ? ERR_IO : code_of(sqlstate);
    if (strncmp(sqlstate, "23", 2) == 0 || strncmp(sqlstate, "CL", 2) == 0)
        return refused(wire, result, sqlstate, err);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char text[ERR_MESSAGE_MAX];
    bool lost_statement = strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "42P05") == 0;
    snprintf(text, sizeof text, "%s (%s)%s", message == NULL ? "no message" : message, sqlstate,
        lost_statement
            ? "; if the URL is a pooler's in transaction mode, --database-direct-url must be given too"
            : "");
    set_message(err, code, doing, text);
    if (code == ERR_IO)
        give_up(wire);
    return code;
}

/* ---- connecting ---- */

static void ignore_notice(void *ctx, const PGresult *result)
{
    (void)ctx;
    (void)result;
}

static void see_hosts(const PQconninfoOption *options, bool *named, bool *several)
{
    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        if ((strcmp(o->keyword, "host") != 0 && strcmp(o->keyword, "hostaddr") != 0) || o->val == NULL)
            continue;
        *named = true;
        *several = *several || strchr(o->val, ',') != NULL;
    }
}

/* Has the URL more than one host? Then only the one that takes writes will do, for reads too: what was acknowledged a
 * moment ago may not have reached the others yet. Who wants to read from those says so in the URL. */
static bool has_hosts(const char *url)
{
    PQconninfoOption *in_url = PQconninfoParse(url, NULL), *defaults = PQconndefaults();
    bool named = false, several = false;
    see_hosts(in_url, &named, &several);
    if (!named) /* PGHOST */
        see_hosts(defaults, &named, &several);
    PQconninfoFree(in_url);
    PQconninfoFree(defaults);
    return several;
}

/* Keywords before `dbname` give way to what the URL says, those after it do not. */
static void connection_settings(const struct pg_wire *wire, const char *keywords[16], const char *values[16])
{
    const char *settings[][2] = {
        {"application_name", "creditledger"},
        {"connect_timeout", "5"},
        {"keepalives_idle", "10"},
        {"keepalives_interval", "5"},
        {"keepalives_count", "3"},
        {"tcp_user_timeout", "15000"},
        {"target_session_attrs", has_hosts(wire->url) ? "read-write" : "any"},
        {"dbname", wire->url},
        {"client_encoding", "UTF8"},
    };
    size_t n = sizeof settings / sizeof settings[0];
    for (size_t i = 0; i < n; i++) {
        keywords[i] = settings[i][0];
        values[i] = settings[i][1];
    }
    keywords[n] = values[n] = NULL;
}

/* The SQLSTATE in a verbose message: five capitals and digits between colons. (FATAL has no digits.) */
static bool find_sqlstate(const char *message, char ret_sqlstate[SQLSTATE_LEN + 1])
{
    for (const char *p = strchr(message, ':'); p != NULL; p = strchr(p + 1, ':')) {
        const char *start = p + 1 + strspn(p + 1, " ");
        size_t len = strspn(start, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        if (len == SQLSTATE_LEN && start[len] == ':' && strcspn(start, "0123456789") < len) {
            memcpy(ret_sqlstate, start, len);
            ret_sqlstate[len] = '\0';
            return true;
        }
    }
    return false;
}

/* Why the server refuses a connection, which libpq tells in words only, in the server's language: once more, with
 * verbose messages. Empty if it does not say. */
static void probe_sqlstate(const struct pg_wire *wire, char ret_sqlstate[SQLSTATE_LEN + 1])
{
    const char *keywords[16], *values[16];
    connection_settings(wire, keywords, values);
    int64_t deadline_ms = pg_now_ms() + PROBE_MS;
    ret_sqlstate[0] = '\0';
    PGconn *pg = PQconnectStartParams(keywords, values, 1);
    if (pg == NULL)
        return;
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (PQstatus(pg) != CONNECTION_BAD && status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
        int64_t left_ms = deadline_ms - pg_now_ms();
        struct pollfd wait = {
            .fd = PQsocket(pg), .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (left_ms <= 0 || (poll(&wait, 1, (int)left_ms) < 0 && errno != EINTR))
            break;
        status = PQconnectPoll(pg);
    }
    if (status == PGRES_POLLING_FAILED)
        (void)find_sqlstate(PQerrorMessage(pg), ret_sqlstate);
    PQfinish(pg);
}

static int cannot_connect(struct pg_wire *wire, struct err *err)
{
    char sqlstate[SQLSTATE_LEN + 1] = "";
    char message[ERR_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s", wire->pg == NULL ? "out of memory" : PQerrorMessage(wire->pg));
    bool first = wire->failures == 0 && !wire->connected;
    give_up(wire);
    if (first)
        probe_sqlstate(wire, sqlstate);
    memcpy(wire->sqlstate, sqlstate, sizeof wire->sqlstate);
    int code = sqlstate[0] ? code_of(sqlstate) : ERR_IO;
    set_message(err, code, name_of(wire), message);
    return code;
}

/* What a session of ours needs. With the planner's alternatives to an index lookup switched off, plans do not depend
 * on statistics, which a table that grows fast does not have yet; so one plan fits all parameters, and is made once. */
static const char sql_settings[] =
    "SELECT set_config(name, CASE name WHEN 'plan_cache_mode' THEN 'force_generic_plan' ELSE 'off' END, "
    "false)"
    " FROM pg_catalog.pg_settings WHERE name IN ('plan_cache_mode', 'jit', 'enable_seqscan',"
    " 'enable_hashjoin', 'enable_mergejoin', 'enable_bitmapscan', 'enable_memoize');";
static const char sql_hello[] =
    "SELECT pg_catalog.current_setting('fsync', true), pg_catalog.current_setting('synchronous_commit', "
    "true),"
    " pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_isolation', true)";

static bool says(const PGresult *result, int column, const char *value)
{
    return !PQgetisnull(result, 0, column) && strcmp(PQgetvalue(result, 0, column), value) == 0;
}

/* A commit must be durable when it is answered (I9), and appending looks at the head after it has waited for the lock. */
static int check_settings(const PGresult *result, struct err *err)
{
    if (says(result, 2, "t"))
        return err_set(err, ERR_IO, "database: this server is a standby in recovery and takes no writes");
    if (says(result, 0, "off"))
        return err_set(err, ERR_CONFIG,
            "database: fsync is off: a crash of the server would lose or damage what was"
            " acknowledged; turn it on");
    if (says(result, 1, "off"))
        return err_set(err, ERR_CONFIG,
            "database: synchronous_commit is off: a crash of the server would lose what was"
            " acknowledged; turn it on, for this role or database too");
    if (!PQgetisnull(result, 0, 3) && !says(result, 3, "read committed"))
        return err_set(err, ERR_CONFIG,
            "database: default_transaction_isolation is \"%s\"; it must be \"read committed\""
            " for this role and database",
            PQgetvalue(result, 0, 3));
    return 0;
}

static int exec(struct pg_wire *wire, const char *sql, PGresult **ret_result, struct err *err);

static int hello(struct pg_wire *wire, struct err *err)
{
    char sql[sizeof sql_settings + sizeof sql_hello];
    const char *encoding = PQparameterStatus(wire->pg, "server_encoding");
    if (encoding != NULL && strcmp(encoding, "UTF8") != 0)
        return err_set(err, ERR_CONFIG, "%s: its encoding is %s, it must be UTF8", name_of(wire), encoding);
    snprintf(sql, sizeof sql, "%s%s", wire->pooled ? "" : sql_settings, sql_hello);
    PGresult *result = NULL;
    int rc = exec(wire, sql, &result, err);
    wire->connected = wire->connected || rc == 0;
    if (rc == 0 && wire->use & PG_APPENDS)
        rc = check_settings(result, err);
    PQclear(result);
    return rc;
}

static int connect_now(struct pg_wire *wire, struct err *err)
{
    const char *keywords[16], *values[16];
    connection_settings(wire, keywords, values);
    wire->pg = PQconnectdbParams(keywords, values, 1);
    if (wire->pg == NULL || PQstatus(wire->pg) != CONNECTION_OK)
        return cannot_connect(wire, err);
    wire->connections++;
    PQsetNoticeReceiver(wire->pg, ignore_notice, NULL);
    if (PQsetnonblocking(wire->pg, 1) != 0)
        return pg_error(wire, NULL, name_of(wire), err);
    return hello(wire, err);
}

/* Takes what came in while nothing was asked: the server's goodbye comes before the end that shows the loss. */
static void notice_loss(struct pg_wire *wire)
{
    struct pollfd wait = {.fd = PQsocket(wire->pg), .events = POLLIN};
    for (int i = 0; i < 8 && PQstatus(wire->pg) == CONNECTION_OK && poll(&wait, 1, 0) > 0; i++)
        (void)PQconsumeInput(wire->pg);
    if (PQstatus(wire->pg) != CONNECTION_OK)
        give_up(wire);
}

int pg_ready(struct pg_wire *wire, struct err *err)
{
    if (wire->pg != NULL)
        notice_loss(wire);
    if (wire->pg != NULL)
        return 0;
    if (wire->in_transaction)
        return err_set(err, ERR_IO, "%s: the transaction was lost with its connection", name_of(wire));
    if (wire->failures > 0 && pg_now_ms() < wire->retry_at_ms)
        return err_set(err, wire->last.code, "%s", wire->last.message);
    int rc = connect_now(wire, &wire->last);
    if (rc == 0) {
        wire->failures = 0;
        return 0;
    }
    give_up(wire);
    int64_t pause_ms = BACKOFF_FIRST_MS << (wire->failures < 5 ? wire->failures : 5);
    wire->retry_at_ms = pg_now_ms() + (pause_ms < BACKOFF_MAX_MS ? pause_ms : BACKOFF_MAX_MS);
    wire->failures++;
    return err_set(err, rc, "%s", wire->last.message);
}

void pg_close(struct pg_wire *wire)
{
    give_up(wire);
}

/* ---- sending and receiving ---- */

/* Waits for the socket; ERR_TIMEOUT gives the connection up, for nobody knows what it would answer next. */
static int wait_for(
    struct pg_wire *wire, short events, int64_t deadline_ms, short *ret_events, struct err *err)
{
    for (;;) {
        int64_t left_ms = deadline_ms - pg_now_ms();
        struct pollfd wait = {.fd = PQsocket(wire->pg), .events = events};
        int n = left_ms <= 0 ? 0 : poll(&wait, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (n > 0) {
            *ret_events = wait.revents;
            return 0;
        }
        if (n == 0 && left_ms <= INT32_MAX) {
            give_up(wire);
            return err_set(
                err, ERR_TIMEOUT, "%s: no answer in time, the connection is given up", name_of(wire));
        }
        if (n < 0 && errno != EINTR) {
            int rc = err_set(err, ERR_IO, "%s: poll: %s", name_of(wire), strerror(errno));
            give_up(wire);
            return rc;
        }
    }
}

int pg_flush(struct pg_wire *wire, int64_t deadline_ms, struct err *err)
{
    int left;
    while ((left = PQflush(wire->pg)) > 0) {
        short events;
        int rc = wait_for(wire, POLLIN | POLLOUT, deadline_ms, &events, err);
        if (rc != 0)
            return rc;
        if (events & POLLIN && !PQconsumeInput(wire->pg))
            return pg_error(wire, NULL, name_of(wire), err);
    }
    return left == 0 ? 0 : pg_error(wire, NULL, name_of(wire), err);
}

int pg_result(struct pg_wire *wire, int64_t deadline_ms, PGresult **ret_result, struct err *err)
{
    int rc = pg_flush(wire, deadline_ms, err);
    while (rc == 0 && PQisBusy(wire->pg)) {
        short events;
        rc = wait_for(wire, POLLIN, deadline_ms, &events, err);
        if (rc == 0 && !PQconsumeInput(wire->pg))
            rc = pg_error(wire, NULL, name_of(wire), err);
    }
    if (rc == 0)
        *ret_result = PQgetResult(wire->pg);
    return rc;
}

static bool good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

/* Takes all results of what was sent; the last one is returned, the first error counts. */
static int take_results(struct pg_wire *wire, PGresult **ret_result, struct err *err)
{
    int64_t deadline_ms = pg_deadline(wire);
    PGresult *last = NULL, *failure = NULL, *result = NULL;
    int rc;
    while ((rc = pg_result(wire, deadline_ms, &result, err)) == 0 && result != NULL) {
        PGresult **keep = good(result) ? &last : &failure;
        if (keep == &failure && failure != NULL) {
            PQclear(result);
            continue;
        }
        PQclear(*keep);
        *keep = result;
    }
    if (rc == 0 && failure != NULL)
        rc = pg_error(wire, failure, name_of(wire), err);
    else if (rc == 0 && last == NULL)
        rc = pg_error(wire, NULL, name_of(wire), err);
    PQclear(failure);
    if (rc != 0 || ret_result == NULL) {
        PQclear(last);
        last = NULL;
    }
    if (ret_result != NULL)
        *ret_result = last;
    return rc;
}

static int exec(struct pg_wire *wire, const char *sql, PGresult **ret_result, struct err *err)
{
    if (!PQsendQuery(wire->pg, sql))
        return pg_error(wire, NULL, name_of(wire), err);
    return take_results(wire, ret_result, err);
}

int pg_exec(struct pg_wire *wire, const char *sql, PGresult **ret_result, struct err *err)
{
    if (ret_result != NULL)
        *ret_result = NULL;
    int rc = pg_ready(wire, err);
    return rc != 0 ? rc : exec(wire, sql, ret_result, err);
}

static bool is_prepared(const struct pg_wire *wire, const struct pg_statement *statement)
{
    for (size_t i = 0; i < wire->n_prepared; i++)
        if (wire->prepared[i] == statement)
            return true;
    return false;
}

int pg_prepare(struct pg_wire *wire, const struct pg_statement *statement, const struct pg_params *params,
    struct err *err)
{
    if (wire->pooled || statement->name == NULL || is_prepared(wire, statement))
        return 0;
    INVARIANT(wire->n_prepared < PG_STATEMENTS_MAX);
    if (!PQsendPrepare(wire->pg, statement->name, statement->sql, params == NULL ? 0 : params->n,
            params == NULL ? NULL : params->types))
        return pg_error(wire, NULL, statement->name, err);
    int rc = take_results(wire, NULL, err);
    if (rc == 0)
        wire->prepared[wire->n_prepared++] = statement;
    return rc;
}

int pg_send(struct pg_wire *wire, const struct pg_statement *statement, const struct pg_params *params,
    struct err *err)
{
    const char *values[PG_PARAMS_MAX];
    int formats[PG_PARAMS_MAX];
    int n = params == NULL ? 0 : params->n, sent;
    for (int i = 0; i < n; i++) {
        values[i] = params->lengths[i] < 0 ? NULL : params->bytes.data + params->offsets[i];
        formats[i] = 1;
    }
    const int *lengths = params == NULL ? NULL : params->lengths;
    if (wire->pooled || statement->name == NULL)
        sent = PQsendQueryParams(
            wire->pg, statement->sql, n, params == NULL ? NULL : params->types, values, lengths, formats, 1);
    else
        sent = PQsendQueryPrepared(wire->pg, statement->name, n, values, lengths, formats, 1);
    return sent ? 0 : pg_error(wire, NULL, statement->name == NULL ? name_of(wire) : statement->name, err);
}

int pg_run(struct pg_wire *wire, const struct pg_statement *statement, const struct pg_params *params,
    PGresult **ret_result, struct err *err)
{
    if (ret_result != NULL)
        *ret_result = NULL;
    int rc = pg_ready(wire, err);
    if (rc == 0)
        rc = pg_prepare(wire, statement, params, err);
    if (rc == 0)
        rc = pg_send(wire, statement, params, err);
    return rc != 0 ? rc : take_results(wire, ret_result, err);
}

/* In parts, so that the connection's own buffer stays small and the server reads while more is copied. */
static int put_copy(struct pg_wire *wire, struct str bytes, struct err *err)
{
    int64_t deadline_ms = pg_deadline(wire);
    for (size_t done = 0, part; done < bytes.len; done += part) {
        part = bytes.len - done < COPY_PART ? bytes.len - done : COPY_PART;
        if (PQputCopyData(wire->pg, bytes.data + done, (int)part) < 0)
            return pg_error(wire, NULL, name_of(wire), err);
        int rc = pg_flush(wire, deadline_ms, err);
        if (rc != 0)
            return rc;
    }
    return PQputCopyEnd(wire->pg, NULL) >= 0 ? 0 : pg_error(wire, NULL, name_of(wire), err);
}

int pg_copy(struct pg_wire *wire, const char *sql, struct str bytes, PGresult **ret_result, struct err *err)
{
    PGresult *ready = NULL;
    *ret_result = NULL;
    int rc = pg_ready(wire, err);
    if (rc == 0 && !PQsendQuery(wire->pg, sql))
        rc = pg_error(wire, NULL, name_of(wire), err);
    if (rc == 0)
        rc = pg_result(wire, pg_deadline(wire), &ready, err);
    if (rc != 0)
        return rc;
    if (PQresultStatus(ready) == PGRES_COPY_IN) {
        rc = put_copy(wire, bytes, err);
        if (rc == 0)
            rc = take_results(wire, ret_result, err);
    } else {
        rc = pg_error(wire, ready, name_of(wire), err);
        PGresult *end = NULL;
        while (wire->pg != NULL && (end = PQgetResult(wire->pg)) != NULL)
            PQclear(end);
    }
    PQclear(ready);
    return rc;
}
