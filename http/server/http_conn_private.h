/*
 * http_conn: one connection as a state machine, and the exchange it borrows while it is at work.
 *
 * Private to http_server and to the files of this noun: http_conn.c (its life), http_dialog.c (what
 * is said on it), http_exchange.c (the exchange), http_listener.c (where it comes from),
 * http_crowd.c (who gives way), http_pace.c (what begins seldom). Rules:
 * state changes only in http_conn_set_state(); whoever finds that a connection must end calls
 * http_conn_close(), which only marks it; http_conn_settle(), the last act of every entry from
 * outside (readiness, sweep, late answer, turn end), frees it. An answer that the kernel takes at
 * once goes from HANDLING to IDLE; WRITING is where the rest of one waits.
 *
 * Who holds an exchange between two entries from outside either waits in a *place* (for its client:
 * http_server.waiting; for its turn: http_server.leftovers), of which there are common_max for
 * everybody, or is a known caller's (with the application, or HTTP_CLASS_RESERVED), for whom all
 * exchanges but one are. So there always is an exchange to look at a request in, and a whole one
 * that is answered at once needs no more than that.
 */
#ifndef HTTP_SERVER_HTTP_CONN_PRIVATE_H
#define HTTP_SERVER_HTTP_CONN_PRIVATE_H

#include "core/clock.h"
#include "core/list.h"
#include "core/reactor.h"
#include "http/server/http_peers_private.h"
#include "http/server/http_router_private.h"
#include "http/server/http_server.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stddef.h>

enum {
    HTTP_READ_AHEAD_BYTES = 4096,          /* pipelined requests behind the current one */
    HTTP_SEND_BUFFER_BYTES = 64 * 1024,    /* answers the kernel keeps for a slow reader, about */
    HTTP_LINGER_BYTES_MAX = 1024 * 1024,   /* thrown away before a refused client is cut */
    HTTP_SWEEP_US = 100 * CLOCK_US_PER_MS, /* how late a deadline may be noticed */
    HTTP_TURN_US = CLOCK_US_PER_MS / 2,    /* then common requests wait for the next turn */
    HTTP_RESERVED_PART = 4, /* one exchange in so many is no place for common requests */
    HTTP_EVICT_AFTER_US = CLOCK_US_PER_S, /* in a state so long: may be closed for another */
    HTTP_ACCEPT_RETRY_US = 500 * CLOCK_US_PER_MS, /* after running out of descriptors */
    HTTP_STATUS_CLIENT_GONE = 499, /* for the access log only: the client left before its answer */
};

/* Lists of exchanges that wait for their turn, in the order they are served. */
enum { HTTP_LEFT_RESERVED, HTTP_LEFT_COMMON, HTTP_LEFT_LISTS };

struct http_conn {
    struct reactor_io io;
    struct list_node node; /* on the list of its state */
    struct http_server *server;
    const struct http_listener *listener; /* its routes and its transport's table */
    struct transport *transport;          /* its own, from open() to close() */
    struct http_exchange *exchange;       /* NULL: no request is on its way */
    struct http_peer *peer_entry;         /* its address among http_server.peers */
    struct list_node peer_node;           /* on peer_entry->conns */
    uint64_t since_us;                    /* when the state was entered */
    uint32_t bytes;                       /* LINGER: thrown away */
    uint8_t state, close_reason;
    bool opened;  /* the transport is open */
    bool closing; /* http_conn_settle() will free it */
    bool served;  /* it has had an answer */
    char peer[INET6_ADDRSTRLEN];
};
static_assert(sizeof(struct http_conn) <= 192, "an idle connection must stay cheap");

struct http_exchange {
    struct list_node node;    /* on the free list, or on one of the server's leftovers */
    struct list_node paced;   /* on http_server.paced */
    struct list_node waiting; /* on http_server.waiting: it waits for its client in a place */
    struct list_node large;   /* on http_server.large: its page is its own copy */
    struct http_server *server;
    struct http_conn *conn;         /* NULL while free */
    const struct http_route *route; /* NULL: none */
    uint32_t index, endpoint;
    uint64_t received_us; /* the last byte of a complete request; before that, its first */
    struct span param;
    /* the answer */
    struct http_page *page; /* its body where that is not in `answer`; NULL: it is */
    size_t out_len;         /* of `answer` */
    size_t out_sent;        /* of `answer`, then of the page */
    size_t body_len;
    uint64_t duration_us;
    uint16_t status;
    bool begun; /* id, note and route are set */
    bool has_request;
    bool complete;   /* received_us is its last byte's */
    bool had_turn;   /* it has waited for its turn: this request is served now */
    uint8_t left;    /* while it is left over: on which list */
    bool in_handler; /* on_request is running: http_respond() only stages */
    bool answered;   /* the answer is staged */
    bool interim;    /* `answer` holds "100 Continue" */
    bool had_pace;   /* it has waited for its pace: it begins now */
    bool last;       /* the connection ends after this answer */
    bool refused;    /* the server's own answer */
    char trace_id[HTTP_REQUEST_ID_LEN + 1];
    char request_id[HTTP_REQUEST_ID_MAX + 1];
    uint8_t request_id_len;
    struct http_parser parser;
    char answer[HTTP_ANSWER_BYTES];
    /* The application's note, padded to note_stride, then the input: header_bytes_max +
     * body_bytes_max + HTTP_READ_AHEAD_BYTES. */
    alignas(max_align_t) char tail[];
};

