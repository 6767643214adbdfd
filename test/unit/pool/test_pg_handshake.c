/*
 * pg_handshake: the way up of a connection, poll by poll, and the flight that prepares the
 * statements: first, and again.
 */
#include "pool/pg_slots_private.h"
#include "test/fake/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *last_stage(void)
{
    return pg_pool_stats(bench_pool)->last_error_stage;
}

static const char *last_sqlstate(void)
{
    return pg_pool_stats(bench_pool)->last_error_sqlstate;
}

/* Opens a pool whose attempts end, and turns until the first has. */
static void open_and_fail(void)
{
    bench_open();
    for (int i = 0; i < BENCH_TURNS_MAX && pg_pool_stats(bench_pool)->connect_failures_total == 0;
         i++)
        bench_turn();
    assert_int_equal(pg_pool_stats(bench_pool)->connect_failures_total, 1);
}

/* CONNECTING -> PREPARING, whatever libpq does with its socket in between */
static void test_socket_that_changes_under_its_number_is_followed(void **state)
{
    (void)state;
    for (unsigned step = 0; step < 3; step++) {
        fake_pq_next.steps[step].new_socket = true;
        bench_open_up(1);
        bench_send_ok(0);
        fake_pq_answer(bench_asked(), bench_row());
        bench_await_answer(0, step + 1);
        bench_close();
        fake_pq_reset();
    }
}

static void test_long_handshake_goes_on_step_by_step(void **state)
{
    (void)state;
    static const struct fake_pq_step STEPS[] = {
        {.polled = PGRES_POLLING_WRITING, .status = CONNECTION_STARTED},
        {.polled = PGRES_POLLING_READING, .status = CONNECTION_SSL_STARTUP, .new_socket = true},
        {.polled = PGRES_POLLING_WRITING, .status = CONNECTION_MADE},
        {.polled = PGRES_POLLING_READING, .status = CONNECTION_AWAITING_RESPONSE},
        {.polled = PGRES_POLLING_READING, .status = CONNECTION_AUTH_OK},
        {.polled = PGRES_POLLING_OK, .status = CONNECTION_OK},
    };
    memcpy(fake_pq_next.steps, STEPS, sizeof(STEPS));

    bench_open_up(1);

    assert_int_equal(fake_pq_made(), 1);
    assert_int_equal(fake_pq_calls(FAKE_PQ_CONNECT_POLL), 6);
}

static void test_one_handshake_step_a_turn_for_all_connections(void **state)
{
    (void)state;
    bench_config.conn_count = 2;
    bench_open();
    bench_turn();
    assert_int_equal(fake_pq_made(), 2);

    for (unsigned i = 1; i <= 6; i++) {
        bench_turn();
        assert_int_equal(fake_pq_calls(FAKE_PQ_CONNECT_POLL), i);
    }
    bench_await(PG_CONN_IDLE, 2);
}

/* CONNECTING -> DOWN */
static void test_stage_tells_how_far_it_came(void **state)
{
    (void)state;
    static const struct {
        ConnStatusType status;
        const char *stage;
    } STAGES[] = {{CONNECTION_STARTED, "connect"},
                  {CONNECTION_SSL_STARTUP, "tls"},
                  {CONNECTION_MADE, "startup"},
                  {CONNECTION_AWAITING_RESPONSE, "startup"},
                  {CONNECTION_AUTH_OK, "session"}};
    for (size_t i = 0; i < sizeof(STAGES) / sizeof(STAGES[0]); i++) {
        fake_pq_next.steps[0].status = STAGES[i].status;
        fake_pq_next.steps[1].polled = PGRES_POLLING_FAILED;
        open_and_fail();

        assert_string_equal(last_stage(), STAGES[i].stage);
        bench_assert_only_closed(PG_CLOSE_REFUSED, 1);
        bench_close();
        fake_pq_reset();
    }
}

