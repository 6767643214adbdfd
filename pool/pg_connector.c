/*
 * Part of pg_pool (see pg_slots_private.h): the background connector. It keeps conn_count
 * connections up, replaces old ones, and is the breaker's probe.
 *
 * Everything starts from its timer: what happens elsewhere only wakes it, so no attempt begins
 * inside somebody else's callback. After a failure one attempt at a time probes; in good times
 * PG_CONNECTS_MAX run in parallel.
 */
#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"
#include "pool/pg_conn_private.h"
#include "pool/pg_slots_private.h"
#include "pool/pg_url_private.h"

#include <stdio.h>
#include <string.h>

enum {
    FAILURE_LOG_PAUSE_S = 5,
    STARTING_PAUSE_MIN_MS = 100, /* 57P03: the server is up soon */
    STARTING_PAUSE_MAX_MS = 250,
    LIFETIME_JITTER_PERCENT = 20,
    DOUBLINGS_MAX = 16,
    WHY_BYTES = 128,
};

static uint64_t random_between(uint64_t least, uint64_t most)
{
    uint64_t value;
    secret_random(&value, sizeof(value));
    return least + value % (most - least + 1);
}

static uint64_t now_us_of(const struct pg_pool *pool)
{
    return reactor_now_us(pool->reactor);
}

void pg_connector_wake(struct pg_pool *pool)
{
    if (!pool->draining)
        reactor_timer_set(pool->reactor, &pool->connector.timer, now_us_of(pool));
}

/* ---- pace ---- */

void pg_connector_back_off(struct pg_pool *pool)
{
    struct pg_connector *connector = &pool->connector;
    const uint64_t most_ms = pool->config.backoff_max_ms;
    uint64_t pause_ms =
        (uint64_t)PG_BACKOFF_FIRST_MS
        << (connector->failures < DOUBLINGS_MAX ? connector->failures : DOUBLINGS_MAX);
    pause_ms = pause_ms < most_ms ? pause_ms : most_ms;
    connector->failures++;
    connector->next_attempt_us =
        now_us_of(pool) + random_between(CLOCK_US_PER_MS, pause_ms * CLOCK_US_PER_MS);
}

void pg_connector_failed(struct pg_pool *pool, enum pg_close_reason reason, const char *sqlstate)
{
    struct pg_connector *connector = &pool->connector;

    pool->stats.connect_failures_total++;
    pg_dns_expire(connector->dns);
    if (strcmp(sqlstate, "57P03") == 0) {
        connector->next_attempt_us =
            now_us_of(pool) + random_between((uint64_t)STARTING_PAUSE_MIN_MS * CLOCK_US_PER_MS,
                                             (uint64_t)STARTING_PAUSE_MAX_MS * CLOCK_US_PER_MS);
    } else if (reason == PG_CLOSE_AUTH && !connector->auth_retried && pool->url_file[0] != '\0') {
        connector->auth_retried = true; /* the password was changed under us: read it again */
    } else {
        pg_connector_back_off(pool);
    }
    pg_connector_wake(pool);
}

void pg_connector_succeeded(struct pg_pool *pool, struct pg_connection *conn)
{
    struct pg_connector *connector = &pool->connector;
    const uint64_t lifetime_us = (uint64_t)pool->config.lifetime_s * CLOCK_US_PER_S;
    const uint64_t jitter_us = lifetime_us / 100 * LIFETIME_JITTER_PERCENT;

    connector->failures = 0;
    connector->auth_retried = false;
    connector->next_attempt_us = 0;
    connector->failure_logged_us = 0;
    connector->failures_suppressed = 0;
    conn->expires_us =
        conn->up_us + random_between(lifetime_us - jitter_us, lifetime_us + jitter_us);
}

bool pg_connector_may_log(struct pg_pool *pool, uint64_t *suppressed)
{
    struct pg_connector *connector = &pool->connector;
    const uint64_t now_us = now_us_of(pool);

    if (connector->failure_logged_us != 0 &&
        now_us - connector->failure_logged_us < (uint64_t)FAILURE_LOG_PAUSE_S * CLOCK_US_PER_S) {
        connector->failures_suppressed++;
        return false;
    }
    *suppressed = connector->failures_suppressed;
    connector->failures_suppressed = 0;
    connector->failure_logged_us = now_us;
    return true;
}

