/* pg_pool: handing out, figures, listeners, drain and end. */
#include "pool/pg_slots_private.h"
#include "test/fake/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool calloc_fails;
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return calloc_fails ? NULL : __real_calloc(count, size);
}

/* ---- life ---- */

static void test_create_without_memory_fails(void **state)
{
    (void)state;
    calloc_fails = true;
    const enum err err = pg_pool_create(&bench_pool, bench_reactor, &bench_config, NULL, 0);
    calloc_fails = false;
    assert_int_equal(err, ERR_SYSTEM);
    assert_null(bench_pool);
}

static void test_create_refuses_a_file_name_that_is_too_long(void **state)
{
    (void)state;
    static char path[CONFIG_TEXT_MAX + 1];
    memset(path, 'x', sizeof(path) - 1);
    bench_config.database_url_file = path;
    assert_int_equal(pg_pool_create(&bench_pool, bench_reactor, &bench_config, NULL, 0),
                     ERR_INVALID);
    assert_null(bench_pool);
}

static void test_config_is_copied(void **state)
{
    (void)state;
    char url[] = "host=192.0.2.1 user=app", name[] = "bench", file[] = "";
    bench_config.database_url = url;
    bench_config.application_name = name;
    bench_config.database_url_file = file;
    bench_open();
    memset(url, 'x', sizeof(url) - 1);
    memset(name, 'x', sizeof(name) - 1);
    bench_await(PG_CONN_IDLE, 1);
    assert_string_equal(fake_pq_option(fake_pq_conn(0), "user"), "app");
    assert_string_equal(fake_pq_option(fake_pq_conn(0), "application_name"), "bench");
}

static void test_destroy_cuts_what_is_left(void **state)
{
    (void)state;
    bench_open_up(3);
    bench_send_ok(0);
    fake_pq_next.hold_prepared = true;
    pg_pool_new_epoch(bench_pool);
    bench_await(PG_CONN_PREPARING, 1);

    bench_close();

    assert_int_equal(bench_asks[0].answers, 1);
    assert_int_equal(bench_asks[0].kind, PG_ANSWER_LOST);
    assert_int_equal(fake_pq_live(), 0);
    bench_turns(3);
    pg_pool_destroy(NULL);
}

/* ---- use ---- */

static void test_send_without_a_connection_is_unavailable(void **state)
{
    (void)state;
    bench_open();
    assert_int_equal(bench_send(0), ERR_UNAVAILABLE);
    bench_turns(2);
    assert_int_equal(bench_send(0), ERR_UNAVAILABLE);
}

static void test_send_with_all_busy_says_again(void **state)
{
    (void)state;
    bench_open_up(2);
    bench_send_ok(0);
    bench_send_ok(1);
    assert_int_equal(bench_send(2), ERR_AGAIN);
    assert_int_equal(pg_pool_usable(bench_pool), 2);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_BUSY), 2);
    assert_int_equal(pg_pool_size(bench_pool), 2);
}

static void test_last_used_is_the_first_given(void **state)
{
    (void)state;
    bench_open_up(3);
    bench_send_ok(0);
    PGconn *warm = bench_asked();
    fake_pq_answer(warm, bench_row());
    bench_await_answer(0, 1);

    for (unsigned i = 1; i < 5; i++) {
        bench_send_ok(0);
        assert_ptr_equal(bench_asked(), warm);
        fake_pq_answer(warm, bench_row());
        bench_await_answer(0, i + 1);
    }
}

static void test_answers_find_their_own_queries(void **state)
{
    (void)state;
    bench_open_up(3);
    for (unsigned i = 0; i < 3; i++)
        bench_send_ok(i);
    for (unsigned i = 0; i < 3; i++) {
        PGconn *conn = fake_pq_conn(i);
        const char asked = fake_pq_sent(conn)->values[0][7];
        const char sqlstate[] = {'2', '2', '0', '0', (char)('0' + asked), '\0'};
        fake_pq_answer(conn, fake_pq_error(sqlstate, "ERROR"));
    }
    bench_turns(2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(bench_asks[i].answers, 1);
        assert_int_equal(bench_asks[i].sqlstate[4], '0' + (int)i);
    }
}

/* ---- figures ---- */

static void test_sqlstates_are_counted_by_class(void **state)
{
    (void)state;
    bench_open_up(1);
    static const char *const SQLSTATES[] = {"23505", "40001", "23514", "40P01", "23503"};
    for (unsigned i = 0; i < 5; i++) {
        bench_send_ok(i);
        fake_pq_answer(bench_asked(), fake_pq_error(SQLSTATES[i], "ERROR"));
        bench_await_answer(i, 1);
    }
    const struct pg_pool_stats *stats = pg_pool_stats(bench_pool);
    assert_string_equal(stats->sqlstates[0].class_, "23");
    assert_int_equal(stats->sqlstates[0].count, 3);
    assert_string_equal(stats->sqlstates[1].class_, "40");
    assert_int_equal(stats->sqlstates[1].count, 2);
    assert_string_equal(stats->sqlstates[2].class_, "");
}

