/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NOT READY, and its reasons. */
#include "core/scsi/readiness.h"

#include "core/scsi/command.h"
#include "core/scsi/task_impl.h"

enum { UNREADY = COMMAND_WHEN_NOT_READY };

/* By the condition of the medium: what is answered, and which commands are let through. */
static const struct {
    SenseCode sense;
    unsigned admitted;
} conditions[] = {
    [MEDIUM_GOOD] = {SENSE_NO_SENSE, ~0u},
    [MEDIUM_FORMATTING] = {SENSE_FORMAT_IN_PROGRESS, COMMAND_DURING_FORMAT},
    [MEDIUM_SANITIZING] = {SENSE_SANITIZE_IN_PROGRESS, COMMAND_DURING_SANITIZE},
    [MEDIUM_FORMAT_CORRUPT] = {SENSE_FORMAT_CORRUPT, UNREADY | COMMAND_WHEN_CORRUPT},
    [MEDIUM_NOT_SANITIZED] = {SENSE_SANITIZE_FAILED, UNREADY | COMMAND_WHEN_NOT_SANITIZED},
};

static SenseCode medium_sense(const Lun *lun)
{
    static const SenseCode senses[] = {[MEDIUM_STARTED] = SENSE_NO_SENSE,
                                       [MEDIUM_STOPPED] = SENSE_START_REQUIRED,
                                       [MEDIUM_EJECTED] = SENSE_MEDIUM_NOT_PRESENT};
    return senses[medium_state(lun)];
}

SenseCode readiness_sense(const Lun *lun, uint16_t *progress)
{
    MediumCondition condition = operation_condition(lun);
    *progress = 0;
    if (condition == MEDIUM_FORMATTING || condition == MEDIUM_SANITIZING) {
        *progress = operation_progress(lun);
        return conditions[condition].sense;
    }
    SenseCode sense = medium_sense(lun);
    return sense ? sense : conditions[condition].sense;
}

bool readiness_admit(Task *task)
{
    if (!task->itl->shard)
        return true;
    const Lun *lun = task_lun(task);
    unsigned flags = task->command->flags;
    MediumCondition condition = operation_condition(lun);
    bool ready = condition == MEDIUM_GOOD || (flags & conditions[condition].admitted);
    if (G_LIKELY(ready && (medium_state(lun) == MEDIUM_STARTED || (flags & UNREADY))))
        return true;
    uint16_t progress;
    SenseCode sense = readiness_sense(lun, &progress);
    if (sense == SENSE_NO_SENSE) /* it has become ready just now */
        return true;
    task_fail_progress(task, sense, progress);
    return false;
}
