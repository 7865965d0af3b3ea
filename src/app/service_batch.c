/*
 * Bulk writes. A JSON array is decoded whole, submitted at once and answered at once. NDJSON is taken in
 * pieces of PIECE_LINES lines: each is decoded, submitted, committed and answered before the next is looked
 * at, so memory does not grow with the body's length and every line that was sent is durable. Decoding and
 * encoding are the readers' work, since they would hold up the loop. With `atomic` either form is one
 * submission, and one answer.
 */
#include <stdlib.h>

#include "app/service_internal.h"

#define PIECE_LINES 500

struct element {
    struct fault *fault; /* NULL: it became a command ... */
    size_t command;      /* ... and this is its index */
    size_t line;         /* NDJSON: of the body, from 1 */
};

struct bulk {
    struct job *job;
    struct arena arena; /* of one piece */
    enum body_format format;
    bool streams; /* NDJSON and not atomic */
    struct str rest;
    size_t line;
    struct element *elements;
    size_t n_elements, n_faults;
    struct command *commands;
    struct answer *answers;
    size_t n_commands;
    struct submission submission;
};

void bulk_free(struct bulk *bulk)
{
    arena_fini(&bulk->arena);
    free(bulk);
}

/* --- decoding
 * ----------------------------------------------------------------------------------------------- */

static void piece_begin(struct bulk *b, size_t room)
{
    arena_reset(&b->arena);
    b->job->context.arena = &b->arena;
    b->elements = ARENA_ARRAY(&b->arena, struct element, room);
    b->commands = ARENA_ARRAY(&b->arena, struct command, room);
    b->answers = ARENA_ARRAY(&b->arena, struct answer, room);
    b->n_elements = b->n_faults = b->n_commands = 0;
}

static void add_fault(struct bulk *b, const struct fault *fault)
{
    struct element *element = &b->elements[b->n_elements++];
    *element = (struct element){.fault = arena_copy(&b->arena, fault, sizeof *fault), .line = b->line};
    b->n_faults++;
}

static void add_element(struct bulk *b, const json_t *value, struct digest *digest)
{
    struct write write;
    struct fault fault;
    if (!decode_element(&b->job->context, value, &write, &fault)) {
        add_fault(b, &fault);
        return;
    }
    if (write.command.idempotency_key.data != NULL)
        digest_command(digest, &write.command);
    b->elements[b->n_elements++] = (struct element){.command = b->n_commands, .line = b->line};
    b->commands[b->n_commands++] = write.command;
}

static bool decode_array(struct bulk *b, struct digest *digest, struct fault *fault)
{
    json_t *root;
    if (!decode_batch(&b->job->context, b->rest, &root, fault))
        return false;
    size_t n = json_array_size(root);
    piece_begin(b, n);
    for (size_t i = 0; i < n; i++)
        add_element(b, json_array_get(root, i), digest);
    json_decref(root);
    b->rest = STR_NONE;
    return true;
}

/* Moves past blank lines; false at the end of the body. */
static bool next_line(struct bulk *b, struct str *ret_line)
{
    struct str line;
    while (str_split(&b->rest, '\n', &line)) {
        b->line++;
        *ret_line = str_trim(line);
        if (ret_line->len > 0)
            return true;
    }
    return false;
}

static bool at_end(const struct bulk *b)
{
    return str_trim(b->rest).len == 0;
}

static void decode_line(struct bulk *b, struct str line, struct digest *digest)
{
    json_t *value;
    struct fault fault;
    if (!json_read(line, &value, &fault)) {
        add_fault(b, &fault);
        return;
    }
    add_element(b, value, digest);
    json_decref(value);
}