static void test_sqlstate_classes_are_bounded(void **state)
{
    (void)state;
    bench_open_up(1);
    for (int i = 0; i < PG_SQLSTATES_MAX + 10; i++) {
        const char sqlstate[] = {(char)('A' + i / 10), (char)('0' + i % 10), '0', '0', '0', '\0'};
        pg_pool_count_sqlstate(bench_pool, sqlstate);
    }
    const struct pg_pool_stats *stats = pg_pool_stats(bench_pool);
    for (int i = 0; i < PG_SQLSTATES_MAX; i++)
        assert_int_equal(stats->sqlstates[i].count, 1);
}

static void test_figures_of_the_resolver_are_passed_on(void **state)
{
    (void)state;
    bench_config.database_url = "host=db.example.test user=u";
    bench_open();
    bench_turns(2);
    assert_int_equal(pg_pool_dns_stats(bench_pool)->lookups_total, 1);
    assert_ptr_equal(pg_pool_reactor(bench_pool), bench_reactor);
}

/* ---- listeners ---- */

struct ear {
    struct pg_pool_listener listener;
    unsigned told;
    uint32_t usable; /* when it was told last */
    struct ear *unlistens;
    bool sends;
};
static struct ear ears[3];

static void on_change(struct pg_pool_listener *listener)
{
    struct ear *ear = container_of(listener, struct ear, listener);
    ear->told++;
    ear->usable = pg_pool_usable(bench_pool);
    if (ear->unlistens != NULL) {
        pg_pool_unlisten(bench_pool, &ear->unlistens->listener);
        ear->unlistens = NULL;
    }
    if (ear->sends)
        (void)bench_send(0);
}

static void listen_all(void)
{
    memset(ears, 0, sizeof(ears));
    for (int i = 0; i < 3; i++) {
        ears[i].listener.on_change = on_change;
        pg_pool_listen(bench_pool, &ears[i].listener);
    }
}

static void test_listeners_hear_of_up_idle_and_down(void **state)
{
    (void)state;
    bench_open();
    listen_all();
    bench_turns(3);
    assert_int_equal(ears[0].told, 0);
    bench_await(PG_CONN_IDLE, 1);
    assert_int_equal(ears[0].told, 1);
    assert_int_equal(ears[0].usable, 1);

    bench_send_ok(0);
    bench_turns(3);
    assert_int_equal(ears[0].told, 1);
    fake_pq_answer(bench_asked(), bench_row());
    bench_await_answer(0, 1);
    assert_int_equal(ears[0].told, 2);

    fake_pq_hang_up(fake_pq_conn(0));
    bench_turn();
    assert_int_equal(ears[0].told, 3);
    assert_int_equal(ears[0].usable, 0);
    assert_int_equal(ears[2].told, 3);
}

static void send_again(struct bench_ask *ask)
{
    ask->then = NULL;
    bench_send_ok(1);
}

static void test_listeners_hear_nothing_of_one_that_its_owner_takes_again(void **state)
{
    (void)state;
    bench_open_up(1);
    listen_all();
    bench_asks[0].then = send_again;
    bench_send_ok(0);
    fake_pq_answer(bench_asked(), bench_row());
    bench_await_answer(0, 1);
    bench_turns(3);
    assert_int_equal(ears[0].told, 0);
    fake_pq_answer(bench_asked(), bench_row());
    bench_await_answer(1, 1);
    assert_int_equal(ears[0].told, 1);
}

static void test_listener_that_takes_it_does_not_silence_the_others(void **state)
{
    (void)state;
    bench_open_up(1);
    listen_all();
    bench_send_ok(0);
    fake_pq_answer(bench_asked(), bench_row());
    bench_turn();
    assert_int_equal(ears[0].told, 1);
    ears[0].sends = true;
    bench_send_ok(0);
    fake_pq_answer(bench_asked(), bench_row());
    bench_turn();
    assert_int_equal(ears[1].told, 2);
    bench_turns(2);
    assert_int_equal(ears[1].told, 2);
}

