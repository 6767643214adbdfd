/* Admission, coalescing, deadlines, cancelling and the pool's outage, of one lane. */
#include "lane_bench.h"

static struct pg_lane *lane;

static int set_up(void **state)
{
    (void)state;
    if (bench_set_up(4) != 0)
        return -1;
    lane = bench_lane(&(struct pg_lane_config){.queue_max = 8});
    return 0;
}

static void submit_ok(uint32_t index, uint64_t shard)
{
    bench_submit_ok(lane, index, &READ, shard);
}

static enum err submit_due_in(uint32_t index, uint64_t budget_us)
{
    struct pg_member *member = bench_member(index, &READ, 0);
    member->due_us = bench.now_us + budget_us;
    return pg_lane_submit(lane, member);
}

/* ---- coalescing ---- */

static void test_requests_of_one_turn_leave_as_one_statement(void **state)
{
    (void)state;

    submit_ok(0, 1);
    submit_ok(1, 2);
    assert_int_equal(bench.sent_count, 0);
    bench_turn();

    assert_int_equal(bench.sent_count, 1);
    ASSERT_SENT(0, 0, 1);
    assert_false(bench_sent_of(0)->alone);
    bench_answer_done(0);
    assert_done(0, PG_DONE);
    assert_done(1, PG_DONE);
}

static void test_what_waits_leaves_together_when_the_answer_comes(void **state)
{
    (void)state;
    submit_ok(0, 1);
    bench_turn();
    for (uint32_t i = 1; i <= 5; i++)
        submit_ok(i, i);
    bench_turn();
    assert_int_equal(bench.sent_count, 1);

    bench_answer_done(0);

    assert_done(0, PG_DONE);
    assert_int_equal(bench.sent_count, 2);
    ASSERT_SENT(1, 1, 2, 3, 4); /* batch_max; the fifth waits for the next */
    bench_answer_done(1);
    ASSERT_SENT(2, 5);
    bench_answer_done(2);
    assert_true(pg_lane_quiet(lane));
}

static void test_a_statement_is_of_one_work(void **state)
{
    (void)state;
    bench_submit_ok(lane, 0, &READ, 1);
    bench_submit_ok(lane, 1, &WRITE, 2);
    bench_submit_ok(lane, 2, &READ, 3);
    bench_turn();

    ASSERT_SENT(0, 0, 2);
    bench_answer_done(0);
    ASSERT_SENT(1, 1);
    bench_answer_done(1);
    assert_done(1, PG_DONE);
}

static uint32_t sent_when_done;

static void note_sent_when_done(struct pg_member *member, enum pg_outcome outcome)
{
    sent_when_done = bench.sent_count;
    bench_done(member, outcome);
}

static void test_next_batch_is_on_the_wire_before_answers_are_given(void **state)
{
    (void)state;
    submit_ok(0, 1);
    bench.requests[0].member.on_done = note_sent_when_done;
    bench_turn();
    submit_ok(1, 2);
    bench_turn();

    bench_answer_done(0);

    assert_int_equal(sent_when_done, 2);
    bench_answer_done(1);
}

static void test_storage_holds_a_full_batch_of_the_widest_work(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        bench_submit_ok(lane, i, &WRITE, i);
    bench_turn();

    assert_int_equal(bench_sent_of(0)->count, 4);
    assert_int_equal(bench_sent_of(0)->storage_bytes, 4 * WRITE_BYTES);
    bench_answer_done(0);
}

static void test_unreadable_rows_fail_the_member_they_leave_out(void **state)
{
    (void)state;
    const struct pg_rows rows = {.verdicts = {PG_VERDICT_DONE, PG_VERDICT_NONE}};
    submit_ok(0, 0);
    submit_ok(1, 0);
    bench_turn();

    bench_answer(0, &rows);

    assert_done(0, PG_DONE);
    assert_done(1, PG_FAILED);
}

