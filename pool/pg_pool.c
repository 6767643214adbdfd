#include "pool/pg_pool.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"
#include "pool/pg_conn_private.h"
#include "pool/pg_slots_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A connection that lives less is a failed attempt that came up by chance. */
enum { SHORT_LIFE_MS = 1000, SQLSTATE_CLASS_LEN = 2 };

/* ---- names ---- */

const char *pg_close_reason_name(enum pg_close_reason reason)
{
    static const char *const NAMES[PG_CLOSE_REASONS] = {
        [PG_CLOSE_REFUSED] = "refused",   [PG_CLOSE_TIMEOUT] = "timeout",
        [PG_CLOSE_AUTH] = "auth",         [PG_CLOSE_STANDBY] = "standby",
        [PG_CLOSE_PREPARE] = "prepare",   [PG_CLOSE_EOF] = "eof",
        [PG_CLOSE_SHUTDOWN] = "shutdown", [PG_CLOSE_READ_ONLY] = "read_only",
        [PG_CLOSE_DEADLINE] = "deadline", [PG_CLOSE_PROTOCOL] = "protocol",
        [PG_CLOSE_LIFETIME] = "lifetime", [PG_CLOSE_EPOCH] = "epoch",
        [PG_CLOSE_DRAIN] = "drain",
    };
    return NAMES[reason];
}

const char *pg_conn_state_name(enum pg_conn_state state)
{
    static const char *const NAMES[PG_CONN_STATES] = {
        [PG_CONN_DOWN] = "down",           [PG_CONN_CONNECTING] = "connecting",
        [PG_CONN_PREPARING] = "preparing", [PG_CONN_IDLE] = "idle",
        [PG_CONN_BUSY] = "busy",
    };
    return NAMES[state];
}

/* ---- figures ---- */

uint32_t pg_pool_usable(const struct pg_pool *pool)
{
    return pool->lists[PG_CONN_IDLE].count + pool->lists[PG_CONN_BUSY].count - pool->retiring;
}

uint32_t pg_pool_count(const struct pg_pool *pool, enum pg_conn_state state)
{
    const uint32_t count = pool->lists[state].count;
    /* The spare's place is nobody's loss. */
    return state == PG_CONN_DOWN && count > 0 ? count - 1 : count;
}

uint32_t pg_pool_size(const struct pg_pool *pool)
{
    return pool->config.conn_count;
}

const struct pg_pool_stats *pg_pool_stats(const struct pg_pool *pool)
{
    return &pool->stats;
}

const struct pg_dns_stats *pg_pool_dns_stats(const struct pg_pool *pool)
{
    return pg_dns_stats(pool->connector.dns);
}

struct reactor *pg_pool_reactor(struct pg_pool *pool)
{
    return pool->reactor;
}

void pg_pool_count_sqlstate(struct pg_pool *pool, const char *sqlstate)
{
    for (size_t i = 0; i < PG_SQLSTATES_MAX; i++) {
        char *class_ = pool->stats.sqlstates[i].class_;
        if (class_[0] == '\0')
            memcpy(class_, sqlstate, SQLSTATE_CLASS_LEN);
        if (strncmp(class_, sqlstate, SQLSTATE_CLASS_LEN) == 0) {
            pool->stats.sqlstates[i].count++;
            return;
        }
    }
}

/* ---- what the connections tell ---- */

void pg_pool_moved(struct pg_pool *pool, struct pg_connection *conn, enum pg_conn_state next)
{
    if (conn->state == PG_CONN_BUSY && conn->retiring) {
        conn->retiring = false;
        CHECK(pool->retiring > 0);
        pool->retiring--;
    }
    list_remove(&pool->lists[conn->state], &conn->node);
    /* The last used is the first given: its backend's caches are warm. */
    list_push_front(&pool->lists[next], &conn->node);
    if (next == PG_CONN_IDLE)
        pool->idle_news = true;
}

