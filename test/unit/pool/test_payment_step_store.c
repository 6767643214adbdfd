/*
 * Steps through payment_store, on the real lanes and pool and a fake libpq: who shares a statement,
 * what each answer becomes, and what is told of those whose statement was lost, late or refused.
 */
#include "core/clock.h"
#include "rows_fixture.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const enum payment_op_kind STEPS[] = {PAYMENT_OP_CAPTURE, PAYMENT_OP_VOID,
                                             PAYMENT_OP_INCREMENT, PAYMENT_OP_REFUND};
enum { STEP_KINDS = sizeof(STEPS) / sizeof(STEPS[0]) };

/* How many members the statement on this connection has: the length of its first array. */
static uint32_t batch_of(const PGconn *conn)
{
    return (unsigned char)fake_pq_sent(conn)->values[0][15];
}

/* Which operation member m of it is: its txn_id's bytes are all i + 1. */
static unsigned op_of(const PGconn *conn, uint32_t m)
{
    const char *ids = fake_pq_sent(conn)->values[0] + 20;
    return (unsigned)(unsigned char)ids[m * (4 + UUID7_BYTES) + 4] - 1;
}

static bool has_op(const PGconn *conn, unsigned i)
{
    for (uint32_t m = 0; m < batch_of(conn); m++)
        if (op_of(conn, m) == i)
            return true;
    return false;
}

static void answer_all(PGconn *conn, const char *how)
{
    const struct payment_step_decision recorded = rows_step_decision(0);
    PGresult *rows = rows_step();
    for (uint32_t n = 1; n <= batch_of(conn); n++)
        rows_add_step(rows, (int)n, how, &recorded);
    fake_pq_answer(conn, rows);
}

/* Milliseconds until the statement is asked again. */
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

static void submit_to_wallet(unsigned i, int64_t wallet_id)
{
    struct payment_op *op = store_op(i, PAYMENT_OP_HOLD);
    op->command.wallet_id = wallet_id;
    assert_int_equal(payment_store_submit(store, op), ERR_OK);
}

static void answer_hold(PGconn *conn)
{
    const struct payment_decision recorded = rows_decision(0);
    PGresult *rows = rows_hold();
    rows_add_hold(rows, 1, "new", &recorded);
    fake_pq_answer(conn, rows);
}

/* ---- one statement ---- */

static void test_steps_of_one_turn_share_a_statement(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 8; i++)
        store_submit_ok(i, STEPS[i % STEP_KINDS]);
    PGconn *conn = store_await_asked("step_batch");
    assert_int_equal(batch_of(conn), 8);
    answer_all(conn, "new");

    for (unsigned i = 0; i < 8; i++) {
        store_assert_done(i, PG_DONE);
        assert_int_equal(store_ops[i].op.step_decision.how, PAYMENT_STEP_NEW);
    }
    assert_true(payment_store_quiet(store));
}

/* Each member gets its own row, whatever their order and whatever each is told. */
static void test_every_step_is_told_its_own(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum payment_step_how how;
    } ROWS[] = {{"new", PAYMENT_STEP_NEW},
                {"replay", PAYMENT_STEP_REPLAY},
                {"race", PAYMENT_STEP_RACE},
                {"late", PAYMENT_STEP_LATE},
                {"not_found", PAYMENT_STEP_NOT_FOUND},
                {"resolved", PAYMENT_STEP_RESOLVED},
                {"exceeds", PAYMENT_STEP_EXCEEDS},
                {"too_many", PAYMENT_STEP_TOO_MANY}};
    store_await_ready();
    for (unsigned i = 0; i < 8; i++)
        store_submit_ok(i, PAYMENT_OP_CAPTURE);
    PGconn *conn = store_await_asked("step_batch");
    PGresult *rows = rows_step();
    for (int i = 7; i >= 0; i--) {
        const struct payment_step_decision recorded = rows_step_decision(i);
        rows_add_step(rows, i + 1, ROWS[i].word, &recorded);
    }
    fake_pq_answer(conn, rows);

    for (unsigned i = 0; i < 8; i++) {
        const struct payment_step_decision *decision = &store_ops[i].op.step_decision;
        const struct payment_step_decision recorded = rows_step_decision((int)i);
        store_assert_done(i, PG_DONE);
        assert_int_equal(decision->how, ROWS[i].how);
        if (i < 3)
            assert_int_equal(decision->balance_after_minor, recorded.balance_after_minor);
    }
    assert_int_equal(store_ops[5].op.step_decision.state, PAYMENT_EXPIRED);
    assert_int_equal(store_ops[6].op.step_decision.limit_minor, 906);
}

