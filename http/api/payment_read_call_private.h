/*
 * payment_read_call (private to payment_api): what is on record, from the request to the answer:
 *   GET|HEAD /api/payment/simulate/{id}, .../by-key/{key}, /api/payment/wallets/{id} and
 *   .../wallets/{id}/transactions.
 *
 * A read moves nothing; what it shows is the asking client's own. A HEAD reads, too, and sends the
 * head that the GET would have.
 */
#ifndef HTTP_API_PAYMENT_READ_CALL_PRIVATE_H
#define HTTP_API_PAYMENT_READ_CALL_PRIVATE_H

#include "http/api/payment_call_private.h"

#define PAYMENT_WALLETS_PATH "/api/payment/wallets"

/* The handlers of the routes. */
http_handler_fn payment_read_call_on_find;
http_handler_fn payment_read_call_on_find_key;
http_handler_fn payment_read_call_on_wallet;
http_handler_fn payment_read_call_on_transactions;
/* The operation is done: each answers and ends the call. */
void payment_read_call_answer_payment(struct payment_call *call);
void payment_read_call_answer_wallet(struct payment_call *call);
void payment_read_call_answer_transactions(struct payment_call *call);

#endif
