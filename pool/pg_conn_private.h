/*
 * pg_conn (private to pool/): one PostgreSQL connection as a state machine.
 *
 * Owns a PGconn, its descriptor in the reactor, one deadline timer. Promises: nothing here blocks
 * (libpq's Start/Poll calls, hostaddr always set); every way down carries a reason; at most one
 * query in flight; on_answer runs once per accepted query, never inside pg_conn_send(), and after
 * the connection has left BUSY, so that on_answer may send the next query at once. Never: PQcancel,
 * PQexec, PQconnectdb, PQgetResult while busy.
 *
 * Its states, and the ways between them, stand in pg_pool.h.
 *
 * The struct is pg_connection because libpq's PGconn is a `struct pg_conn`: with the same tag the
 * compiler would take one for the other.
 */
#ifndef POOL_PG_CONN_PRIVATE_H
#define POOL_PG_CONN_PRIVATE_H

#include "core/check.h"
#include "core/err.h"
#include "pool/pg_pool.h"

#include <stdint.h>

struct pg_connection;

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
