/*
 * pg_conn: the arrows of pg_pool.h and every way down, through a pool of one connection
 * (and its spare) on a fake libpq.
 */
#include "core/clock.h"
#include "pool/pg_slots_private.h"
#include "test/fake/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_names_are_all_different(void **state)
{
    (void)state;
    for (int a = 0; a < PG_CLOSE_REASONS; a++)
        for (int b = a + 1; b < PG_CLOSE_REASONS; b++)
            assert_string_not_equal(pg_close_reason_name((enum pg_close_reason)a),
                                    pg_close_reason_name((enum pg_close_reason)b));
    for (int a = 0; a < PG_CONN_STATES; a++)
        for (int b = a + 1; b < PG_CONN_STATES; b++)
            assert_string_not_equal(pg_conn_state_name((enum pg_conn_state)a),
                                    pg_conn_state_name((enum pg_conn_state)b));
    assert_string_equal(pg_close_reason_name(PG_CLOSE_READ_ONLY), "read_only");
    assert_string_equal(pg_conn_state_name(PG_CONN_BUSY), "busy");
}

/* ---- the way up and around ---- */

/* DOWN -> CONNECTING -> PREPARING -> IDLE */
static void test_comes_up_through_every_state(void **state)
{
    (void)state;
    fake_pq_next.hold_prepared = true;
    bench_open();
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_DOWN), 1);

    bench_await(PG_CONN_CONNECTING, 1);
    bench_await(PG_CONN_PREPARING, 1);
    assert_int_equal(pg_pool_usable(bench_pool), 0);
    fake_pq_say_prepared(fake_pq_conn(0));
    bench_await(PG_CONN_IDLE, 1);

    assert_int_equal(pg_pool_usable(bench_pool), 1);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_DOWN), 0);
    assert_int_equal(fake_pq_prepare_count(fake_pq_conn(0)), 2);
    assert_int_equal(bench_log_count("pg_conn_up"), 1);
    assert_int_equal(pg_pool_stats(bench_pool)->connects_total, 1);
    assert_int_equal(pg_pool_stats(bench_pool)->connect_time.count, 1);
}

/* IDLE <-> BUSY */
static void test_idle_and_busy_take_turns(void **state)
{
    (void)state;
    bench_open_up(1);

    for (unsigned i = 0; i < 3; i++) {
        bench_send_ok(0);
        assert_int_equal(pg_pool_count(bench_pool, PG_CONN_BUSY), 1);
        fake_pq_answer(bench_asked(), bench_row());
        bench_await_answer(0, i + 1);
        assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 1);
    }

    assert_int_equal(fake_pq_made(), 1);
}

/* ---- down from every state, for every reason ---- */

/* Brings slot 0's connection into the state. */
static struct pg_connection *conn_in(enum pg_conn_state wanted)
{
    fake_pq_next.hold_prepared = wanted == PG_CONN_PREPARING;
    bench_open();
    switch (wanted) {
    case PG_CONN_DOWN:
        break;
    case PG_CONN_CONNECTING:
    case PG_CONN_PREPARING:
    case PG_CONN_IDLE:
        bench_await(wanted, 1);
        break;
    case PG_CONN_BUSY:
        bench_await(PG_CONN_IDLE, 1);
        bench_send_ok(0);
        break;
    }
    struct list_node *node = list_first(&bench_pool->lists[wanted]);
    assert_non_null(node);
    fake_pq_next.hold_prepared = false;
    return pg_connection_of(node);
}

/* any state -> DOWN by pg_conn_down, with each reason */
static void test_down_from_every_state_for_every_reason(void **state)
{
    (void)state;
    for (int from = PG_CONN_CONNECTING; from <= PG_CONN_BUSY; from++) {
        for (int reason = 0; reason < PG_CLOSE_REASONS; reason++) {
            struct pg_connection *conn = conn_in((enum pg_conn_state)from);
            memset(&bench_asks[0].answers, 0, sizeof(bench_asks[0].answers));

            pg_conn_down(conn, (enum pg_close_reason)reason);

            assert_int_equal(conn->state, PG_CONN_DOWN);
            assert_null(conn->handle);
            assert_int_equal(conn->io.fd, -1);
            assert_false(reactor_timer_is_set(&conn->deadline));
            bench_assert_only_closed((enum pg_close_reason)reason, 1);
            assert_int_equal(bench_asks[0].answers, from == PG_CONN_BUSY);
            if (from == PG_CONN_BUSY)
                assert_int_equal(bench_asks[0].kind, PG_ANSWER_LOST);
            /* A drain's end starts nothing anew; after all others the connector goes on. */
            if (reason != PG_CLOSE_DRAIN)
                bench_recover(1);
            bench_close();
            fake_pq_check_clean();
            fake_pq_reset();
        }
    }
}

