#include "core/clock.h"
#include "http/server/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONN_MAX = 6,
    EXCHANGE_MAX = 3,
    TURNS_MAX = 300, /* how long anything is waited for */
    TEXT_MAX = 1024 * 1024,
    LATER_MAX = 16,
    HEAD_MS = 5000,
    BODY_MS = 6000,
    IDLE_MS = 60000,
    WRITE_MS = 7000,
    LINGER_MS = 2000,
};

#define HOST "Host: a\r\n"

/* ---- the server under test, and what its handlers saw ---- */

static struct reactor *reactor;
static struct http_server *server;
static uint64_t now_us;

static struct {
    struct http_exchange *later[LATER_MAX];
    unsigned later_count, abandoned, finished, dropped;
    bool forgets;
    size_t large;
    char log[4096]; /* "GET /x 200;" for each finished answer */
    struct http_note last_note;
    bool last_had_request;
} app;

static uint64_t test_clock(void)
{
    return now_us;
}

/* The answer's body is method, path, parameter and body of the request. */
static void answer(struct http_exchange *exchange)
{
    static char body[HTTP_LARGE_ANSWER_BYTES_MAX];
    const struct http_request *request = http_exchange_request(exchange);
    const struct span param = http_exchange_param(exchange);
    int len = snprintf(body, sizeof body, "%s %.*s [%.*s] %.*s", http_method_name(request->method),
                       (int)request->path.len, request->path.ptr, (int)param.len, param.ptr,
                       (int)request->body.len, request->body.ptr);
    if (app.large > 0) {
        memset(body + len, 'L', app.large - (size_t)len);
        len = (int)app.large;
    }
    http_respond(exchange, &(struct http_response){.status = 200,
                                                   .content_type = SPAN("text/plain"),
                                                   .headers = SPAN("X-Test: yes\r\n"),
                                                   .body = {body, (size_t)len}});
}

static void on_now(void *owner, struct http_exchange *exchange)
{
    assert_ptr_equal(owner, &app);
    answer(exchange);
}

static void on_later(void *owner, struct http_exchange *exchange)
{
    assert_ptr_equal(owner, &app);
    assert_true(app.later_count < LATER_MAX);
    app.later[app.later_count++] = exchange;
}

static bool on_abandon(void *owner, struct http_exchange *exchange)
{
    assert_ptr_equal(owner, &app);
    assert_ptr_equal(exchange, app.later[0]);
    app.abandoned++;
    return app.forgets;
}

static void answer_later(unsigned index)
{
    struct http_exchange *exchange = app.later[index];
    app.later_count--;
    for (unsigned i = index; i < app.later_count; i++)
        app.later[i] = app.later[i + 1];
    answer(exchange);
}

static void on_finished(void *owner, const struct http_finished *finished)
{
    assert_ptr_equal(owner, &app);
    assert_int_equal(strlen(finished->request_id), HTTP_REQUEST_ID_LEN);
    app.finished++;
    app.dropped += finished->dropped;
    app.last_note = *finished->note;
    app.last_had_request = finished->request != NULL;
    const size_t used = strlen(app.log);
    snprintf(app.log + used, sizeof app.log - used, "%s %s %u%s;",
             http_method_name(finished->method), finished->endpoint, finished->status,
             finished->dropped ? " dropped" : "");
}

#define M(method) (1u << HTTP_##method)
static const struct http_route ROUTES[] = {
    {.path = "/now", .methods = M(GET) | M(POST), .app = &app, .on_request = on_now},
    {.path = "/later",
     .methods = M(GET) | M(POST),
     .app = &app,
     .on_request = on_later,
     .on_abandon = on_abandon},
    {.path = "/item/{id}", .methods = M(GET), .app = &app, .on_request = on_now},
    {.path = "/item/{id}/void",
     .methods = M(POST),
     .body_optional = true,
     .app = &app,
     .on_request = on_now},
    {.path = "/metrics", .methods = M(GET), .app = &app, .on_request = on_now, .uncounted = true},
};

