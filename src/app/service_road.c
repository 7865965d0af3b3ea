/*
 * Which of the two roads a read takes. What is left to the server: one account's balance comes from the journal, lists
 * and statements come from the read model. What only one of the two can answer takes that one's road; asked for on the
 * other it is refused by name, never answered with something else.
 */
#include "api/cursor.h"
#include "app/service_internal.h"

/* What of the request the journal cannot answer; NULL: nothing. */
static const char *beyond_journal(const struct job *job)
{
    const struct query *q = &job->query;
    switch ((int)job->match.route->id) {
    case ROUTE_GET_ACTIVITY:
        return "an account's activity by day";
    case ROUTE_GET_TOTALS:
        return "totals";
    }
    return q->n_metadata > 0          ? "the filter 'metadata.KEY'"
           : q->has_least             ? "the filter 'minAmount'"
           : q->has_most              ? "the filter 'maxAmount'"
           : q->currency.data != NULL ? "the filter 'currency'"
                                      : NULL;
}

bool road_journal_can(const struct job *job)
{
    return beyond_journal(job) == NULL;
}

/* What of the request the read model cannot answer; NULL: nothing. */
static const char *beyond_read_model(const struct job *job)
{
    const struct query *q = &job->query;
    bool other_kind =
        q->has_kind && q->kind != RECORD_TRANSFER && q->kind != RECORD_REVERSAL && q->kind != RECORD_DECLINED;
    return q->has_at           ? "'at'"
           : q->has_known_at   ? "'knownAt'"
           : q->axis_effective ? "'axis=effective'"
           : other_kind        ? "a 'kind' other than transfer, reversal and declined"
                               : NULL;
}

#define REFUSE(...) fault_set(fault, REFUSAL_CONSISTENCY_UNAVAILABLE, "consistency", __VA_ARGS__)

/* A page goes on where the one before came from. */
static bool goes_on_in_journal(const struct job *job)
{
    int kind = job->query.cursor.data != NULL ? cursor_kind(job->query.cursor) : 0;
    return kind == CURSOR_TRANSFERS || kind == CURSOR_STATEMENT;
}

bool road_choose(const struct job *job, bool *ret_read_model, struct fault *fault)
{
    enum consistency wanted = job->query.consistency;
    enum route_id route = job->match.route->id;
    bool there = job->service->config.read_url != NULL;
    const char *not_journal = beyond_journal(job), *not_read_model = beyond_read_model(job);
    if (not_journal != NULL && !there)
        return REFUSE("This server has no read model, and %s needs one.", not_journal);
    if (not_journal != NULL && not_read_model != NULL)
        return REFUSE(
            "Only the read model answers %s, and only the journal answers %s.", not_journal, not_read_model);
    if (not_journal != NULL && wanted == CONSISTENCY_STRONG)
        return REFUSE("Only the read model answers %s, and it follows a moment behind.", not_journal);
    if (wanted == CONSISTENCY_EVENTUAL && !there)
        return REFUSE("This server has no read model.");
    if (wanted == CONSISTENCY_EVENTUAL && not_read_model != NULL)
        return REFUSE("Only the journal answers %s, and it is strongly consistent.", not_read_model);
    bool list = route == ROUTE_GET_STATEMENT || route == ROUTE_LIST_TRANSFERS;
    *ret_read_model =
        not_journal != NULL || wanted == CONSISTENCY_EVENTUAL ||
        (there && list && wanted == CONSISTENCY_ANY && not_read_model == NULL && !goes_on_in_journal(job));
    return true;
}
