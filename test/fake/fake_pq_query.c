/* Queries of fake_pq: what is sent, what the server says, and how it is read. */
#include "test/fake/fake_pq_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>

static fake_pq_exec_fn *exec_fn;
static unsigned notifies_out;

void fake_pq_queries_reset(void)
{
    exec_fn = NULL;
    notifies_out = 0;
}

unsigned fake_pq_notifies_out(void)
{
    return notifies_out;
}

/* ---- looking at what was sent ---- */

bool fake_pq_is_asked(const PGconn *conn)
{
    return conn != NULL && conn->busy && !conn->pipeline;
}

const struct fake_pq_sent *fake_pq_sent(const PGconn *conn)
{
    return &conn->sent;
}

unsigned fake_pq_query_count(const PGconn *conn)
{
    return conn->queries;
}

unsigned fake_pq_deallocate_count(const PGconn *conn)
{
    return conn->deallocates;
}

unsigned fake_pq_prepare_count(const PGconn *conn)
{
    return conn->prepares;
}

void fake_pq_set_transaction(PGconn *conn, PGTransactionStatusType status)
{
    conn->transaction = status;
}

void fake_pq_hold_prepared(PGconn *conn)
{
    conn->script.hold_prepared = true;
}

void fake_pq_set_partial_flushes(PGconn *conn, unsigned count)
{
    conn->flushes_left = count;
}

/* ---- what the server says ---- */

static void say(PGconn *conn, struct fake_pq_item item)
{
    assert_non_null(conn);
    assert_false(conn->hung_up);
    assert_true(conn->count < FAKE_PQ_ITEMS_MAX);
    conn->items[(conn->first + conn->count++) % FAKE_PQ_ITEMS_MAX] = item;
    fake_pq_nudge(conn);
}

void fake_pq_say_result(PGconn *conn, PGresult *result)
{
    say(conn, (struct fake_pq_item){.kind = ITEM_RESULT, .result = result});
}

void fake_pq_say_end(PGconn *conn)
{
    say(conn, (struct fake_pq_item){.kind = ITEM_END});
}

void fake_pq_answer(PGconn *conn, PGresult *result)
{
    fake_pq_say_result(conn, result);
    fake_pq_say_end(conn);
}

void fake_pq_say_prepared(PGconn *conn)
{
    const char *sqlstate = conn->script.prepare_sqlstate;

    for (unsigned i = 0; i < conn->prepares_in_flight; i++) {
        PGresult *result = i > 0 && sqlstate != NULL ? fake_pq_result(PGRES_PIPELINE_ABORTED)
                           : sqlstate != NULL        ? fake_pq_error(sqlstate, "ERROR")
                                                     : fake_pq_result(PGRES_COMMAND_OK);
        fake_pq_answer(conn, result);
    }
    conn->prepares_in_flight = 0;
    fake_pq_say_result(conn, fake_pq_result(PGRES_PIPELINE_SYNC));
}

void fake_pq_say_notice(PGconn *conn, const char *sqlstate)
{
    say(conn,
        (struct fake_pq_item){.kind = ITEM_NOTICE, .result = fake_pq_error(sqlstate, "FATAL")});
}

void fake_pq_say_notify(PGconn *conn)
{
    say(conn, (struct fake_pq_item){.kind = ITEM_NOTIFY});
}

void fake_pq_say_parameter(PGconn *conn, const char *name, const char *value)
{
    say(conn, (struct fake_pq_item){.kind = ITEM_PARAMETER, .name = name, .value = value});
}

void fake_pq_hang_up(PGconn *conn)
{
    assert_int_equal(shutdown(conn->far_fd, SHUT_WR), 0);
    conn->hung_up = true;
}

/* ---- the items ---- */

static struct fake_pq_item pop(PGconn *conn)
{
    const struct fake_pq_item item = conn->items[conn->first];
    assert_true(conn->received > 0);
    conn->first = (conn->first + 1) % FAKE_PQ_ITEMS_MAX;
    conn->count--;
    conn->received--;
    return item;
}