static int setup(void **state)
{
    (void)state;
    memset(&app, 0, sizeof app);
    now_us = (uint64_t)1000 * CLOCK_US_PER_S;
    clock_replace(test_clock, NULL);
    assert_int_equal(secret_init(), ERR_OK);
    assert_int_equal(reactor_create(&reactor, 8), ERR_OK);
    const struct http_server_config config = {
        .limits = {.header_bytes_max = 1024,
                   .header_count_max = 16,
                   .uri_bytes_max = 256,
                   .body_bytes_max = 512,
                   .chunk_overhead_max = 512},
        .conn_max = CONN_MAX,
        .exchange_max = EXCHANGE_MAX,
        .head_timeout_ms = HEAD_MS,
        .body_timeout_ms = BODY_MS,
        .idle_timeout_ms = IDLE_MS,
        .write_timeout_ms = WRITE_MS,
        .linger_timeout_ms = LINGER_MS,
        .routes = ROUTES,
        .route_count = sizeof ROUTES / sizeof ROUTES[0],
        .on_finished = on_finished,
        .on_finished_owner = &app,
    };
    assert_int_equal(http_server_create(&server, reactor, &config), ERR_OK);
    assert_int_equal(http_server_listen(server, "127.0.0.1", 0, &TRANSPORT_TCP), ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_server_destroy(server);
    reactor_destroy(reactor);
    clock_replace(NULL, NULL);
    return 0;
}

/* ---- a client ---- */

struct client {
    int fd;
    bool ended; /* end of file or reset */
    size_t len;
    char *text; /* everything received so far */
};

static void turn(void)
{
    assert_int_equal(reactor_turn(reactor, 500), ERR_OK);
}

/* Turns until nothing is left to do at once. */
static void settle(void)
{
    for (unsigned i = 0; i < 5; i++)
        turn();
}

static void advance_ms(uint64_t ms)
{
    now_us += ms * CLOCK_US_PER_MS;
    settle();
}

static struct client client_of(int fd)
{
    assert_int_not_equal(fcntl(fd, F_SETFL, O_NONBLOCK), -1);
    struct client client = {.fd = fd, .text = calloc(1, TEXT_MAX)};
    assert_non_null(client.text);
    return client;
}

static struct client dial(void)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(http_server_port(server)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_not_equal(fd, -1);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return client_of(fd);
}

/* Connected to the server over a socket whose server side takes few bytes at once. */
static struct client dial_narrow(void)
{
    int pair[2];
    const int size = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    assert_int_equal(http_server_adopt(server, pair[0], &TRANSPORT_TCP, NULL), ERR_OK);
    return client_of(pair[1]);
}

static void hang_up(struct client *client)
{
    close(client->fd);
    free(client->text);
    client->text = NULL;
}

static void hang_up_by_reset(struct client *client)
{
    const struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    hang_up(client);
}

static void say(struct client *client, const char *text)
{
    assert_int_equal(send(client->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void collect(struct client *client)
{
    const ssize_t got = recv(client->fd, client->text + client->len, TEXT_MAX - 1 - client->len, 0);
    if (got > 0)
        client->len += (size_t)got;
    else if (got == 0 || errno != EAGAIN)
        client->ended = true;
    client->text[client->len] = '\0';
}

/* Waits for `needle`, and forgets everything up to its end. */
static void expect(struct client *client, const char *needle)
{
    const char *found = NULL;
    for (unsigned i = 0; i < TURNS_MAX && found == NULL; i++) {
        turn();
        collect(client);
        found = strstr(client->text, needle);
    }
    if (found == NULL)
        fail_msg("no \"%s\" in \"%s\"", needle, client->text);
    client->len -= (size_t)(found - client->text) + strlen(needle);
    memmove(client->text, found + strlen(needle), client->len + 1);
}

static void expect_end(struct client *client)
{
    for (unsigned i = 0; i < TURNS_MAX && !client->ended; i++) {
        turn();
        collect(client);
    }
    assert_true(client->ended);
}

static void expect_silence(struct client *client)
{
    settle();
    collect(client);
    assert_int_equal(client->len, 0);
    assert_false(client->ended);
}

/* Nothing is ready: a turn waits as long as it may. By the real clock, with much room. */
static void assert_loop_rests(void)
{
    struct timespec before, after;
    settle();
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(reactor_turn(reactor, (uint64_t)40 * CLOCK_US_PER_MS), ERR_OK);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 20);
}

static void wait_for_state(enum http_conn_state state, uint32_t count)
{
    for (unsigned i = 0; i < TURNS_MAX && http_server_count(server, state) != count; i++)
        turn();
    assert_int_equal(http_server_count(server, state), count);
}

static uint64_t closed(enum http_close_reason reason)
{
    return http_server_stats(server)->closed_total[reason];
}

static void ask(struct client *client, const char *request, const char *needle)
{
    say(client, request);
    expect(client, needle);
}

/* ---- answers ---- */

static void test_keep_alive_serves_one_after_the_other(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\nDate: ");
    expect(&client, " GMT\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nX-Request-Id: ");
    expect(&client, "\r\nX-Test: yes\r\n\r\nGET /now [] ");
    assert_int_equal(client.len, 0);
    ask(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "POST /now [] abc");
    ask(&client, "GET /item/7?x HTTP/1.1\r\n" HOST "\r\n", "GET /item/7 [7] ");
    ask(&client, "POST /item/8/void HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
        "POST /item/8/void [8] ");

    assert_int_equal(http_server_count(server, HTTP_CONN_IDLE), 1);
    assert_string_equal(app.log, "GET /now 200;POST /now 200;GET /item/{id} 200;"
                                 "POST /item/{id}/void 200;");
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_PEER), 1);
}

static void test_accepted_sockets_do_not_delay(void **state)
{
    (void)state;
    struct client client = dial();
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");

    int found = -1;
    for (int fd = 3; fd < 64; fd++) {
        struct sockaddr_in peer = {0}, mine = {0};
        socklen_t peer_len = sizeof peer, mine_len = sizeof mine;
        if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
            getsockname(client.fd, (struct sockaddr *)&mine, &mine_len) == 0 &&
            peer.sin_family == AF_INET && peer.sin_port == mine.sin_port)
            found = fd;
    }
    assert_int_not_equal(found, -1);
    int on = 0;
    socklen_t len = sizeof on;
    assert_int_equal(getsockopt(found, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_not_equal(on, 0);
    hang_up(&client);
}

static void test_pipelined_answers_come_in_order(void **state)
{
    (void)state;
    struct client client = dial();
    char text[8192] = "";
    for (unsigned i = 0; i < 3 * HTTP_REQUESTS_PER_WAKE; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "GET /item/%u HTTP/1.1\r\n" HOST "\r\n", i);

    say(&client, text);

    for (unsigned i = 0; i < 3 * HTTP_REQUESTS_PER_WAKE; i++) {
        char needle[32];
        snprintf(needle, sizeof needle, "[%u] ", i);
        expect(&client, needle);
    }
    assert_int_equal(client.len, 0);
    assert_int_equal(http_server_count(server, HTTP_CONN_IDLE), 1);
    hang_up(&client);
}

static void test_a_late_answer_holds_back_those_behind_it(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n"
                 "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    say(&client, "GET /item/9 HTTP/1.1\r\n" HOST "\r\n");
    expect_silence(&client);
    assert_loop_rests();
    assert_int_equal(app.later_count, 1);

    answer_later(0);
    assert_int_equal(app.finished, 1); /* no handler runs inside http_respond() */
    expect(&client, "GET /later [] ");
    expect(&client, "GET /now [] ");
    assert_int_equal(app.later_count, 1);
    answer_later(0);

    expect(&client, "GET /later [] ");
    expect(&client, "GET /item/9 [9] ");
    assert_int_equal(client.len, 0);
    hang_up(&client);
}

static void test_bad_request_behind_a_good_one_does_not_eat_its_answer(void **state)
{
    (void)state;
    struct client client = dial();

    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\nHost: a b\r\n\r\n");

    expect(&client, "GET /now [] ");
    expect(&client, "HTTP/1.1 400 Bad Request\r\n");
    expect(&client, "Connection: close\r\n\r\n{");
    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_REFUSED), 1);
    assert_int_equal(http_server_stats(server)->refused_total[400], 1);
    assert_false(app.last_had_request);
    assert_string_equal(app.last_note.problem, "malformed-request");
}

