/*
 * pg_url (private to pool/): a connection string taken apart, checked, and completed for a connect
 * that never blocks.
 *
 * Owns the parsed parts, among them the password, until pg_url_close(), which wipes them. Promises
 * that libpq gets every parameter it would otherwise look for in files or in the password database;
 * no message quotes the string. Asks no resolver and opens no file.
 */
#ifndef POOL_PG_URL_PRIVATE_H
#define POOL_PG_URL_PRIVATE_H

#include "core/buf.h"
#include "core/check.h"
#include "core/err.h"
#include "pool/pg_pool.h"

#include <stdint.h>

enum {
    PG_URL_PARAMS_MAX = 64,           /* libpq knows about 45 */
    PG_URL_OPTIONS_MAX = 512,         /* of the string itself */
    PG_URL_SESSION_OPTIONS_MAX = 512, /* added by pg_url_complete */
};

struct pg_url {
    void *parsed; /* libpq's options; most values point into it */
    uint32_t count;
    const char *keywords[PG_URL_PARAMS_MAX + 1], *values[PG_URL_PARAMS_MAX + 1];
    char options[PG_URL_OPTIONS_MAX + PG_URL_SESSION_OPTIONS_MAX];
};

/* ERR_INVALID: *why, which may be NULL, gets the reason; *url needs no close then. */
MUST_USE enum err pg_url_parse(struct pg_url *url, const char *text, struct buf *why);
void pg_url_close(struct pg_url *url);

/* NULL when not given. */
const char *pg_url_get(const struct pg_url *url, const char *keyword);
/* Replaces or appends; the strings are borrowed until pg_url_close. */
void pg_url_set(struct pg_url *url, const char *keyword, const char *value);
/* The name that needs a resolver; NULL for a numeric address or a socket path. */
const char *pg_url_name(const struct pg_url *url);
/* Adds what every connection of ours has. address: of pg_url_name(); NULL where there is no name.
 * keywords and values are ready for PQconnectStartParams then. */
void pg_url_complete(struct pg_url *url, const char *address, const struct pg_pool_config *config);

#endif
