/*
 * payment_inflight (private to pool/): the (client, Idempotency-Key) pairs being worked on in this
 * process.
 *
 * A duplicate of one in flight is refused before it costs a query; a hundred of them would
 * otherwise park a hundred connections on one row. A hash table of lists with keyed hashes, so that
 * callers cannot aim at one bucket; the nodes live in the operations, so it never allocates after
 * creation.
 */
#ifndef POOL_PAYMENT_INFLIGHT_PRIVATE_H
#define POOL_PAYMENT_INFLIGHT_PRIVATE_H

#include "core/check.h"
#include "core/list.h"

#include <stdbool.h>
#include <stdint.h>

enum { PAYMENT_ELSEWHERE_MAX = 256 };

struct payment_op;

/* A pair that another session was found to hold uncommitted. One place for many pairs: a later one
 * takes the place of an earlier. */
struct payment_elsewhere {
    uint64_t tag; /* of the pair; 0: empty */
    uint64_t refused_until_us, alone_until_us;
};

struct payment_inflight {
    struct list *buckets;
    uint32_t mask; /* bucket count - 1; a power of two */
    struct payment_elsewhere elsewhere[PAYMENT_ELSEWHERE_MAX];
};

/* What is known of a pair in other sessions. */
enum payment_pair {
    PAYMENT_PAIR_FREE,
    PAYMENT_PAIR_ALONE, /* it waited for another session lately: it shares no statement */
    PAYMENT_PAIR_BUSY,  /* it waited a moment ago: refused */
};

/* False: no memory. */
MUST_USE bool payment_inflight_create(struct payment_inflight *inflight, uint32_t op_max);
void payment_inflight_destroy(struct payment_inflight *inflight);
/* False: the pair is in flight already. */
MUST_USE bool payment_inflight_claim(struct payment_inflight *inflight, struct payment_op *op);
/* The operation waited in vain for another session that holds its pair uncommitted. */
void payment_inflight_note_elsewhere(struct payment_inflight *inflight, const struct payment_op *op,
                                     uint64_t now_us);
enum payment_pair payment_inflight_pair(const struct payment_inflight *inflight,
                                        const struct payment_op *op, uint64_t now_us);
/* Tolerates an operation that claimed nothing. */
void payment_inflight_release(struct payment_inflight *inflight, struct payment_op *op);

#endif
