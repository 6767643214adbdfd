#include "core/clock.h"
#include "core/secret.h"
#include "http/api/auth_throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

enum { FAILURES_PER_S = 10 };

static uint64_t now_us;
static struct ip_networks trusted;
static struct auth_throttle *throttle;

static uint64_t fixed_mono_us(void)
{
    return now_us;
}

static void make(uint32_t failures_per_s)
{
    auth_throttle_destroy(throttle);
    assert_int_equal(auth_throttle_create(&throttle, &trusted, failures_per_s), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    now_us = UINT64_C(1000) * CLOCK_US_PER_S;
    clock_replace(fixed_mono_us, NULL);
    trusted.count = 0;
    if (secret_init() != ERR_OK)
        return -1;
    make(FAILURES_PER_S);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    auth_throttle_destroy(throttle);
    throttle = NULL;
    clock_replace(NULL, NULL);
    return 0;
}

static void refuse(const char *peer, uint32_t count, enum auth_verdict expected)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(auth_throttle_refuse(throttle, peer, NULL), expected);
}

/* Peer number i of many. */
static enum auth_verdict refuse_numbered(uint32_t i)
{
    char peer[32];
    snprintf(peer, sizeof(peer), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
    return auth_throttle_refuse(throttle, peer, NULL);
}

static void test_an_address_is_throttled_within_its_second(void **state)
{
    (void)state;
    refuse("192.0.2.1", FAILURES_PER_S, AUTH_TOLD);
    refuse("192.0.2.1", 1, AUTH_THROTTLED);
    now_us += CLOCK_US_PER_S - 1;
    refuse("192.0.2.1", 1000, AUTH_THROTTLED_UNLOGGED);
    refuse("192.0.2.2", FAILURES_PER_S, AUTH_TOLD);
    now_us += 1;
    refuse("192.0.2.1", FAILURES_PER_S, AUTH_TOLD);

    const struct auth_throttle_stats stats = auth_throttle_stats(throttle);
    assert_int_equal(stats.told_total, 3 * FAILURES_PER_S);
    assert_int_equal(stats.throttled_total, 1001);
    assert_int_equal(stats.addresses, 2);
    assert_int_equal(stats.forgotten_total, 0);
}

static void test_off_shares_out_lines_only(void **state)
{
    (void)state;
    make(0);
    refuse("192.0.2.1", AUTH_LINES_PER_S_MAX, AUTH_TOLD);
    refuse("192.0.2.1", 1000, AUTH_TOLD_UNLOGGED);
    refuse("192.0.2.2", 1, AUTH_TOLD);
    assert_int_equal(auth_throttle_stats(throttle).throttled_total, 0);
}

static void test_a_high_limit_is_told_when_it_is_reached(void **state)
{
    (void)state;
    make(AUTH_LINES_PER_S_MAX + 5);
    refuse("192.0.2.1", AUTH_LINES_PER_S_MAX, AUTH_TOLD);
    refuse("192.0.2.1", 5, AUTH_TOLD_UNLOGGED);
    refuse("192.0.2.1", 1, AUTH_THROTTLED);
    refuse("192.0.2.1", 1, AUTH_THROTTLED_UNLOGGED);
}

static void test_an_ipv6_network_is_one_address(void **state)
{
    (void)state;
    refuse("2001:db8:1:2::1", FAILURES_PER_S, AUTH_TOLD);
    refuse("2001:db8:1:2:ffff::9", 1, AUTH_THROTTLED);
    refuse("2001:db8:1:3::1", 1, AUTH_TOLD);
}

static void test_behind_a_trusted_proxy_the_client_is_counted(void **state)
{
    (void)state;
    assert_null(ip_networks_parse(SPAN("10.0.0.0/8"), &trusted));
    struct http_request request = {.header_count = 1,
                                   .headers = {{SPAN("X-Forwarded-For"), SPAN("203.0.113.7")}}};
    for (int i = 0; i < FAILURES_PER_S; i++)
        assert_int_equal(auth_throttle_refuse(throttle, "10.0.0.1", &request), AUTH_TOLD);
    assert_int_equal(auth_throttle_refuse(throttle, "10.0.0.2", &request), AUTH_THROTTLED);
    request.headers[0].value = SPAN("203.0.113.8");
    assert_int_equal(auth_throttle_refuse(throttle, "10.0.0.1", &request), AUTH_TOLD);
}

static void test_a_full_table_forgets_whose_second_began_first(void **state)
{
    (void)state;
    refuse("192.0.2.1", FAILURES_PER_S, AUTH_TOLD);
    for (uint32_t i = 1; i < AUTH_ADDRESSES_MAX; i++)
        assert_int_equal(refuse_numbered(i), AUTH_TOLD);
    assert_int_equal(auth_throttle_stats(throttle).addresses, AUTH_ADDRESSES_MAX);
    assert_int_equal(auth_throttle_stats(throttle).forgotten_total, 0);
    refuse("192.0.2.1", 1, AUTH_THROTTLED);

    /* One more address: the first one's second is not over, and it is forgotten all the same. */
    assert_int_equal(refuse_numbered(AUTH_ADDRESSES_MAX), AUTH_TOLD);
    assert_int_equal(auth_throttle_stats(throttle).addresses, AUTH_ADDRESSES_MAX);
    assert_int_equal(auth_throttle_stats(throttle).forgotten_total, 1);
    refuse("192.0.2.1", 1, AUTH_TOLD);
    assert_int_equal(auth_throttle_stats(throttle).forgotten_total, 2);

    /* Those whose second is over are no loss; who comes again is young again. */
    now_us += CLOCK_US_PER_S;
    refuse("192.0.2.1", FAILURES_PER_S, AUTH_TOLD);
    for (uint32_t i = 1; i < AUTH_ADDRESSES_MAX; i++)
        assert_int_equal(refuse_numbered(100000 + i), AUTH_TOLD);
    assert_int_equal(auth_throttle_stats(throttle).forgotten_total, 2);
    refuse("192.0.2.1", 1, AUTH_THROTTLED);
}

#define THROTTLE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THROTTLE_TEST(test_an_address_is_throttled_within_its_second),
        THROTTLE_TEST(test_off_shares_out_lines_only),
        THROTTLE_TEST(test_a_high_limit_is_told_when_it_is_reached),
        THROTTLE_TEST(test_an_ipv6_network_is_one_address),
        THROTTLE_TEST(test_behind_a_trusted_proxy_the_client_is_counted),
        THROTTLE_TEST(test_a_full_table_forgets_whose_second_began_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
