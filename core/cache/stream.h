/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sequential streams among the reads of one nexus: a few at a time, the one unused for longest
 * gives way. Pure; the caller's thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CACHE_STREAMS 4
#define STREAM_READS  3 /* so many reads, each where the one before ended, are a stream */

typedef struct {
    uint64_t next;  /* where the next read of it begins */
    uint64_t bytes; /* of the stream so far */
    uint64_t ahead; /* what was read ahead ends here */
    uint32_t reads;
    uint32_t seen; /* CacheStreams.clock of the last read */
} CacheStream;

typedef struct {
    CacheStream streams[CACHE_STREAMS];
    uint32_t clock;
} CacheStreams;

/* The stream that the read belongs to, perhaps as its first. Valid until the next call. */
CacheStream *cache_stream_of(CacheStreams *streams, uint64_t offset, size_t len);

static inline int cache_stream_runs(const CacheStream *stream)
{
    return stream->reads >= STREAM_READS;
}

/* How many bytes from stream->ahead on are to be read now, of a store with `size` bytes; 0: none
 * yet. `piece` is how many are read at a time. Notes them as read ahead. */
size_t cache_stream_ahead(CacheStream *stream, size_t piece, uint64_t size, uint64_t *offset);
