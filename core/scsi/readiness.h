/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether a LUN is ready for a command: the gate in front of the commands that need the medium, and
 * what REQUEST SENSE says of it. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

/* Why the medium cannot be accessed now; SENSE_NO_SENSE: it can. Any loop. */
SenseCode readiness_sense(const Lun *lun);

/* True when the task may run; else it is answered. */
bool readiness_admit(Task *task);
