/*
 * payment_expiry through payment_store: what it asks for, how it goes on behind an answer, a
 * failure and a loss, when it rests, and that it stays within its share.
 */
#include "core/clock.h"
#include "core/secret.h"
#include "pool/payment_expiry_private.h"
#include "rows_fixture.h"
#include "store_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define EXPIRE "expire_batch"

enum {
    INTERVAL_MS = 1000,
    TIMEOUT_MS = 40,
    SHARE_PERCENT = 5, /* of four connections: a fifth of one */
    FIRST_BATCH = 16,
    ALL = -1, /* as many as were asked for */
};

/* What a statement asked for. */
struct asked {
    uint32_t holds;
    int64_t expires_at, passed_over;
    uint8_t txn_byte; /* of the hold's id, all bytes alike */
};

static int set_up(void **state)
{
    if (store_set_up(state) != 0)
        return -1;
    payment_store_destroy(store);
    store_config.expiry_share_percent = SHARE_PERCENT;
    store_config.expiry_interval_ms = INTERVAL_MS;
    store_config.statement_timeout_ms = TIMEOUT_MS;
    store_create();
    store_await_ready();
    return 0;
}

static uint64_t number(const char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value = value << 8 | (uint8_t)at[i];
    return value;
}

static struct asked asked_of(const PGconn *conn)
{
    const struct fake_pq_sent *sent = fake_pq_sent(conn);

    assert_int_equal(sent->count, 5);
    assert_int_equal(sent->lengths[2], UUID7_BYTES);
    assert_int_equal(sent->lengths[4], strlen("eu-1"));
    assert_memory_equal(sent->values[4], "eu-1", strlen("eu-1"));
    return (struct asked){
        .holds = (uint32_t)number(sent->values[0] + 12, 4),
        .expires_at = (int64_t)number(sent->values[1], 8),
        .txn_byte = (uint8_t)sent->values[2][0],
        .passed_over = (int64_t)number(sent->values[3], 8),
    };
}

/* Lets time pass, a millisecond a turn, until it asks. */
static PGconn *await_asked(uint64_t most_ms)
{
    for (uint64_t ms = 0; ms < most_ms && store_asked(EXPIRE) == NULL; ms++) {
        bench_skip_ms(1);
        store_turn();
    }
    PGconn *conn = store_asked(EXPIRE);
    assert_non_null(conn);
    return conn;
}

static void assert_silent_for(uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        assert_null(store_asked(EXPIRE));
        bench_skip_ms(1);
        store_turn();
    }
    assert_null(store_asked(EXPIRE));
}

/* looked released cleared last_expires_at last_txn_id last_overdue left_overdue */
static PGresult *rows(int64_t looked, int64_t released, int64_t cleared, int64_t at, uint8_t txn,
                      int64_t left_overdue_us)
{
    uint8_t id[UUID7_BYTES];
    PGresult *made = fake_pq_rows(7);

    memset(id, txn, sizeof(id));
    fake_pq_add_int8(made, looked);
    fake_pq_add_int8(made, released);
    fake_pq_add_int8(made, cleared);
    if (looked == 0) {
        fake_pq_add_null(made);
        fake_pq_add_null(made);
        fake_pq_add_null(made);
    } else {
        fake_pq_add_int8(made, at);
        fake_pq_add_bytes(made, id, sizeof(id));
        fake_pq_add_int8(made, (int64_t)60 * CLOCK_US_PER_S);
    }
    if (released + cleared < looked)
        fake_pq_add_int8(made, left_overdue_us);
    else
        fake_pq_add_null(made);
    return made;
}

static void answer(PGconn *conn, PGresult *result)
{
    fake_pq_answer(conn, result);
    bench_turn();
}

/* It released all of `count` holds; the last one is number `txn`. */
static void answer_released(PGconn *conn, int64_t count, uint8_t txn)
{
    const int64_t looked = count == ALL ? asked_of(conn).holds : count;
    answer(conn, rows(looked, looked, 0, 1000 + txn, txn, 0));
}

static struct payment_expiry_stats stats(void)
{
    return payment_expiry_stats(payment_store_expiry(store));
}

static void assert_begins(const struct asked *asked)
{
    assert_true(asked->expires_at == INT64_MIN);
    assert_int_equal(asked->txn_byte, 0);
    assert_int_equal(asked->passed_over, 0);
}

/* ---- a sweep ---- */

static void test_it_asks_when_its_interval_is_over(void **state)
{
    (void)state;
    assert_silent_for(INTERVAL_MS / 2);

    const struct asked asked = asked_of(await_asked(INTERVAL_MS));

    assert_begins(&asked);
    assert_int_equal(asked.holds, FIRST_BATCH);
    answer_released(store_asked(EXPIRE), 0, 0);
}

static void test_every_new_row_has_an_id_of_its_own(void **state)
{
    (void)state;
    PGconn *conn = await_asked(2 * INTERVAL_MS);
    const char *ids = fake_pq_sent(conn)->values[0] + PG_ARRAY_HEADER_BYTES;
    const size_t step = PG_ARRAY_ELEMENT_BYTES + UUID7_BYTES;

    for (int i = 1; i < FIRST_BATCH; i++)
        assert_true(
            memcmp(ids + (size_t)i * step + 4, ids + (size_t)(i - 1) * step + 4, UUID7_BYTES) > 0);
    answer_released(conn, 0, 0);
}

