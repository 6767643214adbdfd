/*
 * attempts: what an intruder in the process would try next. A library for LD_PRELOAD:
 *
 *   LD_PRELOAD=libattempts.so payment-latency-api serve
 *
 * On SIGUSR1 it makes each attempt once, from inside the process, and writes one line to stderr:
 *   attempts execve=1 ptrace=1 ...      the errno of each, 0: it was let through
 * On SIGUSR2 it calls abort(), which needs more than one system call.
 *
 * Each is chosen so that, where nothing forbids it, it does no harm and has another errno than
 * EPERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LINE_BYTES = 512, NOBODY = 0x7ffffffe };

static int error_of(long result)
{
    return result == -1 ? errno : 0;
}

static int try_execve(void)
{
    char *const nothing[] = {NULL};
    return error_of(execve("/no/such/program", nothing, nothing));
}

static int try_execveat(void)
{
    char *const nothing[] = {NULL};
    return error_of(syscall(SYS_execveat, AT_FDCWD, "/no/such/program", nothing, nothing, 0));
}

static int try_ptrace(void)
{
    return error_of(ptrace(PTRACE_ATTACH, NOBODY, NULL, NULL));
}

/* Of no process: ESRCH. */
static int try_reading_memory(void)
{
    char byte;
    const struct iovec here = {&byte, 1}, there = {&byte, 1};
    return error_of(process_vm_readv(NOBODY, &here, 1, &there, 1, 0));
}

/* Both a thread and none: EINVAL. */
static int try_clone(void)
{
    return error_of(syscall(SYS_clone, CLONE_THREAD, NULL, NULL, NULL, NULL));
}

static int try_signal(void)
{
    return error_of(kill(NOBODY, 0));
}

static int try_writing_a_file(void)
{
    return error_of(open("/no/such/file", O_WRONLY | O_CREAT, 0600));
}

static int try_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return errno;
    const int error = error_of(mprotect(page, 4096, PROT_READ | PROT_EXEC));
    munmap(page, 4096);
    return error;
}

/* Of no socket: EBADF. */
static int try_bind(void)
{
    const struct sockaddr_in any = {.sin_family = AF_INET};
    return error_of(bind(-1, (const struct sockaddr *)(const void *)&any, sizeof(any)));
}

/* The kernel knows no such family: EAFNOSUPPORT. */
static int try_socket(void)
{
    return error_of(socket(AF_MAX - 1, SOCK_DGRAM, 0));
}

static const struct {
    const char *name;
    int (*attempt)(void);
} ATTEMPTS[] = {
    {"execve", try_execve},
    {"execveat", try_execveat},
    {"ptrace", try_ptrace},
    {"process_vm_readv", try_reading_memory},
    {"clone", try_clone},
    {"kill", try_signal},
    {"open_to_write", try_writing_a_file},
    {"mprotect_exec", try_code},
    {"bind", try_bind},
    {"socket_of_another_family", try_socket},
};

static void on_signal(int number)
{
    char line[LINE_BYTES] = "attempts";
    size_t len = strlen(line);

    (void)number;
    for (size_t i = 0; i < sizeof(ATTEMPTS) / sizeof(ATTEMPTS[0]); i++)
        len += (size_t)snprintf(line + len, sizeof(line) - len, " %s=%d", ATTEMPTS[i].name,
                                ATTEMPTS[i].attempt());
    line[len++] = '\n';
    (void)!write(STDERR_FILENO, line, len);
}

static void on_abort(int number)
{
    (void)number;
    abort();
}

__attribute__((constructor)) static void wait_for_signal(void)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    const struct sigaction end = {.sa_handler = on_abort};
    (void)sigaction(SIGUSR1, &action, NULL);
    (void)sigaction(SIGUSR2, &end, NULL);
}
