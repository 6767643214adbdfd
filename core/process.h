/*
 * process: what the kernel knows of and allows this process: hardening, descriptors, usage.
 */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

#include "core/check.h"

#include <stdbool.h>
#include <stdint.h>

/* Standard streams, epoll, signals, listeners, DNS, files being read. */
enum { PROCESS_FILES_RESERVE = 64 };

/* No core dumps, no ptrace by others, no new privileges, SIGPIPE ignored. */
void process_harden(void);
/* Raises the soft descriptor limit to the hard one. Returns how many of `connections_wanted` fit
 * beside `others` more and the reserve; fewer than wanted is the caller's to tell. */
uint32_t process_fit_connections(uint32_t connections_wanted, uint32_t others);

/* Totals since the start and what is held now; of this process, all threads. */
struct process_usage {
    double cpu_seconds;
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_files, files_max;
    uint64_t page_faults_major, context_switches_involuntary;
};
/* Reads /proc; members that cannot be read stay 0. For scrapes. */
void process_read_usage(struct process_usage *usage);

#endif
