/*
 * payment_probe (private to pool/): asks the database in the background how it is.
 *
 * One statement per DB_PROBE_INTERVAL_MS on a connection of its own, so that no work of callers can
 * hold it up, and at once when that or the service's pool comes up. Its row carries the residency
 * guard: a database whose pay.region is not REGION never makes us ready, and is named in one log
 * line.
 */
#ifndef POOL_PAYMENT_PROBE_PRIVATE_H
#define POOL_PAYMENT_PROBE_PRIVATE_H

#include "core/histogram.h"
#include "pool/payment_sql_private.h"
#include "pool/payment_store.h"

struct payment_probe {
    struct pg_pool *pool;       /* of the service; borrowed */
    struct pg_pool *connection; /* the probe's own: a pool of one */
    struct pg_pool_listener listener, connection_listener;
    struct pg_query query;
    bool in_flight, asked; /* asked: since the pool, or the probe's own connection, came up */
    struct reactor *reactor;
    struct reactor_timer timer;
    struct histogram *query_time;
    const char *region; /* configured; borrowed */
    uint64_t interval_us, answered_us;
    struct payment_probe_row row;
    bool region_mismatch_logged;
    bool has_hash_key;
    struct secret_mac_key hash_key; /* of Idempotency-Keys, once has_hash_key */
    struct payment_store_health health;
};

/* database: as of the service's pool; its connection count is replaced by one. All pointers are
 * borrowed until payment_probe_stop(). */
MUST_USE enum err payment_probe_start(struct payment_probe *probe, struct pg_pool *pool,
                                      const struct pg_pool_config *database,
                                      const struct config *config, struct histogram *query_time);
/* Closes its connection. May be called twice; health and hash key stay what they were. */
void payment_probe_stop(struct payment_probe *probe);
const struct payment_store_health *payment_probe_health(struct payment_probe *probe);

#endif
