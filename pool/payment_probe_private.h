/*
 * payment_probe (private to pool/): asks the database in the background how it is.
 *
 * One statement per DB_PROBE_INTERVAL_MS through the retry lane, never on a request's path, and at
 * once when the pool comes up. Its row carries the residency guard: a database whose pay.region is
 * not REGION never makes us ready, and is named in one log line.
 */
#ifndef POOL_PAYMENT_PROBE_PRIVATE_H
#define POOL_PAYMENT_PROBE_PRIVATE_H

#include "core/histogram.h"
#include "pool/payment_sql_private.h"
#include "pool/payment_store.h"

struct payment_probe {
    struct pg_member member;
    struct reactor_timer timer;
    struct pg_pool_listener listener;
    struct pg_pool *pool;
    struct pg_lane *lane;
    struct histogram *query_time;
    const char *region; /* configured; borrowed */
    uint64_t interval_us, answered_us;
    struct payment_probe_row row;
    bool region_mismatch_logged;
    struct payment_store_health health;
};

/* What the probe sends; the lane it goes through has to know it. */
extern const struct pg_work PAYMENT_PROBE_WORK;

/* All pointers are borrowed until payment_probe_stop(). */
void payment_probe_start(struct payment_probe *probe, struct pg_pool *pool, struct pg_lane *lane,
                         const struct config *config, struct histogram *query_time);
void payment_probe_stop(struct payment_probe *probe);
const struct payment_store_health *payment_probe_health(struct payment_probe *probe);

#endif
