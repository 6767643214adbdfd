#include "pool/payment_inflight_private.h"

#include "core/clock.h"
#include "pool/payment_store.h"

#include <stdlib.h>
#include <string.h>

enum {
    BUCKETS_MIN = 64,
    ELSEWHERE_REFUSED_US = 500 * CLOCK_US_PER_MS,
    ELSEWHERE_ALONE_US = 60 * CLOCK_US_PER_S,
};

bool payment_inflight_create(struct payment_inflight *inflight, uint32_t op_max)
{
    uint32_t count = BUCKETS_MIN;

    while (count / 2 < op_max)
        count *= 2;
    inflight->buckets = calloc(count, sizeof(inflight->buckets[0]));
    if (inflight->buckets == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        list_init(&inflight->buckets[i]);
    inflight->mask = count - 1;
    return true;
}

void payment_inflight_destroy(struct payment_inflight *inflight)
{
    free(inflight->buckets);
    inflight->buckets = NULL;
}

static bool same_key(const struct payment_op *a, const struct payment_op *b)
{
    return a->client_id == b->client_id &&
           memcmp(a->key_hash.bytes, b->key_hash.bytes, SECRET_MAC_BYTES) == 0;
}

/* Part of a keyed hash, so callers cannot aim at one bucket. */
static uint64_t tag_of(const struct payment_op *op)
{
    uint64_t tag;

    memcpy(&tag, op->key_hash.bytes, sizeof(tag));
    return tag ^ (uint64_t)(uint32_t)op->client_id;
}

bool payment_inflight_claim(struct payment_inflight *inflight, struct payment_op *op)
{
    op->key_bucket = (uint32_t)tag_of(op) & inflight->mask;
    struct list *bucket = &inflight->buckets[op->key_bucket];
    for (struct list_node *node = list_first(bucket); node != NULL; node = list_next(bucket, node))
        if (same_key(container_of(node, struct payment_op, key_node), op))
            return false;
    list_push_back(bucket, &op->key_node);
    return true;
}

void payment_inflight_release(struct payment_inflight *inflight, struct payment_op *op)
{
    if (list_node_linked(&op->key_node))
        list_remove(&inflight->buckets[op->key_bucket], &op->key_node);
}

void payment_inflight_note_elsewhere(struct payment_inflight *inflight, const struct payment_op *op,
                                     uint64_t now_us)
{
    const uint64_t tag = tag_of(op);

    inflight->elsewhere[tag % PAYMENT_ELSEWHERE_MAX] =
        (struct payment_elsewhere){.tag = tag,
                                   .refused_until_us = now_us + ELSEWHERE_REFUSED_US,
                                   .alone_until_us = now_us + ELSEWHERE_ALONE_US};
}

enum payment_pair payment_inflight_pair(const struct payment_inflight *inflight,
                                        const struct payment_op *op, uint64_t now_us)
{
    const uint64_t tag = tag_of(op);
    const struct payment_elsewhere *place = &inflight->elsewhere[tag % PAYMENT_ELSEWHERE_MAX];

    if (place->tag != tag || now_us >= place->alone_until_us)
        return PAYMENT_PAIR_FREE;
    return now_us < place->refused_until_us ? PAYMENT_PAIR_BUSY : PAYMENT_PAIR_ALONE;
}
