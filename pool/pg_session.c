#include "pool/pg_session_private.h"

#include "core/buf.h"

#include <string.h>

enum { SESSION_NAME_BYTES = 64 };

#define SESSION_CONNECT_TIMEOUT_S "10"
#define SQLSTATE_LOCK_NOT_AVAILABLE "55P03"

/* libpq prints notices ("schema exists, skipping") to stderr unless somebody takes them. */
static void ignore_notice(void *unused, const PGresult *notice)
{
    (void)unused;
    (void)notice;
}

enum err pg_session_open(struct pg_session *session, const char *database_url, const char *settings)
{
    /* Parsed first, because the parser's message may quote the URL and with it the password. */
    PQconninfoOption *parsed = PQconninfoParse(database_url, NULL);
    if (parsed == NULL) {
        fprintf(session->err, "%s: DATABASE_URL is not a valid connection string\n", session->who);
        return ERR_INVALID;
    }
    PQconninfoFree(parsed);

    char name[SESSION_NAME_BYTES];
    snprintf(name, sizeof(name), "payment-latency-api %s", session->who);
    const char *const keywords[] = {"dbname",          "connect_timeout", "application_name",
                                    "client_encoding", "options",         NULL};
    const char *const values[] = {database_url, SESSION_CONNECT_TIMEOUT_S, name, "UTF8", settings,
                                  NULL};
    session->conn = PQconnectdbParams(keywords, values, 1);
    if (session->conn == NULL || PQstatus(session->conn) != CONNECTION_OK) {
        fprintf(session->err, "%s: no connection to the database: %s", session->who,
                session->conn == NULL ? "out of memory\n" : PQerrorMessage(session->conn));
        return ERR_UNAVAILABLE;
    }
    PQsetNoticeReceiver(session->conn, ignore_notice, NULL);
    return ERR_OK;
}

static void session_complain(struct pg_session *session, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    snprintf(session->sqlstate, sizeof(session->sqlstate), "%s", sqlstate == NULL ? "" : sqlstate);
    if (strcmp(session->sqlstate, SQLSTATE_LOCK_NOT_AVAILABLE) == 0)
        fprintf(session->err,
                "%s: another session holds a lock for too long; try again when it is done\n",
                session->who);
    else
        fprintf(session->err, "%s: %s", session->who, PQerrorMessage(session->conn));
}

PGresult *pg_session_query(struct pg_session *session, const char *sql, int count,
                           const char *const *values)
{
    PGresult *result = count == 0
                           ? PQexec(session->conn, sql)
                           : PQexecParams(session->conn, sql, count, NULL, values, NULL, NULL, 0);
    const ExecStatusType status = PQresultStatus(result);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    session_complain(session, result);
    PQclear(result);
    return NULL;
}

enum err pg_session_exec(struct pg_session *session, const char *sql)
{
    PGresult *result = pg_session_query(session, sql, 0, NULL);

    PQclear(result);
    return result == NULL ? ERR_UNAVAILABLE : ERR_OK;
}

uint64_t pg_session_count(const PGresult *rows, int row, int column)
{
    uint64_t count = 0;

    if (!span_parse_u64(span_of(PQgetvalue(rows, row, column)), INT64_MAX, &count))
        return 0;
    return count;
}

void pg_session_close(struct pg_session *session)
{
    PQfinish(session->conn);
    session->conn = NULL;
}
