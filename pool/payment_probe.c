#include "pool/payment_probe_private.h"

#include "core/clock.h"
#include "core/log.h"
#include "pool/migrate.h"

#include <string.h>

enum {
    PROBE_BUDGET_MS = 1000,
    PROBE_MISSES_MAX = 3, /* intervals without an answer until the database counts as away */
};

static struct payment_probe *probe_of(const struct pg_member *member)
{
    return container_of((struct pg_member *)(uintptr_t)member, struct payment_probe, member);
}

static void probe_encode(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                         struct buf *storage, bool alone)
{
    (void)members, (void)storage, (void)alone;
    CHECK(count == 1);
    params->statement = PAYMENT_SQL_PROBE;
}

static void probe_decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    CHECK(count == 1);
    if (members[0] == NULL)
        return;
    if (payment_sql_decode_probe(rows, &probe_of(members[0])->row))
        members[0]->verdict = PG_VERDICT_DONE;
}

const struct pg_work PAYMENT_PROBE_WORK = {
    .name = "probe",
    .read_only = true,
    .encode = probe_encode,
    .decode = probe_decode,
};

/* The residency guard: a database that says it is another region's never makes us ready. */
static void probe_check_region(struct payment_probe *probe)
{
    const struct payment_probe_row *row = &probe->row;

    probe->health.region_ok = strcmp(row->region, probe->region) == 0;
    if (!probe->health.region_ok && !probe->region_mismatch_logged)
        log_error("region_mismatch", LOG_TEXT("database.region", row->region),
                  LOG_TEXT("configured.region", probe->region),
                  LOG_TEXT("detail", "this database holds another region's data; not ready"));
    probe->region_mismatch_logged = !probe->health.region_ok;
}

static void probe_on_done(struct pg_member *member, enum pg_outcome outcome)
{
    struct payment_probe *probe = probe_of(member);

    if (outcome != PG_DONE)
        return;
    probe->answered_us = member->answered_us;
    probe->health.latency_us = member->answered_us - member->sent_us;
    histogram_record(probe->query_time, probe->health.latency_us);
    probe->health.schema_ok = probe->row.schema_version >= MIGRATE_VERSION_LATEST;
    probe->health.isolation_ok = strcmp(probe->row.isolation, "read committed") == 0;
    probe->health.has_reference = probe->row.has_reference;
    probe->health.reference = probe->row.reference;
    probe_check_region(probe);
}

static void probe_send(struct payment_probe *probe)
{
    if (probe->member.state == PG_MEMBER_WAITING || probe->member.state == PG_MEMBER_SENT)
        return;
    probe->member.due_us =
        reactor_now_us(pg_pool_reactor(probe->pool)) + (uint64_t)PROBE_BUDGET_MS * CLOCK_US_PER_MS;
    /* A refusal is the answer: database_ok runs out by itself and the next interval asks again. */
    if (pg_lane_submit(probe->lane, &probe->member) == ERR_OK)
        reactor_wake(pg_pool_reactor(probe->pool));
}

static void probe_on_interval(struct reactor_timer *timer)
{
    struct payment_probe *probe = container_of(timer, struct payment_probe, timer);

    probe_send(probe);
    reactor_timer_set(pg_pool_reactor(probe->pool), timer,
                      reactor_now_us(pg_pool_reactor(probe->pool)) + probe->interval_us);
}

static bool database_answers(const struct payment_probe *probe)
{
    return pg_pool_usable(probe->pool) > 0 && probe->answered_us != 0 &&
           reactor_now_us(pg_pool_reactor(probe->pool)) - probe->answered_us <
               PROBE_MISSES_MAX * probe->interval_us;
}

static void probe_on_pool_change(struct pg_pool_listener *listener)
{
    struct payment_probe *probe = container_of(listener, struct payment_probe, listener);

    if (pg_pool_usable(probe->pool) == pg_pool_size(probe->pool))
        probe->health.pool_ready = true;
    if (pg_pool_usable(probe->pool) == 0)
        probe->answered_us = 0; /* what it said was about connections that are gone */
    else if (probe->answered_us == 0)
        probe_send(probe);
}

void payment_probe_start(struct payment_probe *probe, struct pg_pool *pool, struct pg_lane *lane,
                         const struct config *config, struct histogram *query_time)
{
    probe->pool = pool;
    probe->lane = lane;
    probe->query_time = query_time;
    probe->region = config->region;
    probe->interval_us = (uint64_t)config->db_probe_interval_ms * CLOCK_US_PER_MS;
    probe->member = (struct pg_member){.work = &PAYMENT_PROBE_WORK, .on_done = probe_on_done};
    probe->timer.on_due = probe_on_interval;
    probe->listener.on_change = probe_on_pool_change;
    pg_pool_listen(pool, &probe->listener);
    reactor_timer_set(pg_pool_reactor(pool), &probe->timer,
                      reactor_now_us(pg_pool_reactor(pool)) + probe->interval_us);
}

void payment_probe_stop(struct payment_probe *probe)
{
    if (probe->pool == NULL)
        return;
    pg_pool_unlisten(probe->pool, &probe->listener);
    reactor_timer_clear(pg_pool_reactor(probe->pool), &probe->timer);
}

const struct payment_store_health *payment_probe_health(struct payment_probe *probe)
{
    probe->health.database_ok = database_answers(probe);
    return &probe->health;
}
