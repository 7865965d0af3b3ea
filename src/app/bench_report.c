#include <inttypes.h>
#include <stdio.h>

#include "api/json_out.h"
#include "app/bench.h"

static const struct {
    const char *name;
    double part;
} quantiles[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

static double per_second(const struct bench_results *r)
{
    return r->load_seconds > 0 ? (double)r->n_acked / r->load_seconds : 0;
}

static void put_real(struct json_out *o, const char *name, double value)
{
    out_key(o, name);
    strbuf_printf(o->b, "%.3f", value);
}

static void put_latency(struct json_out *o, const struct histogram *h)
{
    out_key(o, "latencyMs");
    out_begin(o, '{');
    put_real(o, "mean", h->n > 0 ? (double)h->sum / (double)h->n / 1e3 : 0);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        put_real(o, quantiles[i].name, (double)histogram_quantile(h, quantiles[i].part) / 1e3);
    out_end(o, '}');
}

static void put_errors(struct json_out *o, const struct bench_results *r)
{
    out_key(o, "errors");
    out_begin(o, '{');
    for (int status = 0; status < 600; status++) {
        char name[8];
        if (status == 201 || r->answers[status] == 0)
            continue;
        snprintf(name, sizeof name, "%d", status);
        out_uint_member(o, status == 0 ? "unreadable" : name, r->answers[status]);
    }
    if (r->lost > 0)
        out_uint_member(o, "connection", r->lost);
    out_end(o, '}');
}

static void put_audit(struct json_out *o, const struct bench_audit *audit)
{
    out_key(o, "verify");
    if (!audit->done) {
        strbuf_c(o->b, "null");
        return;
    }
    out_begin(o, '{');
    out_bool_member(o, "ok", audit->faults == 0);
    out_uint_member(o, "records", audit->records);
    out_uint_member(o, "faults", audit->faults);
    put_real(o, "seconds", audit->seconds);
    out_end(o, '}');
}

static void put_plan(struct json_out *o, const struct bench_plan *plan)
{
    out_c_member(o, "mode", plan->in_process ? "in-process" : "http");
    out_c_member(o, "run", plan->run);
    if (plan->in_process) {
        out_uint_member(o, "batch", plan->batch);
        out_uint_member(o, "inFlight", plan->in_flight);
    } else {
        out_c_member(o, "url", plan->url);
        out_uint_member(o, "connections", plan->connections);
        out_uint_member(o, "bulk", plan->bulk);
        out_uint_member(o, "rate", (uint64_t)plan->rate);
        out_uint_member(o, "thinkMs", (uint64_t)plan->think_us / 1000);
    }
    out_uint_member(o, "accounts", plan->accounts);
    out_bool_member(o, "hot", plan->hot);
}

static void report_json(
    const struct bench_plan *plan, const struct bench_results *r, const struct bench_audit *audit)
{
    struct strbuf b;
    strbuf_init(&b);
    struct json_out o = {.b = &b};
    out_begin(&o, '{');
    put_plan(&o, plan);
    put_real(&o, "openSeconds", r->open_seconds);
    put_real(&o, "seconds", r->load_seconds);
    out_uint_member(&o, "requests", r->sent);
    out_uint_member(&o, "transfers", r->n_acked);
    put_real(&o, "transfersPerSecond", per_second(r));
    put_latency(&o, &r->latency);
    put_errors(&o, r);
    out_uint_member(&o, "lookedUp", r->looked_up);
    out_uint_member(&o, "missing", r->missing);
    put_audit(&o, audit);
    out_end(&o, '}');
    strbuf_char(&b, '\0');
    puts(b.data);
    strbuf_fini(&b);
}

static void print_plan(const struct bench_plan *plan)
{
    if (plan->in_process)
        printf("in-process, %zu commands a transaction, %zu submissions in flight", plan->batch,
            plan->in_flight);
    else if (plan->bulk > 1)
        printf("%s, %zu connections, %zu transfers a request", plan->url, plan->connections, plan->bulk);
    else
        printf("%s, %zu connections, single transfers", plan->url, plan->connections);
    if (plan->rate > 0)
        printf(", %" PRId64 " requests/s", plan->rate);
    if (plan->think_us > 0)
        printf(", %" PRId64 " ms think time", plan->think_us / 1000);
    printf(", %zu accounts%s\n", plan->accounts, plan->hot ? ", one hot" : "");
}

static void print_errors(const struct bench_results *r)
{
    for (int status = 0; status < 600; status++)
        if (status != 201 && r->answers[status] > 0)
            printf("  answered %-9d %" PRIu64 "\n", status, r->answers[status]);
    if (r->lost > 0)
        printf("  connection lost    %" PRIu64 "\n", r->lost);
}

static void print_lookups(const struct bench_plan *plan, const struct bench_results *r)
{
    if (plan->lookups == 0 && r->missing == 0)
        return;
    printf("  looked up again    %" PRIu64 " of %zu acknowledged in %.2f s: ", r->looked_up, r->n_acked,
        r->lookup_seconds);
    if (r->missing > 0)
        printf("%" PRIu64 " MISSING\n", r->missing);
    else
        puts("all there");
}

static void report_text(
    const struct bench_plan *plan, const struct bench_results *r, const struct bench_audit *audit)
{
    print_plan(plan);
    printf("  accounts opened    %zu in %.2f s\n", plan->accounts, r->open_seconds);
    printf(
        "  transfers          %zu in %.2f s (%" PRIu64 " requests)\n", r->n_acked, r->load_seconds, r->sent);
    printf("  transfers/s        %.0f\n", per_second(r));
    printf("  latency, ms       ");
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
        printf(
            " %s %.2f", quantiles[i].name, (double)histogram_quantile(&r->latency, quantiles[i].part) / 1e3);
    putchar('\n');
    print_errors(r);
    print_lookups(plan, r);
    if (audit->done && audit->faults == 0)
        printf("  verify             OK, %" PRIu64 " records in %.2f s\n", audit->records, audit->seconds);
    else if (audit->done)
        printf("  verify             %" PRIu64 " FAULTS in %" PRIu64 " records\n", audit->faults,
            audit->records);
}

void bench_report(
    const struct bench_plan *plan, const struct bench_results *r, const struct bench_audit *audit)
{
    if (plan->json)
        report_json(plan, r, audit);
    else
        report_text(plan, r, audit);
}
