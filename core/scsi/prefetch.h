/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PRE-FETCH (10) and (16) (SBC-3 5.11, 5.12): into the page cache, where the LUN uses it. The
 * status is CONDITION MET when all of the blocks are there (or, with IMMED, on their way), else
 * GOOD. */
#pragma once

#include "core/scsi/task.h"

void pre_fetch_run(Task *task);
