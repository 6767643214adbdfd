#include "core/err.h"

#include "core/check.h"

const char *err_name(enum err err)
{
    static const char *const NAMES[] = {
        [ERR_OK] = "ok",
        [ERR_AGAIN] = "again",
        [ERR_FULL] = "full",
        [ERR_TIMEOUT] = "timeout",
        [ERR_INVALID] = "invalid",
        [ERR_CONFLICT] = "conflict",
        [ERR_BUSY] = "busy",
        [ERR_POISONED] = "poisoned",
        [ERR_ELSEWHERE] = "elsewhere",
        [ERR_UNAVAILABLE] = "unavailable",
        [ERR_SYSTEM] = "system",
    };
    return NAMES[err];
}
