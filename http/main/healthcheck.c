#include "http/main/healthcheck.h"

#include "core/buf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static bool healthcheck_ask(int fd)
{
    const struct span request = SPAN("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                     "Connection: close\r\n\r\n");
    const struct span success = SPAN("HTTP/1.1 200 ");
    char answer[64];
    size_t filled = 0;
    if (send(fd, request.ptr, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
        return false;
    while (filled < success.len) {
        const ssize_t count = recv(fd, answer + filled, sizeof(answer) - filled, 0);
        if (count <= 0)
            return false;
        filled += (size_t)count;
    }
    return span_starts_with((struct span){answer, filled}, success);
}

int healthcheck_run(uint16_t port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return 1;
    const struct timeval limit = {.tv_sec = HEALTHCHECK_TIMEOUT_S};
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const bool alive =
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
        connect(fd, (const struct sockaddr *)(const void *)&address, sizeof(address)) == 0 &&
        healthcheck_ask(fd);
    close(fd);
    return alive ? 0 : 1;
}
