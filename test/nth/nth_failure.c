/*
 * nth_failure: makes the n-th call of one kind fail, once. A library for LD_PRELOAD:
 *
 *   NTH_FILE=/some/file LD_PRELOAD=libnth_failure.so payment-latency-api serve
 *
 * The file is a row of records (struct record), one for each kind of call that is counted, found
 * by its name; it is mapped and shared, so that a test counts, arms and disarms while the process
 * runs. A kind that has no record is never touched. The call that makes `calls` reach `fail_at` is
 * not made: it fails as its manual says, with `error` for errno, and adds one to `failed`.
 *
 * Only calls between objects are seen: what libc asks of itself is libc's. A sanitized process
 * needs verify_asan_link_order=0, because this library comes before its allocator.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 32 };

struct record {
    char name[NAME_MAX_BYTES]; /* of the function */
    int32_t error;
    int32_t unused;
    _Atomic uint64_t calls, fail_at, failed; /* fail_at 0: none */
};
_Static_assert(sizeof(struct record) == 64, "the tests write it");

/* A function that stands before the real one of the same name. */
struct door {
    const char *name;
    struct record *record; /* NULL: not counted */
    void *real;
};

#define EXPORT __attribute__((visibility("default")))

static struct record *records;
static size_t record_count;
static bool started;

/* The next object's function of this name; the first call of each asks the loader. */
static void *real(struct door *door)
{
    if (door->real == NULL)
        door->real = dlsym(RTLD_NEXT, door->name);
    if (door->real == NULL)
        abort();
    return door->real;
}

static struct record *record_of(const char *name)
{
    for (size_t i = 0; i < record_count; i++)
        if (strncmp(records[i].name, name, NAME_MAX_BYTES) == 0)
            return &records[i];
    return NULL;
}

/* Counts a call. True: it is the one that fails; errno is set. */
static bool fails(struct door *door)
{
    if (!started)
        return false;
    if (door->record == NULL)
        door->record = record_of(door->name);
    struct record *record = door->record;
    if (record == NULL)
        return false;
    const uint64_t calls = atomic_fetch_add_explicit(&record->calls, 1, memory_order_relaxed) + 1;
    if (calls != atomic_load_explicit(&record->fail_at, memory_order_relaxed))
        return false;
    atomic_fetch_add_explicit(&record->failed, 1, memory_order_relaxed);
    errno = record->error;
    return true;
}

__attribute__((constructor)) static void nth_failure_start(void)
{
    struct stat info;
    const char *path = getenv("NTH_FILE");
    if (path == NULL)
        return;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd == -1 || fstat(fd, &info) == -1) {
        perror(path);
        abort();
    }
    void *mapped = mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        abort();
    records = mapped;
    record_count = (size_t)info.st_size / sizeof(struct record);
    started = true;
}

/* Whether this address lies in another object than the real function. */
static bool is_outside(struct door *door, const void *caller)
{
    Dl_info own, other;
    return dladdr(real(door), &own) == 0 || dladdr(caller, &other) == 0 ||
           own.dli_fbase != other.dli_fbase;
}

/* The function itself: result name(parameters); `failure` where the real one is not called. */
#define DOOR_WHERE(where, result, name, parameters, arguments, failure)                            \
    EXPORT result name parameters;                                                                 \
    EXPORT result name parameters                                                                  \
    {                                                                                              \
        static struct door door = {#name, NULL, NULL};                                             \
        if ((where) && fails(&door))                                                               \
            return failure;                                                                        \
        __typeof__(name) *function;                                                                \
        void *found = real(&door);                                                                 \
        memcpy(&function, &found, sizeof function);                                                \
        return function arguments;                                                                 \
    }

#define DOOR(result, name, parameters, arguments, failure)                                         \
    DOOR_WHERE(true, result, name, parameters, arguments, failure)

/* Not what libpq asks of itself: in the middle of its work it would be left in a state that no
 * real failure leaves. */
#define PQ_DOOR(result, name, parameters, arguments, failure)                                      \
    DOOR_WHERE(is_outside(&door, __builtin_return_address(0)), result, name, parameters,           \
               arguments, failure)

/* ---- memory ---- */

DOOR(void *, malloc, (size_t size), (size), NULL)
DOOR(void *, calloc, (size_t count, size_t size), (count, size), NULL)
DOOR(void *, realloc, (void *old, size_t size), (old, size), NULL)
DOOR(void *, mmap, (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset), MAP_FAILED)

/* ---- system calls ---- */

DOOR(int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags),
     (fd, address, len, flags), -1)
