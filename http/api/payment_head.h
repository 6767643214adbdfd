/*
 * payment_head: what the header fields of a payment request must be: media types and the
 * Idempotency-Key.
 */
#ifndef HTTP_API_PAYMENT_HEAD_H
#define HTTP_API_PAYMENT_HEAD_H

#include "core/payment.h"
#include "http/server/http_parser.h"

#include <stdbool.h>
#include <stdint.h>

/* Content-Type is application/json (charset, if any, utf-8) and no content coding is applied. */
bool payment_head_is_json(const struct http_request *request);
/* The client reads JSON answers; one that names problem+json only does, unless it refuses JSON. */
bool payment_head_accepts_json(const struct http_request *request);

enum payment_key_form { PAYMENT_KEY_ABSENT, PAYMENT_KEY_INVALID, PAYMENT_KEY_VALID };
/* One field, a bare token or a quoted string (RFC 8941 section 3.3.3), 1 to PAYMENT_KEY_MAX visible
 * ASCII characters, unquoted into key. It is the caller's secret, whatever it looks like: hash it,
 * then wipe it. */
enum payment_key_form payment_head_idempotency_key(const struct http_request *request,
                                                   char key[PAYMENT_KEY_MAX], uint8_t *key_len);

#endif
