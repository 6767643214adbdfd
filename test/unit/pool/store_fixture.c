#include "store_fixture.h"

#include "core/clock.h"
#include "pool/migrate.h"
#include "rows_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct payment_store *store;
struct store_op store_ops[STORE_OPS_MAX];
struct store_server store_server;
struct config store_config;

void store_create(void)
{
    assert_int_equal(
        payment_store_create(&store, bench_pool, &bench_config, &store_config, STORE_OPS_MAX),
        ERR_OK);
}

int store_set_up(void **state)
{
    uint8_t count;

    if (bench_set_up(state) != 0)
        return -1;
    memset(store_ops, 0, sizeof(store_ops));
    store_server = (struct store_server){
        .region = "eu-1", .isolation = "read committed", .schema_version = MIGRATE_VERSION_LATEST};
    memset(&store_config, 0, sizeof(store_config));
    snprintf(store_config.region, sizeof(store_config.region), "eu-1");
    store_config.lane_batch_max = 8;
    store_config.lane_queue_max = 32;
    store_config.lane_wallet_max = 16;
    store_config.poison_hold_s = 60;
    store_config.queue_wait_max_ms = 50;
    store_config.lock_timeout_ms = bench_config.lock_timeout_ms;
    store_config.db_probe_interval_ms = 1000;
    rows_damage(-1, ROWS_WHOLE);
    bench_config.conn_count = 4;
    const struct pg_statement *statements = payment_store_statements(&count);
    bench_open_with(statements, count);
    store_create();
    return 0;
}

int store_tear_down(void **state)
{
    /* The pools first: what is in flight is told that it is lost. */
    payment_store_stop(store);
    pg_pool_drain(bench_pool);
    for (unsigned i = 0; i < fake_pq_made(); i++)
        if (fake_pq_conn(i) != NULL)
            fake_pq_hang_up(fake_pq_conn(i));
    bench_turns(3);
    assert_int_equal(fake_pq_live(), 0);
    assert_true(payment_store_quiet(store));
    payment_store_destroy(store);
    store = NULL;
    return bench_tear_down(state);
}

void store_turn(void)
{
    bench_turn();
    PGconn *conn = store_server.silent ? NULL : store_asked("probe");
    if (conn == NULL)
        return;
    fake_pq_answer(
        conn, rows_probe(store_server.region, store_server.schema_version, store_server.isolation));
    store_server.probes++;
    bench_turn();
}

void store_turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        store_turn();
}

void store_await_ready(void)
{
    for (int i = 0; i < BENCH_TURNS_MAX && !payment_store_ready(store); i++)
        store_turn();
    assert_true(payment_store_ready(store));
}

static void on_done(struct payment_op *op, enum pg_outcome outcome)
{
    struct store_op *mine = container_of(op, struct store_op, op);
    mine->done++;
    mine->outcome = outcome;
}

struct payment_op *store_op(unsigned i, enum payment_op_kind kind)
{
    assert_true(i < STORE_OPS_MAX);
    struct payment_op *op = &store_ops[i].op;
    memset(&store_ops[i], 0, sizeof(store_ops[i]));
    op->kind = kind;
    op->command = (struct payment_command){.wallet_id = 100 + (int64_t)i,
                                           .amount_minor = 250,
                                           .currency = "EUR",
                                           .merchant_country = "DE",
                                           .mcc = 5411};
    memset(op->txn_id.bytes, (int)i + 1, sizeof(op->txn_id.bytes));
    op->client_id = 7;
    op->started_us = bench_now_us();
    op->due_us = bench_now_us() + (uint64_t)STORE_BUDGET_MS * CLOCK_US_PER_MS;
    op->has_key = true;
    memset(op->key_hash.bytes, (int)i + 1, sizeof(op->key_hash.bytes));
    memset(op->step.hold_id.bytes, (int)i + 1, sizeof(op->step.hold_id.bytes));
    op->on_done = on_done;
    return op;
}

void store_submit_ok(unsigned i, enum payment_op_kind kind)
{
    assert_int_equal(payment_store_submit(store, store_op(i, kind)), ERR_OK);
    assert_int_equal(store_ops[i].done, 0);
}

PGconn *store_probe_conn(void)
{
    for (unsigned i = 0; i < fake_pq_made(); i++) {
        PGconn *conn = fake_pq_conn(i);
        if (conn != NULL && strcmp(fake_pq_option(conn, "application_name"), "bench probe") == 0)
            return conn;
    }
    return NULL;
}

PGconn *store_service_conn(void)
{
    for (unsigned i = 0; i < fake_pq_made(); i++) {
        PGconn *conn = fake_pq_conn(i);
        if (conn != NULL && conn != store_probe_conn())
            return conn;
    }
    return NULL;
}

PGconn *store_asked(const char *statement)
{
    for (unsigned i = 0; i < fake_pq_made(); i++) {
        PGconn *conn = fake_pq_conn(i);
        if (fake_pq_is_asked(conn) && strcmp(fake_pq_sent(conn)->statement, statement) == 0)
            return conn;
    }
    return NULL;
}

PGconn *store_await_asked(const char *statement)
{
    for (int i = 0; i < BENCH_TURNS_MAX && store_asked(statement) == NULL; i++)
        bench_turn();
    PGconn *conn = store_asked(statement);
    assert_non_null(conn);
    return conn;
}

PGconn *store_await_next(const char *statement)
{
    bench_turn();
    return store_await_asked(statement);
}

void store_assert_done(unsigned i, enum pg_outcome outcome)
{
    for (int turn = 0; turn < BENCH_TURNS_MAX && store_ops[i].done == 0; turn++)
        bench_turn();
    assert_int_equal(store_ops[i].done, 1);
    assert_string_equal(pg_outcome_name(store_ops[i].outcome), pg_outcome_name(outcome));
}
