/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SANITIZE (SBC-3 5.30): OVERWRITE where the store overwrites its blocks in place, and leaving the
 * failure mode. Erasing blocks or keys is not in the power of a store that is a file or a disk. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

/* True where an overwrite reaches every byte that was ever written to the LUN, and where it can be
 * remembered over a restart that it did not. Does not block; on an I/O loop of the LUN. */
bool sanitize_possible(const Lun *lun);

void sanitize_overwrite_run(Task *task);
void sanitize_exit_failure_run(Task *task);
