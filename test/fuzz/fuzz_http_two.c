/*
 * Two clients at once on one server: whatever a hostile one does, an honest one is answered.
 *
 * An input is a row of steps (see `enum step`), each a byte and what it takes. The hostile client
 * sends arbitrary bytes in chosen pieces, is silent, half-closes, leaves and comes back, and reads
 * only when told to; answers to it may be larger than its socket takes. The honest client asks at
 * chosen moments, at once or with a pause in the middle of its request. The server has two
 * exchanges and few slots, so the honest one has what the hostile one leaves. Checked: each honest
 * request has its whole 200 within a bounded number of turns, without time passing; at the end
 * nothing is left on the server. Violations abort.
 */
#include "core/clock.h"
#include "core/secret.h"
#include "http/server/http_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    INPUT_MAX = 8 * 1024,
    TURNS_MAX = 64, /* within which an honest request is answered */
    TIMEOUT_MS = 1000,
    EXCHANGES = 2,
    SLOTS = 4, /* the honest one's, the hostile one's, and what its last ones have not yet left */
    LARGE_BYTES = 20 * 1024,
    HOSTILE_BUFFER_BYTES = 4096,
    TICK_MS = 5
};

/* The low bits of a step's byte. LEN, TICKS: the byte that follows. */
enum step {
    STEP_SEND,       /* LEN bytes in one piece */
    STEP_DRIP,       /* LEN bytes one by one, the server turns in between */
    STEP_ASK,        /* the honest client asks and waits for its answer */
    STEP_ASK_HALF,   /* it sends the first half of a request */
    STEP_READ,       /* the hostile client reads what is there */
    STEP_HALF_CLOSE, /* it sends no more */
    STEP_LEAVE,      /* it closes, with unread answers: a reset; and comes back */
    STEP_WAIT,       /* TICKS of TICK_MS go by */
    STEPS
};

static struct {
    struct reactor *reactor;
    struct http_server *server;
    uint64_t now_us;
    struct http_exchange *waiting[EXCHANGES]; /* requests of /slow */
    int hostile;                              /* its end of the connection; -1: it has none */
    struct honest {
        int fd;        /* -1: not connected */
        unsigned asks; /* the number of the request under way, or of the last one */
        size_t sent;   /* of the request under way; 0: there is none */
        char request[160], body[32];
    } honest;
} fuzz;

/* ---- the server ---- */

static void answer(struct http_exchange *exchange, struct span body)
{
    http_respond(exchange, &(struct http_response){
                               .status = 200, .content_type = SPAN("text/plain"), .body = body});
}

static void on_echo(void *app, struct http_exchange *exchange)
{
    (void)app;
    const struct span body = http_exchange_request(exchange)->body;
    answer(exchange, body.len > 0 ? body : http_exchange_param(exchange));
}

static void on_large(void *app, struct http_exchange *exchange)
{
    static char text[LARGE_BYTES];
    (void)app;
    memset(text, 'l', sizeof text);
    answer(exchange, (struct span){text, sizeof text});
}

static void on_slow(void *app, struct http_exchange *exchange)
{
    (void)app;
    CHECK(fuzz.waiting[http_exchange_index(exchange)] == NULL);
    fuzz.waiting[http_exchange_index(exchange)] = exchange;
}

static bool on_abandon(void *app, struct http_exchange *exchange)
{
    (void)app;
    CHECK(fuzz.waiting[http_exchange_index(exchange)] == exchange);
    fuzz.waiting[http_exchange_index(exchange)] = NULL;
    return true;
}

static uint64_t fuzz_clock(void)
{
    return fuzz.now_us;
}

