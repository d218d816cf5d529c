/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store that does not answer: aborted tasks whose requests are out for longer than tmf_timeout_ms
 * mark their LUN as hung. Until the last of them is back its commands are answered with BUSY, which
 * initiators repeat, rather than with an error, which file systems remember. Commands that need no
 * store (COMMAND_WHEN_NOT_READY) go on. */
#pragma once

#include "core/scsi/task.h"

/* The task is aborted, or a copy that a reset has made fail: what stores have of it is overdue
 * some time. No-op for what is known already. */
void hung_orphans_add(Task *task);
/* The request is back, or was withdrawn. */
void hung_orphan_back(Transfer *transfer);
/* No task of the I_T_L nexus is left but what hung stores have. */
bool hung_has_all(const Itl *itl);

/* Answers BUSY where the LUN is hung; true when it did. Of task_start() alone. */
bool hung_answers(Task *task);
