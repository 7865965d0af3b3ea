#include "base/testing.h"

#include "telemetry/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct metrics *m;

static int setup(void **state)
{
    (void)state;
    m = metrics_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    metrics_free(m);
    return 0;
}

/* The rendered text, to be freed. */
static char *render(void)
{
    struct strbuf b;
    strbuf_init(&b);
    metrics_render(m, &b);
    strbuf_char(&b, '\0');
    return b.data;
}

static void expect_line(const char *line)
{
    char *text = render(), wanted[256];
    snprintf(wanted, sizeof wanted, "\n%s\n", line);
    bool found = strstr(text, wanted) != NULL;
    if (!found)
        print_message("%s\n", text);
    free(text);
    if (!found)
        fail_msg("no line: %s", line);
}

static void test_counters_and_gauges(void **state)
{
    (void)state;
    metrics_count(m, METRIC_RECORDS, 3);
    metrics_count(m, METRIC_RECORDS, 4);
    metrics_set(m, METRIC_CONNECTIONS, 7);
    metrics_add(m, METRIC_CONNECTIONS, -9);
    expect_line("creditledger_records_total 7");
    expect_line("creditledger_postings_total 0");
    expect_line("creditledger_http_connections -2");
}

static void test_histogram_buckets_are_cumulative(void **state)
{
    (void)state;
    metrics_observe(m, METRIC_REQUEST_WRITE, 100);      /* on the bound: counts as within it */
    metrics_observe(m, METRIC_REQUEST_WRITE, 101);      /* just over */
    metrics_observe(m, METRIC_REQUEST_WRITE, 20000000); /* over every bound */
    metrics_observe(m, METRIC_REQUEST_READ, 1);
    expect_line("creditledger_http_request_seconds_bucket{class=\"write\",le=\"0.000100\"} 1");
    expect_line("creditledger_http_request_seconds_bucket{class=\"write\",le=\"0.000250\"} 2");
    expect_line("creditledger_http_request_seconds_bucket{class=\"write\",le=\"10.000000\"} 2");
    expect_line("creditledger_http_request_seconds_bucket{class=\"write\",le=\"+Inf\"} 3");
    expect_line("creditledger_http_request_seconds_sum{class=\"write\"} 20.000201");
    expect_line("creditledger_http_request_seconds_count{class=\"write\"} 3");
    expect_line("creditledger_http_request_seconds_count{class=\"read\"} 1");
}

static void test_sizes_are_plain_numbers(void **state)
{
    (void)state;
    metrics_observe(m, METRIC_BATCH, 5);
    metrics_observe(m, METRIC_BATCH, 10000);
    expect_line("creditledger_batch_commands_bucket{le=\"4\"} 0");
    expect_line("creditledger_batch_commands_bucket{le=\"8\"} 1");
    expect_line("creditledger_batch_commands_bucket{le=\"+Inf\"} 2");
    expect_line("creditledger_batch_commands_sum 10005");
}

static void test_labelled(void **state)
{
    (void)state;
    metrics_declined(m, 308, "insufficient_funds");
    metrics_declined(m, 308, "insufficient_funds");
    metrics_response(m, 201);
    metrics_response(m, 60000); /* no status: ignored */
    expect_line("creditledger_declines_total{code=\"insufficient_funds\"} 2");
    expect_line("creditledger_http_responses_total{status=\"201\"} 1");
}

static void test_volume_outgrows_64_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        metrics_volume(m, 2, "WEIRD", INT64_C(4000000000000000000));
    metrics_volume(m, 2, "WEIRD", 5);
    metrics_volume(m, 3, "USD", -5); /* nothing moves backwards */
    expect_line("creditledger_volume_minor_units_total{asset=\"WEIRD\"} 40000000000000000005");
    char *text = render();
    assert_null(strstr(text, "USD"));
    free(text);
}

static void expect_no(const char *part)
{
    char *text = render();
    bool found = strstr(text, part) != NULL;
    free(text);
    if (found)
        fail_msg("shown: %s", part);
}