static enum pg_close_reason stale_reason(const struct pg_connection *conn)
{
    return conn->epoch != conn->pool->epoch ? PG_CLOSE_EPOCH : PG_CLOSE_LIFETIME;
}

/* A replacement is up, or one that had to prepare again is back beside it: one is too many. The
 * oldest that is stale goes; if none is, the one that was used longest ago. */
static void retire_surplus(struct pg_pool *pool)
{
    if (pg_pool_usable(pool) - pool->retiring <= pool->config.conn_count)
        return;
    struct pg_connection *stale = pg_connector_stale(pool);
    struct list_node *idle = list_last(&pool->lists[PG_CONN_IDLE]);

    if (stale != NULL)
        pg_conn_retire(stale, stale_reason(stale));
    else if (idle != NULL)
        pg_conn_retire(pg_connection_of(idle), PG_CLOSE_LIFETIME);
}

void pg_pool_on_up(struct pg_pool *pool, struct pg_connection *conn)
{
    const uint64_t took_us = conn->up_us - conn->started_us;

    histogram_record(&pool->stats.connect_time, took_us);
    log_info("pg_conn_up", LOG_U64("slot", conn->index), LOG_U64("duration_us", took_us));
    pg_connector_succeeded(pool, conn);
    retire_surplus(pool);
    pg_connector_wake(pool);
}

/* The address or the server's role is in doubt. */
static bool tells_failover(enum pg_close_reason reason)
{
    return reason == PG_CLOSE_EOF || reason == PG_CLOSE_SHUTDOWN || reason == PG_CLOSE_STANDBY ||
           reason == PG_CLOSE_READ_ONLY || reason == PG_CLOSE_DEADLINE;
}

void pg_pool_on_down(struct pg_pool *pool, const struct pg_connection *conn,
                     enum pg_close_reason reason)
{
    struct pg_pool_stats *stats = &pool->stats;

    stats->closed_total[reason]++;
    if (pool->draining || reason == PG_CLOSE_DRAIN)
        return;
    if (reason != PG_CLOSE_LIFETIME && reason != PG_CLOSE_EPOCH) {
        snprintf(stats->last_error_stage, sizeof(stats->last_error_stage), "%s", conn->stage);
        memcpy(stats->last_error_sqlstate, conn->sqlstate, sizeof(stats->last_error_sqlstate));
    }
    if (conn->up_us == 0) {
        pg_connector_failed(pool, reason, conn->sqlstate);
        return;
    }
    if (tells_failover(reason)) {
        const uint64_t age_us = reactor_now_us(pool->reactor) - conn->up_us;
        pg_dns_expire(pool->connector.dns);
        if (age_us < (uint64_t)SHORT_LIFE_MS * CLOCK_US_PER_MS)
            pg_connector_back_off(pool);
    }
    pg_connector_wake(pool);
}

/* ---- listeners ---- */

void pg_pool_listen(struct pg_pool *pool, struct pg_pool_listener *listener)
{
    CHECK(listener->on_change != NULL);
    list_push_back(&pool->listeners, &listener->node);
}

void pg_pool_unlisten(struct pg_pool *pool, struct pg_pool_listener *listener)
{
    if (pool->listener_next == &listener->node)
        pool->listener_next = list_next(&pool->listeners, &listener->node);
    list_remove(&pool->listeners, &listener->node);
}

/* At the end of the turn, so that whoever took the connection inside on_answer came first. */
static void on_turn_end(struct reactor_hook *hook)
{
    struct pg_pool *pool = container_of(hook, struct pg_pool, hook);
    retire_surplus(pool);
    const bool up = pg_pool_usable(pool) > 0;
    const bool idle_news = pool->idle_news && pool->lists[PG_CONN_IDLE].count > 0;

    pool->idle_news = false;
    if (up == pool->told_up && !idle_news)
        return;
    pool->told_up = up;
    pool->listener_next = list_first(&pool->listeners);
    while (pool->listener_next != NULL) {
        struct list_node *node = pool->listener_next;
        pool->listener_next = list_next(&pool->listeners, node);
        struct pg_pool_listener *listener = container_of(node, struct pg_pool_listener, node);
        listener->on_change(listener);
    }
    /* What a listener sent may have found the last connection dead. */
    if ((pg_pool_usable(pool) > 0) != pool->told_up)
        reactor_wake(pool->reactor);
}

