/* http_exchange: one request being read, handled and answered (http_conn_private.h). */
#include "core/clock.h"
#include "core/secret.h"
#include "http/server/http_answer_private.h"
#include "http/server/http_conn_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static struct http_exchange *exchange_at(struct http_server *server, uint32_t index)
{
    return (struct http_exchange *)(void *)(server->exchanges +
                                            (size_t)index * server->exchange_stride);
}

static void *note_of(struct http_exchange *exchange)
{
    return exchange->tail;
}

static void start_parser(struct http_exchange *exchange)
{
    const struct http_server *server = exchange->server;
    http_parser_init(&exchange->parser, &server->config.limits,
                     exchange->tail + server->note_stride, server->input_bytes);
}

struct http_exchange *http_exchange_borrow(struct http_server *server, struct http_conn *conn)
{
    CHECK(conn->exchange == NULL);
    struct http_exchange *exchange;
    struct list_node *node = list_pop_front(&server->free_exchanges);
    if (node != NULL) {
        exchange = container_of(node, struct http_exchange, node);
    } else {
        if (server->exchanges_touched == server->config.exchange_max)
            return NULL;
        exchange = exchange_at(server, server->exchanges_touched);
        exchange->index = server->exchanges_touched++;
        exchange->server = server;
        exchange->endpoint = HTTP_ENDPOINT_OTHER;
        start_parser(exchange);
    }
    CHECK(exchange->conn == NULL);
    CHECK(!exchange->begun);
    exchange->conn = conn;
    exchange->received_us = reactor_now_us(server->reactor);
    conn->exchange = exchange;
    return exchange;
}

static void drop_page(struct http_exchange *exchange)
{
    http_page_release(exchange->page);
    exchange->page = NULL;
    if (list_node_linked(&exchange->large))
        list_remove(&exchange->server->large, &exchange->large);
}

/* Everything a request leaves behind but its input. */
static void forget_request(struct http_exchange *exchange)
{
    drop_page(exchange);
    exchange->out_len = 0;
    exchange->out_sent = 0;
    exchange->body_len = 0;
    exchange->route = NULL;
    exchange->endpoint = HTTP_ENDPOINT_OTHER;
    exchange->status = 0;
    exchange->begun = false;
    exchange->complete = false;
    exchange->had_turn = false;
    exchange->answered = false;
    exchange->interim = false;
    exchange->had_pace = false;
    exchange->last = false;
    exchange->refused = false;
}

void http_exchange_return(struct http_exchange *exchange)
{
    struct http_server *server = exchange->server;
    CHECK(!exchange->in_handler);
    forget_request(exchange);
    if (list_node_linked(&exchange->node))
        list_remove(&server->leftovers[exchange->left], &exchange->node);
    http_crowd_leave(exchange);
    http_pace_leave(exchange);
    /* Nothing of one client's bytes may be seen by the next. */
    if (http_parser_started(&exchange->parser) || exchange->parser.filled > 0)
        start_parser(exchange);
    exchange->conn->exchange = NULL;
    exchange->conn = NULL;
    list_push_front(&server->free_exchanges, &exchange->node);
}

void http_exchange_complete(struct http_exchange *exchange)
{
    if (exchange->complete)
        return;
    exchange->complete = true;
    exchange->received_us = reactor_now_us(exchange->server->reactor);
}

void http_exchange_next(struct http_exchange *exchange)
{
    forget_request(exchange);
    exchange->received_us = reactor_now_us(exchange->server->reactor);
    http_parser_next(&exchange->parser);
}

/* ---- the beginning of a request ---- */

const struct http_router *http_exchange_router(const struct http_exchange *exchange)
{
    return &exchange->conn->listener->router;
}

