/*
 * healthcheck: the subcommand a container runtime runs: one GET /livez to ourselves, by sockets
 * only. May block: it is a process of its own.
 */
#ifndef HTTP_MAIN_HEALTHCHECK_H
#define HTTP_MAIN_HEALTHCHECK_H

#include <stdint.h>

enum { HEALTHCHECK_TIMEOUT_S = 2 };

/* 0: the service on 127.0.0.1:port answered 200; 1: it did not. */
int healthcheck_run(uint16_t port);

#endif
