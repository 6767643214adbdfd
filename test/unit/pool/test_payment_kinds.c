/*
 * The store's table of kinds and what an operation tells of its way, against lanes that only take
 * note: this file stands in for pg_lane.c, pg_share.c, pg_shard.c and for what the store asks of a
 * pool.
 */
#include "core/clock.h"
#include "core/secret.h"
#include "pool/payment_store.h"
#include "pool/pg_share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WORKS_MAX = 8 };

/* ---- the lanes ---- */

struct pg_lane {
    const char *name;
    const struct pg_work *works[WORKS_MAX];
    struct pg_lane_config config;
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
    made->config = *config;
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

/* ---- what lanes share ---- */

struct pg_share {
    char unused;
};
struct pg_shards {
    struct pg_shards_config config;
};

enum err pg_share_create(struct pg_share **share, struct pg_pool *pool)
{
    (void)pool;
    *share = calloc(1, sizeof(**share));
    return *share == NULL ? ERR_SYSTEM : ERR_OK;
}

void pg_share_destroy(struct pg_share *share)
{
    free(share);
}

enum err pg_shards_create(struct pg_shards **book, struct reactor *loop,
                          const struct pg_shards_config *config)
{
    (void)loop;
    *book = calloc(1, sizeof(**book));
    if (*book == NULL)
        return ERR_SYSTEM;
    (*book)->config = *config;
    return ERR_OK;
}

void pg_shards_destroy(struct pg_shards *book)
{
    free(book);
}

/* ---- the pools: the service's, and the probe's own ---- */

struct pg_pool {
    struct pg_pool_config config;
    struct list listeners;
    uint32_t usable, size, sends, reloads;
    struct pg_query *sent; /* not answered yet */
};

static struct reactor *reactor;
static struct pg_pool service, probe;
static bool probe_exists;

static char probe_name[64];

enum err pg_pool_create(struct pg_pool **pool, struct reactor *loop,
                        const struct pg_pool_config *config, const struct pg_statement *statements,
                        uint8_t statement_count)
{
    (void)loop, (void)statements;
    assert_false(probe_exists);
    assert_int_equal(statement_count, 1);
    probe_exists = true;
    probe.config = *config;
    /* Borrowed for the call only. */
    snprintf(probe_name, sizeof(probe_name), "%s", config->application_name);
    probe.config.application_name = probe_name;
    probe.size = config->conn_count;
    *pool = &probe;
    return ERR_OK;
}

void pg_pool_destroy(struct pg_pool *pool)
{
    assert_ptr_equal(pool, &probe);
    assert_int_equal(pool->listeners.count, 0);
    probe_exists = false;
}

enum err pg_pool_send(struct pg_pool *pool, const struct pg_params *params, struct pg_query *query)
{
    (void)params;
    assert_ptr_equal(pool, &probe); /* the probe takes no connection of the callers' */
    if (pool->usable == 0)
        return ERR_UNAVAILABLE;
    assert_null(pool->sent);
    pool->sends++;
    pool->sent = query;
    return ERR_OK;
}

enum pg_reload pg_pool_reload(struct pg_pool *pool, struct buf *why)
{
    (void)why;
    pool->reloads++;
    return pool == &service ? PG_RELOAD_CHANGED : PG_RELOAD_UNCHANGED;
}

void pg_pool_new_epoch(struct pg_pool *pool)
{
    (void)pool;
}

static void pool_changed(struct pg_pool *pool, uint32_t usable)
{
    pool->usable = usable;
    for (struct list_node *node = list_first(&pool->listeners); node != NULL;
         node = list_next(&pool->listeners, node)) {
        struct pg_pool_listener *listener = container_of(node, struct pg_pool_listener, node);
        listener->on_change(listener);
    }
}

struct reactor *pg_pool_reactor(struct pg_pool *pool)
{
    (void)pool;
    return reactor;
}
void pg_pool_listen(struct pg_pool *pool, struct pg_pool_listener *listener)
{
    list_push_back(&pool->listeners, &listener->node);
}
void pg_pool_unlisten(struct pg_pool *pool, struct pg_pool_listener *listener)
{
    list_remove(&pool->listeners, &listener->node);
}
uint32_t pg_pool_usable(const struct pg_pool *pool)
{
    return pool->usable;
}
uint32_t pg_pool_size(const struct pg_pool *pool)
{
    return pool->size;
}

/* ---- the bench ---- */

static struct payment_store *store;
static struct payment_op op;
static uint32_t done_count;
static enum pg_outcome done_outcome; /* of the last one */
static uint64_t test_us = CLOCK_US_PER_S;

static uint64_t test_clock(void)
{
    return test_us;
}

static void on_done(struct payment_op *done, enum pg_outcome outcome)
{
    assert_ptr_equal(done, &op);
    done_outcome = outcome;
    done_count++;
}

static int set_up(void **state)
{
    (void)state;
    const struct pg_pool_config database = {
        .database_url = "postgresql://", .application_name = "pla", .conn_count = 6};
    const struct config config = {.region = "eu",
                                  .lane_batch_max = 4,
                                  .lane_queue_max = 8,
                                  .lane_wallet_max = 5,
                                  .poison_hold_s = 60,
                                  .db_probe_interval_ms = 1000};

    submit_answer = ERR_OK;
    done_count = 0;
    /* Down: whose database it is need not be known then, for the lanes refuse. */
    service = (struct pg_pool){.usable = 0, .size = 6};
    probe = (struct pg_pool){0};
    list_init(&service.listeners);
    list_init(&probe.listeners);
    op = (struct payment_op){.on_done = on_done, .has_key = true, .key_hash = {{1}}};
    if (secret_init() != ERR_OK || reactor_create(&reactor, 8) != ERR_OK)
        return -1;
    return payment_store_create(&store, &service, &database, &config, 8) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    payment_store_destroy(store);
    assert_false(probe_exists);
    assert_int_equal(service.listeners.count, 0);
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
        {PAYMENT_OP_CAPTURE, "step", "step", false},
        {PAYMENT_OP_VOID, "step", "step", false},
        {PAYMENT_OP_INCREMENT, "step", "step", false},
        {PAYMENT_OP_REFUND, "step", "step", false},
        {PAYMENT_OP_FIND, "read", "find", true},
        {PAYMENT_OP_FIND_KEY, "read", "find_key", true},
        {PAYMENT_OP_WALLET, "report", "wallet", true},
        {PAYMENT_OP_TRANSACTIONS, "report", "transactions", true},
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

static bool is_among(const struct pg_work *work, const struct pg_lane *lane)
{
    unsigned found = 0;

    for (uint8_t i = 0; i < lane->config.work_count; i++)
        found += lane->works[i] == work;
    return found == 1; /* and not twice */
}

static void test_a_lane_is_made_for_the_works_it_meets(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PAYMENT_OP_KINDS; kind++) {
        submit((enum payment_op_kind)kind);
        assert_true(is_among(submitted->work, lane_submitted));
        end(1, 2, 3, "");
    }
}

static const struct pg_lane_config *lane_of(enum payment_op_kind kind)
{
    submit(kind);
    const struct pg_lane_config *config = &lane_submitted->config;
    end(1, 2, 3, "");
    return config;
}

static void test_what_writes_shares_one_book_of_wallets_and_is_exclusive(void **state)
{
    (void)state;
    const struct pg_lane_config *hold = lane_of(PAYMENT_OP_HOLD);
    const struct pg_lane_config *step = lane_of(PAYMENT_OP_VOID);
    const struct pg_lane_config *read = lane_of(PAYMENT_OP_FIND);
    const struct pg_lane_config *evaluate = lane_of(PAYMENT_OP_EVALUATE);

    assert_true(hold->exclusive && step->exclusive);
    assert_false(read->exclusive || evaluate->exclusive);
    assert_ptr_equal(hold->shards, step->shards);
    assert_ptr_equal(payment_store_wallets(store), hold->shards);
    assert_ptr_not_equal(evaluate->shards, hold->shards); /* a slow program stops no hold */
    assert_ptr_not_equal(read->shards, hold->shards);
    assert_int_equal(hold->shards->config.poison_hold_us, (uint64_t)60 * 1000 * 1000);
}

static bool is_report(enum payment_op_kind kind)
{
    return kind == PAYMENT_OP_WALLET || kind == PAYMENT_OP_TRANSACTIONS;
}

/* But for reports, which take what the others leave. */
static void test_each_lane_has_a_connection_reserved_and_who_moves_money_goes_first(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PAYMENT_OP_KINDS; kind++) {
        const struct pg_lane_config *lane = lane_of((enum payment_op_kind)kind);
        assert_int_equal(lane->reserved, is_report((enum payment_op_kind)kind) ? 0 : 1);
        assert_int_equal(lane->queue_max, 8);
        assert_int_equal(lane->shard_max, 5);
    }
    assert_true(lane_of(PAYMENT_OP_HOLD)->weight > lane_of(PAYMENT_OP_EVALUATE)->weight);
    assert_true(lane_of(PAYMENT_OP_VOID)->weight > lane_of(PAYMENT_OP_FIND)->weight);
    assert_int_equal(lane_of(PAYMENT_OP_HOLD)->batch_max, 4);
    assert_int_equal(lane_of(PAYMENT_OP_CAPTURE)->batch_max, 4);
    assert_int_equal(lane_of(PAYMENT_OP_EVALUATE)->batch_max, 4);
    assert_int_equal(lane_of(PAYMENT_OP_FIND)->batch_max, 1);
    assert_int_equal(lane_of(PAYMENT_OP_WALLET)->batch_max, 1);
    assert_int_equal(lane_of(PAYMENT_OP_WALLET)->tracks, 1);
    assert_true(lane_of(PAYMENT_OP_WALLET)->weight < lane_of(PAYMENT_OP_EVALUATE)->weight);
}

