/*
 * payment_probe through payment_store's health: what makes the service ready, when the database is
 * asked, and what a silent or a foreign one does.
 */
#include "core/clock.h"
#include "pool/migrate.h"
#include "rows_fixture.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct payment_store_health *health(void)
{
    return payment_store_health(store);
}

/* Turns until the probe has been answered so often. */
static void await_probes(unsigned count)
{
    for (int i = 0; i < BENCH_TURNS_MAX && store_server.probes < count; i++)
        store_turn();
    assert_int_equal(store_server.probes, count);
}

static void skip_interval(void)
{
    bench_skip_ms(store_config.db_probe_interval_ms);
}

static void test_nothing_is_known_before_the_first_answer(void **state)
{
    (void)state;
    store_server.silent = true;
    bench_await(PG_CONN_IDLE, 3);
    assert_false(health()->database_ok);
    assert_false(payment_store_ready(store));
    assert_int_equal(health()->latency_us, 0);
}

static void test_first_connection_is_asked_at_once(void **state)
{
    (void)state;
    await_probes(1); /* no interval has passed */
    assert_true(health()->database_ok);
    assert_true(health()->schema_ok);
    assert_true(health()->region_ok);
    assert_true(health()->isolation_ok);
    assert_true(health()->has_reference);
    assert_int_equal(health()->reference.wallet_id, 77);
    assert_true(health()->latency_us > 0);
}

static void test_ready_needs_every_connection_once(void **state)
{
    (void)state;
    await_probes(1);
    assert_true(pg_pool_usable(bench_pool) < 4);
    assert_false(health()->pool_ready);
    assert_false(payment_store_ready(store));
    for (int i = 0; i < BENCH_TURNS_MAX && !health()->pool_ready; i++)
        store_turn();
    assert_int_equal(pg_pool_usable(bench_pool), 4);
    assert_true(payment_store_ready(store));

    for (unsigned i = 0; fake_pq_live() == 4; i++)
        if (fake_pq_conn(i) != NULL) {
            fake_pq_hang_up(fake_pq_conn(i));
            bench_turn();
            break;
        }
    assert_true(payment_store_ready(store)); /* one less later on is no reason */
}

static void test_asks_once_an_interval(void **state)
{
    (void)state;
    store_await_ready();
    assert_int_equal(store_server.probes, 1);
    store_turns(20);
    assert_int_equal(store_server.probes, 1);
    for (unsigned i = 2; i < 6; i++) {
        skip_interval();
        store_turns(5);
        assert_int_equal(store_server.probes, i);
    }
}

static void test_foreign_region_is_never_ready_and_named_once(void **state)
{
    (void)state;
    store_server.region = "us-1";
    await_probes(1);
    store_turns(100); /* every connection is up */
    for (unsigned i = 2; i < 5; i++) {
        skip_interval();
        await_probes(i);
    }
    assert_false(health()->region_ok);
    assert_false(payment_store_ready(store));
    assert_int_equal(bench_log_count("region_mismatch"), 1);

    store_server.region = "eu-1";
    skip_interval();
    await_probes(5);
    assert_true(payment_store_ready(store));
    store_server.region = "us-1";
    skip_interval();
    await_probes(6);
    assert_int_equal(bench_log_count("region_mismatch"), 2);
}

static void test_old_schema_is_not_ready_and_a_newer_one_is(void **state)
{
    (void)state;
    store_server.schema_version = MIGRATE_VERSION_LATEST - 1;
    await_probes(1);
    store_turns(100);
    assert_false(health()->schema_ok);
    assert_false(payment_store_ready(store));
    store_server.schema_version = MIGRATE_VERSION_LATEST + 1;
    skip_interval();
    await_probes(2);
    assert_true(payment_store_ready(store));
}

static void test_other_isolation_is_not_ready(void **state)
{
    (void)state;
    store_server.isolation = "repeatable read";
    await_probes(1);
    store_turns(100);
    assert_false(health()->isolation_ok);
    assert_false(payment_store_ready(store));
}

static void test_silence_of_three_intervals_is_an_absence(void **state)
{
    (void)state;
    store_await_ready();
    store_server.silent = true;
    bench_skip_ms(3 * (uint64_t)store_config.db_probe_interval_ms - 500);
    assert_true(health()->database_ok);
    bench_skip_ms(500);
    assert_false(health()->database_ok);
    assert_false(payment_store_ready(store));
}

