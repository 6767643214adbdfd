#include "pool/payment_probe_private.h"

#include "core/clock.h"
#include "core/log.h"
#include "pool/migrate.h"

#include <stdio.h>
#include <string.h>

/* Intervals without an answer until the database counts as away. */
enum { PROBE_MISSES_MAX = 3 };

#define PROBE_APPLICATION_SUFFIX " probe"

/* The residency guard shuts or opens; also on what makes it necessary to look again. */
static void probe_tell_region(const struct payment_probe *probe)
{
    const struct log_field database = LOG_TEXT("database.region", probe->row.region);
    const struct log_field configured = LOG_TEXT("configured.region", probe->region);

    if (probe->is_other)
        log_error("region_mismatch", database, configured,
                  LOG_TEXT("detail", "this database holds another region's data; not ready"));
    log_audit("residency_guard", database, configured,
              LOG_TEXT("result", probe->is_other ? "shut" : "open"));
}

static void probe_check_region(struct payment_probe *probe)
{
    const bool was_other = probe->is_other;

    probe->is_other = strcmp(probe->row.region, probe->region) != 0;
    probe->health.region_ok = !probe->is_other;
    probe->health.region_known = true;
    if (probe->is_other != was_other)
        probe_tell_region(probe);
    if (probe->is_other)
        pg_pool_new_epoch(probe->connection);
    else if (was_other)
        pg_pool_new_epoch(probe->pool);
}

static void probe_take(struct payment_probe *probe)
{
    const uint64_t now_us = reactor_now_us(probe->reactor);

    probe->answered_us = now_us;
    probe->doubted = false;
    probe->health.latency_us = now_us - probe->query.sent_us;
    histogram_record(probe->query_time, probe->health.latency_us);
    probe->health.schema_ok = probe->row.schema_version >= MIGRATE_VERSION_LATEST;
    probe->health.isolation_ok = strcmp(probe->row.isolation, "read committed") == 0;
    probe->health.has_reference = probe->row.has_reference;
    probe->health.reference = probe->row.reference;
    probe->health.whole_audit = probe->row.whole_audit;
    probe->health.recent_audit = probe->row.recent_audit;
    secret_mac_key_set(&probe->hash_key, probe->row.idempotency_key);
    secret_wipe(probe->row.idempotency_key, sizeof(probe->row.idempotency_key));
    probe->has_hash_key = true;
    probe_check_region(probe);
}

/* No answer and a bad one are the same: database_ok runs out by itself, the next interval asks
 * again. */
static void probe_on_answer(struct pg_query *query, const struct pg_answer *answer)
{
    struct payment_probe *probe = container_of(query, struct payment_probe, query);

    probe->in_flight = false;
    if (answer->kind == PG_ANSWER_ROWS && payment_sql_decode_probe(answer->rows, &probe->row))
        probe_take(probe);
}

static void probe_send(struct payment_probe *probe)
{
    const struct pg_params params = {.statement = 0};

    if (!probe->in_flight && pg_pool_send(probe->connection, &params, &probe->query) == ERR_OK)
        probe->in_flight = probe->asked = true;
}

static void probe_on_interval(struct reactor_timer *timer)
{
    struct payment_probe *probe = container_of(timer, struct payment_probe, timer);

    probe_send(probe);
    reactor_timer_set(probe->reactor, timer, reactor_now_us(probe->reactor) + probe->interval_us);
}

static bool database_answers(const struct payment_probe *probe)
{
    return pg_pool_usable(probe->pool) > 0 && probe->answered_us != 0 &&
           reactor_now_us(probe->reactor) - probe->answered_us <
               PROBE_MISSES_MAX * probe->interval_us;
}

static void probe_on_pool_change(struct pg_pool_listener *listener)
{
    struct payment_probe *probe = container_of(listener, struct payment_probe, listener);

    if (pg_pool_usable(probe->pool) == pg_pool_size(probe->pool))
        probe->health.pool_ready = true;
    if (pg_pool_usable(probe->pool) == 0) {
        /* What it said was about connections that are gone. */
        probe->answered_us = 0;
        probe->health.region_known = false;
        probe->asked = false;
    } else if (!probe->asked) {
        probe_send(probe);
    }
}

static void probe_on_own_change(struct pg_pool_listener *listener)
{
    struct payment_probe *probe = container_of(listener, struct payment_probe, connection_listener);

    if (pg_pool_usable(probe->connection) == 0)
        probe->asked = false;
    else if (!probe->asked)
        probe_send(probe);
}

static enum err probe_connect(struct payment_probe *probe, const struct pg_pool_config *database)
{
    char name[CONFIG_TEXT_MAX];
    struct pg_pool_config config = *database;

    snprintf(name, sizeof(name), "%s" PROBE_APPLICATION_SUFFIX, database->application_name);
    config.application_name = name;
    config.conn_count = 1;
    return pg_pool_create(&probe->connection, probe->reactor, &config,
                          &PAYMENT_SQL[PAYMENT_SQL_PROBE], 1);
}

enum err payment_probe_start(struct payment_probe *probe, struct pg_pool *pool,
                             const struct pg_pool_config *database, const struct config *config,
                             struct histogram *query_time)
{
    probe->pool = pool;
    probe->reactor = pg_pool_reactor(pool);
    probe->query_time = query_time;
    probe->region = config->region;
    probe->interval_us = (uint64_t)config->db_probe_interval_ms * CLOCK_US_PER_MS;
    probe->query.on_answer = probe_on_answer;
    probe->timer.on_due = probe_on_interval;
    probe->listener.on_change = probe_on_pool_change;
    probe->connection_listener.on_change = probe_on_own_change;
    const enum err err = probe_connect(probe, database);
    if (err != ERR_OK)
        return err;
    pg_pool_listen(pool, &probe->listener);
    pg_pool_listen(probe->connection, &probe->connection_listener);
    reactor_timer_set(probe->reactor, &probe->timer,
                      reactor_now_us(probe->reactor) + probe->interval_us);
    return ERR_OK;
}

void payment_probe_stop(struct payment_probe *probe)
{
    if (probe->connection == NULL)
        return;
    pg_pool_unlisten(probe->pool, &probe->listener);
    pg_pool_unlisten(probe->connection, &probe->connection_listener);
    reactor_timer_clear(probe->reactor, &probe->timer);
    pg_pool_destroy(probe->connection);
    probe->connection = NULL;
}

const struct payment_store_health *payment_probe_health(struct payment_probe *probe)
{
    probe->health.database_ok = database_answers(probe);
    return &probe->health;
}

enum err payment_probe_admit(const struct payment_probe *probe)
{
    /* With no usable connection it is the lane's to refuse, and to count. */
    if (!probe->health.region_known && pg_pool_usable(probe->pool) > 0)
        return ERR_UNAVAILABLE;
    return probe->health.region_known && !probe->health.region_ok ? ERR_ELSEWHERE : ERR_OK;
}

void payment_probe_doubt(struct payment_probe *probe)
{
    if (probe->doubted || probe->connection == NULL)
        return;
    probe->doubted = true;
    pg_pool_new_epoch(probe->pool);
    probe_send(probe);
}
