/*
 * payment_step_body: the JSON body of a step -> a validated step, or the problem to answer.
 *
 * Collects every wrong field, not only the first. What it says never contains input.
 */
#ifndef HTTP_API_PAYMENT_STEP_BODY_H
#define HTTP_API_PAYMENT_STEP_BODY_H

#include "core/payment.h"
#include "http/api/payment_refusal.h"

#include <stdbool.h>

/* capture {["amount"][,"final"]}, void and refund {["amount"]}, increment {"amount"}: step->kind
 * tells which. Sets amount and final of the step and nothing else. No body is an empty object. */
MUST_USE bool payment_step_body_read(struct span body, struct payment_step *step,
                                     struct payment_refusal *refusal);

#endif