/* ---- life ---- */

static void copy_config(struct pg_pool *pool, const struct pg_pool_config *config)
{
    pool->config = *config;
    pool->config.database_url = NULL; /* the connector's copy is the one that counts */
    snprintf(pool->url_file, sizeof(pool->url_file), "%s", config->database_url_file);
    pool->config.database_url_file = pool->url_file;
    snprintf(pool->application_name, sizeof(pool->application_name), "%s",
             config->application_name);
    pool->config.application_name = pool->application_name;
}

enum err pg_pool_create(struct pg_pool **pool, struct reactor *reactor,
                        const struct pg_pool_config *config, const struct pg_statement *statements,
                        uint8_t statement_count)
{
    CHECK(config->conn_count >= 1);
    CHECK(config->conn_count <= PG_POOL_MAX);
    if (strlen(config->database_url_file) >= CONFIG_TEXT_MAX)
        return ERR_INVALID;
    struct pg_pool *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return ERR_SYSTEM;
    secret_protect(made->connector.url, sizeof(made->connector.url));
    made->reactor = reactor;
    made->statements = statements;
    made->statement_count = statement_count;
    copy_config(made, config);
    for (int state = 0; state < PG_CONN_STATES; state++)
        list_init(&made->lists[state]);
    list_init(&made->listeners);
    for (uint32_t i = 0; i <= config->conn_count; i++) {
        pg_conn_init(&made->slots[i], made, i);
        list_push_back(&made->lists[PG_CONN_DOWN], &made->slots[i].node);
    }
    const enum err err = pg_connector_init(made, config->database_url);
    if (err != ERR_OK) {
        free(made);
        return err;
    }
    made->hook.on_turn_end = on_turn_end;
    reactor_hook_add(reactor, &made->hook);
    *pool = made;
    return ERR_OK;
}

void pg_pool_destroy(struct pg_pool *pool)
{
    if (pool == NULL)
        return;
    pool->draining = true;
    for (uint32_t i = 0; i <= pool->config.conn_count; i++) {
        if (pool->slots[i].state != PG_CONN_DOWN)
            pg_conn_down(&pool->slots[i], PG_CLOSE_DRAIN);
    }
    pg_connector_close(pool);
    reactor_hook_remove(pool->reactor, &pool->hook);
    free(pool);
}

void pg_pool_drain(struct pg_pool *pool)
{
    pool->draining = true;
    reactor_timer_clear(pool->reactor, &pool->connector.timer);
    for (uint32_t i = 0; i <= pool->config.conn_count; i++) {
        if (pool->slots[i].state != PG_CONN_DOWN)
            pg_conn_retire(&pool->slots[i], PG_CLOSE_DRAIN);
    }
}

void pg_pool_new_epoch(struct pg_pool *pool)
{
    pool->epoch++;
    log_info("pg_pool_epoch", LOG_TEXT("db.application_name", pool->application_name),
             LOG_U64("epoch", pool->epoch));
    pg_connector_wake(pool);
}

/* ---- use ---- */

enum err pg_pool_send(struct pg_pool *pool, const struct pg_params *params, struct pg_query *query)
{
    struct list_node *node;

    CHECK(query->on_answer != NULL);
    while ((node = list_first(&pool->lists[PG_CONN_IDLE])) != NULL) {
        if (pg_conn_send(pg_connection_of(node), params, query) == ERR_OK)
            return ERR_OK;
    }
    return pg_pool_usable(pool) > 0 ? ERR_AGAIN : ERR_UNAVAILABLE;
}
