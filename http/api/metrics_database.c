#include "http/api/metrics_database.h"

#include "pool/pg_dns.h"
#include "pool/pg_pool.h"

#include <stddef.h>
#include <string.h>

static void add_histogram(struct metrics_writer *writer, const char *label_name,
                          const char *label_value, const struct histogram *histogram)
{
    metrics_histogram(writer, &(struct metrics_label){label_name, span_of(label_value)}, 1,
                      histogram);
}

/* ---- the contract's names ---- */

static void add_contract(struct metrics_writer *writer, const struct pg_pool *pool,
                         struct payment_store *store)
{
    const struct pg_pool_stats *stats = pg_pool_stats(pool);
    metrics_family(writer, "db_query_duration_seconds", METRICS_HISTOGRAM,
                   "Statements, sent to answered");
    const char *name = NULL;
    const struct histogram *time = NULL;
    for (uint32_t i = 0; (time = payment_store_query_time(store, i, &name)) != NULL; i++)
        add_histogram(writer, "query", name, time);
    metrics_family(writer, "db_errors_total", METRICS_COUNTER, "Errors by SQLSTATE class");
    for (uint32_t i = 0; i < PG_SQLSTATES_MAX && stats->sqlstates[i].class_[0] != '\0'; i++)
        metrics_labelled(writer, "sqlstate_class", stats->sqlstates[i].class_,
                         stats->sqlstates[i].count);
    metrics_family(writer, "db_connections", METRICS_GAUGE, "Database connections by state");
    metrics_labelled(writer, "state", "idle", pg_pool_count(pool, PG_CONN_IDLE));
    metrics_labelled(writer, "state", "busy", pg_pool_count(pool, PG_CONN_BUSY));
    metrics_labelled(writer, "state", "connecting",
                     pg_pool_count(pool, PG_CONN_CONNECTING) +
                         pg_pool_count(pool, PG_CONN_PREPARING));
}

/* ---- lanes ---- */

/* A figure of a lane: a function, or a counter of pg_lane_stats. */
struct lane_figure {
    const char *name, *help;
    enum metrics_type type;
    uint32_t (*now)(const struct pg_lane *lane);
    size_t total;
};
#define TOTAL(member) METRICS_COUNTER, NULL, offsetof(struct pg_lane_stats, member)

static const struct lane_figure lane_figures[] = {
    {"db_queue_depth", "Requests waiting for a statement", METRICS_GAUGE, pg_lane_waiting, 0},
    {"lane_in_flight", "Requests whose statement is sent", METRICS_GAUGE, pg_lane_in_flight, 0},
    {"lane_batches_total", "Statements sent", TOTAL(batches_total)},
    {"lane_members_sent_total", "Requests sent in them", TOTAL(members_sent_total)},
    {"lane_retries_total", "Requests sent once more", TOTAL(retries_total)},
    {"lane_halvings_total", "Failed statements cut in two", TOTAL(halvings_total)},
    {"lane_busy_total", "Requests that found their wallet locked", TOTAL(busy_total)},
    {"lane_folded_total", "Requests sent behind another of their wallet, in its statement",
     TOTAL(folded_total)},
    {"lane_unknown_total", "Requests sent without an answer", TOTAL(unknown_total)},
    {"lane_late_answers_total", "Answers that came after the budget", TOTAL(late_answers_total)},
};

static const struct lane_figure acquire_results[] = {
    {"accepted", NULL, TOTAL(accepted_total)},
    {"timeout", NULL, TOTAL(expired_total)},
    {"rejected_full", NULL, TOTAL(refused_full_total)},
    {"rejected_budget", NULL, TOTAL(refused_budget_total)},
    {"breaker", NULL, TOTAL(refused_down_total)},
    {"rejected_wallet", NULL, TOTAL(refused_shard_total)},
    {"poisoned", NULL, TOTAL(refused_poisoned_total)},
};

static uint64_t figure_of(const struct lane_figure *figure, const struct pg_lane *lane)
{
    uint64_t total;

    if (figure->now != NULL)
        return figure->now(lane);
    memcpy(&total, (const char *)pg_lane_stats(lane) + figure->total, sizeof(total));
    return total;
}

