/*
 * http_counts: answers by endpoint, method and status, and how long they took.
 *
 * Private to http_server, http_exchange and http_listener. Owns the counters, whose pages are
 * touched when first counted; borrows the endpoints' names.
 */
#ifndef HTTP_SERVER_HTTP_COUNTS_PRIVATE_H
#define HTTP_SERVER_HTTP_COUNTS_PRIVATE_H

#include "http/server/http_server.h"

enum {
    HTTP_STATUS_MIN = 100,
    HTTP_STATUS_MAX = 599,
    HTTP_STATUSES = HTTP_STATUS_MAX - HTTP_STATUS_MIN + 1,
    HTTP_ENDPOINT_OTHER = HTTP_ENDPOINTS_MAX /* requests without a route */
};

struct http_counts {
    const char *endpoints[HTTP_ENDPOINTS_MAX]; /* templates */
    uint32_t endpoint_count;
    uint64_t *answers;           /* [endpoint][HTTP_METHODS][HTTP_STATUSES] */
    struct histogram *durations; /* [endpoint][HTTP_METHODS] */
};

/* False: no memory. What was made is freed by http_counts_free(). */
MUST_USE bool http_counts_init(struct http_counts *counts);
void http_counts_free(struct http_counts *counts);
/* The endpoint of a template: the one it already has, or a new one. */
uint32_t http_counts_endpoint(struct http_counts *counts, const char *path);
/* "other" of HTTP_ENDPOINT_OTHER. */
const char *http_counts_name(const struct http_counts *counts, uint32_t endpoint);

struct http_counted {
    uint32_t endpoint;
    enum http_method method;
    unsigned status;
    uint64_t duration_us;
};
void http_counts_add(struct http_counts *counts, const struct http_counted *counted);

/* Those of a server: http_server_visit_*() reads them. */
const struct http_counts *http_server_counts(const struct http_server *server);

#endif
