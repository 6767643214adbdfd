/* Part of pg_conn (see pg_slots_private.h): the way up: connected, its role checked, all statements
 * prepared. */
#include "pool/pg_conn_private.h"

#include "core/clock.h"
#include "pool/pg_slots_private.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <string.h>

/* Results of a flight besides one and a NULL for each statement: the sync, and room for libpq's
 * own. */
enum { FLIGHT_EXTRA_MAX = 8 };

static const char *stage_name(ConnStatusType status)
{
    /* Not a switch: libpq adds values from release to release. */
    if (status == CONNECTION_STARTED)
        return "connect";
    if (status == CONNECTION_SSL_STARTUP)
        return "tls";
    if (status == CONNECTION_MADE || status == CONNECTION_AWAITING_RESPONSE)
        return "startup";
    return "session";
}

/* The SQLSTATE that ends libpq's message at the verbosity pg_conn_start has set: "FATAL:
 * 28P01". */
static void note_refusal(struct pg_connection *conn)
{
    const struct span text = span_trim(span_of(PQerrorMessage(conn->handle)));
    char sqlstate[PG_SQLSTATE_LEN + 1] = "";
    size_t len = text.len;

    while (len > 0 && (text.ptr[len - 1] == '\n' || text.ptr[len - 1] == ' '))
        len--;
    if (len <= PG_SQLSTATE_LEN || text.ptr[len - PG_SQLSTATE_LEN - 1] != ' ')
        return;
    for (size_t i = 0; i < PG_SQLSTATE_LEN; i++) {
        const char byte = text.ptr[len - PG_SQLSTATE_LEN + i];
        if (!isdigit((unsigned char)byte) && !isupper((unsigned char)byte))
            return;
        sqlstate[i] = byte;
    }
    pg_conn_note_sqlstate(conn, sqlstate);
}

static enum pg_close_reason refusal_reason(struct pg_connection *conn)
{
    if (strncmp(conn->sqlstate, "28", 2) == 0) {
        conn->stage = "auth";
        return PG_CLOSE_AUTH;
    }
    return pg_conn_is_dismissed(conn) ? PG_CLOSE_SHUTDOWN : PG_CLOSE_REFUSED;
}

static bool is_on(const PGconn *handle, const char *parameter)
{
    const char *value = PQparameterStatus(handle, parameter);
    return value != NULL && strcmp(value, "on") == 0;
}

bool pg_handshake_role_is_primary(const struct pg_connection *conn)
{
    /* The server reports both by itself, at the start and at every change: no round trip. */
    return !is_on(conn->handle, "in_hot_standby") &&
           !is_on(conn->handle, "default_transaction_read_only");
}

static void adopt(struct pg_connection *conn)
{
    if (!pg_handshake_role_is_primary(conn)) {
        conn->stage = "role";
        pg_conn_down(conn, PG_CLOSE_STANDBY);
    } else if (PQsetnonblocking(conn->handle, 1) != 0 || !pg_handshake_prepare(conn, false)) {
        pg_conn_down(conn, PG_CLOSE_EOF);
    }
}

void pg_handshake_step(struct pg_connection *conn)
{
    struct reactor *reactor = conn->pool->reactor;

    /* A step is up to 4 ms of key derivation: one in a turn for all connections. The descriptor
     * stays ready, so the next turn comes back. */
    if (conn->pool->handshake_us == reactor_now_us(reactor))
        return;
    conn->pool->handshake_us = reactor_now_us(reactor);
    conn->stage = stage_name(PQstatus(conn->handle));

    /* libpq may put another socket under the same descriptor number, so leave epoll before each
     * poll and join after. */
    reactor_remove(reactor, &conn->io);
    const PostgresPollingStatusType polled = PQconnectPoll(conn->handle);
    if (polled == PGRES_POLLING_FAILED) {
        note_refusal(conn);
        pg_conn_down(conn, refusal_reason(conn));
        return;
    }
    conn->io.fd = PQsocket(conn->handle);
    const uint32_t events = polled == PGRES_POLLING_WRITING ? REACTOR_WRITE : REACTOR_READ;
    if (conn->io.fd == -1 || reactor_readd(reactor, &conn->io, events) != ERR_OK) {
        conn->io.fd = -1;
        pg_conn_down(conn, PG_CLOSE_REFUSED);
    } else if (polled == PGRES_POLLING_OK) {
        adopt(conn);
    }
}

static bool send_command(struct pg_connection *conn, const char *sql)
{
    return PQsendQueryParams(conn->handle, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

bool pg_handshake_prepare(struct pg_connection *conn, bool again)
{
    struct pg_pool *pool = conn->pool;

    conn->stage = "prepare";
    conn->sqlstate[0] = '\0';
    if (PQenterPipelineMode(conn->handle) != 1)
        return false;
    /* The server counts the whole flight as one statement, and a busy one takes longer to read all
     * of them than any may run. Our own deadline bounds the way up. */
    if (!send_command(conn, "SET statement_timeout = 0") ||
        (again && !send_command(conn, "DEALLOCATE ALL")))
        return false;
    for (uint8_t i = 0; i < pool->statement_count; i++) {
        const struct pg_statement *statement = &pool->statements[i];
        if (PQsendPrepare(conn->handle, statement->name, statement->sql, statement->param_count,
                          statement->param_types) != 1)
            return false;
    }
    if (!send_command(conn, "RESET statement_timeout") || PQpipelineSync(conn->handle) != 1 ||
        !pg_conn_flush(conn))
        return false;
    pg_conn_set_state(conn, PG_CONN_PREPARING);
    if (again)
        reactor_timer_set(pool->reactor, &conn->deadline,
                          reactor_now_us(pool->reactor) +
                              (uint64_t)pool->config.connect_timeout_ms * CLOCK_US_PER_MS);
    return true;
}

static void prepared(struct pg_connection *conn)
{
    if (conn->sqlstate[0] != '\0')
        pg_conn_down(conn, pg_conn_is_dismissed(conn) ? PG_CLOSE_SHUTDOWN : PG_CLOSE_PREPARE);
    else if (PQexitPipelineMode(conn->handle) != 1)
        pg_conn_down(conn, PG_CLOSE_PROTOCOL);
    else
        pg_conn_ready(conn);
}

void pg_handshake_on_prepared(struct pg_connection *conn, uint32_t events)
{
    const int results_max = 2 * conn->pool->statement_count + FLIGHT_EXTRA_MAX;

    if ((events & REACTOR_WRITE) != 0 && !pg_conn_flush(conn)) {
        pg_conn_down(conn, PG_CLOSE_EOF);
        return;
    }
    const bool alive = PQconsumeInput(conn->handle) == 1;
    for (int i = 0; i < results_max && PQisBusy(conn->handle) == 0; i++) {
        PGresult *result = PQgetResult(conn->handle); /* NULL between two statements */
        const ExecStatusType status = PQresultStatus(result);
        if (result != NULL && conn->sqlstate[0] == '\0')
            pg_conn_note_sqlstate(conn, PQresultErrorField(result, PG_DIAG_SQLSTATE));
        PQclear(result);
        if (result != NULL && status == PGRES_PIPELINE_SYNC) {
            prepared(conn);
            return;
        }
    }
    if (!alive || PQstatus(conn->handle) == CONNECTION_BAD)
        pg_conn_down(conn, pg_conn_is_dismissed(conn) ? PG_CLOSE_SHUTDOWN : PG_CLOSE_EOF);
    else if (PQisBusy(conn->handle) == 0)
        pg_conn_down(conn, PG_CLOSE_PROTOCOL);
}
