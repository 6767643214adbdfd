/*
 * pg_connector: when which slot connects. Pace (parallel attempts, back-off and its cap, the pauses
 * of 57P03 and of a changed password), what it connects to (URL file, address), and the replacement
 * of old connections.
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

#define NAMED_URL "host=db.example.test user=app password=s3cret"

static uint64_t failures(void)
{
    return pg_pool_stats(bench_pool)->connect_failures_total;
}

static void await_failures(uint64_t count)
{
    for (int i = 0; i < BENCH_TURNS_MAX && failures() < count; i++)
        bench_turn();
    assert_int_equal(failures(), count);
}

static void attempts_fail_with(const char *error)
{
    fake_pq_next.error = error;
    fake_pq_next.steps[2].polled = PGRES_POLLING_FAILED;
}

static void attempts_succeed(void)
{
    fake_pq_next.steps[2].polled = PGRES_POLLING_OK;
}

/* Microseconds from now until the connector tries again. */
static uint64_t pause_us(void)
{
    const uint64_t next_us = bench_pool->connector.next_attempt_us;
    return next_us > bench_now_us() ? next_us - bench_now_us() : 0;
}

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
    attempts_fail_with("no\n");
    bench_open();
    await_failures(2); /* the two that were under way */

    for (int ms = 0; ms < 5000; ms++) {
        bench_skip_ms(1);
        bench_turn();
        assert_true(fake_pq_live() <= 1);
    }
    assert_true(failures() > 3);
}

static void test_pause_doubles_up_to_its_cap(void **state)
{
    (void)state;
    enum { ROUNDS = 24 };
    bench_config.backoff_max_ms = 400;
    attempts_fail_with("no\n");
    bench_open();
    uint64_t limit_ms = PG_BACKOFF_FIRST_MS, longest_us = 0;

    for (unsigned round = 1; round <= ROUNDS; round++) {
        await_failures(round);
        assert_in_range(pause_us(), 0, limit_ms * CLOCK_US_PER_MS);
        assert_int_equal(bench_pool->connector.failures, round);
        longest_us = pause_us() > longest_us ? pause_us() : longest_us;
        limit_ms = 2 * limit_ms < 400 ? 2 * limit_ms : 400;
        bench_skip_ms(400);
    }
    /* Full jitter below 400 ms: 20 draws do not all stay below the first pause's limit. */
    assert_true(longest_us > PG_BACKOFF_FIRST_MS * CLOCK_US_PER_MS);
}

static void test_nothing_is_tried_during_a_pause(void **state)
{
    (void)state;
    attempts_fail_with("no\n");
    bench_open();
    await_failures(1);
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
    attempts_fail_with("no\n");
    bench_open();
    for (unsigned round = 1; round <= 5; round++) {
        await_failures(round);
        bench_skip_ms(1000);
    }

    attempts_succeed();
    bench_recover(1);

    assert_int_equal(bench_pool->connector.failures, 0);
    assert_int_equal(pause_us(), 0);
}

static void test_success_ends_a_pause(void **state)
{
    (void)state;
    bench_config.conn_count = 2;
    bench_open();
    bench_await(PG_CONN_CONNECTING, 2);
    fake_pq_fail(FAKE_PQ_CONNECT_POLL, 1, false); /* one of the two */
    bench_turn();
    assert_int_equal(failures(), 1);
    assert_true(pause_us() > 0);

    bench_await(PG_CONN_IDLE, 2); /* at once: no time passes here */
}

static void test_server_that_is_starting_is_asked_again_soon(void **state)
{
    (void)state;
    attempts_fail_with("FATAL:  57P03\n");
    bench_open();
    for (unsigned round = 1; round <= 10; round++) {
        await_failures(round);
        assert_in_range(pause_us(), 100 * CLOCK_US_PER_MS - 5, 250 * CLOCK_US_PER_MS);
        assert_int_equal(bench_pool->connector.failures, 0);
        bench_skip_ms(250);
    }
}

static void test_failures_are_logged_with_a_pause(void **state)
{
    (void)state;
    bench_config.backoff_max_ms = 100;
    attempts_fail_with("no\n");
    bench_open();
    unsigned round = 1;
    for (uint64_t ms = 0; ms < 4900; ms += 100, round++) {
        await_failures(round);
        bench_skip_ms(100);
    }
    assert_int_equal(bench_log_count("pg_conn_down"), 1);

    bench_skip_ms(200);
    await_failures(round);
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
    attempts_fail_with("FATAL:  28P01\n");
    bench_open();
    bench_await(PG_CONN_CONNECTING, 1);
    assert_string_equal(fake_pq_option(fake_pq_conn(0), "password"), "old");

    write_url("host=192.0.2.1 user=app password=new");
    attempts_succeed();
    bench_await(PG_CONN_IDLE, 1); /* without a pause: no time passes here */

    bench_assert_only_closed(PG_CLOSE_AUTH, 1);
    assert_int_equal(failures(), 1);

    assert_string_equal(fake_pq_option(fake_pq_conn(1), "password"), "new");
    assert_false(bench_pool->connector.auth_retried);
}

