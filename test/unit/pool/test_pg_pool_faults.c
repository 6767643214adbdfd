/*
 * The whole connection machine under faults: every call of libpq failing once, and losses, errors,
 * faults, new epochs and time drawn at random. After each the pool is as good as new.
 */
#include "pool/pg_slots_private.h"
#include "test/fake/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { REPLACE_MS_MAX = 10 * 1000 };

/* What every turn must leave true. */
static void assert_sound(void)
{
    uint32_t counted = 0, retiring = 0, handles = 0;
    for (int state = 0; state < PG_CONN_STATES; state++)
        counted += bench_pool->lists[state].count;
    assert_int_equal(counted, bench_pool->config.conn_count + 1);
    for (uint32_t i = 0; i <= bench_pool->config.conn_count; i++) {
        const struct pg_connection *conn = &bench_pool->slots[i];
        retiring += conn->retiring;
        handles += conn->handle != NULL;
        assert_int_equal(conn->handle != NULL, conn->state != PG_CONN_DOWN);
        assert_int_equal(conn->io.fd != -1, conn->state != PG_CONN_DOWN);
        assert_int_equal(conn->query != NULL, conn->state == PG_CONN_BUSY);
        if (conn->state != PG_CONN_BUSY)
            assert_null(conn->result);
        assert_int_equal(reactor_timer_is_set(&conn->deadline),
                         conn->state != PG_CONN_DOWN && conn->state != PG_CONN_IDLE);
    }
    assert_int_equal(retiring, bench_pool->retiring);
    assert_int_equal(handles, fake_pq_live());
}

/* Answers whatever is asked; returns how many were. */
static unsigned answer_all(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < fake_pq_made(); i++) {
        PGconn *conn = fake_pq_conn(i);
        if (!fake_pq_is_asked(conn))
            continue;
        fake_pq_answer(conn, bench_row());
        count++;
    }
    return count;
}

/* One of everything: up, a query, one prepared again, a replacement. */
static void run_script(void)
{
    bench_recover(2);
    assert_sound();
    for (unsigned i = 0; i < 3; i++) {
        const enum err err = bench_send(i);
        assert_true(err == ERR_OK || err == ERR_AGAIN || err == ERR_UNAVAILABLE);
        if (err == ERR_OK && i == 1) {
            for (unsigned c = 0; c < fake_pq_made(); c++)
                if (fake_pq_is_asked(fake_pq_conn(c)))
                    fake_pq_answer(fake_pq_conn(c), fake_pq_error("0A000", "ERROR"));
        } else {
            (void)answer_all();
        }
        for (int turn = 0; turn < 10; turn++) {
            bench_turn();
            assert_sound();
        }
        bench_recover(2);
    }
    pg_pool_new_epoch(bench_pool);
    for (int turn = 0; turn < 100; turn++) {
        bench_turn();
        assert_sound();
    }
    bench_recover(2);
}

/* For every function: the nth call fails, n = 1.. until the script passes without a failure. After
 * each the pool is as good as new. */
static void test_every_call_of_libpq_may_fail_once(void **state)
{
    (void)state;
    for (int call = 0; call < FAKE_PQ_CALLS; call++) {
        for (int breaks = 0; breaks < 2; breaks++) {
            bool failed = true;
            for (unsigned nth = 1; failed; nth++) {
                assert_true(nth < 1000);
                memset(bench_asks, 0, sizeof(bench_asks));
                bench_config.conn_count = 2;
                bench_open();
                fake_pq_fail((enum fake_pq_call)call, nth, breaks != 0);
                run_script();
                failed = fake_pq_has_failed();
                fake_pq_fail((enum fake_pq_call)call, 0, false);
                for (unsigned i = 0; i < 3; i++)
                    assert_true(bench_asks[i].answers <= 1);

                bench_send_ok(9);
                assert_int_equal(answer_all(), 1);
                bench_await_answer(9, 1);
                assert_int_equal(bench_asks[9].kind, PG_ANSWER_ROWS);
                bench_close();
                fake_pq_check_clean();
                fake_pq_reset();
            }
        }
    }
}

