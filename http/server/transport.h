/*
 * transport: the seam under a connection: handshake, read, write, end. Plain TCP here; TLS is
 * another table of the same four functions.
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

struct transport; /* per-connection state of the TLS implementation; NULL for plain */

struct transport_ops {
    const char *name; /* "tcp" "tls" */
    enum transport_status (*handshake)(struct transport *transport, int fd);
    enum transport_status (*read)(struct transport *transport, int fd, char *data, size_t room,
                                  size_t *count);
    enum transport_status (*write)(struct transport *transport, int fd, const char *data,
                                   size_t size, size_t *count);
    /* Bytes the transport holds decrypted, which epoll cannot see. */
    size_t (*pending)(struct transport *transport);
    void (*end)(struct transport *transport, int fd); /* orderly end of our side, best effort */
};

extern const struct transport_ops TRANSPORT_TCP;

#endif