static void test_head_gets_the_fields_only(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "HEAD /now HTTP/1.1\r\n" HOST "\r\n", "Content-Length: 13\r\n");
    expect(&client, "\r\n\r\n");
    assert_int_equal(client.len, 0);
    ask(&client, "HEAD /none HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    expect(&client, "\r\n\r\n");
    assert_int_equal(client.len, 0);
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    hang_up(&client);
}

static void test_versions_and_connection_fields(void **state)
{
    (void)state;
    struct client old = dial(), kept = dial(), asked = dial();

    ask(&old, "GET /now HTTP/1.0\r\n\r\n", "Connection: close\r\n\r\nGET /now [] ");
    expect_end(&old);
    ask(&kept, "GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "Connection: keep-alive\r\n\r\nGET /now [] ");
    ask(&kept, "GET /now HTTP/1.0\r\n\r\n", "Connection: close\r\n");
    ask(&asked, "GET /now HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /later HTTP/1.1\r\n",
        "Connection: close\r\n\r\nGET /now [] ");
    expect_end(&asked);

    assert_int_equal(app.later_count, 0);
    hang_up(&old);
    hang_up(&kept);
    hang_up(&asked);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_ASKED), 3);
}

static void test_request_id_is_the_trace_id_when_it_is_valid(void **state)
{
    (void)state;
    static const char *const GOOD[] = {
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later",
    };
    static const char *const BAD[] = {
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
        "",
    };
    struct client client = dial();
    char text[256];
    for (unsigned i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        snprintf(text, sizeof text, "GET /now HTTP/1.1\r\n" HOST "traceparent: %s\r\n\r\n",
                 GOOD[i]);
        ask(&client, text, "X-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n");
        expect(&client, "[] ");
    }
    for (unsigned i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        snprintf(text, sizeof text, "GET /now HTTP/1.1\r\n" HOST "traceparent: %s\r\n\r\n", BAD[i]);
        ask(&client, text, "X-Request-Id: ");
        assert_int_equal(strspn(client.text, "0123456789abcdef"), HTTP_REQUEST_ID_LEN);
        assert_memory_not_equal(client.text, "4bf92f3577b34da6a3ce929d0e0e4736", 32);
        expect(&client, "[] ");
    }
    hang_up(&client);
}

