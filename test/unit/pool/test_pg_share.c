/*
 * Whose turn it is: several lanes that always have work, statements that take as long as a test
 * says, and few connections. What each lane got is its connections' time.
 */
#include "lane_bench.h"

enum { LANES_MAX = BENCH_LANES_MAX, LONG = 1000 * 1000 * MS, PER_LANE = 100 };

static uint32_t service_us[LANES_MAX], wanted[LANES_MAX]; /* wanted: members kept waiting */
static const char *failing[LANES_MAX];                    /* SQLSTATE of all its statements */
static uint32_t in_flight_most[LANES_MAX];

static int set_up(void **state)
{
    (void)state;
    memset(service_us, 0, sizeof(service_us));
    memset(wanted, 0, sizeof(wanted));
    memset(failing, 0, sizeof(failing));
    memset(in_flight_most, 0, sizeof(in_flight_most));
    return bench_set_up(1);
}

/* A lane that always has work, of statements that take so long. */
static void add_lane(uint8_t weight, uint8_t reserved, uint32_t statement_us)
{
    const uint32_t index = bench.lane_count;
    bench_lane(&(struct pg_lane_config){.tracks = 4,
                                        .batch_max = 1,
                                        .weight = weight,
                                        .reserved = reserved,
                                        .queue_max = PER_LANE,
                                        .queue_wait_max_us = LONG});
    service_us[index] = statement_us;
    wanted[index] = 8;
}

static uint32_t lane_index(const struct pg_lane *lane)
{
    for (uint32_t i = 0; i < bench.lane_count; i++)
        if (bench.lanes[i] == lane)
            return i;
    fail();
    return 0;
}

static bool is_free(uint32_t index)
{
    const enum pg_member_state state = bench.requests[index].member.state;
    return state == PG_MEMBER_NEW || state == PG_MEMBER_DONE;
}

static void submit_one(uint32_t lane)
{
    uint32_t index = lane * PER_LANE;
    while (!is_free(index))
        index++;
    assert_true(index < (lane + 1) * PER_LANE);
    struct pg_member *member = bench_member(index, &READ, 0);
    member->due_us = bench.now_us + LONG;
    assert_int_equal(pg_lane_submit(bench.lanes[lane], member), ERR_OK);
}

static void keep_busy(void)
{
    for (uint32_t i = 0; i < bench.lane_count; i++)
        while (pg_lane_waiting(bench.lanes[i]) < wanted[i])
            submit_one(i);
    bench_turn();
    for (uint32_t i = 0; i < bench.lane_count; i++)
        if (bench.lanes[i]->busy_tracks > in_flight_most[i])
            in_flight_most[i] = bench.lanes[i]->busy_tracks;
}

static uint64_t ends_us(const struct bench_sent *sent)
{
    return sent->sent_us + service_us[lane_index(sent->lane)];
}

/* The statement in flight that ends first; false: none is. */
static bool ends_first(uint32_t *number)
{
    bool found = false;

    for (uint32_t n = bench.sent_count > 32 ? bench.sent_count - 32 : 0; n < bench.sent_count;
         n++) {
        const struct bench_sent *sent = bench_sent_of(n);
        if (!sent->answered && (!found || ends_us(sent) < ends_us(bench_sent_of(*number)))) {
            *number = n;
            found = true;
        }
    }
    return found;
}

static void run_for(uint64_t duration_us)
{
    const uint64_t until_us = bench.now_us + duration_us;
    uint32_t number = 0;

    keep_busy();
    while (bench.now_us < until_us && ends_first(&number)) {
        const struct bench_sent *sent = bench_sent_of(number);
        bench.now_us = ends_us(sent);
        const char *sqlstate = failing[lane_index(sent->lane)];
        if (sqlstate != NULL)
            bench_error(number, sqlstate);
        else
            bench_answer_done(number);
        keep_busy();
    }
}

static uint64_t used_us(uint32_t lane)
{
    return pg_lane_stats(bench.lanes[lane])->service_us_total;
}

