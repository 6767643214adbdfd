#include "http/api/metrics_page.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/process.h"
#include "http/api/metrics_database.h"
#include "pool/payment_store.h"
#include "pool/pg_pool.h"
#include "revision.h"

#define LABELS(...)                                                                                \
    (const struct metrics_label[])                                                                 \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static struct metrics_label label(const char *name, const char *value)
{
    return (struct metrics_label){name, span_of(value)};
}

/* ---- shapes that occur often ---- */

/* ---- HTTP ---- */

static void visit_count(void *owner, const char *endpoint, enum http_method method, unsigned status,
                        uint64_t count)
{
    char storage[8];
    struct buf text;
    buf_init(&text, storage, sizeof(storage));
    buf_add_u64(&text, status);
    metrics_u64(owner,
                LABELS(label("method", http_method_name(method)), label("endpoint", endpoint),
                       {"status", buf_span(&text)}),
                3, count);
}

static void visit_duration(void *owner, const char *endpoint, enum http_method method,
                           const struct histogram *histogram)
{
    metrics_histogram(
        owner, LABELS(label("method", http_method_name(method)), label("endpoint", endpoint)), 2,
        histogram);
}

static void add_legacy(struct metrics_writer *writer, const struct metrics_sources *sources)
{
    metrics_family(writer, "http_requests_total", METRICS_COUNTER, "Total number of HTTP requests");
    http_server_visit_counts(sources->parts.server, visit_count, writer);
    metrics_family(writer, "http_request_duration_seconds", METRICS_HISTOGRAM,
                   "HTTP request duration in seconds");
    http_server_visit_durations(sources->parts.server, visit_duration, writer);
    metrics_family(writer, "payment_processing_duration_seconds", METRICS_HISTOGRAM,
                   "Payment processing duration in seconds");
    metrics_histogram(writer, NULL, 0,
                      &payment_api_stats(sources->parts.payments)->processing_time);
}

static void add_http_connections(struct metrics_writer *writer, const struct http_server *server)
{
    uint32_t total = 0;
    metrics_family(writer, "http_connection_states", METRICS_GAUGE, "Client connections by state");
    for (unsigned i = 0; i < HTTP_CONN_STATES; i++) {
        const enum http_conn_state state = (enum http_conn_state)i;
        const uint32_t count = http_server_count(server, state);
        if (state != HTTP_CONN_FREE)
            total += count;
        metrics_labelled(writer, "state", http_conn_state_name(state), count);
    }
    metrics_gauge(writer, "http_connections", "Client connections", total);
    /* Less one: the scrape itself is being handled while it counts. */
    metrics_gauge(writer, "http_requests_in_flight", "Requests whose answer is being made",
                  http_server_count(server, HTTP_CONN_HANDLING) +
                      http_server_count(server, HTTP_CONN_ORPHAN) - 1);
}

static void add_http(struct metrics_writer *writer, const struct http_server *server)
{
    const struct http_server_stats *stats = http_server_stats(server);
    add_http_connections(writer, server);
    metrics_counter(writer, "http_connections_accepted_total", "Client connections accepted",
                    stats->accepted_total);
    metrics_family(writer, "http_connections_closed_total", METRICS_COUNTER,
                   "Client connections ended, by reason");
    for (unsigned i = 0; i < HTTP_CLOSE_REASONS; i++)
        metrics_labelled(writer, "reason", http_close_reason_name((enum http_close_reason)i),
                         stats->closed_total[i]);
    metrics_family(writer, "http_refused_total", METRICS_COUNTER,
                   "Requests refused by the HTTP server itself, by status");
    for (unsigned status = 0; status < 600; status++) {
        if (stats->refused_total[status] == 0)
            continue;
        char storage[8];
        struct buf text;
        buf_init(&text, storage, sizeof(storage));
        buf_add_u64(&text, status);
        metrics_u64(writer, LABELS({"status", buf_span(&text)}), 1, stats->refused_total[status]);
    }
    metrics_counter(writer, "http_accept_pauses_total", "Times accepting paused for want of a slot",
                    stats->accept_pauses_total);
    metrics_counter(writer, "http_answers_dropped_total", "Answers whose client had left",
                    stats->answers_dropped_total);
}

/* ---- API keys ---- */

static void add_keys(struct metrics_writer *writer, const struct api_keys *keys)
{
    metrics_family(writer, "api_key_requests_total", METRICS_COUNTER, "Requests by API key");
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct api_key *key = &keys->entries[i];
        metrics_u64(writer, LABELS(label("client", key->client), label("key_id", key->key_id)), 2,
                    key->used_total);
    }
    metrics_family(writer, "api_key_last_used_timestamp_seconds", METRICS_GAUGE,
                   "When an API key was last used; 0: never");
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct api_key *key = &keys->entries[i];
        metrics_double(writer, LABELS(label("client", key->client), label("key_id", key->key_id)),
                       2, (double)key->last_used_wall_us / 1e6);
    }
}

/* ---- process ---- */

