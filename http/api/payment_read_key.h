/*
 * payment_read_key: the Idempotency-Key in the path of .../by-key/{key}. It is as much its caller's
 * secret there as in its header field: hashed, then wiped, and in no log and no error answer.
 */
#ifndef HTTP_API_PAYMENT_READ_KEY_H
#define HTTP_API_PAYMENT_READ_KEY_H

#include "core/payment.h"

#include <stdbool.h>
#include <stdint.h>

#define PAYMENT_READ_KEY_SEGMENT "/by-key/"

/* The key itself, without the quotes that its field may have: 1 to PAYMENT_KEY_MAX visible ASCII
 * characters once the percent-encoding is undone. False: it is none; nothing of it is left in
 * `key`. */
MUST_USE bool payment_read_key_decode(struct span segment, char key[PAYMENT_KEY_MAX],
                                      uint8_t *key_len);
/* The path up to where a key begins in it, whatever is served there; a path without one as it is.
 */
struct span payment_read_key_hide(struct span path);

#endif
