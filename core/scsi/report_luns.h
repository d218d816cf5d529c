/* SPDX-License-Identifier: GPL-2.0-or-later */
/* REPORT LUNS (SPC-4 6.33). */
#pragma once

#include "core/scsi/task.h"

void report_luns_run(Task *task);