static void test_refusal_is_judged_by_its_sqlstate(void **state)
{
    (void)state;
    static const struct {
        const char *error, *sqlstate, *stage;
        enum pg_close_reason reason;
    } REFUSALS[] = {
        {"FATAL:  28P01\n", "28P01", "auth", PG_CLOSE_AUTH},
        {"FATAL:  28000", "28000", "auth", PG_CLOSE_AUTH},
        {"FATAL:  57P03 \n\n", "57P03", "startup", PG_CLOSE_SHUTDOWN},
        {"FATAL:  53300\n", "53300", "startup", PG_CLOSE_REFUSED},
        {"FATAL:  3D000\n", "3D000", "startup", PG_CLOSE_REFUSED},
        /* No SQLSTATE at the end. */
        {"connection refused\n", "", "startup", PG_CLOSE_REFUSED},
        {"closed: 28p01\n", "", "startup", PG_CLOSE_REFUSED},
        {"closed:28P01\n", "", "startup", PG_CLOSE_REFUSED},
        {"28P01\n", "", "startup", PG_CLOSE_REFUSED},
        {"\n", "", "startup", PG_CLOSE_REFUSED},
        {"", "", "startup", PG_CLOSE_REFUSED},
    };
    for (size_t i = 0; i < sizeof(REFUSALS) / sizeof(REFUSALS[0]); i++) {
        fake_pq_next.error = REFUSALS[i].error;
        fake_pq_next.steps[2].polled = PGRES_POLLING_FAILED;
        open_and_fail();

        assert_string_equal(last_sqlstate(), REFUSALS[i].sqlstate);
        assert_string_equal(last_stage(), REFUSALS[i].stage);
        bench_assert_only_closed(REFUSALS[i].reason, 1);
        bench_close();
        fake_pq_reset();
    }
}

static void test_socket_lost_while_connecting_is_refused(void **state)
{
    (void)state;
    fake_pq_fail(FAKE_PQ_SOCKET, 2, false);
    open_and_fail();
    bench_assert_only_closed(PG_CLOSE_REFUSED, 1);
    bench_recover(1);
}

/* "OK, role checked" */
static void test_standby_and_read_only_are_not_adopted(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        *(i == 0 ? &fake_pq_next.standby : &fake_pq_next.read_only) = "on";
        open_and_fail();

        bench_assert_only_closed(PG_CLOSE_STANDBY, 1);
        assert_string_equal(last_stage(), "role");
        bench_close();
        fake_pq_reset();
    }
}

static void test_server_that_names_no_role_is_a_primary(void **state)
{
    (void)state;
    fake_pq_next.standby = NULL;
    fake_pq_next.read_only = NULL;
    bench_open_up(1);
    assert_int_equal(fake_pq_made(), 1);
}

/* CONNECTING -> DOWN where libpq fails while the flight is put together */
static void test_flight_that_cannot_be_sent_is_the_end(void **state)
{
    (void)state;
    static const struct {
        enum fake_pq_call call;
        unsigned nth;
    } FAULTS[] = {
        {FAKE_PQ_SET_NONBLOCKING, 1}, {FAKE_PQ_ENTER_PIPELINE, 1}, {FAKE_PQ_SEND_PREPARE, 1},
        {FAKE_PQ_SEND_PREPARE, 2},    {FAKE_PQ_PIPELINE_SYNC, 1},  {FAKE_PQ_FLUSH, 1},
    };
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(FAULTS[0]); i++) {
        fake_pq_fail(FAULTS[i].call, FAULTS[i].nth, true);
        open_and_fail();

        bench_assert_only_closed(PG_CLOSE_EOF, 1);
        bench_recover(1);
        bench_close();
        fake_pq_reset();
    }
}

/* PREPARING -> DOWN */
static void test_statement_that_cannot_be_prepared_is_the_end(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum pg_close_reason reason;
    } ERRORS[] = {
        {"42P01", PG_CLOSE_PREPARE}, {"3F000", PG_CLOSE_PREPARE}, {"57P01", PG_CLOSE_SHUTDOWN}};
    for (size_t i = 0; i < sizeof(ERRORS) / sizeof(ERRORS[0]); i++) {
        fake_pq_next.prepare_sqlstate = ERRORS[i].sqlstate;
        open_and_fail();

        bench_assert_only_closed(ERRORS[i].reason, 1);
        assert_string_equal(last_stage(), "prepare");
        assert_string_equal(last_sqlstate(), ERRORS[i].sqlstate);
        bench_close();
        fake_pq_reset();
    }
}