static void add_loop(struct metrics_writer *writer, struct reactor *reactor)
{
    const struct reactor_stats stats = reactor_take_stats(reactor);
    metrics_family(writer, "loop_lag_seconds", METRICS_GAUGE,
                   "Longest turn of the event loop since the last scrape");
    metrics_double(writer, NULL, 0, (double)stats.busy_us_max / 1e6);
    metrics_counter(writer, "loop_turns_total", "Turns of the event loop", stats.turns);
    metrics_family(writer, "loop_busy_seconds_total", METRICS_COUNTER,
                   "Time the event loop was not waiting");
    metrics_double(writer, NULL, 0, (double)stats.busy_us_total / 1e6);
}

static void add_process(struct metrics_writer *writer, const struct metrics_sources *sources)
{
    struct process_usage usage;
    process_read_usage(&usage);
    metrics_family(writer, "process_cpu_seconds_total", METRICS_COUNTER,
                   "User and system CPU time");
    metrics_double(writer, NULL, 0, usage.cpu_seconds);
    metrics_gauge(writer, "process_resident_memory_bytes", "Resident memory", usage.resident_bytes);
    metrics_gauge(writer, "process_virtual_memory_bytes", "Virtual memory", usage.virtual_bytes);
    metrics_gauge(writer, "process_open_fds", "Open descriptors", usage.open_files);
    metrics_gauge(writer, "process_max_fds", "Most descriptors that may be open", usage.files_max);
    metrics_counter(writer, "process_major_page_faults_total", "Page faults that read the disk",
                    usage.page_faults_major);
    metrics_counter(writer, "process_involuntary_context_switches_total",
                    "Times the CPU was taken away", usage.context_switches_involuntary);
    metrics_family(writer, "process_start_time_seconds", METRICS_GAUGE,
                   "When the process started, since 1970");
    metrics_double(writer, NULL, 0, (double)sources->started_wall_us / 1e6);
    metrics_family(writer, "metrics_page_timestamp_seconds", METRICS_GAUGE,
                   "When this page was made, since 1970: scrapes close together share one");
    metrics_double(writer, NULL, 0, (double)clock_wall_us() / 1e6);
}

static void add_build(struct metrics_writer *writer, const struct config *config)
{
    metrics_family(writer, "payment_latency_api_build_info", METRICS_GAUGE,
                   "Constant 1, labelled by what this build is and where it runs");
    metrics_u64(writer,
                LABELS(label("version", PROJECT_VERSION), label("revision", PROJECT_REVISION),
                       label("compiler", PROJECT_COMPILER), label("region", config->region),
                       label("environment", config->environment)),
                5, 1);
}

static void add_throttle(struct metrics_writer *writer, const struct auth_throttle *throttle)
{
    const struct auth_throttle_stats stats = auth_throttle_stats(throttle);
    metrics_family(writer, "auth_failures_total", METRICS_COUNTER,
                   "Requests without a valid API key, by what they were told");
    metrics_labelled(writer, "answer", "refused", stats.told_total);
    metrics_labelled(writer, "answer", "throttled", stats.throttled_total);
    metrics_gauge(writer, "auth_throttle_addresses", "Addresses whose failures are counted",
                  stats.addresses);
    metrics_counter(writer, "auth_throttle_forgotten_total",
                    "Addresses forgotten within their second, because the table was full",
                    stats.forgotten_total);
}

static void add_logs(struct metrics_writer *writer, const struct access_log *access_log)
{
    metrics_family(writer, "log_lines_dropped_total", METRICS_COUNTER,
                   "Log lines that did not fit in their ring, or had no reader");
    for (unsigned i = 0; i < LOG_RINGS; i++)
        metrics_labelled(writer, "ring", log_ring_name((enum log_ring)i),
                         log_dropped((enum log_ring)i));
    metrics_counter(writer, "access_log_lines_total", "Access and audit lines of requests",
                    access_log->lines_total);
    metrics_family(
        writer, "access_log_lines_suppressed_total", METRICS_COUNTER,
        "Lines of requests left out, by the bound per second that they would have passed");
    for (unsigned i = 0; i < ACCESS_LOG_REASONS; i++)
        metrics_labelled(writer, "reason", access_log_reason_name((enum access_log_reason)i),
                         access_log->suppressed_total[i]);
}

void metrics_page_write(struct buf *out, bool openmetrics, const struct metrics_sources *sources)
{
    const struct ops_api_parts *parts = &sources->parts;
    struct metrics_writer writer;
    metrics_begin(&writer, out, openmetrics);
    add_legacy(&writer, sources);
    payment_stats_write(payment_api_stats(parts->payments), &writer);
    metrics_database_write(&writer, parts->pool, parts->store);
    add_http(&writer, parts->server);
    add_keys(&writer, parts->keys);
    add_loop(&writer, parts->reactor);
    add_throttle(&writer, parts->throttle);
    add_logs(&writer, parts->access_log);
    add_process(&writer, sources);
    add_build(&writer, parts->config);
    metrics_end(&writer);
}
