#include "test/fake/pool_bench.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/secret.h"
#include "pool/pg_array_private.h"
#include "pool/pg_slots_private.h"
#include "test/fake/fake_dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TIMERS_MAX = 128, LOG_TEXT_MAX = 1024 * 1024, RECOVER_MS_MAX = 60 * 1000 };

struct reactor *bench_reactor;
struct pg_pool *bench_pool;
struct bench_ask bench_asks[BENCH_ASKS_MAX];
struct pg_pool_config bench_config;

static uint64_t now_us;
static bool turning; /* still true in the tear-down: an assertion failed inside a callback */
static int log_fd = -1;
static char log_text[LOG_TEXT_MAX];

static const uint32_t FIRST_TYPES[] = {PG_OID_INT8};
static const struct pg_statement STATEMENTS[] = {
    {.name = "first", .sql = "SELECT $1", .param_types = FIRST_TYPES, .param_count = 1},
    {.name = "second", .sql = "SELECT 2"},
};
static const struct pg_pool_config DEFAULTS = {
    .database_url = "host=192.0.2.1 user=app password=s3cret",
    .database_url_file = "",
    .application_name = "bench",
    .conn_count = 1,
    .connect_timeout_ms = 2000,
    .backoff_max_ms = 1000,
    .lifetime_s = 3600,
    .statement_timeout_ms = 80,
    .lock_timeout_ms = 40,
    .query_timeout_ms = 500,
};

static uint64_t test_clock(void)
{
    return now_us;
}

static void log_begin(void)
{
    static const struct log_identity IDENTITY = {"bench", "0", "xx", "test"};

    if (log_fd == -1) {
        log_fd = memfd_create("bench-log", MFD_CLOEXEC);
        assert_int_not_equal(log_fd, -1);
        log_open(log_fd, LOG_DEBUG, &IDENTITY);
    }
    log_flush();
    assert_int_equal(ftruncate(log_fd, 0), 0);
    assert_int_equal(lseek(log_fd, 0, SEEK_SET), 0);
}

int bench_set_up(void **state)
{
    (void)state;
    assert_int_equal(secret_init(), ERR_OK);
    fake_pq_reset();
    fake_dns_reset();
    memset(bench_asks, 0, sizeof(bench_asks));
    bench_pool = NULL;
    bench_config = DEFAULTS;
    now_us = (uint64_t)CLOCK_US_PER_S;
    clock_replace(test_clock, NULL);
    log_begin();
    assert_int_equal(reactor_create(&bench_reactor, TIMERS_MAX), ERR_OK);
    return 0;
}

void bench_close(void)
{
    pg_pool_destroy(bench_pool);
    bench_pool = NULL;
}

int bench_tear_down(void **state)
{
    (void)state;
    if (turning) {
        turning = false;
        clock_replace(NULL, NULL);
        return -1;
    }
    bench_close();
    reactor_destroy(bench_reactor);
    bench_reactor = NULL;
    clock_replace(NULL, NULL);
    fake_pq_check_clean();
    assert_int_equal(fake_dns.live, 0);
    return 0;
}

void bench_open_with(const struct pg_statement *statements, uint8_t count)
{
    assert_int_equal(pg_pool_create(&bench_pool, bench_reactor, &bench_config, statements, count),
                     ERR_OK);
}

void bench_open(void)
{
    bench_open_with(STATEMENTS, sizeof(STATEMENTS) / sizeof(STATEMENTS[0]));
}

void bench_open_up(uint32_t conn_count)
{
    bench_config.conn_count = conn_count;
    bench_open();
    bench_await(PG_CONN_IDLE, conn_count);
}

void bench_turn(void)
{
    now_us++;
    turning = true;
    const enum err err = reactor_turn(bench_reactor, 0);
    turning = false;
    assert_int_equal(err, ERR_OK);
}

void bench_turns(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bench_turn();
}

void bench_skip_ms(uint64_t ms)
{
    now_us += ms * CLOCK_US_PER_MS;
}

uint64_t bench_now_us(void)
{
    return now_us;
}

void bench_await(enum pg_conn_state state, uint32_t count)
{
    for (int i = 0; i < BENCH_TURNS_MAX && pg_pool_count(bench_pool, state) != count; i++)
        bench_turn();
    assert_int_equal(pg_pool_count(bench_pool, state), count);
}

