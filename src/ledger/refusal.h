/*
 * Every reason for which something asked of the ledger is refused: one table feeds the enum, the API's `code`, the
 * HTTP status, the documentation and OpenAPI. Names and numbers never change their meaning (a declined record
 * stores the number for ever). The order is the order of precedence within each block: the first that applies is
 * reported.
 *
 * X(NAME, name, number, HTTP status, kind, title, what to do)
 *   kind: REQUEST  the request itself is wrong; nothing is recorded
 *         STATE    depends on the ledger's state; recorded as a `declined` record that binds the idempotency key
 *         SERVICE  the server cannot now; nothing is recorded, retry with the same key
 */
#ifndef CREDITLEDGER_LEDGER_REFUSAL_H
#define CREDITLEDGER_LEDGER_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define REFUSAL_TABLE(X) \
    /* the request as a message */ \
    X(MALFORMED_HTTP, malformed_http, 101, 400, REQUEST, "Malformed HTTP request", \
        "Send one Host and at most one Content-Length header, and no Content-Length with " \
        "Transfer-Encoding.") \
    X(HEADERS_TOO_LARGE, headers_too_large, 102, 431, REQUEST, "Request head too large", \
        "Shorten the URL and the headers.") \
    X(HOST_NOT_ALLOWED, host_not_allowed, 103, 421, REQUEST, "Host not served here", \
        "On a loopback listener the Host header must be localhost, 127.0.0.1 or [::1].") \
    X(ROUTE_NOT_FOUND, route_not_found, 104, 404, REQUEST, "No such resource", \
        "Check the path against /openapi.yaml.") \
    X(METHOD_NOT_ALLOWED, method_not_allowed, 105, 405, REQUEST, "Method not allowed", \
        "Use one of the methods in the Allow header.") \
    X(UNAUTHENTICATED, unauthenticated, 106, 401, REQUEST, "No valid token", \
        "Send 'Authorization: Bearer <token>' with a token of the server's token file.") \
    X(SCOPE_MISSING, scope_missing, 107, 403, REQUEST, "Token lacks the scope", \
        "Use a token that has the scope named in the detail.") \
    X(REQUEST_TIMEOUT, request_timeout, 108, 408, REQUEST, "Request took too long to arrive", \
        "Send the whole request within the time limit.") \
    X(BODY_TOO_LARGE, body_too_large, 109, 413, REQUEST, "Body too large", \
        "Send less than the limit named in the detail; split bulk requests.") \
    X(UNSUPPORTED_MEDIA_TYPE, unsupported_media_type, 110, 415, REQUEST, "Unsupported content type", \
        "Send application/json (bulk requests also application/x-ndjson), in UTF-8.") \
    X(INVALID_UTF8, invalid_utf8, 111, 400, REQUEST, "Body is not UTF-8", "Encode the body as UTF-8.") \
    X(MALFORMED_JSON, malformed_json, 112, 400, REQUEST, "Body is not JSON", \
        "Mend the JSON at the position named in the detail.") \
    X(DUPLICATE_JSON_KEY, duplicate_json_key, 113, 400, REQUEST, "A JSON key appears twice", \
        "Send every key of an object once.") \
    X(NUMBER_OUT_OF_RANGE, number_out_of_range, 114, 400, REQUEST, "Number does not fit", \
        "JSON integers must fit 64 bits with a sign.") \
    X(UNKNOWN_FIELD, unknown_field, 115, 400, REQUEST, "Unknown field", \
        "Remove or correct the field named in the detail.") \
    X(MISSING_FIELD, missing_field, 116, 400, REQUEST, "Missing field", \
        "Add the field named in the detail.") \
    X(INVALID_FIELD, invalid_field, 117, 400, REQUEST, "Invalid field", \
        "Correct it as the detail says; 'field' says where it stands.") \
    X(INVALID_PARAMETER, invalid_parameter, 118, 400, REQUEST, "Invalid query parameter or header", \
        "Correct it as the detail says; 'field' says where it stands.") \
    X(INVALID_CURSOR, invalid_cursor, 119, 400, REQUEST, "Invalid cursor", \
        "Pass a cursor exactly as an answer of this list gave it, with the same filters.") \
    X(IDEMPOTENCY_KEY_CONFLICT, idempotency_key_conflict, 120, 400, REQUEST, \
        "Two different idempotency keys", \
        "Send the key in the body or in the Idempotency-Key header, or the same in both.") \
    X(TOO_MANY_ELEMENTS, too_many_elements, 121, 400, REQUEST, "Too many elements", \
        "Send fewer than the limit named in the detail; split the request.") \
    X(JSON_TOO_DEEP, json_too_deep, 122, 400, REQUEST, "JSON nested too deep", \
        "Nest objects and arrays less deep than the limit named in the detail.") \
    X(CONSISTENCY_UNAVAILABLE, consistency_unavailable, 123, 400, REQUEST, \
        "Not to be had with that consistency", \
        "As the detail says: leave a parameter out, choose the other consistency, or ask a server with a " \
        "read " \
        "model.") \
    /* amounts */ \
    X(AMOUNT_ZERO, amount_zero, 130, 400, REQUEST, "Amount is zero", "Send an amount of at least 1.") \
    X(AMOUNT_NEGATIVE, amount_negative, 131, 400, REQUEST, "Amount is negative", \
        "Send a positive amount; swap the two accounts to move value the other way.") \
    X(AMOUNT_FRACTIONAL, amount_fractional, 132, 400, REQUEST, "Amount is not whole", \
        "Send minor units as an integer: 12.34 USD is 1234.") \
    X(AMOUNT_EXPONENT, amount_exponent, 133, 400, REQUEST, "Amount is not an integer literal", \
        "Write the integer out: 1000, not 1e3 and not 1000.0.") \
    X(AMOUNT_TOO_LARGE, amount_too_large, 134, 400, REQUEST, "Amount too large", \
        "Amounts go up to 4000000000000000000 minor units.") \
    X(AMOUNT_NOT_DIGITS, amount_not_digits, 135, 400, REQUEST, "Amount is not a number", \
        "Send an integer, or a string of decimal digits and nothing else.") \
    X(AMOUNT_DECIMAL, amount_decimal, 136, 400, REQUEST, "Amount has decimals", \
        "Send minor units: \"1234\" for 12.34 at scale 2.") \
    X(AMOUNT_NOT_NUMBER, amount_not_number, 137, 400, REQUEST, "Amount has the wrong type", \
        "Send an integer, or a string of decimal digits.") \
    /* what the request names */ \
    X(IDEMPOTENCY_KEY_REUSED, idempotency_key_reused, 200, 422, REQUEST, "Idempotency key used before", \
        "This key belongs to another request; use a new key for a new request.") \
    X(LEDGER_NOT_FOUND, ledger_not_found, 201, 404, REQUEST, "No such ledger", \
        "Create it with POST /ledgers, or correct its name.") \
    X(LEDGER_EXISTS, ledger_exists, 202, 409, REQUEST, "Ledger exists with other settings", \
        "Choose another name, or send the settings it has.") \
    X(ASSET_NOT_FOUND, asset_not_found, 203, 422, REQUEST, "Unknown currency", \
        "Use an ISO 4217 code, or declare the asset with POST /assets.") \
    X(ASSET_EXISTS, asset_exists, 204, 409, REQUEST, "Asset exists with another scale", \
        "A scale never changes; choose another code.") \
    X(ACCOUNT_NOT_FOUND, account_not_found, 205, 404, REQUEST, "No such account", \
        "Open it with POST /accounts, or correct the id.") \
    X(TRANSFER_NOT_FOUND, transfer_not_found, 206, 404, REQUEST, "No such transfer", \
        "Correct the id; ids belong to one ledger.") \
    X(SAME_ACCOUNT, same_account, 207, 422, REQUEST, "Both sides are the same account", \
        "Name two different accounts.") \
    X(CURRENCY_MISMATCH, currency_mismatch, 208, 422, REQUEST, "Account is in another currency", \
        "Both accounts of a posting and its currency must be the same; exchange needs a posting a " \
        "currency.") \
    X(DEBIT_NORMAL_PAIR, debit_normal_pair, 209, 422, REQUEST, "from/to between two debit-normal accounts", \
        "Between asset or expense accounts say debit and credit (POST /transactions).") \
    X(EFFECTIVE_IN_FUTURE, effective_in_future, 210, 422, REQUEST, "effectiveAt lies in the future", \
        "Send a time that has passed, or leave effectiveAt out.") \
    X(NOT_REVERSIBLE, not_reversible, 211, 422, REQUEST, "This record cannot be reversed", \
        "Only posted transfers can be reversed, not reversals, declines or openings.") \
    X(PARTIAL_OF_MANY, partial_of_many, 212, 422, REQUEST, "Partial reversal of several postings", \
        "Leave the amount out to reverse all postings, or post the correction as a transaction.") \
    X(NOTHING_TO_ERASE, nothing_to_erase, 213, 422, REQUEST, "Nothing to erase", \
        "The record has no text, or it has been erased before.") \
    X(BALANCE_DIFFERS, balance_differs, 214, 409, REQUEST, "Resulting balance is not the expected one", \
        "Compare the two balances named in the detail.") \
    X(WORLD_IMMUTABLE, world_immutable, 215, 422, REQUEST, "@world cannot be revised", \
        "The outside has no limits and no status; use an account of your own.") \
    X(NOT_APPLIED, not_applied, 216, 409, REQUEST, "Not applied", \
        "Another element of this atomic request was refused; see its status.") \
    /* the state of the ledger: recorded */ \
    X(EXTERNAL_ID_TAKEN, external_id_taken, 300, 409, STATE, "externalId is taken", \
        "Use the account that has it, or choose another externalId.") \
    X(PRECONDITION_FAILED, precondition_failed, 301, 412, STATE, "The account was revised meanwhile", \
        "Read the account again and send its current ETag as If-Match.") \
    X(ACCOUNT_NOT_EMPTY, account_not_empty, 302, 422, STATE, "Account is not empty", \
        "Bring posted and pending balances to zero before closing.") \
    X(ACCOUNT_CLOSED, account_closed, 303, 422, STATE, "Account is closed", \
        "A closed account neither pays nor receives.") \
    X(ACCOUNT_FROZEN, account_frozen, 304, 422, STATE, "Account is frozen", \
        "A frozen account may receive, not pay; set its status to open first.") \
    X(EXPECTED_VERSION, expected_version, 305, 409, STATE, "Account is at another version", \
        "Read the account again and decide anew.") \
    X(EXPECTED_AVAILABLE, expected_available, 306, 409, STATE, "Less available than expected", \
        "Read the account again and decide anew.") \
    X(REVERSAL_EXCEEDS, reversal_exceeds, 307, 422, STATE, "More than is left to reverse", \
        "Reverse at most what the original has left.") \
    X(INSUFFICIENT_FUNDS, insufficient_funds, 308, 422, STATE, "Insufficient funds", \
        "Add funds and send a new request with a new key.") \
    X(BALANCE_LIMIT, balance_limit, 309, 422, STATE, "Balance would leave the range", \
        "Balances stay within 4000000000000000000 minor units.") \
    /* the service */ \
    X(QUEUE_FULL, queue_full, 400, 503, SERVICE, "Server is at its limit", \
        "Retry after the time in Retry-After with the same idempotency key.") \
    X(STORAGE_UNAVAILABLE, storage_unavailable, 401, 503, SERVICE, "Storage is unavailable", \
        "Nothing is known to be posted; retry with the same idempotency key.") \
    X(SHUTTING_DOWN, shutting_down, 402, 503, SERVICE, "Server is shutting down", \
        "Retry with the same idempotency key.") \
    X(NOT_REACHED, not_reached, 403, 503, SERVICE, "Ledger-Min-Seq not reached in time", \
        "Retry, or read without Ledger-Min-Seq.") \
    X(INTERNAL, internal, 404, 500, SERVICE, "Internal error", \
        "This is a bug or a damaged journal: run 'creditledger verify' and look at the server's log.") \
    X(REVISION_CONTENDED, revision_contended, 405, 503, SERVICE, "Account is being revised by others", \
        "Retry with the same idempotency key.") \
    X(OUTCOME_UNKNOWN, outcome_unknown, 406, 503, SERVICE, "It may or may not have been recorded", \
        "Repeat it with the same idempotency key: it is not done twice, and the answer tells what became " \
        "of it.") \
    X(JOURNAL_BEHIND, journal_behind, 407, 503, SERVICE, "The journal lacks records that it had", \
        "Nothing is written until an operator has looked: 'creditledger serve' names the lost records in " \
        "its log and in /readyz.") \
    X(READ_MODEL_UNAVAILABLE, read_model_unavailable, 408, 503, SERVICE, "The read model cannot be read", \
        "Retry, or add consistency=strong where the journal can answer: postings and strong reads go on.") \
    X(PROJECTION_STOPPED, projection_stopped, 409, 503, SERVICE, "The projection has stopped", \
        "An operator has to look: 'creditledger projections status' says what is missing. Postings go on.") \
    X(ROLE_NOT_HERE, role_not_here, 410, 503, SERVICE, "This process does not serve the API", \
        "Send it to a server with the role 'api'; this one has /healthz, /readyz and /metrics.")

enum refusal {
    REFUSAL_NONE = 0,
#define X(NAME, name, number, status, kind, title, hint) REFUSAL_##NAME = number,
    REFUSAL_TABLE(X)
#undef X
};

enum refusal_kind { REFUSAL_KIND_REQUEST, REFUSAL_KIND_STATE, REFUSAL_KIND_SERVICE };

struct refusal_info {
    enum refusal refusal;
    const char *name;
    int http_status;
    enum refusal_kind kind;
    const char *title;
    const char *hint;
};

/* NULL for a number that is in no row. */
const struct refusal_info *refusal_info(enum refusal refusal);
/* All rows in the table's order; *ret_n gets their number. */
const struct refusal_info *refusal_all(size_t *ret_n);
/* True for STATE: a record binds the decision. */
bool refusal_is_recorded(enum refusal refusal);

#endif
