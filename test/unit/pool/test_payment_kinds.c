/*
 * The store's table of kinds and what an operation tells of its way, against lanes that only take
 * note: this file stands in for pg_lane.c and for what the store asks of a pool.
 */
#include "core/secret.h"
#include "pool/payment_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORKS_MAX = 8 };

/* ---- the lanes ---- */

struct pg_lane {
    const char *name;
    const struct pg_work *works[WORKS_MAX];
    uint8_t work_count;
};

static struct pg_lane *lane_submitted;
static struct pg_member *submitted;
static enum err submit_answer;

enum err pg_lane_create(struct pg_lane **lane, struct pg_pool *pool,
                        const struct pg_lane_config *config)
{
    (void)pool;
    struct pg_lane *made = calloc(1, sizeof(*made));
    assert_non_null(made);
    assert_true(config->work_count <= WORKS_MAX);
    made->name = config->name;
    made->work_count = config->work_count;
    memcpy(made->works, config->works, config->work_count * sizeof(made->works[0]));
    *lane = made;
    return ERR_OK;
}

void pg_lane_destroy(struct pg_lane *lane)
{
    free(lane);
}

enum err pg_lane_submit(struct pg_lane *lane, struct pg_member *member)
{
    lane_submitted = lane;
    submitted = member;
    return submit_answer;
}

bool pg_lane_cancel(struct pg_member *member)
{
    return member == submitted;
}

bool pg_lane_quiet(const struct pg_lane *lane)
{
    (void)lane;
    return true;
}

/* ---- the pool ---- */

static struct reactor *reactor;

struct reactor *pg_pool_reactor(struct pg_pool *pool)
{
    (void)pool;
    return reactor;
}
void pg_pool_listen(struct pg_pool *pool, struct pg_pool_listener *listener)
{
    (void)pool, (void)listener;
}
void pg_pool_unlisten(struct pg_pool *pool, struct pg_pool_listener *listener)
{
    (void)pool, (void)listener;
}
uint32_t pg_pool_usable(const struct pg_pool *pool)
{
    (void)pool;
    return 1;
}
uint32_t pg_pool_size(const struct pg_pool *pool)
{
    (void)pool;
    return 1;
}

/* ---- the bench ---- */

static struct payment_store *store;
static struct payment_op op;
static uint32_t done_count;

static void on_done(struct payment_op *done, enum pg_outcome outcome)
{
    assert_ptr_equal(done, &op);
    (void)outcome;
    done_count++;
}

static int set_up(void **state)
{
    (void)state;
    static char somewhere; /* the pool is only handed on */
    const struct config config = {
        .region = "eu", .lane_batch_max = 4, .lane_queue_max = 8, .db_probe_interval_ms = 1000};

    submit_answer = ERR_OK;
    done_count = 0;
    op = (struct payment_op){.on_done = on_done, .key = "k", .key_len = 1};
    if (secret_init() != ERR_OK || reactor_create(&reactor, 8) != ERR_OK)
        return -1;
    return payment_store_create(&store, (struct pg_pool *)(void *)&somewhere, &config, 8) == ERR_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    payment_store_destroy(store);
    reactor_destroy(reactor);
    return 0;
}

static void submit(enum payment_op_kind kind)
{
    op.kind = kind;
    assert_int_equal(payment_store_submit(store, &op), ERR_OK);
}

static void end(uint64_t queued_us, uint64_t sent_us, uint64_t answered_us, const char *sqlstate)
{
    submitted->queued_us = queued_us;
    submitted->sent_us = sent_us;
    submitted->answered_us = answered_us;
    memcpy(submitted->sqlstate, sqlstate, strlen(sqlstate) + 1);
    submitted->on_done(submitted, PG_FAILED);
}

/* ---- kinds ---- */

static void test_each_kind_goes_its_way(void **state)
{
    (void)state;
    static const struct {
        enum payment_op_kind kind;
        const char *lane, *work;
        bool read_only;
    } CASES[] = {
        {PAYMENT_OP_EVALUATE, "evaluate", "eval", true},
        {PAYMENT_OP_HOLD, "hold", "hold", false},
        {PAYMENT_OP_VOID, "single", "void", false},
        {PAYMENT_OP_FIND, "single", "find", true},
    };

    assert_int_equal(sizeof(CASES) / sizeof(CASES[0]), PAYMENT_OP_KINDS);
    for (size_t i = 0; i < PAYMENT_OP_KINDS; i++) {
        submit(CASES[i].kind);
        assert_string_equal(lane_submitted->name, CASES[i].lane);
        assert_string_equal(submitted->work->name, CASES[i].work);
        assert_int_equal(submitted->work->read_only, CASES[i].read_only);
        end(1, 2, 3, "");
    }
}

