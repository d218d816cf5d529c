/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ORWRITE: bits are set in what the store has, one part after the other. */
#include "core/scsi/atomics.h"

#include "core/scsi/disk.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

/* Both halves of a part, the data-out and what the store has, lie in one segment: see verify.c. */
#define PART (SEGMENT_MAX / 2)

static void or_bytes(uint8_t *to, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] |= from[i];
}

/* ORs the second half of the part to the first. */
static void or_halves(const Segment *s, size_t len)
{
    struct iovec first[SEGMENT_IOVS], second[SEGMENT_IOVS];
    struct iovec *to = first, *from = second;
    iov_slice(s->iov, s->iovcnt, 0, len, first);
    iov_slice(s->iov, s->iovcnt, len, len, second);
    for (size_t done = 0; done < len;) {
        size_t n = MIN(to->iov_len, from->iov_len);
        or_bytes(to->iov_base, from->iov_base, n);
        *to = (struct iovec){(uint8_t *)to->iov_base + n, to->iov_len - n};
        *from = (struct iovec){(uint8_t *)from->iov_base + n, from->iov_len - n};
        to += to->iov_len == 0;
        from += from->iov_len == 0;
        done += n;
    }
}

static void store_half(Transfer *t, AioOp op, unsigned flags, size_t at, TransferFn then)
{
    const Task *task = t->task;
    uint64_t offset = task->store_offset + task->position - t->len;
    t->iovcnt = iov_slice(t->segment.iov, t->segment.iovcnt, at, t->len, t->iov);
    transfer_store(t, op, flags, offset, t->len, t->iov, t->iovcnt, then);
}

static void next_part(Transfer *t);

static void part_written(Transfer *t)
{
    t->task->finished += t->len;
    next_part(t);
}

static void part_read(Transfer *t)
{
    or_halves(&t->segment, t->len);
    store_half(t, AIO_WRITE, t->task->store_flags, 0, part_written);
}

static void part_fetched(Transfer *t)
{
    store_half(t, AIO_READ, 0, t->len, part_read);
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
    transfer_fetch(t, offset, t->len, part_fetched);
}

/* Where the initiator offers less data than the CDB asks for, whole blocks of it are taken, as by
 * WRITE. */
void orwrite_run(Task *task)
{
    Extent extent;
    if (!disk_extent(task, &extent) || !disk_check_transfer_length(task, &extent))
        return;
    unsigned shift = task->itl->shard->block_shift;
    task->data_out_wanted = extent.len;
    task->end = MIN(extent.len, task->data_out_len) >> shift << shift;
    task->store_offset = extent.offset;
    task->store_flags = disk_write_flags(task);
    if (task->end == 0)
        task_complete(task, NULL);
    else
        transfer_begin(&task->transfers[0], 0, 0, 2 * MIN(PART, task->end), next_part);
}
