/*
 * payment_expiry (private to pool/): releases holds whose time is over.
 *
 * One statement at a time, in a lane of its own, takes the next due holds (pool/sql/expire_batch)
 * in the order of their expiry and gives back what is open. It is the lane's only member, sent by a
 * timer. A sweep goes through all that are due, place by place, and so past every hold that cannot
 * be released now, because its wallet is locked or its statement fails: they stand in nobody's way,
 * and the next sweep comes by them again. Any number of processes may sweep the same database.
 *
 *   RESTING --pause over--> ASKING --answer, more are due--> PACING --its turn--> ASKING
 *      ^                       '--answer: all were looked at; nothing could be asked--'
 *      '-----------------------------------------------------------------------------'
 *   any --payment_expiry_stop()--> STOPPED
 *
 * Promises: never more than EXPIRY_SHARE_MAX of the time of the connections that are up; waits for
 * no lock of another session, and keeps a wallet for a short statement only, since how many holds
 * it looks at follows the time it takes; moves the money of a hold once, whatever becomes of its
 * answers. It does not ask while the database is another region's.
 */
#ifndef POOL_PAYMENT_EXPIRY_PRIVATE_H
#define POOL_PAYMENT_EXPIRY_PRIVATE_H

#include "core/config.h"
#include "core/histogram.h"
#include "core/uuid7.h"
#include "pool/payment_expiry.h"
#include "pool/payment_probe_private.h"
#include "pool/pg_lane.h"

#include <stdbool.h>
#include <stdint.h>

enum { PAYMENT_EXPIRY_BATCH_MAX = 64 }; /* holds that one statement looks at */

/* The statement's row. */
struct payment_expiry_answer {
    int64_t looked, released, cleared;
    int64_t last_expires_at; /* of the last hold looked at, as the database writes it */
    struct uuid7 last_txn_id;
    int64_t last_overdue_us;
    bool has_left; /* some were left */
    int64_t left_overdue_us;
};

/* What a sweep has done so far. */
struct payment_expiry_sweep {
    uint64_t released, cleared, left;
    bool has_failed; /* a hold's statement, and it was told */
    bool has_left;
    int64_t left_since_us; /* since when the oldest that was left is overdue; monotonic */
};

enum payment_expiry_state {
    PAYMENT_EXPIRY_STOPPED,
    PAYMENT_EXPIRY_RESTING,
    PAYMENT_EXPIRY_PACING,
    PAYMENT_EXPIRY_ASKING
};

struct payment_expiry {
    struct pg_pool *pool;
    struct pg_lane *lane;
    struct payment_probe *probe;
    struct reactor *reactor;
    struct histogram *query_time;
    struct span region; /* configured; borrowed */
    uint32_t share_percent;
    uint64_t interval_us, statement_timeout_us;

    enum payment_expiry_state state;
    struct reactor_timer timer;
    struct pg_member member;
    struct uuid7_generator ids;
    uint32_t batch, asked; /* holds the next statement looks at, and the one that was sent last */
    uint64_t pause_us;     /* after this sweep */

    /* Where the sweep is: behind this hold, and behind so many that failed alone. */
    int64_t at_expires_at;
    struct uuid7 at_txn_id;
    int64_t passed_over;
    bool is_sweeping;    /* it has answers, and is not over */
    int64_t at_since_us; /* since when that hold was overdue; monotonic */
    struct payment_expiry_sweep sweep, last_sweep;
    struct payment_expiry_answer answer;
    struct payment_expiry_stats stats;
};

/* The lane's only work. */
extern const struct pg_work PAYMENT_WORK_EXPIRE;

/* All pointers are borrowed until payment_expiry_stop() and the lane's end. Uses one reactor
 * timer. With EXPIRY_SHARE_MAX=0 it does nothing. */
void payment_expiry_start(struct payment_expiry *expiry, struct pg_pool *pool, struct pg_lane *lane,
                          struct payment_probe *probe, const struct config *config,
                          struct histogram *query_time);
/* Asks no more; a statement that is sent is answered yet. May be called twice. */
void payment_expiry_stop(struct payment_expiry *expiry);

#endif
