#include "core/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    char text[256];
    const int len = snprintf(text, sizeof text, "check failed: %s (%s:%d)\n", expr, file, line);
    if (len > 0) {
        const size_t size = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
        text[size - 1] = '\n';
        /* There is nobody left to tell if this fails. */
        if (write(STDERR_FILENO, text, size) == -1)
            abort();
    }
    abort();
}
