/*
 * pg_exchange: one query on one connection: sent, answered, judged. What each end of a query means
 * for its owner (rows, error, lost) and for the connection (idle, prepared again, down).
 */
#include "pool/pg_slots_private.h"
#include "test/fake/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* A pool of one connection with ask 0 on the wire. */
static PGconn *conn_busy(void)
{
    bench_open_up(1);
    bench_asks[0].answers = 0;
    bench_send_ok(0);
    return bench_asked();
}

static void assert_answered(enum pg_answer_kind kind, const char *sqlstate)
{
    bench_await_answer(0, 1);
    assert_int_equal(bench_asks[0].kind, kind);
    assert_string_equal(bench_asks[0].sqlstate, sqlstate);
}

static void again(void)
{
    bench_close();
    fake_pq_check_clean();
    fake_pq_reset();
    memset(bench_asks, 0, sizeof(bench_asks));
}

/* ---- sending ---- */

static void test_statement_and_parameters_reach_the_wire(void **state)
{
    (void)state;
    bench_open_up(1);
    bench_send_ok(7);

    const struct fake_pq_sent *sent = fake_pq_sent(bench_asked());
    static const char SEVEN[8] = {0, 0, 0, 0, 0, 0, 0, 7};
    assert_string_equal(sent->statement, "first");
    assert_int_equal(sent->count, 1);
    assert_int_equal(sent->lengths[0], 8);
    assert_memory_equal(sent->values[0], SEVEN, sizeof(SEVEN));
    assert_int_equal(bench_asks[7].query.statement, 0);
}

static void test_query_is_flushed_piece_by_piece(void **state)
{
    (void)state;
    bench_open_up(1);
    fake_pq_set_partial_flushes(fake_pq_conn(0), 3);
    fake_pq_fail(FAKE_PQ_FLUSH, 0, false);
    bench_send_ok(0);

    bench_turns(10);
    assert_int_equal(fake_pq_calls(FAKE_PQ_FLUSH), 4); /* and no more once all is out */
    fake_pq_answer(bench_asked(), bench_row());
    assert_answered(PG_ANSWER_ROWS, "");
}

static void test_answer_that_comes_before_all_is_flushed(void **state)
{
    (void)state;
    bench_open_up(1);
    fake_pq_set_partial_flushes(fake_pq_conn(0), 3);
    bench_send_ok(0);
    fake_pq_answer(bench_asked(), fake_pq_error("22000", "ERROR"));
    assert_answered(PG_ANSWER_ERROR, "22000");
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 1);
}

static void test_query_whose_rest_cannot_be_flushed_is_lost(void **state)
{
    (void)state;
    bench_open_up(1);
    fake_pq_set_partial_flushes(fake_pq_conn(0), 3);
    bench_send_ok(0);
    fake_pq_fail(FAKE_PQ_FLUSH, 1, true);
    assert_answered(PG_ANSWER_LOST, "");
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
    bench_recover(1);
}

/* IDLE -> DOWN inside pg_conn_send; the next one takes it */
static void test_send_on_a_dead_connection_takes_the_next(void **state)
{
    (void)state;
    static const enum fake_pq_call CALLS[] = {FAKE_PQ_SEND_PREPARED, FAKE_PQ_FLUSH};
    for (size_t i = 0; i < sizeof(CALLS) / sizeof(CALLS[0]); i++) {
        for (int breaks = 0; breaks < 2; breaks++) {
            bench_open_up(2);
            fake_pq_fail(CALLS[i], 1, breaks != 0);

            bench_send_ok(0);
            bench_assert_only_closed(breaks ? PG_CLOSE_EOF : PG_CLOSE_PROTOCOL, 1);
            fake_pq_answer(bench_asked(), bench_row());
            assert_answered(PG_ANSWER_ROWS, "");

            bench_recover(2);
            again();
        }
    }
}

static void test_send_with_the_last_connection_dead_is_refused(void **state)
{
    (void)state;
    bench_open_up(1);
    fake_pq_fail(FAKE_PQ_SEND_PREPARED, 1, true);

    assert_int_equal(bench_send(0), ERR_UNAVAILABLE);
    bench_turns(3);

    assert_int_equal(bench_asks[0].answers, 0);
    bench_recover(1);
}

static void test_send_that_finds_the_session_dismissed_says_so(void **state)
{
    (void)state;
    bench_open_up(1);
    struct pg_connection *conn = pg_connection_of(list_first(&bench_pool->lists[PG_CONN_IDLE]));
    memcpy(conn->sqlstate, "57P01", sizeof(conn->sqlstate));
    fake_pq_fail(FAKE_PQ_FLUSH, 1, true);

    assert_int_equal(bench_send(0), ERR_UNAVAILABLE);

    bench_assert_only_closed(PG_CLOSE_SHUTDOWN, 1);
}

