/* http_crowd: who gives way when not everybody can be served (http_conn_private.h). */
#include "http/server/http_answer_private.h"
#include "http/server/http_conn_private.h"

enum {
    CROWDED_READ_BYTES = 4096,
    VICTIMS_LOOKED_AT = 16, /* of one address, for one that may be closed */
};

const struct http_refusal HTTP_REFUSAL_CROWDED = {HTTP_ERROR_OVERLOADED,
                                                  "Too many requests are being served."};

static void evict(struct http_conn *conn, enum http_close_reason reason)
{
    http_conn_close(conn, reason);
    http_conn_settle(conn);
}

static bool is_aged(const struct http_conn *conn)
{
    return reactor_now_us(conn->server->reactor) - conn->since_us >= HTTP_EVICT_AFTER_US;
}

/* ---- places: exchanges that anybody's request may wait in ---- */

static enum http_close_reason reason_to_give_way(const struct http_conn *conn)
{
    return conn->state == HTTP_CONN_WRITING ? HTTP_CLOSE_SLOW_READER : HTTP_CLOSE_CROWDED;
}

/* The one that has waited longest for its client. */
static struct http_conn *oldest_waiting(const struct http_server *server)
{
    struct list_node *node = list_first(&server->waiting);
    return node == NULL ? NULL : container_of(node, struct http_exchange, waiting)->conn;
}

static bool evict_waiting(struct http_server *server)
{
    struct http_conn *oldest = oldest_waiting(server);
    if (oldest == NULL)
        return false;
    evict(oldest, reason_to_give_way(oldest));
    return true;
}

/* A caller that is known and has been sending one body for long. */
static bool evict_slow_body(struct http_server *server)
{
    struct list_node *node = list_first(&server->lists[HTTP_CONN_BODY]);
    if (node == NULL)
        return false;
    struct http_conn *oldest = container_of(node, struct http_conn, node);
    if (!is_aged(oldest))
        return false;
    evict(oldest, HTTP_CLOSE_CROWDED);
    return true;
}

bool http_crowd_borrow(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (http_exchange_borrow(server, conn) != NULL)
        return true;
    if (!evict_waiting(server) && !evict_slow_body(server))
        return false;
    return http_exchange_borrow(server, conn) != NULL;
}

static bool has_free_exchange(const struct http_server *server)
{
    return server->free_exchanges.count > 0 ||
           server->exchanges_touched < server->config.exchange_max;
}

bool http_crowd_leaves_one(struct http_server *server)
{
    return server->config.exchange_max < HTTP_RESERVED_PART || has_free_exchange(server) ||
           evict_waiting(server) || evict_slow_body(server);
}

void http_crowd_leave(struct http_exchange *exchange)
{
    if (list_node_linked(&exchange->waiting))
        list_remove(&exchange->server->waiting, &exchange->waiting);
}

bool http_crowd_has_place(struct http_server *server)
{
    const uint32_t held = server->waiting.count + server->leftovers[HTTP_LEFT_COMMON].count;
    return held < server->common_max || evict_waiting(server);
}

bool http_crowd_wait(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    if (list_node_linked(&exchange->waiting))
        return true;
    if (!http_crowd_has_place(server))
        return false;
    list_push_back(&server->waiting, &exchange->waiting);
    return true;
}

/* ---- large answers ---- */

bool http_crowd_has_large(struct http_server *server)
{
    if (server->large.count < HTTP_LARGE_ANSWERS_MAX)
        return true;
    struct http_conn *stuck =
        container_of(list_first(&server->large), struct http_exchange, large)->conn;
    if (stuck->state != HTTP_CONN_WRITING)
        return false;
    evict(stuck, HTTP_CLOSE_SLOW_READER);
    return true;
}

void http_crowd_large_moved(struct http_exchange *exchange)
{
    if (!list_node_linked(&exchange->large))
        return;
    list_remove(&exchange->server->large, &exchange->large);
    list_push_back(&exchange->server->large, &exchange->large);
}

/* ---- slots ---- */

static bool has_free_slot(const struct http_server *server)
{
    return server->lists[HTTP_CONN_FREE].count > 0 ||
           server->conns_touched < server->config.conn_max;
}

/* One that has made everybody wait for long, or was idle for long; NULL: there is none. */
static struct http_conn *aged_conn(const struct http_server *server)
{
    const enum http_conn_state states[] = {HTTP_CONN_IDLE, HTTP_CONN_LINGER, HTTP_CONN_HANDSHAKE};
    struct http_conn *conn = oldest_waiting(server);
    if (conn != NULL && is_aged(conn))
        return conn;
    for (unsigned i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct list_node *node = list_first(&server->lists[states[i]]);
        conn = node == NULL ? NULL : container_of(node, struct http_conn, node);
        if (conn != NULL && is_aged(conn))
            return conn;
    }
    return NULL;
}