static void start_once(void)
{
    static const struct http_route routes[] = {
        {.path = "/echo/{id}", .methods = 1u << HTTP_GET | 1u << HTTP_POST, .on_request = on_echo},
        {.path = "/l", .methods = 1u << HTTP_GET, .on_request = on_large},
        {.path = "/s", .methods = 1u << HTTP_GET, .on_request = on_slow, .on_abandon = on_abandon},
    };
    static const struct http_listener_config listener = {
        .transport = &TRANSPORT_TCP, .routes = routes, .route_count = 3};
    static const struct http_server_config config = {
        .limits = {.header_bytes_max = 1024,
                   .header_count_max = 12,
                   .uri_bytes_max = 200,
                   .body_bytes_max = 256,
                   .chunk_overhead_max = 300},
        .conn_max = SLOTS,
        .exchange_max = EXCHANGES,
        .head_timeout_ms = TIMEOUT_MS,
        .body_timeout_ms = TIMEOUT_MS,
        .idle_timeout_ms = TIMEOUT_MS,
        .write_timeout_ms = TIMEOUT_MS,
        .linger_timeout_ms = TIMEOUT_MS,
    };
    if (fuzz.server != NULL)
        return;
    fuzz.now_us = CLOCK_US_PER_S;
    fuzz.hostile = fuzz.honest.fd = -1;
    clock_replace(fuzz_clock, NULL);
    CHECK(secret_init() == ERR_OK);
    CHECK(reactor_create(&fuzz.reactor, 4) == ERR_OK);
    CHECK(http_server_create(&fuzz.server, fuzz.reactor, &config) == ERR_OK);
    CHECK(http_server_listen(fuzz.server, &listener) == ERR_OK);
}

/* Slow answers come between two turns, as those of a database would. */
static void turn(void)
{
    CHECK(reactor_turn(fuzz.reactor, 0) == ERR_OK);
    for (unsigned i = 0; i < EXCHANGES; i++) {
        struct http_exchange *exchange = fuzz.waiting[i];
        fuzz.waiting[i] = NULL;
        if (exchange != NULL)
            answer(exchange, SPAN("slow"));
    }
}

static void turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        turn();
}

/* Our end of a new connection; -1: the server has no slot for it. */
static int connect_client(int server_buffer_bytes)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    if (server_buffer_bytes > 0)
        CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &server_buffer_bytes,
                         sizeof server_buffer_bytes) == 0);
    if (http_server_adopt(fuzz.server, 0, pair[0]) == ERR_OK)
        return pair[1];
    close(pair[0]);
    close(pair[1]);
    return -1;
}

/* ---- the honest client ---- */

static void honest_leave(struct honest *honest)
{
    if (honest->fd != -1)
        close(honest->fd);
    honest->fd = -1;
    honest->sent = 0;
}

/* A connection that was idle for long may be gone: the server says so before we ask. */
static void honest_connect(struct honest *honest)
{
    char byte;
    if (honest->fd != -1 && recv(honest->fd, &byte, 1, MSG_PEEK) == 0)
        honest_leave(honest);
    if (honest->fd == -1)
        honest->fd = connect_client(0);
    CHECK(honest->fd != -1);
}

static void honest_send(struct honest *honest, size_t until)
{
    const size_t len = until - honest->sent;
    CHECK(send(honest->fd, honest->request + honest->sent, len, MSG_NOSIGNAL) == (ssize_t)len);
    honest->sent = until;
}

static size_t honest_begin(struct honest *honest)
{
    if (honest->sent == 0) {
        turns(2); /* the end of an idle connection is noticed in one */
        honest_connect(honest);
        honest->asks++;
        snprintf(honest->body, sizeof honest->body, "honest %u", honest->asks);
        snprintf(honest->request, sizeof honest->request,
                 "POST /echo/%u HTTP/1.1\r\nHost: honest\r\nContent-Length: %zu\r\n\r\n%s",
                 honest->asks, strlen(honest->body), honest->body);
    }
    return strlen(honest->request);
}

static void honest_ask_half(struct honest *honest)
{
    if (honest->sent > 0)
        return;
    const size_t len = honest_begin(honest);
    honest_send(honest, len / 4 * (honest->asks % 4 + 1) - 1);
    turn();
}

