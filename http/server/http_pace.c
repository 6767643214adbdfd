/* http_pace: requests that cost much begin one after the other, with room for everybody else's in
 * between (http_conn_private.h). */
#include "http/server/http_conn_private.h"

static void on_due(struct reactor_timer *timer)
{
    struct http_server *server = container_of(timer, struct http_server, pace);
    struct list_node *node = list_pop_front(&server->paced);
    if (node == NULL)
        return;
    struct http_exchange *exchange = container_of(node, struct http_exchange, paced);
    exchange->had_pace = true;
    http_crowd_leave(exchange);
    server->pace_due_us = reactor_now_us(server->reactor) + HTTP_PACE_US;
    if (server->paced.count > 0)
        reactor_timer_set(server->reactor, &server->pace, server->pace_due_us);
    http_conn_resume(exchange->conn);
}

void http_pace_init(struct http_server *server)
{
    list_init(&server->paced);
    server->pace.on_due = on_due;
}

bool http_pace_holds(const struct http_exchange *exchange)
{
    return list_node_linked(&exchange->paced);
}

bool http_pace_hold(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    struct http_conn *conn = exchange->conn;
    if (exchange->route == NULL || !exchange->route->paced || exchange->had_pace)
        return false;
    const uint64_t now_us = reactor_now_us(server->reactor);
    if (server->paced.count == 0 && now_us >= server->pace_due_us) {
        server->pace_due_us = now_us + HTTP_PACE_US;
        return false;
    }
    list_push_back(&server->paced, &exchange->paced);
    if (conn->state != HTTP_CONN_HEAD)
        http_conn_set_state(conn, HTTP_CONN_HEAD);
    reactor_watch(server->reactor, &conn->io, 0); /* what comes behind it can wait */
    if (!reactor_timer_is_set(&server->pace))
        reactor_timer_set(server->reactor, &server->pace, server->pace_due_us);
    return true;
}

void http_pace_leave(struct http_exchange *exchange)
{
    if (http_pace_holds(exchange))
        list_remove(&exchange->server->paced, &exchange->paced);
}
