#include "core/log.h"

#include "core/clock.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_IDENTITY_BYTES_MAX = 512 };

/* How a line that lost fields ends; room for it is kept free. */
static const char truncated_end[] = ",\"log.truncated\":true}\n";
static const char normal_end[] = "}\n";

static_assert(LOG_LINE_BYTES_MAX <= PIPE_BUF, "a line goes into a pipe in one piece");
static_assert(LOG_LINE_BYTES_MAX >= 1024 + LOG_IDENTITY_BYTES_MAX, "room for fields");

/* Lines wait in bytes[read, write), or after a wrap in bytes[read, end) and then bytes[0, write): a
 * line is never split, so that what is written ends at a line's end. */
struct ring {
    const char *name;
    char *bytes;
    size_t cap, read, write, end;
    bool wrapped;
    uint64_t dropped;
};

static char audit_bytes[LOG_AUDIT_RING_BYTES], auth_bytes[LOG_AUDIT_RING_BYTES];
static char common_bytes[LOG_RING_BYTES];

static struct {
    int fd; /* valid once open */
    bool open, regular_file;
    enum log_level least;
    struct ring *midway; /* a short write ended within one of its lines; NULL: none */
    size_t identity_len;
    char identity[LOG_IDENTITY_BYTES_MAX];
    struct ring rings[LOG_RINGS];
} state = {
    .least = LOG_INFO,
    .rings = {[LOG_RING_AUDIT] = {"audit", audit_bytes, sizeof audit_bytes, 0, 0, 0, false, 0},
              [LOG_RING_AUTH] = {"auth", auth_bytes, sizeof auth_bytes, 0, 0, 0, false, 0},
              [LOG_RING_COMMON] = {"common", common_bytes, sizeof common_bytes, 0, 0, 0, false, 0}},
};

static const struct {
    const char *word;
    enum log_ring ring;
} CATEGORIES[] = {
    [LOG_LIFECYCLE] = {"lifecycle", LOG_RING_COMMON},
    [LOG_ACCESS] = {"access", LOG_RING_COMMON},
    [LOG_AUDIT] = {"audit", LOG_RING_AUDIT},
    [LOG_AUTH] = {"audit", LOG_RING_AUTH},
};

/* At most LOG_VALUE_BYTES_MAX bytes, and not half a UTF-8 sequence at the cut. */
static struct span cut_value(struct span value)
{
    if (value.len <= LOG_VALUE_BYTES_MAX)
        return value;
    value.len = LOG_VALUE_BYTES_MAX;
    for (int i = 0; i < 3 && ((unsigned char)value.ptr[value.len] & 0xC0) == 0x80; i++)
        value.len--;
    return value;
}

/* False, and nothing added, if it does not fit. */
static bool add_field(struct buf *line, const struct log_field *field)
{
    const size_t len_before = line->len;
    if (field->type == LOG_FIELD_NONE)
        return true;
    CHECK(!line->overflow);
    buf_add_text(line, ",\"");
    buf_add_text(line, field->name);
    buf_add_text(line, "\":");
    switch (field->type) {
    case LOG_FIELD_U64:
        buf_add_u64(line, field->value.u64);
        break;
    case LOG_FIELD_I64:
        buf_add_i64(line, field->value.i64);
        break;
    case LOG_FIELD_SPAN:
        buf_add_json(line, cut_value(field->value.span));
        break;
    case LOG_FIELD_NONE:
    case LOG_FIELD_END:
        UNREACHABLE();
    }
    if (!line->overflow)
        return true;
    line->len = len_before;
    line->overflow = false;
    return false;
}

void log_open(int fd, enum log_level least, const struct log_identity *identity)
{
    struct stat status;
    state.fd = fd;
    state.open = true;
    state.least = least;
    state.regular_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);

    /* The same on every line, so it is escaped once. */
    struct buf text;
    buf_init(&text, state.identity, sizeof state.identity);
    const struct log_field fields[] = {LOG_TEXT("service.name", identity->service),
                                       LOG_TEXT("service.version", identity->version),
                                       LOG_TEXT("cloud.region", identity->region),
                                       LOG_TEXT("deployment.environment", identity->environment)};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        (void)add_field(&text, &fields[i]);
    state.identity_len = text.len;
}

/* Words as settings spell them; OpenTelemetry's names and numbers. */
static const struct {
    const char *word, *severity;
} LEVELS[LOG_LEVEL_COUNT] = {
    [LOG_DEBUG] = {"debug", "\"severity_text\":\"DEBUG\",\"severity_number\":5"},
    [LOG_INFO] = {"info", "\"severity_text\":\"INFO\",\"severity_number\":9"},
    [LOG_WARN] = {"warn", "\"severity_text\":\"WARN\",\"severity_number\":13"},
    [LOG_ERROR] = {"error", "\"severity_text\":\"ERROR\",\"severity_number\":17"},
};

const char *log_level_word(enum log_level level)
{
    return LEVELS[level].word;
}

