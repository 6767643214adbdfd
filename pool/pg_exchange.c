/* Part of pg_conn (see pg_slots_private.h): one query on one connection: sent, answered, judged. */
#include "core/clock.h"
#include "core/log.h"
#include "pool/pg_conn_private.h"
#include "pool/pg_slots_private.h"

#include <libpq-fe.h>
#include <string.h>

enum { BINARY = 1, STRAY_RESULTS_MAX = 8 };

static const int ALL_BINARY[PG_PARAMS_MAX] = {BINARY, BINARY, BINARY, BINARY, BINARY, BINARY,
                                              BINARY, BINARY, BINARY, BINARY, BINARY, BINARY,
                                              BINARY, BINARY, BINARY, BINARY};

enum err pg_conn_send(struct pg_connection *conn, const struct pg_params *params,
                      struct pg_query *query)
{
    struct pg_pool *pool = conn->pool;

    CHECK(conn->state == PG_CONN_IDLE);
    CHECK(params->statement < pool->statement_count);
    const struct pg_statement *statement = &pool->statements[params->statement];
    CHECK(params->count == statement->param_count);
    /* Whatever fails here, the end of the statement stayed with us, and without it the server
     * applies nothing. */
    if (PQsendQueryPrepared(conn->handle, statement->name, params->count, params->values,
                            params->lengths, ALL_BINARY, BINARY) != 1 ||
        PQstatus(conn->handle) == CONNECTION_BAD || !pg_conn_flush(conn)) {
        pg_conn_end(conn, pg_conn_broken_reason(conn));
        return ERR_UNAVAILABLE;
    }
    query->statement = params->statement;
    query->sent_us = reactor_now_us(pool->reactor);
    conn->query = query;
    conn->stage = "query";
    conn->sqlstate[0] = '\0';
    reactor_timer_set(pool->reactor, &conn->deadline,
                      query->sent_us + (uint64_t)pool->config.query_timeout_ms * CLOCK_US_PER_MS);
    pg_conn_set_state(conn, PG_CONN_BUSY);
    return ERR_OK;
}

/* What a finished query means for its owner and for the connection. */
struct outcome {
    enum pg_answer_kind kind;
    enum { NEXT_IDLE, NEXT_PREPARE, NEXT_DOWN } next;
    enum pg_close_reason reason;
};

static bool is_fatal(const PGresult *error)
{
    const char *severity = PQresultErrorField(error, PG_DIAG_SEVERITY_NONLOCALIZED);
    return severity == NULL || strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0;
}

/* The server forgot our statements, or their row type changed under them. */
static bool wants_prepare(const char *sqlstate)
{
    return strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "0A000") == 0 ||
           strcmp(sqlstate, "42P05") == 0;
}

/* Who answers does not know either what became of the statement: a connection that broke behind it
 * (class 08, with 08007 for the commit), or statement_completion_unknown. */
static bool leaves_open(const char *sqlstate)
{
    return strncmp(sqlstate, "08", 2) == 0 || strcmp(sqlstate, "40003") == 0;
}

static struct outcome judge(const struct pg_connection *conn)
{
    const ExecStatusType status = PQresultStatus(conn->result);
    const bool rows = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;

    /* A write commits after its rows are sent: without the server's final word the outcome is open,
     * and so it is when the session is ended while the statement runs. */
    if (PQstatus(conn->handle) == CONNECTION_BAD || (!rows && is_fatal(conn->result)))
        return (struct outcome){PG_ANSWER_LOST, NEXT_DOWN, pg_conn_broken_reason(conn)};
    if (!rows && leaves_open(conn->sqlstate))
        return (struct outcome){PG_ANSWER_LOST, NEXT_DOWN, PG_CLOSE_PROTOCOL};
    if (PQtransactionStatus(conn->handle) != PQTRANS_IDLE)
        return (struct outcome){rows ? PG_ANSWER_LOST : PG_ANSWER_ERROR, NEXT_DOWN,
                                PG_CLOSE_PROTOCOL};
    const enum pg_answer_kind kind = rows ? PG_ANSWER_ROWS : PG_ANSWER_ERROR;
    if (pg_conn_is_dismissed(conn))
        return (struct outcome){kind, NEXT_DOWN, PG_CLOSE_SHUTDOWN};
    if (conn->retiring)
        return (struct outcome){kind, NEXT_DOWN, conn->retire_reason};
    if (!rows && strcmp(conn->sqlstate, "25006") == 0)
        return (struct outcome){kind, NEXT_DOWN, PG_CLOSE_READ_ONLY};
    if (!rows && wants_prepare(conn->sqlstate))
        return (struct outcome){kind, NEXT_PREPARE, PG_CLOSE_PREPARE};
    return (struct outcome){kind, NEXT_IDLE, PG_CLOSE_PROTOCOL};
}

