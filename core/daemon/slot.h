/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a LUN did in a span of time, and what that cost: two readings and their difference. */
#pragma once

#include "core/daemon/cpu_time.h"
#include "core/scsi/lun.h"

/* One reading, or the difference of two. */
typedef struct {
    uint64_t at; /* nanoseconds of CLOCK_MONOTONIC; in a difference, how long it was */
    LunStats stats;
    CpuTime cpu;
    LatencySums latency;
} Slot;

void slot_read(Slot *slot, Lun *lun);
void slot_subtract(Slot *later, const Slot *earlier);
void slot_clear(Slot *slot);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Slot, slot_clear)

/* Adds the "{sv}" of a difference for Experiment1.GetResults to a dictionary. */
void slot_describe(const Slot *slot, GVariantBuilder *dict);
