/* Single writes: decode, submit, and once the engine has answered, encode. */
#include "app/service_internal.h"

/* --- on the way in
 * ------------------------------------------------------------------------------------------ */

/* Another process's record is answered again, in an asset that this one has not heard of. */
static void know_step(struct job *job, struct reader *reader)
{
    struct err err = {0};
    if (service_know_record(job->service, reader->journal, job->answer.record, &err) < 0) {
        job_failed(job, &err);
        job->answer = (struct answer){.refusal = REFUSAL_STORAGE_UNAVAILABLE};
    }
    if (job->in_lane || (job->after != NULL && job->answer.refusal == REFUSAL_NONE))
        revise_finish(job, reader);
    else
        job_ready(job);
}

static void write_done(struct submission *submission)
{
    struct job *job = (struct job *)((char *)submission - offsetof(struct job, submission));
    const struct answer *a = &job->answer;
    if (a->replayed && a->record != NULL && !service_knows_record(job->service, a->record))
        pool_after(job, know_step);
    else if (revise_stale(job))
        pool_after(job, revise_again);
    else if (job->after != NULL && job->answer.refusal == REFUSAL_NONE)
        pool_after(job, job->after);
    else if (job->in_lane)
        pool_after(job, revise_finish);
    else
        job_ready(job);
}

void write_submit(struct job *job, struct reader *reader)
{
    struct command *command = &job->write.command;
    /* Without a key nobody will ever compare the hash. */
    if (!job->hashed && command->idempotency_key.data != NULL)
        digest_command(reader->digest, command);
    job->submission = (struct submission){
        .commands = command,
        .answers = &job->answer,
        .n = 1,
        .arena = &job->arena,
        .done = write_done,
    };
    job->encode = write_encode;
    enum refusal refusal = engine_submit(job->service->config.engine, &job->submission);
    if (refusal == REFUSAL_NONE)
        return;
    job->answer = (struct answer){.refusal = refusal};
    write_done(&job->submission);
}

void write_begin(struct job *job)
{
    struct fault fault;
    enum body_format format;
    const struct api_request *request = job->call->request;
    struct reader *loop = &job->service->loop;
    if (!json_content_type(request, false, &format, &fault) ||
        !decode_write(&job->context, request->body, &job->write, &fault)) {
        job_fault(job, &fault);
        job_ready(job);
        return;
    }
    if (job->write.command.op == COMMAND_REVISE_ACCOUNT)
        job->after = revise_finish;
    if (job->write.needs_currency) {
        pool_run(job, movement_prepare);
    } else if (job->write.needs_text) {
        /* The hash covers what the client sent; the text is completed afterwards. */
        digest_command(loop->digest, &job->write.command);
        job->hashed = true;
        pool_run(job, revise_prepare);
    } else {
        write_submit(job, loop);
    }
}

/* --- on the way out
 * ----------------------------------------------------------------------------------------- */

void answer_problem(const struct answer *answer, struct arena *arena, struct problem *ret_problem)
{
    if (answer->record == NULL || answer->record->kind != RECORD_DECLINED) {
        *ret_problem = (struct problem){.refusal = answer->refusal, .detail = str_of(answer->detail)};
        return;
    }
    problem_of_record(answer->record, arena, ret_problem);
    if (answer->dry_run && !answer->replayed) {
        ret_problem->seq = 0;
        ret_problem->transfer = NULL;
    }
}

static void put_location(struct job *job, const char *collection, struct uuid id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    struct str ledger = job->match.ledger;
    if (str_eq(ledger, STR("main")))
        api_response_header(&job->call->response, "Location", "/%s/%s", collection, text);
    else
        api_response_header(&job->call->response, "Location", "/ledgers/" STR_FMT "/%s/%s", STR_ARG(ledger),
            collection, text);
}

static void encode_posted(struct job *job)
{
    const struct answer *a = &job->answer;
    const struct command *command = &job->write.command;
    bool reverses = command->op == COMMAND_REVERSE;
    if (!a->dry_run)
        put_location(job, "transfers", a->record->id);
    struct json_out o = job_json(job, a->dry_run ? 200 : 201);
    encode_record(&o, &(struct record_view){
                          .record = a->record,
                          .ledger = str_of(a->ledger->name),
                          .assets = service_assets(job->service),
                          .related = reverses ? &command->as.reverse.transfer : NULL,
                          .dry_run = a->dry_run && !a->replayed,
                      });
}

static void encode_opened(struct job *job)
{
    const struct answer *a = &job->answer;
    struct account_view view = account_view_opened(a->record, str_of(a->ledger->name), a->asset);
    view.dry_run = view.unborn = a->dry_run && !a->replayed;
    if (!a->dry_run) {
        put_location(job, "accounts", view.id);
        api_response_header(&job->call->response, "ETag", "\"%u\"", view.revision);
    }
    struct json_out o = job_json(job, a->dry_run ? 200 : 201);
    encode_account(&o, &view);
}

static void encode_created(struct job *job)
{
    const struct answer *a = &job->answer;
    struct json_out o = job_json(job, a->created && !a->dry_run ? 201 : 200);
    if (job->write.command.op == COMMAND_CREATE_LEDGER)
        encode_ledger(&o, a->ledger,
            a->dry_run && a->created ? 0 : catalog_head_seq(job->service->config.catalog, a->ledger->id),
            a->dry_run);
    else
        encode_asset(&o, a->asset, a->dry_run);
}

void write_encode(struct job *job)
{
    const struct answer *a = &job->answer;
    struct api_response *r = &job->call->response;
    if (r->status != 0)
        return; /* a step on the way has answered */
    if (a->replayed)
        api_response_header(r, "Idempotency-Replayed", "true");
    if (a->record != NULL && !a->dry_run)
        api_response_header(r, "Ledger-Seq", "%llu", (unsigned long long)a->record->seq);
    if (a->refusal != REFUSAL_NONE) {
        struct problem problem;
        answer_problem(a, &job->arena, &problem);
        job_problem(job, &problem);
        return;
    }
    switch (job->write.command.op) {
    case COMMAND_CREATE_LEDGER:
    case COMMAND_DECLARE_ASSET:
        encode_created(job);
        break;
    case COMMAND_OPEN_ACCOUNT:
        encode_opened(job);
        break;
    case COMMAND_POST:
    case COMMAND_REVERSE:
        encode_posted(job);
        break;
    case COMMAND_REVISE_ACCOUNT:
    case COMMAND_ERASE:
        INVARIANT_F(false, "operation %d", (int)job->write.command.op);
    }
}
