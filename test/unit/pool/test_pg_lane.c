/*
 * The lane against a scripted pool: this file stands in for pg_pool.c, so every answer, loss and
 * delay happens exactly when a test says so. Time is the test's too.
 */
#include "core/clock.h"
#include "pool/pg_lane.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MS = 1000, SENT_MAX = 64, BUDGET = 100 * MS };

/* ---- the scripted pool ---- */

struct sent {
    struct pg_query *query;
    uint8_t statement;
    uint32_t count;
    size_t storage_bytes;
    uint64_t shards[PG_BATCH_MAX];
};

struct pg_pool {
    struct reactor *reactor;
    uint32_t idle, busy;
    struct list listeners;
    struct sent sent[SENT_MAX];
    uint32_t sent_count;
};

static struct pg_pool pool;
static struct sent encoding;
static uint64_t now_us;

static uint64_t test_clock(void)
{
    return now_us;
}

enum err pg_pool_send(struct pg_pool *p, const struct pg_params *params, struct pg_query *query)
{
    if (p->idle + p->busy == 0)
        return ERR_UNAVAILABLE;
    if (p->idle == 0)
        return ERR_AGAIN;
    p->idle--;
    p->busy++;
    assert_true(p->sent_count < SENT_MAX);
    encoding.query = query;
    encoding.statement = params->statement;
    p->sent[p->sent_count++] = encoding;
    return ERR_OK;
}

void pg_pool_listen(struct pg_pool *p, struct pg_pool_listener *listener)
{
    list_push_back(&p->listeners, &listener->node);
}

void pg_pool_unlisten(struct pg_pool *p, struct pg_pool_listener *listener)
{
    list_remove(&p->listeners, &listener->node);
}

uint32_t pg_pool_usable(const struct pg_pool *p)
{
    return p->idle + p->busy;
}

uint32_t pg_pool_count(const struct pg_pool *p, enum pg_conn_state state)
{
    return state == PG_CONN_IDLE ? p->idle : p->busy;
}

uint32_t pg_pool_size(const struct pg_pool *p)
{
    (void)p;
    return 4;
}

struct reactor *pg_pool_reactor(struct pg_pool *p)
{
    return p->reactor;
}

static void pool_changed(void)
{
    for (struct list_node *node = list_first(&pool.listeners); node != NULL;
         node = list_next(&pool.listeners, node)) {
        struct pg_pool_listener *listener = container_of(node, struct pg_pool_listener, node);
        listener->on_change(listener);
    }
}

/* ---- the work: every member asks for one number ---- */

struct request {
    struct pg_member member;
    uint32_t done_count;
    enum pg_outcome outcome;
};

struct pg_rows {
    bool busy[PG_BATCH_MAX];
    bool unreadable;
};

static void encode_any(uint8_t statement, struct pg_member *const *members, uint32_t count,
                       struct pg_params *params, struct buf *storage)
{
    assert_int_equal(storage->len, 0);
    params->statement = statement;
    encoding = (struct sent){.count = count, .storage_bytes = storage->cap};
    for (uint32_t i = 0; i < count; i++)
        encoding.shards[i] = members[i]->shard;
}

static void encode_read(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                        struct buf *storage, bool alone)
{
    encode_any(alone ? 1 : 0, members, count, params, storage);
}

static void encode_write(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                         struct buf *storage, bool alone)
{
    encode_any(alone ? 3 : 2, members, count, params, storage);
}

static void decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    if (rows->unreadable)
        return;
    for (uint32_t i = 0; i < count; i++)
        if (members[i] != NULL)
            members[i]->verdict = rows->busy[i] ? PG_VERDICT_BUSY : PG_VERDICT_DONE;
}

static bool other_shard(const struct pg_member *a, const struct pg_member *b)
{
    return a->shard != b->shard;
}

/* What they say they need; they write nothing. */
enum { READ_BYTES = 8, WRITE_BYTES = 24 };

static const struct pg_work READ = {.name = "read",
                                    .read_only = true,
                                    .member_bytes_max = READ_BYTES,
                                    .encode = encode_read,
                                    .decode = decode};
