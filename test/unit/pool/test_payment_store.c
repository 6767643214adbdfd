/*
 * payment_store through its public header, on the real lanes and pool and a fake libpq: what is
 * asked of the database for each kind of operation, and what each answer becomes.
 */
#include "core/clock.h"
#include "rows_fixture.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int calloc_left = -1; /* calls until one fails; -1: none does */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    if (calloc_left == 0)
        return NULL;
    if (calloc_left > 0)
        calloc_left--;
    return __real_calloc(count, size);
}

/* ---- evaluate ---- */

static void test_one_evaluation(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_EVALUATE);
    PGconn *conn = store_await_asked("eval_one");
    PGresult *rows = rows_evaluate();
    rows_add_evaluate(rows, 1, "51", 42);
    fake_pq_answer(conn, rows);

    store_assert_done(0, PG_DONE);
    const struct payment_decision *decision = &store_ops[0].op.decision;
    assert_int_equal(decision->code_index, PAYMENT_CODE_FUNDS);
    assert_int_equal(decision->balance_after_minor, 42);
    assert_int_equal(decision->command.wallet_id, 100); /* as asked */
    assert_true(payment_store_quiet(store));
}

static void test_evaluations_of_one_turn_share_a_statement(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 5; i++)
        store_submit_ok(i, PAYMENT_OP_EVALUATE);
    PGconn *conn = store_await_asked("eval_batch");
    assert_false(payment_store_quiet(store));

    /* In any order; a row of nobody's is dropped; one is missing, one has no code of ours. */
    PGresult *rows = rows_evaluate();
    rows_add_evaluate(rows, 5, "00", 5);
    rows_add_evaluate(rows, 6, "00", 6);
    rows_add_evaluate(rows, 0, "00", 0);
    rows_add_evaluate(rows, 1, "00", 1);
    rows_add_evaluate(rows, 3, "zz", 3);
    rows_add_evaluate(rows, 2, "14", 2);
    fake_pq_answer(conn, rows);

    store_assert_done(0, PG_DONE);
    store_assert_done(1, PG_DONE);
    store_assert_done(2, PG_FAILED);
    store_assert_done(3, PG_FAILED);
    store_assert_done(4, PG_DONE);
    assert_int_equal(store_ops[0].op.decision.balance_after_minor, 1);
    assert_int_equal(store_ops[1].op.decision.code_index, PAYMENT_CODE_UNKNOWN_WALLET);
    assert_int_equal(store_ops[4].op.decision.balance_after_minor, 5);
}

static void test_lost_evaluation_is_asked_again(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_EVALUATE);
    fake_pq_hang_up(store_await_asked("eval_one"));
    bench_turns(2);
    assert_int_equal(store_ops[0].done, 0);

    PGresult *rows = rows_evaluate();
    rows_add_evaluate(rows, 1, "00", 1);
    fake_pq_answer(store_await_asked("eval_one"), rows);
    store_assert_done(0, PG_DONE);
}

/* ---- hold ---- */

static void answer_hold(PGconn *conn, const char *how, const struct payment_decision *decision)
{
    PGresult *rows = rows_hold();
    rows_add_hold(rows, 1, how, decision);
    fake_pq_answer(conn, rows);
}

static void test_one_hold(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    const struct payment_decision recorded = rows_decision(3);
    answer_hold(store_await_asked("hold_batch"), "replay", &recorded);

    store_assert_done(0, PG_DONE);
    assert_int_equal(store_ops[0].op.decision.how, PAYMENT_REPLAY);
    assert_int_equal(store_ops[0].op.decision.command.wallet_id, recorded.command.wallet_id);
}

