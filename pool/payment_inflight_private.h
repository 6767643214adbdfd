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

struct payment_op;

struct payment_inflight {
    struct list *buckets;
    uint32_t mask; /* bucket count - 1; a power of two */
};

/* False: no memory. */
MUST_USE bool payment_inflight_create(struct payment_inflight *inflight, uint32_t op_max);
void payment_inflight_destroy(struct payment_inflight *inflight);
/* False: the pair is in flight already. */
MUST_USE bool payment_inflight_claim(struct payment_inflight *inflight, struct payment_op *op);
/* Tolerates an operation that claimed nothing. */
void payment_inflight_release(struct payment_inflight *inflight, struct payment_op *op);

#endif
