/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The gate of a LUN on one loop. */
#include "core/scsi/shard.h"

#include "core/scsi/lun_impl.h"

LunShard *lun_shard_new(Lun *lun, Loop *loop, AioFile *file, Engine *engine)
{
    LunShard *shard = g_new0(LunShard, 1);
    shard->lun = lun;
    shard->loop = loop;
    shard->file = file;
    shard->engine = engine;
    shard->block_shift = lun->block_shift;
    shard->zeros = lun->zeros;
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
    g_free(shard);
}

static void start(LunShard *shard, AioReq *req)
{
    req->file = shard->file;
    shard->in_flight++;
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

bool lun_shard_withdraw(LunShard *shard, AioReq *req)
{
    if (aio_reqs_remove(&shard->held, req))
        return true;
    if (!engine_withdraw(shard->engine, req))
        return false;
    lun_shard_request_done(shard);
    return true;
}

static void tell_drained(LunShard *shard)
{
    void (*drained)(LunShard *, void *) = shard->drained;
    shard->drained = NULL;
    if (drained)
        drained(shard, shard->drained_arg);
}

void lun_shard_request_done(LunShard *shard)
{
    shard->in_flight--;
    if (G_LIKELY(!shard->gate_closed))
        start_held(shard);
    else if (shard->in_flight == 0)
        tell_drained(shard);
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
