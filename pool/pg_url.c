#include "pool/pg_url_private.h"

#include "core/secret.h"
#include "pool/pg_dns.h"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <string.h>

/* libpq reads these files from $HOME when they are not named; a path that does not exist is "none",
 * without a search and, unlike /dev/null for passfile, without a warning on stderr. */
#define NO_FILE "/nonexistent"

enum { PORT_MAX = 65535 };

/* The 100 ms budget holds only with these, so a URL cannot change them. target_session_attrs: the
 * role is ours to check, or libpq would hide the reason. */
static const char *const FIXED[][2] = {
    {"gssencmode", "disable"}, {"client_encoding", "UTF8"},  {"target_session_attrs", "any"},
    {"keepalives", "1"},       {"keepalives_idle", "10"},    {"keepalives_interval", "3"},
    {"keepalives_count", "3"}, {"tcp_user_timeout", "3000"},
};

/* Taken when the URL does not say; explicit, so that no PG* variable and no file is asked. */
static const char *const DEFAULTS[][2] = {
    {"port", "5432"},    {"sslmode", "prefer"}, {"passfile", NO_FILE},    {"sslcert", NO_FILE},
    {"sslkey", NO_FILE}, {"sslcrl", NO_FILE},   {"sslrootcert", NO_FILE},
};

static enum err refuse(struct buf *why, const char *text)
{
    if (why != NULL)
        buf_add_text(why, text);
    return ERR_INVALID;
}

enum err pg_url_parse(struct pg_url *url, const char *text, struct buf *why)
{
    /* libpq's own message may quote the password: it is not asked for. */
    PQconninfoOption *parsed = PQconninfoParse(text, NULL);
    if (parsed == NULL)
        return refuse(why, "not a valid connection string (see libpq, \"Connection Strings\")");

    *url = (struct pg_url){.parsed = parsed};
    for (const PQconninfoOption *option = parsed; option->keyword != NULL; option++) {
        if (option->val != NULL && option->val[0] != '\0')
            pg_url_set(url, option->keyword, option->val);
    }
    const char *options = pg_url_get(url, "options");
    if (options != NULL && strlen(options) > PG_URL_OPTIONS_MAX) {
        pg_url_close(url);
        return refuse(why, "its options are too long");
    }
    return ERR_OK;
}

void pg_url_close(struct pg_url *url)
{
    PQconninfoOption *parsed = url->parsed;
    for (PQconninfoOption *option = parsed; option != NULL && option->keyword != NULL; option++) {
        if (option->val != NULL)
            secret_wipe(option->val, strlen(option->val));
    }
    PQconninfoFree(parsed);
    *url = (struct pg_url){.parsed = NULL};
}

static uint32_t index_of(const struct pg_url *url, const char *keyword)
{
    uint32_t i = 0;
    while (i < url->count && strcmp(url->keywords[i], keyword) != 0)
        i++;
    return i;
}

const char *pg_url_get(const struct pg_url *url, const char *keyword)
{
    const uint32_t i = index_of(url, keyword);
    return i < url->count ? url->values[i] : NULL;
}

void pg_url_set(struct pg_url *url, const char *keyword, const char *value)
{
    const uint32_t i = index_of(url, keyword);
    if (i == url->count) {
        CHECK(url->count < PG_URL_PARAMS_MAX);
        url->count++;
    }
    url->keywords[i] = keyword;
    url->values[i] = value;
}

