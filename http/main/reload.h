/*
 * reload: new secrets without a restart. Reads the files of the secrets again on SIGHUP, and when a
 * look every SECRETS_WATCH_MS finds that one of them changed (a mounted Kubernetes Secret is
 * replaced behind the same path). API keys replace each other at once, a changed connection string
 * starts a new epoch of the pool. A file that cannot be read or is not valid keeps what runs, and
 * says so.
 */
#ifndef HTTP_MAIN_RELOAD_H
#define HTTP_MAIN_RELOAD_H

#include "core/config.h"
#include "core/reactor.h"
#include "http/api/api_key.h"
#include "pool/payment_store.h"

enum { RELOAD_FILES = 3 };

/* Tells one state of a file from the next; all zero where there is none. */
struct reload_stamp {
    uint64_t inode, size, modified_s, modified_ns;
};

struct reload {
    struct reactor *reactor;
    struct reactor_timer timer;
    struct config *config;
    struct api_keys *keys;
    struct payment_store *store;
    struct reload_stamp stamps[RELOAD_FILES];
};

/* Starts to watch, unless no secret comes from a file or SECRETS_WATCH_MS is 0. All is borrowed
 * until reload_stop(). */
void reload_start(struct reload *reload, struct reactor *reactor, struct config *config,
                  struct api_keys *keys, struct payment_store *store);
void reload_stop(struct reload *reload);
void reload_now(struct reload *reload);

#endif
