/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task management functions under way: what they wait for before they are answered. */
#pragma once

#include "core/scsi/nexus.h"

/* An aborted task with task->waiters can write no more; on its home loop. */
void tmf_task_settled(Task *task);
/* The functions of a nexus that is being closed go on, but are not answered. */
void tmf_forget_all(Nexus *nexus);
/* How long writes may take to return before a function is rejected; milliseconds. For tests. */
extern unsigned tmf_timeout_ms;