static void add_lanes(struct metrics_writer *writer, const struct payment_store *store)
{
    const uint32_t count = payment_store_lane_count();
    for (size_t i = 0; i < sizeof(lane_figures) / sizeof(lane_figures[0]); i++) {
        metrics_family(writer, lane_figures[i].name, lane_figures[i].type, lane_figures[i].help);
        for (uint32_t index = 0; index < count; index++) {
            const struct pg_lane *lane = payment_store_lane(store, index);
            metrics_labelled(writer, "lane", pg_lane_name(lane), figure_of(&lane_figures[i], lane));
        }
    }
    metrics_family(writer, "pool_acquire_total", METRICS_COUNTER,
                   "Requests to the database side, by how they were received");
    for (size_t i = 0; i < sizeof(acquire_results) / sizeof(acquire_results[0]); i++) {
        uint64_t total = 0;
        for (uint32_t index = 0; index < count; index++)
            total += figure_of(&acquire_results[i], payment_store_lane(store, index));
        metrics_labelled(writer, "result", acquire_results[i].name, total);
    }
    metrics_family(writer, "db_queue_wait_seconds", METRICS_HISTOGRAM, "Queued to sent");
    for (uint32_t index = 0; index < count; index++) {
        const struct pg_lane *lane = payment_store_lane(store, index);
        add_histogram(writer, "lane", pg_lane_name(lane), &pg_lane_stats(lane)->wait_time);
    }
    metrics_family(writer, "lane_service_seconds", METRICS_HISTOGRAM,
                   "One batch, sent to answered");
    for (uint32_t index = 0; index < count; index++) {
        const struct pg_lane *lane = payment_store_lane(store, index);
        add_histogram(writer, "lane", pg_lane_name(lane), &pg_lane_stats(lane)->service_time);
    }
}

static void add_wallets(struct metrics_writer *writer, const struct payment_store *store)
{
    struct pg_shards_stats stats = pg_shards_stats(payment_store_wallets(store));
    const struct pg_shards_stats evaluated =
        pg_shards_stats(payment_store_evaluated_wallets(store));

    /* Evaluates lock nothing and share one line: their wallets only fail. */
    stats.alone += evaluated.alone;
    stats.poisoned += evaluated.poisoned;
    stats.poisoned_total += evaluated.poisoned_total;
    metrics_gauge(writer, "lane_hottest_wallet", "Most requests that wait for one wallet",
                  stats.hottest);
    metrics_gauge(writer, "lane_parked_wallets", "Wallets with requests that are locked elsewhere",
                  stats.parked);
    metrics_gauge(writer, "lane_alone_wallets", "Wallets that share no statement: one failed",
                  stats.alone);
    metrics_gauge(writer, "lane_poisoned_wallets", "Wallets refused: their statements fail",
                  stats.poisoned);
    metrics_counter(writer, "lane_poisoned_total", "Times a wallet was found poisoned",
                    stats.poisoned_total);
    metrics_counter(writer, "lane_yields_total", "Pauses that leave a wallet to other processes",
                    stats.yielded_total);
}

/* Which part of the connections' time each lane has had. */
static void add_shares(struct metrics_writer *writer, const struct payment_store *store)
{
    metrics_family(writer, "lane_connection_seconds_total", METRICS_COUNTER,
                   "Connection time used");
    for (uint32_t index = 0; index < payment_store_lane_count(); index++) {
        const struct pg_lane *lane = payment_store_lane(store, index);
        const struct metrics_label label = {"lane", span_of(pg_lane_name(lane))};
        metrics_double(writer, &label, 1, (double)pg_lane_stats(lane)->service_us_total / 1e6);
    }
}

/* ---- expiry ---- */

static void add_expiry(struct metrics_writer *writer, const struct payment_store *store)
{
    const struct payment_expiry_stats stats = payment_expiry_stats(payment_store_expiry(store));

    metrics_counter(writer, "expiry_released_total", "Expired holds whose open money went back",
                    stats.released_total);
    metrics_counter(writer, "expiry_cleared_total", "Expired holds with nothing open any more",
                    stats.cleared_total);
    metrics_counter(writer, "expiry_left_total",
                    "Times an expired hold was left for later: its wallet was not to be had",
                    stats.left_total);
    metrics_counter(writer, "expiry_failed_total", "Statements that failed or were lost",
                    stats.failed_total);
    metrics_gauge(writer, "expiry_left", "Expired holds that the last whole sweep left",
                  stats.left);
    metrics_family(writer, "expiry_overdue_seconds", METRICS_GAUGE,
                   "Since when the oldest expired hold that is known of waits; 0: there is none");
    metrics_double(writer, NULL, 0, (double)stats.overdue_us / 1e6);
}

/* ---- the pool ---- */

