/* What becomes of members whose statement failed or was lost, and of shards that make it fail. */
#include "lane_bench.h"

static struct pg_lane *lane;
static uint32_t poisonings, recoveries;
static uint64_t told_key;
static char told_sqlstate[PG_SQLSTATE_LEN + 1];

static void on_poison(void *owner, uint64_t key, bool poisoned, const char *sqlstate)
{
    assert_ptr_equal(owner, &poisonings);
    poisonings += poisoned;
    recoveries += !poisoned;
    told_key = key;
    memcpy(told_sqlstate, sqlstate, strlen(sqlstate) + 1);
}

static int set_up(void **state)
{
    (void)state;
    poisonings = recoveries = 0;
    if (bench_set_up(4) != 0)
        return -1;
    bench_book(&(struct pg_shards_config){.member_max = BENCH_REQUESTS_MAX,
                                          .poison_hold_us = CLOCK_US_PER_S,
                                          .on_poison = on_poison,
                                          .owner = &poisonings});
    lane = bench_lane(&(struct pg_lane_config){.exclusive = true, .batch_max = 8});
    return 0;
}

/* Request n of shard n + 1, so that shard 0 is none. */
static void submit(uint32_t index)
{
    bench_submit_ok(lane, index, &WRITE, index + 1);
}

/* Requests 0.. as one statement, number 0. */
static void send_batch(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        submit(i);
    bench_turn();
    assert_int_equal(bench_sent_of(0)->count, count);
}

static const struct pg_shard *shard(uint64_t key)
{
    return pg_shard_find(bench.book, key);
}

/* ---- halving ---- */

static bool contains(const struct bench_sent *sent, uint32_t request)
{
    for (uint32_t i = 0; i < sent->count; i++)
        if (sent->requests[i] == request)
            return true;
    return false;
}

static void test_a_failed_batch_is_halved_first_half_first(void **state)
{
    (void)state;
    send_batch(8);

    bench_error(0, "23505");
    ASSERT_SENT(1, 0, 1, 2, 3);
    assert_false(bench_sent_of(1)->alone);
    bench_error(1, "23505");
    ASSERT_SENT(2, 0, 1); /* the halves of the half before the other half */
    bench_answer_done(2);
    ASSERT_SENT(3, 2, 3);
    bench_answer_done(3);
    ASSERT_SENT(4, 4, 5, 6, 7);
    bench_answer_done(4);

    for (uint32_t i = 0; i < 8; i++)
        assert_done(i, PG_DONE);
    assert_int_equal(pg_lane_stats(lane)->halvings_total, 2);
    assert_int_equal(bench.sent_count, 5);
    assert_true(pg_lane_quiet(lane));
}

/* Wherever the culprit stands, log2 halvings find it, and it goes alone twice. */
static void test_one_culprit_of_eight_costs_only_itself(void **state)
{
    (void)state;
    for (uint32_t culprit = 0; culprit < 8; culprit++) {
        const uint32_t base = culprit * 8;
        const uint32_t first = bench.sent_count;
        for (uint32_t i = 0; i < 8; i++)
            submit(base + i);
        bench_turn();
        for (uint32_t n = first; n < bench.sent_count; n++) {
            if (contains(bench_sent_of(n), base + culprit))
                bench_error(n, "23505");
            else
                bench_answer_done(n);
        }
        for (uint32_t i = 0; i < 8; i++)
            assert_done(base + i, i == culprit ? PG_FAILED : PG_DONE);
        assert_string_equal(bench.requests[base + culprit].member.sqlstate, "23505");
        assert_int_equal(bench.sent_count - first, 8); /* 8; 4 4; 2 2; 1 1 and 1 again */
        assert_true(pg_lane_quiet(lane));
    }
    assert_int_equal(pg_lane_stats(lane)->halvings_total, 8 * 3);
}

