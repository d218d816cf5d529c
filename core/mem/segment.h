/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A segment: the list of arena buffers that holds the data (or one part of the data) of a command;
 * and who gets one when memory is short: admission by bytes, FIFO per loop, fair per client. */
#pragma once

#include "core/base/loop.h"
#include "core/mem/arena.h"

#include <sys/uio.h>

#define SEGMENT_MAX  ((size_t)1 << 20) /* longer commands stream through two segments */
#define SEGMENT_IOVS (SEGMENT_MAX / ARENA_BUFFER_MAX)

typedef struct Memory Memory;             /* the arena and its admission, shared by all loops */
typedef struct MemoryClient MemoryClient; /* one session, on its home loop: the unit of fairness */

typedef struct Segment Segment;
struct Segment {
    struct iovec iov[SEGMENT_IOVS];
    int iovcnt;
    size_t len;  /* sum of the iov lengths; 0: holds nothing */
    size_t cost; /* what it takes of the admission; bytes */
    MemoryClient *client;
    void (*granted)(Segment *segment); /* set by the owner */
    Segment *next;
    bool waiting;
};

/* Admits segments up to `limit` bytes: 85 % of the arena less what receive buffers may take.
 * `loops` are the home loops, by ascending index. Ownership of the arena stays outside. Loop 0. */
Memory *memory_new(Arena *arena, size_t limit, Loop *const *loops, unsigned nloops);
void memory_free(Memory *memory); /* no client is left (asserted) */
/* Told when less than 1/16 of the limit is left or a segment has to wait; on any thread; again only
 * after 1/4 was left. Before the first client. */
void memory_watch(Memory *memory, void (*fell)(void *arg, size_t left), void *arg);
/* The arena has grown: whoever waits is tried again. MT-SAFE. */
void memory_retry(Memory *memory);
Arena *memory_arena(Memory *memory);

/* Caches have blocks of the arena for good: what one of `size` bytes costs is taken from the limit,
 * so that commands never wait for it. False where they would be left with too little. Loop 0. */
bool memory_take_away(Memory *memory, size_t size);
void memory_give_back(Memory *memory, size_t size); /* MT-SAFE */
/* How much of a limit caches may have, all together; bytes. */
static inline size_t memory_spare(size_t limit)
{
    return limit - limit / 4;
}

#define MEMORY_ZEROS ARENA_BUFFER_MAX
/* A buffer of MEMORY_ZEROS zeros in the arena, for everybody to send from and nobody to write to
 * (asserted by memory_free()). Made on first use; NULL: the arena has no room for it. Loop 0. */
const void *memory_zeros(Memory *memory);

MemoryClient *memory_client_new(Memory *memory, Loop *home); /* on home */
void memory_client_free(MemoryClient *client); /* holds and waits for nothing (asserted); on home */

/* True: segment holds `len` bytes (1 .. SEGMENT_MAX) now. False: it waits, and granted() is called
 * later on the home loop when it holds them. On the client's home loop. */
bool segment_acquire(MemoryClient *client, Segment *segment, size_t len);
/* Returns the buffers, or ends the wait (granted is not called then). No-op on an empty one. On the
 * home loop. */
void segment_release(Segment *segment);

typedef struct {
    size_t admitted, limit; /* bytes */
    unsigned waiting;       /* segments queued now */
    uint64_t waits;         /* segments that ever had to wait */
} MemoryStats;
void memory_get_stats(Memory *memory, MemoryStats *out); /* MT-SAFE */