static void test_unreadable_rows_of_a_write_leave_its_outcome_open(void **state)
{
    (void)state;
    const struct pg_rows rows = {.verdicts = {PG_VERDICT_DONE, PG_VERDICT_NONE}};
    bench_submit_ok(lane, 0, &WRITE, 0);
    bench_submit_ok(lane, 1, &WRITE, 0);
    bench_turn();

    bench_answer(0, &rows);

    assert_done(0, PG_DONE);
    assert_done(1, PG_UNKNOWN);
    assert_int_equal(pg_lane_stats(lane)->unknown_total, 1);
}

static void test_no_idle_connection_keeps_order_until_one_is_free(void **state)
{
    (void)state;
    bench_connections(0, 4);
    submit_ok(0, 10);
    submit_ok(1, 11);
    bench_turn();
    assert_int_equal(bench.sent_count, 0);

    bench_connections(1, 3);
    bench_pool_changed();

    ASSERT_SENT(0, 0, 1);
    bench_answer_done(0);
}

static void test_a_connection_found_dead_keeps_order(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        submit_ok(i, 0);
    bench.sends_refused = 1;
    bench_turn();
    assert_int_equal(bench.sent_count, 0);
    assert_int_equal(pg_lane_waiting(lane), 5);

    bench_turn();

    ASSERT_SENT(0, 0, 1, 2, 3);
    bench_answer_all();
    assert_done(4, PG_DONE);
}

/* ---- admission ---- */

static void test_submit_refuses_when_line_is_full(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench_turn();
    for (uint32_t i = 1; i <= 8; i++)
        submit_ok(i, i);

    assert_int_equal(bench_submit(lane, 9, &READ, 9), ERR_FULL);

    assert_int_equal(pg_lane_stats(lane)->refused_full_total, 1);
    bench_answer_all();
    assert_pending(9);
}

/* Makes the lane believe that a statement takes this long. */
static void teach_service_time(uint64_t service_us)
{
    const uint32_t number = bench.sent_count;
    submit_ok(60, 60);
    bench_turn();
    bench_advance(service_us);
    bench_answer_done(number);
}

static void test_submit_refuses_when_predicted_wait_is_too_long(void **state)
{
    (void)state;
    teach_service_time(30 * MS);
    submit_ok(0, 0); /* idle lane: always admitted */
    bench_turn();

    assert_int_equal(bench_submit(lane, 1, &READ, 1), ERR_FULL); /* 30 ms to go, 25 ms allowed */
    bench_advance(6 * MS);
    assert_int_equal(bench_submit(lane, 1, &READ, 1), ERR_OK); /* 24 ms to go */

    assert_int_equal(pg_lane_stats(lane)->refused_full_total, 1);
    bench_answer_all();
}

static void test_predicted_wait_grows_by_a_statement_for_each_full_batch_ahead(void **state)
{
    (void)state;
    teach_service_time(4 * MS);
    submit_ok(0, 0);
    bench_turn();
    assert_int_equal(pg_lane_predicted_wait_us(lane, 0), 4 * MS);

    for (uint32_t i = 1; i <= 4; i++)
        submit_ok(i, 0);

    assert_int_equal(pg_lane_predicted_wait_us(lane, 0), 8 * MS);
    bench_answer_all();
}

static void test_submit_refuses_when_wait_exceeds_what_is_left_of_the_budget(void **state)
{
    (void)state;
    teach_service_time(20 * MS);
    submit_ok(0, 0);
    bench_turn();

    assert_int_equal(submit_due_in(1, 20 * MS - 1), ERR_TIMEOUT);
    assert_int_equal(submit_due_in(2, 20 * MS), ERR_OK);

    assert_int_equal(pg_lane_stats(lane)->refused_budget_total, 1);
    bench_answer_all();
}

static void test_submit_refuses_a_member_whose_time_is_over(void **state)
{
    (void)state;

    assert_int_equal(submit_due_in(0, 0), ERR_TIMEOUT);
}

static void test_stuck_statement_closes_the_line_at_once(void **state)
{
    (void)state;
    teach_service_time(1 * MS);
    submit_ok(0, 0);
    bench_turn();
    bench_advance(30 * MS);

    assert_int_equal(bench_submit(lane, 1, &READ, 1), ERR_FULL);

    bench_answer_all();
}

