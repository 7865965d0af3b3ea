/*
 * The service's private shape. A request is a job: a small state machine whose steps run on the caller's loop
 * or on a reader thread, and whose writes pass through the engine.
 *
 *   service.c        life, begin, finish, streams, cancelling
 *   service_pool.c   reader threads, their queue, parked jobs
 *   service_progress.c  how far the read model is, for whom it waits
 *   service_write.c  single writes
 *   service_revise.c revisions and other writes that must read before they are submitted
 *   service_batch.c  bulk writes, as an array or streaming
 *   service_read.c   accounts, balances, statements, single records
 *   service_list.c   lists and the event feed
 *   service_road.c   journal or read model: which of the two answers
 *   service_query.c  what the read model answers
 *   service_trace.c  the span of a request
 *   service_misc.c   health, metrics, files
 *   service_catalog.c  ledgers and assets that other processes made
 *
 * A job belongs to one thread at a time: the loop's, a reader's, or the engine's; it is handed over through a
 * queue with a lock. `parked` lists and `held` are the loop's alone.
 */
#ifndef CREDITLEDGER_APP_SERVICE_INTERNAL_H
#define CREDITLEDGER_APP_SERVICE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/decode_query.h"
#include "api/decode_write.h"
#include "api/encode.h"
#include "app/service.h"
#include "journal/digest.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"
#include "telemetry/trace.h"

#define TEXT_LANES 64

struct job;
struct bulk;
struct reading; /* readmodel/query.h */

/* What a thread needs to work on jobs. */
struct reader {
    struct service *service;
    struct journal *journal; /* JOURNAL_READ; NULL on the loop when there are reader threads */
    struct reading *reading; /* of the read model; NULL if there is none */
    struct digest *digest;
    int64_t refreshed_at; /* the catalog, through this handle */
    pthread_t thread;
};

/* A part of a job that may read the journal and take a while. It ends with the job submitted, ready, or
 * passed on. */
typedef void job_step(struct job *job, struct reader *reader);

struct job_queue {
    struct job *first, *last;
    size_t n;
};

/* How far the read model is, by ledger, and who waits for it. Under its lock. */
struct progress {
    pthread_mutex_t lock;
    pthread_cond_t asked;
    struct progress_row {
        uint64_t seq;
        int64_t told_at; /* by the projector of this process; 0: never */
        size_t waiters;
    } * rows; /* by ledger, id - 1 */
    size_t n, waiters;
    bool idle, closing;
    bool unreadable; /* as it was last looked at */
    bool threaded;
    pthread_t thread;
    struct reading *reading; /* the thread's */
};

struct service {
    struct service_config config;
    struct progress progress;
    struct reader loop; /* the caller's thread */
    struct reader *readers;
    size_t n_readers;
    /* The readers' queue and the lanes, under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct job_queue queue;
    bool closing;
    struct {
        bool busy;
        struct job_queue waiting;
    } lanes[TEXT_LANES];
    /* The loop's. */
    struct job *parked;
    size_t n_parked;
    bool stopping;
    _Atomic int64_t complained_at; /* any thread: of reads that failed, the log has one a second */
};

struct job_trace {
    struct trace_context parent; /* has_parent: the client's; else its trace id is ours */
    bool has_parent, sampled;
    uint8_t span_id[SPAN_ID_LEN]; /* sampled: the request's */
};

struct job {
    struct service *service;
    struct service_call *call;
    struct arena arena;
    struct job *next; /* in whatever queue it waits */
    int64_t began_at;

    struct route_match match;
    struct query query;
    const struct ledger_row *ledger; /* reads: the path's */
    struct write_context context;    /* writes */
    struct job_trace trace;
    bool amount_strings; /* Prefer: amounts=string */

    job_step *step; /* what a reader is to do; for the loop to do in service_finish() if `step_in_finish` */
    bool step_in_finish;
    bool in_finish;                  /* service_finish() is at work: nobody is to be told */
    void (*encode)(struct job *job); /* fills the response in service_finish(); NULL: it is filled */
    bool streaming;                  /* the response comes in pieces ... */
    bool last_piece;                 /* ... and this is the last */
    bool held;                       /* between service_finish() == false and service_continue() */
    _Atomic bool cancelled;

