/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An I_T_L nexus (SAM-5 4.7): a nexus's view of one logical unit, with its task set (the control
 * mode page says TST = 1: one for each I_T nexus) and its unit attentions. On the nexus's home
 * loop, but for the attentions, which every loop may add to under the LUN's lock. */
#pragma once

#include "core/cache/stream.h"
#include "core/scsi/reserve.h"
#include "core/scsi/task.h"
#include "core/scsi/unit_attention.h"

#include <glib.h>

typedef struct LunShard LunShard; /* shard.h */

struct Itl {
    Nexus *nexus;
    LunShard *shard;           /* NULL: the LUN field named no logical unit */
    GQueue tasks;              /* started, and not yet released */
    GQueue blocked;            /* wait for earlier ones, in order */
    unsigned running;          /* of tasks: those that others may have to wait for */
    unsigned barriers;         /* of running: ordered and head-of-queue tasks */
    bool starting;             /* itl_start_blocked() is at work */
    unsigned walkers;          /* itl_for_each_task(): nothing is started, nothing freed */
    bool withdrawn;            /* the LUN is being removed: freed with the last task */
    GQueue copies;             /* CopyResult, see copy_results.h */
    CacheStreams streams;      /* of its reads, where the LUN has a cache */
    bool prevents_removal;     /* of the medium; lock: Lun.lock */
    UnitAttentions attentions; /* lock: Lun.lock */
    ReserveVerdict reserve_verdict;
    GList lun_link;   /* in Lun.itls; lock: Lun.lock */
    GList shard_link; /* in LunShard.itls */
    GList nexus_link; /* in Nexus.itls */
};

/* Makes one with the POWER ON condition pending, and makes the LUN know it. */
Itl *itl_new(Nexus *nexus, LunShard *shard);
void itl_free(Itl *itl); /* no task is left (asserted) */

/* Starts the task, or keeps it until the tasks it may not overtake are answered (SAM-5 8.6). */
void itl_admit(Itl *itl, Task *task);
/* Starts those whose turn has come. */
void itl_start_blocked(Itl *itl);
/* The task is answered, or aborted and without effect from now on: the next may start. */
void itl_leave(Itl *itl, Task *task);

/* The first unit attention, taken from the queue; SENSE_NO_SENSE: none. */
SenseCode itl_take_attention(Itl *itl);
/* The same where it is one of a reset or the loss of the nexus. */
SenseCode itl_take_reset(Itl *itl);
void itl_add_attention(Itl *itl, SenseCode code);
void itl_drop_attention(Itl *itl, SenseCode code);
