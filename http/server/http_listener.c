/* http_listener: where connections come from; the gate that pauses accepting
 * (http_conn_private.h). */
#include "core/log.h"
#include "http/server/http_conn_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static void watch_all(struct http_server *server, uint32_t events)
{
    for (uint32_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].io.fd != -1)
            reactor_watch(server->reactor, &server->listeners[i].io, events);
    }
}

void http_listener_pause(struct http_server *server, uint64_t retry_us)
{
    server->accept_retry_us = retry_us;
    if (server->accept_paused)
        return;
    server->accept_paused = true;
    server->stats.accept_pauses_total++;
    http_server_arm_sweep(server);
    watch_all(server, 0);
}

void http_listener_resume(struct http_server *server)
{
    server->accept_paused = false;
    watch_all(server, REACTOR_READ);
}

static void write_peer(const union address *address, char peer[INET6_ADDRSTRLEN])
{
    peer[0] = '\0';
    if (address->any.sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, peer, INET6_ADDRSTRLEN);
    else if (address->any.sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, peer, INET6_ADDRSTRLEN);
}

/* Out of descriptors or memory: level-triggered readiness would burn the processor, so rest a
 * while. */
static void pause_for_shortage(struct http_server *server, int error)
{
    const uint64_t now_us = reactor_now_us(server->reactor);
    if (server->accept_logged_us == 0 || now_us - server->accept_logged_us >= CLOCK_US_PER_S) {
        server->accept_logged_us = now_us;
        log_warn("http_accept_failed", LOG_I64("errno", error),
                 LOG_U64("pauses", server->stats.accept_pauses_total));
    }
    http_listener_pause(server, now_us + HTTP_ACCEPT_RETRY_US);
}

/* False: nothing more to take now. */
static bool accept_one(struct http_listener *listener)
{
    struct http_server *server = listener->server;
    union address address = {0};
    socklen_t len = sizeof address;
    const int fd = accept4(listener->io.fd, &address.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd == -1) {
        switch (errno) {
        case EAGAIN:
            return false;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            pause_for_shortage(server, errno);
            return false;
        default: /* EINTR, or an error of the one connection (accept(2)): the next may be well */
            return true;
        }
    }
    struct http_socket socket = {
        .fd = fd, .peer_key = http_peer_key(&address.any), .listener = listener};
    if (!http_crowd_make_slot(server, socket.peer_key)) {
        close(fd);
        server->stats.accepted_total++;
        server->stats.closed_total[HTTP_CLOSE_PEER_SHARE]++;
        return true;
    }
    write_peer(&address, socket.peer);
    if (!http_conn_open(server, &socket)) {
        close(fd);
        pause_for_shortage(server, ENOMEM);
        return false;
    }
    return true;
}

static void on_acceptable(struct reactor_io *io, uint32_t events)
{
    (void)events;
    struct http_listener *listener = container_of(io, struct http_listener, io);
    for (unsigned i = 0; i < HTTP_ACCEPTS_PER_WAKE; i++) {
        if (!http_crowd_may_accept(listener->server)) {
            http_listener_pause(listener->server, 0);
            return;
        }
        if (!accept_one(listener))
            return;
    }
}

static bool parse_address(const char *text, uint16_t port, union address *address, socklen_t *len)
{
    *address = (union address){0};
    if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        *len = sizeof address->v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(port);
        *len = sizeof address->v6;
        return true;
    }
    return false;
}

/* -1: errno tells. The options are inherited by what is accepted, which saves calls for each. The
 * send buffer is bounded: the kernel's own limit is megabytes for each client that never reads. */
static int open_socket(const union address *address, socklen_t len)
{
    const int on = 1, send_bytes = HTTP_SEND_BUFFER_BYTES;
    const int fd =
        socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd == -1)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes) == -1 ||
        bind(fd, &address->any, len) == -1 || listen(fd, HTTP_BACKLOG) == -1) {
        const int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    union address address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) == -1)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* Binds and accepts. ERR_SYSTEM: errno tells, and the port is free again. */
static enum err start_accepting(struct http_listener *listener,
                                const struct http_listener_config *config)
{
    union address bound;
    socklen_t len = 0;
    if (!parse_address(config->address, config->port, &bound, &len))
        return ERR_INVALID;
    const int fd = open_socket(&bound, len);
    if (fd == -1)
        return ERR_SYSTEM;
    listener->io.fd = fd;
    listener->port = bound_port(fd);
    if (reactor_add(listener->server->reactor, &listener->io, REACTOR_READ) == ERR_OK)
        return ERR_OK;
    const int error = errno;
    close(fd);
    errno = error;
    return ERR_SYSTEM;
}

enum err http_server_listen(struct http_server *server, const struct http_listener_config *config)
{
    CHECK(server->listener_count < HTTP_LISTENERS_MAX);
    struct http_listener *listener = &server->listeners[server->listener_count];
    *listener = (struct http_listener){.io = {.fd = -1, .on_ready = on_acceptable},
                                       .server = server,
                                       .ops = config->transport,
                                       .context = config->transport_context};
    const enum err err = config->address == NULL ? ERR_OK : start_accepting(listener, config);
    if (err != ERR_OK)
        return err;
    http_router_init(&listener->router, config->routes, config->route_count, &server->counts);
    server->listener_count++;
    return ERR_OK;
}

uint16_t http_server_port(const struct http_server *server, uint32_t listener)
{
    CHECK(listener < server->listener_count);
    return server->listeners[listener].port;
}

static void close_listener(struct http_server *server, struct http_listener *listener)
{
    /* A client in the backlog believes it is connected: it is served, not cut. */
    for (unsigned taken = 0; taken < HTTP_BACKLOG; taken++) {
        if (server->accept_paused || !http_crowd_may_accept(server) || !accept_one(listener))
            break;
    }
    const int fd = listener->io.fd;
    reactor_remove(server->reactor, &listener->io);
    close(fd);
}

void http_listener_close_all(struct http_server *server)
{
    for (uint32_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].io.fd != -1)
            close_listener(server, &server->listeners[i]);
    }
    server->accept_paused = false;
}