static uint32_t last_u32(const struct fake_pq_sent *sent, int parameter)
{
    const unsigned char *at =
        (const unsigned char *)sent->values[parameter] + sent->lengths[parameter] - 4;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* $10 and $11 of the hold statements. */
static void test_hold_carries_what_it_took_and_what_is_left(void **state)
{
    (void)state;
    store_await_ready();
    struct payment_op *op = store_op(0, PAYMENT_OP_HOLD);
    bench_skip_ms(30);
    assert_int_equal(payment_store_submit(store, op), ERR_OK);
    const struct fake_pq_sent *sent = fake_pq_sent(store_await_asked("hold_batch"));

    assert_in_range(last_u32(sent, 9), 30 * CLOCK_US_PER_MS, 30 * CLOCK_US_PER_MS + 100);
    assert_in_range(last_u32(sent, 10), 70 * CLOCK_US_PER_MS - 100, 70 * CLOCK_US_PER_MS);
}

static void test_hold_with_no_end_in_sight(void **state)
{
    (void)state;
    store_await_ready();
    struct payment_op *op = store_op(0, PAYMENT_OP_HOLD);
    op->due_us = UINT64_MAX / 2;
    assert_int_equal(payment_store_submit(store, op), ERR_OK);
    assert_int_equal(last_u32(fake_pq_sent(store_await_asked("hold_batch")), 10), INT32_MAX);
}

static void submit_to_wallet(unsigned i, enum payment_op_kind kind, int64_t wallet_id)
{
    struct payment_op *op = store_op(i, kind);
    op->command.wallet_id = wallet_id;
    assert_int_equal(payment_store_submit(store, op), ERR_OK);
}

/* How many holds the statement on this connection has: the length of its first array. */
static uint32_t batch_of(const PGconn *conn)
{
    return (unsigned char)fake_pq_sent(conn)->values[0][15];
}

/* The rows of a batch of holds that are all decided so. */
static void answer_holds(PGconn *conn, int count, const char *how)
{
    PGresult *rows = rows_hold();
    const struct payment_decision recorded = rows_decision(0);
    for (int n = 1; n <= count; n++)
        rows_add_hold(rows, n, how, strcmp(how, "busy") == 0 ? NULL : &recorded);
    fake_pq_answer(conn, rows);
}

static void test_holds_of_one_wallet_share_a_statement_and_wait_for_it(void **state)
{
    (void)state;
    store_await_ready();
    submit_to_wallet(0, PAYMENT_OP_HOLD, 100);
    submit_to_wallet(1, PAYMENT_OP_HOLD, 100);
    PGconn *first = store_await_asked("hold_fold");
    assert_int_equal(batch_of(first), 2);
    submit_to_wallet(2, PAYMENT_OP_HOLD, 100);
    bench_turns(5);
    assert_null(store_asked("hold_batch")); /* the wallet is in one statement at a time */

    assert_int_equal(fake_pq_query_count(first), 1);
    answer_holds(first, 2, "new");
    store_assert_done(0, PG_DONE);
    store_assert_done(1, PG_DONE);
    assert_int_equal(store_ops[2].done, 0);
    answer_holds(store_await_asked("hold_batch"), 1, "new");
    store_assert_done(2, PG_DONE);
}

/* Turns and milliseconds until the statement is asked again. */
static PGconn *await_asked_again(const char *statement)
{
    bench_turns(2);
    for (int ms = 0; ms < STORE_BUDGET_MS && store_asked(statement) == NULL; ms++) {
        bench_skip_ms(1);
        bench_turns(2);
    }
    PGconn *conn = store_asked(statement);
    assert_non_null(conn);
    return conn;
}

static void test_hold_on_a_locked_wallet_waits_in_memory(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    answer_hold(store_await_asked("hold_batch"), "busy", NULL);
    bench_turns(3);
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), 4); /* it holds none meanwhile */
    assert_int_equal(store_ops[0].done, 0);
    assert_int_equal(pg_shards_stats(payment_store_wallets(store)).parked, 1);

    const struct payment_decision recorded = rows_decision(0);
    answer_hold(await_asked_again("hold_batch"), "new", &recorded);
    store_assert_done(0, PG_DONE);
}

static void test_wait_for_a_locked_wallet_has_an_end(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    answer_hold(store_await_asked("hold_batch"), "busy", NULL);
    bench_turns(2);
    bench_skip_ms(store_config.lock_timeout_ms - 1);
    bench_turns(2);
    assert_int_equal(store_ops[0].done, 0);
    answer_hold(store_asked("hold_batch"), "busy", NULL);
    bench_turns(2);
    bench_skip_ms(1);
    store_assert_done(0, PG_BUSY);
}

