/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A target as one I/O loop sees it. */
#pragma once

#include "core/scsi/shard.h"
#include "core/scsi/target.h"

#include <glib.h>

#define LUN_NUMBER_MAX 16383 /* flat addressing has 14 bits */

/* Touched on its loop only. */
typedef struct {
    LunShard **luns; /* by number */
    unsigned numbers;
    GQueue nexuses; /* Nexus */
} TargetView;

TargetView *target_view(const ScsiTarget *target, const Loop *loop);
Loop *const *target_loops(const ScsiTarget *target, unsigned *nloops); /* MT-SAFE */

/* On the shard's loop: an I_T_L nexus, or a guest, of a LUN that is being removed is gone. */
void target_shard_left(LunShard *shard);
