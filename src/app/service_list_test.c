#include "app/service_fixture.h"
#include "app/tokens.h"

#define USD "{\"currency\":\"USD\"}"

static struct fixture *f;
static char a[37], b[37], target[400], body[600];

#define TARGET(...) (snprintf(target, sizeof target, __VA_ARGS__), target)
#define BODY(...) (snprintf(body, sizeof body, __VA_ARGS__), body)

static int set_up(void **state)
{
    (void)state;
    f = fixture_new(&(struct fixture_options){.readers = 0});
    open_account(f, "{\"currency\":\"USD\",\"externalId\":\"a\"}", a);
    open_account(f, USD, b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_free(f);
    return 0;
}

/* Walks a list page by page; the seqs (or numbers) of all elements go to ret_seen. */
static size_t walk(
    const char *list, const char *query, const char *member, int64_t *ret_seen, size_t *ret_pages)
{
    char cursor[200] = "", path[64];
    size_t n = 0;
    *ret_pages = 0;
    for (;;) {
        TARGET("/%s?limit=3%s%s", list, query, cursor);
        expect(f, 200, "GET", target, NULL);
        const char *last = strrchr(list, '/');
        size_t here = json_array_size(value_at(f, last ? "lines" : list));
        assert_true(here <= 3);
        for (size_t i = 0; i < here; i++) {
            snprintf(path, sizeof path, "%s.%zu.%s", last ? "lines" : list, i, member);
            ret_seen[n++] = number_at(f, path);
        }
        ++*ret_pages;
        if (value_at(f, "cursor") == NULL)
            return n;
        snprintf(cursor, sizeof cursor, "&cursor=%s", text_at(f, "cursor"));
        assert_true(*ret_pages < 50);
    }
}

static void test_lists_are_whole(void **state)
{
    (void)state;
    int64_t seen[100];
    size_t pages;
    for (int i = 0; i < 7; i++)
        transfer(f, a, b, i + 1); /* seq 3 to 9 */
    size_t n = walk("transfers", "", "seq", seen, &pages);
    assert_int_equal(n, 7);
    assert_int_equal(pages, 3);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(seen[i], 9 - (int64_t)i);
    BODY("&account=%s", b);
    assert_int_equal(walk("transfers", body, "seq", seen, &pages), 7);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(seen[i], 9 - (int64_t)i);
    assert_int_equal(walk("transfers", "&account=ext:a&kind=opening", "seq", seen, &pages), 1);
    assert_int_equal(walk("transfers", "&kind=opening", "seq", seen, &pages), 2);
}

static void test_accounts_and_a_filter_that_is_none(void **state)
{
    (void)state;
    refused(f, 404, "account_not_found", "GET", "/transfers?account=ext:none", NULL);
    for (int i = 0; i < 5; i++)
        expect(f, 201, "POST", "/accounts", USD);
    int64_t seen[100];
    size_t pages;
    assert_int_equal(walk("accounts", "", "number", seen, &pages), 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(seen[i], i + 1);
}

/* One record with two entries of the account is one line of its list, whatever page it falls on. */
static void test_record_with_two_entries_of_an_account(void **state)
{
    (void)state;
    int64_t seen[100];
    size_t pages;
    for (int i = 0; i < 4; i++) {
        BODY("{\"postings\":[{\"debit\":\"%s\",\"credit\":\"%s\",\"amount\":5,\"currency\":\"USD\"},"
             "{\"debit\":\"%s\",\"credit\":\"%s\",\"amount\":2,\"currency\":\"USD\"}]}",
            a, b, b, a);
        expect(f, 201, "POST", "/transactions", body);
    }
    BODY("&account=%s", a);
    assert_int_equal(walk("transfers", body, "seq", seen, &pages), 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(seen[i], 6 - i);
}

static void test_filters_and_cursors(void **state)
{
    (void)state;
    char cursor[200];
    for (int i = 0; i < 6; i++) {
        BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1,\"currency\":\"USD\",\"reference\":\"r%d\"}", a, b,
            i % 2);
        expect(f, 201, "POST", "/transfers", body);
    }
    expect(f, 200, "GET", "/transfers?reference=r1&limit=2", NULL);
    assert_int_equal(json_array_size(value_at(f, "transfers")), 2);
    assert_string_equal(text_at(f, "transfers.1.reference"), "r1");
    snprintf(cursor, sizeof cursor, "%s", text_at(f, "cursor"));
    expect(f, 200, "GET", TARGET("/transfers?reference=r1&cursor=%s", cursor), NULL);
    assert_int_equal(json_array_size(value_at(f, "transfers")), 1);
    refused(f, 400, "invalid_cursor", "GET", TARGET("/transfers?reference=r0&cursor=%s", cursor), NULL);
    refused(f, 400, "invalid_cursor", "GET", TARGET("/transfers?cursor=%s", cursor), NULL);
    refused(f, 400, "invalid_cursor", "GET", TARGET("/accounts?cursor=%s", cursor), NULL);
    refused(f, 400, "invalid_cursor", "GET", TARGET("/accounts/%s/statements?cursor=%s", a, cursor), NULL);
    expect(f, 201, "POST", "/ledgers", "{\"name\":\"shop\"}");
    refused(f, 400, "invalid_cursor", "GET", TARGET("/ledgers/shop/transfers?reference=r1&cursor=%s", cursor),
        NULL);
    expect(f, 200, "GET", TARGET("/accounts/%s/statements?limit=2", a), NULL);
    snprintf(cursor, sizeof cursor, "%s", text_at(f, "cursor"));
    refused(f, 400, "invalid_cursor", "GET", TARGET("/accounts/%s/statements?limit=2&cursor=%s", b, cursor),
        NULL);
    refused(f, 400, "invalid_cursor", "GET",
        TARGET("/accounts/%s/statements?axis=effective&cursor=%s", a, cursor), NULL);
}

static void test_period_of_a_list(void **state)
{
    (void)state;
    char from[40], to[40];
    for (int i = 0; i < 5; i++)
        transfer(f, a, b, 1); /* seq 3 to 7 */
    expect(f, 200, "GET", "/transfers", NULL);
    snprintf(to, sizeof to, "%s", text_at(f, "transfers.0.recordedAt"));
    snprintf(from, sizeof from, "%s", text_at(f, "transfers.2.recordedAt"));
    expect(f, 200, "GET", TARGET("/transfers?from=%s&to=%s", from, to), NULL);
    assert_int_equal(json_array_size(value_at(f, "transfers")), 2);
    assert_int_equal(number_at(f, "transfers.0.seq"), 6);
    assert_int_equal(number_at(f, "transfers.1.seq"), 5);
    expect(f, 200, "GET", TARGET("/transfers?account=ext:a&from=%s&to=%s", from, to), NULL);
    assert_int_equal(json_array_size(value_at(f, "transfers")), 2);
    expect(f, 200, "GET", "/transfers?to=1970-01-01T00:00:00Z", NULL);
    assert_int_equal(json_array_size(value_at(f, "transfers")), 0);
}

/* Three transfers backdated across each other. */
static void test_two_axes(void **state)
{
    (void)state;
    static const char *const days[] = {"2025-03-03", "2025-01-01", "2025-02-02"};
    for (int i = 0; i < 3; i++) {
        BODY("{\"from\":\"%s\",\"to\":\"%s\",\"amount\":%d,\"currency\":\"USD\",\"effectiveAt\":\"%sT00:00:"
             "00Z\"}",
            a, b, 1 << i, days[i]);
        expect(f, 201, "POST", "/transfers", body);
    }
    char known[40];
    expect(f, 200, "GET", "/transfers", NULL);
    snprintf(known, sizeof known, "%s", text_at(f, "transfers.1.recordedAt"));
    expect(f, 200, "GET", TARGET("/accounts/%s/balance?at=2025-02-15T00:00:00Z", b), NULL);
    assert_int_equal(number_at(f, "balance"), 6);
    assert_string_equal(text_at(f, "asOf"), "2025-02-15T00:00:00.000000Z");
    expect(f, 200, "GET", TARGET("/accounts/%s/balance?knownAt=%s", b, known), NULL);
    assert_int_equal(number_at(f, "balance"), 3);
    expect(f, 200, "GET", TARGET("/accounts/%s/balance?at=2025-02-15T00:00:00Z&knownAt=%s", b, known), NULL);
    assert_int_equal(number_at(f, "balance"), 2);
    expect(f, 200, "GET", TARGET("/accounts/%s/statements?axis=effective", b), NULL);
    assert_int_equal(number_at(f, "lines.0.amount"), 2);
    assert_int_equal(number_at(f, "lines.1.balance"), 6);
    assert_int_equal(number_at(f, "lines.2.balance"), 7);
    int64_t seen[10];
    size_t pages;
    BODY("accounts/%s/statements", b);
    assert_int_equal(walk(body, "&axis=effective", "balance", seen, &pages), 3);
    expect(f, 200, "GET", TARGET("/accounts/%s/statements?axis=effective&limit=1", b), NULL);
    for (int i = 0; i < 2; i++) {
        char cursor[200];
        assert_int_equal(number_at(f, "opening"), 0);
        assert_int_equal(number_at(f, "closing"), 7);
        snprintf(cursor, sizeof cursor, "%s", text_at(f, "cursor"));
        transfer(f, a, b, 100); /* what comes later is on no page of this statement */
        expect(f, 200, "GET", TARGET("/accounts/%s/statements?axis=effective&limit=1&cursor=%s", b, cursor),
            NULL);
    }
    assert_int_equal(number_at(f, "lines.0.balance"), 7);
    assert_null(value_at(f, "cursor"));
}

static void test_events(void **state)
{
    (void)state;
    transfer(f, a, b, 5);
    expect(f, 200, "GET", "/events", NULL);
    assert_int_equal(number_at(f, "last"), 3);
    assert_int_equal(json_array_size(value_at(f, "events")), 7);
    assert_string_equal(text_at(f, "events.0.type"), "ledger.account.opened.v1");
    assert_string_equal(text_at(f, "events.4.id"), "main:3");
    assert_string_equal(text_at(f, "events.6.id"), "main:3:1");
    expect(f, 200, "GET", "/events?after=2&limit=1", NULL);
    assert_int_equal(json_array_size(value_at(f, "events")), 3);
    expect(f, 200, "GET", "/events?after=3", NULL);
    assert_int_equal(json_array_size(value_at(f, "events")), 0);
    assert_int_equal(number_at(f, "last"), 3);
    expect(f, 200, "GET", "/events?after=18446744073709551615&wait=1", NULL);
}

/* --- waiting
 * ------------------------------------------------------------------------------------------------- */

static int n_ready;

static void count_ready(struct service_call *c)
{
    (void)c;
    n_ready++;
}

static struct api_header min_seq;
static struct api_request wait_requests[2];
static struct service_call waiting[2];

/* A read that wants seq 3 and a poll for events after 2, while the ledger is at 2. */
static void begin_waiting(void)
{
    n_ready = 0;
    min_seq = (struct api_header){STR("Ledger-Min-Seq"), STR("3")};
    wait_requests[0] = (struct api_request){
        .method = API_GET, .path = STR("/accounts"), .headers = &min_seq, .n_headers = 1};
    wait_requests[1] =
        (struct api_request){.method = API_GET, .path = STR("/events"), .query = STR("after=2&wait=10")};
    for (int i = 0; i < 2; i++) {
        waiting[i] = (struct service_call){.request = &wait_requests[i], .ready = count_ready};
        service_begin(f->service, &waiting[i]);
    }
    service_tick(f->service);
    assert_int_equal(n_ready, 0);
}

static void end_waiting(int read_status, int events_status)
{
    assert_int_equal(n_ready, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(service_finish(f->service, &waiting[i]));
        assert_int_equal(waiting[i].response.status, i == 0 ? read_status : events_status);
        api_response_fini(&waiting[i].response);
    }
}

static void test_waiting_until_it_comes(void **state)
{
    (void)state;
    begin_waiting();
    transfer(f, a, b, 5);
    service_tick(f->service);
    end_waiting(200, 200);
}

static void test_waiting_in_vain(void **state)
{
    (void)state;
    begin_waiting();
    f->clock += 11000000;
    service_tick(f->service);
    assert_int_equal(n_ready, 1); /* the poll: no events is an answer too */
    f->clock += 20000000;
    service_tick(f->service);
    end_waiting(503, 200);
}

static void test_waiting_when_the_server_stops(void **state)
{
    (void)state;
    begin_waiting();
    service_stop(f->service);
    end_waiting(503, 200);
}

static void test_waiting_of_a_client_that_goes(void **state)
{
    (void)state;
    begin_waiting();
    service_cancel(f->service, &waiting[0]);
    service_cancel(f->service, &waiting[1]);
    assert_int_equal(n_ready, 2);
    for (int i = 0; i < 2; i++) {
        assert_true(service_finish(f->service, &waiting[i]));
        api_response_fini(&waiting[i].response);
    }
}

/* --- access
 * -------------------------------------------------------------------------------------------------- */

static void add_token(struct strbuf *file, const char *name, const char *scopes)
{
    uint8_t sha256[32];
    token_digest(str_of(name), sha256);
    strbuf_printf(file, "%s ", name);
    strbuf_hex(file, sha256, 32);
    strbuf_printf(file, " %s\n", scopes);
}

static void test_access(void **state)
{
    (void)state;
    struct tokens *tokens;
    struct err err;
    struct strbuf file;
    strbuf_init(&file);
    add_token(&file, "reader", "read");
    add_token(&file, "till", "post");
    add_token(&file, "boss", "admin");
    assert_int_equal(tokens_parse(strbuf_view(&file), &tokens, &err), 0);
    strbuf_fini(&file);
    fixture_free(f);
    f = fixture_new(&(struct fixture_options){.tokens = tokens});
    refused(f, 401, "unauthenticated", "POST", "/accounts", USD);
    assert_non_null(header_of(f, "WWW-Authenticate"));
    refused(f, 401, "unauthenticated", "GET", "/nothing", NULL);
    expect(f, 200, "GET", "/healthz", NULL);
    expect(f, 200, "GET", "/readyz", NULL);
    expect(f, 200, "GET", "/openapi.yaml", NULL);
    refused(f, 401, "unauthenticated", "GET", "/metrics", NULL);
    f->token = "Bearer nobody";
    refused(f, 401, "unauthenticated", "GET", "/accounts", NULL);
    f->token = "Bearer reader";
    expect(f, 200, "GET", "/accounts", NULL);
    expect(f, 200, "GET", "/metrics", NULL);
    refused(f, 403, "scope_missing", "POST", "/accounts", USD);
    assert_non_null(strstr(text_at(f, "detail"), "post"));
    refused(f, 404, "route_not_found", "GET", "/nothing", NULL);
    f->token = "Bearer till";
    expect(f, 201, "POST", "/accounts", USD);
    refused(f, 403, "scope_missing", "GET", "/accounts", NULL);
    refused(f, 403, "scope_missing", "POST", "/ledgers", "{\"name\":\"x\"}");
    refused(f, 403, "scope_missing", "PATCH", "/accounts/ext:a", "{\"status\":\"frozen\"}");
    f->token = "Bearer boss";
    expect(f, 201, "POST", "/ledgers", "{\"name\":\"x\"}");
    expect(f, 200, "GET", "/transfers?kind=opening", NULL);
    assert_string_equal(text_at(f, "transfers.0.actor"), "till");
    fixture_free(f);
    tokens_free(tokens);
    f = fixture_new(&(struct fixture_options){.readers = 0});
}

/* --- a reader that is quicker than the engine
 * ----------------------------------------------------------- */

static struct journal_ops quick_ops;
static int (*slow_append)(struct journal *, const struct journal_batch *, struct err *);
static size_t quick_reads;
static bool disk_full;

/* What is committed can be read from that moment on, before the engine has heard that it is committed. */
static int append_and_read(struct journal *j, const struct journal_batch *batch, struct err *err)
{
    static const char *const paths[] = {
        "/accounts", "/accounts/ext:quick", "/accounts/ext:quick/balance", "/transfers", "/events"};
    if (disk_full)
        return err_set(err, ERR_FULL, "made to fail");
    int r = slow_append(j, batch, err);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct api_request request = {
            .method = API_GET, .method_name = STR("GET"), .path = str_of(paths[i]), .query = STR("")};
        if (strcmp(paths[i], "/transfers") == 0)
            request.query = STR("kind=opening");
        struct api_response response;
        service_sync(f->service, &request, &response);
        CHECK_INT(paths[i], response.status, 200);
        api_response_fini(&response);
        quick_reads++;
    }
    return r;
}

/* However large the records: a page ends where it is large enough, and the next goes on there. */
static void test_pages_have_an_end_in_bytes(void **state)
{
    (void)state;
    enum { RECORDS = 300, FILLING = 16000 };
    char *large = malloc(FILLING + 400);
    for (int i = 0; i < RECORDS; i++) {
        sprintf(large,
            "{\"from\":\"%s\",\"to\":\"%s\",\"amount\":1,\"currency\":\"USD\",\"metadata\":{\"x\":\"%0*d\"}}",
            a, b, FILLING, i);
        expect(f, 201, "POST", "/transfers", large);
    }
    free(large);
    size_t seen = 0, pages = 0;
    char cursor[200] = "";
    do {
        expect(f, 200, "GET", TARGET("/transfers?limit=1000%s", cursor), NULL);
        assert_true(body_of(f).len < LIMIT_PAGE_BYTES + 2 * FILLING);
        seen += json_array_size(value_at(f, "transfers"));
        pages++;
        snprintf(cursor, sizeof cursor, "&cursor=%s", value_at(f, "cursor") ? text_at(f, "cursor") : "");
    } while (value_at(f, "cursor") != NULL);
    assert_int_equal(seen, RECORDS);
    assert_in_range(pages, 2, 3);
    int64_t last = 0;
    for (seen = 0; last < RECORDS + 2; pages++) {
        expect(f, 200, "GET", TARGET("/events?limit=1000&after=%lld", (long long)last), NULL);
        assert_true(body_of(f).len < LIMIT_PAGE_BYTES + 4 * FILLING);
        assert_true(number_at(f, "last") > last);
        last = number_at(f, "last");
        seen += json_array_size(value_at(f, "events"));
    }
    assert_int_equal(seen, 2 * 2 + 3 * RECORDS);
}

static void test_read_between_commit_and_answer(void **state)
{
    (void)state;
    quick_ops = *f->journal->ops;
    slow_append = quick_ops.append;
    quick_ops.append = append_and_read;
    f->journal->ops = &quick_ops;
    quick_reads = 0;
    /* A currency that was not committed leaves its number to the next. */
    disk_full = true;
    expect(f, 503, "POST", "/accounts", "{\"currency\":\"DKK\",\"externalId\":\"quick\"}");
    disk_full = false;
    expect(f, 200, "GET", "/assets", NULL);
    assert_int_equal(json_array_size(value_at(f, "assets")), 1);
    expect(f, 201, "POST", "/accounts", "{\"currency\":\"NOK\",\"externalId\":\"quick\"}");
    assert_string_equal(text_at(f, "currency"), "NOK");
    assert_int_equal(quick_reads, 5);
    expect(f, 200, "GET", "/accounts/ext:quick/balance", NULL);
    assert_string_equal(text_at(f, "currency"), "NOK");
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_lists_are_whole),
        WITH_FIXTURE(test_accounts_and_a_filter_that_is_none),
        WITH_FIXTURE(test_record_with_two_entries_of_an_account),
        WITH_FIXTURE(test_filters_and_cursors),
        WITH_FIXTURE(test_period_of_a_list),
        WITH_FIXTURE(test_two_axes),
        WITH_FIXTURE(test_events),
        WITH_FIXTURE(test_waiting_until_it_comes),
        WITH_FIXTURE(test_waiting_in_vain),
        WITH_FIXTURE(test_waiting_when_the_server_stops),
        WITH_FIXTURE(test_waiting_of_a_client_that_goes),
        WITH_FIXTURE(test_access),
        WITH_FIXTURE(test_pages_have_an_end_in_bytes),
        WITH_FIXTURE(test_read_between_commit_and_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
