/* err: how an operation failed. Text is logged once, where the failure is known. */
#ifndef CORE_ERR_H
#define CORE_ERR_H

/* Returned by everything that can fail for a reason worth telling apart; else bool. */
enum err {
    ERR_OK = 0,
    ERR_AGAIN,       /* not now; wait for readiness */
    ERR_FULL,        /* a named limit is reached */
    ERR_TIMEOUT,     /* a deadline passed, or cannot be met */
    ERR_INVALID,     /* the input breaks the rules */
    ERR_CONFLICT,    /* the same thing is already under way or differs from what is stored */
    ERR_BUSY,        /* somebody else has what it needs, and has had it for long */
    ERR_POISONED,    /* it failed again and again; refused for a while */
    ERR_ELSEWHERE,   /* what there is to do it with belongs to somebody else */
    ERR_UNAVAILABLE, /* nothing usable to do it with */
    ERR_SYSTEM,      /* a system call failed; errno tells */
};

/* A stable lower-case word for logs and metrics ("timeout"). */
const char *err_name(enum err err);

#endif
