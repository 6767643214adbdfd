#include "core/clock.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "{\"timestamp\":\"2026-11-24T02:03:26.496301Z\",\"severity_text\":"
enum { TEXT_BYTES = 2 * LOG_RING_BYTES + 2 * LOG_AUDIT_RING_BYTES, PIPE_BYTES = 4096 };

static const struct log_identity identity = {"api", "1.0.0", "eu-south-2", "test"};
static int pipe_read = -1, pipe_write = -1;
static char text[TEXT_BYTES]; /* what was read so far */
static size_t text_len;

/* The kernel's answers as a test wants them; 0 is the kernel's own. */
static int write_errno;
static int writes_until_errno; /* 0: off; then EAGAIN, once */
static size_t write_bytes_max;
static int poll_calls;
static bool poll_reads_pipe; /* a reader wakes up while the writer waits */

ssize_t __real_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

static void read_pipe(void)
{
    struct pollfd ready = {.fd = pipe_read, .events = POLLIN};
    while (__real_poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0) {
        assert_true(text_len < sizeof text);
        const ssize_t size = read(pipe_read, text + text_len, sizeof text - text_len);
        assert_true(size > 0);
        text_len += (size_t)size;
    }
}

ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
    if (write_errno != 0) {
        errno = write_errno;
        write_errno = 0;
        return -1;
    }
    if (writes_until_errno > 0 && writes_until_errno-- == 1)
        write_errno = EAGAIN;
    if (write_bytes_max != 0 && count > write_bytes_max)
        count = write_bytes_max;
    return __real_write(fd, bytes, count);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    poll_calls++;
    if (poll_reads_pipe && timeout_ms > 0)
        read_pipe();
    return __real_poll(fds, count, timeout_ms);
}

static uint64_t test_wall(void)
{
    return UINT64_C(1795485806496301);
}

static void open_pipe(void)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pipe_read = fds[0];
    pipe_write = fds[1];
    assert_true(fcntl(pipe_write, F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES);
}

static void close_pipe(void)
{
    if (pipe_read != -1)
        assert_int_equal(close(pipe_read), 0);
    assert_int_equal(close(pipe_write), 0);
    pipe_read = -1;
}

static int start(void **unused)
{
    (void)unused;
    clock_replace(NULL, test_wall);
    open_pipe();
    log_open(pipe_write, LOG_INFO, &identity);
    text_len = 0;
    write_errno = 0;
    write_bytes_max = 0;
    poll_calls = 0;
    poll_reads_pipe = false;
    return 0;
}

static int stop(void **unused)
{
    (void)unused;
    /* The next test starts with an empty ring. */
    const int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(sink != -1);
    write_bytes_max = 0;
    log_open(sink, LOG_INFO, &identity);
    log_flush();
    assert_int_equal(close(sink), 0);
    close_pipe();
    clock_replace(NULL, NULL);
    return 0;
}

/* Reads "n":<number> of one whole line and checks its two ends. */
static uint64_t line_number(struct span line)
{
    static const char mark[] = ",\"n\":";
    uint64_t number = 0;
    assert_true(span_starts_with(line, SPAN(HEAD)));
    assert_int_equal(line.ptr[line.len - 1], '}');
    const char *found = memmem(line.ptr, line.len, mark, sizeof mark - 1);
    assert_non_null(found);
    struct span rest = {found + sizeof mark - 1, 0};
    rest.len = line.len - (size_t)(rest.ptr - line.ptr);
    assert_true(span_parse_u64(span_cut(&rest, ','), UINT64_MAX, &number));
    return number;
}

/* Every line in `text` is whole and later than the one before; returns how many there are. */
static uint64_t assert_whole_lines_in_order(void)
{
    struct span rest = {text, text_len};
    uint64_t count = 0, last = 0;
    while (rest.len > 0) {
        const struct span line = span_cut(&rest, '\n');
        const uint64_t number = line_number(line);
        assert_true(number > last);
        last = number;
        count++;
    }
    return count;
}

static void write_numbered(uint64_t number)
{
    static const char filler[] = "................................................";
    const struct span some = {filler, number * 7 % (sizeof filler - 1)};
    log_info("x", LOG_U64("n", number), LOG_SPAN("filler", some));
}

