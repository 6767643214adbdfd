/*
 * http_server: listeners, connection slots, routes, accept gate, drain.
 *
 * Knows HTTP/1.1 and nothing of what is served: routes and the transport belong to a listener, how
 * an error looks is a formatter's, what the application notes about a request is bytes to it.
 *
 * A connection slot is small (an idle keep-alive connection costs it and nothing else). When bytes
 * arrive it borrows an *exchange* (parser, buffers, the request, the answer) and gives it back
 * when the connection is idle again; a handler sees exchanges only. Promises: answers in order,
 * one request of a connection at a time, at most HTTP_REQUESTS_PER_WAKE per wake-up and for about
 * HTTP_TURN_US per turn, those of a paced route one every HTTP_PACE_US; every limit has a status,
 * every refusal a counter, every close a reason. Who waits for its client (HEAD, BODY, WRITING)
 * gives way to others, longest first; a request whose caller is known (HTTP_CLASS_RESERVED) has
 * exchanges that nobody else can take. All memory but large answers comes from start-up.
 *
 *   FREE -> HANDSHAKE -> IDLE -> HEAD -> BODY -> HANDLING -> WRITING -> IDLE, or HEAD of the next
 *                                                   |           |-> BODY (after 100 Continue)
 *                                                   |           '-> LINGER -> FREE (the last one)
 *                                                   '-> ORPHAN -> FREE (its client has left)
 *
 * Nothing is waited for that is there: a whole request goes from IDLE to HANDLING, an answer that
 * the kernel takes at once never is WRITING. A refusal skips HANDLING. A client that leaves, or is
 * too slow to be told, goes to FREE from wherever it is; so does one that gives way.
 */
#ifndef HTTP_SERVER_HTTP_SERVER_H
#define HTTP_SERVER_HTTP_SERVER_H

#include "core/buf.h"
#include "core/err.h"
#include "core/histogram.h"
#include "core/reactor.h"
#include "http/server/http_error.h"
#include "http/server/http_page.h"
#include "http/server/http_parser.h"
#include "http/server/transport.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HTTP_ROUTES_MAX = 16,    /* of one listener */
    HTTP_ENDPOINTS_MAX = 32, /* different templates of all listeners */
    HTTP_REQUESTS_PER_WAKE = 16,
    HTTP_ACCEPTS_PER_WAKE = 8,
    HTTP_ANSWER_BYTES = 4096, /* head and body of a normal answer */
    HTTP_LARGE_ANSWER_BYTES_MAX = 512 * 1024,
    HTTP_LARGE_ANSWERS_MAX = 8, /* malloc'ed copies; pages that are shared do not count */
    HTTP_PACE_US = 500,         /* between two requests of paced routes */
    HTTP_REQUEST_ID_LEN = 32, /* of a trace id, and of a request id that is not the client's own */
    HTTP_REQUEST_ID_MAX = 64,
    HTTP_LISTENERS_MAX = 2,
    HTTP_BACKLOG = 4096,        /* the kernel cuts it to net.core.somaxconn */
    HTTP_DRAIN_FRESH_MS = 1000, /* a connection accepted just before the drain may still speak */
};

enum http_conn_state {
    HTTP_CONN_FREE,
    HTTP_CONN_HANDSHAKE,
    HTTP_CONN_IDLE,
    HTTP_CONN_HEAD,
    HTTP_CONN_BODY,
    HTTP_CONN_HANDLING,
    HTTP_CONN_WRITING,
    HTTP_CONN_LINGER,
    HTTP_CONN_ORPHAN
};
enum { HTTP_CONN_STATES = HTTP_CONN_ORPHAN + 1 };
const char *http_conn_state_name(enum http_conn_state state);

/* Why a connection ended: label of http_connections_closed_total. */
enum http_close_reason {
    HTTP_CLOSE_PEER,        /* the client ended it between requests */
    HTTP_CLOSE_PEER_MIDWAY, /* in a head, a body or while we owed an answer */
    HTTP_CLOSE_RESET,
    HTTP_CLOSE_ASKED,   /* Connection: close, HTTP/1.0 */
    HTTP_CLOSE_REFUSED, /* after a 4xx/5xx that ends the connection */
    HTTP_CLOSE_IDLE_TIMEOUT,
    HTTP_CLOSE_HEAD_TIMEOUT,
    HTTP_CLOSE_BODY_TIMEOUT,
    HTTP_CLOSE_WRITE_TIMEOUT,
    HTTP_CLOSE_HANDSHAKE,
    HTTP_CLOSE_CROWDED,     /* no connection slot, exchange or descriptor */
    HTTP_CLOSE_SLOW_READER, /* did not take its answer while others needed its place */
    HTTP_CLOSE_PEER_SHARE,  /* its address held more than its share while others asked */
    HTTP_CLOSE_DRAIN,
};
enum { HTTP_CLOSE_REASONS = HTTP_CLOSE_DRAIN + 1 };
const char *http_close_reason_name(enum http_close_reason reason);

