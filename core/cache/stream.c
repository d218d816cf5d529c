/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recognising streams, and how far ahead of them to be. */
#include "core/cache/stream.h"

#include <glib.h>

CacheStream *cache_stream_of(CacheStreams *streams, uint64_t offset, size_t len)
{
    uint32_t now = ++streams->clock;
    CacheStream *oldest = &streams->streams[0];
    for (unsigned i = 0; i < CACHE_STREAMS; i++) {
        CacheStream *stream = &streams->streams[i];
        if (stream->next == offset && stream->reads > 0) {
            stream->next += len;
            stream->bytes += len;
            stream->reads++;
            stream->seen = now;
            return stream;
        }
        if (now - stream->seen > now - oldest->seen)
            oldest = stream;
    }
    *oldest = (CacheStream){.next = offset + len, .bytes = len, .reads = 1, .seen = now};
    return oldest;
}

/* Two pieces: while one is being used, the other is on its way. */
size_t cache_stream_ahead(CacheStream *stream, size_t piece, uint64_t size, uint64_t *offset)
{
    if (!cache_stream_runs(stream))
        return 0;
    uint64_t from = MAX(stream->ahead, stream->next);
    if (from >= size || from - stream->next > piece)
        return 0;
    uint64_t end = MIN((from / piece + 1) * piece, size);
    stream->ahead = end;
    *offset = from;
    return (size_t)(end - from);
}
