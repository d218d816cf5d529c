/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Task management requests (RFC 7143 11.5, 11.6; RFC 7144 section 5). On the session's home loop.
 */
#pragma once

#include "iser/iscsi/pdu.h"

typedef struct IscsiSession IscsiSession;
typedef struct TmfRequest TmfRequest;

#define TMF_MAX 32 /* requests of one session at a time; more are rejected */

typedef struct {
    TmfRequest *first; /* waiting for commands before them, or running */
    unsigned count, waiting;
} TmfList;

/* A Task Management Function Request in its turn. Releases the PDU. */
void tmf_receive(IscsiSession *session, DmPdu *pdu);
/* ExpCmdSN has advanced: starts what waited for it. */
void tmf_window_advanced(IscsiSession *session);
/* Forgets those that never started. */
void tmf_forget(IscsiSession *session);
