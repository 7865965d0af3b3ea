#include "app/downstream.h"

#include <stdio.h>
#include <string.h>

#include "journal/postgres.h"

#define SQLITE_SCHEME "sqlite:"
#define DATABASE_SUFFIX ".db"
#define READ_SUFFIX "-read.db"
#define DAY_MS INT64_C(86400000)
#define GROUP "creditledger-projector"
#define TRANSACTIONAL "creditledger-relay"
#define PREFIX_MAX 100

static bool is_sqlite(const char *url)
{
    return strncmp(url, SQLITE_SCHEME, strlen(SQLITE_SCHEME)) == 0;
}

static int beside_the_journal(const struct store *store, struct downstream *d, struct err *err)
{
    size_t len = strlen(store->url);
    if (postgres_url(store->url)) {
        memcpy(d->read_url, store->url, len + 1);
        d->pooled = store->options.direct_url != NULL;
    } else if (is_sqlite(store->url)) {
        size_t suffix = strlen(DATABASE_SUFFIX);
        if (len > suffix && strcmp(store->url + len - suffix, DATABASE_SUFFIX) == 0)
            len -= suffix;
        int n = snprintf(d->read_url, sizeof d->read_url, "%.*s%s", (int)len, store->url, READ_SUFFIX);
        if (n < 0 || (size_t)n >= sizeof d->read_url)
            return err_set(err, ERR_CONFIG, "the path of the database is too long");
    } else {
        return 0;
    }
    d->has_read = true;
    return 0;
}

static int read_options(
    const struct options *o, const struct store *store, struct downstream *d, struct err *err)
{
    const char *url = options_has(o, "read-database-url") ? options_get(o, "read-database-url") : NULL;
    if (url == NULL || *url == '\0')
        return beside_the_journal(store, d, err);
    if (strcmp(url, "none") == 0)
        return 0;
    if (!postgres_url(url) && !(is_sqlite(url) && url[strlen(SQLITE_SCHEME)] != '\0'))
        return err_set(err, ERR_CONFIG,
            "--read-database-url must be postgres://USER@HOST/DATABASE, sqlite:PATH or none");
    size_t len = strlen(url);
    if (len >= sizeof d->read_url)
        return err_set(err, ERR_CONFIG, "--read-database-url is too long");
    memcpy(d->read_url, url, len + 1);
    d->has_read = true;
    /* The same URL as the journal's is behind the same pooler. */
    d->pooled = strcmp(url, store->url) == 0 && store->options.direct_url != NULL;
    return 0;
}

static int whole_number(const struct options *o, const char *name, int64_t least, int64_t most,
    int64_t *ret_value, struct err *err)
{
    if (str_to_int64(str_of(options_get(o, name)), ret_value) && *ret_value >= least && *ret_value <= most)
        return 0;
    return err_set(err, ERR_CONFIG, "--%s is '%s': it must be a whole number from %lld to %lld", name,
        options_get(o, name), (long long)least, (long long)most);
}

/* Installations that share a Kafka differ by their prefix, also in what fences and groups them. */
static int kafka_options(const struct options *o, struct downstream *d, struct err *err)
{
    int64_t partitions, replication, days;
    const char *brokers = options_get(o, "kafka-brokers"), *prefix = options_get(o, "kafka-topic-prefix");
    int failed = whole_number(o, "kafka-partitions", 1, 10000, &partitions, err);
    if (!failed)
        failed = whole_number(o, "kafka-replication", -1, 32, &replication, err);
    if (!failed)
        failed = whole_number(o, "kafka-retention", -1, 36500, &days, err);
    if (failed)
        return failed;
    if (replication == 0)
        return err_set(err, ERR_CONFIG, "--kafka-replication is 0: a topic has at least one replica");
    if (strlen(prefix) > PREFIX_MAX)
        return err_set(err, ERR_CONFIG, "--kafka-topic-prefix is longer than %d characters", PREFIX_MAX);
    snprintf(d->group, sizeof d->group, "%s" GROUP, prefix);
    snprintf(d->transactional, sizeof d->transactional, "%s" TRANSACTIONAL, prefix);
    d->has_kafka = brokers != NULL && *brokers != '\0';
    d->kafka = (struct kafka_config){
        .brokers = brokers,
        .file = options_get(o, "kafka-config"),
        .topic_prefix = prefix,
        .partitions = (int)partitions,
        .replication = (int)replication,
        .retention_ms = days > 0 ? days * DAY_MS : days,
    };
    return 0;
}

int downstream_describe(
    const struct options *o, const struct store *store, struct downstream *ret_downstream, struct err *err)
{
    struct downstream d = {.has_read = false};
    int failed = read_options(o, store, &d, err);
    if (!failed && options_has(o, "kafka-brokers"))
        failed = kafka_options(o, &d, err);
    if (failed)
        return failed;
    if (postgres_url(d.read_url))
        postgres_url_redact(d.read_url, d.read_shown, sizeof d.read_shown);
    else
        memcpy(d.read_shown, d.read_url, sizeof d.read_shown);
    *ret_downstream = d;
    ret_downstream->kafka.group = ret_downstream->group;
    ret_downstream->kafka.transactional = ret_downstream->transactional;
    return d.has_kafka ? kafka_check(&ret_downstream->kafka, err) : 0;
}