static const struct pg_work WRITE = {.name = "write",
                                     .member_bytes_max = WRITE_BYTES,
                                     .encode = encode_write,
                                     .decode = decode,
                                     .compatible = other_shard};
static const struct pg_work *const WORKS[] = {&READ, &WRITE};

static void request_done(struct pg_member *member, enum pg_outcome outcome)
{
    struct request *request = container_of(member, struct request, member);

    request->done_count++;
    request->outcome = outcome;
}

/* ---- the bench ---- */

static struct pg_lane *single, *lane;
static struct request requests[64];

static void turn(void)
{
    assert_int_equal(reactor_turn(pool.reactor, 0), ERR_OK);
}

static void advance(uint64_t by_us)
{
    now_us += by_us;
    turn();
}

static int set_up_lane(bool sharded, uint8_t tracks, uint32_t connections)
{
    now_us = 1000 * 1000;
    clock_replace(test_clock, NULL);
    memset(&pool, 0, sizeof(pool));
    memset(requests, 0, sizeof(requests));
    list_init(&pool.listeners);
    pool.idle = connections;
    if (reactor_create(&pool.reactor, 32) != ERR_OK)
        return -1;
    const struct pg_lane_config alone = {.name = "single",
                                         .tracks = 2,
                                         .batch_max = 1,
                                         .alone = true,
                                         .queue_max = 8,
                                         .queue_wait_max_us = 25 * MS,
                                         .works = WORKS,
                                         .work_count = 2};
    if (pg_lane_create(&single, &pool, &alone) != ERR_OK)
        return -1;
    const struct pg_lane_config config = {.name = "lane",
                                          .tracks = tracks,
                                          .batch_max = 4,
                                          .sharded = sharded,
                                          .queue_max = 8,
                                          .queue_wait_max_us = 25 * MS,
                                          .retry = single,
                                          .works = WORKS,
                                          .work_count = 2};
    return pg_lane_create(&lane, &pool, &config) == ERR_OK ? 0 : -1;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_lane(false, 1, 4);
}

static int set_up_sharded(void **state)
{
    (void)state;
    return set_up_lane(true, 2, 4);
}

static int tear_down(void **state)
{
    (void)state;
    pg_lane_destroy(lane);
    pg_lane_destroy(single);
    reactor_destroy(pool.reactor);
    clock_replace(NULL, NULL);
    return 0;
}

static enum err submit(uint32_t index, const struct pg_work *work, uint64_t shard)
{
    struct request *request = &requests[index];

    request->member = (struct pg_member){
        .work = work, .shard = shard, .due_us = now_us + BUDGET, .on_done = request_done};
    return pg_lane_submit(lane, &request->member);
}

static void submit_ok(uint32_t index, const struct pg_work *work, uint64_t shard)
{
    assert_int_equal(submit(index, work, shard), ERR_OK);
}

static void answer_with(uint32_t index, enum pg_answer_kind kind, const char *sqlstate,
                        const struct pg_rows *rows)
{
    struct pg_answer answer = {.kind = kind, .rows = rows};

    memcpy(answer.sqlstate, sqlstate, strlen(sqlstate) + 1);
    pool.busy--;
    if (kind != PG_ANSWER_LOST)
        pool.idle++;
    pool.sent[index].query->on_answer(pool.sent[index].query, &answer);
    turn();
}

static void answer_rows(uint32_t index)
{
    const struct pg_rows rows = {0};

    answer_with(index, PG_ANSWER_ROWS, "", &rows);
}

static void assert_done(uint32_t index, enum pg_outcome outcome)
{
    assert_int_equal(requests[index].done_count, 1);
    assert_string_equal(pg_outcome_name(requests[index].outcome), pg_outcome_name(outcome));
}

static void assert_pending(uint32_t index)
{
    assert_int_equal(requests[index].done_count, 0);
}

/* ---- coalescing ---- */

static void test_requests_of_one_turn_leave_as_one_statement(void **state)
{
    (void)state;

    submit_ok(0, &READ, 1);
    submit_ok(1, &READ, 2);
    assert_int_equal(pool.sent_count, 0);
    turn();

    assert_int_equal(pool.sent_count, 1);
    assert_int_equal(pool.sent[0].count, 2);
    answer_rows(0);
    assert_done(0, PG_DONE);
    assert_done(1, PG_DONE);
}

