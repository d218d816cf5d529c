/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of a cached read: look, let the store fill, wait for who fills, or go past the cache.
 */
#include "core/scsi/cached_read.h"

#include "core/scsi/readahead.h"
#include "core/scsi/task_impl.h"

#define DPO 0x10 /* byte 1 of the CDB */
#define FUA 0x08

static void look(Transfer *t);

static void filled(Transfer *t)
{
    cache_hold_filled(t->hold);
    look(t);
}

static void woken(CacheHold *hold)
{
    transfer_resume(hold->owner);
}

/* As if the store had a request of the transfer: it has one of somebody else. */
static void wait(Transfer *t)
{
    t->shard = t->task->itl->shard;
    t->req.op = AIO_READ;
    t->then = look;
    t->state = TRANSFER_STORAGE;
}

static void go_past(Transfer *t)
{
    size_t size = t->hold->len;
    cached_read_end(t);
    transfer_load(t, size);
}

static void look(Transfer *t)
{
    const CacheHold *hold = t->hold;
    switch (cache_hold_step(t->hold)) {
    case CACHE_READY:
        t->loaded(t);
        return;
    case CACHE_FILL:
        transfer_store(t, AIO_READ, 0, hold->fill.offset, hold->fill.len, hold->fill.iov,
                       hold->fill.iovcnt, filled);
        return;
    case CACHE_WAIT:
        wait(t);
        return;
    case CACHE_BYPASS:
        go_past(t);
        return;
    }
}

/* FUA asks for what the medium has (SBC-3 4.15.1); the last bytes of a store may be less than a
 * unit.
 */
static bool is_for_cache(const Task *task, uint64_t offset, size_t size, unsigned *flags)
{
    const LunShard *shard = task->itl->shard;
    uint8_t bits = task->cdb[0] >= 0x20 ? task->cdb[1] : 0;
    uint64_t end = (offset + size + CACHE_UNIT - 1) & ~(uint64_t)(CACHE_UNIT - 1);
    *flags = bits & DPO ? CACHE_NO_ADMISSION | CACHE_NO_USE : 0;
    return shard->lane && !(bits & FUA) && end <= lun_blocks(shard->lun) << shard->block_shift;
}

bool cached_read_begin(Transfer *t, uint32_t offset, uint32_t len, size_t size)
{
    const Task *task = t->task;
    uint64_t at = task->store_offset + offset;
    unsigned flags;
    if (!is_for_cache(task, at, size, &flags))
        return false;
    flags |= readahead_see(task, at, size);
    t->hold = cache_hold_new(task->itl->shard->lane, at, size, flags);
    t->hold->woken = woken;
    t->hold->owner = t;
    transfer_begin(t, offset, len, 0, look);
    return true;
}

void cached_read_end(Transfer *t)
{
    cache_hold_release(t->hold);
    t->hold = NULL;
}
