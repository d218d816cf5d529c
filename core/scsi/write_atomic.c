/* SPDX-License-Identifier: GPL-2.0-or-later */
/* WRITE ATOMIC: one request that the store does as a whole or not at all. */
#include "core/scsi/atomics.h"

#include "core/scsi/disk.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

enum { LBA_BYTE = 2, LENGTH_BYTE = 12 };

static void written(Transfer *t)
{
    Task *task = t->task;
    task->finished = task->end;
    transfer_end(t);
    task_complete(task, NULL);
}

static void write_to_store(Transfer *t)
{
    const Task *task = t->task;
    transfer_store(t, AIO_WRITE, task->store_flags | AIO_ATOMIC, task->store_offset, t->len,
                   t->segment.iov, t->segment.iovcnt, written);
}

/* Copied to one buffer, immediate data too: the store takes no list. */
static void fetch(Transfer *t)
{
    transfer_fetch(t, 0, t->len, write_to_store);
}

/* Alignment, granularity and largest length are one and the same number (VPD page B0): of the
 * lengths in between the kernel takes powers of two alone, which the page cannot say. */
void write_atomic_run(Task *task)
{
    Extent extent;
    if (!disk_extent(task, &extent))
        return;
    uint64_t unit = lun_atomic_blocks(task_lun(task));
    task->data_out_wanted = task->end = extent.len;
    task->store_offset = extent.offset;
    task->store_flags = disk_write_flags(task);
    if (extent.blocks == 0)
        task_complete(task, NULL);
    else if (extent.blocks != unit)
        task_fail_cdb(task, LENGTH_BYTE, 7);
    else if (extent.lba % unit != 0)
        task_fail_cdb(task, LBA_BYTE, 7);
    else if (task->data_out_len < extent.len)
        task_fail(task, SENSE_INVALID_FIELD_IN_IU);
    else
        transfer_begin(&task->transfers[0], 0, (uint32_t)extent.len, extent.len, fetch);
}
