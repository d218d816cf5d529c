/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The block cache of a LUN in registered memory (DESIGN.md section 6): slots cut from blocks of the
 * arena, found by a hash index, kept by S3-FIFO (policy.h). A read that finds its bytes pins their
 * slots and is answered from them: no copy, no engine. It asks nobody for I/O itself: who reads and
 * writes the store tells it.
 *
 * What it promises: a byte is valid only while it equals what the store answers to a read, as far
 * as this daemon knows: every change of the store is announced before it begins and after it has
 * ended (cache_write_begin/end, cache_drop).
 * - From the beginning of a change until its end the bytes are not valid: reads go to the store.
 * - What was read from the store becomes valid only if no change of it was under way meanwhile
 *   (guard.h). Who asked for it is answered from the slot all the same.
 * - What was written becomes valid in slots that are there when the write has succeeded and no
 *   other change overlapped with it in time.
 * - Memory that may still be on its way to an initiator (pinned) is not written: a write to it
 *   goes to another slot (copy on write), or is forgotten.
 * - Units are CACHE_UNIT bytes: slots may be valid in part. A write of a part of a unit makes it
 *   invalid.
 *
 * Shared between loops: shards, each with its lock; a key (offset / slot size) belongs to one. No
 * lock is held across a call to others, none is taken inside another. */
#pragma once

#include "core/base/loop.h"
#include "core/mem/segment.h"

#define CACHE_UNIT     ((size_t)4096)
#define CACHE_BLOCK    ARENA_BLOCK_MAX
#define CACHE_SLOT_MAX (64 * CACHE_UNIT) /* a bit for each unit */

typedef struct Cache Cache;
typedef struct CacheLane CacheLane; /* what a cache is to one loop */

/* Blocks for `size` bytes, rounded up; slots of `slot` bytes, a power of two from CACHE_UNIT to
 * CACHE_SLOT_MAX. They are taken from what `memory` admits for commands. Loop 0. NULL with error.
 */
Cache *cache_new(Memory *memory, size_t size, size_t slot, unsigned nloops, GError **error);
/* No lane is left (asserted). NULL is allowed. Loop 0. */
void cache_free(Cache *cache);
/* Larger, or smaller (to 0: nothing is cached), while it is in use; what is pinned goes when it is
 * not any more. False with error when the arena has not so much: it stays as it was. Loop 0. */
bool cache_resize(Cache *cache, size_t size, GError **error);
size_t cache_size(const Cache *cache); /* bytes; MT-SAFE */
static inline size_t cache_blocks(uint64_t size)
{
    return (size_t)(size / CACHE_BLOCK) + (size % CACHE_BLOCK > 0);
}
/* What a cache of this size takes of what commands may have; bytes. */
static inline size_t cache_cost(uint64_t size)
{
    return cache_blocks(size) * (CACHE_BLOCK + 4096); /* as arena_cost() has it */
}
/* Whether a slot may have this size. */
static inline bool cache_slot_valid(uint64_t slot)
{
    return slot >= CACHE_UNIT && slot <= CACHE_SLOT_MAX && (slot & (slot - 1)) == 0;
}

/* --- reads ------------------------------------------------------------------------------------ */

/* On its loop, like everything of its holds; freed after the last of them (asserted). */
CacheLane *cache_lane_new(Cache *cache, Loop *loop);
void cache_lane_free(CacheLane *lane); /* NULL is allowed */

enum {
    CACHE_NO_ADMISSION = 1u << 0, /* answer from what is there, but make no slot */
    CACHE_NO_USE = 1u << 1,       /* one of a stream: not a sign that it is wanted again */
    CACHE_AHEAD = 1u << 2,        /* nobody has asked for it: counted by its use */
};

typedef enum {
    CACHE_READY,  /* all bytes are pinned: cache_hold_iov() */
    CACHE_FILL,   /* read hold->fill from the store, then cache_hold_filled() and another step */
    CACHE_WAIT,   /* somebody else reads it: hold->woken() comes once; then another step */
    CACHE_BYPASS, /* read all of it from the store into other memory, and release the hold */
} CacheStep;

typedef struct CacheHold CacheHold;

/* A read of some bytes, and the slots that it pins. */
struct CacheHold {
    void (*woken)(CacheHold *hold); /* set by the owner before the first step; not called inside */
    void *owner;                    /* the owner's */
    size_t len;                     /* bytes asked for */
    struct {
        uint64_t offset, len;    /* whole units */
        const struct iovec *iov; /* of that length; until the next step */
        int iovcnt;
    } fill;
    struct CacheHoldState *state; /* the cache's own */
};

/* Begins a read of [offset, offset + len), at most SEGMENT_MAX bytes. The units that they touch are
 * all within the store. */
CacheHold *cache_hold_new(CacheLane *lane, uint64_t offset, size_t len, unsigned flags);
CacheStep cache_hold_step(CacheHold *hold);
/* The store has filled what it was asked for. A fill that failed is ended by the release. */
void cache_hold_filled(CacheHold *hold);
/* The first `len` bytes of a hold that is READY; valid, and not written to, until the release. */
const struct iovec *cache_hold_iov(CacheHold *hold, size_t len, int *iovcnt);
/* Not while it waits, and not while the store still has the fill. */
void cache_hold_release(CacheHold *hold);

/* --- changes: MT-SAFE ------------------------------------------------------------------------- */

/* Before the store is given something that changes [offset, offset + len) in any way; and when it
 * has let go of it. Each begin has one end with the same range. `iov`: those bytes are in the store
 * now. NULL: nobody knows what is. */
void cache_write_begin(Cache *cache, uint64_t offset, uint64_t len);
void cache_write_end(Cache *cache, uint64_t offset, uint64_t len, const struct iovec *iov,
                     int iovcnt);
/* The store has changed from here on to its end, by something else. */
void cache_drop(Cache *cache, uint64_t offset);

/* --- statistics ------------------------------------------------------------------------------- */

typedef struct {
    uint64_t hits, misses, waits, bypasses; /* reads; waits are of the misses */
    uint64_t hit_bytes;                     /* answered by hits */
    uint64_t evictions, copies_on_write;    /* slots */
    uint64_t ahead_useful, ahead_wasted;    /* slots read ahead that were used, or not */
    uint64_t size, used, pinned;            /* now: bytes, slots, slots */
} CacheStats;
/* Adds to *out. MT-SAFE. */
void cache_add_stats(Cache *cache, CacheStats *out);
void cache_lane_add_stats(const CacheLane *lane, CacheStats *out);
