/*
 * pg_lane: one kind of work before the pool: a waiting line, coalescing, admission, deadlines.
 *
 * Owns its line and its tracks. A track has at most one statement in flight and takes any idle
 * connection for it. While statements are in flight, members queue; when an answer comes, what
 * waits (up to batch_max) leaves together as one array statement, and only then are the answers
 * handed out. At the end of each loop turn free tracks take what has come in that turn. No timer
 * delays anything. Which lane gets a connection is pg_share's to say.
 *
 * A member may name a shard (a wallet). In an exclusive lane a shard is in one statement at a time:
 * its members wait in order of arrival and share statements, and a shard holds at most its part of
 * the line. What one shard does to the database is its own loss (pg_shard_private.h).
 *
 * Promises: O(1) admission at submit; on_done exactly once per accepted member, never inside
 * submit, at the latest at its due time; a sent statement is never cancelled. A failed batch:
 *  - the server or the connection was at fault (0A000, 26000, 25006, 57P0x, 40xxx, 53xxx, a read
 *    that was lost): all its members go again together;
 *  - LOST answer of a write, and rows that leave a member of it out: it ends PG_UNKNOWN;
 *  - any other error, a timeout too: it is halved, until the member at fault is alone. Members
 *    without the time for that are ended. Retries have a track of their own.
 *  - a member whose verdict is BUSY (its row is locked elsewhere) waits in memory: its shard is
 *    parked and asked again after a while with jitter, never waiting inside the database.
 *
 *   member  NEW --submit--> WAITING --cut--> SENT --answer--> ENDING --> DONE
 *                    ^         |              |--busy--> WAITING
 *                    |         |              |--failed--> RETRYING --cut--> SENT
 *                    |         |              '--due passed--> DONE (late answer dropped)
 *                    |         '--expired, pool down--> ENDING --> DONE
 *                    |--submit (alone, no shard)--> RETRYING
 *                    '--cancel (WAITING, RETRYING)
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
    PG_MEMBER_RETRYING, /* its statement failed and moved nothing; it goes again */
    PG_MEMBER_ENDING,   /* on_done is about to be called */
    PG_MEMBER_DONE,
};

/* How a member ended. */
enum pg_outcome {
    PG_DONE,        /* decoded */
    PG_EXPIRED,     /* no room or no time to wait on: nothing was applied */
    PG_UNAVAILABLE, /* no usable connection: nothing was applied */
    PG_TIMED_OUT,   /* the server ended it (57014), or its time was over: nothing moved */
    PG_BUSY,        /* its row stayed locked elsewhere: nothing moved */
    PG_LOCKED,      /* alone it waited in vain for another session's lock (55P03): nothing moved */
    PG_POISONED,    /* its shard failed again and again while it waited: nothing was applied */
    PG_ELSEWHERE,   /* the database is not the one it was meant for: nothing was applied */
    PG_UNKNOWN,     /* a write was sent, and no answer can be read: it may have been applied */
    PG_FAILED,      /* the server refused it (sqlstate), or what a read brought makes no sense */
};
enum { PG_OUTCOMES = PG_FAILED + 1 };
const char *pg_outcome_name(enum pg_outcome outcome);

/* What decode says of one member. */
enum pg_verdict { PG_VERDICT_NONE, PG_VERDICT_DONE, PG_VERDICT_BUSY, PG_VERDICT_ELSEWHERE };

struct pg_lane;
struct pg_member;
struct pg_shard;
typedef void pg_member_fn(struct pg_member *member, enum pg_outcome outcome);

/* A kind of member: how many of them become one statement and how its rows become answers. */
struct pg_work {
    const char *name; /* label of db_query_duration_seconds: eval hold void find */
    bool read_only;
    /* The most that encode writes into the storage for one member; for n of them it is n times that
     * at most. */
    uint32_t member_bytes_max;
    /* Chooses the statement and writes the parameters of these members; those of one shard are
     * neighbours, in order of arrival. */
    void (*encode)(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                   struct buf *storage);
    /* Sets every member's verdict. members[i] is NULL where it was answered meanwhile: skip it. A
     * member left PG_VERDICT_NONE ends PG_FAILED, of a write PG_UNKNOWN. BUSY needs a shard: decode
     * may set it then. */
    void (*decode)(struct pg_member **members, uint32_t count, const struct pg_rows *rows);
};

