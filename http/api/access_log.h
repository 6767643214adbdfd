/*
 * access_log: one line per request, from what the server says when it is finished.
 *
 * Every answer that is not 2xx and every one over ACCESS_LOG_SLOW_US is logged, successes one in
 * ACCESS_LOG_SAMPLE. A refused key is also an audit line. Each kind of line has a bound a second of
 * its own, so that a flood can neither fill the disk nor hide a line of another kind; and of one
 * address without a valid key no more is logged than auth_throttle says. What is left out is
 * counted by its reason, and told in one line a second for each.
 */
#ifndef HTTP_API_ACCESS_LOG_H
#define HTTP_API_ACCESS_LOG_H

#include "core/ip_address.h"
#include "core/reactor.h"
#include "http/server/http_server.h"

#include <stdint.h>

enum { ACCESS_LOG_SLOW_US = 100 * 1000 };

/* Kinds of lines, and with the last one: reasons why a line is left out, each the bound that it
 * would have passed. */
enum access_log_reason {
    ACCESS_LOG_CALLER_FAILED,   /* with a valid key, 5xx */
    ACCESS_LOG_CALLER,          /* with a valid key, all else */
    ACCESS_LOG_STRANGER_FAILED, /* without, 5xx */
    ACCESS_LOG_STRANGER,        /* without, all else */
    ACCESS_LOG_AUTH_FAILURE,    /* the audit line of a refused key */
    ACCESS_LOG_ADDRESS,         /* its address had its share */
};
enum { ACCESS_LOG_REASONS = ACCESS_LOG_ADDRESS + 1 };
/* caller_failed ...: label of access_log_lines_suppressed_total. Static text. */
const char *access_log_reason_name(enum access_log_reason reason);
/* Lines a second of a kind; not of ACCESS_LOG_ADDRESS. */
uint32_t access_log_lines_per_s_max(enum access_log_reason kind);

struct access_log_config {
    struct reactor *reactor;
    const struct ip_networks *trusted; /* TRUSTED_PROXIES */
    uint32_t sample;                   /* one success in n; 0: none */
};

struct access_log {
    struct access_log_config config;
    struct reactor_timer summary;
    uint32_t since_sample; /* successes since the last one that was logged */
    uint64_t second;       /* of the bounds */
    uint32_t lines_in_second[ACCESS_LOG_REASONS];
    uint64_t lines_total;
    uint64_t suppressed_total[ACCESS_LOG_REASONS];
    uint64_t summarised_total[ACCESS_LOG_REASONS]; /* of those, told */
};

/* What config points to is borrowed. Takes one timer while lines are left out. */
void access_log_init(struct access_log *log, const struct access_log_config *config);
/* Tells what is not told yet; nothing is left with the reactor. Zeroed: does nothing. */
void access_log_stop(struct access_log *log);
/* The server's on_finished; owner is the struct access_log; the note is a struct
 * access_note. */
void access_log_finished(void *owner, const struct http_finished *finished);

#endif
