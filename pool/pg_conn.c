#include "pool/pg_conn_private.h"

#include "core/clock.h"
#include "core/log.h"
#include "pool/pg_slots_private.h"

#include <libpq-fe.h>
#include <string.h>

void pg_conn_set_state(struct pg_connection *conn, enum pg_conn_state next)
{
    pg_pool_moved(conn->pool, conn, next);
    conn->state = next;
}

void pg_conn_note_sqlstate(struct pg_connection *conn, const char *sqlstate)
{
    if (sqlstate == NULL || strlen(sqlstate) != PG_SQLSTATE_LEN)
        return;
    memcpy(conn->sqlstate, sqlstate, sizeof(conn->sqlstate));
    pg_pool_count_sqlstate(conn->pool, sqlstate);
}

static bool is_dismissal(const char *sqlstate)
{
    return strncmp(sqlstate, "57P", 3) == 0 || strcmp(sqlstate, "25P03") == 0;
}

bool pg_conn_is_dismissed(const struct pg_connection *conn)
{
    return is_dismissal(conn->sqlstate);
}

/* An idle session's last words come as a notice. The default receiver would print them. */
static void on_notice(void *owner, const PGresult *notice)
{
    struct pg_connection *conn = owner;
    const char *sqlstate = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    if (sqlstate != NULL && is_dismissal(sqlstate))
        pg_conn_note_sqlstate(conn, sqlstate);
}

bool pg_conn_flush(struct pg_connection *conn)
{
    const int left = PQflush(conn->handle);
    if (left == -1)
        return false;
    reactor_watch(conn->pool->reactor, &conn->io,
                  left == 0 ? REACTOR_READ : REACTOR_READ | REACTOR_WRITE);
    return true;
}

/* Why there is no connection, where no SQLSTATE says it: libpq's words for the network and for TLS.
 * Its first line, and nothing if that should hold the password. */
static struct span connect_error(const struct pg_connection *conn)
{
    if (conn->up_us != 0 || conn->sqlstate[0] != '\0' || PQstatus(conn->handle) != CONNECTION_BAD)
        return SPAN("");
    struct span text = span_of(PQerrorMessage(conn->handle));
    const char *password = PQpass(conn->handle);
    if (password != NULL && password[0] != '\0' && strstr(text.ptr, password) != NULL)
        return SPAN("withheld");
    return text.len > 0 ? span_cut(&text, '\n') : text;
}

static void log_down(const struct pg_connection *conn, enum pg_close_reason reason)
{
    struct pg_pool *pool = conn->pool;
    const bool was_up = conn->up_us != 0;
    const uint64_t since_us = was_up ? conn->up_us : conn->started_us;
    const bool planned =
        reason == PG_CLOSE_LIFETIME || reason == PG_CLOSE_EPOCH || reason == PG_CLOSE_DRAIN;
    uint64_t suppressed = 0;

    if (!was_up && !planned && !pg_connector_may_log(pool, &suppressed))
        return;
    const struct span error = connect_error(conn);
    LOG_EMIT(planned ? LOG_INFO : LOG_WARN, LOG_LIFECYCLE, "pg_conn_down",
             LOG_U64("slot", conn->index), LOG_TEXT("reason", pg_close_reason_name(reason)),
             LOG_TEXT("sqlstate", conn->sqlstate), LOG_TEXT("stage", conn->stage),
             LOG_U64("age_ms", (reactor_now_us(pool->reactor) - since_us) / CLOCK_US_PER_MS),
             LOG_U64("suppressed", suppressed),
             error.len > 0 ? LOG_SPAN("error", error) : LOG_NO_FIELDS);
}

void pg_conn_end(struct pg_connection *conn, enum pg_close_reason reason)
{
    struct pg_pool *pool = conn->pool;

    CHECK(conn->state != PG_CONN_DOWN);
    log_down(conn, reason);
    reactor_remove(pool->reactor, &conn->io);
    reactor_timer_clear(pool->reactor, &conn->deadline);
    PQclear(conn->result);
    conn->result = NULL;
    PQfinish(conn->handle);
    conn->handle = NULL;
    conn->query = NULL;
    pg_conn_set_state(conn, PG_CONN_DOWN);
    pg_pool_on_down(pool, conn, reason);
}

static void answer_lost(struct pg_query *query, const char *sqlstate)
{
    struct pg_answer answer = {.kind = PG_ANSWER_LOST};
    memcpy(answer.sqlstate, sqlstate, sizeof(answer.sqlstate));
    query->on_answer(query, &answer);
}

void pg_conn_down(struct pg_connection *conn, enum pg_close_reason reason)
{
    struct pg_query *query = conn->query;
    pg_conn_end(conn, reason);
    if (query != NULL)
        answer_lost(query, conn->sqlstate);
}

