/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading back, and comparing with what the initiator has. */
#include "core/scsi/verify.h"

#include "core/base/bytes.h"
#include "core/scsi/command.h"
#include "core/scsi/disk.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <string.h>

/* Data-out and what the store has lie in ONE segment: a task that waited for a second one while
 * it held the first could wait for ever. */
#define PART (SEGMENT_MAX / 2)

enum { BYTCHK_NONE = 0, BYTCHK_ALL = 1, BYTCHK_ONE_BLOCK = 3 };

static unsigned bytchk(const Task *task)
{
    return task->cdb[1] >> 1 & 3;
}

static bool is_write(const Task *task)
{
    return task->command->flags & COMMAND_WRITES;
}

/* --- comparing -------------------------------------------------------------------------------- */

/* Compares one block at the front of the segment with each of the `len` bytes from `at` on. */
static size_t compare_block(const Segment *s, size_t at, size_t len, size_t block)
{
    for (size_t done = 0; done < len; done += block) {
        size_t same = iov_compare(s->iov, s->iovcnt, 0, at + done, block);
        if (same < block)
            return done + same;
    }
    return len;
}

/* --- one part after the other ----------------------------------------------------------------- */

/* How much of the segment holds data-out. */
static size_t out_size(const Transfer *t)
{
    const Task *task = t->task;
    if (is_write(task) || bytchk(task) == BYTCHK_ALL)
        return t->len;
    return bytchk(task) == BYTCHK_ONE_BLOCK ? task_lun(task)->spec.block_size : 0;
}

static void next_part(Transfer *t);

/* Where the part begins. It may be beyond 4 GiB, where no data is sent for it. */
static uint64_t part_offset(const Transfer *t)
{
    return t->task->position - t->len;
}

static void part_read(Transfer *t)
{
    Task *task = t->task;
    size_t at = out_size(t), same = t->len;
    if (bytchk(task) == BYTCHK_ALL)
        same = iov_compare(t->segment.iov, t->segment.iovcnt, 0, at, t->len);
    else if (bytchk(task) == BYTCHK_ONE_BLOCK)
        same = compare_block(&t->segment, at, t->len, at);
    if (same < t->len) {
        task_fail_information(task, SENSE_MISCOMPARE, part_offset(t) + same);
        return;
    }
    task->finished += t->len;
    next_part(t);
}

static void read_part(Transfer *t)
{
    t->iovcnt = iov_slice(t->segment.iov, t->segment.iovcnt, out_size(t), t->len, t->iov);
    transfer_store(t, AIO_READ, 0, t->task->store_offset + part_offset(t), t->len, t->iov,
                   t->iovcnt, part_read);
}

/* Written through to the medium: nothing else would be worth verifying. */
static void write_part(Transfer *t)
{
    t->iovcnt = iov_slice(t->segment.iov, t->segment.iovcnt, 0, t->len, t->iov);
    transfer_store(t, AIO_WRITE, AIO_FUA, t->task->store_offset + part_offset(t), t->len, t->iov,
                   t->iovcnt, read_part);
}

static void next_part(Transfer *t)
{
    Task *task = t->task;
    if (task->position == task->end) {
        transfer_end(t);
        task_complete(task, NULL);
        return;
    }
    uint32_t offset = (uint32_t)task->position;
    t->len = (uint32_t)MIN(PART, task->end - task->position);
    task->position += t->len;
    if (is_write(task))
        transfer_fetch(t, offset, t->len, write_part);
    else if (bytchk(task) == BYTCHK_ALL)
        transfer_fetch(t, offset, t->len, read_part);
    else
        read_part(t);
}

static void fetch_block(Transfer *t)
{
    transfer_fetch(t, 0, task_lun(t->task)->spec.block_size, next_part);
}

static void begin(Task *task, uint64_t offset, uint64_t len)
{
    Transfer *t = &task->transfers[0];
    task->store_offset = offset;
    task->end = len;
    if (len == 0) {
        task_complete(task, NULL);
        return;
    }
    t->len = (uint32_t)MIN(PART, len);
    size_t size = t->len + out_size(t);
    transfer_begin(t, 0, t->len, size,
                   !is_write(task) && bytchk(task) == BYTCHK_ONE_BLOCK ? fetch_block : next_part);
}

static bool verify_extent(Task *task, Extent *extent)
{
    if (!disk_extent(task, extent))
        return false;
    if (bytchk(task) == 2) {
        task_fail_cdb(task, 1, 2);
        return false;
    }
    return true;
}

void verify_run(Task *task)
{
    Extent extent;
    if (!verify_extent(task, &extent))
        return;
    uint32_t block = task_lun(task)->spec.block_size;
    uint64_t len = extent.len;
    if (bytchk(task) == BYTCHK_ALL) {
        if (!disk_check_transfer_length(task, &extent))
            return;
        task->data_out_wanted = len;
        len = MIN(len, task->data_out_len) / block * block;
    } else if (bytchk(task) == BYTCHK_ONE_BLOCK) {
        task->data_out_wanted = block;
        if (task->data_out_len < block) {
            task_fail(task, SENSE_INVALID_FIELD_IN_IU);
            return;
        }
    }
    begin(task, extent.offset, len);
}

void write_and_verify_run(Task *task)
{
    Extent extent;
    if (!verify_extent(task, &extent))
        return;
    if (bytchk(task) == BYTCHK_ONE_BLOCK) {
        task_fail_cdb(task, 1, 2);
        return;
    }
    if (!disk_check_transfer_length(task, &extent))
        return;
    uint32_t block = task_lun(task)->spec.block_size;
    task->data_out_wanted = extent.len;
    begin(task, extent.offset, MIN(extent.len, task->data_out_len) / block * block);
}
