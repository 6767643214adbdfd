/* no_seccomp: a kernel that takes no filter. A library for LD_PRELOAD, in libseccomp's place. */
#include <errno.h>
#include <seccomp.h>

__attribute__((visibility("default"))) int seccomp_load(scmp_filter_ctx ctx)
{
    (void)ctx;
    return -EINVAL;
}
