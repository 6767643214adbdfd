/*
 * budget: how long a request may take. REQUEST_BUDGET_MS from its last byte; the headers
 * X-Request-Timeout-Ms, x-envoy-expected-rq-timeout-ms and grpc-timeout can only shorten it, the
 * smallest wins, a malformed one is ignored and counted.
 */
#ifndef HTTP_API_BUDGET_H
#define HTTP_API_BUDGET_H

#include "http/server/http_parser.h"

#include <stdint.h>

enum { BUDGET_HEADER_MS_MAX = 60000 };

/* The budget in microseconds. *malformed grows by one for each header that is not of its form. */
uint64_t budget_of_request_us(const struct http_request *request, uint64_t budget_us_max,
                              uint64_t *malformed);

#endif