static void test_halves_of_an_odd_batch_hold_everybody(void **state)
{
    (void)state;
    send_batch(5);

    bench_error(0, "23505");

    ASSERT_SENT(1, 0, 1, 2);
    bench_answer_done(1);
    ASSERT_SENT(2, 3, 4);
    bench_answer_done(2);
    for (uint32_t i = 0; i < 5; i++)
        assert_done(i, PG_DONE);
}

static void test_a_halved_batch_has_one_track_and_new_work_the_other(void **state)
{
    (void)state;
    send_batch(4);

    bench_error(0, "23505");
    submit(10);
    bench_turn();

    assert_int_equal(bench.sent_count, 3);
    ASSERT_SENT(1, 0, 1); /* 2 and 3 wait for this one */
    ASSERT_SENT(2, 10);
    bench_answer_done(2);
    assert_int_equal(bench.sent_count, 3);
    bench_answer_done(1);
    ASSERT_SENT(3, 2, 3);
    bench_answer_done(3);
}

static void test_a_shard_that_is_halved_stays_out_until_its_last_member_is_back(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        bench_submit_ok(lane, i, &WRITE, 7);
    bench_turn();
    bench_submit_ok(lane, 4, &WRITE, 7);
    ASSERT_SENT(0, 0, 1, 2, 3);

    bench_error(0, "23505");
    bench_answer_done(1);
    ASSERT_SENT(2, 2, 3);
    assert_int_equal(shard(7)->state, PG_SHARD_OUT);
    assert_int_equal(bench.sent_count, 3);
    bench_answer_done(2);

    ASSERT_SENT(3, 4);
    bench_answer_done(3);
    assert_null(shard(7));
}

static void test_members_answered_meanwhile_are_halved_no_more(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct pg_member *member = bench_member(i, &WRITE, i + 1);
        member->due_us = bench.now_us + (i < 3 ? 5 * MS : BUDGET);
        assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    }
    bench_turn();
    bench_advance(5 * MS);

    bench_error(0, "23505");

    ASSERT_SENT(1, 3);
    bench_answer_done(1);
    assert_done(3, PG_DONE);
    assert_int_equal(bench.requests[0].done_count, 1);
    assert_true(pg_lane_quiet(lane));
    assert_null(shard(1));
}

static void test_storage_of_a_retry_is_of_its_own_size(void **state)
{
    (void)state;
    send_batch(8);
    bench_error(0, "23505");
    assert_int_equal(bench_sent_of(1)->storage_bytes, 8 * WRITE_BYTES);
    bench_answer_all();
}

/* ---- errors of the session ---- */

static void test_errors_of_the_session_send_all_again_together_and_once(void **state)
{
    (void)state;
    static const char *const SQLSTATES[] = {"40001", "40P01", "53300", "57P01", "25006"};

    for (uint32_t n = 0; n < 5; n++) {
        const uint32_t first = bench.sent_count, base = n * 4;
        for (uint32_t i = 0; i < 4; i++)
            submit(base + i);
        bench_turn();
        bench_error(first, SQLSTATES[n]);
        ASSERT_SENT(first + 1, base, base + 1, base + 2, base + 3);
        bench_error(first + 1, SQLSTATES[n]);
        for (uint32_t i = 0; i < 4; i++)
            assert_done(base + i, PG_FAILED);
        assert_string_equal(bench.requests[base].member.sqlstate, SQLSTATES[n]);
        assert_int_equal(bench.sent_count, first + 2);
        assert_true(pg_lane_quiet(lane));
        assert_false(pg_shards_has_suspects(bench.book)); /* nobody's fault */
    }
    assert_int_equal(pg_lane_stats(lane)->halvings_total, 0);
}

static void test_a_stale_plan_is_tried_once_for_each_connection(void **state)
{
    (void)state;
    static const char *const SQLSTATES[] = {"26000", "0A000"};

    for (uint32_t n = 0; n < 2; n++) {
        const uint32_t first = bench.sent_count, base = n * 4;
        for (uint32_t i = 0; i < 2; i++)
            submit(base + i);
        bench_turn();
        for (uint32_t i = 0; i <= BENCH_POOL_SIZE; i++) {
            ASSERT_SENT(first + i, base, base + 1);
            bench_error(first + i, SQLSTATES[n]);
        }
        assert_pending(base);
        bench_error(bench.sent_count - 1, SQLSTATES[n]); /* one more is another trouble */
        assert_done(base, PG_FAILED);
        assert_done(base + 1, PG_FAILED);
    }
}

