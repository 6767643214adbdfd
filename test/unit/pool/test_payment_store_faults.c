/*
 * payment_store, lanes and pool together under faults: whatever libpq or the server does, every
 * operation that was accepted ends exactly once, a hold that may have been applied is never called
 * undone, and afterwards everything works as before.
 */
#include "core/clock.h"
#include "rows_fixture.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    WALKS = 120,
    STEPS = 300,
    DRAWN_OPS = 24,
    WALLET = 100,               /* the first one */
    WALLETS = 4,                /* so that they fold, and wait for one another */
    BROKEN_WALLET = WALLET,     /* no hold of it can be written */
    WAITED_WALLET = WALLET + 1, /* another session often holds its keys */
    PATIENCE_MS = 5000,
};

/* Our own numbers: a seed means the same walk everywhere (Marsaglia's xorshift, 32 bits). */
static uint32_t walk;
static bool accepted[STORE_OPS_MAX];
/* The statement of a hold or step reached the server since it was submitted. */
static bool reached[STORE_OPS_MAX];
static unsigned outcomes[PG_OUTCOMES];
static bool wallets_are_free; /* no row is found locked */

static unsigned draw(unsigned below)
{
    walk ^= walk << 13;
    walk ^= walk >> 17;
    walk ^= walk << 5;
    return walk % below;
}

/* How many members the statement on this connection has: the length of its first array. */
static int batch_of(const PGconn *conn)
{
    const struct fake_pq_sent *sent = fake_pq_sent(conn);
    return (unsigned char)sent->values[0][15];
}

/* Which operation member m of what writes is: its txn_id's bytes are all i + 1. */
static unsigned op_of_write(const PGconn *conn, int m)
{
    const char *ids = fake_pq_sent(conn)->values[0] + 20;
    return (unsigned)(unsigned char)ids[m * (4 + UUID7_BYTES) + 4] - 1;
}

/* The wallet of member m of a hold statement; all of them are small numbers. */
static int wallet_of_hold(const PGconn *conn, int m)
{
    const char *wallets = fake_pq_sent(conn)->values[4] + 20;
    return (unsigned char)wallets[m * (4 + 8) + 11];
}

/* What the whole statement fails with because of one member; NULL: of none. */
static const char *sqlstate_of_hold(const PGconn *conn)
{
    const char *sqlstate = NULL;
    for (int m = 0; m < batch_of(conn); m++) {
        const int wallet = wallet_of_hold(conn, m);
        if (wallet == BROKEN_WALLET)
            return "23505";
        if (wallet == WAITED_WALLET && draw(2) == 0)
            sqlstate = "55P03";
    }
    return sqlstate;
}

static PGresult *rows_of_steps(const PGconn *conn)
{
    const struct payment_step_decision done = rows_step_decision(0);
    PGresult *rows = rows_step();

    for (int n = 1; n <= batch_of(conn); n++)
        rows_add_step(rows, n, !wallets_are_free && draw(6) == 0 ? "busy" : "new", &done);
    return rows;
}

static PGresult *rows_for(const PGconn *conn)
{
    const char *statement = fake_pq_sent(conn)->statement;
    const struct payment_decision recorded = rows_decision(0);
    PGresult *rows;

    if (strcmp(statement, "probe") == 0)
        return rows_probe("eu-1", store_server.schema_version, "read committed");
    if (strcmp(statement, "find") == 0)
        return rows_find(&recorded, 0);
    if (strcmp(statement, "step_batch") == 0)
        return rows_of_steps(conn);
    if (strncmp(statement, "eval", 4) == 0) {
        const int count = strcmp(statement, "eval_one") == 0 ? 1 : batch_of(conn);
        rows = rows_evaluate();
        for (int n = 1; n <= count; n++)
            rows_add_evaluate(rows, n, "00", n);
        return rows;
    }
    const char *sqlstate = sqlstate_of_hold(conn);
    if (sqlstate != NULL)
        return fake_pq_error(sqlstate, "ERROR");
    rows = rows_hold();
    for (int n = 1; n <= batch_of(conn); n++) {
        const bool busy = !wallets_are_free && draw(6) == 0;
        rows_add_hold(rows, n, busy ? "busy" : "new", busy ? NULL : &recorded);
    }
    return rows;
}

/* The database is another region's. */
static PGresult *no_row(void)
{
    return fake_pq_rows(1);
}

static void note_reached(void)
{
    for (unsigned c = 0; c < fake_pq_made(); c++) {
        const PGconn *conn = fake_pq_conn(c);
        if (!fake_pq_is_asked(conn) || (strncmp(fake_pq_sent(conn)->statement, "hold", 4) != 0 &&
                                        strcmp(fake_pq_sent(conn)->statement, "step_batch") != 0))
            continue;
        for (int m = 0; m < batch_of(conn); m++)
            reached[op_of_write(conn, m)] = true;
    }
}

static void turn(void)
{
    bench_turn();
    note_reached();
    for (unsigned i = 0; i < DRAWN_OPS; i++) {
        assert_true(store_ops[i].done <= 1);
        if (store_ops[i].done == 0)
            continue;
        assert_true(accepted[i]);
        if (store_ops[i].outcome == PG_UNKNOWN) /* reads never are */
            assert_true(reached[i]);
    }
}

static PGconn *any_asked(void)
{
    const unsigned made = fake_pq_made(), from = made > 0 ? draw(made) : 0;
    for (unsigned i = 0; i < made; i++) {
        PGconn *conn = fake_pq_conn((from + i) % made);
        if (fake_pq_is_asked(conn))
            return conn;
    }
    return NULL;
}

