/* pg_connector: what a connection is connected to: names resolved, addresses old and changed. */
#include "core/clock.h"
#include "pool/pg_slots_private.h"
#include "test/fake/fake_dns.h"
#include "test/fake/pool_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NAMED_URL "host=db.example.test user=app password=s3cret"

static void test_numeric_host_and_socket_path_ask_no_resolver(void **state)
{
    (void)state;
    static const char *const URLS[] = {"host=192.0.2.1 user=u", "host=2001:db8::1 user=u",
                                       "host=/run/pg user=u", "hostaddr=192.0.2.9 user=u"};
    static const char *const ADDRESSES[] = {"192.0.2.1", "2001:db8::1", NULL, "192.0.2.9"};
    for (size_t i = 0; i < sizeof(URLS) / sizeof(URLS[0]); i++) {
        bench_config.database_url = URLS[i];
        bench_open_up(1);
        assert_int_equal(fake_dns.lookups, 0);
        const char *address = fake_pq_option(fake_pq_conn(0), "hostaddr");
        if (ADDRESSES[i] == NULL)
            assert_null(address);
        else
            assert_string_equal(address, ADDRESSES[i]);
        bench_close();
        fake_pq_reset();
    }
}

static void test_name_is_resolved_before_the_connect(void **state)
{
    (void)state;
    bench_config.database_url = NAMED_URL;
    bench_config.conn_count = 2;
    bench_open();
    bench_turns(5);
    assert_true(fake_dns_is_asked());
    assert_string_equal(fake_dns.host, "db.example.test");
    assert_int_equal(fake_pq_made(), 0);

    fake_dns_answer("192.0.2.7", false);
    bench_await(PG_CONN_IDLE, 2);

    assert_int_equal(fake_dns.lookups, 1); /* the second took the fresh answer */
    assert_string_equal(fake_pq_option(fake_pq_conn(0), "hostaddr"), "192.0.2.7");
    assert_string_equal(fake_pq_option(fake_pq_conn(0), "host"), "db.example.test");
}

static void test_old_address_is_used_when_the_resolver_has_no_better(void **state)
{
    (void)state;
    bench_config.database_url = NAMED_URL;
    fake_dns.last = "192.0.2.7"; /* known, not fresh */
    fake_dns.answers_stale = true;
    bench_open();
    bench_turns(3);
    assert_int_equal(fake_pq_made(), 0);

    fake_dns_answer("192.0.2.7", false);
    assert_int_equal(fake_pq_made(), 1);
    bench_await(PG_CONN_IDLE, 1);
    assert_int_equal(fake_dns.lookups, 1);
}

static void test_name_without_an_address_is_a_failed_attempt(void **state)
{
    (void)state;
    bench_config.database_url = NAMED_URL;
    bench_open();
    bench_turns(3);
    fake_dns_answer(NULL, false);

    assert_int_equal(bench_failures(), 1);
    assert_string_equal(pg_pool_stats(bench_pool)->last_error_stage, "dns");
    assert_int_equal(bench_log_count("pg_dns_failed"), 1);
    assert_true(bench_pause_us() > 0);
    for (int ms = 0; ms < 1000 && !fake_dns_is_asked(); ms++) {
        bench_skip_ms(1);
        bench_turn();
    }
    fake_dns_answer("192.0.2.7", true);
    bench_await(PG_CONN_IDLE, 1);
}

static void test_failed_lookups_are_logged_with_a_pause(void **state)
{
    (void)state;
    bench_config.database_url = NAMED_URL;
    bench_open();
    for (unsigned i = 1; i <= 3; i++) {
        for (int ms = 0; ms < 1000 && !fake_dns_is_asked(); ms++) {
            bench_skip_ms(1);
            bench_turn();
        }
        fake_dns_answer(NULL, false);
        assert_int_equal(bench_failures(), i);
    }
    assert_int_equal(bench_log_count("pg_dns_failed"), 1);
}

static void test_changed_address_replaces_every_connection(void **state)
{
    (void)state;
    bench_config.database_url = NAMED_URL;
    bench_config.conn_count = 2;
    bench_open();
    bench_turns(3);
    fake_dns_answer("192.0.2.7", false);
    bench_await(PG_CONN_IDLE, 2);

    bench_skip_ms(5000);
    fake_dns.fresh = false;
    fake_pq_hang_up(fake_pq_conn(0));
    bench_turns(3);
    fake_dns_answer("192.0.2.8", true);
    for (int i = 0; i < BENCH_TURNS_MAX && fake_pq_conn(1) != NULL; i++)
        bench_turn();
    bench_await(PG_CONN_IDLE, 2);

    bench_assert_closed(PG_CLOSE_EPOCH, 1);
    for (unsigned i = 0; i < fake_pq_made(); i++)
        if (fake_pq_conn(i) != NULL)
            assert_string_equal(fake_pq_option(fake_pq_conn(i), "hostaddr"), "192.0.2.8");
}

static void test_address_that_comes_while_draining_is_too_late(void **state)
{
    (void)state;
    bench_config.database_url = NAMED_URL;
    bench_open();
    bench_turns(3);
    pg_pool_drain(bench_pool);
    fake_dns_answer("192.0.2.7", true);
    bench_turns(3);
    assert_int_equal(fake_pq_made(), 0);
    assert_int_equal(bench_log_count("pg_pool_epoch"), 0);
}

static void test_lookup_that_fails_while_draining_is_no_failure(void **state)
{
    (void)state;
    bench_config.database_url = NAMED_URL;
    bench_open();
    bench_turns(3);
    pg_pool_drain(bench_pool);
    fake_dns_answer(NULL, false);
    assert_int_equal(bench_failures(), 0);
    assert_int_equal(bench_log_count("pg_dns_failed"), 0);
}

static void test_failover_signs_make_the_address_doubtful(void **state)
{
    (void)state;
    static const enum pg_close_reason SIGNS[] = {PG_CLOSE_EOF, PG_CLOSE_SHUTDOWN, PG_CLOSE_STANDBY,
                                                 PG_CLOSE_READ_ONLY, PG_CLOSE_DEADLINE};
    for (int reason = 0; reason < PG_CLOSE_REASONS; reason++) {
        unsigned expected = 0;
        for (size_t i = 0; i < sizeof(SIGNS) / sizeof(SIGNS[0]); i++)
            expected += (int)SIGNS[i] == reason;
        bench_open_up(1);
        fake_dns.expired = 0;
        pg_conn_down(pg_connection_of(list_first(&bench_pool->lists[PG_CONN_IDLE])),
                     (enum pg_close_reason)reason);
        assert_int_equal(fake_dns.expired, expected);
        bench_close();
        fake_pq_reset();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(test_numeric_host_and_socket_path_ask_no_resolver),
        BENCH_TEST(test_name_is_resolved_before_the_connect),
        BENCH_TEST(test_old_address_is_used_when_the_resolver_has_no_better),
        BENCH_TEST(test_name_without_an_address_is_a_failed_attempt),
        BENCH_TEST(test_failed_lookups_are_logged_with_a_pause),
        BENCH_TEST(test_changed_address_replaces_every_connection),
        BENCH_TEST(test_address_that_comes_while_draining_is_too_late),
        BENCH_TEST(test_lookup_that_fails_while_draining_is_no_failure),
        BENCH_TEST(test_failover_signs_make_the_address_doubtful),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
