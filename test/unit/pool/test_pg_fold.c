/* Members of one shard in an exclusive lane: who shares a statement, in what order, and how much of
 * the line and of a statement one shard may take. */
#include "lane_bench.h"

static struct pg_lane *lane;

static int set_up(void **state)
{
    (void)state;
    if (bench_set_up(4) != 0)
        return -1;
    lane = bench_lane(
        &(struct pg_lane_config){.exclusive = true, .tracks = 2, .batch_max = 8, .shard_max = 32});
    return 0;
}

static void submit(uint32_t index, uint64_t shard)
{
    bench_submit_ok(lane, index, &WRITE, shard);
}

/* ---- one statement ---- */

static void test_members_of_one_shard_share_a_statement_in_order(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        submit(i, 7);
    bench_turn();

    ASSERT_SENT(0, 0, 1, 2, 3, 4);
    assert_int_equal(pg_lane_stats(lane)->folded_total, 4);
    bench_answer_done(0);
}

static void test_members_of_one_shard_are_neighbours(void **state)
{
    (void)state;
    static const uint64_t SHARDS[] = {1, 2, 1, 3, 2, 1};
    for (uint32_t i = 0; i < 6; i++)
        submit(i, SHARDS[i]);
    bench_turn();

    ASSERT_SENT(0, 0, 2, 5, 1, 4, 3);
    assert_int_equal(pg_lane_stats(lane)->folded_total, 3);
    bench_answer_done(0);
}

static void test_distinct_shards_fold_nothing(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8; i++)
        submit(i, i + 1);
    bench_turn();

    assert_int_equal(bench_sent_of(0)->count, 8);
    assert_int_equal(pg_lane_stats(lane)->folded_total, 0);
    bench_answer_done(0);
}

static void test_members_without_a_shard_are_not_folded(void **state)
{
    (void)state;
    submit(0, 0);
    submit(1, 0);
    bench_turn();

    ASSERT_SENT(0, 0, 1);
    assert_int_equal(pg_lane_stats(lane)->folded_total, 0);
    bench_answer_done(0);
}

/* ---- one statement at a time ---- */

static void test_a_shard_that_is_out_is_in_no_other_statement(void **state)
{
    (void)state;
    submit(0, 7);
    bench_turn();
    submit(1, 7);
    submit(2, 8);
    submit(3, 7);
    bench_turn();
    ASSERT_SENT(1, 2); /* the other track is free, the shard is not */

    bench_answer_done(1);
    assert_int_equal(bench.sent_count, 2);
    bench_answer_done(0);

    ASSERT_SENT(2, 1, 3);
    bench_answer_done(2);
}

static void test_a_late_answer_keeps_the_shard_out_until_it_comes(void **state)
{
    (void)state;
    struct pg_member *member = bench_member(0, &WRITE, 7);
    member->due_us = bench.now_us + 5 * MS;
    assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    bench_turn();
    bench_advance(5 * MS);
    assert_done(0, PG_UNKNOWN); /* its statement still runs */

    submit(1, 7);
    bench_turn();
    assert_int_equal(bench.sent_count, 1);
    bench_answer_done(0);

    ASSERT_SENT(1, 1);
    bench_answer_done(1);
}

static void test_order_of_arrival_is_kept_over_many_statements(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        submit(i, 7);
    bench_turn();

    uint32_t next = 0;
    for (uint32_t n = 0; n < bench.sent_count; n++) {
        const struct bench_sent sent = *bench_sent_of(n);
        for (uint32_t i = 0; i < sent.count; i++)
            assert_int_equal(sent.requests[i], next++);
        bench_answer_done(n);
    }
    assert_int_equal(next, 20);
    assert_int_equal(bench.sent_count, 3);
}

static void test_what_was_busy_goes_first_again_in_order(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        submit(i, 7);
    bench_turn();
    submit(3, 7);

    bench_answer_busy(0);
    bench_advance(2 * MS);

    ASSERT_SENT(1, 0, 1, 2, 3);
    bench_answer_done(1);
}

static void test_a_connection_found_dead_keeps_shards_and_members_in_order(void **state)
{
    (void)state;
    static const uint64_t SHARDS[] = {1, 2, 1, 3};
    for (uint32_t i = 0; i < 4; i++)
        submit(i, SHARDS[i]);
    for (uint32_t i = 4; i < 12; i++)
        submit(i, i);
    bench.sends_refused = 1;
    bench_turn();
    assert_int_equal(bench.sent_count, 0);

    bench_turn();

    /* Eight shards, one member of each: the first eight that came. */
    ASSERT_SENT(0, 0, 1, 3, 4, 5, 6, 7, 8);
    bench_answer_all();
    assert_true(pg_lane_quiet(lane));
}

/* ---- its part of a statement ---- */

static void test_a_hot_shard_leaves_room_for_all_that_are_ready(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        submit(i, 7);
    submit(20, 8);
    submit(21, 9);
    bench_turn();

    /* Eight places, three shards: two for each, and what the others leave. */
    ASSERT_SENT(0, 0, 1, 2, 3, 4, 5, 20, 21);
    bench_answer_done(0);
}

