/*
 * payment_step_call (private to payment_api): a step of a hold, from its request to its answer.
 *
 * All four are one walk: the hold's id, the body, the key, the operation; what tells them apart is
 * their kind. An answer is made of what was recorded, so that a replay has the same bytes.
 */
#ifndef HTTP_API_PAYMENT_STEP_CALL_PRIVATE_H
#define HTTP_API_PAYMENT_STEP_CALL_PRIVATE_H

#include "http/api/payment_call_private.h"

/* The handlers of the routes. */
http_handler_fn payment_step_call_on_capture;
http_handler_fn payment_step_call_on_void;
http_handler_fn payment_step_call_on_increment;
http_handler_fn payment_step_call_on_refund;
/* The operation is done: answers and ends the call. */
void payment_step_call_answer(struct payment_call *call);

#endif
