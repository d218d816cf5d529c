/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SEND DIAGNOSTIC (SPC-4 6.42), whose default self-test reads from the store; and READ DEFECT DATA
 * (SBC-3 5.17, 5.18): a store that is a file or a disk shows no defects. */
#pragma once

#include "core/scsi/task.h"

void send_diagnostic_run(Task *task);
void read_defect_data_10_run(Task *task);
void read_defect_data_12_run(Task *task);
