/*
 * payment_api: the payment use cases over HTTP, each readable top to bottom:
 *   GET|HEAD|POST /api/payment/simulate; POST .../{id}/capture, void, increment, refund;
 *   GET|HEAD .../{id}, .../by-key/{key}, /api/payment/wallets/{id}[/transactions].
 *
 * Owns one call per exchange (no allocation, no map). Order of a request: key, method's form,
 * fields, idempotency, budget, store. The one place where outcomes become statuses.
 */
#ifndef HTTP_API_PAYMENT_API_H
#define HTTP_API_PAYMENT_API_H

#include "core/config.h"
#include "http/api/api_key.h"
#include "http/api/auth_throttle.h"
#include "http/api/payment_stats.h"
#include "http/server/http_server.h"
#include "pool/payment_store.h"

struct payment_api;

/* store, keys, throttle and config are borrowed for the api's life. */
MUST_USE enum err payment_api_create(struct payment_api **api, struct payment_store *store,
                                     struct api_keys *keys, struct auth_throttle *throttle,
                                     const struct config *config, uint32_t exchange_max);
void payment_api_destroy(struct payment_api *api);
/* Appends its routes; returns how many. */
uint32_t payment_api_routes(struct payment_api *api, struct http_route *routes, uint32_t room);
const struct payment_stats *payment_api_stats(const struct payment_api *api);

#endif
