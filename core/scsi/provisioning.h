/* SPDX-License-Identifier: GPL-2.0-or-later */
/* WRITE SAME and UNMAP (SBC-3 5.35, 5.48): ranges of blocks without data of their own; and GET LBA
 * STATUS (SBC-3 5.4), which tells where they are. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

#define UNMAP_MAX_BLOCKS      (1u << 20) /* of all descriptors together */
#define UNMAP_MAX_DESCRIPTORS 256

void write_same_10_run(Task *task);
void write_same_16_run(Task *task);
uint64_t write_same_max_blocks(const Lun *lun);

void unmap_run(Task *task);

/* Mapped are all units of the unmap granularity (VPD page B0) of which the store keeps any data. */
void get_lba_status_run(Task *task);
