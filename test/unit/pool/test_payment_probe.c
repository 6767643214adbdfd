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
#include <stdio.h>
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
    bench_await(PG_CONN_IDLE, 4);
    (void)store_await_asked("probe");
    assert_false(health()->database_ok);
    assert_false(payment_store_ready(store));
    assert_int_equal(health()->latency_us, 0);
}

static void test_first_connection_is_asked_at_once(void **state)
{
    (void)state;
    const uint64_t from_us = bench_now_us();
    for (int i = 0; i < BENCH_TURNS_MAX && !health()->database_ok; i++)
        store_turn();
    assert_true(health()->database_ok);
    assert_true(bench_now_us() - from_us < store_config.db_probe_interval_ms * CLOCK_US_PER_MS);
    assert_int_equal(store_server.probes, 1);
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

    fake_pq_hang_up(store_service_conn());
    bench_turn();
    assert_int_equal(pg_pool_usable(bench_pool), 3);
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
    store_create();
    store_await_ready();
    store_server.silent = true;
    skip_interval();
    PGconn *conn = store_await_asked("probe");
    const unsigned count = fake_pq_query_count(conn);
    for (int i = 0; i < 3; i++) {
        skip_interval();
        bench_turns(3);
    }
    assert_ptr_equal(store_asked("probe"), conn);
    assert_int_equal(fake_pq_query_count(conn), count);
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

/* The query's limit is the connection's end; the next connection is asked at once. */
static void test_probe_without_an_answer_loses_its_connection(void **state)
{
    (void)state;
    store_server.silent = true;
    (void)store_await_asked("probe");
    bench_await(PG_CONN_IDLE, 4);
    bench_skip_ms(bench_config.query_timeout_ms);
    bench_turns(2);
    assert_null(store_asked("probe"));
    assert_false(health()->database_ok);
    assert_int_equal(health()->latency_us, 0);
    assert_int_equal(pg_pool_usable(bench_pool), 4); /* the callers' stay */

    store_server.silent = false;
    for (int ms = 0; ms < 800 && store_server.probes == 0; ms++) {
        bench_skip_ms(1);
        store_turn();
    }
    assert_int_equal(store_server.probes, 1);
    assert_true(health()->database_ok);
}

/* Every connection of the service is taken, and one more request waits: the probe has its own. */
static void test_busy_service_is_asked_all_the_same(void **state)
{
    (void)state;
    payment_store_destroy(store);
    store_config.db_probe_interval_ms = 100; /* less than a query's limit */
    store_create();
    store_await_ready();
    for (unsigned i = 0; i < 12; i++) {
        static const enum payment_op_kind KINDS[] = {PAYMENT_OP_FIND, PAYMENT_OP_CAPTURE,
                                                     PAYMENT_OP_EVALUATE, PAYMENT_OP_HOLD};
        struct payment_op *op = store_op(i, KINDS[i % 4]);
        op->due_us += 10 * CLOCK_US_PER_S;
        assert_int_equal(payment_store_submit(store, op), ERR_OK);
        bench_turn();
    }
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 0);
    const unsigned before = store_server.probes;
    bench_skip_ms(store_config.db_probe_interval_ms);
    await_probes(before + 1);
    assert_true(payment_store_ready(store));
}

static void hang_up_service(void)
{
    for (unsigned i = 0; i < fake_pq_made(); i++)
        if (fake_pq_conn(i) != NULL && fake_pq_conn(i) != store_probe_conn())
            fake_pq_hang_up(fake_pq_conn(i));
    bench_turns(2);
    assert_int_equal(pg_pool_usable(bench_pool), 0);
}

static void test_what_was_known_goes_with_the_services_last_connection(void **state)
{
    (void)state;
    store_await_ready();
    const uint64_t from_us = bench_now_us();
    hang_up_service();
    assert_non_null(store_probe_conn());
    assert_false(health()->database_ok);
    assert_false(payment_store_ready(store));

    for (int ms = 0; ms < 500 && pg_pool_usable(bench_pool) == 0; ms++) {
        bench_skip_ms(1);
        bench_turns(10);
    }
    assert_false(health()->database_ok);
    await_probes(2); /* at once, not at the next interval */
    assert_true(payment_store_ready(store));
    assert_true(bench_now_us() - from_us < store_config.db_probe_interval_ms * CLOCK_US_PER_MS);
}

/* What came up may be another database than what was there before. */
static void test_region_is_not_known_until_the_pool_that_came_up_was_asked_about(void **state)
{
    (void)state;
    store_await_ready();
    assert_true(health()->region_known);
    hang_up_service();
    assert_false(health()->region_known);

    store_server.silent = true;
    for (int ms = 0; ms < 500 && pg_pool_usable(bench_pool) == 0; ms++) {
        bench_skip_ms(1);
        bench_turns(10);
    }
    assert_int_equal(payment_store_submit(store, store_op(0, PAYMENT_OP_EVALUATE)),
                     ERR_UNAVAILABLE);
    store_server.silent = false;
    await_probes(2);
    assert_true(health()->region_known);
    store_submit_ok(0, PAYMENT_OP_EVALUATE);
}

static unsigned epochs(const char *application)
{
    char part[64];
    snprintf(part, sizeof(part), "\"db.application_name\":\"%s\"", application);
    return bench_log_count(part);
}

/* While the guard is shut the probe connects anew after each answer; when it opens, the service
 * does. */
static void test_connections_are_replaced_while_the_guard_is_shut_and_when_it_opens(void **state)
{
    (void)state;
    store_await_ready();
    assert_int_equal(bench_log_count("residency_guard"), 0);
    store_server.region = "us-1";
    for (unsigned i = 2; i < 5; i++) {
        skip_interval();
        await_probes(i);
        assert_int_equal(epochs("bench probe"), i - 1);
        store_turns(20);
    }
    assert_int_equal(epochs("bench"), 0);
    store_server.region = "eu-1";
    skip_interval();
    await_probes(5);
    assert_int_equal(epochs("bench probe"), 3);
    assert_int_equal(epochs("bench"), 1);
    assert_int_equal(bench_log_count("residency_guard"), 2);
}

static void test_it_is_ready_again_when_the_server_is(void **state)
{
    (void)state;
    store_await_ready();
    fake_pq_next.steps[0].polled = PGRES_POLLING_FAILED;
    hang_up_service();
    fake_pq_hang_up(store_probe_conn());
    bench_turns(2);
    skip_interval();
    store_turns(3); /* the interval's probe is refused, quietly */
    assert_false(health()->database_ok);
    assert_false(payment_store_ready(store));

    fake_pq_next.steps[0].polled = PGRES_POLLING_WRITING;
    for (int ms = 0; ms < 5000 && !payment_store_ready(store); ms++) {
        bench_skip_ms(1);
        store_turn();
    }
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
        STORE_TEST(test_probe_without_an_answer_loses_its_connection),
        STORE_TEST(test_busy_service_is_asked_all_the_same),
        STORE_TEST(test_what_was_known_goes_with_the_services_last_connection),
        STORE_TEST(test_region_is_not_known_until_the_pool_that_came_up_was_asked_about),
        STORE_TEST(test_connections_are_replaced_while_the_guard_is_shut_and_when_it_opens),
        STORE_TEST(test_it_is_ready_again_when_the_server_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
