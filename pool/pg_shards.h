/*
 * pg_shards: the book of shards (wallets) that lanes share: which are hot, locked elsewhere, or
 * poisoned. Its owner is told when one is poisoned and when it recovers.
 * Entries: pg_shard_private.h.
 */
#ifndef POOL_PG_SHARDS_H
#define POOL_PG_SHARDS_H

#include "core/check.h"
#include "core/err.h"
#include "core/reactor.h"

#include <stdbool.h>
#include <stdint.h>

struct pg_shards;

/* sqlstate: of the last failure; "" when it recovered. Runs inside a lane's answer: it may log, and
 * must not submit. */
typedef void pg_shards_poison_fn(void *owner, uint64_t key, bool poisoned, const char *sqlstate);

struct pg_shards_config {
    uint32_t member_max; /* members that may be in the lanes at one time */
    uint64_t poison_hold_us;
    pg_shards_poison_fn *on_poison; /* NULL: nobody is told */
    void *owner;
};

struct pg_shards_stats {
    uint64_t poisoned_total, parked_total, yielded_total, forgotten_total;
    uint32_t entries, parked, alone; /* now */
    uint32_t poisoned;               /* refused now; one that nobody asks for is forgiven by time */
    uint32_t hottest;                /* most members that wait for one of them, now */
};

/* ERR_SYSTEM: no memory. Uses one reactor timer. */
MUST_USE enum err pg_shards_create(struct pg_shards **book, struct reactor *reactor,
                                   const struct pg_shards_config *config);
/* Its lanes are destroyed before. */
void pg_shards_destroy(struct pg_shards *book);
struct pg_shards_stats pg_shards_stats(const struct pg_shards *book);

#endif
