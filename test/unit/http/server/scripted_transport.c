#include "scripted_transport.h"

#include "core/check.h"

#include <string.h>

static struct scripted *of(struct transport *transport)
{
    return (struct scripted *)(void *)transport;
}

void script_add(struct script *script, enum transport_status step)
{
    CHECK(script->count < SCRIPT_STEPS_MAX);
    script->steps[script->count++] = step;
}

static enum transport_status next(struct script *script)
{
    return script->at == script->count ? TRANSPORT_OK : script->steps[script->at++];
}

static size_t limited(const struct scripted *scripted, size_t size)
{
    return scripted->piece_max > 0 && size > scripted->piece_max ? scripted->piece_max : size;
}

/* Takes what the descriptor holds; false: nothing is held. */
static bool take(struct scripted *scripted, int fd)
{
    size_t count = 0;
    while (scripted->held < SCRIPT_HOARD_BYTES &&
           TRANSPORT_TCP.read(NULL, fd, scripted->hoard + scripted->held,
                              SCRIPT_HOARD_BYTES - scripted->held, &count) == TRANSPORT_OK)
        scripted->held += count;
    return scripted->held > scripted->given;
}

static enum transport_status scripted_open(void *context, int fd, struct transport **transport)
{
    struct scripted *scripted = context;
    (void)fd;
    if (scripted->open_fails)
        return TRANSPORT_FAILED;
    scripted->opened++;
    scripted->held = scripted->given = 0;
    *transport = (struct transport *)context;
    return TRANSPORT_OK;
}

static enum transport_status scripted_handshake(struct transport *transport, int fd)
{
    struct scripted *scripted = of(transport);
    if (scripted->hoards && !take(scripted, fd))
        return TRANSPORT_WANT_READ;
    return next(&scripted->handshake);
}

static enum transport_status scripted_read(struct transport *transport, int fd, char *data,
                                           size_t room, size_t *count)
{
    struct scripted *scripted = of(transport);
    const bool holds = scripted->hoards && take(scripted, fd);
    const enum transport_status status = next(&scripted->read);
    if (status != TRANSPORT_OK)
        return status;
    if (!holds)
        return TRANSPORT_TCP.read(NULL, fd, data, limited(scripted, room), count);
    const size_t here = scripted->held - scripted->given;
    *count = limited(scripted, here < room ? here : room);
    memcpy(data, scripted->hoard + scripted->given, *count);
    scripted->given += *count;
    if (scripted->given == scripted->held)
        scripted->held = scripted->given = 0;
    return TRANSPORT_OK;
}

static enum transport_status scripted_write(struct transport *transport, int fd, const char *data,
                                            size_t size, size_t *count)
{
    struct scripted *scripted = of(transport);
    const enum transport_status status = next(&scripted->write);
    if (status != TRANSPORT_OK)
        return status;
    return TRANSPORT_TCP.write(NULL, fd, data, limited(scripted, size), count);
}

static size_t scripted_pending(const struct transport *transport)
{
    const struct scripted *scripted = (const struct scripted *)(const void *)transport;
    return scripted->secretive ? 0 : scripted->held - scripted->given;
}

static void scripted_end(struct transport *transport, int fd)
{
    of(transport)->ended++;
    TRANSPORT_TCP.end(NULL, fd);
}

static void scripted_close(struct transport *transport, int fd)
{
    (void)fd;
    of(transport)->closed++;
}

const struct transport_ops TRANSPORT_SCRIPTED = {
    .name = "scripted",
    .open = scripted_open,
    .handshake = scripted_handshake,
    .read = scripted_read,
    .write = scripted_write,
    .pending = scripted_pending,
    .end = scripted_end,
    .close = scripted_close,
};
