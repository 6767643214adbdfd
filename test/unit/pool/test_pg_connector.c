/*
 * pg_connector: when which slot connects: parallel attempts, back-off and its cap, the pauses of
 * 57P03 and of a changed password; and the URL's file, read again for each attempt.
 */
#include "core/clock.h"
#include "pool/pg_slots_private.h"
#include "test/fake/fake_dns.h"
#include "test/fake/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

/* ---- a file that holds the URL ---- */

static char url_path[64];

static void write_url(const char *url)
{
    FILE *file = fopen(url_path, "w");
    assert_non_null(file);
    fputs(url, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up_file(void **state)
{
    snprintf(url_path, sizeof(url_path), "/tmp/test_pg_connector_XXXXXX");
    const int fd = mkstemp(url_path);
    assert_int_not_equal(fd, -1);
    close(fd);
    const int result = bench_set_up(state);
    bench_config.database_url_file = url_path;
    return result;
}

static int tear_down_file(void **state)
{
    unlink(url_path);
    return bench_tear_down(state);
}

/* ---- pace ---- */

static void test_at_most_two_connect_in_parallel(void **state)
{
    (void)state;
    unsigned most = 0;
    bench_config.conn_count = 6;
    bench_open();
    for (int i = 0; i < BENCH_TURNS_MAX && pg_pool_count(bench_pool, PG_CONN_IDLE) < 6; i++) {
        bench_turn();
        const unsigned connecting = pg_pool_count(bench_pool, PG_CONN_CONNECTING) +
                                    pg_pool_count(bench_pool, PG_CONN_PREPARING);
        most = connecting > most ? connecting : most;
    }

    assert_int_equal(most, PG_CONNECTS_MAX);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 6);
    assert_int_equal(fake_pq_made(), 6);
}

/* Those that prepare again are no attempts: a lost one comes back beside them. */
static void test_preparing_again_keeps_nobody_from_connecting(void **state)
{
    (void)state;
    bench_open_up(3);
    for (unsigned i = 0; i < 2; i++) {
        bench_send_ok(i);
        PGconn *conn = bench_asked();
        fake_pq_hold_prepared(conn);
        fake_pq_answer(conn, fake_pq_error("26000", "ERROR"));
        bench_await_answer(i, 1);
    }
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_PREPARING), 2);
    pg_conn_down(pg_connection_of(list_first(&bench_pool->lists[PG_CONN_IDLE])), PG_CLOSE_PROTOCOL);
    bench_await(PG_CONN_IDLE, 1);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_PREPARING), 2);
}

static void test_after_a_failure_one_attempt_at_a_time_probes(void **state)
{
    (void)state;
    bench_config.conn_count = 4;
    bench_attempts_fail("no\n");
    bench_open();
    bench_await_failures(2); /* the two that were under way */

    for (int ms = 0; ms < 5000; ms++) {
        bench_skip_ms(1);
        bench_turn();
        assert_true(fake_pq_live() <= 1);
    }
    assert_true(bench_failures() > 3);
}

static void test_pause_doubles_up_to_its_cap(void **state)
{
    (void)state;
    enum { ROUNDS = 24 };
    bench_config.backoff_max_ms = 400;
    bench_attempts_fail("no\n");
    bench_open();
    uint64_t limit_ms = PG_BACKOFF_FIRST_MS, longest_us = 0;

    for (unsigned round = 1; round <= ROUNDS; round++) {
        bench_await_failures(round);
        assert_in_range(bench_pause_us(), 0, limit_ms * CLOCK_US_PER_MS);
        assert_int_equal(bench_pool->connector.failures, round);
        longest_us = bench_pause_us() > longest_us ? bench_pause_us() : longest_us;
        limit_ms = 2 * limit_ms < 400 ? 2 * limit_ms : 400;
        bench_skip_ms(400);
    }
    /* Full jitter below 400 ms: 20 draws do not all stay below the first pause's limit. */
    assert_true(longest_us > PG_BACKOFF_FIRST_MS * CLOCK_US_PER_MS);
}