struct http_server;
struct http_exchange;

/* Answers now or later, exactly once, by http_respond(). Never runs inside http_respond(). */
typedef void http_handler_fn(void *app, struct http_exchange *exchange);
/* The client left while its request is being handled. True: the handler forgot it, the exchange is
 * free at once. False: http_respond() will still come; its answer is dropped and counted. */
typedef bool http_abandon_fn(void *app, struct http_exchange *exchange);

/* What a request may take while not everybody can be served; http_route.classify tells. */
enum http_class {
    HTTP_CLASS_COMMON, /* anybody's */
    /* Anybody's, but urgent and served at once (a probe): it does not wait for the next turn. Where
     * its client makes it wait, it is like any other. */
    HTTP_CLASS_PROMPT,
    /* Its caller is known: it does not wait for the next turn, and what has to wait of it does so
     * in exchanges that nobody else can take. */
    HTTP_CLASS_RESERVED,
};
/* Asked rarely and more than once, when the head is complete; changes nothing. */
typedef enum http_class http_class_fn(void *app, const struct http_request *request);

/* path: literal segments and at most one "{id}" segment. The template is also the metric label. */
struct http_route {
    const char *path;
    uint32_t methods;   /* bit 1u << enum http_method; HEAD is implied by GET, OPTIONS by all */
    bool uncounted;     /* /metrics does not count itself */
    bool paced;         /* costs much: one begins every HTTP_PACE_US, the others wait in order */
    bool body_optional; /* a POST without framing is one without a body, not 411 */
    void *app;
    http_handler_fn *on_request;
    http_abandon_fn *on_abandon; /* NULL: always answers inside on_request */
    http_class_fn *classify;     /* NULL: HTTP_CLASS_COMMON */
};

/* What happened, after the last byte was handed to the kernel or the connection was lost. */
struct http_finished {
    const struct http_request *request; /* NULL where none was complete (refused head) */
    const char *endpoint;               /* route template or "other" */
    enum http_method method;
    uint16_t status;
    /* Request complete to answer staged; of a request that never was, from its first byte. */
    uint64_t duration_us;
    size_t request_body_bytes, response_body_bytes;
    const void *note; /* note_bytes of the application */
    const char
        *request_id;      /* as the answer's X-Request-Id: up to HTTP_REQUEST_ID_MAX visible ASCII,
                               any of them: escape it */
    const char *trace_id; /* HTTP_REQUEST_ID_LEN hex; NULL: none */
    const char *peer;     /* numeric address */
    bool dropped;         /* the client was gone */
};
typedef void http_finished_fn(void *owner, const struct http_finished *finished);

struct http_server_config {
    struct http_limits limits;
    uint32_t conn_max;     /* slots */
    uint32_t exchange_max; /* requests being read, handled or answered at one time */
    /* Of conn_max, what one address may hold while others ask (HTTP_PEER_FLOOR at least); from 100
     * on there is no limit. */
    uint32_t peer_share_percent;
    uint32_t head_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms, linger_timeout_ms;
    uint32_t note_bytes;           /* the application's own of each exchange; zeroed per request */
    http_error_fn *format_error;   /* NULL: errors have no body */
    http_finished_fn *on_finished; /* access log; NULL: nobody is told */
    void *on_finished_owner;
};

/* Where connections come from, how they speak, what they may ask for. The limits are the server's:
 * its memory is cut to them. */
struct http_listener_config {
    const char *address; /* numeric ("0.0.0.0", "::"); NULL: only by http_server_adopt() */
    uint16_t port;       /* 0: one that is free */
    const struct transport_ops *transport;
    void *transport_context;         /* for transport->open(); borrowed */
    const struct http_route *routes; /* borrowed */
    uint32_t route_count;
};

