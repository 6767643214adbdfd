/* A shard's states, its pauses while its row is locked elsewhere, and the book that keeps it. */
#include "lane_bench.h"

enum {
    WALLET = 7,
    LONG = 10 * 1000 * MS,
    PAUSE_MAX = 8 * MS,
    PATIENCE = 8 * MS,
    SHORT = MS / 4,
    REMEMBERED = 1024
};

static struct pg_lane *lane;

static int set_up(void **state)
{
    (void)state;
    if (bench_set_up(4) != 0)
        return -1;
    lane = bench_lane(&(struct pg_lane_config){
        .exclusive = true, .lock_wait_max_us = LONG, .queue_wait_max_us = LONG});
    return 0;
}

static struct pg_shard *shard(void)
{
    return pg_shard_find(bench.book, WALLET);
}

static void submit(uint32_t index)
{
    struct pg_member *member = bench_member(index, &WRITE, WALLET);
    member->due_us = bench.now_us + LONG;
    assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
}

static uint64_t pause_us(void)
{
    return shard()->parked_until_us - bench.now_us;
}

/* The wallet's next statement, when it is time, finds its row locked. */
static void ask_and_find_locked(void)
{
    if (shard()->state == PG_SHARD_PARKED)
        bench_advance(pause_us());
    assert_int_equal(shard()->state, PG_SHARD_OUT);
    bench_answer_busy(bench.sent_count - 1);
    assert_int_equal(shard()->state, PG_SHARD_PARKED);
}

/* ---- the arrows of the drawing ---- */

static void test_it_is_ready_then_out_then_gone(void **state)
{
    (void)state;
    assert_null(shard());

    submit(0);
    assert_int_equal(shard()->state, PG_SHARD_READY);
    bench_turn();
    assert_int_equal(shard()->state, PG_SHARD_OUT);
    assert_int_equal(shard()->out, 1);
    bench_answer_done(0);

    assert_null(shard());
    assert_int_equal(pg_shards_stats(bench.book).entries, 0);
}

static void test_one_that_is_out_takes_who_comes_and_is_ready_after(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    submit(1);
    bench_turn();
    assert_int_equal(shard()->state, PG_SHARD_OUT);
    assert_int_equal(bench.sent_count, 1);
    bench_connections(0, 4);
    bench.sends_refused = 1; /* nothing is there to send it on */

    bench_answer_done(0);

    assert_int_equal(shard()->state, PG_SHARD_READY);
    bench_connections(4, 0);
    bench_turn();
    ASSERT_SENT(1, 1);
    bench_answer_done(1);
    assert_null(shard());
}

static void test_one_found_locked_is_parked_and_ready_when_its_pause_is_over(void **state)
{
    (void)state;
    submit(0);
    bench_turn();

    bench_answer_busy(0);

    assert_pending(0);
    assert_int_equal(shard()->state, PG_SHARD_PARKED);
    assert_int_equal(pg_shards_stats(bench.book).parked, 1);
    assert_int_equal(pg_lane_waiting(lane), 1);
    const uint64_t pause = pause_us();
    bench_advance(pause - 1);
    assert_int_equal(bench.sent_count, 1);
    bench_advance(1);
    ASSERT_SENT(1, 0);
    assert_int_equal(pg_shards_stats(bench.book).parked, 0);
    bench_answer_done(1);
    assert_done(0, PG_DONE);
    assert_int_equal(pg_lane_stats(lane)->busy_total, 1);
}

static void test_a_cancelled_member_leaves_it_quiet(void **state)
{
    (void)state;
    submit(0);

    assert_true(pg_lane_cancel(&bench.requests[0].member));

    assert_null(shard());
    assert_true(pg_lane_quiet(lane));
}

static void test_a_parked_one_whose_members_leave_is_remembered(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    bench_answer_busy(0);
    assert_true(pg_lane_cancel(&bench.requests[0].member));
    assert_int_equal(shard()->state, PG_SHARD_QUIET);

    submit(1); /* the pause is not over for who comes new */
    assert_int_equal(shard()->state, PG_SHARD_PARKED);
    bench_turn();
    assert_int_equal(bench.sent_count, 1);
    bench_advance(pause_us());
    ASSERT_SENT(1, 1);
    bench_answer_done(1);
}

