/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starting, stopping, ejecting and loading the medium of a LUN (SBC-3 4.3, 5.22; SPC-4 6.20), and
 * the I_T nexuses that prevent its removal. */
#pragma once

#include "core/scsi/task.h"

typedef struct Lun Lun; /* lun.h */

typedef enum { MEDIUM_STARTED, MEDIUM_STOPPED, MEDIUM_EJECTED } MediumState;

/* Any loop; the state may change at any time. */
MediumState medium_state(const Lun *lun);

void start_stop_unit_run(Task *task);
void prevent_allow_run(Task *task);

/* The I_T nexus is lost or reset: it prevents the removal of the medium no longer. */
void medium_allow_removal(Itl *itl);
