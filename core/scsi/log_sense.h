/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LOG SENSE (SPC-4 6.8, 7.3; SBC-3 6.4): counters of reading and writing, and what a disk is asked
 * for that monitors it. Counted since the LUN was opened; nothing is saved, nothing can be reset.
 */
#pragma once

#include "core/scsi/task.h"

void log_sense_run(Task *task);