/* pg_conn_retire: now, where no query is in flight */
static void test_retire_ends_at_once_unless_busy(void **state)
{
    (void)state;
    for (int from = PG_CONN_CONNECTING; from < PG_CONN_BUSY; from++) {
        struct pg_connection *conn = conn_in((enum pg_conn_state)from);

        pg_conn_retire(conn, PG_CLOSE_EPOCH);

        assert_int_equal(conn->state, PG_CONN_DOWN);
        bench_assert_only_closed(PG_CLOSE_EPOCH, 1);
        bench_close();
    }
}

/* pg_conn_retire: before the answer is told, where one is */
static void test_retire_while_busy_waits_for_the_answer(void **state)
{
    (void)state;
    struct pg_connection *conn = conn_in(PG_CONN_BUSY);

    pg_conn_retire(conn, PG_CLOSE_LIFETIME);
    pg_conn_retire(conn, PG_CLOSE_EPOCH); /* the first reason counts */
    assert_int_equal(conn->state, PG_CONN_BUSY);
    assert_int_equal(pg_pool_usable(bench_pool), 0);
    fake_pq_answer(bench_asked(), bench_row());
    bench_await_answer(0, 1);

    assert_int_equal(bench_asks[0].kind, PG_ANSWER_ROWS);
    assert_int_equal(bench_asks[0].row_count, 1);
    bench_assert_only_closed(PG_CLOSE_LIFETIME, 1);
    assert_int_equal(bench_pool->retiring, 0);
    bench_recover(1);
}

static void test_retiring_connection_that_is_lost_is_counted_off(void **state)
{
    (void)state;
    struct pg_connection *conn = conn_in(PG_CONN_BUSY);
    pg_conn_retire(conn, PG_CLOSE_LIFETIME);

    fake_pq_hang_up(bench_asked());
    bench_await_answer(0, 1);

    assert_int_equal(bench_asks[0].kind, PG_ANSWER_LOST);
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
    assert_int_equal(bench_pool->retiring, 0);
    bench_recover(1);
}

/* ---- deadlines ---- */

static void test_attempt_ends_at_its_limit(void **state)
{
    (void)state;
    static const enum pg_conn_state STATES[] = {PG_CONN_CONNECTING, PG_CONN_PREPARING};
    for (size_t i = 0; i < sizeof(STATES) / sizeof(STATES[0]); i++) {
        fake_pq_next.steps[1].silent = STATES[i] == PG_CONN_CONNECTING;
        (void)conn_in(STATES[i]);

        bench_skip_ms(bench_config.connect_timeout_ms - 1);
        bench_turns(3);
        bench_assert_only_closed(PG_CLOSE_TIMEOUT, 0);
        bench_skip_ms(1);
        bench_turn();
        bench_assert_only_closed(PG_CLOSE_TIMEOUT, 1);

        assert_string_equal(pg_pool_stats(bench_pool)->last_error_stage,
                            STATES[i] == PG_CONN_PREPARING ? "prepare" : "startup");
        bench_close();
        fake_pq_reset();
    }
}

static void test_query_without_an_answer_ends_the_connection_at_its_limit(void **state)
{
    (void)state;
    (void)conn_in(PG_CONN_BUSY);

    bench_skip_ms(bench_config.query_timeout_ms);
    bench_turns(1);

    assert_int_equal(bench_asks[0].answers, 1);
    assert_int_equal(bench_asks[0].kind, PG_ANSWER_LOST);
    bench_assert_only_closed(PG_CLOSE_DEADLINE, 1);
    bench_recover(1);
}

static void test_answered_query_leaves_no_deadline(void **state)
{
    (void)state;
    (void)conn_in(PG_CONN_BUSY);
    fake_pq_answer(bench_asked(), bench_row());
    bench_await_answer(0, 1);

    bench_skip_ms(10 * (uint64_t)bench_config.query_timeout_ms);
    bench_turns(3);

    bench_assert_closed(PG_CLOSE_DEADLINE, 0);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 1);
}