struct http_listener {
    struct reactor_io io; /* fd -1: it does not accept, or no longer */
    struct http_server *server;
    const struct transport_ops *ops;
    void *context; /* the transport's */
    struct http_router router;
    uint16_t port;
};

struct http_server {
    struct reactor *reactor;
    struct http_server_config config;

    struct list lists[HTTP_CONN_STATES]; /* by state; FREE holds slots that were used before */
    struct http_conn *conns;
    uint32_t conns_touched; /* slots from here on were never used and hold no memory */

    struct list free_exchanges; /* last in, first out: few pages stay warm */
    /* Exchanges with input that is here and has to wait for its turn. */
    struct list leftovers[HTTP_LEFT_LISTS];
    struct list waiting; /* exchanges that wait for their client in a place, longest first */
    struct list large;   /* exchanges with a large answer, the one stuck for longest first */
    uint32_t common_max; /* places */
    uint64_t worked_us;  /* when the last answer was staged: how far the turn has come */
    struct http_peers peers;
    char *exchanges;
    size_t exchange_stride, note_stride, input_bytes;
    uint32_t exchanges_touched;

    struct http_listener listeners[HTTP_LISTENERS_MAX];
    uint32_t listener_count;
    bool accept_paused;
    uint64_t accept_retry_us, accept_logged_us;

    struct reactor_timer sweep;
    struct reactor_timer pace; /* set: `paced` is not empty */
    struct list paced;         /* exchanges whose request is here and has to wait */
    uint64_t pace_due_us;      /* when the next of a paced route may begin */
    struct reactor_hook turn_end;
    bool closing_after_answers, draining;

    char date[CLOCK_HTTP_DATE_LEN];
    uint64_t date_us;   /* monotonic time of the last refresh */
    void *crowded_note; /* note_bytes, for answers without an exchange */

    struct http_server_stats stats;
    struct http_counts counts;
};

/* ---- http_conn.c ---- */

/* A connected descriptor and who is at its other end. */
struct http_socket {
    int fd;
    uint64_t peer_key; /* http_peer_key() */
    const struct http_listener *listener;
    char peer[INET6_ADDRSTRLEN];
};
/* False: no slot (http_crowd_make_slot() is the caller's), or no memory in the kernel; the
 * descriptor stays the caller's. */
bool http_conn_open(struct http_server *server, const struct http_socket *socket);
void http_conn_set_state(struct http_conn *conn, enum http_conn_state next);
/* Marks it; the first reason counts. */
void http_conn_close(struct http_conn *conn, enum http_close_reason reason);
/* Frees it if it is marked. Never touch the connection after this call. */
void http_conn_settle(struct http_conn *conn);
/* Its deadline in its state has passed. */
void http_conn_expire(struct http_conn *conn);
/* The transport holds input that epoll cannot tell of. */
bool http_conn_has_hidden_input(const struct http_conn *conn);
/* Goes on with input that is already here. */
void http_conn_resume(struct http_conn *conn);
/* The handler answered later: sends what was staged. */
void http_conn_answered(struct http_conn *conn);

/* Nothing more will be sent: waits until the client has read, within limits. Gives the exchange
 * back. */
void http_conn_linger(struct http_conn *conn, enum http_close_reason reason);

/* ---- http_dialog.c: read, parse, handle, write; may mark the connection, never frees it ---- */

void http_dialog_read(struct http_conn *conn);
/* Goes on with input that is already here. */
void http_dialog_resume(struct http_conn *conn);
/* Sends what is staged, then goes on with input that is here. */
void http_dialog_write(struct http_conn *conn);
/* The same, but what is here waits for the end of the turn: no handler is called inside this
 * call. */
