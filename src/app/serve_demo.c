#include "app/serve_demo.h"

#include <string.h>

#include "telemetry/log.h"

struct step {
    const char *path, *key, *body; /* the body without its idempotencyKey */
    int status;
    const char *remember; /* what `%s` in a later path stands for is this step's "transferId" */
};

/* Times are fixed: a request that named another time on the next start would be another request. */
static const struct step steps[] = {
    {"/accounts", "demo-open-alice",
        "{\"currency\":\"USD\",\"type\":\"wallet\",\"externalId\":\"wallet-alice\","
        "\"name\":\"Alice's wallet\",\"metadata\":{\"plan\":\"pro\"}",
        201, NULL},
    {"/accounts", "demo-open-bob",
        "{\"currency\":\"USD\",\"type\":\"wallet\",\"externalId\":\"wallet-bob\","
        "\"name\":\"Bob's wallet\"",
        201, NULL},
    {"/accounts", "demo-open-claire",
        "{\"currency\":\"EUR\",\"type\":\"wallet\",\"externalId\":\"wallet-claire\","
        "\"name\":\"Claire's wallet\"",
        201, NULL},
    {"/accounts", "demo-open-emi",
        "{\"currency\":\"JPY\",\"type\":\"wallet\",\"externalId\":\"wallet-emi\","
        "\"name\":\"Emi's wallet\"",
        201, NULL},
    {"/accounts", "demo-open-revenue",
        "{\"currency\":\"USD\",\"type\":\"income\",\"externalId\":\"revenue\","
        "\"name\":\"Revenue\"",
        201, NULL},
    {"/accounts", "demo-open-revenue-eur",
        "{\"currency\":\"EUR\",\"type\":\"income\",\"externalId\":\"revenue-eur\","
        "\"name\":\"Revenue in euros\"",
        201, NULL},
    {"/accounts", "demo-open-promotions",
        "{\"currency\":\"USD\",\"type\":\"expense\",\"externalId\":\"promotions\","
        "\"name\":\"Promotions\",\"minBalance\":null",
        201, NULL},
    {"/accounts/ext:wallet-alice/credits", "demo-topup-alice",
        "{\"amount\":5000,\"currency\":\"USD\",\"reference\":\"card-4711\"", 201, NULL},
    {"/accounts/ext:wallet-bob/credits", "demo-topup-bob", "{\"amount\":2000,\"currency\":\"USD\"", 201,
        NULL},
    {"/accounts/ext:wallet-claire/credits", "demo-topup-claire", "{\"amount\":4500,\"currency\":\"EUR\"", 201,
        NULL},
    {"/accounts/ext:wallet-emi/credits", "demo-topup-emi", "{\"amount\":10000,\"currency\":\"JPY\"", 201,
        NULL},
    {"/transfers", "demo-promotion-bob",
        "{\"from\":\"ext:promotions\",\"to\":\"ext:wallet-bob\",\"amount\":500,\"currency\":\"USD\","
        "\"reference\":\"welcome\",\"metadata\":{\"campaign\":\"welcome\"}",
        201, NULL},
    {"/transfers", "demo-gift",
        "{\"from\":\"ext:wallet-alice\",\"to\":\"ext:wallet-bob\",\"amount\":1234,\"currency\":\"USD\","
        "\"metadata\":{\"note\":\"lunch\"}",
        201, NULL},
    {"/transfers", "demo-order-1001",
        "{\"from\":\"ext:wallet-alice\",\"to\":\"ext:revenue\",\"amount\":1999,\"currency\":\"USD\","
        "\"reference\":\"order-1001\"",
        201, NULL},
    {"/transfers", "demo-order-1002",
        "{\"from\":\"ext:wallet-bob\",\"to\":\"ext:revenue\",\"amount\":1500,\"currency\":\"USD\","
        "\"reference\":\"order-1002\"",
        201, "order-1002"},
    {"/transfers/%s/reverse", "demo-refund-1002", "{\"amount\":600,\"reference\":\"refund of order-1002\"",
        201, NULL},
    {"/transfers", "demo-order-1003",
        "{\"from\":\"ext:wallet-bob\",\"to\":\"ext:revenue\",\"amount\":99900,\"currency\":\"USD\","
        "\"reference\":\"order-1003\"",
        422, NULL},
    {"/transfers", "demo-order-1004",
        "{\"from\":\"ext:wallet-claire\",\"to\":\"ext:revenue-eur\",\"amount\":1250,\"currency\":\"EUR\","
        "\"reference\":\"order-1004\"",
        201, NULL},
    {"/accounts/ext:wallet-claire/credits", "demo-late-topup",
        "{\"amount\":300,\"currency\":\"EUR\",\"reference\":\"bank transfer booked late\","
        "\"effectiveAt\":\"2024-02-29T12:00:00Z\"",
        201, NULL},
    {"/transactions", "demo-split",
        "{\"postings\":[{\"debit\":\"ext:wallet-alice\",\"credit\":\"ext:revenue\",\"amount\":900,"
        "\"currency\":\"USD\"},"
        "{\"debit\":\"ext:promotions\",\"credit\":\"ext:wallet-alice\",\"amount\":90,\"currency\":\"USD\"}],"
        "\"reference\":\"order-1005, with 10% back\"",
        201, NULL},
};