void bench_recover(uint32_t idle_count)
{
    for (int i = 0; i < RECOVER_MS_MAX && pg_pool_count(bench_pool, PG_CONN_IDLE) != idle_count;
         i++) {
        bench_skip_ms(1);
        bench_turn();
    }
    assert_int_equal(pg_pool_count(bench_pool, PG_CONN_IDLE), idle_count);
}

static void on_answer(struct pg_query *query, const struct pg_answer *answer)
{
    struct bench_ask *ask = container_of(query, struct bench_ask, query);

    ask->answers++;
    ask->kind = answer->kind;
    memcpy(ask->sqlstate, answer->sqlstate, sizeof(ask->sqlstate));
    assert_int_equal(answer->rows != NULL, answer->kind == PG_ANSWER_ROWS);
    ask->row_count = answer->rows != NULL ? pg_rows_count(answer->rows) : 0;
    if (ask->then != NULL)
        ask->then(ask);
}

enum err bench_send(unsigned i)
{
    struct pg_params params = {0};
    char bytes[64];
    struct buf storage;

    assert_true(i < BENCH_ASKS_MAX);
    buf_init(&storage, bytes, sizeof(bytes));
    pg_param_int8(&params, &storage, i);
    bench_asks[i].query.on_answer = on_answer;
    return pg_pool_send(bench_pool, &params, &bench_asks[i].query);
}

void bench_send_ok(unsigned i)
{
    const unsigned before = bench_asks[i].answers;
    assert_int_equal(bench_send(i), ERR_OK);
    assert_int_equal(bench_asks[i].answers, before);
}

PGconn *bench_asked(void)
{
    PGconn *found = NULL;
    for (unsigned i = 0; i < fake_pq_made(); i++) {
        if (!fake_pq_is_asked(fake_pq_conn(i)))
            continue;
        assert_null(found);
        found = fake_pq_conn(i);
    }
    assert_non_null(found);
    return found;
}

void bench_await_answer(unsigned i, unsigned count)
{
    for (int turn = 0; turn < BENCH_TURNS_MAX && bench_asks[i].answers < count; turn++)
        bench_turn();
    assert_int_equal(bench_asks[i].answers, count);
}

PGresult *bench_row(void)
{
    PGresult *rows = fake_pq_rows(1);
    fake_pq_add_int8(rows, 1);
    return rows;
}

void bench_attempts_fail(const char *error)
{
    fake_pq_next.error = error;
    fake_pq_next.steps[2].polled = PGRES_POLLING_FAILED;
}

void bench_attempts_succeed(void)
{
    fake_pq_next.steps[2].polled = PGRES_POLLING_OK;
}

uint64_t bench_failures(void)
{
    return pg_pool_stats(bench_pool)->connect_failures_total;
}

void bench_await_failures(uint64_t count)
{
    for (int i = 0; i < BENCH_TURNS_MAX && bench_failures() < count; i++)
        bench_turn();
    assert_int_equal(bench_failures(), count);
}

uint64_t bench_pause_us(void)
{
    const uint64_t next_us = bench_pool->connector.next_attempt_us;
    return next_us > now_us ? next_us - now_us : 0;
}

void bench_assert_closed(enum pg_close_reason reason, uint64_t count)
{
    assert_int_equal(pg_pool_stats(bench_pool)->closed_total[reason], count);
}

void bench_assert_only_closed(enum pg_close_reason reason, uint64_t count)
{
    for (int i = 0; i < PG_CLOSE_REASONS; i++)
        bench_assert_closed((enum pg_close_reason)i, i == (int)reason ? count : 0);
}

unsigned bench_log_count(const char *text)
{
    unsigned count = 0;

    log_flush();
    const ssize_t size = pread(log_fd, log_text, sizeof(log_text) - 1, 0);
    assert_true(size >= 0);
    log_text[size] = '\0';
    for (const char *line = log_text, *end; *line != '\0'; line = end) {
        const size_t length = strcspn(line, "\n");
        end = line + length + (line[length] == '\n');
        count += memmem(line, length, text, strlen(text)) != NULL;
    }
    return count;
}