static void test_submit_refuses_without_a_connection(void **state)
{
    (void)state;
    bench_connections(0, 0);

    assert_int_equal(bench_submit(lane, 0, &READ, 0), ERR_UNAVAILABLE);

    assert_int_equal(pg_lane_stats(lane)->refused_down_total, 1);
}

static void test_wait_for_a_turn_is_part_of_the_prediction(void **state)
{
    (void)state;
    teach_service_time(1 * MS);
    bench_connections(0, 4);
    submit_ok(0, 0);
    bench_turn();
    bench_advance(8 * MS);
    bench_connections(1, 3);
    bench_pool_changed();
    bench_answer_done(1);

    submit_ok(1, 0);
    assert_int_equal(pg_lane_predicted_wait_us(lane, 0), 8 * MS);

    bench_answer_all();
}

/* What waited when the pool went down waited for no connection's turn. */
static void wait_is_not_measured_over_an_hour(void)
{
    bench_advance((uint64_t)3600 * CLOCK_US_PER_S);
    bench_connections(4, 0);
    bench_pool_changed();
    submit_ok(1, 0);
    bench_turn();
    bench_answer_done(bench.sent_count - 1);

    submit_ok(2, 0);
    assert_true(pg_lane_predicted_wait_us(lane, 0) < MS);
    bench_answer_all();
}

static void test_an_outage_is_not_taken_for_the_wait_for_a_turn(void **state)
{
    (void)state;
    bench_connections(0, 4);
    submit_ok(0, 0);
    bench_turn();
    bench_connections(0, 0);
    bench_pool_changed();
    assert_done(0, PG_UNAVAILABLE);

    wait_is_not_measured_over_an_hour();
}

static void test_a_cancelled_wait_is_not_taken_for_the_wait_for_a_turn(void **state)
{
    (void)state;
    bench_connections(0, 4);
    submit_ok(0, 0);
    bench_turn();
    assert_true(pg_lane_cancel(&bench.requests[0].member));

    wait_is_not_measured_over_an_hour();
}

/* ---- deadlines ---- */

static void test_member_expires_after_twice_the_promised_wait(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench_turn();
    submit_ok(1, 1);
    bench_turn();

    bench_advance(50 * MS - 1);
    assert_pending(1);
    bench_advance(1);

    assert_done(1, PG_EXPIRED);
    assert_pending(0);
    assert_int_equal(pg_lane_waiting(lane), 0);
    assert_int_equal(pg_lane_stats(lane)->expired_total, 1);
    bench_answer_done(0);
    assert_int_equal(bench.sent_count, 1);
}

static void test_short_budget_expires_before_longer_ones(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench_turn();
    submit_ok(1, 1);
    submit_ok(2, 2);
    assert_int_equal(submit_due_in(3, 5 * MS), ERR_OK);

    bench_advance(5 * MS);

    assert_done(3, PG_EXPIRED);
    assert_pending(1);
    bench_answer_all();
    assert_done(2, PG_DONE);
}

static void test_sent_write_is_unknown_at_its_due_time(void **state)
{
    (void)state;
    bench_submit_ok(lane, 0, &WRITE, 0);
    bench_turn();

    bench_advance(BUDGET - 1);
    assert_pending(0);
    bench_advance(1);

    assert_done(0, PG_UNKNOWN); /* it may have been applied */
    assert_false(pg_lane_quiet(lane));
    assert_int_equal(pg_lane_in_flight(lane), 0);
    bench_answer_done(0); /* the late answer reaches nobody */
    assert_int_equal(bench.requests[0].done_count, 1);
    assert_int_equal(pg_lane_stats(lane)->late_answers_total, 1);
    assert_true(pg_lane_quiet(lane));
}

static void test_sent_read_times_out_as_not_applied(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench_turn();

    bench_advance(BUDGET);

    assert_done(0, PG_TIMED_OUT);
    bench_answer_done(0);
}