/* Rows of nobody's are dropped; a member without a row that makes sense may have moved money. */
static void test_a_step_left_out_or_unreadable_is_unknown(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 4; i++)
        store_submit_ok(i, PAYMENT_OP_CAPTURE);
    PGconn *conn = store_await_asked("step_batch");
    const struct payment_step_decision recorded = rows_step_decision(0);
    struct payment_step_decision unsound = recorded;
    unsound.amounts.refunded_minor = unsound.amounts.captured_minor + 1;
    PGresult *rows = rows_step();
    rows_add_step(rows, 0, "new", &recorded);
    rows_add_step(rows, 5, "new", &recorded);
    rows_add_step(rows, 1, "new", &recorded);
    rows_add_step(rows, 3, "done", &recorded);
    rows_add_step(rows, 4, "new", &unsound);
    fake_pq_answer(conn, rows);

    store_assert_done(0, PG_DONE);
    for (unsigned i = 1; i < 4; i++)
        store_assert_done(i, PG_UNKNOWN);
}

/* ---- keys ---- */

static void test_a_key_is_in_flight_once_for_holds_and_steps(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_CAPTURE);
    for (unsigned i = 0; i < STEP_KINDS; i++) {
        struct payment_op *twin = store_op(1, STEPS[i]);
        twin->key_hash = store_ops[0].op.key_hash;
        assert_int_equal(payment_store_submit(store, twin), ERR_CONFLICT);
    }
    struct payment_op *hold = store_op(1, PAYMENT_OP_HOLD);
    hold->key_hash = store_ops[0].op.key_hash;
    assert_int_equal(payment_store_submit(store, hold), ERR_CONFLICT);

    answer_all(store_await_asked("step_batch"), "new");
    store_assert_done(0, PG_DONE);
    assert_int_equal(payment_store_submit(store, hold), ERR_OK);
}

static void test_voids_without_a_key_meet_nobody(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 3; i++) {
        struct payment_op *op = store_op(i, PAYMENT_OP_VOID);
        op->has_key = false;
        memset(&op->key_hash, 0, sizeof(op->key_hash));
        assert_int_equal(payment_store_submit(store, op), ERR_OK);
    }
    PGconn *conn = store_await_asked("step_batch");
    assert_int_equal(batch_of(conn), 3);
    const unsigned char *hashes = (const unsigned char *)fake_pq_sent(conn)->values[3];
    assert_int_equal(fake_pq_sent(conn)->lengths[3], 20 + 3 * 4); /* three NULLs */
    assert_int_equal(hashes[20], 0xff);
    answer_all(conn, "new");
    for (unsigned i = 0; i < 3; i++)
        store_assert_done(i, PG_DONE);
}

static void test_a_cancelled_step_gives_its_key_back(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_REFUND);
    assert_true(payment_store_cancel(store, &store_ops[0].op));
    store_submit_ok(0, PAYMENT_OP_REFUND);
    (void)store_await_asked("step_batch");
    assert_false(payment_store_cancel(store, &store_ops[0].op));
}

/* 55P03 alone, twice: the key is another session's. Then it shares no statement, though its wallet
 * is not known. */
static void test_a_key_that_another_session_holds_goes_alone(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_CAPTURE);
    fake_pq_answer(store_await_asked("step_batch"), fake_pq_error("55P03", "ERROR"));
    fake_pq_answer(store_await_next("step_batch"), fake_pq_error("55P03", "ERROR"));
    store_assert_done(0, PG_LOCKED);
    assert_int_equal(payment_store_submit(store, store_op(0, PAYMENT_OP_CAPTURE)), ERR_CONFLICT);

    bench_skip_ms(500);
    for (unsigned i = 0; i < 3; i++)
        store_submit_ok(i, PAYMENT_OP_CAPTURE);
    for (int i = 0; i < 2; i++) {
        PGconn *conn = store_await_next("step_batch");
        assert_int_equal(batch_of(conn), has_op(conn, 0) ? 1 : 2);
        answer_all(conn, "new");
    }
    for (unsigned i = 0; i < 3; i++)
        store_assert_done(i, PG_DONE);
}

/* ---- busy ---- */

