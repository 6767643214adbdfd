#include "pool/pg_share.h"

#include "pool/pg_lane_private.h"

#include <stdlib.h>

enum { WEIGHT_SCALE = 64 }; /* clocks are microseconds of a lane of this weight */

struct pg_share {
    struct pg_pool *pool;
    struct reactor_hook hook;
    struct pg_pool_listener listener;
    struct list lanes; /* in order of creation: between equals the first one goes */
    uint32_t reserved; /* connections promised to all lanes together */
    uint64_t clock;    /* of the lane that was served last */
};

static struct pg_lane *lane_of(struct list_node *node)
{
    return container_of(node, struct pg_lane, share_node);
}

/* Connections that others are promised and have not taken. */
static uint32_t promised_to_others(const struct pg_share *share, const struct pg_lane *lane)
{
    uint32_t promised = 0;
    for (struct list_node *node = list_first(&share->lanes); node != NULL;
         node = list_next(&share->lanes, node)) {
        const struct pg_lane *other = lane_of(node);
        if (other != lane && other->busy_tracks < other->config.reserved)
            promised += other->config.reserved - other->busy_tracks;
    }
    return promised;
}

/* May this lane take one of `idle` connections, `usable` being up? */
static bool may_take(const struct pg_share *share, const struct pg_lane *lane, uint32_t idle,
                     uint32_t usable)
{
    if (lane->busy_tracks < lane->config.reserved)
        return true;
    if (usable > share->reserved)
        return idle > promised_to_others(share, lane);
    return usable == 1 || lane->busy_tracks + 1 < usable;
}

static struct pg_lane *next_lane(struct pg_share *share, uint32_t idle)
{
    const uint32_t usable = pg_pool_usable(share->pool);
    struct pg_lane *next = NULL;

    for (struct list_node *node = list_first(&share->lanes); node != NULL;
         node = list_next(&share->lanes, node)) {
        struct pg_lane *lane = lane_of(node);
        if (!pg_lane_can_send(lane) || !may_take(share, lane, idle, usable))
            continue;
        if (lane->busy_tracks == 0 && lane->clock < share->clock)
            lane->clock = share->clock; /* it had nothing to send: no time was saved up */
        if (next == NULL || lane->clock < next->clock)
            next = lane;
    }
    return next;
}

/* For DCHECK; without it nobody calls. */
static inline bool lanes_are_sound(const struct pg_share *share)
{
    for (struct list_node *node = list_first(&share->lanes); node != NULL;
         node = list_next(&share->lanes, node))
        if (!pg_lane_is_sound(lane_of(node)))
            return false;
    return true;
}

void pg_share_dispatch(struct pg_share *share)
{
    struct list expired;
    struct pg_lane *lane;
    uint32_t idle;

    list_init(&expired);
    for (struct list_node *node = list_first(&share->lanes); node != NULL;
         node = list_next(&share->lanes, node))
        pg_lane_note_sendable(lane_of(node));
    while ((idle = pg_pool_count(share->pool, PG_CONN_IDLE)) > 0 &&
           (lane = next_lane(share, idle)) != NULL) {
        share->clock = lane->clock;
        if (!pg_lane_send(lane, &expired) && expired.count == 0)
            break; /* the listener tells when to try again, or that the pool is down */
        pg_queue_end(lane, &expired);
    }
    DCHECK(lanes_are_sound(share));
}

void pg_share_charge(struct pg_lane *lane, uint64_t used_us)
{
    lane->clock += used_us * WEIGHT_SCALE / lane->config.weight;
}

static void on_turn_end(struct reactor_hook *hook)
{
    pg_share_dispatch(container_of(hook, struct pg_share, hook));
}

static void on_pool_change(struct pg_pool_listener *listener)
{
    struct pg_share *share = container_of(listener, struct pg_share, listener);

    if (pg_pool_usable(share->pool) > 0) {
        pg_share_dispatch(share);
        return;
    }
    /* All lost their statements at once: they are back in a moment, and members have due times. */
    if (pg_pool_count(share->pool, PG_CONN_PREPARING) > 0)
        return;
    for (struct list_node *node = list_first(&share->lanes); node != NULL;
         node = list_next(&share->lanes, node))
        if (pg_lane_waiting(lane_of(node)) > 0)
            pg_queue_sweep(lane_of(node), true, PG_UNAVAILABLE);
}

void pg_share_join(struct pg_share *share, struct pg_lane *lane)
{
    list_push_back(&share->lanes, &lane->share_node);
    share->reserved += lane->config.reserved;
}

void pg_share_leave(struct pg_share *share, struct pg_lane *lane)
{
    list_remove(&share->lanes, &lane->share_node);
    share->reserved -= lane->config.reserved;
}

enum err pg_share_create(struct pg_share **share, struct pg_pool *pool)
{
    struct pg_share *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return ERR_SYSTEM;
    made->pool = pool;
    list_init(&made->lanes);
    made->hook.on_turn_end = on_turn_end;
    made->listener.on_change = on_pool_change;
    reactor_hook_add(pg_pool_reactor(pool), &made->hook);
    pg_pool_listen(pool, &made->listener);
    *share = made;
    return ERR_OK;
}

void pg_share_destroy(struct pg_share *share)
{
    if (share == NULL)
        return;
    CHECK(share->lanes.count == 0);
    pg_pool_unlisten(share->pool, &share->listener);
    reactor_hook_remove(pg_pool_reactor(share->pool), &share->hook);
    free(share);
}
