/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making a cache, changing its size, counting. */
#include "core/cache/cache_impl.h"

#include <gio/gio.h>

#define SHARDS_MAX      16
#define SHARD_BLOCKS    4 /* at least, where there is more than one */
#define SHARDS_PER_LOOP 2

static unsigned shards_for(size_t blocks, unsigned nloops)
{
    unsigned n = 1;
    while (n < nloops * SHARDS_PER_LOOP && n < SHARDS_MAX && blocks / SHARD_BLOCKS >= 2 * n)
        n *= 2;
    return n;
}

static size_t count_blocks(const Cache *cache)
{
    size_t n = 0;
    for (unsigned i = 0; i < cache->n_shards; i++)
        n += cache->shards[i].n_blocks;
    return n;
}

static CacheShard *shard_with(Cache *cache, bool most)
{
    CacheShard *found = &cache->shards[0];
    for (unsigned i = 1; i < cache->n_shards; i++) {
        CacheShard *shard = &cache->shards[i];
        if (most ? shard->n_blocks > found->n_blocks : shard->n_blocks < found->n_blocks)
            found = shard;
    }
    return found;
}

/* Loop 0 may let the arena grow, and waits for nobody. */
static void *block_alloc(Memory *memory)
{
    Arena *arena = memory_arena(memory);
    void *block;
    while (!(block = arena_alloc(arena, CACHE_BLOCK)))
        if (!arena_grow(arena, NULL))
            return NULL;
    return block;
}

static bool add_block(Cache *cache, GError **error)
{
    if (!memory_take_away(cache->memory, CACHE_BLOCK)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    "the arena has no room for so large a cache beside what commands need (arena= "
                    "in [memory])");
        return false;
    }
    void *memory = block_alloc(cache->memory);
    if (!memory) {
        memory_give_back(cache->memory, CACHE_BLOCK);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NO_SPACE,
                    "the arena has no block of 1 MiB left for the cache (arena= in [memory])");
        return false;
    }
    shard_add_block(shard_with(cache, false), memory);
    return true;
}

static void drop_blocks(Cache *cache, size_t n)
{
    for (; n > 0; n--)
        shard_drop_block(shard_with(cache, true));
}

bool cache_resize(Cache *cache, size_t size, GError **error)
{
    size_t want = cache_blocks(size), before = count_blocks(cache);
    for (size_t n = before; n < want; n++)
        if (!add_block(cache, error)) {
            drop_blocks(cache, n - before);
            return false;
        }
    if (want < before)
        drop_blocks(cache, before - want);
    __atomic_store_n(&cache->size, want * CACHE_BLOCK, __ATOMIC_RELAXED);
    return true;
}

Cache *cache_new(Memory *memory, size_t size, size_t slot, unsigned nloops, GError **error)
{
    g_assert(cache_slot_valid(slot));
    unsigned n = shards_for(cache_blocks(size), nloops);
    Cache *cache = g_malloc0(sizeof *cache + n * sizeof *cache->shards);
    cache->memory = memory;
    cache->slot = slot;
    cache->slot_shift = (unsigned)__builtin_ctzl(slot);
    cache->per_block = (unsigned)(CACHE_BLOCK / slot);
    cache->n_shards = n;
    for (unsigned i = 0; i < n; i++)
        shard_init(&cache->shards[i], cache);
    if (cache_resize(cache, size, error))
        return cache;
    cache_free(cache);
    return NULL;
}

void cache_free(Cache *cache)
{
    if (!cache)
        return;
    g_assert(__atomic_load_n(&cache->n_lanes, __ATOMIC_ACQUIRE) == 0);
    for (unsigned i = 0; i < cache->n_shards; i++)
        shard_deinit(&cache->shards[i]);
    g_free(cache);
}

size_t cache_size(const Cache *cache)
{
    return __atomic_load_n(&cache->size, __ATOMIC_RELAXED);
}

void cache_add_stats(Cache *cache, CacheStats *out)
{
    out->size += cache_size(cache);
    for (unsigned i = 0; i < cache->n_shards; i++) {
        CacheShard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        out->evictions += shard->evictions;
        out->copies_on_write += shard->copies_on_write;
        out->ahead_useful += shard->ahead_useful;
        out->ahead_wasted += shard->ahead_wasted;
        out->used += shard->used;
        out->pinned += shard->pinned;
        pthread_mutex_unlock(&shard->lock);
    }
}
