/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arena: the memory the data path works in. Chunks of one reserved address range, managed by
 * jemalloc, each registered once with every RDMA device and never given back. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARENA_CHUNK_SHIFT 24
#define ARENA_CHUNK_SIZE  ((size_t)1 << ARENA_CHUNK_SHIFT)
#define ARENA_BUFFER_MAX                                                    \
    ((size_t)256 << 10) /* the largest single buffer; longer data is a list \
                         */

#define ARENA_BLOCK_MAX ((size_t)1 << 20) /* the same for caches */

typedef struct Arena Arena;
typedef enum { ARENA_HUGE_AUTO, ARENA_HUGE_ON, ARENA_HUGE_OFF } ArenaHuge;
typedef struct {
    size_t limit;   /* bytes, rounded up to chunks */
    size_t initial; /* bytes present from the start */
    ArenaHuge huge;
} ArenaConfig;

/* Asked to grow from a task's thread, by way of this hook (the daemon's runs arena_grow() on loop
 * 0). May be called from any thread, at most once until arena_grow() has run. */
typedef void (*ArenaGrowWanted)(void *arg);

Arena *arena_new(const ArenaConfig *config, ArenaGrowWanted wanted, void *arg, GError **error);
void arena_free(Arena *arena); /* all buffers returned, all observers gone (asserted) */

/* Adds one chunk: maps it, lets every observer register it, then makes it usable. Loop 0. False
 * with error when the limit is reached or an observer refused. */
bool arena_grow(Arena *arena, GError **error);

/* A buffer of 1 .. ARENA_BLOCK_MAX bytes within one chunk, aligned to at least
 * min(4096, size rounded up to a power of two); NULL when none is free now. MT-SAFE; loops use
 * their own jemalloc tcache. Contents are whatever was there: never send a byte not written. */
void *arena_alloc(Arena *arena, size_t size);
/* MT-SAFE; `size` as allocated. NULL is allowed. */
void arena_release(Arena *arena, void *buffer, size_t size);
/* What a buffer of this size takes from the arena: its size class, and jemalloc's page from 16 KiB
 * up. */
size_t arena_cost(size_t size);
/* Gives the calling loop's cached buffers back, before it waits and before its thread ends. */
void arena_flush_tcache(Arena *arena);

typedef struct {
    size_t limit, mapped, in_use; /* bytes; in_use counts what callers hold */
    uint64_t failures;            /* arena_alloc() that returned NULL */
} ArenaStats;
void arena_get_stats(Arena *arena, ArenaStats *out); /* MT-SAFE */

/* Chunks by index: (address - base) >> ARENA_CHUNK_SHIFT; the lkey of an address is its chunk's. */
void *arena_base(const Arena *arena);
unsigned arena_chunk_count(const Arena *arena); /* mapped and usable; MT-SAFE */
static inline unsigned arena_chunk_of(const void *base, const void *address)
{
    return (unsigned)(((uintptr_t)address - (uintptr_t)base) >> ARENA_CHUNK_SHIFT);
}

/* Told of each chunk before it is used, on loop 0: first of those there are (inside add), later of
 * new ones. False with error keeps the chunk out of use. */
typedef struct ArenaObserver ArenaObserver;
struct ArenaObserver {
    bool (*chunk_added)(ArenaObserver *observer, unsigned index, void *base, size_t len,
                        GError **error);
    ArenaObserver *next;
};
bool arena_add_observer(Arena *arena, ArenaObserver *observer, GError **error);
void arena_remove_observer(Arena *arena, ArenaObserver *observer);
