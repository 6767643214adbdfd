#include "http/server/http_counts_private.h"

#include "http/server/pages_private.h"

#include <string.h>

enum { ROWS = (HTTP_ENDPOINTS_MAX + 1) * HTTP_METHODS };

static const size_t ANSWERS_BYTES = sizeof(uint64_t) * HTTP_STATUSES * ROWS;
static const size_t DURATIONS_BYTES = sizeof(struct histogram) * ROWS;

bool http_counts_init(struct http_counts *counts)
{
    counts->answers = pages_map(ANSWERS_BYTES);
    counts->durations = pages_map(DURATIONS_BYTES);
    return counts->answers != NULL && counts->durations != NULL;
}

void http_counts_free(struct http_counts *counts)
{
    pages_unmap(counts->answers, ANSWERS_BYTES);
    pages_unmap(counts->durations, DURATIONS_BYTES);
}

uint32_t http_counts_endpoint(struct http_counts *counts, const char *path)
{
    for (uint32_t i = 0; i < counts->endpoint_count; i++) {
        if (strcmp(counts->endpoints[i], path) == 0)
            return i;
    }
    CHECK(counts->endpoint_count < HTTP_ENDPOINTS_MAX);
    counts->endpoints[counts->endpoint_count] = path;
    return counts->endpoint_count++;
}

const char *http_counts_name(const struct http_counts *counts, uint32_t endpoint)
{
    return endpoint < counts->endpoint_count ? counts->endpoints[endpoint] : "other";
}

void http_counts_add(struct http_counts *counts, const struct http_counted *counted)
{
    const size_t row = (size_t)counted->endpoint * HTTP_METHODS + counted->method;
    counts->answers[row * HTTP_STATUSES + counted->status - HTTP_STATUS_MIN]++;
    histogram_record(&counts->durations[row], counted->duration_us);
}

/* The next row that has counted anything, from `row` on; ROWS: there is none. Rows of endpoints
 * that do not exist are not even read: their pages stay untouched. */
static size_t next_row(const struct http_counts *counts, size_t row)
{
    const size_t known = (size_t)counts->endpoint_count * HTTP_METHODS;
    const size_t other = (size_t)HTTP_ENDPOINT_OTHER * HTTP_METHODS;
    for (; row < ROWS; row++) {
        if (row >= known && row < other)
            row = other;
        if (counts->durations[row].count > 0) /* what is counted is also timed */
            return row;
    }
    return ROWS;
}

void http_server_visit_counts(const struct http_server *server,
                              void (*visit)(void *owner, const char *endpoint,
                                            enum http_method method, unsigned status,
                                            uint64_t count),
                              void *owner)
{
    const struct http_counts *counts = http_server_counts(server);
    for (size_t row = next_row(counts, 0); row < ROWS; row = next_row(counts, row + 1)) {
        for (unsigned i = 0; i < HTTP_STATUSES; i++) {
            const uint64_t count = counts->answers[row * HTTP_STATUSES + i];
            if (count > 0)
                visit(owner, http_counts_name(counts, (uint32_t)(row / HTTP_METHODS)),
                      (enum http_method)(row % HTTP_METHODS), HTTP_STATUS_MIN + i, count);
        }
    }
}

void http_server_visit_durations(const struct http_server *server,
                                 void (*visit)(void *owner, const char *endpoint,
                                               enum http_method method,
                                               const struct histogram *histogram),
                                 void *owner)
{
    const struct http_counts *counts = http_server_counts(server);
    for (size_t row = next_row(counts, 0); row < ROWS; row = next_row(counts, row + 1))
        visit(owner, http_counts_name(counts, (uint32_t)(row / HTTP_METHODS)),
              (enum http_method)(row % HTTP_METHODS), &counts->durations[row]);
}
