/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store that does not answer: aborted tasks whose requests are out for longer than tmf_timeout_ms
 * mark their LUN as hung. Until the last of them is back its commands are answered with BUSY, which
 * initiators repeat, rather than with an error, which file systems remember. Commands that need no
 * store (COMMAND_WHEN_NOT_READY) go on. */
#pragma once

#include "core/scsi/task.h"

/* On the shard's loop. The task is aborted, and the store has a request of it. */
void hung_orphan_add(Task *task);
/* Its last request is back. */
void hung_orphan_back(Task *task);

/* Answers BUSY where the LUN is hung; true when it did. Of task_start() alone. */
bool hung_answers(Task *task);
