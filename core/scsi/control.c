/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small commands. */
#include "core/scsi/control.h"

#include "core/scsi/disk.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

#include <string.h>

void test_unit_ready_run(Task *task)
{
    task_complete(task, NULL);
}

/* Sense data as parameter data: of no LUN, or the first unit attention, which is told by that. */
static unsigned pending_sense(Task *task, uint8_t *p)
{
    uint8_t sense[SENSE_MAX];
    SenseCode code =
        task->itl->shard ? itl_take_attention(task->itl) : (SenseCode)SENSE_LUN_NOT_SUPPORTED;
    unsigned len = sense_build(sense, task->cdb[1] & 1, code, NULL);
    memcpy(p, sense, len);
    return len;
}

void request_sense_run(Task *task)
{
    reply(task, SENSE_MAX, task->cdb[4], pending_sense);
}

/* A disk that cannot be ejected and has no power conditions is always started. */
void start_stop_unit_run(Task *task)
{
    const uint8_t *cdb = task->cdb;
    enum { START = 0x01, LOEJ = 0x02 };
    if (cdb[4] & 0xf0)
        task_fail_cdb(task, 4, 7);
    else if (cdb[4] & LOEJ)
        task_fail_cdb(task, 4, 1);
    else if (!(cdb[4] & START))
        task_fail_cdb(task, 4, 0);
    else
        task_complete(task, NULL);
}

void prevent_allow_run(Task *task)
{
    task_complete(task, NULL);
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