static void test_pipeline_that_cannot_be_left_is_the_end(void **state)
{
    (void)state;
    fake_pq_fail(FAKE_PQ_EXIT_PIPELINE, 1, false);
    open_and_fail();
    bench_assert_only_closed(PG_CLOSE_PROTOCOL, 1);
    bench_recover(1);
}

static PGconn *conn_preparing(void)
{
    fake_pq_next.hold_prepared = true;
    bench_open();
    bench_await(PG_CONN_PREPARING, 1);
    fake_pq_next.hold_prepared = false;
    return fake_pq_conn(0);
}

static void test_flight_is_flushed_piece_by_piece(void **state)
{
    (void)state;
    fake_pq_next.partial_flushes = 3;
    PGconn *conn = conn_preparing();
    assert_int_equal(fake_pq_calls(FAKE_PQ_FLUSH), 1);

    bench_turns(10);
    assert_int_equal(fake_pq_calls(FAKE_PQ_FLUSH), 4);
    fake_pq_say_prepared(conn);
    bench_await(PG_CONN_IDLE, 1);
}

static void test_flight_whose_rest_cannot_be_flushed_is_the_end(void **state)
{
    (void)state;
    fake_pq_next.partial_flushes = 3;
    (void)conn_preparing();
    fake_pq_fail(FAKE_PQ_FLUSH, 1, true);
    bench_turns(2);
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
}

static void test_flight_answered_result_by_result(void **state)
{
    (void)state;
    PGconn *conn = conn_preparing();

    for (int i = 0; i < 2; i++) {
        fake_pq_say_result(conn, fake_pq_result(PGRES_COMMAND_OK));
        bench_turns(2);
        fake_pq_say_end(conn);
        bench_turns(2);
    }
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_PREPARING), 1);
    fake_pq_say_result(conn, fake_pq_result(PGRES_PIPELINE_SYNC));
    bench_turn();

    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 1);
}

static void test_end_of_file_in_the_flight(void **state)
{
    (void)state;
    PGconn *conn = conn_preparing();
    fake_pq_say_result(conn, fake_pq_result(PGRES_COMMAND_OK));
    fake_pq_hang_up(conn);
    bench_turn();
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
    bench_recover(1);
}

static void test_dismissal_in_the_flight(void **state)
{
    (void)state;
    PGconn *conn = conn_preparing();
    fake_pq_say_result(conn, fake_pq_error("57P01", "FATAL"));
    fake_pq_hang_up(conn);
    bench_turn();
    bench_assert_only_closed(PG_CLOSE_SHUTDOWN, 1);
    bench_recover(1);
}

static void test_first_error_of_the_flight_is_the_one_that_counts(void **state)
{
    (void)state;
    PGconn *conn = conn_preparing();
    fake_pq_answer(conn, fake_pq_error("42P01", "ERROR"));
    fake_pq_answer(conn, fake_pq_error("25P02", "ERROR"));
    fake_pq_say_result(conn, fake_pq_result(PGRES_PIPELINE_SYNC));
    bench_turn();
    bench_assert_only_closed(PG_CLOSE_PREPARE, 1);
    assert_string_equal(last_sqlstate(), "42P01");
}

static void test_flight_that_never_syncs_is_a_protocol_error(void **state)
{
    (void)state;
    PGconn *conn = conn_preparing();
    for (int i = 0; i < 30; i++)
        fake_pq_say_result(conn, fake_pq_result(PGRES_COMMAND_OK));
    bench_turn();
    bench_assert_only_closed(PG_CLOSE_PROTOCOL, 1);
    bench_recover(1);
}

/* ---- again ---- */

/* A query whose answer makes its connection prepare anew; the flight is the test's to answer. */
static PGconn *conn_preparing_again(void)
{
    PGconn *conn = conn_preparing();
    fake_pq_say_prepared(conn);
    bench_await(PG_CONN_IDLE, 1);
    bench_send_ok(0);
    fake_pq_answer(conn, fake_pq_error("26000", "ERROR"));
    bench_await_answer(0, 1);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_PREPARING), 1);
    return conn;
}

