/*
 * access_note: what the handlers tell the access log about a request. The server keeps it with the
 * exchange as bytes it does not know; it is zeroed for each request.
 *
 * Holds no wallet id and no idempotency key, only keyed tags of them.
 */
#ifndef HTTP_API_ACCESS_NOTE_H
#define HTTP_API_ACCESS_NOTE_H

#include "core/secret.h"
#include "core/uuid7.h"
#include "http/api/auth_throttle.h"
#include "http/server/http_server.h"

#include <stdbool.h>
#include <stdint.h>

/* Borrowed literals, but for sqlstate. */
struct access_note {
    const char *problem; /* slug, NULL: none */
    const char *key_id;  /* which API key; NULL: none */
    enum auth_verdict auth;
    int32_t client_id;
    uint32_t queue_us, db_us, budget_ms;
    const char *idempotency;               /* new replay race in_flight mismatch */
    const char *sqlstate;                  /* of 6 bytes the exchange's owner keeps; NULL: none */
    bool has_payment, has_wallet, has_txn; /* a payment has its wallet with it */
    const char *effect, *response_code;
    char currency[4];
    int64_t amount_minor;
    struct uuid7 txn_id;
    uint8_t wallet_tag[SECRET_TAG_BYTES];
    bool has_key_tag;
    uint8_t key_tag[SECRET_TAG_BYTES];
};

/* The server must have been made with note_bytes = sizeof(struct access_note). */
static inline struct access_note *access_note_of(struct http_exchange *exchange)
{
    return http_exchange_note(exchange);
}

#endif