static void test_halving_leaves_the_tries_for_errors_of_the_session(void **state)
{
    (void)state;
    send_batch(4);
    bench_error(0, "23505");

    bench_error(1, "40001");

    ASSERT_SENT(2, 0, 1);
    bench_answer_all();
    for (uint32_t i = 0; i < 4; i++)
        assert_done(i, PG_DONE);
}

/* ---- lost ---- */

static void test_a_lost_write_is_unknown_and_goes_never_again(void **state)
{
    (void)state;
    send_batch(3);

    bench_lose(0);

    for (uint32_t i = 0; i < 3; i++)
        assert_done(i, PG_UNKNOWN);
    assert_int_equal(bench.sent_count, 1);
    assert_int_equal(pg_lane_stats(lane)->unknown_total, 3);
    assert_null(shard(1)); /* its wallet is free again */
}

static void test_a_lost_read_goes_again_once(void **state)
{
    (void)state;
    bench_submit_ok(lane, 0, &READ, 1);
    bench_submit_ok(lane, 1, &READ, 2);
    bench_turn();

    bench_lose(0);
    ASSERT_SENT(1, 0, 1);
    bench_lose(1);

    assert_done(0, PG_UNAVAILABLE);
    assert_done(1, PG_UNAVAILABLE);
}

static void test_a_lost_read_ends_when_no_connection_is_left(void **state)
{
    (void)state;
    bench_submit_ok(lane, 0, &READ, 1);
    bench_turn();
    bench_connections(0, 1);

    bench_lose(0);

    assert_done(0, PG_UNAVAILABLE);
    assert_int_equal(bench.sent_count, 1);
}

/* ---- time ---- */

static void test_with_less_time_left_than_the_attempt_took_it_ends(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum pg_outcome outcome;
    } CASES[] = {{"23505", PG_FAILED}, {"55P03", PG_TIMED_OUT}, {"40001", PG_FAILED}};

    for (uint32_t n = 0; n < 3; n++) {
        const uint32_t first = bench.sent_count, base = n * 4;
        submit(base);
        submit(base + 1);
        bench_turn();
        bench_advance(BUDGET / 2 + 1);
        bench_error(first, CASES[n].sqlstate);
        assert_done(base, CASES[n].outcome);
        assert_done(base + 1, CASES[n].outcome);
        assert_int_equal(bench.sent_count, first + 1);
    }
    assert_false(pg_shards_has_suspects(bench.book));
}

static void test_a_retry_that_waits_past_its_due_time_moved_nothing(void **state)
{
    (void)state;
    send_batch(2);
    bench_connections(0, 4);
    bench.sends_refused = 1; /* the connection that has answered is found dead */
    bench_error(0, "40001");
    assert_int_equal(bench.requests[0].member.state, PG_MEMBER_RETRYING);
    assert_int_equal(bench.idle, 0);

    bench_advance(BUDGET - 1);
    assert_pending(0);
    bench_advance(1);

    assert_done(0, PG_TIMED_OUT);
    assert_done(1, PG_TIMED_OUT);
    assert_null(shard(1));
}