static void test_unlisten_while_listeners_are_told(void **state)
{
    (void)state;
    /* [who unlistens][whom] -> who is told */
    static const struct {
        unsigned who, whom;
        unsigned told[3];
    } CASES[] = {{0, 0, {1, 1, 1}}, {0, 1, {1, 0, 1}}, {0, 2, {1, 1, 0}},
                 {1, 0, {1, 1, 1}}, {1, 1, {1, 1, 1}}, {2, 2, {1, 1, 1}}};
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        bench_open();
        listen_all();
        ears[CASES[i].who].unlistens = &ears[CASES[i].whom];
        bench_await(PG_CONN_IDLE, 1);
        for (int ear = 0; ear < 3; ear++)
            assert_int_equal(ears[ear].told, CASES[i].told[ear]);
        fake_pq_hang_up(fake_pq_conn(0));
        bench_turns(2);
        for (unsigned ear = 0; ear < 3; ear++)
            assert_int_equal(ears[ear].told, CASES[i].told[ear] + (ear != CASES[i].whom));
        bench_close();
        fake_pq_reset();
    }
}

static void test_listener_whose_send_finds_the_last_one_dead_is_told_again(void **state)
{
    (void)state;
    bench_open();
    listen_all();
    ears[0].sends = true;
    fake_pq_fail(FAKE_PQ_SEND_PREPARED, 1, true);
    for (int i = 0; i < BENCH_TURNS_MAX && ears[0].told < 1; i++)
        bench_turn();
    bench_turn(); /* the very next turn */
    assert_int_equal(ears[0].told, 2);
    assert_int_equal(ears[0].usable, 0);
}

/* ---- drain ---- */

static void test_drain_ends_idle_ones_now_and_busy_ones_after_their_answer(void **state)
{
    (void)state;
    bench_open_up(3);
    bench_send_ok(0);

    pg_pool_drain(bench_pool);
    assert_int_equal(fake_pq_live(), 1);
    assert_int_equal(pg_pool_usable(bench_pool), 0);
    assert_int_equal(bench_send(1), ERR_UNAVAILABLE);
    fake_pq_answer(bench_asked(), bench_row());
    bench_await_answer(0, 1);

    assert_int_equal(bench_asks[0].kind, PG_ANSWER_ROWS);
    assert_int_equal(fake_pq_live(), 0);
    bench_assert_only_closed(PG_CLOSE_DRAIN, 3);
    bench_skip_ms(60000);
    bench_turns(10);
    assert_int_equal(fake_pq_made(), 3);
}

static void test_drain_ends_attempts(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        bench_config.conn_count = 2;
        fake_pq_next.hold_prepared = held != 0;
        bench_open();
        bench_await(held ? PG_CONN_PREPARING : PG_CONN_CONNECTING, 2);
        pg_pool_drain(bench_pool);
        assert_int_equal(fake_pq_live(), 0);
        bench_assert_only_closed(PG_CLOSE_DRAIN, 2);
        bench_skip_ms(60000);
        bench_turns(10);
        assert_int_equal(fake_pq_made(), 2);
        bench_close();
        fake_pq_reset();
    }
}

static void test_drained_connection_that_is_lost_starts_nothing(void **state)
{
    (void)state;
    bench_open_up(1);
    bench_send_ok(0);
    pg_pool_drain(bench_pool);
    fake_pq_hang_up(bench_asked());
    bench_await_answer(0, 1);
    bench_skip_ms(60000);
    bench_turns(10);
    assert_int_equal(fake_pq_made(), 1);
    assert_int_equal(bench_asks[0].kind, PG_ANSWER_LOST);
    assert_string_equal(pg_pool_stats(bench_pool)->last_error_stage, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_create_without_memory_fails),
        BENCH_TEST(test_create_refuses_a_file_name_that_is_too_long),
        BENCH_TEST(test_config_is_copied),
        BENCH_TEST(test_destroy_cuts_what_is_left),
        BENCH_TEST(test_send_without_a_connection_is_unavailable),
        BENCH_TEST(test_send_with_all_busy_says_again),
        BENCH_TEST(test_last_used_is_the_first_given),
        BENCH_TEST(test_answers_find_their_own_queries),
        BENCH_TEST(test_sqlstates_are_counted_by_class),
        BENCH_TEST(test_sqlstate_classes_are_bounded),
        BENCH_TEST(test_figures_of_the_resolver_are_passed_on),
        BENCH_TEST(test_listeners_hear_of_up_idle_and_down),
        BENCH_TEST(test_listeners_hear_nothing_of_one_that_its_owner_takes_again),
        BENCH_TEST(test_listener_that_takes_it_does_not_silence_the_others),
        BENCH_TEST(test_unlisten_while_listeners_are_told),
        BENCH_TEST(test_listener_whose_send_finds_the_last_one_dead_is_told_again),
        BENCH_TEST(test_drain_ends_idle_ones_now_and_busy_ones_after_their_answer),
        BENCH_TEST(test_drain_ends_attempts),
        BENCH_TEST(test_drained_connection_that_is_lost_starts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