static void test_nothing_is_tried_during_a_pause(void **state)
{
    (void)state;
    bench_attempts_fail("no\n");
    bench_open();
    bench_await_failures(1);
    assert_int_equal(fake_dns.expired, 1);
    const uint64_t next_us = bench_pool->connector.next_attempt_us;
    const unsigned made = fake_pq_made();

    while (bench_now_us() + 2 < next_us) {
        bench_turn();
        assert_int_equal(fake_pq_made(), made);
    }
    bench_turns(3);
    assert_int_equal(fake_pq_made(), made + 1);
}

static void test_success_forgets_the_failures(void **state)
{
    (void)state;
    bench_attempts_fail("no\n");
    bench_open();
    for (unsigned round = 1; round <= 5; round++) {
        bench_await_failures(round);
        bench_skip_ms(1000);
    }

    bench_attempts_succeed();
    bench_recover(1);

    assert_int_equal(bench_pool->connector.failures, 0);
    assert_int_equal(bench_pause_us(), 0);
}

static void test_success_ends_a_pause(void **state)
{
    (void)state;
    bench_config.conn_count = 2;
    bench_open();
    bench_await(PG_CONN_CONNECTING, 2);
    fake_pq_fail(FAKE_PQ_CONNECT_POLL, 1, false); /* one of the two */
    bench_turn();
    assert_int_equal(bench_failures(), 1);
    assert_true(bench_pause_us() > 0);

    bench_await(PG_CONN_IDLE, 2); /* at once: no time passes here */
}

static void test_server_that_is_starting_is_asked_again_soon(void **state)
{
    (void)state;
    bench_attempts_fail("FATAL:  57P03\n");
    bench_open();
    for (unsigned round = 1; round <= 10; round++) {
        bench_await_failures(round);
        assert_in_range(bench_pause_us(), 100 * CLOCK_US_PER_MS - 5, 250 * CLOCK_US_PER_MS);
        assert_int_equal(bench_pool->connector.failures, 0);
        bench_skip_ms(250);
    }
}

static void test_failures_are_logged_with_a_pause(void **state)
{
    (void)state;
    bench_config.backoff_max_ms = 100;
    bench_attempts_fail("no\n");
    bench_open();
    unsigned round = 1;
    for (uint64_t ms = 0; ms < 4900; ms += 100, round++) {
        bench_await_failures(round);
        bench_skip_ms(100);
    }
    assert_int_equal(bench_log_count("pg_conn_down"), 1);

    bench_skip_ms(200);
    bench_await_failures(round);
    assert_int_equal(bench_log_count("pg_conn_down"), 2);
    char suppressed[32];
    snprintf(suppressed, sizeof(suppressed), "\"suppressed\":%u", round - 2);
    assert_int_equal(bench_log_count(suppressed), 1);
}

static void test_short_life_is_a_failed_attempt(void **state)
{
    (void)state;
    bench_open_up(1);
    bench_skip_ms(999);
    fake_pq_hang_up(fake_pq_conn(0));
    bench_turn();
    assert_int_equal(bench_pool->connector.failures, 1);
    bench_recover(1);
}

static void test_long_life_ends_without_a_pause(void **state)
{
    (void)state;
    bench_open_up(1);
    bench_skip_ms(1001);
    fake_pq_hang_up(fake_pq_conn(0));
    bench_turn();
    bench_assert_only_closed(PG_CLOSE_EOF, 1);
    assert_int_equal(bench_pool->connector.failures, 0);
    assert_int_equal(fake_dns.expired, 1);
    assert_int_equal(fake_pq_made(), 2); /* in the same turn */
    bench_await(PG_CONN_IDLE, 1);
}

/* ---- credentials ---- */

static void test_password_file_is_read_again_after_a_refused_login(void **state)
{
    (void)state;
    write_url("host=192.0.2.1 user=app password=old");
    bench_attempts_fail("FATAL:  28P01\n");
    bench_open();
    bench_await(PG_CONN_CONNECTING, 1);
    assert_string_equal(fake_pq_option(fake_pq_conn(0), "password"), "old");

    write_url("host=192.0.2.1 user=app password=new");
    bench_attempts_succeed();
    bench_await(PG_CONN_IDLE, 1); /* without a pause: no time passes here */

    bench_assert_only_closed(PG_CLOSE_AUTH, 1);
    assert_int_equal(bench_failures(), 1);

    assert_string_equal(fake_pq_option(fake_pq_conn(1), "password"), "new");
    assert_false(bench_pool->connector.auth_retried);
}

