/*
 * transport: the seam under a connection. Plain TCP here; TLS is another table of the same
 * functions.
 *
 * A table is all code: what it needs to open one (certificates, a seed) is its context, which the
 * listener holds; what it keeps for one connection is a struct transport, which the connection
 * owns from open() to close(). The descriptor is the connection's and is passed to every call.
 *
 *   open -> handshake (again after each WANT_*) -> read, write, pending.. -> [end] -> close
 *
 * WANT_READ and WANT_WRITE name what the descriptor must be ready for before the same call is made
 * again, whichever call said it. Readiness of the descriptor tells nothing about bytes that the
 * transport took from it and did not hand out: those are pending().
 */
#ifndef HTTP_SERVER_TRANSPORT_H
#define HTTP_SERVER_TRANSPORT_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

/* What an I/O step needs before it can go on. */
enum transport_status {
    TRANSPORT_OK,
    TRANSPORT_WANT_READ,
    TRANSPORT_WANT_WRITE,
    TRANSPORT_END,   /* the peer sends no more (read), orderly */
    TRANSPORT_FAILED /* reset, or protocol error: close */
};

struct transport; /* the implementation's state of one connection; NULL where it keeps none */

struct transport_ops {
    const char *name; /* "tcp" "tls" */
    /* Takes on a connected descriptor. TRANSPORT_FAILED: no memory; nothing is left to close. */
    enum transport_status (*open)(void *context, int fd, struct transport **transport);
    enum transport_status (*handshake)(struct transport *transport, int fd);
    /* *count bytes, at least one, with TRANSPORT_OK only. */
    enum transport_status (*read)(struct transport *transport, int fd, char *data, size_t room,
                                  size_t *count);
    enum transport_status (*write)(struct transport *transport, int fd, const char *data,
                                   size_t size, size_t *count);
    /* Bytes it holds ready, which epoll cannot see: read() gives them without the descriptor. */
    size_t (*pending)(const struct transport *transport);
    /* Orderly end of our side, best effort; at most once, at any time after open(). */
    void (*end)(struct transport *transport, int fd);
    /* Frees what open() made; the descriptor is left alone. Once. */
    void (*close)(struct transport *transport, int fd);
};

extern const struct transport_ops TRANSPORT_TCP; /* context: none */

#endif
