/*
 * Reading one HTTP/1.1 answer from the front of a buffer that may hold less than one or several. Pure.
 */
#ifndef CREDITLEDGER_APP_BENCH_ANSWER_H
#define CREDITLEDGER_APP_BENCH_ANSWER_H

#include "base/str.h"

struct bench_answer {
    int status;
    struct str body; /* borrowed from the bytes, or from `scratch` if it came in chunks */
    bool close;      /* the server closes the connection after it */
    size_t consumed;
};

enum bench_parse { BENCH_MORE, BENCH_WHOLE, BENCH_BAD };

/* Answers without Content-Length or chunks are BENCH_BAD: the server under test sends none. 1xx are skipped.
 */
enum bench_parse bench_answer_parse(
    struct str bytes, struct strbuf *scratch, struct bench_answer *ret_answer);

#endif
