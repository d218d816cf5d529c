/* SPDX-License-Identifier: GPL-2.0-or-later */
/* REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 6.35,
 * 6.36). */
#pragma once

#include "core/scsi/task.h"

void report_opcodes_run(Task *task);
void report_tmfs_run(Task *task);
