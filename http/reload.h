/*
 * reload: SIGHUP. Reads the files of the secrets again: API keys replace each other at once, a changed
 * connection string starts a new epoch of the pool. A file that cannot be read or is not valid keeps
 * what runs, and says so.
 */
#ifndef HTTP_RELOAD_H
#define HTTP_RELOAD_H

#include "core/config.h"
#include "http/api_key.h"
#include "pool/pg_pool.h"

void reload_secrets(struct config *config, struct api_keys *keys, struct pg_pool *pool);

#endif
