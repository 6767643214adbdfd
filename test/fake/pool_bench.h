/*
 * pool_bench: a real pool on a real reactor, against fake_pq and fake_dns, in the test's own time.
 *
 * Owns one reactor, one pool and a set of queries with what became of each. Time stands still but
 * for one microsecond a turn and what bench_skip_ms() adds; a turn never waits. Log lines are kept
 * and can be looked at.
 */
#ifndef TEST_FAKE_POOL_BENCH_H
#define TEST_FAKE_POOL_BENCH_H

#include "pool/pg_pool.h"

#include "pool/pg_conn_private.h"
#include "test/fake/fake_pq.h"

enum { BENCH_ASKS_MAX = 64, BENCH_TURNS_MAX = 500 };

/* One query of a test. */
struct bench_ask {
    struct pg_query query;
    unsigned answers;
    enum pg_answer_kind kind;
    char sqlstate[PG_SQLSTATE_LEN + 1];
    uint32_t row_count;
    void (*then)(struct bench_ask *ask); /* runs inside on_answer; NULL: nothing */
};

extern struct reactor *bench_reactor;
extern struct pg_pool *bench_pool;
extern struct bench_ask bench_asks[BENCH_ASKS_MAX];
extern struct pg_pool_config bench_config; /* bench_set_up's defaults; change before bench_open */

/* cmocka set-up and tear-down. The tear-down destroys the pool and checks that nothing leaked. */
int bench_set_up(void **state);
int bench_tear_down(void **state);
/* Creates the pool of bench_config with two statements, "first" (one int8) and "second" (none). */
void bench_open(void);
void bench_open_with(const struct pg_statement *statements, uint8_t count);
/* The same, and turns until every connection is idle. */
void bench_open_up(uint32_t conn_count);
void bench_close(void);

void bench_turn(void);
void bench_turns(unsigned count);
void bench_skip_ms(uint64_t ms);
uint64_t bench_now_us(void);
/* Turns until so many are in the state, or fails. */
void bench_await(enum pg_conn_state state, uint32_t count);
/* Lets time pass, a millisecond a turn, until so many are idle, or fails after a minute of it. */
void bench_recover(uint32_t idle_count);

/* Sends ask i as statement "first" with i as its parameter. */
enum err bench_send(unsigned i);
void bench_send_ok(unsigned i);
/* The one connection with a query in flight; fails unless there is exactly one. */
PGconn *bench_asked(void);
/* Turns until ask i is answered `count` times. */
void bench_await_answer(unsigned i, unsigned count);
/* A row of one column. */
PGresult *bench_row(void);

/* Attempts to connect, started from now on: they end with libpq's text `error`, or come up. */
void bench_attempts_fail(const char *error);
void bench_attempts_succeed(void);
uint64_t bench_failures(void);
void bench_await_failures(uint64_t count);
/* From now until the connector may try again. */
uint64_t bench_pause_us(void);

void bench_assert_closed(enum pg_close_reason reason, uint64_t count);
/* No connection ended for any reason but this one, and that `count` times. */
void bench_assert_only_closed(enum pg_close_reason reason, uint64_t count);
/* How many log lines hold the text. */
unsigned bench_log_count(const char *text);

#define BENCH_TEST(test) cmocka_unit_test_setup_teardown(test, bench_set_up, bench_tear_down)

#endif