static void submit_one(void)
{
    static const enum payment_op_kind KINDS[] = {
        PAYMENT_OP_EVALUATE, PAYMENT_OP_HOLD, PAYMENT_OP_FIND,   PAYMENT_OP_CAPTURE,
        PAYMENT_OP_VOID,     PAYMENT_OP_HOLD, PAYMENT_OP_REFUND, PAYMENT_OP_INCREMENT};
    const unsigned i = draw(DRAWN_OPS);
    if (accepted[i] && store_ops[i].done == 0) {
        if (draw(3) == 0 && payment_store_cancel(store, &store_ops[i].op))
            accepted[i] = false;
        return;
    }
    if (accepted[i])
        outcomes[store_ops[i].outcome]++;
    reached[i] = false;
    struct payment_op *op = store_op(i, KINDS[draw(8)]);
    op->has_key = op->kind != PAYMENT_OP_VOID || draw(2) != 0;
    op->command.wallet_id = draw(2) ? BROKEN_WALLET : WALLET + (int64_t)draw(WALLETS);
    accepted[i] = payment_store_submit(store, op) == ERR_OK;
}

static void do_something(void)
{
    static const char *const SQLSTATES[] = {"22000", "26000", "25006", "40001",
                                            "57014", "0A000", "55P03"};
    PGconn *conn = any_asked();

    switch (draw(10)) {
    case 0:
    case 1:
    case 2:
        submit_one();
        break;
    case 3:
    case 4:
    case 5:
        if (conn != NULL)
            fake_pq_answer(conn, draw(12) == 0 ? no_row() : rows_for(conn));
        break;
    case 6:
        if (conn != NULL)
            fake_pq_answer(conn, fake_pq_error(SQLSTATES[draw(7)], draw(6) ? "ERROR" : "FATAL"));
        break;
    case 7:
        if (conn != NULL && draw(3) == 0)
            fake_pq_hang_up(conn);
        break;
    case 8:
        bench_skip_ms(draw(90));
        break;
    default:
        if (draw(4) == 0)
            fake_pq_fail((enum fake_pq_call)draw(FAKE_PQ_CALLS), 1 + draw(5), draw(2) != 0);
        break;
    }
    turn();
}

/* Answers everything until nothing is in flight, every connection is idle and the region known. */
static void settle(void)
{
    for (int call = 0; call < FAKE_PQ_CALLS; call++)
        fake_pq_fail((enum fake_pq_call)call, 0, false);
    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        PGconn *conn = any_asked();
        if (conn != NULL)
            fake_pq_answer(conn, rows_for(conn));
        else if (payment_store_quiet(store) && payment_store_health(store)->region_known &&
                 pg_pool_count(bench_pool, PG_CONN_IDLE) == 4)
            break;
        bench_skip_ms(1);
        turn();
    }
    assert_true(payment_store_quiet(store));
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 4);
}

static void assert_all_ended(void)
{
    for (unsigned i = 0; i < DRAWN_OPS; i++)
        if (accepted[i])
            assert_int_equal(store_ops[i].done, 1);
}

static void assert_works(void)
{
    wallets_are_free = true;
    store_submit_ok(63, PAYMENT_OP_HOLD);
    for (int ms = 0; ms < 50 && store_ops[63].done == 0; ms++) {
        PGconn *conn = any_asked();
        if (conn != NULL)
            fake_pq_answer(conn, rows_for(conn));
        bench_turn();
    }
    store_assert_done(63, PG_DONE);
    wallets_are_free = false;
}

static void test_random_faults_end_every_operation_once(void **state)
{
    for (unsigned seed = 1; seed <= WALKS; seed++) {
        walk = seed * 2654435761U;
        memset(accepted, 0, sizeof(accepted));
        memset(reached, 0, sizeof(reached));
        for (int step = 0; step < STEPS; step++)
            do_something();
        settle();
        assert_all_ended();
        assert_works();
        assert_int_equal(store_tear_down(state), 0);
        assert_int_equal(store_set_up(state), 0);
    }
    /* The walks went everywhere. */
    for (int outcome = 0; outcome < PG_OUTCOMES; outcome++)
        assert_true(outcomes[outcome] > 0);
}

static void run_script(void)
{
    static const enum payment_op_kind KINDS[] = {
        PAYMENT_OP_EVALUATE, PAYMENT_OP_EVALUATE, PAYMENT_OP_HOLD, PAYMENT_OP_HOLD,
        PAYMENT_OP_FIND,     PAYMENT_OP_CAPTURE,  PAYMENT_OP_VOID};
    for (unsigned i = 0; i < 7; i++)
        accepted[i] = payment_store_submit(store, store_op(i, KINDS[i])) == ERR_OK;
    for (int i = 0; i < 30; i++) {
        PGconn *conn = any_asked();
        if (conn != NULL)
            fake_pq_answer(conn, rows_for(conn));
        turn();
    }
}

/* For every function: the nth call fails, n = 1.. until the script passes without a failure. */
static void test_every_call_of_libpq_may_fail_once(void **state)
{
    (void)state;
    walk = 1;
    for (int call = 0; call < FAKE_PQ_CALLS; call++) {
        bool failed = true;
        for (unsigned nth = 1; failed; nth++) {
            assert_true(nth < 1000);
            memset(accepted, 0, sizeof(accepted));
            memset(reached, 0, sizeof(reached));
            settle();
            fake_pq_fail((enum fake_pq_call)call, nth, true);
            run_script();
            failed = fake_pq_has_failed();
            settle();
            assert_all_ended();
            assert_works();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_every_call_of_libpq_may_fail_once),
        STORE_TEST(test_random_faults_end_every_operation_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
