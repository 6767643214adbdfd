/* The end of a server, its counters and its listeners. */
#include "server_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>

/* ---- the end ---- */

static void test_answers_before_a_drain_end_their_connection(void **state)
{
    (void)state;
    struct client client = dial();
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "X-Test: yes\r\n\r\n");

    http_server_close_after_answers(server);
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "X-Test: yes\r\nConnection: close\r\n\r\n");

    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_DRAIN), 1);
}

static void test_drain_serves_what_was_promised(void **state)
{
    (void)state;
    struct client idle = dial(), busy = dial(), fresh = dial(), mute = dial();
    ask(&idle, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    say(&busy, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    struct client backlog = dial();

    http_server_drain(server);
    expect_end(&idle);
    ask(&backlog, "GET /now HTTP/1.1\r\n" HOST "\r\n", "Connection: close\r\n");
    ask(&fresh, "GET /now HTTP/1.1\r\n" HOST "\r\n", "Connection: close\r\n");
    answer_later(0);
    expect(&busy, "Connection: close\r\n");
    expect_end(&busy);
    hang_up(&busy);
    hang_up(&idle);
    hang_up(&fresh);
    hang_up(&backlog);
    settle();
    assert_false(http_server_quiet(server));
    advance_ms(HTTP_DRAIN_FRESH_MS + 100);

    expect_end(&mute);
    assert_true(http_server_quiet(server));
    hang_up(&mute);
}

static void test_destroy_cuts_what_is_left(void **state)
{
    (void)state;
    struct client client = dial(), head = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    say(&head, "GET");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    wait_for_state(HTTP_CONN_HEAD, 1);
    app.forgets = true;

    assert_int_equal(teardown(NULL), 0);

    assert_int_equal(app.abandoned, 1);
    collect(&client);
    assert_true(client.ended);
    hang_up(&client);
    hang_up(&head);
    assert_int_equal(setup(NULL), 0);
}

/* ---- counters ---- */

static char seen[1024];

static void see_count(void *owner, const char *endpoint, enum http_method method, unsigned status,
                      uint64_t count)
{
    assert_ptr_equal(owner, seen);
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s %s %u=%u;",
             http_method_name(method), endpoint, status, (unsigned)count);
}

static void see_duration(void *owner, const char *endpoint, enum http_method method,
                         const struct histogram *histogram)
{
    assert_ptr_equal(owner, seen);
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s %s=%u;", http_method_name(method),
             endpoint, (unsigned)histogram->count);
}

static void test_counts_and_durations_by_route(void **state)
{
    (void)state;
    struct client client = dial();
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    ask(&client, "GET /item/1 HTTP/1.1\r\n" HOST "\r\n", "[1] ");
    ask(&client, "GET /metrics HTTP/1.1\r\n" HOST "\r\n", "[] ");
    ask(&client, "PATCH /now HTTP/1.1\r\n" HOST "\r\n", "405 ");
    ask(&client, "GET /none HTTP/1.1\r\n" HOST "\r\n", "404 ");

    seen[0] = '\0';
    http_server_visit_counts(server, see_count, seen);
    assert_string_equal(seen, "GET /now 200=2;PATCH /now 405=1;GET /item/{id} 200=1;"
                              "GET other 404=1;");
    seen[0] = '\0';
    http_server_visit_durations(server, see_duration, seen);
    assert_string_equal(seen, "GET /now=2;PATCH /now=1;GET /item/{id}=1;GET other=1;");
    hang_up(&client);
}

static void test_listen_says_what_is_wrong(void **state)
{
    (void)state;
    struct http_listener_config config = {.address = "example", .transport = &TRANSPORT_TCP};
    assert_int_equal(http_server_listen(server, &config), ERR_INVALID);
    config.address = "127.0.0.1";
    config.port = http_server_port(server, 0);
    assert_int_equal(http_server_listen(server, &config), ERR_SYSTEM);
    assert_int_equal(errno, EADDRINUSE);
}

static void test_drain_twice_is_one_drain(void **state)
{
    (void)state;
    struct client client = dial();
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");

    http_server_drain(server);
    http_server_drain(server);

    expect_end(&client);
    assert_int_equal(closed(HTTP_CLOSE_DRAIN), 1);
    hang_up(&client);
}

/* ---- listeners ---- */

static void on_operations(void *owner, struct http_exchange *exchange)
{
    (void)owner;
    http_respond(exchange, &(struct http_response){.status = 200, .body = SPAN("operations")});
}