/* ---- refusals ---- */

static void test_methods_and_paths_that_are_not_served(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "GET /none HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    expect(&client, "application/problem+json");
    expect(&client, "}\n");
    ask(&client, "GET /item/ HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&client, "GET /item/a/b HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&client, "GET /%6eow HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&client, "DELETE /now HTTP/1.1\r\n" HOST "\r\n", "405 Method Not Allowed");
    expect(&client, "Allow: GET, HEAD, POST, OPTIONS\r\n");
    ask(&client, "TRACE /now HTTP/1.1\r\n" HOST "X-Secret: echo\r\n\r\n", "405 Method");
    expect(&client, "}\n");
    assert_null(strstr(client.text, "echo"));
    ask(&client, "OPTIONS /item/5 HTTP/1.1\r\n" HOST "\r\n", "204 No Content");
    expect(&client, "Allow: GET, HEAD, OPTIONS\r\n\r\n");
    assert_int_equal(client.len, 0);
    ask(&client, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "Allow: GET, HEAD, POST, OPTIONS\r\n\r\n");
    ask(&client, "OPTIONS /none HTTP/1.1\r\n" HOST "\r\n", "404 Not Found");
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "Upgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        "GET /now [] ");
    ask(&client, "GET http://a/now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");
    ask(&client, "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", "405 Method Not Allowed");
    expect_end(&client);

    assert_int_equal(http_server_stats(server)->refused_total[404], 5);
    assert_int_equal(http_server_stats(server)->refused_total[405], 3);
    hang_up(&client);
}

static void expect_refusal(const char *request, const char *status_line)
{
    struct client client = dial();
    ask(&client, request, status_line);
    expect(&client, "Connection: close\r\n");
    expect(&client, "}\n");
    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
}

static void test_requests_that_end_the_connection(void **state)
{
    (void)state;
    char text[4096];

    expect_refusal("POST /now HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 411 Length Required");
    expect_refusal("POST /now HTTP/1.1\r\n" HOST "Content-Length: 513\r\n\r\n",
                   "HTTP/1.1 413 Content Too Large");
    snprintf(text, sizeof text, "GET /%0300d HTTP/1.1\r\n", 0);
    expect_refusal(text, "HTTP/1.1 414 URI Too Long");
    expect_refusal("GET /now HTTP/1.1\r\n" HOST "Expect: magic\r\n\r\n",
                   "HTTP/1.1 417 Expectation Failed");
    snprintf(text, sizeof text, "GET /now HTTP/1.1\r\n" HOST "X: %01100d\r\n", 0);
    expect_refusal(text, "HTTP/1.1 431 Request Header Fields Too Large");
    expect_refusal("BREW / HTTP/1.1\r\n", "HTTP/1.1 501 Not Implemented");
    expect_refusal("GET / HTTP/2.0\r\n", "HTTP/1.1 505 HTTP Version Not Supported");
    expect_refusal("\x16\x03\x01", "HTTP/1.1 400 Bad Request");

    assert_int_equal(closed(HTTP_CLOSE_REFUSED), 8);
    assert_string_equal(app.log, "POST /now 411;POST /now 413;GET other 414;GET /now 417;"
                                 "GET other 431;OTHER other 501;GET other 505;OTHER other 400;");
}

static void test_post_without_framing_is_bodyless_where_the_route_allows(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "POST /item/7/void HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK");

    assert_string_equal(app.log, "POST /item/{id}/void 200;");
    hang_up(&client);
}

