/* http_conn: what is said on a connection: read, parse, handle, write (http_conn_private.h). */
#include "http/server/http_conn_private.h"

#include <string.h>

/* Input that epoll cannot tell us about again goes on at the end of the turn. */
static void go_on_later(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    if (list_node_linked(&exchange->node))
        return;
    list_push_back(&conn->server->leftovers, &exchange->node);
    reactor_wake(conn->server->reactor);
}

/* ---- writing ---- */

static enum http_close_reason reason_after_last(const struct http_conn *conn)
{
    const struct http_exchange *exchange = conn->exchange;
    const struct http_server *server = conn->server;
    if (exchange->refused && exchange->status == 408)
        return (enum http_close_reason)conn->close_reason; /* head or body: said when it expired */
    if (exchange->refused)
        return HTTP_CLOSE_REFUSED;
    if (!exchange->parser.request.keep_alive)
        return HTTP_CLOSE_ASKED;
    return server->draining || server->closing_after_answers ? HTTP_CLOSE_DRAIN
                                                             : HTTP_CLOSE_REFUSED;
}

/* The answer is with the kernel. True: there is more input here to go on with. */
static bool answer_sent(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    if (exchange->interim) {
        exchange->interim = false;
        exchange->out_len = 0;
        http_conn_set_state(conn, HTTP_CONN_BODY);
        return true;
    }
    http_exchange_finish(exchange, false);
    conn->served = true;
    if (exchange->last) {
        http_conn_linger(conn, reason_after_last(conn));
        return false;
    }
    http_exchange_next(exchange);
    if (exchange->parser.filled > 0 || http_conn_has_hidden_input(conn)) {
        http_conn_set_state(conn, HTTP_CONN_HEAD);
        return true;
    }
    http_exchange_return(exchange);
    http_conn_set_state(conn, HTTP_CONN_IDLE);
    reactor_watch(conn->server->reactor, &conn->io, REACTOR_READ);
    return false;
}

/* Sends what is staged. True: sent, and there is more input here to go on with. */
static bool write_out(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    struct reactor *reactor = conn->server->reactor;
    while (exchange->out_sent < exchange->out_len) {
        size_t count = 0;
        const enum transport_status status = conn->listener->ops->write(
            conn->transport, conn->io.fd, exchange->out + exchange->out_sent,
            exchange->out_len - exchange->out_sent, &count);
        switch (status) {
        case TRANSPORT_OK:
            exchange->out_sent += count;
            continue;
        case TRANSPORT_WANT_READ:
        case TRANSPORT_WANT_WRITE:
            reactor_watch(reactor, &conn->io,
                          status == TRANSPORT_WANT_READ ? REACTOR_READ : REACTOR_WRITE);
            if (conn->state != HTTP_CONN_WRITING)
                http_conn_set_state(conn, HTTP_CONN_WRITING);
            return false;
        case TRANSPORT_END:
        case TRANSPORT_FAILED:
            http_conn_close(conn, HTTP_CLOSE_RESET);
            return false;
        }
    }
    return answer_sent(conn);
}

/* ---- one request ---- */

static void answer_options(struct http_exchange *exchange)
{
    char storage[HTTP_ALLOW_BYTES_MAX];
    struct buf headers;
    buf_init(&headers, storage, sizeof storage);
    http_router_add_allow(http_exchange_router(exchange), exchange->route, &headers);
    http_respond(exchange, &(struct http_response){.status = 204, .headers = buf_span(&headers)});
}

/* A request is complete. False: its answer comes later. */
static bool handle(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    const struct http_request *request = &exchange->parser.request;
    http_conn_set_state(conn, HTTP_CONN_HANDLING);
    if (!exchange->begun)
        http_exchange_begin(exchange, true);

    const struct http_route *route = exchange->route;
    enum http_error error = HTTP_ERROR_NONE;
    exchange->in_handler = true;
    switch (http_router_admit(http_exchange_router(exchange), route, request, &error)) {
    case HTTP_ADMIT_HANDLER:
        route->on_request(route->app, exchange);
        break;
    case HTTP_ADMIT_OPTIONS:
        answer_options(exchange);
        break;
    case HTTP_ADMIT_REFUSED:
        http_exchange_refuse(exchange, (struct http_refusal){.error = error},
                             error == HTTP_ERROR_LENGTH_REQUIRED);
        break;
    }
    exchange->in_handler = false;
    CHECK(exchange->answered || route->on_abandon != NULL);
    return exchange->answered;
}

/* The client waits for a word before it sends the body: go on, or the refusal that would come
 * anyhow. */
