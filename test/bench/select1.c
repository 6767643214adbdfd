/*
 * select1: the round trip below which no decision can be made: a prepared SELECT 1 on one
 * connection, asked as the service asks, non-blocking with binary answers.
 *
 *   DATABASE_URL=... select1 [SECONDS]
 *
 * Prints one JSON object. The URL comes from the environment, where ps does not show it.
 */
#include "test/bench/options.h"
#include "test/bench/samples.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdlib.h>

enum { WARM_QUERIES = 200, STUCK_MS = 10000 };

static _Noreturn void die(PGconn *connection, const char *what)
{
    fprintf(stderr, "select1: %s: %s", what, PQerrorMessage(connection));
    exit(1);
}

static PGconn *connect_and_prepare(const char *url)
{
    PGconn *connection = PQconnectdb(url);
    if (PQstatus(connection) != CONNECTION_OK)
        die(connection, "connect");
    PGresult *result = PQprepare(connection, "one", "SELECT 1", 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        die(connection, "prepare");
    PQclear(result);
    if (PQsetnonblocking(connection, 1) == -1)
        die(connection, "nonblocking");
    return connection;
}

static void wait_for(PGconn *connection, short events)
{
    struct pollfd ready = {.fd = PQsocket(connection), .events = events};
    int count;
    do
        count = poll(&ready, 1, STUCK_MS);
    while (count == -1 && errno == EINTR);
    if (count <= 0)
        die(connection, "no answer");
}

static void ask(PGconn *connection)
{
    if (PQsendQueryPrepared(connection, "one", 0, NULL, NULL, NULL, 1) == 0)
        die(connection, "send");
    for (int left; (left = PQflush(connection)) != 0;) {
        if (left == -1)
            die(connection, "flush");
        wait_for(connection, POLLOUT);
    }
    while (PQisBusy(connection) != 0) {
        wait_for(connection, POLLIN);
        if (PQconsumeInput(connection) == 0)
            die(connection, "read");
    }
    for (PGresult *result; (result = PQgetResult(connection)) != NULL; PQclear(result)) {
        if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
            die(connection, "answer");
    }
}

int main(int argc, char **argv)
{
    const char *url = getenv("DATABASE_URL");
    const double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    if (url == NULL || !(seconds > 0 && seconds <= 3600)) {
        fputs("usage: DATABASE_URL=... select1 [SECONDS]\n", stderr);
        return 2;
    }
    PGconn *connection = connect_and_prepare(url);
    for (int i = 0; i < WARM_QUERIES; i++)
        ask(connection);
    struct samples samples = {0};
    const uint64_t start = samples_now_ns();
    const uint64_t until = start + (uint64_t)(seconds * 1e9);
    for (uint64_t now = start; now < until;) {
        ask(connection);
        const uint64_t next = samples_now_ns();
        samples_add(&samples, next - now);
        now = next;
    }
    printf("{\"seconds\":%.3f,", seconds);
    samples_print(&samples, (double)(samples_now_ns() - start) / 1e9, stdout);
    puts("}");
    samples_free(&samples);
    PQfinish(connection);
    return 0;
}