/* More rounds than a full ring needs. */
static void flush_and_read_all(void)
{
    for (int i = 0; i < 2 * LOG_RING_BYTES / PIPE_BYTES; i++) {
        log_flush();
        read_pipe();
    }
}

static void test_full_ring_drops_and_counts_and_keeps_lines_whole(void **unused)
{
    const uint64_t total = 4000;
    const uint64_t dropped_before = log_dropped(LOG_RING_COMMON);
    (void)unused;

    for (uint64_t n = 1; n <= total; n++)
        write_numbered(n);
    const uint64_t dropped = log_dropped(LOG_RING_COMMON) - dropped_before;
    assert_true(dropped > 0);
    assert_true(dropped < total);
    flush_and_read_all();

    assert_int_equal(assert_whole_lines_in_order(), total - dropped);
    assert_int_equal(log_dropped(LOG_RING_COMMON) - dropped_before, dropped);
    assert_true(text_len > LOG_RING_BYTES - LOG_LINE_BYTES_MAX);
    assert_true(text_len <= LOG_RING_BYTES);
}

static void test_wrapping_ring_keeps_every_line(void **unused)
{
    const uint64_t dropped_before = log_dropped(LOG_RING_COMMON);
    uint64_t total = 0;
    (void)unused;

    /* A slow reader: the ring is never empty and goes round more than once. */
    for (uint64_t n = 1; n <= 700; n++)
        write_numbered(++total);
    while (text_len < TEXT_BYTES - LOG_RING_BYTES) {
        for (int i = 0; i < 8; i++)
            write_numbered(++total);
        log_flush();
        read_pipe();
    }
    flush_and_read_all();

    assert_int_equal(assert_whole_lines_in_order(), total);
    assert_int_equal(log_dropped(LOG_RING_COMMON), dropped_before);
}

static void test_flush_to_a_full_pipe_returns_and_loses_nothing(void **unused)
{
    const int pipe_bytes = fcntl(pipe_write, F_GETPIPE_SZ);
    (void)unused;
    char *full = calloc(1, (size_t)pipe_bytes);
    assert_non_null(full);
    assert_int_equal(__real_write(pipe_write, full, (size_t)pipe_bytes), pipe_bytes);
    free(full);
    write_numbered(1);

    log_flush();

    assert_int_equal(fcntl(pipe_write, F_GETFL) & O_NONBLOCK, 0);
    read_pipe();
    assert_int_equal(text_len, pipe_bytes);
    text_len = 0;
    log_flush();
    read_pipe();
    assert_int_equal(assert_whole_lines_in_order(), 1);
}

static void test_each_write_to_a_pipe_is_whole_lines(void **unused)
{
    (void)unused;
    for (uint64_t n = 1; n <= 100; n++)
        write_numbered(n);

    log_flush();
    read_pipe();

    assert_true(text_len > 0);
    assert_true(text_len <= PIPE_BUF);
    assert_int_equal(text[text_len - 1], '\n');
}

static void test_interrupted_and_short_writes_lose_nothing(void **unused)
{
    const uint64_t dropped_before = log_dropped(LOG_RING_COMMON);
    (void)unused;
    write_numbered(1);
    write_numbered(2);

    write_errno = EINTR;
    log_flush();
    write_errno = EAGAIN;
    log_flush();
    write_bytes_max = 100;
    flush_and_read_all();

    assert_int_equal(assert_whole_lines_in_order(), 2);
    assert_int_equal(log_dropped(LOG_RING_COMMON), dropped_before);
}

static void test_lost_reader_drops_what_waits_and_counts_it(void **unused)
{
    const uint64_t dropped_before = log_dropped(LOG_RING_COMMON);
    (void)unused;
    for (uint64_t n = 1; n <= 3; n++)
        write_numbered(n);
    assert_int_equal(close(pipe_read), 0);
    pipe_read = -1;

    errno = 0;
    log_flush();

    assert_int_equal(log_dropped(LOG_RING_COMMON) - dropped_before, 3);
    assert_int_equal(errno, 0);
    close_pipe();
    open_pipe();
    log_open(pipe_write, LOG_INFO, &identity);
    write_numbered(4);
    log_flush();
    read_pipe();
    assert_int_equal(assert_whole_lines_in_order(), 1);
}

