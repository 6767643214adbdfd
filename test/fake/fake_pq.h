/*
 * fake_pq: a libpq for tests, linked in libpq's place. Only <libpq-fe.h>'s types.
 *
 * Owns the connections and results it hands out and knows which are still out. A connection is a
 * socket pair: the near end is what PQsocket() gives, so the real reactor drives the code under
 * test; the far end is "the server", and what the server says is put up by the test, item by item,
 * and arrives whole with the next PQconsumeInput(). Promises what libpq promises where pool/ relies
 * on it: PQgetResult() while busy would block and so fails the test, a command on a busy connection
 * is refused, a dead connection still gives what arrived before its end, the socket may change
 * under one descriptor number while connecting. Never talks to a real server.
 *
 * A connection comes up by itself (three polls, every statement prepared) unless fake_pq_next says
 * otherwise; queries are answered by the test alone.
 */
#ifndef TEST_FAKE_PQ_H
#define TEST_FAKE_PQ_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAKE_PQ_PARAMS_MAX = 16,
    FAKE_PQ_PARAM_BYTES_MAX = 32 * 1024, /* of all parameters of one query */
    FAKE_PQ_ITEMS_MAX = 64,              /* what the server has said and nobody has read */
    FAKE_PQ_STEPS_MAX = 8,
    FAKE_PQ_OPTIONS_MAX = 32, /* of one connection string */
};

/* The functions that can be made to fail. */
enum fake_pq_call {
    FAKE_PQ_CONNECT_START,  /* NULL: out of memory */
    FAKE_PQ_CONNECT_POLL,   /* FAILED */
    FAKE_PQ_CONNECTDB,      /* NULL */
    FAKE_PQ_CONNINFO_PARSE, /* NULL */
    FAKE_PQ_SOCKET,         /* -1 */
    FAKE_PQ_SET_NONBLOCKING,
    FAKE_PQ_ENTER_PIPELINE,
    FAKE_PQ_EXIT_PIPELINE,
    FAKE_PQ_SEND_PREPARE,
    FAKE_PQ_SEND_PARAMS,
    FAKE_PQ_SEND_PREPARED,
    FAKE_PQ_PIPELINE_SYNC,
    FAKE_PQ_FLUSH,
    FAKE_PQ_CONSUME,    /* the connection is bad afterwards, as in libpq */
    FAKE_PQ_GET_RESULT, /* a fatal error without any field: libpq out of memory */
    FAKE_PQ_EXEC,       /* PQexec and PQexecParams: NULL */
    FAKE_PQ_CALLS
};

/* One PQconnectPoll(): what it says and what PQstatus() says after it. */
struct fake_pq_step {
    PostgresPollingStatusType polled;
    ConnStatusType status;
    bool new_socket; /* another socket takes the place under the same descriptor number */
    bool silent;     /* READING, and the server never says anything */
};

/* How the connections started from now on behave. */
struct fake_pq_script {
    struct fake_pq_step steps[FAKE_PQ_STEPS_MAX];
    bool start_bad;                  /* PQconnectStartParams() gives a connection that is BAD */
    const char *error;               /* PQerrorMessage() of a failed connect */
    const char *standby, *read_only; /* parameter statuses; NULL: the server sends none */
    bool hold_prepared;              /* the test answers the flight itself */
    const char *prepare_sqlstate;    /* the flight's first statement fails with it */
    unsigned partial_flushes;        /* PQflush() says 1 so many times first */
    const char *password;            /* PQpass() */
};
extern struct fake_pq_script fake_pq_next;

/* What the last query of a connection was. */
struct fake_pq_sent {
    char statement[64];
    int count;
    const char *values[FAKE_PQ_PARAMS_MAX];
    int lengths[FAKE_PQ_PARAMS_MAX];
    char bytes[FAKE_PQ_PARAM_BYTES_MAX];
};

/* ---- life of a test ---- */

/* For set-up: nothing counted, nothing failing, the script of a server in good health. */
void fake_pq_reset(void);
/* For tear-down: fails the test if a connection, a result, a notification or an option list is
 * still out. */
void fake_pq_check_clean(void);

/* The nth call (1-based, counted from here) of the function fails; 0: none. breaks: the connection
 * is CONNECTION_BAD afterwards. */
void fake_pq_fail(enum fake_pq_call call, unsigned nth, bool breaks);
/* Calls since the last fake_pq_fail() of that function. */
unsigned fake_pq_calls(enum fake_pq_call call);
bool fake_pq_has_failed(void);

/* ---- connections ---- */

unsigned fake_pq_made(void); /* since reset */
unsigned fake_pq_live(void);
/* The nth made since reset, 0-based. NULL: it is finished. */
PGconn *fake_pq_conn(unsigned nth);
/* The value a connect parameter had; NULL: not given. */
const char *fake_pq_option(const PGconn *conn, const char *keyword);
/* A query is unanswered on it. */
bool fake_pq_is_asked(const PGconn *conn);
const struct fake_pq_sent *fake_pq_sent(const PGconn *conn);
unsigned fake_pq_query_count(const PGconn *conn);      /* PQsendQueryPrepared that were taken */
unsigned fake_pq_deallocate_count(const PGconn *conn); /* DEALLOCATE ALL that were taken */
unsigned fake_pq_prepare_count(const PGconn *conn);    /* PQsendPrepare that were taken */
void fake_pq_set_transaction(PGconn *conn, PGTransactionStatusType status);
void fake_pq_hold_prepared(PGconn *conn); /* its next flights are the test's to answer */
void fake_pq_set_partial_flushes(PGconn *conn, unsigned count);

/* ---- what the server says ---- */

void fake_pq_say_result(PGconn *conn, PGresult *result); /* takes the result over */
void fake_pq_say_end(PGconn *conn);                      /* ready for query: PQgetResult's NULL */
void fake_pq_say_prepared(PGconn *conn);                 /* the whole flight, all well */
void fake_pq_say_notice(PGconn *conn, const char *sqlstate);
void fake_pq_say_notify(PGconn *conn);
void fake_pq_say_parameter(PGconn *conn, const char *name, const char *value);
void fake_pq_hang_up(PGconn *conn);
/* Result and end. */
void fake_pq_answer(PGconn *conn, PGresult *result);

/* ---- results ---- */

PGresult *fake_pq_result(ExecStatusType status);
/* severity NULL: the field is missing, and so with sqlstate. */
PGresult *fake_pq_error(const char *sqlstate, const char *severity);
/* TUPLES_OK; cells follow row by row. */
PGresult *fake_pq_rows(int columns);
void fake_pq_add_bytes(PGresult *rows, const void *bytes, size_t size);
void fake_pq_add_text(PGresult *rows, const char *text);
void fake_pq_add_int4(PGresult *rows, int32_t value);
void fake_pq_add_int8(PGresult *rows, int64_t value);
void fake_pq_add_null(PGresult *rows);
/* Clears a result that was given to nobody. */
void fake_pq_drop(PGresult *result);

/* ---- the blocking calls ---- */

/* Answers PQexec and PQexecParams (count > 0). */
typedef PGresult *fake_pq_exec_fn(const char *sql, int count, const char *const *values);
void fake_pq_on_exec(fake_pq_exec_fn *on_exec);

#endif
