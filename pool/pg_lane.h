/*
 * pg_lane: a waiting line before the pool: coalescing, admission, deadlines, retry of one.
 *
 * Owns its queue(s) and its tracks. A track has at most one statement in flight and takes any idle
 * connection for it. While it is in flight, members queue; when the answer comes, all that wait (up
 * to batch_max) leave together as one array statement, and only then are the answers handed out. At
 * the end of each loop turn free tracks take what has come in that turn. No timer delays anything.
 *
 * Promises: O(1) admission at submit; on_done exactly once per accepted member, never inside
 * submit, at the latest at its due time; a sent statement is never cancelled. Errors:
 *  - ERROR answer: each member is retried once, alone, in the retry lane, if more time is left than
 *    the failed attempt took; where the server says it never ran (0A000, 26000), once for each
 *    connection;
 *  - LOST answer: members of a read-only work are retried so too; others end PG_UNKNOWN;
 *  - a member whose verdict is BUSY (its row is locked elsewhere) goes to the retry lane, which
 *    waits.
 *
 *   member  NEW --submit--> WAITING --cut--> SENT --answer--> DONE
 *                              '--expired, pool down--> ENDING --> DONE
 *                                             SENT --due passed--> DONE (late answer dropped)
 *   track   FREE <--> SENT
 */
#ifndef POOL_PG_LANE_H
#define POOL_PG_LANE_H

#include "core/buf.h"
#include "core/err.h"
#include "core/histogram.h"
#include "core/list.h"
#include "pool/pg_pool.h"

#include <stdbool.h>
#include <stdint.h>

enum { PG_BATCH_MAX = 32, PG_TRACKS_MAX = 8 };

enum pg_member_state {
    PG_MEMBER_NEW,
    PG_MEMBER_WAITING,
    PG_MEMBER_SENT,
    PG_MEMBER_ENDING, /* left the line unsent; on_done is about to be called */
    PG_MEMBER_DONE,
};

/* How a member ended. */
enum pg_outcome {
    PG_DONE,        /* decoded */
    PG_EXPIRED,     /* no room or no time to wait on: nothing was applied */
    PG_UNAVAILABLE, /* no usable connection: nothing was sent */
    PG_TIMED_OUT,   /* the server ended it (57014, 55P03): nothing moved */
    PG_UNKNOWN,     /* sent, and no answer: it may have been applied */
    PG_FAILED,      /* the server refused it, or its answer cannot be read; sqlstate tells */
};
enum { PG_OUTCOMES = PG_FAILED + 1 };
const char *pg_outcome_name(enum pg_outcome outcome);

/* What decode says of one member. */
enum pg_verdict { PG_VERDICT_NONE, PG_VERDICT_DONE, PG_VERDICT_BUSY };

struct pg_member;
typedef void pg_member_fn(struct pg_member *member, enum pg_outcome outcome);

/* A kind of member: how many of them become one statement and how its rows become answers. */
struct pg_work {
    const char *name; /* label of db_query_duration_seconds: eval hold void find probe */
    bool read_only;
    /* The most that encode writes into the storage for one member; for n of them it is n times that
     * at most. */
    uint32_t member_bytes_max;
    /* Chooses the statement and writes the parameters of these members. */
    void (*encode)(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                   struct buf *storage, bool alone);
    /* Sets every member's verdict. members[i] is NULL where it was answered meanwhile: skip it. A
     * member left PG_VERDICT_NONE ends PG_FAILED. */
    void (*decode)(struct pg_member **members, uint32_t count, const struct pg_rows *rows);
    /* May these two share a batch? NULL: always. */
    bool (*compatible)(const struct pg_member *a, const struct pg_member *b);
};

struct pg_lane;

/* Embedded in the request. Storage is the owner's until on_done. The owner sets work, shard, due_us
 * and on_done; the rest is the lane's. */
struct pg_member {
    struct list_node node;
    struct pg_lane *lane; /* where it waits or is in flight; NULL: nowhere */
    const struct pg_work *work;
    uint64_t shard;  /* picks the track in a sharded lane (wallet id) */
    uint64_t due_us; /* absolute, monotonic */
    pg_member_fn *on_done;

    enum pg_member_state state;
    enum pg_verdict verdict;
    uint8_t tries;
    uint8_t batch_index;                      /* while SENT */
    uint64_t queued_us, sent_us, answered_us; /* for Server-Timing and histograms */
    char sqlstate[PG_SQLSTATE_LEN + 1];
};

struct pg_lane_config {
    const char *name;
    uint8_t tracks;
    uint8_t batch_max;
    bool sharded; /* member goes to the queue of track shard % tracks; else one queue for all */
    bool alone;   /* the retry lane: batches of one, encode(alone = true) */
    uint32_t queue_max;
    uint32_t queue_wait_max_us;
    struct pg_lane *retry; /* where members are retried alone; NULL in the retry lane itself */
    /* What its members may be; borrowed for the call. They size the storage of parameters. */
    const struct pg_work *const *works;
    uint8_t work_count;
};

struct pg_lane_stats {
    uint64_t accepted_total, batches_total, members_sent_total, retries_total;
    uint64_t refused_full_total, refused_budget_total, refused_down_total;
    uint64_t expired_total, unknown_total, late_answers_total;
    struct histogram wait_time;    /* queued to sent */
    struct histogram service_time; /* per batch */
};

/* ERR_INVALID: one of the works does not fit in the retry lane. ERR_SYSTEM: no memory. */
MUST_USE enum err pg_lane_create(struct pg_lane **lane, struct pg_pool *pool,
                                 const struct pg_lane_config *config);
void pg_lane_destroy(struct pg_lane *lane);

/* The member's work must be one that the lane was made for (a CHECK holds it to the storage).
 * ERR_FULL: queue at its limit, or predicted wait over queue_wait_max_us. ERR_TIMEOUT: predicted
 * wait over what is left of the member's budget. ERR_UNAVAILABLE: no usable connection. */
MUST_USE enum err pg_lane_submit(struct pg_lane *lane, struct pg_member *member);
/* True: it was still waiting, in whichever lane, and is forgotten: on_done will not run. False: it
 * is sent (or done). */
bool pg_lane_cancel(struct pg_member *member);

uint64_t pg_lane_predicted_wait_us(const struct pg_lane *lane, uint64_t shard);
uint32_t pg_lane_waiting(const struct pg_lane *lane);
uint32_t pg_lane_in_flight(const struct pg_lane *lane); /* members */
/* Nothing waiting, nothing in flight. */
bool pg_lane_quiet(const struct pg_lane *lane);
const struct pg_lane_stats *pg_lane_stats(const struct pg_lane *lane);
const char *pg_lane_name(const struct pg_lane *lane);

#endif