/* Its part of the time that all of them used, in percent, within two. */
static void assert_part(uint32_t lane, uint32_t percent)
{
    uint64_t all_us = 0;
    for (uint32_t i = 0; i < bench.lane_count; i++)
        all_us += used_us(i);
    CHECK(all_us > 0);
    const uint64_t got = (used_us(lane) * 100 + all_us / 2) / all_us;
    assert_in_range(got, percent - 2, percent + 2);
}

/* ---- weights ---- */

static void test_one_connection_is_shared_by_weight(void **state)
{
    (void)state;
    add_lane(4, 0, 1 * MS);
    add_lane(2, 0, 5 * MS);
    add_lane(2, 0, 3 * MS);

    run_for(10 * 1000 * MS);

    assert_part(0, 50);
    assert_part(1, 25);
    assert_part(2, 25);
}

static void test_weights_hold_with_reservations_that_cannot_be_kept(void **state)
{
    (void)state;
    add_lane(4, 1, 1 * MS);
    add_lane(4, 1, 2 * MS);
    add_lane(2, 1, 3 * MS);
    add_lane(2, 0, 1 * MS);

    run_for(10 * 1000 * MS);

    assert_part(0, 33);
    assert_part(1, 33);
    assert_part(2, 17);
    assert_part(3, 17);
}

static void test_time_counts_and_not_the_number_of_statements(void **state)
{
    (void)state;
    add_lane(1, 0, 100 * MS);
    add_lane(1, 0, 1 * MS);

    run_for(20 * 1000 * MS);

    assert_part(0, 50);
    assert_part(1, 50);
    const uint64_t ratio =
        pg_lane_stats(bench.lanes[1])->batches_total / pg_lane_stats(bench.lanes[0])->batches_total;
    assert_in_range(ratio, 90, 110);
}

static void test_no_lane_takes_the_last_of_two_connections(void **state)
{
    (void)state;
    bench_connections(2, 0);
    add_lane(8, 1, 4 * MS);
    add_lane(1, 1, 4 * MS);
    add_lane(1, 1, 4 * MS);

    run_for(10 * 1000 * MS);

    assert_int_equal(in_flight_most[0], 1);
    assert_part(0, 50); /* by weight it would be 80 */
    assert_part(1, 25);
    assert_part(2, 25);
}

static void test_a_lane_alone_has_all_that_is_not_reserved(void **state)
{
    (void)state;
    bench_connections(6, 0);
    add_lane(1, 1, 4 * MS);
    add_lane(8, 1, 4 * MS);
    add_lane(8, 1, 4 * MS);
    wanted[1] = wanted[2] = 0;

    run_for(100 * MS);
    assert_int_equal(in_flight_most[0], 4);

    submit_one(1); /* at once, on the one it is promised */
    submit_one(2);
    const uint32_t sent = bench.sent_count;
    bench_turn();
    assert_int_equal(bench.sent_count, sent + 2);
}

static void test_reservations_hold_under_load_of_all(void **state)
{
    (void)state;
    bench_connections(4, 0);
    add_lane(20, 1, 10 * MS);
    add_lane(20, 1, 10 * MS);
    add_lane(1, 1, 10 * MS);

    run_for(10 * 1000 * MS);

    const uint64_t third_us = used_us(2);
    assert_true(third_us >= 9 * (uint64_t)1000 * MS); /* a connection's whole time, nearly */
}

/* ---- fairness in time ---- */

static void test_an_idle_lane_saves_nothing_up(void **state)
{
    (void)state;
    add_lane(1, 0, 2 * MS);
    add_lane(1, 0, 2 * MS);
    wanted[1] = 0;
    run_for(60 * (uint64_t)1000 * MS);
    const uint64_t before_us = used_us(0);

    wanted[1] = 8;
    run_for(100 * MS);

    assert_in_range(used_us(0) - before_us, 45 * MS, 55 * MS);
    assert_in_range(used_us(1), 45 * MS, 55 * MS);
}

