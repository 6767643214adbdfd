/*
 * pg_conn (private to pool/): one PostgreSQL connection as a state machine.
 *
 * Owns a PGconn, its descriptor in the reactor, one deadline timer. Promises: nothing here blocks
 * (libpq's Start/Poll calls, hostaddr always set); every way down carries a reason; at most one
 * query in flight; on_answer runs once per accepted query, never inside pg_conn_send(), and after
 * the connection has left BUSY, so that on_answer may send the next query at once. Never: PQcancel,
 * PQexec, PQconnectdb, PQgetResult while busy.
 *
 *   DOWN --start--> CONNECTING --OK, role checked--> PREPARING --all prepared--> IDLE <--> BUSY
 *     ^                                                  ^------ 0A000, 26000, 42P05 -------'
 *     '--- any failure, retire, deadline: pg_conn_down(reason) from every state
 *   (Resolving happens in pg_connector with pg_dns before start.)
 *
 * The struct is pg_connection because libpq's PGconn is a `struct pg_conn`: with the same tag the
 * compiler would take one for the other.
 */
#ifndef POOL_PG_CONN_PRIVATE_H
#define POOL_PG_CONN_PRIVATE_H

#include "core/list.h"
#include "core/reactor.h"
#include "pool/pg_query.h"

#include <stdbool.h>
#include <stdint.h>

enum pg_conn_state {
    PG_CONN_DOWN,
    PG_CONN_CONNECTING,
    PG_CONN_PREPARING,
    PG_CONN_IDLE,
    PG_CONN_BUSY
};
enum { PG_CONN_STATES = PG_CONN_BUSY + 1 };

/* Why a connection ended: label of pool_closed_total, and the log line. */
enum pg_close_reason {
    PG_CLOSE_REFUSED,   /* connect failed */
    PG_CLOSE_TIMEOUT,   /* connect + prepare took longer than the limit */
    PG_CLOSE_AUTH,      /* 28xxx */
    PG_CLOSE_STANDBY,   /* in_hot_standby or read-only */
    PG_CLOSE_PREPARE,   /* a statement could not be prepared (schema missing?) */
    PG_CLOSE_EOF,       /* the server went away */
    PG_CLOSE_SHUTDOWN,  /* 57P0x: the server ends its sessions, or does not take new ones yet */
    PG_CLOSE_READ_ONLY, /* 25006 */
    PG_CLOSE_DEADLINE,  /* no answer in time */
    PG_CLOSE_PROTOCOL,  /* libpq lost step, or a transaction was left open */
    PG_CLOSE_LIFETIME,  /* planned replacement */
    PG_CLOSE_EPOCH,     /* the address or the credentials changed */
    PG_CLOSE_DRAIN,
};
enum { PG_CLOSE_REASONS = PG_CLOSE_DRAIN + 1 };
const char *pg_close_reason_name(enum pg_close_reason reason);
const char *pg_conn_state_name(enum pg_conn_state state);

struct pg_connection;
struct pg_pool;

/* One attempt's parameters; arrays for PQconnectStartParams, NULL-terminated, borrowed for the
 * call. */
struct pg_conn_target {
    const char *const *keywords;
    const char *const *values;
};

void pg_conn_init(struct pg_connection *conn, struct pg_pool *pool, uint32_t index);
/* ERR_UNAVAILABLE: the attempt has already failed; it is DOWN and the pool has been told. */
MUST_USE enum err pg_conn_start(struct pg_connection *conn, const struct pg_conn_target *target);
/* Sends on an IDLE connection. ERR_UNAVAILABLE: it turned out dead; it is DOWN now, and the server
 * got no whole statement. */
MUST_USE enum err pg_conn_send(struct pg_connection *conn, const struct pg_params *params,
                               struct pg_query *query);
/* Ends it, not DOWN yet. A query in flight gets PG_ANSWER_LOST. */
void pg_conn_down(struct pg_connection *conn, enum pg_close_reason reason);
/* Ends it as soon as no query is in flight: now, or before its answer is told. */
void pg_conn_retire(struct pg_connection *conn, enum pg_close_reason reason);

#endif