/* Now its wallet is known: it waits in that wallet's line, and with it. */
static void test_a_step_of_a_locked_wallet_joins_the_wallets_line(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_VOID);
    answer_all(store_await_asked("step_batch"), "busy");
    bench_turns(2);
    assert_int_equal(store_ops[0].done, 0);
    assert_int_equal(pg_lane_waiting(store_ops[0].op.member.lane), 1);
    submit_to_wallet(1, ROWS_BUSY_WALLET);
    bench_turns(3);
    assert_null(store_asked("hold_batch")); /* behind the void, which is parked */

    PGconn *conn = await_asked_again("step_batch");
    bench_turns(3);
    assert_null(store_asked("hold_batch"));
    answer_all(conn, "new");
    store_assert_done(0, PG_DONE);
    answer_hold(await_asked_again("hold_batch"));
    store_assert_done(1, PG_DONE);
}

/* Those that are told go on, those whose wallet is locked wait together and fold. */
static void test_of_one_statement_only_the_busy_wait(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 6; i++)
        store_submit_ok(i, PAYMENT_OP_CAPTURE);
    PGconn *conn = store_await_asked("step_batch");
    const struct payment_step_decision recorded = rows_step_decision(0);
    PGresult *rows = rows_step();
    for (int n = 1; n <= 6; n++)
        rows_add_step(rows, n, n % 2 ? "busy" : "new", &recorded);
    fake_pq_answer(conn, rows);
    for (unsigned i = 1; i < 6; i += 2)
        store_assert_done(i, PG_DONE);

    conn = await_asked_again("step_batch");
    assert_int_equal(batch_of(conn), 3);
    for (uint32_t m = 0; m < 3; m++)
        assert_int_equal(op_of(conn, m), 2 * m); /* in order of arrival */
    assert_int_equal(pg_lane_stats(store_ops[0].op.member.lane)->folded_total, 2);
    answer_all(conn, "new");
    for (unsigned i = 0; i < 6; i += 2)
        store_assert_done(i, PG_DONE);
}

static void test_a_step_waits_for_a_locked_wallet_only_so_long(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_REFUND);
    answer_all(store_await_asked("step_batch"), "busy");
    for (unsigned ms = 0; ms < STORE_BUDGET_MS && store_ops[0].done == 0; ms++) {
        bench_skip_ms(1);
        bench_turns(2);
        if (store_asked("step_batch") != NULL)
            answer_all(store_asked("step_batch"), "busy");
        bench_turns(2);
    }
    store_assert_done(0, PG_BUSY);
    struct payment_op *again = store_op(0, PAYMENT_OP_REFUND);
    assert_int_equal(payment_store_submit(store, again), ERR_OK); /* its key is free */
}

static void test_a_step_that_is_busy_without_a_wallet_is_unknown(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_CAPTURE);
    PGconn *conn = store_await_asked("step_batch");
    rows_damage(11, ROWS_NULL);
    answer_all(conn, "busy");
    store_assert_done(0, PG_UNKNOWN);
}

/* ---- the wallet of a hold that was made here ---- */

/* A hold of this wallet, done; it has the id that rows_decision(0) tells. */
static void make_hold(unsigned i, const char *how, uint8_t code_index)
{
    struct payment_decision recorded = rows_decision(0);
    recorded.code_index = code_index;
    store_submit_ok(i, PAYMENT_OP_HOLD);
    PGconn *conn = store_await_next("hold_batch");
    PGresult *rows = rows_hold();
    rows_add_hold(rows, 1, how, &recorded);
    fake_pq_answer(conn, rows);
    store_assert_done(i, PG_DONE);
}

/* Whose line a step of that hold would wait in; 0: nobody's. */
static uint64_t shard_of_step(int32_t client_id)
{
    struct payment_op *op = store_op(9, PAYMENT_OP_CAPTURE);
    op->client_id = client_id;
    op->step.hold_id = rows_decision(0).txn_id;
    assert_int_equal(payment_store_submit(store, op), ERR_OK);
    const uint64_t shard = op->member.shard;
    assert_true(payment_store_cancel(store, op));
    return shard;
}

static void test_a_step_of_a_hold_made_here_knows_its_wallet(void **state)
{
    (void)state;
    const uint64_t wallet_id = (uint64_t)rows_decision(0).command.wallet_id;
    store_await_ready();
    assert_int_equal(shard_of_step(7), 0);
    make_hold(0, "replay", PAYMENT_CODE_APPROVED); /* the caller may be told of another hold */
    assert_int_equal(shard_of_step(7), 0);
    make_hold(0, "new", PAYMENT_CODE_FUNDS);
    assert_int_equal(shard_of_step(7), 0);

    make_hold(0, "new", PAYMENT_CODE_APPROVED);

    assert_int_equal(shard_of_step(7), wallet_id);
    assert_int_equal(shard_of_step(8), 0); /* another client's step is told nothing, by no delay */
}

