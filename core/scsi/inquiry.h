/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INQUIRY: standard data and vital product data (SPC-4 6.6, 7.8). */
#pragma once

#include "core/scsi/task.h"

void inquiry_run(Task *task);
