/*
 * payment_stats: what the payment API counts, and the names by which /metrics shows it. The one
 * place where a counter has its index, its size and its label.
 */
#ifndef HTTP_API_PAYMENT_STATS_H
#define HTTP_API_PAYMENT_STATS_H

#include "core/histogram.h"
#include "core/payment.h"
#include "pool/payment_store.h"

#include <stdint.h>

/* What a request's Idempotency-Key led to. */
enum payment_idempotency {
    PAYMENT_IDEMPOTENCY_NEW,
    PAYMENT_IDEMPOTENCY_REPLAY,
    PAYMENT_IDEMPOTENCY_RACE,
    PAYMENT_IDEMPOTENCY_IN_FLIGHT,
    PAYMENT_IDEMPOTENCY_MISMATCH,
    PAYMENT_IDEMPOTENCY_NONE
};
/* Why a request was refused at once. */
enum payment_shed { PAYMENT_SHED_QUEUE, PAYMENT_SHED_DEADLINE, PAYMENT_SHED_DOWN };
/* Where a request was when its time was over. */
enum payment_stage { PAYMENT_STAGE_QUEUE, PAYMENT_STAGE_DATABASE };

enum {
    PAYMENT_IDEMPOTENCIES = PAYMENT_IDEMPOTENCY_NONE + 1,
    PAYMENT_SHEDS = PAYMENT_SHED_DOWN + 1,
    PAYMENT_STAGES = PAYMENT_STAGE_DATABASE + 1,
    PAYMENT_VOID_RESULTS = PAYMENT_VOID_NOT_FOUND + 1,
    PAYMENT_CODE_PLACES = PAYMENT_CODE_APPROVED + 1,
    PAYMENT_EFFECTS = PAYMENT_HOLD + 1,
    PAYMENT_CURRENCIES = 2, /* EUR, MXN */
    PAYMENT_VERDICTS = 2    /* declined, approved */
};
extern const char *const PAYMENT_IDEMPOTENCY_NAMES[PAYMENT_IDEMPOTENCIES];
extern const char *const PAYMENT_SHED_NAMES[PAYMENT_SHEDS];
extern const char *const PAYMENT_STAGE_NAMES[PAYMENT_STAGES];
extern const char *const PAYMENT_VOID_NAMES[PAYMENT_VOID_RESULTS];
extern const char *const PAYMENT_CURRENCY_NAMES[PAYMENT_CURRENCIES];
extern const char *const PAYMENT_VERDICT_NAMES[PAYMENT_VERDICTS];

struct payment_stats {
    uint64_t decisions_total[PAYMENT_CODE_PLACES][PAYMENT_EFFECTS];
    uint64_t amount_minor_total[PAYMENT_CURRENCIES][PAYMENT_VERDICTS];
    uint64_t idempotency_total[PAYMENT_IDEMPOTENCIES];
    uint64_t voids_total[PAYMENT_VOID_RESULTS];
    uint64_t outcomes_total[PG_OUTCOMES]; /* names: pg_outcome_name() */
    uint64_t shed_total[PAYMENT_SHEDS];
    uint64_t deadline_exceeded_total[PAYMENT_STAGES];
    uint64_t malformed_timeouts_total;
    uint64_t orphans_finished_total; /* holds and voids that finished after their client had left */
    struct histogram processing_time; /* payment_processing_duration_seconds */
};

/* A decision that was taken now, not replayed. */
void payment_stats_decision(struct payment_stats *stats, const struct payment_command *command,
                            const struct payment_decision *decision);

#endif