/* Served first in a turn only while it serves: a handshake's key derivation must not go before. */
static void test_only_a_serving_connection_is_urgent(void **state)
{
    (void)state;
    struct pg_connection *conn = conn_in(PG_CONN_IDLE);
    assert_true(conn->io.urgent);
    pg_conn_down(conn, PG_CLOSE_EPOCH);
    bench_await(PG_CONN_IDLE, 1); /* the spare's slot; the next is this one's turn again */
    pg_conn_down(pg_connection_of(list_first(&bench_pool->lists[PG_CONN_IDLE])), PG_CLOSE_EPOCH);
    bench_await(PG_CONN_CONNECTING, 1);
    assert_int_equal(conn->state, PG_CONN_CONNECTING);
    assert_false(conn->io.urgent);
    bench_await(PG_CONN_IDLE, 1);
    assert_true(conn->io.urgent);
}

/* ---- an idle connection hears ---- */

static void test_idle_end_of_file(void **state)
{
    (void)state;
    (void)conn_in(PG_CONN_IDLE);

    fake_pq_hang_up(fake_pq_conn(0));
    bench_turn();

    bench_assert_only_closed(PG_CLOSE_EOF, 1);
    bench_recover(1);
}

static void test_idle_dismissal(void **state)
{
    (void)state;
    static const char *const SQLSTATES[] = {"57P01", "57P02", "57P03", "57P05", "25P03"};
    for (size_t i = 0; i < sizeof(SQLSTATES) / sizeof(SQLSTATES[0]); i++) {
        (void)conn_in(PG_CONN_IDLE);

        fake_pq_say_notice(fake_pq_conn(0), SQLSTATES[i]);
        bench_turn();

        bench_assert_only_closed(PG_CLOSE_SHUTDOWN, 1);
        assert_string_equal(pg_pool_stats(bench_pool)->last_error_sqlstate, SQLSTATES[i]);
        assert_string_equal(pg_pool_stats(bench_pool)->last_error_stage, "idle");
        bench_close();
        fake_pq_reset();
    }
}

static void test_idle_dismissal_is_known_when_the_end_comes_with_it(void **state)
{
    (void)state;
    (void)conn_in(PG_CONN_IDLE);

    fake_pq_say_notice(fake_pq_conn(0), "57P01");
    fake_pq_hang_up(fake_pq_conn(0));
    bench_turn();

    bench_assert_only_closed(PG_CLOSE_SHUTDOWN, 1);
}

static void test_idle_notices_and_notifications_change_nothing(void **state)
{
    (void)state;
    (void)conn_in(PG_CONN_IDLE);
    PGconn *conn = fake_pq_conn(0);

    fake_pq_say_notice(conn, "01000");
    fake_pq_say_notice(conn, NULL);
    fake_pq_say_notify(conn);
    fake_pq_say_notify(conn);
    bench_turns(3);

    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 1);
    assert_int_equal(pg_pool_stats(bench_pool)->sqlstates[0].count, 0);
}

static void test_idle_connection_that_becomes_a_standby_or_read_only(void **state)
{
    (void)state;
    static const char *const PARAMETERS[] = {"in_hot_standby", "default_transaction_read_only"};
    for (size_t i = 0; i < sizeof(PARAMETERS) / sizeof(PARAMETERS[0]); i++) {
        (void)conn_in(PG_CONN_IDLE);

        fake_pq_say_parameter(fake_pq_conn(0), PARAMETERS[i], "on");
        bench_turn();

        bench_assert_only_closed(PG_CLOSE_STANDBY, 1);
        bench_close();
        fake_pq_reset();
    }
}

/* ---- starting ---- */

static void test_start_that_is_bad_at_once_is_refused(void **state)
{
    (void)state;
    fake_pq_next.start_bad = true;
    bench_open();
    bench_turns(2);
    bench_assert_only_closed(PG_CLOSE_REFUSED, 1);

    fake_pq_next.start_bad = false;
    bench_recover(1);
}

static void test_start_without_memory_is_a_failed_attempt(void **state)
{
    (void)state;
    fake_pq_fail(FAKE_PQ_CONNECT_START, 1, false);
    bench_open();
    bench_turns(2);
    assert_int_equal(fake_pq_made(), 0);
    assert_int_equal(pg_pool_stats(bench_pool)->connect_failures_total, 1);

    bench_recover(1);
}

static void test_start_without_a_socket_is_refused(void **state)
{
    (void)state;
    fake_pq_fail(FAKE_PQ_SOCKET, 1, false);
    bench_open();
    bench_turns(2);
    bench_assert_only_closed(PG_CLOSE_REFUSED, 1);

    bench_recover(1);
}

/* ---- what is logged ---- */

static void test_failed_connect_is_logged_with_the_first_line_of_its_error(void **state)
{
    (void)state;
    fake_pq_next.error = "connection to server failed: no route\n\tIs it running?\n";
    fake_pq_next.steps[0].polled = PGRES_POLLING_FAILED;
    bench_open();
    bench_turns(3);

    assert_int_equal(bench_log_count("connection to server failed: no route"), 1);
    assert_int_equal(bench_log_count("Is it running"), 0);
}

