/*
 * metrics: writes the Prometheus text formats. It keeps no registry: counters live where they are
 * counted, and http/api writes them out at a scrape.
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

/* What a family's "# TYPE" says. */
enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

/* Both borrowed for one call. */
struct metrics_label {
    const char *name;
    struct span value;
};

/* One page being written; its fields are the writer's. The caller tests `out` for overflow. */
struct metrics_writer {
    struct buf *out;
    bool openmetrics;
    const char *family; /* the family being written */
    enum metrics_type type;
};

/* The upper edges of every latency histogram's buckets, ascending, in microseconds. */
extern const uint64_t METRICS_LATENCY_EDGES_US[];
extern const size_t METRICS_LATENCY_EDGE_COUNT;

/* Starts a page at the end of `out`, which is borrowed until metrics_end(). */
void metrics_begin(struct metrics_writer *writer, struct buf *out, bool openmetrics);
/* Starts a family; its samples follow. name is the full legacy name (a counter's ends in _total),
 * borrowed until the next family; help has no newline. */
void metrics_family(struct metrics_writer *writer, const char *name, enum metrics_type type,
                    const char *help);
/* One sample of a counter or gauge. Label values are escaped. labels may be NULL when count is 0. A
 * double may be NaN or infinite. */
void metrics_u64(struct metrics_writer *writer, const struct metrics_label *labels, size_t count,
                 uint64_t value);
void metrics_double(struct metrics_writer *writer, const struct metrics_label *labels, size_t count,
                    double value);
/* The same with one label. */
void metrics_labelled(struct metrics_writer *writer, const char *label, const char *label_value,
                      uint64_t value);
/* A whole family of one sample without labels. */
void metrics_counter(struct metrics_writer *writer, const char *name, const char *help,
                     uint64_t value);
void metrics_gauge(struct metrics_writer *writer, const char *name, const char *help,
                   uint64_t value);
/* One histogram's samples: _bucket (cumulative, with +Inf), _sum, _count; all times in seconds. */
void metrics_histogram(struct metrics_writer *writer, const struct metrics_label *labels,
                       size_t count, const struct histogram *histogram);
/* Ends the page: "# EOF" for OpenMetrics. */
void metrics_end(struct metrics_writer *writer);

#endif