/* ---- answers ---- */

static void test_rows_and_commands_are_answers(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_answer(conn, bench_row());
    assert_answered(PG_ANSWER_ROWS, "");
    assert_int_equal(bench_asks[0].row_count, 1);
    assert_int_equal(pg_pool_stats(bench_pool)->query_time.count, 1);

    bench_send_ok(0);
    fake_pq_answer(conn, fake_pq_result(PGRES_COMMAND_OK));
    bench_await_answer(0, 2);
    assert_int_equal(bench_asks[0].kind, PG_ANSWER_ROWS);
    assert_int_equal(bench_asks[0].row_count, 0);
}

static void test_answer_waits_for_the_servers_final_word(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_say_result(conn, bench_row());
    bench_turns(5);
    assert_int_equal(bench_asks[0].answers, 0);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_BUSY), 1);

    fake_pq_say_end(conn);
    assert_answered(PG_ANSWER_ROWS, "");
}

static void test_plain_error_keeps_the_connection(void **state)
{
    (void)state;
    static const char *const SQLSTATES[] = {"57014", "55P03", "23505", "40001", "53200"};
    for (size_t i = 0; i < sizeof(SQLSTATES) / sizeof(SQLSTATES[0]); i++) {
        fake_pq_answer(conn_busy(), fake_pq_error(SQLSTATES[i], "ERROR"));
        assert_answered(PG_ANSWER_ERROR, SQLSTATES[i]);
        assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 1);
        assert_int_equal(fake_pq_made(), 1);
        again();
    }
}

static void test_error_that_is_answered_explains_no_later_end(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_answer(conn, fake_pq_error("22000", "ERROR"));
    assert_answered(PG_ANSWER_ERROR, "22000");
    fake_pq_hang_up(conn);
    bench_turn();
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
    assert_string_equal(pg_pool_stats(bench_pool)->last_error_sqlstate, "");
}

static void test_commit_that_fails_after_the_rows_is_an_error(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_say_result(conn, bench_row());
    bench_turns(2);
    fake_pq_answer(conn, fake_pq_error("40001", "ERROR"));
    assert_answered(PG_ANSWER_ERROR, "40001");
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 1);
}

static void test_first_error_and_first_rows_are_the_ones_that_count(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_say_result(conn, fake_pq_error("23514", "ERROR"));
    fake_pq_say_result(conn, fake_pq_error("25P02", "ERROR"));
    fake_pq_answer(conn, bench_row());
    assert_answered(PG_ANSWER_ERROR, "23514");

    bench_send_ok(0);
    fake_pq_say_result(conn, bench_row());
    fake_pq_answer(conn, fake_pq_result(PGRES_COMMAND_OK));
    bench_await_answer(0, 2);
    assert_int_equal(bench_asks[0].row_count, 1);
}

static void test_more_results_than_an_answer_has_are_a_protocol_error(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    for (int i = 0; i < 20; i++)
        fake_pq_say_result(conn, bench_row());
    assert_answered(PG_ANSWER_LOST, "");
    bench_assert_only_closed(PG_CLOSE_PROTOCOL, 1);
    bench_recover(1);
}

static void test_end_without_any_result_is_a_protocol_error(void **state)
{
    (void)state;
    fake_pq_say_end(conn_busy());
    assert_answered(PG_ANSWER_LOST, "");
    bench_assert_only_closed(PG_CLOSE_PROTOCOL, 1);
}

static void test_error_without_fields_ends_the_connection(void **state)
{
    (void)state;
    fake_pq_answer(conn_busy(), fake_pq_error(NULL, NULL));
    assert_answered(PG_ANSWER_LOST, "");
    bench_assert_only_closed(PG_CLOSE_PROTOCOL, 1);
}

static void test_error_that_leaves_the_outcome_open_is_lost(void **state)
{
    (void)state;
    static const char *const SQLSTATES[] = {"08006", "08007", "08P01", "40003"};
    for (size_t i = 0; i < sizeof(SQLSTATES) / sizeof(SQLSTATES[0]); i++) {
        fake_pq_answer(conn_busy(), fake_pq_error(SQLSTATES[i], "ERROR"));
        assert_answered(PG_ANSWER_LOST, SQLSTATES[i]);
        bench_assert_only_closed(PG_CLOSE_PROTOCOL, 1);
        bench_recover(1);
        again();
    }
}

static void test_sqlstate_of_a_wrong_length_is_none(void **state)
{
    (void)state;
    fake_pq_answer(conn_busy(), fake_pq_error("0A0", "ERROR"));
    assert_answered(PG_ANSWER_ERROR, "");
}