static void test_second_refused_login_pauses(void **state)
{
    (void)state;
    write_url("host=192.0.2.1 user=app password=old");
    attempts_fail_with("FATAL:  28P01\n");
    bench_open();
    await_failures(2);
    assert_true(pause_us() > 0);
    assert_int_equal(bench_pool->connector.failures, 1);
}

static void test_refused_login_without_a_file_pauses(void **state)
{
    (void)state;
    attempts_fail_with("FATAL:  28P01\n");
    bench_open();
    await_failures(1);
    assert_true(pause_us() > 0);
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
    assert_int_equal(failures(), 1);
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

/* ---- addresses ---- */

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

    assert_int_equal(failures(), 1);
    assert_string_equal(pg_pool_stats(bench_pool)->last_error_stage, "dns");
    assert_int_equal(bench_log_count("pg_dns_failed"), 1);
    assert_true(pause_us() > 0);
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
        assert_int_equal(failures(), i);
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
    assert_int_equal(failures(), 0);
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

/* ---- replacement ---- */

static void test_old_connection_is_replaced_by_the_spare_before_it_ends(void **state)
{
    (void)state;
    bench_config.lifetime_s = 100;
    bench_open_up(3);
    uint32_t fewest = 3, most = 3;

    for (int s = 0; s < 130; s++) {
        bench_skip_ms(1000);
        for (int i = 0; i < 20; i++) {
            bench_turn();
            const uint32_t usable = pg_pool_usable(bench_pool);
            fewest = usable < fewest ? usable : fewest;
            most = usable > most ? usable : most;
        }
    }

    assert_int_equal(fewest, 3);
    assert_int_equal(most, 3);
    assert_int_equal(fake_pq_live(), 3);
    assert_true(pg_pool_stats(bench_pool)->closed_total[PG_CLOSE_LIFETIME] >= 3);
    bench_assert_only_closed(PG_CLOSE_LIFETIME,
                             pg_pool_stats(bench_pool)->closed_total[PG_CLOSE_LIFETIME]);
}

static void test_no_life_ends_before_its_share_of_the_limit(void **state)
{
    (void)state;
    bench_config.lifetime_s = 100;
    bench_open_up(8);
    for (int s = 0; s < 79; s++) {
        bench_skip_ms(1000);
        bench_turns(2);
    }
    bench_assert_closed(PG_CLOSE_LIFETIME, 0);
}

/* Made at the same time, they do not end at the same time. */
static void test_lives_are_spread_around_the_limit(void **state)
{
    (void)state;
    bench_config.lifetime_s = 100;
    bench_open_up(40);
    unsigned shorter = 0, longer = 0;
    for (unsigned i = 0; i < 40; i++) {
        const struct pg_connection *conn = &bench_pool->slots[i + 1];
        const uint64_t life_us = conn->expires_us - conn->up_us;
        assert_in_range(life_us, 80 * CLOCK_US_PER_S, 120 * CLOCK_US_PER_S);
        shorter += life_us < 100 * CLOCK_US_PER_S;
        longer += life_us > 100 * CLOCK_US_PER_S;
    }
    assert_true(shorter > 0 && longer > 0);
}

static void test_new_epoch_replaces_one_at_a_time(void **state)
{
    (void)state;
    bench_open_up(3);
    unsigned live_most = 0;

    pg_pool_new_epoch(bench_pool);
    for (int i = 0; i < BENCH_TURNS_MAX; i++) {
        bench_turn();
        if (pg_pool_stats(bench_pool)->closed_total[PG_CLOSE_EPOCH] == 1)
            assert_true(fake_pq_conn(0) == NULL); /* the oldest is the first to go */
        live_most = fake_pq_live() > live_most ? fake_pq_live() : live_most;
        assert_true(pg_pool_usable(bench_pool) >= 3);
    }

    assert_int_equal(live_most, 4);
    assert_string_equal(pg_pool_stats(bench_pool)->last_error_stage, ""); /* no error */
    bench_assert_only_closed(PG_CLOSE_EPOCH, 3);
    assert_int_equal(fake_pq_made(), 6);
    assert_int_equal(bench_log_count("pg_pool_epoch"), 1);
}

static void test_busy_connection_of_the_old_epoch_ends_with_its_answer(void **state)
{
    (void)state;
    bench_open_up(1);
    bench_send_ok(0);
    PGconn *old = bench_asked();

    pg_pool_new_epoch(bench_pool);
    bench_await(PG_CONN_IDLE, 1); /* the spare came up */
    assert_int_equal(pg_pool_usable(bench_pool), 1);
    bench_turns(20);
    bench_assert_closed(PG_CLOSE_EPOCH, 0);
    assert_int_equal(fake_pq_live(), 2); /* no third one meanwhile */
    fake_pq_answer(old, bench_row());
    bench_await_answer(0, 1);

    bench_assert_only_closed(PG_CLOSE_EPOCH, 1);
    assert_int_equal(bench_asks[0].kind, PG_ANSWER_ROWS);
    assert_int_equal(fake_pq_live(), 1);
}

/* The one that only waits for its answer does not count as one of ours any more. */
static void test_lost_spare_is_replaced_while_the_old_one_is_busy(void **state)
{
    (void)state;
    bench_open_up(1);
    bench_send_ok(0);
    PGconn *old = bench_asked();
    pg_pool_new_epoch(bench_pool);
    bench_await(PG_CONN_IDLE, 1);

    pg_conn_down(pg_connection_of(list_first(&bench_pool->lists[PG_CONN_IDLE])), PG_CLOSE_PROTOCOL);
    bench_await(PG_CONN_IDLE, 1);

    assert_true(fake_pq_is_asked(old));
    assert_int_equal(fake_pq_made(), 3);
}

static void test_replacement_waits_until_all_can_be_used(void **state)
{
    (void)state;
    bench_open_up(2);
    bench_send_ok(0);
    PGconn *conn = bench_asked();
    fake_pq_hold_prepared(conn);
    fake_pq_answer(conn, fake_pq_error("26000", "ERROR"));
    bench_await(PG_CONN_PREPARING, 1);

    pg_pool_new_epoch(bench_pool);
    bench_turns(20);
    assert_int_equal(fake_pq_made(), 2);

    fake_pq_say_prepared(conn);
    bench_turns(100);
    bench_assert_only_closed(PG_CLOSE_EPOCH, 2);
    assert_int_equal(fake_pq_made(), 4);
}

static void test_replacement_that_cannot_connect_costs_nothing(void **state)
{
    (void)state;
    bench_open_up(2);
    attempts_fail_with("no\n");

    pg_pool_new_epoch(bench_pool);
    for (int ms = 0; ms < 3000; ms++) {
        bench_skip_ms(1);
        bench_turn();
        assert_int_equal(pg_pool_usable(bench_pool), 2);
    }
    assert_true(failures() > 1);

    attempts_succeed();
    for (int ms = 0; ms < 3000; ms++) {
        bench_skip_ms(1);
        bench_turn();
    }
    bench_assert_closed(PG_CLOSE_EPOCH, 2);
    assert_int_equal(fake_pq_live(), 2);
}

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
        cmocka_unit_test_setup_teardown(test_password_file_is_read_again_after_a_refused_login,
                                        set_up_file, tear_down_file),
        cmocka_unit_test_setup_teardown(test_second_refused_login_pauses, set_up_file,
                                        tear_down_file),
        BENCH_TEST(test_refused_login_without_a_file_pauses),
        cmocka_unit_test_setup_teardown(test_file_that_cannot_be_used_leaves_the_last_good_url,
                                        set_up_file, tear_down_file),
        BENCH_TEST(test_url_that_cannot_be_parsed_now_is_a_failed_attempt),
        BENCH_TEST(test_create_refuses_what_cannot_be_connected_to),
        BENCH_TEST(test_create_without_a_resolver_fails),
        BENCH_TEST(test_numeric_host_and_socket_path_ask_no_resolver),
        BENCH_TEST(test_name_is_resolved_before_the_connect),
        BENCH_TEST(test_old_address_is_used_when_the_resolver_has_no_better),
        BENCH_TEST(test_name_without_an_address_is_a_failed_attempt),
        BENCH_TEST(test_failed_lookups_are_logged_with_a_pause),
        BENCH_TEST(test_changed_address_replaces_every_connection),
        BENCH_TEST(test_address_that_comes_while_draining_is_too_late),
        BENCH_TEST(test_lookup_that_fails_while_draining_is_no_failure),
        BENCH_TEST(test_failover_signs_make_the_address_doubtful),
        BENCH_TEST(test_old_connection_is_replaced_by_the_spare_before_it_ends),
        BENCH_TEST(test_no_life_ends_before_its_share_of_the_limit),
        BENCH_TEST(test_lives_are_spread_around_the_limit),
        BENCH_TEST(test_new_epoch_replaces_one_at_a_time),
        BENCH_TEST(test_busy_connection_of_the_old_epoch_ends_with_its_answer),
        BENCH_TEST(test_lost_spare_is_replaced_while_the_old_one_is_busy),
        BENCH_TEST(test_replacement_waits_until_all_can_be_used),
        BENCH_TEST(test_replacement_that_cannot_connect_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
