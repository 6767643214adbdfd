/*
 * clock: the two times. Monotonic for every duration and deadline, wall only for Date, logs and
 * records.
 *
 * The source can be replaced by a test; production code never does.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include "core/buf.h"

#include <stdint.h>

enum {
    CLOCK_US_PER_MS = 1000,
    CLOCK_US_PER_S = 1000 * 1000,
    CLOCK_HTTP_DATE_LEN = 29, /* "Sun, 06 Nov 1994 08:49:37 GMT" */
};

/* Microseconds of CLOCK_MONOTONIC. */
uint64_t clock_mono_us(void);
/* Microseconds of CLOCK_REALTIME since 1970-01-01 UTC. */
uint64_t clock_wall_us(void);

/* Tests only: a clock in microseconds instead of the kernel's; NULL puts that back. */
typedef uint64_t clock_fn(void);
void clock_replace(clock_fn *mono, clock_fn *wall);

/* "2026-11-24T02:03:26.496301Z" (RFC 3339, UTC) for microseconds since 1970. The length is always
 * this one. */
void clock_add_rfc3339(struct buf *out, uint64_t wall_us);
/* IMF-fixdate of RFC 9110 section 5.6.7 for microseconds since 1970, exactly CLOCK_HTTP_DATE_LEN
 * bytes. */
void clock_add_http_date(struct buf *out, uint64_t wall_us);

#endif
