#include "core/config.h"

#include "core/config_table_private.h"
#include "core/secret.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#define NUMBER(name, field, fallback, min, max, unit, help)                                        \
    {                                                                                              \
        name, SETTING_NUMBER, 0, SETTING_AT(field), 0, fallback, min, max, unit, help              \
    }
#define WORD(type, name, flags, field, fallback, help)                                             \
    {                                                                                              \
        name, type, flags, SETTING_AT(field), 0, fallback, 0, 0, "", help                          \
    }
#define SECRET(type, name, flags, field, help)                                                     \
    {                                                                                              \
        name, type, SETTING_SECRET | (flags), SETTING_AT(field), SETTING_AT(field##_file), "", 0,  \
            0, "", help                                                                            \
    }

/* clang-format off */
const struct setting CONFIG_SETTINGS[] = {
    SECRET(SETTING_URL, "DATABASE_URL", SETTING_REQUIRED, database_url,
           "PostgreSQL connection string"),
    SECRET(SETTING_KEY, "API_SECRET_KEY", SETTING_REQUIRED | SETTING_SERVING, api_secret_key,
           "key that callers send as X-API-Key; 64 characters or more outside dev"),
    SECRET(SETTING_KEY, "API_SECRET_KEY_PREVIOUS", SETTING_SERVING, api_secret_key_previous,
           "key accepted as well while callers change over"),
    WORD(SETTING_SWITCH, "DATABASE_TLS_INSECURE", 0, database_tls_insecure, "0",
         "1: allow the database without sslmode=verify-full outside dev"),
    WORD(SETTING_TEXT, "REGION", SETTING_EXPECTED, region, "unknown",
         "AWS region this instance serves; must be the database's"),
    WORD(SETTING_TEXT, "ENVIRONMENT", SETTING_EXPECTED, environment, "dev",
         "dev, said and not by default, relaxes the rules for keys and database TLS"),
    WORD(SETTING_TEXT, "BIND_ADDRESS", 0, bind_address, "0.0.0.0", "numeric IPv4 or IPv6 address"),
    NUMBER("PORT", port, "8080", 0, 65535, "", "TCP port; 0: any free one, for tests"),
    NUMBER("OPS_PORT", ops_port, "9090", 0, 65535, "",
           "TCP port for scrapes and probes; 0: any free one; PORT's number: none of its own"),
    WORD(SETTING_SWITCH, "METRICS_ON_API_PORT", 0, metrics_on_api_port, "1",
         "0: PORT does not answer /metrics, only OPS_PORT does"),
    WORD(SETTING_LEVEL, "LOG_LEVEL", 0, log_level, "info", "least level that is logged"),
    NUMBER("ACCESS_LOG_SAMPLE", access_log_sample, "100", 0, 1000000, "",
           "one success in n is logged; 0: none; failures always"),
    NUMBER("AUTH_FAILURES_PER_S", auth_failures_per_s, "100", 0, 100000, "requests",
           "without a valid key from one address, then 429; 0: never"),
    WORD(SETTING_TEXT, "TRUSTED_PROXIES", 0, trusted_proxies, "",
         "networks (10.0.0.0/8,2001:db8::/32) whose X-Forwarded-For is believed"),

    NUMBER("REQUEST_BUDGET_MS", request_budget_ms, "100", 10, 60000, "ms",
           "a request's time from its last byte to its answer"),
    NUMBER("QUEUE_WAIT_MAX_MS", queue_wait_max_ms, "25", 1, 60000, "ms",
           "longer predicted waits for the database are refused"),

    NUMBER("POOL_SIZE", pool_size, "6", 1, 64, "connections",
           "database connections for callers; the probe has one more"),
    NUMBER("LANE_BATCH_MAX", lane_batch_max, "32", 1, 32, "requests",
           "requests that share one statement"),
    NUMBER("LANE_QUEUE_MAX", lane_queue_max, "512", 1, 65536, "requests",
           "requests that wait in one lane"),
    NUMBER("LANE_WALLET_MAX", lane_wallet_max, "256", 1, 65536, "requests",
           "of them, for one wallet; never more than it leaves free"),
    NUMBER("POISON_HOLD_S", poison_hold_s, "60", 1, 86400, "s",
           "how long a wallet is refused whose statements fail again and again"),
    NUMBER("STATEMENT_TIMEOUT_MS", statement_timeout_ms, "60", 1, 60000, "ms",
           "statement_timeout of every connection"),
    NUMBER("LOCK_TIMEOUT_MS", lock_timeout_ms, "40", 1, 60000, "ms",
           "how long a request waits for a wallet or key that is held elsewhere"),
    NUMBER("EXPIRY_SHARE_MAX", expiry_share_percent, "10", 0, 100, "%",
           "of the connections' time, the most for releasing expired holds; 0: not done here"),
    NUMBER("EXPIRY_INTERVAL_MS", expiry_interval_ms, "1000", 10, 3600000, "ms",
           "pause between two sweeps over the expired holds; longer while all are locked"),
    NUMBER("DB_CONNECT_TIMEOUT_MS", db_connect_timeout_ms, "2000", 100, 60000, "ms",
           "a connection is up by then, or given up"),
    NUMBER("DB_BACKOFF_MAX_MS", db_backoff_max_ms, "2000", 50, 60000, "ms",
           "longest pause between two attempts to connect"),
    NUMBER("DB_LIFETIME_S", db_lifetime_s, "1800", 1, 86400, "s",
           "age at which a connection is replaced, +- 20 %"),
    NUMBER("DB_PROBE_INTERVAL_MS", db_probe_interval_ms, "1000", 50, 60000, "ms",
           "pause between two health probes"),

    NUMBER("IDEMPOTENCY_RETENTION_DAYS", idempotency_retention_days, "90", 30, 36500, "days",
           "after which `purge` forgets an Idempotency-Key"),
    NUMBER("PURGE_BATCH_ROWS", purge_batch_rows, "500", 1, 100000, "records",
           "that `purge` takes in one transaction"),
    NUMBER("AUDIT_BATCH_ROWS", audit_batch_rows, "2000", 1, 100000, "rows",
           "of a kind that `audit` reads in one statement"),

    NUMBER("HTTP_CONN_MAX", http_conn_max, "8192", 1, 1000000, "connections", "open connections"),
    NUMBER("HTTP_ACTIVE_MAX", http_active_max, "2048", 1, 65536, "requests",
           "requests being read, handled or answered"),
    NUMBER("HTTP_PEER_SHARE_MAX", http_peer_share_percent, "50", 1, 100, "%",
           "of HTTP_CONN_MAX, what one address keeps while others ask (64 at least); 100: all"),
    NUMBER("HTTP_HEADER_BYTES_MAX", http_header_bytes_max, "8192", 512, 65536, "bytes",
           "request line and headers"),
    NUMBER("HTTP_HEADER_COUNT_MAX", http_header_count_max, "64", 1, 64, "", "header lines"),
    NUMBER("HTTP_URI_BYTES_MAX", http_uri_bytes_max, "2048", 16, 65536, "bytes",
           "request target"),
    NUMBER("HTTP_BODY_BYTES_MAX", http_body_bytes_max, "4096", 64, 65536, "bytes",
           "request body"),
    NUMBER("HTTP_CHUNK_OVERHEAD_MAX", http_chunk_overhead_max, "16384", 64, 1048576, "bytes",
           "framing of a chunked body"),
    NUMBER("HTTP_HEADER_TIMEOUT_MS", http_header_timeout_ms, "5000", 10, 3600000, "ms",
           "from the first byte to the end of the headers"),
    NUMBER("HTTP_BODY_TIMEOUT_MS", http_body_timeout_ms, "5000", 10, 3600000, "ms",
           "from the end of the headers to the end of the body"),
    NUMBER("HTTP_IDLE_TIMEOUT_MS", http_idle_timeout_ms, "75000", 10, 3600000, "ms",
           "between two requests; longer than the 60 s of the load balancer"),
    NUMBER("HTTP_WRITE_TIMEOUT_MS", http_write_timeout_ms, "5000", 10, 3600000, "ms",
           "for a client to take its answer"),
    NUMBER("HTTP_LINGER_TIMEOUT_MS", http_linger_timeout_ms, "2000", 10, 3600000, "ms",
           "for a refused client to finish sending"),
    NUMBER("DRAIN_DELAY_MS", drain_delay_ms, "5000", 0, 600000, "ms",
           "from SIGTERM to the listener's end; /readyz says 503"),
    NUMBER("DRAIN_TIMEOUT_MS", drain_timeout_ms, "10000", 100, 600000, "ms",
           "for requests in flight after that"),
    NUMBER("SECRETS_WATCH_MS", secrets_watch_ms, "5000", 0, 3600000, "ms",
           "pause between two looks whether a secret file changed; "
           "0: only SIGHUP reads them again"),
    WORD(SETTING_SWITCH, "SECCOMP", SETTING_SERVING, seccomp, "1",
         "0: serve without the filter of system calls"),
};
/* clang-format on */

enum { SETTING_COUNT = sizeof(CONFIG_SETTINGS) / sizeof(CONFIG_SETTINGS[0]) };
static_assert((int)SETTING_COUNT <= (int)SETTING_COUNT_MAX, "config_load keeps a flag for each");

size_t setting_text_cap(const struct setting *setting)
{
    return setting->type == SETTING_TEXT ? CONFIG_TEXT_MAX : CONFIG_SECRET_MAX;
}

const void *setting_field(const struct config *config, size_t offset)
{
    return (const char *)config + offset;
}

void setting_add_level_words(struct buf *out)
{
    for (size_t i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (i > 0)
            buf_add_char(out, ' ');
        buf_add_text(out, log_level_word((enum log_level)i));
    }
}

uint32_t setting_count(void)
{
    return SETTING_COUNT;
}

bool config_has_ops_port(const struct config *config)
{
    return config->ops_port == 0 || config->ops_port != config->port;
}

bool config_is_dev(const struct config *config)
{
    return config->environment_said && strcmp(config->environment, "dev") == 0;
}

void config_wipe(struct config *config)
{
    for (uint32_t i = 0; i < SETTING_COUNT; i++) {
        if (CONFIG_SETTINGS[i].flags & SETTING_SECRET)
            secret_wipe((char *)config + CONFIG_SETTINGS[i].offset,
                        setting_text_cap(&CONFIG_SETTINGS[i]));
    }
}

static void print_secret(const struct config *config, const struct setting *setting, FILE *out)
{
    const char *path = setting_field(config, setting->file_offset);
    const size_t len = strlen(setting_field(config, setting->offset));
    if (len > 0)
        fprintf(out, "***(%zu bytes)", len);
    if (path[0] != '\0')
        fprintf(out, "\n%s_FILE=%s", setting->name, path);
}

void config_print(const struct config *config, FILE *out)
{
    for (uint32_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &CONFIG_SETTINGS[i];
        const void *field = setting_field(config, setting->offset);
        fprintf(out, "%s=", setting->name);
        if (setting->flags & SETTING_SECRET)
            print_secret(config, setting, out);
        else if (setting->type == SETTING_NUMBER)
            fprintf(out, "%" PRIu32, *(const uint32_t *)field);
        else if (setting->type == SETTING_SWITCH)
            fputs(*(const bool *)field ? "1" : "0", out);
        else if (setting->type == SETTING_LEVEL)
            fputs(log_level_word(*(const enum log_level *)field), out);
        else
            fputs(field, out);
        fputc('\n', out);
    }
}

static void add_range(struct buf *out, const struct setting *setting)
{
    switch (setting->type) {
    case SETTING_NUMBER:
        buf_addf(out, "%" PRIu32 "..%" PRIu32 "%s%s", setting->min, setting->max,
                 setting->unit[0] != '\0' ? " " : "", setting->unit);
        break;
    case SETTING_SWITCH:
        buf_add(out, SPAN("0 or 1"));
        break;
    case SETTING_LEVEL:
        setting_add_level_words(out);
        break;
    case SETTING_TEXT:
    case SETTING_KEY:
    case SETTING_URL:
        buf_addf(out, "up to %zu bytes", setting_text_cap(setting) - 1);
        break;
    }
}

static void print_help_line(FILE *out, const char *name, const char *fallback, struct span range,
                            const char *help)
{
    fprintf(out, "%-25s %-9s %-23.*s %s\n", name, fallback, (int)range.len, range.ptr, help);
}

void config_print_help(FILE *out)
{
    print_help_line(out, "NAME", "DEFAULT", SPAN("RANGE AND UNIT"), "MEANING");
    for (uint32_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &CONFIG_SETTINGS[i];
        const char *fallback = setting->fallback[0] != '\0' ? setting->fallback : "none";
        if (setting->flags & SETTING_REQUIRED)
            fallback = "required";
        char storage[48];
        struct buf range;
        buf_init(&range, storage, sizeof(storage));
        add_range(&range, setting);
        print_help_line(out, setting->name, fallback, buf_span(&range), setting->help);
    }
    fputs("Each can also be the content of a file named by NAME_FILE.\n", out);
}
