/* http_conn: what is said on a connection: read, parse, handle, write (http_conn_private.h). */
#include "http/server/http_conn_private.h"

#include <string.h>

/* ---- classes ---- */

/* Of a request whose head is complete. */
static enum http_class class_of(struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->parser.request;
    const struct http_route *route = exchange->route;
    if (!exchange->begun)
        route = http_router_match(http_exchange_router(exchange), request->path).route;
    if (route == NULL || route->classify == NULL)
        return HTTP_CLASS_COMMON;
    return route->classify(route->app, request);
}

/* So much was done since the turn began that what can wait does. */
static bool turn_is_over(const struct http_server *server)
{
    const uint64_t began_us = reactor_now_us(server->reactor);
    return server->worked_us > began_us && server->worked_us - began_us >= HTTP_TURN_US;
}

/* A complete request, the `served`th of this wake-up: does it wait for another turn? */
static bool waits_for_turn(struct http_exchange *exchange, unsigned served)
{
    if (served >= HTTP_REQUESTS_PER_WAKE)
        return true;
    if (exchange->had_turn || !turn_is_over(exchange->server))
        return false;
    const enum http_class class = class_of(exchange);
    return class == HTTP_CLASS_COMMON || (class == HTTP_CLASS_PROMPT && served > 0);
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

/* It waits for its client to read, in a place. */
static void wait_for_reader(struct http_conn *conn)
{
    if (conn->state != HTTP_CONN_WRITING)
        http_conn_set_state(conn, HTTP_CONN_WRITING);
    if (!http_crowd_wait(conn->exchange))
        http_conn_close(conn, HTTP_CLOSE_SLOW_READER);
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
    const size_t sent_before = exchange->out_sent;
    struct span rest;
    while ((rest = http_exchange_unsent(exchange)).len > 0) {
        size_t count = 0;
        const enum transport_status status =
            conn->listener->ops->write(conn->transport, conn->io.fd, rest.ptr, rest.len, &count);
        switch (status) {
        case TRANSPORT_OK:
            exchange->out_sent += count;
            continue;
        case TRANSPORT_WANT_READ:
        case TRANSPORT_WANT_WRITE:
            reactor_watch(reactor, &conn->io,
                          status == TRANSPORT_WANT_READ ? REACTOR_READ : REACTOR_WRITE);
            if (exchange->out_sent > sent_before)
                http_crowd_large_moved(exchange);
            wait_for_reader(conn);
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

    const struct http_route *route = exchange->route;
    enum http_error error = HTTP_ERROR_NONE;
    exchange->in_handler = true;
    switch (http_router_admit(http_exchange_router(exchange), route, request, &error)) {
    case HTTP_ADMIT_HANDLER:
        if (route->on_abandon != NULL && !http_crowd_leaves_one(conn->server))
            http_exchange_refuse(exchange, HTTP_REFUSAL_CROWDED, false);
        else
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
    memcpy(exchange->answer, go_on.ptr, go_on.len);
    exchange->out_len = go_on.len;
    exchange->out_sent = 0;
    exchange->interim = true;
}

void http_dialog_refuse(struct http_conn *conn, const struct http_refusal *refusal)
{
    struct http_exchange *exchange = conn->exchange;
    if (list_node_linked(&exchange->node))
        list_remove(&conn->server->leftovers[exchange->left], &exchange->node); /* not served now */
    http_pace_leave(exchange);
    if (!exchange->begun)
        http_exchange_begin(exchange, false);
    http_exchange_refuse(exchange, *refusal, true);
}

/* No place is free for it to wait in. */
static void refuse_to_wait(struct http_conn *conn)
{
    http_dialog_refuse(conn, &HTTP_REFUSAL_CROWDED);
    (void)write_out(conn);
}

/* Input that epoll cannot tell us about again goes on at the end of a turn. */
static void go_on_later(struct http_conn *conn, enum http_class class)
{
    struct http_server *server = conn->server;
    struct http_exchange *exchange = conn->exchange;
    if (list_node_linked(&exchange->node))
        return;
    http_crowd_leave(exchange);
    if (class != HTTP_CLASS_RESERVED && !http_crowd_has_place(server)) {
        refuse_to_wait(conn);
        return;
    }
    if (conn->state == HTTP_CONN_IDLE)
        http_conn_set_state(conn, HTTP_CONN_HEAD);
    exchange->had_turn = true;
    exchange->left = class == HTTP_CLASS_RESERVED ? HTTP_LEFT_RESERVED : HTTP_LEFT_COMMON;
    list_push_back(&server->leftovers[exchange->left], &exchange->node);
    reactor_wake(server->reactor);
}

/* ---- reading ---- */

/* Part of a request is here. Only the body of a known caller's waits outside of the places. */
static void wait_for_more(struct http_conn *conn, enum http_conn_state next)
{
    if (conn->state != next)
        http_conn_set_state(conn, next);
    reactor_watch(conn->server->reactor, &conn->io, REACTOR_READ);
    if (next == HTTP_CONN_BODY && class_of(conn->exchange) == HTTP_CLASS_RESERVED &&
        http_crowd_leaves_one(conn->server))
        return;
    if (!http_crowd_wait(conn->exchange))
        refuse_to_wait(conn);
}

/* More bytes are needed: the state says for what, and so which deadline runs. */
static void wait_for_input(struct http_conn *conn)
{
    struct http_exchange *exchange = conn->exchange;
    const enum http_conn_state part =
        http_parser_in_head(&exchange->parser) ? HTTP_CONN_HEAD : HTTP_CONN_BODY;
    if (http_conn_has_hidden_input(conn)) {
        if (conn->state != part)
            http_conn_set_state(conn, part);
        go_on_later(conn, HTTP_CLASS_COMMON);
    } else if (http_parser_started(&exchange->parser)) {
        wait_for_more(conn, part);
    } else {
        http_exchange_return(exchange);
        if (conn->state != HTTP_CONN_IDLE)
            http_conn_set_state(conn, HTTP_CONN_IDLE);
        reactor_watch(conn->server->reactor, &conn->io, REACTOR_READ);
    }
}

static void advance(struct http_conn *conn, size_t count)
{
    struct http_exchange *exchange = conn->exchange;
    for (unsigned served = 0;; served++) {
        switch (http_parser_feed(&exchange->parser, count)) {
        case HTTP_PARSE_MORE:
            wait_for_input(conn);
            return;
        case HTTP_PARSE_HEADERS:
            answer_expectation(conn);
            break;
        case HTTP_PARSE_REQUEST:
            http_exchange_complete(exchange);
            if (waits_for_turn(exchange, served)) {
                go_on_later(conn, class_of(exchange));
                return;
            }
            if (!exchange->begun)
                http_exchange_begin(exchange, true);
            if (http_pace_hold(exchange)) {
                if (!http_crowd_wait(exchange))
                    refuse_to_wait(conn);
                return;
            }
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
}

void http_dialog_write(struct http_conn *conn)
{
    if (write_out(conn))
        advance(conn, 0);
}

void http_dialog_write_later(struct http_conn *conn)
{
    /* What comes behind a request that the application took on is its caller's, too. */
    if (write_out(conn))
        go_on_later(conn, HTTP_CLASS_RESERVED);
}

void http_dialog_resume(struct http_conn *conn)
{
    if (http_conn_has_hidden_input(conn) && http_parser_room(&conn->exchange->parser).len > 0)
        http_dialog_read(conn);
    else
        advance(conn, 0);
}

void http_dialog_read(struct http_conn *conn)
{
    if (conn->exchange == NULL && !http_crowd_borrow(conn)) {
        http_crowd_refuse(conn);
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
