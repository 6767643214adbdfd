/*
 * pg_share: which lane gets the next idle connection.
 *
 * Lanes of one pool are served by weight: each lane has a clock that runs with the connection time
 * it has used, divided by its weight; the lane whose clock is furthest behind goes first (stride
 * scheduling, Waldspurger and Weihl 1995). A lane that had nothing to send does not save time up.
 * Each lane has `reserved` connections that the others leave to it while enough are up; what is
 * idle beyond that is lent to who asks. While fewer are up, no lane takes the last one if there are
 * two, and from one connection on all are served by weight alone. O(lanes), no allocation.
 */
#ifndef POOL_PG_SHARE_H
#define POOL_PG_SHARE_H

#include "core/err.h"
#include "core/list.h"
#include "pool/pg_pool.h"

#include <stdint.h>

struct pg_share;

/* ERR_SYSTEM: no memory. */
MUST_USE enum err pg_share_create(struct pg_share **share, struct pg_pool *pool);
/* Its lanes are destroyed before. */
void pg_share_destroy(struct pg_share *share);

#endif
