/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How large a LUN is, and what its blocks are like. */
#include "core/scsi/capacity.h"

#include "core/base/bytes.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"

static uint64_t last_lba(const Task *task)
{
    return MAX(lun_blocks(task_lun(task)), 1) - 1;
}

static unsigned capacity_10(Task *task, uint8_t *p)
{
    put_be32(p, (uint32_t)MIN(last_lba(task), UINT32_MAX));
    put_be32(p + 4, task_lun(task)->spec.block_size);
    return 8;
}

void read_capacity_10_run(Task *task)
{
    bool pmi = task->cdb[8] & 1;
    if (!pmi && get_be32(task->cdb + 2) != 0)
        task_fail_cdb(task, 2, 7);
    else
        reply(task, 8, UINT32_MAX, capacity_10);
}

static unsigned capacity_16(Task *task, uint8_t *p)
{
    const Lun *lun = task_lun(task);
    put_be64(p, last_lba(task));
    put_be32(p + 8, lun->spec.block_size);
    p[13] = (uint8_t)__builtin_ctz(lun->spec.physical_block_size / lun->spec.block_size);
    if (lun->thin)
        p[14] = 0x80 | (lun->unmap_reads_zeros ? 0x40 : 0); /* LBPME, LBPRZ */
    return 32;
}

void read_capacity_16_run(Task *task)
{
    bool pmi = task->cdb[14] & 1;
    if (!pmi && get_be64(task->cdb + 2) != 0)
        task_fail_cdb(task, 2, 7);
    else
        reply(task, 32, get_be32(task->cdb + 10), capacity_16);
}
