/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mark in a pool of bytes: tells once when what is left falls below it, and again only after
 * there was enough in between. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    size_t low, enough;                /* bytes left; low < enough */
    void (*fell)(void *, size_t left); /* on the thread that took the bytes; NULL: nobody asks */
    void *arg;
    atomic_bool is_low;
} PoolMark;

/* Little is left, whatever the mark says: something did not fit. MT-SAFE. */
static inline void pool_mark_fall(PoolMark *mark, size_t left)
{
    if (!atomic_exchange(&mark->is_low, true) && mark->fell)
        mark->fell(mark->arg, left);
}

/* What is left now. MT-SAFE. */
static inline void pool_mark_see(PoolMark *mark, size_t left)
{
    bool is_low = atomic_load_explicit(&mark->is_low, memory_order_relaxed);
    if (!is_low && left < mark->low)
        pool_mark_fall(mark, left);
    else if (is_low && left >= mark->enough)
        atomic_store(&mark->is_low, false);
}