static bool is_lower_hex(struct span text, bool *all_zero)
{
    *all_zero = true;
    for (size_t i = 0; i < text.len; i++) {
        const char byte = text.ptr[i];
        if (!((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f')))
            return false;
        *all_zero = *all_zero && byte == '0';
    }
    return true;
}

/* W3C Trace Context: version-traceid-parentid-flags. A later version may be longer; its start is
 * the same. */
static bool parse_traceparent(struct span text, struct span *trace_id)
{
    enum { LEN = 55, TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53 };
    bool zero;
    if (text.len < LEN || text.ptr[2] != '-' || text.ptr[35] != '-' || text.ptr[52] != '-')
        return false;
    const struct span version = {text.ptr, 2};
    const struct span parent = {text.ptr + PARENT_AT, 16}, flags = {text.ptr + FLAGS_AT, 2};
    *trace_id = (struct span){text.ptr + TRACE_AT, HTTP_REQUEST_ID_LEN};
    if (!is_lower_hex(version, &zero) || span_equal(version, SPAN("ff")))
        return false;
    if (zero ? text.len != LEN : text.len > LEN && text.ptr[LEN] != '-')
        return false;
    if (!is_lower_hex(*trace_id, &zero) || zero || !is_lower_hex(parent, &zero) || zero)
        return false;
    return is_lower_hex(flags, &zero);
}

void http_exchange_make_id(char id[HTTP_REQUEST_ID_LEN + 1])
{
    uint8_t random[HTTP_REQUEST_ID_LEN / 2];
    struct buf out;
    secret_random(random, sizeof random);
    buf_init(&out, id, HTTP_REQUEST_ID_LEN);
    buf_add_hex(&out, random, sizeof random);
    id[HTTP_REQUEST_ID_LEN] = '\0';
}

static void set_trace_id(struct http_exchange *exchange)
{
    uint32_t count = 0;
    struct span trace_id;
    const struct span traceparent =
        http_request_header(&exchange->parser.request, SPAN("traceparent"), &count);
    if (count != 1 || !parse_traceparent(traceparent, &trace_id)) {
        http_exchange_make_id(exchange->trace_id);
        return;
    }
    memcpy(exchange->trace_id, trace_id.ptr, HTTP_REQUEST_ID_LEN);
    exchange->trace_id[HTTP_REQUEST_ID_LEN] = '\0';
}

/* Nothing else of a request is repeated in a header line or a log as it came: what is not plainly
 * one token is as if it had not been sent. */
static bool is_request_id(struct span text)
{
    if (text.len == 0 || text.len > HTTP_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '!' || text.ptr[i] > '~')
            return false;
    return true;
}

/* The client's own name for the request is echoed; the trace keeps its id beside it. */
static void set_request_id(struct http_exchange *exchange)
{
    const struct http_request *request = &exchange->parser.request;
    uint32_t count = 0;
    struct span id = http_request_header(request, SPAN("X-Request-Id"), &count);
    if (count != 1 || !is_request_id(id) || !request->fields_known)
        id = (struct span){exchange->trace_id, HTTP_REQUEST_ID_LEN};
    memcpy(exchange->request_id, id.ptr, id.len);
    exchange->request_id[id.len] = '\0';
    exchange->request_id_len = (uint8_t)id.len;
}

void http_exchange_begin(struct http_exchange *exchange, bool has_request)
{
    CHECK(!exchange->begun);
    exchange->begun = true;
    exchange->has_request = has_request;
    memset(note_of(exchange), 0, exchange->server->config.note_bytes);
    const struct http_match match =
        http_router_match(http_exchange_router(exchange), exchange->parser.request.path);
    exchange->route = match.route;
    exchange->endpoint = match.endpoint;
    exchange->param = match.param;
    set_trace_id(exchange);
    set_request_id(exchange);
}

/* ---- the answer ---- */

/* A body too large for `answer` of `size` bytes goes by a page. False: none to be had. */
static bool place_body(struct http_exchange *exchange, const struct http_response *response,
                       size_t size)
{
    struct http_server *server = exchange->server;
    if (size <= HTTP_ANSWER_BYTES)
        return true;
    if (response->page != NULL) {
        CHECK(response->body.ptr == http_page_body(response->page).ptr);
        exchange->page = http_page_hold(response->page);
        return true;
    }
    if (size > HTTP_LARGE_ANSWER_BYTES_MAX || !http_crowd_has_large(server))
        return false;
    exchange->page = http_page_create(response->body);
    if (exchange->page == NULL)
        return false;
    list_push_back(&server->large, &exchange->large);
    return true;
}

static enum http_answer_connection connection_word(const struct http_exchange *exchange)
{
    if (exchange->last)
        return HTTP_ANSWER_SAYS_CLOSE;
    return exchange->parser.request.version_minor == 0 ? HTTP_ANSWER_SAYS_KEEP
                                                       : HTTP_ANSWER_SAYS_NOTHING;
}

static void stage(struct http_exchange *exchange, const struct http_response *response)
{
    struct http_server *server = exchange->server;
    const struct http_request *request = &exchange->parser.request;
    const size_t body_len = request->method == HTTP_HEAD ? 0 : response->body.len;
    const size_t size =
        HTTP_ANSWER_HEAD_BYTES_MAX + response->content_type.len + response->headers.len + body_len;
    if (!place_body(exchange, response, size)) {
        http_exchange_refuse(
            exchange,
            (struct http_refusal){HTTP_ERROR_OVERLOADED, "The answer is too large right now."},
            false);
        return;
    }
    exchange->last = response->close || !request->keep_alive || server->closing_after_answers ||
                     server->draining;
    struct buf out;
    buf_init(&out, exchange->answer, HTTP_ANSWER_BYTES);
    http_answer_add_head(&out, &(struct http_answer_head){
                                   .response = response,
                                   .date = http_server_date(server),
                                   .request_id = {exchange->request_id, exchange->request_id_len},
                                   .connection = connection_word(exchange),
                               });
    if (exchange->page == NULL)
        buf_add(&out, (struct span){.ptr = response->body.ptr, .len = body_len});
    CHECK(!out.overflow);
    exchange->out_len = out.len;
    exchange->out_sent = 0;
    exchange->body_len = body_len;
    exchange->status = response->status;
    server->worked_us = clock_mono_us();
    exchange->duration_us = server->worked_us - exchange->received_us;
    exchange->answered = true;
}

struct span http_exchange_unsent(const struct http_exchange *exchange)
{
    const size_t sent = exchange->out_sent;
    if (sent < exchange->out_len)
        return (struct span){exchange->answer + sent, exchange->out_len - sent};
    if (exchange->page == NULL)
        return SPAN("");
    const struct span body = http_page_body(exchange->page);
    const size_t body_sent = sent - exchange->out_len;
    return (struct span){body.ptr + body_sent, body.len - body_sent};
}

void http_exchange_refuse(struct http_exchange *exchange, struct http_refusal refusal, bool last)
{
    char body_storage[HTTP_ERROR_BODY_BYTES], header_storage[HTTP_ALLOW_BYTES_MAX];
    struct buf body, headers;
    const struct http_error_kind *kind = http_error_kind(refusal.error);
    buf_init(&body, body_storage, sizeof body_storage);
    buf_init(&headers, header_storage, sizeof header_storage);
    const struct http_error_report report = {
        .refusal = refusal, .path = exchange->parser.request.path, .trace_id = exchange->trace_id};
    const struct span content_type =
        http_server_format_error(exchange->server, &report, &body, note_of(exchange));
    buf_add_text(&headers, kind->headers);
    if (refusal.error == HTTP_ERROR_METHOD_NOT_ALLOWED)
        http_router_add_allow(http_exchange_router(exchange), exchange->route, &headers);
    CHECK(!headers.overflow);

    const bool was_in_handler = exchange->in_handler;
    exchange->in_handler = true;
    exchange->refused = true;
    http_respond(exchange, &(struct http_response){.status = kind->status,
                                                   .content_type = content_type,
                                                   .headers = buf_span(&headers),
                                                   .body = buf_span(&body),
                                                   .close = last});
    exchange->in_handler = was_in_handler;
}

void http_respond(struct http_exchange *exchange, const struct http_response *response)
{
    CHECK(exchange->begun);
    CHECK(!exchange->answered);
    CHECK(response->status >= 200);
    CHECK(response->status <= HTTP_STATUS_MAX);
    CHECK(!response->length_unknown || exchange->parser.request.method == HTTP_HEAD);
    stage(exchange, response);
    if (!exchange->in_handler)
        http_conn_answered(exchange->conn);
}

/* ---- the end of a request ---- */

static void count_answer(struct http_server *server, const struct http_exchange *exchange)
{
    if (exchange->route != NULL && exchange->route->uncounted)
        return;
    http_counts_add(&server->counts,
                    &(struct http_counted){.endpoint = exchange->endpoint,
                                           .method = exchange->parser.request.method,
                                           .status = exchange->status,
                                           .duration_us = exchange->duration_us});
}

void http_exchange_finish(struct http_exchange *exchange, bool dropped)
{
    struct http_server *server = exchange->server;
    struct http_conn *conn = exchange->conn;
    const struct http_request *request = &exchange->parser.request;
    CHECK(exchange->begun);
    if (exchange->answered) {
        if (dropped)
            server->stats.answers_dropped_total++;
        count_answer(server, exchange);
        if (exchange->refused)
            server->stats.refused_total[exchange->status]++;
    } else {
        exchange->status = HTTP_STATUS_CLIENT_GONE;
        exchange->duration_us = clock_mono_us() - exchange->received_us;
    }
    if (server->config.on_finished == NULL)
        return;
    server->config.on_finished(
        server->config.on_finished_owner,
        &(struct http_finished){
            .request = exchange->has_request ? request : NULL,
            .endpoint = http_counts_name(&server->counts, exchange->endpoint),
            .method = request->method,
            .status = exchange->status,
            .duration_us = exchange->duration_us,
            .request_body_bytes = request->body.len,
            .response_body_bytes = exchange->body_len,
            .note = note_of(exchange),
            .request_id = exchange->request_id,
            .trace_id = exchange->trace_id,
            .peer = conn->peer,
            .dropped = dropped,
        });
}

void http_server_count_crowded(const struct http_conn *conn, const struct http_crowded *said)
{
    struct http_server *server = conn->server;
    const uint16_t status = http_error_kind(HTTP_ERROR_OVERLOADED)->status;
    http_counts_add(&server->counts, &(struct http_counted){.endpoint = HTTP_ENDPOINT_OTHER,
                                                            .method = HTTP_OTHER,
                                                            .status = status});
    server->stats.refused_total[status]++;
    if (server->config.on_finished != NULL)
        server->config.on_finished(server->config.on_finished_owner,
                                   &(struct http_finished){
                                       .endpoint = "other",
                                       .method = HTTP_OTHER,
                                       .status = status,
                                       .response_body_bytes = said->body_bytes,
                                       .note = server->crowded_note,
                                       .request_id = said->request_id,
                                       .trace_id = said->request_id,
                                       .peer = conn->peer,
                                   });
}

/* ---- the handler's view ---- */

const struct http_request *http_exchange_request(const struct http_exchange *exchange)
{
    return &exchange->parser.request;
}

uint32_t http_exchange_index(const struct http_exchange *exchange)
{
    return exchange->index;
}

struct span http_exchange_param(const struct http_exchange *exchange)
{
    return exchange->param;
}

uint64_t http_exchange_received_us(const struct http_exchange *exchange)
{
    return exchange->received_us;
}

const char *http_exchange_request_id(const struct http_exchange *exchange)
{
    return exchange->request_id;
}

const char *http_exchange_trace_id(const struct http_exchange *exchange)
{
    return exchange->trace_id;
}

const char *http_exchange_peer(const struct http_exchange *exchange)
{
    return exchange->conn->peer;
}

void *http_exchange_note(struct http_exchange *exchange)
{
    return note_of(exchange);
}
