#include "core/clock.h"
#include "http/server/http_conn_private.h"
#include "http/server/pages_private.h"

#include <stdlib.h>

const char *http_close_reason_name(enum http_close_reason reason)
{
    static const char *const NAMES[HTTP_CLOSE_REASONS] = {
        [HTTP_CLOSE_PEER] = "peer",
        [HTTP_CLOSE_PEER_MIDWAY] = "peer_midway",
        [HTTP_CLOSE_RESET] = "reset",
        [HTTP_CLOSE_ASKED] = "asked",
        [HTTP_CLOSE_REFUSED] = "refused",
        [HTTP_CLOSE_IDLE_TIMEOUT] = "idle_timeout",
        [HTTP_CLOSE_HEAD_TIMEOUT] = "head_timeout",
        [HTTP_CLOSE_BODY_TIMEOUT] = "body_timeout",
        [HTTP_CLOSE_WRITE_TIMEOUT] = "write_timeout",
        [HTTP_CLOSE_HANDSHAKE] = "handshake",
        [HTTP_CLOSE_CROWDED] = "crowded",
        [HTTP_CLOSE_SLOW_READER] = "slow_reader",
        [HTTP_CLOSE_PEER_SHARE] = "peer_share",
        [HTTP_CLOSE_DRAIN] = "drain",
    };
    return NAMES[reason];
}

/* ---- memory: address space now, pages when a slot is used for the first time ---- */

static size_t conns_bytes(const struct http_server *server)
{
    return (size_t)server->config.conn_max * sizeof(struct http_conn);
}

static size_t exchanges_bytes(const struct http_server *server)
{
    return (size_t)server->config.exchange_max * server->exchange_stride;
}

/* ---- deadlines ---- */

/* 0: no deadline. Constant for each state, so the list of a state is sorted by due time. */
static uint64_t state_timeout_us(const struct http_server *server, enum http_conn_state state)
{
    const struct http_server_config *config = &server->config;
    switch (state) {
    case HTTP_CONN_HANDSHAKE:
    case HTTP_CONN_HEAD:
        return (uint64_t)config->head_timeout_ms * CLOCK_US_PER_MS;
    case HTTP_CONN_IDLE:
        return (uint64_t)(server->draining ? HTTP_DRAIN_FRESH_MS : config->idle_timeout_ms) *
               CLOCK_US_PER_MS;
    case HTTP_CONN_BODY:
        return (uint64_t)config->body_timeout_ms * CLOCK_US_PER_MS;
    case HTTP_CONN_WRITING:
        return (uint64_t)config->write_timeout_ms * CLOCK_US_PER_MS;
    case HTTP_CONN_LINGER:
        return (uint64_t)config->linger_timeout_ms * CLOCK_US_PER_MS;
    case HTTP_CONN_FREE:
    case HTTP_CONN_HANDLING:
    case HTTP_CONN_ORPHAN:
        return 0;
    }
    UNREACHABLE();
}

static struct http_conn *first_in(const struct http_server *server, enum http_conn_state state)
{
    struct list_node *node = list_first(&server->lists[state]);
    return node == NULL ? NULL : container_of(node, struct http_conn, node);
}

static void expire_state(struct http_server *server, enum http_conn_state state)
{
    const uint64_t timeout_us = state_timeout_us(server, state);
    const uint64_t now_us = reactor_now_us(server->reactor);
    struct http_conn *conn;
    while (timeout_us > 0 && (conn = first_in(server, state)) != NULL &&
           now_us - conn->since_us >= timeout_us)
        http_conn_expire(conn);
}

void http_server_arm_sweep(struct http_server *server)
{
    if (!reactor_timer_is_set(&server->sweep))
        reactor_timer_set(server->reactor, &server->sweep,
                          reactor_now_us(server->reactor) + HTTP_SWEEP_US);
}

