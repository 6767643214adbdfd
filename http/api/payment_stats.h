/*
 * payment_stats: what the payment API counts, and what each count is called.
 *
 * Owns the counters of one payment_api, the label values they are told apart by, and the families
 * of /metrics that show them. payment_api and payment_call count, straight into the fields, by the
 * enums below; nobody else writes here.
 */
#ifndef HTTP_API_PAYMENT_STATS_H
#define HTTP_API_PAYMENT_STATS_H

#include "core/histogram.h"
#include "core/metrics.h"
#include "core/payment.h"
#include "pool/pg_lane.h"

#include <stdint.h>

/* What a request's Idempotency-Key led to; NONE: it needs none and, unless it is an evaluation, had
 * none. */
enum payment_idempotency {
    PAYMENT_IDEMPOTENCY_NEW,
    PAYMENT_IDEMPOTENCY_REPLAY,
    PAYMENT_IDEMPOTENCY_RACE,
    PAYMENT_IDEMPOTENCY_IN_FLIGHT,
    PAYMENT_IDEMPOTENCY_MISMATCH,
    PAYMENT_IDEMPOTENCY_NONE
};

/* Why a request was told to come again, with nothing moved. */
enum payment_shed {
    PAYMENT_SHED_QUEUE,
    PAYMENT_SHED_DEADLINE,
    PAYMENT_SHED_DOWN,
    PAYMENT_SHED_WALLET,
    PAYMENT_SHED_REGION,
    PAYMENT_SHED_BUSY /* its wallet stayed locked elsewhere */
};

/* What a step that was asked for came to. */
enum payment_step_result {
    PAYMENT_STEP_RESULT_DONE,
    PAYMENT_STEP_RESULT_DECLINED, /* an increment */
    PAYMENT_STEP_RESULT_REPLAYED, /* it was on record */
    PAYMENT_STEP_RESULT_ALREADY_RESOLVED,
    PAYMENT_STEP_RESULT_EXCEEDS_OPEN,
    PAYMENT_STEP_RESULT_TOO_MANY,
    PAYMENT_STEP_RESULT_NOT_FOUND
};

/* Where a request was when its time was over and nothing had moved. */
enum payment_overdue { PAYMENT_OVERDUE_QUEUE, PAYMENT_OVERDUE_DATABASE };

enum {
    PAYMENT_IDEMPOTENCIES = PAYMENT_IDEMPOTENCY_NONE + 1,
    PAYMENT_SHEDS = PAYMENT_SHED_BUSY + 1,
    PAYMENT_OVERDUES = PAYMENT_OVERDUE_DATABASE + 1,
    PAYMENT_STEP_RESULTS = PAYMENT_STEP_RESULT_NOT_FOUND + 1,
    PAYMENT_STATS_CODES_MAX = 32,
};

/* All zero at the start. */
struct payment_stats {
    uint64_t decisions_total[PAYMENT_STATS_CODES_MAX]
                            [2]; /* by index into PAYMENT_CODES, by effect */
    uint64_t idempotency_total[PAYMENT_IDEMPOTENCIES];
    uint64_t steps_total[PAYMENT_STEP_KINDS][PAYMENT_STEP_RESULTS];
    uint64_t amount_minor_total[2][2]; /* EUR MXN, declined approved */
    uint64_t outcomes_total[PG_OUTCOMES];
    uint64_t shed_total[PAYMENT_SHEDS];
    uint64_t deadline_exceeded_total[PAYMENT_OVERDUES];
    uint64_t malformed_timeouts_total;
    uint64_t orphans_finished_total;  /* writes that finished after their client had left */
    struct histogram processing_time; /* payment_processing_duration_seconds */
};

/* Counts a decision just taken (not a replay) and its amount. */
void payment_stats_decision(struct payment_stats *stats, const struct payment_command *command,
                            const struct payment_decision *decision);
/* The label value of payment_idempotency_total, and idempotency.result in the access log. */
const char *payment_idempotency_name(enum payment_idempotency result);
/* Every counter; processing_time is the page's, among the Go service's families. */
void payment_stats_write(const struct payment_stats *stats, struct metrics_writer *writer);

#endif