static void test_what_waits_leaves_together_when_the_answer_comes(void **state)
{
    (void)state;

    submit_ok(0, &READ, 1);
    turn();
    for (uint32_t i = 1; i <= 5; i++)
        submit_ok(i, &READ, i);
    turn();
    assert_int_equal(pool.sent_count, 1);

    answer_rows(0);

    assert_done(0, PG_DONE);
    assert_int_equal(pool.sent_count, 2);
    assert_int_equal(pool.sent[1].count, 4); /* batch_max; the fifth waits for the next */
    answer_rows(1);
    assert_int_equal(pool.sent[2].count, 1);
    answer_rows(2);
    assert_true(pg_lane_quiet(lane));
}

static uint32_t sent_when_done;

static void note_sent_when_done(struct pg_member *member, enum pg_outcome outcome)
{
    sent_when_done = pool.sent_count;
    request_done(member, outcome);
}

static void test_next_batch_is_on_the_wire_before_answers_are_given(void **state)
{
    (void)state;
    submit_ok(0, &READ, 1);
    requests[0].member.on_done = note_sent_when_done;
    turn();
    submit_ok(1, &READ, 2);
    turn();

    answer_rows(0);

    assert_int_equal(sent_when_done, 2);
    answer_rows(1);
}

static void test_same_wallet_does_not_share_a_batch(void **state)
{
    (void)state;

    submit_ok(0, &WRITE, 7);
    submit_ok(1, &WRITE, 7);
    submit_ok(2, &WRITE, 8);
    turn();

    assert_int_equal(pool.sent[0].count, 2);
    assert_int_equal(pool.sent[0].shards[0], 7);
    assert_int_equal(pool.sent[0].shards[1], 8);
    answer_rows(0);
    assert_int_equal(pool.sent[1].count, 1);
    assert_int_equal(pool.sent[1].shards[0], 7);
    answer_rows(1);
    assert_done(1, PG_DONE);
}

static void test_sharded_wallets_stay_on_their_track(void **state)
{
    (void)state;

    for (uint32_t i = 0; i < 4; i++)
        submit_ok(i, &WRITE, i);
    turn();

    assert_int_equal(pool.sent_count, 2);
    assert_int_equal(pool.sent[0].shards[0], 0);
    assert_int_equal(pool.sent[0].shards[1], 2);
    assert_int_equal(pool.sent[1].shards[0], 1);
    assert_int_equal(pool.sent[1].shards[1], 3);
    answer_rows(1);
    answer_rows(0);
    for (uint32_t i = 0; i < 4; i++)
        assert_done(i, PG_DONE);
}

/* ---- admission ---- */

static void test_submit_refuses_when_line_is_full(void **state)
{
    (void)state;
    submit_ok(0, &READ, 0);
    turn();
    for (uint32_t i = 1; i <= 8; i++)
        submit_ok(i, &READ, i);

    assert_int_equal(submit(9, &READ, 9), ERR_FULL);

    assert_int_equal(pg_lane_stats(lane)->refused_full_total, 1);
    answer_rows(0);
    answer_rows(1);
    answer_rows(2);
}

/* Makes the lane believe that a statement takes this long. */
static void teach_service_time(uint64_t service_us)
{
    submit_ok(60, &READ, 60);
    turn();
    now_us += service_us;
    turn();
    answer_rows(pool.sent_count - 1);
}

static void test_submit_refuses_when_predicted_wait_is_too_long(void **state)
{
    (void)state;
    teach_service_time(30 * MS);
    submit_ok(0, &READ, 0); /* idle lane: always admitted */
    turn();

    assert_int_equal(submit(1, &READ, 1), ERR_FULL); /* 30 ms to go, 25 ms allowed */
    advance(6 * MS);
    assert_int_equal(submit(1, &READ, 1), ERR_OK); /* 24 ms to go */

    answer_rows(1);
    answer_rows(2);
}

