/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LOG SENSE (SPC-4 6.8, 7.3; SBC-3 6.4): counters of reading and writing, and what a disk is asked
 * for that monitors it. Counted since the LUN was opened, or LOG SELECT (SPC-4 6.5) was asked to
 * reset them; nothing is saved, and nothing can be given another value. */
#pragma once

#include "core/scsi/task.h"

/* What LOG SELECT resets; member of Lun. */
typedef enum { LOG_WRITES, LOG_READS, LOG_COUNTED } LogCounted;
typedef struct {
    uint64_t bytes, errors;
} LogCounters;

void log_sense_run(Task *task);
void log_select_run(Task *task);
