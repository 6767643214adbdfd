/* The order of leaving, on a real loop with a clock of ours, against parts that say what the test
 * wants. */
#include "core/clock.h"
#include "http/main/drain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t now_us;
static bool server_quiet, store_quiet, close_after_answers, server_draining, pool_draining;
static uint32_t pool_down, store_rests, store_stops;

static uint64_t mono_us(void)
{
    return now_us;
}
void http_server_close_after_answers(struct http_server *server)
{
    (void)server;
    close_after_answers = true;
}
void http_server_drain(struct http_server *server)
{
    (void)server;
    server_draining = true;
}
bool http_server_quiet(const struct http_server *server)
{
    (void)server;
    return server_quiet;
}
bool payment_store_quiet(const struct payment_store *store)
{
    (void)store;
    return store_quiet;
}
void payment_store_rest(struct payment_store *store)
{
    (void)store;
    store_rests++;
}
void payment_store_stop(struct payment_store *store)
{
    (void)store;
    store_stops++;
}
void pg_pool_drain(struct pg_pool *pool)
{
    (void)pool;
    pool_draining = true;
}
uint32_t pg_pool_size(const struct pg_pool *pool)
{
    (void)pool;
    return 6;
}
uint32_t pg_pool_count(const struct pg_pool *pool, enum pg_conn_state state)
{
    (void)pool;
    return state == PG_CONN_DOWN ? pool_down : 0;
}

static struct drain drain;

static int set_up(void **state)
{
    (void)state;
    now_us = 1000000;
    clock_replace(mono_us, NULL);
    server_quiet = store_quiet = close_after_answers = server_draining = pool_draining = false;
    pool_down = store_rests = store_stops = 0;
    drain = (struct drain){.delay_ms = 50, .timeout_ms = 200};
    if (reactor_create(&drain.reactor, 4) != ERR_OK)
        return -1;
    drain_init(&drain);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reactor_destroy(drain.reactor);
    clock_replace(NULL, NULL);
    return 0;
}

static void pass_ms(uint64_t ms)
{
    now_us += ms * CLOCK_US_PER_MS;
    assert_int_equal(reactor_turn(drain.reactor, 0), ERR_OK);
}

static void test_it_serves_through_the_delay(void **state)
{
    (void)state;
    server_quiet = store_quiet = true;

    drain_signal(&drain);
    assert_true(drain.draining);
    assert_true(close_after_answers);
    assert_int_equal(store_rests, 1); /* nothing is begun that nobody asked for */
    pass_ms(49);

    assert_false(server_draining);
    pass_ms(1);
    assert_true(server_draining);
}

static void test_pool_closes_after_the_last_request(void **state)
{
    (void)state;
    drain_signal(&drain);
    pass_ms(50);
    server_quiet = true;
    pass_ms(5);
    assert_false(pool_draining);
    assert_int_equal(store_stops, 0); /* the probe goes on while requests do */
    store_quiet = true;
    pass_ms(5);
    assert_true(pool_draining);
    assert_int_equal(store_stops, 1);
    assert_int_equal(drain.state, DRAIN_DATABASE);

    pool_down = 6;
    pass_ms(5);

    assert_true(drain_was_clean(&drain));
}

static void test_hard_stop_after_the_timeout(void **state)
{
    (void)state;
    drain_signal(&drain);
    pass_ms(50);

    pass_ms(199);
    assert_int_equal(drain.state, DRAIN_REQUESTS);
    pass_ms(5);

    assert_int_equal(drain.state, DRAIN_CUT);
    assert_false(drain_was_clean(&drain));
}

static void test_second_signal_leaves_at_once(void **state)
{
    (void)state;
    drain_signal(&drain);

    drain_signal(&drain);

    assert_int_equal(drain.state, DRAIN_CUT);
    assert_false(reactor_timer_is_set(&drain.timer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_serves_through_the_delay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pool_closes_after_the_last_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hard_stop_after_the_timeout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_second_signal_leaves_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
