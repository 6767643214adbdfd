/* More clients than there is room for. */
#include "server_fixture.h"

#include <sys/resource.h>

static void test_connections_over_the_limit_wait_in_the_backlog(void **state)
{
    (void)state;
    struct client clients[CONN_MAX + 1];
    for (unsigned i = 0; i <= CONN_MAX; i++)
        clients[i] = dial();
    wait_for_state(HTTP_CONN_IDLE, CONN_MAX);
    ask(&clients[0], "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    say(&clients[CONN_MAX], "GET /item/last HTTP/1.1\r\n" HOST "\r\n");
    expect_silence(&clients[CONN_MAX]);
    assert_int_equal(http_server_stats(server)->accept_pauses_total, 1);

    hang_up(&clients[1]);

    expect(&clients[CONN_MAX], "[last] ");
    for (unsigned i = 0; i <= CONN_MAX; i++)
        if (i != 1)
            hang_up(&clients[i]);
}

static void test_the_oldest_idle_connection_makes_room(void **state)
{
    (void)state;
    struct client clients[CONN_MAX + 1];
    for (unsigned i = 0; i < CONN_MAX; i++) {
        clients[i] = dial();
        wait_for_state(HTTP_CONN_IDLE, i + 1);
    }
    advance_ms(1100);

    clients[CONN_MAX] = dial();
    ask(&clients[CONN_MAX], "GET /item/new HTTP/1.1\r\n" HOST "\r\n", "[new] ");

    expect_end(&clients[0]);
    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 1);
    for (unsigned i = 0; i <= CONN_MAX; i++)
        hang_up(&clients[i]);
}

static void test_no_exchange_is_a_503(void **state)
{
    (void)state;
    struct client busy[EXCHANGE_MAX], extra = dial();
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        busy[i] = dial();
        say(&busy[i], "GET /later HTTP/1.1\r\n" HOST "\r\n");
        wait_for_state(HTTP_CONN_HANDLING, i + 1);
    }

    ask(&extra, "GET /now HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 503 Service Unavailable\r\n");
    expect(&extra, "Connection: close\r\nRetry-After: 1\r\n\r\n{");
    expect(&extra, "}\n");
    expect_end(&extra);
    hang_up(&extra);
    settle();

    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 1);
    assert_int_equal(http_server_stats(server)->refused_total[503], 1);
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        answer_later(0);
        expect(&busy[i], "GET /later [] ");
        hang_up(&busy[i]);
    }
}

static void test_slow_heads_cannot_take_every_exchange(void **state)
{
    (void)state;
    struct client slow[EXCHANGE_MAX], good = dial();
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        slow[i] = dial();
        say(&slow[i], "GET /slow");
        wait_for_state(HTTP_CONN_HEAD, i + 1);
    }
    advance_ms(1100);

    ask(&good, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");

    expect_end(&slow[0]);
    assert_int_equal(closed(HTTP_CLOSE_CROWDED), 1);
    for (unsigned i = 0; i < EXCHANGE_MAX; i++)
        hang_up(&slow[i]);
    hang_up(&good);
}

static void test_no_descriptor_pauses_accepting(void **state)
{
    (void)state;
    struct client client = dial();
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n");

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    expect_silence(&client);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(http_server_stats(server)->accept_pauses_total, 1);
    expect_silence(&client);
    advance_ms(600);

    expect(&client, "GET /now [] ");
    hang_up(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connections_over_the_limit_wait_in_the_backlog),
        TEST(test_the_oldest_idle_connection_makes_room),
        TEST(test_no_exchange_is_a_503),
        TEST(test_slow_heads_cannot_take_every_exchange),
        TEST(test_no_descriptor_pauses_accepting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