static bool is_numeric(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* libpq's rule: a path, or a name in the abstract namespace. */
static bool is_socket_path(const char *host)
{
    return host[0] == '/' || host[0] == '@';
}

const char *pg_url_name(const struct pg_url *url)
{
    const char *host = pg_url_get(url, "host");
    if (pg_url_get(url, "hostaddr") != NULL || host == NULL || is_numeric(host) ||
        is_socket_path(host))
        return NULL;
    return host;
}

static bool names_several_hosts(const struct pg_url *url)
{
    static const char *const LISTS[] = {"host", "hostaddr", "port"};
    for (size_t i = 0; i < sizeof(LISTS) / sizeof(LISTS[0]); i++) {
        const char *value = pg_url_get(url, LISTS[i]);
        if (value != NULL && strchr(value, ',') != NULL)
            return true;
    }
    return false;
}

static bool is_port(const char *text)
{
    uint64_t port;
    return span_parse_u64(span_of(text), PORT_MAX, &port) && port > 0;
}

static enum err check(const struct pg_url *url, bool tls_required, struct buf *why)
{
    const char *host = pg_url_get(url, "host"), *hostaddr = pg_url_get(url, "hostaddr");
    const char *sslmode = pg_url_get(url, "sslmode"), *port = pg_url_get(url, "port");

    if (pg_url_get(url, "service") != NULL)
        return refuse(why, "a service file is not supported");
    if (names_several_hosts(url))
        return refuse(why, "it must name one host");
    if (host == NULL && hostaddr == NULL)
        return refuse(why, "it names no host");
    if (hostaddr != NULL && !is_numeric(hostaddr))
        return refuse(why, "hostaddr is not a numeric address");
    if (port != NULL && !is_port(port))
        return refuse(why, "its port is not in 1..65535");
    if (host != NULL && strlen(host) >= PG_DNS_HOST_MAX)
        return refuse(why, "its host name is too long");
    if (pg_url_get(url, "user") == NULL)
        return refuse(why, "it names no user");
    if (tls_required && (sslmode == NULL || strcmp(sslmode, "verify-full") != 0))
        return refuse(why, "sslmode must be verify-full (DATABASE_TLS_INSECURE=1 to do without)");
    if (tls_required && pg_url_get(url, "sslrootcert") == NULL)
        return refuse(why, "sslmode=verify-full needs sslrootcert");
    return ERR_OK;
}

bool pg_url_tls_required(const struct config *config)
{
    return !config_is_dev(config) && !config->database_tls_insecure;
}

enum err pg_url_check(const char *database_url, bool tls_required, struct buf *why)
{
    struct pg_url url;
    enum err err = pg_url_parse(&url, database_url, why);
    if (err != ERR_OK)
        return err;
    err = check(&url, tls_required, why);
    pg_url_close(&url);
    return err;
}

static void add_session_options(struct pg_url *url, const struct pg_pool_config *config)
{
    const char *given = pg_url_get(url, "options");
    struct buf options;

    buf_init(&options, url->options, sizeof(url->options));
    if (given != NULL)
        buf_addf(&options, "%s ", given);
    /* The last one wins, so ours come last. client_connection_check_interval ends a statement whose
     * connection we had to cut; one generic plan per statement keeps planning out of the budget. */
    buf_addf(&options,
             "-c statement_timeout=%u -c lock_timeout=%u "
             "-c idle_in_transaction_session_timeout=500 -c client_connection_check_interval=100 "
             "-c plan_cache_mode=force_generic_plan -c jit=off",
             (unsigned)config->statement_timeout_ms, (unsigned)config->lock_timeout_ms);
    buf_add_char(&options, '\0');
    CHECK(!options.overflow);
    pg_url_set(url, "options", url->options);
}

void pg_url_complete(struct pg_url *url, const char *address, const struct pg_pool_config *config)
{
    const char *host = pg_url_get(url, "host");

    for (size_t i = 0; i < sizeof(DEFAULTS) / sizeof(DEFAULTS[0]); i++) {
        if (pg_url_get(url, DEFAULTS[i][0]) == NULL)
            pg_url_set(url, DEFAULTS[i][0], DEFAULTS[i][1]);
    }
    for (size_t i = 0; i < sizeof(FIXED) / sizeof(FIXED[0]); i++)
        pg_url_set(url, FIXED[i][0], FIXED[i][1]);
    pg_url_set(url, "application_name", config->application_name);
    add_session_options(url, config);

    /* With hostaddr libpq resolves nothing; host stays for the certificate. */
    if (address == NULL && host != NULL && is_numeric(host))
        address = host;
    if (address != NULL && pg_url_get(url, "hostaddr") == NULL)
        pg_url_set(url, "hostaddr", address);
    if (pg_url_get(url, "dbname") == NULL)
        pg_url_set(url, "dbname", pg_url_get(url, "user"));
    url->keywords[url->count] = NULL;
    url->values[url->count] = NULL;
}
