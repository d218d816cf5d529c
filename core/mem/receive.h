/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The budget for receive buffers: what sessions may be sent before their commands have memory of
 * their own. It is apart from the segments' so that neither can starve the other. Sessions on all
 * loops share it: while it is scarce, those that hold more than their fair share give back buffer
 * by buffer, and the others may take up to theirs. */
#pragma once

#include "core/mem/arena.h"

typedef struct ReceiveBudget ReceiveBudget;

/* Of `bytes` bytes, of which 1/8 is kept for sessions that begin with the least. */
ReceiveBudget *receive_budget_new(Arena *arena, size_t bytes);
void receive_budget_free(ReceiveBudget *budget);    /* all returned (asserted) */
Arena *receive_budget_arena(ReceiveBudget *budget); /* where the buffers come from; MT-SAFE */

/* Told when less than 1/16 is left or a session is refused; on any thread, under the budget's lock;
 * again only after 1/8 was left. Before the first session. */
void receive_budget_watch(ReceiveBudget *budget, void (*fell)(void *arg, size_t left), void *arg);

typedef struct {
    size_t limit, left; /* bytes */
    unsigned sessions;
} ReceiveStats;
void receive_budget_get_stats(ReceiveBudget *budget, ReceiveStats *out); /* MT-SAFE */

/* A login that would want so many bytes has begun. False: less than half would be left after it and
 * the others expected; it had better want less. It is expected until it comes or ends. MT-SAFE */
bool receive_budget_expect(ReceiveBudget *budget, size_t bytes);
void receive_budget_expect_no_more(ReceiveBudget *budget, size_t bytes);

/* What one session holds of the budget. Embedded in the caller's; zeroed: nothing. On the session's
 * home loop; different shares on different loops at the same time. */
typedef struct {
    ReceiveBudget *budget; /* NULL: holds nothing */
    size_t cost;           /* of one buffer; bytes */
    unsigned least, most, held;
    bool spared; /* of the last two that might have gone, one stayed */
} ReceiveShare;

/* How many of `most` buffers of `size` bytes a new session begins with (it gets more as it uses
 * what it has: receive_share_grow()); 0 when `least` of them are not to be had (the login is then
 * rejected). `least` <= `most`. */
unsigned receive_share_take(ReceiveShare *share, ReceiveBudget *budget, unsigned least,
                            unsigned most, size_t size);
/* The session could use more than it holds: how many more it may have from now on; at most doubles
 * what it has. 0: none now. */
unsigned receive_share_grow(ReceiveShare *share);
/* A buffer of the session is free: true when others need it more; it is given back. At most every
 * other time, so that a session gets on while it shrinks. */
bool receive_share_shrink(ReceiveShare *share);
/* Gives back n of those it holds, fewer than all. */
void receive_share_return(ReceiveShare *share, unsigned n);
/* Gives everything back. Of a share that holds nothing: no-op. */
void receive_share_leave(ReceiveShare *share);
