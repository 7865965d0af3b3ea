#include "http/toy_checks.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* Sends the bytes on a connection of their own and expects one answer. */
void expect_reply(const struct toy *toy, const char *bytes, int status, const char *text)
{
    struct client c;
    struct reply r;
    client_open(&c, toy);
    client_send(&c, str_of(bytes));
    if (!client_reply(&c, strncmp(bytes, "HEAD", 4) == 0, &r))
        fail_msg("no answer to: %s", bytes);
    if (r.status != status || !reply_has(&r, text))
        fail_msg("%d instead of %d %s to: %s\n%s", r.status, status, text, bytes, r.head.data);
    reply_fini(&r);
    client_close(&c);
}

void expect_next(struct client *c, int status, const char *body)
{
    struct reply r;
    if (!client_reply(c, false, &r))
        fail_msg("no answer, %s expected", body);
    assert_int_equal(r.status, status);
    assert_int_equal(r.body.len, strlen(body));
    assert_memory_equal(r.body.data, body, r.body.len);
    reply_fini(&r);
}

void wait_connections(const struct toy *toy, size_t n)
{
    for (int i = 0; i < WAIT_MS && http_connections(toy->server) != n; i++)
        pause_ms(1);
    assert_int_equal(http_connections(toy->server), n);
}

void wait_count(const atomic_size_t *counter, size_t n)
{
    for (int i = 0; i < WAIT_MS && atomic_load(counter) < n; i++)
        pause_ms(1);
    assert_true(atomic_load(counter) >= n);
}

int start(void **state)
{
    struct toy *toy = malloc(sizeof *toy);
    toy_start(toy, NULL);
    *state = toy;
    return 0;
}

int stop(void **state)
{
    toy_stop(*state, 0);
    free(*state);
    return 0;
}
