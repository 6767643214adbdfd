/* http_conn: the life of one connection: open, entries from outside, linger, end. */
#include "http/server/http_conn_private.h"

#include "core/log.h"

#include <string.h>
#include <unistd.h>

enum { LINGER_READ_BYTES = 16 * 1024 };

const char *http_conn_state_name(enum http_conn_state state)
{
    static const char *const NAMES[HTTP_CONN_STATES] = {
        [HTTP_CONN_FREE] = "free",       [HTTP_CONN_HANDSHAKE] = "handshake",
        [HTTP_CONN_IDLE] = "idle",       [HTTP_CONN_HEAD] = "head",
        [HTTP_CONN_BODY] = "body",       [HTTP_CONN_HANDLING] = "handling",
        [HTTP_CONN_WRITING] = "writing", [HTTP_CONN_LINGER] = "linger",
        [HTTP_CONN_ORPHAN] = "orphan",
    };
    return NAMES[state];
}

void http_conn_set_state(struct http_conn *conn, enum http_conn_state next)
{
    struct http_server *server = conn->server;
    if (conn->exchange != NULL)
        http_crowd_leave(conn->exchange);
    list_remove(&server->lists[conn->state], &conn->node);
    list_push_back(&server->lists[next], &conn->node);
    conn->state = (uint8_t)next;
    conn->since_us = reactor_now_us(server->reactor);
}

void http_conn_close(struct http_conn *conn, enum http_close_reason reason)
{
    if (conn->closing)
        return;
    conn->closing = true;
    if (conn->state != HTTP_CONN_LINGER)
        conn->close_reason = (uint8_t)reason;
}

/* ---- the end of a connection ---- */

/* Whether our side ends in order, so that a TLS client can tell it from a cut. */
static bool ends_in_order(const struct http_conn *conn)
{
    return conn->state != HTTP_CONN_LINGER && conn->close_reason != HTTP_CLOSE_RESET &&
           conn->close_reason != HTTP_CLOSE_WRITE_TIMEOUT &&
           conn->close_reason != HTTP_CLOSE_SLOW_READER;
}

/* The one place where a transport is closed and a client's descriptor with it. */
static void drop_socket(struct http_conn *conn)
{
    const int fd = conn->io.fd;
    const struct transport_ops *ops = conn->listener->ops;
    if (conn->opened && ends_in_order(conn))
        ops->end(conn->transport, fd);
    reactor_remove(conn->server->reactor, &conn->io);
    if (conn->opened)
        ops->close(conn->transport, fd);
    conn->transport = NULL;
    log_debug("http_conn_closed", LOG_I64("fd", fd),
              LOG_TEXT("reason", http_close_reason_name(conn->close_reason)));
    close(fd);
    http_peers_leave(&conn->server->peers, conn->peer_entry, &conn->peer_node);
    conn->server->stats.closed_total[conn->close_reason]++;
}

/* True: nothing of the request is left. False: its handler still owes an answer. */
static bool abandon_request(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    if (exchange == NULL)
        return true;
    if (conn->state == HTTP_CONN_HANDLING && !exchange->answered) {
        const struct http_route *route = exchange->route;
        CHECK(route != NULL);
        CHECK(route->on_abandon != NULL);
        if (!route->on_abandon(route->app, exchange))
            return false;
    }
    if (exchange->begun)
        http_exchange_finish(exchange, true);
    http_exchange_return(exchange);
    return true;
}

void http_conn_settle(struct http_conn *conn)
{
    if (!conn->closing)
        return;
    if (conn->state != HTTP_CONN_ORPHAN) {
        drop_socket(conn);
        if (!abandon_request(conn)) {
            conn->closing = false;
            http_conn_set_state(conn, HTTP_CONN_ORPHAN);
            return;
        }
    }
    http_server_give_slot(conn->server, conn);
}

/* ---- lingering ---- */

bool http_conn_has_hidden_input(const struct http_conn *conn)
{
    return conn->listener->ops->pending(conn->transport) > 0;
}

