/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FORMAT UNIT (SBC-3 5.3): the medium reads as zeros afterwards, or as the pattern asked for. */
#pragma once

#include "core/scsi/task.h"

void format_unit_run(Task *task);
