/*
 * alloc_count: counts heap allocations by who asked for them. A library for LD_PRELOAD:
 *
 *   ALLOC_COUNT_FILE=/some/file LD_PRELOAD=liballoc_count.so payment-latency-api serve
 *
 * Every malloc, calloc, realloc and aligned allocation is counted for the loaded object (the
 * executable, libpq.so.5, libc.so.6 ...) that its return address lies in. The counts live in the
 * file itself, mapped and shared, so anybody can read them at any time without asking the process:
 *   64 records of { char name[56]; uint64_t count; }, the first of them the executable.
 * An allocation made inside libc (strdup, getline) counts for libc, and one made by an object that
 * was loaded later counts for the last record, "other".
 *
 * For glibc: it forwards to the names under which glibc exports its own allocator.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OBJECTS_MAX = 64, NAME_MAX_BYTES = 56, OTHER = OBJECTS_MAX - 1 };

struct record {
    char name[NAME_MAX_BYTES];
    _Atomic uint64_t count;
};

/* Where the code of an object lies. */
struct range {
    uintptr_t from, to;
};

static struct record *records; /* NULL: not counting */
static struct range ranges[OBJECTS_MAX];
static unsigned object_count;

#define EXPORT __attribute__((visibility("default")))

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static void count_for(const void *caller)
{
    if (records == NULL)
        return;
    const uintptr_t address = (uintptr_t)caller;
    unsigned at = OTHER;
    for (unsigned i = 0; i < object_count && at == OTHER; i++) {
        if (address >= ranges[i].from && address < ranges[i].to)
            at = i;
    }
    atomic_fetch_add_explicit(&records[at].count, 1, memory_order_relaxed);
}

/* The executable comes first, by the rule of dl_iterate_phdr, and without a name. */
static int add_object(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct record *table = context;
    if (object_count == OTHER)
        return 1;
    struct range *range = &ranges[object_count];
    *range = (struct range){.from = UINTPTR_MAX, .to = 0};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0)
            continue;
        const uintptr_t from = info->dlpi_addr + header->p_vaddr;
        if (from < range->from)
            range->from = from;
        if (from + header->p_memsz > range->to)
            range->to = from + header->p_memsz;
    }
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash != NULL ? slash + 1 : info->dlpi_name;
    if (object_count == 0)
        name = "executable";
    strncpy(table[object_count].name, name, NAME_MAX_BYTES - 1);
    object_count++;
    return 0;
}

__attribute__((constructor)) static void alloc_count_start(void)
{
    const char *path = getenv("ALLOC_COUNT_FILE");
    if (path == NULL)
        return;
    const size_t bytes = OBJECTS_MAX * sizeof(struct record);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd == -1)
        return;
    struct record *table = MAP_FAILED;
    if (ftruncate(fd, (off_t)bytes) == 0)
        table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (table == MAP_FAILED)
        return;
    dl_iterate_phdr(add_object, table);
    strncpy(table[OTHER].name, "other", NAME_MAX_BYTES - 1);
    records = table;
}

EXPORT void *malloc(size_t size)
{
    count_for(__builtin_return_address(0));
    return __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    count_for(__builtin_return_address(0));
    return __libc_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
    count_for(__builtin_return_address(0));
    return __libc_realloc(old, size);
}

EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
    count_for(__builtin_return_address(0));
    if (size != 0 && count > SIZE_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(old, count * size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    count_for(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    count_for(__builtin_return_address(0));
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *out = memory;
    return 0;
}
