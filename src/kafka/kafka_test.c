/*
 * The room with nothing to talk to, and, where CREDITLEDGER_TEST_KAFKA names a broker, with a real one: what is committed
 * is read, what is not is not, and who was there before is fenced.
 */
#include "kafka/kafka.h"

#include <time.h>

#include "base/check.h"

#define WAIT_MS 20000

static char prefix[64];
static struct kafka_config config;
static int64_t instant_ms; /* not of the past: what looks old is compacted at once */

static const struct kafka_topic topics[] = {{"data.v1", false, 3}, {"place.v1", true, 1}};

static const char *write_file(const char *text)
{
    static char path[] = "/tmp/kafka-test-XXXXXX";
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void configurations_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name, *file, *brokers, *prefix;
        const char *want; /* part of the message; NULL: it is fine */
    } cases[] = {
        {"no file", NULL, "localhost:1", "", NULL},
        {"TLS and SASL",
            "# "
            "both\nsecurity.protocol=sasl_ssl\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=u\nsasl.password="
            "secret\n",
            "localhost:1", "", NULL},
        {"tuning of a producer and of a consumer", "linger.ms=50\nfetch.wait.max.ms=10\n", "localhost:1", "",
            NULL},
        {"no brokers", NULL, "", "", "no Kafka brokers"},
        {"an unknown property", "\nno.such.thing=secret\n", "localhost:1", "",
            "line 2: there is no property 'no.such.thing'"},
        {"a wrong value", "linger.ms=secret\n", "localhost:1", "",
            "line 1: the value of property 'linger.ms' is not valid"},
        {"no property", "secret\n", "localhost:1", "", "line 1: a line is key=value"},
        {"what the guarantees stand on", "acks=1\n", "localhost:1", "",
            "line 1: 'acks' is not for this file"},
        {"another transactional id", "transactional.id=secret\n", "localhost:1", "",
            "'transactional.id' is not"},
        {"code from elsewhere", "plugin.library.paths=secret\n", "localhost:1", "",
            "'plugin.library.paths' is not"},
        {"a prefix of other signs", NULL, "localhost:1", "my topics/", "is no name of a topic"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *path = cases[i].file != NULL ? write_file(cases[i].file) : NULL;
        struct kafka_config c = {
            .brokers = cases[i].brokers, .file = path, .topic_prefix = cases[i].prefix, .transactional = "t"};
        struct err err = {0};
        int rc = kafka_check(&c, &err);
        CHECK_INT(cases[i].name, rc, cases[i].want != NULL ? ERR_CONFIG : 0);
        CHECK(cases[i].name, cases[i].want == NULL || strstr(err.message, cases[i].want) != NULL);
        CHECK(cases[i].name, strstr(err.message, "secret") == NULL);
        CHECK(cases[i].name, cases[i].want == NULL || path == NULL || strstr(err.message, path) != NULL);
        if (path != NULL)
            unlink(path);
    }
    struct kafka_config c = {.brokers = "localhost:1", .file = "/nonexistent/kafka.properties"};
    struct err err = {0};
    assert_int_equal(kafka_check(&c, &err), ERR_CONFIG);
    assert_non_null(strstr(err.message, "/nonexistent/kafka.properties: No such file"));
}

/* A broker that is not there is told with its address and the reason, in the time that was given. */
static void an_absent_broker_is_told(void **state)
{
    (void)state;
    struct kafka_config c = {.brokers = "127.0.0.1:9", .transactional = "t"};
    struct kafka_producer *producer = NULL;
    struct err err = {0};
    int rc = kafka_producer_new(&c, 1500, &producer, &err);
    assert_true(rc == ERR_TIMEOUT || rc == ERR_IO);
    assert_null(producer);
    assert_non_null(strstr(err.message, "127.0.0.1:9"));
    assert_non_null(strstr(err.message, "Connection refused"));
    int partitions;
    rc = kafka_partitions(&c, "x", 1000, &partitions, &err);
    assert_true(rc == ERR_TIMEOUT || rc == ERR_IO);
}

/* --- with a broker ------------------------------------------------------------------------------------------- */

