/*
 * payment_body: a JSON body or a query string -> a validated payment command, or the problem to
 * answer.
 *
 * Collects every wrong field, not only the first. What it says never contains input.
 */
#ifndef HTTP_API_PAYMENT_BODY_H
#define HTTP_API_PAYMENT_BODY_H

#include "core/payment.h"
#include "http/api/payment_refusal.h"

#include <stdbool.h>

/* {"wallet_id","amount","currency","merchant":{"mcc","country"}[,"effect"][,"expires_in_s"]};
 * effect defaults to hold. */
MUST_USE bool payment_body_read(struct span body, struct payment_command *command,
                                struct payment_refusal *refusal);
/* One of the five parameters of a purchase is there. A query without is no purchase, whatever else
 * it says (a cache buster, a tag of a proxy). */
bool payment_query_is_purchase(struct span query);
/* wallet_id amount currency mcc merchant_country, each once and nothing else but empty parameters;
 * always to evaluate. */
MUST_USE bool payment_query_read(struct span query, struct payment_command *command,
                                 struct payment_refusal *refusal);

#endif