static void test_a_parked_one_takes_who_comes(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    bench_answer_busy(0);
    const uint64_t until_us = shard()->parked_until_us;

    submit(1);
    submit(2);
    assert_int_equal(shard()->state, PG_SHARD_PARKED);
    assert_int_equal(shard()->parked_until_us, until_us);
    bench_advance(pause_us());

    ASSERT_SENT(1, 0, 1, 2);
    bench_answer_done(1);
}

static void test_each_parked_one_wakes_at_its_own_time(void **state)
{
    (void)state;
    enum { SHARDS = 12 };
    uint64_t until_us[SHARDS];
    for (uint32_t i = 0; i < SHARDS; i++) {
        bench_submit_ok(lane, i, &WRITE, i + 1);
        bench_turn();
        bench_answer_busy(i);
    }
    for (uint32_t i = 0; i < SHARDS; i++)
        until_us[i] = pg_shard_find(bench.book, i + 1)->parked_until_us;

    for (uint64_t step = 0; step < PAUSE_MAX; step += 20) {
        for (uint32_t i = 0; i < SHARDS; i++) {
            const struct pg_shard *one = pg_shard_find(bench.book, i + 1);
            if (one != NULL && one->parked_until_us == until_us[i])
                assert_int_equal(one->state == PG_SHARD_PARKED, bench.now_us < until_us[i]);
        }
        bench_advance(20);
    }
    bench_answer_all();
    for (uint32_t i = 0; i < SHARDS; i++)
        assert_done(i, PG_DONE);
}

/* ---- pauses ---- */

static uint64_t locked_us(void)
{
    return bench.now_us - shard()->locked_since_us;
}

/* Asks until the lock counts as a long one; every pause before is a short one. */
static void ask_until_long(void)
{
    for (;;) {
        ask_and_find_locked();
        if (shard()->asked_long > 0)
            return;
        assert_true(locked_us() < PATIENCE);
        assert_true(pause_us() >= SHORT / 2 && pause_us() <= SHORT);
    }
}

static void test_pauses_grow_only_when_the_lock_lasts_and_to_their_cap(void **state)
{
    (void)state;
    static const uint64_t MOST[] = {2, 4, 8, 16, 32, 32, 32};
    submit(0);
    bench_turn();

    ask_until_long();
    assert_true(locked_us() >= PATIENCE);
    for (uint32_t i = 0; i < sizeof(MOST) / sizeof(MOST[0]); i++) {
        assert_true(pause_us() >= MOST[i] * SHORT / 2);
        assert_true(pause_us() <= MOST[i] * SHORT);
        assert_int_equal(shard()->asked_long, i + 1);
        ask_and_find_locked();
    }
}

static void test_the_count_of_asking_does_not_wrap(void **state)
{
    (void)state;
    submit(0);
    bench_turn();

    for (uint32_t i = 0; i < 400; i++)
        ask_and_find_locked();

    assert_true(pause_us() >= PAUSE_MAX / 2);
    assert_int_equal(shard()->asked_long, UINT8_MAX);
}

static void test_a_pause_is_a_part_of_our_own_statements_time(void **state)
{
    (void)state;
    bench_submit_ok(lane, 0, &WRITE, 1);
    bench_turn();
    bench_advance(16 * MS);
    bench_answer_done(0); /* a statement takes 16 ms */
    submit(1);
    bench_turn();
    bench_advance(16 * MS);

    bench_answer_busy(1);

    assert_true(pause_us() >= 1 * MS);
    assert_true(pause_us() <= 2 * MS);
}

/* What meets on a wallet must not meet again and again: pauses differ, over their whole range. */
static void test_pauses_are_spread_over_their_range(void **state)
{
    (void)state;
    uint32_t low = 0, high = 0;
    struct pg_shard *one = pg_shard_get(bench.book, WALLET);

    for (uint32_t i = 0; i < 400; i++) {
        one->asked_long = 0;
        one->locked_since_us = 0;
        pg_shard_found_locked(one, 0);
        assert_true(pause_us() >= SHORT / 2 && pause_us() <= SHORT);
        low += pause_us() < SHORT / 2 + SHORT / 8;
        high += pause_us() > SHORT - SHORT / 8;
    }
    assert_true(low > 50 && high > 50); /* a quarter each: 100, and 50 is 5 sigma away */
}

