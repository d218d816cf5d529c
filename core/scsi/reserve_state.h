/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The persistent reservation of a logical unit and its registrations (SPC-4 5.13), as a value that
 * can be copied, changed and saved. No lock: who shares one brings his own. */
#pragma once

#include "core/scsi/transport_id.h"

#include <glib.h>

#define REGISTRATIONS_MAX 512

/* TYPE field, SPC-4 6.15.3.4. */
typedef enum {
    RESERVE_NONE = 0x0,
    RESERVE_WRITE_EXCLUSIVE = 0x1,
    RESERVE_EXCLUSIVE_ACCESS = 0x3,
    RESERVE_WRITE_EXCLUSIVE_RO = 0x5, /* registrants only */
    RESERVE_EXCLUSIVE_ACCESS_RO = 0x6,
    RESERVE_WRITE_EXCLUSIVE_AR = 0x7, /* all registrants */
    RESERVE_EXCLUSIVE_ACCESS_AR = 0x8,
} ReserveType;

/* What an I_T nexus is called: it outlives sessions. */
typedef struct {
    TransportId initiator; /* port */
    uint16_t port;         /* relative target port identifier */
} NexusName;

typedef struct {
    NexusName nexus;
    uint64_t key; /* not 0 */
    bool holder;  /* of a reservation of another type than all registrants */
} Registration;

typedef struct {
    GArray *registrations; /* Registration, in the order they were made */
    ReserveType type;
    bool aptpl;          /* is to survive a loss of power */
    uint32_t generation; /* PRGENERATION */
} ReserveState;

void reserve_state_init(ReserveState *state);
void reserve_state_clear(ReserveState *state);
ReserveState reserve_state_copy(const ReserveState *state);

bool nexus_name_equal(const NexusName *a, const NexusName *b);
bool reserve_type_valid(unsigned type);
bool reserve_type_registrants_only(ReserveType type);
bool reserve_type_all_registrants(ReserveType type);
/* Of exclusive access, which reads conflict with too. */
bool reserve_type_exclusive(ReserveType type);
/* As in "write-exclusive-registrants-only"; "" for none. The second is the way back, RESERVE_NONE
 * for other texts. */
const char *reserve_type_text(ReserveType type);
ReserveType reserve_type_from_text(const char *text);

/* NULL: not registered. Valid until the registrations change. */
Registration *reserve_find(const ReserveState *state, const NexusName *nexus);
static inline Registration *reserve_registration(const ReserveState *state, unsigned i)
{
    return &g_array_index(state->registrations, Registration, i);
}
/* Holds the reservation; with a type of all registrants every registration does. */
bool reserve_holds(const ReserveState *state, const Registration *registration);
/* The key that READ RESERVATION tells: 0 for all registrants. */
uint64_t reserve_holder_key(const ReserveState *state);
