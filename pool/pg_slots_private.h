/*
 * pg_slots (private to pool/): what a pool is made of: its connections and the connector that keeps
 * them up.
 *
 * pg_pool.c owns the slots, their lists and the figures; pg_conn.c one connection's life,
 * pg_handshake.c its way up, pg_exchange.c a query on it; pg_connector.c decides when which slot
 * connects and what is replaced.
 */
#ifndef POOL_PG_SLOTS_PRIVATE_H
#define POOL_PG_SLOTS_PRIVATE_H

#include "core/config.h"
#include "core/list.h"
#include "core/reactor.h"
#include "pool/pg_dns.h"
#include "pool/pg_pool.h"

struct pg_conn;   /* libpq's PGconn */
struct pg_result; /* libpq's PGresult */

struct pg_connection {
    struct list_node node; /* on the list of its state */
    struct pg_pool *pool;
    uint32_t index;
    enum pg_conn_state state;
    struct pg_conn *handle;        /* NULL: DOWN */
    struct reactor_io io;          /* libpq's socket */
    struct reactor_timer deadline; /* of the attempt, or of the query */
    struct pg_query *query;        /* BUSY */
    struct pg_result *result;      /* BUSY: what has come of the answer so far */

    bool retiring; /* BUSY, and ends with its answer */
    enum pg_close_reason retire_reason;
    uint32_t epoch;                         /* the pool's when the attempt began */
    uint64_t started_us, up_us, expires_us; /* up_us 0: never was up */
    const char *stage;                      /* how far it had come when it ended */
    char sqlstate[PG_SQLSTATE_LEN + 1];     /* the server's last error that explains an end */
};

struct pg_connector {
    struct pg_dns *dns;
    struct reactor_timer timer;
    char url[CONFIG_SECRET_MAX]; /* the last good one */
    bool url_news;               /* it is another than at the last reload */
    bool resolving, resolved;    /* resolved: this address is to be used although it may be old */
    bool auth_retried;           /* a changed password gets one attempt without a pause */
    uint32_t failures;           /* since the last success */
    uint64_t next_attempt_us;
    uint64_t failure_logged_us; /* 0: none since the last success */
    uint64_t failures_suppressed;
};

enum { PG_APPLICATION_NAME_MAX = 64 };

struct pg_pool {
    struct reactor *reactor;
    struct pg_pool_config config; /* its pointers lead to the copies below */
    char url_file[CONFIG_TEXT_MAX];
    char application_name[PG_APPLICATION_NAME_MAX];
    const struct pg_statement *statements;
    uint8_t statement_count;

    struct list lists[PG_CONN_STATES];
    uint32_t retiring; /* BUSY, but not usable any more */
    uint32_t epoch;
    bool draining;
    uint64_t handshake_us; /* the turn that had its handshake step */

    struct list listeners;
    struct list_node *listener_next; /* where telling goes on */
    struct reactor_hook hook;
    bool idle_news; /* a connection became idle since the listeners were told */
    bool told_up;

    struct pg_connector connector;
    struct pg_pool_stats stats;
    /* One more than conn_count: the spare is connected before an old one is retired. */
    struct pg_connection slots[PG_POOL_MAX + 1];
};

static inline struct pg_connection *pg_connection_of(struct list_node *node)
{
    return container_of(node, struct pg_connection, node);
}

/* ---- the parts of a connection to each other ---- */

void pg_conn_set_state(struct pg_connection *conn, enum pg_conn_state next);
/* Keeps the SQLSTATE for the log line and the figures; "" or NULL: there is none. */
void pg_conn_note_sqlstate(struct pg_connection *conn, const char *sqlstate);
/* The server has said that it ends this session. */
bool pg_conn_is_dismissed(const struct pg_connection *conn);
/* Sends what libpq holds, and watches for writability only while something is left. False:
 * broken. */
MUST_USE bool pg_conn_flush(struct pg_connection *conn);
/* Ends it but for the query, which is the caller's to answer. */
void pg_conn_end(struct pg_connection *conn, enum pg_close_reason reason);
/* Why a connection on which libpq failed is at its end. */
enum pg_close_reason pg_conn_broken_reason(const struct pg_connection *conn);
/* Every statement is prepared. */
void pg_conn_ready(struct pg_connection *conn);

/* One step of PQconnectPoll. */
void pg_handshake_step(struct pg_connection *conn);
/* Sends the flight that prepares every statement, after dropping them all if `again`. */
MUST_USE bool pg_handshake_prepare(struct pg_connection *conn, bool again);
void pg_handshake_on_prepared(struct pg_connection *conn, uint32_t events);
/* False: a standby, or read-only. */
bool pg_handshake_role_is_primary(const struct pg_connection *conn);

/* BUSY and ready. */
void pg_exchange_step(struct pg_connection *conn, uint32_t events);

/* ---- what connections tell the pool ---- */

void pg_pool_count_sqlstate(struct pg_pool *pool, const char *sqlstate);
void pg_pool_moved(struct pg_pool *pool, struct pg_connection *conn, enum pg_conn_state next);
/* It came up: IDLE for the first time. */
void pg_pool_on_up(struct pg_pool *pool, struct pg_connection *conn);
/* It is DOWN. */
void pg_pool_on_down(struct pg_pool *pool, const struct pg_connection *conn,
                     enum pg_close_reason reason);

/* ---- pg_connector.c ---- */

MUST_USE enum err pg_connector_init(struct pg_pool *pool, const char *database_url);
void pg_connector_close(struct pg_pool *pool);
/* Something changed: looks in this turn's or the next turn's timer phase what is to do. */
void pg_connector_wake(struct pg_pool *pool);
void pg_connector_succeeded(struct pg_pool *pool, struct pg_connection *conn);
void pg_connector_failed(struct pg_pool *pool, enum pg_close_reason reason, const char *sqlstate);
/* One that was up ended soon after: waits as after a failed attempt. */
void pg_connector_back_off(struct pg_pool *pool);
/* Which of the serving connections is to be replaced first; NULL: none. */
struct pg_connection *pg_connector_stale(struct pg_pool *pool);
/* May a failure be logged now? If so, *suppressed says how many were not. */
bool pg_connector_may_log(struct pg_pool *pool, uint64_t *suppressed);

#endif
