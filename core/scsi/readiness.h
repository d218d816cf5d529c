/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a LUN is ready for a command: the gate in front of the commands that need the medium, and
 * what REQUEST SENSE says of it. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

/* Why the medium cannot be accessed now, and how far an operation is that is in the way (0 where
 * there is none); SENSE_NO_SENSE: it can. Any loop. */
SenseCode readiness_sense(const Lun *lun, uint16_t *progress);

/* True when the task may run; else it is answered. */
bool readiness_admit(Task *task);