static void test_unanswered_probe_is_not_sent_twice(void **state)
{
    (void)state;
    store_await_ready();
    store_server.silent = true;
    skip_interval();
    PGconn *conn = store_await_asked("probe");
    const unsigned count = fake_pq_query_count(conn);
    unsigned all_before = 0, all_after = 0;
    for (unsigned i = 0; i < fake_pq_made(); i++)
        all_before += fake_pq_conn(i) != NULL ? fake_pq_query_count(fake_pq_conn(i)) : 0;
    bench_skip_ms(400); /* less than the probe's own budget, and the query's limit */
    bench_turns(10);
    for (unsigned i = 0; i < fake_pq_made(); i++)
        all_after += fake_pq_conn(i) != NULL ? fake_pq_query_count(fake_pq_conn(i)) : 0;
    assert_int_equal(fake_pq_query_count(conn), count);
    assert_int_equal(all_after, all_before);
}

static void test_probe_still_waiting_at_the_next_interval_is_left_alone(void **state)
{
    (void)state;
    payment_store_destroy(store);
    store_config.db_probe_interval_ms = 100;
    assert_int_equal(payment_store_create(&store, bench_pool, &store_config, STORE_OPS_MAX),
                     ERR_OK);
    store_await_ready();
    store_server.silent = true;
    for (int i = 0; i < 4; i++) {
        skip_interval();
        bench_turns(3);
    }
    const struct pg_lane *single = payment_store_lane(store, 2);
    assert_string_equal(pg_lane_name(single), "single");
    assert_int_equal(pg_lane_in_flight(single), 1);
    assert_int_equal(pg_lane_waiting(single), 0);
}

static void test_unreadable_answer_is_none(void **state)
{
    (void)state;
    rows_damage(0, ROWS_NULL);
    await_probes(1);
    assert_false(health()->database_ok);
    rows_damage(-1, ROWS_WHOLE);
    skip_interval();
    await_probes(2);
    assert_true(health()->database_ok);
}

static void test_answer_after_the_probes_own_budget_is_dropped(void **state)
{
    (void)state;
    bench_config.query_timeout_ms = 5000;
    pg_pool_drain(bench_pool); /* a pool with more patience than the probe */
    bench_turns(2);
    payment_store_destroy(store);
    bench_close();
    uint8_t count;
    const struct pg_statement *statements = payment_store_statements(&count);
    bench_open_with(statements, count);
    store_config.db_probe_interval_ms = 10000;
    assert_int_equal(payment_store_create(&store, bench_pool, &store_config, STORE_OPS_MAX),
                     ERR_OK);

    PGconn *conn = store_await_asked("probe");
    bench_skip_ms(1001);
    bench_turns(3);
    fake_pq_answer(conn, rows_probe("eu-1", MIGRATE_VERSION_LATEST, "read committed"));
    bench_turns(3);
    assert_false(health()->database_ok);
    assert_int_equal(health()->latency_us, 0);
}

static void test_what_was_known_goes_with_the_last_connection(void **state)
{
    (void)state;
    store_await_ready();
    fake_pq_next.steps[0].polled = PGRES_POLLING_FAILED;
    for (unsigned i = 0; i < 4; i++)
        fake_pq_hang_up(fake_pq_conn(i));
    bench_turns(2);
    assert_int_equal(pg_pool_usable(bench_pool), 0);
    assert_false(health()->database_ok);
    skip_interval();
    bench_turns(3); /* the interval's probe is refused, quietly */
    assert_false(payment_store_ready(store));

    fake_pq_next.steps[0].polled = PGRES_POLLING_WRITING;
    for (int ms = 0; ms < 5000 && pg_pool_usable(bench_pool) == 0; ms++) {
        bench_skip_ms(1);
        bench_turn();
    }
    assert_false(health()->database_ok);
    await_probes(store_server.probes + 1); /* at once, not at the next interval */
    assert_true(payment_store_ready(store));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_nothing_is_known_before_the_first_answer),
        STORE_TEST(test_first_connection_is_asked_at_once),
        STORE_TEST(test_ready_needs_every_connection_once),
        STORE_TEST(test_asks_once_an_interval),
        STORE_TEST(test_foreign_region_is_never_ready_and_named_once),
        STORE_TEST(test_old_schema_is_not_ready_and_a_newer_one_is),
        STORE_TEST(test_other_isolation_is_not_ready),
        STORE_TEST(test_silence_of_three_intervals_is_an_absence),
        STORE_TEST(test_unanswered_probe_is_not_sent_twice),
        STORE_TEST(test_probe_still_waiting_at_the_next_interval_is_left_alone),
        STORE_TEST(test_unreadable_answer_is_none),
        STORE_TEST(test_answer_after_the_probes_own_budget_is_dropped),
        STORE_TEST(test_what_was_known_goes_with_the_last_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
