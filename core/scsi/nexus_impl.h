/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of core/scsi know of a nexus. */
#pragma once

#include "core/scsi/itl.h"
#include "core/scsi/nexus.h"
#include "core/scsi/reserve_state.h"

struct Nexus {
    ScsiTarget *target;
    Loop *loop;
    MemoryClient *client;
    char *initiator;
    NexusName name;                /* constant once it is used, for any loop to read */
    const struct AluaGroup *group; /* that of the port; never NULL */

    Itl **by_number; /* NULL: not addressed yet, or no such LUN */
    unsigned numbers;
    GQueue itls;      /* Itl, withdrawn ones too */
    Itl nowhere;      /* for tasks whose LUN field names nothing */
    unsigned tasks;   /* submitted and not yet released */
    unsigned orphans; /* of tasks: see hung.h */
    GSList *tmfs;     /* Tmf not yet answered */
    GList target_link;

    const NexusEvents *events; /* NULL: nobody wants to know */
    void *events_arg;
    bool told_hung; /* only_hung_left() was called */

    LoopFn closed; /* nexus_close() was called */
    void *closed_arg;
};

/* The I_T_L nexus of the LUN field, made on first use; &nexus->nowhere when there is no such LUN.
 */
Itl *nexus_itl(Nexus *nexus, uint64_t lun_field);
/* A task of it was released: frees what waited for that, perhaps the nexus. */
void nexus_task_released(Itl *itl);
/* Calls only_hung_left() when the time has come. */
void nexus_check_hung(Nexus *nexus);
void nexus_luns_changed(Nexus *nexus);
/* The LUN is no longer there: its tasks run to their end, and then nothing knows it any more. */
void nexus_withdraw_lun(Nexus *nexus, unsigned number);

/* Calls fn for every task, blocked ones first; it may end the task. */
void itl_for_each_task(Itl *itl, void (*fn)(Task *task, void *arg), void *arg);
void nexus_for_each_task(Nexus *nexus, void (*fn)(Task *task, void *arg), void *arg);
