/*
 * payment_probe (private to pool/): asks the database in the background how it is.
 *
 * One statement per DB_PROBE_INTERVAL_MS on a connection of its own, so that no work of callers can
 * hold it up, and at once when that or the service's pool comes up. Its row carries the residency
 * guard: while pay.region is not REGION, or was not read since the pool came up, we are not ready
 * and the store sends nothing. A change is told in the audit log.
 *
 *   not known --answer--> own <--answer--> other
 *      ^---- the pool's last connection ends ----'
 *
 * The guard looks once an interval and on a connection of its own, so it saves statements but is
 * not the wall: that is the region condition in every statement. While the database is another's,
 * and when it is ours again, connections are replaced: the name may lead elsewhere by now.
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
    bool is_other; /* the last answer named another region */
    bool doubted;  /* since that answer */
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

/* May statements of callers be sent? ERR_ELSEWHERE: the database is another region's.
 * ERR_UNAVAILABLE: whose it is is not known yet. */
MUST_USE enum err payment_probe_admit(const struct payment_probe *probe);
/* A statement found another region's database. The probe looks at once, and the service's
 * connections are replaced: it may be one of them that went astray. Once for each answer. */
void payment_probe_doubt(struct payment_probe *probe);

#endif