static void test_what_names_a_wallet_waits_in_its_line(void **state)
{
    (void)state;
    op.command.wallet_id = 42;

    for (unsigned kind = 0; kind < PAYMENT_OP_KINDS; kind++) {
        submit((enum payment_op_kind)kind);
        const bool named = kind == PAYMENT_OP_HOLD || kind == PAYMENT_OP_EVALUATE;
        assert_int_equal(submitted->shard, named ? 42 : 0);
        assert_false(submitted->alone);
        end(1, 2, 3, "");
    }
}

/* A pair found waiting for another session is refused for a moment, and then goes alone. */
static void test_a_key_that_another_session_holds_is_refused_then_goes_alone(void **state)
{
    (void)state;
    clock_replace(test_clock, NULL);
    submit(PAYMENT_OP_HOLD);
    submitted->answered_us = test_us;
    submitted->on_done(submitted, PG_LOCKED);

    assert_int_equal(payment_store_submit(store, &op), ERR_CONFLICT);
    test_us += 500 * CLOCK_US_PER_MS - 1;
    assert_int_equal(payment_store_submit(store, &op), ERR_CONFLICT);
    test_us += 1;
    submit(PAYMENT_OP_HOLD);
    assert_true(submitted->alone);
    submitted->on_done(submitted, PG_DONE);
    op.client_id++; /* another client's key of that name is another key */
    submit(PAYMENT_OP_HOLD);
    assert_false(submitted->alone);
    submitted->on_done(submitted, PG_DONE);
    op.client_id--;
    test_us += 60 * (uint64_t)CLOCK_US_PER_S;
    submit(PAYMENT_OP_HOLD);
    assert_false(submitted->alone);
    submitted->on_done(submitted, PG_DONE);
    clock_replace(NULL, NULL);
}