static void test_refused_body_is_drained_so_that_the_answer_can_be_read(void **state)
{
    (void)state;
    struct client client = dial();
    char part[32 * 1024];
    memset(part, 'b', sizeof part);
    say(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 262144\r\n\r\n");
    wait_for_state(HTTP_CONN_LINGER, 1);
    for (unsigned sent = 0; sent < 8; sent++) {
        assert_int_equal(send(client.fd, part, sizeof part, MSG_NOSIGNAL), sizeof part);
        settle();
    }

    expect(&client, "413 Content Too Large");

    wait_for_state(HTTP_CONN_LINGER, 1);
    advance_ms(LINGER_MS + 100);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    hang_up(&client);
}

#define EXPECTING_3 "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"

static void test_expectation_is_met_before_the_body_is_read(void **state)
{
    (void)state;
    struct client client = dial();

    ask(&client, "POST /now HTTP/1.1\r\n" HOST EXPECTING_3, "HTTP/1.1 100 Continue\r\n\r\n");
    expect_silence(&client);
    assert_int_equal(http_server_count(server, HTTP_CONN_BODY), 1);
    ask(&client, "abc", "POST /now [] abc");
    ask(&client, "POST /none HTTP/1.1\r\n" HOST EXPECTING_3, "HTTP/1.1 404 Not Found");

    expect(&client, "Connection: close\r\n");
    expect_end(&client);
    hang_up(&client);
}

/* ---- deadlines ---- */

static void test_silent_and_idle_connections_end_silently(void **state)
{
    (void)state;
    struct client silent = dial(), idle = dial();
    ask(&idle, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    say(&silent, "\r\n");
    settle();

    advance_ms(IDLE_MS - 200);
    expect_silence(&silent);
    say(&silent, "\r\n"); /* does not count as progress */
    settle();
    advance_ms(400);

    expect_end(&silent);
    expect_end(&idle);
    assert_int_equal(silent.len + idle.len, 0);
    assert_int_equal(closed(HTTP_CLOSE_IDLE_TIMEOUT), 2);
    hang_up(&silent);
    hang_up(&idle);
}

static void test_slow_head_is_ended_whatever_its_progress(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "GET /now HTTP/1.1\r\n");
    wait_for_state(HTTP_CONN_HEAD, 1);
    for (unsigned i = 0; i < 4; i++) {
        advance_ms(1200);
        say(&client, "X: y\r\n");
        expect_silence(&client);
    }

    advance_ms(300);

    expect(&client, "408 Request Timeout");
    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_HEAD_TIMEOUT), 1);
    assert_string_equal(app.log, "GET other 408;");
}

static void test_slow_body_is_ended_whatever_its_progress(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n");
    wait_for_state(HTTP_CONN_BODY, 1);
    for (unsigned i = 0; i < 5; i++) {
        advance_ms(1100);
        say(&client, "b");
        expect_silence(&client);
    }

    advance_ms(600);

    expect(&client, "408 Request Timeout");
    expect_end(&client);
    hang_up(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_BODY_TIMEOUT), 1);
}

static void test_client_that_does_not_read_is_ended(void **state)
{
    (void)state;
    app.large = (size_t)400 * 1024;
    struct client client = dial_narrow();
    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /now HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_WRITING, 1);
    assert_int_equal(app.finished, 0);

    advance_ms(WRITE_MS - 200);
    assert_int_equal(http_server_count(server, HTTP_CONN_WRITING), 1);
    advance_ms(400);

    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_WRITE_TIMEOUT), 1);
    assert_int_equal(http_server_stats(server)->answers_dropped_total, 1);
    assert_string_equal(app.log, "GET /now 200 dropped;");
    hang_up(&client);
}

