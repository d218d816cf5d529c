/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asymmetric logical unit access (SPC-4 5.15.2): the target port groups of a target, and what may
 * be done through the ports of each. The groups are constant, their states are not. */
#pragma once

#include "core/scsi/task.h"

typedef struct Alua Alua;
typedef struct AluaGroup AluaGroup;
typedef struct ScsiTarget ScsiTarget; /* target.h */

/* By their codes on the wire. */
typedef enum {
    ALUA_OPTIMIZED = 0x0,
    ALUA_NON_OPTIMIZED = 0x1,
    ALUA_STANDBY = 0x2,
    ALUA_UNAVAILABLE = 0x3,
    ALUA_OFFLINE = 0xe,
    ALUA_TRANSITIONING = 0xf,
} AluaState;

/* Target port groups and the relative target port identifiers of their ports, all from 1. A port
 * that no group names belongs to the first. */
typedef struct {
    uint16_t id;
    const uint16_t *ports;
    unsigned n_ports;
    AluaState state;
    bool preferred;
} AluaGroupSpec;

/* At least one group. TPGS: implicit: states change by scsi_target_set_alua_state(); explicit: by
 * SET TARGET PORT GROUPS, which is not supported otherwise. */
Alua *alua_new(bool implicit, bool explicit, const AluaGroupSpec *groups, unsigned n);
void alua_free(Alua *alua); /* NULL is allowed */

AluaGroup *alua_group_of_port(const Alua *alua, uint16_t port); /* never NULL */
uint16_t alua_group_id(const AluaGroup *group);
unsigned alua_tpgs(const Alua *alua); /* the TPGS field of INQUIRY */
bool alua_is_explicit(const Alua *alua);
/* Those of all groups, each once: all target ports there are. Constant as long as alua lives. */
const uint16_t *alua_ports(const Alua *alua, unsigned *n);
/* The group as it is now; false: there are not so many. Its ports are those of alua. MT-SAFE. */
bool alua_get_group(const Alua *alua, unsigned index, AluaGroupSpec *out);
/* False: there is no such group. MT-SAFE. */
bool alua_get_state(const Alua *alua, uint16_t group, AluaState *state);

/* Why the medium cannot be read or written through the port; SENSE_NO_SENSE: it can. MT-SAFE. */
SenseCode alua_sense(const Alua *alua, uint16_t port);
/* True when the state of the task's port group does not allow the command: it is answered then. */
bool alua_refuses(Task *task);

void report_target_port_groups_run(Task *task); /* SPC-4 6.37 */
void set_target_port_groups_run(Task *task);    /* SPC-4 6.45 */
