/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every logical unit that the targets of this process show, as the calling I/O loop sees them: for
 * commands that name one by a designator. Each loop has a directory of its own. */
#pragma once

#include "core/scsi/nexus.h"

/* On the shard's loop, as its LUN is shown and withdrawn. */
void directory_add(LunShard *shard);
void directory_remove(LunShard *shard);

/* Whether commands may name LUNs of other targets than their own. False at first; set before there
 * are nexuses. */
extern bool directory_between_targets;

/* The LUN that has the designator in its VPD page 83, on the nexus's loop; NULL: there is none that
 * the initiator may use. Those are the LUNs of the nexus's target, and, where that is allowed,
 * those of other targets that an initiator of its name talks to now. Whom a target does not admit
 * must not reach its data through a LUN of another one, and a name proves little: hence the switch.
 * code_set and type (with association) as in a designation descriptor. */
LunShard *directory_find(const Nexus *nexus, uint8_t code_set, uint8_t type, const uint8_t *id,
                         uint8_t len);