static void test_each_member_of_a_statement_is_answered_at_its_own_due_time(void **state)
{
    (void)state;
    submit_ok(0, 0);
    assert_int_equal(submit_due_in(1, 5 * MS), ERR_OK);
    assert_int_equal(submit_due_in(2, 7 * MS), ERR_OK);
    bench_turn();

    bench_advance(5 * MS);
    assert_done(1, PG_TIMED_OUT);
    assert_pending(2);
    bench_advance(2 * MS);
    assert_done(2, PG_TIMED_OUT);
    bench_answer_done(0);

    assert_done(0, PG_DONE);
    assert_int_equal(pg_lane_stats(lane)->late_answers_total, 2);
}

/* ---- the pool is down ---- */

static void test_waiting_members_fail_when_the_pool_goes_down(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench_turn();
    submit_ok(1, 1);
    bench_connections(0, 0);

    bench_pool_changed();

    assert_done(1, PG_UNAVAILABLE);
    assert_pending(0); /* its connection still owes the loss */
    bench.busy = 1;
    bench_lose(0);
    assert_done(0, PG_UNAVAILABLE);
    assert_true(pg_lane_quiet(lane));
}

static void submit_next_to_itself(struct pg_member *member, enum pg_outcome outcome)
{
    bench_done(member, outcome);
    assert_int_equal(bench_submit(lane, 1, &READ, 0), ERR_UNAVAILABLE);
    assert_false(pg_lane_cancel(member));
}

static void test_on_done_of_an_outage_may_submit(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench.requests[0].member.on_done = submit_next_to_itself;
    bench_connections(0, 0);

    bench_pool_changed();

    assert_done(0, PG_UNAVAILABLE);
    assert_pending(1);
    assert_true(pg_lane_quiet(lane));
}

/* ---- cancel ---- */

static void test_cancel_forgets_what_waits_and_leaves_what_is_sent(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench_turn();
    submit_ok(1, 0);

    assert_false(pg_lane_cancel(&bench.requests[0].member));
    assert_true(pg_lane_cancel(&bench.requests[1].member));
    assert_false(pg_lane_cancel(&bench.requests[1].member)); /* it is nobody's now */

    bench_answer_done(0);
    assert_done(0, PG_DONE);
    assert_false(pg_lane_cancel(&bench.requests[0].member));
    assert_pending(1);
    assert_int_equal(bench.sent_count, 1);
}

static void test_cancel_finds_a_member_that_goes_again(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench_turn();
    bench_connections(0, 4); /* the retry has to wait */
    bench_lose(0);
    bench_connections(0, 4);
    assert_int_equal(bench.requests[0].member.state, PG_MEMBER_RETRYING);

    assert_true(pg_lane_cancel(&bench.requests[0].member));

    assert_true(pg_lane_quiet(lane));
    bench_advance(BUDGET);
    assert_pending(0);
}

static struct pg_member *to_cancel;

static void cancel_the_other(struct pg_member *member, enum pg_outcome outcome)
{
    bench_done(member, outcome);
    assert_int_equal(to_cancel->state, PG_MEMBER_ENDING);
    assert_false(pg_lane_cancel(to_cancel));
}

static void test_cancel_leaves_a_member_that_is_ending(void **state)
{
    (void)state;
    submit_ok(0, 0);
    submit_ok(1, 0);
    bench.requests[0].member.on_done = cancel_the_other;
    to_cancel = &bench.requests[1].member;
    bench_turn();

    bench_answer_done(0);

    assert_done(0, PG_DONE);
    assert_done(1, PG_DONE);
}

static void cancel_who_waits(struct pg_member *member, enum pg_outcome outcome)
{
    bench_done(member, outcome);
    assert_true(pg_lane_cancel(to_cancel));
}

static void test_on_done_may_cancel_who_waits(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench.requests[0].member.on_done = cancel_who_waits;
    bench_turn();
    for (uint32_t i = 1; i <= 5; i++)
        submit_ok(i, 0);
    to_cancel = &bench.requests[5].member; /* the next four go on the wire before */

    bench_answer_done(0);

    bench_answer_all();
    assert_pending(5);
    assert_done(4, PG_DONE);
    assert_true(pg_lane_quiet(lane));
}

