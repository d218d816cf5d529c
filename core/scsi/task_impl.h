/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How command handlers end a task. After each of these calls the task may be gone. */
#pragma once

#include "core/scsi/itl.h"
#include "core/scsi/lun_impl.h"
#include "core/scsi/task.h"

/* Of itl.c alone: the task's turn has come. */
void task_start(Task *task);
/* Of claim.c and task.c alone: nothing keeps it from being done. */
void task_run(Task *task);

/* Status GOOD, with the last data when `last` is not NULL. */
void task_complete(Task *task, Transfer *last);

/* CHECK CONDITION. The first failure of a task counts. It is reported when no transfer of the task
 * is with the store or the initiator's data-out any more. */
void task_fail(Task *task, SenseCode code);
/* For what comes back to a task that may have been aborted meanwhile. */
void task_fail_if_running(Task *task, SenseCode code);
void task_fail_information(Task *task, SenseCode code, uint64_t information);
/* With how far the operation is that is in the way, of 65536, where the code is of one. */
void task_fail_progress(Task *task, SenseCode code, uint16_t progress);
void task_fail_cdb(Task *task, int byte, int bit);       /* INVALID FIELD IN CDB */
void task_fail_parameter(Task *task, int byte, int bit); /* INVALID FIELD IN PARAMETER LIST */
void task_fail_field(Task *task, SenseCode code, const SenseField *field);
/* With sense data made by the caller, in the format that the LUN wants. */
void task_fail_sense(Task *task, const uint8_t *sense, unsigned len);
bool task_descriptor_sense(const Task *task);
/* What an engine's -errno means to the initiator (DESIGN.md section 7). */
SenseCode task_errno_sense(AioOp op, int error);
void task_fail_errno(Task *task, AioOp op, int error);

/* Ends the task without an answer; released() follows when nothing holds its memory any more, which
 * may be inside. No-op on one that is aborted already; one that is answered only has its last data
 * cancelled. */
void task_abort(Task *task);
/* True while a write of the task may still reach the store. */
bool task_may_write(const Task *task);

/* Of transfer.c: reports a failure, or releases the task, when nothing is in the way any more. */
void task_settle(Task *task);
void task_unbusy(Task *task);

static inline Lun *task_lun(const Task *task)
{
    return task->itl->shard->lun;
}
