/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Aborting tasks on every loop, and the task management functions under way: what they wait for
 * before they are answered. */
#pragma once

#include "core/scsi/nexus.h"

/* --- for commands that abort others (PREEMPT AND ABORT) ----------------------------------------
 */

/* Called once for every I_T nexus that knows the LUN, on the nexus's home loop; reads only `arg`,
 * and what nexus.h calls constant. Must not block. */
typedef bool (*TmfMatch)(const Nexus *nexus, const void *arg);
/* On the home loop of `task`, which is running. */
typedef void (*TmfTaskDone)(Task *task, TmfResponse response);

/* Aborts, on every loop, all tasks that nexuses chosen by match(nexus, arg) have on the LUN of
 * `task`, except `task` itself. A nexus other than that of `task` that lost one gets the unit
 * attention `attention` (SENSE_NO_SENSE: none). done(task, response) comes once, on the home loop,
 * possibly inside: TMF_COMPLETE when no write of the aborted tasks can reach the store any more,
 * TMF_REJECTED when they did not return in time (they are aborted nevertheless). `task` is kept
 * meanwhile; when it is aborted itself, or its nexus closed, done is not called. `arg` is freed
 * with free_arg (may be NULL) when no loop needs it, on any loop. From the home loop of a running
 * task. */
void tmf_abort_nexuses(Task *task, TmfMatch match, void *arg, GDestroyNotify free_arg,
                       SenseCode attention, TmfTaskDone done);

/* --- within core/scsi --------------------------------------------------------------------------
 */

/* An aborted task with task->waiters can write no more; on its home loop. */
void tmf_task_settled(Task *task);
/* The functions of a nexus that is being closed go on, but are not answered. */
void tmf_forget_all(Nexus *nexus);
/* How long writes may take to return before a function is rejected and the LUN counts as hung;
 * milliseconds. Set before the first nexus is made. */
extern unsigned tmf_timeout_ms;