static void test_a_step_that_was_done_tells_its_holds_wallet(void **state)
{
    (void)state;
    struct payment_step_decision done = rows_step_decision(0);
    static const char *const HOWS[] = {"replay", "race", "new"};
    done.hold_id = rows_decision(0).txn_id;
    store_await_ready();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(shard_of_step(7), 0);
        store_submit_ok(0, PAYMENT_OP_CAPTURE);
        PGresult *rows = rows_step();
        rows_add_step(rows, 1, HOWS[i], &done);
        fake_pq_answer(store_await_next("step_batch"), rows);
        store_assert_done(0, PG_DONE);
    }
    assert_int_equal(shard_of_step(7), (uint64_t)done.wallet_id);
}

/* It waits while a statement of ours has the wallet, and costs the database no question. */
static void test_a_step_waits_for_its_wallets_hold_in_memory(void **state)
{
    (void)state;
    store_await_ready();
    make_hold(0, "new", PAYMENT_CODE_APPROVED);
    submit_to_wallet(1, rows_decision(0).command.wallet_id);
    PGconn *conn = store_await_asked("hold_batch");
    for (unsigned i = 2; i < 5; i++) {
        struct payment_op *op = store_op(i, STEPS[i % STEP_KINDS]);
        op->step.hold_id = rows_decision(0).txn_id;
        assert_int_equal(payment_store_submit(store, op), ERR_OK);
    }
    bench_turns(5);
    assert_null(store_asked("step_batch"));

    answer_hold(conn);
    conn = store_await_asked("step_batch");
    assert_int_equal(batch_of(conn), 3);
    for (uint32_t m = 0; m < 3; m++)
        assert_int_equal(op_of(conn, m), 2 + m);
    answer_all(conn, "new");
    for (unsigned i = 1; i < 5; i++)
        store_assert_done(i, PG_DONE);
}

/* ---- what may have been applied ---- */

static void test_lost_steps_are_unknown(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < STEP_KINDS; i++)
        store_submit_ok(i, STEPS[i]);
    fake_pq_hang_up(store_await_asked("step_batch"));
    for (unsigned i = 0; i < STEP_KINDS; i++)
        store_assert_done(i, PG_UNKNOWN);
    store_submit_ok(0, STEPS[0]); /* the key may be asked about again */
}

/* Of one statement some are due before it is answered: they are unknown, their keys are free and
 * their storage is another's; the rows of the others are theirs. */
static void test_a_late_batch_still_answers_the_others(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 5; i++) {
        struct payment_op *op = store_op(i, PAYMENT_OP_CAPTURE);
        op->due_us += i % 2 ? 0 : (uint64_t)STORE_BUDGET_MS * CLOCK_US_PER_MS;
        assert_int_equal(payment_store_submit(store, op), ERR_OK);
    }
    PGconn *conn = store_await_asked("step_batch");
    bench_skip_ms(STORE_BUDGET_MS);
    store_assert_done(1, PG_UNKNOWN);
    store_assert_done(3, PG_UNKNOWN);
    memset(&store_ops[1], 0xA5, sizeof(store_ops[1]));
    store_submit_ok(3, PAYMENT_OP_CAPTURE); /* the same key, asked again */
    PGresult *rows = rows_step();
    for (int n = 1; n <= 5; n++) {
        const struct payment_step_decision recorded = rows_step_decision(n);
        rows_add_step(rows, n, n == 3 ? "busy" : "new", &recorded);
    }
    fake_pq_answer(conn, rows);

    store_assert_done(0, PG_DONE);
    store_assert_done(4, PG_DONE);
    assert_int_equal(store_ops[4].op.step_decision.wallet_id, 105);
    assert_int_equal(store_ops[3].done, 0);
    const unsigned char *bytes = (const unsigned char *)&store_ops[1];
    for (size_t at = 0; at < sizeof(store_ops[1]); at++)
        assert_int_equal(bytes[at], 0xA5);
}

/* A wallet that was found locked, and a budget that ends while the question is out again: nothing
 * was moved by the first one, and of the second nobody knows. */
static void test_a_busy_step_that_is_asked_again_and_lost_is_unknown(void **state)
{
    (void)state;
    store_await_ready();
    store_submit_ok(0, PAYMENT_OP_CAPTURE);
    answer_all(store_await_asked("step_batch"), "busy");
    fake_pq_hang_up(await_asked_again("step_batch"));
    store_assert_done(0, PG_UNKNOWN);
}