/* ---- the probe ---- */

static void refuse_probe(void)
{
    const struct pg_answer answer = {.kind = PG_ANSWER_ERROR, .sqlstate = "42P01"};
    struct pg_query *query = probe.sent;

    assert_non_null(query);
    probe.sent = NULL;
    query->on_answer(query, &answer);
    pool_changed(&probe, 1); /* its connection is idle: news */
}

static void test_the_probe_has_one_connection_of_its_own(void **state)
{
    (void)state;

    assert_int_equal(probe.config.conn_count, 1);
    assert_string_equal(probe.config.database_url, "postgresql://");
    assert_string_equal(probe.config.application_name, "pla probe");
    assert_int_equal(probe.sends, 0);
    pool_changed(&probe, 1);
    assert_int_equal(probe.sends, 1);
}

static void test_a_refused_probe_waits_for_its_interval(void **state)
{
    (void)state;
    pool_changed(&probe, 1);

    refuse_probe();
    pool_changed(&service, 6);
    assert_int_equal(probe.sends, 1);

    pool_changed(&probe, 0);
    pool_changed(&probe, 1); /* another connection: asked at once */
    assert_int_equal(probe.sends, 2);
    refuse_probe();
    pool_changed(&service, 0);
    pool_changed(&service, 6); /* another database, perhaps */
    assert_int_equal(probe.sends, 3);
    refuse_probe();
    assert_false(payment_store_health(store)->database_ok);
}