/* Our own numbers: a seed means the same walk everywhere (Marsaglia's xorshift, 32 bits). */
static uint32_t walk;

static unsigned draw(unsigned below)
{
    walk ^= walk << 13;
    walk ^= walk >> 17;
    walk ^= walk << 5;
    return walk % below;
}

static void do_something(void)
{
    static const char *const SQLSTATES[] = {"22000", "26000", "25006", "57P01", "40001", "0A000"};
    PGconn *conn = fake_pq_made() > 0 ? fake_pq_conn(draw(fake_pq_made())) : NULL;
    const unsigned ask = draw(BENCH_ASKS_MAX);

    switch (draw(12)) {
    case 0:
    case 1:
    case 2:
        if (bench_asks[ask].answers == 1) { /* free again */
            bench_asks[ask].answers = 0;
            bench_asks[ask].query.sent_us = 0;
        }
        if (bench_asks[ask].query.sent_us == 0 && bench_send(ask) != ERR_OK)
            bench_asks[ask].query.sent_us = 0;
        break;
    case 3:
    case 4:
        (void)answer_all();
        bench_turn();
        break;
    case 5:
        if (fake_pq_is_asked(conn)) {
            fake_pq_answer(conn, fake_pq_error(SQLSTATES[draw(6)], draw(5) ? "ERROR" : "FATAL"));
            bench_turn();
        }
        break;
    case 6:
        if (conn != NULL) {
            fake_pq_hang_up(conn);
            bench_turn();
        }
        break;
    case 7:
        fake_pq_fail((enum fake_pq_call)draw(FAKE_PQ_CALLS), 1 + draw(4), draw(2) != 0);
        break;
    case 8:
        fake_pq_next.partial_flushes = draw(3);
        fake_pq_next.standby = draw(8) == 0 ? "on" : "off";
        break;
    case 9:
        pg_pool_new_epoch(bench_pool);
        break;
    case 10:
        bench_skip_ms(draw(700));
        break;
    default:
        bench_turns(draw(8));
        break;
    }
}

/* Whatever happens in whatever order: no query is answered twice, the lists stay sound, and when
 * the faults stop every connection comes back. */
static void test_random_faults_leave_the_pool_sound(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        walk = seed * 2654435761U;
        memset(bench_asks, 0, sizeof(bench_asks));
        bench_config.conn_count = 1 + draw(4);
        bench_open();
        for (int step = 0; step < 150; step++) {
            do_something();
            bench_turn();
            assert_sound();
            for (unsigned i = 0; i < BENCH_ASKS_MAX; i++)
                assert_true(bench_asks[i].answers <= 1);
        }
        for (int call = 0; call < FAKE_PQ_CALLS; call++)
            fake_pq_fail((enum fake_pq_call)call, 0, false);
        fake_pq_next.standby = "off";
        (void)answer_all();
        bench_turns(5);
        bench_recover(bench_config.conn_count);
        /* What is left to replace is replaced, after a pause that may still be running. */
        for (int ms = 0; ms < REPLACE_MS_MAX && pg_connector_stale(bench_pool) != NULL; ms++) {
            bench_skip_ms(1);
            bench_turn();
        }
        assert_null(pg_connector_stale(bench_pool));
        bench_recover(bench_config.conn_count);
        assert_int_equal(fake_pq_live(), bench_config.conn_count);
        assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), bench_config.conn_count);
        for (unsigned i = 0; i < BENCH_ASKS_MAX; i++)
            assert_true(bench_asks[i].query.sent_us == 0 || bench_asks[i].answers == 1);
        bench_close();
        fake_pq_check_clean();
        fake_pq_reset();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_every_call_of_libpq_may_fail_once),
        BENCH_TEST(test_random_faults_leave_the_pool_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
