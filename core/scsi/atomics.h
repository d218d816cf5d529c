/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands whose blocks no other command sees half done: COMPARE AND WRITE (SBC-3 5.3), ORWRITE
 * (16) (SBC-3 5.9), WRITE ATOMIC (16) (SBC-4). They run with an exclusive claim, see claim.h. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

void compare_and_write_run(Task *task);
/* MAXIMUM COMPARE AND WRITE LENGTH: what is compared lies in one buffer, and its length in 8 bits.
 */
unsigned compare_and_write_max_blocks(const Lun *lun);

void orwrite_run(Task *task);

/* One request of the size that the store writes as a whole or not at all, even when power fails;
 * not there on a LUN whose store has no such size. */
void write_atomic_run(Task *task);