static bool decode_lines(struct bulk *b, struct digest *digest, struct fault *fault)
{
    struct str line;
    size_t room = b->streams ? PIECE_LINES : LIMIT_BATCH_ELEMENTS_MAX;
    piece_begin(b, room);
    while (b->n_elements < room && next_line(b, &line))
        decode_line(b, line, digest);
    if (b->n_elements == 0)
        return fault_set(fault, REFUSAL_MALFORMED_JSON, NULL, "The body has no lines.");
    if (!b->streams && !at_end(b))
        return fault_set(fault, REFUSAL_TOO_MANY_ELEMENTS, NULL,
            "It has more than %d lines, which is the most of an atomic request.", LIMIT_BATCH_ELEMENTS_MAX);
    return true;
}

/* --- answers
 * ------------------------------------------------------------------------------------------------ */

/* What an element is refused with, before or by the engine; REFUSAL_NONE if it is not. */
static enum refusal refusal_of(const struct bulk *b, const struct element *element)
{
    if (element->fault != NULL)
        return element->fault->refusal;
    /* With an atomic request that has faults nothing was submitted. */
    return b->job->query.atomic && b->n_faults > 0 ? REFUSAL_NOT_APPLIED
                                                   : b->answers[element->command].refusal;
}

static void encode_refusal(struct bulk *b, const struct element *element, struct json_out *o)
{
    struct problem problem;
    enum refusal refusal = refusal_of(b, element);
    if (element->fault != NULL)
        problem = fault_problem(element->fault);
    else if (refusal == REFUSAL_NOT_APPLIED)
        problem = (struct problem){.refusal = refusal};
    else
        answer_problem(&b->answers[element->command], &b->arena, &problem);
    out_int_member(o, "status", problem_status(refusal));
    out_key(o, "error");
    problem_encode(o, &problem);
}

static void encode_element(struct bulk *b, const struct element *element, struct json_out *o)
{
    out_begin(o, '{');
    if (b->format == BODY_NDJSON)
        out_uint_member(o, "line", element->line);
    if (refusal_of(b, element) != REFUSAL_NONE) {
        encode_refusal(b, element, o);
    } else {
        const struct answer *a = &b->answers[element->command];
        bool dry_run = a->dry_run && !a->replayed;
        out_int_member(o, "status", a->dry_run ? 200 : 201);
        out_bool_member(o, "replayed", a->replayed);
        out_key(o, "transfer");
        encode_record(o, &(struct record_view){
                             .record = a->record,
                             .ledger = str_of(a->ledger->name),
                             .assets = service_assets(b->job->service),
                             .dry_run = dry_run,
                         });
    }
    out_end(o, '}');
}

/* 200, or of an atomic request the status of the element that stopped it. */
static int overall_status(const struct bulk *b)
{
    for (size_t i = 0; b->job->query.atomic && i < b->n_elements; i++) {
        enum refusal refusal = refusal_of(b, &b->elements[i]);
        if (refusal != REFUSAL_NONE && refusal != REFUSAL_NOT_APPLIED)
            return problem_status(refusal);
    }
    return 200;
}

/* If the server could do nothing at all, that is the answer of the whole request. */
static enum refusal overall_refusal(const struct bulk *b)
{
    if (b->streams || b->n_commands == 0 || b->submission.n == 0)
        return REFUSAL_NONE;
    for (size_t i = 0; i < b->n_commands; i++) {
        const struct refusal_info *info = refusal_info(b->answers[i].refusal);
        if (info == NULL || info->kind != REFUSAL_KIND_SERVICE)
            return REFUSAL_NONE;
    }
    return b->answers[0].refusal;
}

static void put_ledger_seq(struct bulk *b)
{
    uint64_t seq = 0;
    for (size_t i = 0; i < b->n_commands; i++) {
        const struct answer *a = &b->answers[i];
        if (a->record != NULL && !a->dry_run && a->record->seq > seq)
            seq = a->record->seq;
    }
    if (seq > 0)
        api_response_header(&b->job->call->response, "Ledger-Seq", "%llu", (unsigned long long)seq);
}

static void encode_lines(struct bulk *b)
{
    struct api_response *r = &b->job->call->response;
    struct json_out o = {&r->body, b->job->amount_strings};
    r->status = overall_status(b);
    r->content_type = "application/x-ndjson";
    for (size_t i = 0; i < b->n_elements; i++) {
        encode_element(b, &b->elements[i], &o);
        strbuf_char(o.b, '\n');
    }
}