/* ---- what to connect ---- */

static bool is_serving(const struct pg_connection *conn)
{
    return (conn->state == PG_CONN_IDLE || conn->state == PG_CONN_BUSY) && !conn->retiring;
}

static bool is_stale(const struct pg_connection *conn, uint64_t now_us)
{
    return conn->epoch != conn->pool->epoch || now_us >= conn->expires_us;
}

struct pg_connection *pg_connector_stale(struct pg_pool *pool)
{
    struct pg_connection *oldest = NULL;
    for (uint32_t i = 0; i <= pool->config.conn_count; i++) {
        struct pg_connection *conn = &pool->slots[i];
        if (is_serving(conn) && is_stale(conn, now_us_of(pool)) &&
            (oldest == NULL || conn->up_us < oldest->up_us))
            oldest = conn;
    }
    return oldest;
}

static uint32_t connecting_count(const struct pg_pool *pool)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i <= pool->config.conn_count; i++) {
        const struct pg_connection *conn = &pool->slots[i];
        count += conn->state == PG_CONN_CONNECTING ||
                 (conn->state == PG_CONN_PREPARING && conn->up_us == 0);
    }
    return count;
}

static bool wants_one_more(struct pg_pool *pool)
{
    const uint32_t connecting = connecting_count(pool);
    const uint32_t down = pool->lists[PG_CONN_DOWN].count;
    const uint32_t live = pool->config.conn_count + 1 - down - pool->retiring;
    const uint32_t parallel = pool->connector.failures == 0 ? PG_CONNECTS_MAX : 1;

    if (down == 0 || connecting >= parallel)
        return false;
    if (live < pool->config.conn_count)
        return true;
    /* The replacement of an old one comes up before that one is retired; one at a time. */
    return live == pool->config.conn_count && pg_pool_usable(pool) == live &&
           pg_connector_stale(pool) != NULL;
}

/* ---- one attempt ---- */

/* Credentials change under us: they are read for every attempt. ERR_OK: connector->url is what the
 * file holds. Else the last good one stays, and *why says why. */
static enum err reread_url(struct pg_pool *pool, struct buf *why)
{
    struct pg_connector *connector = &pool->connector;
    char fresh[CONFIG_SECRET_MAX] = "";
    enum err err = config_reread_file(pool->url_file, fresh);

    if (err != ERR_OK)
        buf_add_text(why, "the file cannot be read or is not a setting");
    else
        err = pg_url_check(fresh, pool->config.tls_required, why);
    if (err == ERR_OK && strcmp(fresh, connector->url) != 0) {
        memcpy(connector->url, fresh, sizeof(connector->url));
        connector->url_news = true;
    }
    secret_wipe(fresh, sizeof(fresh));
    return err;
}

/* Reads the file if there is one; what is wrong with it goes to the log. */
static void refresh_url(struct pg_pool *pool)
{
    char why_bytes[WHY_BYTES];
    struct buf why;

    buf_init(&why, why_bytes, sizeof(why_bytes));
    if (pool->url_file[0] != '\0' && reread_url(pool, &why) != ERR_OK)
        log_warn("pg_url_kept", LOG_SPAN("why", buf_span(&why)));
}

enum pg_reload pg_pool_reload(struct pg_pool *pool, struct buf *why)
{
    if (pool->url_file[0] == '\0')
        return PG_RELOAD_NO_FILE;
    if (reread_url(pool, why) != ERR_OK)
        return PG_RELOAD_KEPT;
    if (!pool->connector.url_news)
        return PG_RELOAD_UNCHANGED;
    pool->connector.url_news = false;
    pg_pool_new_epoch(pool);
    return PG_RELOAD_CHANGED;
}

/* The address to connect to, "" where none is needed. NULL: a lookup is under way and goes on from
 * there. */
static const char *address_of(struct pg_pool *pool, const struct pg_url *url)
{
    struct pg_connector *connector = &pool->connector;
    const char *name = pg_url_name(url);
    bool fresh;

    if (name == NULL)
        return "";
    const char *address = pg_dns_last(connector->dns, name, &fresh);
    if (address != NULL && (fresh || connector->resolved))
        return address;
    connector->resolving = true;
    pg_dns_resolve(connector->dns, name);
    return NULL;
}