static void test_one_member_goes_ahead_when_the_lock_lasts(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        submit(i);
    bench_turn();
    ask_until_long();
    const uint32_t asked = bench.sent_count;
    for (uint32_t i = 0; i < asked; i++)
        assert_int_equal(bench_sent_of(i)->count, 4);

    bench_advance(pause_us());

    ASSERT_SENT(asked, 0); /* the first of them; the row is not asked for by four */
    bench_answer_done(asked);
    assert_done(0, PG_DONE);
    bench_advance(2 * PAUSE_MAX);
    ASSERT_SENT(asked + 1, 1, 2, 3); /* the lock is gone, in order */
    bench_answer_done(asked + 1);
}

static void test_a_locked_one_leaves_the_others_alone(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    bench_answer_busy(0);

    bench_submit_ok(lane, 1, &WRITE, 8);
    bench_turn();

    ASSERT_SENT(1, 1);
    bench_answer_done(1);
    assert_done(1, PG_DONE);
    assert_pending(0);
}

/* Not for lack of time, nor of room: it is the caller's wallet, and he is told. */
static void test_who_would_wait_too_long_for_a_lock_is_told_that_it_is_the_lock(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    bench_answer_busy(0);
    while (pg_shard_locked_for_us(shard()) <= BUDGET)
        ask_and_find_locked();

    struct pg_member *late = bench_member(1, &WRITE, WALLET);
    late->due_us = bench.now_us;
    assert_int_equal(pg_lane_submit(lane, late), ERR_TIMEOUT);
    assert_int_equal(bench_submit(lane, 1, &WRITE, WALLET), ERR_BUSY);
    bench_submit_ok(lane, 2, &WRITE, WALLET + 1);
    assert_int_equal(pg_lane_stats(lane)->refused_budget_total, 2);
    submit(3); /* it has the time */

    bench_turn();
    bench_answer_all();
}

static void test_a_member_waits_for_a_row_no_longer_than_it_may(void **state)
{
    (void)state;
    struct pg_lane *brief =
        bench_lane(&(struct pg_lane_config){.exclusive = true, .lock_wait_max_us = 10 * MS});
    bench_submit_ok(brief, 0, &WRITE, 1);
    bench_turn();
    const uint64_t since_us = bench.now_us;

    while (bench.requests[0].done_count == 0) {
        const uint32_t sent = bench.sent_count;
        if (!bench_sent_of(sent - 1)->answered)
            bench_answer_busy(sent - 1);
        assert_true(bench.now_us - since_us <= 10 * MS);
        if (bench.requests[0].done_count == 0)
            bench_advance(100);
    }

    assert_done(0, PG_BUSY);
    assert_int_equal(bench.now_us - since_us, 10 * MS);
    assert_true(pg_lane_quiet(brief));
}

static void test_a_locked_one_is_not_asked_for_shortly_before_the_end(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    bench.requests[0].member.due_us = bench.now_us + 40 * MS;
    bench_advance(10 * MS); /* what a statement takes */
    bench_answer_busy(0);
    assert_pending(0);

    bench_advance(pause_us());

    assert_done(0, PG_BUSY);
    assert_int_equal(bench.sent_count, 1);
    assert_true(pg_lane_quiet(lane));
}

static void test_who_waits_behind_a_lock_that_lasts_ends_as_busy(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    while (pg_shard_locked_for_us(shard()) == 0)
        ask_and_find_locked();
    struct pg_member *behind = bench_member(1, &WRITE, WALLET);
    struct pg_member *elsewhere = bench_member(2, &WRITE, WALLET + 1);
    behind->due_us = elsewhere->due_us = bench.now_us + BUDGET;
    bench_connections(0, 4);
    assert_int_equal(pg_lane_submit(lane, behind), ERR_OK);
    assert_int_equal(pg_lane_submit(lane, elsewhere), ERR_OK);

    bench_advance(BUDGET);

    assert_done(1, PG_BUSY);
    assert_done(2, PG_EXPIRED);
    assert_pending(0);
}

static void test_while_the_lock_lasts_prediction_expects_it_to_last_as_long_again(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    ask_and_find_locked();
    assert_true(pg_lane_predicted_wait_us(lane, WALLET) < PATIENCE); /* a short one, so far */
    ask_until_long();
    assert_true(locked_us() >= PATIENCE);

    assert_true(pg_lane_predicted_wait_us(lane, WALLET) >= locked_us());
    assert_int_equal(pg_lane_predicted_wait_us(lane, WALLET + 1), 0);
}

