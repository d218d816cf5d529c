/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be asked of a reservation. */
#include "core/scsi/reserve_state.h"

#include <string.h>

static const struct {
    ReserveType type;
    const char *text;
} types[] = {
    {RESERVE_WRITE_EXCLUSIVE, "write-exclusive"},
    {RESERVE_EXCLUSIVE_ACCESS, "exclusive-access"},
    {RESERVE_WRITE_EXCLUSIVE_RO, "write-exclusive-registrants-only"},
    {RESERVE_EXCLUSIVE_ACCESS_RO, "exclusive-access-registrants-only"},
    {RESERVE_WRITE_EXCLUSIVE_AR, "write-exclusive-all-registrants"},
    {RESERVE_EXCLUSIVE_ACCESS_AR, "exclusive-access-all-registrants"},
};

void reserve_state_init(ReserveState *state)
{
    *state = (ReserveState){.registrations = g_array_new(FALSE, FALSE, sizeof(Registration))};
}

void reserve_state_clear(ReserveState *state)
{
    if (state->registrations)
        g_array_unref(state->registrations);
    state->registrations = NULL;
}

ReserveState reserve_state_copy(const ReserveState *state)
{
    ReserveState copy = *state;
    copy.registrations = g_array_copy(state->registrations);
    return copy;
}

bool nexus_name_equal(const NexusName *a, const NexusName *b)
{
    return a->port == b->port && transport_id_equal(&a->initiator, &b->initiator);
}

bool reserve_type_valid(unsigned type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        if (types[i].type == type)
            return true;
    return false;
}

bool reserve_type_registrants_only(ReserveType type)
{
    return type == RESERVE_WRITE_EXCLUSIVE_RO || type == RESERVE_EXCLUSIVE_ACCESS_RO;
}

bool reserve_type_all_registrants(ReserveType type)
{
    return type == RESERVE_WRITE_EXCLUSIVE_AR || type == RESERVE_EXCLUSIVE_ACCESS_AR;
}

bool reserve_type_exclusive(ReserveType type)
{
    return type == RESERVE_EXCLUSIVE_ACCESS || type == RESERVE_EXCLUSIVE_ACCESS_RO ||
           type == RESERVE_EXCLUSIVE_ACCESS_AR;
}

const char *reserve_type_text(ReserveType type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        if (types[i].type == type)
            return types[i].text;
    return "";
}

ReserveType reserve_type_from_text(const char *text)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        if (strcmp(types[i].text, text) == 0)
            return types[i].type;
    return RESERVE_NONE;
}

Registration *reserve_find(const ReserveState *state, const NexusName *nexus)
{
    for (unsigned i = 0; i < state->registrations->len; i++)
        if (nexus_name_equal(&reserve_registration(state, i)->nexus, nexus))
            return reserve_registration(state, i);
    return NULL;
}

bool reserve_holds(const ReserveState *state, const Registration *registration)
{
    return state->type != RESERVE_NONE &&
           (reserve_type_all_registrants(state->type) || registration->holder);
}

uint64_t reserve_holder_key(const ReserveState *state)
{
    for (unsigned i = 0; i < state->registrations->len; i++)
        if (reserve_registration(state, i)->holder)
            return reserve_registration(state, i)->key;
    return 0;
}
