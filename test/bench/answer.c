#include "test/bench/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STATUS_AT = 9, STATUS_LINE_MIN = 13 }; /* "HTTP/1.1 200 " */

void answer_begin(struct answer *answer)
{
    answer->status = 0;
    answer->closes = false;
    answer->head_is_read = false;
    answer->head_len = 0;
    answer->body_at = 0;
    answer->body_len = 0;
    answer->body_left = 0;
}

/* The value of a header line, NULL when this line is another. */
static const char *value_of(const char *line, const char *name)
{
    const size_t len = strlen(name);
    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    line += len + 1;
    return line + strspn(line, " \t");
}

/* Reads status, length and Connection from the NUL-terminated head. */
static bool parse_head(struct answer *answer)
{
    char *end;
    bool has_length = false;
    if (strncmp(answer->head, "HTTP/1.1 ", STATUS_AT) != 0 ||
        strlen(answer->head) < STATUS_LINE_MIN)
        return false;
    const unsigned long status = strtoul(answer->head + STATUS_AT, &end, 10);
    if (status < 200 || status >= STATUS_MAX || *end != ' ')
        return false;
    answer->status = (uint16_t)status;
    for (const char *line = strstr(answer->head, "\r\n"); line != NULL;
         line = strstr(line, "\r\n")) {
        line += 2;
        const char *value;
        if ((value = value_of(line, "Content-Length")) != NULL) {
            answer->body_left = strtoull(value, NULL, 10);
            has_length = true;
        } else if ((value = value_of(line, "Connection")) != NULL) {
            answer->closes = strncasecmp(value, "close", strlen("close")) == 0;
        }
    }
    return has_length || status == 204 || status == 304;
}

/* More bytes of the head, perhaps with the start of the body behind it. */
static enum answer_state take_head(struct answer *answer, uint32_t got)
{
    const uint32_t len = answer->head_len + got;
    answer->head_len = len;
    answer->head[len] = '\0';
    char *end = strstr(answer->head, "\r\n\r\n");
    if (end == NULL)
        return len == ANSWER_HEAD_MAX - 1 ? ANSWER_BAD : ANSWER_MORE;
    const uint64_t body = len - (uint64_t)(end + 4 - answer->head);
    *end = '\0';
    if (!parse_head(answer) || body > answer->body_left)
        return ANSWER_BAD;
    answer->head_is_read = true;
    answer->body_at = (uint32_t)(end + 4 - answer->head);
    answer->body_len = answer->body_left;
    answer->body_left -= body;
    return answer->body_left == 0 ? ANSWER_WHOLE : ANSWER_MORE;
}

/* More bytes of the body, in head[] behind the others when they are kept. */
static enum answer_state take_body(struct answer *answer, uint32_t got, bool is_kept)
{
    if (got > answer->body_left)
        return ANSWER_BAD;
    answer->body_left -= got;
    answer->head_len += is_kept ? got : 0;
    return answer->body_left == 0 ? ANSWER_WHOLE : ANSWER_MORE;
}

enum answer_state answer_read(struct answer *answer, int fd)
{
    char scrap[4096];
    const uint32_t room = ANSWER_HEAD_MAX - 1 - answer->head_len;
    const bool is_kept = !answer->head_is_read || answer->body_left <= room;
    const ssize_t got = recv(fd, is_kept ? answer->head + answer->head_len : scrap,
                             is_kept ? room : sizeof(scrap), 0);
    if (got == -1)
        return errno == EAGAIN || errno == EINTR ? ANSWER_MORE : ANSWER_CLOSED;
    if (got == 0)
        return ANSWER_CLOSED;
    if (!answer->head_is_read)
        return take_head(answer, (uint32_t)got);
    return take_body(answer, (uint32_t)got, is_kept);
}

const char *answer_body(const struct answer *answer)
{
    const bool is_whole = answer->head_len - answer->body_at == answer->body_len;
    return answer->head_is_read && is_whole ? answer->head + answer->body_at : NULL;
}

int answer_connect(uint16_t port, bool nonblocking)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1;
    const int fd =
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
    if (fd == -1)
        return -1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0 &&
        (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ||
         (nonblocking && errno == EINPROGRESS)))
        return fd;
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}