    bool parked;
    uint64_t wait_seq;   /* the ledger's head must have reached this ... */
    int64_t deadline;    /* ... by then */
    bool answer_anyway;  /* at the deadline: answer what there is (long poll), instead of refusing */
    job_step *wait_step; /* what was waited for */
    bool wait_projected; /* the read model must have, not the ledger's head ... */
    int64_t patience;    /* ... and from then on it is enough if it has reached `least_seq` */
    uint64_t least_seq;  /* Ledger-Min-Seq */
    uint64_t known_seq;  /* the ledger's head, as known when the request came, or later */

    struct write write;
    struct answer answer;
    struct submission submission;
    job_step *after; /* single writes: what is left to do after the commit; NULL: nothing */
    bool hashed;
    bool in_lane;
    size_t lane;
    struct str sent_text; /* revisions of a text: what the client sent, before it was merged */
    int merges;           /* how often it was merged */
    struct bulk *bulk;
};

/* --- service.c ---------------------------------------------------------------------------------------------
 */

/* The response is there, or `encode` will make it: tells the owner. The job may be gone when this returns. */
void job_ready(struct job *job);
/* The response becomes this problem. */
void job_problem(struct job *job, const struct problem *problem);
void job_refuse(struct job *job, enum refusal refusal, const char *detail); /* detail may be NULL */
void job_fault(struct job *job, const struct fault *fault);
/* The environment failed: logged, and answered as storage_unavailable or internal. */
void job_failed(struct job *job, const struct err *err);
/* Status 200 unless set before, content type JSON; returns where to write. */
struct json_out job_json(struct job *job, int status);
/* Counts a failed read and logs it: a line a second, since a database that is away fails every read. */
void service_complain(struct service *service, const char *what, const struct err *err);
struct asset_lookup service_assets(const struct service *service);
int64_t service_now(const struct service *service);

/* Opens a snapshot on the reader's handle. A connection that broke while nobody used it is no reason to refuse a read. */
MUST_CHECK int reader_snapshot(struct reader *reader, struct err *err);

/* --- service_catalog.c: nothing of it does anything unless the journal is shared
 * ----------------------------------------------------------------------------------------- */

/* Reads the catalog again, unless that was done since the request came; may wait a few milliseconds. */
MUST_CHECK int service_refresh(struct job *job, struct reader *reader, struct err *err);
/* The path's ledger to job->ledger, NULL if there is none. */
MUST_CHECK int service_find_ledger(struct job *job, struct reader *reader, struct err *err);
/* Of a row that was read: its asset is there. From within the snapshot that the row is in, or later. */
MUST_CHECK int service_know_asset(struct service *service, struct journal *journal, uint32_t id,
    const struct asset **ret_asset, struct err *err);
/* After it, every asset of the record is in the catalog. */
MUST_CHECK int service_know_record(
    struct service *service, struct journal *journal, const struct record *record, struct err *err);
bool service_knows_record(const struct service *service, const struct record *record);

/* --- service_pool.c ----------------------------------------------------------------------------------------
 */

MUST_CHECK int pool_start(struct service *service, struct err *err);
void pool_stop(struct service *service);
/* Has a reader do the step, or does it at once when there are none. False: the queue is full (never if
 * forced). */
MUST_CHECK bool pool_dispatch(struct job *job, job_step *step, bool forced);
/* dispatch, or the answer that the queue is full. */
void pool_run(struct job *job, job_step *step);
/* From the engine's thread: to a reader, or to be done in service_finish(). */
void pool_after(struct job *job, job_step *step);
/* Runs `step` once the ledger has reached `seq`. Loop only. */
void park(struct job *job, uint64_t seq, int64_t wait_us, bool answer_anyway, job_step *step);
/* Runs `step` once the read model has reached `seq`, or, after QUERY_PATIENCE_US, job->least_seq. Loop only. */
void park_projected(struct job *job, uint64_t seq, int64_t wait_us, job_step *step);
/* Releases what is due; all of it if `all`. */
void park_release(struct service *service, bool all);
void park_cancel(struct job *job);

/* --- service_progress.c: nothing of it does anything without a read model
 * --------------------------------------------------------------------------------------------------- */

