/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Builders of the SCSI commands used here, and readers of sense data (SPC-4, SBC-3). */
#pragma once

#include "tests/initiator/nexus.h"

enum { SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02, SENSE_KEY_UNIT_ATTENTION = 0x06 };

typedef struct {
    uint64_t blocks;
    uint32_t block_size;
} ScsiCapacity;

/* Each sets the CDB, the direction, the LUN and the buffer of a zeroed or reused task. `memory` is
 * the nexus's and holds what is to be moved. */
void scsi_test_unit_ready(Task *task, uint64_t lun);
void scsi_inquiry(Task *task, uint64_t lun, uint8_t *memory, uint16_t len);
void scsi_read_capacity16(Task *task, uint64_t lun, uint8_t *memory, uint32_t len);
void scsi_synchronize_cache(Task *task, uint64_t lun);
/* READ or WRITE, of 10 bytes where the numbers fit, else of 16. */
void scsi_transfer(Task *task, uint64_t lun, bool write, uint64_t lba, uint32_t blocks,
                   uint32_t block_size, bool fua, uint8_t *memory);

/* Key, ASC and ASCQ as 0xKKAAQQ, of either sense format; 0 when there is none. */
uint32_t scsi_sense(const Task *task);

/* Waits until the unit attentions are through. */
bool scsi_clear_attentions(Nexus *nexus, uint64_t lun, GError **error);
/* The same, then reads the capacity by way of the nexus's memory. */
bool scsi_wait_ready(Nexus *nexus, uint64_t lun, ScsiCapacity *capacity, GError **error);

/* The 8 bytes of a LUN: peripheral or flat addressing (SAM-5 4.7). */
void scsi_put_lun(uint8_t *p, uint64_t lun);