static void test_a_full_answer_is_followed_by_the_next_holds(void **state)
{
    (void)state;
    answer_released(await_asked(2 * INTERVAL_MS), ALL, 7);
    PGconn *conn = await_asked(INTERVAL_MS / 2);
    const struct asked next = asked_of(conn);

    assert_int_equal(next.expires_at, 1007);
    assert_int_equal(next.txn_byte, 7);
    assert_int_equal(next.holds, 2 * FIRST_BATCH); /* it was quick */
    assert_int_equal(stats().overdue_us / CLOCK_US_PER_S, 60);
    answer_released(conn, 3, 9);

    assert_silent_for(INTERVAL_MS - 5);
    conn = await_asked(10);
    const struct asked again = asked_of(conn);
    assert_begins(&again);
    answer_released(conn, 0, 0);
    assert_int_equal(stats().released_total, FIRST_BATCH + 3);
    assert_int_equal(stats().overdue_us, 0);
    assert_int_equal(bench_log_count("holds_expired"), 1);
}

static void test_what_it_leaves_is_told_and_looked_at_again(void **state)
{
    (void)state;
    const int64_t old_us = (int64_t)3600 * CLOCK_US_PER_S;

    answer(await_asked(2 * INTERVAL_MS), rows(5, 2, 1, 1, 1, old_us));

    assert_int_equal(stats().released_total, 2);
    assert_int_equal(stats().cleared_total, 1);
    assert_int_equal(stats().left_total, 2);
    assert_int_equal(stats().left, 2);
    bench_skip_ms(500);
    assert_true(stats().overdue_us >= 3600U * CLOCK_US_PER_S + 500U * CLOCK_US_PER_MS);
    answer_released(await_asked(INTERVAL_MS), 2, 2);
    assert_int_equal(stats().left, 0);
    assert_int_equal(stats().overdue_us, 0);
}

static void test_pause_grows_while_nothing_can_be_done(void **state)
{
    (void)state;
    uint64_t pause_ms = INTERVAL_MS;

    for (int sweep = 0; sweep < 6; sweep++) {
        answer(await_asked(2 * pause_ms), rows(1, 0, 0, 1, 1, 1));
        pause_ms = pause_ms < 16 * INTERVAL_MS ? 2 * pause_ms : pause_ms;
        assert_silent_for(pause_ms - pause_ms / 100); /* a turn takes a microsecond */
    }
    answer_released(await_asked(pause_ms / 50), 1, 1);
    answer_released(await_asked(INTERVAL_MS + 5), 0, 0); /* something was: as before */
}

static void test_it_stays_within_its_share(void **state)
{
    (void)state;
    PGconn *conn = await_asked(2 * INTERVAL_MS);

    bench_skip_ms(10);
    answer_released(conn, ALL, 1);

    assert_silent_for(39);
    conn = await_asked(3);
    assert_int_equal(asked_of(conn).holds, FIRST_BATCH); /* not so quick: not more */
    answer_released(conn, 0, 0);
}

static void test_slow_statement_is_followed_by_a_smaller_one(void **state)
{
    (void)state;
    PGconn *conn = await_asked(2 * INTERVAL_MS);
    bench_skip_ms(TIMEOUT_MS / 2 + 1);
    answer_released(conn, ALL, 1);

    conn = await_asked(INTERVAL_MS);

    assert_int_equal(asked_of(conn).holds, FIRST_BATCH / 2);
    answer_released(conn, 0, 0);
}

static void test_quick_statements_grow_to_the_most(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        answer_released(await_asked(2 * INTERVAL_MS), ALL, (uint8_t)(i + 1));

    PGconn *conn = await_asked(INTERVAL_MS);

    assert_int_equal(asked_of(conn).holds, PAYMENT_EXPIRY_BATCH_MAX);
    answer_released(conn, 0, 0);
}

/* ---- what goes wrong ---- */

static void answer_error(PGconn *conn, const char *sqlstate)
{
    answer(conn, fake_pq_error(sqlstate, "ERROR"));
}

static void test_hold_at_fault_is_searched_for_and_passed_over(void **state)
{
    (void)state;
    PGconn *conn = await_asked(2 * INTERVAL_MS);

    for (uint32_t holds = FIRST_BATCH; holds >= 1; holds /= 2) {
        struct asked asked = asked_of(conn);
        assert_int_equal(asked.holds, holds);
        assert_begins(&asked);
        answer_error(conn, "23505");
        conn = await_asked(INTERVAL_MS); /* the lane's second try of the same */
        assert_int_equal(asked_of(conn).holds, holds);
        answer_error(conn, "23505");
        conn = await_asked(INTERVAL_MS);
    }
    struct asked asked = asked_of(conn);
    assert_int_equal(asked.holds, 1);
    assert_int_equal(asked.passed_over, 1);
    assert_int_equal(stats().failed_total, 5);
    assert_int_equal(bench_log_count("expiry_failed"), 1);
    answer_released(conn, 1, 3);

    conn = await_asked(INTERVAL_MS / 2);
    asked = asked_of(conn);
    assert_int_equal(asked.txn_byte, 3);
    assert_int_equal(asked.passed_over, 0);
    answer_released(conn, 0, 0);
    assert_int_equal(stats().left, 1);
}

