/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Claims on ranges of a LUN's blocks: how a command has blocks for itself, against the commands of
 * every loop (SBC-3 5.3: COMPARE AND WRITE is an uninterrupted series of actions).
 *
 * Shared between loops, under Lun.lock: Lun.claims, the queue of all claims of the LUN in the order
 * they were made. A claim waits for the earlier ones of the queue that it overlaps, unless both are
 * shared. Most commands make no claim: they are known to their own loop alone, by the lists of
 * tasks of the I_T_L nexuses. So an exclusive claim whose turn has come is told to the shards of
 * all loops; each of them waits until the commands that it has begun on the range have left, makes
 * those that come then wait with a shared claim, and reports. As long as there is no claim a
 * command pays one look at a counter of its shard when it starts and one when it leaves. Claims of
 * a LUN that only one loop serves never leave that loop.
 *
 * No circle of waiting: the queue has one order for all loops, a claim waits for earlier claims and
 * for commands that have begun, and those never wait for a claim. This needs two rules:
 * - a claim is made before memory is acquired, because commands that have begun may wait for
 * memory;
 * - who holds a claim waits for another one only on a LUN that comes later in one order of all LUNs
 * (claim_order()).
 * Rows of the command table keep them: a command is held back before its run(). A part of a copy
 * claims its blocks on both LUNs in that order, or on one LUN all at once, and then gets memory. */
#pragma once

#include "core/scsi/task.h"

typedef struct LunShard LunShard; /* shard.h */
typedef struct Claim Claim;

typedef enum {
    CLAIM_SHARED,    /* keeps exclusive claims away */
    CLAIM_EXCLUSIVE, /* and everything else that touches the blocks */
} ClaimMode;

/* Claims the blocks [lba, lba + blocks), which may lie beyond the end of the medium; up to the last
 * possible one where the sum is too large. *claim is set before granted(), which comes once,
 * perhaps inside, and not after claim_release(). For work that is not (or no longer) a task, such
 * as a format in the background. On the shard's loop. */
typedef void (*ClaimGranted)(Claim *claim, void *arg);
void claim_make(Claim **claim, LunShard *shard, ClaimMode mode, uint64_t lba, uint64_t blocks,
                ClaimGranted granted, void *arg);
/* Which of two different LUNs is to be claimed first: < 0 for `a`. MT-SAFE. */
int claim_order(const LunShard *a, const LunShard *b);
/* Gives the range back, or ends the wait. Nothing of it may be with the store any more. On the
 * shard's loop. */
void claim_release(Claim *claim);

/* --- of task.c and itl.c ---------------------------------------------------------------------- */

/* Runs the task when it has what its row in the command table asks for: at once, or after others.
 * For tasks of exclusive commands, and every task of a shard with claims. */
void claim_admit(Task *task);
/* The task is answered, or aborted and without effect from now on. For every task of a shard with
 * claims. */
void claim_task_left(Task *task);
