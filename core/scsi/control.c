/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small commands. */
#include "core/scsi/control.h"

#include "core/scsi/disk.h"
#include "core/scsi/readiness.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <string.h>

void test_unit_ready_run(Task *task)
{
    task_complete(task, NULL);
}

/* Sense data as parameter data: of no LUN, the first unit attention, which is told by that, or why
 * the LUN is not ready and how long that may last. */
static unsigned pending_sense(Task *task, uint8_t *p)
{
    uint8_t sense[SENSE_MAX];
    SenseCode code = SENSE_LUN_NOT_SUPPORTED;
    uint16_t progress = 0;
    if (task->itl->shard)
        code = itl_take_attention(task->itl);
    if (code == SENSE_NO_SENSE)
        code = readiness_sense(task_lun(task), &progress);
    unsigned len = sense_build(sense, task->cdb[1] & 1, code, NULL);
    if (sense_has_progress(code))
        len = sense_set_progress(sense, len, progress);
    memcpy(p, sense, len);
    return len;
}

void request_sense_run(Task *task)
{
    reply(task, SENSE_MAX, task->cdb[4], pending_sense);
}

static void flushed(Transfer *t)
{
    Task *task = t->task;
    transfer_end(t);
    task_complete(task, NULL);
}

static void flush_store(Transfer *t)
{
    transfer_store(t, AIO_FLUSH, 0, 0, 0, NULL, 0, flushed);
}

/* IMMED would allow an answer before the data is safe; nobody is served by that. */
void synchronize_cache_run(Task *task)
{
    Extent extent;
    if (disk_extent(task, &extent))
        transfer_begin(&task->transfers[0], 0, 0, 0, flush_store);
}
