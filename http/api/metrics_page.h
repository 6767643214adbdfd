/*
 * metrics_page: everything of /metrics. Reads the counters where they are counted and writes them
 * out; keeps nothing itself (metrics_cache does). The Go service's three families come first.
 */
#ifndef HTTP_API_METRICS_PAGE_H
#define HTTP_API_METRICS_PAGE_H

#include "http/api/ops_api.h"

struct metrics_sources {
    struct ops_api_parts parts;
    uint64_t started_wall_us; /* of the process */
};

void metrics_page_write(struct buf *out, bool openmetrics, const struct metrics_sources *sources);

#endif
