/*
 * access_log: one line per request, from what the server says when it is finished.
 *
 * Every answer that is not 2xx and every one over ACCESS_LOG_SLOW_US is logged, successes one in
 * ACCESS_LOG_SAMPLE; but never more than ACCESS_LOG_LINES_PER_S_MAX lines a second, so that a flood
 * of refusals cannot fill the disk. What is left out by that bound is counted. A refused key is
 * also an audit line, within the same bound.
 */
#ifndef HTTP_API_ACCESS_LOG_H
#define HTTP_API_ACCESS_LOG_H

#include "http/server/http_server.h"

#include <stdint.h>

enum { ACCESS_LOG_LINES_PER_S_MAX = 200, ACCESS_LOG_SLOW_US = 100 * 1000 };

struct access_log {
    uint32_t sample;       /* one success in n; 0: none */
    uint32_t since_sample; /* successes since the last one that was logged */
    uint64_t second;       /* of the bound below */
    uint32_t lines_in_second;
    uint64_t lines_total, suppressed_total;
};

void access_log_init(struct access_log *log, uint32_t sample);
/* The server's on_finished; owner is the struct access_log; the note is a struct
 * access_note. */
void access_log_finished(void *owner, const struct http_finished *finished);

#endif