static void test_a_timed_out_batch_makes_suspects_of_those_without_time(void **state)
{
    (void)state;
    send_batch(3);
    bench_advance(60 * MS);

    bench_error(0, "57014");

    for (uint32_t i = 0; i < 3; i++) {
        assert_done(i, PG_TIMED_OUT);
        assert_true(shard(i + 1)->alone);
    }
    assert_int_equal(pg_shards_stats(bench.book).alone, 3);
    /* The next time each goes alone, on the retries' track. */
    submit(100);
    bench_submit_ok(lane, 10, &WRITE, 1);
    bench_submit_ok(lane, 11, &WRITE, 2);
    bench_turn();
    assert_int_equal(bench.sent_count, 3);
    assert_true(contains(bench_sent_of(1), 10) || contains(bench_sent_of(2), 10));
    assert_true(contains(bench_sent_of(1), 100) || contains(bench_sent_of(2), 100));
    const uint32_t alone = contains(bench_sent_of(1), 10) ? 1 : 2;
    ASSERT_SENT(alone, 10);
    assert_true(bench_sent_of(alone)->alone);
    bench_answer_done(alone);
    ASSERT_SENT(3, 11);
    assert_false(contains(bench_sent_of(3), 10));
    bench_answer_all();
    assert_int_equal(pg_shards_stats(bench.book).alone, 1); /* shard 3 has not shown yet */
}

static void test_a_timed_out_batch_with_time_is_halved(void **state)
{
    (void)state;
    send_batch(4);
    bench_advance(20 * MS);

    bench_error(0, "57014");
    ASSERT_SENT(1, 0, 1);
    bench_answer_all();

    for (uint32_t i = 0; i < 4; i++)
        assert_done(i, PG_DONE);
}

static void test_one_that_times_out_alone_ends_and_is_suspect(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    bench_advance(10 * MS);

    bench_error(0, "57014");

    assert_done(0, PG_TIMED_OUT);
    assert_true(shard(1)->alone);
}

/* ---- locks ---- */

static void test_a_batch_of_one_that_met_a_lock_goes_again_alone(void **state)
{
    (void)state;
    submit(0);
    bench_turn();
    assert_false(bench_sent_of(0)->alone);

    bench_error(0, "55P03");
    assert_pending(0);
    ASSERT_SENT(1, 0);
    assert_true(bench_sent_of(1)->alone);
    bench_error(1, "55P03");

    assert_done(0, PG_LOCKED);
    assert_int_equal(bench.sent_count, 2);
    assert_null(shard(1)); /* a key that waits says nothing of the wallet */
}

static void test_the_member_of_a_batch_that_met_a_lock_is_found_by_halving(void **state)
{
    (void)state;
    send_batch(4);

    for (uint32_t n = 0; n < bench.sent_count; n++) {
        if (contains(bench_sent_of(n), 2))
            bench_error(n, "55P03");
        else
            bench_answer_done(n);
    }

    assert_done(0, PG_DONE);
    assert_done(1, PG_DONE);
    assert_done(2, PG_LOCKED);
    assert_done(3, PG_DONE);
    assert_false(pg_shards_has_suspects(bench.book));
}

static void test_a_member_that_goes_alone_shares_no_statement(void **state)
{
    (void)state;
    struct pg_member *member = bench_member(0, &WRITE, 7);
    member->alone = true;
    assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    bench_submit_ok(lane, 1, &WRITE, 7);
    bench_submit_ok(lane, 2, &WRITE, 8);
    bench_turn();

    assert_int_equal(bench.sent_count, 2);
    const uint32_t alone = contains(bench_sent_of(0), 0) ? 0 : 1;
    ASSERT_SENT(alone, 0);
    assert_true(bench_sent_of(alone)->alone);
    ASSERT_SENT(1 - alone, 2);
    bench_error(alone, "55P03"); /* it was allowed to wait: once is enough */
    assert_done(0, PG_LOCKED);
    bench_answer_done(1 - alone);
    ASSERT_SENT(2, 1); /* with the others again */
    assert_false(bench_sent_of(2)->alone);
    bench_answer_done(2);
}

static void test_a_member_that_goes_alone_keeps_its_place_among_the_others(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct pg_member *member = bench_member(i, &WRITE, 7);
        member->alone = i == 2;
        assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    }
    bench_turn();

    ASSERT_SENT(0, 0, 1);
    bench_answer_done(0);
    ASSERT_SENT(1, 2);
    assert_true(bench_sent_of(1)->alone);
    bench_answer_done(1);
    ASSERT_SENT(2, 3);
    bench_answer_done(2);
}

