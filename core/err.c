#include "core/err.h"

#include "core/check.h"

const char *err_name(enum err err)
{
    switch (err) {
    case ERR_OK:
        return "ok";
    case ERR_AGAIN:
        return "again";
    case ERR_FULL:
        return "full";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_INVALID:
        return "invalid";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_SYSTEM:
        return "system";
    }
    UNREACHABLE();
}
