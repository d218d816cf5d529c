/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of unit attention conditions. */
#include "core/scsi/unit_attention.h"

#include <string.h>

/* The order in which SAM-5 5.14 has conditions reported; what is as urgent keeps its order. */
static unsigned urgency(SenseCode code)
{
    switch (code) {
    case SENSE_POWER_ON_RESET:
        return 4;
    case SENSE_BUS_RESET:
        return 3;
    case SENSE_DEVICE_RESET:
        return 2;
    case SENSE_NEXUS_LOSS:
        return 1;
    default:
        return 0;
    }
}

static void publish(UnitAttentions *a)
{
    __atomic_store_n(&a->pending, a->count > 0, __ATOMIC_RELAXED);
}

static void remove_at(UnitAttentions *a, unsigned i)
{
    a->count--;
    memmove(a->codes + i, a->codes + i + 1, (a->count - i) * sizeof a->codes[0]);
    publish(a);
}

static void insert_at(UnitAttentions *a, unsigned i, SenseCode code)
{
    memmove(a->codes + i + 1, a->codes + i, (a->count - i) * sizeof a->codes[0]);
    a->codes[i] = code;
    a->count++;
    publish(a);
}

/* A reset says nothing that a more urgent one has not said, and COMMANDS CLEARED nothing beside a
 * reset. */
static bool is_told_by(SenseCode code, SenseCode other)
{
    return code == other || (urgency(code) > 0 && urgency(other) > urgency(code)) ||
           (code == SENSE_COMMANDS_CLEARED && urgency(other) > 0);
}

static bool is_told(const UnitAttentions *a, SenseCode code)
{
    for (unsigned i = 0; i < a->count; i++)
        if (is_told_by(code, a->codes[i]))
            return true;
    return false;
}

void unit_attentions_add(UnitAttentions *a, SenseCode code)
{
    if (is_told(a, code))
        return;
    for (unsigned i = a->count; i-- > 0;)
        if (is_told_by(a->codes[i], code))
            remove_at(a, i);
    if (a->count == UNIT_ATTENTIONS_MAX) { /* everything may have changed */
        a->count = 0;
        code = SENSE_POWER_ON_RESET;
    }
    unsigned at = a->count;
    while (at > 0 && urgency(a->codes[at - 1]) < urgency(code))
        at--;
    insert_at(a, at, code);
}

SenseCode unit_attentions_take(UnitAttentions *a)
{
    if (a->count == 0)
        return SENSE_NO_SENSE;
    SenseCode code = a->codes[0];
    remove_at(a, 0);
    return code;
}

bool unit_attentions_begin_with_reset(const UnitAttentions *a)
{
    return a->count > 0 && urgency(a->codes[0]) > 0;
}

void unit_attentions_drop(UnitAttentions *a, SenseCode code)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->codes[i] == code) {
            remove_at(a, i);
            return;
        }
}
