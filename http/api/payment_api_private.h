/*
 * payment_api (private): what its handlers have in common: a call is taken, its id and key are
 * read, it is submitted. Each that says no has answered.
 */
#ifndef HTTP_API_PAYMENT_API_PRIVATE_H
#define HTTP_API_PAYMENT_API_PRIVATE_H

#include "http/api/payment_call_private.h"

/* What an operation wants of an Idempotency-Key: to have it in its log line, to be known by it if
 * there is one, or not to be without. */
enum payment_key_use { PAYMENT_KEY_NOTED, PAYMENT_KEY_OPTIONAL, PAYMENT_KEY_REQUIRED };

/* Takes the exchange's call and checks key and Accept; NULL: answered. */
struct payment_call *payment_api_take_call(struct payment_api *api, struct http_exchange *exchange);
/* The id in the path. False: answered with 404, as for one that is not there. */
MUST_USE bool payment_api_read_id(struct payment_call *call, struct uuid7 *id);
/* The body is JSON by its head. False: answered. */
MUST_USE bool payment_api_check_media_type(struct payment_call *call,
                                           const struct http_request *request);
/* Puts the key's hash into the operation. False: answered. */
MUST_USE bool payment_api_read_key(struct payment_call *call, const struct http_request *request,
                                   enum payment_key_use use);
/* The operation is filled but for its kind and its times, which come from form and request. */
void payment_api_submit(struct payment_call *call, enum payment_form_index form);

#endif