/* 55P03 in a batch may be anybody's; alone it is the key's, which is remembered. */
static void test_key_that_another_session_holds_is_refused_then_goes_alone(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    fake_pq_answer(store_await_asked("hold_batch"), fake_pq_error("55P03", "ERROR"));
    fake_pq_answer(store_await_next("hold_batch"), fake_pq_error("55P03", "ERROR"));
    store_assert_done(0, PG_LOCKED);
    assert_string_equal(store_ops[0].op.sqlstate, "55P03");

    assert_int_equal(payment_store_submit(store, store_op(0, PAYMENT_OP_HOLD)), ERR_CONFLICT);
    struct payment_op *other = store_op(0, PAYMENT_OP_HOLD);
    other->client_id++;
    assert_int_equal(payment_store_submit(store, other), ERR_OK);
    assert_true(payment_store_cancel(store, other));
    bench_skip_ms(500);
    store_submit_ok(0, PAYMENT_OP_HOLD);
    store_submit_ok(1, PAYMENT_OP_HOLD);
    for (int i = 0; i < 2; i++) { /* the one that waited shares no statement */
        PGconn *conn = store_await_next("hold_batch");
        assert_int_equal(batch_of(conn), 1);
        answer_holds(conn, 1, "new");
    }
    store_assert_done(0, PG_DONE);
    store_assert_done(1, PG_DONE);
}

static void test_unreadable_hold_is_unknown(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    answer_hold(store_await_asked("hold_batch"), "new", NULL);
    store_assert_done(0, PG_UNKNOWN);

    PGresult *rows = rows_hold();
    store_submit_ok(2, PAYMENT_OP_HOLD);
    const struct payment_decision recorded = rows_decision(0);
    rows_add_hold(rows, 2, "new", &recorded); /* the second of one */
    fake_pq_answer(store_await_asked("hold_batch"), rows);
    store_assert_done(2, PG_UNKNOWN);
}

static void test_lost_hold_is_unknown(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    fake_pq_hang_up(store_await_asked("hold_batch"));
    store_assert_done(0, PG_UNKNOWN);
}

static void test_key_in_flight_is_refused_until_it_is_done(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    struct payment_op *twin = store_op(1, PAYMENT_OP_HOLD);
    twin->key_hash = store_ops[0].op.key_hash;
    assert_int_equal(payment_store_submit(store, twin), ERR_CONFLICT);

    const struct payment_decision recorded = rows_decision(0);
    PGconn *conn = store_await_asked("hold_batch");
    assert_int_equal(payment_store_submit(store, twin), ERR_CONFLICT);
    answer_hold(conn, "new", &recorded);
    store_assert_done(0, PG_DONE);
    assert_int_equal(payment_store_submit(store, twin), ERR_OK);
}

static void test_cancelled_or_refused_hold_gives_its_key_back(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    assert_true(payment_store_cancel(store, &store_ops[0].op));
    store_submit_ok(0, PAYMENT_OP_HOLD);
    (void)store_await_asked("hold_batch");
    assert_false(payment_store_cancel(store, &store_ops[0].op));

    struct payment_op *late = store_op(1, PAYMENT_OP_HOLD);
    late->due_us = bench_now_us();
    assert_int_equal(payment_store_submit(store, late), ERR_TIMEOUT);
    store_submit_ok(1, PAYMENT_OP_HOLD);
}

static void test_submit_without_a_connection_is_refused(void **state)
{
    (void)state;
    static const enum payment_op_kind KINDS[] = {PAYMENT_OP_EVALUATE, PAYMENT_OP_HOLD,
                                                 PAYMENT_OP_FIND, PAYMENT_OP_CAPTURE};
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
        assert_int_equal(payment_store_submit(store, store_op(0, KINDS[i])), ERR_UNAVAILABLE);
}

/* ---- find and void ---- */

/* By then it is the same hash as in every other process on this database. */
static void test_key_has_a_hash_once_the_database_has_told(void **state)
{
    (void)state;
    struct secret_mac hash, other;
    struct secret_mac_key key;
    secret_mac_key_set(&key, ROWS_IDEMPOTENCY_KEY);
    const struct secret_mac expected = secret_mac(&key, SPAN("k-1"));
    assert_false(payment_store_hash_key(store, SPAN("k-1"), &hash));

    store_await_ready();

    assert_true(payment_store_hash_key(store, SPAN("k-1"), &hash));
    assert_memory_equal(&hash, &expected, sizeof(hash));
    assert_true(payment_store_hash_key(store, SPAN("k-2"), &other));
    assert_memory_not_equal(&hash, &other, sizeof(hash));
}

