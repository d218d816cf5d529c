/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the rest of softverbs knows of connection management. */
#pragma once

#include "tools/softverbs/sv.h"

struct sv_peer;

void sv_cm_start(void);
/* Where is that QP? Known from a connection, ours, or asked of its process (blocks up to 5 s).
 * 0 or an errno; the caller owns a reference to the peer and the write end of its channel. */
int sv_find_remote(uint32_t qpn, struct sv_peer **peer, int *chanfd);
/* Faults: the connection of that QP breaks; the device is removed. */
void sv_cm_break(uint32_t qpn);
void sv_cm_removal(void);
