/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes of the store: what they make invalid, and what they leave to be taken over. */
#include "core/cache/cache_impl.h"

#include <string.h>

#define WIDE_KEYS 256 /* more are not looked up one by one; at most GUARD_BUCKETS */

/* The part of a change that concerns one slot, in bytes of the slot. */
typedef struct {
    uint64_t key;
    size_t from, to;
} Part;

static Part part_of(const Cache *cache, uint64_t offset, uint64_t end)
{
    uint64_t key = offset >> cache->slot_shift, start = key << cache->slot_shift;
    return (Part){key, (size_t)(offset - start), (size_t)MIN(end - start, cache->slot)};
}

static bool is_wide(const Cache *cache, uint64_t offset, uint64_t len)
{
    return ((offset + len - 1) >> cache->slot_shift) - (offset >> cache->slot_shift) >= WIDE_KEYS;
}

/* --- what is not valid any more --------------------------------------------------------------- */

static void invalidate(CacheSlot *slot, size_t from, size_t to)
{
    unsigned first = (unsigned)(from / CACHE_UNIT), end = (unsigned)((to - 1) / CACHE_UNIT) + 1;
    uint64_t units = slot->valid & unit_mask(first, end - first);
    slot->valid &= ~units;
    if (slot->pins > 0)
        slot->stale |= units;
}

static void invalidate_all(CacheShard *shard, uint64_t offset, uint64_t end)
{
    unsigned shift = shard->cache->slot_shift;
    for (size_t i = 0; i <= shard->index_mask; i++)
        for (CacheSlot *slot = shard->index[i]; slot; slot = slot->next) {
            uint64_t start = slot->entry.key << shift;
            if (start < end && offset < start + shard->cache->slot)
                invalidate(slot, offset > start ? (size_t)(offset - start) : 0,
                           (size_t)MIN(end - start, shard->cache->slot));
        }
}

static void wide_begin(Cache *cache, uint64_t offset, uint64_t end)
{
    for (unsigned i = 0; i < cache->n_shards; i++) {
        CacheShard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        guard_wide_begin(&shard->guard);
        invalidate_all(shard, offset, end);
        pthread_mutex_unlock(&shard->lock);
    }
}

static void wide_end(Cache *cache)
{
    for (unsigned i = 0; i < cache->n_shards; i++) {
        CacheShard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        guard_wide_end(&shard->guard);
        pthread_mutex_unlock(&shard->lock);
    }
}

void cache_write_begin(Cache *cache, uint64_t offset, uint64_t len)
{
    if (len == 0)
        return;
    if (is_wide(cache, offset, len)) {
        wide_begin(cache, offset, offset + len);
        return;
    }
    for (uint64_t at = offset, end = offset + len; at < end;) {
        Part part = part_of(cache, at, end);
        CacheShard *shard = cache_shard(cache, part.key);
        pthread_mutex_lock(&shard->lock);
        guard_write_begin(&shard->guard, part.key);
        CacheSlot *slot = slot_find(shard, part.key);
        if (slot)
            invalidate(slot, part.from, part.to);
        pthread_mutex_unlock(&shard->lock);
        at += part.to - part.from;
    }
}

void cache_drop(Cache *cache, uint64_t offset)
{
    wide_begin(cache, offset, UINT64_MAX);
    wide_end(cache);
}

/* --- what was written ------------------------------------------------------------------------- */

/* Where the bytes of a write have been got to. */
typedef struct {
    const struct iovec *iov, *end;
    size_t within;
} Source;

static void source_take(Source *source, uint8_t *to, size_t len)
{
    while (len > 0) {
        g_assert(source->iov < source->end);
        size_t part = MIN(len, source->iov->iov_len - source->within);
        if (to) {
            memcpy(to, (const uint8_t *)source->iov->iov_base + source->within, part);
            to += part;
        }
        len -= part;
        source->within += part;
        if (source->within == source->iov->iov_len) {
            source->iov++;
            source->within = 0;
        }
    }
}

static void copy_units(const CacheSlot *from, CacheSlot *to, uint64_t units)
{
    for (unsigned i = 0; units >> i; i++)
        if (units >> i & 1) {
            memcpy(to->memory + i * CACHE_UNIT, from->memory + i * CACHE_UNIT, CACHE_UNIT);
            to->valid |= UINT64_C(1) << i;
        }
}

/* The slot to write the units to, or NULL. */
static CacheSlot *writable(CacheShard *shard, CacheSlot *slot, uint64_t units)
{
    if (!(units & (slot->stale | slot->filling)))
        return slot;
    CacheSlot *copy = slot_replace(shard, slot);
    if (!copy)
        return NULL;
    shard->copies_on_write++;
    copy_units(slot, copy, slot->valid);
    return copy;
}

static uint64_t whole_units(const Part *part)
{
    unsigned first = (unsigned)((part->from + CACHE_UNIT - 1) / CACHE_UNIT);
    unsigned end = (unsigned)(part->to / CACHE_UNIT);
    return first < end ? unit_mask(first, end - first) : 0;
}

/* Takes the part's bytes from the source, into the slot where that can be. */
static void take_over(CacheShard *shard, const Part *part, Source *source)
{
    uint64_t units = whole_units(part);
    CacheSlot *slot = units ? slot_find(shard, part->key) : NULL;
    if (slot)
        slot = writable(shard, slot, units);
    if (!slot) {
        source_take(source, NULL, part->to - part->from);
        return;
    }
    size_t first = (size_t)__builtin_ctzll(units) * CACHE_UNIT;
    size_t len = (size_t)__builtin_popcountll(units) * CACHE_UNIT;
    source_take(source, NULL, first - part->from);
    source_take(source, slot->memory + first, len);
    source_take(source, NULL, part->to - first - len);
    slot->valid |= units;
}

void cache_write_end(Cache *cache, uint64_t offset, uint64_t len, const struct iovec *iov,
                     int iovcnt)
{
    if (len == 0)
        return;
    if (is_wide(cache, offset, len)) {
        wide_end(cache);
        return;
    }
    Source source = {.iov = iov, .end = iov + iovcnt};
    for (uint64_t at = offset, end = offset + len; at < end;) {
        Part part = part_of(cache, at, end);
        CacheShard *shard = cache_shard(cache, part.key);
        pthread_mutex_lock(&shard->lock);
        bool alone = guard_write_end(&shard->guard, part.key);
        if (alone && iov)
            take_over(shard, &part, &source);
        else if (iov)
            source_take(&source, NULL, part.to - part.from);
        pthread_mutex_unlock(&shard->lock);
        at += part.to - part.from;
    }
}
