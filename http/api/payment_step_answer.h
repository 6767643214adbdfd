/*
 * payment_step_answer: formats the answers of the steps of a hold.
 *
 * Appends to the caller's buffer, no printf, no allocation. What is shown was recorded, so a replay
 * has the same bytes.
 */
#ifndef HTTP_API_PAYMENT_STEP_ANSWER_H
#define HTTP_API_PAYMENT_STEP_ANSWER_H

#include "core/payment.h"
#include "http/api/payment_answer.h"

/* The member that names the hold: "captures" "voids" "increments" "refunds"; static text. */
const char *payment_step_member(enum payment_step_kind kind);
/* {"transaction_id","captures","status","region","timestamp", then what it moved and what the hold
 * has come to}. A void's first six members are those it always had. */
void payment_step_answer_write(struct buf *out, const struct payment_answer_style *style,
                               const struct payment_step_decision *decision);
/* ,"authorised","captured","released","expired","refunded","open" of an object still open. */
void payment_step_answer_add_amounts(struct buf *out, const struct payment_amounts *amounts);

#endif
