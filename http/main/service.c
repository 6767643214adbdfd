#include "http/main/service.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/process.h"
#include "core/sandbox.h"
#include "http/api/access_log.h"
#include "http/api/access_note.h"
#include "http/api/json.h"
#include "http/api/ops_api.h"
#include "http/api/payment_api.h"
#include "http/api/problem.h"
#include "http/main/drain.h"
#include "http/main/reload.h"
#include "revision.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SERVICE_EXIT_OK = 0,
    SERVICE_EXIT_FAILED = 1,
    SERVICE_LAST_FLUSH_US = 500 * 1000,
    SERVICE_QUERY_GRACE_MS = 250, /* over statement_timeout: then the network is dead */
    SERVICE_OTHER_TIMERS = 64,    /* lanes and tracks, probe, HTTP sweep, drain, reload */
};

/* Listeners are numbered in the order of service_listen(). */
enum { SERVICE_API_LISTENER, SERVICE_OPS_LISTENER };

/* In the order they are built. */
struct service {
    struct config *config;
    struct log_identity identity;
    struct reactor *reactor;
    struct reactor_hook flush_hook;
    struct api_keys keys;
    struct ip_networks trusted;
    struct auth_throttle *throttle;
    struct access_log access_log;
    struct pg_pool *pool;
    struct payment_store *store;
    struct http_server *server;
    struct payment_api *payments;
    struct ops_api *ops;
    struct http_route api_routes[HTTP_ROUTES_MAX], ops_routes[HTTP_ROUTES_MAX];
    struct drain drain;
    struct reload reload;
};

/* Says so on stderr too: who starts a service by hand does not read its log first. */
static enum err service_failed(const char *what, enum err err)
{
    const char *reason = err == ERR_SYSTEM ? strerror(errno) : err_name(err);
    fprintf(stderr, "payment-latency-api: cannot start: %s: %s\n", what, reason);
    log_error("start_failed", LOG_TEXT("step", what), LOG_TEXT("reason", reason));
    return err;
}

static void service_on_turn_end(struct reactor_hook *hook)
{
    (void)hook;
    log_flush();
}

static void service_on_signal(void *owner, int signal_number)
{
    struct service *service = owner;
    if (signal_number == SIGHUP)
        reload_now(&service->reload);
    else
        drain_signal(&service->drain);
}

static enum err service_build_loop(struct service *service)
{
    const struct config *config = service->config;
    const uint32_t timers = config->pool_size + PG_POOL_TIMERS + SERVICE_OTHER_TIMERS;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    enum err err = reactor_create(&service->reactor, timers);
    if (err == ERR_OK)
        err = reactor_on_signals(service->reactor, &signals, service_on_signal, service);
    if (err != ERR_OK)
        return service_failed("event loop", err);
    service->flush_hook.on_turn_end = service_on_turn_end;
    reactor_hook_add(service->reactor, &service->flush_hook);
    return ERR_OK;
}

static enum err service_build_database(struct service *service)
{
    const struct config *config = service->config;
    uint8_t statement_count = 0;
    const struct pg_statement *statements = payment_store_statements(&statement_count);
    const struct pg_pool_config pool = {
        .database_url = config->database_url,
        .database_url_file = config->database_url_file,
        .application_name = "payment-latency-api",
        .tls_required = pg_url_tls_required(config),
        .conn_count = config->pool_size,
        .connect_timeout_ms = config->db_connect_timeout_ms,
        .backoff_max_ms = config->db_backoff_max_ms,
        .lifetime_s = config->db_lifetime_s,
        .statement_timeout_ms = config->statement_timeout_ms,
        /* A request may meet two locks one after the other: its wallet's, which it waits for in
         * memory, and its key's, in the database. */
        .lock_timeout_ms = (config->lock_timeout_ms + 1) / 2,
        .query_timeout_ms = config->statement_timeout_ms + SERVICE_QUERY_GRACE_MS,
    };
    enum err err =
        pg_pool_create(&service->pool, service->reactor, &pool, statements, statement_count);
    if (err == ERR_OK)
        err = payment_store_create(&service->store, service->pool, &pool, config,
                                   config->http_active_max);
    return err == ERR_OK ? ERR_OK : service_failed("database pool", err);
}

