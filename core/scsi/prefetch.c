/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PRE-FETCH: blocks into the cache, but no data to the initiator. */
#include "core/scsi/prefetch.h"

#include "core/scsi/disk.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#define MAX_BYTES (UINT64_C(64) << 20) /* of one command: it must not push everything else out */

enum { IMMED = 0x02 };

static void prefetched(Transfer *t)
{
    Task *task = t->task;
    if ((uint64_t)t->req.res == task->end)
        task->status = SCSI_CONDITION_MET;
    transfer_end(t);
    task_complete(task, NULL);
}

static void prefetch(Transfer *t)
{
    const Task *task = t->task;
    transfer_store(t, AIO_PREFETCH, task->cdb[1] & IMMED ? AIO_NO_WAIT : 0, task->store_offset,
                   MIN(task->end, MAX_BYTES), NULL, 0, prefetched);
}

/* 0 blocks are all up to the end of the medium. */
void pre_fetch_run(Task *task)
{
    Extent extent;
    if (!disk_extent(task, &extent))
        return;
    const Lun *lun = task_lun(task);
    if (extent.blocks == 0)
        extent.len = (lun_blocks(lun) - extent.lba) << lun->block_shift;
    task->store_offset = extent.offset;
    task->end = extent.len;
    transfer_begin(&task->transfers[0], 0, 0, 0, prefetch);
}