static void test_parts_are_shown_by_who_has_them(void **state)
{
    (void)state;
    const char *hidden[] = {
        "_relay_", "_project", "_spans_", "_parked_", "_outbox_", "_published_", "_journal_seq"};
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        expect_no(hidden[i]);
    assert_int_equal(metrics_gauge(m, METRIC_PARKED_MESSAGES), 0);

    metrics_set(m, METRIC_RELAY_ACTIVE, 0); /* a standby */
    expect_line("creditledger_relay_active 0");
    expect_line("creditledger_relay_events_total 0");
    expect_line("creditledger_relay_publish_seconds_count 0");
    expect_no("_outbox_age");
    expect_no("_project");
    metrics_observe(m, METRIC_PROJECTION_APPLY, 1);
    metrics_add(m, METRIC_PARKED_MESSAGES, 2);
    expect_line("creditledger_projected_facts_total 0");
    expect_line("creditledger_projection_apply_seconds_count 1");
    expect_line("creditledger_parked_messages 2");
    expect_no("_lag_");
    metrics_count(m, METRIC_SPANS_SENT, 0);
    expect_line("creditledger_spans_dropped_total 0");
    metrics_set(m, METRIC_PARKED_MESSAGES, METRIC_UNKNOWN);
    expect_no("_parked_");
}

static double age_shown(const char *name)
{
    char *text = render(), wanted[128];
    snprintf(wanted, sizeof wanted, "\n%s ", name);
    const char *at = strstr(text, wanted);
    double seconds = at != NULL ? strtod(at + strlen(wanted), NULL) : -1;
    free(text);
    return seconds;
}

static void test_ages_grow_by_themselves(void **state)
{
    (void)state;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t us = (int64_t)now.tv_sec * 1000000;
    metrics_oldest(m, METRIC_OUTBOX_OLDEST, 0);
    expect_line("creditledger_outbox_age_seconds 0.000000");
    metrics_oldest(m, METRIC_OUTBOX_OLDEST, us - 90 * INT64_C(1000000));
    double first = age_shown("creditledger_outbox_age_seconds");
    assert_true(first >= 90 && first < 150);
    usleep(2000);
    assert_true(age_shown("creditledger_outbox_age_seconds") >= first + 0.002);
    metrics_oldest(m, METRIC_OUTBOX_OLDEST, us + 3600 * INT64_C(1000000)); /* a clock that is ahead */
    expect_line("creditledger_outbox_age_seconds 0.000000");
    metrics_oldest(m, METRIC_OUTBOX_OLDEST, METRIC_UNKNOWN);
    expect_no("_outbox_");
    expect_no("projection_lag_seconds");
}

static void test_by_ledger(void **state)
{
    (void)state;
    metrics_ledger_seq(m, METRIC_LEDGER_JOURNAL, STR("main"), 7);
    metrics_ledger_seq(m, METRIC_LEDGER_JOURNAL, STR("main"), 9);
    metrics_ledger_seq(m, METRIC_LEDGER_JOURNAL, STR("a\"b\\c\nd"), 1);
    metrics_ledger_seq(m, METRIC_LEDGER_PROJECTED, STR("main"), 0);
    metrics_ledger_seq(m, METRIC_LEDGER_PROJECTED, STR(""), 5);
    expect_line("creditledger_journal_seq{ledger=\"main\"} 9");
    expect_line("creditledger_journal_seq{ledger=\"a\\\"b\\\\c\\nd\"} 1");
    expect_line("creditledger_projected_seq{ledger=\"main\"} 0");
    expect_no("projected_seq{ledger=\"\"}");
    expect_no("published_seq");
}

static void *name_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < METRICS_LEDGERS + 300; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "ledger-%d", i);
        metrics_ledger_seq(m, METRIC_LEDGER_PUBLISHED, (struct str){name, (size_t)len}, (uint64_t)i);
    }
    return NULL;
}

