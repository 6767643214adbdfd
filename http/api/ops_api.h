/*
 * ops_api: /health /info (as the Go service), /metrics, /livez, /readyz.
 *
 * Only reads what others count. A scrape is answered with a page that is shared (metrics_cache).
 * /livez depends on nothing but the loop; /readyz on database, schema, region, pool and drain.
 */
#ifndef HTTP_API_OPS_API_H
#define HTTP_API_OPS_API_H

#include "http/api/access_log.h"
#include "http/api/payment_api.h"
#include "http/server/http_server.h"

struct ops_api;

/* All borrowed. */
struct ops_api_parts {
    struct reactor *reactor;
    const struct http_server *server;
    const struct config *config;
    const struct pg_pool *pool;
    struct payment_store *store;
    const struct payment_api *payments;
    const struct api_keys *keys;
    const struct access_log *access_log;
    const struct auth_throttle *throttle;
    const bool *draining;
};

MUST_USE enum err ops_api_create(struct ops_api **ops, const struct ops_api_parts *parts);
void ops_api_destroy(struct ops_api *ops);
/* Writes its routes, for one listener or several, /metrics only if with_metrics; returns their
 * number. */
uint32_t ops_api_routes(struct ops_api *ops, bool with_metrics, struct http_route *routes,
                        uint32_t room);

#endif
