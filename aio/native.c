/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots, hand-off and delivery for the engines of the kernel. */
#include "aio/native.h"

#include <errno.h>
#include <glib.h>
#include <limits.h>

#include "aio/file_impl.h"
#include "aio/sys.h"

int aio_native_init(AioNative *native, const AioEngine *engine, const AioParams *params)
{
    AioWorkersConfig config;

    native->base.engine = engine;
    native->params = *params;
    aio_workers_config_init(&config, params);
    int res = aio_workers_open(&config, &native->base.counters, &native->workers);
    if (res < 0)
        return res;
    native->slots = g_new0(AioSlot, params->depth);
    for (unsigned i = 0; i < params->depth; i++) {
        native->slots[i].next = native->free;
        native->free = &native->slots[i];
    }
    return 0;
}

void aio_native_deinit(AioNative *native)
{
    g_assert(!native->in_flight);
    aio_workers_close(native->workers);
    g_free(native->slots);
}

bool aio_native_full(const AioNative *native)
{
    return native->in_flight >= native->params.depth;
}

static void native_hand_off(AioNative *native, AioReq *req)
{
    native->handed_off++;
    aio_workers_push(native->workers, req);
}

static void native_finish(AioNative *native, AioReq *req, int res)
{
    aio_req_finish(req, res);
    aio_reqs_push(&native->finished, req);
}

static bool is_native(const AioReq *req)
{
    if (req->op == AIO_FLUSH)
        return true;
    return (req->op == AIO_READ || req->op == AIO_WRITE) && req->len > 0 &&
           req->iovcnt <= IOV_MAX &&
           aio_file_takes(req->file, req->iov, req->iovcnt, req->offset, req->len);
}

/* False: a read-modify-write is going on there; a worker waits for its end. */
static bool slot_lock(AioSlot *slot, const AioReq *req)
{
    slot->ranged = req->op == AIO_WRITE && req->file->mode == AIO_DIRECT;
    if (!slot->ranged)
        return true;
    return aio_ranges_try(&req->file->store->ranges, &slot->range, req->offset,
                          req->offset + req->len);
}

AioSlot *aio_native_take(AioNative *native, AioReq *req)
{
    AioSlot *slot = native->free;

    native->in_flight++;
    aio_count(&native->base.counters.submitted, 1);
    int res = aio_req_admit(req);
    if (res < 0) {
        native_finish(native, req, res);
        return NULL;
    }
    if (!is_native(req) || !slot_lock(slot, req)) {
        native_hand_off(native, req);
        return NULL;
    }
    native->free = slot->next;
    slot->req = req;
    return slot;
}

static AioReq *slot_free(AioNative *native, AioSlot *slot)
{
    AioReq *req = slot->req;

    if (slot->ranged)
        aio_ranges_unlock(&req->file->store->ranges, &slot->range);
    slot->req = NULL;
    slot->next = native->free;
    native->free = slot;
    return req;
}

/* The same by blocking calls may work, or tells what is really wrong. */
static bool worth_another_way(int64_t res)
{
    return res == -EINTR || res == -EAGAIN || res == -EINVAL || res == -EOPNOTSUPP;
}

void aio_native_settle(AioNative *native, AioSlot *slot, int64_t res)
{
    AioReq *req = slot_free(native, slot);

    res = aio_sys.completed(req, res);
    if (worth_another_way(res)) {
        native_hand_off(native, req);
    } else if (res < 0 || req->op == AIO_FLUSH) {
        native_finish(native, req, (int)res);
    } else if (res == 0 || ((req->flags & AIO_ATOMIC) && (uint64_t)res < req->len)) {
        native_finish(native, req, -EIO); /* the rest of an atomic write would be one too late */
    } else {
        req->moved += (uint64_t)res;
        if (req->moved >= req->len)
            native_finish(native, req, 0);
        else
            native_hand_off(native, req);
    }
}

void aio_native_divert(AioNative *native, AioSlot *slot)
{
    native_hand_off(native, slot_free(native, slot));
}

bool aio_native_collect(AioNative *native)
{
    if (!native->handed_off)
        return false;
    unsigned count = aio_workers_collect(native->workers, &native->finished);
    native->handed_off -= count;
    return count > 0;
}

unsigned aio_native_reap(AioNative *native, unsigned max,
                         bool (*harvest)(AioNative *native, bool quiet))
{
    unsigned count = 0;

    while (count < max) {
        AioReq *req = aio_reqs_pop(&native->finished);
        if (req) {
            count++;
            native->in_flight--;
            aio_req_deliver(req, &native->base.counters);
        } else if (!harvest(native, false) && (count || !harvest(native, true))) {
            break;
        }
    }
    aio_workers_kick(native->workers); /* for those that were to be continued */
    return count;
}
