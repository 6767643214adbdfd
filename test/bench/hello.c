/*
 * hello: the yardstick. What one thread and one epoll can answer on this machine when there is
 * nothing to decide: no router, no key, no database, a fixed JSON answer of the size of a GET
 * simulate's.
 *
 *   hello PORT        serves on 127.0.0.1 until it is killed
 *
 * Honest, but minimal: keep-alive, split and pipelined requests without a body are answered right;
 * an answer that the socket does not take at once closes the connection.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_MAX = 64, FD_MAX = 16384, BACKLOG = 1024, READ_MAX = 8192 };

#define BODY                                                                                       \
    "{\"transaction_id\":\"txn_1732413806496301\",\"status\":\"approved\","                        \
    "\"processing_time_ms\":\"1.42\",\"region\":\"eu-south-2\","                                   \
    "\"timestamp\":\"2026-11-24T02:03:26.496301Z\"}\n"

static const char ANSWER[] =
    "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n"
    "Content-Length: 154\r\nX-Request-Id: 0192f0c1-a2b3-7c4d-8e9f-a0b1c2d3e4f5\r\n"
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    "Server-Timing: auth;dur=0.01, queue;dur=0.12, db;dur=1.31, total;dur=1.60\r\n\r\n" BODY;
static_assert(sizeof(BODY) - 1 == 154, "what Content-Length says");

/* How much of the blank line that ends a request each descriptor has seen. */
static uint8_t seen[FD_MAX];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_on(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == -1 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) == -1 ||
        listen(fd, BACKLOG) == -1)
        die("listen");
    return fd;
}

static void accept_all(int epoll_fd, int listen_fd)
{
    int fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
        const int one = 1;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= FD_MAX || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == -1 ||
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1) {
            close(fd);
            continue;
        }
        seen[fd] = 0;
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EMFILE)
        die("accept");
}

/* How many requests end in these bytes. */
static unsigned requests_in(int fd, const char *bytes, size_t len)
{
    static const char END[] = "\r\n\r\n";
    unsigned count = 0;
    uint8_t at = seen[fd];
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == END[at])
            at++;
        else
            at = bytes[i] == '\r';
        if (at == sizeof(END) - 1) {
            at = 0;
            count++;
        }
    }
    seen[fd] = at;
    return count;
}

static bool answer(int fd)
{
    char bytes[READ_MAX];
    const ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
    if (got == -1)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    for (unsigned count = requests_in(fd, bytes, (size_t)got); count > 0; count--) {
        if (send(fd, ANSWER, sizeof(ANSWER) - 1, MSG_NOSIGNAL) != sizeof(ANSWER) - 1)
            return false;
    }
    return true;
}

static void serve(int listen_fd)
{
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listen_fd};
    if (epoll_fd == -1 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) == -1)
        die("epoll");
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        const int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        if (count == -1 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            const int fd = events[i].data.fd;
            if (fd == listen_fd)
                accept_all(epoll_fd, listen_fd);
            else if (!answer(fd))
                close(fd);
        }
    }
}

int main(int argc, char **argv)
{
    char *end = NULL;
    const unsigned long port = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
    if (port == 0 || port > UINT16_MAX || *end != '\0') {
        fputs("usage: hello PORT\n", stderr);
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) == -1)
            perror("setrlimit");
    }
    serve(listen_on((uint16_t)port));
}