static void test_submit_refuses_when_wait_exceeds_what_is_left_of_the_budget(void **state)
{
    (void)state;
    teach_service_time(20 * MS);
    submit_ok(0, &READ, 0);
    turn();

    requests[1].member =
        (struct pg_member){.work = &READ, .due_us = now_us + 10 * MS, .on_done = request_done};
    assert_int_equal(pg_lane_submit(lane, &requests[1].member), ERR_TIMEOUT);

    assert_int_equal(pg_lane_stats(lane)->refused_budget_total, 1);
    answer_rows(1);
}

static void test_stuck_statement_closes_the_line_at_once(void **state)
{
    (void)state;
    teach_service_time(1 * MS);
    submit_ok(0, &READ, 0);
    turn();
    advance(30 * MS);

    assert_int_equal(submit(1, &READ, 1), ERR_FULL);

    answer_rows(1);
}

static void test_submit_refuses_without_a_connection(void **state)
{
    (void)state;
    pool.idle = 0;

    assert_int_equal(submit(0, &READ, 0), ERR_UNAVAILABLE);

    assert_int_equal(pg_lane_stats(lane)->refused_down_total, 1);
}

/* ---- storage of parameters ---- */

static void test_storage_holds_a_full_batch_of_the_widest_work(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        submit_ok(i, &WRITE, i);
    turn();
    assert_int_equal(pool.sent[0].count, 4);
    assert_int_equal(pool.sent[0].storage_bytes, 4 * WRITE_BYTES);

    answer_with(0, PG_ANSWER_ERROR, "40001", NULL);

    assert_int_equal(pool.sent[1].storage_bytes, WRITE_BYTES); /* alone, in the retry lane */
    answer_rows(1);
    answer_rows(2);
    answer_rows(3);
    answer_rows(4);
}

static void test_create_refuses_a_work_that_the_retry_lane_cannot_hold(void **state)
{
    (void)state;
    const struct pg_work wide = {.name = "wide",
                                 .member_bytes_max = WRITE_BYTES + 1,
                                 .encode = encode_write,
                                 .decode = decode};
    const struct pg_work *const works[] = {&READ, &wide};
    struct pg_lane_config config = {.name = "wide",
                                    .tracks = 1,
                                    .batch_max = 4,
                                    .queue_max = 8,
                                    .queue_wait_max_us = 25 * MS,
                                    .retry = single,
                                    .works = works,
                                    .work_count = 2};
    struct pg_lane *made = NULL;

    assert_int_equal(pg_lane_create(&made, &pool, &config), ERR_INVALID);
    assert_null(made);

    config.work_count = 1; /* without the wide one */
    assert_int_equal(pg_lane_create(&made, &pool, &config), ERR_OK);
    pg_lane_destroy(made);
}

/* ---- deadlines ---- */

static void test_member_expires_after_twice_the_promised_wait(void **state)
{
    (void)state;
    submit_ok(0, &READ, 0);
    turn();
    submit_ok(1, &READ, 1);
    turn();

    advance(50 * MS - 1);
    assert_pending(1);
    advance(1);

    assert_done(1, PG_EXPIRED);
    assert_pending(0);
    assert_int_equal(pg_lane_waiting(lane), 0);
    answer_rows(0);
    assert_int_equal(pool.sent_count, 1);
}

static void test_short_budget_expires_before_longer_ones(void **state)
{
    (void)state;
    submit_ok(0, &READ, 0);
    turn();
    submit_ok(1, &READ, 1);
    submit_ok(2, &READ, 2);
    requests[3].member =
        (struct pg_member){.work = &READ, .due_us = now_us + 5 * MS, .on_done = request_done};
    assert_int_equal(pg_lane_submit(lane, &requests[3].member), ERR_OK);

    advance(5 * MS);

    assert_done(3, PG_EXPIRED);
    assert_pending(1);
    answer_rows(0);
    answer_rows(1);
    assert_done(2, PG_DONE);
}

static void test_sent_member_is_answered_at_its_due_time(void **state)
{
    (void)state;
    submit_ok(0, &WRITE, 0);
    submit_ok(1, &READ, 1);
    turn();

    advance(BUDGET);

    assert_done(0, PG_UNKNOWN); /* it may have been applied */
    assert_false(pg_lane_quiet(lane));
    answer_rows(0); /* the late answer reaches nobody */
    assert_int_equal(requests[0].done_count, 1);
    assert_int_equal(pg_lane_stats(lane)->late_answers_total, 1);
}

