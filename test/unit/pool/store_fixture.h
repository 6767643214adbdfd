/*
 * A payment_store on pool_bench: operations with what became of each, and a server that answers
 * the probe by itself while everything else is the test's to answer.
 */
#ifndef TEST_UNIT_POOL_STORE_FIXTURE_H
#define TEST_UNIT_POOL_STORE_FIXTURE_H

#include "pool/payment_store.h"
#include "test/fake/pool_bench.h"

enum { STORE_OPS_MAX = 64, STORE_BUDGET_MS = 100 };

struct store_op {
    struct payment_op op;
    unsigned done;
    enum pg_outcome outcome;
};

/* What the probe is answered with; silent: nothing. */
struct store_server {
    const char *region, *isolation;
    int32_t schema_version;
    bool silent;
    unsigned probes; /* answered */
};

extern struct payment_store *store;
extern struct store_op store_ops[STORE_OPS_MAX];
extern struct store_server store_server;
extern struct config store_config;

int store_set_up(void **state); /* the store exists, `conn_count` 4, nothing has turned yet */
int store_tear_down(void **state);
/* `store` on bench_pool and with store_config. */
void store_create(void);
/* Turns until the store is ready. */
void store_await_ready(void);
/* A turn, and an answer to a probe that is asked. */
void store_turn(void);
void store_turns(unsigned count);

/* Operation i, ready to be submitted: wallet 100 + i, a key and a hold of its own, STORE_BUDGET_MS
 * left. */
struct payment_op *store_op(unsigned i, enum payment_op_kind kind);
void store_submit_ok(unsigned i, enum payment_op_kind kind);
/* The probe's own connection, and the first of the service's; NULL: there is none. */
PGconn *store_probe_conn(void);
PGconn *store_service_conn(void);
/* The connection that is asked this statement; NULL: none. */
PGconn *store_asked(const char *statement);
/* The same after as many turns as it takes. */
PGconn *store_await_asked(const char *statement);
/* The same, and not one that has just been answered: its answer is read first. */
PGconn *store_await_next(const char *statement);
void store_assert_done(unsigned i, enum pg_outcome outcome);

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, store_set_up, store_tear_down)

#endif
