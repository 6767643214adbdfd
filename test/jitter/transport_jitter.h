/*
 * transport_jitter: TCP made as awkward as the seam allows, at random but repeatable.
 *
 * Handshakes that take several steps, WANT_READ and WANT_WRITE from any call, short reads and
 * writes, and bytes that it took from the descriptor and holds back (pending). It never lies: what
 * it wants is or becomes ready, and what it holds is told. For tests only.
 */
#ifndef TEST_JITTER_TRANSPORT_JITTER_H
#define TEST_JITTER_TRANSPORT_JITTER_H

#include "http/server/transport.h"

/* The context of a listener. Zeroed memory is a generator that chooses its own seed at first use,
 * or takes it from JITTER_SEED, and logs it. */
struct jitter {
    uint64_t seed;  /* 0: to be chosen */
    uint64_t state; /* of the generator */
    unsigned open;  /* transports that are not closed */
};

/* context: a struct jitter; NULL: one of the process. */
extern const struct transport_ops TRANSPORT_JITTER;

#endif