static void test_what_is_known_of_a_lock_ends_with_its_time(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    for (uint32_t i = 0; i < 8; i++)
        ask_and_find_locked();
    assert_true(pg_lane_cancel(&bench.requests[0].member));
    bench_advance((uint64_t)3600 * CLOCK_US_PER_S);

    submit(1);
    assert_true(pg_lane_predicted_wait_us(lane, WALLET) < MS);
    submit(2);
    bench_turn();

    ASSERT_SENT(8, 1, 2); /* together: nobody need go ahead */
    bench_answer_done(8);
}

/* ---- contention ---- */

static void test_a_contended_one_yields_after_each_success(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    bench_answer_busy(0);
    bench_advance(pause_us());
    submit(1);
    bench_answer_done(1);

    assert_done(0, PG_DONE);
    assert_int_equal(shard()->state, PG_SHARD_PARKED);
    assert_int_equal(pg_shards_stats(bench.book).yielded_total, 1);
    assert_true(pause_us() >= MS - MS / 5 && pause_us() <= MS); /* more than who asks waits */
    bench_advance(pause_us());
    ASSERT_SENT(2, 1);
    bench_answer_done(2);
    assert_int_equal(pg_shards_stats(bench.book).yielded_total, 2);
    assert_int_equal(shard()->state, PG_SHARD_QUIET);
}

static void test_one_that_was_not_found_locked_for_a_second_yields_no_more(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    bench_answer_busy(0);
    bench_advance(pause_us());
    bench_answer_done(1);
    bench_advance(CLOCK_US_PER_S);

    submit(1);
    bench_turn();
    submit(2);
    bench_answer_done(2);

    assert_int_equal(pg_shards_stats(bench.book).yielded_total, 1);
    ASSERT_SENT(3, 2); /* at once */
    bench_answer_done(3);
    assert_null(shard());
}

static void test_a_replay_that_is_done_does_not_make_a_locked_row_look_free(void **state)
{
    (void)state;
    const struct pg_rows rows = {.verdicts = {PG_VERDICT_BUSY, PG_VERDICT_BUSY, PG_VERDICT_DONE}};
    for (uint32_t i = 0; i < 3; i++)
        submit(i);
    bench_turn();

    bench_answer(0, &rows);

    assert_done(2, PG_DONE);
    assert_pending(0);
    assert_true(shard()->locked_since_us != 0);
    assert_int_equal(shard()->state, PG_SHARD_PARKED);
    bench_advance(pause_us());
    ASSERT_SENT(1, 0, 1);
    bench_answer_done(1);
}

/* ---- seen from outside its line ---- */

static struct pg_lane *steps;

/* A step learns of its wallet from its answer. */
static void step_finds_it_locked(uint32_t index)
{
    const struct pg_rows rows = {.verdicts = {PG_VERDICT_BUSY}, .shards = {WALLET}};
    const uint32_t number = bench.sent_count;
    bench_submit_ok(steps, index, &WRITE, 0);
    bench_turn();
    ASSERT_SENT(number, index);
    bench_answer(number, &rows);
}

static void test_one_found_locked_by_a_step_that_ends_is_parked_for_all(void **state)
{
    (void)state;
    steps = bench_lane(
        &(struct pg_lane_config){.name = "steps", .exclusive = true, .batch_max = 1, .tracks = 2});
    bench_submit_ok(steps, 0, &WRITE, 0);
    bench_turn();
    bench_advance(BUDGET - 1);
    bench_connections(0, 4);
    submit(1); /* READY: no connection */
    assert_int_equal(shard()->state, PG_SHARD_READY);
    bench.requests[0].member.due_us = bench.now_us; /* its time is over with this answer */
    const struct pg_rows rows = {.verdicts = {PG_VERDICT_BUSY}, .shards = {WALLET}};

    bench_answer(0, &rows);

    assert_done(0, PG_BUSY);
    assert_int_equal(shard()->state, PG_SHARD_PARKED);
    assert_int_equal(bench.sent_count, 1);
    bench_advance(pause_us());
    ASSERT_SENT(1, 1);
    bench_answer_done(1);
}

static void test_a_step_that_finds_it_locked_goes_before_those_who_wait(void **state)
{
    (void)state;
    steps = bench_lane(
        &(struct pg_lane_config){.name = "steps", .exclusive = true, .batch_max = 1, .tracks = 2});
    submit(0);
    bench_turn();
    submit(1);

    step_finds_it_locked(10);
    assert_pending(10);
    assert_int_equal(shard()->locked_since_us, 0); /* it is locked by ourselves */
    bench_answer_done(0);

    ASSERT_SENT(2, 10);
    assert_ptr_equal(bench_sent_of(2)->lane, steps);
    assert_int_equal(bench.sent_count, 3); /* 1 waits for it */
    bench_answer_done(2);
    ASSERT_SENT(3, 1);
    bench_answer_done(3);
    assert_done(10, PG_DONE);
}

