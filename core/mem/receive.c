/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The receive budget: a byte count that sessions take from when they log in and while they work. */
#include "core/mem/receive.h"

#include "core/mem/mark.h"

#include <pthread.h>
#include <stdatomic.h>

#define CONTROL_PART 8 /* one 1/8 is only for sessions that begin with the least */
#define SCARCE_PART  4 /* below 1/4 left, nobody takes more than the fair share, or keeps it */
#define LOW_PART     16
/* A session may stay idle, and what it was offered cannot be taken back: it begins with a part of
 * what is left, the smaller the more there are. ib_srp never has more outstanding than it began
 * with. */
#define START_PART 8
#define START_MOST 72

struct ReceiveBudget {
    Arena *arena;
    size_t total; /* bytes */
    pthread_mutex_t lock;
    /* Written under the lock; read without it to see whether it is worth taking. */
    atomic_size_t left; /* bytes */
    atomic_uint sessions;
    atomic_size_t expected; /* bytes that logins under way want */
    PoolMark mark;
};

ReceiveBudget *receive_budget_new(Arena *arena, size_t bytes)
{
    ReceiveBudget *budget = g_new0(ReceiveBudget, 1);
    budget->arena = arena;
    budget->total = bytes;
    atomic_init(&budget->left, bytes);
    atomic_init(&budget->sessions, 0);
    atomic_init(&budget->expected, 0);
    budget->mark = (PoolMark){.low = bytes / LOW_PART, .enough = bytes / CONTROL_PART};
    pthread_mutex_init(&budget->lock, NULL);
    return budget;
}

void receive_budget_free(ReceiveBudget *budget)
{
    if (!budget)
        return;
    g_assert(budget->left == budget->total && budget->sessions == 0 && budget->expected == 0);
    pthread_mutex_destroy(&budget->lock);
    g_free(budget);
}

Arena *receive_budget_arena(ReceiveBudget *budget)
{
    return budget->arena;
}

void receive_budget_watch(ReceiveBudget *budget, void (*fell)(void *, size_t), void *arg)
{
    budget->mark.fell = fell;
    budget->mark.arg = arg;
}

void receive_budget_get_stats(ReceiveBudget *budget, ReceiveStats *out)
{
    *out = (ReceiveStats){
        .limit = budget->total,
        .left = atomic_load(&budget->left),
        .sessions = atomic_load(&budget->sessions),
    };
}

bool receive_budget_expect(ReceiveBudget *budget, size_t bytes)
{
    size_t expected = atomic_fetch_add(&budget->expected, bytes) + bytes;
    return atomic_load(&budget->left) >= expected + budget->total / 2;
}

void receive_budget_expect_no_more(ReceiveBudget *budget, size_t bytes)
{
    atomic_fetch_sub(&budget->expected, bytes);
}

/* --- how many buffers ------------------------------------------------------------------------- */

/* What is left above that much of the total, in buffers of the share. */
static unsigned left_above(const ReceiveShare *share, size_t reserve)
{
    size_t left = atomic_load_explicit(&share->budget->left, memory_order_relaxed);
    size_t fit = left > reserve ? (left - reserve) / share->cost : 0;
    return (unsigned)MIN(fit, UINT_MAX);
}

static size_t control_reserve(const ReceiveBudget *budget)
{
    return budget->total / CONTROL_PART;
}

static unsigned fair(const ReceiveShare *share)
{
    const ReceiveBudget *budget = share->budget;
    unsigned sessions = atomic_load_explicit(&budget->sessions, memory_order_relaxed);
    size_t bytes = (budget->total - control_reserve(budget)) / MAX(sessions, 1);
    return (unsigned)MAX(MIN(bytes / share->cost, share->most), share->least);
}

static unsigned at_start(const ReceiveShare *share)
{
    unsigned room = left_above(share, control_reserve(share->budget));
    unsigned parts = START_PART + atomic_load(&share->budget->sessions);
    unsigned count =
        CLAMP(room / parts, share->least, MIN(share->most, MAX(share->least, START_MOST)));
    if (count <= room)
        return count;
    return left_above(share, 0) >= share->least ? share->least : 0;
}

static unsigned more(const ReceiveShare *share)
{
    const ReceiveBudget *budget = share->budget;
    unsigned own = fair(share);
    unsigned count = MIN(share->held, share->most - share->held);
    if (share->held < own)
        return MIN(MIN(count, own - share->held), left_above(share, control_reserve(budget)));
    return MIN(count, left_above(share, budget->total / SCARCE_PART));
}

static bool too_many(const ReceiveShare *share)
{
    const ReceiveBudget *budget = share->budget;
    size_t left = atomic_load_explicit(&budget->left, memory_order_relaxed);
    return left < budget->total / SCARCE_PART && share->held > fair(share);
}

/* --- taking and giving ------------------------------------------------------------------------ */

static void hold(ReceiveShare *share, unsigned n)
{
    size_t bytes = n * share->cost;
    pool_mark_see(&share->budget->mark, atomic_fetch_sub(&share->budget->left, bytes) - bytes);
    share->held += n;
}

static void give(ReceiveShare *share, unsigned n)
{
    size_t bytes = n * share->cost;
    pool_mark_see(&share->budget->mark, atomic_fetch_add(&share->budget->left, bytes) + bytes);
    share->held -= n;
}

unsigned receive_share_take(ReceiveShare *share, ReceiveBudget *budget, unsigned least,
                            unsigned most, size_t size)
{
    g_assert(!share->budget && least <= most);
    *share =
        (ReceiveShare){.budget = budget, .cost = arena_cost(size), .least = least, .most = most};
    pthread_mutex_lock(&budget->lock);
    hold(share, at_start(share));
    if (share->held > 0)
        atomic_fetch_add(&budget->sessions, 1);
    else
        pool_mark_fall(&budget->mark, atomic_load(&budget->left));
    pthread_mutex_unlock(&budget->lock);
    if (share->held == 0)
        share->budget = NULL;
    return share->held;
}

unsigned receive_share_grow(ReceiveShare *share)
{
    if (!share->budget || more(share) == 0)
        return 0;
    pthread_mutex_lock(&share->budget->lock);
    unsigned count = more(share);
    hold(share, count);
    pthread_mutex_unlock(&share->budget->lock);
    return count;
}

bool receive_share_shrink(ReceiveShare *share)
{
    if (!share->budget || !too_many(share))
        return false;
    share->spared = !share->spared;
    if (share->spared)
        return false;
    pthread_mutex_lock(&share->budget->lock);
    bool given = too_many(share);
    if (given)
        give(share, 1);
    pthread_mutex_unlock(&share->budget->lock);
    return given;
}

void receive_share_return(ReceiveShare *share, unsigned n)
{
    g_assert(n < share->held);
    pthread_mutex_lock(&share->budget->lock);
    give(share, n);
    pthread_mutex_unlock(&share->budget->lock);
}

void receive_share_leave(ReceiveShare *share)
{
    ReceiveBudget *budget = share->budget;
    if (!budget)
        return;
    pthread_mutex_lock(&budget->lock);
    give(share, share->held);
    atomic_fetch_sub(&budget->sessions, 1);
    pthread_mutex_unlock(&budget->lock);
    share->budget = NULL;
}