/* One read into the bin. False: nothing more to read now. */
static bool discard_some(struct http_conn *conn)
{
    char trash[LINGER_READ_BYTES];
    size_t count = 0;
    switch (conn->listener->ops->read(conn->transport, conn->io.fd, trash, sizeof trash, &count)) {
    case TRANSPORT_OK:
        conn->bytes += (uint32_t)count;
        if (conn->bytes <= HTTP_LINGER_BYTES_MAX)
            return true;
        http_conn_close(conn, HTTP_CLOSE_REFUSED);
        return false;
    case TRANSPORT_WANT_READ:
        reactor_watch(conn->server->reactor, &conn->io, REACTOR_READ);
        return false;
    case TRANSPORT_WANT_WRITE:
        reactor_watch(conn->server->reactor, &conn->io, REACTOR_WRITE);
        return false;
    case TRANSPORT_END:
    case TRANSPORT_FAILED:
        http_conn_close(conn, HTTP_CLOSE_REFUSED);
        return false;
    }
    UNREACHABLE();
}

/* What the descriptor holds comes with its readiness; what the transport holds goes now. */
static void discard_input(struct http_conn *conn)
{
    while (discard_some(conn) && http_conn_has_hidden_input(conn))
        ;
}

/* Our last byte is sent; what the client still sends is thrown away so that it can read our answer
 * (RFC 9112 section 9.6). */
void http_conn_linger(struct http_conn *conn, enum http_close_reason reason)
{
    if (conn->exchange != NULL)
        http_exchange_return(conn->exchange);
    conn->close_reason = (uint8_t)reason;
    conn->bytes = 0;
    conn->listener->ops->end(conn->transport, conn->io.fd);
    http_conn_set_state(conn, HTTP_CONN_LINGER);
    reactor_watch(conn->server->reactor, &conn->io, REACTOR_READ);
    if (http_conn_has_hidden_input(conn))
        discard_input(conn);
}

/* ---- entries ---- */

static void shake_hands(struct http_conn *conn)
{
    switch (conn->listener->ops->handshake(conn->transport, conn->io.fd)) {
    case TRANSPORT_OK:
        http_conn_set_state(conn, HTTP_CONN_IDLE);
        reactor_watch(conn->server->reactor, &conn->io, REACTOR_READ);
        if (http_conn_has_hidden_input(conn))
            http_dialog_read(conn); /* the first request came with the last flight */
        break;
    case TRANSPORT_WANT_READ:
        reactor_watch(conn->server->reactor, &conn->io, REACTOR_READ);
        break;
    case TRANSPORT_WANT_WRITE:
        reactor_watch(conn->server->reactor, &conn->io, REACTOR_WRITE);
        break;
    case TRANSPORT_END:
    case TRANSPORT_FAILED:
        http_conn_close(conn, HTTP_CLOSE_HANDSHAKE);
        break;
    }
}

/* The transport of a connection that is registered; one that cannot be had ends it. */
static void open_transport(struct http_conn *conn)
{
    const struct http_listener *listener = conn->listener;
    conn->transport = NULL;
    conn->opened =
        listener->ops->open(listener->context, conn->io.fd, &conn->transport) == TRANSPORT_OK;
    if (conn->opened)
        shake_hands(conn);
    else
        http_conn_close(conn, HTTP_CLOSE_CROWDED);
}