static void on_sweep(struct reactor_timer *timer)
{
    struct http_server *server = container_of(timer, struct http_server, sweep);
    for (unsigned state = 0; state < HTTP_CONN_STATES; state++)
        expire_state(server, (enum http_conn_state)state);
    if (server->accept_paused && http_crowd_may_accept(server) &&
        reactor_now_us(server->reactor) >= server->accept_retry_us)
        http_listener_resume(server);
    if (!http_server_quiet(server) || server->accept_paused)
        http_server_arm_sweep(server);
}

/* ---- work left over by HTTP_REQUESTS_PER_WAKE and HTTP_TURN_US ---- */

/* At least one of them, then until the turn has taken its time. */
static void serve_leftovers(struct http_server *server, struct list *leftovers)
{
    const uint64_t began_us = reactor_now_us(server->reactor);
    /* Only what is there now: a connection that leaves more behind has its turn in the next one. */
    for (uint32_t left = leftovers->count; left > 0; left--) {
        struct list_node *node = list_pop_front(leftovers);
        if (node == NULL)
            return;
        http_conn_resume(container_of(node, struct http_exchange, node)->conn);
        if (clock_mono_us() - began_us >= HTTP_TURN_US)
            return;
    }
}

static void on_turn_end(struct reactor_hook *hook)
{
    struct http_server *server = container_of(hook, struct http_server, turn_end);
    for (unsigned list = 0; list < HTTP_LEFT_LISTS; list++)
        serve_leftovers(server, &server->leftovers[list]);
    for (unsigned list = 0; list < HTTP_LEFT_LISTS; list++) {
        if (server->leftovers[list].count > 0)
            reactor_wake(server->reactor);
    }
}

/* ---- life ---- */

struct span http_server_format_error(const struct http_server *server,
                                     const struct http_error_report *report, struct buf *body,
                                     void *note)
{
    if (server->config.format_error == NULL)
        return SPAN("");
    const struct span content_type = server->config.format_error(report, body, note);
    CHECK(!body->overflow);
    return content_type;
}

struct span http_server_date(struct http_server *server)
{
    const uint64_t now_us = reactor_now_us(server->reactor);
    if (server->date_us == 0 || now_us - server->date_us >= CLOCK_US_PER_S) {
        struct buf date;
        buf_init(&date, server->date, sizeof server->date);
        clock_add_http_date(&date, clock_wall_us());
        server->date_us = now_us;
    }
    return (struct span){.ptr = server->date, .len = sizeof server->date};
}

/* False: no memory. */
static bool allocate(struct http_server *server)
{
    server->conns = pages_map(conns_bytes(server));
    server->exchanges = pages_map(exchanges_bytes(server));
    server->crowded_note = calloc(1, server->note_stride);
    return server->conns != NULL && server->exchanges != NULL && server->crowded_note != NULL &&
           http_counts_init(&server->counts) &&
           http_peers_init(&server->peers, server->config.conn_max,
                           server->config.peer_share_percent);
}

static void release(struct http_server *server)
{
    pages_unmap(server->conns, conns_bytes(server));
    pages_unmap(server->exchanges, exchanges_bytes(server));
    http_counts_free(&server->counts);
    http_peers_free(&server->peers);
    free(server->crowded_note);
    free(server);
}

/* An odd number of cache lines: exchanges do not share the sets of a cache. */
static void measure_exchange(struct http_server *server)
{
    const struct http_server_config *config = &server->config;
    const size_t alignment = alignof(max_align_t);
    /* Never 0: even without a note there is something to point to. */
    server->note_stride = (config->note_bytes + alignment) / alignment * alignment;
    server->input_bytes = (size_t)config->limits.header_bytes_max + config->limits.body_bytes_max +
                          HTTP_READ_AHEAD_BYTES;
    const size_t size = sizeof(struct http_exchange) + server->note_stride + server->input_bytes;
    server->exchange_stride = ((size + 63) / 64 | 1) * 64;
}

