/*
 * The few pieces of JSON that events are written with. Pure.
 */
#ifndef CREDITLEDGER_EVENTS_EVENT_JSON_H
#define CREDITLEDGER_EVENTS_EVENT_JSON_H

#include "base/str.h"
#include "base/uuid.h"

/* Each member writes ',' (unless it is the object's first), the name and the value; names need no escaping.
 */
void event_json_name(struct strbuf *b, const char *name);
void event_json_string(struct strbuf *b, struct str s); /* a value; STR_NONE: null */
void event_json_text(struct strbuf *b, const char *name, struct str value);
void event_json_int(struct strbuf *b, const char *name, int64_t value);
void event_json_uint(struct strbuf *b, const char *name, uint64_t value);
void event_json_uuid(struct strbuf *b, const char *name, struct uuid id);
void event_json_instant(struct strbuf *b, const char *name, int64_t instant);

/*
 * The raw value of a member of a well-formed JSON object without blanks (a record's text body); STR_NONE if
 * it has no such member, or is no such object.
 */
struct str event_json_member(struct str object, const char *name);

#endif