/* Who has no key to wait for waits for a table. */
static void test_lock_without_a_key_is_a_timeout(void **state)
{
    (void)state;
    static const struct {
        enum payment_op_kind kind;
        const char *statement;
    } CASES[] = {{PAYMENT_OP_FIND, "find"},
                 {PAYMENT_OP_VOID, "step_batch"},
                 {PAYMENT_OP_EVALUATE, "eval_one"}};
    store_await_ready();
    for (unsigned i = 0; i < 3; i++) {
        struct payment_op *op = store_op(i, CASES[i].kind);
        op->has_key = false;
        assert_int_equal(payment_store_submit(store, op), ERR_OK);
        fake_pq_answer(store_await_asked(CASES[i].statement), fake_pq_error("55P03", "ERROR"));
        fake_pq_answer(store_await_next(CASES[i].statement), fake_pq_error("55P03", "ERROR"));
        store_assert_done(i, PG_TIMED_OUT);
        store_submit_ok(i, PAYMENT_OP_HOLD); /* nothing is held against its key */
        assert_true(payment_store_cancel(store, &store_ops[i].op));
    }
}

static void test_find(void **state)
{
    (void)state;
    store_await_ready();
    static const enum payment_op_kind KINDS[] = {PAYMENT_OP_FIND, PAYMENT_OP_FIND_KEY};
    static const char *const NAMES[] = {"find", "find_key"};
    for (uint32_t i = 0; i < 2; i++) {
        const struct payment_decision recorded = rows_decision(2);
        store_submit_ok(0, KINDS[i]);
        fake_pq_answer(store_await_asked(NAMES[i]), rows_find(&recorded, i));
        store_assert_done(0, PG_DONE);
        assert_true(store_ops[0].op.found);
        assert_int_equal(store_ops[0].op.read->entry_count, i);
        assert_int_equal(store_ops[0].op.decision.balance_after_minor,
                         recorded.balance_after_minor);
    }
}

static void test_reports_come_one_after_another(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_WALLET);
    store_submit_ok(1, PAYMENT_OP_TRANSACTIONS);
    store_ops[1].op.page = (struct payment_page_ask){.before_version = INT64_MAX, .limit = 2};
    PGconn *conn = store_await_asked("wallet");
    assert_null(store_asked("transactions"));

    fake_pq_answer(conn, rows_wallet("A"));
    store_assert_done(0, PG_DONE);
    assert_true(store_ops[0].op.found);
    assert_int_equal(store_ops[0].op.read->wallet.balance_minor, 4);
    fake_pq_answer(store_await_asked("transactions"), rows_page(1, 9, 3));
    store_assert_done(1, PG_DONE);
    assert_int_equal(store_ops[1].op.read->entry_count, 2);
    assert_int_equal(store_ops[1].op.read->page.next_version, 8);
}

static void test_find_of_nulls_found_nothing(void **state)
{
    (void)state;
    const struct payment_decision any = rows_decision(0);
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_FIND);
    rows_damage(0, ROWS_NULL);
    fake_pq_answer(store_await_asked("find"), rows_find(&any, 0));
    store_assert_done(0, PG_DONE);
    assert_false(store_ops[0].op.found);
}

/* ---- residency ---- */

static const struct {
    enum payment_op_kind kind;
    const char *statement;
} STATEMENTS[] = {{PAYMENT_OP_EVALUATE, "eval_one"},        {PAYMENT_OP_HOLD, "hold_batch"},
                  {PAYMENT_OP_CAPTURE, "step_batch"},       {PAYMENT_OP_FIND, "find"},
                  {PAYMENT_OP_FIND_KEY, "find_key"},        {PAYMENT_OP_WALLET, "wallet"},
                  {PAYMENT_OP_TRANSACTIONS, "transactions"}};
enum { KIND_COUNT = sizeof(STATEMENTS) / sizeof(STATEMENTS[0]) };

static void test_nothing_is_sent_before_the_region_is_known(void **state)
{
    (void)state;
    store_server.silent = true;
    bench_await(PG_CONN_IDLE, 4);
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        assert_int_equal(payment_store_submit(store, store_op(i, STATEMENTS[i].kind)),
                         ERR_UNAVAILABLE);
        bench_turns(3);
        assert_null(store_asked(STATEMENTS[i].statement));
    }

    store_server.silent = false;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_EVALUATE);
    assert_non_null(store_await_asked("eval_one"));
}

