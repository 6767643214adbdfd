/*
 * lane_bench: lanes against a scripted pool. It stands in for pg_pool.c, so every answer, loss and
 * delay happens exactly when a test says so. Time is the test's too.
 */
#ifndef TEST_UNIT_POOL_LANE_BENCH_H
#define TEST_UNIT_POOL_LANE_BENCH_H

#include "core/clock.h"
#include "pool/pg_lane_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    MS = CLOCK_US_PER_MS,
    BUDGET = 100 * MS,
    BENCH_SENT_MAX = 512,
    BENCH_REQUESTS_MAX = 512,
    BENCH_LANES_MAX = 4,
    BENCH_POOL_SIZE = 4, /* what pg_pool_size tells */
    READ_BYTES = 8,      /* what the works say they need; they write nothing */
    WRITE_BYTES = 24,
};

struct bench_request {
    struct pg_member member;
    uint32_t done_count;
    enum pg_outcome outcome;
};

/* A statement that was sent; the n-th of a test is bench.sent[n % BENCH_SENT_MAX]. */
struct bench_sent {
    struct pg_query *query;
    const struct pg_lane *lane;
    const struct pg_work *work;
    uint64_t sent_us;
    uint32_t count;
    size_t storage_bytes;
    bool alone;
    bool answered;
    uint32_t requests[PG_BATCH_MAX]; /* indices into bench.requests */
    uint64_t shards[PG_BATCH_MAX];
};

struct pg_rows {
    enum pg_verdict verdicts[PG_BATCH_MAX];
    uint64_t shards[PG_BATCH_MAX]; /* what decode finds the shard to be; 0: leaves it */
};

struct bench {
    uint64_t now_us;
    struct reactor *reactor;
    struct pg_share *share;
    struct pg_shards *book;
    struct pg_lane *lanes[BENCH_LANES_MAX];
    uint32_t lane_count;
    uint32_t idle, busy;    /* connections */
    uint32_t sends_refused; /* so many sends find their connection dead */
    struct bench_sent sent[BENCH_SENT_MAX];
    uint32_t sent_count;
    struct bench_request requests[BENCH_REQUESTS_MAX];
};
extern struct bench bench;

extern const struct pg_work READ, WRITE;

/* With a share, a book and so many idle connections, and no lane. */
int bench_set_up(uint32_t connections);
int bench_tear_down(void **state);
/* What is 0 in the config gets a value that suits most tests. */
struct pg_lane *bench_lane(const struct pg_lane_config *config);
/* Another book, before any lane is made. */
void bench_book(const struct pg_shards_config *config);

void bench_turn(void);
void bench_advance(uint64_t by_us);
/* The listeners are told. */
void bench_pool_changed(void);
/* All connections are up, and idle or not. */
void bench_connections(uint32_t idle, uint32_t busy);

/* A request of the budget BUDGET whose end is noted. */
struct pg_member *bench_member(uint32_t index, const struct pg_work *work, uint64_t shard);
enum err bench_submit(struct pg_lane *lane, uint32_t index, const struct pg_work *work,
                      uint64_t shard);
void bench_submit_ok(struct pg_lane *lane, uint32_t index, const struct pg_work *work,
                     uint64_t shard);
void bench_done(struct pg_member *member, enum pg_outcome outcome);

struct bench_sent *bench_sent_of(uint32_t number);
/* Its answer arrives, and the turn ends. */
void bench_answer(uint32_t number, const struct pg_rows *rows);
void bench_answer_done(uint32_t number);
void bench_answer_busy(uint32_t number);
void bench_error(uint32_t number, const char *sqlstate);
void bench_lose(uint32_t number);
/* As bench_answer_done, without the end of the turn. */
void bench_answer_in_turn(uint32_t number);
/* All that is in flight, and what is sent then, until nothing is. */
void bench_answer_all(void);

void assert_done(uint32_t index, enum pg_outcome outcome);
void assert_pending(uint32_t index);
/* The statement's requests are these, in this order. */
void assert_sent(uint32_t number, uint32_t count, const uint32_t *requests);
#define ASSERT_SENT(number, ...)                                                                   \
    assert_sent(number, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),                \
                (const uint32_t[]){__VA_ARGS__})

#endif
