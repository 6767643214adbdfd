#include "http/api/payment_stats.h"

#include <string.h>

static const char *const IDEMPOTENCY_NAMES[PAYMENT_IDEMPOTENCIES] = {
    [PAYMENT_IDEMPOTENCY_NEW] = "new",           [PAYMENT_IDEMPOTENCY_REPLAY] = "replay",
    [PAYMENT_IDEMPOTENCY_RACE] = "race",         [PAYMENT_IDEMPOTENCY_IN_FLIGHT] = "in_flight",
    [PAYMENT_IDEMPOTENCY_MISMATCH] = "mismatch", [PAYMENT_IDEMPOTENCY_NONE] = "none",
};
static const char *const SHED_NAMES[PAYMENT_SHEDS] = {
    [PAYMENT_SHED_QUEUE] = "queue",   [PAYMENT_SHED_DEADLINE] = "deadline",
    [PAYMENT_SHED_DOWN] = "down",     [PAYMENT_SHED_WALLET] = "wallet",
    [PAYMENT_SHED_REGION] = "region", [PAYMENT_SHED_BUSY] = "busy",
};
static const char *const OVERDUE_NAMES[PAYMENT_OVERDUES] = {
    [PAYMENT_OVERDUE_QUEUE] = "queue",
    [PAYMENT_OVERDUE_DATABASE] = "db",
};
static const char *const STEP_RESULT_NAMES[PAYMENT_STEP_RESULTS] = {
    [PAYMENT_STEP_RESULT_DONE] = "done",
    [PAYMENT_STEP_RESULT_DECLINED] = "declined",
    [PAYMENT_STEP_RESULT_REPLAYED] = "replayed",
    [PAYMENT_STEP_RESULT_ALREADY_RESOLVED] = "already_resolved",
    [PAYMENT_STEP_RESULT_EXCEEDS_OPEN] = "exceeds_open",
    [PAYMENT_STEP_RESULT_TOO_MANY] = "too_many_steps",
    [PAYMENT_STEP_RESULT_NOT_FOUND] = "not_found",
};
static const char *const CURRENCY_NAMES[] = {"EUR", "MXN"};
static const char *const STATUS_NAMES[] = {"declined", "approved"};

const char *payment_idempotency_name(enum payment_idempotency result)
{
    return IDEMPOTENCY_NAMES[result];
}

void payment_stats_decision(struct payment_stats *stats, const struct payment_command *command,
                            const struct payment_decision *decision)
{
    const unsigned currency = strcmp(command->currency, CURRENCY_NAMES[0]) == 0 ? 0 : 1;
    const unsigned approved = payment_approved(decision) ? 1 : 0;

    stats->decisions_total[decision->code_index][command->effect]++;
    stats->amount_minor_total[currency][approved] += (uint64_t)command->amount_minor;
}

/* ---- the families ---- */

/* A family whose samples differ in one label: totals[i] is called names[i]. */
static void add_named(struct metrics_writer *writer, const char *label, const char *const *names,
                      const uint64_t *totals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        metrics_labelled(writer, label, names[i], totals[i]);
}

static void add_pair(struct metrics_writer *writer, struct metrics_label first,
                     struct metrics_label second, uint64_t total)
{
    const struct metrics_label labels[] = {first, second};

    metrics_u64(writer, labels, 2, total);
}

static void add_decisions(struct metrics_writer *writer, const struct payment_stats *stats)
{
    metrics_family(writer, "payment_decisions_total", METRICS_COUNTER,
                   "Decisions taken, replays not counted");
    for (uint32_t code = 0; code < PAYMENT_CODE_COUNT; code++)
        for (unsigned effect = PAYMENT_EVALUATE; effect <= PAYMENT_HOLD; effect++)
            add_pair(writer,
                     (struct metrics_label){"response_code", span_of(PAYMENT_CODES[code].code)},
                     (struct metrics_label){
                         "effect", span_of(payment_effect_name((enum payment_effect)effect))},
                     stats->decisions_total[code][effect]);
    metrics_family(writer, "payment_amount_minor_total", METRICS_COUNTER,
                   "Amounts decided on, in minor units");
    for (unsigned currency = 0; currency < 2; currency++)
        for (unsigned status = 0; status < 2; status++)
            add_pair(writer, (struct metrics_label){"currency", span_of(CURRENCY_NAMES[currency])},
                     (struct metrics_label){"status", span_of(STATUS_NAMES[status])},
                     stats->amount_minor_total[currency][status]);
}

static void add_steps(struct metrics_writer *writer, const struct payment_stats *stats)
{
    metrics_family(writer, "payment_steps_total", METRICS_COUNTER,
                   "Steps of holds asked for, by step and result");
    for (unsigned kind = 0; kind < PAYMENT_STEP_KINDS; kind++)
        for (unsigned result = 0; result < PAYMENT_STEP_RESULTS; result++)
            add_pair(writer,
                     (struct metrics_label){
                         "step", span_of(payment_step_name((enum payment_step_kind)kind))},
                     (struct metrics_label){"result", span_of(STEP_RESULT_NAMES[result])},
                     stats->steps_total[kind][result]);
}

static void add_outcomes(struct metrics_writer *writer, const struct payment_stats *stats)
{
    const char *names[PG_OUTCOMES];

    for (unsigned i = 0; i < PG_OUTCOMES; i++)
        names[i] = pg_outcome_name((enum pg_outcome)i);
    metrics_family(writer, "payment_outcomes_total", METRICS_COUNTER,
                   "Operations by how the database side ended");
    add_named(writer, "outcome", names, stats->outcomes_total, PG_OUTCOMES);
}

void payment_stats_write(const struct payment_stats *stats, struct metrics_writer *writer)
{
    add_decisions(writer, stats);
    metrics_family(writer, "payment_idempotency_total", METRICS_COUNTER,
                   "Requests by what their Idempotency-Key led to");
    add_named(writer, "result", IDEMPOTENCY_NAMES, stats->idempotency_total, PAYMENT_IDEMPOTENCIES);
    add_steps(writer, stats);
    add_outcomes(writer, stats);
    metrics_counter(writer, "payment_orphans_finished_total",
                    "Holds and steps that finished after their client had left",
                    stats->orphans_finished_total);
    metrics_family(writer, "http_requests_shed_total", METRICS_COUNTER,
                   "Requests told to come again, by reason");
    add_named(writer, "reason", SHED_NAMES, stats->shed_total, PAYMENT_SHEDS);
    metrics_family(writer, "http_deadline_exceeded_total", METRICS_COUNTER,
                   "Requests whose time was over before anything moved, by where");
    add_named(writer, "stage", OVERDUE_NAMES, stats->deadline_exceeded_total, PAYMENT_OVERDUES);
    metrics_counter(writer, "http_timeout_headers_malformed_total",
                    "Timeout headers ignored because they are not of their form",
                    stats->malformed_timeouts_total);
}
