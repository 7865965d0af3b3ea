/*
 * A relay and nothing else, as a process that tests may kill, stop and continue:
 *   relay_process JOURNAL-URL READ-URL BROKERS PREFIX
 * Prints a line for every change of its state, and its metrics at the end. SIGTERM ends it as a server would.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "relay/relay.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static void watch(struct relay *relay)
{
    static const char *const names[] = {"standby", "publishing", "failing"};
    struct relay_state last = {.phase = RELAY_STANDBY, .detail = "-"};
    while (!ended) {
        struct relay_state state;
        relay_state(relay, &state);
        if (state.phase != last.phase || strcmp(state.detail, last.detail) != 0) {
            printf("%s %s\n", names[state.phase], state.detail);
            fflush(stdout);
            last = state;
        }
        usleep(20000);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: relay_process JOURNAL-URL READ-URL BROKERS PREFIX\n");
        return 2;
    }
    char transactional[256];
    snprintf(transactional, sizeof transactional, "%srelay", argv[4]);
    struct kafka_config kafka = {
        .brokers = argv[3],
        .topic_prefix = argv[4],
        .group = transactional,
        .transactional = transactional,
        .partitions = 4,
        .replication = -1,
    };
    struct journal_options options = {.mode = JOURNAL_READ};
    struct metrics *metrics = metrics_new();
    struct relay_config config = {
        .journal_url = argv[1],
        .journal_options = &options,
        .read_url = argv[2],
        .kafka = &kafka,
        .metrics = metrics,
    };
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    log_setup(LOG_INFO, LOG_TEXT);
    struct relay *relay;
    struct err err = {0};
    if (relay_start(&config, &relay, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    watch(relay);
    relay_stop(relay);
    struct strbuf b;
    strbuf_init(&b);
    metrics_render(metrics, &b);
    fwrite(b.data, 1, b.len, stdout);
    strbuf_fini(&b);
    metrics_free(metrics);
    return 0;
}