static void test_nothing_is_sent_to_another_region(void **state)
{
    (void)state;
    store_server.region = "us-1";
    for (int i = 0; i < BENCH_TURNS_MAX && store_server.probes == 0; i++)
        store_turn();
    bench_await(PG_CONN_IDLE, 4);
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        assert_int_equal(payment_store_submit(store, store_op(i, STATEMENTS[i].kind)),
                         ERR_ELSEWHERE);
        bench_turns(3);
        assert_null(store_asked(STATEMENTS[i].statement));
    }
    assert_true(payment_store_quiet(store));
}

/* Not one row: the statement itself found that the database is another region's. The probe is asked
 * at once. */
static void test_statement_that_finds_another_region_did_nothing(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        const unsigned probes = store_server.probes;
        const uint64_t from_us = bench_now_us();
        store_submit_ok(i, STATEMENTS[i].kind);
        fake_pq_answer(store_await_asked(STATEMENTS[i].statement), fake_pq_rows(12));
        store_assert_done(i, PG_ELSEWHERE);
        for (int turn = 0; turn < BENCH_TURNS_MAX && store_server.probes == probes; turn++)
            store_turn();
        assert_true(bench_now_us() - from_us < store_config.db_probe_interval_ms * CLOCK_US_PER_MS);
    }
}

/* One of the connections went astray, the probe's did not: all of the service's are replaced. */
static void test_connections_are_replaced_when_one_went_astray(void **state)
{
    (void)state;
    store_await_ready();
    const unsigned made = fake_pq_made();
    store_submit_ok(0, PAYMENT_OP_EVALUATE);
    fake_pq_answer(store_await_asked("eval_one"), fake_pq_rows(3));
    store_assert_done(0, PG_ELSEWHERE);
    for (int ms = 0; ms < 5000 && fake_pq_made() < made + 4; ms++) {
        bench_skip_ms(1);
        store_turns(2);
    }
    assert_true(fake_pq_made() >= made + 4);
    assert_true(payment_store_ready(store));
}

static void test_unreadable_find_fails(void **state)
{
    (void)state;
    store_await_ready();
    const struct payment_decision recorded = rows_decision(0);
    rows_damage(0, ROWS_SHORT);
    store_submit_ok(0, PAYMENT_OP_FIND);
    fake_pq_answer(store_await_asked("find"), rows_find(&recorded, 0));
    store_assert_done(0, PG_FAILED);
}

/* ---- answers that arrive after their member is gone ---- */

static void test_answer_after_the_operation_timed_out_is_dropped(void **state)
{
    (void)state;
    static const struct {
        enum payment_op_kind kind;
        const char *statement;
        enum pg_outcome outcome;
    } KINDS[] = {{PAYMENT_OP_EVALUATE, "eval_one", PG_TIMED_OUT},
                 {PAYMENT_OP_HOLD, "hold_batch", PG_UNKNOWN},
                 {PAYMENT_OP_FIND, "find", PG_TIMED_OUT},
                 {PAYMENT_OP_FIND_KEY, "find_key", PG_TIMED_OUT},
                 {PAYMENT_OP_WALLET, "wallet", PG_TIMED_OUT},
                 {PAYMENT_OP_TRANSACTIONS, "transactions", PG_TIMED_OUT},
                 {PAYMENT_OP_VOID, "step_batch", PG_UNKNOWN}};
    store_await_ready();
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
        const struct payment_decision recorded = rows_decision(0);
        const struct payment_step_decision step = rows_step_decision(0);
        PGresult *rows = NULL;
        store_submit_ok(0, KINDS[i].kind);
        PGconn *conn = store_await_asked(KINDS[i].statement);
        bench_skip_ms(STORE_BUDGET_MS);
        store_assert_done(0, KINDS[i].outcome);
        memset(&store_ops[0], 0xA5, sizeof(store_ops[0])); /* its owner has reused it */

        switch (KINDS[i].kind) {
        case PAYMENT_OP_EVALUATE:
            rows = rows_evaluate();
            rows_add_evaluate(rows, 1, "00", 1);
            break;
        case PAYMENT_OP_HOLD:
            rows = rows_hold();
            rows_add_hold(rows, 1, "new", &recorded);
            break;
        case PAYMENT_OP_FIND:
        case PAYMENT_OP_FIND_KEY:
            rows = rows_find(&recorded, 0);
            break;
        case PAYMENT_OP_WALLET:
            rows = rows_wallet("A");
            break;
        case PAYMENT_OP_TRANSACTIONS:
            rows = rows_page(1, 9, 1);
            break;
        case PAYMENT_OP_CAPTURE:
        case PAYMENT_OP_VOID:
        case PAYMENT_OP_INCREMENT:
        case PAYMENT_OP_REFUND:
            rows = rows_step();
            rows_add_step(rows, 1, "new", &step);
            break;
        }
        fake_pq_answer(conn, rows);
        bench_turns(3);

        const unsigned char *bytes = (const unsigned char *)&store_ops[0];
        for (size_t at = 0; at < sizeof(store_ops[0]); at++)
            assert_int_equal(bytes[at], 0xA5);
    }
}