static void test_ledgers_are_bounded(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, name_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    char *text = render();
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, "published_seq{")) != NULL; at++)
        n++;
    free(text);
    assert_in_range(n, METRICS_LEDGERS - 4, METRICS_LEDGERS);
    expect_line("creditledger_published_seq{ledger=\"ledger-0\"} 0");
    expect_line("creditledger_published_seq{ledger=\"ledger-1000\"} 1000");
}

static void *count_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++) {
        metrics_count(m, METRIC_COMMITS, 1);
        metrics_observe(m, METRIC_COMMIT, 50);
        metrics_volume(m, 1, "USD", 2);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    expect_line("creditledger_commits_total 40000");
    expect_line("creditledger_commit_seconds_count 40000");
    expect_line("creditledger_volume_minor_units_total{asset=\"USD\"} 80000");
}

/* Every line is a comment or `name[{labels}] number`, and every name was announced once, before its samples.
 */
static void test_format(void **state)
{
    (void)state;
    metrics_declined(m, 304, "account_frozen");
    metrics_volume(m, 1, "USD", 2);
    metrics_set(m, METRIC_RELAY_ACTIVE, 1);
    metrics_set(m, METRIC_PROJECTION_GAP, 1);
    metrics_oldest(m, METRIC_PROJECTION_OLDEST, 1);
    metrics_ledger_seq(m, METRIC_LEDGER_PUBLISHED, STR("main"), 1);
    char *text = render(), announced[128] = "", *save = NULL;
    size_t lines = 0;
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save), lines++) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            snprintf(announced, sizeof announced, "%.*s", (int)strcspn(line + 7, " "), line + 7);
            continue;
        }
        if (line[0] == '#')
            continue;
        assert_int_equal(strncmp(line, announced, strlen(announced)), 0);
        char *end;
        const char *blank = strrchr(line, ' ');
        assert_non_null(blank);
        strtod(blank + 1, &end);
        assert_true(end != blank + 1 && *end == '\0');
    }
    assert_true(lines > 150);
    free(text);
}

static void test_types_are_announced_once(void **state)
{
    (void)state;
    char *text = render();
    const char *first = strstr(text, "# TYPE creditledger_http_request_seconds histogram\n");
    assert_non_null(first);
    assert_null(strstr(first + 1, "# TYPE creditledger_http_request_seconds histogram\n"));
    assert_non_null(strstr(text, "process_resident_memory_bytes "));
    assert_non_null(strstr(text, "process_open_fds "));
    assert_non_null(strstr(text, "process_start_time_seconds "));
    assert_non_null(strstr(text, "process_cpu_seconds_total "));
    free(text);
}

static void test_null_is_nobody(void **state)
{
    (void)state;
    metrics_count(NULL, METRIC_COMMITS, 1);
    metrics_set(NULL, METRIC_READY, 1);
    metrics_add(NULL, METRIC_READY, 1);
    metrics_observe(NULL, METRIC_COMMIT, 1);
    metrics_declined(NULL, 1, "x");
    metrics_volume(NULL, 1, "x", 1);
    metrics_response(NULL, 200);
    metrics_oldest(NULL, METRIC_OUTBOX_OLDEST, 1);
    metrics_ledger_seq(NULL, METRIC_LEDGER_JOURNAL, STR("main"), 1);
    assert_int_equal(metrics_gauge(NULL, METRIC_READY), 0);
    struct strbuf b;
    strbuf_init(&b);
    metrics_render(NULL, &b);
    assert_int_equal(b.len, 0);
    metrics_free(NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_counters_and_gauges),
        T(test_histogram_buckets_are_cumulative),
        T(test_sizes_are_plain_numbers),
        T(test_labelled),
        T(test_volume_outgrows_64_bits),
        T(test_parts_are_shown_by_who_has_them),
        T(test_ages_grow_by_themselves),
        T(test_by_ledger),
        T(test_ledgers_are_bounded),
        T(test_threads_lose_nothing),
        T(test_format),
        T(test_types_are_announced_once),
        T(test_null_is_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