#define OK(call) \
    do { \
        int ok_ = (call); \
        if (ok_ != 0) \
            fail_msg("%s: %d %s", #call, ok_, err.message); \
    } while (0)

static void send(struct kafka_producer *producer, const char *topic, const char *key, const char *value)
{
    struct err err = {0};
    const struct kafka_header headers[] = {{"ce_id", str_of(value)}, {"none", STR("")}};
    struct kafka_message m = {.topic = topic,
        .key = str_of(key),
        .value = str_of(value),
        .timestamp_ms = instant_ms,
        .headers = headers,
        .n_headers = 2};
    OK(kafka_send(producer, &m, &err));
}

static int append(void *ctx, const struct kafka_received *m)
{
    struct strbuf *b = ctx;
    strbuf_printf(b, STR_FMT "=" STR_FMT ";", STR_ARG(m->key), STR_ARG(m->value));
    return 0;
}

static void check_topic(const char *topic, int partition, const char *want)
{
    struct strbuf b;
    struct err err = {0};
    strbuf_init(&b);
    OK(kafka_read_all(&config, topic, partition, WAIT_MS, append, &b, &err));
    CHECK_STR(topic, strbuf_view(&b), str_of(want));
    strbuf_fini(&b);
}

static void topics_are_made(void **state)
{
    (void)state;
    struct err err = {0};
    int partitions = -1;
    OK(kafka_partitions(&config, "data.v1", WAIT_MS, &partitions, &err));
    assert_int_equal(partitions, 0);
    OK(kafka_make_topics(&config, topics, COUNT_OF(topics), WAIT_MS, &err));
    OK(kafka_partitions(&config, "data.v1", WAIT_MS, &partitions, &err));
    assert_int_equal(partitions, 3);
    OK(kafka_partitions(&config, "place.v1", WAIT_MS, &partitions, &err));
    assert_int_equal(partitions, 1);
    int64_t retention_ms = 0;
    OK(kafka_retention(&config, "data.v1", WAIT_MS, &retention_ms, &err));
    assert_int_equal(retention_ms, 123456789);
    /* Again, with other wishes: what is there stays as it is. */
    const struct kafka_topic other[] = {{"data.v1", false, 5}};
    OK(kafka_make_topics(&config, other, 1, WAIT_MS, &err));
    OK(kafka_partitions(&config, "data.v1", WAIT_MS, &partitions, &err));
    assert_int_equal(partitions, 3);
    check_topic("place.v1", 0, "");
    struct strbuf b;
    strbuf_init(&b);
    assert_int_equal(kafka_read_all(&config, "no.such.topic", 0, WAIT_MS, append, &b, &err), ERR_NOT_FOUND);
    strbuf_fini(&b);
}

static void committed_messages_are_read_and_no_others(void **state)
{
    (void)state;
    struct err err = {0};
    struct kafka_producer *producer;
    OK(kafka_producer_new(&config, WAIT_MS, &producer, &err));
    OK(kafka_begin(producer, &err));
    send(producer, "place.v1", "main", "1");
    send(producer, "place.v1", "main", "2");
    OK(kafka_commit(producer, WAIT_MS, &err));
    check_topic("place.v1", 0, "main=1;main=2;");
    OK(kafka_begin(producer, &err));
    send(producer, "place.v1", "main", "never");
    (void)usleep(100000); /* it is sent before it is withdrawn */
    OK(kafka_abort(producer, WAIT_MS, &err));
    check_topic("place.v1", 0, "main=1;main=2;");
    OK(kafka_begin(producer, &err));
    send(producer, "place.v1", "main", "3");
    OK(kafka_commit(producer, WAIT_MS, &err));
    check_topic("place.v1", 0, "main=1;main=2;main=3;");
    kafka_producer_free(producer);
}

static void the_later_producer_fences_the_earlier(void **state)
{
    (void)state;
    struct err err = {0};
    struct kafka_producer *earlier, *later;
    OK(kafka_producer_new(&config, WAIT_MS, &earlier, &err));
    OK(kafka_begin(earlier, &err));
    send(earlier, "place.v1", "main", "lost");
    (void)usleep(100000);
    OK(kafka_producer_new(&config, WAIT_MS, &later, &err));
    check_topic("place.v1", 0, "main=1;main=2;main=3;"); /* what hung is settled before the call returned */
    OK(kafka_begin(later, &err));
    send(later, "place.v1", "main", "4");
    OK(kafka_commit(later, WAIT_MS, &err));
    assert_int_equal(kafka_commit(earlier, WAIT_MS, &err), ERR_CONFLICT);
    OK(kafka_begin(later, &err));
    send(later, "place.v1", "main", "5");
    OK(kafka_commit(later, WAIT_MS, &err));
    kafka_producer_free(earlier);
    kafka_producer_free(later);
    check_topic("place.v1", 0, "main=1;main=2;main=3;main=4;main=5;");
}

static void keys_keep_their_partition_and_order(void **state)
{
    (void)state;
    struct err err = {0};
    struct kafka_config plain = config;
    plain.transactional = NULL;
    struct kafka_producer *producer;
    OK(kafka_producer_new(&plain, WAIT_MS, &producer, &err));
    OK(kafka_begin(producer, &err));
    for (int i = 0; i < 300; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", i % 10);
        snprintf(value, sizeof value, "%d", i);
        send(producer, "data.v1", key, value);
    }
    OK(kafka_commit(producer, WAIT_MS, &err));
    kafka_producer_free(producer);

    struct kafka_consumer *consumer;
    OK(kafka_consumer_new(&config, &consumer, &err));
    const struct kafka_place places[] = {{"data.v1", 0, -1}, {"data.v1", 1, -1}, {"data.v1", 2, -1}};
    OK(kafka_assign(consumer, places, 3, &err));
    struct arena arena;
    arena_init(&arena, 0);
    int last[10], at[10], seen = 0;
    memset(last, -1, sizeof last);
    memset(at, -1, sizeof at);
    for (int rounds = 0; seen < 300 && rounds < 100; rounds++) {
        struct kafka_received *m;
        size_t n;
        OK(kafka_receive(consumer, 64, 1000, &arena, &m, &n, &err));
        assert_true(n <= 64);
        for (size_t i = 0; i < n; i++, seen++) {
            int64_t value;
            assert_true(str_to_int64(m[i].value, &value));
            int k = m[i].key.data[1] - '0';
            CHECK_INT("key", k, value % 10);
            CHECK("order", last[k] < value);
            CHECK("partition", at[k] == -1 || at[k] == m[i].partition);
            CHECK_STR("topic", str_of(m[i].topic), STR("data.v1"));
            CHECK_INT("time", m[i].timestamp_ms, instant_ms);
            CHECK_INT("headers", m[i].n_headers, 2);
            CHECK_STR("header", str_of(m[i].headers[0].name), STR("ce_id"));
            CHECK_STR("header", m[i].headers[0].value, m[i].value);
            last[k] = (int)value;
            at[k] = m[i].partition;
        }
        arena_reset(&arena);
    }
    assert_int_equal(seen, 300);
    arena_fini(&arena);
    int64_t total = 0;
    for (int p = 0; p < 3; p++) {
        int64_t low, high;
        OK(kafka_watermarks(consumer, "data.v1", p, WAIT_MS, &low, &high, &err));
        total += high - low;
    }
    assert_int_equal(total, 300);
    kafka_commit_offsets(consumer, places, 3);
    kafka_consumer_free(consumer);
}

/* Where Kafka's own clients put a key: computed with org.apache.kafka.common.utils.Utils.murmur2 over 12 partitions. */
static void partitions_are_those_of_other_clients(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int partition;
    } cases[] = {
        {"01890a5d-ac96-7000-8000-000000000001", 1},
        {"01890a5d-ac96-7000-8000-000000000002", 10},
        {"018cc251-f400-7a3b-9c4d-0123456789ab", 11},
        {"a", 4},
    };
    struct err err = {0};
    const struct kafka_topic twelve[] = {{"twelve.v1", false, 12}};
    struct kafka_config plain = config;
    plain.transactional = NULL;
    OK(kafka_make_topics(&plain, twelve, 1, WAIT_MS, &err));
    struct kafka_producer *producer;
    OK(kafka_producer_new(&plain, WAIT_MS, &producer, &err));
    OK(kafka_begin(producer, &err));
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        send(producer, "twelve.v1", cases[i].key, "");
    OK(kafka_commit(producer, WAIT_MS, &err));
    kafka_producer_free(producer);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char want[80];
        snprintf(want, sizeof want, "%s=;", cases[i].key);
        check_topic("twelve.v1", cases[i].partition, want);
    }
}