/* Of a batch one has timed out when the rows come: the others get theirs. */
static void test_late_batch_still_answers_the_others(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 3; i++) {
        struct payment_op *op = store_op(i, PAYMENT_OP_EVALUATE);
        op->due_us += i == 1 ? 0 : (uint64_t)STORE_BUDGET_MS * CLOCK_US_PER_MS;
        assert_int_equal(payment_store_submit(store, op), ERR_OK);
    }
    PGconn *conn = store_await_asked("eval_batch");
    bench_skip_ms(STORE_BUDGET_MS);
    store_assert_done(1, PG_TIMED_OUT);
    PGresult *rows = rows_evaluate();
    for (int n = 1; n <= 3; n++)
        rows_add_evaluate(rows, n, "00", n);
    fake_pq_answer(conn, rows);
    store_assert_done(0, PG_DONE);
    store_assert_done(2, PG_DONE);
    assert_int_equal(store_ops[1].done, 1);
}

/* ---- the server's refusals ---- */

static void test_forgotten_statement_is_asked_again(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    fake_pq_answer(store_await_asked("hold_batch"), fake_pq_error("26000", "ERROR"));
    const struct payment_decision recorded = rows_decision(0);
    answer_hold(store_await_next("hold_batch"), "new", &recorded);
    store_assert_done(0, PG_DONE);
    assert_int_equal(pg_pool_stats(bench_pool)->reprepare_total, 1);
}

static void test_refused_twice_is_failed(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_HOLD);
    fake_pq_answer(store_await_asked("hold_batch"), fake_pq_error("22003", "ERROR"));
    fake_pq_answer(store_await_next("hold_batch"), fake_pq_error("22003", "ERROR"));
    store_assert_done(0, PG_FAILED);
}

static void test_servers_own_timeout_is_timed_out(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_VOID);
    fake_pq_answer(store_await_asked("step_batch"), fake_pq_error("57014", "ERROR"));
    store_assert_done(0, PG_TIMED_OUT);
}

/* ---- the whole ---- */

/* The one step on this connection is done. */
static void answer_step(PGconn *conn)
{
    PGresult *rows = rows_step();
    const struct payment_step_decision done = rows_step_decision(0);
    rows_add_step(rows, 1, "new", &done);
    fake_pq_answer(conn, rows);
}

static void test_lanes_and_times_have_names(void **state)
{
    (void)state;
    static const char *const LANES[] = {"hold", "step", "read", "evaluate", "report"};
    assert_int_equal(payment_store_lane_count(), 6);
    for (uint32_t i = 0; i < 5; i++)
        assert_string_equal(pg_lane_name(payment_store_lane(store, i)), LANES[i]);
}

static void test_times_are_kept_for_each_kind(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_VOID);
    answer_step(store_await_asked("step_batch"));
    store_assert_done(0, PG_DONE);

    uint32_t index = 0;
    const struct histogram *time;
    const char *name;
    for (; (time = payment_store_query_time(store, index, &name)) != NULL; index++) {
        const bool used = strcmp(name, "void") == 0 || strcmp(name, "probe") == 0;
        assert_int_equal(time->count, used ? 1 : 0);
    }
    assert_int_equal(index, PAYMENT_OP_KINDS + 2);
}

