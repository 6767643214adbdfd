#include "transport_jitter.h"

#include "core/log.h"
#include "core/secret.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { HOLD_BYTES = 64, HANDSHAKE_STEPS_MAX = 3 };

struct transport {
    struct jitter *jitter;
    unsigned held, at; /* hold[at .. held) is pending */
    unsigned steps;    /* of the handshake */
    char hold[HOLD_BYTES];
};

static void choose_seed(struct jitter *jitter)
{
    const char *given = getenv("JITTER_SEED");
    if (given == NULL || !span_parse_u64(span_of(given), UINT64_MAX, &jitter->seed) ||
        jitter->seed == 0) {
        uint32_t seed = 0;
        secret_random(&seed, sizeof seed);
        jitter->seed = (uint64_t)seed + 1;
    }
    log_info("transport_jitter", LOG_U64("seed", jitter->seed));
}

/* splitmix64: 0 .. bound-1 */
static uint64_t pick(struct jitter *jitter, uint64_t bound)
{
    jitter->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = jitter->state;
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return (mixed ^ mixed >> 31) % bound;
}

static bool one_in(struct jitter *jitter, uint64_t n)
{
    return pick(jitter, n) == 0;
}

/* As much, or a part of it, of at least one byte. */
static size_t part_of(struct jitter *jitter, size_t size)
{
    return one_in(jitter, 2) ? size : (size_t)pick(jitter, size) + 1;
}

/* Waiting for input is honest only if there is some: nobody may send more before we go on. */
static bool input_is_there(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

static enum transport_status jitter_open(void *context, int fd, struct transport **transport)
{
    static struct jitter of_process;
    (void)fd;
    struct jitter *jitter = context == NULL ? &of_process : context;
    if (jitter->seed == 0)
        choose_seed(jitter);
    if (jitter->state == 0)
        jitter->state = jitter->seed;
    *transport = calloc(1, sizeof **transport);
    if (*transport == NULL)
        return TRANSPORT_FAILED;
    (*transport)->jitter = jitter;
    jitter->open++;
    return TRANSPORT_OK;
}

static enum transport_status jitter_handshake(struct transport *transport, int fd)
{
    if (transport->steps++ == HANDSHAKE_STEPS_MAX || one_in(transport->jitter, 2))
        return TRANSPORT_OK;
    return one_in(transport->jitter, 2) && input_is_there(fd) ? TRANSPORT_WANT_READ
                                                              : TRANSPORT_WANT_WRITE;
}

static size_t jitter_pending(const struct transport *transport)
{
    return transport->held - transport->at;
}

static size_t hand_out(struct transport *transport, char *data, size_t room)
{
    const size_t held = jitter_pending(transport);
    const size_t count = part_of(transport->jitter, held < room ? held : room);
    for (size_t i = 0; i < count; i++)
        data[i] = transport->hold[transport->at++];
    return count;
}

static enum transport_status jitter_read(struct transport *transport, int fd, char *data,
                                         size_t room, size_t *count)
{
    struct jitter *jitter = transport->jitter;
    if (jitter_pending(transport) > 0) {
        *count = hand_out(transport, data, room);
        return TRANSPORT_OK;
    }
    if (one_in(jitter, 6))
        return TRANSPORT_WANT_WRITE;
    if (one_in(jitter, 6))
        return TRANSPORT_WANT_READ;
    if (one_in(jitter, 2))
        return TRANSPORT_TCP.read(NULL, fd, data, part_of(jitter, room), count);
    size_t held = 0;
    const enum transport_status status =
        TRANSPORT_TCP.read(NULL, fd, transport->hold, part_of(jitter, HOLD_BYTES), &held);
    if (status != TRANSPORT_OK)
        return status;
    transport->held = (unsigned)held;
    transport->at = 0;
    *count = hand_out(transport, data, room);
    return TRANSPORT_OK;
}

static enum transport_status jitter_write(struct transport *transport, int fd, const char *data,
                                          size_t size, size_t *count)
{
    struct jitter *jitter = transport->jitter;
    if (one_in(jitter, 6))
        return TRANSPORT_WANT_WRITE;
    if (one_in(jitter, 6) && input_is_there(fd))
        return TRANSPORT_WANT_READ;
    return TRANSPORT_TCP.write(NULL, fd, data, part_of(jitter, size), count);
}

static void jitter_end(struct transport *transport, int fd)
{
    (void)transport;
    TRANSPORT_TCP.end(NULL, fd);
}

static void jitter_close(struct transport *transport, int fd)
{
    (void)fd;
    transport->jitter->open--;
    free(transport);
}

const struct transport_ops TRANSPORT_JITTER = {
    .name = "jitter",
    .open = jitter_open,
    .handshake = jitter_handshake,
    .read = jitter_read,
    .write = jitter_write,
    .pending = jitter_pending,
    .end = jitter_end,
    .close = jitter_close,
};