static void resubmit_once(struct pg_member *member, enum pg_outcome outcome)
{
    bench_done(member, outcome);
    member->on_done = bench_done;
    member->due_us = bench.now_us + BUDGET;
    assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    assert_int_equal(container_of(member, struct bench_request, member)->done_count, 1);
}

static void test_on_done_may_submit_again(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench.requests[0].member.on_done = resubmit_once;
    bench_turn();

    bench_answer_done(0);

    assert_int_equal(bench.sent_count, 2);
    bench_answer_done(1);
    assert_int_equal(bench.requests[0].done_count, 2);
    assert_true(pg_lane_quiet(lane));
}

static void test_on_done_of_an_expiry_may_submit_again(void **state)
{
    (void)state;
    submit_ok(0, 0);
    bench_turn();
    assert_int_equal(submit_due_in(1, 5 * MS), ERR_OK);
    bench.requests[1].member.on_done = resubmit_once;

    bench_advance(5 * MS);

    assert_int_equal(bench.requests[1].outcome, PG_EXPIRED);
    assert_int_equal(bench.requests[1].done_count, 1);
    bench_answer_done(0);
    ASSERT_SENT(1, 1);
    bench_answer_done(1);
    assert_int_equal(bench.requests[1].done_count, 2);
}

#define LANE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LANE_TEST(test_requests_of_one_turn_leave_as_one_statement),
        LANE_TEST(test_what_waits_leaves_together_when_the_answer_comes),
        LANE_TEST(test_a_statement_is_of_one_work),
        LANE_TEST(test_next_batch_is_on_the_wire_before_answers_are_given),
        LANE_TEST(test_storage_holds_a_full_batch_of_the_widest_work),
        LANE_TEST(test_unreadable_rows_fail_the_member_they_leave_out),
        LANE_TEST(test_unreadable_rows_of_a_write_leave_its_outcome_open),
        LANE_TEST(test_no_idle_connection_keeps_order_until_one_is_free),
        LANE_TEST(test_a_connection_found_dead_keeps_order),
        LANE_TEST(test_submit_refuses_when_line_is_full),
        LANE_TEST(test_submit_refuses_when_predicted_wait_is_too_long),
        LANE_TEST(test_predicted_wait_grows_by_a_statement_for_each_full_batch_ahead),
        LANE_TEST(test_submit_refuses_when_wait_exceeds_what_is_left_of_the_budget),
        LANE_TEST(test_submit_refuses_a_member_whose_time_is_over),
        LANE_TEST(test_stuck_statement_closes_the_line_at_once),
        LANE_TEST(test_submit_refuses_without_a_connection),
        LANE_TEST(test_wait_for_a_turn_is_part_of_the_prediction),
        LANE_TEST(test_an_outage_is_not_taken_for_the_wait_for_a_turn),
        LANE_TEST(test_a_cancelled_wait_is_not_taken_for_the_wait_for_a_turn),
        LANE_TEST(test_member_expires_after_twice_the_promised_wait),
        LANE_TEST(test_short_budget_expires_before_longer_ones),
        LANE_TEST(test_sent_write_is_unknown_at_its_due_time),
        LANE_TEST(test_sent_read_times_out_as_not_applied),
        LANE_TEST(test_each_member_of_a_statement_is_answered_at_its_own_due_time),
        LANE_TEST(test_waiting_members_fail_when_the_pool_goes_down),
        LANE_TEST(test_on_done_of_an_outage_may_submit),
        LANE_TEST(test_cancel_forgets_what_waits_and_leaves_what_is_sent),
        LANE_TEST(test_cancel_finds_a_member_that_goes_again),
        LANE_TEST(test_cancel_leaves_a_member_that_is_ending),
        LANE_TEST(test_on_done_may_cancel_who_waits),
        LANE_TEST(test_on_done_may_submit_again),
        LANE_TEST(test_on_done_of_an_expiry_may_submit_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