/* Steps that did not know their wallets share a statement: one lock is found once, and each of
 * them waits with the others of its wallet, in order of arrival. */
static void test_a_batch_of_steps_finds_a_lock_once(void **state)
{
    (void)state;
    steps = bench_lane(
        &(struct pg_lane_config){.name = "steps", .exclusive = true, .batch_max = 8, .tracks = 2});
    for (uint32_t i = 0; i < 5; i++)
        bench_submit_ok(steps, i, &WRITE, 0);
    bench_turn();
    ASSERT_SENT(0, 0, 1, 2, 3, 4);
    const struct pg_rows rows = {
        .verdicts = {PG_VERDICT_BUSY, PG_VERDICT_DONE, PG_VERDICT_BUSY, PG_VERDICT_BUSY,
                     PG_VERDICT_BUSY},
        .shards = {WALLET, 0, WALLET + 1, WALLET, WALLET},
    };

    bench_answer(0, &rows);

    assert_done(1, PG_DONE);
    assert_int_equal(pg_shards_stats(bench.book).parked, 2);
    assert_int_equal(pg_shards_stats(bench.book).parked_total, 2);
    assert_int_equal(shard()->waiting.count, 3);
    bench_advance(MS); /* both pauses are over, and one statement may have taken both */
    bench_answer_all();
    uint32_t asked[5], count = 0;
    for (uint32_t n = 1; n < bench.sent_count; n++)
        for (uint32_t i = 0; i < bench_sent_of(n)->count; i++)
            if (bench_sent_of(n)->shards[i] == WALLET && count < 5)
                asked[count++] = bench_sent_of(n)->requests[i];
    assert_int_equal(count, 3);
    assert_memory_equal(asked, ((const uint32_t[]){0, 3, 4}), sizeof(uint32_t[3]));
    for (uint32_t i = 0; i < 5; i++)
        assert_done(i, PG_DONE);
}

/* ---- the book ---- */

static void test_every_key_is_found(void **state)
{
    (void)state;
    static const uint64_t STRIDES[] = {1, 64, 1024, (uint64_t)1 << 32, (uint64_t)1 << 48};

    for (uint32_t s = 0; s < 5; s++) {
        for (uint64_t i = 1; i <= 200; i++) {
            struct pg_shard *one = pg_shard_get(bench.book, i * STRIDES[s]);
            assert_ptr_equal(pg_shard_find(bench.book, i * STRIDES[s]), one);
            assert_int_equal(one->key, i * STRIDES[s]);
        }
        assert_null(pg_shard_find(bench.book, 201 * STRIDES[s]));
        for (uint64_t i = 1; i <= 200; i++)
            pg_shard_settle(pg_shard_find(bench.book, i * STRIDES[s]));
        assert_int_equal(pg_shards_stats(bench.book).entries, 0); /* nothing to remember */
    }
}

static void small_book(void)
{
    pg_lane_destroy(lane);
    bench.lane_count = 0;
    bench_book(&(struct pg_shards_config){.member_max = 0, .poison_hold_us = CLOCK_US_PER_S});
}

static void test_a_full_book_forgets_the_oldest_quiet_one(void **state)
{
    (void)state;
    small_book();
    for (uint64_t key = 1; key <= REMEMBERED; key++) {
        struct pg_shard *one = pg_shard_get(bench.book, key);
        pg_shard_suspect(one);
        if (key == 1)
            pg_shard_member_out(one); /* the oldest is in use */
        pg_shard_settle(one);
    }
    assert_int_equal(pg_shards_stats(bench.book).entries, REMEMBERED);
    assert_int_equal(pg_shards_stats(bench.book).alone, REMEMBERED);

    assert_non_null(pg_shard_get(bench.book, REMEMBERED + 1));

    assert_non_null(pg_shard_find(bench.book, 1));
    assert_null(pg_shard_find(bench.book, 2));
    assert_non_null(pg_shard_find(bench.book, 3));
    assert_int_equal(pg_shards_stats(bench.book).entries, REMEMBERED);
    assert_int_equal(pg_shards_stats(bench.book).forgotten_total, 1);
    assert_int_equal(pg_shards_stats(bench.book).alone, REMEMBERED - 1);
}

