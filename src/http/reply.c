/*
 * Answers: whole ones, whose body's memory passes to the library without a copy, and streams.
 */
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"

#define STREAM_BLOCK 32768

static void add_headers(struct http_exchange *x, const struct api_response *head)
{
    if (head->content_type != NULL)
        (void)MHD_add_response_header(x->response, MHD_HTTP_HEADER_CONTENT_TYPE, head->content_type);
    /* The library takes no empty values and none with line ends: such a header is left out. */
    for (size_t i = 0; i < head->n_headers; i++)
        (void)MHD_add_response_header(x->response, head->headers[i].name, head->headers[i].value);
    if (x->server->stopping)
        (void)MHD_add_response_header(x->response, MHD_HTTP_HEADER_CONNECTION, "close");
}

static struct MHD_Response *empty_response(void)
{
    static char nothing[1];
    return MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
}

void reply_prepare(struct http_exchange *x, struct api_response *response)
{
    INVARIANT(x->state == EXCHANGE_HANDLED && x->response == NULL);
    INVARIANT_F(response->status >= 200 && response->status <= 599, "status %d", response->status);
    if (response->body.len > 0)
        x->response =
            MHD_create_response_from_buffer_with_free_callback(response->body.len, response->body.data, free);
    else
        x->response = empty_response();
    INVARIANT(x->response != NULL);
    if (response->body.len > 0)
        strbuf_init(&response->body); /* the library frees what it was */
    x->status = (unsigned)response->status;
    x->state = EXCHANGE_ANSWERED;
    add_headers(x, response);
}

void http_reply(struct http_exchange *x, struct api_response *response)
{
    INVARIANT(x->with_app && !x->streaming);
    /* Without a client, or when the answer has been given because time was up, it is dropped. */
    if (x->conn != NULL && !x->aborted && !x->late) {
        reply_prepare(x, response);
        exchange_resume(x);
    }
    strbuf_fini(&response->body);
    exchange_leave_app(x);
}

static ssize_t stream_read(void *cls, uint64_t position, char *buffer, size_t max)
{
    (void)position;
    struct http_exchange *x = cls;
    if (x->aborted)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t left = x->pending.len - x->sent;
    size_t n = left < max ? left : max;
    if (n > 0) {
        memcpy(buffer, x->pending.data + x->sent, n);
        x->sent += n;
        conn_wait(x->conn, WAIT_SEND);
    }
    if (n > 0 && n == left) {
        strbuf_clear(&x->pending);
        x->sent = 0;
        x->server->drained |= !x->ended;
    }
    if (n > 0)
        return (ssize_t)n;
    if (x->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    exchange_suspend(x);
    return 0;
}

void http_stream_begin(struct http_exchange *x, const struct api_response *head)
{
    INVARIANT(x->with_app && !x->streaming);
    x->streaming = true;
    if (!http_stream_alive(x))
        return;
    /* The library ends a chunked body even where HEAD has none: one without chunks cannot be ended twice. */
    x->response = x->head_only ? empty_response()
                               : MHD_create_response_from_callback(
                                     MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, x, NULL);
    INVARIANT(x->response != NULL);
    x->status = (unsigned)head->status;
    x->state = EXCHANGE_ANSWERED;
    add_headers(x, head);
    if (head->body.len > 0)
        strbuf_str(&x->pending, strbuf_view(&head->body));
    exchange_resume(x);
}

/* What has been sent is shifted out when it is the larger part, so that shifting costs less than filling did.
 */
static void make_room(struct http_exchange *x)
{
    if (x->sent < x->pending.len - x->sent)
        return;
    memmove(x->pending.data, x->pending.data + x->sent, x->pending.len - x->sent);
    x->pending.len -= x->sent;
    x->sent = 0;
}

void http_stream_write(struct http_exchange *x, struct str piece)
{
    INVARIANT(x->with_app && x->streaming && !x->ended);
    if (!http_stream_alive(x) || piece.len == 0)
        return;
    if (x->sent > 0)
        make_room(x);
    strbuf_str(&x->pending, piece);
    exchange_resume(x);
}

size_t http_stream_buffered(const struct http_exchange *x)
{
    return x->pending.len - x->sent;
}

bool http_stream_alive(const struct http_exchange *x)
{
    return x->conn != NULL && !x->aborted && !x->late;
}

void http_stream_end(struct http_exchange *x)
{
    INVARIANT(x->with_app && x->streaming && !x->ended);
    x->ended = true;
    exchange_resume(x);
    exchange_leave_app(x);
}

void http_exchange_set(struct http_exchange *x, void *owner)
{
    x->owner = owner;
}

void *http_exchange_get(const struct http_exchange *x)
{
    return x->owner;
}
