/*
 * answer: one HTTP/1.1 answer as it arrives on a load client's connection.
 *
 * Understands what the service and hello send: a status line, headers, Content-Length. An answer
 * framed otherwise is ANSWER_BAD: a client that guesses measures nothing.
 */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_HEAD_MAX = 2048, STATUS_MAX = 600 };

enum answer_state {
    ANSWER_MORE,   /* not complete; read again when there is more */
    ANSWER_WHOLE,  /* complete; status and closes are valid */
    ANSWER_CLOSED, /* the peer closed or reset before the answer was complete */
    ANSWER_BAD,    /* not an answer we understand */
};

struct answer {
    uint16_t status;
    bool closes; /* the peer said Connection: close */
    bool head_is_read;
    uint32_t head_len; /* of what head[] holds: the head, and behind it what came of the body */
    uint32_t body_at;  /* where in head[] the body begins, once the head is read */
    uint64_t body_len, body_left;
    char head[ANSWER_HEAD_MAX];
};

/* Before each answer of a connection. */
void answer_begin(struct answer *answer);
/* One recv. A blocking descriptor waits for bytes. */
enum answer_state answer_read(struct answer *answer, int fd);
/* The body of a whole answer, body_len bytes; NULL when head and body did not fit. Lives until
 * answer_begin(). */
const char *answer_body(const struct answer *answer);

/* A connection to 127.0.0.1 with TCP_NODELAY; -1 with errno. Non-blocking: it may still be under
 * way. */
int answer_connect(uint16_t port, bool nonblocking);

#endif