/* Embedded in the request. Storage is the owner's until on_done. The owner sets work, shard, alone,
 * due_us and on_done; the rest is the lane's. */
struct pg_member {
    struct list_node node;       /* on one list of its lane, by state */
    struct list_node shard_node; /* in its shard's line */
    const struct pg_work *work;
    uint64_t shard;  /* 0: none */
    uint64_t due_us; /* absolute, monotonic */
    bool alone;      /* shares no statement */
    pg_member_fn *on_done;

    struct pg_lane *lane;   /* since submit */
    struct pg_shard *entry; /* while it waits in a shard's line, or is out from there */
    enum pg_member_state state;
    enum pg_verdict verdict;
    enum pg_outcome outcome; /* ENDING */
    uint8_t tries;           /* after errors of the session; halving has its own end */
    bool failed_alone;       /* once already */
    uint32_t bundle;         /* RETRYING: neighbours of one bundle go together */
    uint64_t queued_us, sent_us, answered_us; /* for Server-Timing and histograms */
    uint64_t busy_since_us;                   /* 0: its row was not found locked */
    char sqlstate[PG_SQLSTATE_LEN + 1];
};

struct pg_share;
struct pg_shards;

struct pg_lane_config {
    const char *name;
    const struct pg_work *const *works; /* what its members may be; borrowed for the call */
    uint8_t work_count;
    struct pg_share *share;   /* hands out the connections; borrowed */
    struct pg_shards *shards; /* what is known of shards; borrowed, may be shared */
    bool exclusive;           /* a shard is in one statement at a time */
    uint8_t tracks;           /* for new work; retries have one more */
    uint8_t batch_max;
    uint8_t weight;                /* part of the connections' time, against the other lanes' */
    uint8_t reserved;              /* connections that the other lanes leave to it */
    uint32_t queue_max, shard_max; /* members that wait, of all shards and of one */
    uint32_t queue_wait_max_us;
    uint32_t lock_wait_max_us; /* how long a member waits for a row that is locked elsewhere */
};

struct pg_lane_stats {
    uint64_t accepted_total, batches_total, members_sent_total, retries_total;
    uint64_t answered_total;   /* batches that brought rows */
    uint64_t halvings_total;   /* failed batches that were cut in two */
    uint64_t busy_total;       /* members that found their row locked */
    uint64_t folded_total;     /* members sent together with another of their shard */
    uint64_t service_us_total; /* the connections' time it has used */
    uint64_t refused_full_total, refused_budget_total, refused_down_total;
    uint64_t refused_shard_total; /* the shard's own line is full or too slow */
    uint64_t refused_poisoned_total;
    uint64_t expired_total, unknown_total, late_answers_total;
    struct histogram wait_time;    /* queued to sent */
    struct histogram service_time; /* per batch */
};

/* ERR_SYSTEM: no memory. */
MUST_USE enum err pg_lane_create(struct pg_lane **lane, struct pg_pool *pool,
                                 const struct pg_lane_config *config);
void pg_lane_destroy(struct pg_lane *lane);

/* ERR_FULL: the line or its shard's part of it is at its limit, or the predicted wait is over
 * queue_wait_max_us. ERR_TIMEOUT: the predicted wait is over what is left of the member's budget.
 * ERR_BUSY: it is, because another session has had the shard's row for so long. ERR_UNAVAILABLE: no
 * usable connection. ERR_POISONED: its shard failed again and again. */
MUST_USE enum err pg_lane_submit(struct pg_lane *lane, struct pg_member *member);
/* True: it was still waiting and is forgotten, on_done will not run. False: it is sent, or ending,
 * or done. */
bool pg_lane_cancel(struct pg_member *member);

uint64_t pg_lane_predicted_wait_us(const struct pg_lane *lane, uint64_t shard);
uint32_t pg_lane_waiting(const struct pg_lane *lane);
uint32_t pg_lane_in_flight(const struct pg_lane *lane); /* members */
/* Nothing waiting, nothing in flight. */
bool pg_lane_quiet(const struct pg_lane *lane);
const struct pg_lane_stats *pg_lane_stats(const struct pg_lane *lane);
const char *pg_lane_name(const struct pg_lane *lane);

#endif
