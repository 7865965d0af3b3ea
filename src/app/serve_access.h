/*
 * What is said about each request: latency and status as metrics; a log line at debug level, and a warning
 * for what failed on the server's side or was slow. Warnings are limited in number a second, because a full
 * disk fails every request. One thread.
 */
#ifndef CREDITLEDGER_APP_SERVE_ACCESS_H
#define CREDITLEDGER_APP_SERVE_ACCESS_H

#include "api/message.h"

struct access_log {
    int64_t second;              /* the warnings of which ... */
    unsigned warned;             /* ... are these, and ... */
    unsigned long long withheld; /* ... these were not written */
};

struct access_entry {
    const struct api_request *request;
    const struct api_response *response; /* NULL: none yet; names the trace if it began here */
    int status;
    int64_t took_us;
    bool cut; /* the client went away amid a stream */
};

void access_note(struct access_log *log, const struct access_entry *entry);
/* Appends the path as logs may show it: what an `ext:` segment names may be a person. */
void access_path(struct strbuf *b, struct str path);

#endif