static void move_on(struct pg_connection *conn, const struct outcome *outcome)
{
    struct pg_pool *pool = conn->pool;

    switch (outcome->next) {
    case NEXT_IDLE:
        conn->stage = "idle";
        conn->sqlstate[0] = '\0';
        pg_conn_set_state(conn, PG_CONN_IDLE);
        break;
    case NEXT_PREPARE:
        pool->stats.reprepare_total++;
        log_info("pg_conn_reprepare", LOG_U64("slot", conn->index),
                 LOG_TEXT("sqlstate", conn->sqlstate));
        if (!pg_handshake_prepare(conn, true))
            pg_conn_end(conn, pg_conn_broken_reason(conn));
        break;
    case NEXT_DOWN:
        pg_conn_end(conn, outcome->reason);
        break;
    }
}

/* The final NULL has come. The result outlives the connection's next use, also its end, until the
 * owner has read it. */
static void finish(struct pg_connection *conn)
{
    struct pg_pool *pool = conn->pool;
    struct pg_query *query = conn->query;
    PGresult *result = conn->result;
    struct pg_answer answer = {0};

    memcpy(answer.sqlstate, conn->sqlstate, sizeof(answer.sqlstate));
    /* Parses what came behind the answer: a session that is being ended says so there. No system
     * call. */
    (void)PQisBusy(conn->handle);
    const struct outcome outcome = judge(conn);
    answer.kind = outcome.kind;
    if (outcome.kind == PG_ANSWER_ROWS)
        answer.rows = (const struct pg_rows *)(const void *)result;

    histogram_record(&pool->stats.query_time, reactor_now_us(pool->reactor) - query->sent_us);
    reactor_timer_clear(pool->reactor, &conn->deadline);
    conn->query = NULL;
    conn->result = NULL;
    move_on(conn, &outcome);
    query->on_answer(query, &answer);
    PQclear(result);
}

/* The first result is the answer, unless an error follows it: a commit may fail after the rows
 * came. */
static void keep(struct pg_connection *conn, PGresult *result)
{
    const ExecStatusType status = PQresultStatus(result);
    const bool error = status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK;
    const ExecStatusType kept = PQresultStatus(conn->result);
    const bool kept_error =
        conn->result != NULL && kept != PGRES_TUPLES_OK && kept != PGRES_COMMAND_OK;

    if (error && !kept_error)
        pg_conn_note_sqlstate(conn, PQresultErrorField(result, PG_DIAG_SQLSTATE));
    if (conn->result == NULL || (error && !kept_error)) {
        PQclear(conn->result);
        conn->result = result;
    } else {
        PQclear(result);
    }
}

void pg_exchange_step(struct pg_connection *conn, uint32_t events)
{
    if ((events & REACTOR_WRITE) != 0 && !pg_conn_flush(conn)) {
        pg_conn_down(conn, pg_conn_broken_reason(conn));
        return;
    }
    /* 0: the connection broke, but what the server said before is still there to be read. */
    const bool alive = PQconsumeInput(conn->handle) == 1;
    for (int i = 0; i < STRAY_RESULTS_MAX && PQisBusy(conn->handle) == 0; i++) {
        PGresult *result = PQgetResult(conn->handle);
        if (result == NULL && conn->result != NULL) {
            finish(conn);
            return;
        }
        if (result == NULL)
            break;
        keep(conn, result);
    }
    if (!alive || PQisBusy(conn->handle) == 0)
        pg_conn_down(conn, pg_conn_broken_reason(conn));
}
