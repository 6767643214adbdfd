#include "lane_bench.h"

#include "core/secret.h"

struct pg_pool {
    struct list listeners;
};

struct bench bench;
static struct pg_pool pool;
static struct bench_sent encoding;

static uint64_t test_clock(void)
{
    return bench.now_us;
}

/* ---- the scripted pool ---- */

enum err pg_pool_send(struct pg_pool *p, const struct pg_params *params, struct pg_query *query)
{
    (void)p, (void)params;
    if (bench.sends_refused > 0) {
        bench.sends_refused--;
        bench.idle--;
        return bench.idle + bench.busy > 0 ? ERR_AGAIN : ERR_UNAVAILABLE;
    }
    if (bench.idle + bench.busy == 0)
        return ERR_UNAVAILABLE;
    if (bench.idle == 0)
        return ERR_AGAIN;
    bench.idle--;
    bench.busy++;
    encoding.query = query;
    encoding.alone = container_of(query, struct pg_track, query)->alone;
    bench.sent[bench.sent_count++ % BENCH_SENT_MAX] = encoding;
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
    (void)p;
    return bench.idle + bench.busy;
}

uint32_t pg_pool_count(const struct pg_pool *p, enum pg_conn_state state)
{
    (void)p;
    return state == PG_CONN_IDLE ? bench.idle : bench.busy;
}

uint32_t pg_pool_size(const struct pg_pool *p)
{
    (void)p;
    return BENCH_POOL_SIZE;
}

struct reactor *pg_pool_reactor(struct pg_pool *p)
{
    (void)p;
    return bench.reactor;
}

void bench_pool_changed(void)
{
    for (struct list_node *node = list_first(&pool.listeners); node != NULL;
         node = list_next(&pool.listeners, node)) {
        struct pg_pool_listener *listener = container_of(node, struct pg_pool_listener, node);
        listener->on_change(listener);
    }
}

void bench_connections(uint32_t idle, uint32_t busy)
{
    bench.idle = idle;
    bench.busy = busy;
}

/* ---- the works ---- */

static struct bench_request *request_of(const struct pg_member *member)
{
    return container_of((struct pg_member *)(uintptr_t)member, struct bench_request, member);
}

static void encode(struct pg_member *const *members, uint32_t count, struct pg_params *params,
                   struct buf *storage)
{
    (void)params;
    assert_int_equal(storage->len, 0);
    encoding = (struct bench_sent){.lane = members[0]->lane,
                                   .work = members[0]->work,
                                   .sent_us = bench.now_us,
                                   .count = count,
                                   .storage_bytes = storage->cap};
    for (uint32_t i = 0; i < count; i++) {
        assert_ptr_equal(members[i]->work, members[0]->work);
        encoding.shards[i] = members[i]->shard;
        encoding.requests[i] = (uint32_t)(request_of(members[i]) - bench.requests);
    }
}

static void decode(struct pg_member **members, uint32_t count, const struct pg_rows *rows)
{
    for (uint32_t i = 0; i < count; i++) {
        if (members[i] == NULL)
            continue;
        members[i]->verdict = rows->verdicts[i];
        if (rows->shards[i] != 0)
            members[i]->shard = rows->shards[i];
    }
}

const struct pg_work READ = {.name = "read",
                             .read_only = true,
                             .member_bytes_max = READ_BYTES,
                             .encode = encode,
                             .decode = decode};
const struct pg_work WRITE = {
    .name = "write", .member_bytes_max = WRITE_BYTES, .encode = encode, .decode = decode};

/* ---- life ---- */

void bench_book(const struct pg_shards_config *config)
{
    pg_shards_destroy(bench.book);
    assert_int_equal(pg_shards_create(&bench.book, bench.reactor, config), ERR_OK);
}

int bench_set_up(uint32_t connections)
{
    const struct pg_shards_config shards = {.member_max = BENCH_REQUESTS_MAX,
                                            .poison_hold_us = CLOCK_US_PER_S};

    memset(&bench, 0, sizeof(bench));
    bench.now_us = CLOCK_US_PER_S;
    bench.idle = connections;
    clock_replace(test_clock, NULL);
    list_init(&pool.listeners);
    if (secret_init() != ERR_OK || reactor_create(&bench.reactor, 64) != ERR_OK ||
        pg_share_create(&bench.share, &pool) != ERR_OK)
        return -1;
    return pg_shards_create(&bench.book, bench.reactor, &shards) == ERR_OK ? 0 : -1;
}

int bench_tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < bench.lane_count; i++)
        pg_lane_destroy(bench.lanes[i]);
    pg_shards_destroy(bench.book);
    pg_share_destroy(bench.share);
    reactor_destroy(bench.reactor);
    clock_replace(NULL, NULL);
    return 0;
}

struct pg_lane *bench_lane(const struct pg_lane_config *config)
{
    static const struct pg_work *const WORKS[] = {&READ, &WRITE};
    struct pg_lane_config lane = *config;