static void test_sent_read_times_out_as_not_applied(void **state)
{
    (void)state;
    submit_ok(0, &READ, 0);
    turn();

    advance(BUDGET);

    assert_done(0, PG_TIMED_OUT);
    answer_rows(0);
}

/* ---- errors, busy, lost ---- */

static void test_failed_batch_is_retried_one_by_one(void **state)
{
    (void)state;
    submit_ok(0, &WRITE, 0);
    submit_ok(1, &WRITE, 1);
    turn();

    answer_with(0, PG_ANSWER_ERROR, "40001", NULL);

    assert_pending(0);
    assert_int_equal(pool.sent_count, 3);
    assert_int_equal(pool.sent[1].count, 1);
    assert_int_equal(pool.sent[1].statement, 3); /* alone */
    answer_rows(1);
    answer_with(2, PG_ANSWER_ERROR, "40001", NULL);
    assert_done(0, PG_DONE);
    assert_done(1, PG_FAILED); /* once, not for ever */
    assert_string_equal(requests[1].member.sqlstate, "40001");
    assert_int_equal(pool.sent_count, 3);
}

static void test_timeout_of_the_server_is_not_retried_without_time(void **state)
{
    (void)state;
    submit_ok(0, &WRITE, 0);
    turn();
    advance(60 * MS);

    answer_with(0, PG_ANSWER_ERROR, "57014", NULL);

    assert_done(0, PG_TIMED_OUT);
    assert_int_equal(pool.sent_count, 1);
}

static void test_busy_wallet_goes_to_the_lane_that_waits(void **state)
{
    (void)state;
    const struct pg_rows rows = {.busy = {false, true}};
    submit_ok(0, &WRITE, 0);
    submit_ok(1, &WRITE, 1);
    turn();

    answer_with(0, PG_ANSWER_ROWS, "", &rows);

    assert_done(0, PG_DONE);
    assert_pending(1);
    assert_int_equal(pool.sent[1].statement, 3);
    answer_rows(1);
    assert_done(1, PG_DONE);
}

static void test_busy_wallet_is_refused_when_nobody_else_may_wait(void **state)
{
    (void)state;
    const struct pg_rows rows = {.busy = {true, true, true, true}};
    submit_ok(0, &WRITE, 0);
    turn();
    pool.busy += pool.idle; /* nothing idle: those that have to wait stay in the line */
    pool.idle = 0;
    for (uint32_t i = 10; i < 18; i++) {
        requests[i].member =
            (struct pg_member){.work = &READ, .due_us = now_us + BUDGET, .on_done = request_done};
        assert_int_equal(pg_lane_submit(single, &requests[i].member), ERR_OK);
    }

    struct pg_answer answer = {.kind = PG_ANSWER_ROWS, .rows = &rows};
    pool.sent[0].query->on_answer(pool.sent[0].query, &answer);

    assert_done(0, PG_EXPIRED);
}

static void test_unprepared_statement_is_sent_again(void **state)
{
    (void)state;
    submit_ok(0, &WRITE, 0);
    turn();

    for (uint32_t i = 0; i < 4; i++) /* every connection of the pool is stale */
        answer_with(i, PG_ANSWER_ERROR, "26000", NULL);

    assert_pending(0);
    answer_rows(4);
    assert_done(0, PG_DONE);
}

static void test_lost_write_is_unknown_and_lost_read_is_retried(void **state)
{
    (void)state;
    submit_ok(0, &WRITE, 0);
    turn();
    answer_with(0, PG_ANSWER_LOST, "", NULL);
    assert_done(0, PG_UNKNOWN);

    submit_ok(1, &READ, 1);
    turn();
    answer_with(1, PG_ANSWER_LOST, "", NULL);

    assert_pending(1);
    assert_int_equal(pool.sent[2].statement, 1);
    answer_rows(2);
    assert_done(1, PG_DONE);
}

static void test_unreadable_rows_fail_the_member(void **state)
{
    (void)state;
    const struct pg_rows rows = {.unreadable = true};
    submit_ok(0, &WRITE, 0);
    turn();

    answer_with(0, PG_ANSWER_ROWS, "", &rows);

    assert_done(0, PG_FAILED);
}

