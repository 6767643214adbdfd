#include "pool/pg_shard_private.h"

#include "core/clock.h"
#include "core/secret.h"
#include "pool/pg_lane_private.h"

#include <stdlib.h>

enum {
    SHARDS_REMEMBERED_MAX = 1024, /* quiet entries beside those in use */
    BUCKETS_MIN = 64,
    PAUSE_MIN_US = CLOCK_US_PER_MS / 4,
    PAUSE_MAX_US = 8 * CLOCK_US_PER_MS,
    PATIENCE_BATCHES = 4, /* then the lock is a long one: pauses double, one member goes ahead */
    PATIENCE_MIN_US = 8 * CLOCK_US_PER_MS,
    YIELD_MIN_US = CLOCK_US_PER_MS,
    YIELD_MAX_US = 16 * CLOCK_US_PER_MS,
    CONTENDED_US = 250 * CLOCK_US_PER_MS,
    FAILURES_MAX = 2, /* alone, until a shard is poisoned */
    PEERS_SERVED = 4, /* batches of others that were answered meanwhile: it is not the server */
};

struct pg_shards {
    struct reactor *reactor;
    struct pg_shards_config config;
    struct pg_shard *slots;
    uint32_t slot_count, slots_touched;
    struct list free, quiet, parked; /* parked: by parked_until_us */
    struct list *buckets;
    uint32_t mask;
    uint64_t multiplier; /* odd and secret: nobody can aim at one bucket */
    struct reactor_timer unpark;
    uint32_t suspects;       /* entries alone or poisoned: 0 spares the look-up */
    uint64_t answered_total; /* batches of its lanes that brought rows */
    struct pg_shards_stats stats;
};

static struct pg_shard *shard_of(struct list_node *node)
{
    return container_of(node, struct pg_shard, node);
}

uint64_t pg_shards_now_us(const struct pg_shards *book)
{
    return reactor_now_us(book->reactor);
}

/* At most so much, and at least that less a `part`th. */
static uint64_t jittered(uint64_t most_us, uint64_t part)
{
    uint32_t random;
    secret_random(&random, sizeof(random));
    return most_us - random % (most_us / part + 1);
}

/* ---- the book ---- */

static struct list *bucket_of(const struct pg_shards *book, uint64_t key)
{
    return &book->buckets[(uint32_t)((key * book->multiplier) >> 32) & book->mask];
}

struct pg_shard *pg_shard_find(const struct pg_shards *book, uint64_t key)
{
    const struct list *bucket = bucket_of(book, key);
    for (struct list_node *node = list_first(bucket); node != NULL;
         node = list_next(bucket, node)) {
        struct pg_shard *shard = container_of(node, struct pg_shard, bucket);
        if (shard->key == key)
            return shard;
    }
    return NULL;
}

static bool is_suspect(const struct pg_shard *shard)
{
    return shard->alone || shard->poisoned_until_us != 0;
}

static void put_on(struct pg_shard *shard, struct list *list)
{
    if (shard->on != NULL)
        list_remove(shard->on, &shard->node);
    shard->on = list;
    if (list != NULL)
        list_push_back(list, &shard->node);
}

static void forgive(struct pg_shard *shard)
{
    if (is_suspect(shard))
        shard->book->suspects--;
    shard->alone = false;
    shard->failures = 0;
    shard->poisoned_until_us = 0;
}

static void forget(struct pg_shard *shard)
{
    struct pg_shards *book = shard->book;
    forgive(shard);
    list_remove(bucket_of(book, shard->key), &shard->bucket);
    put_on(shard, &book->free);
    book->stats.entries--;
}

static struct pg_shard *take_slot(struct pg_shards *book)
{
    struct list_node *node = list_first(&book->free);
    if (node == NULL && book->slots_touched < book->slot_count) {
        struct pg_shard *fresh = &book->slots[book->slots_touched++];
        fresh->book = book;
        put_on(fresh, &book->free);
        node = &fresh->node;
    }
    if (node == NULL && (node = list_first(&book->quiet)) != NULL) {
        book->stats.forgotten_total++;
        forget(shard_of(node));
    }
    return node == NULL ? NULL : shard_of(node);
}

/* A quiet entry is kept until its place is needed; what it knew of a lock ends with its time. */
static void forget_old_lock(struct pg_shard *shard)
{
    if (shard->state != PG_SHARD_QUIET || shard->contended_until_us > pg_shards_now_us(shard->book))
        return;
    shard->locked_since_us = 0;
    shard->asked_long = 0;
}

struct pg_shard *pg_shard_get(struct pg_shards *book, uint64_t key)
{
    struct pg_shard *shard = pg_shard_find(book, key);
    if (shard != NULL) {
        forget_old_lock(shard);
        return shard;
    }
    shard = take_slot(book);
    if (shard == NULL)
        return NULL;
    put_on(shard, NULL);
    *shard = (struct pg_shard){.book = book, .key = key, .state = PG_SHARD_QUIET};
    list_init(&shard->waiting);
    list_push_back(bucket_of(book, key), &shard->bucket);
    put_on(shard, &book->quiet);
    book->stats.entries++;
    return shard;
}