    lane.name = lane.name == NULL ? "lane" : lane.name;
    lane.works = lane.works == NULL ? WORKS : lane.works;
    lane.work_count = lane.work_count == 0 ? 2 : lane.work_count;
    lane.share = bench.share;
    lane.shards = lane.shards == NULL ? bench.book : lane.shards;
    lane.tracks = lane.tracks == 0 ? 1 : lane.tracks;
    lane.batch_max = lane.batch_max == 0 ? 4 : lane.batch_max;
    lane.weight = lane.weight == 0 ? 1 : lane.weight;
    lane.queue_max = lane.queue_max == 0 ? 64 : lane.queue_max;
    lane.shard_max = lane.shard_max == 0 ? 64 : lane.shard_max;
    lane.queue_wait_max_us = lane.queue_wait_max_us == 0 ? 25 * MS : lane.queue_wait_max_us;
    lane.lock_wait_max_us = lane.lock_wait_max_us == 0 ? 40 * MS : lane.lock_wait_max_us;
    assert_true(bench.lane_count < BENCH_LANES_MAX);
    struct pg_lane *made = NULL;
    assert_int_equal(pg_lane_create(&made, &pool, &lane), ERR_OK);
    bench.lanes[bench.lane_count++] = made;
    return made;
}

/* ---- time and requests ---- */

void bench_turn(void)
{
    assert_int_equal(reactor_turn(bench.reactor, 0), ERR_OK);
}

void bench_advance(uint64_t by_us)
{
    bench.now_us += by_us;
    bench_turn();
}

void bench_done(struct pg_member *member, enum pg_outcome outcome)
{
    struct bench_request *request = request_of(member);

    request->done_count++;
    request->outcome = outcome;
}

struct pg_member *bench_member(uint32_t index, const struct pg_work *work, uint64_t shard)
{
    assert_true(index < BENCH_REQUESTS_MAX);
    bench.requests[index] = (struct bench_request){
        .member = {
            .work = work, .shard = shard, .due_us = bench.now_us + BUDGET, .on_done = bench_done}};
    return &bench.requests[index].member;
}

enum err bench_submit(struct pg_lane *lane, uint32_t index, const struct pg_work *work,
                      uint64_t shard)
{
    return pg_lane_submit(lane, bench_member(index, work, shard));
}

void bench_submit_ok(struct pg_lane *lane, uint32_t index, const struct pg_work *work,
                     uint64_t shard)
{
    assert_int_equal(bench_submit(lane, index, work, shard), ERR_OK);
    assert_int_equal(bench.requests[index].done_count, 0);
}

/* ---- answers ---- */

struct bench_sent *bench_sent_of(uint32_t number)
{
    assert_true(number < bench.sent_count && bench.sent_count - number <= BENCH_SENT_MAX);
    return &bench.sent[number % BENCH_SENT_MAX];
}

static void answer(uint32_t number, enum pg_answer_kind kind, const char *sqlstate,
                   const struct pg_rows *rows)
{
    struct bench_sent *sent = bench_sent_of(number);
    struct pg_answer given = {.kind = kind, .rows = rows};

    assert_false(sent->answered);
    sent->answered = true;
    memcpy(given.sqlstate, sqlstate, strlen(sqlstate) + 1);
    bench.busy--;
    if (kind != PG_ANSWER_LOST)
        bench.idle++;
    sent->query->on_answer(sent->query, &given);
}

static struct pg_rows all_of(enum pg_verdict verdict)
{
    struct pg_rows rows = {0};
    for (uint32_t i = 0; i < PG_BATCH_MAX; i++)
        rows.verdicts[i] = verdict;
    return rows;
}

void bench_answer(uint32_t number, const struct pg_rows *rows)
{
    answer(number, PG_ANSWER_ROWS, "", rows);
    bench_turn();
}

void bench_answer_in_turn(uint32_t number)
{
    const struct pg_rows rows = all_of(PG_VERDICT_DONE);
    answer(number, PG_ANSWER_ROWS, "", &rows);
}

void bench_answer_done(uint32_t number)
{
    bench_answer_in_turn(number);
    bench_turn();
}

void bench_answer_busy(uint32_t number)
{
    const struct pg_rows rows = all_of(PG_VERDICT_BUSY);
    bench_answer(number, &rows);
}

void bench_error(uint32_t number, const char *sqlstate)
{
    answer(number, PG_ANSWER_ERROR, sqlstate, NULL);
    bench_turn();
}

void bench_lose(uint32_t number)
{
    answer(number, PG_ANSWER_LOST, "", NULL);
    bench_turn();
}

void bench_answer_all(void)
{
    bench_turn();
    for (uint32_t i = 0; i < bench.sent_count; i++)
        if (bench.sent_count - i <= BENCH_SENT_MAX && !bench_sent_of(i)->answered)
            bench_answer_done(i);
}

/* ---- findings ---- */

void assert_done(uint32_t index, enum pg_outcome outcome)
{
    assert_int_equal(bench.requests[index].done_count, 1);
    assert_string_equal(pg_outcome_name(bench.requests[index].outcome), pg_outcome_name(outcome));
}

void assert_pending(uint32_t index)
{
    assert_int_equal(bench.requests[index].done_count, 0);
}

void assert_sent(uint32_t number, uint32_t count, const uint32_t *requests)
{
    const struct bench_sent *sent = bench_sent_of(number);

    assert_int_equal(sent->count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(sent->requests[i], requests[i]);
}
