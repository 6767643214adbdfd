/*
 * pg_session (private to pool/): one blocking connection for a subcommand: migrate, audit, purge.
 *
 * A subcommand's work may block, so PQexec is allowed here and nowhere else. What fails is told on
 * the subcommand's error stream, with its name before it and never with the URL, which may hold a
 * password. Every text of a statement that a server may quote is ours.
 */
#ifndef POOL_PG_SESSION_PRIVATE_H
#define POOL_PG_SESSION_PRIVATE_H

#include "core/check.h"
#include "core/err.h"
#include "pool/pg_query.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pg_session {
    const char *who; /* "migrate": before each message, and in application_name */
    FILE *err;
    PGconn *conn;
    char sqlstate[PG_SQLSTATE_LEN + 1]; /* of the last failure; "": the server told none */
};

/* settings: as in the connection parameter `options`. ERR_INVALID: the URL is none;
 * ERR_UNAVAILABLE: no connection. pg_session_close() in any case. */
MUST_USE enum err pg_session_open(struct pg_session *session, const char *database_url,
                                  const char *settings);
/* One statement with `count` parameters, or, with none, a text of several. The result is the
 * caller's to clear; NULL: it failed, the reason is told. */
MUST_USE PGresult *pg_session_query(struct pg_session *session, const char *sql, int count,
                                    const char *const *values);
/* The same where nothing comes back. */
MUST_USE enum err pg_session_exec(struct pg_session *session, const char *sql);
/* Whole numbers that are not negative; anything else, NULL too, is 0: a count of nothing. */
uint64_t pg_session_count(const PGresult *rows, int row, int column);
/* Ends what it holds: locks, an open transaction. May be called on one that never opened. */
void pg_session_close(struct pg_session *session);

#endif