/* A step does not know its wallet yet, and must share no statement all the same. */
static void test_members_that_go_alone_without_a_shard_share_no_statement(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        struct pg_member *member = bench_member(i, &WRITE, 0);
        member->alone = i < 2;
        assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    }
    assert_int_equal(pg_lane_waiting(lane), 4);
    assert_true(pg_lane_cancel(&bench.requests[1].member));
    bench_turn();

    assert_int_equal(bench.sent_count, 2);
    const uint32_t alone = contains(bench_sent_of(0), 0) ? 0 : 1;
    ASSERT_SENT(alone, 0);
    assert_true(bench_sent_of(alone)->alone);
    ASSERT_SENT(1 - alone, 2, 3);
    bench_error(alone, "55P03"); /* it was allowed to wait: once is enough */
    assert_done(0, PG_LOCKED);
    bench_answer_done(1 - alone);
    assert_int_equal(bench.sent_count, 2);
}

/* ---- poison ---- */

/* Batches of other shards, from request 100 on. */
static void serve_others(uint32_t batches)
{
    for (uint32_t i = 0; i < batches; i++) {
        const uint32_t number = bench.sent_count;
        submit(100 + i);
        bench_turn();
        bench_answer_done(number);
    }
}

static void fail_alone(uint32_t index, uint64_t key, bool others_are_served)
{
    const uint32_t number = bench.sent_count;
    bench_submit_ok(lane, index, &WRITE, key);
    bench_turn();
    assert_true(contains(bench_sent_of(number), index));
    bench_error(number, "23505");
    ASSERT_SENT(number + 1, index); /* the second try */
    if (others_are_served)
        serve_others(4);
    bench_error(number + 1, "23505");
    assert_done(index, PG_FAILED);
}

static void test_failing_alone_twice_while_others_are_served_poisons(void **state)
{
    (void)state;
    fail_alone(0, 7, true);

    assert_int_equal(poisonings, 1);
    assert_int_equal(told_key, 7);
    assert_string_equal(told_sqlstate, "23505");
    assert_int_equal(pg_shards_stats(bench.book).poisoned, 1);
    assert_int_equal(bench_submit(lane, 1, &WRITE, 7), ERR_POISONED);
    assert_int_equal(pg_lane_stats(lane)->refused_poisoned_total, 1);
    assert_int_equal(bench_submit(lane, 2, &WRITE, 8), ERR_OK);
    bench_answer_all();
}

/* Nobody finds out one by one, in whichever lane it waits. */
static void test_who_waits_for_one_that_is_poisoned_is_told_at_once(void **state)
{
    (void)state;
    struct pg_lane *steps = bench_lane(&(struct pg_lane_config){.exclusive = true});
    bench_submit_ok(lane, 0, &WRITE, 7);
    bench_turn();
    const uint32_t number = bench.sent_count - 1;
    bench_submit_ok(lane, 1, &WRITE, 7);
    bench_submit_ok(steps, 2, &WRITE, 7);
    bench_error(number, "23505");
    serve_others(4);
    assert_pending(1);
    assert_pending(2);

    bench_error(number + 1, "23505");

    assert_done(0, PG_FAILED);
    assert_done(1, PG_POISONED);
    assert_done(2, PG_POISONED);
    assert_int_equal(poisonings, 1);
    assert_true(pg_lane_quiet(lane) && pg_lane_quiet(steps));
}

static void test_failing_while_nobody_is_served_is_the_servers_fault(void **state)
{
    (void)state;
    fail_alone(0, 7, false);
    fail_alone(1, 7, false);

    assert_int_equal(poisonings, 0);
    assert_int_equal(bench_submit(lane, 2, &WRITE, 7), ERR_OK); /* alone, but not refused */
    bench_answer_all();
    assert_done(2, PG_DONE);
    assert_false(pg_shards_has_suspects(bench.book));
}

