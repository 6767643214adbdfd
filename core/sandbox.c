#include "core/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <seccomp.h>

/* Whatever the arguments are. What an architecture does not have is passed over. */
static const int ALLOWED[] = {
    /* the loop and its clock */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),

    /* sockets: bind and listen are over */
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),

    /* descriptors and looking at files; opening them has conditions */
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(_llseek),
    SCMP_SYS(fcntl),
    SCMP_SYS(fcntl64),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),

    /* memory, but see mmap and mprotect */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),

    /* signals of one's own; libpq looks for a SIGPIPE it caused */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),

    /* who and where we are; libc asks before it sorts or sizes its arenas */
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrlimit),
    SCMP_SYS(ugetrlimit),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),

    /* the end */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

/* Allowed where one argument is as it says: (argument & mask) == value. */
struct sandbox_condition {
    int call;
    unsigned argument;
    uint64_t mask, value;
};
#define WHOLE UINT64_MAX
#define WRITING ((uint64_t)O_ACCMODE | O_CREAT | O_TRUNC)
#define LOW_BITS UINT64_C(0xffffffff) /* of an int, whose other half is not defined */

static const struct sandbox_condition CONDITIONS[] = {
    /* for reading: secrets again, the system's files, /proc/self */
    {SCMP_SYS(open), 1, WRITING, O_RDONLY},
    {SCMP_SYS(openat), 2, WRITING, O_RDONLY},
    /* to the database and to name servers */
    {SCMP_SYS(socket), 0, LOW_BITS, AF_INET},
    {SCMP_SYS(socket), 0, LOW_BITS, AF_INET6},
    {SCMP_SYS(socket), 0, LOW_BITS, AF_UNIX},
    /* data, never code */
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_SYS(mmap2), 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    {SCMP_SYS(ioctl), 1, LOW_BITS, TCGETS},
    {SCMP_SYS(ioctl), 1, LOW_BITS, FIONREAD},
    {SCMP_SYS(ioctl), 1, LOW_BITS, FIONBIO},
    /* a look at a limit, not a new one */
    {SCMP_SYS(prlimit64), 2, WHOLE, 0},
};

bool sandbox_is_possible(void)
{
#ifdef SANDBOX_IMPOSSIBLE
    return false;
#else
    return true;
#endif
}

/* Both give 0 or a negative errno. */
static int add_calls(scmp_filter_ctx filter)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(ALLOWED) / sizeof(ALLOWED[0]); i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, ALLOWED[i], 0);
    return rc;
}

static int add_conditions(scmp_filter_ctx filter)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(CONDITIONS) / sizeof(CONDITIONS[0]); i++) {
        const struct sandbox_condition *condition = &CONDITIONS[i];
        rc = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, condition->call, 1,
            SCMP_CMP(condition->argument, SCMP_CMP_MASKED_EQ, condition->mask, condition->value));
    }
    /* abort(): a signal to oneself. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                              SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    return rc;
}

enum err sandbox_enter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = filter == NULL ? -ENOMEM : add_calls(filter);

    if (rc == 0)
        rc = add_conditions(filter);
    /* Best effort: what is refused shows in the kernel's audit log, and the order of the rules is a
     * tree and not a list. */
    if (rc == 0)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    if (rc == 0)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    errno = -rc;
    return rc == 0 ? ERR_OK : ERR_SYSTEM;
}