/* ---- BUSY -> PREPARING ---- */

static void test_forgotten_statement_is_prepared_again(void **state)
{
    (void)state;
    static const char *const SQLSTATES[] = {"26000", "0A000", "42P05"};
    for (size_t i = 0; i < sizeof(SQLSTATES) / sizeof(SQLSTATES[0]); i++) {
        PGconn *conn = conn_busy();
        fake_pq_answer(conn, fake_pq_error(SQLSTATES[i], "ERROR"));
        assert_answered(PG_ANSWER_ERROR, SQLSTATES[i]);

        assert_int_equal(pg_pool_stats(bench_pool)->reprepare_total, 1);
        bench_await(PG_CONN_IDLE, 1);
        assert_int_equal(fake_pq_made(), 1);
        again();
    }
}

/* ---- BUSY -> DOWN ---- */

static void test_read_only_server_is_left(void **state)
{
    (void)state;
    fake_pq_answer(conn_busy(), fake_pq_error("25006", "ERROR"));
    assert_answered(PG_ANSWER_ERROR, "25006");
    bench_assert_only_closed(PG_CLOSE_READ_ONLY, 1);
    bench_recover(1);
}

static void test_transaction_left_open_is_the_end(void **state)
{
    (void)state;
    static const PGTransactionStatusType OPEN[] = {PQTRANS_INTRANS, PQTRANS_INERROR, PQTRANS_ACTIVE,
                                                   PQTRANS_UNKNOWN};
    for (size_t i = 0; i < sizeof(OPEN) / sizeof(OPEN[0]); i++) {
        for (int error = 0; error < 2; error++) {
            PGconn *conn = conn_busy();
            fake_pq_set_transaction(conn, OPEN[i]);
            fake_pq_answer(conn, error ? fake_pq_error("22000", "ERROR") : bench_row());
            /* Rows that are not committed are no answer. */
            assert_answered(error ? PG_ANSWER_ERROR : PG_ANSWER_LOST, error ? "22000" : "");
            bench_assert_only_closed(PG_CLOSE_PROTOCOL, 1);
            bench_recover(1);
            again();
        }
    }
}

static void test_end_of_file_while_busy_is_lost(void **state)
{
    (void)state;
    fake_pq_hang_up(conn_busy());
    assert_answered(PG_ANSWER_LOST, "");
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
    bench_recover(1);
}

static void test_end_of_file_behind_the_rows_is_lost(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_say_result(conn, bench_row());
    fake_pq_hang_up(conn);
    assert_answered(PG_ANSWER_LOST, "");
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
}

/* Whole though the answer is, libpq's status no longer vouches for it. */
static void test_end_of_file_behind_the_whole_answer_is_lost(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_answer(conn, bench_row());
    fake_pq_hang_up(conn);
    assert_answered(PG_ANSWER_LOST, "");
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
}

static void test_dismissal_while_busy_is_lost(void **state)
{
    (void)state;
    static const char *const SEVERITIES[] = {"FATAL", "PANIC"};
    for (size_t i = 0; i < sizeof(SEVERITIES) / sizeof(SEVERITIES[0]); i++) {
        PGconn *conn = conn_busy();
        fake_pq_say_result(conn, fake_pq_error("57P01", SEVERITIES[i]));
        bench_turns(2);
        assert_int_equal(bench_asks[0].answers, 0);
        fake_pq_hang_up(conn);
        assert_answered(PG_ANSWER_LOST, "57P01");
        bench_assert_only_closed(PG_CLOSE_SHUTDOWN, 1);
        bench_recover(1);
        again();
    }
}

/* Another backend crashed: the server says so in a warning, in the middle of the query. */
static void test_crash_warning_while_busy_is_lost(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_say_notice(conn, "57P02");
    bench_turns(2);
    assert_int_equal(bench_asks[0].answers, 0);
    fake_pq_hang_up(conn);
    assert_answered(PG_ANSWER_LOST, "57P02");
    bench_assert_only_closed(PG_CLOSE_SHUTDOWN, 1);
}

static void test_fatal_error_with_an_end_is_lost(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate, *severity;
        enum pg_close_reason reason;
    } FATALS[] = {{"57P01", "FATAL", PG_CLOSE_SHUTDOWN},
                  {"XX000", "FATAL", PG_CLOSE_PROTOCOL},
                  {"XX000", "PANIC", PG_CLOSE_PROTOCOL},
                  {"XX000", NULL, PG_CLOSE_PROTOCOL}};
    for (size_t i = 0; i < sizeof(FATALS) / sizeof(FATALS[0]); i++) {
        fake_pq_answer(conn_busy(), fake_pq_error(FATALS[i].sqlstate, FATALS[i].severity));
        assert_answered(PG_ANSWER_LOST, FATALS[i].sqlstate);
        bench_assert_only_closed(FATALS[i].reason, 1);
        again();
    }
}