bool log_level_parse(struct span word, enum log_level *level)
{
    for (size_t i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (span_equal(word, span_of(LEVELS[i].word))) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* A field that does not fit is left out and the line says so: a client must not be able to make its
 * own line vanish by sending bytes that grow when they are escaped. */
static void format_line(struct buf *line, enum log_level level, const char *category,
                        const char *body, const struct log_field *fields)
{
    const size_t whole_cap = line->cap;
    bool truncated = false;
    line->cap -= sizeof truncated_end - 1;
    buf_add_text(line, "{\"timestamp\":\"");
    clock_add_rfc3339(line, clock_wall_us());
    buf_add_text(line, "\",");
    buf_add_text(line, LEVELS[level].severity);
    (void)add_field(line, &LOG_TEXT("body", body));
    (void)add_field(line, &LOG_TEXT("event.category", category));
    buf_add(line, (struct span){state.identity, state.identity_len});
    for (; fields->type != LOG_FIELD_END; fields++) {
        if (!add_field(line, fields))
            truncated = true;
    }
    line->cap = whole_cap;
    buf_add_text(line, truncated ? truncated_end : normal_end);
    CHECK(!line->overflow);
}

static bool ring_add(struct ring *ring, struct span line)
{
    if (!ring->wrapped && ring->cap - ring->write < line.len) {
        if (ring->read < line.len)
            return false;
        ring->end = ring->write;
        ring->write = 0;
        ring->wrapped = true;
    }
    const size_t limit = ring->wrapped ? ring->read : ring->cap;
    if (limit - ring->write < line.len)
        return false;
    memcpy(ring->bytes + ring->write, line.ptr, line.len);
    ring->write += line.len;
    return true;
}

/* What lies in one piece at the front of the ring; empty only when the ring is. */
static struct span ring_front(const struct ring *ring)
{
    const size_t stop = ring->wrapped ? ring->end : ring->write;
    return (struct span){ring->bytes + ring->read, stop - ring->read};
}

static void ring_consume(struct ring *ring, size_t count)
{
    ring->read += count;
    if (ring->wrapped && ring->read == ring->end) {
        ring->read = 0;
        ring->wrapped = false;
    }
    if (!ring->wrapped && ring->read == ring->write) {
        ring->read = 0;
        ring->write = 0;
    }
}

static void rings_drop_all(void)
{
    for (size_t i = 0; i < LOG_RINGS; i++) {
        struct ring *ring = &state.rings[i];
        for (struct span front = ring_front(ring); front.len > 0; front = ring_front(ring)) {
            for (size_t at = 0; at < front.len; at++)
                ring->dropped += front.ptr[at] == '\n';
            ring_consume(ring, front.len);
        }
    }
    state.midway = NULL;
}

/* The one to write from: first that with half a line out, then by weight; NULL: all are empty. */
static struct ring *ring_next(void)
{
    if (state.midway != NULL)
        return state.midway;
    for (size_t i = 0; i < LOG_RINGS; i++)
        if (ring_front(&state.rings[i]).len > 0)
            return &state.rings[i];
    return NULL;
}

void log_write(enum log_level level, enum log_category category, const char *body,
               const struct log_field *fields)
{
    if (level < state.least)
        return;
    char storage[LOG_LINE_BYTES_MAX];
    struct buf line;
    buf_init(&line, storage, sizeof storage);
    format_line(&line, level, CATEGORIES[category].word, body, fields);
    struct ring *ring = &state.rings[CATEGORIES[category].ring];
    if (state.open) {
        if (!ring_add(ring, buf_span(&line)))
            ring->dropped++;
    } else if (write(STDERR_FILENO, line.data, line.len) == -1) {
        ring->dropped++;
    }
}

/* A chunk that a pipe with any room takes whole (PIPE_BUF) and that ends at a line's end, so that
 * the lines of several processes on one pipe stay whole. */
static size_t chunk_len(struct span front)
{
    if (state.regular_file || front.len <= PIPE_BUF)
        return front.len;
    const char *line_end = memrchr(front.ptr, '\n', PIPE_BUF);
    return line_end != NULL ? (size_t)(line_end - front.ptr) + 1 : PIPE_BUF;
}

/* Asked instead of setting O_NONBLOCK, which would change the descriptor for everybody who shares
 * it. */
static bool wait_writable(int timeout_ms)
{
    struct pollfd ready = {.fd = state.fd, .events = POLLOUT};
    return state.regular_file || poll(&ready, 1, timeout_ms) > 0;
}

/* One chunk; false: not now. Only to be called when the descriptor is writable. */
static bool write_chunk(struct ring *ring)
{
    const struct span front = ring_front(ring);
    const ssize_t written = write(state.fd, front.ptr, chunk_len(front));
    if (written > 0) {
        state.midway = front.ptr[written - 1] == '\n' ? NULL : ring;
        ring_consume(ring, (size_t)written);
        return true;
    }
    if (written < 0 && errno != EAGAIN && errno != EINTR)
        rings_drop_all(); /* the reader is gone or the disk is full: the lines are lost anyway */
    return false;
}

void log_flush(void)
{
    const int saved_errno = errno;
    for (struct ring *ring = ring_next(); state.open && ring != NULL; ring = ring_next()) {
        if (!wait_writable(0) || !write_chunk(ring))
            break;
    }
    errno = saved_errno;
}

void log_flush_all(uint64_t max_wait_us)
{
    const uint64_t start_us = clock_mono_us();
    log_flush();
    while (state.open && ring_next() != NULL) {
        const uint64_t waited_us = clock_mono_us() - start_us;
        if (waited_us >= max_wait_us)
            return;
        const uint64_t left_ms = (max_wait_us - waited_us) / CLOCK_US_PER_MS + 1;
        if (!wait_writable(left_ms < INT_MAX ? (int)left_ms : INT_MAX) && errno != EINTR)
            return;
        log_flush();
    }
}

const char *log_ring_name(enum log_ring ring)
{
    return state.rings[ring].name;
}

uint64_t log_dropped(enum log_ring ring)
{
    return state.rings[ring].dropped;
}