static void on_ready(struct reactor_io *io, uint32_t events)
{
    struct http_conn *conn = container_of(io, struct http_conn, io);
    switch ((enum http_conn_state)conn->state) {
    case HTTP_CONN_HANDSHAKE:
        shake_hands(conn);
        break;
    case HTTP_CONN_IDLE:
    case HTTP_CONN_HEAD:
    case HTTP_CONN_BODY:
        if (conn->exchange != NULL && http_pace_holds(conn->exchange))
            http_conn_close(conn, HTTP_CLOSE_RESET); /* the one thing that is told to who waits */
        else if (conn->exchange != NULL && list_node_linked(&conn->exchange->node))
            reactor_watch(conn->server->reactor, io, 0); /* more than it may say for now */
        else
            http_dialog_read(conn);
        break;
    case HTTP_CONN_HANDLING:
        /* A client that ends only its own side still gets its answer; one that is gone does not. */
        if ((events & REACTOR_FAILED) != 0)
            http_conn_close(conn, HTTP_CLOSE_RESET);
        else
            reactor_watch(conn->server->reactor, io, 0);
        break;
    case HTTP_CONN_WRITING:
        http_dialog_write(conn);
        break;
    case HTTP_CONN_LINGER:
        discard_input(conn);
        break;
    case HTTP_CONN_FREE:
    case HTTP_CONN_ORPHAN:
        UNREACHABLE();
    }
    http_conn_settle(conn);
}

bool http_conn_open(struct http_server *server, const struct http_socket *socket)
{
    struct http_conn *conn = http_server_take_slot(server);
    if (conn == NULL)
        return false;
    conn->io = (struct reactor_io){.fd = socket->fd, .on_ready = on_ready};
    conn->listener = socket->listener;
    conn->exchange = NULL;
    conn->opened = false;
    conn->closing = false;
    conn->served = false;
    memcpy(conn->peer, socket->peer, sizeof conn->peer);
    if (reactor_add(server->reactor, &conn->io, REACTOR_READ) != ERR_OK) {
        conn->io.fd = -1;
        http_server_give_slot(server, conn);
        return false;
    }
    conn->peer_entry = http_peers_join(&server->peers, socket->peer_key, &conn->peer_node);
    server->stats.accepted_total++;
    log_debug("http_conn_accepted", LOG_I64("fd", conn->io.fd),
              LOG_TEXT("network.peer.address", conn->peer));
    http_conn_set_state(conn, HTTP_CONN_HANDSHAKE);
    open_transport(conn);
    http_conn_settle(conn);
    return true;
}

void http_conn_resume(struct http_conn *conn)
{
    http_dialog_resume(conn);
    http_conn_settle(conn);
}

void http_conn_answered(struct http_conn *conn)
{
    if (conn->state == HTTP_CONN_ORPHAN) {
        http_exchange_finish(conn->exchange, true);
        http_exchange_return(conn->exchange);
        conn->closing = true;
    } else {
        CHECK(conn->state == HTTP_CONN_HANDLING);
        http_dialog_write_later(conn);
    }
    http_conn_settle(conn);
}

void http_conn_expire(struct http_conn *conn)
{
    struct http_refusal slow = {HTTP_ERROR_REQUEST_TIMEOUT, "The request did not arrive in time."};
    switch ((enum http_conn_state)conn->state) {
    case HTTP_CONN_HANDSHAKE:
        http_conn_close(conn, HTTP_CLOSE_HANDSHAKE);
        break;
    case HTTP_CONN_IDLE:
        http_conn_close(conn, conn->server->draining ? HTTP_CLOSE_DRAIN : HTTP_CLOSE_IDLE_TIMEOUT);
        break;
    case HTTP_CONN_HEAD:
    case HTTP_CONN_BODY:
        conn->close_reason =
            conn->state == HTTP_CONN_HEAD ? HTTP_CLOSE_HEAD_TIMEOUT : HTTP_CLOSE_BODY_TIMEOUT;
        if (list_node_linked(&conn->exchange->node)) /* here, but its turn did not come */
            slow = HTTP_REFUSAL_CROWDED;
        http_dialog_refuse(conn, &slow);
        http_dialog_write(conn);
        break;
    case HTTP_CONN_WRITING:
        http_conn_close(conn, HTTP_CLOSE_WRITE_TIMEOUT);
        break;
    case HTTP_CONN_LINGER:
        http_conn_close(conn, HTTP_CLOSE_REFUSED);
        break;
    case HTTP_CONN_FREE:
    case HTTP_CONN_HANDLING:
    case HTTP_CONN_ORPHAN:
        UNREACHABLE();
    }
    http_conn_settle(conn);
}