void fake_pq_drop_items(PGconn *conn)
{
    conn->received = conn->count;
    while (conn->count > 0) {
        const struct fake_pq_item item = pop(conn);
        if (item.result != NULL)
            fake_pq_drop(item.result);
    }
}

static void take_parameter(PGconn *conn, const struct fake_pq_item *item)
{
    if (strcmp(item->name, "in_hot_standby") == 0)
        conn->script.standby = item->value;
    else
        conn->script.read_only = item->value;
}

/* Takes what is no part of an answer off the front. */
static void parse(PGconn *conn)
{
    while (conn->received > 0) {
        const enum fake_pq_item_kind kind = conn->items[conn->first].kind;
        if (kind == ITEM_RESULT || kind == ITEM_END)
            return;
        const struct fake_pq_item item = pop(conn);
        if (kind == ITEM_NOTICE && conn->on_notice != NULL)
            conn->on_notice(conn->notice_owner, item.result);
        if (kind == ITEM_NOTIFY)
            conn->notifies++;
        if (kind == ITEM_PARAMETER)
            take_parameter(conn, &item);
        if (item.result != NULL)
            fake_pq_drop(item.result);
    }
}

/* ---- libpq: sending ---- */

static bool may_send(const PGconn *conn)
{
    return conn->status == CONNECTION_OK && (conn->pipeline || !conn->busy);
}

/* NOLINTNEXTLINE(readability-function-size): libpq's own signature. */
int PQsendQueryPrepared(PGconn *conn, const char *name, int count, const char *const *values,
                        const int *lengths, const int *formats, int result_format)
{
    struct fake_pq_sent *sent = &conn->sent;
    size_t used = 0;

    assert_int_equal(result_format, 1);
    if (fake_pq_fails(FAKE_PQ_SEND_PREPARED, conn) || !may_send(conn))
        return 0;
    assert_true(count <= FAKE_PQ_PARAMS_MAX);
    assert_true(strlen(name) < sizeof(sent->statement));
    memcpy(sent->statement, name, strlen(name) + 1);
    sent->count = count;
    for (int i = 0; i < count; i++) {
        assert_int_equal(formats[i], 1);
        assert_true((size_t)lengths[i] <= sizeof(sent->bytes) - used);
        memcpy(sent->bytes + used, values[i], (size_t)lengths[i]);
        sent->values[i] = sent->bytes + used;
        sent->lengths[i] = lengths[i];
        used += (size_t)lengths[i];
    }
    conn->busy = true;
    conn->queries++;
    return 1;
}

int PQsendPrepare(PGconn *conn, const char *name, const char *sql, int count, const Oid *types)
{
    (void)types;
    assert_true(conn->pipeline);
    assert_true(name[0] != '\0' && sql[0] != '\0' && count >= 0);
    if (fake_pq_fails(FAKE_PQ_SEND_PREPARE, conn) || !may_send(conn))
        return 0;
    conn->busy = true;
    conn->prepares++;
    conn->prepares_in_flight++;
    return 1;
}

/* NOLINTNEXTLINE(readability-function-size): libpq's own signature. */
int PQsendQueryParams(PGconn *conn, const char *sql, int count, const Oid *types,
                      const char *const *values, const int *lengths, const int *formats,
                      int result_format)
{
    (void)types, (void)values, (void)lengths, (void)formats, (void)result_format;
    assert_int_equal(count, 0);
    const bool deallocates = strcmp(sql, "DEALLOCATE ALL") == 0;
    assert_true(deallocates || strcmp(sql, "SET statement_timeout = 0") == 0 ||
                strcmp(sql, "RESET statement_timeout") == 0);
    if (fake_pq_fails(FAKE_PQ_SEND_PARAMS, conn) || !may_send(conn))
        return 0;
    conn->busy = true;
    conn->deallocates += deallocates;
    conn->prepares_in_flight++;
    return 1;
}

int PQenterPipelineMode(PGconn *conn)
{
    if (fake_pq_fails(FAKE_PQ_ENTER_PIPELINE, conn) || conn->busy)
        return 0;
    conn->pipeline = true;
    return 1;
}

