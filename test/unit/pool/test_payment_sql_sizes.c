/*
 * The room that a payment says it needs (member_bytes_max) against what its encoding takes.
 */
#include "pool/payment_read_sql_private.h"
#include "pool/payment_step_sql_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    BATCH = 32,
    MEMBER_BYTES = (int)PAYMENT_STEP_SQL_BYTES_MAX > (int)PAYMENT_SQL_HOLD_BYTES_MAX
                       ? (int)PAYMENT_STEP_SQL_BYTES_MAX
                       : (int)PAYMENT_SQL_HOLD_BYTES_MAX,
};

static char bytes[BATCH * MEMBER_BYTES];
static char region[PAYMENT_SQL_REGION_MAX];
static struct pg_params params;
static struct buf storage;
static const struct secret_digest fingerprint;
static const struct secret_mac key_hash;
static const struct payment_command command = {
    .currency = "EUR", .merchant_country = "DE", .expires_in_s = 1};

/* As a lane does it: exactly the room of `count` members. More than that is a CHECK. */
static void begin(uint32_t count, uint32_t member_bytes_max)
{
    params = (struct pg_params){0};
    buf_init(&storage, bytes, (size_t)count * member_bytes_max);
}

static void encode_holds(uint32_t count)
{
    struct payment_sql_hold holds[BATCH];

    for (uint32_t i = 0; i < count; i++)
        holds[i] = (struct payment_sql_hold){
            .key_hash = &key_hash, .fingerprint = &fingerprint, .command = &command};
    begin(count, PAYMENT_SQL_HOLD_BYTES_MAX);
    payment_sql_encode_hold(holds, count, (struct span){region, sizeof(region)}, &params, &storage);
}

static void test_the_longest_hold_takes_all_its_room(void **state)
{
    (void)state;

    encode_holds(1);
    assert_int_equal(storage.len, PAYMENT_SQL_HOLD_BYTES_MAX);
}

static void test_a_full_batch_of_the_longest_holds_fits(void **state)
{
    (void)state;

    encode_holds(BATCH);

    const size_t once = 12 * PG_ARRAY_HEADER_BYTES + PAYMENT_SQL_REGION_MAX;
    assert_int_equal(storage.len, storage.cap - (BATCH - 1) * once);
    assert_int_equal(params.count, PAYMENT_SQL[params.statement].param_count);
}

static void test_evaluations_fit_from_one_to_a_full_batch(void **state)
{
    (void)state;
    const struct payment_command *commands[BATCH];

    for (uint32_t count = 1; count <= BATCH; count++) {
        commands[count - 1] = &command;
        begin(count, PAYMENT_SQL_EVALUATE_BYTES_MAX);
        payment_sql_encode_evaluate(commands, count, (struct span){region, sizeof(region)}, &params,
                                    &storage);
        assert_int_equal(params.count, PAYMENT_SQL[params.statement].param_count);
    }
}

static void assert_all_taken(void)
{
    assert_int_equal(storage.len, storage.cap);
    assert_int_equal(params.count, PAYMENT_SQL[params.statement].param_count);
}

static void test_reads_take_all_their_room(void **state)
{
    (void)state;
    const struct payment_read_sql_asker asker = {.region = {region, sizeof(region)}};
    const struct payment_page_ask ask = {.limit = PAYMENT_PAGE_MAX};
    const struct uuid7 id = {{0}};

    begin(1, PAYMENT_READ_SQL_FIND_BYTES_MAX);
    payment_read_sql_encode_find(&id, &asker, &params, &storage);
    assert_all_taken();
    begin(1, PAYMENT_READ_SQL_FIND_KEY_BYTES_MAX);
    payment_read_sql_encode_find_key(&key_hash, &asker, &params, &storage);
    assert_all_taken();
    begin(1, PAYMENT_READ_SQL_WALLET_BYTES_MAX);
    payment_read_sql_encode_wallet(1, &asker, &params, &storage);
    assert_all_taken();
    begin(1, PAYMENT_READ_SQL_PAGE_BYTES_MAX);
    payment_read_sql_encode_page(1, &ask, &asker, &params, &storage);
    assert_all_taken();
}

static void encode_steps(uint32_t count)
{
    static const struct payment_step step = {.has_amount = true, .final = true};
    struct payment_sql_step steps[BATCH];

    for (uint32_t i = 0; i < count; i++)
        steps[i] = (struct payment_sql_step){
            .key_hash = &key_hash, .fingerprint = &fingerprint, .step = &step};
    begin(count, PAYMENT_STEP_SQL_BYTES_MAX);
    payment_step_sql_encode(steps, count, (struct span){region, sizeof(region)}, &params, &storage);
}

static void test_steps_fit_from_one_to_a_full_batch(void **state)
{
    (void)state;

    encode_steps(1);
    assert_int_equal(storage.len, PAYMENT_STEP_SQL_BYTES_MAX);
    encode_steps(BATCH);
    const size_t once = 11 * PG_ARRAY_HEADER_BYTES + PAYMENT_SQL_REGION_MAX;
    assert_int_equal(storage.len, storage.cap - (BATCH - 1) * once);
    assert_int_equal(params.count, PAYMENT_SQL[params.statement].param_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_hold_takes_all_its_room),
        cmocka_unit_test(test_a_full_batch_of_the_longest_holds_fits),
        cmocka_unit_test(test_evaluations_fit_from_one_to_a_full_batch),
        cmocka_unit_test(test_reads_take_all_their_room),
        cmocka_unit_test(test_steps_fit_from_one_to_a_full_batch),
    };

    memset(region, 'r', sizeof(region));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
