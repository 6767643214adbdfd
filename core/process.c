#include "core/process.h"

#include "core/buf.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* libc takes the level back without a word where it knows less, or where nothing is optimized. */
#ifdef _FORTIFY_SOURCE
static_assert(__USE_FORTIFY_LEVEL == _FORTIFY_SOURCE, "libc checks the bounds it was asked to");
#endif

void process_harden(void)
{
    /* Best effort: where the kernel refuses, the service still serves. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    (void)signal(SIGPIPE, SIG_IGN);
}

uint32_t process_fit_connections(uint32_t connections_wanted, uint32_t others)
{
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return connections_wanted;
    if (limit.rlim_cur < limit.rlim_max) {
        const struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    const uint64_t taken = (uint64_t)others + PROCESS_FILES_RESERVE;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= taken + connections_wanted)
        return connections_wanted;
    return limit.rlim_cur > taken ? (uint32_t)(limit.rlim_cur - taken) : 0;
}

static void process_read_memory(struct process_usage *usage)
{
    char text[128];
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return;
    const ssize_t count = read(fd, text, sizeof(text));
    close(fd);
    if (count <= 0)
        return;
    struct span rest = {text, (size_t)count};
    const struct span total = span_cut(&rest, ' ');
    const struct span resident = span_cut(&rest, ' ');
    const uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t total_pages = 0;
    uint64_t resident_pages = 0;
    if (!span_parse_u64(total, UINT64_MAX / page_bytes, &total_pages) ||
        !span_parse_u64(resident, UINT64_MAX / page_bytes, &resident_pages))
        return;
    usage->virtual_bytes = total_pages * page_bytes;
    usage->resident_bytes = resident_pages * page_bytes;
}

static uint64_t process_list_files(void)
{
    DIR *files = opendir("/proc/self/fd");
    if (files == NULL)
        return 0;
    uint64_t count = 0;
    for (const struct dirent *entry = readdir(files); entry != NULL; entry = readdir(files))
        if (entry->d_name[0] != '.')
            count++;
    closedir(files);
    return count - 1; /* one of them was the directory itself */
}

/* Linux says it as the directory's size since 6.2; before, the size is 0. */
static uint64_t process_count_files(void)
{
    struct stat directory;
    if (stat("/proc/self/fd", &directory) == 0 && directory.st_size > 0)
        return (uint64_t)directory.st_size;
    return process_list_files();
}

void process_read_usage(struct process_usage *usage)
{
    *usage = (struct process_usage){0};
    struct rusage used = {0};
    if (getrusage(RUSAGE_SELF, &used) == 0) {
        usage->cpu_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                             (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
        usage->page_faults_major = (uint64_t)used.ru_majflt;
        usage->context_switches_involuntary = (uint64_t)used.ru_nivcsw;
    }
    struct rlimit limit = {0};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        usage->files_max = limit.rlim_cur;
    process_read_memory(usage);
    usage->open_files = process_count_files();
}
