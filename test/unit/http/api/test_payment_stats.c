/*
 * The payment counters as /metrics shows them: every count under its own name.
 */
#include "http/api/payment_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char page[32 * 1024];

static void write_page(const struct payment_stats *stats)
{
    struct metrics_writer writer;
    struct buf out;

    buf_init(&out, page, sizeof(page) - 1);
    metrics_begin(&writer, &out, false);
    payment_stats_write(stats, &writer);
    metrics_end(&writer);
    assert_false(out.overflow);
    page[out.len] = '\0';
}

static void assert_line(const char *sample, uint64_t value)
{
    char line[160];

    snprintf(line, sizeof(line), "\n%s %llu\n", sample, (unsigned long long)value);
    if (strstr(page, line) == NULL)
        fail_msg("no line %s", line);
}

static void test_every_count_stands_under_its_name(void **state)
{
    (void)state;
    const struct payment_stats stats = {
        .idempotency_total = {11, 12, 13, 14, 15, 16},
        .steps_total = {[PAYMENT_CAPTURE] = {21, 22, 23, 24, 25, 26, 27},
                        [PAYMENT_REFUND] = {[PAYMENT_STEP_RESULT_DONE] = 28}},
        .outcomes_total = {[PG_DONE] = 31, [PG_UNKNOWN] = 32, [PG_FAILED] = 33, [PG_LOCKED] = 34},
        .shed_total = {41, 42, 43, 44, 45, 46},
        .deadline_exceeded_total = {51, 52},
        .malformed_timeouts_total = 61,
        .orphans_finished_total = 71,
    };

    write_page(&stats);

    assert_line("payment_idempotency_total{result=\"new\"}", 11);
    assert_line("payment_idempotency_total{result=\"replay\"}", 12);
    assert_line("payment_idempotency_total{result=\"race\"}", 13);
    assert_line("payment_idempotency_total{result=\"in_flight\"}", 14);
    assert_line("payment_idempotency_total{result=\"mismatch\"}", 15);
    assert_line("payment_idempotency_total{result=\"none\"}", 16);
    assert_line("payment_steps_total{step=\"capture\",result=\"done\"}", 21);
    assert_line("payment_steps_total{step=\"capture\",result=\"declined\"}", 22);
    assert_line("payment_steps_total{step=\"capture\",result=\"replayed\"}", 23);
    assert_line("payment_steps_total{step=\"capture\",result=\"already_resolved\"}", 24);
    assert_line("payment_steps_total{step=\"capture\",result=\"exceeds_open\"}", 25);
    assert_line("payment_steps_total{step=\"capture\",result=\"too_many_steps\"}", 26);
    assert_line("payment_steps_total{step=\"capture\",result=\"not_found\"}", 27);
    assert_line("payment_steps_total{step=\"refund\",result=\"done\"}", 28);
    assert_line("payment_steps_total{step=\"increment\",result=\"done\"}", 0);
    assert_line("payment_steps_total{step=\"void\",result=\"done\"}", 0);
    assert_line("payment_outcomes_total{outcome=\"done\"}", 31);
    assert_line("payment_outcomes_total{outcome=\"unknown\"}", 32);
    assert_line("payment_outcomes_total{outcome=\"failed\"}", 33);
    assert_line("payment_outcomes_total{outcome=\"locked\"}", 34);
    assert_line("http_requests_shed_total{reason=\"queue\"}", 41);
    assert_line("http_requests_shed_total{reason=\"deadline\"}", 42);
    assert_line("http_requests_shed_total{reason=\"down\"}", 43);
    assert_line("http_requests_shed_total{reason=\"wallet\"}", 44);
    assert_line("http_requests_shed_total{reason=\"region\"}", 45);
    assert_line("http_requests_shed_total{reason=\"busy\"}", 46);
    assert_line("http_deadline_exceeded_total{stage=\"queue\"}", 51);
    assert_line("http_deadline_exceeded_total{stage=\"db\"}", 52);
    assert_line("http_timeout_headers_malformed_total", 61);
    assert_line("payment_orphans_finished_total", 71);
}

static void test_a_decision_counts_by_code_effect_and_currency(void **state)
{
    (void)state;
    struct payment_stats stats = {0};
    const struct payment_command evaluate = {
        .effect = PAYMENT_EVALUATE, .amount_minor = 1250, .currency = "EUR"};
    const struct payment_command hold = {
        .effect = PAYMENT_HOLD, .amount_minor = 700, .currency = "MXN"};
    const struct payment_decision approved = {.code_index = (uint8_t)payment_code_find("00")};
    const struct payment_decision declined = {.code_index = (uint8_t)payment_code_find("51")};

    payment_stats_decision(&stats, &evaluate, &approved);
    payment_stats_decision(&stats, &hold, &declined);
    payment_stats_decision(&stats, &hold, &declined);
    write_page(&stats);

    assert_line("payment_decisions_total{response_code=\"00\",effect=\"evaluate\"}", 1);
    assert_line("payment_decisions_total{response_code=\"00\",effect=\"hold\"}", 0);
    assert_line("payment_decisions_total{response_code=\"51\",effect=\"hold\"}", 2);
    assert_line("payment_amount_minor_total{currency=\"EUR\",status=\"approved\"}", 1250);
    assert_line("payment_amount_minor_total{currency=\"EUR\",status=\"declined\"}", 0);
    assert_line("payment_amount_minor_total{currency=\"MXN\",status=\"declined\"}", 1400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_count_stands_under_its_name),
        cmocka_unit_test(test_a_decision_counts_by_code_effect_and_currency),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