/* BUSY -> PREPARING -> IDLE */
static void test_prepares_again_after_dropping_what_was_prepared(void **state)
{
    (void)state;
    PGconn *conn = conn_preparing_again();
    assert_int_equal(fake_pq_deallocate_count(conn), 1);
    assert_int_equal(fake_pq_prepare_count(conn), 4);

    fake_pq_say_prepared(conn);
    bench_await(PG_CONN_IDLE, 1);

    assert_int_equal(pg_pool_stats(bench_pool)->reprepare_total, 1);
    assert_int_equal(bench_log_count("pg_conn_up"), 1); /* it was up all the time */
    bench_send_ok(0);
    fake_pq_answer(conn, bench_row());
    bench_await_answer(0, 2);
}

static void test_preparing_again_ends_at_its_limit(void **state)
{
    (void)state;
    (void)conn_preparing_again();
    bench_skip_ms(bench_config.connect_timeout_ms);
    bench_turn();
    bench_assert_only_closed(PG_CLOSE_DEADLINE, 1);
    bench_recover(1);
}

static void test_preparing_again_in_vain_is_the_end(void **state)
{
    (void)state;
    PGconn *conn = conn_preparing_again();
    fake_pq_say_result(conn, fake_pq_error("42P01", "ERROR"));
    fake_pq_say_result(conn, fake_pq_result(PGRES_PIPELINE_SYNC));
    bench_turns(2);
    bench_assert_only_closed(PG_CLOSE_PREPARE, 1);
    bench_recover(1);
}

static void test_preparing_again_that_cannot_be_sent_is_the_end(void **state)
{
    (void)state;
    static const enum fake_pq_call CALLS[] = {FAKE_PQ_ENTER_PIPELINE, FAKE_PQ_SEND_PARAMS,
                                              FAKE_PQ_SEND_PREPARE, FAKE_PQ_PIPELINE_SYNC,
                                              FAKE_PQ_FLUSH};
    for (size_t i = 0; i < sizeof(CALLS) / sizeof(CALLS[0]); i++) {
        for (int breaks = 0; breaks < 2; breaks++) {
            bench_open_up(1);
            bench_send_ok(0);
            fake_pq_fail(CALLS[i], 1, breaks != 0);
            fake_pq_answer(bench_asked(), fake_pq_error("26000", "ERROR"));
            bench_turns(2);

            assert_true(fake_pq_has_failed());
            assert_int_equal(bench_asks[0].kind, PG_ANSWER_ERROR);
            bench_assert_only_closed(breaks ? PG_CLOSE_EOF : PG_CLOSE_PROTOCOL, 1);
            bench_recover(1);
            bench_close();
            fake_pq_reset();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_socket_that_changes_under_its_number_is_followed),
        BENCH_TEST(test_long_handshake_goes_on_step_by_step),
        BENCH_TEST(test_one_handshake_step_a_turn_for_all_connections),
        BENCH_TEST(test_stage_tells_how_far_it_came),
        BENCH_TEST(test_refusal_is_judged_by_its_sqlstate),
        BENCH_TEST(test_socket_lost_while_connecting_is_refused),
        BENCH_TEST(test_standby_and_read_only_are_not_adopted),
        BENCH_TEST(test_server_that_names_no_role_is_a_primary),
        BENCH_TEST(test_flight_that_cannot_be_sent_is_the_end),
        BENCH_TEST(test_statement_that_cannot_be_prepared_is_the_end),
        BENCH_TEST(test_pipeline_that_cannot_be_left_is_the_end),
        BENCH_TEST(test_flight_is_flushed_piece_by_piece),
        BENCH_TEST(test_flight_whose_rest_cannot_be_flushed_is_the_end),
        BENCH_TEST(test_flight_answered_result_by_result),
        BENCH_TEST(test_end_of_file_in_the_flight),
        BENCH_TEST(test_dismissal_in_the_flight),
        BENCH_TEST(test_first_error_of_the_flight_is_the_one_that_counts),
        BENCH_TEST(test_flight_that_never_syncs_is_a_protocol_error),
        BENCH_TEST(test_prepares_again_after_dropping_what_was_prepared),
        BENCH_TEST(test_preparing_again_ends_at_its_limit),
        BENCH_TEST(test_preparing_again_in_vain_is_the_end),
        BENCH_TEST(test_preparing_again_that_cannot_be_sent_is_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