enum err http_server_create(struct http_server **server, struct reactor *reactor,
                            const struct http_server_config *config)
{
    CHECK(config->conn_max > 0);
    CHECK(config->exchange_max > 0);
    struct http_server *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ERR_SYSTEM;
    made->reactor = reactor;
    made->config = *config;
    measure_exchange(made);
    if (!allocate(made)) {
        release(made);
        return ERR_SYSTEM;
    }
    for (unsigned state = 0; state < HTTP_CONN_STATES; state++)
        list_init(&made->lists[state]);
    list_init(&made->free_exchanges);
    for (unsigned list = 0; list < HTTP_LEFT_LISTS; list++)
        list_init(&made->leftovers[list]);
    list_init(&made->waiting);
    list_init(&made->large);
    made->common_max = config->exchange_max - config->exchange_max / HTTP_RESERVED_PART;
    http_pace_init(made);
    made->sweep.on_due = on_sweep;
    made->turn_end.on_turn_end = on_turn_end;
    reactor_hook_add(reactor, &made->turn_end);
    *server = made;
    return ERR_OK;
}

void http_server_destroy(struct http_server *server)
{
    if (server == NULL)
        return;
    http_listener_close_all(server);
    for (unsigned state = HTTP_CONN_FREE + 1; state < HTTP_CONN_ORPHAN; state++) {
        struct http_conn *conn;
        while ((conn = first_in(server, (enum http_conn_state)state)) != NULL) {
            http_conn_close(conn, HTTP_CLOSE_DRAIN);
            http_conn_settle(conn);
        }
    }
    reactor_timer_clear(server->reactor, &server->sweep);
    reactor_timer_clear(server->reactor, &server->pace);
    reactor_hook_remove(server->reactor, &server->turn_end);
    release(server);
}

enum err http_server_adopt(struct http_server *server, uint32_t listener, int fd)
{
    CHECK(listener < server->listener_count);
    const struct http_socket socket = {.fd = fd, .listener = &server->listeners[listener]};
    return http_crowd_make_slot(server, 0) && http_conn_open(server, &socket) ? ERR_OK : ERR_FULL;
}

/* ---- slots ---- */

struct http_conn *http_server_take_slot(struct http_server *server)
{
    struct http_conn *conn = first_in(server, HTTP_CONN_FREE);
    if (conn == NULL && server->conns_touched < server->config.conn_max) {
        conn = &server->conns[server->conns_touched++];
        conn->server = server;
        list_push_back(&server->lists[HTTP_CONN_FREE], &conn->node);
    }
    if (conn != NULL)
        http_server_arm_sweep(server);
    return conn;
}

void http_server_give_slot(struct http_server *server, struct http_conn *conn)
{
    CHECK(conn->io.fd == -1);
    CHECK(conn->exchange == NULL);
    if (conn->state != HTTP_CONN_FREE)
        http_conn_set_state(conn, HTTP_CONN_FREE);
    if (server->accept_paused && server->accept_retry_us == 0)
        http_listener_resume(server);
}

/* ---- drain ---- */

void http_server_close_after_answers(struct http_server *server)
{
    server->closing_after_answers = true;
}

void http_server_drain(struct http_server *server)
{
    if (server->draining)
        return;
    server->closing_after_answers = true;
    http_listener_close_all(server);
    server->draining = true;
    const struct list *idle = &server->lists[HTTP_CONN_IDLE];
    struct list_node *next;
    for (struct list_node *node = list_first(idle); node != NULL; node = next) {
        next = list_next(idle, node);
        struct http_conn *conn = container_of(node, struct http_conn, node);
        if (conn->served)
            http_conn_close(conn, HTTP_CLOSE_DRAIN);
        http_conn_settle(conn);
    }
}

bool http_server_quiet(const struct http_server *server)
{
    for (unsigned state = HTTP_CONN_FREE + 1; state < HTTP_CONN_STATES; state++) {
        if (server->lists[state].count > 0)
            return false;
    }
    return true;
}

/* ---- counters ---- */

uint32_t http_server_count(const struct http_server *server, enum http_conn_state state)
{
    const uint32_t untouched =
        state == HTTP_CONN_FREE ? server->config.conn_max - server->conns_touched : 0;
    return server->lists[state].count + untouched;
}

const struct http_server_stats *http_server_stats(const struct http_server *server)
{
    return &server->stats;
}

const struct http_counts *http_server_counts(const struct http_server *server)
{
    return &server->counts;
}
