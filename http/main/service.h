/*
 * service: the composition root of `serve`: builds the parts in the order of their dependency, runs
 * the loop, tears down in reverse.
 */
#ifndef HTTP_MAIN_SERVICE_H
#define HTTP_MAIN_SERVICE_H

#include "core/config.h"

/* *config is valid and stays the caller's; warnings are lines to log once the log is open. Returns
 * the process's exit code. */
int service_run(struct config *config, struct span warnings);

#endif
