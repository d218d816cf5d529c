/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The counters of a LUN by name. */
#pragma once

#include "core/scsi/lun.h"

typedef struct {
    const char *name; /* on D-Bus */
    size_t offset;    /* in LunStats, of a uint64_t */
    bool gauge;       /* what there is now, not what there was */
} LunCounter;

extern const LunCounter lun_counters[]; /* the last has no name */

static inline uint64_t lun_counter_get(const LunStats *stats, const LunCounter *counter)
{
    return *(const uint64_t *)((const char *)stats + counter->offset);
}

/* Leaves in `later` what was counted after `earlier`, and gauges as they are. Counters of the
 * engine begin anew with an exchange: both are from between two of them. */
void lun_stats_subtract(LunStats *later, const LunStats *earlier);
/* Adds "{sv}" for each to a dictionary. */
void lun_counters_add(GVariantBuilder *dict, const LunStats *stats);
