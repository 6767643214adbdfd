#include "http/api/payment_stats.h"

#include <string.h>

const char *const PAYMENT_IDEMPOTENCY_NAMES[PAYMENT_IDEMPOTENCIES] = {
    "new", "replay", "race", "in_flight", "mismatch", "none"};
const char *const PAYMENT_SHED_NAMES[PAYMENT_SHEDS] = {"queue", "deadline", "down"};
const char *const PAYMENT_STAGE_NAMES[PAYMENT_STAGES] = {"queue", "db"};
const char *const PAYMENT_VOID_NAMES[PAYMENT_VOID_RESULTS] = {"voided", "already_resolved",
                                                              "not_found"};
const char *const PAYMENT_CURRENCY_NAMES[PAYMENT_CURRENCIES] = {"EUR", "MXN"};
const char *const PAYMENT_VERDICT_NAMES[PAYMENT_VERDICTS] = {"declined", "approved"};

void payment_stats_decision(struct payment_stats *stats, const struct payment_command *command,
                            const struct payment_decision *decision)
{
    const bool approved = payment_approved(decision);
    const unsigned currency = strcmp(command->currency, PAYMENT_CURRENCY_NAMES[0]) == 0 ? 0 : 1;
    stats->decisions_total[decision->code_index][command->effect]++;
    stats->amount_minor_total[currency][approved ? 1 : 0] += (uint64_t)command->amount_minor;
}