static void test_waiting_members_fail_when_the_pool_goes_down(void **state)
{
    (void)state;
    submit_ok(0, &READ, 0);
    turn();
    submit_ok(1, &READ, 1);
    pool.idle = 0;
    pool.busy = 0;

    pool_changed();

    assert_done(1, PG_UNAVAILABLE);
    assert_pending(0); /* its connection still owes the loss */
    pool.busy = 1;
    answer_with(0, PG_ANSWER_LOST, "", NULL);
    assert_done(0, PG_UNAVAILABLE);
}

static void test_no_idle_connection_keeps_order_until_one_is_free(void **state)
{
    (void)state;
    pool.busy = pool.idle;
    pool.idle = 0;
    submit_ok(0, &READ, 10);
    submit_ok(1, &READ, 11);
    turn();
    assert_int_equal(pool.sent_count, 0);

    pool.idle = 1;
    pool.busy--;
    pool_changed();

    assert_int_equal(pool.sent[0].count, 2);
    assert_int_equal(pool.sent[0].shards[0], 10);
    answer_rows(0);
}

/* ---- cancel ---- */

static void test_cancel_forgets_only_what_was_not_sent(void **state)
{
    (void)state;
    submit_ok(0, &WRITE, 0);
    turn();
    submit_ok(1, &WRITE, 1);

    assert_false(pg_lane_cancel(&requests[0].member));
    assert_true(pg_lane_cancel(&requests[1].member));

    answer_rows(0);
    assert_done(0, PG_DONE);
    assert_pending(1);
    assert_int_equal(pool.sent_count, 1);
}

static void test_cancel_finds_a_member_waiting_for_its_retry(void **state)
{
    (void)state;
    submit_ok(0, &WRITE, 0);
    assert_ptr_equal(requests[0].member.lane, lane);
    turn();
    pool.busy += pool.idle; /* nothing idle: the retry has to wait */
    pool.idle = 0;
    const struct pg_rows rows = {.busy = {true}};
    struct pg_answer answer = {.kind = PG_ANSWER_ROWS, .rows = &rows};
    pool.sent[0].query->on_answer(pool.sent[0].query, &answer);
    assert_int_equal(pg_lane_waiting(single), 1);
    assert_ptr_equal(requests[0].member.lane, single);

    assert_true(pg_lane_cancel(&requests[0].member));

    assert_int_equal(pg_lane_waiting(single), 0);
    assert_pending(0);
    assert_null(requests[0].member.lane);
}

/* A second try inside the retry lane: `tries` tells nothing of where it is. */
static void test_cancel_in_the_retry_lane_itself_leaves_the_other_lanes_alone(void **state)
{
    (void)state;
    requests[0].member =
        (struct pg_member){.work = &READ, .due_us = now_us + BUDGET, .on_done = request_done};
    assert_int_equal(pg_lane_submit(single, &requests[0].member), ERR_OK);
    turn();
    pool.busy += pool.idle; /* nothing idle: all that follows has to wait */
    pool.idle = 0;
    submit_ok(1, &READ, 1);
    struct pg_answer answer = {.kind = PG_ANSWER_ERROR, .sqlstate = "26000"};
    pool.sent[0].query->on_answer(pool.sent[0].query, &answer);
    assert_int_equal(requests[0].member.tries, 1);
    assert_ptr_equal(requests[0].member.lane, single);

    assert_true(pg_lane_cancel(&requests[0].member));

    assert_int_equal(pg_lane_waiting(single), 0);
    assert_int_equal(pg_lane_waiting(lane), 1);
    assert_pending(0);
    assert_pending(1);
}

static void test_member_belongs_to_its_lane_until_it_is_done(void **state)
{
    (void)state;
    submit_ok(0, &READ, 0);
    turn();
    assert_ptr_equal(requests[0].member.lane, lane);

    answer_with(0, PG_ANSWER_LOST, "", NULL); /* a read: retried */
    assert_ptr_equal(requests[0].member.lane, single);
    assert_int_equal(pg_lane_in_flight(single), 1);

    answer_rows(1);
    assert_done(0, PG_DONE);
    assert_null(requests[0].member.lane);
    assert_true(pg_lane_quiet(single));
}

