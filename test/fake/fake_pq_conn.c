/* Connections of fake_pq: connect, poll, parameters, end; and the faults of every function. */
#include "test/fake/fake_pq_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

struct fake_pq_script fake_pq_next;

static PGconn *conns[FAKE_PQ_CONNS_MAX];
static unsigned made, live, option_lists;

static struct {
    unsigned calls, nth;
    bool breaks;
} faults[FAKE_PQ_CALLS];
static bool has_failed;

static const struct fake_pq_script GOOD = {
    .steps = {{.polled = PGRES_POLLING_WRITING, .status = CONNECTION_MADE},
              {.polled = PGRES_POLLING_READING, .status = CONNECTION_AWAITING_RESPONSE},
              {.polled = PGRES_POLLING_OK, .status = CONNECTION_OK}},
    .error = "connection refused\n",
    .standby = "off",
    .read_only = "off",
    .password = "s3cret",
};

/* ---- life of a test ---- */

void fake_pq_reset(void)
{
    memset(conns, 0, sizeof(conns));
    memset(faults, 0, sizeof(faults));
    made = live = option_lists = 0;
    has_failed = false;
    fake_pq_next = GOOD;
    fake_pq_results_reset();
    fake_pq_queries_reset();
}

void fake_pq_check_clean(void)
{
    assert_int_equal(live, 0);
    assert_int_equal(option_lists, 0);
    assert_int_equal(fake_pq_results_out(), 0);
    assert_int_equal(fake_pq_notifies_out(), 0);
}

void fake_pq_fail(enum fake_pq_call call, unsigned nth, bool breaks)
{
    faults[call].calls = 0;
    faults[call].nth = nth;
    faults[call].breaks = breaks;
    has_failed = false;
}

unsigned fake_pq_calls(enum fake_pq_call call)
{
    return faults[call].calls;
}

bool fake_pq_has_failed(void)
{
    return has_failed;
}

bool fake_pq_fails(enum fake_pq_call call, PGconn *conn)
{
    faults[call].calls++;
    if (faults[call].nth == 0 || faults[call].calls != faults[call].nth)
        return false;
    has_failed = true;
    if (faults[call].breaks && conn != NULL)
        conn->status = CONNECTION_BAD;
    return true;
}

/* ---- looking at connections ---- */

unsigned fake_pq_made(void)
{
    return made;
}

unsigned fake_pq_live(void)
{
    return live;
}

PGconn *fake_pq_conn(unsigned nth)
{
    assert_true(nth < made);
    return conns[nth];
}

const char *fake_pq_option(const PGconn *conn, const char *keyword)
{
    for (unsigned i = 0; i < conn->option_count; i++)
        if (strcmp(conn->options[i][0], keyword) == 0)
            return conn->options[i][1];
    return NULL;
}

/* ---- sockets ---- */