/* ---- parking ---- */

static void arm_unpark(struct pg_shards *book)
{
    struct list_node *first = list_first(&book->parked);
    if (first == NULL)
        reactor_timer_clear(book->reactor, &book->unpark);
    else
        reactor_timer_set(book->reactor, &book->unpark, shard_of(first)->parked_until_us);
}

/* Pauses are alike, so the place is near the end. */
static void park(struct pg_shard *shard)
{
    struct pg_shards *book = shard->book;
    struct list_node *before;

    if (shard->on != NULL)
        list_remove(shard->on, &shard->node);
    before = list_last(&book->parked); /* not the shard itself, which may have been there */
    while (before != NULL && shard_of(before)->parked_until_us > shard->parked_until_us)
        before = list_prev(&book->parked, before);
    list_insert_after(&book->parked, before, &shard->node);
    shard->on = &book->parked;
    if (list_first(&book->parked) == &shard->node)
        arm_unpark(book);
}

static void on_unpark(struct reactor_timer *timer)
{
    struct pg_shards *book = container_of(timer, struct pg_shards, unpark);
    const uint64_t now_us = pg_shards_now_us(book);
    struct list_node *node;

    while ((node = list_first(&book->parked)) != NULL && shard_of(node)->parked_until_us <= now_us)
        pg_shard_settle(shard_of(node));
    arm_unpark(book);
}

/* ---- state ---- */

static bool is_memorable(const struct pg_shard *shard, uint64_t now_us)
{
    return is_suspect(shard) || shard->failures > 0 || shard->contended_until_us > now_us ||
           shard->parked_until_us > now_us;
}

static enum pg_shard_state state_of(const struct pg_shard *shard, uint64_t now_us)
{
    if (shard->out > 0)
        return PG_SHARD_OUT;
    if (shard->waiting.count == 0)
        return PG_SHARD_QUIET;
    return shard->parked_until_us > now_us ? PG_SHARD_PARKED : PG_SHARD_READY;
}

void pg_shard_settle(struct pg_shard *shard)
{
    struct pg_shards *book = shard->book;
    const uint64_t now_us = pg_shards_now_us(book);

    shard->state = state_of(shard, now_us);
    switch (shard->state) {
    case PG_SHARD_OUT:
        put_on(shard, NULL);
        return;
    case PG_SHARD_QUIET:
        if (is_memorable(shard, now_us))
            put_on(shard, &book->quiet);
        else
            forget(shard);
        return;
    case PG_SHARD_PARKED:
        park(shard);
        return;
    case PG_SHARD_READY: {
        struct list *ready = pg_lane_ready_list(shard);
        if (shard->on != ready)
            put_on(shard, ready);
        return;
    }
    }
    UNREACHABLE();
}

void pg_shard_go_first(struct pg_shard *shard)
{
    if (shard->state != PG_SHARD_READY)
        return;
    list_remove(shard->on, &shard->node);
    list_push_front(shard->on, &shard->node);
}

/* ---- facts ---- */

/* A fraction of our own statement's time: what meets on a shard is mostly another process like this
 * one, whose statements take as long. */
static uint64_t pause_us(const struct pg_shard *shard, uint64_t batch_us)
{
    uint64_t pause = batch_us / 8;
    if (pause < PAUSE_MIN_US)
        pause = PAUSE_MIN_US;
    for (uint8_t i = 0; i < shard->asked_long && pause < PAUSE_MAX_US; i++)
        pause *= 2;
    return pause < PAUSE_MAX_US ? pause : PAUSE_MAX_US;
}

/* A little longer than a statement takes: who meets us here has asked by then, and is done. Asking
 * too soon costs the database a statement that finds the row locked. */
static uint64_t yield_us(uint64_t batch_us)
{
    uint64_t most_us = batch_us + batch_us / 8;
    if (most_us < YIELD_MIN_US)
        most_us = YIELD_MIN_US;
    return jittered(most_us < YIELD_MAX_US ? most_us : YIELD_MAX_US, 16);
}

void pg_shard_found_locked(struct pg_shard *shard, uint64_t batch_us)
{
    const uint64_t now_us = pg_shards_now_us(shard->book);

    uint64_t patience_us = PATIENCE_BATCHES * batch_us;

    if (patience_us < PATIENCE_MIN_US)
        patience_us = PATIENCE_MIN_US;
    if (shard->locked_since_us == 0)
        shard->locked_since_us = now_us;
    if (now_us - shard->locked_since_us >= patience_us && shard->asked_long < UINT8_MAX)
        shard->asked_long++;
    shard->contended_until_us = now_us + CONTENDED_US;
    shard->parked_until_us = now_us + jittered(pause_us(shard, batch_us), 2);
    shard->book->stats.parked_total++;
}

