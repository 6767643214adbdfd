/*
 * payment_api: the payment use cases over HTTP, each readable top to bottom:
 *   GET|HEAD|POST /api/payment/simulate, GET .../{id}, POST .../{id}/void.
 *
 * Owns one call per exchange (no allocation, no map). Order of a request: key, method's form,
 * fields, idempotency, budget, store. The one place where outcomes become statuses.
 */
#ifndef HTTP_API_PAYMENT_API_H
#define HTTP_API_PAYMENT_API_H

#include "core/config.h"
#include "http/api/api_key.h"
#include "http/server/http_server.h"
#include "pool/payment_store.h"

enum { PAYMENT_API_SHEDS = 3 };

struct payment_api;

struct payment_api_stats {
    uint64_t decisions_total[32][2];   /* by index into PAYMENT_CODES, by effect */
    uint64_t idempotency_total[6];     /* new replay race in_flight mismatch none */
    uint64_t voids_total[3];           /* by enum payment_void_result */
    uint64_t amount_minor_total[2][2]; /* EUR MXN, declined approved */
    uint64_t outcomes_total[PG_OUTCOMES];
    uint64_t shed_total[PAYMENT_API_SHEDS]; /* queue deadline down */
    uint64_t deadline_exceeded_total[2];    /* queue db */
    uint64_t malformed_timeouts_total;
    uint64_t orphans_finished_total;  /* holds that finished after their client had left */
    struct histogram processing_time; /* payment_processing_duration_seconds */
};
extern const char *const PAYMENT_API_IDEMPOTENCY_NAMES[6];
extern const char *const PAYMENT_API_SHED_NAMES[PAYMENT_API_SHEDS];

/* store, keys and config are borrowed for the api's life. */
MUST_USE enum err payment_api_create(struct payment_api **api, struct payment_store *store,
                                     struct api_keys *keys, const struct config *config,
                                     uint32_t exchange_max);
void payment_api_destroy(struct payment_api *api);
/* Appends its routes; returns how many. */
uint32_t payment_api_routes(struct payment_api *api, struct http_route *routes, uint32_t room);
const struct payment_api_stats *payment_api_stats(const struct payment_api *api);

#endif