static void test_hot_shards_share_a_statement_evenly(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 12; i++)
        submit(i, 7 + i % 2);
    bench_turn();

    ASSERT_SENT(0, 0, 2, 4, 6, 1, 3, 5, 7);
    bench_answer_done(0);
}

static void test_more_shards_than_places_take_turns(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 24; i++)
        submit(i, 1 + i % 12);
    bench_turn();

    ASSERT_SENT(0, 0, 1, 2, 3, 4, 5, 6, 7); /* shards 1 to 8 */
    ASSERT_SENT(1, 8, 20, 9, 21, 10, 22, 11, 23);
    bench_answer_done(0);
    ASSERT_SENT(2, 12, 13, 14, 15, 16, 17, 18, 19);
    bench_answer_all();
    assert_true(pg_lane_quiet(lane));
}

static void test_places_of_the_expired_are_given_to_nobody_else_twice(void **state)
{
    (void)state;
    bench_connections(0, 4);
    for (uint32_t i = 0; i < 12; i++) {
        struct pg_member *member = bench_member(i, &WRITE, 7 + i % 2);
        member->due_us = bench.now_us + (i < 4 ? 5 * MS : BUDGET);
        assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    }
    bench.now_us += 5 * MS; /* found by the cut, before the line's timer */
    bench_connections(4, 0);
    bench_pool_changed();

    for (uint32_t i = 0; i < 4; i++)
        assert_done(i, PG_EXPIRED);
    ASSERT_SENT(0, 4, 6, 8, 10, 5, 7, 9, 11);
    bench_answer_done(0);
    assert_true(pg_lane_quiet(lane));
}

static void test_a_shard_whose_members_all_expired_is_left(void **state)
{
    (void)state;
    bench_connections(0, 4);
    struct pg_member *member = bench_member(0, &WRITE, 7);
    member->due_us = bench.now_us + 5 * MS;
    assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    bench.now_us += 5 * MS;
    bench_connections(4, 0);

    bench_pool_changed();

    assert_done(0, PG_EXPIRED);
    assert_int_equal(bench.sent_count, 0);
    assert_null(pg_shard_find(bench.book, 7));
    assert_true(pg_lane_quiet(lane));
}

/* The older head goes first, so neither starves the other. */
static void test_members_with_and_without_a_shard_take_turns_by_age(void **state)
{
    (void)state;
    bench_connections(0, 4);
    submit(0, 0);
    bench_advance(1);
    submit(1, 7);
    bench_advance(1);
    submit(2, 0);
    bench_connections(4, 0);
    bench_pool_changed();

    ASSERT_SENT(0, 0, 2);
    ASSERT_SENT(1, 1);
    bench_answer_all();
}

/* ---- its part of the line ---- */

static void test_a_shard_holds_no_more_of_the_line_than_it_may(void **state)
{
    (void)state;
    bench_connections(0, 4);
    for (uint32_t i = 0; i < 32; i++)
        submit(i, 7);

    assert_int_equal(bench_submit(lane, 32, &WRITE, 7), ERR_FULL);
    assert_int_equal(pg_lane_stats(lane)->refused_shard_total, 1);
    assert_int_equal(pg_lane_stats(lane)->refused_full_total, 0);
    assert_int_equal(bench_submit(lane, 33, &WRITE, 8), ERR_OK);
}

static void test_a_shard_holds_no_more_than_it_leaves_free(void **state)
{
    (void)state;
    bench_connections(0, 4);
    /* 64 places: the first takes up to 32, a second that is as hot half of what is left. */
    for (uint32_t i = 0; i < 32; i++)
        submit(i, 7);
    uint32_t second = 0;
    while (bench_submit(lane, 32 + second, &WRITE, 8) == ERR_OK)
        second++;
    assert_int_equal(second, 16);
    uint32_t third = 0;
    while (bench_submit(lane, 48 + third, &WRITE, 9) == ERR_OK)
        third++;
    assert_int_equal(third, 8);

    for (uint64_t shard = 10; shard < 18; shard++) /* and there is room for the others */
        assert_int_equal(bench_submit(lane, 100 + (uint32_t)shard, &WRITE, shard), ERR_OK);
    assert_int_equal(bench_submit(lane, 200, &WRITE, 100), ERR_FULL);
    assert_int_equal(pg_lane_stats(lane)->refused_full_total, 1);
    assert_int_equal(pg_lane_waiting(lane), 64);
}

static void test_a_hot_shard_waits_for_its_own_turns_and_others_do_not(void **state)
{
    (void)state;
    submit(0, 1);
    bench_turn();
    bench_advance(4 * MS);
    bench_answer_done(0); /* a statement takes 4 ms */
    for (uint32_t i = 1; i <= 8; i++)
        submit(i, 7);
    bench_turn();
    for (uint32_t i = 9; i <= 24; i++)
        submit(i, 7);

    assert_int_equal(pg_lane_predicted_wait_us(lane, 7), 3 * 4 * MS); /* the one out, and two */
    assert_int_equal(pg_lane_predicted_wait_us(lane, 8), 0);
    bench_answer_all();
}