static void test_a_success_between_two_failures_forgives(void **state)
{
    (void)state;
    fail_alone(0, 7, false);
    bench_submit_ok(lane, 1, &WRITE, 7);
    bench_answer_all();
    assert_null(shard(7));
    serve_others(8);

    const uint32_t number = bench.sent_count;
    bench_submit_ok(lane, 2, &WRITE, 7);
    bench_turn();
    bench_error(number, "23505");

    assert_int_equal(poisonings, 0);
    bench_answer_all();
}

static void test_who_waits_for_a_shard_is_told_when_it_is_poisoned(void **state)
{
    (void)state;
    fail_alone(0, 7, false); /* alone and once again; nobody else was served */
    bench_submit_ok(lane, 1, &WRITE, 7);
    bench_turn();
    const uint32_t number = bench.sent_count - 1;
    bench_submit_ok(lane, 2, &WRITE, 7);
    bench_submit_ok(lane, 3, &WRITE, 7);
    serve_others(4);

    bench_error(number, "23505");

    assert_int_equal(poisonings, 1);
    assert_done(2, PG_POISONED);
    assert_done(3, PG_POISONED);
    bench_answer_all();
}

static void test_one_at_a_time_tries_a_poisoned_shard_when_its_time_is_over(void **state)
{
    (void)state;
    fail_alone(0, 7, true);
    bench_advance(CLOCK_US_PER_S - 1);
    assert_int_equal(bench_submit(lane, 1, &WRITE, 7), ERR_POISONED);
    assert_int_equal(pg_shards_stats(bench.book).poisoned, 1);
    bench_advance(1);
    assert_int_equal(pg_shards_stats(bench.book).poisoned, 0); /* refused no more */

    const uint32_t number = bench.sent_count;
    bench_submit_ok(lane, 1, &WRITE, 7);
    assert_int_equal(bench_submit(lane, 2, &WRITE, 7), ERR_POISONED); /* 1 waits */
    assert_int_equal(pg_shards_stats(bench.book).poisoned, 1);
    bench_turn();
    assert_true(bench_sent_of(number)->alone);
    assert_int_equal(bench_submit(lane, 2, &WRITE, 7), ERR_POISONED); /* 1 is out */
    assert_int_equal(recoveries, 0);
    bench_answer_done(number);

    assert_int_equal(recoveries, 1);
    assert_int_equal(told_key, 7);
    assert_string_equal(told_sqlstate, "");
    assert_int_equal(pg_shards_stats(bench.book).poisoned, 0);
    assert_int_equal(bench_submit(lane, 3, &WRITE, 7), ERR_OK);
    bench_answer_all();
    assert_int_equal(recoveries, 1);
}

static void test_a_try_that_fails_poisons_for_as_long_again_and_tells_nobody_twice(void **state)
{
    (void)state;
    fail_alone(0, 7, true);
    bench_advance(CLOCK_US_PER_S);

    fail_alone(1, 7, false);

    assert_int_equal(poisonings, 1);
    assert_int_equal(pg_shards_stats(bench.book).poisoned_total, 1);
    bench_advance(CLOCK_US_PER_S - 1);
    assert_int_equal(bench_submit(lane, 2, &WRITE, 7), ERR_POISONED);
}

static void test_two_lanes_of_one_book_count_together_who_else_was_served(void **state)
{
    (void)state;
    struct pg_lane *other =
        bench_lane(&(struct pg_lane_config){.name = "other", .exclusive = true});
    serve_others(8); /* only `lane` has a past */
    struct pg_lane *const order[] = {lane, other};

    for (uint32_t i = 0; i < 2; i++) {
        struct pg_member *member = bench_member(i, &WRITE, 7);
        member->due_us = bench.now_us + 5 * MS;
        assert_int_equal(pg_lane_submit(order[i], member), ERR_OK);
        bench_turn();
        bench_advance(4 * MS); /* no time for a second try */
        bench_error(bench.sent_count - 1, "23505");
        assert_done(i, PG_FAILED);
    }

    assert_int_equal(shard(7)->failures, 2);
    assert_int_equal(poisonings, 0);
}

/* ---- a lane that is not exclusive ---- */

