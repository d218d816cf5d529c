/* SPDX-License-Identifier: GPL-2.0-or-later */
/* READ and WRITE: data between the initiator and the store, through at most two segments at a time;
 * and the checks that every command on a range of blocks shares. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

void disk_read(Task *task);
void disk_write(Task *task);

/* Blocks [lba, lba + blocks) in bytes. */
typedef struct {
    uint64_t lba, offset, len;
    uint32_t blocks;
} Extent;

/* The extent of the CDB; false after task_fail() where it goes beyond the end of the medium. */
bool disk_extent(Task *task, Extent *extent);
/* The same for an extent that is not in the CDB. */
bool disk_check_range(Task *task, uint64_t lba, uint64_t blocks);
/* False after task_fail() when the extent is longer than VPD page B0 allows. */
bool disk_check_transfer_length(Task *task, const Extent *extent);
uint64_t disk_max_transfer_blocks(const Lun *lun); /* 0: no limit */

/* AIO_FUA where the CDB, or a write cache that is off, asks for it. */
unsigned disk_write_flags(const Task *task);