struct http_server_stats {
    uint64_t accepted_total;
    uint64_t closed_total[HTTP_CLOSE_REASONS];
    uint64_t refused_total[600]; /* by status: the server's own refusals (parser, limits, routes) */
    uint64_t accept_pauses_total, answers_dropped_total;
};

MUST_USE enum err http_server_create(struct http_server **server, struct reactor *reactor,
                                     const struct http_server_config *config);
/* Cuts what is left. */
void http_server_destroy(struct http_server *server);
/* Listeners are numbered from 0 in the order of these calls. ERR_INVALID: not an address;
 * ERR_SYSTEM: errno (EADDRINUSE ...). */
MUST_USE enum err http_server_listen(struct http_server *server,
                                     const struct http_listener_config *config);
/* Serves a connected descriptor, which becomes the server's, as if this listener had accepted it.
 * ERR_FULL: no slot; it stays the caller's. For tests and fuzzers. */
MUST_USE enum err http_server_adopt(struct http_server *server, uint32_t listener, int fd);
/* The port a listener is bound to. */
uint16_t http_server_port(const struct http_server *server, uint32_t listener);
/* From now on answers carry Connection: close; still accepting. */
void http_server_close_after_answers(struct http_server *server);
/* Takes what is in the backlog, stops accepting, closes idle connections; those at work end after
 * their answer, those that never spoke within HTTP_DRAIN_FRESH_MS. */
void http_server_drain(struct http_server *server);
bool http_server_quiet(const struct http_server *server); /* no connection, no orphan */

uint32_t http_server_count(const struct http_server *server, enum http_conn_state state);
const struct http_server_stats *http_server_stats(const struct http_server *server);
/* Requests answered by endpoint, method and status; for http_requests_total. An endpoint is a
 * route's template ("other": no route): the same template on two listeners is one series. Calls
 * `visit` for every non-zero counter, endpoints in the order they were first listened on. */
void http_server_visit_counts(const struct http_server *server,
                              void (*visit)(void *owner, const char *endpoint,
                                            enum http_method method, unsigned status,
                                            uint64_t count),
                              void *owner);
/* Same for the duration histograms. */
void http_server_visit_durations(const struct http_server *server,
                                 void (*visit)(void *owner, const char *endpoint,
                                               enum http_method method,
                                               const struct histogram *histogram),
                                 void *owner);

/* ---- the handler's side ---- */

const struct http_request *http_exchange_request(const struct http_exchange *exchange);
/* 0 .. exchange_max-1: index of the application's own array of calls. */
uint32_t http_exchange_index(const struct http_exchange *exchange);
/* The "{id}" segment; empty when the route has none. */
struct span http_exchange_param(const struct http_exchange *exchange);
/* Monotonic time of the request's last byte: the budget counts from here. */
uint64_t http_exchange_received_us(const struct http_exchange *exchange);
/* HTTP_REQUEST_ID_LEN hex digits: trace id of a valid traceparent (W3C Trace Context), else a new
 * one. */
const char *http_exchange_trace_id(const struct http_exchange *exchange);
/* The client's own X-Request-Id where it sent one that is valid (once, 1 to HTTP_REQUEST_ID_MAX
 * visible ASCII characters, any of them: escape it), else the trace id. */
const char *http_exchange_request_id(const struct http_exchange *exchange);
/* Numeric address of who sent it; "": a descriptor without one. */
const char *http_exchange_peer(const struct http_exchange *exchange);
/* The application's note_bytes of this request, aligned for any type; zeroed when it began. */
void *http_exchange_note(struct http_exchange *exchange);

/* Everything but a page is copied. Called after on_request returned, it may free the exchange: use
 * it no more. Content-Length, Date, X-Request-Id, Cache-Control: no-store, nosniff and Connection
 * are added. headers: zero or more complete lines, each ending in CRLF. HEAD sends the head only.
 */
struct http_response {
    uint16_t status;
    struct span content_type; /* empty: no such field */
    struct span headers;
    struct span body;
    struct http_page *page; /* NULL, or whose body `body` is: the answer takes a reference to it */
    bool close;             /* end the connection after this answer (lingering) */
    bool length_unknown;    /* to a HEAD: how long GET's body were is not known, nothing is said */
};
void http_respond(struct http_exchange *exchange, const struct http_response *response);

#endif