static enum err service_build_server(struct service *service)
{
    const struct config *config = service->config;
    const struct http_server_config http = {
        .limits = {.header_bytes_max = config->http_header_bytes_max,
                   .header_count_max = config->http_header_count_max,
                   .uri_bytes_max = config->http_uri_bytes_max,
                   .body_bytes_max = config->http_body_bytes_max,
                   .chunk_overhead_max = config->http_chunk_overhead_max},
        .conn_max = config->http_conn_max,
        .exchange_max = config->http_active_max,
        .peer_share_percent = config->http_peer_share_percent,
        .head_timeout_ms = config->http_header_timeout_ms,
        .body_timeout_ms = config->http_body_timeout_ms,
        .idle_timeout_ms = config->http_idle_timeout_ms,
        .write_timeout_ms = config->http_write_timeout_ms,
        .linger_timeout_ms = config->http_linger_timeout_ms,
        .note_bytes = sizeof(struct access_note),
        .format_error = problem_format_error,
        .on_finished = access_log_finished,
        .on_finished_owner = &service->access_log,
    };
    const enum err err = http_server_create(&service->server, service->reactor, &http);
    return err == ERR_OK ? ERR_OK : service_failed("http server", err);
}

static enum err service_build_apis(struct service *service)
{
    const struct config *config = service->config;
    api_keys_set(&service->keys, span_of(config->api_secret_key),
                 span_of(config->api_secret_key_previous));
    CHECK(ip_networks_parse(span_of(config->trusted_proxies), &service->trusted) == NULL);
    access_log_init(&service->access_log,
                    &(struct access_log_config){.reactor = service->reactor,
                                                .trusted = &service->trusted,
                                                .sample = config->access_log_sample});
    enum err err =
        auth_throttle_create(&service->throttle, &service->trusted, config->auth_failures_per_s);
    if (err != ERR_OK)
        return service_failed("throttle of failed keys", err);
    err = payment_api_create(&service->payments, service->store, &service->keys, service->throttle,
                             config, config->http_active_max);
    if (err != ERR_OK)
        return service_failed("payment api", err);
    const struct ops_api_parts parts = {
        .reactor = service->reactor,
        .server = service->server,
        .config = config,
        .pool = service->pool,
        .store = service->store,
        .payments = service->payments,
        .keys = &service->keys,
        .access_log = &service->access_log,
        .throttle = service->throttle,
        .draining = &service->drain.draining,
    };
    err = ops_api_create(&service->ops, &parts);
    return err == ERR_OK ? ERR_OK : service_failed("ops api", err);
}

static void service_build_end(struct service *service)
{
    const struct config *config = service->config;
    service->drain.reactor = service->reactor;
    service->drain.server = service->server;
    service->drain.store = service->store;
    service->drain.pool = service->pool;
    service->drain.delay_ms = config->drain_delay_ms;
    service->drain.timeout_ms = config->drain_timeout_ms;
    drain_init(&service->drain);
    reload_start(&service->reload, service->reactor, service->config, &service->keys,
                 service->store);
}

static enum err service_listen_at(struct service *service, uint32_t port,
                                  const struct http_route *routes, uint32_t count)
{
    const struct http_listener_config listener = {
        .address = service->config->bind_address,
        .port = (uint16_t)port,
        .transport = &TRANSPORT_TCP,
        .routes = routes,
        .route_count = count,
    };
    return http_server_listen(service->server, &listener);
}

/* Everything is there: clients may come. What operations ask for is answered on both ports, but for
 * scrapes where they are kept from PORT. */
static enum err service_listen(struct service *service)
{
    const struct config *config = service->config;
    struct http_route *routes = service->api_routes;
    uint32_t count = payment_api_routes(service->payments, routes, HTTP_ROUTES_MAX);
    count += ops_api_routes(service->ops, config->metrics_on_api_port, routes + count,
                            HTTP_ROUTES_MAX - count);
    enum err err = service_listen_at(service, config->port, routes, count);
    if (err != ERR_OK)
        return service_failed("listening on BIND_ADDRESS and PORT", err);
    if (!config_has_ops_port(config))
        return ERR_OK;
    routes = service->ops_routes;
    count = ops_api_routes(service->ops, true, routes, HTTP_ROUTES_MAX);
    err = service_listen_at(service, config->ops_port, routes, count);
    return err == ERR_OK ? ERR_OK : service_failed("listening on BIND_ADDRESS and OPS_PORT", err);
}

