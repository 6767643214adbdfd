/*
 * scripted_transport: TCP that does what a test tells it: one answer after the other from a script,
 * and, as a hoarder, taking all that has come and handing it out in small pieces.
 */
#ifndef TEST_SCRIPTED_TRANSPORT_H
#define TEST_SCRIPTED_TRANSPORT_H

#include "http/server/transport.h"

#include <stdbool.h>

enum { SCRIPT_STEPS_MAX = 8, SCRIPT_HOARD_BYTES = 64 * 1024 };

/* What the next calls return; past the end it is TRANSPORT_OK, by which the call is really done. */
struct script {
    enum transport_status steps[SCRIPT_STEPS_MAX];
    unsigned count, at;
};

/* The listener's context. Zeroed: plain TCP. One connection at a time may be a hoarder's. */
struct scripted {
    struct script handshake, read, write;
    bool open_fails;
    bool hoards;      /* every call first takes what the descriptor holds */
    bool secretive;   /* what it holds is no use before the next read: it is not pending */
    size_t piece_max; /* bytes of one read or write; 0: no limit */
    unsigned opened, ended, closed;
    size_t held, given;
    char hoard[SCRIPT_HOARD_BYTES];
};

/* Appends a step. */
void script_add(struct script *script, enum transport_status step);

extern const struct transport_ops TRANSPORT_SCRIPTED;

#endif