MUST_CHECK int progress_start(struct service *service, struct err *err);
void progress_stop(struct service *service);
uint64_t progress_seq(struct service *service, uint32_t ledger);
/* The read model could not be read when it was last looked at: no use waiting for it. */
bool progress_unreadable(struct service *service);
/* Somebody waits for the ledger: it is looked at again and again; until as many have gone as came. */
void progress_wait(struct service *service, uint32_t ledger);
void progress_wait_over(struct service *service, uint32_t ledger);
/* Looks once, now, through this handle. */
void progress_look(struct service *service, struct reading *reading, const struct ledger_row *ledger);

/* --- service_road.c
 * --------------------------------------------------------------------------------------------------- */

/* Whether the read model answers; false with a fault if nothing here can. */
MUST_CHECK bool road_choose(const struct job *job, bool *ret_read_model, struct fault *fault);

/* The journal can answer what is asked, whoever was asked. */
bool road_journal_can(const struct job *job);

/* --- service_trace.c */

void trace_take(struct job *job); /* what the client says of its trace */
void trace_begin(struct job *job);
void trace_end(struct job *job, int64_t ended);

/* --- the routes' parts
 * --------------------------------------------------------------------------------------- */

void write_begin(struct job *job);
/* To the engine; answers the job itself if the engine does not take it. */
void write_submit(struct job *job, struct reader *reader);
/* What an answer says, for a single response. */
void write_encode(struct job *job);
/* Problem of a refused answer. */
void answer_problem(const struct answer *answer, struct arena *arena, struct problem *ret_problem);

void revise_prepare(struct job *job, struct reader *reader);
/* The engine found another text than the one that was merged with: revise_again() merges once more. */
bool revise_stale(const struct job *job);
void revise_again(struct job *job, struct reader *reader);
void revise_finish(struct job *job, struct reader *reader);
void movement_prepare(struct job *job, struct reader *reader);

void bulk_begin(struct job *job);
void bulk_continue(struct job *job);
void bulk_free(struct bulk *bulk);

void read_begin(struct job *job);
/* From the journal, on a reader. */
void read_step(struct job *job, struct reader *reader);
/* From the read model: on the loop, and on a reader. */
void query_begin_job(struct job *job);
void query_step(struct job *job, struct reader *reader);
void misc_begin(struct job *job);

/* One read: 0 with the response filled, or an environment error. Runs within a snapshot. */
typedef int read_handler(struct job *job, struct journal *journal, struct err *err);
read_handler list_accounts, list_transfers, list_events;

/* True if the ledger has it; *ret_result < 0 after an environment error. */
bool find_account(struct job *job, struct journal *journal, const struct account_ref *ref,
    struct account *ret_account, int *ret_result, struct err *err);
/* What the path calls the account; false if that is no name of any. */
bool path_account_ref(const struct job *job, struct account_ref *ret_ref);
/* There is no account of that name. */
void refuse_path_account(struct job *job);
/* The account in the path; answers the job if there is none. */
bool path_account(
    struct job *job, struct journal *journal, struct account *ret_account, int *ret_result, struct err *err);
/* An account with what its answer needs besides: when it was opened, its text. In the job's arena. */
MUST_CHECK int account_view_load(struct job *job, struct journal *journal, const struct account *account,
    struct account_view *ret_view, struct err *err);
/* --- cursors
 * --------------------------------------------------------------------------------------------------- */

struct cursor;

/* The hash of an account's list: its filters, its ledger and the account. */
uint64_t account_filter(const struct job *job, const struct account *account);
/* A list's cursor at its end. */
void put_cursor(struct json_out *o, const struct cursor *cursor);
/* False, and the job answered, if there is a cursor and it is not one of this list. */
MUST_CHECK bool take_cursor(struct job *job, int kind, uint64_t filter, size_t n, struct cursor *ret_cursor);
/* Where a statement's page starts, and the shown end of its open period; false: not a cursor of this statement. */
MUST_CHECK bool statement_position(struct job *job, int kind, const struct account *account,
    struct history_position *ret_position, int64_t *ret_as_of);
struct str statement_cursor(struct job *job, int kind, const struct account *account,
    const struct history_position *next, int64_t as_of);

/* Appends one record, with the id of the record it relates to. `scratch` gets what is read on the way. */
MUST_CHECK int encode_record_of(struct job *job, struct journal *journal, const struct record *record,
    struct arena *scratch, struct json_out *o, struct err *err);

#endif
