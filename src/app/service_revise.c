/*
 * Writes that read before they are submitted: credits and debits without a currency, and revisions of name or
 * metadata. A revision's text holds the whole new state, so the present one is read and what the client sent
 * is put over it. Between that read and the commit no other revision of the text may slip in, or it would
 * be undone silently: the command says which text it was merged with (command_revise.base_text_seq), the engine
 * refuses it without a record when the account has another by then, and it is merged again. Other processes may
 * write to the same database, so this is what makes it right. The lanes make it cheap: revisions of texts take a lane by
 * account and follow one another through it, read to commit, so that those of one process never meet.
 * (Binding the revision that was read as If-Match would refuse a client that asked for no such thing.)
 */
#include "app/service_internal.h"

/* How often one revision is merged; each time but the last another process got ahead of it. */
#define REVISE_MERGES_MAX 64

static void answered(struct job *job, struct reader *reader)
{
    reader->journal->ops->snapshot_end(reader->journal);
    job_ready(job);
}

/* Opens the snapshot; after a failure the job is answered. */
static bool begin_read(struct job *job, struct reader *reader, struct err *err)
{
    int r = service_find_ledger(job, reader, err);
    if (r == 0 && job->ledger != NULL) {
        r = reader_snapshot(reader, err);
        if (r == 0)
            return true;
    }
    if (r < 0)
        job_failed(job, err);
    else
        job_refuse(job, REFUSAL_LEDGER_NOT_FOUND, NULL);
    job_ready(job);
    return false;
}

/* The account in the path, as it is now; after a refusal or failure the job is answered. */
static bool load_account(struct job *job, struct reader *reader, struct account *ret_account, struct err *err)
{
    int r = 0;
    if (!begin_read(job, reader, err))
        return false;
    if (path_account(job, reader->journal, ret_account, &r, err))
        return true;
    if (r < 0)
        job_failed(job, err);
    answered(job, reader);
    return false;
}

void movement_prepare(struct job *job, struct reader *reader)
{
    struct err err = {0};
    struct account account;
    if (!load_account(job, reader, &account, &err))
        return;
    const struct asset *asset;
    int r = service_know_asset(job->service, reader->journal, account.asset, &asset, &err);
    if (r < 0) {
        job_failed(job, &err);
        answered(job, reader);
        return;
    }
    reader->journal->ops->snapshot_end(reader->journal);
    write_set_currency(&job->write, str_of(asset->code));
    write_submit(job, reader);
}

/* --- lanes
 * -------------------------------------------------------------------------------------------------- */

static bool lane_enter(struct job *job)
{
    struct service *s = job->service;
    pthread_mutex_lock(&s->lock);
    bool free_lane = !s->lanes[job->lane].busy;
    if (free_lane) {
        s->lanes[job->lane].busy = true;
        job->in_lane = true;
    } else {
        struct job_queue *q = &s->lanes[job->lane].waiting;
        job->next = NULL;
        *(q->first == NULL ? &q->first : &q->last->next) = job;
        q->last = job;
        q->n++;
    }
    pthread_mutex_unlock(&s->lock);
    return free_lane;
}

static job_step merge_first;

static void lane_leave(struct job *job)
{
    struct service *s = job->service;
    pthread_mutex_lock(&s->lock);
    struct job_queue *q = &s->lanes[job->lane].waiting;
    struct job *next = q->first;
    if (next != NULL) {
        q->first = next->next;
        q->n--;
        next->in_lane = true;
    } else {
        s->lanes[job->lane].busy = false;
    }
    job->in_lane = false;
    pthread_mutex_unlock(&s->lock);
    if (next != NULL)
        (void)!pool_dispatch(next, merge_first, true);
}

/* What the account's text is now, and where it stands. After a refusal or failure the answer is there. */
static bool present_text(
    struct job *job, struct reader *reader, struct str *ret_text, uint64_t *ret_seq, struct err *err)
{
    struct account account;
    struct journal *j = reader->journal;
    const struct record *record = NULL;
    int r = reader_snapshot(reader, err);
    bool found = false;
    if (r == 0) {
        found = path_account(job, j, &account, &r, err);
        if (found && account.text_seq != 0)
            r = j->ops->record(j, job->ledger->id, account.text_seq, true, &job->arena, &record, err);
        j->ops->snapshot_end(j);
    }
    if (r < 0)
        job_failed(job, err);
    if (r < 0 || !found)
        return false;
    *ret_text = record != NULL && record->text.readable ? record->text.body : STR_NONE;
    *ret_seq = account.text_seq;
    return true;
}