/* ---- answers of every size ---- */

static void test_short_writes_lose_nothing(void **state)
{
    (void)state;
    app.large = (size_t)300 * 1024;
    struct client client = dial_narrow();

    say(&client, "GET /now HTTP/1.1\r\n" HOST "\r\nGET /item/5 HTTP/1.1\r\n" HOST "\r\n");
    expect(&client, "Content-Length: 307200\r\n");
    expect(&client, "\r\n\r\nGET /now [] L");
    expect(&client, "LHTTP/1.1 200 OK");
    expect(&client, "\r\n\r\nGET /item/5 [5] L");
    while (client.len < 307200 - 17)
        expect(&client, "");

    assert_int_equal(client.len, 307200 - 17);
    wait_for_state(HTTP_CONN_IDLE, 1);
    hang_up(&client);
}

static void test_large_answers_have_their_limits(void **state)
{
    (void)state;
    struct client client = dial();

    app.large = HTTP_LARGE_ANSWER_BYTES_MAX - 1024;
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "200 OK");
    app.large = HTTP_LARGE_ANSWER_BYTES_MAX;
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "503 Service Unavailable");
    expect(&client, "Retry-After: 1\r\n");
    app.large = 0;
    ask(&client, "GET /now HTTP/1.1\r\n" HOST "\r\n", "GET /now [] ");

    assert_string_equal(app.log, "GET /now 200;GET /now 503;GET /now 200;");
    hang_up(&client);
}

/* ---- clients that leave ---- */

static void test_half_closed_client_gets_its_answer(void **state)
{
    (void)state;
    struct client now = dial(), later = dial();

    say(&now, "GET /now HTTP/1.1\r\n" HOST "\r\n");
    shutdown(now.fd, SHUT_WR);
    expect(&now, "GET /now [] ");
    expect_end(&now);
    say(&later, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    shutdown(later.fd, SHUT_WR);
    wait_for_state(HTTP_CONN_HANDLING, 1);
    expect_silence(&later);
    assert_loop_rests();
    answer_later(0);

    expect(&later, "GET /later [] ");
    expect_end(&later);
    assert_int_equal(app.abandoned, 0);
    assert_int_equal(closed(HTTP_CLOSE_PEER), 2);
    hang_up(&now);
    hang_up(&later);
}

static void test_end_midway_is_never_answered_with_success(void **state)
{
    (void)state;
    struct client head = dial(), body = dial();

    say(&head, "GET /now HTTP/1.1\r\n" HOST);
    shutdown(head.fd, SHUT_WR);
    expect_end(&head);
    say(&body, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nab");
    shutdown(body.fd, SHUT_WR);
    expect_end(&body);

    assert_int_equal(head.len + body.len, 0);
    assert_int_equal(closed(HTTP_CLOSE_PEER_MIDWAY), 2);
    assert_int_equal(app.finished, 0);
    hang_up(&head);
    hang_up(&body);
}

static void test_reset_while_handling_is_forgotten(void **state)
{
    (void)state;
    app.forgets = true;
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);

    hang_up_by_reset(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);

    assert_int_equal(app.abandoned, 1);
    assert_int_equal(closed(HTTP_CLOSE_RESET), 1);
    assert_string_equal(app.log, "GET /later 499 dropped;");
    assert_int_equal(http_server_stats(server)->answers_dropped_total, 0);
}

static void test_reset_while_handling_becomes_an_orphan(void **state)
{
    (void)state;
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);

    hang_up_by_reset(&client);
    wait_for_state(HTTP_CONN_ORPHAN, 1);
    assert_false(http_server_quiet(server));
    answer_later(0);

    assert_int_equal(http_server_count(server, HTTP_CONN_FREE), CONN_MAX);
    assert_true(http_server_quiet(server));
    assert_int_equal(http_server_stats(server)->answers_dropped_total, 1);
    assert_string_equal(app.log, "GET /later 200 dropped;");
}