/* Everything is open: from here on the loop's own system calls are enough. */
static enum err service_confine(const struct service *service)
{
    if (!service->config->seccomp || !sandbox_is_possible())
        return ERR_OK;
    const enum err err = sandbox_enter();
    return err == ERR_OK ? ERR_OK : service_failed("seccomp (SECCOMP=0 does without)", err);
}

static enum err service_build(struct service *service)
{
    enum err err = service_build_loop(service);
    if (err == ERR_OK)
        err = service_build_database(service);
    if (err == ERR_OK)
        err = service_build_server(service);
    if (err == ERR_OK)
        err = service_build_apis(service);
    if (err != ERR_OK)
        return err;
    service_build_end(service);
    err = service_listen(service);
    return err == ERR_OK ? service_confine(service) : err;
}

static void service_tear_down(struct service *service)
{
    reload_stop(&service->reload);
    if (service->server != NULL)
        http_server_destroy(service->server);
    ops_api_destroy(service->ops);
    payment_api_destroy(service->payments);
    auth_throttle_destroy(service->throttle);
    access_log_stop(&service->access_log);
    if (service->store != NULL)
        payment_store_destroy(service->store);
    if (service->pool != NULL)
        pg_pool_destroy(service->pool);
    if (service->reactor == NULL)
        return;
    if (service->flush_hook.on_turn_end != NULL)
        reactor_hook_remove(service->reactor, &service->flush_hook);
    reactor_destroy(service->reactor);
}

/* One descriptor a client; where they do not all fit, fewer clients are served rather than none. */
static bool service_fit_files(struct config *config)
{
    const uint32_t others = 2 * config->pool_size;
    const uint32_t fitting = process_fit_connections(config->http_conn_max, others);
    if (fitting < config->http_conn_max) {
        log_warn("descriptor_limit", LOG_TEXT("detail", "HTTP_CONN_MAX is lowered to what fits"),
                 LOG_U64("http_conn_max", config->http_conn_max), LOG_U64("fitting", fitting));
        config->http_conn_max = fitting;
    }
    return fitting > 0 || service_failed("RLIMIT_NOFILE", ERR_FULL) == ERR_OK;
}

static void service_log_start(const struct service *service, struct span warnings)
{
    while (warnings.ptr != NULL) {
        const struct span line = span_cut(&warnings, '\n');
        if (line.len > 0)
            log_warn("configuration", LOG_SPAN("detail", line));
    }
    const struct config *config = service->config;
    if (config->database_tls_insecure)
        log_warn("configuration",
                 LOG_TEXT("detail", "DATABASE_TLS_INSECURE=1: the database's identity and the "
                                    "privacy of its traffic are not assured"));
    const uint16_t port = http_server_port(service->server, SERVICE_API_LISTENER);
    const uint16_t ops_port = config_has_ops_port(config)
                                  ? http_server_port(service->server, SERVICE_OPS_LISTENER)
                                  : port;
    log_info("started", LOG_U64("port", port), LOG_U64("ops_port", ops_port),
             LOG_TEXT("revision", PROJECT_REVISION),
             LOG_U64("http_conn_max", config->http_conn_max),
             LOG_U64("pool_size", config->pool_size),
             LOG_U64("seccomp", config->seccomp && sandbox_is_possible()));
}

static int service_end(struct service *service, int status)
{
    log_info("stopped", LOG_U64("exit_code", (uint64_t)status));
    log_flush_all(SERVICE_LAST_FLUSH_US);
    secret_wipe(&service->keys, sizeof(service->keys));
    return status;
}

int service_run(struct config *config, struct span warnings)
{
    struct service service = {
        .config = config,
        .identity = {.service = "payment-latency-api",
                     .version = PROJECT_VERSION,
                     .region = config->region,
                     .environment = config->environment},
    };
    log_open(STDOUT_FILENO, config->log_level, &service.identity);
    json_init();
    if (!service_fit_files(config) || service_build(&service) != ERR_OK) {
        service_tear_down(&service);
        return service_end(&service, SERVICE_EXIT_FAILED);
    }
    service_log_start(&service, warnings);
    /* Cut short, queries in flight would call back into parts that are gone: the kernel tears down.
     */
    if (reactor_run(service.reactor) != ERR_OK || !drain_was_clean(&service.drain))
        _exit(service_end(&service, SERVICE_EXIT_FAILED));
    service_tear_down(&service);
    return service_end(&service, SERVICE_EXIT_OK);
}
