/*
 * Refusals as application/problem+json (RFC 9457): type, title, status, code and hint come from the table in
 * ledger/refusal.h, the detail from whoever refused. What a declined record left is told from the record
 * alone, so that a replay says the same as the first answer did. Pure.
 */
#ifndef CREDITLEDGER_API_PROBLEM_H
#define CREDITLEDGER_API_PROBLEM_H

#include "api/json_out.h"
#include "api/message.h"
#include "base/arena.h"
#include "ledger/refusal.h"

/* A refusal and what is known about it. Members without a value are left out of the JSON. */
struct problem {
    enum refusal refusal;
    struct str detail; /* STR_NONE or empty: left out */
    struct str field;  /* the JSON field, query parameter or header that is wrong */
    const struct uuid *account;
    bool has_available, has_required;
    int64_t available_minor; /* of the account, in its normal sign */
    int64_t required_minor;  /* what it would have had to give */
    uint64_t seq;            /* of the declined record; 0: none */
    const struct uuid *transfer;
};

/* The HTTP status of a refusal. */
int problem_status(enum refusal refusal);
/* One JSON object. */
void problem_encode(struct json_out *o, const struct problem *problem);
/* From a declined record, whose entry is on the account that refused. Texts live in the arena. */
void problem_of_record(const struct record *record, struct arena *arena, struct problem *ret_problem);

/*
 * The whole response: status, content type, body, and the headers that go with the refusal (Retry-After with
 * 503, WWW-Authenticate with 401). The body is replaced; headers already there stay.
 */
void api_problem_respond(struct api_response *r, const struct problem *problem, bool amount_strings);
/* The same with nothing but a detail, which may be STR_NONE. */
void api_problem_write(struct api_response *r, enum refusal refusal, struct str detail);

#endif