static void test_flush_all_waits_for_a_slow_reader(void **unused)
{
    (void)unused;
    for (uint64_t n = 1; n <= 500; n++)
        write_numbered(n);
    poll_reads_pipe = true;

    log_flush_all(UINT64_C(10) * CLOCK_US_PER_S);
    read_pipe();

    assert_int_equal(assert_whole_lines_in_order(), 500);
}

static void test_flush_all_gives_up_at_its_limit(void **unused)
{
    (void)unused;
    for (uint64_t n = 1; n <= 500; n++)
        write_numbered(n);

    log_flush_all(UINT64_C(2) * CLOCK_US_PER_MS);
    log_flush_all(0);

    read_pipe();
    assert_true(text_len <= PIPE_BYTES);
}

static void test_regular_file_is_written_without_asking(void **unused)
{
    const int file = memfd_create("log", MFD_CLOEXEC);
    (void)unused;
    assert_true(file != -1);
    log_open(file, LOG_INFO, &identity);
    for (uint64_t n = 1; n <= 500; n++)
        write_numbered(n);

    log_flush();

    assert_int_equal(poll_calls, 0);
    const ssize_t size = pread(file, text, sizeof text, 0);
    assert_true(size > 0);
    text_len = (size_t)size;
    assert_int_equal(assert_whole_lines_in_order(), 500);
    log_open(pipe_write, LOG_INFO, &identity);
    assert_int_equal(close(file), 0);
}

static void write_audit(enum log_category category, uint64_t number)
{
    LOG_EMIT(LOG_INFO, category, "x", LOG_U64("n", number), LOG_U64("last", 1));
}

static void test_a_flood_of_one_kind_drops_no_line_of_another(void **unused)
{
    (void)unused;
    uint64_t before[LOG_RINGS];
    for (int i = 0; i < LOG_RINGS; i++)
        before[i] = log_dropped((enum log_ring)i);
    for (uint64_t n = 1000; n < 5000; n++) {
        write_numbered(n);
        write_audit(LOG_AUTH, n);
    }
    for (uint64_t n = 1; n <= 100; n++)
        write_audit(LOG_AUDIT, n);

    assert_true(log_dropped(LOG_RING_COMMON) > before[LOG_RING_COMMON]);
    assert_true(log_dropped(LOG_RING_AUTH) > before[LOG_RING_AUTH]);
    assert_int_equal(log_dropped(LOG_RING_AUDIT), before[LOG_RING_AUDIT]);
    flush_and_read_all();

    /* The audit's come first, in their order, and all of them. */
    struct span rest = {text, text_len};
    for (uint64_t n = 1; n <= 100; n++)
        assert_int_equal(line_number(span_cut(&rest, '\n')), n);
    assert_true(rest.len > LOG_RING_BYTES);
}

static void test_an_audit_line_never_cuts_another_in_two(void **unused)
{
    (void)unused;
    write_numbered(7);
    write_bytes_max = 20;
    writes_until_errno = 1;
    log_flush();
    read_pipe();
    assert_int_equal(text_len, 20);
    write_audit(LOG_AUDIT, 1);
    write_bytes_max = 0;
    flush_and_read_all();

    struct span rest = {text, text_len};
    assert_int_equal(line_number(span_cut(&rest, '\n')), 7);
    assert_int_equal(line_number(span_cut(&rest, '\n')), 1);
    assert_int_equal(rest.len, 0);
}

#define LOG_TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_full_ring_drops_and_counts_and_keeps_lines_whole),
        LOG_TEST(test_wrapping_ring_keeps_every_line),
        LOG_TEST(test_flush_to_a_full_pipe_returns_and_loses_nothing),
        LOG_TEST(test_each_write_to_a_pipe_is_whole_lines),
        LOG_TEST(test_interrupted_and_short_writes_lose_nothing),
        LOG_TEST(test_lost_reader_drops_what_waits_and_counts_it),
        LOG_TEST(test_a_flood_of_one_kind_drops_no_line_of_another),
        LOG_TEST(test_an_audit_line_never_cuts_another_in_two),
        LOG_TEST(test_flush_all_waits_for_a_slow_reader),
        LOG_TEST(test_flush_all_gives_up_at_its_limit),
        LOG_TEST(test_regular_file_is_written_without_asking),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
