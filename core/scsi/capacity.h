/* SPDX-License-Identifier: GPL-2.0-or-later */
/* READ CAPACITY (SBC-3 5.15, 5.16). */
#pragma once

#include "core/scsi/task.h"

void read_capacity_10_run(Task *task);
void read_capacity_16_run(Task *task);
