/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of core/cache know of a cache: its shards, blocks and slots. */
#pragma once

#include "core/cache/cache.h"
#include "core/cache/guard.h"
#include "core/cache/policy.h"

#include <pthread.h>

#define GROUP_SHIFT                                                              \
    4 /* this many bits of a key are of one shard: neighbours are found together \
       */

typedef struct CacheSlot CacheSlot;
typedef struct CacheBlock CacheBlock;
typedef struct CacheShard CacheShard;

/* Under the lock of its shard, but `memory`, whose bytes belong to who pins them. A slot is free
 * (on the shard's list), in the index (then also with the policy), or gone (`gone`): out of both,
 * as it is still pinned. */
struct CacheSlot {
    PolicyEntry entry; /* first; its key is the slot's */
    CacheSlot *next;   /* of the index, or of the free ones */
    CacheBlock *block;
    uint8_t *memory;
    uint64_t valid;   /* units that equal the store */
    uint64_t filling; /* units that the store is to fill; not valid */
    uint64_t stale;   /* units not valid that a pin may still need as they are */
    uint32_t pins;
    bool gone;
    bool ahead;         /* read ahead, and not yet used */
    CacheHold *waiters; /* for `filling` */
};

struct CacheBlock {
    CacheShard *shard;
    CacheBlock *next; /* CacheShard.blocks */
    uint8_t *memory;
    unsigned left; /* slots, when it is `going`: those that are not free */
    bool going;    /* released with the last of them */
    CacheSlot slots[];
};

struct CacheShard {
    pthread_mutex_t lock; /* everything below */
    Cache *cache;
    Policy policy;
    Guard guard;
    CacheSlot **index; /* by hash of the key */
    size_t index_mask;
    CacheSlot *free;
    CacheBlock *blocks; /* but those going */
    size_t n_blocks, used, pinned;
    uint64_t evictions, copies_on_write, ahead_useful, ahead_wasted;
};

struct Cache {
    Memory *memory;
    size_t slot; /* bytes */
    unsigned slot_shift;
    size_t size;        /* bytes; atomic, changed on loop 0 */
    unsigned n_lanes;   /* atomic */
    unsigned n_shards;  /* a power of two */
    unsigned per_block; /* slots */
    CacheShard shards[];
};

static inline CacheShard *cache_shard(Cache *cache, uint64_t key)
{
    uint64_t group = (key >> GROUP_SHIFT) * UINT64_C(0x9e3779b97f4a7c15);
    return &cache->shards[group >> 32 & (cache->n_shards - 1)];
}

/* Bits [first, first + n) of a mask of units; n > 0. */
static inline uint64_t unit_mask(unsigned first, unsigned n)
{
    return (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << first;
}

/* Of cache.c alone. */
void shard_init(CacheShard *shard, Cache *cache);
void shard_deinit(CacheShard *shard);
void shard_add_block(CacheShard *shard, void *memory);
void shard_drop_block(CacheShard *shard); /* one of them; its memory goes with the last pin */

/* All of them: with the shard's lock. */
static inline CacheSlot **slot_index_at(const CacheShard *shard, uint64_t key)
{
    return &shard->index[(key ^ key >> 17) & shard->index_mask];
}

static inline CacheSlot *slot_find(const CacheShard *shard, uint64_t key)
{
    CacheSlot *slot = *slot_index_at(shard, key);
    while (slot && slot->entry.key != key)
        slot = slot->next;
    return slot;
}

/* A slot for a key that has none, without a valid unit: in the index. NULL: none is to be had. */
CacheSlot *slot_make(CacheShard *shard, uint64_t key);
/* A slot in the place of one that is pinned, which is gone from now on. NULL: none is to be had. */
CacheSlot *slot_replace(CacheShard *shard, CacheSlot *old);
static inline void slot_pin(CacheShard *shard, CacheSlot *slot)
{
    shard->pinned += slot->pins++ == 0;
}

/* Frees one that is gone, or has nothing valid, and is not pinned. */
void slot_drop(CacheShard *shard, CacheSlot *slot);

static inline void slot_unpin(CacheShard *shard, CacheSlot *slot)
{
    if (--slot->pins > 0)
        return;
    shard->pinned--;
    slot->stale = 0;
    if (slot->gone || slot->valid == 0)
        slot_drop(shard, slot);
}

/* Calls those that wait for one of its units. */
void slot_wake(CacheSlot *slot);
