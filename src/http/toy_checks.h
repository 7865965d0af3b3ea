/*
 * Checks that the tests of this room share, on top of toy_server.h. They fail the running cmocka test.
 */
#ifndef CREDITLEDGER_HTTP_TOY_CHECKS_H
#define CREDITLEDGER_HTTP_TOY_CHECKS_H

#include "base/testing.h"
#include "http/toy_server.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define BODY_MAX ((size_t)TOY_BODY_LIMIT)
#define WAIT_MS 3000 /* for things that must happen at once: long enough for a crowded machine */

void pause_ms(int ms);
/* Sends the bytes on a connection of their own and expects one answer. */
void expect_reply(const struct toy *toy, const char *bytes, int status, const char *text);
void expect_next(struct client *c, int status, const char *body);
void wait_connections(const struct toy *toy, size_t n);
void wait_count(const atomic_size_t *counter, size_t n);
int start(void **state);
int stop(void **state);

/* A test on a server of its own with the defaults, which is *state. */
#define ON_SERVER(test) cmocka_unit_test_setup_teardown(test, start, stop)

#endif
