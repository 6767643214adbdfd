#include "core/secret.h"
#include "http/server/http_peers_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>

enum { CONNS = 200, PERCENT = 50, SHARE = 100 };

static struct http_peers peers;
static struct list_node nodes[CONNS];
static unsigned maps_left; /* before one fails */

void *__real_pages_map(size_t size);
void *__wrap_pages_map(size_t size);
void *__wrap_pages_map(size_t size)
{
    return maps_left > 0 && --maps_left == 0 ? NULL : __real_pages_map(size);
}

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CONNS; i++)
        nodes[i] = (struct list_node){0};
    return secret_init() == ERR_OK && http_peers_init(&peers, CONNS, PERCENT) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    http_peers_free(&peers);
    return 0;
}

static uint64_t key_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return http_peer_key((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return http_peer_key((const struct sockaddr *)&v6);
}

static void test_what_counts_as_one_address(void **state)
{
    (void)state;
    const struct sockaddr local = {.sa_family = AF_UNIX};
    assert_int_not_equal(key_of("192.0.2.1"), key_of("192.0.2.2"));
    assert_int_equal(key_of("::ffff:192.0.2.1"), key_of("192.0.2.1"));
    assert_int_equal(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:2:f00d::2"));
    assert_int_not_equal(key_of("2001:db8:1:2::1"), key_of("2001:db8:1:3::1"));
    assert_int_equal(http_peer_key(&local), 0);
}

static void test_entry_lives_as_long_as_its_connections(void **state)
{
    (void)state;
    struct http_peer *peer = http_peers_join(&peers, 7, &nodes[0]);
    assert_ptr_equal(http_peers_join(&peers, 7, &nodes[1]), peer);
    assert_int_equal(peer->conns.count, 2);

    http_peers_leave(&peers, peer, &nodes[0]);
    assert_ptr_equal(http_peers_find(&peers, 7), peer);
    http_peers_leave(&peers, peer, &nodes[1]);

    assert_null(http_peers_find(&peers, 7));
    assert_ptr_equal(http_peers_join(&peers, 8, &nodes[0]), peer); /* used again */
}

static void test_every_connection_may_be_another_address(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < CONNS; i++)
            assert_non_null(http_peers_join(&peers, i, &nodes[i]));
        assert_null(http_peers_greedy(&peers));
        for (unsigned i = 0; i < CONNS; i++)
            http_peers_leave(&peers, http_peers_find(&peers, i), &nodes[i]);
    }
    for (unsigned i = 0; i < CONNS; i++)
        assert_null(http_peers_find(&peers, i));
}

static void test_who_holds_more_than_its_share(void **state)
{
    (void)state;
    struct http_peer *peer = NULL;
    assert_false(http_peers_at_share(&peers, NULL));
    for (unsigned i = 0; i < SHARE; i++) {
        peer = http_peers_join(&peers, 1, &nodes[i]);
        assert_int_equal(http_peers_at_share(&peers, peer), i == SHARE - 1);
    }
    assert_null(http_peers_greedy(&peers));
    http_peers_join(&peers, 1, &nodes[SHARE]);
    assert_ptr_equal(http_peers_greedy(&peers), peer);

    http_peers_leave(&peers, peer, &nodes[3]);

    assert_null(http_peers_greedy(&peers));
}

static void test_floor_and_no_limit(void **state)
{
    (void)state;
    struct http_peers others;
    assert_true(http_peers_init(&others, CONNS, 1));
    assert_int_equal(others.conns_max, HTTP_PEER_FLOOR);
    http_peers_free(&others);
    assert_true(http_peers_init(&others, CONNS, 100));
    assert_int_equal(others.conns_max, UINT32_MAX);
    http_peers_free(&others);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        struct http_peers none;
        maps_left = n;
        assert_false(http_peers_init(&none, CONNS, PERCENT));
        http_peers_free(&none);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_counts_as_one_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_entry_lives_as_long_as_its_connections, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_every_connection_may_be_another_address, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_who_holds_more_than_its_share, setup, teardown),
        cmocka_unit_test_setup_teardown(test_floor_and_no_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