/* -1: errno tells. */
static int connect_to(int family, uint16_t port)
{
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    const struct sockaddr *address =
        family == AF_INET ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6;
    assert_int_not_equal(fd, -1);
    if (connect(fd, address, family == AF_INET ? sizeof v4 : sizeof v6) == 0)
        return fd;
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static struct client dial_port(int family, uint16_t port)
{
    const int fd = connect_to(family, port);
    assert_int_not_equal(fd, -1);
    return client_of(fd);
}

static void test_each_listener_has_routes_of_its_own(void **state)
{
    (void)state;
    static const struct http_route routes[] = {
        {.path = "/operations", .methods = 1u << HTTP_GET, .on_request = on_operations},
        {.path = "/now", .methods = 1u << HTTP_GET, .on_request = on_operations},
    };
    const struct http_listener_config config = {
        .address = "127.0.0.1", .transport = &TRANSPORT_TCP, .routes = routes, .route_count = 2};
    assert_int_equal(http_server_listen(server, &config), ERR_OK);
    struct client first = dial(), second = dial_port(AF_INET, http_server_port(server, 1));

    ask(&first, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    ask(&first, "GET /operations HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&second, "GET /now HTTP/1.1\r\n" HOST "\r\n", "\r\n\r\noperations");
    ask(&second, "GET /operations HTTP/1.1\r\n" HOST "\r\n", "\r\n\r\noperations");
    ask(&second, "GET /item/1 HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&second, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "405 ");
    expect(&second, "Allow: GET, HEAD, OPTIONS\r\n");

    seen[0] = '\0';
    http_server_visit_counts(server, see_count, seen);
    assert_string_equal(seen, "GET /now 200=2;POST /now 405=1;GET /operations 200=1;"
                              "GET other 404=2;");
    hang_up(&first);
    hang_up(&second);
}

static void test_drain_closes_every_listener(void **state)
{
    (void)state;
    const struct http_listener_config config = {.address = "127.0.0.1",
                                                .transport = &TRANSPORT_TCP,
                                                .routes = ROUTES,
                                                .route_count = ROUTE_COUNT};
    assert_int_equal(http_server_listen(server, &config), ERR_OK);

    http_server_drain(server);

    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(connect_to(AF_INET, http_server_port(server, i)), -1);
        assert_int_equal(errno, ECONNREFUSED);
    }
}

static void test_listener_without_an_address_serves_what_is_adopted(void **state)
{
    (void)state;
    static const struct http_route routes[] = {
        {.path = "/operations", .methods = 1u << HTTP_GET, .on_request = on_operations}};
    const struct http_listener_config config = {
        .transport = &TRANSPORT_TCP, .routes = routes, .route_count = 1};
    int pair[2];
    assert_int_equal(http_server_listen(server, &config), ERR_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(http_server_adopt(server, 1, pair[0]), ERR_OK);
    struct client client = client_of(pair[1]);

    ask(&client, "GET /operations HTTP/1.1\r\n" HOST "\r\n", "\r\n\r\noperations");

    assert_string_equal(app.last_peer, "");
    hang_up(&client);
}

static void test_listener_on_ipv6(void **state)
{
    (void)state;
    const struct http_listener_config config = {.address = "::1",
                                                .transport = &TRANSPORT_TCP,
                                                .routes = ROUTES,
                                                .route_count = ROUTE_COUNT};
    const enum err err = http_server_listen(server, &config);
    if (err == ERR_SYSTEM && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) {
        print_message("this machine has no IPv6\n");
        skip();
    }
    assert_int_equal(err, ERR_OK);
    struct client client = dial_port(AF_INET6, http_server_port(server, 1));

    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");

    assert_string_equal(app.last_peer, "::1");
    hang_up(&client);
}

/* ---- names ---- */

/* They are labels of metrics, so others have written them down. */
static void test_states_and_reasons_have_their_names(void **state)
{
    (void)state;
    static const char *const states[HTTP_CONN_STATES] = {
        "free", "handshake", "idle", "head", "body", "handling", "writing", "linger", "orphan"};
    static const char *const reasons[HTTP_CLOSE_REASONS] = {
        "peer",         "peer_midway",  "reset",        "asked",         "refused",
        "idle_timeout", "head_timeout", "body_timeout", "write_timeout", "handshake",
        "crowded",      "slow_reader",  "peer_share",   "drain"};
    for (unsigned i = 0; i < HTTP_CONN_STATES; i++)
        assert_string_equal(http_conn_state_name((enum http_conn_state)i), states[i]);
    for (unsigned i = 0; i < HTTP_CLOSE_REASONS; i++)
        assert_string_equal(http_close_reason_name((enum http_close_reason)i), reasons[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers_before_a_drain_end_their_connection),
        TEST(test_drain_serves_what_was_promised),
        TEST(test_destroy_cuts_what_is_left),
        TEST(test_counts_and_durations_by_route),
        TEST(test_listen_says_what_is_wrong),
        TEST(test_drain_twice_is_one_drain),
        TEST(test_each_listener_has_routes_of_its_own),
        TEST(test_drain_closes_every_listener),
        TEST(test_listener_without_an_address_serves_what_is_adopted),
        TEST(test_listener_on_ipv6),
        TEST(test_states_and_reasons_have_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