/* The transferId of an answer, as text. */
static struct str transfer_id(struct str answer)
{
    static const char name[] = "\"transferId\":\"";
    const char *at = memmem(answer.data, answer.len, name, sizeof name - 1);
    if (at == NULL)
        return STR_NONE;
    struct str rest = {at + sizeof name - 1, answer.len - (size_t)(at - answer.data) - (sizeof name - 1)}, id;
    return str_split(&rest, '"', &id) ? id : STR_NONE;
}

static void put_path(struct strbuf *b, const char *path, struct str remembered)
{
    const char *hole = strstr(path, "%s");
    strbuf_add(b, path, hole ? (size_t)(hole - path) : strlen(path));
    if (hole != NULL) {
        strbuf_str(b, remembered);
        strbuf_c(b, hole + 2);
    }
}

/* remembered: the transferId that a later step needs; grows by the one of this step if it is to be
 * remembered. */
static int take_step(struct service *service, const struct step *s, struct strbuf *remembered,
    bool *ret_posted, struct err *err)
{
    struct strbuf path, body;
    strbuf_init(&path);
    strbuf_init(&body);
    put_path(&path, s->path, strbuf_view(remembered));
    strbuf_printf(&body, "%s,\"idempotencyKey\":\"%s\"}", s->body, s->key);
    const struct api_header headers[] = {{STR("Content-Type"), STR("application/json")}};
    struct api_request request = {
        .method = API_POST,
        .method_name = STR("POST"),
        .path = strbuf_view(&path),
        .headers = headers,
        .n_headers = 1,
        .body = strbuf_view(&body),
    };
    struct api_response response;
    api_response_init(&response);
    service_sync(service, &request, &response);
    bool replayed = false;
    for (size_t i = 0; i < response.n_headers; i++)
        replayed |= strcmp(response.headers[i].name, "Idempotency-Replayed") == 0;
    *ret_posted = !replayed;
    struct str answer = strbuf_view(&response.body);
    int failed = response.status == s->status
                     ? 0
                     : err_set(err, ERR_CONFLICT, "demo: POST %s (%s) gave %d: %.*s", s->path, s->key,
                           response.status, (int)(answer.len < 300 ? answer.len : 300), answer.data);
    if (s->remember != NULL) {
        strbuf_clear(remembered);
        strbuf_str(remembered, transfer_id(answer));
    }
    api_response_fini(&response);
    strbuf_fini(&path);
    strbuf_fini(&body);
    return failed;
}

int serve_demo_seed(const struct service_config *like, size_t *ret_posted, struct err *err)
{
    struct service *service;
    struct service_config config = *like;
    config.tokens = NULL; /* the server's own hand needs none */
    config.metrics = NULL;
    config.readers = 0;
    int failed = service_new(&config, &service, err);
    if (failed)
        return failed;
    struct strbuf remembered;
    strbuf_init(&remembered);
    size_t posted = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps && !failed; i++) {
        bool fresh;
        failed = take_step(service, &steps[i], &remembered, &fresh, err);
        posted += fresh;
    }
    strbuf_fini(&remembered);
    service_stop(service);
    service_free(service);
    *ret_posted = posted;
    return failed;
}
