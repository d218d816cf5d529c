/* SPDX-License-Identifier: GPL-2.0-or-later */
/* COMPARE AND WRITE: blocks are written if they hold what the initiator expects. */
#include "core/scsi/atomics.h"

#include "core/scsi/disk.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#define BLOCKS_MAX 255 /* the length has one byte */

enum { LENGTH_BYTE = 13 };

unsigned compare_and_write_max_blocks(const Lun *lun)
{
    return MIN((unsigned)(ARENA_BUFFER_MAX >> lun->block_shift), BLOCKS_MAX);
}

/* The segment holds what is expected, what is to be written, and what the store has. */
static void store_instance(Transfer *t, AioOp op, unsigned flags, unsigned instance,
                           TransferFn then)
{
    size_t len = t->task->end;
    t->iovcnt = iov_slice(t->segment.iov, t->segment.iovcnt, instance * len, len, t->iov);
    transfer_store(t, op, flags, t->task->store_offset, len, t->iov, t->iovcnt, then);
}

static void written(Transfer *t)
{
    Task *task = t->task;
    task->finished = task->end;
    transfer_end(t);
    task_complete(task, NULL);
}

static void compare(Transfer *t)
{
    Task *task = t->task;
    size_t len = task->end;
    size_t same = iov_compare(t->segment.iov, t->segment.iovcnt, 0, 2 * len, len);
    if (same < len)
        task_fail_information(task, SENSE_MISCOMPARE, same);
    else
        store_instance(t, AIO_WRITE, task->store_flags, 1, written);
}

static void read_store(Transfer *t)
{
    store_instance(t, AIO_READ, 0, 2, compare);
}

static void fetch(Transfer *t)
{
    transfer_fetch(t, 0, t->len, read_store);
}

void compare_and_write_run(Task *task)
{
    Extent extent;
    if (!disk_extent(task, &extent))
        return;
    task->data_out_wanted = 2 * extent.len;
    task->end = extent.len;
    task->store_offset = extent.offset;
    task->store_flags = disk_write_flags(task);
    if (extent.blocks > compare_and_write_max_blocks(task_lun(task)) ||
        (extent.blocks == 0 && task->data_out_len > 0)) /* such as 256 in one byte */
        task_fail_cdb(task, LENGTH_BYTE, 7);
    else if (extent.blocks == 0)
        task_complete(task, NULL);
    else if (task->data_out_len != 2 * extent.len)
        task_fail(task, SENSE_INVALID_FIELD_IN_IU);
    else
        transfer_begin(&task->transfers[0], 0, (uint32_t)(2 * extent.len), 3 * extent.len, fetch);
}
