/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A range lock: keeps read-modify-write cycles on a direct file apart from all other writes. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct AioRange AioRange;

/* The caller's memory; lent from a successful try or lock until unlock. */
struct AioRange {
    AioRange *prev, *next;
    uint64_t start, end; /* bytes, end not included */
    bool exclusive;
};

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    AioRange *head, *tail; /* holders and waiters in order of arrival; under lock */
    unsigned exclusive;    /* exclusive ones among them; under lock */
    unsigned waiting;      /* under lock */
} AioRanges;

void aio_ranges_init(AioRanges *ranges);
void aio_ranges_deinit(AioRanges *ranges); /* nobody holds or waits */

/* Shared, only if it can be had at once. MT-SAFE; does not block. */
bool aio_ranges_try(AioRanges *ranges, AioRange *range, uint64_t start, uint64_t end);

/* Waits until no earlier overlapping range excludes this one (shared ranges do not exclude each
 * other). Whoever holds a range takes no second one. MT-SAFE; blocks. */
void aio_ranges_lock(AioRanges *ranges, AioRange *range, uint64_t start, uint64_t end,
                     bool exclusive);

void aio_ranges_unlock(AioRanges *ranges, AioRange *range); /* MT-SAFE; any thread */
