/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of one SCSI command inside a session: its PDUs out, its data, its status. */
#pragma once

#include "tests/initiator/session.h"

/* Sends the command and its unsolicited data. */
void task_start(Session *session, Task *task);
/* What the target sent for a task; each checks the PDU against the task. */
void task_data_in(Session *session, Task *task, const Pdu *pdu);
void task_r2t(Session *session, Task *task, const Pdu *pdu);
void task_response(Session *session, Task *task, const Pdu *pdu);
