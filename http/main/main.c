/*
 * main: the subcommands. `serve` is service.c.
 *
 * Exit codes: 0 done or drained in order, 1 failed or, of an audit, a broken ledger, 64 wrong
 * usage, 69 an audit could not look, 78 wrong configuration (sysexits).
 */
#include "core/config.h"
#include "core/process.h"
#include "core/secret.h"
#include "http/main/healthcheck.h"
#include "http/main/service.h"
#include "pool/audit.h"
#include "pool/migrate.h"
#include "pool/pg_pool.h"
#include "pool/purge.h"
#include "revision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 64,
    EXIT_UNAVAILABLE = 69,
    EXIT_CONFIG = 78,
    MAIN_MESSAGE_BYTES = 8192,
    MAIN_PORT_DEFAULT = 8080,
    MAIN_OPS_PORT_DEFAULT = 9090
};

static const char *main_env(const char *name)
{
    return getenv(name);
}

static void main_complain(struct span lines)
{
    while (lines.ptr != NULL) {
        const struct span line = span_cut(&lines, '\n');
        if (line.len > 0)
            fprintf(stderr, "payment-latency-api: %.*s\n", (int)line.len, line.ptr);
    }
}

/* False: told on stderr. */
static bool main_load(struct config *config, enum config_mode mode, struct buf *warnings)
{
    char storage[MAIN_MESSAGE_BYTES];
    struct buf errors;
    buf_init(&errors, storage, sizeof(storage));
    bool valid = config_load(config, mode, main_env, &errors, warnings) == ERR_OK;
    if (valid) {
        const bool tls_required = pg_url_tls_required(config);
        buf_add(&errors, SPAN("DATABASE_URL: "));
        valid = pg_url_check(config->database_url, tls_required, &errors) == ERR_OK;
    }
    if (!valid) {
        main_complain(buf_span(warnings)); /* a default may be why */
        main_complain(buf_span(&errors));
    }
    return valid;
}

static int main_serve(struct config *config, struct buf *warnings)
{
    if (!main_load(config, CONFIG_SERVE, warnings))
        return EXIT_CONFIG;
    return service_run(config, buf_span(warnings));
}

static int main_migrate(struct config *config, struct buf *warnings)
{
    if (!main_load(config, CONFIG_MIGRATE, warnings))
        return EXIT_CONFIG;
    main_complain(buf_span(warnings));
    const struct migrate_options options = {.database_url = config->database_url,
                                            .region = config->region};
    return migrate_run(&options, stdout, stderr) == ERR_OK ? EXIT_OK : EXIT_FAILED;
}

/* A ledger that nobody could look at is not a broken one. */
static int main_audit(struct config *config, const char *since)
{
    char storage[MAIN_MESSAGE_BYTES];
    struct buf warnings;
    bool broken = false;

    buf_init(&warnings, storage, sizeof(storage));
    if (!main_load(config, CONFIG_MIGRATE, &warnings))
        return EXIT_CONFIG;
    main_complain(buf_span(&warnings));
    const struct audit_options options = {.database_url = config->database_url,
                                          .region = config->region,
                                          .since = since,
                                          .batch_rows = config->audit_batch_rows};
    const enum err err = audit_run(&options, stdout, stderr, &broken);
    if (broken)
        return EXIT_FAILED;
    if (err == ERR_INVALID)
        return EXIT_USAGE;
    return err == ERR_OK ? EXIT_OK : EXIT_UNAVAILABLE;
}

static int main_purge(struct config *config, struct buf *warnings)
{
    if (!main_load(config, CONFIG_MIGRATE, warnings))
        return EXIT_CONFIG;
    main_complain(buf_span(warnings));
    const struct purge_options options = {.database_url = config->database_url,
                                          .region = config->region,
                                          .retention_days = config->idempotency_retention_days,
                                          .batch_rows = config->purge_batch_rows};
    return purge_run(&options, stdout, stderr) == ERR_OK ? EXIT_OK : EXIT_FAILED;
}

