#include "http/server/pages_private.h"

#include <sys/mman.h>

void *pages_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void pages_unmap(void *memory, size_t size)
{
    if (memory != NULL)
        (void)munmap(memory, size);
}
