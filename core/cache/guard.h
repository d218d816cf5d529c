/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which slots are being written in the store: what keeps stale data out of the cache. A sequence
 * lock of many buckets, by key: a fill counts only if no write of its bucket was under way, or
 * began, from before the store was asked until it has answered; and what a write has written may be
 * taken over only if no other of its bucket overlapped with it in time, as nobody knows which of
 * them the store did last. Keys that share a bucket cost a use of the cache, never more. Under the
 * lock of the shard that embeds it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define GUARD_BUCKETS 1024 /* neighbouring keys have different ones */

typedef struct {
    uint32_t active; /* writes under way */
    bool contended;  /* they overlapped since there was none */
    uint64_t epoch;  /* writes begun and ended */
} GuardBucket;

typedef struct {
    GuardBucket buckets[GUARD_BUCKETS];
    uint32_t wide; /* writes under way that concern every key */
    uint64_t wide_epoch;
} Guard;

static inline GuardBucket *guard_bucket(Guard *guard, uint64_t key)
{
    return &guard->buckets[key % GUARD_BUCKETS];
}

static inline void guard_write_begin(Guard *guard, uint64_t key)
{
    GuardBucket *bucket = guard_bucket(guard, key);
    bucket->contended |= bucket->active > 0 || guard->wide > 0;
    bucket->active++;
    bucket->epoch++;
}

/* True when the write was alone. */
static inline bool guard_write_end(Guard *guard, uint64_t key)
{
    GuardBucket *bucket = guard_bucket(guard, key);
    bool alone = !bucket->contended;
    bucket->epoch++;
    if (--bucket->active == 0)
        bucket->contended = false;
    return alone;
}

/* A write, or whatever else changes the store, of more keys than anybody wants to name. */
static inline void guard_wide_begin(Guard *guard)
{
    guard->wide++;
    guard->wide_epoch++;
    for (unsigned i = 0; i < GUARD_BUCKETS; i++)
        guard->buckets[i].contended |= guard->buckets[i].active > 0;
}

static inline void guard_wide_end(Guard *guard)
{
    guard->wide--;
    guard->wide_epoch++;
}

static inline bool guard_is_written(Guard *guard, uint64_t key)
{
    return guard_bucket(guard, key)->active > 0 || guard->wide > 0;
}

/* Both parts only grow: the sum is the same only if both are. */
static inline uint64_t guard_epoch(Guard *guard, uint64_t key)
{
    return guard_bucket(guard, key)->epoch + guard->wide_epoch;
}
