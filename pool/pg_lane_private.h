/*
 * pg_lane (private to pool/): what a lane is made of: its line of waiting members and its tracks.
 *
 * pg_queue.c owns the line (waiting, expiry, retry of one), pg_track.c the statements in flight
 * (cut, send, answer, due), pg_lane.c the whole (admission, life). One lane's parts touch no other
 * lane but `retry`.
 */
#ifndef POOL_PG_LANE_PRIVATE_H
#define POOL_PG_LANE_PRIVATE_H

#include "core/reactor.h"
#include "pool/pg_lane.h"

struct pg_track {
    struct pg_query query;
    struct pg_lane *lane;
    struct list queue; /* only track 0's is used unless the lane is sharded */
    struct reactor_timer due_timer;
    bool in_flight;
    uint8_t count;
    uint64_t sent_us;
    struct pg_member *members[PG_BATCH_MAX]; /* NULL: answered before the database did */
};

struct pg_lane {
    struct pg_lane_config config;
    struct pg_pool *pool;
    struct reactor *reactor;
    struct reactor_hook hook;
    struct reactor_timer expiry_timer;
    struct pg_pool_listener listener;
    struct pg_track tracks[PG_TRACKS_MAX];
    uint64_t service_ewma_us; /* of one batch, send to answer */
    uint32_t waiting, in_flight;
    struct pg_lane_stats stats;
    size_t storage_bytes; /* for batch_max members of the widest work */
    char storage[];       /* parameters of the batch being sent */
};

static inline struct pg_member *pg_member_of(struct list_node *node)
{
    return container_of(node, struct pg_member, node);
}

/* ---- pg_queue.c ---- */

struct list *pg_queue_of_track(struct pg_track *track);
/* Joins the end of this lane's line and belongs to the lane from there on; queued_us is set. */
void pg_queue_wait(struct pg_lane *lane, struct pg_member *member);
/* Leaves its lane's line. */
void pg_queue_leave(struct pg_member *member);
/* Leaves unsent; joins `ending`, a list that the caller ends when the line is settled. */
void pg_queue_leave_unsent(struct pg_member *member, struct list *ending);
/* Calls on_done for all of them. */
void pg_queue_end(struct list *ending, enum pg_outcome outcome);
/* Ends every waiting member, or with `all` false those past their time. */
void pg_queue_sweep(struct pg_lane *lane, bool all, enum pg_outcome outcome);
void pg_queue_on_expiry(struct reactor_timer *timer);
/* on_done: the last thing that touches a member, its owner may reuse it inside. */
void pg_member_done(struct pg_member *member, enum pg_outcome outcome);
/* What becomes of a member that left its track, by the kind of answer: done, or retried alone. */
void pg_member_answer(struct pg_member *member, enum pg_answer_kind kind);

/* ---- pg_track.c ---- */

void pg_track_init(struct pg_track *track, struct pg_lane *lane);
/* Sends one batch if the track is free, something waits and a connection is idle. Members found
 * past their deadline join `expired`. */
void pg_track_dispatch(struct pg_track *track, struct list *expired);

#endif
