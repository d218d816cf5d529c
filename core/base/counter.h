/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statistics counters with one writing thread, readable from any other without a lock. */
#pragma once

#include <stdint.h>

static inline uint64_t counter_get(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* The writer's thread only: a plain add, published so that readers never see half of it. */
static inline void counter_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
