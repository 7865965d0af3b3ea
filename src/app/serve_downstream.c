#include "app/serve_downstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readmodel/projector.h"
#include "relay/relay.h"
#include "telemetry/log.h"

struct followers {
    struct followers_config config;
    struct relay *relay;
    struct projector *projector;
};

static const struct {
    const char *name;
    enum role role;
} role_names[] = {{"api", ROLE_API}, {"relay", ROLE_RELAY}, {"projector", ROLE_PROJECTOR}};

static unsigned role_of(struct str name)
{
    for (size_t i = 0; i < sizeof role_names / sizeof *role_names; i++)
        if (str_eq_c(name, role_names[i].name))
            return role_names[i].role;
    return 0;
}

int roles_parse(const char *text, unsigned *ret_roles, struct err *err)
{
    struct str left = str_of(text), name;
    unsigned roles = 0;
    while (str_split(&left, ',', &name)) {
        unsigned role = role_of(str_trim(name));
        if (role == 0)
            return err_set(err, ERR_CONFIG, "--roles has '" STR_FMT "': roles are api, relay and projector",
                STR_ARG(str_trim(name)));
        roles |= role;
    }
    if (roles == 0)
        return err_set(err, ERR_CONFIG, "--roles is empty: it names one or more of api, relay and projector");
    *ret_roles = roles;
    return 0;
}

static int start_relay(struct followers *f, struct err *err)
{
    const struct downstream *d = f->config.downstream;
    if (!(f->config.roles & ROLE_RELAY) || !d->has_kafka || !d->has_read)
        return 0;
    const struct relay_config config = {
        .journal_url = f->config.store->url,
        .journal_options = &f->config.store->options,
        .read_url = d->read_url,
        .pooled = d->pooled,
        .kafka = &d->kafka,
        .metrics = f->config.store->metrics,
        .spans = f->config.spans,
    };
    return relay_start(&config, &f->relay, err);
}

static int start_projector(struct followers *f, struct err *err)
{
    const struct downstream *d = f->config.downstream;
    if (!(f->config.roles & ROLE_PROJECTOR) || !d->has_read)
        return 0;
    const struct projector_config config = {
        .read_url = d->read_url,
        .pooled = d->pooled,
        .journal_url = f->config.store->url,
        .journal_options = &f->config.store->options,
        .kafka = d->has_kafka ? &d->kafka : NULL,
        .metrics = f->config.store->metrics,
        .spans = f->config.spans,
        .reached = f->config.projected,
        .ctx = f->config.ctx,
    };
    return projector_start(&config, &f->projector, err);
}

int followers_start(const struct followers_config *config, struct followers **ret_followers, struct err *err)
{
    struct followers *f = calloc(1, sizeof *f);
    INVARIANT(f != NULL);
    f->config = *config;
    int failed = start_relay(f, err);
    if (!failed)
        failed = start_projector(f, err);
    if (failed) {
        followers_stop(f);
        return failed;
    }
    *ret_followers = f;
    return 0;
}

void followers_stop(struct followers *f)
{
    if (f == NULL)
        return;
    relay_stop(f->relay);
    projector_stop(f->projector);
    free(f);
}

void followers_wake(struct followers *f)
{
    if (f == NULL)
        return;
    if (f->relay != NULL)
        relay_wake(f->relay);
    if (f->projector != NULL)
        projector_wake(f->projector);
}

bool followers_stuck(struct followers *f, char *ret_detail, size_t size)
{
    if (f == NULL || f->projector == NULL)
        return false;
    struct projector_state state;
    projector_state(f->projector, &state);
    if (state.phase != PROJECTOR_STOPPED_AT_GAP)
        return false;
    snprintf(ret_detail, size, "%s", state.detail);
    return true;
}
