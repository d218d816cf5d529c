/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes that this one talks to, counted. */
#pragma once

#include "tools/softverbs/sv.h"

struct sv_arena;

struct sv_peer {
    struct sv_peer *next;
    uint64_t uuid;
    pid_t pid;
    int refs, kickfd, sock; /* sock: raw attachment, tells of death */
    bool self;
    _Atomic bool dead;
    struct sv_arena *a;
};

/* The peer of that arena, new or known; takes the two descriptors over. NULL: no memory, or
 * not an arena. The caller owns a reference. MT-SAFE. */
struct sv_peer *sv_peer_get(uint64_t uuid, pid_t pid, int arenafd, int kickfd);
void sv_peer_put(struct sv_peer *p);