static void test_between_equals_the_first_lane_goes_first(void **state)
{
    (void)state;
    add_lane(1, 0, 2 * MS);
    add_lane(4, 0, 2 * MS);
    add_lane(1, 0, 2 * MS);
    bench_connections(0, 1);
    keep_busy();
    bench_connections(1, 0);
    bench_pool_changed();

    assert_ptr_equal(bench_sent_of(0)->lane, bench.lanes[0]);
    bench.now_us += 2 * MS;
    bench_answer_done(0);
    assert_ptr_equal(bench_sent_of(1)->lane, bench.lanes[1]);
    bench.now_us += 2 * MS;
    bench_answer_done(1);
    assert_ptr_equal(bench_sent_of(2)->lane, bench.lanes[2]);
}

static void test_a_lane_with_a_lot_of_time_used_still_serves_when_alone(void **state)
{
    (void)state;
    add_lane(1, 0, 500 * MS);
    add_lane(1, 0, 1 * MS);
    wanted[1] = 0;
    run_for(5 * (uint64_t)1000 * MS);
    const uint64_t before = pg_lane_stats(bench.lanes[0])->batches_total;

    run_for(5 * (uint64_t)1000 * MS);

    assert_in_range(pg_lane_stats(bench.lanes[0])->batches_total - before, 9, 11);
}

/* ---- retries ---- */

static void test_retries_of_one_lane_leave_the_others_their_part(void **state)
{
    (void)state;
    add_lane(1, 0, 2 * MS);
    add_lane(1, 0, 2 * MS);
    failing[0] = "23505";

    run_for(10 * 1000 * MS);

    assert_true(pg_lane_stats(bench.lanes[0])->retries_total > 1000);
    assert_part(0, 50);
    assert_part(1, 50);
}

static void test_new_work_and_retries_of_a_lane_take_turns_on_one_connection(void **state)
{
    (void)state;
    bench_lane(&(struct pg_lane_config){.tracks = 1, .batch_max = 4});
    for (uint32_t i = 0; i < 4; i++)
        bench_submit_ok(bench.lanes[0], i, &READ, 0);
    bench_turn();
    for (uint32_t i = 4; i < 12; i++)
        bench_submit_ok(bench.lanes[0], i, &READ, 0);

    bench_error(0, "23505");
    ASSERT_SENT(1, 0, 1);
    bench_answer_done(1);
    ASSERT_SENT(2, 4, 5, 6, 7);
    bench_answer_done(2);
    ASSERT_SENT(3, 2, 3);
    bench_answer_done(3);
    ASSERT_SENT(4, 8, 9, 10, 11);
    bench_answer_done(4);
}

static void test_two_failing_lanes_and_two_good_ones_on_two_connections(void **state)
{
    (void)state;
    bench_connections(2, 0);
    for (uint32_t i = 0; i < 4; i++)
        add_lane(1, 1, 2 * MS);
    failing[0] = failing[1] = "40001";

    run_for(10 * 1000 * MS);

    for (uint32_t i = 0; i < 4; i++)
        assert_part(i, 25);
}

#define SHARE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARE_TEST(test_one_connection_is_shared_by_weight),
        SHARE_TEST(test_weights_hold_with_reservations_that_cannot_be_kept),
        SHARE_TEST(test_time_counts_and_not_the_number_of_statements),
        SHARE_TEST(test_no_lane_takes_the_last_of_two_connections),
        SHARE_TEST(test_a_lane_alone_has_all_that_is_not_reserved),
        SHARE_TEST(test_reservations_hold_under_load_of_all),
        SHARE_TEST(test_an_idle_lane_saves_nothing_up),
        SHARE_TEST(test_between_equals_the_first_lane_goes_first),
        SHARE_TEST(test_a_lane_with_a_lot_of_time_used_still_serves_when_alone),
        SHARE_TEST(test_retries_of_one_lane_leave_the_others_their_part),
        SHARE_TEST(test_new_work_and_retries_of_a_lane_take_turns_on_one_connection),
        SHARE_TEST(test_two_failing_lanes_and_two_good_ones_on_two_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
