/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a LUN is to one I/O loop: its engine context, its gate, its counters. Touched on that loop
 * only, except where the field says otherwise. */
#pragma once

#include "aio/request.h"
#include "core/base/counter.h"
#include "core/cache/cache.h"
#include "core/scsi/engine.h"
#include "core/scsi/latency.h"
#include "core/scsi/lun.h"

#include <glib.h>

struct LunShard {
    Lun *lun;
    Loop *loop;
    AioFile *file;
    Engine *engine; /* changed under Lun.lock, for lun_get_stats() */
    unsigned block_shift;
    unsigned claims;   /* made here, and exclusive ones known here; see claim.h */
    Cache *cache;      /* told of every change of the store; NULL: there is none */
    CacheLane *lane;   /* of the cache */
    const void *zeros; /* MEMORY_ZEROS bytes of what every read gives; NULL: it must be read */

    bool gate_closed;
    AioReqList held;                     /* by the gate or for want of room, in order */
    unsigned in_flight;                  /* requests that the engine has */
    void (*drained)(LunShard *, void *); /* once, when in_flight is 0; NULL: nobody asks */
    void *drained_arg;

    GQueue itls;           /* Itl */
    GQueue exclusives;     /* Part of claim.c: exclusive claims of all loops whose turn has come */
    GQueue orphans;        /* Transfer: its task is aborted, its request out; see hung.h */
    GSource *orphan_timer; /* until the oldest is overdue */
    bool hung;             /* it is */
    GQueue guests;         /* Task: EXTENDED COPYs at work on it, twice when from and to it */
    GList directory_link;  /* see directory.c */
    struct Removal *removal; /* the LUN is being removed from its target, see target.c */
    LunStats stats;          /* but its member `engine`; written here, read relaxed from anywhere */
    Latency latency;
};

LunShard *lun_shard_new(Lun *lun, Loop *loop, AioFile *file, Engine *engine);
void lun_shard_free(LunShard *shard); /* no I_T_L nexus, no request (asserted) */

/* Starts the request with the shard's file, or holds it while the gate is closed, or the LUN has
 * three quarters of what the engine takes: the rest is for the others when its disk hangs. One
 * beyond the end of the LUN, which had been longer, ends with -ERANGE. */
void lun_shard_submit(LunShard *shard, AioReq *req);
/* Takes back a request that was not started yet: done() will not be called. False: the engine has
 * it. */
bool lun_shard_withdraw(LunShard *shard, AioReq *req);
/* To be called first in the done() of every request. */
void lun_shard_request_done(LunShard *shard, const AioReq *req);

/* Reads and changes of the store go by this cache from now on. No request is under way on any loop:
 * the gates are closed, or it is new. The Lun's, and outlives the shard. */
void lun_shard_set_cache(LunShard *shard, Cache *cache);

/* From now on requests are held; drained(shard, arg) comes once, when the engine has none of
 * them, possibly inside. */
void lun_shard_close_gate(LunShard *shard, void (*drained)(LunShard *, void *), void *arg);
/* Submits what was held, in order; drained is not called any more. */
void lun_shard_open_gate(LunShard *shard);
