/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The gate of a LUN on one loop. */
#include "core/scsi/shard.h"

#include "core/scsi/lun_impl.h"

#include <errno.h>

LunShard *lun_shard_new(Lun *lun, Loop *loop, AioFile *file, Engine *engine)
{
    LunShard *shard = g_new0(LunShard, 1);
    shard->lun = lun;
    shard->loop = loop;
    shard->file = file;
    shard->engine = engine;
    shard->block_shift = lun->block_shift;
    shard->zeros = lun->zeros;
    shard->latency.loop = loop;
    return shard;
}

void lun_shard_free(LunShard *shard)
{
    if (!shard)
        return;
    g_assert(g_queue_is_empty(&shard->itls) && g_queue_is_empty(&shard->guests));
    g_assert(!shard->in_flight && !shard->held.head);
    g_assert(!shard->claims && g_queue_is_empty(&shard->orphans));
    engine_put(shard->engine);
    latency_clear(&shard->latency);
    cache_lane_free(shard->lane);
    g_free(shard);
}

void lun_shard_set_cache(LunShard *shard, Cache *cache)
{
    g_assert(!shard->cache && !shard->in_flight);
    shard->cache = cache;
    shard->lane = cache_lane_new(cache, shard->loop);
}

/* --- what the cache is told ------------------------------------------------------------------- */

static bool changes_store(const AioReq *req)
{
    return req->op == AIO_WRITE || req->op == AIO_DISCARD || req->op == AIO_WRITE_ZEROES;
}

/* After a flush that has failed nobody knows what reads give: the system may have thrown away what
 * was written. */
static void tell_end(Cache *cache, const AioReq *req)
{
    bool is_known = req->op == AIO_WRITE && req->res >= 0;
    if (changes_store(req))
        cache_write_end(cache, req->offset, req->len, is_known ? req->iov : NULL,
                        is_known ? req->iovcnt : 0);
    if (req->res < 0 && (req->op == AIO_FLUSH || (req->flags & AIO_FUA)))
        cache_drop(cache, 0);
}

/* --- the gate --------------------------------------------------------------------------------- */

/* The LUN may have shrunk since the command was checked; a file would grow again. */
static bool is_beyond_end(const LunShard *shard, const AioReq *req)
{
    return req->offset + req->len > lun_blocks(shard->lun) << shard->block_shift;
}

static void end_beyond(void *arg)
{
    AioReq *req = arg;
    req->res = -ERANGE;
    req->done(req);
}

static void start(LunShard *shard, AioReq *req)
{
    req->file = shard->file;
    req->begun = loop_now(shard->loop);
    shard->in_flight++;
    if (shard->cache && changes_store(req))
        cache_write_begin(shard->cache, req->offset, req->len);
    if (G_UNLIKELY(is_beyond_end(shard, req))) {
        loop_call(shard->loop, end_beyond, req);
        return;
    }
    engine_submit(shard->engine, req);
}

static bool has_room(const LunShard *shard)
{
    unsigned depth = engine_params(shard->engine)->depth;
    return shard->in_flight < depth - depth / 4;
}

void lun_shard_submit(LunShard *shard, AioReq *req)
{
    if (G_LIKELY(!shard->gate_closed && !shard->held.head && has_room(shard))) {
        start(shard, req);
        return;
    }
    aio_reqs_push(&shard->held, req);
    if (shard->gate_closed)
        counter_add(&shard->stats.queued_by_gate, 1);
}

static void start_held(LunShard *shard)
{
    while (shard->held.head && has_room(shard))
        start(shard, aio_reqs_pop(&shard->held));
}

static void tell_drained(LunShard *shard)
{
    void (*drained)(LunShard *, void *) = shard->drained;
    shard->drained = NULL;
    if (drained)
        drained(shard, shard->drained_arg);
}

static void left_engine(LunShard *shard, const AioReq *req)
{
    if (shard->cache)
        tell_end(shard->cache, req);
    shard->in_flight--;
    if (G_LIKELY(!shard->gate_closed))
        start_held(shard);
    else if (shard->in_flight == 0)
        tell_drained(shard);
}

bool lun_shard_withdraw(LunShard *shard, AioReq *req)
{
    if (aio_reqs_remove(&shard->held, req))
        return true;
    if (!engine_withdraw(shard->engine, req))
        return false;
    req->res = -ECANCELED;
    left_engine(shard, req);
    return true;
}

static LatencyOperation operation_of(AioOp op)
{
    return op == AIO_READ ? LATENCY_READ : op == AIO_WRITE ? LATENCY_WRITE : LATENCY_OTHER;
}

void lun_shard_request_done(LunShard *shard, const AioReq *req)
{
    unsigned series = latency_series(operation_of(req->op), req->len);
    latency_over(&shard->latency, LATENCY_ENGINE, series, req->begun);
    left_engine(shard, req);
}

void lun_shard_close_gate(LunShard *shard, void (*drained)(LunShard *, void *), void *arg)
{
    shard->gate_closed = true;
    shard->drained = drained;
    shard->drained_arg = arg;
    if (shard->in_flight == 0)
        tell_drained(shard);
}

void lun_shard_open_gate(LunShard *shard)
{
    shard->gate_closed = false;
    shard->drained = NULL;
    start_held(shard);
}