static void answer_expectation(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    enum http_error error = HTTP_ERROR_NONE;
    http_exchange_begin(exchange, true);
    if (http_router_admit(http_exchange_router(exchange), exchange->route,
                          &exchange->parser.request, &error) == HTTP_ADMIT_REFUSED) {
        http_exchange_refuse(exchange, (struct http_refusal){.error = error}, true);
        return;
    }
    const struct span go_on = SPAN("HTTP/1.1 100 Continue\r\n\r\n");
    memcpy(exchange->out, go_on.ptr, go_on.len);
    exchange->out_len = go_on.len;
    exchange->out_sent = 0;
    exchange->interim = true;
}

void http_dialog_refuse(struct http_conn *conn, const struct http_refusal *refusal)
{
    struct http_exchange *exchange = conn->exchange;
    if (list_node_linked(&exchange->node))
        list_remove(&conn->server->leftovers, &exchange->node); /* nothing of it is served now */
    if (!exchange->begun)
        http_exchange_begin(exchange, false);
    http_exchange_refuse(exchange, *refusal, true);
}

/* ---- reading ---- */

/* More bytes are needed: the state says for what, and so which deadline runs. */
static void wait_for_input(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    enum http_conn_state next = HTTP_CONN_BODY;
    if (http_conn_has_hidden_input(conn)) {
        next = http_parser_in_head(&exchange->parser) ? HTTP_CONN_HEAD : HTTP_CONN_BODY;
        go_on_later(conn);
    } else if (!http_parser_started(&exchange->parser)) {
        next = HTTP_CONN_IDLE;
        http_exchange_return(exchange);
    } else if (http_parser_in_head(&exchange->parser)) {
        next = HTTP_CONN_HEAD;
    }
    if (conn->state != next)
        http_conn_set_state(conn, next);
    reactor_watch(conn->server->reactor, &conn->io, REACTOR_READ);
}

static void advance(struct http_conn *conn, size_t count)
{
    struct http_exchange *exchange = conn->exchange;
    for (unsigned requests = 0; requests < HTTP_REQUESTS_PER_WAKE; requests++) {
        switch (http_parser_feed(&exchange->parser, count)) {
        case HTTP_PARSE_MORE:
            wait_for_input(conn);
            return;
        case HTTP_PARSE_HEADERS:
            answer_expectation(conn);
            break;
        case HTTP_PARSE_REQUEST:
            if (!handle(conn))
                return;
            break;
        case HTTP_PARSE_REFUSED:
            http_dialog_refuse(conn, &exchange->parser.refusal);
            break;
        }
        count = 0;
        if (!write_out(conn))
            return;
    }
    go_on_later(conn);
}

void http_dialog_write(struct http_conn *conn)
{
    if (write_out(conn))
        advance(conn, 0);
}

void http_dialog_write_later(struct http_conn *conn)
{
    if (write_out(conn))
        go_on_later(conn);
}

void http_dialog_resume(struct http_conn *conn)
{
    if (http_conn_has_hidden_input(conn) && http_parser_room(&conn->exchange->parser).len > 0)
        http_dialog_read(conn);
    else
        advance(conn, 0);
}

/* When none is free, the one of a client that has been sending one request for long. */
static bool borrow_exchange(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (http_exchange_borrow(server, conn) != NULL)
        return true;
    const enum http_conn_state slow[] = {HTTP_CONN_HEAD, HTTP_CONN_BODY};
    for (unsigned i = 0; i < 2; i++) {
        struct list_node *node = list_first(&server->lists[slow[i]]);
        if (node == NULL)
            continue;
        struct http_conn *oldest = container_of(node, struct http_conn, node);
        if (reactor_now_us(server->reactor) - oldest->since_us < HTTP_EVICT_AFTER_US)
            continue;
        http_conn_close(oldest, HTTP_CLOSE_CROWDED);
        http_conn_settle(oldest);
        return http_exchange_borrow(server, conn) != NULL;
    }
    return false;
}

void http_dialog_read(struct http_conn *conn)
{
    if (conn->exchange == NULL && !borrow_exchange(conn)) {
        http_conn_refuse_crowded(conn);
        return;
    }
    struct http_exchange *exchange = conn->exchange;
    const struct span room = http_parser_room(&exchange->parser);
    CHECK(room.len > 0);
    size_t count = 0;
    const enum transport_status status = conn->listener->ops->read(
        conn->transport, conn->io.fd, exchange->parser.buffer + exchange->parser.filled, room.len,
        &count);
    switch (status) {
    case TRANSPORT_OK:
        advance(conn, count);
        break;
    case TRANSPORT_WANT_READ:
        wait_for_input(conn);
        break;
    case TRANSPORT_WANT_WRITE:
        wait_for_input(conn);
        reactor_watch(conn->server->reactor, &conn->io, REACTOR_WRITE);
        break;
    case TRANSPORT_END:
        http_conn_close(conn,
                        conn->state == HTTP_CONN_IDLE ? HTTP_CLOSE_PEER : HTTP_CLOSE_PEER_MIDWAY);
        break;
    case TRANSPORT_FAILED:
        http_conn_close(conn, HTTP_CLOSE_RESET);
        break;
    }
}