/* False: nothing more can start now. */
static bool attempt(struct pg_pool *pool)
{
    struct pg_url url;

    refresh_url(pool);
    if (pg_url_parse(&url, pool->connector.url, NULL) != ERR_OK) {
        /* It was parsed before, so this is libpq out of memory. */
        pg_connector_failed(pool, PG_CLOSE_REFUSED, "");
        return false;
    }
    const char *address = address_of(pool, &url);
    bool started = false;
    if (address != NULL) {
        pg_url_complete(&url, address[0] != '\0' ? address : NULL, &pool->config);
        const struct pg_conn_target target = {.keywords = url.keywords, .values = url.values};
        struct list_node *node = list_last(&pool->lists[PG_CONN_DOWN]);
        pool->stats.connects_total++;
        const enum err err = pg_conn_start(pg_connection_of(node), &target);
        started = err == ERR_OK;
        if (err == ERR_SYSTEM)
            pg_connector_failed(pool, PG_CLOSE_REFUSED, "");
    }
    pg_url_close(&url);
    return started;
}

/* When to look again if nothing happens: the end of a pause, or of a life. */
static void arm_timer(struct pg_pool *pool)
{
    struct pg_connector *connector = &pool->connector;
    const uint64_t now_us = now_us_of(pool);
    uint64_t due_us = UINT64_MAX;

    for (uint32_t i = 0; i <= pool->config.conn_count; i++) {
        const struct pg_connection *conn = &pool->slots[i];
        if (is_serving(conn) && conn->expires_us > now_us && conn->expires_us < due_us)
            due_us = conn->expires_us;
    }
    if (connector->next_attempt_us > now_us && connector->next_attempt_us < due_us)
        due_us = connector->next_attempt_us;
    if (due_us != UINT64_MAX)
        reactor_timer_set(pool->reactor, &connector->timer, due_us);
}

static void step(struct pg_pool *pool)
{
    struct pg_connector *connector = &pool->connector;

    while (!pool->draining && !connector->resolving &&
           connector->next_attempt_us <= now_us_of(pool) && wants_one_more(pool)) {
        if (!attempt(pool))
            break;
    }
    if (!pool->draining && !reactor_timer_is_set(&connector->timer))
        arm_timer(pool);
}

static void on_due(struct reactor_timer *timer)
{
    step(container_of(timer, struct pg_pool, connector.timer));
}

static void on_address(void *owner, const char *address, bool changed)
{
    struct pg_pool *pool = owner;
    struct pg_connector *connector = &pool->connector;

    connector->resolving = false;
    if (pool->draining)
        return;
    if (changed)
        pg_pool_new_epoch(pool);
    if (address == NULL) {
        uint64_t suppressed = 0;
        snprintf(pool->stats.last_error_stage, sizeof(pool->stats.last_error_stage), "dns");
        pool->stats.last_error_sqlstate[0] = '\0';
        if (pg_connector_may_log(pool, &suppressed))
            log_warn("pg_dns_failed", LOG_U64("suppressed", suppressed));
        pg_connector_failed(pool, PG_CLOSE_REFUSED, "");
        return;
    }
    connector->resolved = true;
    step(pool);
    connector->resolved = false;
}

enum err pg_connector_init(struct pg_pool *pool, const char *database_url)
{
    struct pg_connector *connector = &pool->connector;
    char why_bytes[WHY_BYTES];
    struct buf why;

    buf_init(&why, why_bytes, sizeof(why_bytes));
    if (strlen(database_url) >= sizeof(connector->url) ||
        pg_url_check(database_url, pool->config.tls_required, &why) != ERR_OK) {
        log_error("pg_url_bad", LOG_SPAN("why", buf_span(&why)));
        return ERR_INVALID;
    }
    const enum err err = pg_dns_create(&connector->dns, pool->reactor, on_address, pool);
    if (err != ERR_OK)
        return err;
    snprintf(connector->url, sizeof(connector->url), "%s", database_url);
    connector->timer.on_due = on_due;
    pg_connector_wake(pool);
    return ERR_OK;
}

void pg_connector_close(struct pg_pool *pool)
{
    struct pg_connector *connector = &pool->connector;
    reactor_timer_clear(pool->reactor, &connector->timer);
    pg_dns_destroy(connector->dns);
    secret_wipe(connector->url, sizeof(connector->url));
}
