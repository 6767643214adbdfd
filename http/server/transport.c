#include "http/server/transport.h"

#include <errno.h>
#include <sys/socket.h>

static enum transport_status tcp_open(void *context, int fd, struct transport **transport)
{
    (void)context;
    (void)fd;
    *transport = NULL;
    return TRANSPORT_OK;
}

static enum transport_status tcp_handshake(struct transport *transport, int fd)
{
    (void)transport;
    (void)fd;
    return TRANSPORT_OK;
}

static enum transport_status tcp_read(struct transport *transport, int fd, char *data, size_t room,
                                      size_t *count)
{
    (void)transport;
    ssize_t got;
    do
        got = recv(fd, data, room, 0);
    while (got == -1 && errno == EINTR);
    if (got > 0) {
        *count = (size_t)got;
        return TRANSPORT_OK;
    }
    if (got == 0)
        return TRANSPORT_END;
    return errno == EAGAIN || errno == EWOULDBLOCK ? TRANSPORT_WANT_READ : TRANSPORT_FAILED;
}

static enum transport_status tcp_write(struct transport *transport, int fd, const char *data,
                                       size_t size, size_t *count)
{
    (void)transport;
    ssize_t sent;
    do
        sent = send(fd, data, size, MSG_NOSIGNAL);
    while (sent == -1 && errno == EINTR);
    if (sent >= 0) {
        *count = (size_t)sent;
        return TRANSPORT_OK;
    }
    /* ENOBUFS, ENOMEM: the kernel is short for a moment; the write deadline bounds the wait. */
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM
               ? TRANSPORT_WANT_WRITE
               : TRANSPORT_FAILED;
}

static size_t tcp_pending(const struct transport *transport)
{
    (void)transport;
    return 0;
}

static void tcp_end(struct transport *transport, int fd)
{
    (void)transport;
    (void)shutdown(fd, SHUT_WR); /* ENOTCONN: the peer was faster */
}

static void tcp_close(struct transport *transport, int fd)
{
    (void)transport;
    (void)fd;
}

const struct transport_ops TRANSPORT_TCP = {
    .name = "tcp",
    .open = tcp_open,
    .handshake = tcp_handshake,
    .read = tcp_read,
    .write = tcp_write,
    .pending = tcp_pending,
    .end = tcp_end,
    .close = tcp_close,
};
