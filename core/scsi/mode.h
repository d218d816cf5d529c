/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MODE SENSE and MODE SELECT (SPC-4 6.11 - 6.14, 7.5). */
#pragma once

#include "core/scsi/task.h"

void mode_sense_6_run(Task *task);
void mode_sense_10_run(Task *task);
void mode_select_6_run(Task *task);
void mode_select_10_run(Task *task);
