#include "http/api/ops_api.h"

#include "core/clock.h"
#include "http/api/metrics_cache.h"
#include "http/api/problem.h"
#include "http/server/accept.h"
#include "pool/pg_pool.h"
#include "revision.h"

#include <stdlib.h>

enum { OPS_BODY_BYTES = 2048 };

struct ops_api {
    struct metrics_sources sources;
    uint64_t started_us;
    struct metrics_cache metrics;
};

static void ops_respond(struct http_exchange *exchange, uint16_t status, struct span content_type,
                        struct span body)
{
    http_respond(exchange, &(struct http_response){
                               .status = status,
                               .content_type = content_type,
                               .headers = SPAN(""),
                               .body = body,
                           });
}

static void ops_respond_json(struct http_exchange *exchange, const struct buf *body)
{
    CHECK(!body->overflow); /* sized for the longest region and environment, fully escaped */
    ops_respond(exchange, 200, SPAN("application/json"), buf_span(body));
}

/* ,"name":"value" */
static void ops_add_member(struct buf *body, struct span name, struct span value)
{
    buf_add(body, SPAN(",\""));
    buf_add(body, name);
    buf_add(body, SPAN("\":"));
    buf_add_json(body, value);
}

static void ops_add_timestamp(struct buf *body)
{
    buf_add(body, SPAN(",\"timestamp\":\""));
    clock_add_rfc3339(body, clock_wall_us());
    buf_add_char(body, '"');
}

/* The Go service's members and formats. It answers 200 also without its database, as Go did:
 * balancers must ask /readyz. */
static void ops_on_health(void *app, struct http_exchange *exchange)
{
    const struct ops_api *ops = app;
    const struct ops_api_parts *parts = &ops->sources.parts;
    const struct payment_store_health *health = payment_store_health(parts->store);
    char storage[2 * OPS_BODY_BYTES];
    struct buf body;
    buf_init(&body, storage, sizeof(storage));
    buf_add_text(&body,
                 health->database_ok ? "{\"status\":\"healthy\"" : "{\"status\":\"degraded\"");
    ops_add_member(&body, SPAN("region"), span_of(parts->config->region));
    buf_add(&body, SPAN(",\"latency_ms\":\""));
    buf_add_milli2(&body, health->latency_us);
    buf_add_char(&body, '"');
    ops_add_member(&body, SPAN("database"),
                   health->database_ok ? SPAN("connected") : SPAN("disconnected"));
    ops_add_timestamp(&body);
    ops_add_member(&body, SPAN("environment"), span_of(parts->config->environment));
    buf_add(&body, SPAN(",\"uptime_seconds\":"));
    buf_add_u64(&body, (clock_mono_us() - ops->started_us) / CLOCK_US_PER_S);
    buf_add(&body, SPAN("}\n"));
    ops_respond_json(exchange, &body);
}

static void ops_on_info(void *app, struct http_exchange *exchange)
{
    const struct ops_api *ops = app;
    const struct config *config = ops->sources.parts.config;
    char storage[2 * OPS_BODY_BYTES];
    struct buf body;
    buf_init(&body, storage, sizeof(storage));
    buf_add(&body, SPAN("{\"name\":\"payment-latency-api\",\"version\":\"" PROJECT_VERSION "\""));
    ops_add_member(&body, SPAN("region"), span_of(config->region));
    ops_add_member(&body, SPAN("environment"), span_of(config->environment));
    ops_add_timestamp(&body);
    buf_add(&body, SPAN("}\n"));
    ops_respond_json(exchange, &body);
}

static void ops_on_livez(void *app, struct http_exchange *exchange)
{
    (void)app;
    ops_respond(exchange, 200, SPAN("text/plain; charset=utf-8"), SPAN("ok\n"));
}

static void ops_add_check(struct buf *body, const char *name, bool passed)
{
    buf_add_text(body, passed ? "[+]" : "[-]");
    buf_add_text(body, name);
    buf_add_text(body, passed ? " ok\n" : " failed\n");
}