static void test_a_book_in_use_has_no_room(void **state)
{
    (void)state;
    small_book();
    for (uint64_t key = 1; key <= REMEMBERED; key++) {
        struct pg_shard *one = pg_shard_get(bench.book, key);
        pg_shard_member_out(one);
        pg_shard_settle(one);
    }
    assert_null(pg_shard_get(bench.book, REMEMBERED + 1));

    pg_shard_member_back(pg_shard_find(bench.book, 5));

    assert_non_null(pg_shard_get(bench.book, REMEMBERED + 1));
    assert_null(pg_shard_find(bench.book, 5));
}

static void test_forgetting_a_suspect_forgets_that_there_is_one(void **state)
{
    (void)state;
    small_book();
    struct pg_shard *one = pg_shard_get(bench.book, 1);
    pg_shard_suspect(one);
    pg_shard_suspect(one); /* counted once */
    pg_shard_settle(one);
    assert_true(pg_shards_has_suspects(bench.book));

    for (uint64_t key = 2; key <= REMEMBERED + 1; key++)
        assert_non_null(pg_shard_get(bench.book, key));

    assert_null(pg_shard_find(bench.book, 1));
    assert_false(pg_shards_has_suspects(bench.book));
}

static void test_hottest_is_the_longest_line_of_one(void **state)
{
    (void)state;
    bench_connections(0, 4);
    for (uint32_t i = 0; i < 3; i++)
        submit(i);
    bench_submit_ok(lane, 3, &WRITE, 8);

    assert_int_equal(pg_shards_stats(bench.book).hottest, 3);
    assert_int_equal(pg_shards_stats(bench.book).entries, 2);
}

#define SHARD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARD_TEST(test_it_is_ready_then_out_then_gone),
        SHARD_TEST(test_one_that_is_out_takes_who_comes_and_is_ready_after),
        SHARD_TEST(test_one_found_locked_is_parked_and_ready_when_its_pause_is_over),
        SHARD_TEST(test_a_cancelled_member_leaves_it_quiet),
        SHARD_TEST(test_a_parked_one_whose_members_leave_is_remembered),
        SHARD_TEST(test_a_parked_one_takes_who_comes),
        SHARD_TEST(test_each_parked_one_wakes_at_its_own_time),
        SHARD_TEST(test_pauses_grow_only_when_the_lock_lasts_and_to_their_cap),
        SHARD_TEST(test_the_count_of_asking_does_not_wrap),
        SHARD_TEST(test_a_pause_is_a_part_of_our_own_statements_time),
        SHARD_TEST(test_pauses_are_spread_over_their_range),
        SHARD_TEST(test_one_member_goes_ahead_when_the_lock_lasts),
        SHARD_TEST(test_a_locked_one_leaves_the_others_alone),
        SHARD_TEST(test_who_would_wait_too_long_for_a_lock_is_told_that_it_is_the_lock),
        SHARD_TEST(test_a_member_waits_for_a_row_no_longer_than_it_may),
        SHARD_TEST(test_a_locked_one_is_not_asked_for_shortly_before_the_end),
        SHARD_TEST(test_who_waits_behind_a_lock_that_lasts_ends_as_busy),
        SHARD_TEST(test_while_the_lock_lasts_prediction_expects_it_to_last_as_long_again),
        SHARD_TEST(test_what_is_known_of_a_lock_ends_with_its_time),
        SHARD_TEST(test_a_contended_one_yields_after_each_success),
        SHARD_TEST(test_one_that_was_not_found_locked_for_a_second_yields_no_more),
        SHARD_TEST(test_a_replay_that_is_done_does_not_make_a_locked_row_look_free),
        SHARD_TEST(test_one_found_locked_by_a_step_that_ends_is_parked_for_all),
        SHARD_TEST(test_a_step_that_finds_it_locked_goes_before_those_who_wait),
        SHARD_TEST(test_a_batch_of_steps_finds_a_lock_once),
        SHARD_TEST(test_every_key_is_found),
        SHARD_TEST(test_a_full_book_forgets_the_oldest_quiet_one),
        SHARD_TEST(test_a_book_in_use_has_no_room),
        SHARD_TEST(test_forgetting_a_suspect_forgets_that_there_is_one),
        SHARD_TEST(test_hottest_is_the_longest_line_of_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