int PQexitPipelineMode(PGconn *conn)
{
    if (fake_pq_fails(FAKE_PQ_EXIT_PIPELINE, conn) || conn->busy)
        return 0;
    conn->pipeline = false;
    return 1;
}

int PQpipelineSync(PGconn *conn)
{
    assert_true(conn->pipeline);
    if (fake_pq_fails(FAKE_PQ_PIPELINE_SYNC, conn) || !may_send(conn))
        return 0;
    conn->busy = true;
    conn->flushes_left = conn->script.partial_flushes;
    if (!conn->script.hold_prepared && !conn->hung_up)
        fake_pq_say_prepared(conn);
    return 1;
}

int PQflush(PGconn *conn)
{
    if (fake_pq_fails(FAKE_PQ_FLUSH, conn) || conn->status != CONNECTION_OK)
        return -1;
    if (conn->flushes_left == 0)
        return 0;
    conn->flushes_left--;
    return 1;
}

/* ---- libpq: reading ---- */

int PQconsumeInput(PGconn *conn)
{
    fake_pq_drain(conn);
    const bool fails = fake_pq_fails(FAKE_PQ_CONSUME, conn);
    if (fails || conn->hung_up || conn->status != CONNECTION_OK) {
        if (!fails)
            conn->received = conn->count;
        conn->status = CONNECTION_BAD;
        return 0;
    }
    conn->received = conn->count;
    return 1;
}

int PQisBusy(PGconn *conn)
{
    parse(conn);
    return conn->busy && conn->received == 0;
}

PGresult *PQgetResult(PGconn *conn)
{
    parse(conn);
    if (!conn->busy)
        return NULL;
    if (conn->received == 0)
        fail_msg("PQgetResult() would block");
    const struct fake_pq_item item = pop(conn);
    if (item.kind == ITEM_END) {
        if (!conn->pipeline)
            conn->busy = false;
        return NULL;
    }
    PGresult *result = item.result;
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
        conn->busy = false;
    if (fake_pq_fails(FAKE_PQ_GET_RESULT, conn)) {
        fake_pq_drop(result);
        result = fake_pq_error(NULL, NULL);
    }
    fake_pq_hand_out(result);
    return result;
}

PGTransactionStatusType PQtransactionStatus(const PGconn *conn)
{
    if (conn->status != CONNECTION_OK)
        return PQTRANS_UNKNOWN;
    return conn->busy ? PQTRANS_ACTIVE : conn->transaction;
}

PGnotify *PQnotifies(PGconn *conn)
{
    parse(conn);
    if (conn->notifies == 0)
        return NULL;
    conn->notifies--;
    notifies_out++;
    PGnotify *notify = calloc(1, sizeof(*notify));
    assert_non_null(notify);
    return notify;
}

void PQfreemem(void *memory)
{
    assert_true(notifies_out > 0);
    notifies_out--;
    free(memory);
}

/* ---- libpq: the blocking calls ---- */

void fake_pq_on_exec(fake_pq_exec_fn *on_exec)
{
    exec_fn = on_exec;
}

static PGresult *exec(PGconn *conn, const char *sql, int count, const char *const *values)
{
    assert_non_null(exec_fn);
    if (fake_pq_fails(FAKE_PQ_EXEC, conn) || conn->status != CONNECTION_OK)
        return NULL;
    PGresult *result = exec_fn(sql, count, values);
    fake_pq_hand_out(result);
    return result;
}

PGresult *PQexec(PGconn *conn, const char *sql)
{
    return exec(conn, sql, 0, NULL);
}

/* NOLINTNEXTLINE(readability-function-size): libpq's own signature. */
PGresult *PQexecParams(PGconn *conn, const char *sql, int count, const Oid *types,
                       const char *const *values, const int *lengths, const int *formats,
                       int result_format)
{
    (void)types;
    assert_true(count > 0);
    assert_true(lengths == NULL && formats == NULL);
    assert_int_equal(result_format, 0);
    return exec(conn, sql, count, values);
}
