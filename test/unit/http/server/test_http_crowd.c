/* More clients than there is room for. */
#include "server_fixture.h"

#include <errno.h>

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

static void test_slow_bodies_cannot_take_every_exchange(void **state)
{
    (void)state;
    struct client slow[EXCHANGE_MAX], good = dial();
    for (unsigned i = 0; i < EXCHANGE_MAX; i++) {
        slow[i] = dial();
        say(&slow[i], "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\na");
        wait_for_state(HTTP_CONN_BODY, i + 1);
    }
    advance_ms(900);
    struct client refused = dial();
    ask(&refused, "GET /now HTTP/1.1\r\n" HOST "\r\n", "503 "); /* not yet */
    advance_ms(200);

    ask(&good, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");

    expect_end(&slow[0]);
    for (unsigned i = 0; i < EXCHANGE_MAX; i++)
        hang_up(&slow[i]);
    hang_up(&good);
    hang_up(&refused);
}

/* ---- memory that cannot be had ---- */

static unsigned calls_left; /* of a function below, before it fails */

static bool fails_now(void)
{
    return calls_left > 0 && --calls_left == 0;
}

enum err __real_reactor_add(struct reactor *loop, struct reactor_io *io, uint32_t events);
enum err __wrap_reactor_add(struct reactor *loop, struct reactor_io *io, uint32_t events);
enum err __wrap_reactor_add(struct reactor *loop, struct reactor_io *io, uint32_t events)
{
    if (!fails_now())
        return __real_reactor_add(loop, io, events);
    errno = ENOSPC;
    return ERR_SYSTEM;
}

void *__real_pages_map(size_t size);
void *__wrap_pages_map(size_t size);
void *__wrap_pages_map(size_t size)
{
    return fails_now() ? NULL : __real_pages_map(size);
}

static void test_client_that_cannot_be_watched_is_let_go(void **state)
{
    (void)state;
    struct client lost = dial();
    calls_left = 1;

    expect_end(&lost);

    assert_int_equal(calls_left, 0);
    assert_int_equal(http_server_count(server, HTTP_CONN_FREE), CONN_MAX);
    assert_int_equal(http_server_stats(server)->accept_pauses_total, 1);
    struct client patient = dial();
    say(&patient, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    expect_silence(&patient);
    advance_ms(600);
    expect(&patient, "GET /now [] ");
    hang_up(&lost);
    hang_up(&patient);
}

static void test_server_without_memory_is_not_made(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 4; n++) {
        struct http_server *none = NULL;
        calls_left = n;
        assert_int_equal(http_server_create(&none, reactor, &CONFIG), ERR_SYSTEM);
        assert_int_equal(calls_left, 0);
        assert_null(none);
    }
}

static void test_listener_that_cannot_be_watched_frees_its_port(void **state)
{
    (void)state;
    struct http_listener_config config = {.address = "127.0.0.1",
                                          .port = 0,
                                          .transport = &TRANSPORT_TCP,
                                          .routes = ROUTES,
                                          .route_count = ROUTE_COUNT};
    calls_left = 1;
    assert_int_equal(http_server_listen(server, &config), ERR_SYSTEM);
    assert_int_equal(errno, ENOSPC);

    assert_int_equal(http_server_listen(server, &config), ERR_OK);
    assert_int_not_equal(http_server_port(server, 1), http_server_port(server, 0));
}

static void test_adopted_descriptor_stays_the_callers_without_a_slot(void **state)
{
    (void)state;
    struct client clients[CONN_MAX];
    for (unsigned i = 0; i < CONN_MAX; i++)
        clients[i] = dial();
    wait_for_state(HTTP_CONN_IDLE, CONN_MAX);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);

    assert_int_equal(http_server_adopt(server, 0, pair[0]), ERR_FULL);

    assert_int_equal(close(pair[0]), 0);
    assert_int_equal(close(pair[1]), 0);
    for (unsigned i = 0; i < CONN_MAX; i++)
        hang_up(&clients[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_connections_over_the_limit_wait_in_the_backlog),
        TEST(test_the_oldest_idle_connection_makes_room),
        TEST(test_no_exchange_is_a_503),
        TEST(test_slow_heads_cannot_take_every_exchange),
        TEST(test_no_descriptor_pauses_accepting),
        TEST(test_slow_bodies_cannot_take_every_exchange),
        TEST(test_client_that_cannot_be_watched_is_let_go),
        TEST(test_server_without_memory_is_not_made),
        TEST(test_listener_that_cannot_be_watched_frees_its_port),
        TEST(test_adopted_descriptor_stays_the_callers_without_a_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