void pg_shard_succeeded(struct pg_shard *shard, uint64_t batch_us)
{
    struct pg_shards *book = shard->book;
    const uint64_t now_us = pg_shards_now_us(book);
    const bool recovered = shard->poisoned_until_us != 0;
    const bool was_alone = shard->alone;

    shard->locked_since_us = 0;
    shard->asked_long = 0;
    forgive(shard);
    if (shard->contended_until_us > now_us) {
        shard->parked_until_us = now_us + yield_us(batch_us);
        book->stats.yielded_total++;
    }
    if (recovered && book->config.on_poison != NULL)
        book->config.on_poison(book->config.owner, shard->key, false, "");
    if (was_alone)
        pg_queue_rejoin(shard);
}

void pg_shard_suspect(struct pg_shard *shard)
{
    if (!is_suspect(shard))
        shard->book->suspects++;
    shard->alone = true;
}

void pg_shard_failed_alone(struct pg_shard *shard, const char *sqlstate)
{
    struct pg_shards *book = shard->book;

    pg_shard_suspect(shard);
    if (shard->failures == 0)
        shard->answered_first = book->answered_total;
    if (shard->failures < UINT8_MAX)
        shard->failures++;
    if (shard->failures < FAILURES_MAX ||
        book->answered_total - shard->answered_first < PEERS_SERVED)
        return;
    if (shard->poisoned_until_us == 0) {
        book->stats.poisoned_total++;
        if (book->config.on_poison != NULL)
            book->config.on_poison(book->config.owner, shard->key, true, sqlstate);
    }
    shard->poisoned_until_us = pg_shards_now_us(book) + book->config.poison_hold_us;
}

bool pg_shard_refuses(const struct pg_shard *shard)
{
    if (shard->poisoned_until_us == 0)
        return false;
    return pg_shards_now_us(shard->book) < shard->poisoned_until_us || shard->out > 0 ||
           shard->waiting.count > 0;
}

uint32_t pg_shard_sendable(const struct pg_shard *shard)
{
    return shard->alone || shard->asked_long > 0 ? 1 : shard->waiting.count;
}

uint64_t pg_shard_locked_for_us(const struct pg_shard *shard)
{
    const bool nobody_asks = shard->out == 0 && shard->waiting.count == 0;

    if (shard->asked_long == 0)
        return 0;
    if (nobody_asks && pg_shards_now_us(shard->book) >= shard->parked_until_us)
        return 0; /* the next member finds out */
    return pg_shards_now_us(shard->book) - shard->locked_since_us;
}

/* ---- life ---- */

bool pg_shards_has_suspects(const struct pg_shards *book)
{
    return book->suspects > 0;
}

void pg_shards_note_answered(struct pg_shards *book)
{
    book->answered_total++;
}

struct pg_shards_stats pg_shards_stats(const struct pg_shards *book)
{
    struct pg_shards_stats stats = book->stats;
    stats.parked = book->parked.count;
    for (uint32_t i = 0; i < book->slots_touched; i++) {
        const struct pg_shard *shard = &book->slots[i];
        if (shard->on == &book->free)
            continue;
        stats.alone += shard->alone;
        stats.poisoned += pg_shard_refuses(shard);
        if (shard->waiting.count > stats.hottest)
            stats.hottest = shard->waiting.count;
    }
    return stats;
}

enum err pg_shards_create(struct pg_shards **book, struct reactor *reactor,
                          const struct pg_shards_config *config)
{
    struct pg_shards *made = calloc(1, sizeof(*made));
    uint32_t buckets = BUCKETS_MIN;

    if (made == NULL)
        return ERR_SYSTEM;
    made->reactor = reactor;
    made->config = *config;
    made->slot_count = config->member_max + SHARDS_REMEMBERED_MAX;
    while (buckets < made->slot_count)
        buckets *= 2;
    made->mask = buckets - 1;
    made->slots = calloc(made->slot_count, sizeof(made->slots[0]));
    made->buckets = calloc(buckets, sizeof(made->buckets[0]));
    if (made->slots == NULL || made->buckets == NULL) {
        pg_shards_destroy(made);
        return ERR_SYSTEM;
    }
    for (uint32_t i = 0; i < buckets; i++)
        list_init(&made->buckets[i]);
    list_init(&made->free);
    list_init(&made->quiet);
    list_init(&made->parked);
    secret_random(&made->multiplier, sizeof(made->multiplier));
    made->multiplier |= 1;
    made->unpark.on_due = on_unpark;
    *book = made;
    return ERR_OK;
}

void pg_shards_destroy(struct pg_shards *book)
{
    if (book == NULL)
        return;
    if (book->unpark.on_due != NULL)
        reactor_timer_clear(book->reactor, &book->unpark);
    free(book->slots);
    free(book->buckets);
    free(book);
}