/* ---- two lanes, one book ---- */

static struct pg_lane *steps;

static void two_lanes(void)
{
    steps = bench_lane(
        &(struct pg_lane_config){.name = "steps", .exclusive = true, .batch_max = 1, .tracks = 2});
}

static void test_lanes_of_one_book_never_send_a_shard_at_once(void **state)
{
    (void)state;
    two_lanes();
    submit(0, 7);
    bench_submit_ok(steps, 1, &WRITE, 7);
    submit(2, 7);
    bench_turn();

    ASSERT_SENT(0, 0, 2); /* 1 is another lane's, and next */
    assert_int_equal(bench.sent_count, 1);
    submit(3, 7);
    bench_answer_done(0);
    ASSERT_SENT(1, 1);
    assert_ptr_equal(bench_sent_of(1)->lane, steps);
    assert_int_equal(bench.sent_count, 2);
    bench_answer_done(1);
    ASSERT_SENT(2, 3);
    bench_answer_done(2);
    assert_true(pg_lane_quiet(lane) && pg_lane_quiet(steps));
}

/* However their members come in, each lane takes all of its own, and the lanes take turns. */
static void test_lanes_that_meet_on_a_shard_take_turns_with_full_statements(void **state)
{
    (void)state;
    steps = bench_lane(
        &(struct pg_lane_config){.name = "steps", .exclusive = true, .batch_max = 8, .tracks = 2});
    submit(0, 7);
    bench_turn();
    for (uint32_t i = 1; i < 9; i++)
        bench_submit_ok(i % 2 ? steps : lane, i, &WRITE, 7);

    bench_answer_done(0);
    ASSERT_SENT(1, 1, 3, 5, 7);
    submit(9, 7);
    bench_answer_done(1);
    ASSERT_SENT(2, 2, 4, 6, 8, 9);
    bench_answer_done(2);
    assert_int_equal(bench.sent_count, 3);
}

static void test_a_shard_changes_lanes_when_its_first_member_leaves(void **state)
{
    (void)state;
    two_lanes();
    bench_connections(0, 4);
    submit(0, 7);
    bench_submit_ok(steps, 1, &WRITE, 7);
    assert_true(pg_lane_can_send(lane));
    assert_false(pg_lane_can_send(steps));

    assert_true(pg_lane_cancel(&bench.requests[0].member));

    assert_false(pg_lane_can_send(lane));
    assert_true(pg_lane_can_send(steps));
    bench_connections(4, 0);
    bench_turn();
    ASSERT_SENT(0, 1);
    bench_answer_done(0);
}

static void test_an_expired_first_member_lets_the_other_lane_go(void **state)
{
    (void)state;
    two_lanes();
    bench_connections(0, 4);
    struct pg_member *member = bench_member(0, &WRITE, 7);
    member->due_us = bench.now_us + 5 * MS;
    assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    bench_submit_ok(steps, 1, &WRITE, 7);
    bench.now_us += 5 * MS;
    bench_connections(4, 0);

    bench_pool_changed();

    assert_done(0, PG_EXPIRED);
    ASSERT_SENT(0, 1);
    bench_answer_done(0);
}

#define FOLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLD_TEST(test_members_of_one_shard_share_a_statement_in_order),
        FOLD_TEST(test_members_of_one_shard_are_neighbours),
        FOLD_TEST(test_distinct_shards_fold_nothing),
        FOLD_TEST(test_members_without_a_shard_are_not_folded),
        FOLD_TEST(test_a_shard_that_is_out_is_in_no_other_statement),
        FOLD_TEST(test_a_late_answer_keeps_the_shard_out_until_it_comes),
        FOLD_TEST(test_order_of_arrival_is_kept_over_many_statements),
        FOLD_TEST(test_what_was_busy_goes_first_again_in_order),
        FOLD_TEST(test_a_connection_found_dead_keeps_shards_and_members_in_order),
        FOLD_TEST(test_a_hot_shard_leaves_room_for_all_that_are_ready),
        FOLD_TEST(test_hot_shards_share_a_statement_evenly),
        FOLD_TEST(test_more_shards_than_places_take_turns),
        FOLD_TEST(test_places_of_the_expired_are_given_to_nobody_else_twice),
        FOLD_TEST(test_a_shard_whose_members_all_expired_is_left),
        FOLD_TEST(test_members_with_and_without_a_shard_take_turns_by_age),
        FOLD_TEST(test_a_shard_holds_no_more_of_the_line_than_it_may),
        FOLD_TEST(test_a_shard_holds_no_more_than_it_leaves_free),
        FOLD_TEST(test_a_hot_shard_waits_for_its_own_turns_and_others_do_not),
        FOLD_TEST(test_lanes_of_one_book_never_send_a_shard_at_once),
        FOLD_TEST(test_lanes_that_meet_on_a_shard_take_turns_with_full_statements),
        FOLD_TEST(test_a_shard_changes_lanes_when_its_first_member_leaves),
        FOLD_TEST(test_an_expired_first_member_lets_the_other_lane_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
