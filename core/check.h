/*
 * check: assertions that stay in release builds.
 *
 * Owns nothing. Promises that a false belief about our own code ends the process with one line on
 * stderr (abort, no core dump of secrets: main disables dumps). Never used on anything a client,
 * the kernel or the database can cause: those are error paths.
 */
#ifndef CORE_CHECK_H
#define CORE_CHECK_H

/* Writes "check failed: expr (file:line)" to stderr and aborts. For the macros below. */
_Noreturn void check_failed(const char *expr, const char *file, int line);

/* One believed fact per line, in every build. */
#define CHECK(expr) ((expr) ? (void)0 : check_failed(#expr, __FILE__, __LINE__))

/* Audits that cost more than O(1): a list's membership, a heap's order. Compiled in by
 * -DCHECK_EXPENSIVE (presets debug, asan, clang, fuzz); elsewhere `expr` is compiled, never run. */
#ifdef CHECK_EXPENSIVE
#define DCHECK(expr) CHECK(expr)
#else
#define DCHECK(expr) ((void)(0 && (expr)))
#endif

/* Where control cannot come, such as the end of a function that switches over every case. */
#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__)
/* The caller must look at the result. */
#define MUST_USE __attribute__((warn_unused_result))
/* The compiler compares the arguments with the format, both counted from 1. */
#define PRINTF_LIKE(format_index, first_arg)                                                       \
    __attribute__((format(printf, format_index, first_arg)))

#endif
