/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of unit attention conditions. */
#include "core/scsi/unit_attention.h"

#include <string.h>

static bool is_reset(SenseCode code)
{
    return (code >> 8 & 0xff) == 0x29;
}

static bool contains(const UnitAttentions *a, SenseCode code)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->codes[i] == code)
            return true;
    return false;
}

static void publish(UnitAttentions *a)
{
    __atomic_store_n(&a->pending, a->count > 0, __ATOMIC_RELAXED);
}

void unit_attentions_add(UnitAttentions *a, SenseCode code)
{
    if (contains(a, code) || (is_reset(code) && contains(a, SENSE_POWER_ON_RESET)))
        return;
    if (is_reset(code))
        a->count = 0;
    if (a->count < UNIT_ATTENTIONS_MAX)
        a->codes[a->count++] = code;
    publish(a);
}

static void remove_at(UnitAttentions *a, unsigned i)
{
    a->count--;
    memmove(a->codes + i, a->codes + i + 1, (a->count - i) * sizeof a->codes[0]);
    publish(a);
}

SenseCode unit_attentions_take(UnitAttentions *a)
{
    if (a->count == 0)
        return SENSE_NO_SENSE;
    SenseCode code = a->codes[0];
    remove_at(a, 0);
    return code;
}

void unit_attentions_drop(UnitAttentions *a, SenseCode code)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->codes[i] == code) {
            remove_at(a, i);
            return;
        }
}
