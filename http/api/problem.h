/*
 * problem: error answers, RFC 9457 application/problem+json, one table of them all.
 *
 * {"type","title","status","detail","instance","error","trace_id"[,"applied"][,"offset"]
 *  [,"errors":[{"pointer"[,"position"],"detail"}]][,"mismatch":[...]][,"state"][,"asked","limit"]}.
 * `error` is the Go service's member: for the two key errors its exact text. "applied" is told
 * where the same request may be sent again: "no", it moved nothing, or "unknown", it may have. The
 * type alone says which.
 */
#ifndef HTTP_API_PROBLEM_H
#define HTTP_API_PROBLEM_H

#include "core/buf.h"
#include "http/server/http_server.h"

#include <stdint.h>

enum problem {
    PROBLEM_MALFORMED_REQUEST, /* 400 */
    PROBLEM_INVALID_JSON,      /* 400 */
    PROBLEM_IDEMPOTENCY_KEY_MISSING,
    PROBLEM_IDEMPOTENCY_KEY_INVALID, /* 400 */
    PROBLEM_API_KEY_MISSING,         /* 401 + WWW-Authenticate */
    PROBLEM_API_KEY_INVALID,         /* 403 */
    PROBLEM_FORCED_OUTCOME_DISABLED, /* 403 */
    PROBLEM_NOT_FOUND,               /* 404 */
    PROBLEM_METHOD_NOT_ALLOWED,      /* 405 + Allow */
    PROBLEM_NOT_ACCEPTABLE,          /* 406 */
    PROBLEM_REQUEST_TIMEOUT,         /* 408 */
    PROBLEM_IDEMPOTENCY_IN_FLIGHT,   /* 409 + Retry-After */
    PROBLEM_WALLET_BUSY,             /* 409 + Retry-After */
    PROBLEM_ALREADY_RESOLVED,        /* 409 */
    PROBLEM_TOO_MANY_STEPS,          /* 409 */
    PROBLEM_LENGTH_REQUIRED,         /* 411 */
    PROBLEM_CONTENT_TOO_LARGE,       /* 413 */
    PROBLEM_URI_TOO_LONG,            /* 414 */
    PROBLEM_UNSUPPORTED_MEDIA_TYPE,  /* 415 + Accept */
    PROBLEM_EXPECTATION_FAILED,      /* 417 */
    PROBLEM_INVALID_PARAMETER,       /* 422 */
    PROBLEM_IDEMPOTENCY_KEY_REUSED,  /* 422 */
    PROBLEM_PAN_DETECTED,            /* 422 */
    PROBLEM_AMOUNT_EXCEEDS_OPEN,     /* 422 */
    PROBLEM_TOO_MANY_FAILURES,       /* 429 + Retry-After */
    PROBLEM_HEADERS_TOO_LARGE,       /* 431 */
    PROBLEM_INTERNAL,                /* 500 */
    PROBLEM_NOT_IMPLEMENTED,         /* 501 */
    PROBLEM_OVERLOADED,              /* 503 + Retry-After */
    PROBLEM_WALLET_UNAVAILABLE,      /* 503 + Retry-After */
    PROBLEM_DATABASE_UNAVAILABLE,    /* 503 + Retry-After */
    PROBLEM_WRONG_REGION,            /* 503 + Retry-After */
    PROBLEM_DEADLINE_EXCEEDED,       /* 504: nothing moved */
    PROBLEM_OUTCOME_UNKNOWN,         /* 504: it may have been applied */
    PROBLEM_VERSION_NOT_SUPPORTED,   /* 505 */
};
enum { PROBLEMS = PROBLEM_VERSION_NOT_SUPPORTED + 1, PROBLEM_ERRORS_MAX = 8 };

struct problem_kind {
    const char *slug; /* last part of type */
    uint16_t status;
    const char *title;
    const char *error;   /* the legacy member */
    const char *headers; /* extra header lines with CRLF, or "" */
};
const struct problem_kind *problem_kind(enum problem problem);
/* What an error of the server's own is called here; status and header lines agree. */
enum problem problem_of_http_error(enum http_error error);

struct problem_error {
    const char *pointer; /* JSON pointer or query parameter name; "": the whole of it */
    const char *detail;
    const char *instead; /* what was found there, in words; NULL: not told */
    uint32_t position;   /* which one of the query's parameters, from 1; 0: not told */
};

/* What this occurrence adds; zeroed is fine. Literals only: input never goes into an error answer,
 * but for an amount that was read as a number. */
struct problem_details {
    const char *detail; /* NULL: the first of the errors, or what every such problem says */
    bool has_offset;    /* of a body that cannot be read: the bytes read when that was found */
    size_t offset;
    struct problem_error errors[PROBLEM_ERRORS_MAX];
    uint32_t error_count;
    const char *mismatch;    /* field name, NULL: none */
    const char *mismatch_or; /* it may be this one that differs; NULL: it is not */
    const char *state;       /* of the hold, NULL: not told */
    bool has_limit; /* of an amount: what was asked for, and the most that could have been */
    int64_t asked_minor, limit_minor;
    struct span headers; /* more header lines */
    bool close;
};

/* Writes the JSON object and a line feed. instance is the request's path (escaped), empty: left
 * out. */
void problem_write(struct buf *out, enum problem problem, const struct problem_details *details,
                   struct span instance, const char *trace_id);
/* The server's format_error; note is a struct access_note. */
struct span problem_format_error(const struct http_error_report *report, struct buf *body,
                                 void *note);
/* Answers the exchange with it, notes the slug for the log. */
void problem_respond(struct http_exchange *exchange, enum problem problem,
                     const struct problem_details *details);

#endif
