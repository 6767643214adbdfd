/*
 * pg_shard (private to pool/): what lanes know of one shard (a wallet) beyond a single request.
 *
 * One book of entries, found by key, may serve several lanes: then a shard is in one statement at a
 * time across them all. An entry exists while members of its shard wait or are out, and for as long
 * as something about it is worth remembering; the book is fixed at creation, and forgets the oldest
 * quiet entry when it needs room.
 *
 *   QUIET --a member waits--> READY --cut--> OUT --all answered--> QUIET, READY
 *                               ^             '--row locked elsewhere--> PARKED
 *                               '--------------------- parked_until ------'
 *
 * PARKED: nothing waits inside the database for a locked row. The entry is asked again after a
 * pause with jitter that grows when the lock lasts; then one member goes ahead of the others.
 * Contended (found locked a moment ago): after each of its own statements the shard leaves the
 * others a pause in which to get the row, so that processes which meet on it take turns.
 * Alone: its statement failed or timed out; its members share statements with nobody and use the
 * retry track, until one succeeds.
 * Poisoned: it failed alone twice while other shards were served. Refused for poison_hold_us, then
 * one member at a time may try; a success forgets it all.
 */
#ifndef POOL_PG_SHARD_PRIVATE_H
#define POOL_PG_SHARD_PRIVATE_H

#include "core/list.h"
#include "core/reactor.h"
#include "pool/pg_shards.h"

struct pg_lane;

enum pg_shard_state { PG_SHARD_QUIET, PG_SHARD_READY, PG_SHARD_OUT, PG_SHARD_PARKED };

struct pg_shard {
    struct list_node node;   /* on `on` */
    struct list_node bucket; /* in its hash bucket */
    struct list *on;         /* free, quiet, parked, or a lane's ready list; NULL: OUT */
    struct pg_shards *book;
    uint64_t key;
    enum pg_shard_state state;
    struct list waiting; /* members, in order of arrival */
    uint32_t out;        /* members sent or retrying */
    uint64_t sent_us;    /* OUT: since when */

    uint64_t parked_until_us;
    uint64_t locked_since_us;    /* 0: not found locked since its last success */
    uint64_t contended_until_us; /* found locked lately */
    uint8_t asked_long;          /* times found locked since the lock counts as a long one */

    bool alone;
    uint8_t failures;           /* alone, in a row */
    uint64_t answered_first;    /* the book's answered_total at the first of them */
    uint64_t poisoned_until_us; /* 0: not poisoned */
};

uint64_t pg_shards_now_us(const struct pg_shards *book);
/* Is any shard alone or poisoned? Otherwise nobody need look. */
bool pg_shards_has_suspects(const struct pg_shards *book);
/* A batch of one of its lanes brought rows. */
void pg_shards_note_answered(struct pg_shards *book);
/* NULL: not in the book. */
struct pg_shard *pg_shard_find(const struct pg_shards *book, uint64_t key);
/* NULL: every entry is in use. */
struct pg_shard *pg_shard_get(struct pg_shards *book, uint64_t key);
/* Puts the entry where its members and facts belong; one that has neither is given back. Call after
 * every change of waiting, out, or a fact, and use the entry no more. */
void pg_shard_settle(struct pg_shard *shard);

/* Where it is READY it is the next one. */
void pg_shard_go_first(struct pg_shard *shard);

/* The row was locked by somebody else. batch_us: how long a statement of ours usually takes. */
void pg_shard_found_locked(struct pg_shard *shard, uint64_t batch_us);
/* A statement of its own was answered. */
void pg_shard_succeeded(struct pg_shard *shard, uint64_t batch_us);
/* It may be what made a statement fail: it goes alone from now on. */
void pg_shard_suspect(struct pg_shard *shard);
/* It failed alone. Poisons it at the second time if others were served meanwhile. */
void pg_shard_failed_alone(struct pg_shard *shard, const char *sqlstate);
/* True: refused now. */
bool pg_shard_refuses(const struct pg_shard *shard);
/* How many of its members may go into the next statement. */
uint32_t pg_shard_sendable(const struct pg_shard *shard);
/* How long its row is expected to stay locked. */
uint64_t pg_shard_locked_for_us(const struct pg_shard *shard);

#endif
