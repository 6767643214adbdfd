/*
 * pg_connector: the replacement of connections that are too old, or of an earlier epoch, by the
 * spare; nobody waits for it and nothing is cut.
 */
#include "core/clock.h"
#include "pool/pg_slots_private.h"
#include "test/fake/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_old_connection_is_replaced_by_the_spare_before_it_ends(void **state)
{
    (void)state;
    bench_config.lifetime_s = 100;
    bench_open_up(3);
    uint32_t fewest = 3, most = 3;

    for (int s = 0; s < 130; s++) {
        bench_skip_ms(1000);
        for (int i = 0; i < 20; i++) {
            bench_turn();
            const uint32_t usable = pg_pool_usable(bench_pool);
            fewest = usable < fewest ? usable : fewest;
            most = usable > most ? usable : most;
        }
    }

    assert_int_equal(fewest, 3);
    assert_int_equal(most, 3);
    assert_int_equal(fake_pq_live(), 3);
    assert_true(pg_pool_stats(bench_pool)->closed_total[PG_CLOSE_LIFETIME] >= 3);
    bench_assert_only_closed(PG_CLOSE_LIFETIME,
                             pg_pool_stats(bench_pool)->closed_total[PG_CLOSE_LIFETIME]);
}

static void test_no_life_ends_before_its_share_of_the_limit(void **state)
{
    (void)state;
    bench_config.lifetime_s = 100;
    bench_open_up(8);
    for (int s = 0; s < 79; s++) {
        bench_skip_ms(1000);
        bench_turns(2);
    }
    bench_assert_closed(PG_CLOSE_LIFETIME, 0);
}

/* Made at the same time, they do not end at the same time. */
static void test_lives_are_spread_around_the_limit(void **state)
{
    (void)state;
    bench_config.lifetime_s = 100;
    bench_open_up(40);
    unsigned shorter = 0, longer = 0;
    for (unsigned i = 0; i < 40; i++) {
        const struct pg_connection *conn = &bench_pool->slots[i + 1];
        const uint64_t life_us = conn->expires_us - conn->up_us;
        assert_in_range(life_us, 80 * CLOCK_US_PER_S, 120 * CLOCK_US_PER_S);
        shorter += life_us < 100 * CLOCK_US_PER_S;
        longer += life_us > 100 * CLOCK_US_PER_S;
    }
    assert_true(shorter > 0 && longer > 0);
}

static void test_new_epoch_replaces_one_at_a_time(void **state)
{
    (void)state;
    bench_open_up(3);
    unsigned live_most = 0;

    pg_pool_new_epoch(bench_pool);
    for (int i = 0; i < BENCH_TURNS_MAX; i++) {
        bench_turn();
        if (pg_pool_stats(bench_pool)->closed_total[PG_CLOSE_EPOCH] == 1)
            assert_true(fake_pq_conn(0) == NULL); /* the oldest is the first to go */
        live_most = fake_pq_live() > live_most ? fake_pq_live() : live_most;
        assert_true(pg_pool_usable(bench_pool) >= 3);
    }

    assert_int_equal(live_most, 4);
    assert_string_equal(pg_pool_stats(bench_pool)->last_error_stage, ""); /* no error */
    bench_assert_only_closed(PG_CLOSE_EPOCH, 3);
    assert_int_equal(fake_pq_made(), 6);
    assert_int_equal(bench_log_count("pg_pool_epoch"), 1);
}

static void test_busy_connection_of_the_old_epoch_ends_with_its_answer(void **state)
{
    (void)state;
    bench_open_up(1);
    bench_send_ok(0);
    PGconn *old = bench_asked();

    pg_pool_new_epoch(bench_pool);
    bench_await(PG_CONN_IDLE, 1); /* the spare came up */
    assert_int_equal(pg_pool_usable(bench_pool), 1);
    bench_turns(20);
    bench_assert_closed(PG_CLOSE_EPOCH, 0);
    assert_int_equal(fake_pq_live(), 2); /* no third one meanwhile */
    fake_pq_answer(old, bench_row());
    bench_await_answer(0, 1);

    bench_assert_only_closed(PG_CLOSE_EPOCH, 1);
    assert_int_equal(bench_asks[0].kind, PG_ANSWER_ROWS);
    assert_int_equal(fake_pq_live(), 1);
}

/* The one that only waits for its answer does not count as one of ours any more. */
static void test_lost_spare_is_replaced_while_the_old_one_is_busy(void **state)
{
    (void)state;
    bench_open_up(1);
    bench_send_ok(0);
    PGconn *old = bench_asked();
    pg_pool_new_epoch(bench_pool);
    bench_await(PG_CONN_IDLE, 1);

    pg_conn_down(pg_connection_of(list_first(&bench_pool->lists[PG_CONN_IDLE])), PG_CLOSE_PROTOCOL);
    bench_await(PG_CONN_IDLE, 1);

    assert_true(fake_pq_is_asked(old));
    assert_int_equal(fake_pq_made(), 3);
}

static void test_replacement_waits_until_all_can_be_used(void **state)
{
    (void)state;
    bench_open_up(2);
    bench_send_ok(0);
    PGconn *conn = bench_asked();
    fake_pq_hold_prepared(conn);
    fake_pq_answer(conn, fake_pq_error("26000", "ERROR"));
    bench_await(PG_CONN_PREPARING, 1);

    pg_pool_new_epoch(bench_pool);
    bench_turns(20);
    assert_int_equal(fake_pq_made(), 2);

    fake_pq_say_prepared(conn);
    bench_turns(100);
    bench_assert_only_closed(PG_CLOSE_EPOCH, 2);
    assert_int_equal(fake_pq_made(), 4);
}

static void test_replacement_that_cannot_connect_costs_nothing(void **state)
{
    (void)state;
    bench_open_up(2);
    bench_attempts_fail("no\n");

    pg_pool_new_epoch(bench_pool);
    for (int ms = 0; ms < 3000; ms++) {
        bench_skip_ms(1);
        bench_turn();
        assert_int_equal(pg_pool_usable(bench_pool), 2);
    }
    assert_true(bench_failures() > 1);

    bench_attempts_succeed();
    for (int ms = 0; ms < 3000; ms++) {
        bench_skip_ms(1);
        bench_turn();
    }
    bench_assert_closed(PG_CLOSE_EPOCH, 2);
    assert_int_equal(fake_pq_live(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_old_connection_is_replaced_by_the_spare_before_it_ends),
        BENCH_TEST(test_no_life_ends_before_its_share_of_the_limit),
        BENCH_TEST(test_lives_are_spread_around_the_limit),
        BENCH_TEST(test_new_epoch_replaces_one_at_a_time),
        BENCH_TEST(test_busy_connection_of_the_old_epoch_ends_with_its_answer),
        BENCH_TEST(test_lost_spare_is_replaced_while_the_old_one_is_busy),
        BENCH_TEST(test_replacement_waits_until_all_can_be_used),
        BENCH_TEST(test_replacement_that_cannot_connect_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
