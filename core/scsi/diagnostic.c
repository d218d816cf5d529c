/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The self-test, and lists of defects, which are empty. */
#include "core/scsi/diagnostic.h"

#include "core/base/bytes.h"
#include "core/scsi/reply.h"
#include "core/scsi/task_impl.h"
#include "core/scsi/transfer.h"

/* --- SEND DIAGNOSTIC -------------------------------------------------------------------------- */

enum { SELFTEST = 0x04 };

static void read_block(Transfer *t, uint64_t lba, TransferFn then)
{
    const Segment *segment = &t->segment;
    transfer_store(t, AIO_READ, 0, lba << t->task->itl->shard->block_shift, segment->len,
                   segment->iov, segment->iovcnt, then);
}

static void last_read(Transfer *t)
{
    Task *task = t->task;
    transfer_end(t);
    task_complete(task, NULL);
}

static void first_read(Transfer *t)
{
    read_block(t, lun_blocks(task_lun(t->task)) - 1, last_read);
}

static void read_first(Transfer *t)
{
    read_block(t, 0, first_read);
}

/* DEVOFFL and UNITOFFL allow more than is done. */
void send_diagnostic_run(Task *task)
{
    const uint8_t *cdb = task->cdb;
    if (get_be16(cdb + 3) != 0) {
        task_fail_cdb(task, 3, 7); /* there are no diagnostic pages */
    } else if (!(cdb[1] & SELFTEST)) {
        task_complete(task, NULL);
    } else {
        task->store_failure = SENSE_SELF_TEST_FAILED;
        transfer_begin(&task->transfers[0], 0, 0, task_lun(task)->spec.block_size, read_first);
    }
}

/* --- READ DEFECT DATA ------------------------------------------------------------------------- */

enum { FORMAT = 0x07, FORMAT_LAST = 5 };

static unsigned no_defects_10(Task *task, uint8_t *p)
{
    p[1] = task->cdb[2];
    return 4;
}

static unsigned no_defects_12(Task *task, uint8_t *p)
{
    p[1] = task->cdb[1];
    return 8;
}

/* `byte` of the CDB says which lists are wanted, and in what format: they are empty in all. */
static void read_defect_data(Task *task, int byte, uint32_t allocation_length, ReplyBuild build)
{
    if ((task->cdb[byte] & FORMAT) > FORMAT_LAST)
        task_fail_cdb(task, byte, 2);
    else
        reply(task, 8, allocation_length, build);
}

void read_defect_data_10_run(Task *task)
{
    read_defect_data(task, 2, get_be16(task->cdb + 7), no_defects_10);
}

void read_defect_data_12_run(Task *task)
{
    read_defect_data(task, 1, get_be32(task->cdb + 6), no_defects_12);
}