static void test_reload_is_of_both_pools_and_after_stop_of_the_service_alone(void **state)
{
    (void)state;
    char text[8];
    struct buf why;
    buf_init(&why, text, sizeof(text));

    assert_int_equal(payment_store_reload(store, &why), PG_RELOAD_CHANGED);
    assert_int_equal(probe.reloads, 1);
    payment_store_stop(store);
    assert_false(probe_exists);

    assert_int_equal(payment_store_reload(store, &why), PG_RELOAD_CHANGED);
    assert_int_equal(service.reloads, 2);
    assert_int_equal(probe.reloads, 1);
}

static bool moves_money(enum payment_op_kind kind)
{
    return kind >= PAYMENT_OP_HOLD && kind <= PAYMENT_OP_REFUND;
}

/* Holds and steps are one namespace of keys. */
static void test_what_moves_money_claims_its_key(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PAYMENT_OP_KINDS; kind++) {
        for (unsigned twin = 0; twin < PAYMENT_OP_KINDS; twin++) {
            struct payment_op other = {.kind = (enum payment_op_kind)twin,
                                       .on_done = on_done,
                                       .has_key = true,
                                       .key_hash = {{1}}};
            submit((enum payment_op_kind)kind);
            struct pg_member *first = submitted;

            const enum err err = payment_store_submit(store, &other);

            const bool meet =
                moves_money((enum payment_op_kind)kind) && moves_money((enum payment_op_kind)twin);
            assert_int_equal(err, meet ? ERR_CONFLICT : ERR_OK);
            if (err == ERR_OK)
                assert_true(payment_store_cancel(store, &other));
            submitted = first;
            end(1, 2, 3, "");
        }
    }
}

static void test_a_void_without_a_key_claims_none(void **state)
{
    (void)state;
    struct payment_op other = {
        .kind = PAYMENT_OP_CAPTURE, .on_done = on_done, .has_key = true, .key_hash = {{1}}};
    op.has_key = false;
    submit(PAYMENT_OP_VOID);
    struct pg_member *first = submitted;

    assert_int_equal(payment_store_submit(store, &other), ERR_OK);

    assert_true(payment_store_cancel(store, &other));
    submitted = first;
    submitted->on_done(submitted, PG_LOCKED); /* then it is no key that is held elsewhere */
    assert_int_equal(done_count, 1);
    assert_int_equal(done_outcome, PG_TIMED_OUT);
    submit(PAYMENT_OP_VOID);
    assert_false(submitted->alone);
    end(1, 2, 3, "");
}

static void test_time_is_counted_under_the_kind_that_took_it(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"eval",      "hold",         "capture", "void",
                                        "increment", "refund",       "find",    "find_key",
                                        "wallet",    "transactions", "expire",  "probe"};
    const char *name = NULL;

    submit(PAYMENT_OP_FIND);
    end(1, 2, 3, "");

    for (uint32_t i = 0; i < PAYMENT_OP_KINDS + 2; i++) {
        const struct histogram *time = payment_store_query_time(store, i, &name);
        assert_string_equal(name, NAMES[i]);
        assert_int_equal(time->count, i == PAYMENT_OP_FIND ? 1 : 0);
    }
    assert_null(payment_store_query_time(store, PAYMENT_OP_KINDS + 2, &name));
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
        KINDS_TEST(test_what_writes_shares_one_book_of_wallets_and_is_exclusive),
        KINDS_TEST(test_each_lane_has_a_connection_reserved_and_who_moves_money_goes_first),
        KINDS_TEST(test_what_names_a_wallet_waits_in_its_line),
        KINDS_TEST(test_a_key_that_another_session_holds_is_refused_then_goes_alone),
        KINDS_TEST(test_the_probe_has_one_connection_of_its_own),
        KINDS_TEST(test_a_refused_probe_waits_for_its_interval),
        KINDS_TEST(test_reload_is_of_both_pools_and_after_stop_of_the_service_alone),
        KINDS_TEST(test_what_moves_money_claims_its_key),
        KINDS_TEST(test_a_void_without_a_key_claims_none),
        KINDS_TEST(test_time_is_counted_under_the_kind_that_took_it),
        KINDS_TEST(test_operation_tells_wait_time_and_sqlstate),
        KINDS_TEST(test_operation_that_was_not_sent_has_no_time),
        KINDS_TEST(test_second_try_that_was_not_sent_tells_no_wait),
        KINDS_TEST(test_refused_operation_tells_nothing_of_the_one_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