static void test_statement_that_takes_too_long_is_cut(void **state)
{
    (void)state;
    answer_error(await_asked(2 * INTERVAL_MS), "57014");

    PGconn *conn = await_asked(INTERVAL_MS);

    assert_int_equal(asked_of(conn).holds, FIRST_BATCH / 2);
    answer_released(conn, 0, 0);
}

static void test_lost_answer_is_asked_for_again_at_the_same_place(void **state)
{
    (void)state;
    answer_released(await_asked(2 * INTERVAL_MS), ALL, 7);

    fake_pq_hang_up(await_asked(INTERVAL_MS / 2));
    bench_turn();

    assert_int_equal(stats().failed_total, 1);
    assert_silent_for(INTERVAL_MS - 5);
    PGconn *conn = await_asked(10);
    assert_int_equal(asked_of(conn).txn_byte, 7);
    answer_released(conn, 0, 0);
}

static void test_answer_that_makes_no_sense_counts_for_nothing(void **state)
{
    (void)state;
    PGresult *const ANSWERS[] = {rows(1, 2, 0, 1, 1, 0), rows(FIRST_BATCH + 1, 1, 0, 1, 1, 0),
                                 rows(-1, 0, 0, 1, 1, 0), rows(2, -1, 1, 1, 1, 0)};

    for (size_t i = 0; i < sizeof(ANSWERS) / sizeof(ANSWERS[0]); i++) {
        answer(await_asked(2 * INTERVAL_MS), ANSWERS[i]);
        assert_int_equal(stats().failed_total, i + 1);
    }
    assert_int_equal(stats().released_total, 0);
    assert_int_equal(stats().left_total, 0);
    answer_released(await_asked(2 * INTERVAL_MS), 0, 0);
}

static void test_another_regions_database_is_not_asked(void **state)
{
    (void)state;
    store_server.region = "us-1";
    answer(await_asked(2 * INTERVAL_MS), fake_pq_rows(7));

    for (int i = 0; i < BENCH_TURNS_MAX && payment_store_health(store)->region_ok; i++)
        store_turn();
    assert_false(payment_store_health(store)->region_ok);
    assert_silent_for(3 * INTERVAL_MS);
    assert_int_equal(stats().failed_total, 0);
}

/* ---- its end ---- */

static void test_rest_ends_it(void **state)
{
    (void)state;
    payment_store_rest(store);
    assert_silent_for(3 * INTERVAL_MS);
    assert_true(payment_store_quiet(store));
    payment_store_rest(store);
}

static void test_rest_lets_a_statement_finish_and_counts_it(void **state)
{
    (void)state;
    PGconn *conn = await_asked(2 * INTERVAL_MS);

    payment_store_rest(store);

    assert_false(payment_store_quiet(store));
    answer_released(conn, ALL, 1);
    assert_true(payment_store_quiet(store));
    assert_int_equal(stats().released_total, FIRST_BATCH);
    assert_int_equal(bench_log_count("holds_expired"), 1);
    assert_silent_for(2 * INTERVAL_MS);
}

static void test_rest_after_a_failure_is_rest(void **state)
{
    (void)state;
    PGconn *conn = await_asked(2 * INTERVAL_MS);

    payment_store_rest(store);
    answer_error(conn, "57014");

    assert_silent_for(2 * INTERVAL_MS);
    assert_true(payment_store_quiet(store));
}

#define EXPIRY_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, store_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPIRY_TEST(test_it_asks_when_its_interval_is_over),
        EXPIRY_TEST(test_every_new_row_has_an_id_of_its_own),
        EXPIRY_TEST(test_a_full_answer_is_followed_by_the_next_holds),
        EXPIRY_TEST(test_what_it_leaves_is_told_and_looked_at_again),
        EXPIRY_TEST(test_pause_grows_while_nothing_can_be_done),
        EXPIRY_TEST(test_it_stays_within_its_share),
        EXPIRY_TEST(test_slow_statement_is_followed_by_a_smaller_one),
        EXPIRY_TEST(test_quick_statements_grow_to_the_most),
        EXPIRY_TEST(test_hold_at_fault_is_searched_for_and_passed_over),
        EXPIRY_TEST(test_statement_that_takes_too_long_is_cut),
        EXPIRY_TEST(test_lost_answer_is_asked_for_again_at_the_same_place),
        EXPIRY_TEST(test_answer_that_makes_no_sense_counts_for_nothing),
        EXPIRY_TEST(test_another_regions_database_is_not_asked),
        EXPIRY_TEST(test_rest_ends_it),
        EXPIRY_TEST(test_rest_lets_a_statement_finish_and_counts_it),
        EXPIRY_TEST(test_rest_after_a_failure_is_rest),
    };
    if (secret_init() != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
