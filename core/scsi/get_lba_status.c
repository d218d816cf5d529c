/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GET LBA STATUS: which blocks are mapped, asked of the store one extent after the other. */
#include "core/scsi/provisioning.h"

#include "core/base/bytes.h"
#include "core/scsi/command.h"
#include "core/scsi/disk.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <string.h>

enum { HEADER = 8, DESCRIPTOR = 16, MAPPED = 0, DEALLOCATED = 1 };

#define REPLY_MAX   (HEADER + 255 * DESCRIPTOR)
#define QUERIES_MAX 256 /* of one command, however little each of them tells */

/* What is mapped and unmapped as a whole; bytes. */
static uint64_t provisioning_unit(const Lun *lun)
{
    uint64_t block = lun->spec.block_size;
    return MAX((lun->discard_granularity + block - 1) / block * block, block);
}

/* In whole units, and mapped when any byte of them is. The medium may end within a unit. */
static uint64_t round_extent(uint64_t len, uint64_t left, uint64_t unit, bool *hole)
{
    if (len >= left)
        return left;
    if (*hole && len >= unit)
        return len / unit * unit;
    *hole = false;
    return MIN((len + unit - 1) / unit * unit, left);
}

/* Adds blocks to the list, to its last descriptor where that has the same status. */
static void add_blocks(Transfer *t, uint64_t lba, uint64_t blocks, uint8_t status)
{
    uint8_t *d = (uint8_t *)t->segment.iov[0].iov_base + t->len;
    uint8_t *last = d - DESCRIPTOR;
    if (t->len > HEADER && last[12] == status && get_be32(last + 8) + blocks <= UINT32_MAX) {
        put_be32(last + 8, (uint32_t)(get_be32(last + 8) + blocks));
        return;
    }
    put_be64(d, lba);
    put_be32(d + 8, (uint32_t)blocks);
    d[12] = status;
    t->len += DESCRIPTOR;
}

static void send_list(Transfer *t)
{
    put_be32(t->segment.iov[0].iov_base, t->len - 4);
    reply_send(t, t->len, get_be32(t->task->cdb + 10));
}

static void ask_for_extent(Transfer *t);

/* A descriptor holds 32 bits of blocks: what is beyond them is asked for again. */
static void extent_found(Transfer *t)
{
    Task *task = t->task;
    unsigned shift = task->itl->shard->block_shift;
    uint64_t unit = provisioning_unit(task_lun(task)), left = task->end - task->position;
    uint64_t most = ((uint64_t)UINT32_MAX << shift) / unit * unit;
    bool hole = t->req.hole;
    uint64_t len = round_extent((uint64_t)t->req.res, left, unit, &hole);
    uint64_t next = task->position + MIN(len, most);
    uint64_t start = MAX(task->position, task->store_offset); /* inside the first unit */

    add_blocks(t, start >> shift, (next - start) >> shift, hole ? DEALLOCATED : MAPPED);
    task->position = next;
    if (next < task->end && t->len + DESCRIPTOR <= t->segment.iov[0].iov_len &&
        ++task->finished < QUERIES_MAX)
        ask_for_extent(t);
    else
        send_list(t);
}

static void ask_for_extent(Transfer *t)
{
    const Task *task = t->task;
    transfer_store(t, AIO_EXTENT, 0, task->position, task->end - task->position, NULL, 0,
                   extent_found);
}

static void begin_list(Transfer *t)
{
    memset(t->segment.iov[0].iov_base, 0, t->segment.iov[0].iov_len);
    ask_for_extent(t);
}

void get_lba_status_run(Task *task)
{
    const Lun *lun = task_lun(task);
    uint64_t lba = cdb_lba(task->cdb), unit = provisioning_unit(lun);
    if (!disk_check_range(task, lba, 1))
        return;
    task->store_offset = lba << lun->block_shift;
    task->position = task->store_offset / unit * unit;
    task->end = lun_blocks(lun) << lun->block_shift;
    size_t size = CLAMP(get_be32(task->cdb + 10), HEADER + DESCRIPTOR, REPLY_MAX);
    transfer_begin(&task->transfers[0], 0, HEADER, size, begin_list);
}
