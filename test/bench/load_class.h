/*
 * load_class: one kind of load of mixed_load: what it asks, whom, how often, and what came back.
 *
 * Read from one word of the command line and from a script, a file with one request a line:
 *   METHOD <tab> PATH <tab> IDEMPOTENCY KEY <tab> BODY
 * Key and body may be empty. "{n}" in the key becomes the number of the request, so that a short
 * script can be gone through many times and still send each key once.
 */
#ifndef BENCH_LOAD_CLASS_H
#define BENCH_LOAD_CLASS_H

#include "test/bench/answer.h"
#include "test/bench/samples.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { CLASS_REQUEST_MAX = 8 * 1024, CLASS_KEY_MAX = 256, CLASS_DUE_MAX = 1 << 16 };

struct script_line {
    const char *method, *path, *key, *body; /* parts of load_class.text */
};

struct load_class {
    const char *name, *script, *log_path;
    uint16_t port;
    uint32_t connections;
    double rate;                 /* requests per second, due at a Poisson process's times; 0: each
                                     connection sends its next when it has its answer */
    uint64_t think_ns, pause_ns; /* closed loop: before the next request; after no 2xx */
    bool once;                   /* the script is gone through once, then the class has ended */
    char *text;
    struct script_line *lines;
    size_t line_count;
    uint64_t taken; /* requests made of lines so far */
    uint64_t *due;  /* ring of open-loop requests that wait for a connection */
    size_t due_first, due_count;
    double next_ns; /* open loop: when the next request is due */
    struct samples by_status[STATUS_MAX];
    uint64_t offered, broken, late, reopened; /* of the counted time */
    uint64_t answered;
    FILE *log;
};

/* name=TEXT,port=N,script=FILE[,rate=N][,connections=N][,think_ms=N][,pause_ms=N][,once=1]
 * [,log=FILE]; the word is cut up and kept. A mistake ends the program with status 2. */
void load_class_parse(struct load_class *load, char *word);
/* Whether a request is left to take. */
bool load_class_has_next(const struct load_class *load);
/* Writes the next request; returns its length. `key` receives its idempotency key. */
size_t load_class_next(struct load_class *load, const char *api_key,
                       char request[CLASS_REQUEST_MAX], char key[CLASS_KEY_MAX]);
/* An entry of the log, each field ended by a tab: key, status (0: the connection ended),
 * microseconds from the start of the counted time to when it was due (below 0: warm-up), from there
 * to the answer, length of the body; then the body as it is. */
void load_class_log(struct load_class *load, const char *key, const struct answer *answer,
                    int64_t due_ns, uint64_t took_ns);
/* A JSON member of this class. */
void load_class_print(struct load_class *load, double seconds, FILE *out);
void load_class_free(struct load_class *load);

#endif