void http_dialog_write_later(struct http_conn *conn);
/* Stages the answer to input that cannot be a request; the connection ends after it. */
void http_dialog_refuse(struct http_conn *conn, const struct http_refusal *refusal);

/* ---- http_pace.c: routes that are paced ---- */

void http_pace_init(struct http_server *server);
/* A complete request that has begun. True: it has to wait, and goes on by http_conn_resume(). */
bool http_pace_hold(struct http_exchange *exchange);
/* Whether it waits so. */
bool http_pace_holds(const struct http_exchange *exchange);
/* It waits no longer. Fine when it did not. */
void http_pace_leave(struct http_exchange *exchange);

/* ---- http_exchange.c ---- */

/* NULL when every one is at work. */
struct http_exchange *http_exchange_borrow(struct http_server *server, struct http_conn *conn);
void http_exchange_return(struct http_exchange *exchange);
/* A request's head is complete, or (has_request false) never will be: id, note, route. */
void http_exchange_begin(struct http_exchange *exchange, bool has_request);
/* The request is answered, or lost: counts it, tells on_finished. */
void http_exchange_finish(struct http_exchange *exchange, bool dropped);
/* Its request is complete: its time counts from here. */
void http_exchange_complete(struct http_exchange *exchange);
/* Ready for the next request of the same connection. */
void http_exchange_next(struct http_exchange *exchange);
/* The server's own answer. */
void http_exchange_refuse(struct http_exchange *exchange, struct http_refusal refusal, bool last);
/* What is to be sent next of what is staged; empty: all is sent. */
struct span http_exchange_unsent(const struct http_exchange *exchange);
/* The router of the listener it came by. */
const struct http_router *http_exchange_router(const struct http_exchange *exchange);
/* HTTP_REQUEST_ID_LEN new hex digits and a NUL. */
void http_exchange_make_id(char id[HTTP_REQUEST_ID_LEN + 1]);
/* An answer that no exchange was free for. */
struct http_crowded {
    char request_id[HTTP_REQUEST_ID_LEN + 1];
    size_t body_bytes;
};
void http_server_count_crowded(const struct http_conn *conn, const struct http_crowded *said);

/* ---- http_crowd.c ---- */

extern const struct http_refusal HTTP_REFUSAL_CROWDED;
/* An exchange to look at what is being said. False: there is none, which only a server of fewer
 * than HTTP_RESERVED_PART exchanges lets happen. */
bool http_crowd_borrow(struct http_conn *conn);
/* This exchange waits for its client in a place; the one that has waited longest may have to end.
 * False: every place is held by input that waits for its turn. */
bool http_crowd_wait(struct http_exchange *exchange);
/* It waits for its client no more. */
void http_crowd_leave(struct http_exchange *exchange);
/* Another exchange is free to look at the next request in, or made so. For who is about to hold one
 * outside of the places. */
bool http_crowd_leaves_one(struct http_server *server);
/* A place is free for one more, or made so as by http_crowd_wait(). */
bool http_crowd_has_place(struct http_server *server);
/* A large answer may be made; a client that does not take its own may have to end. */
bool http_crowd_has_large(struct http_server *server);
/* The client of a large answer took some of it. */
void http_crowd_large_moved(struct http_exchange *exchange);
/* Somebody may be accepted: there is a slot, or one that could be made free for somebody. */
bool http_crowd_may_accept(const struct http_server *server);
/* A slot is free for a connection of this address, or made so. */
bool http_crowd_make_slot(struct http_server *server, uint64_t peer_key);
/* No exchange: answers 503, as cheap as it can be. */
void http_crowd_refuse(struct http_conn *conn);

/* ---- http_listener.c ---- */

void http_listener_pause(struct http_server *server, uint64_t retry_us);
/* A slot is free, or it is time to try again. */
void http_listener_resume(struct http_server *server);
/* Takes what is in the backlog, then stops. */
void http_listener_close_all(struct http_server *server);

/* ---- http_server.c ---- */

/* NULL when there is none. */
struct http_conn *http_server_take_slot(struct http_server *server);
/* Deadlines and pauses are looked at every HTTP_SWEEP_US while there are any. */
void http_server_arm_sweep(struct http_server *server);
void http_server_give_slot(struct http_server *server, struct http_conn *conn);
/* The Date field's value of this second. */
struct span http_server_date(struct http_server *server);
/* The body of one of the server's own errors; its content type is returned, empty: no body. */
struct span http_server_format_error(const struct http_server *server,
                                     const struct http_error_report *report, struct buf *body,
                                     void *note);

#endif