/* ---- the server's refusals ---- */

/* A chain that lost a key behind an approved member divides by zero; nothing of the statement is
 * written, and halves of it are asked until each has its answer. */
static void test_a_broken_chain_is_halved_until_all_are_answered(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 8; i++)
        store_submit_ok(i, STEPS[i % STEP_KINDS]);
    unsigned statements = 0;
    for (PGconn *conn = store_await_asked("step_batch"); conn != NULL; statements++) {
        if (batch_of(conn) > 1 && has_op(conn, 5))
            fake_pq_answer(conn, fake_pq_error("22012", "ERROR"));
        else
            answer_all(conn, has_op(conn, 5) ? "replay" : "new");
        for (int turn = 0; turn < 5 && (turn == 0 || store_asked("step_batch") == NULL); turn++)
            bench_turn();
        conn = store_asked("step_batch");
    }
    assert_int_equal(statements, 7); /* 8; 4 4; 2 2; 1 1 */
    for (unsigned i = 0; i < 8; i++) {
        store_assert_done(i, PG_DONE);
        assert_int_equal(store_ops[i].op.step_decision.how,
                         i == 5 ? PAYMENT_STEP_REPLAY : PAYMENT_STEP_NEW);
    }
}

/* What fails alone fails for itself. */
static void test_a_step_that_cannot_be_written_fails_alone(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 4; i++)
        store_submit_ok(i, PAYMENT_OP_CAPTURE);
    for (PGconn *conn = store_await_asked("step_batch"); conn != NULL;) {
        if (has_op(conn, 2))
            fake_pq_answer(conn, fake_pq_error("23514", "ERROR"));
        else
            answer_all(conn, "new");
        for (int turn = 0; turn < 5 && (turn == 0 || store_asked("step_batch") == NULL); turn++)
            bench_turn();
        conn = store_asked("step_batch");
    }
    for (unsigned i = 0; i < 4; i++)
        store_assert_done(i, i == 2 ? PG_FAILED : PG_DONE);
    assert_string_equal(store_ops[2].op.sqlstate, "23514");
    assert_int_equal(pg_shards_stats(payment_store_wallets(store)).alone, 0); /* nobody's wallet */
}

static void test_steps_that_meet_a_serialization_failure_go_again_together(void **state)
{
    (void)state;
    store_await_ready();
    for (unsigned i = 0; i < 4; i++)
        store_submit_ok(i, STEPS[i]);
    fake_pq_answer(store_await_asked("step_batch"), fake_pq_error("40P01", "ERROR"));
    PGconn *conn = store_await_next("step_batch");
    assert_int_equal(batch_of(conn), 4);
    answer_all(conn, "new");
    for (unsigned i = 0; i < 4; i++)
        store_assert_done(i, PG_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_steps_of_one_turn_share_a_statement),
        STORE_TEST(test_every_step_is_told_its_own),
        STORE_TEST(test_a_step_left_out_or_unreadable_is_unknown),
        STORE_TEST(test_a_key_is_in_flight_once_for_holds_and_steps),
        STORE_TEST(test_voids_without_a_key_meet_nobody),
        STORE_TEST(test_a_cancelled_step_gives_its_key_back),
        STORE_TEST(test_a_key_that_another_session_holds_goes_alone),
        STORE_TEST(test_a_step_of_a_locked_wallet_joins_the_wallets_line),
        STORE_TEST(test_of_one_statement_only_the_busy_wait),
        STORE_TEST(test_a_step_waits_for_a_locked_wallet_only_so_long),
        STORE_TEST(test_a_step_that_is_busy_without_a_wallet_is_unknown),
        STORE_TEST(test_a_step_of_a_hold_made_here_knows_its_wallet),
        STORE_TEST(test_a_step_that_was_done_tells_its_holds_wallet),
        STORE_TEST(test_a_step_waits_for_its_wallets_hold_in_memory),
        STORE_TEST(test_lost_steps_are_unknown),
        STORE_TEST(test_a_late_batch_still_answers_the_others),
        STORE_TEST(test_a_busy_step_that_is_asked_again_and_lost_is_unknown),
        STORE_TEST(test_a_broken_chain_is_halved_until_all_are_answered),
        STORE_TEST(test_a_step_that_cannot_be_written_fails_alone),
        STORE_TEST(test_steps_that_meet_a_serialization_failure_go_again_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