static void test_dismissal_behind_the_answer_keeps_the_answer(void **state)
{
    (void)state;
    for (int error = 0; error < 2; error++) {
        PGconn *conn = conn_busy();
        fake_pq_answer(conn, error ? fake_pq_error("22000", "ERROR") : bench_row());
        fake_pq_say_notice(conn, "57P01");
        assert_answered(error ? PG_ANSWER_ERROR : PG_ANSWER_ROWS, error ? "22000" : "");
        bench_assert_only_closed(PG_CLOSE_SHUTDOWN, 1);
        assert_string_equal(pg_pool_stats(bench_pool)->last_error_sqlstate, "57P01");
        again();
    }
}

static void test_read_that_fails_while_busy_is_lost(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    fake_pq_fail(FAKE_PQ_CONSUME, 1, true);
    fake_pq_say_result(conn, bench_row());
    assert_answered(PG_ANSWER_LOST, "");
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
    bench_recover(1);
}

/* ---- on_answer ---- */

static void send_next(struct bench_ask *ask)
{
    ask->then = NULL;
    assert_int_equal(bench_send(1), ERR_OK);
    assert_int_equal(bench_asks[1].answers, 0);
}

static void test_on_answer_may_send_the_next_query_at_once(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    bench_asks[0].then = send_next;

    fake_pq_answer(conn, bench_row());
    assert_answered(PG_ANSWER_ROWS, "");

    assert_int_equal(fake_pq_query_count(conn), 2);
    fake_pq_answer(conn, bench_row());
    bench_await_answer(1, 1);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 1);
}

static void destroy_nothing_but_drain(struct bench_ask *ask)
{
    (void)ask;
    pg_pool_drain(bench_pool);
}

static void test_on_answer_may_drain_the_pool(void **state)
{
    (void)state;
    PGconn *conn = conn_busy();
    bench_asks[0].then = destroy_nothing_but_drain;
    fake_pq_answer(conn, bench_row());
    assert_answered(PG_ANSWER_ROWS, "");
    assert_int_equal(fake_pq_live(), 0);
    bench_assert_only_closed(PG_CLOSE_DRAIN, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_statement_and_parameters_reach_the_wire),
        BENCH_TEST(test_query_is_flushed_piece_by_piece),
        BENCH_TEST(test_answer_that_comes_before_all_is_flushed),
        BENCH_TEST(test_query_whose_rest_cannot_be_flushed_is_lost),
        BENCH_TEST(test_send_on_a_dead_connection_takes_the_next),
        BENCH_TEST(test_send_with_the_last_connection_dead_is_refused),
        BENCH_TEST(test_send_that_finds_the_session_dismissed_says_so),
        BENCH_TEST(test_rows_and_commands_are_answers),
        BENCH_TEST(test_answer_waits_for_the_servers_final_word),
        BENCH_TEST(test_plain_error_keeps_the_connection),
        BENCH_TEST(test_error_that_is_answered_explains_no_later_end),
        BENCH_TEST(test_commit_that_fails_after_the_rows_is_an_error),
        BENCH_TEST(test_first_error_and_first_rows_are_the_ones_that_count),
        BENCH_TEST(test_more_results_than_an_answer_has_are_a_protocol_error),
        BENCH_TEST(test_end_without_any_result_is_a_protocol_error),
        BENCH_TEST(test_error_without_fields_ends_the_connection),
        BENCH_TEST(test_error_that_leaves_the_outcome_open_is_lost),
        BENCH_TEST(test_sqlstate_of_a_wrong_length_is_none),
        BENCH_TEST(test_forgotten_statement_is_prepared_again),
        BENCH_TEST(test_read_only_server_is_left),
        BENCH_TEST(test_transaction_left_open_is_the_end),
        BENCH_TEST(test_end_of_file_while_busy_is_lost),
        BENCH_TEST(test_end_of_file_behind_the_rows_is_lost),
        BENCH_TEST(test_end_of_file_behind_the_whole_answer_is_lost),
        BENCH_TEST(test_dismissal_while_busy_is_lost),
        BENCH_TEST(test_crash_warning_while_busy_is_lost),
        BENCH_TEST(test_fatal_error_with_an_end_is_lost),
        BENCH_TEST(test_dismissal_behind_the_answer_keeps_the_answer),
        BENCH_TEST(test_read_that_fails_while_busy_is_lost),
        BENCH_TEST(test_on_answer_may_send_the_next_query_at_once),
        BENCH_TEST(test_on_answer_may_drain_the_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