static void add_pool(struct metrics_writer *writer, const struct pg_pool *pool)
{
    const struct pg_pool_stats *stats = pg_pool_stats(pool);
    metrics_family(writer, "pool_connections", METRICS_GAUGE, "Connection slots by state");
    for (unsigned i = 0; i < PG_CONN_STATES; i++)
        metrics_labelled(writer, "state", pg_conn_state_name((enum pg_conn_state)i),
                         pg_pool_count(pool, (enum pg_conn_state)i));
    metrics_family(writer, "pool_closed_total", METRICS_COUNTER, "Connections ended, by reason");
    for (unsigned i = 0; i < PG_CLOSE_REASONS; i++)
        metrics_labelled(writer, "reason", pg_close_reason_name((enum pg_close_reason)i),
                         stats->closed_total[i]);
    metrics_family(writer, "pool_breaker_state", METRICS_GAUGE,
                   "1: no usable connection, requests are refused at once");
    metrics_u64(writer, NULL, 0, pg_pool_usable(pool) == 0);
    metrics_counter(writer, "pool_connects_total", "Connects begun", stats->connects_total);
    metrics_counter(writer, "pool_connect_failures_total", "Connects that failed",
                    stats->connect_failures_total);
    metrics_counter(writer, "pool_reprepare_total", "Connections that had to prepare again",
                    stats->reprepare_total);
    metrics_family(writer, "pool_connect_seconds", METRICS_HISTOGRAM, "Connect and prepare");
    metrics_histogram(writer, NULL, 0, &stats->connect_time);
    metrics_family(writer, "pool_query_seconds", METRICS_HISTOGRAM, "Sent to answered");
    metrics_histogram(writer, NULL, 0, &stats->query_time);
    metrics_family(writer, "pool_last_error_info", METRICS_GAUGE,
                   "Constant 1, labelled by the last error's stage and SQLSTATE");
    if (stats->last_error_stage[0] != '\0')
        metrics_u64(writer,
                    (const struct metrics_label[]){
                        {"stage", span_of(stats->last_error_stage)},
                        {"sqlstate", span_of(stats->last_error_sqlstate)},
                    },
                    2, 1);
}

static void add_dns(struct metrics_writer *writer, const struct pg_pool *pool)
{
    const struct pg_dns_stats *stats = pg_pool_dns_stats(pool);
    metrics_counter(writer, "pool_dns_lookups_total", "Look-ups of the database's host name begun",
                    stats->lookups_total);
    metrics_counter(writer, "pool_dns_failures_total", "Look-ups without an answer",
                    stats->failures_total);
    metrics_counter(writer, "pool_dns_changes_total", "Answers that differ from the one before",
                    stats->changes_total);
}

static void add_probe(struct metrics_writer *writer, struct payment_store *store)
{
    const struct payment_store_health *health = payment_store_health(store);
    metrics_family(writer, "database_up", METRICS_GAUGE, "1: the background probe is answered");
    metrics_u64(writer, NULL, 0, health->database_ok);
    metrics_gauge(writer, "database_wrong_region",
                  "1: the database is another region's, nothing is sent to it",
                  health->region_known && !health->region_ok);
    metrics_family(writer, "database_probe_seconds", METRICS_GAUGE, "The last probe's time");
    metrics_double(writer, NULL, 0, (double)health->latency_us / 1e6);
}

/* Before the first audit: nothing was found, in 1970. */
static void add_audit(struct metrics_writer *writer, struct payment_store *store)
{
    const struct payment_store_health *health = payment_store_health(store);

    metrics_family(
        writer, "ledger_audit_breaches", METRICS_GAUGE,
        "Broken invariants that the last audit found: of the whole ledger; of newer rows, "
        "the most since then");
    metrics_labelled(writer, "scope", "whole", health->whole_audit.breaches);
    metrics_labelled(writer, "scope", "recent", health->recent_audit.breaches);
    metrics_family(writer, "ledger_audit_timestamp_seconds", METRICS_GAUGE,
                   "When the last audit came to its end; 0: none has, of newer rows since then");
    metrics_labelled(writer, "scope", "whole", health->whole_audit.finished_s);
    metrics_labelled(writer, "scope", "recent", health->recent_audit.finished_s);
}

void metrics_database_write(struct metrics_writer *writer, const struct pg_pool *pool,
                            struct payment_store *store)
{
    add_contract(writer, pool, store);
    add_lanes(writer, store);
    add_shares(writer, store);
    add_wallets(writer, store);
    add_expiry(writer, store);
    add_pool(writer, pool);
    add_dns(writer, pool);
    add_probe(writer, store);
    add_audit(writer, store);
}
