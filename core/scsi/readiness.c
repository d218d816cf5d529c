/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NOT READY, and its reasons. */
#include "core/scsi/readiness.h"

#include "core/scsi/command.h"
#include "core/scsi/medium.h"
#include "core/scsi/task_impl.h"

SenseCode readiness_sense(const Lun *lun)
{
    switch (medium_state(lun)) {
    case MEDIUM_STOPPED:
        return SENSE_START_REQUIRED;
    case MEDIUM_EJECTED:
        return SENSE_MEDIUM_NOT_PRESENT;
    default:
        return SENSE_NO_SENSE;
    }
}

bool readiness_admit(Task *task)
{
    if (!task->itl->shard || (task->command->flags & COMMAND_WHEN_NOT_READY))
        return true;
    SenseCode code = readiness_sense(task_lun(task));
    if (G_LIKELY(code == SENSE_NO_SENSE))
        return true;
    task_fail(task, code);
    return false;
}
