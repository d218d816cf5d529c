/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The login phase from the initiator's side (RFC 7143 section 6.3). */
#pragma once

#include "tests/initiator/session.h"

enum { STAGE_SECURITY = 0, STAGE_OPERATIONAL = 1, STAGE_FULL_FEATURE = 3 };
enum { LOGIN_TRANSIT = 0x80, LOGIN_CONTINUE = 0x40 };

/* Flags of a Login Request from `stage`, asking to go on to `next`. */
#define LOGIN_FLAGS(stage, next) (uint8_t)(LOGIN_TRANSIT | (stage) << 2 | (next))

/* A Login Request without data, all fields filled in. */
Pdu login_request(Session *session, uint8_t flags);
/* Sends one request with `keys` and waits for its answer, which is checked; the caller's. NULL:
 * none came. */
Pdu *login_exchange(Session *session, uint8_t flags, const TextKeys *keys, int timeout_ms);
/* The names that open a login: InitiatorName, SessionType, TargetName, AuthMethod. */
TextKeys *login_names(const Session *session);
/* Does all of it; the session is then in full feature phase. */
bool login_run(Session *session, int timeout_ms, GError **error);
/* Takes up the agreed parameters. */
bool login_finish(Session *session, GError **error);
