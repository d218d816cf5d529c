/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unit attention conditions of one I_T_L nexus, in the order they are reported (SAM-5 5.14). */
#pragma once

#include "core/scsi/sense.h"

#define UNIT_ATTENTIONS_MAX 16 /* more than there are codes */

typedef struct {
    SenseCode codes[UNIT_ATTENTIONS_MAX];
    unsigned count;
    bool pending; /* count > 0, readable without the lock */
} UnitAttentions;

/* All under the lock of the LUN. Resets come first, power on before target reset, LUN reset and
 * loss of the nexus; of those only the most urgent is kept. The others keep their order, and are
 * not lost by a reset: that the capacity changed is still news. A condition that is there already
 * is not added twice. Should the queue overflow, power on takes the place of all. */
void unit_attentions_add(UnitAttentions *attentions, SenseCode code);
SenseCode unit_attentions_take(UnitAttentions *attentions); /* the first, or SENSE_NO_SENSE */
/* The first is a reset, or the loss of the nexus (additional sense code 29h). */
bool unit_attentions_begin_with_reset(const UnitAttentions *attentions);
/* Forgets one condition that was made known in another way. */
void unit_attentions_drop(UnitAttentions *attentions, SenseCode code);

/* Without the lock: a condition established by another loop is seen soon. */
static inline bool unit_attentions_pending(const UnitAttentions *attentions)
{
    return __atomic_load_n(&attentions->pending, __ATOMIC_RELAXED);
}
