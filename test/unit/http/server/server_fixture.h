/*
 * server_fixture: a server on a real loop with a clock of ours, handlers that answer now or later,
 * and clients on real sockets. Each test has a fresh one (TEST).
 */
#ifndef TEST_SERVER_FIXTURE_H
#define TEST_SERVER_FIXTURE_H

#include "core/clock.h"
#include "http/server/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONN_MAX = 6,
    EXCHANGE_MAX = 3,
    TURNS_MAX = 300, /* how long anything is waited for */
    LATER_MAX = 16,
    HEAD_MS = 5000,
    BODY_MS = 6000,
    IDLE_MS = 60000,
    WRITE_MS = 7000,
    LINGER_MS = 2000,
};

#define HOST "Host: a\r\n"
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

/* ---- the server under test, and what its handlers saw ---- */

extern struct reactor *reactor;
extern struct http_server *server;
extern uint64_t now_us;

/* What the application keeps of a request. */
struct note {
    enum http_error error; /* set by the formatter */
    unsigned handled;
};

extern struct app {
    struct http_exchange *later[LATER_MAX];
    unsigned later_count, abandoned, finished, dropped;
    bool forgets;
    size_t large;           /* bytes of an answer; 0: what is said */
    struct http_page *page; /* sent in place of what is said; NULL: none */
    uint64_t takes_us;      /* time that making one answer takes */
    uint16_t status;        /* of an answer; 0: 200 */
    char log[4096];         /* "GET /x 200;" for each finished answer */
    struct note last_note;
    bool last_had_request;
    char last_peer[64];
    char last_request_id[HTTP_REQUEST_ID_MAX + 1], last_trace_id[HTTP_REQUEST_ID_LEN + 1];
    uint64_t last_duration_us;
} app;

/* /now /later /item/{id} /item/{id}/void /metrics. Of /later a request with an "X-Key" is a known
 * caller's; /item/{id} is prompt. */
enum { ROUTE_COUNT = 5 };
extern const struct http_route ROUTES[ROUTE_COUNT];

/* What setup() makes the server of; a test may make another of a changed copy. */
extern const struct http_server_config CONFIG;

int setup(void **state);
int teardown(void **state);
/* A server of this configuration in place of setup()'s, with ROUTES on this transport. */
void start_server(const struct http_server_config *config, const struct transport_ops *transport,
                  void *context);
void stop_server(void);
void answer_later(unsigned index);

/* ---- the loop ---- */

void turn(void);
/* Turns until nothing is left to do at once. */
void settle(void);
void advance_ms(uint64_t ms);
/* Nothing is ready: a turn waits as long as it may. By the real clock, with much room. */
void assert_loop_rests(void);
void wait_for_state(enum http_conn_state state, uint32_t count);
uint64_t closed(enum http_close_reason reason);

/* ---- a client ---- */

struct client {
    int fd;
    bool ended; /* end of file or reset */
    size_t len;
    char *text; /* everything received so far */
};

struct client client_of(int fd);
struct client dial(void);
/* From this address of 127.0.0.0/8. */
struct client dial_from(uint32_t address);
/* Connected to the server over a socket whose server side takes few bytes at once. */
struct client dial_narrow(void);
void hang_up(struct client *client);
void hang_up_by_reset(struct client *client);
void say(struct client *client, const char *text);
void collect(struct client *client);
/* Waits for `needle`, and forgets everything up to its end. */
void expect(struct client *client, const char *needle);
void expect_end(struct client *client);
void expect_silence(struct client *client);
void ask(struct client *client, const char *request, const char *needle);

#endif
