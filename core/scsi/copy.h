/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EXTENDED COPY (LID1) (SPC-4 6.4): copies blocks from one logical unit of this process to another,
 * or within one, through at most two parts of 256 KiB at a time. */
#pragma once

#include "core/scsi/task.h"

typedef struct LunShard LunShard; /* shard.h */

void extended_copy_run(Task *task);

/* A LUN that the copy of a command to another LUN is at work on (LunShard.guests) was reset: the
 * copy fails. The task may be gone afterwards. */
void copy_device_reset(Task *task, const LunShard *shard);