/* One of this address that has no request with the application; NULL: none was seen at once.
 * Those that were looked at go to the end, so that the next look sees others. */
static struct http_conn *conn_to_spare(struct http_peer *peer, bool aged_only)
{
    const uint32_t looks =
        peer->conns.count < VICTIMS_LOOKED_AT ? peer->conns.count : VICTIMS_LOOKED_AT;
    for (uint32_t i = 0; i < looks; i++) {
        struct list_node *node = list_pop_front(&peer->conns);
        list_push_back(&peer->conns, node);
        struct http_conn *conn = container_of(node, struct http_conn, peer_node);
        if (conn->state != HTTP_CONN_HANDLING && (!aged_only || is_aged(conn)))
            return conn;
    }
    return NULL;
}

bool http_crowd_may_accept(const struct http_server *server)
{
    return has_free_slot(server) || aged_conn(server) != NULL ||
           http_peers_greedy(&server->peers) != NULL;
}

bool http_crowd_make_slot(struct http_server *server, uint64_t peer_key)
{
    if (has_free_slot(server))
        return true;
    struct http_peer *own = http_peers_find(&server->peers, peer_key);
    struct http_peer *greedy = http_peers_greedy(&server->peers);
    struct http_conn *victim;
    enum http_close_reason reason = HTTP_CLOSE_PEER_SHARE;
    if (http_peers_at_share(&server->peers, own)) {
        victim = conn_to_spare(own, true);
    } else if (greedy != NULL) {
        victim = conn_to_spare(greedy, false);
    } else {
        victim = aged_conn(server);
        reason = HTTP_CLOSE_CROWDED;
    }
    if (victim != NULL)
        evict(victim, reason);
    return has_free_slot(server);
}

/* ---- no exchange at all ---- */

/* The whole answer. Its request was not read, so it is nobody's but the server's. */
static void write_crowded(struct http_server *server, struct buf *out, struct http_crowded *said)
{
    char storage[HTTP_ERROR_BODY_BYTES];
    struct buf body;
    const struct http_error_kind *kind = http_error_kind(HTTP_ERROR_OVERLOADED);
    http_exchange_make_id(said->request_id);
    buf_init(&body, storage, sizeof storage);
    const struct http_error_report report = {
        .refusal = HTTP_REFUSAL_CROWDED,
        .path = SPAN(""),
        .trace_id = said->request_id,
    };
    const struct http_response response = {
        .status = kind->status,
        .content_type = http_server_format_error(server, &report, &body, server->crowded_note),
        .headers = span_of(kind->headers),
        .body = buf_span(&body),
    };
    http_answer_add_head(out, &(struct http_answer_head){
                                  .response = &response,
                                  .date = http_server_date(server),
                                  .request_id = {said->request_id, HTTP_REQUEST_ID_LEN},
                                  .connection = HTTP_ANSWER_SAYS_CLOSE,
                              });
    buf_add(out, buf_span(&body));
    CHECK(!out->overflow);
    said->body_bytes = body.len;
}

/* Who does not take so little at once is not waited for. */
static void send_crowded(struct http_conn *conn, struct span answer)
{
    while (answer.len > 0) {
        size_t count = 0;
        switch (conn->listener->ops->write(conn->transport, conn->io.fd, answer.ptr, answer.len,
                                           &count)) {
        case TRANSPORT_OK:
            answer = (struct span){.ptr = answer.ptr + count, .len = answer.len - count};
            continue;
        case TRANSPORT_WANT_READ:
        case TRANSPORT_WANT_WRITE:
            http_conn_close(conn, HTTP_CLOSE_SLOW_READER);
            return;
        case TRANSPORT_END:
        case TRANSPORT_FAILED:
            http_conn_close(conn, HTTP_CLOSE_RESET);
            return;
        }
    }
    http_conn_linger(conn, HTTP_CLOSE_CROWDED);
}

void http_crowd_refuse(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    char trash[CROWDED_READ_BYTES];
    char storage[HTTP_ANSWER_BYTES];
    size_t count = 0;
    switch (conn->listener->ops->read(conn->transport, conn->io.fd, trash, sizeof trash, &count)) {
    case TRANSPORT_OK:
        break;
    case TRANSPORT_WANT_READ:
        reactor_watch(server->reactor, &conn->io, REACTOR_READ);
        return;
    case TRANSPORT_WANT_WRITE:
        reactor_watch(server->reactor, &conn->io, REACTOR_WRITE);
        return;
    case TRANSPORT_END:
        http_conn_close(conn, HTTP_CLOSE_PEER);
        return;
    case TRANSPORT_FAILED:
        http_conn_close(conn, HTTP_CLOSE_RESET);
        return;
    }
    struct buf answer;
    struct http_crowded said;
    buf_init(&answer, storage, sizeof storage);
    write_crowded(server, &answer, &said);
    http_server_count_crowded(conn, &said);
    send_crowded(conn, buf_span(&answer));
}
