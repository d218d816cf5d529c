/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INQUIRY: standard data and vital product data (SPC-4 6.6, 7.8). */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

void inquiry_run(Task *task);

/* The designation descriptors of VPD page 83 that name the logical unit itself (SPC-4 7.8.6);
 * returns their length. */
#define LUN_DESIGNATORS_MAX 512
unsigned inquiry_lun_designators(const Lun *lun, uint8_t *out);
