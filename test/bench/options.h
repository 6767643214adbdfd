/*
 * options: what the load clients are told: whom to load, with which request, how much.
 *
 * The clients of this folder share one set of options and each uses what it needs. All talk to
 * 127.0.0.1.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { REQUEST_MAX = 16 * 1024, CONNECTIONS_MAX = 60000, DEPTH_MAX = 4096 };

struct options {
    uint16_t port;
    uint32_t connections;
    double seconds, warmup_s; /* the warm-up comes first and is not part of seconds */
    double rate;              /* open_loop: requests per second */
    uint64_t seed;            /* open_loop: of the arrival times */
    pid_t pid;                /* idle_conns: whose memory */
    double hold_s;            /* idle_conns: how long connections stay after the measurement */
    uint32_t depth;           /* flood: requests under way on each connection */
    double renew_s;           /* flood: age at which a connection gives way to another; 0: none */
    bool silent;              /* flood: never reads */
    const char *from;         /* flood: the clients' own address */
    char request[REQUEST_MAX];
    size_t request_len;
};

/* Fills *options or says what is wrong and ends the program with status 2. */
void options_parse(struct options *options, int argc, char **argv);
/* Lets this process open as many descriptors as it may. */
void options_raise_descriptors(void);
/* perror and exit 1: a load client that cannot go on has no result. */
_Noreturn void options_die(const char *what);

#endif
