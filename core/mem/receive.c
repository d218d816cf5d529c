/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The receive budget: a byte count that sessions reserve from when they log in. */
#include "core/mem/receive.h"

#include <pthread.h>

#define CONTROL_PART 8 /* one 1/8 is only for reservations of the least size */
#define SHARE_PART   4 /* a new session gets at most 1/4 of what is left */

struct ReceiveBudget {
    Arena *arena;
    size_t total, left; /* bytes */
    pthread_mutex_t lock;
};

ReceiveBudget *receive_budget_new(Arena *arena, size_t bytes)
{
    ReceiveBudget *budget = g_new0(ReceiveBudget, 1);
    budget->arena = arena;
    budget->total = budget->left = bytes;
    pthread_mutex_init(&budget->lock, NULL);
    return budget;
}

void receive_budget_free(ReceiveBudget *budget)
{
    if (!budget)
        return;
    g_assert(budget->left == budget->total);
    pthread_mutex_destroy(&budget->lock);
    g_free(budget);
}

Arena *receive_budget_arena(ReceiveBudget *budget)
{
    return budget->arena;
}

static unsigned share(const ReceiveBudget *budget, unsigned wanted, unsigned least, size_t cost)
{
    size_t control = wanted > least ? budget->total / CONTROL_PART : 0;
    size_t fit = budget->left > control ? (budget->left - control) / cost : 0;
    if (fit < least)
        return 0;
    return (unsigned)MIN(wanted, MAX(least, fit / SHARE_PART));
}

unsigned receive_budget_reserve(ReceiveBudget *budget, unsigned wanted, unsigned least, size_t size)
{
    size_t cost = arena_cost(size);
    pthread_mutex_lock(&budget->lock);
    unsigned count = share(budget, wanted, least, cost);
    budget->left -= count * cost;
    pthread_mutex_unlock(&budget->lock);
    return count;
}

void receive_budget_unreserve(ReceiveBudget *budget, unsigned count, size_t size)
{
    pthread_mutex_lock(&budget->lock);
    budget->left += count * arena_cost(size);
    pthread_mutex_unlock(&budget->lock);
}
