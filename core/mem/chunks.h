/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The address range of the arena: chunks mapped one after another into one reservation, and cut
 * front to back into extents for jemalloc. Nothing is ever given back. */
#pragma once

#include "core/mem/arena.h"

#include <pthread.h>

typedef struct {
    uint8_t *base;
    unsigned reserved; /* chunks that addresses are reserved for */
    unsigned owned;    /* of them, those to be unmapped in the end; loop 0 */
    unsigned mapped;   /* chunks with memory behind them; loop 0 */
    bool full;         /* no more can be mapped; relaxed, read from anywhere */
    unsigned usable;   /* chunks that extents may be cut from; written with release order */
    ArenaHuge huge;
    pthread_mutex_t lock; /* guards used[] against jemalloc's threads */
    size_t *used;         /* bytes cut from each chunk */
} Chunks;

bool chunks_init(Chunks *chunks, const ArenaConfig *config, GError **error);
void chunks_deinit(Chunks *chunks); /* unmaps everything */

/* Puts memory behind the next chunk; its address, or NULL with error. Loop 0. */
void *chunks_map_next(Chunks *chunks, GError **error);
/* The mapped chunk may be used from now on. Loop 0. */
void chunks_publish(Chunks *chunks);

/* There may be a next one. MT-SAFE. */
bool chunks_can_grow(const Chunks *chunks);
/* The chunk mapped last stays unpublished, and is the last. Loop 0. */
void chunks_end_growth(Chunks *chunks);

/* An extent within one usable chunk, or NULL. MT-SAFE. */
void *chunks_cut(Chunks *chunks, size_t size, size_t alignment);
/* Bytes not yet cut from usable chunks. MT-SAFE. */
size_t chunks_left(Chunks *chunks);
