#include "app/bench_answer.h"

#include <string.h>
#include <strings.h>

struct framing {
    bool has_length, chunked;
    uint64_t length;
};

static bool take_value(struct str line, const char *name, struct str *ret_value)
{
    size_t len = strlen(name);
    if (line.len <= len || line.data[len] != ':' || strncasecmp(line.data, name, len) != 0)
        return false;
    *ret_value = str_trim((struct str){line.data + len + 1, line.len - len - 1});
    return true;
}

static bool parse_head(struct str head, struct framing *framing, struct bench_answer *a)
{
    struct str line;
    uint64_t status;
    if (!str_split(&head, '\n', &line) || line.len < 12 || memcmp(line.data, "HTTP/1.", 7) != 0 ||
        !str_to_uint64((struct str){line.data + 9, 3}, &status))
        return false;
    a->status = (int)status;
    while (str_split(&head, '\n', &line)) {
        struct str value;
        char first = line.len > 0 ? (char)(line.data[0] | 0x20) : ' ';
        if (first != 'c' && first != 't')
            continue;
        if (take_value(line, "content-length", &value)) {
            if (!str_to_uint64(value, &framing->length))
                return false;
            framing->has_length = true;
        } else if (take_value(line, "transfer-encoding", &value)) {
            framing->chunked = true;
        } else if (take_value(line, "connection", &value)) {
            a->close = value.len == 5 && strncasecmp(value.data, "close", 5) == 0;
        }
    }
    return true;
}

static bool hex(struct str s, size_t *ret_value)
{
    size_t value = 0, i = 0;
    for (; i < s.len; i++) {
        int c = s.data[i] | 0x20;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            break;
        if (i == 8)
            return false;
        value = value << 4 | (size_t)digit;
    }
    *ret_value = value;
    return i > 0;
}

/* Begins anew with every call: answers in chunks are small here. */
static enum bench_parse parse_chunks(struct str bytes, struct strbuf *scratch, size_t *ret_consumed)
{
    size_t at = 0;
    strbuf_clear(scratch);
    for (;;) {
        const char *end = at < bytes.len ? memmem(bytes.data + at, bytes.len - at, "\r\n", 2) : NULL;
        if (end == NULL)
            return BENCH_MORE;
        size_t line = (size_t)(end - bytes.data) - at, size;
        if (!hex((struct str){bytes.data + at, line}, &size))
            return BENCH_BAD;
        at += line + 2;
        if (bytes.len < at + size + 2)
            return BENCH_MORE;
        if (bytes.data[at + size] != '\r')
            return BENCH_BAD; /* trailers are not sent by the server under test */
        strbuf_add(scratch, bytes.data + at, size);
        at += size + 2;
        *ret_consumed = at;
        if (size == 0)
            return BENCH_WHOLE;
    }
}

enum bench_parse bench_answer_parse(struct str bytes, struct strbuf *scratch, struct bench_answer *ret_answer)
{
    *ret_answer = (struct bench_answer){0};
    size_t before = 0;
    for (;;) {
        struct bench_answer a = {0};
        struct framing framing = {0};
        struct str rest = {bytes.data + before, bytes.len - before};
        const char *end = rest.len > 0 ? memmem(rest.data, rest.len, "\r\n\r\n", 4) : NULL;
        if (end == NULL)
            return BENCH_MORE;
        size_t head = (size_t)(end - rest.data) + 4;
        if (!parse_head((struct str){rest.data, head}, &framing, &a))
            return BENCH_BAD;
        before += head;
        if (a.status < 200)
            continue;
        rest = (struct str){rest.data + head, rest.len - head};
        if (framing.chunked) {
            size_t used = 0;
            enum bench_parse parse = parse_chunks(rest, scratch, &used);
            if (parse != BENCH_WHOLE)
                return parse;
            a.body = strbuf_view(scratch);
            a.consumed = before + used;
        } else if (framing.has_length) {
            if (rest.len < framing.length)
                return BENCH_MORE;
            a.body = (struct str){rest.data, (size_t)framing.length};
            a.consumed = before + (size_t)framing.length;
        } else {
            return BENCH_BAD;
        }
        *ret_answer = a;
        return BENCH_WHOLE;
    }
}