DOOR(int, connect, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len), -1)
DOOR(int, epoll_create1, (int flags), (flags), -1)
DOOR(int, epoll_ctl, (int epoll_fd, int operation, int fd, struct epoll_event *event),
     (epoll_fd, operation, fd, event), -1)
DOOR(int, epoll_pwait2,
     (int fd, struct epoll_event *events, int count, const struct timespec *limit,
      const sigset_t *signals),
     (fd, events, count, limit, signals), -1)
DOOR(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size), -1)

/* A connection that is reset stays so: whoever is told by one call finds it in the next, too. */
static int fail_socket(int fd)
{
    const int error = errno;
    if (error == ECONNRESET)
        (void)shutdown(fd, SHUT_RDWR);
    errno = error;
    return -1;
}

DOOR(ssize_t, recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags),
     fail_socket(fd))
DOOR(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags),
     fail_socket(fd))
DOOR(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
     fail_socket(fd))

DOOR(int, signalfd, (int fd, const sigset_t *signals, int flags), (fd, signals, flags), -1)
DOOR(int, socket, (int family, int type, int protocol), (family, type, protocol), -1)
DOOR(int, bind, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len), -1)
DOOR(int, listen, (int fd, int backlog), (fd, backlog), -1)
DOOR(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
     (fd, level, name, value, len), -1)
DOOR(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), -1)

/* ---- libpq: what it says when it has no memory, or its socket fails ---- */

/* Without memory not even for a message. */
static void forget(char **why)
{
    if (why != NULL)
        *why = NULL;
}

PQ_DOOR(PQconninfoOption *, PQconninfoParse, (const char *text, char **why), (text, why),
        (forget(why), NULL))
PQ_DOOR(PGconn *, PQconnectStartParams,
        (const char *const *keywords, const char *const *values, int expand),
        (keywords, values, expand), NULL)
PQ_DOOR(PostgresPollingStatusType, PQconnectPoll, (PGconn * conn), (conn), PGRES_POLLING_FAILED)
PQ_DOOR(int, PQsetnonblocking, (PGconn * conn, int on), (conn, on), -1)
PQ_DOOR(int, PQenterPipelineMode, (PGconn * conn), (conn), 0)
PQ_DOOR(int, PQexitPipelineMode, (PGconn * conn), (conn), 0)
PQ_DOOR(int, PQpipelineSync, (PGconn * conn), (conn), 0)
PQ_DOOR(int, PQsendPrepare,
        (PGconn * conn, const char *name, const char *sql, int count, const Oid *types),
        (conn, name, sql, count, types), 0)
/* NOLINTNEXTLINE(readability-function-size): libpq's own parameters */
PQ_DOOR(int, PQsendQueryPrepared,
        (PGconn * conn, const char *name, int count, const char *const *values, const int *lengths,
         const int *formats, int format),
        (conn, name, count, values, lengths, formats, format), 0)
PQ_DOOR(int, PQflush, (PGconn * conn), (conn), -1)
PQ_DOOR(int, PQconsumeInput, (PGconn * conn), (conn), 0)

/* Out of memory, libpq hands out an error without a text instead of what the server sent. The
 * end of a query, NULL, is no call that can fail. */
EXPORT PGresult *PQgetResult(PGconn *conn)
{
    static struct door door = {"PQgetResult", NULL, NULL};
    PGresult *(*function)(PGconn *);
    void *found = real(&door);
    memcpy(&function, &found, sizeof function);
    PGresult *result = function(conn);
    if (result == NULL || !is_outside(&door, __builtin_return_address(0)) || !fails(&door))
        return result;
    PQclear(result);
    return PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR);
}