static void test_resets_elsewhere_leave_nothing(void **state)
{
    (void)state;
    struct client idle = dial(), head = dial(), body = dial();
    ask(&idle, "GET /now HTTP/1.1\r\n" HOST "\r\n", "[] ");
    say(&head, "GET /n");
    say(&body, "POST /now HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\n");
    wait_for_state(HTTP_CONN_BODY, 1);

    hang_up_by_reset(&idle);
    hang_up_by_reset(&head);
    hang_up_by_reset(&body);

    wait_for_state(HTTP_CONN_FREE, CONN_MAX);
    assert_int_equal(closed(HTTP_CLOSE_RESET), 3);
}

static void test_reset_between_two_pipelined_requests(void **state)
{
    (void)state;
    app.forgets = true;
    struct client client = dial();
    say(&client, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /later HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);

    answer_later(0);
    hang_up_by_reset(&client);
    wait_for_state(HTTP_CONN_FREE, CONN_MAX);

    assert_int_equal(app.abandoned, 1);
    assert_string_equal(app.log, "GET /later 200;GET /later 499 dropped;");
}

static void test_bytes_of_one_client_never_reach_the_next(void **state)
{
    (void)state;
    struct client first = dial(), second = dial();
    say(&first, "GET /later HTTP/1.1\r\n" HOST "\r\nGET /item/first HTTP/1.1\r\n" HOST "\r\n");
    wait_for_state(HTTP_CONN_HANDLING, 1);
    answer_later(0);
    now_us += (uint64_t)(HEAD_MS + 100) * CLOCK_US_PER_MS; /* the loop stood still */
    wait_for_state(HTTP_CONN_LINGER, 1);

    ask(&second, "GET /item/second HTTP/1.1\r\n" HOST "\r\n", "200 OK");
    expect(&second, "\r\n\r\n");

    assert_string_equal(second.text, "GET /item/second [second] ");
    hang_up(&first);
    hang_up(&second);
}

/* ---- limits of the server ---- */

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
    assert_int_equal(http_server_listen(server, "example", 0, &TRANSPORT_TCP), ERR_INVALID);
    assert_int_equal(
        http_server_listen(server, "127.0.0.1", http_server_port(server), &TRANSPORT_TCP),
        ERR_SYSTEM);
    assert_int_equal(errno, EADDRINUSE);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keep_alive_serves_one_after_the_other),
        TEST(test_accepted_sockets_do_not_delay),
        TEST(test_pipelined_answers_come_in_order),
        TEST(test_a_late_answer_holds_back_those_behind_it),
        TEST(test_bad_request_behind_a_good_one_does_not_eat_its_answer),
        TEST(test_head_gets_the_fields_only),
        TEST(test_versions_and_connection_fields),
        TEST(test_request_id_is_the_trace_id_when_it_is_valid),
        TEST(test_methods_and_paths_that_are_not_served),
        TEST(test_requests_that_end_the_connection),
        TEST(test_post_without_framing_is_bodyless_where_the_route_allows),
        TEST(test_refused_body_is_drained_so_that_the_answer_can_be_read),
        TEST(test_expectation_is_met_before_the_body_is_read),
        TEST(test_silent_and_idle_connections_end_silently),
        TEST(test_slow_head_is_ended_whatever_its_progress),
        TEST(test_slow_body_is_ended_whatever_its_progress),
        TEST(test_client_that_does_not_read_is_ended),
        TEST(test_short_writes_lose_nothing),
        TEST(test_large_answers_have_their_limits),
        TEST(test_half_closed_client_gets_its_answer),
        TEST(test_end_midway_is_never_answered_with_success),
        TEST(test_reset_while_handling_is_forgotten),
        TEST(test_reset_while_handling_becomes_an_orphan),
        TEST(test_resets_elsewhere_leave_nothing),
        TEST(test_reset_between_two_pipelined_requests),
        TEST(test_bytes_of_one_client_never_reach_the_next),
        TEST(test_connections_over_the_limit_wait_in_the_backlog),
        TEST(test_the_oldest_idle_connection_makes_room),
        TEST(test_no_exchange_is_a_503),
        TEST(test_slow_heads_cannot_take_every_exchange),
        TEST(test_no_descriptor_pauses_accepting),
        TEST(test_answers_before_a_drain_end_their_connection),
        TEST(test_drain_serves_what_was_promised),
        TEST(test_destroy_cuts_what_is_left),
        TEST(test_counts_and_durations_by_route),
        TEST(test_listen_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
