/*
 * idle_conns: what an idle keep-alive connection costs the server in resident memory.
 *
 *   idle_conns --port N --pid PID --connections 5000 [--hold 0] request options
 *
 * A few connections are used and closed first, so that code and libraries are in memory already.
 * Then it reads the resident size of PID, opens the connections with one request each, waits until
 * the size stands still, and prints both sizes and the difference per connection as one JSON
 * object.
 */
#include "test/bench/answer.h"
#include "test/bench/options.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WARM_CONNECTIONS = 64, SETTLE_MS = 100, SETTLE_ROUNDS = 50, SETTLED_ROUNDS = 5 };

static const char RSS[] = "Rss:";

/* Rss of smaps_rollup is counted page by page; VmRSS may lag behind. */
static uint64_t resident_bytes(pid_t pid)
{
    char path[64], line[256];
    uint64_t kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        options_die(path);
    while (kib == 0 && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, RSS, strlen(RSS)) == 0)
            kib = strtoull(line + strlen(RSS), NULL, 10);
    }
    fclose(file);
    return kib * 1024;
}

/* Waits until the size is the same for a while. */
static uint64_t settled_bytes(pid_t pid)
{
    uint64_t last = resident_bytes(pid);
    for (int round = 0, same = 0; round < SETTLE_ROUNDS && same < SETTLED_ROUNDS; round++) {
        poll(NULL, 0, SETTLE_MS);
        const uint64_t bytes = resident_bytes(pid);
        same = bytes == last ? same + 1 : 0;
        last = bytes;
    }
    return last;
}

static int open_and_ask(const struct options *options)
{
    static struct answer answer;
    const int fd = answer_connect(options->port, false);
    if (fd == -1)
        options_die("connect");
    if (send(fd, options->request, options->request_len, MSG_NOSIGNAL) !=
        (ssize_t)options->request_len)
        options_die("send");
    answer_begin(&answer);
    enum answer_state state;
    while ((state = answer_read(&answer, fd)) == ANSWER_MORE)
        continue;
    if (state != ANSWER_WHOLE || answer.status / 100 != 2 || answer.closes) {
        fprintf(stderr, "idle_conns: status %u, or the connection was closed\n", answer.status);
        exit(1);
    }
    return fd;
}

/* How many the server has not closed; a closed one reads as end of file. */
static uint32_t count_open(const int *fds, uint32_t count)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < count; i++) {
        char byte;
        open += recv(fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) == -1 && errno == EAGAIN;
    }
    return open;
}

int main(int argc, char **argv)
{
    static struct options options;
    options_parse(&options, argc, argv);
    options_raise_descriptors();
    if (options.pid == 0) {
        fputs("idle_conns: --pid is missing\n", stderr);
        return 2;
    }
    int *fds = calloc(options.connections, sizeof(*fds));
    if (fds == NULL)
        options_die("start");
    for (int i = 0; i < WARM_CONNECTIONS; i++)
        close(open_and_ask(&options));
    const uint64_t before = settled_bytes(options.pid);
    for (uint32_t i = 0; i < options.connections; i++)
        fds[i] = open_and_ask(&options);
    const uint64_t after = settled_bytes(options.pid);
    const uint32_t open = count_open(fds, options.connections);
    printf("{\"connections\":%u,\"still_open\":%u,\"before_bytes\":%llu,\"after_bytes\":%llu,"
           "\"bytes_per_connection\":%.1f}\n",
           options.connections, open, (unsigned long long)before, (unsigned long long)after,
           ((double)after - (double)before) / options.connections);
    fflush(stdout);
    poll(NULL, 0, (int)(options.hold_s * 1000));
    for (uint32_t i = 0; i < options.connections; i++)
        close(fds[i]);
    free(fds);
    return open == options.connections ? 0 : 1;
}
