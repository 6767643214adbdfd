#include "core/metrics.h"

#include "core/check.h"
#include "core/clock.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The contract's list joined with the edges of the Go service's payment_processing_duration_seconds
 * (0.1 0.2 0.3 0.5 1 2 5), so that every query written for either keeps its bucket. */
const uint64_t METRICS_LATENCY_EDGES_US[] = {
    500,    1000,   2500,   5000,   10000,   25000,   50000,   75000,   100000,  150000,
    200000, 250000, 300000, 500000, 1000000, 2000000, 2500000, 5000000, 10000000};
const size_t METRICS_LATENCY_EDGE_COUNT =
    sizeof(METRICS_LATENCY_EDGES_US) / sizeof(METRICS_LATENCY_EDGES_US[0]);

static const char TOTAL[] = "_total";

/* Microseconds as seconds with as many of six decimals as needed: 2500 -> 0.0025. */
static void add_seconds(struct buf *out, uint64_t us)
{
    buf_add_u64(out, us / CLOCK_US_PER_S);
    uint64_t fraction = us % CLOCK_US_PER_S;
    if (fraction == 0)
        return;
    int digits = 6;
    for (; fraction % 10 == 0; fraction /= 10)
        digits--;
    buf_addf(out, ".%0*" PRIu64, digits, fraction);
}

static void add_escaped(struct buf *out, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        switch (value.ptr[i]) {
        case '\\':
            buf_add(out, SPAN("\\\\"));
            break;
        case '"':
            buf_add(out, SPAN("\\\""));
            break;
        case '\n':
            buf_add(out, SPAN("\\n"));
            break;
        default:
            buf_add_char(out, value.ptr[i]);
        }
    }
}

static void add_label(struct buf *out, const char *name, struct span value)
{
    buf_add_text(out, name);
    buf_add(out, SPAN("=\""));
    add_escaped(out, value);
    buf_add_char(out, '"');
}

static void add_labels(struct buf *out, const struct metrics_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_label(out, labels[i].name, labels[i].value);
    }
}

/* Everything of a sample line but its value: name{labels} and a space. */
static void add_sample(const struct metrics_writer *writer, const char *suffix,
                       const struct metrics_label *labels, size_t count)
{
    CHECK(writer->family != NULL);
    buf_add_text(writer->out, writer->family);
    buf_add_text(writer->out, suffix);
    if (count > 0) {
        buf_add_char(writer->out, '{');
        add_labels(writer->out, labels, count);
        buf_add_char(writer->out, '}');
    }
    buf_add_char(writer->out, ' ');
}

static void add_bucket(const struct metrics_writer *writer, const struct metrics_label *labels,
                       size_t count, struct span edge, uint64_t value)
{
    struct buf *out = writer->out;
    buf_add_text(out, writer->family);
    buf_add(out, SPAN("_bucket{"));
    add_labels(out, labels, count);
    if (count > 0)
        buf_add_char(out, ',');
    add_label(out, "le", edge);
    buf_add(out, SPAN("} "));
    buf_add_u64(out, value);
    buf_add_char(out, '\n');
}

void metrics_begin(struct metrics_writer *writer, struct buf *out, bool openmetrics)
{
    *writer = (struct metrics_writer){.out = out, .openmetrics = openmetrics};
}

void metrics_family(struct metrics_writer *writer, const char *name, enum metrics_type type,
                    const char *help)
{
    static const char *const TYPE_NAMES[] = {[METRICS_COUNTER] = "counter",
                                             [METRICS_GAUGE] = "gauge",
                                             [METRICS_HISTOGRAM] = "histogram"};
    CHECK(strchr(help, '\n') == NULL);
    writer->family = name;
    writer->type = type;

    struct span family = span_of(name);
    if (type == METRICS_COUNTER) {
        const size_t total_len = sizeof(TOTAL) - 1;
        CHECK(family.len > total_len);
        CHECK(strcmp(name + family.len - total_len, TOTAL) == 0);
        if (writer->openmetrics)
            family.len -= total_len;
    }

    struct buf *out = writer->out;
    buf_add(out, SPAN("# HELP "));
    buf_add(out, family);
    buf_add_char(out, ' ');
    buf_add_text(out, help);
    buf_add(out, SPAN("\n# TYPE "));
    buf_add(out, family);
    buf_add_char(out, ' ');
    buf_add_text(out, TYPE_NAMES[type]);
    buf_add_char(out, '\n');
}

void metrics_u64(struct metrics_writer *writer, const struct metrics_label *labels, size_t count,
                 uint64_t value)
{
    CHECK(writer->type != METRICS_HISTOGRAM);
    add_sample(writer, "", labels, count);
    buf_add_u64(writer->out, value);
    buf_add_char(writer->out, '\n');
}

void metrics_labelled(struct metrics_writer *writer, const char *label, const char *label_value,
                      uint64_t value)
{
    metrics_u64(writer, &(struct metrics_label){label, span_of(label_value)}, 1, value);
}

void metrics_counter(struct metrics_writer *writer, const char *name, const char *help,
                     uint64_t value)
{
    metrics_family(writer, name, METRICS_COUNTER, help);
    metrics_u64(writer, NULL, 0, value);
}

void metrics_gauge(struct metrics_writer *writer, const char *name, const char *help,
                   uint64_t value)
{
    metrics_family(writer, name, METRICS_GAUGE, help);
    metrics_u64(writer, NULL, 0, value);
}

void metrics_double(struct metrics_writer *writer, const struct metrics_label *labels, size_t count,
                    double value)
{
    CHECK(writer->type != METRICS_HISTOGRAM);
    add_sample(writer, "", labels, count);
    if (isnan(value)) {
        buf_add(writer->out, SPAN("NaN"));
    } else if (isinf(value)) {
        buf_add_text(writer->out, value > 0 ? "+Inf" : "-Inf");
    } else {
        /* 15 digits print 0.1 as 0.1; the few doubles that need 17 to read back get them. */
        char text[32];
        snprintf(text, sizeof(text), "%.15g", value);
        const double read_back = strtod(text, NULL);
        buf_addf(writer->out, "%.*g", read_back < value || read_back > value ? 17 : 15, value);
    }
    buf_add_char(writer->out, '\n');
}

void metrics_histogram(struct metrics_writer *writer, const struct metrics_label *labels,
                       size_t count, const struct histogram *histogram)
{
    CHECK(writer->type == METRICS_HISTOGRAM);
    for (size_t i = 0; i < METRICS_LATENCY_EDGE_COUNT; i++) {
        const uint64_t edge_us = METRICS_LATENCY_EDGES_US[i];
        char text[32];
        struct buf edge;
        buf_init(&edge, text, sizeof(text));
        add_seconds(&edge, edge_us);
        /* OpenMetrics' canonical numbers: a whole edge is spelled 1.0 there, 1 in the older format.
         * */
        if (writer->openmetrics && edge_us % CLOCK_US_PER_S == 0)
            buf_add(&edge, SPAN(".0"));
        add_bucket(writer, labels, count, buf_span(&edge),
                   histogram_count_at_most(histogram, edge_us));
    }
    add_bucket(writer, labels, count, SPAN("+Inf"), histogram->count);

    add_sample(writer, "_sum", labels, count);
    add_seconds(writer->out, histogram->sum_us);
    buf_add_char(writer->out, '\n');
    add_sample(writer, "_count", labels, count);
    buf_add_u64(writer->out, histogram->count);
    buf_add_char(writer->out, '\n');
}

void metrics_end(struct metrics_writer *writer)
{
    if (writer->openmetrics)
        buf_add(writer->out, SPAN("# EOF\n"));
}