int main(void)
{
    instant_ms = (int64_t)time(NULL) * 1000 + 123;
    snprintf(prefix, sizeof prefix, "t%ld-%lld.", (long)getpid(), (long long)time(NULL));
    const char *brokers = getenv("CREDITLEDGER_TEST_KAFKA");
    config = (struct kafka_config){
        .brokers = brokers != NULL && *brokers != '\0' ? brokers : NULL,
        .topic_prefix = prefix,
        .group = prefix,
        .transactional = prefix,
        .partitions = 3,
        .replication = -1,
        .retention_ms = 123456789,
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(configurations_are_checked),
        cmocka_unit_test(an_absent_broker_is_told),
    };
    const struct CMUnitTest with_broker[] = {
        cmocka_unit_test(configurations_are_checked),
        cmocka_unit_test(an_absent_broker_is_told),
        cmocka_unit_test(topics_are_made),
        cmocka_unit_test(committed_messages_are_read_and_no_others),
        cmocka_unit_test(the_later_producer_fences_the_earlier),
        cmocka_unit_test(keys_keep_their_partition_and_order),
        cmocka_unit_test(partitions_are_those_of_other_clients),
    };
#ifdef __SANITIZE_THREAD__
    /* librdkafka begins its threads with thrd_create(), which the sanitizer does not see: they crash in its allocator. */
    const struct CMUnitTest quiet[] = {alone[0]};
    (void)with_broker;
    return cmocka_run_group_tests(quiet, NULL, NULL);
#endif
    return config.brokers != NULL ? cmocka_run_group_tests(with_broker, NULL, NULL)
                                  : cmocka_run_group_tests(alone, NULL, NULL);
}