static void test_second_refused_login_pauses(void **state)
{
    (void)state;
    write_url("host=192.0.2.1 user=app password=old");
    bench_attempts_fail("FATAL:  28P01\n");
    bench_open();
    bench_await_failures(2);
    assert_true(bench_pause_us() > 0);
    assert_int_equal(bench_pool->connector.failures, 1);
}

static void test_refused_login_without_a_file_pauses(void **state)
{
    (void)state;
    bench_attempts_fail("FATAL:  28P01\n");
    bench_open();
    bench_await_failures(1);
    assert_true(bench_pause_us() > 0);
}

static void test_file_that_cannot_be_used_leaves_the_last_good_url(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "not a url", "host=a,b user=app", "user=app", NULL};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        if (BAD[i] != NULL)
            write_url(BAD[i]);
        else
            unlink(url_path);
        bench_open_up(1);
        assert_string_equal(fake_pq_option(fake_pq_conn(0), "password"), "s3cret");
        assert_int_equal(bench_log_count("pg_url_kept"), i + 1);
        assert_int_equal(bench_log_count("s3cret"), 0);
        bench_close();
        fake_pq_reset();
    }
}

static void test_url_that_cannot_be_parsed_now_is_a_failed_attempt(void **state)
{
    (void)state;
    bench_open();
    fake_pq_fail(FAKE_PQ_CONNINFO_PARSE, 1, false);
    bench_turns(2);
    assert_int_equal(bench_failures(), 1);
    assert_int_equal(fake_pq_made(), 0);
    bench_recover(1);
}

static void test_create_refuses_what_cannot_be_connected_to(void **state)
{
    (void)state;
    static char long_url[CONFIG_SECRET_MAX + 1];
    memset(long_url, 'x', sizeof(long_url) - 1);
    const char *const BAD[] = {"", "nonsense", "host=a,b user=u", long_url};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        bench_config.database_url = BAD[i];
        assert_int_equal(pg_pool_create(&bench_pool, bench_reactor, &bench_config, NULL, 0),
                         ERR_INVALID);
        assert_null(bench_pool);
    }
    assert_int_equal(bench_log_count("pg_url_bad"), sizeof(BAD) / sizeof(BAD[0]));
}

static void test_create_without_a_resolver_fails(void **state)
{
    (void)state;
    fake_dns.create_fails = true;
    assert_int_equal(pg_pool_create(&bench_pool, bench_reactor, &bench_config, NULL, 0),
                     ERR_SYSTEM);
    assert_null(bench_pool);
}

#define FILE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up_file, tear_down_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_at_most_two_connect_in_parallel),
        BENCH_TEST(test_preparing_again_keeps_nobody_from_connecting),
        BENCH_TEST(test_after_a_failure_one_attempt_at_a_time_probes),
        BENCH_TEST(test_pause_doubles_up_to_its_cap),
        BENCH_TEST(test_nothing_is_tried_during_a_pause),
        BENCH_TEST(test_success_forgets_the_failures),
        BENCH_TEST(test_success_ends_a_pause),
        BENCH_TEST(test_server_that_is_starting_is_asked_again_soon),
        BENCH_TEST(test_failures_are_logged_with_a_pause),
        BENCH_TEST(test_short_life_is_a_failed_attempt),
        BENCH_TEST(test_long_life_ends_without_a_pause),
        FILE_TEST(test_password_file_is_read_again_after_a_refused_login),
        FILE_TEST(test_second_refused_login_pauses),
        BENCH_TEST(test_refused_login_without_a_file_pauses),
        FILE_TEST(test_file_that_cannot_be_used_leaves_the_last_good_url),
        BENCH_TEST(test_url_that_cannot_be_parsed_now_is_a_failed_attempt),
        BENCH_TEST(test_create_refuses_what_cannot_be_connected_to),
        BENCH_TEST(test_create_without_a_resolver_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