static void test_failed_connect_that_quotes_the_password_is_not_quoted(void **state)
{
    (void)state;
    fake_pq_next.error = "bad password s3cret here\n";
    fake_pq_next.steps[0].polled = PGRES_POLLING_FAILED;
    bench_open();
    bench_turns(3);

    assert_int_equal(bench_log_count("s3cret"), 0);
    assert_int_equal(bench_log_count("withheld"), 1);
}

static void test_failed_connect_without_words_or_password_is_logged_without(void **state)
{
    (void)state;
    static const char *const PASSWORDS[] = {NULL, "", "s3cret"};
    for (size_t i = 0; i < sizeof(PASSWORDS) / sizeof(PASSWORDS[0]); i++) {
        fake_pq_reset();
        fake_pq_next.error = NULL;
        fake_pq_next.password = PASSWORDS[i];
        fake_pq_next.steps[0].polled = PGRES_POLLING_FAILED;
        bench_open();
        bench_turns(3);

        assert_int_equal(bench_log_count("pg_conn_down"), i + 1);
        assert_int_equal(bench_log_count("withheld"), 0);
        bench_close();
    }
}

static void test_planned_end_is_no_warning(void **state)
{
    (void)state;
    struct pg_connection *conn = conn_in(PG_CONN_IDLE);
    pg_conn_down(conn, PG_CLOSE_EPOCH);
    assert_int_equal(bench_log_count("pg_conn_down"), 1);
    assert_int_equal(bench_log_count("WARN"), 0);

    bench_recover(1);
    fake_pq_hang_up(fake_pq_conn(fake_pq_made() - 1));
    bench_turns(1);

    assert_int_equal(bench_log_count("pg_conn_down"), 2);
    assert_int_equal(bench_log_count("WARN"), 1);
    assert_int_equal(bench_log_count("\"error\""), 0); /* libpq's words are for failed connects */
}

static void test_planned_end_of_an_attempt_is_logged_also_between_failures(void **state)
{
    (void)state;
    fake_pq_next.steps[0].polled = PGRES_POLLING_FAILED;
    bench_open();
    bench_turns(3);
    fake_pq_next.steps[0].polled = PGRES_POLLING_WRITING;
    for (int ms = 0; ms < 1000 && pg_pool_count(bench_pool, PG_CONN_CONNECTING) == 0; ms++) {
        bench_skip_ms(1);
        bench_turn();
    }
    assert_int_equal(bench_log_count("pg_conn_down"), 1);
    pg_pool_drain(bench_pool);
    assert_int_equal(bench_log_count("pg_conn_down"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_all_different),
        BENCH_TEST(test_comes_up_through_every_state),
        BENCH_TEST(test_idle_and_busy_take_turns),
        BENCH_TEST(test_down_from_every_state_for_every_reason),
        BENCH_TEST(test_retire_ends_at_once_unless_busy),
        BENCH_TEST(test_retire_while_busy_waits_for_the_answer),
        BENCH_TEST(test_retiring_connection_that_is_lost_is_counted_off),
        BENCH_TEST(test_attempt_ends_at_its_limit),
        BENCH_TEST(test_query_without_an_answer_ends_the_connection_at_its_limit),
        BENCH_TEST(test_answered_query_leaves_no_deadline),
        BENCH_TEST(test_only_a_serving_connection_is_urgent),
        BENCH_TEST(test_idle_end_of_file),
        BENCH_TEST(test_idle_dismissal),
        BENCH_TEST(test_idle_dismissal_is_known_when_the_end_comes_with_it),
        BENCH_TEST(test_idle_notices_and_notifications_change_nothing),
        BENCH_TEST(test_idle_connection_that_becomes_a_standby_or_read_only),
        BENCH_TEST(test_start_that_is_bad_at_once_is_refused),
        BENCH_TEST(test_start_without_memory_is_a_failed_attempt),
        BENCH_TEST(test_start_without_a_socket_is_refused),
        BENCH_TEST(test_failed_connect_is_logged_with_the_first_line_of_its_error),
        BENCH_TEST(test_failed_connect_that_quotes_the_password_is_not_quoted),
        BENCH_TEST(test_failed_connect_without_words_or_password_is_logged_without),
        BENCH_TEST(test_planned_end_is_no_warning),
        BENCH_TEST(test_planned_end_of_an_attempt_is_logged_also_between_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
