/*
 * Reading JSON bodies with jansson: UTF-8, depth, duplicate keys and number range are checked, each with its
 * own refusal and the position of the fault. Integers are 64-bit; nothing is rounded. Pure.
 */
#ifndef CREDITLEDGER_API_JSON_IN_H
#define CREDITLEDGER_API_JSON_IN_H

#include <jansson.h>

#include "api/fault.h"
#include "api/message.h"

enum body_format { BODY_JSON, BODY_NDJSON };

/* Content-Type is application/json, or application/x-ndjson where `bulk`; charset, if any, is utf-8. */
MUST_CHECK bool json_content_type(
    const struct api_request *request, bool bulk, enum body_format *ret_format, struct fault *fault);
/* One JSON text, an object or an array; *ret_root is the caller's to json_decref(). */
MUST_CHECK bool json_read(struct str body, json_t **ret_root, struct fault *fault);
/*
 * Appends a value in canonical form: keys sorted by bytes, no blanks, reals by the fewest digits that read
 * back as the same double. Equal values have equal bytes.
 */
void json_canonical(const json_t *value, struct strbuf *b);

#endif
