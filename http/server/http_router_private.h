/*
 * http_router: method and path -> route, and what a route allows. One for each listener.
 *
 * Private to http_server. Paths are compared byte by byte: nothing is percent-decoded, so an
 * escaped byte never matches a literal one.
 */
#ifndef HTTP_SERVER_HTTP_ROUTER_PRIVATE_H
#define HTTP_SERVER_HTTP_ROUTER_PRIVATE_H

#include "http/server/http_counts_private.h"
#include "http/server/http_server.h"

enum { HTTP_ALLOW_BYTES_MAX = 128 };

struct http_pattern {
    struct span prefix, suffix; /* around "{id}"; a literal path is all prefix */
    bool has_param;
    uint32_t endpoint; /* where its answers are counted */
};

struct http_router {
    const struct http_route *routes; /* borrowed */
    uint32_t count;
    struct http_pattern patterns[HTTP_ROUTES_MAX];
};

/* Where a request goes. */
struct http_match {
    const struct http_route *route; /* NULL: no path matches */
    uint32_t endpoint;
    struct span param;
};

void http_router_init(struct http_router *router, const struct http_route *routes, uint32_t count,
                      struct http_counts *counts);
struct http_match http_router_match(const struct http_router *router, struct span path);
enum http_admission {
    HTTP_ADMIT_HANDLER,
    HTTP_ADMIT_OPTIONS, /* the server answers: 204 and Allow */
    HTTP_ADMIT_REFUSED, /* *error says why */
};
enum http_admission http_router_admit(const struct http_router *router,
                                      const struct http_route *route,
                                      const struct http_request *request, enum http_error *error);
/* "Allow: GET, HEAD, OPTIONS\r\n" of a route, or of them all when it is NULL. */
void http_router_add_allow(const struct http_router *router, const struct http_route *route,
                           struct buf *out);

#endif
