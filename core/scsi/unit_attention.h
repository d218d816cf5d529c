/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unit attention conditions of one I_T_L nexus, in the order they are reported (SAM-5 5.14). */
#pragma once

#include "core/scsi/sense.h"

#define UNIT_ATTENTIONS_MAX 8

typedef struct {
    SenseCode codes[UNIT_ATTENTIONS_MAX];
    unsigned count;
    bool pending; /* count > 0, readable without the lock */
} UnitAttentions;

/* Both under the lock of the LUN. A condition that is there already is not added twice; a reset
 * takes the place of everything before it, except of an earlier power on. */
void unit_attentions_add(UnitAttentions *attentions, SenseCode code);
SenseCode unit_attentions_take(UnitAttentions *attentions); /* the first, or SENSE_NO_SENSE */
/* Forgets one condition that was made known in another way. */
void unit_attentions_drop(UnitAttentions *attentions, SenseCode code);

/* Without the lock: a condition established by another loop is seen soon. */
static inline bool unit_attentions_pending(const UnitAttentions *attentions)
{
    return __atomic_load_n(&attentions->pending, __ATOMIC_RELAXED);
}