static void test_a_lane_is_made_for_the_works_it_meets(void **state)
{
    (void)state;

    submit(PAYMENT_OP_HOLD);
    assert_int_equal(lane_submitted->work_count, 1);
    assert_ptr_equal(lane_submitted->works[0], submitted->work);
    end(1, 2, 3, "");
    submit(PAYMENT_OP_VOID);
    assert_int_equal(lane_submitted->work_count, PAYMENT_OP_KINDS + 1); /* all, and the probe */
    end(1, 2, 3, "");
}

static void test_only_a_hold_claims_its_key(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PAYMENT_OP_KINDS; kind++) {
        struct payment_op other = {
            .kind = PAYMENT_OP_HOLD, .on_done = on_done, .key = "k", .key_len = 1};
        submit((enum payment_op_kind)kind);
        struct pg_member *first = submitted;

        const enum err err = payment_store_submit(store, &other);

        assert_int_equal(err, kind == PAYMENT_OP_HOLD ? ERR_CONFLICT : ERR_OK);
        if (err == ERR_OK)
            assert_true(payment_store_cancel(store, &other));
        submitted = first;
        end(1, 2, 3, "");
    }
}

static void test_time_is_counted_under_the_kind_that_took_it(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"eval", "hold", "void", "find", "probe"};
    const char *name = NULL;

    submit(PAYMENT_OP_FIND);
    end(1, 2, 3, "");

    for (uint32_t i = 0; i < PAYMENT_OP_KINDS + 1; i++) {
        const struct histogram *time = payment_store_query_time(store, i, &name);
        assert_string_equal(name, NAMES[i]);
        assert_int_equal(time->count, i == PAYMENT_OP_FIND ? 1 : 0);
    }
    assert_null(payment_store_query_time(store, PAYMENT_OP_KINDS + 1, &name));
}

/* ---- what an operation tells ---- */

static void test_operation_tells_wait_time_and_sqlstate(void **state)
{
    (void)state;
    submit(PAYMENT_OP_EVALUATE);

    end(1000, 1300, 2000, "40001");

    assert_int_equal(done_count, 1);
    assert_int_equal(op.queue_us, 300);
    assert_int_equal(op.db_us, 700);
    assert_string_equal(op.sqlstate, "40001");
}

static void test_operation_that_was_not_sent_has_no_time(void **state)
{
    (void)state;
    submit(PAYMENT_OP_EVALUATE);

    end(1000, 0, 2000, "");

    assert_int_equal(op.queue_us, 0);
    assert_int_equal(op.db_us, 0);
    assert_string_equal(op.sqlstate, "");
}

static void test_second_try_that_was_not_sent_tells_no_wait(void **state)
{
    (void)state;
    submit(PAYMENT_OP_HOLD);

    end(1500, 1300, 2000, "40001");

    assert_int_equal(op.queue_us, 0);
    assert_int_equal(op.db_us, 700);
}

static void test_refused_operation_tells_nothing_of_the_one_before(void **state)
{
    (void)state;
    submit(PAYMENT_OP_HOLD);
    end(1000, 1300, 2000, "40001");
    submit_answer = ERR_FULL;

    assert_int_equal(payment_store_submit(store, &op), ERR_FULL);

    assert_int_equal(op.queue_us, 0);
    assert_int_equal(op.db_us, 0);
    assert_string_equal(op.sqlstate, "");
    submit_answer = ERR_OK;
    submit(PAYMENT_OP_HOLD); /* the refused one does not keep its key */
    end(1, 2, 3, "");
}

#define KINDS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KINDS_TEST(test_each_kind_goes_its_way),
        KINDS_TEST(test_a_lane_is_made_for_the_works_it_meets),
        KINDS_TEST(test_only_a_hold_claims_its_key),
        KINDS_TEST(test_time_is_counted_under_the_kind_that_took_it),
        KINDS_TEST(test_operation_tells_wait_time_and_sqlstate),
        KINDS_TEST(test_operation_that_was_not_sent_has_no_time),
        KINDS_TEST(test_second_try_that_was_not_sent_tells_no_wait),
        KINDS_TEST(test_refused_operation_tells_nothing_of_the_one_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