static void test_suspects_of_a_reading_lane_go_alone_until_one_succeeds(void **state)
{
    (void)state;
    struct pg_lane *reads = bench_lane(&(struct pg_lane_config){.name = "reads"});
    for (uint32_t i = 0; i < 2; i++) {
        struct pg_member *member = bench_member(i, &READ, 7 + i);
        member->due_us = bench.now_us + 8 * MS;
        assert_int_equal(pg_lane_submit(reads, member), ERR_OK);
    }
    bench_turn();
    bench_advance(5 * MS); /* no time for another try */
    bench_error(0, "57014");
    assert_done(0, PG_TIMED_OUT);
    assert_true(shard(7)->alone);

    for (uint32_t i = 10; i < 13; i++)
        bench_submit_ok(reads, i, &READ, 7);
    bench_turn();
    ASSERT_SENT(1, 10);
    assert_true(bench_sent_of(1)->alone);
    assert_int_equal(bench.sent_count, 2);
    bench_answer_done(1);

    ASSERT_SENT(2, 11, 12); /* back in the line */
    assert_null(shard(7));
    bench_answer_done(2);
    assert_true(pg_lane_quiet(reads));
}

#define RETRY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RETRY_TEST(test_a_failed_batch_is_halved_first_half_first),
        RETRY_TEST(test_one_culprit_of_eight_costs_only_itself),
        RETRY_TEST(test_halves_of_an_odd_batch_hold_everybody),
        RETRY_TEST(test_a_halved_batch_has_one_track_and_new_work_the_other),
        RETRY_TEST(test_a_shard_that_is_halved_stays_out_until_its_last_member_is_back),
        RETRY_TEST(test_members_answered_meanwhile_are_halved_no_more),
        RETRY_TEST(test_storage_of_a_retry_is_of_its_own_size),
        RETRY_TEST(test_errors_of_the_session_send_all_again_together_and_once),
        RETRY_TEST(test_a_stale_plan_is_tried_once_for_each_connection),
        RETRY_TEST(test_halving_leaves_the_tries_for_errors_of_the_session),
        RETRY_TEST(test_a_lost_write_is_unknown_and_goes_never_again),
        RETRY_TEST(test_a_lost_read_goes_again_once),
        RETRY_TEST(test_a_lost_read_ends_when_no_connection_is_left),
        RETRY_TEST(test_with_less_time_left_than_the_attempt_took_it_ends),
        RETRY_TEST(test_a_retry_that_waits_past_its_due_time_moved_nothing),
        RETRY_TEST(test_a_timed_out_batch_makes_suspects_of_those_without_time),
        RETRY_TEST(test_a_timed_out_batch_with_time_is_halved),
        RETRY_TEST(test_one_that_times_out_alone_ends_and_is_suspect),
        RETRY_TEST(test_a_batch_of_one_that_met_a_lock_goes_again_alone),
        RETRY_TEST(test_the_member_of_a_batch_that_met_a_lock_is_found_by_halving),
        RETRY_TEST(test_a_member_that_goes_alone_shares_no_statement),
        RETRY_TEST(test_a_member_that_goes_alone_keeps_its_place_among_the_others),
        RETRY_TEST(test_members_that_go_alone_without_a_shard_share_no_statement),
        RETRY_TEST(test_failing_alone_twice_while_others_are_served_poisons),
        RETRY_TEST(test_who_waits_for_one_that_is_poisoned_is_told_at_once),
        RETRY_TEST(test_failing_while_nobody_is_served_is_the_servers_fault),
        RETRY_TEST(test_a_success_between_two_failures_forgives),
        RETRY_TEST(test_who_waits_for_a_shard_is_told_when_it_is_poisoned),
        RETRY_TEST(test_one_at_a_time_tries_a_poisoned_shard_when_its_time_is_over),
        RETRY_TEST(test_a_try_that_fails_poisons_for_as_long_again_and_tells_nobody_twice),
        RETRY_TEST(test_two_lanes_of_one_book_count_together_who_else_was_served),
        RETRY_TEST(test_suspects_of_a_reading_lane_go_alone_until_one_succeeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