/* Sends what is left of a request and has its answer, or the server is broken. */
static void honest_ask(struct honest *honest)
{
    char text[1024];
    size_t got = 0;
    honest_send(honest, honest_begin(honest));
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        turn();
        const ssize_t more = recv(honest->fd, text + got, sizeof text - 1 - got, 0);
        CHECK(more != 0);
        got += more > 0 ? (size_t)more : 0;
        text[got] = '\0';
        const char *body = strstr(text, "\r\n\r\n");
        if (body != NULL && strcmp(body + 4, honest->body) == 0)
            break;
    }
    CHECK(strncmp(text, "HTTP/1.1 200 ", 13) == 0);
    CHECK(strstr(text, "Connection: close") == NULL);
    const char *body = strstr(text, "\r\n\r\n");
    CHECK(body != NULL);
    CHECK(strcmp(body + 4, honest->body) == 0);
    honest->sent = 0;
}

/* ---- the hostile client ---- */

static void hostile_come(void)
{
    /* The honest client has a slot of its own. */
    if (fuzz.hostile == -1 && http_server_count(fuzz.server, HTTP_CONN_FREE) > 1)
        fuzz.hostile = connect_client(HOSTILE_BUFFER_BYTES);
}

static void hostile_leave(void)
{
    if (fuzz.hostile != -1)
        close(fuzz.hostile);
    fuzz.hostile = -1;
    turns(4);
}

static void hostile_send(struct span bytes, size_t piece)
{
    hostile_come();
    while (fuzz.hostile != -1 && bytes.len > 0) {
        const size_t len = piece < bytes.len ? piece : bytes.len;
        const ssize_t sent = send(fuzz.hostile, bytes.ptr, len, MSG_NOSIGNAL);
        if (sent == -1)
            break; /* ended, or nobody takes what it sends */
        bytes.ptr += sent;
        bytes.len -= (size_t)sent;
        turn();
    }
}

static void hostile_read(void)
{
    char trash[4096];
    while (fuzz.hostile != -1 && recv(fuzz.hostile, trash, sizeof trash, 0) > 0)
        turn();
}

/* ---- the run ---- */

static uint8_t take_byte(struct span *input)
{
    if (input->len == 0)
        return 0;
    const uint8_t byte = (uint8_t)input->ptr[0];
    input->ptr++;
    input->len--;
    return byte;
}

static struct span take_bytes(struct span *input)
{
    const size_t wanted = take_byte(input);
    const struct span bytes = {input->ptr, wanted < input->len ? wanted : input->len};
    input->ptr += bytes.len;
    input->len -= bytes.len;
    return bytes;
}

static void pass_time(uint64_t ms)
{
    if (fuzz.honest.sent > 0)
        honest_ask(&fuzz.honest); /* it is no slow sender */
    fuzz.now_us += ms * CLOCK_US_PER_MS;
    turns(2);
}

static void take_step(struct span *input)
{
    switch ((enum step)(take_byte(input) % STEPS)) {
    case STEP_SEND:
        hostile_send(take_bytes(input), SIZE_MAX);
        break;
    case STEP_DRIP:
        hostile_send(take_bytes(input), 1);
        break;
    case STEP_ASK:
        honest_ask(&fuzz.honest);
        break;
    case STEP_ASK_HALF:
        honest_ask_half(&fuzz.honest);
        break;
    case STEP_READ:
        hostile_read();
        break;
    case STEP_HALF_CLOSE:
        if (fuzz.hostile != -1)
            (void)shutdown(fuzz.hostile, SHUT_WR);
        turn();
        break;
    case STEP_LEAVE:
        hostile_leave();
        break;
    case STEP_WAIT:
        pass_time((uint64_t)take_byte(input) * TICK_MS);
        break;
    case STEPS:
        UNREACHABLE();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX)
        return 0;
    start_once();
    struct span input = {(const char *)data, size};

    while (input.len > 0)
        take_step(&input);

    honest_ask(&fuzz.honest);
    hostile_leave();
    honest_ask(&fuzz.honest);
    honest_leave(&fuzz.honest);
    for (unsigned i = 0; i < 4 && !http_server_quiet(fuzz.server); i++)
        pass_time(2 * TIMEOUT_MS);
    CHECK(http_server_quiet(fuzz.server));
    return 0;
}