void pg_conn_retire(struct pg_connection *conn, enum pg_close_reason reason)
{
    if (conn->state != PG_CONN_BUSY) {
        pg_conn_down(conn, reason);
    } else if (!conn->retiring) {
        conn->retiring = true;
        conn->retire_reason = reason;
        conn->pool->retiring++;
    }
}

enum pg_close_reason pg_conn_broken_reason(const struct pg_connection *conn)
{
    if (pg_conn_is_dismissed(conn))
        return PG_CLOSE_SHUTDOWN;
    return PQstatus(conn->handle) == CONNECTION_BAD ? PG_CLOSE_EOF : PG_CLOSE_PROTOCOL;
}

void pg_conn_ready(struct pg_connection *conn)
{
    struct pg_pool *pool = conn->pool;

    reactor_timer_clear(pool->reactor, &conn->deadline);
    conn->io.urgent = true;
    conn->stage = "idle";
    conn->sqlstate[0] = '\0';
    pg_conn_set_state(conn, PG_CONN_IDLE);
    if (conn->up_us == 0) {
        conn->up_us = reactor_now_us(pool->reactor);
        pg_pool_on_up(pool, conn);
    } else {
        pg_connector_wake(pool); /* a replacement waits until every connection is usable */
    }
}

static void on_idle(struct pg_connection *conn)
{
    const bool alive = PQconsumeInput(conn->handle) == 1;
    (void)PQisBusy(conn->handle); /* parses, and so calls on_notice */
    for (PGnotify *notify; (notify = PQnotifies(conn->handle)) != NULL;)
        PQfreemem(notify);
    if (!alive || PQstatus(conn->handle) == CONNECTION_BAD || pg_conn_is_dismissed(conn))
        pg_conn_down(conn, pg_conn_broken_reason(conn));
    else if (!pg_handshake_role_is_primary(conn))
        pg_conn_down(conn, PG_CLOSE_STANDBY);
}

static void on_ready(struct reactor_io *io, uint32_t events)
{
    struct pg_connection *conn = container_of(io, struct pg_connection, io);

    switch (conn->state) {
    case PG_CONN_CONNECTING:
        pg_handshake_step(conn);
        return;
    case PG_CONN_PREPARING:
        pg_handshake_on_prepared(conn, events);
        return;
    case PG_CONN_IDLE:
        on_idle(conn);
        return;
    case PG_CONN_BUSY:
        pg_exchange_step(conn, events);
        return;
    case PG_CONN_DOWN:
        break;
    }
    UNREACHABLE();
}

static void on_deadline(struct reactor_timer *timer)
{
    struct pg_connection *conn = container_of(timer, struct pg_connection, deadline);
    pg_conn_down(conn, conn->up_us == 0 ? PG_CLOSE_TIMEOUT : PG_CLOSE_DEADLINE);
}

void pg_conn_init(struct pg_connection *conn, struct pg_pool *pool, uint32_t index)
{
    *conn = (struct pg_connection){.pool = pool,
                                   .index = index,
                                   .state = PG_CONN_DOWN,
                                   .io = {.fd = -1, .on_ready = on_ready},
                                   .deadline = {.on_due = on_deadline},
                                   .stage = "none"};
}

enum err pg_conn_start(struct pg_connection *conn, const struct pg_conn_target *target)
{
    struct pg_pool *pool = conn->pool;

    CHECK(conn->state == PG_CONN_DOWN);
    conn->handle = PQconnectStartParams(target->keywords, target->values, 0);
    if (conn->handle == NULL)
        return ERR_SYSTEM;
    /* With this verbosity a refusal's text is severity and SQLSTATE alone: libpq has no other way
     * to the SQLSTATE of a failed connect, and nothing secret can get into a log. */
    PQsetErrorVerbosity(conn->handle, PQERRORS_SQLSTATE);
    PQsetNoticeReceiver(conn->handle, on_notice, conn);
    conn->started_us = reactor_now_us(pool->reactor);
    conn->up_us = 0;
    conn->epoch = pool->epoch;
    conn->stage = "connect";
    conn->sqlstate[0] = '\0';
    conn->io.urgent = false;
    conn->io.fd = PQsocket(conn->handle);
    pg_conn_set_state(conn, PG_CONN_CONNECTING);
    /* The manual: behave as if the last poll had said WRITING. */
    if (PQstatus(conn->handle) == CONNECTION_BAD || conn->io.fd == -1 ||
        reactor_readd(pool->reactor, &conn->io, REACTOR_WRITE) != ERR_OK) {
        conn->io.fd = -1;
        pg_conn_end(conn, PG_CLOSE_REFUSED);
        return ERR_UNAVAILABLE;
    }
    reactor_timer_set(pool->reactor, &conn->deadline,
                      conn->started_us +
                          (uint64_t)pool->config.connect_timeout_ms * CLOCK_US_PER_MS);
    return ERR_OK;
}