/* Puts what was sent over what is there; false: answered. */
static bool merge(struct job *job, struct reader *reader)
{
    struct err err = {0};
    struct str present;
    struct command *command = &job->write.command;
    uint64_t seq;
    if (!present_text(job, reader, &present, &seq, &err))
        return false;
    command->text = job->sent_text;
    job->write.needs_text = true;
    write_merge_text(&job->write, present, &job->arena);
    command->as.revise.has_base_text = true;
    command->as.revise.base_text_seq = seq;
    job->merges++;
    return true;
}

static void merge_and_submit(struct job *job, struct reader *reader)
{
    if (merge(job, reader)) {
        write_submit(job, reader);
        return;
    }
    lane_leave(job);
    job_ready(job);
}

/* In the lane: nobody else of this process revises the account's text until the lane is left. */
static void merge_first(struct job *job, struct reader *reader)
{
    job->sent_text = job->write.command.text;
    merge_and_submit(job, reader);
}

bool revise_stale(const struct job *job)
{
    return job->in_lane && job->answer.refusal == REFUSAL_REVISION_CONTENDED;
}

/* Without reader threads there is nobody to hand the job on to: it is done to its end here. */
static bool settle_here(struct job *job, struct reader *reader)
{
    while (revise_stale(job) && job->merges < REVISE_MERGES_MAX) {
        if (!merge(job, reader))
            return false;
        engine_call(job->service->config.engine, &job->submission);
    }
    return true;
}

void revise_again(struct job *job, struct reader *reader)
{
    if (job->merges < REVISE_MERGES_MAX && !job->in_finish) {
        merge_and_submit(job, reader);
        return;
    }
    if (!settle_here(job, reader)) {
        lane_leave(job);
        return;
    }
    revise_finish(job, reader);
}

void revise_prepare(struct job *job, struct reader *reader)
{
    struct err err = {0};
    struct account account;
    if (!load_account(job, reader, &account, &err))
        return;
    reader->journal->ops->snapshot_end(reader->journal);
    job->lane = (size_t)(account.number % TEXT_LANES);
    if (lane_enter(job))
        merge_first(job, reader);
}

/* --- the answer: the account as this revision left it, so that a replay shows the same
 * ----------------------- */

static int revised_view(struct job *job, struct journal *j, struct account_view *ret_view, struct err *err)
{
    const struct record *record = job->answer.record;
    const struct revision_row *revision = &record->revisions[0];
    struct account_want want = {.ledger = record->ledger, .number = revision->account};
    int r = j->ops->accounts_fetch(j, &want, 1, &job->arena, err);
    if (r == 0 && !want.found)
        r = err_set(err, ERR_CORRUPT, "account %llu of a revision is not there",
            (unsigned long long)revision->account);
    if (r < 0)
        return r;
    want.account.text_seq = record->text.present ? 0 : revision->text_seq;
    r = account_view_load(job, j, &want.account, ret_view, err);
    if (record->text.present)
        ret_view->text = &record->text;
    ret_view->revision = revision->revision;
    ret_view->status = revision->status;
    ret_view->floor = revision->floor;
    return r;
}

void revise_finish(struct job *job, struct reader *reader)
{
    struct err err = {0};
    struct account_view view;
    struct journal *j = reader->journal;
    const struct answer *a = &job->answer;
    if (job->in_lane)
        lane_leave(job);
    if (a->refusal == REFUSAL_NONE) {
        int r = reader_snapshot(reader, &err);
        if (r == 0) {
            job->ledger = a->ledger;
            r = revised_view(job, j, &view, &err);
            j->ops->snapshot_end(j);
        }
        if (r < 0) {
            job_failed(job, &err);
        } else {
            struct api_response *response = &job->call->response;
            if (a->replayed)
                api_response_header(response, "Idempotency-Replayed", "true");
            if (!a->dry_run)
                api_response_header(response, "Ledger-Seq", "%llu", (unsigned long long)a->record->seq);
            api_response_header(response, "ETag", "\"%u\"", view.revision);
            struct json_out o = job_json(job, 200);
            view.dry_run = a->dry_run;
            encode_account(&o, &view);
        }
    }
    job_ready(job);
}
