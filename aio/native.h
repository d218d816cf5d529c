/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What libaio and io_uring share: aligned reads, writes and flushes go to the kernel, each in a
 * slot; whatever it cannot do, or did only in part, is done by a helper worker. */
#pragma once

#include "aio/aio.h"
#include "aio/ranges.h"
#include "aio/request.h"
#include "aio/workers.h"

/* A request in the kernel. */
typedef struct AioSlot {
    struct AioSlot *next; /* while free */
    AioReq *req;
    AioRange range;
    bool ranged; /* holds range */
} AioSlot;

/* Begins the context of an engine that uses it. */
typedef struct {
    AioCtx base;
    AioParams params;
    AioWorkers *workers;
    AioReqList finished;   /* waiting for reap */
    unsigned in_flight;    /* lent by the caller */
    unsigned handed_off;   /* of these, with the workers */
    AioSlot *slots, *free; /* params.depth of them */
} AioNative;

/* 0 or -errno. */
int aio_native_init(AioNative *native, const AioEngine *engine, const AioParams *params);
void aio_native_deinit(AioNative *native); /* all done; joins the workers */

bool aio_native_full(const AioNative *native);

/* Takes a request (not when full). The slot with which it must go to the kernel, or NULL: it was
 * refused or went to a worker. */
AioSlot *aio_native_take(AioNative *native, AioReq *req);

/* The kernel's result for a slot, which is free afterwards. */
void aio_native_settle(AioNative *native, AioSlot *slot, int64_t res);
/* The kernel did not take it: a worker does. */
void aio_native_divert(AioNative *native, AioSlot *slot);

/* Moves what the workers finished to `finished`; whether there was any. */
bool aio_native_collect(AioNative *native);

/* Calls done for what is finished. `harvest` moves more to `finished` and says whether there was
 * any; it is `quiet` after it found nothing, when signs on the event fd may be cleared. */
unsigned aio_native_reap(AioNative *native, unsigned max,
                         bool (*harvest)(AioNative *native, bool quiet));
