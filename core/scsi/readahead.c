/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads that nobody has asked for yet: each a hold of its own, which the LUN waits for when it
 * goes. */
#include "core/scsi/readahead.h"

#include "core/scsi/lun_impl.h"
#include "core/scsi/operation.h"

#define PIECE_MAX    ((size_t)256 << 10)
#define CACHE_PART   16 /* a piece is at most this part of the cache */
#define STREAM_PART  8  /* of the arena: a longer stream is not admitted */
#define STREAM_CACHE 2  /* the same of the cache */

typedef struct {
    AioReq req; /* first */
    LunShard *shard;
    CacheHold *hold;
} Ahead;

static void go_on(Ahead *ahead);

static void end(Ahead *ahead)
{
    cache_hold_release(ahead->hold);
    operation_let_go(ahead->shard);
    g_free(ahead);
}

static void filled(AioReq *req)
{
    Ahead *ahead = (Ahead *)req;
    lun_shard_request_done(ahead->shard, req);
    if (req->res < 0) { /* who really reads it will be told */
        end(ahead);
        return;
    }
    cache_hold_filled(ahead->hold);
    go_on(ahead);
}

static void woken(CacheHold *hold)
{
    end(hold->owner);
}

static void go_on(Ahead *ahead)
{
    const CacheHold *hold = ahead->hold;
    switch (cache_hold_step(ahead->hold)) {
    case CACHE_FILL:
        ahead->req = (AioReq){.op = AIO_READ,
                              .offset = hold->fill.offset,
                              .len = hold->fill.len,
                              .iov = hold->fill.iov,
                              .iovcnt = hold->fill.iovcnt,
                              .done = filled};
        lun_shard_submit(ahead->shard, &ahead->req);
        return;
    case CACHE_WAIT: /* somebody is as far as this: woken() ends it */
        return;
    case CACHE_READY:
    case CACHE_BYPASS:
        end(ahead);
        return;
    }
}

static void begin(LunShard *shard, uint64_t offset, size_t len)
{
    Ahead *ahead = g_new0(Ahead, 1);
    ahead->shard = shard;
    ahead->hold = cache_hold_new(shard->lane, offset, len, CACHE_AHEAD);
    ahead->hold->woken = woken;
    ahead->hold->owner = ahead;
    operation_hold_on(shard);
    go_on(ahead);
}

/* 0: the cache is too small for it. */
static size_t piece_of(size_t cache)
{
    size_t piece = PIECE_MAX;
    while (piece > cache / CACHE_PART)
        piece /= 2;
    return piece >= 2 * CACHE_UNIT ? piece : 0;
}

unsigned readahead_see(const Task *task, uint64_t offset, size_t size)
{
    LunShard *shard = task->itl->shard;
    const Lun *lun = shard->lun;
    CacheStream *stream = cache_stream_of(&task->itl->streams, offset, size);
    if (!cache_stream_runs(stream))
        return 0;
    size_t cache = cache_size(shard->cache);
    if (stream->bytes > MIN(lun->arena / STREAM_PART, cache / STREAM_CACHE))
        return CACHE_NO_USE | CACHE_NO_ADMISSION;
    size_t piece = lun->spec.readahead ? piece_of(cache) : 0;
    if (piece > 0 && !shard->gate_closed && !shard->held.head) {
        uint64_t store = (lun_blocks(lun) << shard->block_shift) & ~(uint64_t)(CACHE_UNIT - 1);
        uint64_t from;
        size_t len = cache_stream_ahead(stream, piece, store, &from);
        if (len > 0)
            begin(shard, from, len);
    }
    return CACHE_NO_USE;
}