static void pair_open(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

void fake_pq_nudge(PGconn *conn)
{
    assert_int_equal(send(conn->far_fd, "x", 1, MSG_NOSIGNAL), 1);
}

void fake_pq_drain(PGconn *conn)
{
    char bytes[64];
    while (read(conn->near_fd, bytes, sizeof(bytes)) > 0)
        continue;
}

/* The number stays, the socket is another: the kernel forgets the old one's place in epoll. */
static void replace_socket(PGconn *conn)
{
    int fds[2];
    pair_open(fds);
    assert_int_equal(dup2(fds[0], conn->near_fd), conn->near_fd);
    close(fds[0]);
    close(conn->far_fd);
    conn->far_fd = fds[1];
}

/* ---- libpq: connecting ---- */

static PGconn *conn_make(const char *const *keywords, const char *const *values)
{
    int fds[2];
    PGconn *conn = calloc(1, sizeof(*conn));

    assert_non_null(conn);
    assert_true(made < FAKE_PQ_CONNS_MAX);
    pair_open(fds);
    conn->near_fd = fds[0];
    conn->far_fd = fds[1];
    conn->script = fake_pq_next;
    conn->transaction = PQTRANS_IDLE;
    conn->number = made;
    for (unsigned i = 0; keywords[i] != NULL; i++) {
        assert_true(i < FAKE_PQ_OPTIONS_MAX);
        conn->options[i][0] = strdup(keywords[i]);
        conn->options[i][1] = strdup(values[i]);
        conn->option_count++;
    }
    conns[made++] = conn;
    live++;
    return conn;
}

PGconn *PQconnectStartParams(const char *const *keywords, const char *const *values, int expand)
{
    assert_int_equal(expand, 0);
    if (fake_pq_fails(FAKE_PQ_CONNECT_START, NULL))
        return NULL;
    PGconn *conn = conn_make(keywords, values);
    conn->status = conn->script.start_bad ? CONNECTION_BAD : CONNECTION_STARTED;
    return conn;
}

PGconn *PQconnectdbParams(const char *const *keywords, const char *const *values, int expand)
{
    assert_int_equal(expand, 1);
    if (fake_pq_fails(FAKE_PQ_CONNECTDB, NULL))
        return NULL;
    PGconn *conn = conn_make(keywords, values);
    conn->status = conn->script.start_bad ? CONNECTION_BAD : CONNECTION_OK;
    return conn;
}

PostgresPollingStatusType PQconnectPoll(PGconn *conn)
{
    assert_true(conn->step < FAKE_PQ_STEPS_MAX);
    assert_int_not_equal(conn->status, CONNECTION_BAD);
    fake_pq_drain(conn);
    if (fake_pq_fails(FAKE_PQ_CONNECT_POLL, conn) || conn->hung_up) {
        conn->status = CONNECTION_BAD;
        return PGRES_POLLING_FAILED;
    }
    const struct fake_pq_step *step = &conn->script.steps[conn->step++];
    if (step->new_socket)
        replace_socket(conn);
    conn->status = step->polled == PGRES_POLLING_FAILED ? CONNECTION_BAD : step->status;
    if (step->polled == PGRES_POLLING_READING && !step->silent)
        fake_pq_nudge(conn);
    return step->polled;
}

void PQfinish(PGconn *conn)
{
    if (conn == NULL)
        return;
    assert_ptr_equal(conns[conn->number], conn);
    conns[conn->number] = NULL;
    assert_true(live > 0);
    live--;
    fake_pq_drop_items(conn);
    for (unsigned i = 0; i < conn->option_count; i++) {
        free(conn->options[i][0]);
        free(conn->options[i][1]);
    }
    close(conn->near_fd);
    close(conn->far_fd);
    free(conn);
}

/* ---- libpq: looking at a connection ---- */

int PQsocket(const PGconn *conn)
{
    return fake_pq_fails(FAKE_PQ_SOCKET, NULL) ? -1 : conn->near_fd;
}

ConnStatusType PQstatus(const PGconn *conn)
{
    return conn != NULL ? conn->status : CONNECTION_BAD;
}

char *PQerrorMessage(const PGconn *conn)
{
    return (char *)(uintptr_t)(conn->script.error != NULL ? conn->script.error : "");
}

char *PQpass(const PGconn *conn)
{
    return (char *)(uintptr_t)conn->script.password;
}

const char *PQparameterStatus(const PGconn *conn, const char *name)
{
    if (strcmp(name, "in_hot_standby") == 0)
        return conn->script.standby;
    assert_string_equal(name, "default_transaction_read_only");
    return conn->script.read_only;
}

int PQsetnonblocking(PGconn *conn, int on)
{
    assert_int_equal(on, 1);
    return fake_pq_fails(FAKE_PQ_SET_NONBLOCKING, conn) ? -1 : 0;
}

PGVerbosity PQsetErrorVerbosity(PGconn *conn, PGVerbosity verbosity)
{
    (void)conn;
    assert_int_equal(verbosity, PQERRORS_SQLSTATE);
    return PQERRORS_DEFAULT;
}

PQnoticeReceiver PQsetNoticeReceiver(PGconn *conn, PQnoticeReceiver receiver, void *owner)
{
    conn->on_notice = receiver;
    conn->notice_owner = owner;
    return NULL;
}

/* ---- libpq: connection strings, "key=value key=value" only ---- */

PQconninfoOption *PQconninfoParse(const char *text, char **error)
{
    assert_null(error);
    if (fake_pq_fails(FAKE_PQ_CONNINFO_PARSE, NULL))
        return NULL;
    /* Not calloc: a test that makes that fail means the code under test. */
    const size_t bytes = (FAKE_PQ_OPTIONS_MAX + 1) * sizeof(PQconninfoOption);
    PQconninfoOption *options = malloc(bytes);
    char *copy = strdup(text), *rest = copy;
    unsigned count = 0;
    assert_non_null(options);
    memset(options, 0, bytes);
    option_lists++;
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL; count++) {
        char *value = strchr(word, '=');
        assert_true(count < FAKE_PQ_OPTIONS_MAX);
        if (value == NULL) {
            free(copy);
            PQconninfoFree(options);
            return NULL;
        }
        *value++ = '\0';
        options[count].keyword = strdup(word);
        options[count].val = strdup(value);
    }
    free(copy);
    return options;
}

void PQconninfoFree(PQconninfoOption *options)
{
    if (options == NULL)
        return;
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        free(option->keyword);
        free(option->val);
    }
    free(options);
    assert_true(option_lists > 0);
    option_lists--;
}
