#include "server_fixture.h"

#include "core/secret.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <time.h>

enum { TEXT_MAX = 1024 * 1024 };

/* ---- the server under test, and what its handlers saw ---- */

struct reactor *reactor;
struct http_server *server;
uint64_t now_us;
struct app app;

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
    struct note *note = http_exchange_note(exchange);
    now_us += app.takes_us;
    assert_int_equal(note->handled, 0); /* zeroed for each request */
    note->handled++;
    int len = snprintf(body, sizeof body, "%s %.*s [%.*s] %.*s", http_method_name(request->method),
                       (int)request->path.len, request->path.ptr, (int)param.len, param.ptr,
                       (int)request->body.len, request->body.ptr);
    if (app.large > 0) {
        memset(body + len, 'L', app.large - (size_t)len);
        len = (int)app.large;
    }
    const struct span own = {body, (size_t)len};
    http_respond(exchange, &(struct http_response){
                               .status = app.status > 0 ? app.status : 200,
                               .content_type = SPAN("text/plain"),
                               .headers = SPAN("X-Test: yes\r\n"),
                               .body = app.page != NULL ? http_page_body(app.page) : own,
                               .page = app.page,
                           });
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

static enum http_class classify_later(void *owner, const struct http_request *request)
{
    assert_ptr_equal(owner, &app);
    return http_request_header(request, SPAN("X-Key"), NULL).ptr == NULL ? HTTP_CLASS_COMMON
                                                                         : HTTP_CLASS_RESERVED;
}

static enum http_class classify_item(void *owner, const struct http_request *request)
{
    assert_ptr_equal(owner, &app);
    assert_int_equal(request->method, HTTP_GET);
    return HTTP_CLASS_PROMPT;
}

void answer_later(unsigned index)
{
    struct http_exchange *exchange = app.later[index];
    app.later_count--;
    for (unsigned i = index; i < app.later_count; i++)
        app.later[i] = app.later[i + 1];
    answer(exchange);
}

/* An error is its number and its detail. */
static struct span format_error(const struct http_error_report *report, struct buf *body,
                                void *note)
{
    assert_int_equal(strlen(report->trace_id), HTTP_REQUEST_ID_LEN);
    buf_add_text(body, "{\"error\":");
    buf_add_u64(body, (uint64_t)report->refusal.error);
    if (report->refusal.detail != NULL)
        buf_add_text(body, report->refusal.detail);
    buf_add_text(body, "}\n");
    ((struct note *)note)->error = report->refusal.error;
    return SPAN("application/problem+json");
}

static void on_finished(void *owner, const struct http_finished *finished)
{
    assert_ptr_equal(owner, &app);
    assert_in_range(strlen(finished->request_id), 1, HTTP_REQUEST_ID_MAX);
    if (finished->trace_id != NULL)
        assert_int_equal(strlen(finished->trace_id), HTTP_REQUEST_ID_LEN);
    app.finished++;
    app.dropped += finished->dropped;
    memcpy(&app.last_note, finished->note, sizeof app.last_note);
    app.last_duration_us = finished->duration_us;
    app.last_had_request = finished->request != NULL;
    snprintf(app.last_request_id, sizeof app.last_request_id, "%s", finished->request_id);
    if (finished->trace_id != NULL)
        snprintf(app.last_trace_id, sizeof app.last_trace_id, "%s", finished->trace_id);
    snprintf(app.last_peer, sizeof app.last_peer, "%s", finished->peer);
    const size_t used = strlen(app.log);
    snprintf(app.log + used, sizeof app.log - used, "%s %s %u%s;",
             http_method_name(finished->method), finished->endpoint, finished->status,
             finished->dropped ? " dropped" : "");
}

#define M(method) (1u << HTTP_##method)
const struct http_route ROUTES[ROUTE_COUNT] = {
    {.path = "/now", .methods = M(GET) | M(POST), .app = &app, .on_request = on_now},
    {.path = "/later",
     .methods = M(GET) | M(POST),
     .app = &app,
     .on_request = on_later,
     .on_abandon = on_abandon,
     .classify = classify_later},
    {.path = "/item/{id}",
     .methods = M(GET),
     .app = &app,
     .on_request = on_now,
     .classify = classify_item},
    {.path = "/item/{id}/void",
     .methods = M(POST),
     .body_optional = true,
     .app = &app,
     .on_request = on_now},
    {.path = "/metrics",
     .methods = M(GET),
     .uncounted = true,
     .paced = true,
     .app = &app,
     .on_request = on_now},
};