static void test_what_expires_is_counted_where_it_waited(void **state)
{
    (void)state;
    submit_ok(0, &WRITE, 0);
    turn();
    pool.busy += pool.idle; /* nothing idle: the retry has to wait */
    pool.idle = 0;
    const struct pg_rows rows = {.busy = {true}};
    struct pg_answer answer = {.kind = PG_ANSWER_ROWS, .rows = &rows};
    pool.sent[0].query->on_answer(pool.sent[0].query, &answer);

    advance(BUDGET);

    assert_done(0, PG_EXPIRED);
    assert_int_equal(pg_lane_stats(single)->expired_total, 1);
    assert_int_equal(pg_lane_stats(lane)->expired_total, 0);
}

static void resubmit_once(struct pg_member *member, enum pg_outcome outcome)
{
    request_done(member, outcome);
    member->on_done = request_done;
    member->due_us = now_us + BUDGET;
    assert_int_equal(pg_lane_submit(lane, member), ERR_OK);
    assert_int_equal(container_of(member, struct request, member)->done_count, 1);
}

static void test_on_done_may_submit_again(void **state)
{
    (void)state;
    submit_ok(0, &READ, 0);
    requests[0].member.on_done = resubmit_once;
    turn();

    answer_rows(0);

    assert_int_equal(pool.sent_count, 2);
    answer_rows(1);
    assert_int_equal(requests[0].done_count, 2);
    assert_true(pg_lane_quiet(lane));
}

#define LANE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LANE_TEST(test_requests_of_one_turn_leave_as_one_statement),
        LANE_TEST(test_what_waits_leaves_together_when_the_answer_comes),
        LANE_TEST(test_next_batch_is_on_the_wire_before_answers_are_given),
        LANE_TEST(test_same_wallet_does_not_share_a_batch),
        cmocka_unit_test_setup_teardown(test_sharded_wallets_stay_on_their_track, set_up_sharded,
                                        tear_down),
        LANE_TEST(test_submit_refuses_when_line_is_full),
        LANE_TEST(test_submit_refuses_when_predicted_wait_is_too_long),
        LANE_TEST(test_submit_refuses_when_wait_exceeds_what_is_left_of_the_budget),
        LANE_TEST(test_stuck_statement_closes_the_line_at_once),
        LANE_TEST(test_submit_refuses_without_a_connection),
        LANE_TEST(test_storage_holds_a_full_batch_of_the_widest_work),
        LANE_TEST(test_create_refuses_a_work_that_the_retry_lane_cannot_hold),
        LANE_TEST(test_member_expires_after_twice_the_promised_wait),
        LANE_TEST(test_short_budget_expires_before_longer_ones),
        LANE_TEST(test_sent_member_is_answered_at_its_due_time),
        LANE_TEST(test_sent_read_times_out_as_not_applied),
        LANE_TEST(test_failed_batch_is_retried_one_by_one),
        LANE_TEST(test_timeout_of_the_server_is_not_retried_without_time),
        LANE_TEST(test_busy_wallet_goes_to_the_lane_that_waits),
        LANE_TEST(test_busy_wallet_is_refused_when_nobody_else_may_wait),
        LANE_TEST(test_unprepared_statement_is_sent_again),
        LANE_TEST(test_lost_write_is_unknown_and_lost_read_is_retried),
        LANE_TEST(test_unreadable_rows_fail_the_member),
        LANE_TEST(test_waiting_members_fail_when_the_pool_goes_down),
        LANE_TEST(test_no_idle_connection_keeps_order_until_one_is_free),
        LANE_TEST(test_cancel_forgets_only_what_was_not_sent),
        LANE_TEST(test_cancel_finds_a_member_waiting_for_its_retry),
        LANE_TEST(test_cancel_in_the_retry_lane_itself_leaves_the_other_lanes_alone),
        LANE_TEST(test_member_belongs_to_its_lane_until_it_is_done),
        LANE_TEST(test_what_expires_is_counted_where_it_waited),
        LANE_TEST(test_on_done_may_submit_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
