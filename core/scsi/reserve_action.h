/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The service actions of PERSISTENT RESERVE OUT (SPC-4 5.13.7 to 5.13.11) as changes of a state:
 * no I_T nexus, no task, no lock is touched here. */
#pragma once

#include "core/scsi/reserve_state.h"
#include "core/scsi/sense.h"

typedef enum {
    PR_REGISTER,
    PR_RESERVE,
    PR_RELEASE,
    PR_CLEAR,
    PR_PREEMPT,
    PR_PREEMPT_AND_ABORT,
    PR_REGISTER_AND_IGNORE,
    PR_REGISTER_AND_MOVE,
} ReserveAction;

/* What a command asks for. */
typedef struct {
    NexusName nexus; /* on which it came */
    ReserveAction action;
    uint8_t scope, type;
    uint64_t key, action_key;
    bool aptpl;
    bool all_ports;        /* ALL_TG_PT */
    bool specify_ports;    /* SPEC_I_PT */
    bool unregister;       /* UNREG */
    uint16_t move_port;    /* relative target port of the nexus to move to */
    const uint16_t *ports; /* all relative target ports there are; lent */
    unsigned n_ports;
    GArray *initiators; /* TransportId: ports of SPEC_I_PT, or the one to move to; may be NULL */
} ReserveRequest;

typedef struct {
    NexusName nexus;
    SenseCode code;
} ReserveAttention;

/* What comes of it. When the status is not GOOD, the state must be thrown away. */
typedef struct {
    uint8_t status;     /* GOOD, RESERVATION CONFLICT or CHECK CONDITION */
    SenseCode sense;    /* of CHECK CONDITION */
    SenseField field;   /* the same; byte < 0: not told */
    bool changed;       /* the state is another one now */
    GArray *attentions; /* ReserveAttention to establish */
    GArray *aborted;    /* NexusName, whose commands PREEMPT AND ABORT ends */
} ReserveEffect;

void reserve_request_clear(ReserveRequest *request);
void reserve_effect_init(ReserveEffect *effect);
void reserve_effect_clear(ReserveEffect *effect);

/* Carries the request out on the state, which is a draft of the caller's; fills an initialised
 * effect. */
void reserve_act(ReserveState *draft, const ReserveRequest *request, ReserveEffect *effect);