const struct http_server_config CONFIG = {
    .limits = {.header_bytes_max = 1024,
               .header_count_max = 16,
               .uri_bytes_max = 256,
               .body_bytes_max = 512,
               .chunk_overhead_max = 512},
    .conn_max = CONN_MAX,
    .exchange_max = EXCHANGE_MAX,
    .peer_share_percent = 50,
    .head_timeout_ms = HEAD_MS,
    .body_timeout_ms = BODY_MS,
    .idle_timeout_ms = IDLE_MS,
    .write_timeout_ms = WRITE_MS,
    .linger_timeout_ms = LINGER_MS,
    .note_bytes = sizeof(struct note),
    .format_error = format_error,
    .on_finished = on_finished,
    .on_finished_owner = &app,
};

void start_server(const struct http_server_config *config, const struct transport_ops *transport,
                  void *context)
{
    const struct http_listener_config listener = {.address = "127.0.0.1",
                                                  .transport = transport,
                                                  .transport_context = context,
                                                  .routes = ROUTES,
                                                  .route_count = ROUTE_COUNT};
    stop_server();
    assert_int_equal(http_server_create(&server, reactor, config), ERR_OK);
    assert_int_equal(http_server_listen(server, &listener), ERR_OK);
}

void stop_server(void)
{
    http_server_destroy(server);
    server = NULL;
}

int setup(void **state)
{
    (void)state;
    memset(&app, 0, sizeof app);
    now_us = (uint64_t)1000 * CLOCK_US_PER_S;
    clock_replace(test_clock, NULL);
    assert_int_equal(secret_init(), ERR_OK);
    assert_int_equal(reactor_create(&reactor, 8), ERR_OK);
    start_server(&CONFIG, &TRANSPORT_TCP, NULL);
    return 0;
}

int teardown(void **state)
{
    (void)state;
    stop_server();
    reactor_destroy(reactor);
    clock_replace(NULL, NULL);
    return 0;
}

/* ---- a client ---- */

void turn(void)
{
    assert_int_equal(reactor_turn(reactor, 500), ERR_OK);
}

/* Turns until nothing is left to do at once. */
void settle(void)
{
    for (unsigned i = 0; i < 5; i++)
        turn();
}

void advance_ms(uint64_t ms)
{
    now_us += ms * CLOCK_US_PER_MS;
    settle();
}

struct client client_of(int fd)
{
    assert_int_not_equal(fcntl(fd, F_SETFL, O_NONBLOCK), -1);
    struct client client = {.fd = fd, .text = calloc(1, TEXT_MAX)};
    assert_non_null(client.text);
    return client;
}

struct client dial(void)
{
    return dial_from(INADDR_LOOPBACK);
}

struct client dial_from(uint32_t source)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(http_server_port(server, 0)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_not_equal(fd, -1);
    assert_int_equal(bind(fd, (const struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return client_of(fd);
}

/* Connected to the server over a socket whose server side takes few bytes at once. */
struct client dial_narrow(void)
{
    int pair[2];
    const int size = 4096;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    assert_int_equal(http_server_adopt(server, 0, pair[0]), ERR_OK);
    return client_of(pair[1]);
}

void hang_up(struct client *client)
{
    close(client->fd);
    free(client->text);
    client->text = NULL;
}

void hang_up_by_reset(struct client *client)
{
    const struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    hang_up(client);
}

void say(struct client *client, const char *text)
{
    assert_int_equal(send(client->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void collect(struct client *client)
{
    const ssize_t got = recv(client->fd, client->text + client->len, TEXT_MAX - 1 - client->len, 0);
    if (got > 0)
        client->len += (size_t)got;
    else if (got == 0 || errno != EAGAIN)
        client->ended = true;
    client->text[client->len] = '\0';
}

/* Waits for `needle`, and forgets everything up to its end. */
void expect(struct client *client, const char *needle)
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

void expect_end(struct client *client)
{
    for (unsigned i = 0; i < TURNS_MAX && !client->ended; i++) {
        turn();
        collect(client);
    }
    assert_true(client->ended);
}

void expect_silence(struct client *client)
{
    settle();
    collect(client);
    assert_int_equal(client->len, 0);
    assert_false(client->ended);
}

/* Nothing is ready: a turn waits as long as it may. By the real clock, with much room. */
void assert_loop_rests(void)
{
    struct timespec before, after;
    settle();
    clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(reactor_turn(reactor, (uint64_t)40 * CLOCK_US_PER_MS), ERR_OK);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 20);
}

void wait_for_state(enum http_conn_state state, uint32_t count)
{
    for (unsigned i = 0; i < TURNS_MAX && http_server_count(server, state) != count; i++)
        turn();
    assert_int_equal(http_server_count(server, state), count);
}

uint64_t closed(enum http_close_reason reason)
{
    return http_server_stats(server)->closed_total[reason];
}

void ask(struct client *client, const char *request, const char *needle)
{
    say(client, request);
    expect(client, needle);
}
