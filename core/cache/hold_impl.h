/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a hold knows of itself. */
#pragma once

#include "core/cache/cache_impl.h"

/* Units of one slot that lie together: pinned, and either valid then or to be filled. */
typedef struct {
    CacheSlot *slot;
    uint64_t epoch; /* of the guard when the fill began */
    uint16_t first, count;
    bool fills;
} Piece;

typedef struct CacheHoldState CacheHoldState;
struct CacheHoldState {
    CacheHold hold;
    CacheLane *lane;
    CacheHold *next;       /* free, or waiting for the same slot; shard's lock while `waiting` */
    uint64_t offset, end;  /* bytes asked for */
    uint64_t at, unit_end; /* how far the pieces reach, and are to; whole units */
    unsigned flags;
    bool begun;     /* a step was taken */
    bool waiting;   /* until woken() */
    unsigned class; /* of how many pieces it has room for */
    unsigned n_pieces;
    unsigned fill_from; /* pieces from here on are being filled; n_pieces: none */
    struct iovec *iov;  /* as many as pieces */
    Piece pieces[];
};

/* On its loop, soon. With the lock of the shard it waits at. */
void hold_wake(CacheHold *hold);
