/*
 * sandbox: which system calls this process may still make once it serves.
 *
 * A seccomp filter that names what the loop needs: its sockets, its clock, reading files, memory
 * that is not code, an orderly end. Everything else is refused with EPERM and told by the kernel's
 * audit log: no program is started, no other process touched, no file written, no memory made
 * executable, no port opened. It can never be taken off again.
 *
 * Refused and not killed: what a library may try one day (a new system call of libc, say) is an
 * error it can live with, and a payment service that ends in the middle of its holds helps nobody.
 */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include "core/err.h"

#include <stdbool.h>

/* False in builds whose runtime does at the exit what no service does (sanitizers, gcov). */
bool sandbox_is_possible(void);
/* Closes the process in; everything it listens on must be open. ERR_SYSTEM: errno tells why the
 * kernel does not take it, and nothing is closed. */
enum err sandbox_enter(void);

#endif