static int main_check(struct config *config, struct buf *warnings)
{
    if (!main_load(config, CONFIG_SERVE, warnings))
        return EXIT_CONFIG;
    main_complain(buf_span(warnings));
    config_print(config, stdout);
    return EXIT_OK;
}

/* False: told on stderr. */
static bool main_read_port(const char *name, uint64_t *port)
{
    const char *text = getenv(name);
    if (text == NULL || text[0] == '\0' || span_parse_u64(span_of(text), UINT16_MAX, port))
        return true;
    fprintf(stderr, "payment-latency-api: %s: is not a port\n", name);
    return false;
}

/* Reads OPS_PORT and PORT alone: the check of a container must not need its secrets. PORT answers
 * as well, and is asked where only the service knows its OPS_PORT. */
static int main_healthcheck(void)
{
    uint64_t port = MAIN_PORT_DEFAULT, ops_port = MAIN_OPS_PORT_DEFAULT;
    if (!main_read_port("PORT", &port) || !main_read_port("OPS_PORT", &ops_port))
        return EXIT_CONFIG;
    return healthcheck_run((uint16_t)(ops_port > 0 ? ops_port : port));
}

static int main_version(void)
{
    printf("payment-latency-api %s (revision %s, %s)\n", PROJECT_VERSION, PROJECT_REVISION,
           PROJECT_COMPILER);
    return EXIT_OK;
}

static void main_usage(FILE *out)
{
    fputs("usage: payment-latency-api "
          "[serve|migrate|audit|purge|check|healthcheck|version|--help]\n\n"
          "  serve        answer payments (default); SIGTERM drains, SIGHUP reads secret files "
          "again\n"
          "  migrate      bring the database's schema up to this version, then exit\n"
          "  audit        look whether the ledger is whole; exit 1 if not. --since last, 26h or a "
          "time: "
          "only\n               what is newer\n"
          "  purge        forget idempotency keys older than IDEMPOTENCY_RETENTION_DAYS\n"
          "  check        print the effective settings, secrets masked; exit 78 if one is wrong\n"
          "  healthcheck  exit 0 if the service on this host's OPS_PORT is alive\n"
          "  version      print what this binary is\n\n"
          "Settings are environment variables; NAME_FILE names a file that holds NAME's value.\n\n",
          out);
}

static int main_run(const char *command, struct config *config)
{
    char storage[MAIN_MESSAGE_BYTES];
    struct buf warnings;
    buf_init(&warnings, storage, sizeof(storage));
    if (strcmp(command, "serve") == 0)
        return main_serve(config, &warnings);
    if (strcmp(command, "migrate") == 0)
        return main_migrate(config, &warnings);
    if (strcmp(command, "audit") == 0)
        return main_audit(config, NULL);
    if (strcmp(command, "purge") == 0)
        return main_purge(config, &warnings);
    if (strcmp(command, "check") == 0)
        return main_check(config, &warnings);
    if (strcmp(command, "healthcheck") == 0)
        return main_healthcheck();
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0)
        return main_version();
    if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0) {
        main_usage(stdout);
        config_print_help(stdout);
        return EXIT_OK;
    }
    main_complain(SPAN("unknown subcommand"));
    main_usage(stderr);
    return EXIT_USAGE;
}

int main(int argument_count, char **arguments)
{
    process_harden();
    const bool has_since = argument_count == 4 && strcmp(arguments[1], "audit") == 0 &&
                           strcmp(arguments[2], "--since") == 0;
    if (argument_count > 2 && !has_since) {
        main_usage(stderr);
        return EXIT_USAGE;
    }
    if (secret_init() != ERR_OK) {
        main_complain(SPAN("no randomness: libsodium cannot start"));
        return EXIT_FAILED;
    }
    struct config config = {0};
    secret_protect(&config, sizeof(config));
    const int status = has_since ? main_audit(&config, arguments[3])
                                 : main_run(argument_count == 2 ? arguments[1] : "serve", &config);
    config_wipe(&config);
    return status;
}