static void test_stop_ends_the_probe_and_leaves_the_lanes(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_VOID);
    PGconn *conn = store_await_asked("step_batch");
    payment_store_stop(store);
    payment_store_stop(store); /* twice is once */
    assert_null(store_probe_conn());
    bench_skip_ms(50);
    bench_turns(5);
    assert_null(store_asked("probe"));
    assert_true(payment_store_ready(store)); /* as it was */

    answer_step(conn);
    store_assert_done(0, PG_DONE);
    store_submit_ok(1, PAYMENT_OP_VOID);
    answer_step(store_await_asked("step_batch"));
    store_assert_done(1, PG_DONE);
}

static void test_stop_with_a_probe_in_flight(void **state)
{
    (void)state;
    store_await_ready();
    bench_skip_ms(store_config.db_probe_interval_ms);
    (void)store_await_asked("probe");
    payment_store_stop(store);
    bench_turns(3);
    assert_null(store_probe_conn());
    assert_int_equal(pg_pool_usable(bench_pool), 4);
}

static void test_create_without_memory_leaves_nothing(void **state)
{
    (void)state;
    int failed = 0;
    for (int nth = 0; nth < 50; nth++) {
        struct payment_store *made = NULL;
        calloc_left = nth;
        const enum err err =
            payment_store_create(&made, bench_pool, &bench_config, &store_config, 4);
        calloc_left = -1;
        if (err == ERR_OK) {
            payment_store_destroy(made);
            break;
        }
        assert_int_equal(err, ERR_SYSTEM);
        assert_null(made);
        failed++;
    }
    /* The store, its tables of keys and of wallets, the share, two books, six lanes, the probe's
     * pool. */
    assert_true(failed >= 13);
    payment_store_destroy(NULL);
    store_await_ready(); /* nothing of the failed ones listens any more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_one_evaluation),
        STORE_TEST(test_evaluations_of_one_turn_share_a_statement),
        STORE_TEST(test_lost_evaluation_is_asked_again),
        STORE_TEST(test_one_hold),
        STORE_TEST(test_hold_carries_what_it_took_and_what_is_left),
        STORE_TEST(test_hold_with_no_end_in_sight),
        STORE_TEST(test_holds_of_one_wallet_share_a_statement_and_wait_for_it),
        STORE_TEST(test_hold_on_a_locked_wallet_waits_in_memory),
        STORE_TEST(test_wait_for_a_locked_wallet_has_an_end),
        STORE_TEST(test_key_that_another_session_holds_is_refused_then_goes_alone),
        STORE_TEST(test_unreadable_hold_is_unknown),
        STORE_TEST(test_lost_hold_is_unknown),
        STORE_TEST(test_key_in_flight_is_refused_until_it_is_done),
        STORE_TEST(test_cancelled_or_refused_hold_gives_its_key_back),
        STORE_TEST(test_submit_without_a_connection_is_refused),
        STORE_TEST(test_key_has_a_hash_once_the_database_has_told),
        STORE_TEST(test_lock_without_a_key_is_a_timeout),
        STORE_TEST(test_find),
        STORE_TEST(test_reports_come_one_after_another),
        STORE_TEST(test_find_of_nulls_found_nothing),
        STORE_TEST(test_nothing_is_sent_before_the_region_is_known),
        STORE_TEST(test_nothing_is_sent_to_another_region),
        STORE_TEST(test_statement_that_finds_another_region_did_nothing),
        STORE_TEST(test_connections_are_replaced_when_one_went_astray),
        STORE_TEST(test_unreadable_find_fails),
        STORE_TEST(test_answer_after_the_operation_timed_out_is_dropped),
        STORE_TEST(test_late_batch_still_answers_the_others),
        STORE_TEST(test_forgotten_statement_is_asked_again),
        STORE_TEST(test_refused_twice_is_failed),
        STORE_TEST(test_servers_own_timeout_is_timed_out),
        STORE_TEST(test_lanes_and_times_have_names),
        STORE_TEST(test_times_are_kept_for_each_kind),
        STORE_TEST(test_stop_ends_the_probe_and_leaves_the_lanes),
        STORE_TEST(test_stop_with_a_probe_in_flight),
        STORE_TEST(test_create_without_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
