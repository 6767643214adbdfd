/*
 * config: one table of settings -> struct config.
 *
 * Every setting is an environment variable NAME, or a file named by NAME_FILE whose content
 * (without one trailing LF or CRLF) is the value; both set is an error. Empty is the same as not
 * set. The table in config.c holds name, type, default, range, unit, secrecy and help, and is the
 * only source for parsing, --help, `check` and the README's table. Errors are collected, one clear
 * line each, and name the setting, never its value when it is secret.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "core/buf.h"
#include "core/check.h"
#include "core/err.h"
#include "core/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CONFIG_TEXT_MAX = 256,    /* plain text settings, with the NUL */
    CONFIG_SECRET_MAX = 2048, /* secrets and connection strings, with the NUL */
    CONFIG_API_KEY_LEN = 64,  /* least length outside ENVIRONMENT=dev */
    CONFIG_FILE_MAX = 64 * 1024
};

/* The settings as loaded, all valid. Text is NUL-terminated. Holds secrets: config_wipe(). */
struct config {
    /* what we are */
    char region[CONFIG_TEXT_MAX], environment[CONFIG_TEXT_MAX];
    bool environment_said; /* it is set, and not the default */
    char bind_address[CONFIG_TEXT_MAX];
    uint32_t port, ops_port;
    bool metrics_on_api_port;
    enum log_level log_level;
    uint32_t
        access_log_sample; /* one success in n is logged; 0: none; failures and slow ones always */

    /* who calls */
    uint32_t auth_failures_per_s;          /* of one address; 0: it is never throttled */
    char trusted_proxies[CONFIG_TEXT_MAX]; /* good for ip_networks_parse() */

    /* secrets; *_file is "" unless the value came from NAME_FILE */
    char database_url[CONFIG_SECRET_MAX], database_url_file[CONFIG_TEXT_MAX];
    char api_secret_key[CONFIG_SECRET_MAX], api_secret_key_file[CONFIG_TEXT_MAX];
    char api_secret_key_previous[CONFIG_SECRET_MAX], api_secret_key_previous_file[CONFIG_TEXT_MAX];
    bool database_tls_insecure;

    /* the budget of a request, from its last byte */
    uint32_t request_budget_ms, queue_wait_max_ms;

    /* database */
    uint32_t pool_size, lane_batch_max, lane_queue_max, lane_wallet_max;
    uint32_t poison_hold_s;
    uint32_t statement_timeout_ms, lock_timeout_ms;
    uint32_t expiry_share_percent, expiry_interval_ms; /* share 0: no hold is released here */
    uint32_t db_connect_timeout_ms, db_backoff_max_ms, db_lifetime_s, db_probe_interval_ms;

    /* the commands audit and purge */
    uint32_t idempotency_retention_days, audit_batch_rows, purge_batch_rows;

    /* HTTP limits */
    uint32_t http_conn_max, http_active_max;
    uint32_t http_header_bytes_max, http_header_count_max, http_uri_bytes_max, http_body_bytes_max;
    uint32_t http_chunk_overhead_max;
    uint32_t http_header_timeout_ms, http_body_timeout_ms, http_idle_timeout_ms;
    uint32_t http_write_timeout_ms, http_linger_timeout_ms;
    uint32_t http_peer_share_percent;
    uint32_t drain_delay_ms, drain_timeout_ms;
    bool seccomp;              /* the sandbox is entered */
    uint32_t secrets_watch_ms; /* 0: secret files are read again on SIGHUP only */
};

/* Reads one variable, NULL if it is not set; getenv in production. */
typedef const char *config_env_fn(const char *name);

/* For which work: the table says which settings each needs. */
enum config_mode {
    CONFIG_SERVE,   /* all of them; for `check` too */
    CONFIG_MIGRATE, /* all but the API keys, which its job need not be given */
};

/* Fills *config from env. ERR_INVALID: *errors holds one line per problem ("PORT: 70000 is not in
 * 0..65535"), and *config must not be used. Warnings (REGION, ENVIRONMENT empty) are lines in
 * *warnings. */
MUST_USE enum err config_load(struct config *config, enum config_mode mode, config_env_fn *env,
                              struct buf *errors, struct buf *warnings);
/* Whether operations have a listener of their own: not where OPS_PORT is PORT's number. */
bool config_has_ops_port(const struct config *config);
/* True where ENVIRONMENT=dev was said: short keys and plain database connections are allowed. Not
 * set, it is called dev all the same, as the Go service did, but relaxes nothing. */
bool config_is_dev(const struct config *config);
/* The rule for API keys: visible ASCII and, outside dev, at least CONFIG_API_KEY_LEN characters;
 * never empty. For keys that were read again. */
bool config_key_is_valid(const struct config *config, const char *key);
/* Re-reads one secret from its NAME_FILE into out (CONFIG_SECRET_MAX bytes). path "": there is no
 * file, ERR_OK. ERR_UNAVAILABLE: it cannot be read; ERR_INVALID: what it holds cannot be a setting.
 * out is left alone in all three. An empty file gives ERR_OK and "": the caller looks. */
MUST_USE enum err config_reread_file(const char *path, char *out);
/* The effective settings, NAME=value a line, secrets as "***" with their length. For `check`. */
void config_print(const struct config *config, FILE *out);
/* Every setting with default, range, unit and help. For --help. */
void config_print_help(FILE *out);
/* Wipes every secret. */
void config_wipe(struct config *config);

#endif