static void encode_array(struct bulk *b)
{
    struct json_out o = job_json(b->job, overall_status(b));
    out_begin(&o, '{');
    out_key(&o, "results");
    out_begin(&o, '[');
    for (size_t i = 0; i < b->n_elements; i++)
        encode_element(b, &b->elements[i], &o);
    out_end(&o, ']');
    out_end(&o, '}');
}

/* Records of other processes are answered again in assets that this one may not have heard of. */
static void know_replays(struct bulk *b, struct reader *reader)
{
    struct err err = {0};
    for (size_t i = 0; i < b->n_commands && b->submission.n > 0; i++) {
        struct answer *a = &b->answers[i];
        if (!a->replayed || a->record == NULL || service_knows_record(b->job->service, a->record))
            continue;
        if (service_know_record(b->job->service, reader->journal, a->record, &err) < 0) {
            service_complain(b->job->service, "journal not readable", &err);
            *a = (struct answer){.refusal = REFUSAL_STORAGE_UNAVAILABLE};
        }
    }
}

static void encode_piece(struct job *job, struct reader *reader)
{
    struct bulk *b = job->bulk;
    know_replays(b, reader);
    enum refusal refusal = overall_refusal(b);
    job->last_piece = !b->streams || at_end(b);
    if (refusal != REFUSAL_NONE) {
        job_refuse(job, refusal, NULL);
    } else {
        if (!b->streams)
            put_ledger_seq(b);
        if (b->format == BODY_NDJSON)
            encode_lines(b);
        else
            encode_array(b);
    }
    job_ready(job);
}

/* --- one piece
 * ---------------------------------------------------------------------------------------------- */

static void piece_done(struct submission *submission)
{
    struct bulk *b = (struct bulk *)((char *)submission - offsetof(struct bulk, submission));
    pool_after(b->job, encode_piece);
}

static void submit_piece(struct bulk *b, struct reader *reader)
{
    b->submission = (struct submission){
        .commands = b->commands,
        .answers = b->answers,
        .n = b->job->query.atomic && b->n_faults > 0 ? 0 : b->n_commands,
        .atomic = b->job->query.atomic,
        .arena = &b->arena,
        .done = piece_done,
    };
    if (b->submission.n == 0) {
        encode_piece(b->job, reader);
        return;
    }
    enum refusal refusal = engine_submit(b->job->service->config.engine, &b->submission);
    if (refusal == REFUSAL_NONE)
        return;
    for (size_t i = 0; i < b->n_commands; i++)
        b->answers[i] = (struct answer){.refusal = refusal};
    encode_piece(b->job, reader);
}

static void piece_step(struct job *job, struct reader *reader)
{
    struct bulk *b = job->bulk;
    struct fault fault;
    bool ok = b->format == BODY_NDJSON ? decode_lines(b, reader->digest, &fault)
                                       : decode_array(b, reader->digest, &fault);
    if (ok) {
        submit_piece(b, reader);
        return;
    }
    job->last_piece = true;
    job_fault(job, &fault);
    job_ready(job);
}

void bulk_begin(struct job *job)
{
    struct fault fault;
    enum body_format format;
    if (!json_content_type(job->call->request, true, &format, &fault) ||
        !decode_batch_head(&job->context, &fault)) {
        job_fault(job, &fault);
        job_ready(job);
        return;
    }
    struct bulk *b = calloc(1, sizeof *b);
    INVARIANT(b != NULL);
    b->job = job;
    b->format = format;
    b->streams = format == BODY_NDJSON && !job->query.atomic;
    b->rest = job->call->request->body;
    arena_init(&b->arena, 65536);
    job->bulk = b;
    job->streaming = b->streams;
    pool_run(job, piece_step);
}

void bulk_continue(struct job *job)
{
    (void)!pool_dispatch(job, piece_step, true);
}