static void ops_on_readyz(void *app, struct http_exchange *exchange)
{
    const struct ops_api *ops = app;
    const struct ops_api_parts *parts = &ops->sources.parts;
    const struct payment_store_health *health = payment_store_health(parts->store);
    const bool ready = !*parts->draining && payment_store_ready(parts->store);
    char storage[OPS_BODY_BYTES];
    struct buf body;
    buf_init(&body, storage, sizeof(storage));
    const struct span query = http_exchange_request(exchange)->query;
    if (span_equal(query, SPAN("verbose")) || span_starts_with(query, SPAN("verbose="))) {
        ops_add_check(&body, "db", health->database_ok);
        ops_add_check(&body, "schema", health->schema_ok);
        ops_add_check(&body, "region", health->region_ok);
        ops_add_check(&body, "isolation", health->isolation_ok);
        ops_add_check(&body, "pool", health->pool_ready);
        ops_add_check(&body, "draining", !*parts->draining);
    }
    buf_add_text(&body, ready ? "ready\n" : "not ready\n");
    ops_respond(exchange, ready ? 200 : 503, SPAN("text/plain; charset=utf-8"), buf_span(&body));
}

static void ops_on_metrics(void *app, struct http_exchange *exchange)
{
    struct ops_api *ops = app;
    const bool openmetrics =
        accept_names(http_exchange_request(exchange), SPAN("application/openmetrics-text"));
    struct http_page *page = metrics_cache_page(&ops->metrics, openmetrics);
    if (page == NULL) {
        problem_respond(exchange, PROBLEM_INTERNAL,
                        &(struct problem_details){.detail = "the metrics do not fit an answer"});
        return;
    }
    http_respond(
        exchange,
        &(struct http_response){
            .status = 200,
            .content_type = openmetrics
                                ? SPAN("application/openmetrics-text; version=1.0.0; charset=utf-8")
                                : SPAN("text/plain; version=0.0.4; charset=utf-8"),
            .body = http_page_body(page),
            .page = page,
        });
}

enum err ops_api_create(struct ops_api **ops, const struct ops_api_parts *parts)
{
    struct ops_api *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return ERR_SYSTEM;
    const enum err err = metrics_cache_init(&made->metrics, &made->sources);
    if (err != ERR_OK) {
        free(made);
        return err;
    }
    made->sources.parts = *parts;
    made->sources.started_wall_us = clock_wall_us();
    made->started_us = clock_mono_us();
    *ops = made;
    return ERR_OK;
}

void ops_api_destroy(struct ops_api *ops)
{
    if (ops == NULL)
        return;
    metrics_cache_free(&ops->metrics);
    free(ops);
}

/* Of probes: who does not get one through restarts what is well. */
static enum http_class ops_is_prompt(void *app, const struct http_request *request)
{
    (void)app;
    (void)request;
    return HTTP_CLASS_PROMPT;
}

uint32_t ops_api_routes(struct ops_api *ops, bool with_metrics, struct http_route *routes,
                        uint32_t room)
{
    /* The last is the one that may be left out. */
    const struct http_route ours[] = {
        {.path = "/health", .on_request = ops_on_health},
        {.path = "/info", .on_request = ops_on_info},
        {.path = "/livez", .on_request = ops_on_livez, .classify = ops_is_prompt},
        {.path = "/readyz", .on_request = ops_on_readyz, .classify = ops_is_prompt},
        {.path = "/metrics", .on_request = ops_on_metrics, .uncounted = true, .paced = true},
    };
    const uint32_t count = sizeof(ours) / sizeof(ours[0]) - (with_metrics ? 0 : 1);
    CHECK(count <= room);
    for (uint32_t i = 0; i < count; i++) {
        routes[i] = ours[i];
        routes[i].methods = 1u << HTTP_GET;
        routes[i].app = ops;
    }
    return count;
}
