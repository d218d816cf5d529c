/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots: found, made, pinned, given back; and the blocks that they are cut from. */
#include "core/cache/cache_impl.h"
#include "core/cache/hold_impl.h"

#include "core/mem/sanitize.h"

#include <string.h>

/* --- the index -------------------------------------------------------------------------------- */

static void index_add(CacheShard *shard, CacheSlot *slot)
{
    CacheSlot **at = slot_index_at(shard, slot->entry.key);
    slot->next = *at;
    *at = slot;
    shard->used++;
}

static void index_remove(CacheShard *shard, CacheSlot *slot)
{
    CacheSlot **at = slot_index_at(shard, slot->entry.key);
    while (*at != slot)
        at = &(*at)->next;
    *at = slot->next;
    shard->used--;
}

/* --- free slots ------------------------------------------------------------------------------- */

static void block_release(CacheBlock *block)
{
    Memory *memory = block->shard->cache->memory;
    memory_unpoison(block->memory, CACHE_BLOCK);
    arena_release(memory_arena(memory), block->memory, CACHE_BLOCK);
    memory_give_back(memory, CACHE_BLOCK);
    g_free(block);
}

/* Of nobody any more. The last of a block that is going takes it along. */
static void slot_free(CacheShard *shard, CacheSlot *slot)
{
    CacheBlock *block = slot->block;
    g_assert(!slot->pins && !slot->filling && !slot->waiters);
    if (block->going) {
        if (--block->left == 0)
            block_release(block);
        return;
    }
    memory_poison(slot->memory, shard->cache->slot);
    slot->next = shard->free;
    shard->free = slot;
}

static void slot_forget(CacheShard *shard, CacheSlot *slot)
{
    index_remove(shard, slot);
    policy_remove(&shard->policy, &slot->entry);
    slot_free(shard, slot);
}

static bool may_go(const PolicyEntry *entry)
{
    return ((const CacheSlot *)entry)->pins == 0;
}

static CacheSlot *evict(CacheShard *shard)
{
    CacheSlot *slot = (CacheSlot *)policy_evict(&shard->policy, may_go);
    if (!slot)
        return NULL;
    index_remove(shard, slot);
    shard->evictions++;
    shard->ahead_wasted += slot->ahead;
    return slot;
}

/* Free, or another's, with no unit valid. */
static CacheSlot *take(CacheShard *shard)
{
    CacheSlot *slot = shard->free;
    if (slot) {
        shard->free = slot->next;
        memory_unpoison(slot->memory, shard->cache->slot);
    } else if (!(slot = evict(shard))) {
        return NULL;
    }
    slot->valid = slot->filling = slot->stale = 0;
    slot->gone = slot->ahead = false;
    return slot;
}

CacheSlot *slot_make(CacheShard *shard, uint64_t key)
{
    CacheSlot *slot = take(shard);
    if (!slot)
        return NULL;
    slot->entry.key = key;
    index_add(shard, slot);
    policy_insert(&shard->policy, &slot->entry);
    return slot;
}

CacheSlot *slot_replace(CacheShard *shard, CacheSlot *old)
{
    CacheSlot *slot = take(shard);
    if (!slot)
        return NULL;
    index_remove(shard, old);
    policy_replace(&shard->policy, &old->entry, &slot->entry);
    index_add(shard, slot);
    old->gone = true;
    return slot;
}

void slot_drop(CacheShard *shard, CacheSlot *slot)
{
    if (slot->gone)
        slot_free(shard, slot);
    else
        slot_forget(shard, slot);
}

void slot_wake(CacheSlot *slot)
{
    for (CacheHold *hold; (hold = slot->waiters);) {
        slot->waiters = hold->state->next;
        hold_wake(hold);
    }
}

/* --- blocks ----------------------------------------------------------------------------------- */

static size_t index_size(size_t slots)
{
    size_t size = 16;
    while (size < 2 * slots)
        size *= 2;
    return size;
}

/* With as many slots as there are blocks for. */
static void shard_rebuild(CacheShard *shard)
{
    size_t slots = shard->n_blocks * shard->cache->per_block;
    CacheSlot **old = shard->index;
    size_t old_size = old ? shard->index_mask + 1 : 0;
    shard->index_mask = index_size(slots) - 1;
    shard->index = g_new0(CacheSlot *, shard->index_mask + 1);
    shard->used = 0;
    for (size_t i = 0; i < old_size; i++)
        for (CacheSlot *slot = old[i], *next; slot; slot = next) {
            next = slot->next;
            index_add(shard, slot);
        }
    g_free(old);
    policy_resize(&shard->policy, slots);
}

void shard_init(CacheShard *shard, Cache *cache)
{
    shard->cache = cache;
    pthread_mutex_init(&shard->lock, NULL);
    policy_init(&shard->policy, 0);
    shard_rebuild(shard);
}

void shard_add_block(CacheShard *shard, void *memory)
{
    const Cache *cache = shard->cache;
    CacheBlock *block = g_malloc0(sizeof *block + cache->per_block * sizeof *block->slots);
    block->shard = shard;
    block->memory = memory;
    pthread_mutex_lock(&shard->lock);
    block->next = shard->blocks;
    shard->blocks = block;
    shard->n_blocks++;
    for (unsigned i = cache->per_block; i-- > 0;) {
        CacheSlot *slot = &block->slots[i];
        slot->block = block;
        slot->memory = block->memory + i * cache->slot;
        slot_free(shard, slot);
    }
    shard_rebuild(shard);
    pthread_mutex_unlock(&shard->lock);
}

static void forget_free_of(CacheShard *shard, const CacheBlock *block)
{
    for (CacheSlot **at = &shard->free; *at;)
        if ((*at)->block == block)
            *at = (*at)->next;
        else
            at = &(*at)->next;
}

/* What is in use of it goes when it is unpinned; the rest at once. */
static void block_empty(CacheBlock *block)
{
    CacheShard *shard = block->shard;
    unsigned n = shard->cache->per_block;
    for (unsigned i = 0; i < n; i++) {
        CacheSlot *slot = &block->slots[i];
        if (slot->entry.queue == POLICY_OUT)
            continue;
        index_remove(shard, slot);
        policy_remove(&shard->policy, &slot->entry);
        if (slot->pins > 0)
            slot->gone = true;
        else
            slot_free(shard, slot);
    }
    forget_free_of(shard, block);
    block->going = true;
    block->left = 1; /* this call's */
    for (unsigned i = 0; i < n; i++)
        block->left += block->slots[i].pins > 0;
    if (--block->left == 0)
        block_release(block);
}

void shard_drop_block(CacheShard *shard)
{
    pthread_mutex_lock(&shard->lock);
    CacheBlock *block = shard->blocks;
    shard->blocks = block->next;
    shard->n_blocks--;
    block_empty(block);
    shard_rebuild(shard);
    pthread_mutex_unlock(&shard->lock);
}

void shard_deinit(CacheShard *shard)
{
    while (shard->blocks)
        shard_drop_block(shard);
    g_assert(shard->used == 0 && shard->pinned == 0 && shard->guard.wide == 0);
    policy_deinit(&shard->policy);
    g_free(shard->index);
    pthread_mutex_destroy(&shard->lock);
}
