/*
 * pg_lane_private (private to pool/): what a lane is made of.
 *
 * pg_lane.c owns the whole (admission, life, figures), pg_queue.c who waits, pg_track.c the
 * statements in flight (cut, send, answer, due), pg_settle.c and pg_retry.c what becomes of those
 * whose statement brought rows or failed, pg_share.c whose turn it is.
 */
#ifndef POOL_PG_LANE_PRIVATE_H
#define POOL_PG_LANE_PRIVATE_H

#include "core/reactor.h"
#include "pool/pg_lane.h"
#include "pool/pg_shard_private.h"
#include "pool/pg_share.h"

struct pg_track {
    struct pg_query query;
    struct pg_lane *lane;
    struct reactor_timer due_timer;
    bool in_flight;
    bool alone; /* it has one member, which was tried before or shares with nobody */
    uint8_t count;
    uint64_t sent_us;
    struct pg_member *members[PG_BATCH_MAX]; /* NULL: answered before the database did */
    struct pg_shard *shards[PG_BATCH_MAX];   /* of each member, also after it was answered */
};

struct pg_lane {
    struct list_node share_node;
    struct pg_lane_config config;
    struct pg_pool *pool;
    struct reactor *reactor;
    struct reactor_timer expiry_timer;

    struct list line;        /* members that wait, without a shard's line */
    struct list in_shards;   /* members that wait in the line of a shard */
    struct list retrying;    /* members that go again; neighbours of one bundle together */
    struct list ready;       /* shards with members that may be sent */
    struct list ready_alone; /* those whose members share statements with nobody */
    uint32_t bundles;        /* the last number given */
    bool retried_last;       /* the retry track had its turn: new work first */

    struct pg_track tracks[PG_TRACKS_MAX];
    struct pg_track retry_track;
    uint32_t busy_tracks, in_flight;
    uint64_t clock;           /* connection time used, by weight (pg_share) */
    uint64_t service_ewma_us; /* of one batch, send to answer */
    uint64_t turn_ewma_us; /* from being able to send to sending: what a connection's turn takes */
    uint64_t sendable_us;  /* since when it could send, 0: it cannot */
    struct pg_lane_stats stats;
    size_t storage_bytes;
    char storage[]; /* parameters of the batch being sent */
};

static inline struct pg_member *pg_member_of(struct list_node *node)
{
    return container_of(node, struct pg_member, node);
}

static inline struct pg_member *pg_member_of_shard(struct list_node *node)
{
    return container_of(node, struct pg_member, shard_node);
}

/* ---- pg_queue.c: who waits ---- */

/* Joins the end of the line, its shard's where it has one; queued_us is set. */
void pg_queue_join(struct pg_lane *lane, struct pg_member *member);
/* Joins the head of its shard's line: it was there before the others. */
void pg_queue_join_again(struct pg_lane *lane, struct pg_member *member);
/* Leaves the line, WAITING or RETRYING. A shard that it leaves is the caller's to settle. */
void pg_queue_leave(struct pg_member *member);
/* Joins `retrying` before the others, as one of the bundle. It keeps its shard out. */
void pg_queue_retry(struct pg_lane *lane, struct pg_member *member, uint32_t bundle);
/* A shard's members need not go alone any more. */
void pg_queue_rejoin(struct pg_shard *shard);
/* How a member ends whose time is over while it waits: by what it waits for. */
enum pg_outcome pg_queue_outcome_of_waiting(const struct pg_member *member);
/* Leaves unsent; joins `ending`, a list that the caller ends when the line is settled. */
void pg_queue_leave_unsent(struct pg_member *member, struct list *ending, enum pg_outcome outcome);
/* One that was sent joins the head of `ending`. */
void pg_queue_end_later(struct pg_member *member, enum pg_outcome outcome, struct list *ending);
/* Calls on_done for all of them: the last thing that touches a member, its owner may reuse it. */
void pg_queue_end(struct pg_lane *lane, struct list *ending);
/* Ends every waiting member, or with `all` false those past their time. */
void pg_queue_sweep(struct pg_lane *lane, bool all, enum pg_outcome outcome);
void pg_queue_on_expiry(struct reactor_timer *timer);
/* Its member went out, or is answered. The last one back settles it. */
void pg_shard_member_out(struct pg_shard *shard);
void pg_shard_member_back(struct pg_shard *shard);
/* Where a READY shard belongs: with the lane of its first member. */
struct list *pg_lane_ready_list(const struct pg_shard *shard);

/* ---- pg_track.c: statements in flight ---- */

void pg_track_init(struct pg_track *track, struct pg_lane *lane);
/* A track is free and something may be sent. */
bool pg_lane_can_send(const struct pg_lane *lane);
/* Keeps sendable_us. Called at every dispatch: what could be sent may have expired, been cancelled,
 * parked or unparked since the last one. */
void pg_lane_note_sendable(struct pg_lane *lane);
/* Sends one batch on an idle connection. False: nothing could be sent. Members found past their
 * time join `expired`. */
bool pg_lane_send(struct pg_lane *lane, struct list *expired);

/* ---- pg_settle.c: what becomes of members whose statement brought rows ---- */

/* By their verdicts, which decode has set: they join `ending`, or a shard's line again. */
void pg_settle_rows(struct pg_track *track, struct list *ending);

/* ---- pg_retry.c: what becomes of a member whose statement brought no answer for it ---- */

/* The track's members join the lane's `retrying`, or `ending`. */
void pg_retry_failed(struct pg_track *track, const struct pg_answer *answer, uint64_t took_us,
                     struct list *ending);

/* ---- pg_audit.c ---- */

/* The lane's counts, its members' states and its shards' lists agree. O(members): for DCHECK. */
bool pg_lane_is_sound(const struct pg_lane *lane);

/* ---- pg_share.c: whose turn it is ---- */

void pg_share_join(struct pg_share *share, struct pg_lane *lane);
void pg_share_leave(struct pg_share *share, struct pg_lane *lane);
/* Hands idle connections to lanes that can send, until there are none of either. */
void pg_share_dispatch(struct pg_share *share);
/* The lane has used a connection for so long. */
void pg_share_charge(struct pg_lane *lane, uint64_t used_us);

#endif
