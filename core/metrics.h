/*
 * metrics: writes the Prometheus text formats. It keeps no registry: counters live where they are
 * counted, and http/ops_api writes them out at a scrape.
 *
 * Text 0.0.4 by default; OpenMetrics 1.0.0 (counter families without _total, "# EOF") on request.
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include "core/buf.h"
#include "core/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

struct metrics_label {
    const char *name;
    struct span value;
};

struct metrics_writer {
    struct buf *out;
    bool openmetrics;
    const char *family; /* the family being written */
    enum metrics_type type;
};

/* Contract buckets "L": client_golang's defaults plus finer and the exact 0.1 s edge. */
extern const uint64_t METRICS_LATENCY_EDGES_US[];
extern const size_t METRICS_LATENCY_EDGE_COUNT;

void metrics_begin(struct metrics_writer *writer, struct buf *out, bool openmetrics);
/* name is the full legacy name (a counter's ends in _total); help has no newline. name is borrowed
 * until the next family. */
void metrics_family(struct metrics_writer *writer, const char *name, enum metrics_type type,
                    const char *help);
/* Counters and gauges. Label values are escaped. labels may be NULL when count is 0. */
void metrics_u64(struct metrics_writer *writer, const struct metrics_label *labels, size_t count,
                 uint64_t value);
void metrics_double(struct metrics_writer *writer, const struct metrics_label *labels, size_t count,
                    double value);
/* _bucket (cumulative, with +Inf), _sum in seconds, _count. */
void metrics_histogram(struct metrics_writer *writer, const struct metrics_label *labels,
                       size_t count, const struct histogram *histogram);
/* "# EOF" for OpenMetrics. */
void metrics_end(struct metrics_writer *writer);

#endif
