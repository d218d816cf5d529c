/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Data motion of READ and WRITE. */
#include "core/scsi/disk.h"

#include "core/scsi/command.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#define FUA 0x08 /* byte 1 of the CDB */

/* --- ranges ----------------------------------------------------------------------------------- */

bool disk_check_range(Task *task, uint64_t lba, uint64_t blocks)
{
    uint64_t total = lun_blocks(task_lun(task));
    if (G_LIKELY(lba <= total && blocks <= total - lba))
        return true;
    task_fail_information(task, SENSE_LBA_OUT_OF_RANGE, MAX(lba, total));
    return false;
}

bool disk_extent(Task *task, Extent *extent)
{
    unsigned shift = task->itl->shard->block_shift;
    extent->lba = cdb_lba(task->cdb);
    extent->blocks = cdb_blocks(task->cdb);
    extent->offset = extent->lba << shift;
    extent->len = (uint64_t)extent->blocks << shift;
    return disk_check_range(task, extent->lba, extent->blocks);
}

uint64_t disk_max_transfer_blocks(const Lun *lun)
{
    return lun->spec.max_transfer >> lun->block_shift;
}

bool disk_check_transfer_length(Task *task, const Extent *extent)
{
    uint64_t max = disk_max_transfer_blocks(task_lun(task));
    if (G_LIKELY(max == 0 || extent->blocks <= max))
        return true;
    static const uint8_t length_byte[8] = {4, 7, 7, 0, 10, 6, 0, 0};
    task_fail_cdb(task, length_byte[task->cdb[0] >> 5], 7);
    return false;
}

/* READ (6) and WRITE (6): 0 blocks are 256. */
static bool data_extent(Task *task, Extent *extent)
{
    if (!disk_extent(task, extent))
        return false;
    if (task->cdb[0] < 0x20 && extent->blocks == 0) {
        extent->blocks = 256;
        extent->len = UINT64_C(256) << task->itl->shard->block_shift;
        if (!disk_check_range(task, extent->lba, 256))
            return false;
    }
    return disk_check_transfer_length(task, extent);
}

/* The next part of the command, for an idle transfer. */
static uint32_t take_part(Task *task, uint32_t *offset)
{
    uint32_t len = (uint32_t)MIN(SEGMENT_MAX, task->end - task->position);
    *offset = (uint32_t)task->position;
    task->position += len;
    return len;
}

/* Begins parts on idle transfers until all bytes are begun; stops when the task has ended inside.
 */
static void begin_parts(Task *task, void (*begin)(Transfer *t, uint32_t offset, uint32_t len))
{
    task->busy++;
    for (unsigned i = 0; i < TASK_TRANSFERS; i++) {
        if (task->position == task->end || task->state != TASK_RUNNING || task->failed)
            break;
        Transfer *t = &task->transfers[i];
        if (!transfer_is_idle(t))
            continue;
        uint32_t offset, len = take_part(task, &offset);
        begin(t, offset, len);
    }
    task_unbusy(task);
}

/* --- READ ------------------------------------------------------------------------------------- */

static void read_more(Transfer *t);

/* Sends what has been read, as far as no earlier part is missing: the initiator gets data in order,
 * and the status with the last of it. */
static void send_in_order(Task *task)
{
    for (unsigned i = 0; i < TASK_TRANSFERS;) {
        Transfer *t = &task->transfers[i];
        if (t->state != TRANSFER_READY || t->offset != task->finished) {
            i++;
            continue;
        }
        task->finished += t->len;
        if (task->finished == task->end) {
            transfer_put_last(t);
            return;
        }
        transfer_put(t, read_more);
        if (task->state != TASK_RUNNING)
            return;
        i = 0;
    }
}

/* Here the completion of a disk read becomes data sent to the initiator: an RDMA WRITE, or Data-In.
 */
static void disk_read_completed_send_data(Transfer *t)
{
    transfer_hold(t);
    send_in_order(t->task);
}

/* Whole blocks are read, even where the initiator has room for less. */
static void begin_read(Transfer *t, uint32_t offset, uint32_t len)
{
    unsigned shift = t->task->itl->shard->block_shift;
    size_t size = (((size_t)len - 1) >> shift << shift) + ((size_t)1 << shift);
    transfer_read(t, offset, len, size, disk_read_completed_send_data);
}

static void read_more(Transfer *t)
{
    begin_parts(t->task, begin_read);
}

void disk_read(Task *task)
{
    Extent extent;
    if (!data_extent(task, &extent))
        return;
    task->data_in_wanted = extent.len;
    task->end = MIN(extent.len, task->data_in_len);
    task->store_offset = extent.offset;
    if (task->end == 0)
        task_complete(task, NULL);
    else
        begin_parts(task, begin_read);
}

/* --- WRITE ------------------------------------------------------------------------------------ */

static void begin_write(Transfer *t, uint32_t offset, uint32_t len);

static void written(Transfer *t)
{
    Task *task = t->task;
    task->finished += t->len;
    transfer_end(t);
    if (task->finished == task->end)
        task_complete(task, NULL);
    else
        begin_parts(task, begin_write);
}

static void write_to_store(Transfer *t)
{
    const Task *task = t->task;
    transfer_store(t, AIO_WRITE, task->store_flags, task->store_offset + t->offset, t->len, t->iov,
                   t->iovcnt, written);
}

/* How many of the bytes [offset, offset + len) came with the command. */
static uint32_t immediate_part(const Task *task, uint32_t offset, uint32_t len)
{
    return task->immediate_len > offset ? MIN(task->immediate_len - offset, len) : 0;
}

/* Immediate data is written from where it was received: iov is that, and then the segment. */
static void get_data(Transfer *t)
{
    const Task *task = t->task;
    const Segment *segment = &t->segment;
    uint32_t immediate = immediate_part(task, t->offset, t->len);
    t->iovcnt = 0;
    if (immediate > 0)
        t->iov[t->iovcnt++] = (struct iovec){(uint8_t *)task->immediate + t->offset, immediate};
    for (int i = 0; i < segment->iovcnt; i++)
        t->iov[t->iovcnt++] = segment->iov[i];
    if (immediate == t->len)
        write_to_store(t);
    else
        transfer_get(t, t->offset + immediate, t->len - immediate, segment->iov, segment->iovcnt,
                     write_to_store);
}

static void begin_write(Transfer *t, uint32_t offset, uint32_t len)
{
    transfer_begin(t, offset, len, len - immediate_part(t->task, offset, len), get_data);
}

unsigned disk_write_flags(const Task *task)
{
    bool fua = task->cdb[0] >= 0x20 && (task->cdb[1] & FUA);
    return fua || !lun_write_cache(task_lun(task)) ? AIO_FUA : 0;
}

/* Where the initiator offers less data than the CDB asks for, the whole blocks of it are written.
 */
void disk_write(Task *task)
{
    Extent extent;
    if (!data_extent(task, &extent))
        return;
    unsigned shift = task->itl->shard->block_shift;
    task->data_out_wanted = extent.len;
    task->end = MIN(extent.len, task->data_out_len) >> shift << shift;
    task->store_offset = extent.offset;
    task->store_flags = disk_write_flags(task);
    if (task->end == 0)
        task_complete(task, NULL);
    else
        begin_parts(task, begin_write);
}
