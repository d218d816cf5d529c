/* SPDX-License-Identifier: GPL-2.0-or-later */
/* WRITE SAME: one block over a range; zeros, or deallocation, where the block is zeros. */
#include "core/scsi/provisioning.h"

#include "core/scsi/disk.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <string.h>

#define MAX_BYTES (UINT64_C(16) << 20) /* of one command: what one WRITE could undo */

enum { UNMAP = 0x08, NDOB = 0x01 };

uint64_t write_same_max_blocks(const Lun *lun)
{
    return MAX_BYTES >> lun->block_shift;
}

static void range_done(Transfer *t)
{
    Task *task = t->task;
    transfer_end(t);
    task_complete(task, NULL);
}

/* The block, which fills the segment by now, is written again and again. */
static void write_copies(Transfer *t)
{
    Task *task = t->task;
    uint64_t offset = task->store_offset + task->position;
    uint64_t len = MIN(task->end - task->position, t->segment.iov[0].iov_len);
    if (len == 0) {
        range_done(t);
        return;
    }
    task->position += len;
    t->iov[0] = (struct iovec){t->segment.iov[0].iov_base, len};
    transfer_store(t, AIO_WRITE, task->store_flags & AIO_FUA, offset, len, t->iov, 1, write_copies);
}

static void write_zeros(Transfer *t)
{
    const Task *task = t->task;
    transfer_store(t, AIO_WRITE_ZEROES, task->store_flags, task->store_offset, task->end, NULL, 0,
                   range_done);
}

static void copy_block(Transfer *t, size_t block)
{
    char *data = t->segment.iov[0].iov_base;
    size_t size = t->segment.iov[0].iov_len;
    for (size_t filled = block; filled < size;) {
        size_t part = MIN(filled, size - filled);
        memcpy(data + filled, data, part);
        filled += part;
    }
}

static void block_fetched(Transfer *t)
{
    const char *data = t->segment.iov[0].iov_base;
    size_t block = t->len;
    if (data[0] == 0 && memcmp(data, data + 1, block - 1) == 0) {
        write_zeros(t);
        return;
    }
    copy_block(t, block);
    write_copies(t);
}

static void fetch_block(Transfer *t)
{
    transfer_fetch(t, 0, t->len, block_fetched);
}

static bool check(Task *task, const Extent *extent, int length_byte)
{
    const Lun *lun = task_lun(task);
    if (extent->blocks == 0 || extent->blocks > write_same_max_blocks(lun)) {
        task_fail_cdb(task, length_byte, 7);
        return false;
    }
    if ((task->cdb[1] & UNMAP) && !lun->thin) {
        task_fail_cdb(task, 1, 3);
        return false;
    }
    return true;
}

static void write_same(Task *task, int length_byte, bool no_data)
{
    Extent extent;
    if (!disk_extent(task, &extent) || !check(task, &extent, length_byte))
        return;
    uint32_t block = task_lun(task)->spec.block_size;
    Transfer *t = &task->transfers[0];
    task->end = extent.len;
    task->store_offset = extent.offset;
    task->store_flags = lun_write_cache(task_lun(task)) ? 0 : AIO_FUA;
    if (task->cdb[1] & UNMAP)
        task->store_flags |= AIO_MAY_UNMAP;
    task->data_out_wanted = no_data ? 0 : block;
    if (no_data)
        transfer_begin(t, 0, 0, 0, write_zeros);
    else if (task->data_out_len != block)
        task_fail(task, SENSE_INVALID_FIELD_IN_IU);
    else
        transfer_begin(t, 0, block, MIN(extent.len, ARENA_BUFFER_MAX), fetch_block);
}

void write_same_10_run(Task *task)
{
    write_same(task, 7, false);
}

void write_same_16_run(Task *task)
{
    write_same(task, 10, task->cdb[1] & NDOB);
}
