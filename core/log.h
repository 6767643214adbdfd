/*
 * log: JSON lines through fixed rings that never block the loop.
 *
 * Owns the process's rings, so that every file can say what it saw. Audit lines have a ring of
 * their own, refused keys another: no flood of one fills another's, and the audit's go out first. A
 * line that does not fit is dropped and counted. The order of lines is kept within a ring only.
 * Flushing writes only what the descriptor takes at once. Values are
 * escaped (buf_add_json), so input cannot forge a line. Secrets, bodies, raw idempotency keys and
 * query strings are never passed in: the caller's duty, tested by test/integration.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* In order of weight; debug is for one who looks at a running process. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum { LOG_LEVEL_COUNT = LOG_ERROR + 1 };

/* What a line is about, and so which ring it waits in. AUTH is an audit line about a key that was
 * refused: anybody can cause those, so they cannot crowd out the others. */
enum log_category { LOG_LIFECYCLE, LOG_ACCESS, LOG_AUDIT, LOG_AUTH };
/* In the order they are written. */
enum log_ring { LOG_RING_AUDIT, LOG_RING_AUTH, LOG_RING_COMMON };
enum { LOG_RINGS = LOG_RING_COMMON + 1 };

/* END closes a line's fields; NONE is a field that is not written. */
enum log_field_type { LOG_FIELD_END, LOG_FIELD_NONE, LOG_FIELD_U64, LOG_FIELD_I64, LOG_FIELD_SPAN };

/* One named value. name is a literal in OpenTelemetry's spelling: "http.response.status_code". */
struct log_field {
    const char *name;
    enum log_field_type type;
    union {
        uint64_t u64;
        int64_t i64;
        struct span span;
    } value;
};

/* A field of a call below. The bytes are borrowed until the call returns. LOG_NO_FIELDS stands for
 * a field that is not there, or for all of them. */
#define LOG_U64(n, v) ((struct log_field){.name = (n), .type = LOG_FIELD_U64, .value.u64 = (v)})
#define LOG_I64(n, v) ((struct log_field){.name = (n), .type = LOG_FIELD_I64, .value.i64 = (v)})
#define LOG_SPAN(n, v) ((struct log_field){.name = (n), .type = LOG_FIELD_SPAN, .value.span = (v)})
#define LOG_TEXT(n, v) LOG_SPAN(n, span_of(v))
#define LOG_NO_FIELDS ((struct log_field){.type = LOG_FIELD_NONE})

/* What every line carries. Borrowed for the life of the process. */
struct log_identity {
    const char *service, *version, *region, *environment;
};

/* The common ring, each of the audit's, one line with its line feed, and one value before it is
 * escaped. */
enum {
    LOG_RING_BYTES = 256 * 1024,
    LOG_AUDIT_RING_BYTES = 64 * 1024,
    LOG_LINE_BYTES_MAX = 2048,
    LOG_VALUE_BYTES_MAX = 512
};

/* fd is borrowed. Before this call lines go to stderr at once (start-up errors). */
void log_open(int fd, enum log_level least, const struct log_identity *identity);
/* The level's word, as settings spell it: debug info warn error. Static text. */
const char *log_level_word(enum log_level level);
/* False: not one of these words, and *level is left alone. */
MUST_USE bool log_level_parse(struct span word, enum log_level *level);
/* body is the event's stable name. A value longer than LOG_VALUE_BYTES_MAX is cut. Use the macros
 * below. */
void log_write(enum log_level level, enum log_category category, const char *body,
               const struct log_field *fields);
/* Writes what the descriptor takes without blocking; for the reactor's turn hook. */
void log_flush(void);
/* For exit: tries until the rings are empty or max_wait_us is over. */
void log_flush_all(uint64_t max_wait_us);
/* audit auth common: label of log_lines_dropped_total. Static text. */
const char *log_ring_name(enum log_ring ring);
/* How many lines were lost since the start: the ring was full, or the reader was gone. */
uint64_t log_dropped(enum log_ring ring);

/* One line. The arguments after the body are fields, at least one. */
#define LOG_EMIT(level, category, body, ...)                                                       \
    log_write(level, category, body,                                                               \
              (const struct log_field[]){__VA_ARGS__, {.type = LOG_FIELD_END}})
#define log_info(body, ...) LOG_EMIT(LOG_INFO, LOG_LIFECYCLE, body, __VA_ARGS__)
#define log_warn(body, ...) LOG_EMIT(LOG_WARN, LOG_LIFECYCLE, body, __VA_ARGS__)
#define log_error(body, ...) LOG_EMIT(LOG_ERROR, LOG_LIFECYCLE, body, __VA_ARGS__)
#define log_debug(body, ...) LOG_EMIT(LOG_DEBUG, LOG_LIFECYCLE, body, __VA_ARGS__)
#define log_audit(body, ...) LOG_EMIT(LOG_INFO, LOG_AUDIT, body, __VA_ARGS__)
#define log_access(level, ...) LOG_EMIT(level, LOG_ACCESS, "request", __VA_ARGS__)

#endif
